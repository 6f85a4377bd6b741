"""Gradient boosting with LightGBM.

Folds of large tables share one binned dataset (`share`): bins are cut by the values of columns alone, never by labels.
Of text, words and their counts are learnt from the fit rows, so tables with text are binned by each fold, and so are
small ones, where a fold's own bins cost nothing.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from pydantic import PositiveFloat, PositiveInt

from kagglekit.errors import ConfigError, MissingExtra, nearest
from kagglekit.models.base import Prepared, TabularClassifier, TabularRegressor
from kagglekit.models.columns import TabularColumns, as_frame
from kagglekit.models.rows import target_values
from kagglekit.parallel import threads

__all__ = [
    "Boosting",
    "LightGBMClassifier",
    "LightGBMRegressor",
    "SharedTable",
    "constraints",
    "most_rounds",
]

_MOST_ROUNDS = 2000
_SHARED_FROM = 50_000  # rows
# What the binning depends on must be the same in all fits that share it.
_QUIET: Mapping[str, Any] = {"verbosity": -1}
_BINNING: Mapping[str, Any] = {**_QUIET, "data_random_seed": 1, "feature_pre_filter": False}
_RegressionObjective = Literal[
    "regression", "regression_l1", "huber", "fair", "poisson", "quantile", "mape", "gamma", "tweedie", "cross_entropy"
]


@dataclass(frozen=True, eq=False)
class SharedTable:
    """Rows that are prepared and binned once, for fits on several parts of them.

    Parameters
    ----------
    columns : TabularColumns
        Fitted on all rows.
    index : Index
        Of the rows; each once.
    dataset : lightgbm.Dataset
        Binned; its labels mean nothing.
    """

    columns: TabularColumns
    index: pd.Index
    dataset: Any

    def rows(self, ids: pd.Index, labels: np.ndarray) -> Any:
        """The binned rows of some ids, under their labels."""
        positions = self.index.get_indexer(ids)
        order = np.argsort(positions, kind="stable")
        part = self.dataset.subset(positions[order].tolist()).construct()
        part.set_label(labels[order])
        return part


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
    ends_by = "n_estimators"
    uses_sample_weight = True
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

    def share(self, X: pd.DataFrame) -> SharedTable | None:
        """Bin rows once, for fits on several parts of them by `fit_shared`.

        Numbers, levels and dates become what they are row by row, and bins are cut by their values: no label is seen.
        Against a fit of its own, a fold's bins are cut by the scored rows' values too, so its trees differ a little.

        Returns
        -------
        SharedTable or None
            None where each fit should bin its own rows: few rows, a column of text, of which words and counts are
            learnt, or rows that come twice.
        """
        X = as_frame(X)
        if len(X) < _SHARED_FROM or X.index.has_duplicates:
            return None
        columns = self._make_columns().fit(X)
        if "text" in columns.kinds_.values() or not len(columns.get_feature_names_out()):
            return None
        lightgbm = _lightgbm()
        nothing = np.zeros(len(X), dtype=np.float32)
        dataset = self._dataset(lightgbm, columns, _plain_numbers(columns, X), nothing, params=_BINNING)
        return SharedTable(columns, X.index, dataset.construct())

    def _take_columns(self, shared: SharedTable) -> None:
        self.columns_ = shared.columns
        self.feature_names_in_ = shared.columns.feature_names_in_
        self.n_features_in_ = shared.columns.n_features_in_

    def _make_columns(self) -> TabularColumns:
        return TabularColumns(fill=False)

    def _boost(
        self,
        target: dict[str, Any],
        prepared: pd.DataFrame,
        y: np.ndarray,
        held_out: Prepared | None,
        weight: np.ndarray | None = None,
    ) -> None:
        lightgbm = _lightgbm()
        rows = self._dataset(lightgbm, self.columns_, prepared.to_numpy(), y)
        if weight is not None:
            rows.set_weight(weight)
        watched = None
        if held_out is not None:
            watched = self._dataset(lightgbm, self.columns_, held_out[0].to_numpy(), held_out[1], reference=rows)
        self._train(self._settings(len(y)) | target, rows, watched)

    def _boost_shared(
        self,
        target: dict[str, Any],
        shared: SharedTable,
        fit: tuple[pd.Index, np.ndarray],
        held_out: tuple[pd.Index, np.ndarray] | None,
    ) -> None:
        rows, watched = shared.rows(*fit), None if held_out is None else shared.rows(*held_out)
        self._train(self._settings(len(fit[1])) | target | dict(_BINNING), rows, watched)

    def _train(self, settings: dict[str, Any], rows: Any, watched: Any) -> None:
        lightgbm = _lightgbm()
        try:
            self.booster_ = lightgbm.train(
                settings,
                rows,
                num_boost_round=most_rounds(self.n_estimators, self.learning_rate, watched is not None),
                valid_sets=None if watched is None else [watched],
                callbacks=[lightgbm.early_stopping(self.early_stopping_rounds, verbose=False)] * (watched is not None),
            )
        except lightgbm.basic.LightGBMError as error:
            raise ConfigError(f"LightGBM refuses this fit: {error}.") from error
        self.n_estimators_ = self.booster_.current_iteration() if watched is None else self.booster_.best_iteration

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

    def _dataset(
        self,
        lightgbm: Any,
        columns: TabularColumns,
        values: np.ndarray,
        y: np.ndarray,
        *,
        reference: Any = None,
        params: Mapping[str, Any] = _QUIET,
    ) -> Any:
        # An array, because LightGBM refuses column names with JSON's characters and warns about others.
        names = list(columns.get_feature_names_out())
        coded = [names.index(c) for c in columns.categorical_]
        return lightgbm.Dataset(values, label=y, reference=reference, categorical_feature=coded, params=dict(params))

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


def _plain_numbers(columns: TabularColumns, X: pd.DataFrame) -> np.ndarray:
    """The prepared rows; without a copy where they are as they came."""
    same = list(X.columns) == list(columns.get_feature_names_out())
    if same and all(X.dtypes == "float64") and _fits(X.to_numpy()):
        return X.to_numpy()
    return columns.transform(X).to_numpy()


def _fits(values: np.ndarray) -> bool:
    """Whether no number is beyond 32 bits, which would count as missing."""
    largest = np.finfo(np.float32).max
    with np.errstate(invalid="ignore"):
        return bool(np.nanmax(values) <= largest and np.nanmin(values) >= -largest)


def _lightgbm() -> Any:
    try:
        return importlib.import_module("lightgbm")
    except ImportError as error:
        raise MissingExtra("Gradient boosting", "lightgbm", "tabular") from error


class LightGBMClassifier(Boosting, TabularClassifier):
    """Gradient boosted trees for labels (Ke et al. 2017); the settings are those of `Boosting`.

    The objective is the log loss, of two classes or of many.
    """

    def fit_shared(self, shared: SharedTable, y: pd.Series, watched: pd.Series | None = None) -> Self:
        """Fit on some rows of a shared table.

        Parameters
        ----------
        shared : SharedTable
            See `share`.
        y : Series of shape (n_samples,)
            Labels of the fit rows, by their ids.
        watched : Series, optional
            Labels of rows for early stopping.
        """
        labels = target_values(y.to_frame(), y)
        self.classes_, numbers = np.unique(labels, return_inverse=True)
        self._take_columns(shared)
        if watched is not None:
            watched = watched[watched.isin(self.classes_)]  # see `_prepare_eval`
        if len(self.classes_) > 1:
            held_out = None
            if watched is not None and len(watched):
                held_out = watched.index, np.searchsorted(self.classes_, target_values(watched.to_frame(), watched))
            self._boost_shared(self._objective, shared, (y.index, numbers), held_out)
        return self

    @property
    def _objective(self) -> dict[str, Any]:
        n_classes = len(self.classes_)
        return {"objective": "binary"} if n_classes == 2 else {"objective": "multiclass", "num_class": n_classes}

    def _fit_model(self, prepared: pd.DataFrame, numbers: np.ndarray, eval_set: Prepared | None) -> None:
        self._fit_weighted(prepared, numbers, eval_set)

    def _fit_weighted(
        self, prepared: pd.DataFrame, numbers: np.ndarray, eval_set: Prepared | None, weight: np.ndarray | None = None
    ) -> None:
        self._boost(self._objective, prepared, numbers, eval_set, weight)

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

    def fit_shared(self, shared: SharedTable, y: pd.Series, watched: pd.Series | None = None) -> Self:
        """Fit on some rows of a shared table; see `LightGBMClassifier.fit_shared`."""
        self._take_columns(shared)
        held_out = None if watched is None else (watched.index, self._as_values(watched.to_frame(), watched))
        fit = y.index, self._as_values(y.to_frame(), y)
        self._boost_shared({"objective": self.objective}, shared, fit, held_out)
        return self

    def _fit_model(self, prepared: pd.DataFrame, values: np.ndarray, eval_set: Prepared | None) -> None:
        self._fit_weighted(prepared, values, eval_set)

    def _fit_weighted(
        self, prepared: pd.DataFrame, values: np.ndarray, eval_set: Prepared | None, weight: np.ndarray | None = None
    ) -> None:
        self._boost({"objective": self.objective}, prepared, values, eval_set, weight)

    def _predict_model(self, prepared: pd.DataFrame) -> np.ndarray:
        return self._raw(prepared)
