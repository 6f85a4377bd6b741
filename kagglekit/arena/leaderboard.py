"""The leaderboard: each team's place, baselines and simulated teams among them, and the medal of the place."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from kagglekit.arena.database import SubmissionRecord
from kagglekit.arena.hosted import Baseline, Hosted
from kagglekit.arena.medals import Medal, medal_lines
from kagglekit.metrics import Metric, get_metric

__all__ = ["Part", "Standing", "chosen", "standings"]

Part = Literal["public", "private"]

# Kaggle takes the two best public scores as final submissions when a team has chosen none.
_FINAL = 2


@dataclass(frozen=True)
class Standing:
    """One line of a leaderboard.

    Parameters
    ----------
    rank, team_id : int
    team : str
    score : float
        On the part of the test rows that the board is of.
    date : str
        When that score was sent.
    entries : int
        Submissions; baselines and simulated teams have none.
    is_baseline : bool
        No person: a simple answer or, where `is_simulated` says so, a simulated team.
    is_simulated : bool
    medal : {"gold", "silver", "bronze"} or None
        By Kaggle's rule for the number of lines; None for baselines, which cannot win any.
    """

    rank: int
    team_id: int
    team: str
    score: float
    date: str
    entries: int
    is_baseline: bool
    is_simulated: bool = False
    medal: Medal | None = None


def standings(hosted: Hosted, scored: Iterable[SubmissionRecord], part: Part = "public") -> list[Standing]:
    """Rank teams on one part of the test rows; of equal scores, the earlier ranks first.

    Parameters
    ----------
    hosted : Hosted
    scored : iterable of SubmissionRecord
        Complete submissions of this competition, oldest first.
    part : {"public", "private"}
        On the public board stands each team's best public score. On the private one, the better private score of the
        two submissions whose public scores are best: those that Kaggle takes when a team has chosen none.
    """
    lines = [*_baselines(hosted, part), *_teams(hosted, list(scored), part)]
    sign = -1 if get_metric(hosted.competition.metric).greater_is_better else 1
    lines.sort(key=lambda s: (sign * s.score, s.date, s.team))
    medals = medal_lines(len(lines))
    return [
        replace(line, rank=rank, medal=None if line.is_baseline and not line.is_simulated else medals.medal(rank))
        for rank, line in enumerate(lines, start=1)
    ]


def chosen(own: Iterable[SubmissionRecord], metric: Metric) -> list[SubmissionRecord]:
    """The submissions of one team that count in the end: the two best by public score, the better first."""
    sign = -1 if metric.greater_is_better else 1
    return sorted(own, key=lambda record: sign * _record_score(record, "public"))[:_FINAL]


def _baselines(hosted: Hosted, part: Part) -> list[Standing]:
    simulated = set(hosted.rivals)
    return [
        Standing(0, 1000 + number, line.team, _score(line, part), hosted.created, 0, True, line in simulated)
        for number, line in enumerate((*hosted.baselines, *hosted.rivals))
        if not math.isnan(_score(line, part))
    ]


def _teams(hosted: Hosted, scored: list[SubmissionRecord], part: Part) -> list[Standing]:
    metric = get_metric(hosted.competition.metric)
    teams = sorted({record.team for record in scored})
    lines = []
    for number, team in enumerate(teams, start=1):
        own = [record for record in scored if record.team == team]
        shown = _shown(own, metric, part)
        if shown is not None:
            lines.append(Standing(0, number, team, _record_score(shown, part), shown.created, len(own), False))
    return lines


def _shown(own: list[SubmissionRecord], metric: Metric, part: Part) -> SubmissionRecord | None:
    """The submission whose score stands on the board; sorting keeps the earlier of equal scores first."""
    sign = -1 if metric.greater_is_better else 1
    best = chosen(own, metric)
    if part == "public":
        return best[0]
    final = [record for record in best if record.private is not None]
    return min(final, key=lambda record: sign * _record_score(record, "private"), default=None)


def _score(line: Baseline, part: Part) -> float:
    return line.public if part == "public" else line.private


def _record_score(record: SubmissionRecord, part: Part) -> float:
    score = record.public if part == "public" else record.private
    if score is None:
        raise ValueError(f"Submission {record.ref} is complete without a score.")
    return score
