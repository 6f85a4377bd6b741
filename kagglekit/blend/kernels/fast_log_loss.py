"""Loops of the log loss, compiled. `plain_log_loss` has the same functions.

The sum of many logarithms is the logarithm of a product. Products are kept in 64 lanes that fit the registers; every
16 factors, each at least 1e-15, their exponents are taken out before they can leave the range of doubles. So there is
one logarithm for each tile of rows, and memory is what limits the speed.

Rows that have weights, or whose members do not sum to one, need a logarithm each: that is three times slower.

Arrays that a problem does not have (totals, weights) are handed over empty, so that each loop is compiled once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from numba import njit

__all__ = [
    "add",
    "dots",
    "gather",
    "gather_totals",
    "invert",
    "line",
    "losses",
    "reach",
    "search",
    "step",
    "tile_dots",
    "tile_logs",
    "warm",
]

Array = npt.NDArray[Any]
_Loop = TypeVar("_Loop", bound=Callable[..., Any])

_LANES = 64
_BLOCK = 16 * _LANES
_LOWEST, _HIGHEST = 1e-15, 1 - 1e-15
_LN2, _SQRT2 = float(np.log(2)), float(np.sqrt(2))
# Of a double's bits: the fraction, and the exponent of one.
_FRACTION, _ONE, _SHIFT, _BIAS = 0x000FFFFFFFFFFFFF, 0x3FF0000000000000, 52, 1023
# In place of infinity, which the compiler may take not to exist.
_NEVER, _NEVER_32 = 1e300, 1e38


def _loop(function: _Loop) -> _Loop:
    # Values are finite, zeros have no sign, and a sum may be taken in any order; nothing else is given up.
    options = {"contract", "nnan", "ninf", "nsz", "reassoc"}
    compiled: _Loop = njit(cache=True, nogil=True, error_model="numpy", fastmath=options)(function)
    return compiled


@_loop
def gather(P: Array, codes: Array, out: Array) -> tuple[float, float]:
    """Copy the true-class column of each model.

    Parameters
    ----------
    P : ndarray of float32, shape (n_models, n_rows, n_columns)
    codes : ndarray of int64, shape (n_rows,)
        Column of the true class.
    out : ndarray of float32, shape (n_models, n_rows)

    Returns
    -------
    lowest : float
        Of the values that were copied.
    farthest : float
        The largest distance from one of the sum of a model's row.
    """
    lowest, farthest = _NEVER, 0.0
    for m in range(P.shape[0]):
        # Rows that were picked from a matrix lie in another order in memory.
        flat = np.ascontiguousarray(P[m]).reshape(-1)
        if P.shape[2] == 2:
            low, far = _gather_two(flat, codes, out[m])
        else:
            low, far = _gather_many(flat, P.shape[2], codes, out[m])
        lowest, farthest = min(lowest, low), max(farthest, far)
    return lowest, farthest


@_loop
def _gather_two(flat: Array, codes: Array, column: Array) -> tuple[float, float]:
    lowest, farthest = np.float32(_NEVER_32), 0.0
    for i in range(len(codes)):
        first, second = flat[2 * i], flat[2 * i + 1]
        chosen = second if codes[i] else first
        column[i] = chosen
        lowest = min(lowest, chosen)
        farthest = max(farthest, abs(np.float64(first) + np.float64(second) - 1))
    return lowest, farthest


@_loop
def _gather_many(flat: Array, n_columns: int, codes: Array, column: Array) -> tuple[float, float]:
    lowest, farthest = np.float32(_NEVER_32), 0.0
    for i in range(len(codes)):
        row = flat[i * n_columns : (i + 1) * n_columns]
        total = 0.0
        for k in range(n_columns):
            total += row[k]
        chosen = row[codes[i]]
        column[i] = chosen
        lowest = min(lowest, chosen)
        farthest = max(farthest, abs(total - 1))
    return lowest, farthest


@_loop
def gather_totals(P: Array, out: Array) -> None:
    """Write the sum of each model's row to `out`, float32 of shape (n_models, n_rows)."""
    for m in range(P.shape[0]):
        table, row = P[m], out[m]
        for i in range(table.shape[0]):
            total = 0.0
            for k in range(table.shape[1]):
                total += table[i, k]
            row[i] = total


@_loop
def add(blend: Array, column: Array, share: float) -> None:
    """`blend += share * column`."""
    for i in range(len(blend)):
        blend[i] += share * column[i]


@_loop
def step(blend: Array, column: Array, share: float) -> None:
    """`blend = (1 - share) * blend + share * column`, in place."""
    keep = 1 - share
    for i in range(len(blend)):
        blend[i] = keep * blend[i] + share * column[i]


@_loop
def _multiply(lanes: Array, column: Array, blend: Array, keep: float, share: float) -> None:
    # A constant number of lanes, and slices that start at nought: without either nothing is vectorised.
    for i in range(0, len(blend), _LANES):
        c, b = column[i : i + _LANES], blend[i : i + _LANES]
        for k in range(_LANES):
            lanes[k] *= min(max(keep * b[k] + share * c[k], _LOWEST), _HIGHEST)


@_loop
def _multiply_two(
    lanes: Array, others: Array, column: Array, other: Array, blend: Array, keep: float, share: float
) -> None:
    # The blend is read once for both, and memory serves two streams faster than one.
    for i in range(0, len(blend), _LANES):
        c, o, b = column[i : i + _LANES], other[i : i + _LANES], blend[i : i + _LANES]
        for k in range(_LANES):
            kept = keep * b[k]
            lanes[k] *= min(max(kept + share * c[k], _LOWEST), _HIGHEST)
            others[k] *= min(max(kept + share * o[k], _LOWEST), _HIGHEST)


@_loop
def _take_exponents(lanes: Array, bits: Array) -> int:
    taken = 0
    for k in range(_LANES):
        taken += bits[k] >> _SHIFT
        bits[k] = (bits[k] & _FRACTION) | _ONE
    return taken - _BIAS * _LANES


@_loop
def _log_product(column: Array, blend: Array, keep: float, share: float, lanes: Array, bits: Array) -> float:
    """The sum over rows of the logarithm of the clipped blend."""
    whole = len(column) - len(column) % _BLOCK
    lanes[:] = 1.0
    exponent = 0
    for i in range(0, whole, _BLOCK):
        _multiply(lanes, column[i : i + _BLOCK], blend[i : i + _BLOCK], keep, share)
        exponent += _take_exponents(lanes, bits)
    return _finish(column[whole:], blend[whole:], keep, share, lanes, bits) + exponent * _LN2


@_loop
def _log_products(
    column: Array, other: Array, blend: Array, keep: float, share: float, lanes: Array, bits: Array
) -> tuple[float, float]:
    """The same of two columns at once; `lanes` and `bits` have two rows."""
    whole = len(column) - len(column) % _BLOCK
    lanes[:] = 1.0
    a = b = 0
    for i in range(0, whole, _BLOCK):
        rows = slice(i, i + _BLOCK)
        _multiply_two(lanes[0], lanes[1], column[rows], other[rows], blend[rows], keep, share)
        a += _take_exponents(lanes[0], bits[0])
        b += _take_exponents(lanes[1], bits[1])
    first = _finish(column[whole:], blend[whole:], keep, share, lanes[0], bits[0])
    second = _finish(other[whole:], blend[whole:], keep, share, lanes[1], bits[1])
    return first + a * _LN2, second + b * _LN2


@_loop
def _finish(column: Array, blend: Array, keep: float, share: float, lanes: Array, bits: Array) -> float:
    """Multiply the rows of an incomplete block into the lanes, and take the logarithm of all lanes."""
    whole = len(column) - len(column) % _LANES
    _multiply(lanes, column[:whole], blend[:whole], keep, share)
    for k in range(len(column) - whole):
        lanes[k] *= min(max(keep * blend[whole + k] + share * column[whole + k], _LOWEST), _HIGHEST)
    exponent = _take_exponents(lanes, bits)
    product = 1.0
    for k in range(_LANES):
        product *= lanes[k]
    return np.log(product) + exponent * _LN2


@_loop
def _logs(lanes: Array, bits: Array, exponents: Array) -> None:
    """The logarithm of each lane, in place: log m = 2 artanh((m - 1) / (m + 1)), by its series."""
    for k in range(_LANES):
        exponents[k] = (bits[k] >> _SHIFT) - _BIAS
        bits[k] = (bits[k] & _FRACTION) | _ONE
    for k in range(_LANES):
        high = lanes[k] > _SQRT2
        mantissa = lanes[k] * (0.5 if high else 1.0)
        s = (mantissa - 1) / (mantissa + 1)
        z = s * s
        # |s| <= 0.172, so that the next term would be below 1e-17.
        tail = 1 / 15 + z * (1 / 17 + z * (1 / 19 + z / 21))
        series = z * (1 / 3 + z * (1 / 5 + z * (1 / 7 + z * (1 / 9 + z * (1 / 11 + z * (1 / 13 + z * tail))))))
        lanes[k] = (exponents[k] + (1.0 if high else 0.0)) * _LN2 + 2 * (s + s * series)


@_loop
def _log_sum(
    column: Array,
    blend: Array,
    total: Array,
    blend_total: Array,
    weight: Array,
    keep: float,
    share: float,
    fallback: float,
    lanes: Array,
    bits: Array,
    exponents: Array,
) -> float:
    """The weighted sum over rows of the logarithm of the clipped blend; rows divided by their totals if there are."""
    n = len(column)
    found = 0.0
    for i in range(0, n, _LANES):
        m = min(_LANES, n - i)
        lanes[:] = 1.0
        for k in range(m):
            lanes[k] = keep * blend[i + k] + share * column[i + k]
        if len(total):
            for k in range(m):
                divisor = keep * blend_total[i + k] + share * total[i + k]
                lanes[k] = lanes[k] / divisor if divisor > 0 else fallback
        for k in range(m):
            lanes[k] = min(max(lanes[k], _LOWEST), _HIGHEST)
        _logs(lanes, bits, exponents)
        if len(weight):
            for k in range(m):
                found += weight[i + k] * lanes[k]
        else:
            for k in range(m):
                found += lanes[k]
    return found


@_loop
def losses(
    C: Array,
    totals: Array,
    weight: Array,
    candidates: Array,
    blend: Array,
    blend_total: Array,
    share: float,
    fallback: float,
    tile: int,
) -> Array:
    """The log loss of `(1 - share) * blend + share * C[c]` for each candidate c, in one pass.

    Parameters
    ----------
    C : ndarray of float32, shape (n_models, n_rows)
        True-class columns.
    totals : ndarray of float32, shape (n_models, n_rows) or (0, 0)
        Sums of rows, where they are not one.
    weight : ndarray of float64, shape (n_rows,) or (0,)
        Adds up to n_rows.
    candidates : ndarray of int64, shape (n_candidates,)
    blend, blend_total : ndarray of float64, shape (n_rows,); the second may be empty
    share : float
    fallback : float
        The probability of every class in a row whose total is not above nought.
    tile : int
        Rows that all candidates pass before the next ones are read.

    Returns
    -------
    ndarray of float64, shape (n_candidates,)
    """
    n, keep = len(blend), 1 - share
    lanes, exponents = np.empty((2, _LANES)), np.empty(_LANES)
    bits = lanes.view(np.int64)
    found = np.zeros(len(candidates))
    for start in range(0, n, tile):
        stop = min(n, start + tile)
        x, w, x_total = blend[start:stop], weight[start:stop], blend_total[start:stop]
        if len(w) or len(x_total):
            for c in range(len(candidates)):
                column = C[candidates[c], start:stop]
                total = totals[candidates[c], start:stop] if len(x_total) else column[:0]
                found[c] += _log_sum(column, x, total, x_total, w, keep, share, fallback, lanes[0], bits[0], exponents)
        else:
            for c in range(0, len(candidates), 2):
                d = min(c + 1, len(candidates) - 1)
                column, other = C[candidates[c], start:stop], C[candidates[d], start:stop]
                first, second = _log_products(column, other, x, keep, share, lanes, bits)
                found[c] += first
                if d > c:
                    found[d] += second
    return found / -n


@_loop
def line(
    column: Array,
    total: Array,
    weight: Array,
    shares: Array,
    blend: Array,
    blend_total: Array,
    fallback: float,
    tile: int,
) -> Array:
    """The log loss of `(1 - s) * blend + s * column` for each share s: float64 of shape (n_shares,).

    Parameters are those of `losses`; `column` and `total` are of one model.
    """
    n = len(blend)
    lanes, exponents = np.empty(_LANES), np.empty(_LANES)
    bits = lanes.view(np.int64)
    found = np.zeros(len(shares))
    for start in range(0, n, tile):
        stop = min(n, start + tile)
        c, t, w = column[start:stop], total[start:stop], weight[start:stop]
        x, x_total = blend[start:stop], blend_total[start:stop]
        for j in range(len(shares)):
            keep, share = 1 - shares[j], shares[j]
            if len(x_total) or len(w):
                found[j] += _log_sum(c, x, t, x_total, w, keep, share, fallback, lanes, bits, exponents)
            else:
                found[j] += _log_product(c, x, keep, share, lanes, bits)
    return found / -n


@_loop
def reach(column: Array, blend: Array, weight: Array) -> Array:
    """How far the step towards a model can go before a row's blend falls to 1e-15, and what may be gained beyond.

    Returns
    -------
    ndarray of float64: lowest and highest share, and the most that the mean loss can fall for each unit of the share
    below the lowest and above the highest. Lowest above highest means that a row of the blend is at 1e-15 already.
    """
    lowest, highest, below, above = -_NEVER, _NEVER, 0.0, 0.0
    for i in range(len(blend)):
        w = weight[i] if len(weight) else 1.0
        room, step = blend[i] - _LOWEST, column[i] - blend[i]
        if room <= 0:
            lowest = _NEVER
        elif step > 0:
            lowest = max(lowest, -room / step)
            above += w * step / blend[i]
        elif step < 0:
            highest = min(highest, -room / step)
            below -= w * step / blend[i]
    return np.array([lowest, highest, below / len(blend), above / len(blend)])


@_loop
def _dot(a: Array, b: Array, weight: Array) -> float:
    found = 0.0
    if len(weight):
        for i in range(len(a)):
            found += weight[i] * (np.float64(a[i]) * np.float64(b[i]))
    else:
        for i in range(len(a)):
            found += np.float64(a[i]) * np.float64(b[i])
    return found


@_loop
def dots(C: Array, candidates: Array, b: Array, tile: int) -> Array:
    """The inner products of the candidates' columns and `b`: float64 of shape (n_candidates,)."""
    n = len(b)
    found = np.zeros(len(candidates))
    for start in range(0, n, tile):
        stop = min(n, start + tile)
        for c in range(len(candidates)):
            found[c] += _dot(C[candidates[c], start:stop], b[start:stop], b[:0])
    return found


@_loop
def tile_dots(a: Array, b: Array, weight: Array, tile: int) -> Array:
    """The weighted sum of `a * b` over each tile: float64 of shape (n_tiles,)."""
    n = len(a)
    found = np.empty((n + tile - 1) // tile)
    for k in range(len(found)):
        start, stop = k * tile, min(n, (k + 1) * tile)
        found[k] = _dot(a[start:stop], b[start:stop], weight[start:stop])
    return found


@_loop
def invert(blend: Array, lowest: float, inverse: Array) -> None:
    """`inverse = 1 / max(blend, lowest)`."""
    for i in range(len(blend)):
        inverse[i] = 1 / max(blend[i], lowest)


@_loop
def tile_logs(inverse: Array, weight: Array, tile: int) -> Array:
    """The weighted sum of `log(inverse)` over each tile: float64 of shape (n_tiles,)."""
    n = len(inverse)
    lanes, exponents = np.empty(_LANES), np.empty(_LANES)
    bits = lanes.view(np.int64)
    found = np.zeros((n + tile - 1) // tile)
    for t in range(len(found)):
        stop = min(n, (t + 1) * tile)
        for i in range(t * tile, stop, _LANES):
            m = min(_LANES, stop - i)
            lanes[:] = 1.0
            for k in range(m):
                lanes[k] = inverse[i + k]
            _logs(lanes, bits, exponents)
            for k in range(m):
                found[t] += lanes[k] * (weight[i + k] if len(weight) else 1.0)
    return found


@_loop
def search(
    C: Array,
    weight: Array,
    candidates: Array,
    blend: Array,
    inverse: Array,
    share: float,
    tile: int,
    bounds: Array,
    dots: Array,
    references: Array,
    cursor: Array,
    now: int,
    slack: float,
) -> Array:
    """The log loss of those candidates that can be the best; 1e300 for the others.

    A candidate's loss is the sum of its tiles. Tiles that were not looked at in this step count with a lower bound;
    a candidate is given up as soon as the sum exceeds the best loss so far. The tile looked at longest ago has the
    loosest bound and comes first.

    Parameters
    ----------
    C, weight, candidates, blend, share, tile
        As of `losses`, candidates in order of promise.
    inverse : ndarray of float32, shape (n_rows,)
        1 / blend: where tangents of the logarithm touch from now on.
    bounds : ndarray of float64, shape (n_models, n_tiles)
        Sums of losses of each tile, from below.
    dots : ndarray of float64, shape (n_models, n_tiles)
        Sums of `column * inverse` of each tile looked at; changed in place.
    references : ndarray of int64, shape (n_models, n_tiles)
        Which inverse `dots` are of; becomes `now` for each tile looked at.
    cursor : ndarray of int64, shape (n_models,)
        The tile to look at first; changed in place.
    now : int
    slack : float
        How far above the best loss a candidate may be before it is given up.

    Returns
    -------
    ndarray of float64, shape (n_candidates,)
    """
    n, keep, n_tiles = len(blend), 1 - share, bounds.shape[1]
    lanes, exponents = np.empty(_LANES), np.empty(_LANES)
    bits = lanes.view(np.int64)
    sums = np.empty(n_tiles)
    found = np.full(len(candidates), _NEVER)
    limit = _NEVER
    for c in range(len(candidates)):
        model = candidates[c]
        bound = bounds[model].sum()
        looked = 0
        while looked < n_tiles and bound <= limit:
            k = cursor[model]
            start, stop = k * tile, min(n, (k + 1) * tile)
            column, x, w = C[model, start:stop], blend[start:stop], weight[start:stop]
            if len(w):
                sums[k] = -_log_sum(column, x, column[:0], w, w, keep, share, 0.0, lanes, bits, exponents)
            else:
                sums[k] = -_log_product(column, x, keep, share, lanes, bits)
            dots[model, k] = _dot(column, inverse[start:stop], w)
            references[model, k] = now
            cursor[model] = 0 if k + 1 == n_tiles else k + 1
            looked += 1
            bound += sums[k] - bounds[model, k]
        if looked == n_tiles:
            total = 0.0
            for k in range(n_tiles):
                total += sums[k]
            found[c] = total / n
            limit = min(limit, total + slack)
    return found


def warm() -> None:
    """Compile every loop for the types it is used with."""
    P, codes = np.full((2, 3, 2), 0.5, dtype=np.float32), np.zeros(3, dtype=np.int64)
    C, none, nothing = np.empty((2, 3), dtype=np.float32), np.empty(0), np.empty((0, 0), dtype=np.float32)
    gather_totals(P, C)
    # As objectives and memory maps are: numba compiles for read-only arrays separately.
    P.flags.writeable = False
    gather(P, codes, C)
    gather_totals(P, C)
    picked = P[:, np.arange(3)]
    for given in (picked, picked.view()):
        gather(given, codes, C)
        given.flags.writeable = False
    C.flags.writeable = False
    blend, inverse = np.full(3, 0.5), np.full(3, 2, dtype=np.float32)
    models, cells = np.arange(2), np.zeros((2, 1))
    step(blend, C[0], 0.5)
    add(blend, C[0], 0.5)
    losses(C, nothing, none, models, blend, none, 0.5, 0.5, 4)
    line(C[0], C[0, :0], none, np.ones(1), blend, none, 0.5, 4)
    search(C, none, models, blend, inverse, 0.5, 4, cells, cells.copy(), np.zeros((2, 1), np.int64), models * 0, 0, 0.0)
    invert(blend, 0.5, inverse)
    dots(C, models, blend, 4)
    line(blend, C[0, :0], none, np.ones(1), blend, none, 0.5, 4)
    reach(C[0], blend, none)
    tile_dots(blend, inverse, none, 4)
    tile_logs(inverse, none, 4)
