"""Is one run better than another, or is it noise?

Differences are oriented: positive means that b is better than a, whatever the direction of the metric.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from kagglekit.contracts import Label
from kagglekit.errors import DataError
from kagglekit.metrics import Metric
from kagglekit.resampling import resampled_scores

__all__ = [
    "Difference",
    "Interval",
    "RowsScore",
    "Verdict",
    "bootstrap_interval",
    "corrected_t",
    "future_scores",
    "paired_bootstrap",
    "resample",
    "resampled_difference",
    "rows_score",
    "verdict",
    "welch",
]

Array = npt.NDArray[Any]
Verdict = Literal["better", "worse", "no difference"]
RowsScore = Callable[[Array], float]

# Resampled row numbers are drawn in pieces, to hold no more than some tens of MB of them.
_NUMBERS_AT_ONCE = 4_000_000

_ENDS = (0.025, 0.975)
_AT_HAND = "rows at hand"
# Seeds that one course of things may use, so that those of two seeds never overlap.
_PARTS = 16


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
    groups: pd.Series | None = None,
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
    groups : Series by id, optional
        Rows that depend on each other, such as several of one patient: whole groups are drawn.
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
        Ids or columns differ, or a row has no group.
    DataError
        The metric is defined on no resample.

    Notes
    -----
    Source: Efron and Tibshirani 1993, "An Introduction to the Bootstrap", chapter 13. Resamples on which the
    metric is not defined (roc_auc with one class) are left out. The interval holds the noise of the rows and
    not that of training: other seeds or folds would give other predictions. Too narrow for rows that depend on
    each other without `groups`, and for fewer than some 20 groups.
    """
    sign = 1 if metric.greater_is_better else -1
    mean = sign * (metric.score(y, b, classes) - metric.score(y, a, classes))
    scores = resampled_scores(metric, y, [a, b], classes, groups=groups, n_resamples=n_resamples, seed=seed)
    return resampled_difference(mean, sign * (scores[:, 1] - scores[:, 0]))


def resampled_difference(mean: float, differences: Array) -> Difference:
    """A difference and its percentile interval from those of resamples, NaN left out.

    Raises
    ------
    DataError
        All are NaN.
    """
    differences = _defined(differences)
    low, high = np.quantile(differences, _ENDS)
    p_better = np.mean(differences > 0) + np.mean(differences == 0) / 2
    return Difference(mean, float(low), float(high), float(p_better))


def bootstrap_interval(
    metric: Metric,
    y: pd.Series,
    frame: pd.DataFrame,
    classes: Sequence[Label],
    *,
    groups: pd.Series | None = None,
    n_resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """A score and the interval in which it would lie on other rows of the same kind.

    Parameters, raises and notes are those of `paired_bootstrap`. Two intervals that overlap do not show that
    two runs are alike: compare runs with `paired_bootstrap`.
    """
    scores = resampled_scores(metric, y, [frame], classes, groups=groups, n_resamples=n_resamples, seed=seed)
    low, high = np.quantile(_defined(scores[:, 0]), _ENDS)
    return Interval(metric.score(y, frame, classes), float(low), float(high))


def future_scores(
    metric: Metric,
    y: pd.Series,
    frames: Mapping[str, pd.DataFrame],
    classes: Sequence[Label],
    *,
    sizes: Mapping[str, int | None],
    groups: pd.Series | None = None,
    n_resamples: int = 2000,
    seed: int = 0,
) -> dict[str, pd.DataFrame]:
    """Scores that several predictions may get on parts of new rows, such as the public and the private ones.

    Parameters
    ----------
    metric, y, classes, groups, n_resamples, seed
        As in `paired_bootstrap`.
    frames : mapping of str to DataFrame
        Out-of-fold predictions of each candidate for the same ids.
    sizes : mapping of str to int or None
        Rows of each part. None stands for endless rows: the true score, as far as the rows at hand tell.

    Returns
    -------
    dict of str to DataFrame of shape (at most n_resamples, n_candidates)
        For each part, the score of each candidate. A row is one possible course of things, the same in all parts and
        for all candidates.

    Raises
    ------
    PredictionsError, DataError
        As `paired_bootstrap`.

    Notes
    -----
    A score on new rows differs from the score on the rows at hand twice over: these rows were drawn by chance, and so
    will be those. Each course therefore adds, to the score on the rows at hand, the deviation of a resample of their
    number with its sign turned (the same for all parts), and that of a resample of the part's number. Says nothing of
    drift: new rows are taken to be of the same kind.
    """
    names, columns = list(frames), list(frames.values())
    at_hand = np.array([metric.score(y, frame, classes) for frame in columns])
    drawn = {
        part: np.broadcast_to(at_hand, (n_resamples, len(names)))
        if size is None
        else resampled_scores(
            metric, y, columns, classes, size=size, groups=groups, n_resamples=n_resamples, seed=_PARTS * seed + number
        )
        for number, (part, size) in enumerate({_AT_HAND: len(y), **sizes}.items())
    }
    defined = np.all([np.isfinite(scores).all(axis=1) for scores in drawn.values()], axis=0)
    if not defined.any():
        raise _undefined()
    chance = drawn.pop(_AT_HAND)[defined] - at_hand
    return {part: pd.DataFrame(scores[defined] - chance, columns=names) for part, scores in drawn.items()}


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
    sign = 1 if greater_is_better else -1
    differences = sign * (np.asarray(scores_b, dtype=np.float64) - np.asarray(scores_a, dtype=np.float64))
    mean, variance = float(differences.mean()), float(differences.var(ddof=1))
    error = math.sqrt(variance * (1 / k + test_to_fit))
    return _by_t(mean, error, k - 1) if error else _sure(mean)


def welch(
    scores_a: Sequence[float], scores_b: Sequence[float], *, test_to_fit: float, greater_is_better: bool
) -> Difference:
    """Compare two runs by their scores on folds of their own.

    Parameters, returns and raises are those of `corrected_t`, save that the numbers of folds may differ.

    Notes
    -----
    Source: Welch 1947, with each variance widened as in `corrected_t`. Much weaker than a paired comparison: use it
    only where there is no other.
    """
    if min(len(scores_a), len(scores_b)) < 2:
        raise DataError(f"A t test needs at least two folds each; got {len(scores_a)} and {len(scores_b)} scores.")
    sign = 1 if greater_is_better else -1
    mean = sign * float(np.mean(scores_b) - np.mean(scores_a))
    parts = [(float(np.var(s, ddof=1)) * (1 / len(s) + test_to_fit), len(s) - 1) for s in (scores_a, scores_b)]
    variance = sum(part for part, _ in parts)
    if variance == 0:
        return _sure(mean)
    return _by_t(mean, math.sqrt(variance), variance**2 / sum(part**2 / df for part, df in parts))


def _sure(mean: float) -> Difference:
    """The same difference on every fold: there is no spread to estimate an interval from."""
    return Difference(mean, mean, mean, float(np.sign(mean) + 1) / 2)


def _by_t(mean: float, error: float, df: float) -> Difference:
    from scipy.stats import t

    reach = float(t.ppf(_ENDS[1], df)) * error
    return Difference(mean, mean - reach, mean + reach, float(t.cdf(mean / error, df)))


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
    return _defined(np.array(scores))


def _defined(scores: Array) -> Array:
    defined: Array = scores[~np.isnan(scores)]
    if not len(defined):
        raise _undefined()
    return defined


def _undefined() -> DataError:
    return DataError("The metric is defined on no resample of these rows.", hint="Use more rows, or rmse or mae.")


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
