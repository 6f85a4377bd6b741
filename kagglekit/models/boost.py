"""Gradient boosting with LightGBM.

Each fold bins its own rows: what a column is (its kind, its levels, its words) is learnt on the fit rows, so folds have
no table in common of which one binned dataset could be shared.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import PositiveFloat, PositiveInt

from kagglekit.errors import ConfigError, MissingExtra, nearest
from kagglekit.models.base import Prepared, TabularClassifier, TabularRegressor
from kagglekit.models.columns import TabularColumns

__all__ = ["Boosting", "LightGBMClassifier", "LightGBMRegressor", "constraints", "most_rounds", "threads"]

_MOST_ROUNDS = 2000
_ROWS_FOR_THREADS = 5000
_RegressionObjective = Literal[
    "regression", "regression_l1", "huber", "fair", "poisson", "quantile", "mape", "gamma", "tweedie", "cross_entropy"
]


class Boosting:
    """LightGBM's settings under its own names, and fitting with or without early stopping.

    Parameters
    ----------
    n_estimators : int, optional
        Rounds; with rows for early stopping the most there can be. None means 2000 with such rows and
        15 / `learning_rate` without (300 at 0.05), because then nothing else stops it.
    learning_rate : float
    num_leaves, min_data_in_leaf : int
        Size of a tree and of its leaves.
    max_depth : int
        -1 sets no limit.
    feature_fraction, bagging_fraction : float
        Share of the columns and of the rows that each tree sees.
    lambda_l1, lambda_l2 : float
        Penalties on leaf values.
    cat_smooth : float, min_data_per_group : int
        How strongly rare levels are held back; LightGBM's own `min_data_per_group`, 100, suits large tables.
    objective : str, optional
    extra_trees : bool
        Try one threshold of each column, drawn at random, as extremely randomised trees do.
    monotone : dict of str to 1 or -1, optional
        Columns of numbers along which predictions may only rise (1) or only fall (-1); of many classes that of each.
    eval_metric : str, optional
        LightGBM's name of the metric that early stopping watches; None takes the objective's own.
    early_stopping_rounds : int
        Rounds without a gain on the rows for early stopping before it stops.
    device : {"cpu", "gpu", "cuda"}
        Where histograms are built: "gpu" by OpenCL, "cuda" where LightGBM was built for it. Their last digits differ.
    n_jobs : int
        Threads; -1 takes every core. The result does not depend on it.
    random_state : int, optional

    Attributes
    ----------
    booster_ : lightgbm.Booster
    n_estimators_ : int
        Rounds that predictions use: the best one when it stopped early.
    feature_importances_ : ndarray of shape (n_features_out,)
        Total gain of each of `columns_.get_feature_names_out()`.

    Raises
    ------
    MissingExtra
        LightGBM is not installed.
    ConfigError
        LightGBM refuses a setting, or `y` under this objective.
    """

    uses_eval_set = True
    booster_: Any
    columns_: TabularColumns

    def __init__(
        self,
        *,
        n_estimators: PositiveInt | None = None,
        learning_rate: PositiveFloat = 0.05,
        num_leaves: PositiveInt = 31,
        min_data_in_leaf: PositiveInt = 20,
        max_depth: int = -1,
        feature_fraction: PositiveFloat = 0.5,
        bagging_fraction: PositiveFloat = 0.8,
        lambda_l1: float = 0.0,
        lambda_l2: float = 1.0,
        cat_smooth: float = 10.0,
        min_data_per_group: PositiveInt = 20,
        extra_trees: bool = False,
        monotone: dict[str, Literal[1, -1]] | None = None,
        eval_metric: str | None = None,
        early_stopping_rounds: PositiveInt = 100,
        device: Literal["cpu", "gpu", "cuda"] = "cpu",
        n_jobs: int = -1,
        random_state: int | None = None,
    ) -> None:
        self.n_estimators = n_estimators
        self.learning_rate = learning_rate
        self.num_leaves = num_leaves
        self.min_data_in_leaf = min_data_in_leaf
        self.max_depth = max_depth
        self.feature_fraction = feature_fraction
        self.bagging_fraction = bagging_fraction
        self.lambda_l1 = lambda_l1
        self.lambda_l2 = lambda_l2
        self.cat_smooth = cat_smooth
        self.min_data_per_group = min_data_per_group
        self.extra_trees = extra_trees
        self.monotone = monotone
        self.eval_metric = eval_metric
        self.early_stopping_rounds = early_stopping_rounds
        self.device = device
        self.n_jobs = n_jobs
        self.random_state = random_state

    @property
    def feature_importances_(self) -> np.ndarray:
        return np.asarray(self.booster_.feature_importance("gain", iteration=self.n_estimators_))

    def _make_columns(self) -> TabularColumns:
        return TabularColumns(fill=False)

    def _boost(self, target: dict[str, Any], prepared: pd.DataFrame, y: np.ndarray, held_out: Prepared | None) -> None:
        lightgbm = _lightgbm()
        rows = self._dataset(lightgbm, prepared, y)
        stopping = [lightgbm.early_stopping(self.early_stopping_rounds, verbose=False)] if held_out else []
        try:
            self.booster_ = lightgbm.train(
                self._settings(len(y)) | target,
                rows,
                num_boost_round=most_rounds(self.n_estimators, self.learning_rate, held_out is not None),
                valid_sets=[self._dataset(lightgbm, *held_out, reference=rows)] if held_out else None,
                callbacks=stopping,
            )
        except lightgbm.basic.LightGBMError as error:
            raise ConfigError(f"LightGBM refuses this fit: {error}.") from error
        self.n_estimators_ = self.booster_.best_iteration if held_out else self.booster_.current_iteration()

    def _settings(self, n_rows: int) -> dict[str, Any]:
        own = {n: v for n, v in vars(self).items() if n in _PASSED}
        return (
            own
            | self._constraints()
            | {
                "device_type": self.device,
                "metric": self.eval_metric or "",
                "bagging_freq": 1 if self.bagging_fraction < 1 else 0,
                "num_threads": threads(self.n_jobs, n_rows),
                "seed": self.random_state or 0,
                # Histograms built in one fixed way, so that equal seeds give equal trees on any number of threads.
                "deterministic": True,
                "force_row_wise": self.device == "cpu",
                "verbosity": -1,
            }
        )

    def _constraints(self) -> dict[str, Any]:
        if not self.monotone:
            return {}
        signs = constraints(self.monotone, self.columns_)
        # The basic method holds splits back more than it need.
        return {"monotone_constraints": signs, "monotone_constraints_method": "advanced"}

    def _dataset(self, lightgbm: Any, prepared: pd.DataFrame, y: np.ndarray, reference: Any = None) -> Any:
        # An array, because LightGBM refuses column names with JSON's characters and warns about others.
        coded = [prepared.columns.get_loc(c) for c in self.columns_.categorical_]
        return lightgbm.Dataset(
            prepared.to_numpy(), label=y, reference=reference, categorical_feature=coded, params={"verbosity": -1}
        )

    def _raw(self, prepared: pd.DataFrame) -> np.ndarray:
        n_threads = threads(self.n_jobs, len(prepared))
        values = self.booster_.predict(prepared.to_numpy(), num_iteration=self.n_estimators_, num_threads=n_threads)
        return np.asarray(values)


_PASSED = {
    "learning_rate",
    "num_leaves",
    "min_data_in_leaf",
    "max_depth",
    "feature_fraction",
    "bagging_fraction",
    "lambda_l1",
    "lambda_l2",
    "cat_smooth",
    "min_data_per_group",
    "extra_trees",
}


def threads(n_jobs: int, n_rows: int) -> int:
    """Threads for a table: one for a small one, where they wait for each other longer than they work; 0 is all."""
    return 1 if n_rows < _ROWS_FOR_THREADS else max(n_jobs, 0)


def most_rounds(n_estimators: int | None, learning_rate: float, stops_early: bool) -> int:
    """Rounds of boosting: as set, else as many as early stopping may need, or as suit the size of a step."""
    return n_estimators or (_MOST_ROUNDS if stops_early else max(1, round(15 / learning_rate)))


def constraints(monotone: Mapping[str, int], columns: TabularColumns) -> list[int]:
    """The sign of each prepared column, 0 where nothing is asked of it.

    Raises
    ------
    ConfigError
        There is no such column, or it holds no numbers.
    """
    names = [str(name) for name in columns.get_feature_names_out()]
    numbers = [name for name in names if columns.kinds_.get(name) == "number"]
    for name in monotone:
        if name not in numbers:
            raise ConfigError(f"monotone: '{name}' is no column of numbers here.", hint=nearest(name, numbers))
    return [monotone.get(name, 0) for name in names]


def _lightgbm() -> Any:
    try:
        return importlib.import_module("lightgbm")
    except ImportError as error:
        raise MissingExtra("Gradient boosting", "lightgbm", "tabular") from error


class LightGBMClassifier(Boosting, TabularClassifier):
    """Gradient boosted trees for labels (Ke et al. 2017); the settings are those of `Boosting`.

    The objective is the log loss, of two classes or of many.
    """

    def _fit_model(self, prepared: pd.DataFrame, numbers: np.ndarray, eval_set: Prepared | None) -> None:
        n_classes = len(self.classes_)
        binary = {"objective": "binary"}
        self._boost(
            binary if n_classes == 2 else {"objective": "multiclass", "num_class": n_classes},
            prepared,
            numbers,
            eval_set,
        )

    def _predict_model(self, prepared: pd.DataFrame) -> np.ndarray:
        raw = self._raw(prepared)
        return raw if raw.ndim == 2 else np.column_stack([1 - raw, raw])


class LightGBMRegressor(Boosting, TabularRegressor):
    """Gradient boosted trees for values (Ke et al. 2017); the settings are those of `Boosting`, and `objective`."""

    def __init__(
        self,
        *,
        objective: _RegressionObjective = "regression",
        n_estimators: PositiveInt | None = None,
        learning_rate: PositiveFloat = 0.05,
        num_leaves: PositiveInt = 31,
        min_data_in_leaf: PositiveInt = 20,
        max_depth: int = -1,
        feature_fraction: PositiveFloat = 0.5,
        bagging_fraction: PositiveFloat = 0.8,
        lambda_l1: float = 0.0,
        lambda_l2: float = 1.0,
        cat_smooth: float = 10.0,
        min_data_per_group: PositiveInt = 20,
        extra_trees: bool = False,
        monotone: dict[str, Literal[1, -1]] | None = None,
        eval_metric: str | None = None,
        early_stopping_rounds: PositiveInt = 100,
        device: Literal["cpu", "gpu", "cuda"] = "cpu",
        n_jobs: int = -1,
        random_state: int | None = None,
    ) -> None:
        self.objective = objective
        super().__init__(
            n_estimators=n_estimators,
            learning_rate=learning_rate,
            num_leaves=num_leaves,
            min_data_in_leaf=min_data_in_leaf,
            max_depth=max_depth,
            feature_fraction=feature_fraction,
            bagging_fraction=bagging_fraction,
            lambda_l1=lambda_l1,
            lambda_l2=lambda_l2,
            cat_smooth=cat_smooth,
            min_data_per_group=min_data_per_group,
            extra_trees=extra_trees,
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
