"""Loops over rows for the place of the true class, in numpy. The parameters are explained in `fast_rankings`."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["line", "split", "tally", "widen"]

Array = npt.NDArray[Any]


def widen(table: Array, codes: Array, most: Array, least: Array) -> tuple[float, float]:
    """Take one more member into the extremes of each row."""
    leads = table - np.take_along_axis(table, codes[:, None], axis=1)
    np.maximum(most, leads, out=most)
    np.minimum(least, leads, out=least)
    return float(table.min()), float(table.max())


def split(
    blend: Array,
    most: Array,
    least: Array,
    share: float,
    slack: float,
    k: int,
    codes: Array,
    weight: Array,
    rows: Array,
) -> tuple[float, int]:
    """Sum the gains of rows that no member can change, and list the others."""
    leads = (1 - share) * (blend - np.take_along_axis(blend, codes[:, None], axis=1))
    surely = leads + share * least.astype(np.float64) > slack
    above = surely.sum(axis=1)
    # The true class is unsure against itself.
    unsure = (~surely & (leads + share * most.astype(np.float64) >= -slack)).sum(axis=1) > 1
    settled = (above < k) & ~unsure
    still_open = np.flatnonzero((above < k) & unsure)
    rows[: len(still_open)] = still_open
    return float((weight[settled] / (above[settled] + 1)).sum()), len(still_open)


def tally(
    P: Array,
    rows: Array,
    places: Array,
    candidates: Array,
    blend: Array,
    share: float,
    k: int,
    codes: Array,
    weight: Array,
    gains: Array,
) -> float:
    """Sum the gains of some rows after each candidate's step."""
    own, code, heft = (1 - share) * blend[rows], codes[rows], weight[rows]
    for c, model in enumerate(candidates):
        gains[c] += heft @ _gain(own + share * P[model][places], code, k)
    return 0.0


def line(
    blend: Array,
    table: Array,
    shares: Array,
    slack: float,
    k: int,
    codes: Array,
    weight: Array,
    gains: Array,
) -> None:
    """Sum the gains of all rows for each share of one member."""
    for s, share in enumerate(shares.tolist()):
        gains[s] += weight @ _gain((1 - share) * blend + share * table, codes, k)


def _gain(blend: Array, codes: Array, k: int) -> Array:
    """1 / place of the true class; equal classes rank in their order."""
    target = np.take_along_axis(blend, codes[:, None], axis=1)
    earlier = np.arange(blend.shape[1]) < codes[:, None]
    above = ((blend > target) | ((blend == target) & earlier)).sum(axis=1)
    # A negative belief marks a class that is not ranked.
    gains: Array = np.where((above < k) & (target[:, 0] >= 0), 1 / (above + 1), 0)
    return gains
