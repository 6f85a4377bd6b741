"""The nearest rows vote."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import PositiveInt
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

from kagglekit.models.base import Prepared, TabularClassifier, TabularRegressor
from kagglekit.models.columns import TabularColumns

__all__ = ["Neighbours", "NeighboursClassifier", "NeighboursRegressor"]


class Neighbours:
    """Settings, the same for labels and values.

    Parameters
    ----------
    n_neighbors : int
        Rows that vote; never more than there are.
    weights : {"distance", "uniform"}
        Nearer rows count for more, or all alike.
    metric : {"euclidean", "manhattan"}
        On standardised numbers and one 0/1 column for each level.

    Attributes
    ----------
    model_ : the fitted scikit-learn estimator

    Notes
    -----
    Not for tables with many columns, most of which say nothing: every column counts for the distance alike. In a blend
    it errs on other rows than trees do, which is its use.
    """

    def __init__(
        self,
        *,
        n_neighbors: PositiveInt = 20,
        weights: Literal["distance", "uniform"] = "distance",
        metric: Literal["euclidean", "manhattan"] = "euclidean",
    ) -> None:
        self.n_neighbors = n_neighbors
        self.weights = weights
        self.metric = metric

    def _make_columns(self) -> TabularColumns:
        return TabularColumns(encode="onehot", scale=True, squash=True, most_words=10)

    def _settings(self, n_rows: int) -> dict[str, Any]:
        return {"n_neighbors": min(self.n_neighbors, n_rows), "weights": self.weights, "metric": self.metric}


class NeighboursClassifier(Neighbours, TabularClassifier):
    """Labels by the nearest rows (Cover & Hart 1967); the settings are those of `Neighbours`."""

    def _fit_model(self, prepared: pd.DataFrame, numbers: np.ndarray, eval_set: Prepared | None) -> None:
        model = KNeighborsClassifier(**self._settings(len(numbers)))
        self.model_ = model.fit(prepared.to_numpy(), numbers)

    def _predict_model(self, prepared: pd.DataFrame) -> np.ndarray:
        return np.asarray(self.model_.predict_proba(prepared.to_numpy()))


class NeighboursRegressor(Neighbours, TabularRegressor):
    """Values by the nearest rows (Cover & Hart 1967); the settings are those of `Neighbours`."""

    def _fit_model(self, prepared: pd.DataFrame, values: np.ndarray, eval_set: Prepared | None) -> None:
        model = KNeighborsRegressor(**self._settings(len(values)))
        self.model_ = model.fit(prepared.to_numpy(), values)

    def _predict_model(self, prepared: pd.DataFrame) -> np.ndarray:
        return np.asarray(self.model_.predict(prepared.to_numpy()))
