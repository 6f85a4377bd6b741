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


def test_in_the_end_the_better_of_a_teams_two_best_public_submissions_counts():
    given = {1: (0.3, 0.1), 2: (0.2, 0.5), 3: (0.2, 0.6), 4: (0.4, 0.9)}
    records = [replace(record(ref, "a", public), private=private) for ref, (public, private) in given.items()]
    one = hosted("r2", Baseline("Mean", 0.0, 0.2), Baseline("Never graded", 0.0, math.nan))
    assert [r.ref for r in chosen(one, records)] == [4, 1]
    assert [(s.team, s.score) for s in standings(one, records, private=True)] == [("a", 0.9), ("Mean", 0.2)]
    assert [r.ref for r in chosen(hosted("rmse"), records)] == [2, 3]
    assert [s.score for s in standings(hosted("rmse"), records, private=True)] == [0.5]
    assert standings(hosted("rmse"), [record(1, "a", 0.1)], private=True) == []


def test_a_complete_submission_needs_a_score():
    with pytest.raises(ValueError, match="without a score"):
        standings(hosted(), [replace(record(1, "a", 0.1), public=None)])
