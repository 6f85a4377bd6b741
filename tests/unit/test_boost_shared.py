"""Folds of large tables share one binned dataset, which knows no label."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from kagglekit.config import Experiment
from kagglekit.contracts import Competition
from kagglekit.dataset import Prepared
from kagglekit.folds import make_folds
from kagglekit.models.boost import LightGBMClassifier, LightGBMRegressor
from kagglekit.store import Store
from kagglekit.train import train, train_within

ROWS = 50_000
QUICK = {"n_estimators": 5, "learning_rate": 0.3, "random_state": 0}


def rows(n: int = ROWS) -> tuple[pd.DataFrame, pd.Series]:
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": rng.normal(size=n), "b": rng.normal(size=n)}, index=[f"r{i}" for i in range(n)])
    X.loc[X.index[:100], "a"] = np.nan
    y = pd.Series((X["a"].fillna(0) + rng.normal(size=n) > 0).astype(int), index=X.index)
    return X, y


def test_a_shared_fit_predicts_as_well_as_one_of_its_own():
    X, y = rows()
    X["c"] = pd.Series(np.random.default_rng(1).choice(["u", "v"], len(X)), index=X.index)
    own = LightGBMClassifier(**QUICK)
    fit, stop, rest = X.index[:20_000][::-1], X.index[20_000:30_000], X.index[30_000:]
    shared = own.share(X)
    model = LightGBMClassifier(**QUICK).fit_shared(shared, y.loc[fit], y.loc[stop])
    own.fit(X.loc[fit], y.loc[fit], eval_set=(X.loc[stop], y.loc[stop]))
    scores = [roc_auc_score(y.loc[rest], m.predict_proba(X.loc[rest])[:, 1]) for m in (model, own)]
    assert scores[0] == pytest.approx(scores[1], abs=0.002)
    assert list(model.classes_) == [0, 1]
    assert list(model.feature_names_in_) == ["a", "b", "c"]


def test_the_ids_and_not_the_order_say_which_rows_are_meant():
    X, y = rows()
    values = y + X["b"]
    shared = LightGBMRegressor(**QUICK).share(X)
    some = X.index[5_000:9_000]
    models = [LightGBMRegressor(**QUICK).fit_shared(shared, values.loc[ids]) for ids in (some, some[::-1])]
    assert np.array_equal(*(m.predict(X) for m in models))
    own = LightGBMRegressor(**QUICK).fit(X.loc[some], values.loc[some])
    assert np.corrcoef(models[0].predict(X), own.predict(X))[0, 1] > 0.99


def test_small_tables_text_and_repeated_rows_are_not_shared():
    X, _ = rows()
    model = LightGBMClassifier(**QUICK)
    assert model.share(X.iloc[: ROWS - 1]) is None
    assert model.share(X.assign(words=[f"word {i}" for i in range(len(X))])) is None
    assert model.share(X.set_axis(X.index[[0, *range(len(X) - 1)]])) is None
    assert model.share(X) is not None


def test_the_fold_loop_shares_and_gives_the_same_whenever_a_fold_is_fitted(tmp_path):
    X, y = rows()
    facts = Competition("made", "classification", "roc_auc", "id", "y", classes=(0, 1), form="probability")
    folds = make_folds(X.index, scheme="kfold", n=2, seed=0)
    test = X.iloc[:10].set_axis([f"t{i}" for i in range(10)])
    prepared = Prepared(facts, X.assign(y=y), test, pd.DataFrame(), folds, "data", Path("cache"))
    experiment = Experiment("boosted", "x", "lightgbm", {"n_estimators": 5, "learning_rate": 0.3})
    one = train(prepared, experiment, Store(tmp_path / "one"))
    assert train_within(prepared, experiment, Store(tmp_path / "two"), lambda fold: fold == "fold-1") is None
    two = train(prepared, experiment, Store(tmp_path / "two"))
    pd.testing.assert_frame_equal(one.oof.frame, two.oof.frame)
    assert one.score > 0.7
