"""Runs, ledger and test answers come together by id."""

from __future__ import annotations

import json

import numpy as np
import pytest
from made_runs import made_prepared, made_run

from kagglekit.contracts import Predictions, Submission
from kagglekit.errors import UsageError
from kagglekit.outlook import advise_runs, forecast_run, outlook

RNG = np.random.default_rng(0)
PREPARED = made_prepared()
BASE = 20 + RNG.normal(size=200)
RUNS = {
    "good": made_run(PREPARED, "good", BASE - 1, test=np.r_[np.ones(5), np.zeros(95)]),
    "fair": made_run(PREPARED, "fair", BASE + 0.1 * RNG.normal(size=200)),
    "bad": made_run(PREPARED, "bad", BASE + 3, test=np.ones(100)),
}


def sent(run: str, public: float | None, status: str = "complete") -> Submission:
    return Submission("arena", "made", RUNS[run].id, "f", "0", "m", 1.0, 0.1, run, status, public)


def test_forecasts_stand_best_first_with_the_swaps_of_neighbours():
    found = outlook(PREPARED, RUNS)
    assert [f.name for f in found.forecasts] == ["good", "fair", "bad"]
    assert [(a, b) for a, b, _ in found.swaps] == [("good", "fair"), ("fair", "bad")]
    assert found.forecasts[0].shakeup.cv == pytest.approx(RUNS["good"].score)
    assert found.swaps[1][2].chance == 0
    assert all(f.residual is None for f in found.forecasts)
    json.dumps(found.as_json(), allow_nan=False)


def test_only_a_run_with_a_public_score_has_a_residual():
    found = outlook(PREPARED, RUNS, [sent("good", 25.0), sent("fair", 20.1), sent("bad", None, "pending")])
    good, fair, bad = found.forecasts
    assert good.residual.alarm
    assert good.residual.errors < 0
    assert good.private is None
    assert not fair.residual.alarm
    assert fair.shakeup.cv < fair.private.score < 20.1 or fair.shakeup.cv > fair.private.score > 20.1
    assert bad.residual is None


def test_the_public_share_makes_the_parts():
    assert forecast_run(PREPARED, RUNS["good"], public_share=0.4).shakeup.n_public == 40
    with pytest.raises(UsageError, match="public share"):
        forecast_run(PREPARED, RUNS["good"], public_share=1.0)


def test_advice_counts_rows_of_the_files():
    found = advise_runs(PREPARED, RUNS, {"x": RUNS["fair"]}, slots=3)
    by_name = {p.name: p for p in found.prospects}
    assert found.sent == ("fair",)
    assert (by_name["good"].differs, by_name["bad"].differs) == (5, 100)
    assert [s.name for s in found.steps] == ["good"]
    assert found.pair.first == "good"
    assert advise_runs(PREPARED, RUNS, {}, line=30.0).pair.chance == 1.0


def test_runs_of_one_name_go_by_their_ids():
    old = made_run(PREPARED, "good", BASE, key="00000000", test=np.full(100, 7.0))
    names = [p.name for p in advise_runs(PREPARED, RUNS, {"x": old}).prospects]
    assert {old.id, RUNS["good"].id, "fair"} <= set(names)


def test_runs_without_a_row_in_common_are_refused():
    parts = [Predictions(RUNS["good"].oof.frame.iloc[rows]) for rows in (slice(0, 100), slice(100, 200))]
    halves = {
        name: made_run(PREPARED, name, BASE, oof=part, kind="oob")
        for name, part in zip(("one", "two"), parts, strict=True)
    }
    with pytest.raises(UsageError, match="No training row was predicted by each of 2"):
        advise_runs(PREPARED, halves, {})
