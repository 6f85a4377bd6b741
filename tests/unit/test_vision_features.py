from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from vision_pictures import pictures

from kagglekit.errors import ConfigError, CorruptImages, DataError
from kagglekit.models.vision.features import FrozenFeatures, FrozenFeaturesRegressor, pooled_features

TINY = {"arch": "test_resnet", "weights": "random", "size": 32}


@pytest.fixture
def data(tmp_path: Path) -> tuple[pd.DataFrame, pd.Series]:
    return pictures(tmp_path / "images", 24)


def test_pretrained_features_tell_coloured_discs_apart(tmp_path: Path) -> None:
    X, y = pictures(tmp_path / "fit", 60)
    new_X, new_y = pictures(tmp_path / "new", 30, seed=1)
    model = FrozenFeatures(size=64, cache_dir=str(tmp_path / "cache")).fit(X, y)
    assert (model.predict(new_X) == new_y).mean() > 0.9
    np.testing.assert_allclose(model.predict_proba(new_X).sum(axis=1), 1, atol=1e-6)
    assert model.C_ in (1e-3, 1e-2, 1e-1)


def test_features_are_computed_once_for_all(tmp_path: Path, data: tuple[pd.DataFrame, pd.Series]) -> None:
    X, y = data
    cache = tmp_path / "cache"
    model = FrozenFeatures(**TINY, C=0.1, cache_dir=str(cache)).fit(X.iloc[:16], y.iloc[:16])
    model.predict_proba(X)
    shards = sorted(cache.rglob("rows.npy"))
    assert sorted(len(np.load(s)) for s in shards) == [8, 16]
    again = clone(model).fit(X.sample(frac=1, random_state=0), y.sample(frac=1, random_state=0))
    assert sorted(cache.rglob("rows.npy")) == shards
    bare = clone(model).set_params(cache_dir=None).fit(X, y)
    np.testing.assert_allclose(again.predict_proba(X), bare.predict_proba(X), atol=1e-4)


@pytest.mark.parametrize("change", [{"size": 40}, {"resize": "crop"}, {"flip": False}, {"random_state": 1}])
def test_other_settings_read_other_features(
    tmp_path: Path, data: tuple[pd.DataFrame, pd.Series], change: dict[str, object]
) -> None:
    paths, cache = list(data[0]["path"][:4]), str(tmp_path / "cache")
    settings = {**TINY, "cache_dir": cache}
    plain, other = pooled_features(paths, **settings), pooled_features(paths, **{**settings, **change})
    assert plain.dtype == np.float32
    assert np.abs(plain - other).max() > 1e-6


def test_features_are_of_each_image_alone(data: tuple[pd.DataFrame, pd.Series]) -> None:
    paths = list(data[0]["path"])
    whole = pooled_features(paths, **TINY)
    np.testing.assert_allclose(pooled_features(paths[::-1], **TINY)[::-1], whole, atol=1e-5)
    np.testing.assert_allclose(pooled_features(paths[:1], **TINY), whole[:1], atol=1e-5)
    np.testing.assert_allclose(pooled_features([paths[0]] * 3, **TINY), np.repeat(whole[:1], 3, axis=0), atol=1e-5)


def test_layers_between_the_body_and_the_head_are_gone_through(data: tuple[pd.DataFrame, pd.Series]) -> None:
    found = pooled_features(list(data[0]["path"][:2]), "mobilenetv4_conv_small_035", 32, weights="random")
    assert found.shape == (2, 1280)  # of 960 that the body gives


def test_values_are_regressed(tmp_path: Path) -> None:
    X, y = pictures(tmp_path / "fit", 60)
    values = y.map({"blast": 1.0, "normal": 5.0, "tungro": 9.0})
    model = FrozenFeaturesRegressor(size=64, cache_dir=str(tmp_path / "cache")).fit(X, values)
    new_X, new_y = pictures(tmp_path / "new", 30, seed=1)
    assert np.corrcoef(model.predict(new_X), new_y.map({"blast": 1.0, "normal": 5.0, "tungro": 9.0}))[0, 1] > 0.8
    with pytest.raises(DataError, match="numbers"):
        model.fit(X, y)


def test_one_class_and_rare_classes(data: tuple[pd.DataFrame, pd.Series]) -> None:
    X, y = data
    single = FrozenFeatures(**TINY).fit(X, pd.Series(True, index=y.index))
    assert (single.predict_proba(X) == 1).all()
    rare = y.where(y.index != y.index[0], "once")
    assert len(FrozenFeatures(**TINY).fit(X, rare).classes_) == 4


def test_all_bad_files_are_named_at_once(tmp_path: Path) -> None:
    X, y = pictures(tmp_path / "images", 130)
    for name in (X["path"].iloc[1], X["path"].iloc[-1]):
        Path(name).write_bytes(b"damaged")
    with pytest.raises(CorruptImages) as caught:
        FrozenFeatures(**TINY, cache_dir=str(tmp_path / "cache")).fit(X, y)
    assert len(caught.value.files) == 2
    assert not list((tmp_path / "cache").rglob("rows.npy"))


def test_wrong_input_is_named(data: tuple[pd.DataFrame, pd.Series]) -> None:
    X, y = data
    with pytest.raises(DataError, match="'path'"):
        FrozenFeatures(**TINY).fit(X[["variety"]], y)
    with pytest.raises(ConfigError, match="C must be above 0"):
        FrozenFeatures(**TINY, C=0.0).fit(X, y)
    with pytest.raises(ConfigError, match="size"):
        FrozenFeatures(**{**TINY, "size": 2}).fit(X, y)
    with pytest.raises(NotFittedError):
        FrozenFeatures(**TINY).predict(X)
