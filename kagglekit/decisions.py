"""From values to classes: thresholds, for metrics such as the quadratic weighted kappa and F1.

A model that minimises squares pulls its values to the middle, so rounding them predicts the rare outer classes too
seldom, and kappa pays for agreeing on those. Cutting the values so that every class gets the share it has among the
training rows mends that. Searching the thresholds that maximise kappa itself scores higher on the rows that it
searched, and no higher on others; that is why there is no such search here. Two classes have a single threshold, which
is searched (`fit_cut`): one number, and for F1 far from one half.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from kagglekit.errors import DataError, PredictionsError, preview

__all__ = ["CUTS", "Thresholds", "expected_class", "fit_cut", "fit_thresholds"]


@dataclass(frozen=True)
class Thresholds:
    """Bounds between ordered classes.

    Parameters
    ----------
    classes : tuple of int
        In rising order.
    bounds : tuple of float
        One fewer than classes, never falling; a value on a bound belongs to the lower class.
    """

    classes: tuple[int, ...]
    bounds: tuple[float, ...]

    def apply(self, values: pd.Series) -> pd.Series:
        """The class of each value, under the same ids."""
        chosen = np.searchsorted(np.array(self.bounds), values.to_numpy(dtype=float))
        return pd.Series(np.array(self.classes)[chosen], index=values.index, name=values.name)


def fit_thresholds(y: pd.Series, values: pd.Series, classes: Sequence[int]) -> Thresholds:
    """Thresholds under which every class gets the share of rows that it has in `y`.

    Parameters
    ----------
    y : Series of int, by id
    values : Series of float, by id
        Out-of-fold predictions for the same ids, in any order.
    classes : sequence of int
        Every class that can occur.

    Returns
    -------
    Thresholds
        Score them on rows that are not in `y`: they have seen these.

    Raises
    ------
    PredictionsError
        The ids differ.
    DataError
        `y` holds a class that is not listed.
    """
    if len(y) != len(values) or set(y.index) != set(values.index):
        raise PredictionsError(f"Thresholds need a value for each of the {len(y)} ids of y, and for no others.")
    ordered = np.sort(np.array(classes))
    unknown = sorted(set(y.unique()) - set(ordered.tolist()))
    if unknown:
        raise DataError(f"These classes are in y and not among {preview(ordered)}: {preview(unknown)}.")
    shares = np.searchsorted(np.sort(y.to_numpy()), ordered[:-1], side="right") / len(y)
    bounds = np.quantile(values.to_numpy(dtype=float), shares)
    return Thresholds(tuple(ordered.tolist()), tuple(bounds.tolist()))


def expected_class(frame: pd.DataFrame, classes: Sequence[int]) -> pd.Series:
    """The mean class under each row's probabilities: one value that thresholds can cut.

    Parameters
    ----------
    frame : DataFrame by id, one column named str(class) for each class
    classes : sequence of int
    """
    weights = np.array(classes, dtype=float)
    return pd.Series(frame[[str(c) for c in classes]].to_numpy(dtype=float) @ weights, index=frame.index)


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    return np.asarray(np.divide(above, below, out=np.zeros_like(above), where=below > 0))


def _f1(tp: np.ndarray, fp: np.ndarray, fn: np.ndarray, tn: np.ndarray) -> np.ndarray:
    return _ratio(2 * tp, 2 * tp + fp + fn)


def _f1_macro(tp: np.ndarray, fp: np.ndarray, fn: np.ndarray, tn: np.ndarray) -> np.ndarray:
    return np.asarray((_f1(tp, fp, fn, tn) + _f1(tn, fn, fp, tp)) / 2)


def _matthews(tp: np.ndarray, fp: np.ndarray, fn: np.ndarray, tn: np.ndarray) -> np.ndarray:
    return _ratio(tp * tn - fp * fn, np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)))


def _accuracy(tp: np.ndarray, fp: np.ndarray, fn: np.ndarray, tn: np.ndarray) -> np.ndarray:
    return np.asarray(tp + tn)


CUTS: Mapping[str, Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray]] = {
    "f1": _f1,
    "f1_macro": _f1_macro,
    "mcc": _matthews,
    "accuracy": _accuracy,
}
"""Metrics of labels of two classes, as functions of true and false positives and negatives."""


def fit_cut(positive: np.ndarray, probability: np.ndarray, metric: str) -> float:
    """The probability from which a row is called positive, so that these rows score best.

    Parameters
    ----------
    positive : ndarray of bool, shape (n_rows,)
    probability : ndarray of shape (n_rows,)
        Of the positive class.
    metric : str
        One of `CUTS`.

    Returns
    -------
    float
        Midway between two rows. Score it on rows that are not among these: they have chosen it.
    """
    order = np.argsort(-probability, kind="stable")
    ranked, hit = probability[order], positive[order].astype(float)
    tp, fp = np.cumsum(hit), np.cumsum(1 - hit)
    values = CUTS[metric](tp, fp, tp[-1] - tp, fp[-1] - fp)
    # A cut lies between two different probabilities, or below the last.
    ends = np.append(ranked[1:] < ranked[:-1], True)
    best = int(np.flatnonzero(ends)[np.argmax(values[ends])])
    below = ranked[best + 1] if best + 1 < len(ranked) else 0.0
    return float((ranked[best] + below) / 2)
