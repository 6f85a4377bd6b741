"""Loops over resamples, compiled. `plain` has the same functions and says what they take and give."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba
import numpy as np
import numpy.typing as npt

from kagglekit.resampling.plain import FIRST, GAMMA, SECOND

__all__ = ["areas", "fill", "totals", "warm"]

Array = npt.NDArray[Any]
_Loop = TypeVar("_Loop", bound=Callable[..., Any])

_30, _27, _31, _32 = (np.uint64(bits) for bits in (30, 27, 31, 32))
_LOW = np.uint64(0xFFFFFFFF)


def _compiled(function: _Loop) -> _Loop:
    # Sums may be added up in any order, which lets them run in vector registers.
    loop: _Loop = numba.njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"})(function)
    return loop


@_compiled
def _mixed(word: np.uint64) -> np.uint64:
    word = (word ^ (word >> _30)) * FIRST
    word = (word ^ (word >> _27)) * SECOND
    return word ^ (word >> _31)


@_compiled
def fill(counts: Array, states: Array, size: int) -> None:
    """How often each unit is drawn when `size` are drawn with replacement."""
    n_units = np.uint64(counts.shape[1])
    for row in range(counts.shape[0]):
        count, state = counts[row], states[row]
        count[:] = 0
        for _ in range(size // 2):
            state += GAMMA
            word = _mixed(state)
            count[((word & _LOW) * n_units) >> _32] += 1
            count[((word >> _32) * n_units) >> _32] += 1
        if size % 2:
            count[((_mixed(state + GAMMA) & _LOW) * n_units) >> _32] += 1


@_compiled
def totals(counts: Array, columns: Array) -> Array:
    """Sums of columns over drawn units."""
    sums = np.empty((counts.shape[0], columns.shape[0]))
    for row in range(counts.shape[0]):
        count = counts[row]
        for place in range(columns.shape[0]):
            column, total = columns[place], 0.0
            for i in range(count.size):
                total += count[i] * column[i]
            sums[row, place] = total
    return sums


@_compiled
def areas(counts: Array, above: Array, below: Array, lost: Array, kept: Array) -> Array:
    """Area under the ROC curve of each resample; NaN where one class is missing."""
    found, reach = np.empty(counts.shape[0]), np.zeros(below.size + 1, dtype=np.int32)
    for row in range(counts.shape[0]):
        count = counts[row]
        for i in range(below.size):
            reach[i + 1] = reach[i] + count[below[i]]
        positives, twice = np.int64(0), np.int64(0)
        for i in range(above.size):
            drawn = np.int64(count[above[i]])
            positives += drawn
            twice += drawn * (np.int64(reach[lost[i]]) + np.int64(reach[kept[i]]))
        pairs = positives * np.int64(reach[below.size])
        found[row] = twice / (2 * pairs) if pairs > 0 else np.nan
    return found


def warm() -> None:
    """Compile every loop, so that numba's cache on disk holds it."""
    counts = np.zeros((1, 2), dtype=np.int32)
    fill(counts, np.ones(1, dtype=np.uint64), 2)
    totals(counts, np.ones((1, 2)))
    rows = np.zeros(1, dtype=np.uint32)
    areas(counts, rows, rows, rows, rows)
