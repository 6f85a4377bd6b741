"""Several targets from an estimator that learns one: a clone for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import check_is_fitted

from kagglekit.models.rows import target_table

__all__ = ["PerTarget", "for_targets", "learns_several"]


def learns_several(estimator: Any) -> bool:
    """Whether an estimator takes a table of several targets by itself, as networks do."""
    return bool(getattr(estimator, "learns_several", False))


def for_targets(estimator: Any, targets: Sequence[str]) -> Any:
    """The estimator as it is for one target; for several, one fit for each unless it learns them all by itself.

    Parameters
    ----------
    estimator : scikit-learn estimator
    targets : sequence of str
        Several targets; empty for one.
    """
    return PerTarget(estimator) if targets and not learns_several(estimator) else estimator


class PerTarget(BaseEstimator):
    """One fit of an estimator for each target, side by side.

    When not to use it: with estimators that learn several targets at once, which share what the targets have in common
    and take the time of one fit.

    Parameters
    ----------
    estimator : scikit-learn estimator
        Of one target: a classifier of labels 0 and 1, or a regressor.

    Attributes
    ----------
    estimators_ : dict of str to estimator
        By target, in the order of the columns of y.
    classes_ : ndarray of shape (n_targets,)
        Names of the targets.
    """

    def __init__(self, estimator: Any) -> None:
        self.estimator = estimator

    @property
    def uses_eval_set(self) -> bool:
        """Whether the estimator wants rows to stop early by."""
        return bool(getattr(self.estimator, "uses_eval_set", False))

    def fit(
        self,
        X: pd.DataFrame,
        y: pd.DataFrame,
        eval_set: tuple[pd.DataFrame, pd.DataFrame] | None = None,
        groups: pd.Series | None = None,
        extra: pd.DataFrame | None = None,
        extra_weights: Mapping[str, float] | None = None,
    ) -> Self:
        """Fit a clone on each column of y.

        Parameters
        ----------
        X : DataFrame of shape (n_samples, n_columns)
        y : DataFrame of shape (n_samples, n_targets), indexed like X
        eval_set : (X, y), optional
            Rows for early stopping, with every target.
        groups : Series of shape (n_samples,), optional
            For bags.
        extra, extra_weights : optional
            For bags of an estimator that learns more than the target, see `BaggedEstimator.fit`.

        Raises
        ------
        DataError
            y belongs to other rows, or has gaps.
        """
        target_table(X, y)
        self.estimators_ = {}
        for name in y.columns:
            given: dict[str, Any] = {} if groups is None else {"groups": groups}
            if extra is not None:
                given |= {"extra": extra, "extra_weights": extra_weights}
            if eval_set is not None:
                given["eval_set"] = (eval_set[0], eval_set[1][name])
            self.estimators_[str(name)] = clone(self.estimator).fit(X, y[name], **given)
        self.classes_ = np.array(list(self.estimators_), dtype=object)
        self.feature_names_in_, self.n_features_in_ = X.columns.to_numpy(dtype=object), X.shape[1]
        return self

    def predict_proba(self, X: pd.DataFrame) -> np.ndarray:
        """Probabilities of "yes", shape (n_samples, n_targets); a target that was never "yes" in `fit` gets nought."""
        check_is_fitted(self, "estimators_")
        return np.column_stack([_positive(model, X) for model in self.estimators_.values()])

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Values, or labels, of shape (n_samples, n_targets)."""
        check_is_fitted(self, "estimators_")
        return np.column_stack([model.predict(X) for model in self.estimators_.values()])


def _positive(model: Any, X: pd.DataFrame) -> np.ndarray:
    places = [place for place, label in enumerate(model.classes_) if label == 1]
    if not places:
        return np.zeros(len(X))
    found: np.ndarray = np.asarray(model.predict_proba(X))[:, places[0]]
    return found
