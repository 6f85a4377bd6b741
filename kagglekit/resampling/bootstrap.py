"""Resampling the rows of several predictions together."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from kagglekit import metrics
from kagglekit.errors import DataError, PredictionsError
from kagglekit.metrics import Label, Metric
from kagglekit.parallel import n_cores
from kagglekit.resampling.draws import Alike, Cells, Draws, at_once
from kagglekit.resampling.scorers import Plain, Scorer, Sums, areas_of, ranks_of, sums_of

__all__ = ["resampled_scores"]

Array = npt.NDArray[Any]

# Rows drawn in all above which loading compiled loops and starting threads pays.
_MANY = 50_000_000
# Counting how often a cell is drawn costs about as much as drawing this many rows.
_CELL_COST = 16


def resampled_scores(
    metric: Metric,
    y: pd.Series,
    frames: Sequence[pd.DataFrame],
    classes: Sequence[Label],
    *,
    size: int | None = None,
    groups: pd.Series | None = None,
    n_resamples: int = 2000,
    seed: int = 0,
    compiled: bool | None = None,
) -> Array:
    """Scores of several predictions on the same resamples of their rows.

    Parameters
    ----------
    metric : Metric
    y : Series of shape (n_rows,)
        By id.
    frames : sequence of DataFrame of shape (n_rows, n_columns)
        Predictions by id.
    classes : sequence
        As in `Metric.score`.
    size : int, optional
        Rows in a resample; by default as many as there are. With groups, as many groups as hold about that many rows.
    groups : Series by id, optional
        Whole groups are drawn (the cluster bootstrap), as rows of one group err together.
    n_resamples, seed : int
    compiled : bool, optional
        Whether loops are compiled ones; by default when there is much to do and numba is installed. Whole numbers,
        and so labels and ranks, give the same scores in both ways; sums of losses differ by rounding.

    Returns
    -------
    ndarray of float64, shape (n_resamples, n_predictions)
        NaN where the metric is not defined on a resample.

    Raises
    ------
    PredictionsError, DataError
        Ids or columns differ, or a row has no group; `size` is below 1.

    Notes
    -----
    Source: Efron and Tibshirani 1993, chapters 6 and 13; groups: Davison and Hinkley 1997, section 3.8. Exact, never
    binned: metrics of labels resample the table of distinct rows, metrics of losses and moments add columns, the area
    under the ROC curve and the correlation of ranks sort once. Memory does not grow with `n_resamples` but for the
    result. Labels of many classes and predictions are too many distinct rows for a table: there the metric's own
    function is called for each resample.
    """
    truth = metric.truth(y, classes)
    predicted = [metric.predicted(metric.aligned(y, frame, classes), classes) for frame in frames]
    size = len(y) if size is None else size
    if size < 1:
        raise DataError(f"A resample needs at least one row, got size={size}.")
    codes = None if groups is None else _codes(groups, y.index)
    draws, scorer = _plan(metric, truth, predicted, codes, size, seed)
    many = size * n_resamples > _MANY and isinstance(draws, Alike)
    loops = _loops(many and find_spec("numba") is not None if compiled is None else compiled)
    return _run(draws, scorer, n_resamples, loops, n_threads=n_cores() if many else 1)


def _codes(groups: pd.Series, ids: pd.Index) -> Array:
    codes, _ = pd.factorize(groups.reindex(ids))
    if (codes < 0).any():
        raise PredictionsError(f"Every row needs a group to be resampled by; {(codes < 0).sum()} row(s) have none.")
    return np.asarray(codes)


def _plan(
    metric: Metric, truth: Array, predicted: Sequence[Array], groups: Array | None, size: int, seed: int
) -> tuple[Draws, Scorer]:
    sums = sums_of(metric, truth, predicted)
    if groups is not None:
        n_groups = int(groups.max()) + 1
        drawn = max(1, round(size * n_groups / len(truth)))
        return Alike(n_groups, drawn, seed), _scorer(metric, truth, predicted, sums, groups)
    cells = _cells(sums[0] if sums else _columns(truth, predicted))
    first, rows = np.unique(cells, return_index=True, return_counts=True)[1:]
    if len(rows) * _CELL_COST > size:
        return Alike(len(truth), size, seed), _scorer(metric, truth, predicted, sums, None)
    few = None if sums is None else (sums[0][:, first], sums[1])
    return Cells(rows, size, seed), _scorer(metric, truth[first], [p[first] for p in predicted], few, None)


def _columns(truth: Array, predicted: Sequence[Array]) -> Array:
    return np.column_stack([truth, *predicted]).T


def _cells(columns: Array) -> Array:
    """A number for each row, equal for equal rows; columns of shape (n_columns, n_rows)."""
    cells = np.zeros(columns.shape[1], dtype=np.int64)
    for column in columns:
        codes, distinct = pd.factorize(column)
        cells = pd.factorize(cells * len(distinct) + codes)[0]
    return cells


def _scorer(metric: Metric, truth: Array, predicted: Sequence[Array], sums: Any, groups: Array | None) -> Scorer:
    if sums is not None:
        columns, finish = sums
        columns = np.vstack([np.ones(len(truth)), columns])
        if groups is not None:
            columns = np.stack([np.bincount(groups, column) for column in columns])
        return Sums(np.ascontiguousarray(columns), finish)
    if metric.function is metrics.roc_auc:
        return areas_of(truth, predicted, groups)
    if metric.function is metrics.spearman:
        return ranks_of(truth, predicted, groups)
    return Plain(metric, truth, predicted, groups)


def _run(draws: Draws, scorer: Scorer, n_resamples: int, loops: ModuleType, n_threads: int) -> Array:
    many = at_once(draws.n_units)
    pieces = range(-(-n_resamples // many))

    def scores(piece: int) -> Array:
        return scorer.scores(draws.counts(piece, n_resamples - piece * many, loops), loops)

    # Threads do for loops that let go of the interpreter; metrics in Python would only wait for each other.
    if n_threads == 1 or isinstance(scorer, Plain):
        return np.concatenate([scores(piece) for piece in pieces])
    with ThreadPoolExecutor(n_threads) as threads:
        return np.concatenate(list(threads.map(scores, pieces)))


def _loops(compiled: bool) -> ModuleType:
    return importlib.import_module(f"kagglekit.resampling.{'fast' if compiled else 'plain'}")
