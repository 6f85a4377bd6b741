"""The leaderboard, public and private, baselines among the teams."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from kagglekit.arena.database import SubmissionRecord
from kagglekit.arena.hosted import Hosted
from kagglekit.metrics import get_metric

__all__ = ["Standing", "chosen", "standings"]

# Kaggle counts two submissions in the end, and takes the best public ones of a team that chose none.
_N_FINAL = 2


@dataclass(frozen=True)
class Standing:
    """One line: `date` is when the score's file was sent; baselines have no submissions."""

    rank: int
    team_id: int
    team: str
    score: float
    date: str
    entries: int
    is_baseline: bool


def standings(hosted: Hosted, scored: Iterable[SubmissionRecord], *, private: bool = False) -> list[Standing]:
    """Rank teams by their scores; of equal scores, the earlier ranks first.

    Parameters
    ----------
    hosted : Hosted
    scored : iterable of SubmissionRecord
        Complete submissions of this competition, oldest first.
    private : bool
        Rank by private scores: of each team, the better one of the two submissions that count (`chosen`). Otherwise
        by each team's best public score. What has no private score is left out.
    """
    lines = [*_baselines(hosted, private), *_teams(hosted, list(scored), private)]
    sign = -1 if get_metric(hosted.metric).greater_is_better else 1
    lines.sort(key=lambda s: (sign * s.score, s.date, s.team))
    return [replace(line, rank=rank) for rank, line in enumerate(lines, start=1)]


def chosen(hosted: Hosted, scored: Iterable[SubmissionRecord]) -> list[SubmissionRecord]:
    """The two submissions of one team that count in the end: those with the best public scores, the earlier first."""
    sign = -1 if get_metric(hosted.metric).greater_is_better else 1
    return sorted(scored, key=lambda r: (sign * _public(r), r.ref))[:_N_FINAL]


def _baselines(hosted: Hosted, private: bool) -> list[Standing]:
    scores = [b.private if private else b.public for b in hosted.baselines]
    return [
        Standing(0, 1000 + number, baseline.team, score, hosted.created, 0, True)
        for number, (baseline, score) in enumerate(zip(hosted.baselines, scores, strict=True))
        if not math.isnan(score)
    ]


def _teams(hosted: Hosted, scored: list[SubmissionRecord], private: bool) -> list[Standing]:
    by_team: dict[str, list[SubmissionRecord]] = {}
    for record in scored:
        by_team.setdefault(record.team, []).append(record)
    lines = []
    for number, (team, records) in enumerate(sorted(by_team.items()), start=1):
        best = _best_private(hosted, records) if private else chosen(hosted, records)[0]
        score = None if best is None else best.private if private else best.public
        if best is not None and score is not None:
            lines.append(Standing(0, number, team, score, best.created, len(records), False))
    return lines


def _best_private(hosted: Hosted, records: list[SubmissionRecord]) -> SubmissionRecord | None:
    sign = -1 if get_metric(hosted.metric).greater_is_better else 1
    final = [(sign * r.private, r.ref, r) for r in chosen(hosted, records) if r.private is not None]
    return min(final)[2] if final else None


def _public(record: SubmissionRecord) -> float:
    if record.public is None:
        raise ValueError(f"Submission {record.ref} is complete without a score.")
    return record.public
