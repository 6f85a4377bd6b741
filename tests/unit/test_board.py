"""The board: best first, a verdict against the parent, ties with the best."""

from __future__ import annotations

import numpy as np
import pytest
from stories import N, beliefs, material, prepared, run, sent, story

from kagglekit.stats import paired_bootstrap, verdict


def rows_of(told) -> dict:
    return {row.name: row for row in told.rows}


def test_the_best_comes_first_and_is_tied_with_nobody():
    rows = story().rows
    assert [row.name for row in rows] == ["blend", "pad", "squish", "crop", "majority"]
    assert not rows[0].tied


def test_a_tie_is_a_difference_inside_the_noise():
    told = story()
    rows = rows_of(told)
    assert (rows["pad"].tied, rows["squish"].tied) == (True, True)  # 1 and 2 of 120 rows
    assert (rows["crop"].tied, rows["majority"].tied) == (False, False)  # 32 and 72 rows
    for name in ("squish", "crop", "pad", "majority"):
        frames = [told.decided(told.runs[n]) for n in ("blend", name)]
        found = verdict(paired_bootstrap(told.metric, told.prepared.y, *frames, told.competition.classes))
        assert rows[name].tied == (found != "worse")


def test_the_same_predictions_are_tied():
    data = prepared()
    made = [run(data, name, beliefs(data, {1, 2, 3}), minute=i) for i, name in enumerate(("a", "b"))]
    assert [row.tied for row in material(data, made).rows] == [False, True]


@pytest.mark.parametrize("metric", ["rmse", "mae"])
def test_less_is_better_for_an_error(metric):
    data = prepared(task="regression", metric=metric)
    made = [run(data, "far", beliefs(data, set(range(30)))), run(data, "near", beliefs(data), minute=1)]
    rows = material(data, made).rows
    assert [(row.name, row.tied) for row in rows] == [("near", False), ("far", False)]


@pytest.mark.parametrize(("chances", "fewest", "most"), [((0.25, 0.25), 34, 40), ((0.1, 0.4), 0, 2)])
def test_runs_are_tied_where_they_are_as_good_and_not_where_they_are_not(chances, fewest, most):
    """Each row is wrong by chance: of runs that are as good, one in twenty is called worse."""
    data, rng, ties = prepared(), np.random.default_rng(0), 0
    for _ in range(40):
        wrong = [set(np.flatnonzero(rng.random(N) < chance).tolist()) for chance in chances]
        made = [run(data, f"m{i}", beliefs(data, w), minute=i) for i, w in enumerate(wrong)]
        ties += material(data, made).rows[1].tied
    assert fewest <= ties <= most


def test_the_ledger_gives_a_run_its_public_score():
    told = story()
    ledger = [sent(told.runs["pad"], 0.75, private=0.7)]
    row = rows_of(story(submissions=ledger))["pad"]
    assert (row.public, row.private) == (0.75, 0.7)
