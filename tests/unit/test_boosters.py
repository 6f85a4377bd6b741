"""What the three boosters have in common."""

from __future__ import annotations

import sys
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kagglekit.errors import ConfigError, MissingExtra
from kagglekit.models import registry

BOOSTERS = ("lightgbm", "xgboost", "catboost")
each_booster = pytest.mark.parametrize("name", BOOSTERS)


def rows(n: int = 300, seed: int = 0) -> tuple[pd.DataFrame, pd.Series]:
    r = np.random.default_rng(seed)
    X = pd.DataFrame({'a: "{1}"': r.normal(size=n), "b": r.normal(size=n), "city": r.choice(list("xyz"), n)})
    return X, (X.iloc[:, 0] + (X["city"] == "y") + r.normal(0, 0.5, n)).rename("y")


def built(name: str, task: str = "regression", **params: Any) -> Any:
    return registry.build(name, params, task=task, seed=0)


@each_booster
def test_it_stops_early_on_the_rows_handed_in(name: str) -> None:
    X, y = rows()
    model = built(name, early_stopping_rounds=5).fit(X, y, eval_set=rows(seed=1))
    assert 1 <= model.n_estimators_ < 300
    assert built(name, learning_rate=0.5).fit(X, y).n_estimators_ == 30


@each_booster
def test_predictions_follow_the_constraint(name: str) -> None:
    X, y = rows()
    model = built(name, n_estimators=40, monotone={"b": -1}).fit(X, y)
    grid = X.head(1).loc[np.zeros(50, dtype=int)].assign(b=np.linspace(-3, 3, 50))
    assert (np.diff(model.predict(grid)) <= 1e-9).all()
    with pytest.raises(ConfigError, match="'city' is no column of numbers"):
        built(name, monotone={"city": 1}).fit(X, y)


@each_booster
def test_levels_are_split_natively_and_the_important_column_is_found(name: str) -> None:
    X, _ = rows()
    model = built(name, n_estimators=30).fit(X, (X["city"] == "y").astype(float))
    assert model.columns_.categorical_ == ["city"]
    assert model.feature_importances_.argmax() == list(model.columns_.get_feature_names_out()).index("city")
    unseen, missing = (model.predict(X.head(3).assign(city=city)) for city in ("new", None))
    assert np.isfinite([unseen, missing]).all()


@each_booster
def test_it_prints_and_warns_nothing(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    X, y = rows()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = built(name, "classification", n_estimators=5).fit(X, y > 0, eval_set=(X, y > 0))
        model.predict(X.assign(city=None))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("name", "params", "says"),
    [
        ("lightgbm", {"objective": "poisson"}, "LightGBM refuses this fit"),
        ("xgboost", {"objective": "count:poisson"}, "XGBoost refuses this fit"),
        ("catboost", {"objective": "Nonsense"}, "CatBoost refuses this fit"),
        ("catboost", {"depth": 40}, "CatBoost refuses this fit"),
    ],
)
def test_what_it_refuses_is_one_clear_line(name: str, params: dict[str, Any], says: str) -> None:
    X, y = rows()
    with pytest.raises(ConfigError, match=says) as error:
        built(name, **params, n_estimators=3).fit(X, y - 50)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["xgboost", "catboost"])
def test_a_missing_package_names_its_extra(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    X, y = rows()
    with pytest.raises(MissingExtra, match=r"kagglekit\[boosters\]"):
        built(name).fit(X, y)
