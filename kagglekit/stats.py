"""Is one run better than another, or is it noise?

Differences are oriented: positive means that b is better than a, whatever the direction of the metric.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from kagglekit.contracts import Label
from kagglekit.errors import DataError
from kagglekit.metrics import Metric

__all__ = [
    "Difference",
    "Interval",
    "RowsScore",
    "Verdict",
    "bootstrap_interval",
    "corrected_t",
    "paired_bootstrap",
    "resample",
    "rows_score",
    "verdict",
]

Array = npt.NDArray[Any]
Verdict = Literal["better", "worse", "no difference"]
RowsScore = Callable[[Array], float]

# Resampled row numbers are drawn in pieces, to hold no more than some tens of MB of them.
_NUMBERS_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class Difference:
    """How much better b is than a, with a 95 % interval.

    Parameters
    ----------
    mean, low, high : float
        In units of the metric; positive when b is better.
    p_better : float
        Share of resamples (or, for the t test, of the t distribution) in which b is better, ties counting
        half.
    """

    mean: float
    low: float
    high: float
    p_better: float


@dataclass(frozen=True)
class Interval:
    """A score with its 95 % interval."""

    score: float
    low: float
    high: float


def paired_bootstrap(
    metric: Metric,
    y: pd.Series,
    a: pd.DataFrame,
    b: pd.DataFrame,
    classes: Sequence[Label],
    *,
    n_resamples: int = 2000,
    seed: int = 0,
) -> Difference:
    """Compare two predictions of the same rows by resampling those rows.

    Both are scored on the same resamples, so that easy and hard rows cancel out.

    Parameters
    ----------
    metric : Metric
    y : Series of shape (n_rows,)
        By id.
    a, b : DataFrame of shape (n_rows, n_columns)
        Out-of-fold predictions by id.
    classes : sequence
        As in `Metric.score`.
    n_resamples : int
    seed : int

    Returns
    -------
    Difference
        `mean` is the difference of the two scores on the rows themselves; the interval is the 2.5 and 97.5
        percentiles.

    Raises
    ------
    PredictionsError
        Ids or columns differ.
    DataError
        The metric is defined on no resample.

    Notes
    -----
    Source: Efron and Tibshirani 1993, "An Introduction to the Bootstrap", chapter 13. Resamples on which the
    metric is not defined (roc_auc with one class) are left out. The interval holds the noise of the rows and
    not that of training: other seeds or folds would give other predictions. Not for rows that depend on each
    other, such as several from one group: there it is too narrow.
    """
    sign = 1 if metric.greater_is_better else -1
    mean = sign * (metric.score(y, b, classes) - metric.score(y, a, classes))
    first, second = _resampled(metric, y, a, classes), _resampled(metric, y, b, classes)
    differences = resample(lambda rows: sign * (second(rows) - first(rows)), len(y), n_resamples, seed)
    low, high = np.quantile(differences, [0.025, 0.975])
    p_better = np.mean(differences > 0) + np.mean(differences == 0) / 2
    return Difference(mean, float(low), float(high), float(p_better))


def bootstrap_interval(
    metric: Metric,
    y: pd.Series,
    frame: pd.DataFrame,
    classes: Sequence[Label],
    *,
    n_resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """A score and the interval in which it would lie on other rows of the same kind.

    Parameters, raises and notes are those of `paired_bootstrap`. Two intervals that overlap do not show that
    two runs are alike: compare runs with `paired_bootstrap`.
    """
    scores = resample(_resampled(metric, y, frame, classes), len(y), n_resamples, seed)
    low, high = np.quantile(scores, [0.025, 0.975])
    return Interval(metric.score(y, frame, classes), float(low), float(high))


def corrected_t(
    scores_a: Sequence[float], scores_b: Sequence[float], *, test_to_fit: float, greater_is_better: bool
) -> Difference:
    """Compare two runs by their scores on the same folds.

    Folds share training rows, so the plain t test finds differences too easily. The correction widens the
    variance of the mean from 1 / K to 1 / K + n_test / n_train.

    Parameters
    ----------
    scores_a, scores_b : sequence of float, length K
        Fold by fold; K counts repeats too.
    test_to_fit : float
        Scored rows divided by fitted rows in each fold: 0.25 for five folds.
    greater_is_better : bool
        Of the metric.

    Returns
    -------
    Difference

    Raises
    ------
    DataError
        The folds differ in number, or there are fewer than two.

    Notes
    -----
    Source: Nadeau and Bengio 2003, "Inference for the generalization error". With five folds the interval is
    wide: few folds say little. Not for time-forward folds, whose training sets differ in size.
    """
    k = len(scores_a)
    if k != len(scores_b) or k < 2:
        raise DataError(f"A paired t test needs the same folds, at least two; got {k} and {len(scores_b)} scores.")
    from scipy.stats import t

    sign = 1 if greater_is_better else -1
    differences = sign * (np.asarray(scores_b, dtype=np.float64) - np.asarray(scores_a, dtype=np.float64))
    mean, variance = float(differences.mean()), float(differences.var(ddof=1))
    error = math.sqrt(variance * (1 / k + test_to_fit))
    if error == 0:
        # The same difference on every fold: there is no spread to estimate an interval from.
        return Difference(mean, mean, mean, float(np.sign(mean) + 1) / 2)
    reach = float(t.ppf(0.975, k - 1)) * error
    return Difference(mean, mean - reach, mean + reach, float(t.cdf(mean / error, k - 1)))


def verdict(difference: Difference) -> Verdict:
    """What the interval allows to say of b: "no difference" unless it lies wholly on one side of 0."""
    if difference.low > 0:
        return "better"
    return "worse" if difference.high < 0 else "no difference"


def resample(score: RowsScore, n_rows: int, n_resamples: int, seed: int) -> Array:
    """The score of each resample of rows that has one: float64 of shape (at most n_resamples,).

    Parameters
    ----------
    score : callable
        As `rows_score` gives it.
    n_rows, n_resamples, seed : int

    Raises
    ------
    DataError
        No resample has a score.
    """
    rng = np.random.default_rng(seed)
    at_once = max(1, _NUMBERS_AT_ONCE // n_rows)
    scores: list[float] = []
    for start in range(0, n_resamples, at_once):
        drawn = rng.integers(0, n_rows, (min(at_once, n_resamples - start), n_rows))
        scores += [score(rows) for rows in drawn]
    defined = np.array(scores)[~np.isnan(scores)]
    if not len(defined):
        raise DataError("The metric is defined on no resample of these rows.", hint="Use more rows, or rmse or mae.")
    return defined


def rows_score(metric: Metric, truth: Array, predicted: Array, weight: Array | None = None) -> RowsScore:
    """A function from row numbers to the score of these rows; NaN where the metric is not defined.

    Parameters
    ----------
    metric : Metric
    truth, predicted : ndarray
        What `metric.function` takes.
    weight : ndarray of shape (n_rows,), optional
        How much each row counts.
    """
    if metric.per_row is not None and weight is None:
        losses, finish = metric.per_row(truth, predicted), metric.finish
        return lambda rows: float(finish(losses[rows].mean()))

    def score(rows: Array) -> float:
        counts = None if weight is None else weight[rows]
        if counts is not None and not counts.any():
            return math.nan
        try:
            return metric.function(truth[rows], predicted[rows], counts)
        except DataError:
            return math.nan

    return score


def _resampled(metric: Metric, y: pd.Series, frame: pd.DataFrame, classes: Sequence[Label]) -> RowsScore:
    predicted = metric.predicted(metric.aligned(y, frame, classes), classes)
    return rows_score(metric, metric.truth(y, classes), predicted)
