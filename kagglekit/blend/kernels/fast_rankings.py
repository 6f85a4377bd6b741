"""Loops over rows for the place of the true class, compiled. `plain_rankings` has the same functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba
import numpy as np
import numpy.typing as npt

__all__ = ["line", "split", "tally", "warm", "widen"]

Array = npt.NDArray[Any]
_Loop = TypeVar("_Loop", bound=Callable[..., Any])

# Rows whose blend is kept at hand while all candidates pass over them, and rows that are fetched together.
_TILE, _BATCH = 1024, 64


def _jit(loop: _Loop) -> _Loop:
    # No fast mathematics: sums and products must round as numpy's do, or ties would fall differently.
    compiled: _Loop = numba.njit(cache=True, nogil=True)(loop)
    return compiled


@_jit
def widen(table: Array, codes: Array, most: Array, least: Array) -> tuple[float, float]:
    """Take one more member into the extremes of each row.

    Parameters
    ----------
    table : ndarray of float32, shape (n_rows, n_columns)
        Of the member.
    codes : ndarray of int32, shape (n_rows,)
        The true class of each row.
    most, least : ndarray of float32, shape (n_rows, n_columns)
        By how much a member puts this class above the true one, at most and at least. Changed in place.

    Returns
    -------
    tuple of two floats
        The lowest and the highest value of the table.
    """
    lowest = highest = table[0, 0]
    for i in range(len(table)):
        own = table[i, codes[i]]
        for j in range(table.shape[1]):
            value = table[i, j]
            lowest, highest = min(lowest, value), max(highest, value)
            most[i, j] = max(most[i, j], value - own)
            least[i, j] = min(least[i, j], value - own)
    return float(lowest), float(highest)


@_jit
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
    """Sum the gains of rows that no member can change, and list the others.

    Bounds hold for shares of 0 or more, and while no value can be negative; an infinite slack leaves all rows open.

    Parameters
    ----------
    blend : ndarray of float64, shape (n_rows, n_columns)
    most, least
        As of `widen`.
    share, slack : float
        A class must be above or below the true one by more than the slack.
    k : int
        Places that count.
    codes : ndarray of int32, shape (n_rows,)
    weight : ndarray of float64, shape (n_rows,)
    rows : ndarray of int32, shape (n_rows,)
        Its beginning is filled with the rows that are not settled.

    Returns
    -------
    float
        Weighted sum of the gains of rows that are settled.
    int
        How many are not.
    """
    gain, n_open = 0.0, 0
    for i in range(len(blend)):
        true = codes[i]
        above, unsure = 0, 0
        for j in range(blend.shape[1]):
            lead = (1 - share) * (blend[i, j] - blend[i, true])
            surely = lead + share * least[i, j] > slack
            above += surely
            unsure += (not surely) and lead + share * most[i, j] >= -slack
        # The true class is unsure against itself.
        if above >= k:
            continue
        if unsure <= 1:
            gain += weight[i] / (above + 1)
        else:
            rows[n_open] = i
            n_open += 1
    return gain, n_open


@_jit
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
    """Sum the gains of some rows after each candidate's step.

    Parameters
    ----------
    P : ndarray of float32, shape (n_models, n_rows, n_columns)
    rows, places : ndarray of int32, shape (n_open,)
        Which rows, and where they lie in `P`: it may hold only some, in another order than the blend.
    candidates : ndarray of int64, shape (n_candidates,)
    gains : ndarray of float64, shape (n_candidates,)
        Added to.

    Returns
    -------
    float
        Nothing of use: it keeps the compiler from dropping `_fetch`.
    """
    n_columns = blend.shape[1]
    own = np.empty((_TILE, n_columns))
    code, heft = np.empty(_TILE, dtype=np.int64), np.empty(_TILE)
    above = np.empty(_BATCH, dtype=np.int64)
    gain_of = np.zeros(n_columns + 1)
    for place in range(min(k, n_columns)):
        gain_of[place] = 1 / (place + 1)
    sink = 0.0
    for start in range(0, len(rows), _TILE):
        tile = rows[start : start + _TILE]
        for r in range(len(tile)):
            code[r], heft[r] = codes[tile[r]], weight[tile[r]]
            for j in range(n_columns):
                own[r, j] = (1 - share) * blend[tile[r], j]
        for c in range(len(candidates)):
            table = P[candidates[c]]
            for low in range(0, len(tile), _BATCH):
                batch = places[start + low : start + min(low + _BATCH, len(tile))]
                sink += _fetch(table, batch)
                _count_above(own[low : low + _BATCH], table, np.float32(share), batch, code[low : low + _BATCH], above)
                gain = 0.0
                for r in range(len(batch)):
                    gain += heft[low + r] * gain_of[above[r]]
                gains[c] += gain
    return sink


@_jit
def _fetch(table: Array, rows: Array) -> float:
    # See `fast_labels`: many rows asked for at once come sooner.
    sink = 0.0
    last = table.shape[1] - 1
    if rows[-1] - rows[0] < 2 * len(rows):
        return sink
    for i in rows:
        sink += table[i, 0] + table[i, last]
    return sink


@_jit
def _count_above(own: Array, table: Array, part: np.float32, rows: Array, codes: Array, above: Array) -> None:
    """How many classes rank above the true one in some rows of `own + part * table`; equal classes in their order."""
    n_columns = own.shape[1]
    for r in range(len(rows)):
        i, true = rows[r], codes[r]
        target = own[r, true] + part * table[i, true]
        found = 0
        for j in range(n_columns):
            value = own[r, j] + part * table[i, j]
            found += (value > target) | ((value == target) & (j < true))
        # A negative belief marks a class that is not ranked.
        above[r] = found if target >= 0 else n_columns


@_jit
def _gain(own: Array, other: Array, share: float, true: int, k: int) -> float:
    """1 / place of the true class of one row."""
    kept, part = 1 - share, np.float32(share)
    target = kept * own[true] + part * other[true]
    above = 0
    for j in range(len(own)):
        value = kept * own[j] + part * other[j]
        above += (value > target) | ((value == target) & (j < true))
    return 1 / (above + 1) if above < k and target >= 0 else 0.0


@_jit
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
    """Sum the gains of all rows for each share of one member: `gains` has the shape (n_shares,).

    Differences are linear in the share, so that a class above the true one at both ends is above it between them.
    """
    low, high = shares.min(), shares.max()
    common = 0.0
    for i in range(len(blend)):
        if _same_between(blend[i], table[i], low, high, slack, codes[i]):
            common += weight[i] * _gain(blend[i], table[i], low, codes[i], k)
        else:
            for s in range(len(shares)):
                gains[s] += weight[i] * _gain(blend[i], table[i], shares[s], codes[i], k)
    gains += common


@_jit
def _same_between(own: Array, other: Array, low: float, high: float, slack: float, true: int) -> bool:
    """Whether every class keeps its side of the true one, and the true one its sign."""
    first = (1 - low) * own[true] + low * other[true]
    last = (1 - high) * own[true] + high * other[true]
    if min(first, last) < slack:
        return False
    for j in range(len(own)):
        lead = (1 - low) * own[j] + low * other[j] - first
        lead_last = (1 - high) * own[j] + high * other[j] - last
        if j != true and not (min(lead, lead_last) > slack or max(lead, lead_last) < -slack):
            return False
    return True


def warm() -> None:
    """Compile everything, or load it from numba's cache."""
    P = np.zeros((1, 2, 2), dtype=np.float32)
    P.flags.writeable = False
    most, least = np.zeros((2, 2), dtype=np.float32), np.zeros((2, 2), dtype=np.float32)
    blend, weight, gains = np.zeros((2, 2)), np.ones(2), np.zeros(1)
    rows = codes = np.zeros(2, dtype=np.int32)
    widen(P[0], codes, most, least)
    split(blend, most, least, 0.5, 0.0, 1, codes, weight, rows)
    tally(P, rows, rows, np.zeros(1, dtype=np.int64), blend, 0.5, 1, codes, weight, gains)
    line(blend, P[0], np.array([0.5]), 0.0, 1, codes, weight, gains)
