"""An exported model predicts what the fitted one does, is read without unpickling, and notices what was changed."""

from __future__ import annotations

import importlib.util
import json
import pickle
import subprocess
import sys
from pathlib import Path

import discs
import numpy as np
import pandas as pd
import pytest
from discs import SMALL
from vision_cases import picture_table, picture_target

from kagglekit.errors import MissingExtra, StoreError, UsageError
from kagglekit.models.bagging import BaggedClassifier
from kagglekit.models.vision.estimator import TimmClassifier, TimmRegressor
from kagglekit.models.vision.exchange import write_fastai, write_onnx
from kagglekit.models.vision.exported import PROBE, About, load, merge, save
from kagglekit.models.vision.features import FrozenFeatures, FrozenFeaturesRegressor

FAST = SMALL | discs.FAST
X = picture_table(0).iloc[:24]
y = picture_target(X, "classification")
numbers = picture_target(X, "regression")
PATHS = list(X["path"])


@pytest.fixture(scope="module")
def tuned() -> TimmClassifier:
    return TimmClassifier(**FAST).fit(X, y)


@pytest.fixture
def folder(tuned, tmp_path) -> Path:
    save(tuned, tmp_path / "model", about=About(name="discs"))
    return tmp_path / "model"


@pytest.mark.parametrize(
    "estimator",
    [
        TimmClassifier(**FAST | {"size": (32, 48)}, resize="reflect", tta="crops"),
        TimmClassifier(**FAST, resize="crop", presize=32, tta=True),
        TimmClassifier(**FAST | {"arch": "test_vit"}),
        FrozenFeatures(**SMALL, C=0.1),
        BaggedClassifier(TimmClassifier(**FAST), n_estimators=2, random_state=0),
    ],
    ids=["crops", "mirrored", "vit", "frozen", "bagged"],
)
def test_it_predicts_the_same(estimator, tmp_path):
    expected = estimator.fit(X, y).predict_proba(X)
    save(estimator, tmp_path / "model", about=About(name="it"))
    model = load(tmp_path / "model")
    np.testing.assert_allclose(model.answers(PATHS), expected, atol=1e-5)
    assert model.predict(PATHS).tolist() == estimator.predict(X).tolist()
    assert expected.std() > 1e-4, "the pictures are told apart"


@pytest.mark.parametrize("estimator", [TimmRegressor(**FAST), FrozenFeaturesRegressor(**SMALL, C=0.1)])
def test_values_come_back_in_their_own_unit(estimator, tmp_path):
    estimator.fit(X, np.log1p(numbers))
    save(estimator, tmp_path / "model", about=About(name="it"), columns=["age"], transform="log1p")
    found = load(tmp_path / "model").answers(PATHS)
    assert list(found.columns) == ["age"]
    np.testing.assert_allclose(found["age"], np.expm1(estimator.predict(X)), rtol=1e-5, atol=1e-5)


def test_ordered_classes_and_yes_or_no_labels(tmp_path):
    ordered = TimmClassifier(**FAST, loss="ordinal").fit(X, numbers.astype(int))
    save(ordered, tmp_path / "ordered", about=About(name="it"))
    np.testing.assert_allclose(load(tmp_path / "ordered").answers(PATHS), ordered.predict_proba(X), atol=1e-5)
    several = TimmClassifier(**FAST).fit(X, pd.DataFrame({"red": numbers == 0, "blue": numbers == 2}, dtype=int))
    save(several, tmp_path / "several", about=About(name="it"))
    model = load(tmp_path / "several")
    np.testing.assert_allclose(model.answers(PATHS), several.predict_proba(X), atol=1e-5)
    assert model.words(model.answers(PATHS[:1]).iloc[0]).startswith("red ")
    with pytest.raises(UsageError, match="yes or no"):
        model.predict(PATHS)


def test_targets_that_were_learnt_beside_are_left_out(tmp_path):
    model = TimmClassifier(**FAST).fit(X, y, extra=pd.DataFrame({"age": numbers}))
    save(model, tmp_path / "model", about=About(name="it"))
    np.testing.assert_allclose(load(tmp_path / "model").answers(PATHS), model.predict_proba(X), atol=1e-5)


def test_several_models_answer_with_their_mean(tuned, folder, tmp_path):
    two = y[y != "tungro"]
    narrow = TimmClassifier(**FAST, random_state=1).fit(X.loc[two.index], two)
    labels = ["tungro", "blast", "normal"]
    save(tuned, tmp_path / "a", about=About(name="a"), columns=labels)
    save(narrow, tmp_path / "b", about=About(name="b"), columns=labels)
    facts = merge({"fold-0": tmp_path / "a", "fold-1": tmp_path / "b"}, tmp_path / "both", about=About(name="both"))
    assert [member.file for member in facts.members] == ["fold-0.safetensors", "fold-1.safetensors"]
    found = load(tmp_path / "both").answers(PATHS)
    assert list(found.columns) == labels
    parts = [pd.DataFrame(m.predict_proba(X), columns=m.classes_, index=PATHS) for m in (tuned, narrow)]
    expected = (parts[0] + parts[1].reindex(columns=parts[0].columns, fill_value=0.0)) / 2
    pd.testing.assert_frame_equal(found, expected[labels], check_names=False, atol=1e-5, check_dtype=False)
    with pytest.raises(UsageError, match="other settings"):
        merge({"fold-0": tmp_path / "a", "other": folder}, tmp_path / "mixed", about=About(name="mixed"))
    assert not (tmp_path / "mixed").exists()


def test_nothing_is_unpickled(folder, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("unpickled")

    monkeypatch.setattr(pickle, "load", refuse)
    monkeypatch.setattr(pickle, "Unpickler", refuse)
    assert load(folder).answers(PATHS[:1]).shape == (1, 3)
    assert sorted(p.suffix for p in folder.iterdir()) == [".jpg", ".json", ".safetensors"]


def change(folder: Path, **fields) -> None:
    path = folder / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def test_a_changed_file_is_refused(folder):
    file = folder / "00.safetensors"
    before = file.read_bytes()
    file.write_bytes(before[:-4] + b"abcd")
    with pytest.raises(StoreError, match=r"00\.safetensors is not as it was exported"):
        load(folder)
    file.unlink()
    with pytest.raises(StoreError, match=r"00\.safetensors is not as it was exported"):
        load(folder)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"precision": "fp4"}, "has the field 'precision', which this version of kagglekit does not know"),
        ({"format": 2}, "does not describe a model of this version"),
        ({"size": "large"}, "'size'"),
        ({"probe": [0.9, 0.05, 0.05]}, "predicts its probe otherwise"),
        ({"arch": "test_resnetz"}, "no architecture 'test_resnetz'"),
        ({"arch": "test_vit"}, "does not fit test_vit"),
        ({"members": [{"file": "../00.safetensors", "outputs": 3, "columns": []}]}, "members.0.file"),
    ],
)
def test_what_it_does_not_know_is_refused_in_one_line(folder, fields, says):
    change(folder, **fields)
    with pytest.raises(Exception, match=says) as error:
        load(folder)
    assert "\n" not in str(error.value)


def test_what_is_no_exported_model_is_one_line(tmp_path, folder, tuned):
    with pytest.raises(StoreError, match="holds no exported model"):
        load(tmp_path)
    (folder / "model.json").write_bytes(b"\xff\xfe")
    with pytest.raises(StoreError, match="not UTF-8"):
        load(folder)
    with pytest.raises(UsageError, match="exists already"):
        save(tuned, folder, about=About(name="it"))
    one = TimmClassifier(**FAST).fit(X, pd.Series("blast", index=X.index))
    with pytest.raises(UsageError, match="the label 'blast' alone"):
        save(one, tmp_path / "one", about=About(name="it"))
    with pytest.raises(UsageError, match="none of the classes"):
        save(tuned, tmp_path / "few", about=About(name="it"), columns=["blast", "normal"])
    assert not (tmp_path / "few").exists()


def test_fastai_opens_it_and_predicts_the_same(folder, tmp_path):
    model = load(folder)
    write_fastai(model, tmp_path / "export.pkl", folder / PROBE)
    expected = model.answers(PATHS[:5]).to_numpy()
    code = (
        "import json, sys, warnings; warnings.simplefilter('ignore')\n"
        "from fastai.learner import load_learner\n"
        "learner = load_learner(sys.argv[1])\n"
        "with learner.no_bar():\n"
        "    rows = learner.get_preds(dl=learner.dls.test_dl(sys.argv[2:]))[0]\n"
        "    label = learner.predict(sys.argv[2])[0]\n"
        "print(json.dumps([rows.tolist(), label]))\n"
    )
    words = [sys.executable, "-c", code, str(tmp_path / "export.pkl"), *PATHS[:5]]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    rows, label = json.loads(done.stdout.splitlines()[-1])
    np.testing.assert_allclose(rows, expected, atol=1e-5)
    assert label == model.predict(PATHS[:1]).iloc[0]


def test_onnx_predicts_the_same_where_its_extra_is_installed(folder, tmp_path):
    model, path = load(folder), tmp_path / "model.onnx"
    if any(importlib.util.find_spec(name) is None for name in ("onnx", "onnxruntime", "onnxscript")):
        with pytest.raises(MissingExtra, match="onnx"):
            write_onnx(model, path, folder / PROBE)
        assert not path.exists()
        return
    write_onnx(model, path, folder / PROBE)
    import onnxruntime

    pixels = model.pixels(PATHS[:3]).numpy()
    found = onnxruntime.InferenceSession(str(path)).run(["answers"], {"pixels": pixels})[0]
    np.testing.assert_allclose(found, model.answers(PATHS[:3]), atol=1e-4)
