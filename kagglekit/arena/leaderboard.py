"""The leaderboard: each team's best public score, baselines among them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from kagglekit.arena.database import SubmissionRecord
from kagglekit.arena.hosted import Hosted
from kagglekit.metrics import get_metric

__all__ = ["Standing", "standings"]


@dataclass(frozen=True)
class Standing:
    """One line: `date` is when the best score was sent; baselines have no submissions."""

    rank: int
    team_id: int
    team: str
    score: float
    date: str
    entries: int
    is_baseline: bool


def standings(hosted: Hosted, scored: Iterable[SubmissionRecord]) -> list[Standing]:
    """Rank teams by their best public score; of equal scores, the earlier ranks first.

    Parameters
    ----------
    hosted : Hosted
    scored : iterable of SubmissionRecord
        Complete submissions of this competition, oldest first.
    """
    lines = [*_baselines(hosted), *_teams(hosted, list(scored))]
    sign = -1 if get_metric(hosted.competition.metric).greater_is_better else 1
    lines.sort(key=lambda s: (sign * s.score, s.date, s.team))
    return [replace(line, rank=rank) for rank, line in enumerate(lines, start=1)]


def _baselines(hosted: Hosted) -> list[Standing]:
    return [
        Standing(0, 1000 + number, baseline.team, baseline.public, hosted.created, 0, True)
        for number, baseline in enumerate(hosted.baselines)
    ]


def _teams(hosted: Hosted, scored: list[SubmissionRecord]) -> list[Standing]:
    metric = get_metric(hosted.competition.metric)
    best: dict[str, SubmissionRecord] = {}
    for record in scored:
        leader = best.get(record.team)
        if leader is None or metric.better(_public(record), _public(leader)):
            best[record.team] = record
    return [
        Standing(0, number, team, _public(record), record.created, sum(s.team == team for s in scored), False)
        for number, (team, record) in enumerate(sorted(best.items()), start=1)
    ]


def _public(record: SubmissionRecord) -> float:
    if record.public is None:
        raise ValueError(f"Submission {record.ref} is complete without a score.")
    return record.public
