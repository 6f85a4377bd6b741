"""Any scikit-learn estimator, by its import path, on any table."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.calibration import CalibratedClassifierCV

from kagglekit.errors import ConfigError, DataError, nearest
from kagglekit.models.base import Prepared, TabularClassifier, TabularRegressor
from kagglekit.models.columns import TabularColumns

__all__ = ["ImportedClassifier", "ImportedRegressor", "find", "wrap"]


def find(path: str) -> type:
    """The class at an import path such as "sklearn.svm.SVC".

    Raises
    ------
    ConfigError
        There is no such module or class, or it has no `fit`.
    """
    module_name, _, name = path.rpartition(".")
    try:
        module = importlib.import_module(module_name)
    except (ImportError, TypeError, ValueError) as error:  # relative names are the last two
        raise ConfigError(
            f"Model '{path}' cannot be imported ({error}).", hint="Write package.module.Class."
        ) from error
    found = getattr(module, name, None)
    if not (inspect.isclass(found) and hasattr(found, "fit") and hasattr(found, "get_params")):
        estimators = [n for n, v in vars(module).items() if inspect.isclass(v) and hasattr(v, "fit")]
        raise ConfigError(f"'{path}' is no scikit-learn estimator.", hint=nearest(name, estimators))
    return found


def wrap(path: str, estimator: type, settings: Mapping[str, Any], task: str) -> Any:
    """The estimator behind the preparation of columns that it needs.

    Raises
    ------
    ConfigError
        It refuses a setting, does the other task, or gives no probabilities for a classification.
    """
    inner = _made(path, estimator, settings)
    if task == "regression":
        _refuse_other_task(path, is_regressor(inner), "regression")
        return ImportedRegressor(inner)
    _refuse_other_task(path, is_classifier(inner), "classification")
    if not (hasattr(inner, "predict_proba") or hasattr(inner, "decision_function")):
        raise ConfigError(
            f"'{path}' gives neither probabilities nor scores with these settings, and ensembles need them.",
            hint="Choose another model, or settings under which it has 'predict_proba'.",
        )
    return ImportedClassifier(inner)


def _made(path: str, estimator: type, settings: Mapping[str, Any]) -> Any:
    try:
        inner = estimator(**settings)
        if hasattr(inner, "_parameter_constraints"):
            inner._validate_params()  # scikit-learn's own check of values, which otherwise waits for fit
    except (TypeError, ValueError) as error:
        raise ConfigError(f"'{path}' refuses its settings: {error}") from error
    return inner


def _refuse_other_task(path: str, fits: bool, task: str) -> None:
    if not fits:
        raise ConfigError(f"'{path}' does no {task}.", hint=f"The competition's task is {task}.")


def _inner_folds(numbers: np.ndarray) -> int:
    fewest = int(np.bincount(numbers).min())
    if fewest < 2:
        raise DataError(
            "Turning scores into probabilities needs two rows of every class; one class has a single row.",
            hint="Drop or merge that class, or choose a model with probabilities of its own.",
        )
    return min(5, fewest)


def _dense_columns() -> TabularColumns:
    return TabularColumns(encode="onehot", scale=True, squash=True)


class ImportedClassifier(TabularClassifier):
    """A scikit-learn classifier on standardised numbers and one-hot levels.

    Parameters
    ----------
    estimator : scikit-learn classifier
        It is cloned, never fitted itself. One with scores but no probabilities (SVC) is calibrated by a sigmoid on
        the scores of an inner cross-validation (Platt 1999).

    Attributes
    ----------
    estimator_ : the fitted clone
    """

    def __init__(self, estimator: Any) -> None:
        self.estimator = estimator

    def _make_columns(self) -> TabularColumns:
        return _dense_columns()

    def _fit_model(self, prepared: pd.DataFrame, numbers: np.ndarray, eval_set: Prepared | None) -> None:
        estimator = clone(self.estimator)
        if not hasattr(estimator, "predict_proba"):
            estimator = CalibratedClassifierCV(estimator, ensemble=False, cv=_inner_folds(numbers))
        self.estimator_ = estimator.fit(prepared.to_numpy(), numbers)

    def _predict_model(self, prepared: pd.DataFrame) -> np.ndarray:
        return np.asarray(self.estimator_.predict_proba(prepared.to_numpy()))


class ImportedRegressor(TabularRegressor):
    """A scikit-learn regressor on standardised numbers and one-hot levels.

    Parameters
    ----------
    estimator : scikit-learn regressor
        It is cloned, never fitted itself.

    Attributes
    ----------
    estimator_ : the fitted clone
    """

    def __init__(self, estimator: Any) -> None:
        self.estimator = estimator

    def _make_columns(self) -> TabularColumns:
        return _dense_columns()

    def _fit_model(self, prepared: pd.DataFrame, values: np.ndarray, eval_set: Prepared | None) -> None:
        self.estimator_ = clone(self.estimator).fit(prepared.to_numpy(), values)

    def _predict_model(self, prepared: pd.DataFrame) -> np.ndarray:
        return np.asarray(self.estimator_.predict(prepared.to_numpy()), dtype=float).ravel()
