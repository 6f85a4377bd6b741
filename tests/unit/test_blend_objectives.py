"""Every fast objective gives what the metric itself gives, compiled or not: one suite for all."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import quick, seeds

from kagglekit.blend.convex import ConvexBlend
from kagglekit.blend.greedy import GreedyEnsemble, select
from kagglekit.blend.kernels import FAMILIES, kernels, warm
from kagglekit.blend.objectives import objective_for
from kagglekit.blend.objectives.general import General
from kagglekit.blend.objectives.log_loss import LogLoss
from kagglekit.blend.problem import Problem

KINDS = {
    "log_loss": (2, 4),
    "roc_auc": (2, 3),
    "accuracy": (2, 5),
    "f1": (2,),
    "f1_macro": (3,),
    "mcc": (3,),
    "qwk": (1, 4),
    "map@3": (5,),
    "rmse": (1,),
    "r2": (1,),
    "mae": (1,),
    "rmsle": (1,),
    "pearson": (1,),
}
CASES = [(metric, n) for metric, columns in KINDS.items() for n in columns]
both_ways = pytest.mark.parametrize("compiled", [True, False], ids=["numba", "numpy"])
each = pytest.mark.parametrize(("metric", "n_columns"), CASES, ids=[f"{m}-{n}" for m, n in CASES])


def drawn(metric: str, n_columns: int, seed: int, weights: bool = False, n_rows: int = 40) -> Problem:
    """Members with ties, a copy, and, for classes, probabilities of nought; values may be negative."""
    rng = np.random.default_rng(seed)
    weight = rng.integers(0, 3, n_rows).astype(float) + (np.arange(n_rows) < 10) if weights else None
    if n_columns == 1:
        y = np.abs(rng.integers(0, 5, n_rows) + (0 if metric == "qwk" else rng.uniform(size=n_rows)))
        P = (y + rng.normal(size=(4, n_rows)))[:, :, None].round(1)
        classes: tuple[int, ...] = ()
    else:
        codes = rng.permutation(np.arange(n_rows) % n_columns)
        y, classes = codes, tuple(range(n_columns))
        P = rng.integers(0, 4, (4, n_rows, n_columns)).astype(float)
        P[:, np.arange(n_rows), codes] += rng.integers(0, 3, (4, n_rows))
        P[P.sum(axis=2) == 0] = 1
        P /= P.sum(axis=2, keepdims=True)
    P[3] = P[1]
    index = pd.RangeIndex(n_rows)
    return Problem.of(
        P.astype(np.float32), pd.Series(y, index=index), metric=metric, classes=classes, sample_weight=weight
    )


def walks(problem: Problem, compiled: bool):
    return type(objective_for(problem))(problem, compiled=compiled).start(), General(problem).start()


@each
@both_ways
@quick
@given(seed=seeds, weights=st.booleans())
def test_steps_and_lines_cost_what_the_metric_says(metric, n_columns, compiled, seed, weights):
    problem = drawn(metric, n_columns, seed, weights)
    fast, slow = walks(problem, compiled)
    everyone, shares = np.arange(4), np.array([0.0, 0.1, 0.5, 1.0])
    for model, share in ((2, 1.0), (0, 0.5), (1, 1 / 3), (1, 0.25)):
        np.testing.assert_allclose(fast.losses(everyone, share), slow.losses(everyone, share), atol=2e-6)
        for walk in (fast, slow):
            walk.move(model, share)
        np.testing.assert_allclose(fast.line(3, shares), slow.line(3, shares), atol=2e-6)


@each
@both_ways
@quick
@given(seed=seeds)
def test_greedy_selection_is_as_good_as_by_the_metric_itself(metric, n_columns, compiled, seed):
    problem = drawn(metric, n_columns, seed)
    fast = select(type(objective_for(problem))(problem, compiled=compiled), 6)
    slow = select(General(problem), 6)
    np.testing.assert_allclose(fast.losses[0], slow.losses[0], atol=2e-6)
    found = General(problem).loss(fast.weights(4)[0])
    assert found == pytest.approx(General(problem).loss(slow.weights(4)[0]), abs=2e-6)


@both_ways
@quick
@given(seed=seeds)
def test_lazy_selection_takes_the_same_members_in_the_same_order(compiled, seed):
    problem = drawn("log_loss", 3, seed, n_rows=200)
    lazy, exact = (select(LogLoss(problem, compiled=compiled, lazy=lazy), 15) for lazy in (True, False))
    assert lazy.taken.tolist() == exact.taken.tolist()
    np.testing.assert_allclose(lazy.losses, exact.losses, rtol=1e-9)


@pytest.mark.parametrize("metric", ["log_loss", "rmse"])
@quick
@given(seed=seeds)
def test_the_convex_optimum_is_no_worse_than_greedy_and_lies_on_the_simplex(metric, seed):
    problem = drawn(metric, 3 if metric == "log_loss" else 1, seed, n_rows=80)
    convex = ConvexBlend(metric, classes=problem.classes, cv=None).fit_problem(problem)
    greedy = GreedyEnsemble(metric, classes=problem.classes, stop="best", cv=None).fit_problem(problem)
    assert convex.weights_.min() >= 0
    assert convex.weights_.sum() == pytest.approx(1)
    # Weights and blend are rounded to float32, and a class that all members rule out costs 34 for that row.
    assert problem.loss(convex.combine(problem.P)) <= problem.loss(greedy.combine(problem.P)) + 1e-5


def test_the_true_class_column_of_a_matrix_on_disk_gives_the_same(tmp_path):
    problem = drawn("log_loss", 3, 0)
    np.save(tmp_path / "values.npy", problem.P)
    on_disk = Problem.of(
        np.load(tmp_path / "values.npy", mmap_mode="r"), problem.y, metric="log_loss", classes=problem.classes
    )
    one, other = (select(LogLoss(p), 8) for p in (problem, on_disk))
    assert one.taken.tolist() == other.taken.tolist()


@pytest.mark.parametrize("family", FAMILIES)
def test_every_compiled_loop_has_a_plain_one(family):
    fast, plain = (kernels(family, compiled=compiled) for compiled in (True, False))
    assert set(fast.__all__) - {"warm"} <= set(plain.__all__)


def test_every_compiled_loop_can_be_warmed():
    warm()
    for family in FAMILIES:
        loops = kernels(family, compiled=True)
        public = [getattr(loops, name) for name in loops.__all__ if name != "warm"]
        assert all(loop.signatures for loop in public if hasattr(loop, "signatures")), family
