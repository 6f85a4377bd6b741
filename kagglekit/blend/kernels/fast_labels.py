"""Loops over rows for metrics of labels, compiled. `plain_labels` has the same functions."""

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
def widen(table: Array, most: Array, spread: Array) -> float:
    """Take one more member into the extremes of each row.

    Parameters
    ----------
    table : ndarray of float32, shape (n_rows, n_columns)
        Of the member.
    most : ndarray of float32, shape (n_rows, n_columns)
        By how much a member puts some other class above this one, at most; below 0 if all members put this class
        first. Changed in place.
    spread : ndarray of float32, shape (n_rows, 1)
        The distance of a member's highest and lowest value, at most. Changed in place.

    Returns
    -------
    float
        The largest absolute value of the table.
    """
    n_rows, n_columns = table.shape
    bound = np.float32(0)
    for i in range(n_rows):
        top = lowest = table[i, 0]
        second = np.float32(-np.inf)
        for j in range(1, n_columns):
            value = table[i, j]
            lowest = min(lowest, value)
            second = max(second, min(top, value))
            top = max(top, value)
        spread[i, 0] = max(spread[i, 0], top - lowest)
        for j in range(n_columns):
            value = table[i, j]
            most[i, j] = max(most[i, j], (second if value == top else top) - value)
        bound = max(bound, top, -lowest)
    return float(bound)


@_jit
def split(
    blend: Array,
    limits: Array,
    share: float,
    slack: float,
    codes: Array,
    weight: Array,
    scale: Array,
    counts: Array,
    rows: Array,
) -> int:
    """Count the rows that no member can give another label, and list the others.

    Parameters
    ----------
    blend : ndarray of float64, shape (n_rows, n_columns)
    limits : ndarray of float32, shape (n_rows, n_columns) or (n_rows, 1)
        What a member can do for another class against this one, at most.
    share, slack : float
        A lead must be above the slack after the step.
    codes : ndarray of int32, shape (n_rows,)
    weight : ndarray of float64, shape (n_rows,)
    scale : ndarray of float64, shape (n_columns,)
    counts : ndarray of float64, shape (3, n_columns)
        By label: weight of the rows that are wrong, weight of those that are right, and in the last row's first place
        the squared distance from the truth. Added to.
    rows : ndarray of int32, shape (n_rows,)
        Its beginning is filled with the rows that are not settled.

    Returns
    -------
    int
        How many rows are not settled.
    """
    n_rows, n_columns = blend.shape
    several = limits.shape[1] > 1
    n_open = 0
    for i in range(n_rows):
        top = blend[i, 0]
        second = -np.inf
        label = 0
        for j in range(1, n_columns):
            value = blend[i, j]
            second = max(second, min(top, value))
            label = j if value > top else label
            top = max(top, value)
        limit = limits[i, label if several else 0]
        if (1 - share) * (top - second) - abs(share) * limit > slack:
            _count(counts, label, codes[i], scale, weight[i])
        else:
            rows[n_open] = i
            n_open += 1
    return n_open


@_jit
def _count(counts: Array, label: int, code: int, scale: Array, weight: float) -> None:
    counts[int(label == code), label] += weight
    counts[2, 0] += weight * (scale[code] - scale[label]) ** 2


@_jit
def tally(
    P: Array,
    rows: Array,
    places: Array,
    candidates: Array,
    blend: Array,
    share: float,
    codes: Array,
    weight: Array,
    scale: Array,
    counts: Array,
) -> float:
    """Count some rows by label after each candidate's step; see `split`.

    Parameters
    ----------
    P : ndarray of float32, shape (n_models, n_rows, n_columns)
    rows, places : ndarray of int32, shape (n_open,)
        Which rows, and where they lie in `P`: it may hold only some, in another order than the blend.
    candidates : ndarray of int64, shape (n_candidates,)
    counts : ndarray of float64, shape (n_candidates, 3, n_columns)
        Added to.

    Returns
    -------
    float
        Nothing of use: it keeps the compiler from dropping `_fetch`.
    """
    own = np.empty((_TILE, blend.shape[1]))
    labels = np.empty(_BATCH, dtype=np.int64)
    code, heft = np.empty(_TILE, dtype=np.int64), np.empty(_TILE)
    sink = 0.0
    for start in range(0, len(rows), _TILE):
        tile = rows[start : start + _TILE]
        for r in range(len(tile)):
            code[r], heft[r] = codes[tile[r]], weight[tile[r]]
            for j in range(blend.shape[1]):
                own[r, j] = (1 - share) * blend[tile[r], j]
        for c in range(len(candidates)):
            table = P[candidates[c]]
            for low in range(0, len(tile), _BATCH):
                batch = places[start + low : start + min(low + _BATCH, len(tile))]
                sink += _fetch(table, batch)
                _label(own[low : low + _BATCH], table, np.float32(share), batch, labels)
                for r in range(len(batch)):
                    _count(counts[c], labels[r], code[low + r], scale, heft[low + r])
    return sink


@_jit
def _fetch(table: Array, rows: Array) -> float:
    # Scattered rows take long to come from memory. Asking for many at once hides most of it; the loop that works on
    # them has too many instructions for the processor to look as far ahead.
    sink = 0.0
    last = table.shape[1] - 1
    if rows[-1] - rows[0] < 2 * len(rows):
        return sink
    for i in rows:
        sink += table[i, 0] + table[i, last]
    return sink


@_jit
def _label(own: Array, table: Array, part: np.float32, rows: Array, labels: Array) -> None:
    """The first of the highest columns of some rows of `own + part * table`."""
    for r in range(len(rows)):
        i = rows[r]
        top = own[r, 0] + part * table[i, 0]
        label = 0
        for j in range(1, own.shape[1]):
            value = own[r, j] + part * table[i, j]
            label = j if value > top else label
            top = max(top, value)
        labels[r] = label


@_jit
def line(
    blend: Array,
    table: Array,
    shares: Array,
    slack: float,
    codes: Array,
    weight: Array,
    scale: Array,
    counts: Array,
) -> None:
    """Count all rows by label for each share of one member: `counts` has the shape (n_shares, 3, n_columns).

    Columns are linear in the share, so a label that leads at both ends leads between them.
    """
    low, high = shares.min(), shares.max()
    common = np.zeros(counts.shape[1:])
    for i in range(len(blend)):
        label, lead = _leader(blend, table, i, low)
        label_high, lead_high = _leader(blend, table, i, high)
        if label == label_high and min(lead, lead_high) > slack:
            _count(common, label, codes[i], scale, weight[i])
            continue
        for s in range(len(shares)):
            label, lead = _leader(blend, table, i, shares[s])
            _count(counts[s], label, codes[i], scale, weight[i])
    counts += common


@_jit
def _leader(blend: Array, table: Array, i: int, share: float) -> tuple[int, float]:
    """The first of the highest columns of one row, and by how much it is above every other."""
    kept, part = 1 - share, np.float32(share)
    top = kept * blend[i, 0] + part * table[i, 0]
    second = -np.inf
    label = 0
    for j in range(1, blend.shape[1]):
        value = kept * blend[i, j] + part * table[i, j]
        second = max(second, min(top, value))
        label = j if value > top else label
        top = max(top, value)
    return label, top - second


def warm() -> None:
    """Compile everything, or load it from numba's cache."""
    P = np.zeros((1, 2, 2), dtype=np.float32)
    P.flags.writeable = False
    most, spread = np.zeros((2, 2), dtype=np.float32), np.zeros((2, 1), dtype=np.float32)
    blend, counts = np.zeros((2, 2)), np.zeros((2, 3, 2))
    rows = codes = np.zeros(2, dtype=np.int32)
    weight, scale = np.ones(2), np.arange(2.0)
    widen(P[0], most, spread)
    split(blend, most, 0.5, 0.0, codes, weight, scale, counts[0], rows)
    tally(P, rows, rows, np.zeros(1, dtype=np.int64), blend, 0.5, codes, weight, scale, counts)
    line(blend, P[0], np.array([0.0, 0.5]), 0.0, codes, weight, scale, counts)
