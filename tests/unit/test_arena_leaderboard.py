import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kagglekit.arena.database import SubmissionRecord
from kagglekit.arena.hosted import Baseline, Hosted
from kagglekit.arena.leaderboard import chosen, standings
from kagglekit.contracts import Competition
from kagglekit.metrics import get_metric


def hosted(metric: str = "rmse", *baselines: Baseline) -> Hosted:
    return Hosted(
        folder=Path("nowhere"),
        competition=Competition("meadow", "regression", metric, "plot", "height", form="value"),
        title="<script>alert(1)</script>",
        description="grass & 'rye'",
        daily_limit=5,
        synthetic=True,
        sample="sample_submission.csv",
        files=(),
        baselines=baselines,
        fingerprint="f",
        created="2026-01-01T00:00:00.000Z",
        deadline=None,
        notes=(),
    )


def record(ref: int, team: str, public: float) -> SubmissionRecord:
    date = f"2026-01-02T00:00:{ref:02d}.000Z"
    return SubmissionRecord(ref, "meadow", "f", team, f"u{ref}", "s.csv", 1, "", "complete", public, None, "", date)


scores = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([0.1, 0.2, 0.3])), min_size=1, max_size=12)


@given(scores, st.sampled_from(["rmse", "r2"]))
def test_each_team_stands_once_with_its_best_and_equal_scores_by_time(entries: list, metric: str):
    records = [record(ref, team, score) for ref, (team, score) in enumerate(entries, start=1)]
    lines = standings(hosted(metric), records)
    best = min if metric == "rmse" else max
    assert {s.team: s.score for s in lines} == {
        t: best(r.public for r in records if r.team == t) for t in {r.team for r in records}
    }
    sign = 1 if metric == "rmse" else -1
    assert [s.rank for s in lines] == list(range(1, len(lines) + 1))
    assert lines == sorted(lines, key=lambda s: (sign * s.score, s.date))
    assert all(s.date == min(r.created for r in records if r.team == s.team and r.public == s.score) for s in lines)


def test_baselines_stand_among_the_teams():
    lines = standings(hosted("rmse", Baseline("Mean", 0.2, 0.2)), [record(1, "a", 0.1), record(2, "b", 0.3)])
    assert [(s.team, s.is_baseline) for s in lines] == [("a", False), ("Mean", True), ("b", False)]


def test_medals_go_by_place_and_baselines_win_none():
    rivals = tuple(Baseline(f"Simulated {i}", 0.3 + i / 100, 0.3 + i / 100) for i in range(18))
    one = replace(hosted("rmse", Baseline("Mean", 0.1, 0.1)), rivals=rivals)
    lines = standings(one, [record(1, "a", 0.2)])
    assert [(s.team, s.medal) for s in lines[:3]] == [("Mean", None), ("a", "gold"), ("Simulated 0", "silver")]
    assert [s.medal for s in lines[3:9]] == ["silver"] + ["bronze"] * 4 + [None]
    assert [s.is_simulated for s in lines[:3]] == [False, False, True]


def test_the_private_board_takes_the_two_best_public_submissions():
    one = hosted("rmse", Baseline("Mean", 0.9, 0.5), Baseline("No private rows", 0.1, math.nan))
    sent = [(1, "a", 0.1, 0.6), (2, "a", 0.2, 0.4), (3, "a", 0.3, 0.1), (4, "b", 0.5, None)]
    records = [replace(record(ref, team, public), private=private) for ref, team, public, private in sent]
    lines = standings(one, records, "private")
    assert [(s.team, s.score, s.entries) for s in lines] == [("a", 0.4, 3), ("Mean", 0.5, 0)]
    assert [r.ref for r in chosen(records[:3], get_metric("rmse"))] == [1, 2]
    assert [r.ref for r in chosen(records[:3], get_metric("r2"))] == [3, 2]


def test_a_complete_submission_needs_a_score():
    with pytest.raises(ValueError, match="without a score"):
        standings(hosted(), [replace(record(1, "a", 0.1), public=None)])
