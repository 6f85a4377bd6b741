"""The floor of every report: class frequencies, the mean, and one rule on one column."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from pydantic import PositiveInt

from kagglekit.models.base import Prepared, TabularClassifier, TabularRegressor
from kagglekit.models.columns import TabularColumns

__all__ = ["Majority", "Mean", "OneRClassifier", "OneRRegressor"]


class _SeesNothing(TabularColumns):
    """Remembers which columns there were, and makes one that says nothing."""

    def _learn_column(self, column: pd.Series) -> None:
        self.dropped_[str(column.name)] = "not looked at"

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        return super().transform(X).assign(nothing=0.0)


class Majority(TabularClassifier):
    """The class frequencies of the fit rows, for every row alike; the label is the most frequent class.

    Attributes
    ----------
    class_prior_ : ndarray of shape (n_classes,)
    """

    def _make_columns(self) -> TabularColumns:
        return _SeesNothing()

    def _fit_model(self, prepared: pd.DataFrame, numbers: np.ndarray, eval_set: Prepared | None) -> None:
        self.class_prior_ = np.bincount(numbers) / len(numbers)

    def _predict_model(self, prepared: pd.DataFrame) -> np.ndarray:
        return np.tile(self.class_prior_, (len(prepared), 1))


class Mean(TabularRegressor):
    """The mean of the fit rows, for every row alike.

    Attributes
    ----------
    mean_ : float
    """

    def _make_columns(self) -> TabularColumns:
        return _SeesNothing()

    def _fit_model(self, prepared: pd.DataFrame, values: np.ndarray, eval_set: Prepared | None) -> None:
        self.mean_ = float(values.mean())

    def _predict_model(self, prepared: pd.DataFrame) -> np.ndarray:
        return np.full(len(prepared), self.mean_)


class _OneR:
    """One column, cut into bins; each bin answers with the mean of its fit rows.

    Numbers are cut at quantiles, levels are bins by themselves; those with few rows and missing values share a bin
    with the overall mean.
    """

    columns_: TabularColumns

    def __init__(self, *, bins: PositiveInt = 8, min_bucket: PositiveInt = 6) -> None:
        self.bins = bins
        self.min_bucket = min_bucket

    def _make_columns(self) -> TabularColumns:
        return TabularColumns(fill=False)

    def _learn_rule(self, prepared: pd.DataFrame, target: np.ndarray, error: Any) -> None:
        errors = {}
        for name in prepared:
            edges = self._edges(prepared[name])
            means, bins = self._means(prepared[name], edges, target)
            errors[name] = error(means[bins])
        # Ties go to the first column by name, so that the order of columns cannot matter.
        self.column_ = min(errors, key=lambda n: (errors[n], n))
        self.edges_ = self._edges(prepared[self.column_])
        self.means_, _ = self._means(prepared[self.column_], self.edges_, target)

    def _edges(self, column: pd.Series) -> np.ndarray:
        if column.name in self.columns_.categorical_:
            return np.arange(0.5, column.max())
        values = column.dropna()
        if values.nunique() <= self.bins:
            unique = np.sort(values.unique())
            return np.asarray((unique[1:] + unique[:-1]) / 2)
        return np.unique(np.quantile(values, np.linspace(0, 1, self.bins + 1)[1:-1]))

    def _means(self, column: pd.Series, edges: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        bins = _bins(column, edges)
        counts = np.bincount(bins, minlength=len(edges) + 2)
        sums = np.zeros((len(counts), target.shape[1]))
        np.add.at(sums, bins, target)
        enough = (counts >= self.min_bucket)[:, None]
        return np.where(enough, sums / np.maximum(counts, 1)[:, None], target.mean(axis=0)), bins

    def _answer(self, prepared: pd.DataFrame) -> np.ndarray:
        return np.asarray(self.means_[_bins(prepared[self.column_], self.edges_)])


def _bins(column: pd.Series, edges: np.ndarray) -> np.ndarray:
    values = column.to_numpy()
    return np.where(np.isnan(values), len(edges) + 1, np.searchsorted(edges, values))


class OneRClassifier(_OneR, TabularClassifier):
    """One rule on one column (Holte 1993): the column whose bins make the fewest errors on the fit rows.

    Parameters
    ----------
    bins : int
        Numbers are cut into at most this many bins with equally many rows (Holte cuts by the labels instead).
    min_bucket : int
        Bins with fewer fit rows answer with the frequencies of all rows.

    Attributes
    ----------
    column_ : str
        The prepared column that the rule is on.
    edges_ : ndarray
        Bounds between its bins; a value on a bound belongs to the lower bin.
    means_ : ndarray of shape (n_edges + 2, n_classes)
        Class frequencies of each bin; the last bin holds missing values.

    References
    ----------
    R. C. Holte (1993), Very simple classification rules perform well on most commonly used datasets.
    """

    def _fit_model(self, prepared: pd.DataFrame, numbers: np.ndarray, eval_set: Prepared | None) -> None:
        onehot = np.eye(len(self.classes_))[numbers]

        def error(answers: np.ndarray) -> tuple[float, float]:
            chosen = answers[np.arange(len(numbers)), numbers]
            return float((answers.argmax(axis=1) != numbers).mean()), float(-np.log(chosen).sum())

        self._learn_rule(prepared, onehot, error)

    def _predict_model(self, prepared: pd.DataFrame) -> np.ndarray:
        return self._answer(prepared)


class OneRRegressor(_OneR, TabularRegressor):
    """One rule on one column, for values: the column whose bins' means leave the least squared error.

    Parameters and attributes are those of `OneRClassifier`; `means_` has one column.
    """

    def _fit_model(self, prepared: pd.DataFrame, values: np.ndarray, eval_set: Prepared | None) -> None:
        self._learn_rule(prepared, values[:, None], lambda answers: float(((answers[:, 0] - values) ** 2).sum()))

    def _predict_model(self, prepared: pd.DataFrame) -> np.ndarray:
        return self._answer(prepared)[:, 0]
