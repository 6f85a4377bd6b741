"""Linear models with their penalty chosen by inner cross-validation, of curves and products too if asked."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from pydantic import NonNegativeInt, PositiveFloat, PositiveInt
from sklearn.linear_model import LogisticRegression, Ridge, RidgeCV
from sklearn.model_selection import KFold
from sklearn.preprocessing import SplineTransformer
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
_FOLDS = 5


# More columns would make thousands of products: those that vary most, numbers and common levels, are looked at.
_MOST_FACTORS = 60


def _linear_columns() -> TabularColumns:
    return TabularColumns(encode="onehot", scale=True, squash=True, most_words=10)


@dataclass(frozen=True)
class _Design:
    """The columns of the model: those of the table, then curves of numbers, then products.

    Parameters
    ----------
    curved : ndarray of int
        Places of the columns that get splines.
    splines : SplineTransformer, optional
    pairs : tuple of (int, int)
        Places of the columns that are multiplied.
    spread : ndarray
        By which each product is divided.
    """

    curved: np.ndarray
    splines: Any
    pairs: tuple[tuple[int, int], ...]
    spread: np.ndarray

    @classmethod
    def learn(cls, values: np.ndarray, targets: np.ndarray, n_knots: int, n_products: int) -> _Design:
        """Curves for columns of many values; the products that go most with what the columns alone leave.

        Parameters
        ----------
        targets : ndarray of shape (n_rows, n_targets)
            The values, or 0/1 for each class.
        """
        many = [len(np.unique(column)) > 2 * n_knots for column in values.T] if n_knots else []
        curved = np.flatnonzero(many)
        splines = SplineTransformer(n_knots=max(2, n_knots), knots="quantile", extrapolation="linear")
        fitted = splines.fit(values[:, curved]) if len(curved) else None
        pairs = _promising_pairs(values, targets, n_products) if n_products else ()
        products = [values[:, i] * values[:, j] for i, j in pairs]
        spread = np.array([column.std() or 1.0 for column in products])
        return cls(curved, fitted, pairs, spread)

    def of(self, values: np.ndarray) -> np.ndarray:
        parts = [values]
        if self.splines is not None:
            parts.append(self.splines.transform(values[:, self.curved]))
        if self.pairs:
            first, second = np.array(self.pairs).T
            parts.append(values[:, first] * values[:, second] / self.spread)
        return np.hstack(parts)


def _promising_pairs(values: np.ndarray, targets: np.ndarray, n: int) -> tuple[tuple[int, int], ...]:
    """Pairs whose product correlates most with what a linear fit leaves of the targets."""
    rows = values[:_ROWS_TO_CHOOSE_ON], targets[:_ROWS_TO_CHOOSE_ON]
    left = rows[1] - RidgeCV(alphas=_ALPHAS).fit(*rows).predict(rows[0]).reshape(rows[1].shape)
    left = (left - left.mean(axis=0)) / np.maximum(left.std(axis=0), 1e-12)
    factors = np.argsort(-rows[0].std(axis=0), kind="stable")[:_MOST_FACTORS]
    factors.sort()
    found = {}
    for i, j in combinations(factors.tolist(), 2):
        product = rows[0][:, i] * rows[0][:, j]
        if (spread := product.std()) > 1e-9:
            found[i, j] = float(np.abs((product - product.mean()) @ left / spread).max())
    return tuple(sorted(found, key=lambda pair: -found[pair])[:n])


class LinearClassifier(TabularClassifier):
    """Logistic regression on standardised numbers and one-hot levels.

    Parameters
    ----------
    C : float, optional
        Inverse strength of the L2 penalty. None chooses it by the log loss of an inner cross-validation of the fit
        rows (of 10 000 of them, when there are more).
    splines : int
        Knots of a cubic spline for each number, so that effects may bend; 0 leaves them straight. 5 is a good start.
    interactions : int
        How many products of two columns to add: those that go most with what the columns alone leave of the fit rows'
        labels. 20 is a good start.
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
    Not for targets that depend on combinations of many columns; trees find those by themselves.
    """

    model_: LogisticRegression

    def __init__(
        self,
        *,
        C: PositiveFloat | None = None,
        splines: NonNegativeInt = 0,
        interactions: NonNegativeInt = 0,
        max_iter: PositiveInt = 1000,
        random_state: int | None = None,
    ) -> None:
        self.C = C
        self.splines = splines
        self.interactions = interactions
        self.max_iter = max_iter
        self.random_state = random_state

    def _make_columns(self) -> TabularColumns:
        return _linear_columns()

    def _fit_model(self, prepared: pd.DataFrame, numbers: np.ndarray, eval_set: Prepared | None) -> None:
        values = prepared.to_numpy()
        self._design = self._learn_design(values, numbers)
        with threadpool_limits(1 if values.size < _WORTH_THREADS else None):
            self.C_ = self._choose(values, numbers) if self.C is None else self.C
            self.model_ = self._logistic(self.C_).fit(self._design.of(values), numbers)

    def _predict_model(self, prepared: pd.DataFrame) -> np.ndarray:
        return np.asarray(self.model_.predict_proba(self._design.of(prepared.to_numpy())))

    def _learn_design(self, values: np.ndarray, numbers: np.ndarray) -> _Design:
        return _Design.learn(values, np.eye(len(self.classes_))[numbers], self.splines, self.interactions)

    def _logistic(self, C: float) -> LogisticRegression:
        return LogisticRegression(C=C, max_iter=self.max_iter)

    def _choose(self, values: np.ndarray, numbers: np.ndarray) -> float:
        rows = np.random.default_rng(self.random_state or 0).permutation(len(values))[:_ROWS_TO_CHOOSE_ON]
        n_folds = min(_FOLDS, len(rows))
        losses = np.zeros(len(_PENALTIES))
        for fit, score in KFold(n_folds).split(rows):
            if len(np.unique(numbers[rows[fit]])) > 1:
                losses += self._losses(values, numbers, rows[fit], rows[score])
        return _PENALTIES[int(losses.argmin())]

    def _losses(self, values: np.ndarray, numbers: np.ndarray, fit: np.ndarray, score: np.ndarray) -> list[float]:
        losses = []
        # Products are chosen by labels, so those of the rows that are scored here must not take part.
        design = self._learn_design(values[fit], numbers[fit]) if self.interactions else self._design
        values = design.of(values)
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
    splines, interactions : int
        Knots of each number's spline, and products of columns: see `LinearClassifier`.

    Attributes
    ----------
    model_ : the fitted RidgeCV
    alpha_ : float
        The penalty used.

    Notes
    -----
    Not for targets that span orders of magnitude: predict their logarithm (`kagglekit.targets`).
    """

    def __init__(
        self,
        *,
        alpha: PositiveFloat | None = None,
        splines: NonNegativeInt = 0,
        interactions: NonNegativeInt = 0,
    ) -> None:
        self.alpha = alpha
        self.splines = splines
        self.interactions = interactions

    def _make_columns(self) -> TabularColumns:
        return _linear_columns()

    def _fit_model(self, prepared: pd.DataFrame, values: np.ndarray, eval_set: Prepared | None) -> None:
        raw = prepared.to_numpy()
        self._design = self._learn_design(raw, values)
        alphas: Any = _ALPHAS if self.alpha is None else [self.alpha]
        if self.alpha is None and self.interactions and len(raw) >= _FOLDS:
            alphas = [self._choose(raw, values)]
        self.model_ = RidgeCV(alphas=alphas).fit(self._design.of(raw), values)
        self.alpha_ = float(self.model_.alpha_)

    def _learn_design(self, raw: np.ndarray, values: np.ndarray) -> _Design:
        return _Design.learn(raw, values[:, None], self.splines, self.interactions)

    def _choose(self, raw: np.ndarray, values: np.ndarray) -> float:
        """The penalty by folds that choose their products themselves: by leave-one-out those would look too good."""
        rows = np.random.default_rng(0).permutation(len(raw))[:_ROWS_TO_CHOOSE_ON]
        losses = np.zeros(len(_ALPHAS))
        for fit, score in KFold(_FOLDS).split(rows):
            design = self._learn_design(raw[rows[fit]], values[rows[fit]])
            known, new = design.of(raw[rows[fit]]), design.of(raw[rows[score]])
            for i, alpha in enumerate(_ALPHAS):
                model = Ridge(alpha=alpha).fit(known, values[rows[fit]])
                losses[i] += ((model.predict(new) - values[rows[score]]) ** 2).sum()
        return _ALPHAS[int(losses.argmin())]

    def _predict_model(self, prepared: pd.DataFrame) -> np.ndarray:
        return np.asarray(self.model_.predict(self._design.of(prepared.to_numpy())))
