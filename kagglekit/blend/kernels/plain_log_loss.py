"""Loops of the log loss, in numpy; each function is described in `fast_log_loss`."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

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
]

Array = npt.NDArray[Any]

_LOWEST, _HIGHEST, _NEVER = 1e-15, 1 - 1e-15, 1e300


def gather(P: Array, codes: Array, out: Array) -> tuple[float, float]:
    """Copy the true-class column of each model."""
    rows = np.arange(len(codes))
    farthest = 0.0
    for table, column in zip(P, out, strict=True):
        column[:] = table[rows, codes]
        farthest = max(farthest, float(np.abs(table.sum(axis=1, dtype=np.float64) - 1).max()))
    return min(float(column.min()) for column in out), farthest


def gather_totals(P: Array, out: Array) -> None:
    """Write the sum of each model's row to `out`."""
    for table, row in zip(P, out, strict=True):
        row[:] = table.sum(axis=1, dtype=np.float64)


def add(blend: Array, column: Array, share: float) -> None:
    """`blend += share * column`."""
    blend += np.float64(share) * column


def step(blend: Array, column: Array, share: float) -> None:
    """`blend = (1 - share) * blend + share * column`, in place."""
    blend *= 1 - share
    blend += np.float64(share) * column


def _log_sum(
    column: Array, blend: Array, total: Array, blend_total: Array, weight: Array, share: float, fallback: float
) -> float:
    """The weighted sum over rows of the logarithm of the clipped blend."""
    # A plain float times an array of single precision would be rounded to single precision.
    share = np.float64(share)
    p = (1 - share) * blend + share * column
    if len(total):
        divisor = (1 - share) * blend_total + share * total
        p = np.divide(p, divisor, out=np.full_like(p, fallback), where=divisor > 0)
    logs = np.log(np.clip(p, _LOWEST, _HIGHEST))
    return float(logs @ weight if len(weight) else logs.sum())


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
    """The log loss of each candidate's step."""
    found = np.zeros(len(candidates))
    none = weight[:0]
    for start in range(0, len(blend), tile):
        rows = slice(start, start + tile)
        for c, model in enumerate(candidates):
            total = totals[model, rows] if len(totals) else none
            found[c] += _log_sum(C[model, rows], blend[rows], total, blend_total[rows], weight[rows], share, fallback)
    mean: Array = found / -len(blend)
    return mean


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
    """The log loss of a step towards one model by each share."""
    found = np.zeros(len(shares))
    for start in range(0, len(blend), tile):
        rows = slice(start, start + tile)
        given = (column[rows], blend[rows], total[rows], blend_total[rows], weight[rows])
        found += [_log_sum(*given, share, fallback) for share in shares]
    mean: Array = found / -len(blend)
    return mean


def reach(column: Array, blend: Array, weight: Array) -> Array:
    """How far the step towards a model can go, and what may be gained beyond."""
    step, room = column - blend, blend - _LOWEST
    if room.min() <= 0:
        return np.array([_NEVER, _NEVER, 0, 0])
    up, down = step > 0, step < 0
    ends = -room / np.where(step == 0, 1, step)
    gains = step / blend * (weight if len(weight) else 1)
    n = len(blend)
    return np.array(
        [ends[up].max(initial=-_NEVER), ends[down].min(initial=_NEVER), -gains[down].sum() / n, gains[up].sum() / n]
    )


def dots(C: Array, candidates: Array, b: Array, tile: int) -> Array:
    """The inner products of the candidates' columns and `b`."""
    return np.array([C[model] @ b for model in candidates])


def _by_tile(rows: Array, weight: Array, tile: int) -> Array:
    sums: Array = np.add.reduceat(rows * weight if len(weight) else rows, np.arange(0, len(rows), tile))
    return sums


def tile_dots(a: Array, b: Array, weight: Array, tile: int) -> Array:
    """The weighted sum of `a * b` over each tile."""
    return _by_tile(a.astype(np.float64) * b, weight, tile)


def invert(blend: Array, lowest: float, inverse: Array) -> None:
    """`inverse = 1 / max(blend, lowest)`."""
    inverse[:] = 1 / np.maximum(blend, lowest)


def tile_logs(inverse: Array, weight: Array, tile: int) -> Array:
    """The weighted sum of `log(inverse)` over each tile."""
    return _by_tile(np.log(inverse.astype(np.float64)), weight, tile)


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
    """The log loss of those candidates that can be the best; 1e300 for the others."""
    n_tiles = bounds.shape[1]
    none = weight[:0]
    found = np.full(len(candidates), _NEVER)
    limit = _NEVER
    for c, model in enumerate(candidates):
        bound, looked, sums = bounds[model].sum(), 0, np.empty(n_tiles)
        while looked < n_tiles and bound <= limit:
            k = cursor[model]
            rows = slice(k * tile, (k + 1) * tile)
            column, w = C[model, rows], weight[rows]
            sums[k] = -_log_sum(column, blend[rows], none, none, w, share, 0.0)
            dots[model, k] = tile_dots(column, inverse[rows], w, tile)[0]
            references[model, k] = now
            cursor[model] = (k + 1) % n_tiles
            looked += 1
            bound += sums[k] - bounds[model, k]
        if looked == n_tiles:
            found[c] = sums.sum() / len(blend)
            limit = min(limit, sums.sum() + slack)
    return found
