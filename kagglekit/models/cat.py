"""Gradient boosting with CatBoost."""

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

__all__ = ["CatBoostClassifier", "CatBoostRegressor", "CatBoosting"]


class CatBoosting:
    """CatBoost's settings, and fitting with or without early stopping.

    Parameters
    ----------
    n_estimators : int, optional
        Rounds; with rows for early stopping the most there can be. None means 2000 with such rows and
        15 / `learning_rate` without.
    learning_rate : float
    depth : int
        Of its symmetric trees, 1 to 16.
    l2_leaf_reg : float
        Penalty on leaf values.
    random_strength : float
        How much chance there is in the scores of splits; it holds back overfitting.
    colsample_bylevel : float
        Share of the columns that each level of a tree may split on.
    monotone : dict of str to 1 or -1, optional
        Columns of numbers along which predictions may only rise (1) or only fall (-1).
    eval_metric : str, optional
        CatBoost's name of the metric that early stopping watches; None takes the objective's own.
    early_stopping_rounds : int
    device : {"cpu", "gpu"}
    n_jobs : int
        Threads; -1 takes every core.
    random_state : int, optional

    Attributes
    ----------
    booster_ : catboost.CatBoost
    n_estimators_ : int
        Rounds that predictions use: the best one when it stopped early.
    feature_importances_ : ndarray of shape (n_features_out,)
        How much predictions change with each of `columns_.get_feature_names_out()`, in percent.

    Raises
    ------
    MissingExtra
        CatBoost is not installed.
    ConfigError
        CatBoost refuses a setting, or `y` under this objective.

    Notes
    -----
    Levels are encoded by the target of the rows before them in a random order (Prokhorenkova et al. 2018), so recipes
    such as `target_encode` add little here. Slower than LightGBM by a factor of a few on tables without levels.
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
        depth: PositiveInt = 6,
        l2_leaf_reg: NonNegativeFloat = 3.0,
        random_strength: NonNegativeFloat = 1.0,
        colsample_bylevel: PositiveFloat = 1.0,
        monotone: dict[str, Literal[1, -1]] | None = None,
        eval_metric: str | None = None,
        early_stopping_rounds: PositiveInt = 100,
        device: Literal["cpu", "gpu"] = "cpu",
        n_jobs: int = -1,
        random_state: int | None = None,
    ) -> None:
        self.n_estimators = n_estimators
        self.learning_rate = learning_rate
        self.depth = depth
        self.l2_leaf_reg = l2_leaf_reg
        self.random_strength = random_strength
        self.colsample_bylevel = colsample_bylevel
        self.monotone = monotone
        self.eval_metric = eval_metric
        self.early_stopping_rounds = early_stopping_rounds
        self.device = device
        self.n_jobs = n_jobs
        self.random_state = random_state

    @property
    def feature_importances_(self) -> np.ndarray:
        return np.asarray(self.booster_.get_feature_importance())

    def _make_columns(self) -> TabularColumns:
        return TabularColumns(fill=False)

    def _boost(self, loss: str, prepared: pd.DataFrame, y: np.ndarray, held_out: Prepared | None) -> None:
        catboost = _catboost()
        try:
            booster = catboost.CatBoost(self._settings(loss, len(y), held_out is not None))
            booster.fit(
                self._pool(prepared, y),
                eval_set=self._pool(*held_out) if held_out else None,
                early_stopping_rounds=self.early_stopping_rounds if held_out else None,
            )
        except catboost.CatBoostError as error:
            first = str(error).strip().splitlines()[0]
            raise ConfigError(f"CatBoost refuses this fit: {first}") from error
        self.booster_ = booster
        self.n_estimators_ = int(booster.tree_count_)

    def _settings(self, loss: str, n_rows: int, stops_early: bool) -> dict[str, Any]:
        settings: dict[str, Any] = {
            "loss_function": loss,
            "iterations": most_rounds(self.n_estimators, self.learning_rate, stops_early),
            "learning_rate": self.learning_rate,
            "depth": self.depth,
            "l2_leaf_reg": self.l2_leaf_reg,
            "random_strength": self.random_strength,
            "random_seed": self.random_state or 0,
            "thread_count": threads(self.n_jobs, n_rows) or -1,
            "task_type": self.device.upper(),
            "use_best_model": stops_early,
            "logging_level": "Silent",
            "allow_writing_files": False,
        }
        if self.colsample_bylevel < 1:
            settings["rsm"] = self.colsample_bylevel
        if self.eval_metric:
            settings["eval_metric"] = self.eval_metric
        if self.monotone:
            settings["monotone_constraints"] = constraints(self.monotone, self.columns_)
        return settings

    def _pool(self, prepared: pd.DataFrame, y: np.ndarray | None = None) -> Any:
        coded = self.columns_.categorical_
        # Numbers as names: CatBoost writes names into files, where some signs are refused.
        levels = {c: prepared[c].fillna(-1).astype(np.int64) for c in coded}
        frame = prepared.assign(**levels).set_axis(range(prepared.shape[1]), axis=1)
        places = [place for place, name in enumerate(prepared) if name in levels]
        return _catboost().Pool(frame, label=y, cat_features=places)

    def _predict(self, prepared: pd.DataFrame, kind: str) -> np.ndarray:
        n_threads = threads(self.n_jobs, len(prepared)) or -1
        return np.asarray(self.booster_.predict(self._pool(prepared), prediction_type=kind, thread_count=n_threads))


def _catboost() -> Any:
    try:
        return importlib.import_module("catboost")
    except ImportError as error:
        raise MissingExtra("The model 'catboost'", "catboost", "boosters") from error


class CatBoostClassifier(CatBoosting, TabularClassifier):
    """Gradient boosted symmetric trees for labels; the settings are those of `CatBoosting`.

    References
    ----------
    Prokhorenkova et al., "CatBoost: unbiased boosting with categorical features", 2018.
    """

    def _fit_model(self, prepared: pd.DataFrame, numbers: np.ndarray, eval_set: Prepared | None) -> None:
        self._boost("Logloss" if len(self.classes_) == 2 else "MultiClass", prepared, numbers, eval_set)

    def _predict_model(self, prepared: pd.DataFrame) -> np.ndarray:
        return self._predict(prepared, "Probability")


class CatBoostRegressor(CatBoosting, TabularRegressor):
    """Gradient boosted symmetric trees for values; the settings are those of `CatBoosting`, and `objective`.

    Parameters
    ----------
    objective : str
        CatBoost's name of the loss: "RMSE", "MAE", "Poisson", "Quantile:alpha=0.9" and so on.
    """

    def __init__(
        self,
        *,
        objective: str = "RMSE",
        n_estimators: PositiveInt | None = None,
        learning_rate: PositiveFloat = 0.05,
        depth: PositiveInt = 6,
        l2_leaf_reg: NonNegativeFloat = 3.0,
        random_strength: NonNegativeFloat = 1.0,
        colsample_bylevel: PositiveFloat = 1.0,
        monotone: dict[str, Literal[1, -1]] | None = None,
        eval_metric: str | None = None,
        early_stopping_rounds: PositiveInt = 100,
        device: Literal["cpu", "gpu"] = "cpu",
        n_jobs: int = -1,
        random_state: int | None = None,
    ) -> None:
        self.objective = objective
        super().__init__(
            n_estimators=n_estimators,
            learning_rate=learning_rate,
            depth=depth,
            l2_leaf_reg=l2_leaf_reg,
            random_strength=random_strength,
            colsample_bylevel=colsample_bylevel,
            monotone=monotone,
            eval_metric=eval_metric,
            early_stopping_rounds=early_stopping_rounds,
            device=device,
            n_jobs=n_jobs,
            random_state=random_state,
        )

    def _fit_model(self, prepared: pd.DataFrame, values: np.ndarray, eval_set: Prepared | None) -> None:
        self._boost(self.objective, prepared, values, eval_set)

    def _predict_model(self, prepared: pd.DataFrame) -> np.ndarray:
        return self._predict(
            prepared, "Exponent" if self.objective.startswith(("Poisson", "Tweedie")) else "RawFormulaVal"
        )
