"""Rehearsal: the same submissions over many public and private splits of the hidden rows.

One split gives one rank, and much of it is luck. Many splits show how much: where a submission would have ended, and
what its private score may differ from its public one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from kagglekit.arena.database import Database
from kagglekit.arena.field import rivals_answers
from kagglekit.arena.grader import Score, scorer
from kagglekit.arena.hosted import USAGE, Hosted, read_table
from kagglekit.arena.medals import MEDALS, Medal, medal_lines
from kagglekit.arena.uploads import upload_path
from kagglekit.errors import UsageError
from kagglekit.metrics import get_metric

__all__ = ["Rehearsal", "Rehearsed", "rehearse", "sent"]

Array = npt.NDArray[Any]

_FEWEST_ROWS = 4


@dataclass(frozen=True)
class Rehearsed:
    """One submission over all splits.

    Parameters
    ----------
    name : str
    public, private : ndarray of shape (n_splits,)
        Scores.
    public_ranks, ranks : ndarray of shape (n_splits,)
        Its place on the public and on the private board, alone among the baselines and simulated teams.
    medals : tuple of ("gold", "silver", "bronze" or None)
        What each private place gets.
    gaps : ndarray of shape (n_splits,)
        By how much the private score is better than the public one; below 0 for worse.
    """

    name: str
    public: Array
    private: Array
    public_ranks: Array
    ranks: Array
    medals: tuple[Medal | None, ...]
    gaps: Array

    def share(self, medal: Medal | None) -> float:
        """In what share of the splits it gets this medal."""
        return sum(m == medal for m in self.medals) / len(self.medals)


@dataclass(frozen=True)
class Rehearsal:
    """What `rehearse` found.

    Parameters
    ----------
    slug, metric : str
    splits, rows, seed : int
    public_share : float
    teams : int
        On the board, the submission among them.
    simulated : int
        How many of those are simulated.
    entries : tuple of Rehearsed
        Best median place first.
    """

    slug: str
    metric: str
    splits: int
    rows: int
    seed: int
    public_share: float
    teams: int
    simulated: int
    entries: tuple[Rehearsed, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain values: medians, 5 % and 95 % quantiles, and shares of medals."""
        return {
            "competition": self.slug,
            "metric": self.metric,
            "splits": self.splits,
            "hidden rows": self.rows,
            "public share": self.public_share,
            "seed": self.seed,
            "teams": self.teams,
            "simulated teams": self.simulated,
            "entries": {
                entry.name: {
                    "private": _spread(entry.private),
                    "gap": _spread(entry.gaps),
                    "public place": _spread(entry.public_ranks),
                    "place": _spread(entry.ranks),
                    "medals": {medal or "none": entry.share(medal) for medal in (*MEDALS, None)},
                }
                for entry in self.entries
            },
        }


def rehearse(
    hosted: Hosted,
    entries: Mapping[str, pd.DataFrame],
    *,
    splits: int = 20,
    public_share: float | None = None,
    teams: int | None = None,
    seed: int = 0,
) -> Rehearsal:
    """Grade submissions over many splits of the hidden rows.

    Parameters
    ----------
    hosted : Hosted
        Needs the solution, so it works for competitions of the arena only.
    entries : mapping of str to DataFrame
        By name: what was, or would be, submitted.
    splits : int
    public_share : float, optional
        Share of the rows that is public; by default the competition's own.
    teams : int, optional
        Simulated teams; by default those on the board.
    seed : int
        The same seed gives the same splits.

    Raises
    ------
    UsageError
        There is nothing to grade, or the numbers make no sense.
    SubmissionError
        An entry is not one that the competition accepts.
    DataError
        The metric is not defined on a part of some split.

    Notes
    -----
    Splits are drawn at random, row by row. Where public rows are the earlier ones, or groups are whole, the real split
    may differ more than these do.
    """
    solution = hosted.solution_frame()
    solution = solution[solution[USAGE].isin(("Public", "Private"))]
    if not entries:
        raise UsageError("There is nothing to rehearse.", hint="Submit something first, or name a submission file.")
    share = float((solution[USAGE] == "Public").mean()) if public_share is None else public_share
    n = len(solution)
    n_public = round(share * n)
    if splits < 1 or n < _FEWEST_ROWS or not 0 < n_public < n:
        raise UsageError(
            f"{splits} split(s) of {n} hidden rows, {share:.0%} of them public: both parts need rows in every split."
        )
    rng = np.random.default_rng([seed, 17])
    parts = [np.isin(np.arange(n), rng.permutation(n)[:n_public]) for _ in range(splits)]
    rivals = rivals_answers(hosted, teams)
    field = {b.team: hosted.answers_frame(b.team) for b in hosted.baselines} | rivals
    truth = hosted.competition.answers(solution.set_index(hosted.competition.id))
    sample = hosted.sample_frame()
    # Shape (teams, 2, splits): public and private scores of everybody else.
    board = np.array([_scores(scorer(hosted.competition, sample, truth, f), parts) for f in field.values()])
    board = board.reshape(len(field), 2, splits)
    found = [
        _rehearsed(name, scorer(hosted.competition, sample, truth, f), parts, board, hosted.metric)
        for name, f in entries.items()
    ]
    return Rehearsal(
        slug=hosted.slug,
        metric=hosted.metric,
        splits=splits,
        rows=n,
        seed=seed,
        public_share=share,
        teams=len(field) + 1,
        simulated=len(rivals),
        entries=tuple(sorted(found, key=lambda e: (float(np.median(e.ranks)), float(e.ranks.mean()), e.name))),
    )


def sent(home: Path, hosted: Hosted) -> dict[str, pd.DataFrame]:
    """The submissions of a hosted competition that have a score, by file name, the number added where two share one."""
    records = Database(home / "arena.db").scored(hosted.slug, hosted.fingerprint)
    names = [Path(record.file_name).stem for record in records]
    return {
        name if names.count(name) == 1 else f"{name} ({record.ref})": read_table(
            upload_path(home, record.upload), id_column=hosted.competition.id
        )
        for name, record in zip(names, records, strict=True)
    }


def _scores(score: Score, parts: list[Array]) -> Array:
    return np.array([[score(public) for public in parts], [score(~public) for public in parts]])


def _rehearsed(name: str, score: Score, parts: list[Array], board: Array, metric: str) -> Rehearsed:
    sign = 1.0 if get_metric(metric).greater_is_better else -1.0
    scores = _scores(score, parts)
    # As on the board, who was there first ranks first among equals.
    ranks = 1 + (sign * board >= sign * scores).sum(axis=0)
    lines = medal_lines(len(board) + 1)
    medals = tuple(lines.medal(int(rank)) for rank in ranks[1])
    public, private = scores
    return Rehearsed(name, public, private, ranks[0], ranks[1], medals, sign * (private - public))


def _spread(values: Array) -> dict[str, float]:
    low, middle, high = np.quantile(values, [0.05, 0.5, 0.95])
    return {"median": float(middle), "from": float(low), "to": float(high)}
