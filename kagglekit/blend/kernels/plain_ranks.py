"""Pairs of a positive and a negative row in their right order, in numpy. Parameters: see `fast_ranks`."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["exact", "screen", "screen_weighted"]

Array = npt.NDArray[Any]


def screen(
    blend: Array, column: Array, share: float, codes: Array, positive: int, counts: Array
) -> tuple[float, float]:
    """Both bounds are the number itself: without compiled loops, bins cost as much as sorting."""
    pairs = _pairs(blend, column, share, codes == positive)
    return pairs, pairs


def screen_weighted(
    blend: Array, column: Array, share: float, codes: Array, positive: int, weight: Array, counts: Array
) -> tuple[float, float]:
    """Bounds that exclude nothing."""
    return 0.0, np.inf


def exact(
    blend: Array,
    column: Array,
    share: float,
    codes: Array,
    positive: int,
    counts: Array,
    keys: Array,
    places: Array,
) -> float:
    """Twice the number of pairs in their right order; equal scores count one."""
    return _pairs(blend, column, share, codes == positive)


def _pairs(blend: Array, column: Array, share: float, positive: Array) -> float:
    scores = (1 - share) * blend + share * column
    above, under = np.sort(scores[positive]), np.sort(scores[~positive])
    return float(np.searchsorted(under, above, "left").sum() + np.searchsorted(under, above, "right").sum())
