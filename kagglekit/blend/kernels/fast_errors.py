"""Errors of values over rows, compiled: squared, absolute, and squared in logarithms.

`weight` is empty where rows count alike. Members are `P[m]` of shape (n_models, n_rows), read-only as a memory map
is, so that one compiled version serves both. Rows are taken in tiles whose share of the blend stays in the cache
while all candidates pass by.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

__all__ = ["absolute_line", "absolute_sums", "advance", "along", "log_line", "log_sums", "shift", "squared_sum", "warm"]

Array = npt.NDArray[Any]

# Sums may be added up in any order, which is what lets them run in vector registers.
_LOOSE = frozenset({"reassoc", "contract", "nsz", "arcp"})
_TILE, _STRIP = 32768, 2048

_ONE, _HALF, _LN2 = np.float32(1), np.float32(0.5), np.float32(math.log(2))
# The bits of sqrt(1/2) and those of one step of the exponent: they cut a float into 2^e * m, m from 0.71 to 1.41.
_ROOT_HALF, _EXPONENT = np.int32(0x3F3504F3), np.int32(23)
# Least-squares fit of (log(1 + f) - f + f^2 / 2) / f^3 on that range; the logarithm is off by 2e-9 at most, less than
# a float of single precision can hold.
_C0, _C1, _C2, _C3 = np.float32(0.33333328), np.float32(-0.25000846), np.float32(0.20001413), np.float32(-0.16622752)
_C4, _C5, _C6, _C7 = np.float32(0.14197877), np.float32(-0.13161606), np.float32(0.12786332), np.float32(-0.076608203)


def _compiled(function: Any) -> Any:
    return njit(cache=True, nogil=True, fastmath=set(_LOOSE))(function)


@_compiled
def _absolute(base: Array, step: Array, share: float, weight: Array) -> float:
    total = 0.0
    if weight.size:
        for i in range(base.size):
            total += weight[i] * abs(base[i] + share * step[i])
    else:
        for i in range(base.size):
            total += abs(base[i] + share * step[i])
    return total


@_compiled
def absolute_sums(P: Array, candidates: Array, error: Array, y: Array, share: float, weight: Array) -> Array:
    """Sum over rows of weight * |blend - y| after a step, for each candidate; `error` is blend - y before it."""
    sums = np.zeros(candidates.size)
    for start in range(0, y.size, _TILE):
        stop = min(start + _TILE, y.size)
        base = (1 - share) * error[start:stop] - share * y[start:stop]
        for place in range(candidates.size):
            sums[place] += _absolute(base, P[candidates[place], start:stop], share, weight[start:stop])
    return sums


@_compiled
def squared_sum(P: Array, model: int, error: Array, y: Array, share: float, weight: Array) -> float:
    """Sum over rows of weight * (blend - y)^2 after a step; `error` is blend - y before it."""
    total, row, keep = 0.0, P[model], 1 - share
    if weight.size:
        for i in range(error.size):
            total += weight[i] * (keep * error[i] + share * (row[i] - y[i])) ** 2
    else:
        for i in range(error.size):
            total += (keep * error[i] + share * (row[i] - y[i])) ** 2
    return total


@_compiled
def absolute_line(error: Array, step: Array, shares: Array, weight: Array) -> Array:
    """Sum over rows of weight * |error + share * step|, for each share."""
    sums = np.empty(shares.size)
    for place in range(shares.size):
        sums[place] = _absolute(error, step, shares[place], weight)
    return sums


@_compiled
def _strip(x: Array, base: Array, step: Array, share: float) -> None:
    for i in range(x.size):
        x[i] = max(base[i] + share * step[i], _ONE)


@_compiled
def _split(bits: Array, exponent: Array) -> None:
    """Leave the mantissa in place of the number whose bits are given, and put its exponent beside it."""
    for i in range(bits.size):
        e = np.int32(np.int32(bits[i] - _ROOT_HALF) >> _EXPONENT)
        exponent[i] = np.float32(e)
        bits[i] = np.int32(bits[i] - np.int32(e << _EXPONENT))


@_compiled
def _distance(mantissa: Array, exponent: Array, target: Array, weight: Array) -> float:
    total = np.float32(0)
    weighted = weight.size > 0
    for i in range(mantissa.size):
        f = mantissa[i] - _ONE
        tail = _C3 + f * (_C4 + f * (_C5 + f * (_C6 + f * _C7)))
        tail = _C0 + f * (_C1 + f * (_C2 + f * tail))
        off = exponent[i] * _LN2 + (f + f * f * (tail * f - _HALF)) - target[i]
        total += (weight[i] if weighted else _ONE) * off * off
    return float(total)


@_compiled
def _log_row(base: Array, step: Array, share: float, target: Array, weight: Array) -> float:
    total = 0.0
    x, exponent = np.empty(_STRIP, np.float32), np.empty(_STRIP, np.float32)
    bits = x.view(np.int32)
    for start in range(0, base.size, _STRIP):
        stop = min(start + _STRIP, base.size)
        n = stop - start
        _strip(x[:n], base[start:stop], step[start:stop], share)
        _split(bits[:n], exponent[:n])
        total += _distance(x[:n], exponent[:n], target[start:stop], weight[start:stop])
    return total


@_compiled
def log_sums(P: Array, candidates: Array, blend: Array, target: Array, share: float, weight: Array) -> Array:
    """Sum over rows of weight * (log(1 + max(blend, 0)) - target)^2 after a step, to single precision."""
    sums = np.zeros(candidates.size)
    narrow = np.float32(share)
    for start in range(0, target.size, _TILE):
        stop = min(start + _TILE, target.size)
        base = (1 + (1 - share) * blend[start:stop]).astype(np.float32)
        wanted = target[start:stop].astype(np.float32)
        counted = weight[start:stop].astype(np.float32)
        for place in range(candidates.size):
            sums[place] += _log_row(base, P[candidates[place], start:stop], narrow, wanted, counted)
    return sums


@_compiled
def log_line(blend: Array, step: Array, target: Array, shares: Array, weight: Array) -> Array:
    """The same of blend + share * step, for each share."""
    base, narrow = (1 + blend).astype(np.float32), step.astype(np.float32)
    wanted, counted = target.astype(np.float32), weight.astype(np.float32)
    sums = np.empty(shares.size)
    for place in range(shares.size):
        sums[place] = _log_row(base, narrow, np.float32(shares[place]), wanted, counted)
    return sums


@_compiled
def advance(error: Array, P: Array, model: int, y: Array, share: float) -> None:
    """Make `error`, which is blend - y, that of the blend after a step."""
    row = P[model]
    for i in range(error.size):
        error[i] = (1 - share) * error[i] + share * (row[i] - y[i])


@_compiled
def _dot(a: Array, b: Array) -> float:
    total = 0.0
    for i in range(a.size):
        total += a[i] * b[i]
    return total


@_compiled
def along(P: Array, vector: Array) -> Array:
    """Sum over rows of P * vector, for each member, in double precision."""
    sums = np.zeros(P.shape[0])
    for start in range(0, vector.size, _TILE):
        stop = min(start + _TILE, vector.size)
        for m in range(P.shape[0]):
            sums[m] += _dot(P[m, start:stop], vector[start:stop])
    return sums


@_compiled
def shift(
    P: Array, models: Array, start: int, row: Array, member: Array, root: Array, out: Array, squares: Array
) -> None:
    """Fill `out` with (P - row - member) * root of some members, from row `start` on.

    The sums of their squares are added to `squares`.
    """
    for place in range(models.size):
        m = models[place]
        tile, filled, origin = P[m, start : start + row.size], out[place], member[m]
        total = 0.0
        if root.size:
            for i in range(row.size):
                moved = (tile[i] - row[i] - origin) * root[i]
                filled[i] = moved
                total += moved * moved
        else:
            for i in range(row.size):
                moved = tile[i] - row[i] - origin
                filled[i] = moved
                total += moved * moved
        squares[place] += total


def warm() -> None:
    """Compile everything for the types that objectives use, or load it from numba's cache."""
    P = np.ones((1, 2), np.float32)
    P.flags.writeable = False
    rows, nothing, first = np.ones(2), np.empty(0), np.zeros(1, np.int64)
    absolute_sums(P, first, rows, rows, 0.5, nothing)
    advance(rows.copy(), P, 0, rows, 0.5)
    squared_sum(P, 0, rows, rows, 0.5, nothing)
    along(P, rows)
    log_sums(P, first, rows, rows, 0.5, nothing)
    absolute_line(rows, rows, rows, nothing)
    log_line(rows, rows, rows, rows, nothing)
    for dtype in (np.float32, np.float64):
        shift(P, first, 0, rows, np.zeros(1), nothing, np.empty((1, 2), dtype), np.zeros(1))
