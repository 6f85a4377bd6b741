"""Stacks: what each layer sees, how classes and names travel, and that nothing is scored on rows that were learnt."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, clone
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsRegressor
from sklearn.tree import DecisionTreeClassifier

from kagglekit.blend.matrix import PredictionMatrix
from kagglekit.blend.means import Mean
from kagglekit.blend.pool import LogPool
from kagglekit.blend.ridge import RidgeBlend
from kagglekit.blend.stacking import StackBlend
from kagglekit.errors import ConfigError
from kagglekit.metrics import log_loss, rmse

Array = np.ndarray[Any, Any]
CLASSES = ("cat", "dog", "eel")


class Remembers(RegressorMixin, BaseEstimator):
    """Predicts 1 for rows it was fitted on, else 0."""

    def fit(self, X: pd.DataFrame, y: Array) -> Self:
        self.seen_ = {tuple(row) for row in X.to_numpy()}
        return self

    def predict(self, X: pd.DataFrame) -> Array:
        return np.array([float(tuple(row) in self.seen_) for row in X.to_numpy()])


class Shows(RegressorMixin, BaseEstimator):
    """Keeps what it was fitted on; predicts one of its columns."""

    def __init__(self, column: int = -1) -> None:
        self.column = column

    def fit(self, X: pd.DataFrame, y: Array) -> Self:
        self.X_, self.y_ = X, y
        return self

    def predict(self, X: pd.DataFrame) -> Array:
        return X.iloc[:, self.column].to_numpy()


class ShowsClasses(ClassifierMixin, BaseEstimator):
    """Keeps what it was fitted on; predicts shares of the classes."""

    def fit(self, X: pd.DataFrame, y: Array) -> Self:
        self.X_, self.y_ = X, y
        self.classes_, self.counts_ = np.unique(y, return_counts=True)
        return self

    def predict_proba(self, X: pd.DataFrame) -> Array:
        return np.tile(self.counts_ / self.counts_.sum(), (len(X), 1))


def values(n_rows: int = 100, n_models: int = 4, seed: int = 0) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    y = rng.normal(3, 1, n_rows)
    return (y + rng.normal(size=(n_models, n_rows)))[:, :, None].astype(np.float32), y


def chances(n_rows: int = 150, n_classes: int = 3, n_models: int = 4, seed: int = 0) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    latent = 1.5 * rng.normal(size=(n_rows, n_classes))
    P = softmax(latent + rng.normal(size=(n_models, n_rows, n_classes)), axis=2).astype(np.float32)
    drawn = (softmax(latent, axis=1).cumsum(axis=1) > rng.random((n_rows, 1))).argmax(axis=1)
    return P, np.array(CLASSES)[drawn]


def test_default_for_values_also_mends_scale_and_level() -> None:
    P, y = values(400)
    blend = StackBlend("rmse").fit(2 * P[:, :200] + 5, y[:200])
    straight = RidgeBlend("rmse").fit(P[:, :200], y[:200])
    reached = rmse(y[200:], blend.predict(2 * P[:, 200:] + 5)[:, 0])
    assert reached < 1.03 * rmse(y[200:], straight.predict(P[:, 200:])[:, 0])
    assert blend.nested_score_ == pytest.approx(reached, rel=0.15)


def test_default_for_values_solves_the_plain_problem() -> None:
    P, y = values()
    blend = StackBlend("rmse", cv=None).fit(P, y)
    assert np.isfinite(blend.strength_)
    X = P[:, :, 0].T.astype(float)
    mean = X.mean(axis=1)
    features = np.column_stack([X - mean[:, None], np.full(len(y), y.std()), mean - y.mean()])
    moves = np.linalg.solve(
        features.T @ features + blend.strength_ * np.eye(features.shape[1]), features.T @ (y - mean)
    )
    np.testing.assert_allclose(blend.predict(P)[:, 0], mean + features @ moves, atol=1e-5)


def test_default_for_rmsle_works_on_logarithms() -> None:
    P, y = np.maximum(values()[0], 0), np.maximum(values()[1], 0)
    own = StackBlend("rmsle", cv=None).fit(P, y).predict(P)
    by_hand = StackBlend("rmse", cv=None).fit(np.log1p(P), np.log1p(y)).predict(np.log1p(P))
    np.testing.assert_allclose(np.log1p(own), by_hand, atol=1e-4)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_default_for_classes_also_mends_their_shares(n_classes: int) -> None:
    P, y = chances(600, n_classes)
    # Members that were trained where the first class was five times as common.
    P[:, :, 0] *= 5
    P /= P.sum(axis=2, keepdims=True)
    codes = (y[:, None] == np.array(CLASSES)).argmax(axis=1)
    held = {}
    for blend in (StackBlend(classes=CLASSES[:n_classes]), LogPool(classes=CLASSES[:n_classes])):
        blend.fit(P[:, :300], y[:300])
        held[type(blend)] = log_loss(codes[300:], blend.predict(P[:, 300:]).astype(float))
        assert blend.nested_score_ == pytest.approx(held[type(blend)], rel=0.12)
    assert held[StackBlend] < 0.9 * held[LogPool]


def test_a_model_of_ones_own_sees_logits_by_member_and_class() -> None:
    P, y = chances()
    matrix = PredictionMatrix(("m1", "m2", "m3", "m4"), pd.RangeIndex(len(y)), CLASSES, P)
    model = LogisticRegression(C=0.1)
    blend = StackBlend(classes=CLASSES, estimator=model, cv=None).fit(matrix, pd.Series(y))
    logs = np.log(np.maximum(P.astype(float), 1e-6))
    apart = np.concatenate(list(logs - logs.mean(axis=2, keepdims=True)), axis=1)
    X = pd.DataFrame(apart, columns=[f"m{m}__{c}" for m in (1, 2, 3, 4) for c in CLASSES])
    expected = clone(model).fit(X, y).predict_proba(X)
    np.testing.assert_allclose(blend.predict(matrix), expected, atol=1e-4)


def test_two_classes_give_one_logit_and_scores_stay_scores() -> None:
    P, y = chances(80, 2)
    shown = StackBlend(classes=CLASSES[:2], estimator=ShowsClasses(), cv=None).fit(P, y).last_.fitted.model
    assert list(shown.X_.columns) == [f"{m}__dog" for m in range(4)]
    np.testing.assert_allclose(shown.X_["2__dog"], np.log(P[2, :, 1] / P[2, :, 0]), atol=1e-4)
    scores = 5 * P - 1
    shown = StackBlend("roc_auc", classes=CLASSES[:2], estimator=ShowsClasses(), cv=None).fit(scores, y)
    np.testing.assert_array_equal(shown.last_.fitted.model.X_["1__cat"], scores[1, :, 0])


def test_a_regressor_is_the_same_as_by_hand_with_weights() -> None:
    P, y = values()
    weight = np.random.default_rng(1).integers(0, 3, len(y)).astype(float)
    blend = StackBlend("rmse", estimator=Ridge(2.0), cv=None).fit(P, y, sample_weight=weight)
    X = P[:, :, 0].T.astype(float)
    expected = Ridge(2.0).fit(X, y, sample_weight=weight).predict(X)
    np.testing.assert_allclose(blend.predict(P)[:, 0], expected, atol=1e-5)


def test_layers_hand_on_predictions_for_rows_that_they_were_not_fitted_on() -> None:
    P, y = values()
    blend = StackBlend("rmse", estimator=Shows(), layers=([Remembers()],), cv=None).fit(P, y)
    seen = blend.last_.fitted.model.X_
    assert list(seen.columns) == ["0", "1", "2", "3", "layer1-1-Remembers"]
    assert (seen["layer1-1-Remembers"] == 0).all()
    # Four of the five fold models know each row.
    np.testing.assert_allclose(blend.predict(P), 0.8, atol=1e-6)
    np.testing.assert_array_equal(blend.predict(P + 1), 0)


def test_each_layer_sees_all_before_it() -> None:
    P, y = values(40)
    blend = StackBlend("rmse", layers=([LinearRegression(), Ridge()], [Shows(4)]), cv=None).fit(P, y)
    inner = blend.layers_[1].models[0][0].model.X_
    assert list(inner.columns) == ["0", "1", "2", "3", "layer1-1-LinearRegression", "layer1-2-Ridge"]
    # The second layer repeats the first model of the first one, so the default blends two identical members.
    assert np.isfinite(blend.predict(P)).all()


def test_groups_stay_whole_between_the_folds_of_a_layer() -> None:
    P, y = values(60)
    groups = np.repeat(np.arange(12), 5)
    P += groups[:, None].astype(np.float32)
    blend = StackBlend("rmse", layers=([Shows()],), cv=None).fit(P, y, groups=groups)
    by_value = {tuple(row): g for row, g in zip(P[:, :, 0].T.astype(float), groups, strict=True)}
    for fold in blend.layers_[0].models[0]:
        rows = [by_value[tuple(row)] for row in fold.model.X_.to_numpy()]
        assert all(rows.count(group) == 5 for group in set(rows))


def test_random_truth_scores_like_chance_however_well_it_is_learnt_by_heart() -> None:
    P, y = values(80, seed=3)
    y = np.random.default_rng(5).permutation(y)
    blend = StackBlend("rmse", estimator=KNeighborsRegressor(1), layers=([KNeighborsRegressor(1)],)).fit(P, y)
    assert blend.fit_score_ < 0.8 * blend.nested_score_
    assert blend.nested_score_ > y.std()
    Q, z = chances(80, 2)
    z = np.random.default_rng(5).permutation(z)
    tree = StackBlend("accuracy", classes=CLASSES[:2], estimator=DecisionTreeClassifier(random_state=0)).fit(Q, z)
    assert tree.fit_score_ == 1
    assert tree.nested_score_ == pytest.approx(0.5, abs=0.15)


def test_classes_that_do_not_occur_get_no_probability() -> None:
    P, y = chances()
    kept = y != "dog"
    blend = StackBlend(classes=CLASSES, estimator=LogisticRegression(), layers=([LogisticRegression()],), cv=None)
    table = blend.fit(P[:, kept], y[kept]).predict(P)
    assert (table[:, 1] == 0).all() and (table[:, [0, 2]] > 0).all()
    np.testing.assert_allclose(table.sum(axis=1), 1, atol=1e-6)
    one = y == "eel"
    np.testing.assert_array_equal(blend.fit(P[:, one], y[one]).predict(P), np.tile([0, 0, 1], (len(y), 1)))


@pytest.mark.parametrize(
    ("settings", "kind", "message"),
    [
        ({"estimator": LinearRegression()}, "classes", "needs models with predict_proba, got LinearRegression"),
        ({"layers": ([Ridge()],)}, "classes", "needs models with predict_proba, got Ridge"),
        ({"estimator": LogisticRegression()}, "values", "needs regressors, got LogisticRegression"),
        ({"estimator": Remembers()}, "weights", "Remembers.. does not take"),
        ({}, "scores", "needs probabilities of two classes or more"),
    ],
)
def test_models_that_do_not_fit_are_refused(settings: dict[str, Any], kind: str, message: str) -> None:
    weight = np.ones(100) if kind == "weights" else None
    P, y = values() if kind in ("values", "weights") else chances(100)
    metric = "rmse" if kind in ("values", "weights") else "log_loss"
    with pytest.raises(ConfigError, match=message):
        StackBlend(metric, **settings).fit(P - 2 if kind == "scores" else P, y, sample_weight=weight)


def test_settings_survive_cloning() -> None:
    blend = StackBlend("rmse", estimator=Ridge(3.0), layers=([Ridge(4.0)], [Shows(2)]), cv=3)
    copy = clone(blend)
    assert copy.estimator.alpha == 3 and copy.layers[0][0].alpha == 4 and copy.layers[1][0].column == 2
    P, y = values(30)
    assert copy.fit(P, y).nested_score_ == blend.fit(P, y).nested_score_
    assert copy.nested_score_ < 1.5 * Mean("rmse").fit(P, y).nested_score_
