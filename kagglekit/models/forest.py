"""Random forests and extremely randomised trees, with true out-of-bag predictions.

Out-of-bag beside validation is the first check of a split: both come from rows that a tree has not seen, so a gap
between them means that the validation rows are not like the training rows.
"""

from __future__ import annotations

import warnings
from abc import abstractmethod
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import PositiveInt

from kagglekit.errors import ConfigError
from kagglekit.models.bagging import OutOfBag
from kagglekit.models.base import Prepared, TabularClassifier, TabularRegressor

__all__ = ["ExtraTreesClassifier", "ExtraTreesRegressor", "ForestClassifier", "ForestRegressor"]


class Forest(OutOfBag):
    """Settings and out-of-bag predictions, the same for all four.

    Parameters
    ----------
    n_estimators : int
        Trees; more is never worse, only slower.
    max_features : float, int, "sqrt" or "log2"
        Columns tried at each split: a fraction, a number, or a rule.
    min_samples_leaf : int
        Fewest rows in a leaf; 3 to 25 smooth noisy targets.
    max_depth : int, optional
    max_samples : float, optional
        Rows drawn for each tree, as a fraction of all; None draws as many as there are.
    oob : bool
        Draw rows with replacement for each tree and keep out-of-bag predictions; False fits each tree on all rows
        (`extra-trees` only, a forest always draws).
    n_jobs : int
        Threads of `fit`; -1 takes every core.
    random_state : int, optional

    Attributes
    ----------
    forest_ : the fitted scikit-learn forest
    oob_curve_ : Series of float, indexed by numbers of trees
        With `oob` only: the out-of-bag error of the first so many trees (share of wrong labels, or root of the mean
        square). Where it is flat, more trees are only slower.
    oob_prediction_, oob_counts_, never_oob_
        With `oob` only: see `OutOfBag`. Rows that every tree has drawn are to be expected with fewer than about 20.

    Notes
    -----
    Out-of-bag rows are drawn one by one: with grouped or dated rows they are as optimistic as a random split is.
    """

    _grower: str
    uses_sample_weight = True
    forest_: Any

    def __init__(
        self,
        *,
        n_estimators: PositiveInt = 100,
        max_features: Literal["sqrt", "log2"] | int | float = 0.5,
        min_samples_leaf: PositiveInt = 3,
        max_depth: PositiveInt | None = None,
        max_samples: float | None = None,
        oob: bool = True,
        n_jobs: int = -1,
        random_state: int | None = None,
    ) -> None:
        self.n_estimators = n_estimators
        self.max_features = max_features
        self.min_samples_leaf = min_samples_leaf
        self.max_depth = max_depth
        self.max_samples = max_samples
        self.oob = oob
        self.n_jobs = n_jobs
        self.random_state = random_state

    def _grow(self, prepared: pd.DataFrame, target: np.ndarray, weight: np.ndarray | None = None) -> Any:
        from sklearn import ensemble

        draws = self.oob or "RandomForest" in self._grower
        forest = getattr(ensemble, self._grower)(
            n_estimators=self.n_estimators,
            max_features=self.max_features,
            min_samples_leaf=self.min_samples_leaf,
            max_depth=self.max_depth,
            bootstrap=draws,
            max_samples=self.max_samples if draws else None,
            n_jobs=self.n_jobs,
            random_state=self.random_state,
        )
        try:
            forest.fit(prepared.to_numpy(np.float32), target, sample_weight=weight)
        except ValueError as error:
            raise ConfigError(f"The forest refuses a setting: {error}") from error
        # Threads add up the trees in whatever order they end, which changes the last digits from call to call.
        return forest.set_params(n_jobs=1)

    def _learn_oob(self, prepared: pd.DataFrame, target: np.ndarray, columns: list[Any]) -> None:
        """Add up, for each row, the trees that did not draw it: tree by tree, as a thousand of them fill the memory."""
        values = prepared.to_numpy(np.float32)
        total, counts = np.zeros((len(values), len(columns))), np.zeros(len(values), dtype=np.int64)
        looked_at, curve = _looked_at(self.n_estimators), {}
        members = zip(self.forest_.estimators_, self.forest_.estimators_samples_, strict=True)
        for n_trees, (tree, drawn) in enumerate(members, start=1):
            out = np.ones(len(values), dtype=bool)
            out[drawn] = False
            if out.any():
                grown = tree.predict_proba if hasattr(tree, "predict_proba") else tree.predict
                total[out] += grown(values[out]).reshape(-1, len(columns))
                counts += out
            if n_trees in looked_at and (some := counts > 0).any():
                curve[n_trees] = self._oob_error(total[some] / counts[some, None], target[some])
        self.oob_curve_ = pd.Series(curve, dtype=float, name="oob_error").rename_axis("trees")
        self._keep_oob(total, counts, prepared.index, columns)
        if len(self.never_oob_):
            warnings.warn(
                f"{len(self.never_oob_)} of {len(prepared)} rows were drawn by every one of {self.n_estimators} trees "
                "and have no out-of-bag prediction; raise n_estimators or lower max_samples.",
                stacklevel=4,
            )

    @abstractmethod
    def _oob_error(self, predicted: np.ndarray, target: np.ndarray) -> float: ...


def _looked_at(n_trees: int) -> set[int]:
    """About thirty numbers of trees, denser at first, where the error still falls."""
    return {round(n) for n in np.geomspace(min(10, n_trees), n_trees, 30)}


class ForestClassifier(Forest, TabularClassifier):
    """Random forest for labels (Breiman 2001); the settings are those of `Forest`."""

    _grower = "RandomForestClassifier"

    def _fit_model(self, prepared: pd.DataFrame, numbers: np.ndarray, eval_set: Prepared | None) -> None:
        self._fit_weighted(prepared, numbers, eval_set)

    def _fit_weighted(
        self, prepared: pd.DataFrame, numbers: np.ndarray, eval_set: Prepared | None, weight: np.ndarray | None = None
    ) -> None:
        self.forest_ = self._grow(prepared, numbers, weight)
        if self.oob:
            self._learn_oob(prepared, numbers, list(self.classes_))

    def _predict_model(self, prepared: pd.DataFrame) -> np.ndarray:
        return np.asarray(self.forest_.predict_proba(prepared.to_numpy(np.float32)))

    def _oob_error(self, predicted: np.ndarray, target: np.ndarray) -> float:
        return float((predicted.argmax(axis=1) != target).mean())


class ExtraTreesClassifier(ForestClassifier):
    """Extremely randomised trees for labels (Geurts, Ernst & Wehenkel 2006); the settings are those of `Forest`."""

    _grower = "ExtraTreesClassifier"


class ForestRegressor(Forest, TabularRegressor):
    """Random forest for values (Breiman 2001); the settings are those of `Forest`."""

    _grower = "RandomForestRegressor"

    def _fit_model(self, prepared: pd.DataFrame, values: np.ndarray, eval_set: Prepared | None) -> None:
        self._fit_weighted(prepared, values, eval_set)

    def _fit_weighted(
        self, prepared: pd.DataFrame, values: np.ndarray, eval_set: Prepared | None, weight: np.ndarray | None = None
    ) -> None:
        self.forest_ = self._grow(prepared, values, weight)
        if self.oob:
            self._learn_oob(prepared, values, ["value"])

    def _predict_model(self, prepared: pd.DataFrame) -> np.ndarray:
        return np.asarray(self.forest_.predict(prepared.to_numpy(np.float32)))

    def _oob_error(self, predicted: np.ndarray, target: np.ndarray) -> float:
        return float(np.sqrt(((predicted[:, 0] - target) ** 2).mean()))


class ExtraTreesRegressor(ForestRegressor):
    """Extremely randomised trees for values (Geurts, Ernst & Wehenkel 2006); the settings are those of `Forest`."""

    _grower = "ExtraTreesRegressor"
