from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV

from kagglekit.errors import ConfigError
from kagglekit.models.forest import ExtraTreesRegressor, ForestClassifier, ForestRegressor


def rows(n: int = 120) -> tuple[pd.DataFrame, pd.Series]:
    r = np.random.default_rng(0)
    X = pd.DataFrame(r.normal(size=(n, 4)), columns=list("abcd"), index=[f"i{k}" for k in r.permutation(n)])
    return X, ((X["a"] + r.normal(size=n)) > 0).astype(int)


def test_out_of_bag_probabilities_are_scikit_learns() -> None:
    X, y = rows()
    ours = ForestClassifier(n_estimators=60, max_features=2, random_state=5).fit(X, y)
    theirs = RandomForestClassifier(60, max_features=2, min_samples_leaf=3, oob_score=True, random_state=5).fit(
        X.values, y
    )
    np.testing.assert_allclose(ours.oob_prediction_, theirs.oob_decision_function_, atol=1e-9)
    assert ours.oob_prediction_.index.equals(X.index)
    assert list(ours.oob_prediction_.columns) == [0, 1]
    assert ours.never_oob_.empty


def test_out_of_bag_values_are_scikit_learns() -> None:
    X, _ = rows()
    ours = ForestRegressor(n_estimators=60, random_state=5).fit(X, X["a"])
    theirs = RandomForestRegressor(60, max_features=0.5, min_samples_leaf=3, oob_score=True, random_state=5)
    theirs.fit(X.values, X["a"])
    np.testing.assert_allclose(ours.oob_prediction_["value"], theirs.oob_prediction_, atol=1e-6)


def test_out_of_bag_on_noise_is_no_better_than_chance() -> None:
    X, _ = rows(400)
    y = pd.Series(np.random.default_rng(1).integers(0, 2, 400), index=X.index)
    model = ForestClassifier(random_state=0).fit(X, y)
    assert roc_auc_score(y, model.predict_proba(X)[:, 1]) > 0.95, "it knows its own rows by heart"
    assert abs(roc_auc_score(y, model.oob_prediction_[1]) - 0.5) < 0.1


def test_rows_that_every_tree_drew_are_said_and_left_empty() -> None:
    X, y = rows()
    with pytest.warns(UserWarning, match=r"have no out-of-bag prediction; raise n_estimators"):
        model = ForestClassifier(n_estimators=3, random_state=0).fit(X, y)
    assert 0 < len(model.never_oob_) < len(X)
    empty = model.oob_prediction_.isna().any(axis=1)
    assert set(X.index[empty]) == set(model.never_oob_)
    drawn = [set(range(len(X))) - set(rows) for rows in model.forest_.estimators_samples_]
    assert list(model.oob_counts_) == [sum(i in out for out in drawn) for i in range(len(X))]


def test_without_oob_nothing_is_kept_and_extra_trees_see_all_rows() -> None:
    X, _ = rows()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = ExtraTreesRegressor(n_estimators=3, min_samples_leaf=1, oob=False, random_state=0).fit(X, X["a"])
    assert not hasattr(model, "oob_prediction_")
    np.testing.assert_allclose(model.predict(X), X["a"], atol=1e-6)


def test_grid_search_runs() -> None:
    X, y = rows()
    search = GridSearchCV(ForestClassifier(n_estimators=30, random_state=0), {"min_samples_leaf": [1, 40]}, cv=3)
    assert set(search.fit(X, y).best_params_) == {"min_samples_leaf"}


def test_a_share_of_columns_above_one_is_refused() -> None:
    X, y = rows()
    with pytest.raises(ConfigError, match="max_features"):
        ForestClassifier(max_features=2.5).fit(X, y)


def test_the_curve_ends_at_the_out_of_bag_error_and_more_trees_help() -> None:
    r = np.random.default_rng(0)
    X = pd.DataFrame(r.normal(size=(300, 4)), columns=list("abcd"))
    y = X["a"] + r.normal(0, 0.5, 300)
    forest = ForestRegressor(n_estimators=80, random_state=0).fit(X, y)
    curve = forest.oob_curve_
    assert (curve.index[0], curve.index[-1]) == (10, 80)
    assert curve.iloc[-1] == pytest.approx(np.sqrt(((forest.oob_prediction_["value"] - y) ** 2).mean()))
    assert curve.iloc[-1] < curve.iloc[0]
    labels = ForestClassifier(n_estimators=40, random_state=0).fit(X, y > 0)
    wrong = (labels.oob_prediction_.idxmax(axis=1) != (y > 0)).mean()
    assert labels.oob_curve_[40] == pytest.approx(wrong)
