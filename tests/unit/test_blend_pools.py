"""Ridge blends and log pools: the plain definition at the chosen strength, and properties of shrinkage."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize, minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.base import clone
from strategies import quick

from kagglekit.blend import logits as logits_module
from kagglekit.blend import ridge as ridge_module
from kagglekit.blend.base import Blender
from kagglekit.blend.blocks import make_blocks
from kagglekit.blend.matrix import PredictionMatrix
from kagglekit.blend.means import GeometricMean, Mean
from kagglekit.blend.pool import LogPool
from kagglekit.blend.problem import Problem
from kagglekit.blend.ridge import RidgeBlend, inner_blocks
from kagglekit.errors import ConfigError
from kagglekit.metrics import rmse

Array = np.ndarray[Any, Any]
CLASSES = ("a", "b", "c")


def values(n_models: int = 6, n_rows: int = 120, seed: int = 0) -> tuple[Array, Array]:
    """Members that see the truth through errors of different size, and the truth."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(5, 2, n_rows)
    errors = rng.normal(size=(n_models, n_rows)) * np.linspace(0.3, 2, n_models)[:, None] + rng.normal(size=n_rows) / 2
    return (truth + errors)[:, :, None].astype(np.float32), truth + rng.normal(size=n_rows) / 2


def chances(n_classes: int = 2, n_models: int = 6, n_rows: int = 150, seed: int = 3) -> tuple[Array, Array]:
    """Members' probabilities, and labels drawn from the true ones."""
    rng = np.random.default_rng(seed)
    latent = 1.5 * rng.normal(size=(n_rows, n_classes))
    errors = rng.normal(size=(n_models, n_rows, n_classes)) * np.linspace(0.2, 4, n_models)[:, None, None]
    drawn = (softmax(latent, axis=1).cumsum(axis=1) > rng.random((n_rows, 1))).argmax(axis=1)
    return softmax(latent + errors, axis=2).astype(np.float32), np.array(CLASSES)[drawn]


def on_disk(P: Array, folder: Path) -> PredictionMatrix:
    names, columns = (tuple(map(str, range(n))) for n in (len(P), P.shape[2]))
    return PredictionMatrix(names, pd.RangeIndex(P.shape[1]), columns, P).save(folder / "matrix")


def bends(n_rows: int) -> Array:
    return np.random.default_rng(9).integers(0, 4, n_rows).astype(float)


def logs(P: Array, blend: LogPool) -> Array:
    return np.log(np.maximum(P.astype(float), blend.floors_.to_numpy()[:, None, None]))


# ridge


def ridge_objective(P: Array, table: Array, strength: float, weight: Array) -> Array:
    """Weights that sum to one, from the plain definition: a quadratic program with one equation."""
    n = len(P)
    root = np.sqrt(weight / weight[weight > 0].mean())[:, None]
    X, t = (P * root).reshape(n, -1), (table * root).ravel()
    top = np.column_stack([X @ X.T + strength * np.eye(n), np.ones(n)])
    system = np.vstack([top, [*np.ones(n), 0]])
    solution: Array = np.linalg.solve(system, [*(X @ t + strength / n), 1])[:n]
    return solution


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_classes", [1, 3])
def test_ridge_weights_solve_the_plain_problem(n_classes: int, weighted: bool) -> None:
    P, y = values() if n_classes == 1 else chances(n_classes)
    weight = bends(len(y)) if weighted else None
    blend = RidgeBlend("rmse" if n_classes == 1 else "log_loss", cv=None).fit(P, y, sample_weight=weight)
    assert np.isfinite(blend.strength_)
    table = y[:, None] if n_classes == 1 else (y[:, None] == np.array(CLASSES)).astype(float)
    counted = np.ones(len(y)) if weight is None else weight
    expected = ridge_objective(P.astype(float), table, blend.strength_, counted)
    np.testing.assert_allclose(blend.weights_, expected, atol=1e-8)
    assert blend.weights_.sum() == pytest.approx(1)


def test_ridge_strength_has_the_lowest_held_out_error() -> None:
    P, y = values(n_models=12, n_rows=60, seed=3)
    problem = Problem.of(P, y, metric="rmse")
    blend = RidgeBlend("rmse", cv=None).fit(P, y)
    X, blocks = P[:, :, 0].astype(float), inner_blocks(problem, 0)

    def held_out(strength: float) -> float:
        errors = np.empty(len(y))
        for block in np.unique(blocks):
            scored = blocks == block
            w = ridge_objective(P[:, ~scored].astype(float), y[~scored, None], strength, np.ones((~scored).sum()))
            errors[scored] = w @ X[:, scored] - y[scored]
        return float(np.square(errors).sum())

    deviations = X - X.mean(axis=0)
    unit = np.square(deviations).sum() / len(X)
    grid = np.array([1e12, *np.logspace(3, -6, 28) * unit])
    assert blend.strength_ == pytest.approx(grid[np.argmin([held_out(s) for s in grid])])


@given(st.permutations(range(5)), st.integers(0, 5))
@settings(quick, max_examples=10)
def test_order_of_members_does_not_matter(order: list[int], seed: int) -> None:
    P, y = values(5, 40, seed)
    Q, z = chances(2, 5, 40, seed)
    for blend, members, truth in ((RidgeBlend("rmse", cv=None), P, y), (LogPool(cv=None), Q, z)):
        straight, shuffled = clone(blend).fit(members, truth), clone(blend).fit(members[order], truth)
        np.testing.assert_allclose(shuffled.weights_, straight.weights_.to_numpy()[order], atol=2e-4)


def test_rmsle_is_least_squares_of_logarithms() -> None:
    P, y = values()
    P, y = np.maximum(P, 0), np.maximum(y, 0)
    own = RidgeBlend("rmsle").fit(P, y)
    by_hand = RidgeBlend("rmse").fit(np.log1p(P), np.log1p(y))
    np.testing.assert_allclose(own.weights_, by_hand.weights_, atol=1e-5)
    assert own.nested_score_ == pytest.approx(by_hand.nested_score_, rel=1e-5)
    np.testing.assert_allclose(np.log1p(own.predict(P)), by_hand.predict(np.log1p(P)), atol=1e-5)


def test_ridge_keeps_probabilities_within_those_of_members() -> None:
    P, y = chances(3, 20, 60, seed=1)
    # A member that is wrong on purpose gets a negative weight.
    P[0] = 1 - P[-1]
    P[0] /= P[0].sum(axis=1, keepdims=True)
    blend = RidgeBlend(cv=None).fit(P, y)
    assert blend.weights_.min() < 0
    table = blend.predict(P)
    np.testing.assert_allclose(table.sum(axis=1), 1, atol=1e-6)
    assert table.min() > 0


# both


@pytest.mark.parametrize(("blend", "data"), [(RidgeBlend("rmse"), values), (LogPool(), chances)])
def test_one_member_and_identical_members_share_alike(blend: Blender, data: Callable[..., Any]) -> None:
    P, y = data()
    alone = clone(blend).fit(P[:1], y)
    assert np.isinf(alone.strength_) and alone.nested_score_ == pytest.approx(alone.fit_score_, rel=0.02)
    same = clone(blend).fit(np.repeat(P[:1], 4, axis=0), y)
    np.testing.assert_allclose(same.weights_, same.weights_.iloc[0], rtol=1e-6)


@pytest.mark.parametrize(("blend", "data"), [(RidgeBlend("rmse", cv=None), values), (LogPool(cv=None), chances)])
def test_a_warning_comes_with_few_rows_only(blend: Blender, data: Callable[..., Any]) -> None:
    assert "59 rows are few to weigh 6 members" in clone(blend).fit(*data(n_rows=59)).warning_
    assert clone(blend).fit(*data(n_rows=60)).warning_ == ""


@pytest.mark.parametrize(("blend", "data"), [(RidgeBlend("rmse"), values), (LogPool(), chances)])
def test_members_that_say_nothing_of_their_own_are_blended_evenly(blend: Blender, data: Callable[..., Any]) -> None:
    """Random truth: a blend that fits it on its own rows must not believe itself."""
    P, y = data(n_models=20, n_rows=60)
    shuffled = np.random.default_rng(1).permutation(y)
    blend = clone(blend).fit(P, shuffled)
    mean = Mean(blend.metric).fit(P, shuffled)
    assert blend.nested_score_ <= mean.nested_score_ * 1.05
    assert blend.nested_score_ >= blend.fit_score_


def test_blends_of_members_that_differ_beat_their_mean_on_other_rows() -> None:
    P, y = values(8, 800, seed=5)
    blend, mean = RidgeBlend("rmse", cv=None).fit(P[:, :400], y[:400]), P[:, 400:].mean(axis=0)
    assert rmse(y[400:], blend.predict(P[:, 400:])[:, 0]) < 0.95 * rmse(y[400:], mean[:, 0])
    Q, z = chances(2, 8, 800, seed=5)
    # Half of the members know nothing of the row.
    Q[::2] = Q[::2, ::-1]
    pool, geometric = LogPool().fit(Q[:, :400], z[:400]), GeometricMean().fit(Q[:, :400], z[:400])
    truth = (z[400:, None] == np.array(CLASSES[:2])).argmax(axis=1)
    held = [-np.log(b.predict(Q[:, 400:])[np.arange(400), truth]).mean() for b in (pool, geometric)]
    assert held[0] < 0.95 * held[1]
    assert pool.nested_score_ == pytest.approx(held[0], rel=0.1)


def test_groups_stay_whole_in_inner_blocks_too() -> None:
    P, y = values(n_rows=60)
    problem = Problem.of(P, y, metric="rmse", groups=np.repeat(np.arange(12), 5))
    blocks = inner_blocks(problem, 0)
    assert len(np.unique(blocks)) == 5
    assert pd.Series(blocks).groupby(problem.groups).nunique().eq(1).all()
    assert np.isinf(RidgeBlend("rmse", cv=None).fit(P, y, groups=np.zeros(60)).strength_)


@pytest.mark.parametrize(("blend", "data"), [(RidgeBlend("rmse"), values), (LogPool(), chances)])
def test_on_disk_in_pieces_or_in_memory_is_the_same(
    blend: Blender, data: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    P, y = data()
    in_memory = clone(blend).fit(P, y)
    monkeypatch.setattr(ridge_module, "_AT_ONCE", 100)
    monkeypatch.setattr(logits_module, "_AT_ONCE", 100)
    mapped = clone(blend).fit(on_disk(P, tmp_path), pd.Series(y))
    np.testing.assert_allclose(mapped.weights_, in_memory.weights_, atol=1e-7)
    assert mapped.nested_score_ == pytest.approx(in_memory.nested_score_, rel=0.02)


# pool


def pool_slope(L: Array, y: Array, weights: Array, goal: Array, strength: float, weight: Array | None) -> Array:
    """The derivative of the penalised log loss, from the plain definition."""
    hit = y[:, None] == np.array(CLASSES[: L.shape[2]])
    counted = np.ones(len(y)) if weight is None else weight / weight[weight > 0].mean()
    excess = (softmax(np.tensordot(weights, L, 1), axis=1) - hit) * counted[:, None]
    slope: Array = np.tensordot(L, excess, 2) + strength * (weights - goal)
    return slope


def best_scale(L: Array, y: Array, weight: Array | None) -> float:
    hit = y[:, None] == np.array(CLASSES[: L.shape[2]])
    counted = np.ones(len(y)) if weight is None else weight / weight[weight > 0].mean()
    total = L.mean(axis=0)

    def loss(scale: float) -> float:
        return float(-(log_softmax(scale * total, axis=1)[hit] @ counted) + 2.5 * (scale - 1) ** 2)

    return float(minimize_scalar(loss, bounds=(0, 10), method="bounded", options={"xatol": 1e-10}).x)


@pytest.mark.parametrize("in_pieces", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_pool_weights_are_the_minimum_of_the_plain_loss(
    n_classes: int, weighted: bool, in_pieces: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    P, y = chances(n_classes)
    if in_pieces:
        # Strength from a draw of some 100 rows, the final weights from all, ten or so at a time.
        monkeypatch.setattr(logits_module, "_DRAWN", 600 * (n_classes - 1))
        monkeypatch.setattr(logits_module, "_AT_ONCE", 60 * (n_classes - 1))
    weight = bends(len(y)) if weighted else None
    members = on_disk(P, tmp_path) if in_pieces else P
    blend = LogPool(classes=CLASSES[:n_classes], cv=None).fit(
        members, pd.Series(y), sample_weight=None if weight is None else pd.Series(weight)
    )
    assert np.isfinite(blend.strength_)
    L, weights = logs(P, blend), blend.weights_.to_numpy()
    goal = np.full(len(P), best_scale(L, y, weight) / len(P))
    start, end = (pool_slope(L, y, w, goal, blend.strength_, weight) for w in (goal, weights))
    if in_pieces:
        # The scale of the goal is that of the drawn rows, which shifts the slope along equal weights only.
        end -= end.mean()
    assert np.abs(end).max() < 1e-3 * np.abs(start).max()


def test_pool_of_two_classes_is_logistic_regression_on_logits() -> None:
    P, y = chances(2)
    blend = LogPool(cv=None).fit(P, y)
    L = logs(P, blend)
    z = (L[:, :, 1] - L[:, :, 0]).T
    sign = np.where(y == "b", 1, -1)
    goal = best_scale(L, y, None) / len(P)
    found = minimize(
        lambda w: np.logaddexp(0, -sign * (z @ w)).sum() + blend.strength_ / 2 * np.square(w - goal).sum(),
        np.full(len(P), goal),
        method="BFGS",
        options={"gtol": 1e-3},
    )
    np.testing.assert_allclose(blend.weights_, found.x, atol=1e-3)
    expected = 1 / (1 + np.exp(-z @ blend.weights_.to_numpy()))
    np.testing.assert_allclose(blend.predict(P)[:, 1], expected, atol=1e-5)


def test_pool_strength_has_a_lower_held_out_loss_than_its_neighbours() -> None:
    P, y = chances(2, 15, 90, seed=2)
    problem = Problem.of(P, y, metric="log_loss")
    blend = LogPool(cv=None).fit(P, y)
    blocks, L, hit = make_blocks(problem, 5, 0), logs(P, blend), y[:, None] == np.array(CLASSES[:2])

    def held_out(strength: float) -> float:
        total = 0.0
        for block in np.unique(blocks):
            chosen, scored = blocks != block, blocks == block
            goal = np.full(len(P), best_scale(L[:, chosen], y[chosen], None) / len(P))
            found = minimize(
                lambda w, c=chosen, g=goal: (
                    -log_softmax(np.tensordot(w, L[:, c], 1), axis=1)[hit[c]].sum()
                    + strength / 2 * np.square(w - g).sum()
                ),
                goal,
                jac=lambda w, c=chosen, g=goal: pool_slope(L[:, c], y[c], w, g, strength, None),
                method="BFGS",
            )
            total -= log_softmax(np.tensordot(found.x, L[:, scored], 1), axis=1)[hit[scored]].sum()
        return total

    chosen = held_out(blend.strength_)
    step = np.sqrt(10)
    assert chosen <= held_out(blend.strength_ * step) + 1e-3
    assert chosen <= held_out(blend.strength_ / step) + 1e-3


def test_equal_weights_of_sum_one_are_the_geometric_mean() -> None:
    P, y = chances(3)
    pool, mean = LogPool(cv=None).fit(P, y), GeometricMean(cv=None).fit(P, y)
    pool.weights_[:], pool.floors_[:] = 1 / len(P), 1e-7
    np.testing.assert_allclose(pool.predict(P), mean.predict(P), atol=1e-6)


def test_zero_probabilities_and_absent_classes_do_no_harm() -> None:
    P, y = chances(3, seed=4)
    P[0] = np.eye(3)[np.random.default_rng(0).integers(0, 3, len(y))]
    kept = y != "b"
    blend = LogPool(classes=CLASSES).fit(P[:, kept], y[kept])
    assert np.isfinite(blend.nested_score_) and np.isfinite(blend.predict(P)).all()
    assert abs(blend.weights_.iloc[0]) < 0.1
    RidgeBlend(classes=CLASSES).fit(P[:, kept], y[kept])


def test_floors_are_those_that_suit_each_member_alone() -> None:
    P, y = chances(2, 3, 300)
    # The first member is surer than it may be, the second says nothing.
    P[0] = np.where(P[0] > 0.5, 1, 0)
    P[1] = 0.5
    found = LogPool(cv=None).fit(P, y).floors_
    hit = y[:, None] == np.array(CLASSES[:2])
    grid = np.logspace(-6, -1, 6)
    losses = [-np.log((np.maximum(P[0], f) / np.maximum(P[0], f).sum(axis=1, keepdims=True))[hit]).mean() for f in grid]
    assert found.iloc[0] == grid[np.argmin(losses)] > 1e-3
    assert found.iloc[1] == grid[0]


def test_pool_refuses_what_is_no_probability() -> None:
    P, y = values()
    with pytest.raises(ConfigError, match="needs probabilities of two classes"):
        LogPool("rmse").fit(P, y)


def test_rows_of_weight_nought_say_nothing() -> None:
    P, y = chances(2)
    problem = Problem.of(P, y, metric="log_loss", sample_weight=bends(len(y)))
    assert problem.weight is not None
    nonsense = P.copy()
    nonsense[:, problem.weight == 0] = 0.5
    for blend in (RidgeBlend(cv=None), LogPool(cv=None)):
        straight = clone(blend).fit_problem(problem).weights_
        np.testing.assert_allclose(clone(blend).fit_problem(replace(problem, P=nonsense)).weights_, straight, atol=1e-6)
