"""Gradient boosting with XGBoost."""

from __future__ import annotations

import importlib
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt

from kagglekit.errors import ConfigError, MissingExtra
from kagglekit.models.base import Prepared, TabularClassifier, TabularRegressor
from kagglekit.models.boost import constraints, most_rounds
from kagglekit.models.columns import TabularColumns
from kagglekit.parallel import threads

__all__ = ["XGBoostClassifier", "XGBoostRegressor", "XGBoosting"]

_RegressionObjective = Literal[
    "reg:squarederror",
    "reg:absoluteerror",
    "reg:pseudohubererror",
    "reg:squaredlogerror",
    "reg:gamma",
    "reg:tweedie",
    "count:poisson",
]
_PASSED = (
    "learning_rate",
    "max_depth",
    "min_child_weight",
    "subsample",
    "colsample_bytree",
    "reg_alpha",
    "reg_lambda",
    "max_cat_to_onehot",
    "device",
)


class XGBoosting:
    """XGBoost's settings under its own names, and fitting with or without early stopping.

    Parameters
    ----------
    n_estimators : int, optional
        Rounds; with rows for early stopping the most there can be. None means 2000 with such rows and
        15 / `learning_rate` without.
    learning_rate : float
    max_depth : int
    min_child_weight : float
        Least sum of second derivatives in a leaf.
    subsample, colsample_bytree : float
        Share of the rows and of the columns that each tree sees.
    reg_alpha, reg_lambda : float
        Penalties on leaf values.
    max_cat_to_onehot : int
        Columns with fewer levels than this split off one level at a time, others cut their levels in two.
    monotone : dict of str to 1 or -1, optional
        Columns of numbers along which predictions may only rise (1) or only fall (-1).
    eval_metric : str, optional
        XGBoost's name of the metric that early stopping watches; None takes the objective's own.
    early_stopping_rounds : int
    device : {"cpu", "cuda"}
    n_jobs : int
        Threads; -1 takes every core.
    random_state : int, optional

    Attributes
    ----------
    booster_ : xgboost.Booster
    n_estimators_ : int
        Rounds that predictions use: the best one when it stopped early.
    feature_importances_ : ndarray of shape (n_features_out,)
        Total gain of each of `columns_.get_feature_names_out()`.

    Raises
    ------
    MissingExtra
        XGBoost is not installed.
    ConfigError
        XGBoost refuses a setting, or `y` under this objective.

    Notes
    -----
    Much like LightGBM: it earns its place in a blend by growing trees level by level, not by another idea.
    """

    uses_eval_set = True
    ends_by = "n_estimators"
    booster_: Any
    columns_: TabularColumns

    def __init__(
        self,
        *,
        n_estimators: PositiveInt | None = None,
        learning_rate: PositiveFloat = 0.05,
        max_depth: PositiveInt = 6,
        min_child_weight: NonNegativeFloat = 1.0,
        subsample: PositiveFloat = 0.8,
        colsample_bytree: PositiveFloat = 0.5,
        reg_alpha: NonNegativeFloat = 0.0,
        reg_lambda: NonNegativeFloat = 1.0,
        max_cat_to_onehot: PositiveInt = 4,
        monotone: dict[str, Literal[1, -1]] | None = None,
        eval_metric: str | None = None,
        early_stopping_rounds: PositiveInt = 100,
        device: Literal["cpu", "cuda"] = "cpu",
        n_jobs: int = -1,
        random_state: int | None = None,
    ) -> None:
        self.n_estimators = n_estimators
        self.learning_rate = learning_rate
        self.max_depth = max_depth
        self.min_child_weight = min_child_weight
        self.subsample = subsample
        self.colsample_bytree = colsample_bytree
        self.reg_alpha = reg_alpha
        self.reg_lambda = reg_lambda
        self.max_cat_to_onehot = max_cat_to_onehot
        self.monotone = monotone
        self.eval_metric = eval_metric
        self.early_stopping_rounds = early_stopping_rounds
        self.device = device
        self.n_jobs = n_jobs
        self.random_state = random_state

    @property
    def feature_importances_(self) -> np.ndarray:
        gains = self.booster_.get_score(importance_type="total_gain")
        return np.array([gains.get(f"f{i}", 0.0) for i in range(len(self.columns_.get_feature_names_out()))])

    def _make_columns(self) -> TabularColumns:
        return TabularColumns(fill=False)

    def _boost(self, target: dict[str, Any], prepared: pd.DataFrame, y: np.ndarray, held_out: Prepared | None) -> None:
        xgboost = _xgboost()
        self._n_levels = {c: int(prepared[c].max(skipna=True)) + 1 for c in self.columns_.categorical_}
        try:
            self.booster_ = xgboost.train(
                self._settings(len(y)) | target,
                self._matrix(prepared, y),
                num_boost_round=most_rounds(self.n_estimators, self.learning_rate, held_out is not None),
                evals=[(self._matrix(*held_out), "held_out")] if held_out else [],
                early_stopping_rounds=self.early_stopping_rounds if held_out else None,
                verbose_eval=False,
            )
        except (xgboost.core.XGBoostError, ValueError) as error:
            first = str(error).strip().splitlines()[0]
            raise ConfigError(f"XGBoost refuses this fit: {first}.") from error
        best = self.booster_.best_iteration + 1 if held_out else self.booster_.num_boosted_rounds()
        self.n_estimators_ = int(best)

    def _settings(self, n_rows: int) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in _PASSED}
        if self.monotone:
            own["monotone_constraints"] = tuple(constraints(self.monotone, self.columns_))
        if self.eval_metric:
            own["eval_metric"] = self.eval_metric
        return own | {
            "tree_method": "hist",
            "nthread": threads(self.n_jobs, n_rows),
            "seed": self.random_state or 0,
            "verbosity": 0,
        }

    def _matrix(self, prepared: pd.DataFrame, y: np.ndarray | None = None) -> Any:
        # XGBoost knows no level beyond those of the fit rows: such a one counts as missing.
        known = prepared.assign(**{c: prepared[c].where(prepared[c] < n) for c, n in self._n_levels.items()})
        kinds = ["c" if name in self._n_levels else "q" for name in prepared]
        n_threads = threads(self.n_jobs, len(prepared))
        return _xgboost().DMatrix(
            known.to_numpy(), label=y, feature_types=kinds, enable_categorical=True, nthread=n_threads
        )

    def _raw(self, prepared: pd.DataFrame) -> np.ndarray:
        raw = self.booster_.predict(self._matrix(prepared), iteration_range=(0, self.n_estimators_))
        return np.asarray(raw, dtype=float)


def _xgboost() -> Any:
    try:
        return importlib.import_module("xgboost")
    except ImportError as error:
        raise MissingExtra("The model 'xgboost'", "xgboost", "boosters") from error


class XGBoostClassifier(XGBoosting, TabularClassifier):
    """Gradient boosted trees for labels (Chen & Guestrin 2016); the settings are those of `XGBoosting`.

    The objective is the log loss, of two classes or of many.
    """

    def _fit_model(self, prepared: pd.DataFrame, numbers: np.ndarray, eval_set: Prepared | None) -> None:
        n_classes = len(self.classes_)
        many = {"objective": "multi:softprob", "num_class": n_classes}
        self._boost({"objective": "binary:logistic"} if n_classes == 2 else many, prepared, numbers, eval_set)

    def _predict_model(self, prepared: pd.DataFrame) -> np.ndarray:
        raw = self._raw(prepared)
        return raw if raw.ndim == 2 else np.column_stack([1 - raw, raw])


class XGBoostRegressor(XGBoosting, TabularRegressor):
    """Gradient boosted trees for values (Chen & Guestrin 2016).

    The settings are those of `XGBoosting`, and `objective`.
    """

    def __init__(
        self,
        *,
        objective: _RegressionObjective = "reg:squarederror",
        n_estimators: PositiveInt | None = None,
        learning_rate: PositiveFloat = 0.05,
        max_depth: PositiveInt = 6,
        min_child_weight: NonNegativeFloat = 1.0,
        subsample: PositiveFloat = 0.8,
        colsample_bytree: PositiveFloat = 0.5,
        reg_alpha: NonNegativeFloat = 0.0,
        reg_lambda: NonNegativeFloat = 1.0,
        max_cat_to_onehot: PositiveInt = 4,
        monotone: dict[str, Literal[1, -1]] | None = None,
        eval_metric: str | None = None,
        early_stopping_rounds: PositiveInt = 100,
        device: Literal["cpu", "cuda"] = "cpu",
        n_jobs: int = -1,
        random_state: int | None = None,
    ) -> None:
        self.objective = objective
        super().__init__(
            n_estimators=n_estimators,
            learning_rate=learning_rate,
            max_depth=max_depth,
            min_child_weight=min_child_weight,
            subsample=subsample,
            colsample_bytree=colsample_bytree,
            reg_alpha=reg_alpha,
            reg_lambda=reg_lambda,
            max_cat_to_onehot=max_cat_to_onehot,
            monotone=monotone,
            eval_metric=eval_metric,
            early_stopping_rounds=early_stopping_rounds,
            device=device,
            n_jobs=n_jobs,
            random_state=random_state,
        )

    def _fit_model(self, prepared: pd.DataFrame, values: np.ndarray, eval_set: Prepared | None) -> None:
        self._boost({"objective": self.objective}, prepared, values, eval_set)

    def _predict_model(self, prepared: pd.DataFrame) -> np.ndarray:
        return self._raw(prepared)
