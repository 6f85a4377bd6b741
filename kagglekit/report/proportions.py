"""Intervals for shares of rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["wilson"]

Array = npt.NDArray[np.float64]
_Z = 1.959963984540054  # of 95 %


def wilson(hits: Any, n: Any) -> tuple[Array, Array]:
    """The 95 % interval of a share.

    Parameters
    ----------
    hits, n : array_like of int
        Rows that count, of how many; where `n` is 0 the interval is all of 0 to 1.

    Returns
    -------
    low, high : ndarray

    Notes
    -----
    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference". It holds near 0 and 1
    and for few rows, where share ± 1.96 standard errors does not. Not for rows that depend on each other.
    """
    counts, rows = np.asarray(hits, dtype=np.float64), np.asarray(n, dtype=np.float64)
    share = np.divide(counts, rows, out=np.full(np.broadcast(counts, rows).shape, 0.5), where=rows > 0)
    bulk = rows + _Z**2
    middle = (rows * share + _Z**2 / 2) / bulk
    reach = _Z * np.sqrt(rows * share * (1 - share) + _Z**2 / 4) / bulk
    return np.clip(middle - reach, 0, 1), np.clip(middle + reach, 0, 1)
