"""Hill climbing: each step is the best there is, weights sum to one, and what few rows cannot carry is shrunk."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import quick, seeds

from kagglekit.blend.base import cross_fit
from kagglekit.blend.blocks import make_blocks
from kagglekit.blend.climb import HillClimb, climb, grid
from kagglekit.blend.objectives import objective_for
from kagglekit.blend.objectives.general import General
from kagglekit.blend.problem import Problem
from kagglekit.errors import ConfigError


def values(seed: int, n_models: int = 6, n_rows: int = 80, noise: float = 0.6) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = rng.normal(size=n_rows)
    common = noise * rng.normal(size=n_rows)
    P = y + common + rng.uniform(0.2, 1, (n_models, 1)) * rng.normal(size=(n_models, n_rows))
    return P.astype(np.float32), y


def problem_for(metric: str, seed: int, n_models: int = 6, n_rows: int = 80) -> Problem:
    P, y = values(seed, n_models, n_rows)
    if metric in ("rmse", "mae", "pearson"):
        return Problem.of(P, y, metric=metric)
    chances = 1 / (1 + np.exp(-2 * P[:, :, None] * np.array([-1, 1], np.float32)))
    return Problem.of(chances.astype(np.float32), (y > 0).astype(int), metric=metric)


def by_trial(problem: Problem, shares: np.ndarray, n_passes: int) -> tuple[list[int], list[float], np.ndarray]:
    """Hill climbing as its description reads: every member at every share, each blend scored by the metric."""
    P = problem.P.astype(np.float64)
    alone = np.array([problem.loss(table) for table in P])
    order = [int(m) for m in np.argsort(alone, kind="stable")]
    members, losses = [order[0]], [float(alone.min())]
    weights = np.eye(len(P))[order[0]]
    blend = P[order[0]]
    unused = order[1:]
    for _ in range(n_passes):
        while unused:
            tried = [(problem.loss((1 - s) * blend + s * P[m]), m, s) for m in unused for s in shares]
            loss, member, share = min(tried, key=lambda trial: trial[0])
            if loss >= losses[-1] - 1e-12:
                break
            blend = (1 - share) * blend + share * P[member]
            weights = (1 - share) * weights + share * np.eye(len(P))[member]
            members, losses, unused = [*members, member], [*losses, loss], [m for m in unused if m != member]
        unused = order
    return members, losses, weights


@pytest.mark.parametrize("metric", ["rmse", "mae", "pearson", "log_loss", "roc_auc"])
@pytest.mark.parametrize(("negative", "n_passes"), [(False, 1), (True, 1), (False, 3)])
def test_every_step_is_the_best_of_all(metric, negative, n_passes):
    problem = problem_for(metric, 3, n_rows=60)
    shares = grid(0.05, negative)
    found = climb(objective_for(problem), shares, n_passes)
    members, losses, weights = by_trial(problem, shares, n_passes)
    assert found.members.tolist() == members
    assert found.losses == pytest.approx(losses, rel=1e-7)
    assert found.weights(6)[-1] == pytest.approx(weights, abs=1e-12)


@quick
@given(seed=seeds, negative=st.booleans(), metric=st.sampled_from(["rmse", "log_loss"]))
def test_weights_sum_to_one_and_losses_fall(seed, negative, metric):
    problem = problem_for(metric, seed)
    found = climb(objective_for(problem), grid(0.1, negative), n_passes=2)
    path = found.weights(6)
    assert path.sum(axis=1) == pytest.approx(1)
    assert (np.diff(found.losses) < 0).all()
    assert negative or (path >= 0).all()
    for blend, weights, loss in zip(found.blends(problem.P), path, found.losses, strict=True):
        assert blend == pytest.approx(np.tensordot(weights, problem.P.astype(np.float64), 1), abs=1e-12)
        assert problem.loss(blend) == pytest.approx(loss, rel=1e-6)


def test_fast_and_general_objectives_climb_alike():
    problem = problem_for("rmse", 1, n_models=10)
    fast, slow = (climb(make(problem), grid(0.02, True), 2) for make in (objective_for, General))
    assert fast.members.tolist() == slow.members.tolist()
    assert fast.shares.tolist() == slow.shares.tolist()


def test_the_grid_ends_at_a_half_and_leaves_out_nought():
    assert grid(0.01, False) == pytest.approx(np.arange(0.01, 0.505, 0.01))
    assert grid(0.25, True) == pytest.approx([-0.5, -0.25, 0.25, 0.5])


def test_each_pass_takes_a_member_once_at_most():
    problem = problem_for("rmse", 2)
    once = climb(objective_for(problem), grid(0.01, False), 1).members.tolist()
    more = climb(objective_for(problem), grid(0.01, False), 5).members.tolist()
    assert len(once) == len(set(once))
    assert more[: len(once)] == once
    assert len(more) > len(set(more))


def test_unshrunk_weights_are_those_of_the_climb():
    P, y = values(0)
    blend = HillClimb("rmse", shrink=0, cv=None).fit(P, y)
    found = climb(objective_for(Problem.of(P, y, metric="rmse")), grid(0.01, False), 1, 100)
    assert blend.weights_.to_numpy() == pytest.approx(found.weights(6)[-1])
    assert blend.fit_score_ == pytest.approx(found.losses[-1])
    assert [step.fit_score for step in blend.trajectory_] == pytest.approx(found.losses)
    assert blend.trajectory_[0].honest_score is None


def test_a_fixed_strength_draws_weights_to_the_mean():
    P, y = values(0)
    bare, half = (HillClimb("rmse", shrink=s, cv=None).fit(P, y).weights_ for s in (0, 0.5))
    assert half.to_numpy() == pytest.approx(0.5 * bare.to_numpy() + 0.5 / 6)
    assert HillClimb("rmse", shrink=1, cv=None).fit(P, y).weights_.to_numpy() == pytest.approx(1 / 6)


def test_chosen_strength_helps_rows_that_were_not_seen():
    """As many members as rows: negative weights fit noise unless they are shrunk."""
    P, y = values(5, n_models=60, n_rows=5060)
    few = slice(0, 60)
    losses = {}
    for shrink in (0, None):
        blend = HillClimb("rmse", negative=True, shrink=shrink, precision=0.05, cv=None).fit(P[:, few], y[few])
        losses[shrink] = float(np.sqrt(np.mean((blend.predict(P[:, 60:])[:, 0] - y[60:]) ** 2)))
    assert losses[None] < 0.97 * losses[0]


def test_steps_carry_honest_scores_and_end_where_they_no_longer_help():
    P, y = values(1, n_models=20, n_rows=60)
    blend = HillClimb("rmse", precision=0.05, cv=None).fit(P, y)
    assert len(blend.trajectory_) >= blend.n_steps_
    assert all(step.honest_low >= step.honest_score > step.fit_score for step in blend.trajectory_)
    assert blend.weights_.sum() == pytest.approx(1)


def test_no_row_chooses_the_weights_that_blend_it():
    P, y = values(3, n_rows=60)
    problem = Problem.of(P, y, metric="rmse")
    blocks = make_blocks(problem, 3, 0)
    blender = HillClimb("rmse", precision=0.1, cv=None)
    oof = cross_fit(blender, problem, blocks).combine(P[:, :, None])
    changed = y.copy()
    changed[blocks == 1] *= -3
    other = cross_fit(blender, Problem.of(P, changed, metric="rmse"), blocks).combine(P[:, :, None])
    assert (oof[blocks == 1] == other[blocks == 1]).all()
    assert (oof[blocks != 1] != other[blocks != 1]).any()


def test_random_truth_scores_like_the_mean_of_nothing():
    """Members that know nothing: the nested score must not look better than a constant's."""
    rng = np.random.default_rng(0)
    y = (np.arange(300) % 2).astype(float)
    P = rng.normal(0.5, 0.3, (20, 300)).astype(np.float32)
    blend = HillClimb("pearson", negative=True, precision=0.05, cv=5).fit(P, y)
    assert blend.fit_score_ > 0.1 > abs(blend.nested_score_) - 0.05


def test_warning_names_negative_weights_on_few_rows():
    P, y = values(0, n_models=8, n_rows=40)
    bold = HillClimb("rmse", negative=True, shrink=0, cv=None).fit(P, y)
    assert (bold.weights_ < 0).any()
    assert "rest on 40 rows for 8 members" in bold.warning_
    assert HillClimb("rmse", shrink=0, cv=None).fit(P, y).warning_ == ""


def test_one_member_is_the_blend():
    P, y = values(0, n_models=1)
    blend = HillClimb("rmse", cv=2).fit(P, y)
    assert blend.weights_.tolist() == [1]
    assert blend.n_steps_ == 1


@pytest.mark.parametrize(
    "settings", [{"precision": 0}, {"precision": 0.6}, {"n_passes": 0}, {"max_steps": 0}, {"shrink": 1.5}]
)
def test_settings_that_cannot_be_are_refused(settings):
    P, y = values(0)
    with pytest.raises(ConfigError, match=next(iter(settings))):
        HillClimb("rmse", **settings).fit(P, y)
