"""Area under the ROC curve with its standard error, for rows that may come in groups."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from kagglekit.stats import Interval

__all__ = ["Auc", "ranked"]

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Auc:
    """An AUC and how much each row has to do with it.

    Parameters
    ----------
    value : float
    influence : ndarray of shape (n_rows,)
        Sums to 0.
    """

    value: float
    influence: Array

    def error(self, units: Array) -> float:
        """Standard error when whole units (rows of one number) are drawn anew."""
        totals = np.bincount(pd.factorize(units)[0], weights=self.influence)
        n = len(totals)
        return float(np.sqrt(n / max(1, n - 1) * np.square(totals).sum()))

    def minus(self, other: Auc) -> Auc:
        """The difference of two AUCs of the same rows."""
        return Auc(self.value - other.value, self.influence - other.influence)

    def interval(self, units: Array, *, reach: float, low: float = 0.0, high: float = 1.0) -> Interval:
        """The value plus and minus `reach` standard errors, within bounds."""
        off = reach * self.error(units)
        return Interval(self.value, max(low, self.value - off), min(high, self.value + off))


def ranked(positive: Array, scores: Array) -> Auc:
    """AUC of scores, ties counting half.

    Parameters
    ----------
    positive : ndarray of bool, shape (n_rows,)
        Both kinds must be there.
    scores : ndarray of shape (n_rows,)

    Notes
    -----
    Source: DeLong, DeLong and Clarke-Pearson 1988; for groups Obuchowski 1997, "Nonparametric analysis of clustered ROC
    curve data". Not for a handful of rows or groups: there the normal interval is a rough guess.
    """
    up, down = np.sort(scores[positive]), np.sort(scores[~positive])
    place = np.empty(len(scores))
    place[positive] = _share_below(down, scores[positive])
    place[~positive] = 1 - _share_below(up, scores[~positive])
    value = float(place[positive].mean())
    return Auc(value, (place - value) / np.where(positive, len(up), len(down)))


def _share_below(others: Array, scores: Array) -> Array:
    below, upto = (np.searchsorted(others, scores, side=side) for side in ("left", "right"))
    return np.asarray((below + upto) / (2 * len(others)))
