from __future__ import annotations

import sys
import warnings
from functools import partial

import numpy as np
import pandas as pd
import pytest

from kagglekit.errors import ConfigError, DataError, MissingExtra
from kagglekit.models import registry
from kagglekit.models.boost import LightGBMClassifier, LightGBMRegressor


def rows(n: int = 300, seed: int = 0) -> tuple[pd.DataFrame, pd.Series]:
    r = np.random.default_rng(seed)
    X = pd.DataFrame({'a: "{1}"': r.normal(size=n), "city": r.choice(list("xyz"), n)})
    y = np.where(r.random(n) < 0.2, X["city"] == "x", X["city"] == "y") + (X.iloc[:, 0] > 0)
    return X, y.rename("y")


def test_it_stops_early_on_the_rows_handed_in() -> None:
    X, y = rows()
    model = LightGBMClassifier(early_stopping_rounds=10, random_state=0).fit(X, y, eval_set=rows(seed=1))
    assert 1 <= model.n_estimators_ < 500
    assert model.booster_.current_iteration() < 2000
    assert LightGBMClassifier(random_state=0).fit(X, y).n_estimators_ == 300
    assert LightGBMClassifier(learning_rate=0.5).fit(X, y).n_estimators_ == 30
    assert LightGBMClassifier(n_estimators=4).fit(X, y).n_estimators_ == 4


def test_the_metric_that_stops_can_be_chosen() -> None:
    X, y = rows()
    model = LightGBMRegressor(eval_metric="mae", n_estimators=20).fit(X, y, eval_set=rows(seed=1))
    assert list(model.booster_.best_score["valid_0"]) == ["l1"]


def test_it_prints_and_warns_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    X, y = rows()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        LightGBMClassifier(n_estimators=5).fit(X, y, eval_set=rows(seed=1)).predict(X.assign(city=None))
    assert capfd.readouterr() == ("", "")


def test_levels_are_split_natively_and_the_important_column_is_found() -> None:
    X, _ = rows()
    y = (X["city"] == "y").astype(float)
    model = LightGBMRegressor(n_estimators=30, feature_fraction=1.0).fit(X, y)
    assert model.columns_.categorical_ == ["city"]
    assert model.feature_importances_.argmax() == list(model.columns_.get_feature_names_out()).index("city")


def test_the_number_of_threads_does_not_change_the_result() -> None:
    X, y = rows(6000)
    one, two = (LightGBMRegressor(n_estimators=2, n_jobs=n, random_state=0).fit(X, y) for n in (1, 2))
    np.testing.assert_array_equal(one.predict(X), two.predict(X))


def test_what_lightgbm_refuses_is_one_clear_line() -> None:
    X, y = rows()
    with pytest.raises(ConfigError, match="LightGBM refuses this fit"):
        LightGBMRegressor(objective="poisson").fit(X, y - 5)


def test_a_missing_package_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    X, y = rows()
    with pytest.raises(MissingExtra, match=r"kagglekit\[tabular\]"):
        LightGBMClassifier().fit(X, y)


@pytest.mark.parametrize("model", ["lightgbm", "forest", "extra-trees"])
@pytest.mark.parametrize("task", ["regression", "classification"])
def test_rows_of_little_weight_count_for_little(model, task):
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"x": rng.normal(size=400)})
    right = (X["x"] > 0).astype(int)
    trusted = np.arange(400) < 160
    y = right.where(trusted, 1 - right)  # most rows say the opposite
    # Leaves of a single row hold what it says, whatever it weighs, where scikit-learn draws rows without their weights.
    more = {"learning_rate": 0.3} if model == "lightgbm" else {"oob": False, "min_samples_leaf": 20}
    settings = {"n_estimators": 20} | more
    build = partial(registry.build, model, settings, task=task, seed=0)
    weighted = build().fit(X, y, sample_weight=np.where(trusted, 1.0, 0.001))
    assert (np.round(weighted.predict(X)) == right).mean() > 0.95
    assert (np.round(build().fit(X, y).predict(X)) == right).mean() < 0.7
    with pytest.raises(DataError, match="a number above 0 for each of the 400 rows"):
        build().fit(X, y, sample_weight=np.zeros(400))


def test_a_model_that_cannot_weigh_rows_says_so():
    X = pd.DataFrame({"x": [0.0, 1.0, 2.0, 3.0] * 5})
    with pytest.raises(ConfigError, match="takes no weights of rows"):
        registry.build("knn", {}, task="regression", seed=0).fit(X, X["x"], sample_weight=np.ones(20))
