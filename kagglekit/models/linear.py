"""Linear models with their penalty chosen by inner cross-validation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from pydantic import PositiveFloat, PositiveInt
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.model_selection import KFold
from threadpoolctl import threadpool_limits

from kagglekit.models.base import Prepared, TabularClassifier, TabularRegressor
from kagglekit.models.columns import TabularColumns

__all__ = ["LinearClassifier", "LinearRegressor"]

_PENALTIES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
# Below this many numbers in the table, threads of the linear algebra wait longer than they work.
_WORTH_THREADS = 1_000_000
_ALPHAS = tuple(np.geomspace(0.1, 1000, 25))
# Choosing a penalty on more rows than this takes minutes and chooses the same.
_ROWS_TO_CHOOSE_ON = 10_000


def _linear_columns() -> TabularColumns:
    return TabularColumns(encode="onehot", scale=True, squash=True, most_words=10)


class LinearClassifier(TabularClassifier):
    """Logistic regression on standardised numbers and one-hot levels.

    Parameters
    ----------
    C : float, optional
        Inverse strength of the L2 penalty. None chooses it by the log loss of an inner cross-validation of the fit
        rows (of 10 000 of them, when there are more).
    max_iter : int
        Most steps of the solver.
    random_state : int, optional
        Deals the rows to the inner folds.

    Attributes
    ----------
    model_ : the fitted LogisticRegression
    C_ : float
        The penalty used.

    Notes
    -----
    Not for targets that depend on combinations of columns; trees find those by themselves.
    """

    model_: LogisticRegression

    def __init__(
        self, *, C: PositiveFloat | None = None, max_iter: PositiveInt = 1000, random_state: int | None = None
    ) -> None:
        self.C = C
        self.max_iter = max_iter
        self.random_state = random_state

    def _make_columns(self) -> TabularColumns:
        return _linear_columns()

    def _fit_model(self, prepared: pd.DataFrame, numbers: np.ndarray, eval_set: Prepared | None) -> None:
        values = prepared.to_numpy()
        with threadpool_limits(1 if values.size < _WORTH_THREADS else None):
            self.C_ = self._choose(values, numbers) if self.C is None else self.C
            self.model_ = self._logistic(self.C_).fit(values, numbers)

    def _predict_model(self, prepared: pd.DataFrame) -> np.ndarray:
        return np.asarray(self.model_.predict_proba(prepared.to_numpy()))

    def _logistic(self, C: float) -> LogisticRegression:
        return LogisticRegression(C=C, max_iter=self.max_iter)

    def _choose(self, values: np.ndarray, numbers: np.ndarray) -> float:
        rows = np.random.default_rng(self.random_state or 0).permutation(len(values))[:_ROWS_TO_CHOOSE_ON]
        n_folds = min(5, len(rows))
        losses = np.zeros(len(_PENALTIES))
        for fit, score in KFold(n_folds).split(rows):
            if len(np.unique(numbers[rows[fit]])) > 1:
                losses += self._losses(values, numbers, rows[fit], rows[score])
        return _PENALTIES[int(losses.argmin())]

    def _losses(self, values: np.ndarray, numbers: np.ndarray, fit: np.ndarray, score: np.ndarray) -> list[float]:
        losses = []
        for C in _PENALTIES:
            model = self._logistic(C).fit(values[fit], numbers[fit])
            # A class that this inner fold lacks costs the same under every penalty.
            known = score[np.isin(numbers[score], model.classes_)]
            chosen = np.searchsorted(model.classes_, numbers[known])
            probabilities = model.predict_proba(values[known])[np.arange(len(known)), chosen]
            losses.append(float(-np.log(np.maximum(probabilities, 1e-15)).sum()))
        return losses


class LinearRegressor(TabularRegressor):
    """Ridge regression on standardised numbers and one-hot levels.

    Parameters
    ----------
    alpha : float, optional
        Strength of the L2 penalty. None chooses it by leave-one-out error on the fit rows, which ridge gives for free
        (Golub, Heath & Wahba 1979).

    Attributes
    ----------
    model_ : the fitted RidgeCV
    alpha_ : float
        The penalty used.

    Notes
    -----
    Not for targets that span orders of magnitude: predict their logarithm (`kagglekit.targets`).
    """

    def __init__(self, *, alpha: PositiveFloat | None = None) -> None:
        self.alpha = alpha

    def _make_columns(self) -> TabularColumns:
        return _linear_columns()

    def _fit_model(self, prepared: pd.DataFrame, values: np.ndarray, eval_set: Prepared | None) -> None:
        alphas: Any = _ALPHAS if self.alpha is None else (self.alpha,)
        self.model_ = RidgeCV(alphas=alphas).fit(prepared.to_numpy(), values)
        self.alpha_ = float(self.model_.alpha_)

    def _predict_model(self, prepared: pd.DataFrame) -> np.ndarray:
        return np.asarray(self.model_.predict(prepared.to_numpy()))
