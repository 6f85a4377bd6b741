"""What every tabular estimator shares: checking X and y, preparing the columns, classes, one-class fits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from kagglekit.errors import ConfigError, DataError, preview
from kagglekit.models.columns import TabularColumns, as_frame
from kagglekit.models.rows import target_values

__all__ = ["EvalSet", "Prepared", "TabularClassifier", "TabularRegressor"]

EvalSet = tuple[pd.DataFrame, pd.Series]
Prepared = tuple[pd.DataFrame, np.ndarray]


def _classes(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    try:
        classes, numbers = np.unique(labels, return_inverse=True)
    except TypeError as error:
        raise DataError(f"Labels must be all text or all numbers ({error}).", hint="Use y.astype(str).") from error
    return classes, numbers


class _Tabular(BaseEstimator, ABC):
    """Base of all tabular estimators: settings are stored, `fit` learns columns and then the model."""

    uses_eval_set: ClassVar[bool] = False
    uses_sample_weight: ClassVar[bool] = False
    ends_by: ClassVar[str] = ""
    """The setting that says how long a fit goes on, and with `_` behind it how long one went on that stopped early."""

    def _make_columns(self) -> TabularColumns:
        return TabularColumns()

    def _learn_columns(self, X: pd.DataFrame) -> pd.DataFrame:
        self.columns_ = self._make_columns()
        prepared = self.columns_.fit(X).transform(X)
        self.feature_names_in_, self.n_features_in_ = self.columns_.feature_names_in_, X.shape[1]
        if prepared.shape[1] == 0:
            why = [f"{name} ({reason})" for name, reason in self.columns_.dropped_.items()]
            raise DataError(f"No column has anything to learn from: {preview(why)}.")
        return prepared

    def _fit_rows(
        self, prepared: pd.DataFrame, target: np.ndarray, eval_set: Prepared | None, sample_weight: Any
    ) -> None:
        if sample_weight is None:
            self._fit_model(prepared, target, eval_set)
            return
        weight = np.asarray(sample_weight, dtype=float)
        if weight.shape != (len(prepared),) or not (weight > 0).all():
            raise DataError(f"sample_weight must hold a number above 0 for each of the {len(prepared)} rows.")
        self._fit_weighted(prepared, target, eval_set, weight)

    def _fit_weighted(
        self, prepared: pd.DataFrame, target: np.ndarray, eval_set: Prepared | None, weight: np.ndarray
    ) -> None:
        raise ConfigError(f"{type(self).__name__} takes no weights of rows.", hint="Leave sample_weight out.")

    @abstractmethod
    def _fit_model(self, prepared: pd.DataFrame, target: np.ndarray, eval_set: Prepared | None) -> None: ...

    def _prepare(self, X: Any) -> pd.DataFrame:
        check_is_fitted(self, "columns_")
        return self.columns_.transform(as_frame(X))


class TabularClassifier(ClassifierMixin, _Tabular):
    """Base of the classifiers. A subclass fits on prepared floats and class numbers."""

    def fit(self, X: pd.DataFrame, y: pd.Series, eval_set: EvalSet | None = None, sample_weight: Any = None) -> Self:
        """Fit on rows of any tabular kind.

        Parameters
        ----------
        X : DataFrame of shape (n_samples, n_columns)
        y : Series of shape (n_samples,), indexed like X
            Text, integer or truth-value labels.
        eval_set : (X, y), optional
            Rows for early stopping; estimators whose `uses_eval_set` is False ignore them.
        sample_weight : array of shape (n_samples,), optional
            What each row counts for; estimators whose `uses_sample_weight` is False refuse it.

        Raises
        ------
        DataError
            y has gaps or belongs to other rows, or no column can be learnt from.
        """
        X = as_frame(X)
        labels = target_values(X, y)
        self.classes_, numbers = _classes(labels)
        prepared = self._learn_columns(X)
        if len(self.classes_) > 1:
            self._fit_rows(prepared, numbers, self._prepare_eval(eval_set), sample_weight)
        return self

    def predict_proba(self, X: pd.DataFrame) -> np.ndarray:
        """Probabilities of shape (n_samples, n_classes); columns in the order of `classes_`."""
        prepared = self._prepare(X)
        if len(self.classes_) == 1:
            return np.ones((len(prepared), 1))
        return self._predict_model(prepared)

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """The most probable label of each row; ties go to the first class."""
        best = self.predict_proba(X).argmax(axis=1)
        return np.asarray(self.classes_[best])

    def _prepare_eval(self, eval_set: EvalSet | None) -> Prepared | None:
        if eval_set is None or not self.uses_eval_set:
            return None
        X, labels = as_frame(eval_set[0]), target_values(as_frame(eval_set[0]), eval_set[1])
        # A label that no fit row has cannot be predicted, so it says nothing about when to stop.
        known = np.isin(labels, self.classes_)
        if not known.any():
            return None
        return self._prepare(X[known]), np.searchsorted(self.classes_, labels[known])

    @abstractmethod
    def _predict_model(self, prepared: pd.DataFrame) -> np.ndarray: ...


class TabularRegressor(RegressorMixin, _Tabular):
    """Base of the regressors. A subclass fits on prepared floats."""

    def fit(self, X: pd.DataFrame, y: pd.Series, eval_set: EvalSet | None = None, sample_weight: Any = None) -> Self:
        """Fit on rows of any tabular kind.

        Parameters
        ----------
        X : DataFrame of shape (n_samples, n_columns)
        y : Series of shape (n_samples,), indexed like X
            Finite numbers.
        eval_set : (X, y), optional
            Rows for early stopping; estimators whose `uses_eval_set` is False ignore them.
        sample_weight : array of shape (n_samples,), optional
            What each row counts for; estimators whose `uses_sample_weight` is False refuse it.

        Raises
        ------
        DataError
            y has gaps, is not numeric or belongs to other rows, or no column can be learnt from.
        """
        X = as_frame(X)
        values = self._as_values(X, y)
        prepared = self._learn_columns(X)
        self._fit_rows(prepared, values, self._prepare_eval(eval_set), sample_weight)
        return self

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Values of shape (n_samples,)."""
        return self._predict_model(self._prepare(X))

    def _prepare_eval(self, eval_set: EvalSet | None) -> Prepared | None:
        if eval_set is None or not self.uses_eval_set:
            return None
        X = as_frame(eval_set[0])
        return self._prepare(X), self._as_values(X, eval_set[1])

    def _as_values(self, X: pd.DataFrame, y: Any) -> np.ndarray:
        try:
            values = target_values(X, y).astype(float)
        except ValueError as error:
            raise DataError(f"y must hold numbers for a regression ({error}).") from error
        if not np.isfinite(values).all():
            raise DataError("y holds infinite values.", hint="Mend them, or drop those rows.")
        return values

    @abstractmethod
    def _predict_model(self, prepared: pd.DataFrame) -> np.ndarray: ...
