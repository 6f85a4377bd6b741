"""Scores of resamples from how often each unit was drawn; the quickest exact way that a metric allows."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from kagglekit import metrics
from kagglekit.errors import DataError
from kagglekit.metrics import Metric

__all__ = ["Areas", "Plain", "Ranks", "Scorer", "Sums", "areas_of", "ranks_of", "sums_of"]

Array = npt.NDArray[Any]

_SIDES: tuple[Literal["left"], Literal["right"]] = ("left", "right")

# Below this share of its mean square, what is left of a spread is rounding.
_NO_SPREAD = 1e-12

# Counts of rows held at once where groups are drawn: 4 MB of int32.
_COUNTS_AT_ONCE = 1 << 20


class Scorer(Protocol):
    """Scores of every prediction for a piece of resamples."""

    def scores(self, counts: Array, loops: ModuleType) -> Array:
        """From int32 counts of shape (n_resamples, n_units): float64 of shape (n_resamples, n_predictions).

        NaN where the metric is not defined.
        """
        ...


@dataclass(frozen=True, eq=False)
class Sums:
    """Metrics that are a function of sums over rows.

    Parameters
    ----------
    columns : ndarray of float64, shape (1 + n_sums, n_units)
        The first holds how many rows a unit has.
    finish : callable
        From the means over rows, shape (n_resamples, n_sums), to the scores.
    """

    columns: Array
    finish: Callable[[Array], Array]

    def scores(self, counts: Array, loops: ModuleType) -> Array:
        totals = loops.totals(counts, self.columns)
        return self.finish(totals[:, 1:] / totals[:, :1])


def sums_of(metric: Metric, truth: Array, predicted: Sequence[Array]) -> tuple[Array, Callable[[Array], Array]] | None:
    """Columns of shape (n_sums, n_rows) and what makes scores of their means; None where no sums do."""
    if metric.per_row is not None:
        losses = np.stack([np.asarray(metric.per_row(truth, p), dtype=np.float64) for p in predicted])
        return losses, metric.finish
    if metric.function is metrics.r2:
        y = truth - truth.mean()
        return np.stack([y, y * y, *(np.square(truth - p) for p in predicted)]), _r2
    if metric.function is metrics.pearson:
        y = truth - truth.mean()
        centred = [p - p.mean() for p in predicted]
        return np.stack([y, y * y, *(column for p in centred for column in (p, p * p, y * p))]), _pearson
    return None


def _variance(mean: Array, square: Array) -> Array:
    variance = square - mean * mean
    rows: Array = np.where(variance > _NO_SPREAD * square, variance, 0.0)
    return rows


def _r2(means: Array) -> Array:
    spread, error = _variance(means[:, 0], means[:, 1])[:, None], means[:, 2:]
    explained = 1 - np.divide(error, spread, out=np.zeros_like(error), where=spread > 0)
    rows: Array = np.where(spread > 0, explained, error == 0)
    return rows


def _pearson(means: Array) -> Array:
    y, p, p_square, product = means[:, :1], means[:, 2::3], means[:, 3::3], means[:, 4::3]
    spread = np.sqrt(_variance(y, means[:, 1:2]) * _variance(p, p_square))
    rows: Array = np.divide(product - y * p, spread, out=np.zeros_like(spread), where=spread > 0)
    return rows.clip(-1, 1)


@dataclass(frozen=True, eq=False)
class Areas:
    """Area under the ROC curve, or the mean over one-vs-rest areas of the classes that were drawn.

    Parameters
    ----------
    truth : ndarray of int, shape (n_rows,)
    orders : tuple, length n_predictions
        For each class that counts as positive: its code, and what `loops.areas` takes.
    groups : ndarray of int, shape (n_rows,), optional
        The unit of each row; without it each row is a unit.
    """

    truth: Array
    orders: tuple[tuple[tuple[Array, Array, Array, Array], ...], ...]
    groups: Array | None = None

    def scores(self, counts: Array, loops: ModuleType) -> Array:
        parts = _by_row(counts, self.groups)
        return np.concatenate(
            [np.stack([self._mean(part, orders, loops) for orders in self.orders], axis=1) for part in parts]
        )

    def _mean(self, counts: Array, orders: Sequence[tuple[Array, ...]], loops: ModuleType) -> Array:
        found = np.stack([loops.areas(counts, *order) for order in orders])
        # A class that was not drawn has no area and is left out; of one class alone, nothing is left.
        defined = ~np.isnan(found)
        rows: Array = np.divide(
            np.where(defined, found, 0).sum(axis=0),
            defined.sum(axis=0),
            out=np.full(len(counts), math.nan),
            where=defined.any(axis=0),
        )
        return rows


def _by_row(counts: Array, groups: Array | None) -> Iterator[Array]:
    """Counts of rows from counts of units, a few resamples at a time: groups are few and their rows may be many."""
    if groups is None:
        yield counts
        return
    some = max(1, _COUNTS_AT_ONCE // len(groups))
    for start in range(0, len(counts), some):
        yield np.take(counts[start : start + some], groups, axis=1)


def areas_of(truth: Array, predicted: Sequence[Array], groups: Array | None) -> Areas:
    """A scorer by ranks; `predicted` as `metrics.roc_auc` takes it."""
    orders = []
    for P in predicted:
        classes = [1] if P.ndim == 1 else range(P.shape[1])
        orders.append(tuple(_order(truth == c, P if P.ndim == 1 else P[:, c]) for c in classes))
    return Areas(truth, tuple(orders), groups)


def _order(positive: Array, scores: Array) -> tuple[Array, Array, Array, Array]:
    above, below = (rows[np.argsort(scores[rows])] for rows in (np.flatnonzero(positive), np.flatnonzero(~positive)))
    lost, kept = (np.searchsorted(scores[below], scores[above], side) for side in _SIDES)
    # Unsigned, so that compiled loops need not look for negative places.
    return above.astype(np.uint32), below.astype(np.uint32), lost.astype(np.uint32), kept.astype(np.uint32)


@dataclass(frozen=True, eq=False)
class Ranks:
    """Correlation of mid-ranks: values are sorted once, and a resample only counts its way along.

    Parameters
    ----------
    truth : tuple of ndarray
        Of `y`: the rows by rising value and, for each row, how many values are below it and how many are not above.
    predicted : tuple, length n_predictions
        The same of each prediction.
    groups : ndarray of int, shape (n_rows,), optional
        The unit of each row; without it each row is a unit.
    """

    truth: tuple[Array, Array, Array]
    predicted: tuple[tuple[Array, Array, Array], ...]
    groups: Array | None = None

    def scores(self, counts: Array, loops: ModuleType) -> Array:
        return np.array([self._correlations(count) for part in _by_row(counts, self.groups) for count in part])

    def _correlations(self, count: Array) -> list[float]:
        weight = count.astype(np.float64)
        y, *ranks = (_centred(_mid_ranks(weight, *order), weight) for order in (self.truth, *self.predicted))
        return [_correlation(y, p, weight) for p in ranks]


def ranks_of(truth: Array, predicted: Sequence[Array], groups: Array | None) -> Ranks:
    """A scorer by ranks for `metrics.spearman`."""
    y, *orders = (_places(values) for values in (truth, *predicted))
    return Ranks(y, tuple(orders), groups)


def _places(values: Array) -> tuple[Array, Array, Array]:
    order = np.argsort(values)
    below, through = (np.searchsorted(values[order], values, side) for side in _SIDES)
    return order, below, through


def _mid_ranks(weight: Array, order: Array, below: Array, through: Array) -> Array:
    """Twice the mid-ranks of rows that count `weight` times: whole numbers, so that equal rows are exactly equal."""
    reach = np.concatenate(([0.0], np.cumsum(weight[order])))
    ranks: Array = reach[below] + reach[through]
    return ranks


def _centred(ranks: Array, weight: Array) -> Array:
    rows: Array = ranks - (ranks @ weight) / weight.sum()
    return rows


def _correlation(a: Array, b: Array, weight: Array) -> float:
    weighted = a * weight
    spread = math.sqrt(float(weighted @ a) * float((b * weight) @ b))
    return float(np.clip(weighted @ b / spread, -1, 1)) if spread > 0 else 0.0


@dataclass(frozen=True, eq=False)
class Plain:
    """Any metric, by its own function with counts as weights.

    Parameters
    ----------
    metric : Metric
    truth : ndarray of shape (n_rows,)
    predicted : sequence of ndarray
    groups : ndarray of int, shape (n_rows,), optional
        The unit of each row; without it each row is a unit.
    """

    metric: Metric
    truth: Array
    predicted: Sequence[Array]
    groups: Array | None = None

    def scores(self, counts: Array, loops: ModuleType) -> Array:
        weights = (weight.astype(np.float64) for part in _by_row(counts, self.groups) for weight in part)
        return np.array([[self._score(p, weight) for p in self.predicted] for weight in weights])

    def _score(self, predicted: Array, weight: Array) -> float:
        try:
            return self.metric.function(self.truth, predicted, weight)
        except DataError:
            return math.nan
