"""Errors of values over rows, in numpy; see `fast_errors` for what each function gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["absolute_line", "absolute_sums", "advance", "along", "log_line", "log_sums", "shift", "squared_sum"]

Array = npt.NDArray[Any]


def absolute_sums(P: Array, candidates: Array, error: Array, y: Array, share: float, weight: Array) -> Array:
    """Sum over rows of weight * |blend - y| after a step, for each candidate; `error` is blend - y before it."""
    base = (1 - share) * error - share * y
    return np.array([_total(np.abs(base + share * P[m].astype(np.float64)), weight) for m in candidates])


def squared_sum(P: Array, model: int, error: Array, y: Array, share: float, weight: Array) -> float:
    """Sum over rows of weight * (blend - y)^2 after a step; `error` is blend - y before it."""
    return _total(np.square((1 - share) * error + share * (P[model] - y)), weight)


def absolute_line(error: Array, step: Array, shares: Array, weight: Array) -> Array:
    """Sum over rows of weight * |error + share * step|, for each share."""
    return np.array([_total(np.abs(error + share * step), weight) for share in shares])


def log_sums(P: Array, candidates: Array, blend: Array, target: Array, share: float, weight: Array) -> Array:
    """Sum over rows of weight * (log(1 + max(blend, 0)) - target)^2 after a step, to single precision."""
    base, wanted = (1 + (1 - share) * blend).astype(np.float32), target.astype(np.float32)
    return np.array([_log_row(base, P[m], np.float32(share), wanted, weight) for m in candidates])


def log_line(blend: Array, step: Array, target: Array, shares: Array, weight: Array) -> Array:
    """The same of blend + share * step, for each share."""
    base, narrow, wanted = (1 + blend).astype(np.float32), step.astype(np.float32), target.astype(np.float32)
    return np.array([_log_row(base, narrow, np.float32(share), wanted, weight) for share in shares])


def advance(error: Array, P: Array, model: int, y: Array, share: float) -> None:
    """Make `error`, which is blend - y, that of the blend after a step."""
    error *= 1 - share
    error += share * (P[model] - y)


def along(P: Array, vector: Array) -> Array:
    """Sum over rows of P * vector, for each member, in double precision."""
    return np.array([row.astype(np.float64) @ vector for row in P])


def shift(
    P: Array, models: Array, start: int, row: Array, member: Array, root: Array, out: Array, squares: Array
) -> None:
    """Fill `out` with (P - row - member) * root of some members, from row `start` on.

    The sums of their squares are added to `squares`.
    """
    for place, m in enumerate(models):
        moved = P[m, start : start + len(row)] - row - member[m]
        if root.size:
            moved *= root
        out[place] = moved
        squares[place] += moved @ moved


def _total(rows: Array, weight: Array) -> float:
    return float(rows @ weight if weight.size else rows.sum())


def _log_row(base: Array, step: Array, share: np.float32, target: Array, weight: Array) -> float:
    x = step * share
    x += base
    np.maximum(x, 1, out=x)
    np.log(x, out=x)
    x -= target
    np.square(x, out=x)
    return float(x @ weight if weight.size else x.sum(dtype=np.float64))
