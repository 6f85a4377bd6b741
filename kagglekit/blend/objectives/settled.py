"""What objectives share whose rows settle: bounds of rounding, and quick access to the rows that are still open."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["OpenRows", "in_order", "slack_of"]

Array = npt.NDArray[Any]

# Open rows are copied once they are so small a share of all rows, and anew when that share of the copy is left.
_FEW, _FEWER = 0.3, 0.5


def in_order(P: Array) -> Array:
    """Predictions as compiled loops take them: read-only and in the order model, row, column; copied only if not so."""
    view = np.ascontiguousarray(P).view()
    view.flags.writeable = False
    return view


def slack_of(share: float, bound: float, blend_bound: float) -> float:
    """What rounding can do to the difference of two columns of `(1 - share) * blend + share * member`, at most.

    Members are float32, and so is their product with the share, as numpy has it; the rest is float64.

    Parameters
    ----------
    share : float
    bound, blend_bound : float
        The largest absolute value of any member, and of the blend.
    """
    return 1e-6 * abs(share) * bound + 1e-12 * (1 + abs(share)) * (blend_bound + bound) + 1e-30


class OpenRows:
    """Members' rows, those that were open lately side by side: scattered rows take long to come from memory.

    Parameters
    ----------
    P : ndarray of float32, shape (n_models, n_rows, n_columns)
        From `in_order`.
    copies : bool
        Whether up to 30 % of `P` may be copied; not for a matrix on disk.
    """

    def __init__(self, P: Array, *, copies: bool) -> None:
        self._P, self._copies = P, copies
        self._copy: Array | None = None
        self._place_of = np.full(P.shape[1], -1, dtype=np.int32)

    def parts(self, rows: Array) -> list[tuple[Array, Array, Array]]:
        """The rows asked for: in each part predictions, rows, and their places in the predictions.

        Parameters
        ----------
        rows : ndarray of int32, shape (n_open,)
            Ascending.
        """
        most = _FEW * self._P.shape[1] if self._copy is None else _FEWER * self._copy.shape[1]
        if self._copies and len(rows) <= most:
            self._copy = in_order(np.take(self._P, rows, axis=1))
            self._place_of[:] = -1
            self._place_of[rows] = np.arange(len(rows), dtype=np.int32)
        if self._copy is None:
            return [(self._P, rows, rows)]
        places = self._place_of[rows]
        near = places >= 0
        return [(self._copy, rows[near], places[near]), (self._P, rows[~near], rows[~near])]
