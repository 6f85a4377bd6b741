"""Loops over resamples in numpy. `fast` has the same functions, compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["GAMMA", "areas", "fill", "mix", "totals"]

Array = npt.NDArray[Any]

#: Step and multipliers of SplitMix64 (Steele, Lea and Flood 2014): number k of a stream is mix(start + k * GAMMA), so
#: streams need no order and numpy draws what compiled loops draw.
GAMMA, FIRST, SECOND = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_30, _27, _31, _32 = (np.uint64(bits) for bits in (30, 27, 31, 32))


def mix(words: Array) -> Array:
    """SplitMix64's scrambling of 64-bit words."""
    words = (words ^ (words >> _30)) * FIRST
    words = (words ^ (words >> _27)) * SECOND
    scrambled: Array = words ^ (words >> _31)
    return scrambled


def fill(counts: Array, states: Array, size: int) -> None:
    """How often each unit is drawn when `size` are drawn with replacement.

    Parameters
    ----------
    counts : ndarray of int32, shape (n_resamples, n_units)
        Written.
    states : ndarray of uint64, shape (n_resamples,)
        Where the stream of each resample begins.
    size : int
    """
    n_units = counts.shape[1]
    steps = np.arange(1, (size + 1) // 2 + 1, dtype=np.uint64) * GAMMA
    for row, state in enumerate(states):
        halves = _halves(mix(state + steps))[:size]
        # The high half of a product is even to one part in 2^32 / n_units.
        drawn = (halves * np.uint64(n_units)) >> _32
        counts[row] = np.bincount(drawn.astype(np.intp), minlength=n_units)


def _halves(words: Array) -> Array:
    """The low and the high 32 bits of each word, in turn."""
    halves = np.empty(2 * len(words), dtype=np.uint64)
    halves[0::2], halves[1::2] = words & np.uint64(0xFFFFFFFF), words >> _32
    return halves


def totals(counts: Array, columns: Array) -> Array:
    """Sums of columns over drawn units.

    Parameters
    ----------
    counts : ndarray of int32, shape (n_resamples, n_units)
    columns : ndarray of float64, shape (n_columns, n_units)

    Returns
    -------
    ndarray of float64, shape (n_resamples, n_columns)
    """
    weights = counts.astype(np.float64)
    # A product for each column, not one for all: equal columns then have sums that are equal to the last bit.
    return np.stack([weights @ column for column in columns], axis=1)


def areas(counts: Array, above: Array, below: Array, lost: Array, kept: Array) -> Array:
    """Area under the ROC curve of each resample; NaN where one class is missing.

    Parameters
    ----------
    counts : ndarray of int32, shape (n_resamples, n_rows)
    above, below : ndarray of uint32, shapes (n_positive,) and (n_negative,)
        The positive and the negative rows, each by rising score.
    lost, kept : ndarray of uint32, shape (n_positive,)
        For each positive row, how many negative rows have a lower score, and how many have no higher one.
    """
    found = np.empty(len(counts))
    for row, count in enumerate(counts):
        reach = np.concatenate(([0], np.cumsum(count[below], dtype=np.int64)))
        drawn = count[above].astype(np.int64)
        pairs = int(reach[-1]) * int(drawn.sum())
        found[row] = int(drawn @ (reach[lost] + reach[kept])) / (2 * pairs) if pairs else np.nan
    return found
