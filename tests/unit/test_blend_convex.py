"""Convex weights: optimal, whatever the members look like."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from sklearn.exceptions import ConvergenceWarning
from strategies import quick, seeds

from kagglekit.blend import convex
from kagglekit.blend.convex import ConvexBlend, minimise_quadratic
from kagglekit.blend.greedy import GreedyEnsemble
from kagglekit.blend.problem import Problem


def probabilities(seed: int, n_models: int = 6, n_rows: int = 80, n_classes: int = 3):
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(n_rows) % n_classes)
    logits = rng.normal(size=(n_models, n_rows, n_classes))
    logits[:, np.arange(n_rows), y] += rng.uniform(0.2, 1.5, (n_models, 1))
    odds = np.exp(logits)
    return (odds / odds.sum(axis=2, keepdims=True)).astype(np.float32), y


def values(seed: int, n_models: int = 6, n_rows: int = 80):
    rng = np.random.default_rng(seed)
    y = rng.normal(size=n_rows)
    P = y + rng.uniform(0.3, 1.5, (n_models, 1)) * rng.normal(size=(n_models, n_rows)) + rng.normal(size=(n_models, 1))
    return P[:, :, None].astype(np.float32), y


def fitted(P, y, metric="log_loss", weight=None) -> ConvexBlend:
    return ConvexBlend(metric, cv=None).fit(P, y, sample_weight=weight)


def least(P, y, metric: str, weight=None) -> float:
    """The loss that SciPy's general solver reaches from equal weights."""
    problem = Problem.of(P.astype(np.float32), y, metric=metric, sample_weight=weight)
    n = len(P)
    found = minimize(
        lambda w: problem.loss(np.tensordot(w, P.astype(float), 1)),
        np.full(n, 1 / n),
        method="SLSQP",
        bounds=[(0, 1)] * n,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
        options={"ftol": 1e-13, "maxiter": 500},
    )
    return float(found.fun)


def loss(blend: ConvexBlend, P, y, metric: str, weight=None) -> float:
    problem = Problem.of(P.astype(np.float32), y, metric=metric, sample_weight=weight)
    return problem.loss(np.tensordot(blend.weights_.to_numpy(), P.astype(float), 1))


@pytest.mark.parametrize("metric", ["log_loss", "rmse", "r2"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_as_good_as_a_general_solver(metric, weighted, seed):
    P, y = probabilities(seed) if metric == "log_loss" else values(seed)
    weight = np.random.default_rng(seed).uniform(0.1, 2, len(y)) if weighted else None
    blend = fitted(P, y, metric, weight)
    assert abs(loss(blend, P, y, metric, weight) - least(P, y, metric, weight)) < 1e-8
    assert blend.weights_.min() >= 0
    assert blend.weights_.sum() == pytest.approx(1, abs=1e-12)
    assert blend.gap_ <= 1e-9
    assert blend.n_iter_ > 0


@quick
@given(seed=seeds, n_models=st.integers(1, 12), binary=st.booleans(), zeros=st.booleans())
def test_never_worse_than_greedy_selection_on_log_loss(seed, n_models, binary, zeros):
    P, y = probabilities(seed, n_models, n_rows=40, n_classes=2 if binary else 4)
    if zeros:
        # Whole members and whole rows may be sure of the wrong class.
        P[np.random.default_rng(seed).uniform(size=P.shape[:2]) < 0.3] = np.eye(P.shape[2], dtype=np.float32)[0]
    greedy = GreedyEnsemble("log_loss", n_steps=30, stop="best", cv=None).fit(P, y)
    assert fitted(P, y).fit_score_ <= greedy.fit_score_ + 1e-7


@quick
@given(seed=seeds, n_models=st.integers(1, 12), n_rows=st.integers(2, 40))
def test_never_worse_than_greedy_selection_on_values(seed, n_models, n_rows):
    P, y = values(seed, n_models, n_rows)
    greedy = GreedyEnsemble("rmse", n_steps=30, stop="best", cv=None).fit(P, y)
    assert fitted(P, y, "rmse").fit_score_ <= greedy.fit_score_ + 1e-6


@pytest.mark.parametrize("metric", ["log_loss", "rmse"])
def test_identical_members(metric):
    P, y = probabilities(0) if metric == "log_loss" else values(0)
    once, twice = fitted(P, y, metric), fitted(np.concatenate([P, P, P]), y, metric)
    assert twice.fit_score_ == pytest.approx(once.fit_score_, abs=1e-7)
    assert twice.gap_ < 1e-9


@pytest.mark.parametrize("metric", ["log_loss", "rmse"])
def test_one_member_and_only_copies(metric):
    P, y = probabilities(0, 1) if metric == "log_loss" else values(0, 1)
    assert fitted(P, y, metric).weights_.tolist() == [1]
    assert fitted(np.concatenate([P, P]), y, metric).weights_.sum() == pytest.approx(1)


@pytest.mark.parametrize("metric", ["log_loss", "rmse"])
def test_weights_are_repetitions(metric):
    P, y = probabilities(5) if metric == "log_loss" else values(5)
    times = np.random.default_rng(0).integers(0, 4, len(y))
    repeated = fitted(P.repeat(times, axis=1), y.repeat(times), metric)
    weighted = fitted(P, y, metric, times)
    np.testing.assert_allclose(weighted.weights_, repeated.weights_, atol=1e-4)
    assert weighted.fit_score_ == pytest.approx(repeated.fit_score_, abs=1e-7)


def test_a_perfect_member_takes_all():
    P, y = values(0)
    P[2, :, 0] = y
    assert fitted(P, y, "rmse").weights_["2"] == pytest.approx(1, abs=1e-6)


def test_many_rows_start_from_some_of_them():
    P, y = probabilities(1, n_models=5, n_rows=30_000)
    blend = fitted(P, y)
    C = P[:, np.arange(len(y)), y].astype(float)
    slope = (C / (blend.weights_.to_numpy() @ C)).mean(axis=1)
    assert slope.max() <= 1 + 1e-8
    assert slope[blend.weights_ > 0].min() >= 1 - 1e-6


def test_a_row_that_only_one_member_knows_is_not_given_up():
    P, y = probabilities(2, n_models=5, n_rows=30_000)
    odd = 4_000  # not among the rows that the first guess sees
    P[:, odd] = np.eye(3, dtype=np.float32)[(y[odd] + 1) % 3]
    P[3, odd] = np.eye(3, dtype=np.float32)[y[odd]]
    P[3, :odd] = 1 / 3
    P[3, odd + 1 :] = 1 / 3
    assert fitted(P, y).weights_["3"] > 0


def test_members_whose_rows_do_not_sum_to_one():
    P, y = probabilities(3)
    scaled = P * np.random.default_rng(0).uniform(0.5, 2, (1, len(y), 1)).astype(np.float32)
    assert fitted(scaled, y).fit_score_ == pytest.approx(fitted(P, y).fit_score_, abs=1e-6)


@pytest.mark.parametrize(
    ("metric", "surrogate"), [("accuracy", "log_loss"), ("roc_auc", "log_loss"), ("map@3", "log_loss"), ("mae", "rmse")]
)
def test_other_metrics_have_a_stand_in(metric, surrogate):
    P, y = values(1) if surrogate == "rmse" else probabilities(1, n_classes=2 if metric == "roc_auc" else 4)
    blend = fitted(P, y, metric)
    assert blend.surrogate_ == surrogate
    np.testing.assert_allclose(blend.weights_, fitted(P, y, surrogate).weights_)


def test_the_honest_score_is_worse_than_the_fitted_one():
    P, y = probabilities(4, n_models=20)
    blend = ConvexBlend("log_loss", cv=5).fit(P, y)
    assert blend.nested_score_ > blend.fit_score_


def test_weights_that_are_not_optimal_are_warned_about(monkeypatch):
    monkeypatch.setattr(convex, "_MOST_STEPS", 1)
    monkeypatch.setattr(convex, "_GAP", 0.0)
    P, y = probabilities(0, n_models=12)
    with pytest.warns(ConvergenceWarning, match="may be improved"):
        ConvexBlend("log_loss", cv=None).fit(P, y)


@quick
@given(seed=seeds, n=st.integers(1, 8), rank=st.integers(1, 8))
def test_quadratic_programme(seed, n, rank):
    rng = np.random.default_rng(seed)
    A, b = rng.normal(size=(rank, n)), rng.normal(size=n)
    H = A.T @ A
    w, _ = minimise_quadratic(H, b, np.full(n, 1 / n))
    slope = H @ w - b
    assert w.min() >= 0
    assert w.sum() == pytest.approx(1)
    assert w @ slope - slope.min() < 1e-7
