"""Simulated teams: made-up company on a practice board, so that a place and a medal mean something.

Each is a mix of a weak answer, a good one and one that is as good as can be, row by row, so that its public and private
scores differ as those of a real team do. They are made of the hidden answers, and are always called simulated.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from kagglekit.contracts import Competition

__all__ = ["Poles", "rivals_of"]

Array = npt.NDArray[Any]

# Of a range from the weak answer (-1) over the good one (0) to the top (1), teams fill this part.
_WEAKEST, _BEST = -0.75, 0.97
# Nobody knows the answers themselves: where only these are known as the top, teams stay far from them.
_BEST_OF_TRUTH = 0.35
# How much of a row's difficulty is the row's own, the same for every team.
_SHARED = 0.8


@dataclass(frozen=True)
class Poles:
    """The answers that teams are mixed of, as submissions with the same ids in the same order.

    Parameters
    ----------
    weak, good : DataFrame
        A poor and a better answer, such as the worst and the best baseline.
    top : DataFrame
        The best possible answer, or the true one.
    top_is_truth : bool
        Whether `top` is the solution itself.
    """

    weak: pd.DataFrame
    good: pd.DataFrame
    top: pd.DataFrame
    top_is_truth: bool


def rivals_of(competition: Competition, poles: Poles, teams: int, seed: int = 0) -> Iterator[tuple[str, pd.DataFrame]]:
    """Simulated teams and what they submit.

    Parameters
    ----------
    competition : Competition
    poles : Poles
    teams : int
    seed : int
        The same seed gives the same teams.

    Yields
    ------
    team : str
    submission : DataFrame
    """
    rng = np.random.default_rng([seed, 1789])
    last = _BEST_OF_TRUTH if poles.top_is_truth else _BEST
    skills = _WEAKEST + (last - _WEAKEST) * rng.beta(2.0, 2.2, teams)
    difficulty = rng.normal(size=len(poles.good))
    for number, skill in enumerate(skills, start=1):
        own = rng.normal(size=len(difficulty))
        hard = _SHARED * difficulty + np.sqrt(1 - _SHARED**2) * own
        yield f"Simulated team {number:03d}", _mixed(competition, poles, float(skill), hard, own)


def _mixed(competition: Competition, poles: Poles, skill: float, hard: Array, own: Array) -> pd.DataFrame:
    good, pole = poles.good, poles.top if skill > 0 else poles.weak
    share, columns = abs(skill), [c for c in good.columns if c != competition.id]
    if competition.form in ("value", "probability", "probabilities"):
        a, b = good[columns].to_numpy(np.float64), pole[columns].to_numpy(np.float64)
        # Each row goes another part of the way, so that no two teams err alike.
        way = np.clip(share + 0.25 * own, 0, 1)[:, None]
        return good.assign(**dict(zip(columns, (a + way * (b - a)).T, strict=True)))
    easier = np.argsort(np.argsort(hard)) < round(share * len(hard))
    return good.assign(**{c: pole[c].where(easier, good[c]) for c in columns})
