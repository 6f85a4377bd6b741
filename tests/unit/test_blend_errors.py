"""Errors of values: what fast objectives say of each step is what the metric's own definition says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import quick, seeds

from kagglekit.blend.greedy import select
from kagglekit.blend.kernels import kernels
from kagglekit.blend.objectives import first_best, squared
from kagglekit.blend.objectives.errors import AbsoluteError, SquaredLogError, first_best_convex, read_only
from kagglekit.blend.objectives.general import General
from kagglekit.blend.objectives.squared import Correlation, Gram, SquaredError
from kagglekit.blend.problem import Problem
from kagglekit.errors import DataError

OBJECTIVES = {
    "rmse": SquaredError,
    "r2": SquaredError,
    "pearson": Correlation,
    "mae": AbsoluteError,
    "rmsle": SquaredLogError,
}
SHARES = np.array([-0.5, -0.1, 0.01, 0.2, 0.5])

metrics = st.sampled_from(sorted(OBJECTIVES))
compiled = st.booleans()


def problem_for(metric: str, seed: int, n_models: int = 6, n_rows: int = 30, weighted: bool = False) -> Problem:
    """Members of different skill, of which two are identical; whole numbers, so that rows are tied too."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 9, n_rows).astype(float)
    P = y + rng.uniform(0.5, 2, (n_models, 1)) * rng.normal(size=(n_models, n_rows))
    P[-1] = P[0]
    weight = rng.integers(0, 3, n_rows) + (np.arange(n_rows) < 2) if weighted else None
    return Problem.of(P.astype(np.float32), y, metric=metric, sample_weight=weight)


def general(problem: Problem) -> General:
    """The metric's own definition, on predictions of double precision."""
    return General(replace(problem, P=problem.P.astype(np.float64)))


def rounded(monkeypatch: pytest.MonkeyPatch, objective: type, problem: Problem):
    """The objective as it works where there are many members and rows: columns on demand, in single precision."""
    with monkeypatch.context() as patch:
        patch.setattr(squared, "_ALL_AT_ONCE", 0)
        return objective(problem)


@quick
@given(metric=metrics, seed=seeds, weighted=st.booleans(), compiled=compiled, n_models=st.integers(1, 6))
def test_every_step_has_the_loss_of_the_metric(metric, seed, weighted, compiled, n_models):
    problem = problem_for(metric, seed, n_models, weighted=weighted)
    fast, slow = OBJECTIVES[metric](problem, compiled=compiled).start(), general(problem).start()
    everyone = np.arange(n_models)
    for model, share in ((0, 1.0), (n_models - 1, 0.3), (n_models // 2, -0.4), (0, 0.5)):
        assert fast.losses(everyone, share) == pytest.approx(slow.losses(everyone, share), rel=1e-9, abs=1e-12)
        assert fast.best(everyone, share) == pytest.approx(slow.best(everyone, share), rel=1e-9, abs=1e-12)
        fast.move(model, share)
        slow.move(model, share)
        assert fast.line(model, SHARES) == pytest.approx(slow.line(model, SHARES), rel=1e-9, abs=1e-12)
        assert fast.best_line(model, SHARES)[1] == pytest.approx(slow.best_line(model, SHARES)[1], rel=1e-9)


@quick
@given(metric=metrics, seed=seeds, weighted=st.booleans(), compiled=compiled)
def test_greedy_selection_takes_the_same_members(metric, seed, weighted, compiled):
    problem = problem_for(metric, seed, weighted=weighted)
    fast, slow = select(OBJECTIVES[metric](problem, compiled=compiled), 12), select(general(problem), 12)
    assert fast.taken.tolist() == slow.taken.tolist()
    assert fast.losses == pytest.approx(slow.losses, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("metric", ["rmse", "r2", "pearson"])
@pytest.mark.parametrize("seed", range(4))
def test_rounded_columns_do_not_change_what_is_taken(metric, seed, monkeypatch):
    problem = problem_for(metric, seed, n_models=60, n_rows=3000, weighted=seed % 2 == 1)
    slow = select(general(problem), 15)
    objective = rounded(monkeypatch, OBJECTIVES[metric], problem)
    fast = select(objective, 15)
    assert fast.taken.tolist() == slow.taken.tolist()
    assert fast.losses == pytest.approx(slow.losses, rel=1e-12)
    walk = objective.start()
    walk.move(0, 1.0)
    exact = general(problem).start()
    exact.move(0, 1.0)
    assert walk.line(1, SHARES) == pytest.approx(exact.line(1, SHARES), rel=1e-6)


@pytest.mark.parametrize("weighted", [False, True])
def test_columns_are_made_for_likely_members_and_others_when_needed(weighted, monkeypatch):
    """A few members stand out, so that the others' columns are never needed."""
    rng = np.random.default_rng(0)
    y = rng.normal(size=4000)
    P = (y + np.where(np.arange(100) < 3, 0.1, 1)[:, None] * rng.normal(size=(100, 4000))).astype(np.float32)
    weight = rng.uniform(0.5, 2, 4000) if weighted else None
    problem = Problem.of(P, y, metric="rmse", sample_weight=weight)
    objective = rounded(monkeypatch, SquaredError, problem)
    assert select(objective, 20).taken.tolist() == select(general(problem), 20).taken.tolist()
    assert sorted(objective.gram.columns) == [0, 1, 2]
    walk = objective.start()
    walk.move(50, 1.0)
    errors = P.astype(np.float64) - y
    gram = errors @ (errors * (1 if weight is None else weight)).T / (4000 if weight is None else weight.sum())
    assert objective.gram.columns[50] == pytest.approx(gram[50], abs=1e-12)
    assert np.array([objective.gram.columns[m] for m in range(3)]) == pytest.approx(gram[:3], abs=1e-6)
    assert objective.gram.diagonal == pytest.approx(gram.diagonal(), rel=1e-6)


def test_large_offsets_cost_no_precision(monkeypatch):
    rng = np.random.default_rng(0)
    y = 1e6 + rng.normal(size=3000)
    P = (y + rng.uniform(0.5, 1, (20, 1)) * rng.normal(size=(20, 3000))).astype(np.float32)
    problem = Problem.of(P, y, metric="rmse")
    slow, fast = select(general(problem), 10), select(rounded(monkeypatch, SquaredError, problem), 10)
    assert fast.taken.tolist() == slow.taken.tolist()


@pytest.mark.parametrize("metric", ["r2", "pearson"])
@pytest.mark.parametrize("constant", ["y", "member"])
def test_constants_score_as_the_metric_says(metric, constant):
    problem = problem_for(metric, 0)
    P, y = problem.P.copy(), problem.y.to_numpy()
    if constant == "y":
        y = np.full(len(y), 0.5)
    P[1] = 0.1
    problem = Problem.of(P, y, metric=metric)
    everyone = np.arange(len(P))
    fast, slow = OBJECTIVES[metric](problem).start(), general(problem).start()
    assert fast.losses(everyone, 1.0) == pytest.approx(slow.losses(everyone, 1.0), rel=1e-9)


def test_a_constant_truth_that_is_hit_has_an_r2_of_one():
    problem = Problem.of(np.full((2, 4), 0.5, np.float32), np.full(4, 0.5), metric="r2")
    assert SquaredError(problem).start().losses(np.arange(2), 1.0).tolist() == [-1, -1]


def test_negative_truth_is_refused_as_the_metric_refuses_it():
    problem = Problem.of(np.ones((2, 3), np.float32), np.array([1.0, -2.0, 3.0]), metric="rmsle")
    with pytest.raises(DataError, match="rmsle needs y >= 0"):
        SquaredLogError(problem)


def test_rmsle_settles_near_ties_exactly():
    """Members that differ by less than single precision can tell are still told apart."""
    rng = np.random.default_rng(0)
    y = np.exp(rng.normal(8, 1, 500))
    P = np.tile((y * np.exp(rng.normal(0, 0.1, 500))).astype(np.float32), (30, 1))
    P[17, ::50] += (0.01 * np.sign(y - P[17]))[::50].astype(np.float32)
    problem = Problem.of(P, y, metric="rmsle")
    found = SquaredLogError(problem).start().best(np.arange(30), 1.0)
    assert found == pytest.approx(general(problem).start().best(np.arange(30), 1.0))
    assert found[0] == 17


@quick
@given(seed=seeds, n=st.integers(1, 60), flat=st.booleans())
def test_first_best_of_convex_values_is_first_best(seed, n, flat):
    rng = np.random.default_rng(seed)
    slopes = np.sort(rng.integers(-3, 4, n) if flat else rng.normal(size=n))
    values = np.cumsum(slopes) * 0.1 + 1
    asked = []

    def at(place: int) -> float:
        asked.append(place)
        return float(values[place])

    place, value = first_best_convex(at, n)
    assert (place, value) == (first_best(values), values[first_best(values)])
    assert len(asked) == len(set(asked))


@pytest.mark.parametrize("weighted", [False, True])
def test_compiled_and_plain_loops_agree(weighted):
    fast, plain = kernels("errors", compiled=True), kernels("errors", compiled=False)
    problem = problem_for("rmsle", 3, n_rows=5000, weighted=weighted)
    P, y = read_only(problem), problem.truth
    weight = np.empty(0) if problem.weight is None else problem.weight
    blend, everyone = P[:3].mean(axis=0).astype(np.float64), np.arange(len(P))
    for name, arguments in {
        "absolute_sums": (P, everyone, blend - y, y, 0.3, weight),
        "squared_sum": (P, 2, blend - y, y, 0.3, weight),
        "absolute_line": (blend - y, P[1] - blend, SHARES, weight),
    }.items():
        assert getattr(fast, name)(*arguments) == pytest.approx(getattr(plain, name)(*arguments), rel=1e-12), name
    for name, arguments in {
        "log_sums": (P, everyone, blend, np.log1p(y), 0.3, weight),
        "log_line": (blend, P[1] - blend, np.log1p(y), SHARES, weight),
    }.items():
        assert getattr(fast, name)(*arguments) == pytest.approx(getattr(plain, name)(*arguments), rel=1e-6), name


def test_log_sums_are_single_precision_over_all_magnitudes():
    x = np.concatenate([[0], np.logspace(-12, 30, 3000)])
    P = x.astype(np.float32)[:, None].copy()
    P.flags.writeable = False
    nought = np.zeros(1)
    found = kernels("errors", compiled=True).log_sums(P, np.arange(len(P)), nought, nought, 1.0, np.empty(0))
    assert np.sqrt(found) == pytest.approx(np.log1p(P[:, 0].astype(float)), rel=3e-7, abs=1.2e-7)


@pytest.mark.parametrize("compiled", [False, True])
def test_products_along_a_vector_are_those_of_shifted_rows(compiled):
    problem = problem_for("rmse", 5, n_rows=5000, weighted=True)
    y, weight, vector = problem.truth, problem.weight, np.arange(5000.0)
    expected = (weight * vector) @ (problem.P[:, :, 0] - y).T / weight.sum()
    assert Gram(problem, y, np.zeros(6), compiled).along(vector) == pytest.approx(expected)


def test_members_on_disk_are_read_in_place(tmp_path):
    rng = np.random.default_rng(0)
    y = pd.Series(rng.normal(size=200))
    np.save(tmp_path / "P.npy", (y.to_numpy()[:, None] + rng.normal(size=(5, 200, 1))).astype(np.float32))
    problem = Problem.of(np.load(tmp_path / "P.npy", mmap_mode="r"), y, metric="mae")
    assert np.shares_memory(read_only(problem), problem.P)
    assert select(AbsoluteError(problem), 5).taken.tolist() == select(general(problem), 5).taken.tolist()
