"""Pairs of a positive and a negative row in their right order, compiled. `plain_ranks` has the same functions.

Scores fall into bins of a monotone map. Pairs of rows in different bins are ordered by their bins alone; only pairs
within a bin need a closer look. Which map is used affects speed, never the result.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba
import numpy as np
import numpy.typing as npt

__all__ = ["exact", "screen", "screen_weighted", "warm"]

Array = npt.NDArray[Any]
_Loop = TypeVar("_Loop", bound=Callable[..., Any])

# Rows looked at to choose the map, its pieces, and how many times more pairs than in even bins may fall together
# before bins are fitted to the scores, which takes longer for each row.
_SAMPLE, _PIECES, _UNEVEN = 4096, 1024, 2.0

# Pairs in a bin from which on sorting is quicker than comparing all.
_MANY = 4096


def _jit(loop: _Loop) -> _Loop:
    # No fast mathematics: sums and products must round as numpy's do, or ties would fall differently.
    compiled: _Loop = numba.njit(cache=True, nogil=True)(loop)
    return compiled


@_jit
def screen(
    blend: Array, column: Array, share: float, codes: Array, positive: int, counts: Array
) -> tuple[float, float]:
    """Bounds of twice the number of pairs in their right order, of `(1 - share) * blend + share * column`.

    Parameters
    ----------
    blend : ndarray of float64, shape (n_rows,)
    column : ndarray of float32, shape (n_rows,)
        Of any stride.
    share : float
    codes : ndarray of uint16, shape (n_rows,)
        The true class of each row.
    positive : int
        The class whose rows are positive.
    counts : ndarray of uint32, shape (2 * n_bins,)
        Scratch.

    Returns
    -------
    tuple of two floats
        Lowest and highest possible; pairs of equal scores count one, half of a pair in its right order.
    """
    pieces = np.empty(_PIECES + 1)
    low, scale, fitted = _plan(blend, column, share, codes, positive, len(counts) // 2, pieces)
    counts[:] = 0
    kept, part = 1 - share, np.float32(share)
    if fitted:
        for i in range(len(blend)):
            value = (kept * blend[i] + part * column[i] - low) * scale
            counts[_fitted_place(value, pieces, codes[i] == positive)] += np.uint32(1)
    else:
        last = len(counts) // 2 - 1.0
        for i in range(len(blend)):
            value = (kept * blend[i] + part * column[i] - low) * scale
            counts[_place(value, last, codes[i] == positive)] += np.uint32(1)
    return _bounds(counts)


@_jit
def screen_weighted(
    blend: Array, column: Array, share: float, codes: Array, positive: int, weight: Array, counts: Array
) -> tuple[float, float]:
    """`screen` where a pair counts as much as the product of its rows' weights.

    Parameters
    ----------
    weight : ndarray of float64, shape (n_rows,)
    counts : ndarray of float64, shape (2 * n_bins,)
        Scratch.
    """
    pieces = np.empty(_PIECES + 1)
    low, scale, fitted = _plan(blend, column, share, codes, positive, len(counts) // 2, pieces)
    counts[:] = 0
    kept, part, last = 1 - share, np.float32(share), len(counts) // 2 - 1.0
    for i in range(len(blend)):
        value = (kept * blend[i] + part * column[i] - low) * scale
        true = codes[i] == positive
        counts[_fitted_place(value, pieces, true) if fitted else _place(value, last, true)] += weight[i]
    return _bounds(counts)


@_jit
def _bounds(counts: Array) -> tuple[float, float]:
    right, shared, below = 0.0, 0.0, 0.0
    for b in range(0, len(counts), 2):
        negatives, positives = float(counts[b]), float(counts[b + 1])
        right += positives * below
        shared += positives * negatives
        below += negatives
    return 2 * right, 2 * (right + shared)


@_jit
def _place(value: float, last: float, positive: bool) -> Any:
    """Where a row is counted: bins lie side by side, in each first the negative rows and then the positive ones."""
    value = value if value > 0.0 else 0.0
    value = value if value < last else last
    # An index without a sign spares the check for places counted from the end.
    return np.uint64(2 * np.int64(value) + positive)


@_jit
def _fitted_place(value: float, pieces: Array, positive: bool) -> Any:
    value = value if value > 0.0 else 0.0
    value = value if value < len(pieces) - 2.0 else len(pieces) - 2.0
    piece = np.int64(value)
    start, end = pieces[np.uint64(piece)], pieces[np.uint64(piece + 1)]
    return np.uint64(2 * np.int64(start + (value - piece) * (end - start)) + positive)


@_jit
def _plan(
    blend: Array, column: Array, share: float, codes: Array, positive: int, n_bins: int, pieces: Array
) -> tuple[float, float, bool]:
    """Choose the map from some of the rows: bins of even width, or as many in each piece as keep pairs apart best.

    With m bins, p positive and q negative rows, a piece has about p q / m pairs within bins; their sum over pieces is
    least where m goes with the root of p q.
    """
    kept, part = 1 - share, np.float32(share)
    step = max(1, len(blend) // _SAMPLE)
    low, high = np.inf, -np.inf
    for i in range(0, len(blend), step):
        value = kept * blend[i] + part * column[i]
        low, high = min(low, value), max(high, value)
    width = high - low if high > low and np.isfinite(1e6 / (high - low)) else np.inf
    found = np.full((2, _PIECES), 0.1)
    for i in range(0, len(blend), step):
        value = (kept * blend[i] + part * column[i] - low) * (_PIECES / width)
        found[int(codes[i] == positive), min(int(value), _PIECES - 1)] += 1
    together = (found[0] * found[1]).sum() * _PIECES / (found[0].sum() * found[1].sum())
    if not together > _UNEVEN:
        return low, n_bins / width, False
    sizes = np.sqrt(found[0] * found[1])
    pieces[0] = 0
    pieces[1:] = np.cumsum(sizes)
    pieces *= (n_bins - 1) / pieces[-1]
    return low, _PIECES / width, True


@_jit
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
    """Twice the number of pairs in their right order; equal scores count one. See `screen`.

    Parameters
    ----------
    keys : ndarray of float64, shape (n_rows,)
        Scratch.
    places : ndarray of uint32, shape (n_rows,)
        Scratch.
    """
    pieces = np.empty(_PIECES + 1)
    low, scale, fitted = _plan(blend, column, share, codes, positive, len(counts) // 2, pieces)
    kept, part = 1 - share, np.float32(share)
    last = len(counts) // 2 - 1.0
    counts[:] = 0
    for i in range(len(blend)):
        value = (kept * blend[i] + part * column[i] - low) * scale
        true = codes[i] == positive
        place = _fitted_place(value, pieces, true) if fitted else _place(value, last, true)
        places[i] = place
        counts[place] += np.uint32(1)
    _to_starts(counts)
    for i in range(len(blend)):
        place = np.uint64(places[i])
        keys[np.uint64(counts[place])] = kept * blend[i] + part * column[i]
        counts[place] += np.uint32(1)
    return _pairs(counts, keys)


@_jit
def _to_starts(counts: Array) -> None:
    start = np.uint32(0)
    for b in range(len(counts)):
        size = counts[b]
        counts[b] = start
        start += size


@_jit
def _pairs(ends: Array, keys: Array) -> float:
    """Pairs of all bins; `ends` says where the rows of each bin and kind end."""
    total, below = 0, 0
    start = 0
    for b in range(0, len(ends), 2):
        middle, end = int(ends[b]), int(ends[b + 1])
        total += 2 * (end - middle) * below
        if middle > start and end > middle:
            total += _pairs_of_bin(keys[start:middle], keys[middle:end])
        below += middle - start
        start = end
    return float(total)


@_jit
def _pairs_of_bin(negatives: Array, positives: Array) -> int:
    total = 0
    if len(negatives) * len(positives) <= _MANY:
        for above in positives:
            for under in negatives:
                total += int(above > under) + int(above >= under)
        return total
    negatives.sort()
    positives.sort()
    less, up_to = 0, 0
    for above in positives:
        while less < len(negatives) and negatives[less] < above:
            less += 1
        while up_to < len(negatives) and negatives[up_to] <= above:
            up_to += 1
        total += less + up_to
    return total


def warm() -> None:
    """Compile everything, or load it from numba's cache."""
    P = np.zeros((2, 2), dtype=np.float32)
    P.flags.writeable = False
    blend, codes = np.zeros(2), np.arange(2, dtype=np.uint16)
    counts, keys, places = np.zeros(8, dtype=np.uint32), np.zeros(2), np.zeros(2, dtype=np.uint32)
    screen(blend, P[:, 1], 0.5, codes, 1, counts)
    screen_weighted(blend, P[:, 1], 0.5, codes, 1, np.ones(2), np.zeros(8))
    exact(blend, P[:, 1], 0.5, codes, 1, counts, keys, places)
