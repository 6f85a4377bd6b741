"""Bagging of any estimator, deep models too, with true out-of-bag predictions.

Several fits on drawn rows; each row is then predicted by the fits that did not draw it. One fit of the whole gives an
honest prediction of every row and a model of the full size, where cross-validation gives the former only.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, clone, is_classifier
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from kagglekit.errors import ConfigError, DataError
from kagglekit.models.base import EvalSet
from kagglekit.models.columns import as_frame
from kagglekit.models.rows import check_same_rows, target_values
from kagglekit.progress import Silent

__all__ = ["BaggedClassifier", "BaggedEstimator", "BaggedRegressor", "OutOfBag", "out_of_bag_sum"]

_CARVED = 0.15  # share of a bag's units that early stopping watches
_SEEDS = ("random_state", "seed")


def out_of_bag_sum(predictions: np.ndarray, in_bag: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each row, the sum over the bags that did not draw it, and how many those are.

    Parameters
    ----------
    predictions : ndarray of shape (n_bags, n_rows, n_columns)
        What is stored for rows that a bag drew is not looked at; it may be NaN.
    in_bag : ndarray of bool, shape (n_bags, n_rows)

    Returns
    -------
    total : ndarray of shape (n_rows, n_columns), float64
    counts : ndarray of int, shape (n_rows,)
    """
    out = ~in_bag
    total = np.asarray(np.sum(predictions, axis=0, dtype=np.float64, where=out[:, :, None]))
    return total, out.sum(axis=0)


class OutOfBag:
    """What every bagged estimator keeps of its out-of-bag predictions.

    Attributes
    ----------
    oob_prediction_ : DataFrame of shape (n_samples, n_classes) or (n_samples, 1)
        Indexed like X; one column for each of `classes_`, or "value". Each row is the mean of the members that did not
        draw it; NaN for the rows in `never_oob_`.
    oob_counts_ : Series of int, indexed like X
        How many members did not draw the row.
    never_oob_ : Index
        Rows that every member has drawn: reported, never filled.
    """

    def _keep_oob(self, total: np.ndarray, counts: np.ndarray, index: pd.Index, columns: list[Any]) -> None:
        some = counts[:, None] > 0
        mean = np.divide(total, counts[:, None], out=np.full_like(total, np.nan), where=some)
        self.oob_prediction_ = pd.DataFrame(mean, index=index, columns=columns)
        self.oob_counts_ = pd.Series(counts, index=index, name="oob_count")
        self.never_oob_ = index[counts == 0]


class BaggedEstimator(OutOfBag, BaseEstimator, ABC):
    """Settings, drawing and fitting, the same for both forms: use `BaggedClassifier` or `BaggedRegressor`.

    Bagging helps models whose fits vary (trees, boosting, networks); a linear model on many rows gains nothing but the
    out-of-bag predictions. Not for rows ordered by time: a row would be predicted by fits on later ones.

    Parameters
    ----------
    estimator : scikit-learn estimator
        It is cloned, never fitted itself. Each bag's clone gets a seed of its own, nested ones too.
    n_estimators : int
        Bags. A row is drawn by every one with probability 0.63 ** n_estimators: 1 % at 10, 0.01 % at 20.
    max_samples : float
        Drawn for each bag, as a share of the rows; with `groups` as a share of the groups.
    bootstrap : bool
        Draw with replacement: copies keep the bag as large as the data, which settings such as a leaf's size are chosen
        for. False draws each at most once, for estimators that copies mislead (those that cross-validate inside).
        `max_samples=0.632` then leaves out as many rows as the bootstrap does.
    oob : bool
        Predict for each bag the rows that it left out.
    random_state : int, RandomState or None
    progress : kagglekit.progress.Progress, optional
        Where to report to.

    Attributes
    ----------
    estimators_ : list of fitted estimators
        One for each bag; none is ever dropped, and networks stay on the device that they were fitted on.
    in_bag_ : ndarray of bool, shape (n_estimators, n_samples)
        Which rows each bag has seen, for fitting or for early stopping.
    bag_predictions_ : ndarray of float32, shape (n_estimators, n_samples, n_classes or 1)
        With `oob` only: what each bag says of the rows that it left out; NaN for those it drew.
    oob_prediction_, oob_counts_, never_oob_
        With `oob` only: see `OutOfBag`.

    Notes
    -----
    Which bag draws which row depends on the index of X and the seed, not on the order of the rows; more bags leave the
    first ones as they are.

    Where the estimator stops early, the rows that it watches come from the bag's own draw (whole groups, else the same
    share of each class), and count as drawn. The left-out rows would be the natural choice, but they are scored, and a
    row that chose the number of rounds is no longer unseen.

    References
    ----------
    Breiman, "Bagging predictors", 1996; "Out-of-bag estimation", 1996.
    Bühlmann and Yu, "Analyzing bagging", 2002 (without replacement).
    """

    def __init__(
        self,
        estimator: Any,
        *,
        n_estimators: int = 10,
        max_samples: float = 1.0,
        bootstrap: bool = True,
        oob: bool = True,
        random_state: Any = None,
        progress: Any = None,
    ) -> None:
        self.estimator = estimator
        self.n_estimators = n_estimators
        self.max_samples = max_samples
        self.bootstrap = bootstrap
        self.oob = oob
        self.random_state = random_state
        self.progress = progress

    @property
    def uses_eval_set(self) -> bool:
        """Whether the estimator stops early. Without an `eval_set` each bag carves one from the rows it drew."""
        return bool(getattr(self.estimator, "uses_eval_set", False))

    def fit(
        self,
        X: pd.DataFrame,
        y: pd.Series,
        eval_set: EvalSet | None = None,
        groups: Any = None,
        extra: pd.DataFrame | None = None,
        extra_weights: Mapping[str, float] | None = None,
    ) -> Self:
        """Fit one clone on each bag.

        Parameters
        ----------
        X : DataFrame of shape (n_samples, n_columns)
        y : Series of shape (n_samples,), indexed like X
        eval_set : (X, y), optional
            Rows for early stopping, the same for all bags. They must be other rows than X.
        groups : Series of shape (n_samples,), indexed like X, optional
            Rows of one group are drawn together or left out together.
        extra : DataFrame of shape (n_samples, n_extras), indexed like X, optional
            For estimators that learn more than the target (`TimmEstimator.fit`): each bag's clone gets its own rows.
        extra_weights : mapping of str to float, optional
            Handed on with `extra`.

        Raises
        ------
        ConfigError
            A setting is out of range, the estimator does the other task, gives no probabilities or learns no extras.
        DataError
            y, groups or extra have gaps or belong to other rows; and what the estimator raises.
        """
        X = as_frame(X)
        self._check_settings()
        self._check_extra(X, extra)
        target = self._learn_target(X, y)
        self.feature_names_in_, self.n_features_in_ = X.columns.to_numpy(dtype=object), X.shape[1]
        units = _Units.of(X, groups, target)
        self.estimators_: list[Any] = []
        self.in_bag_ = np.zeros((self.n_estimators, len(X)), dtype=bool)
        known = None if groups is None else np.asarray(groups)
        self._fit_bags(_Given(X, target, units, eval_set, known, extra, extra_weights))
        return self

    def _check_extra(self, X: pd.DataFrame, extra: pd.DataFrame | None) -> None:
        if extra is None:
            return
        if not getattr(self.estimator, "learns_extras", False):
            raise ConfigError(f"{type(self.estimator).__name__} learns nothing beside the target; leave extra out.")
        check_same_rows(X, extra, "extra")

    def _fit_bags(self, given: _Given) -> None:
        columns, X, units = self._columns(), given.X, given.units
        seed = check_random_state(self.random_state).randint(2**31 - 1)
        if self.oob:
            self.bag_predictions_ = np.full((self.n_estimators, len(X), len(columns)), np.nan, dtype=np.float32)
        with (self.progress or Silent()).task("bags", self.n_estimators) as bar:
            for bag in range(self.n_estimators):
                rng = np.random.default_rng([seed, bag])
                counts = self._draw(units.n, rng)
                self.in_bag_[bag, units.rows(counts)] = True
                self.estimators_.append(self._fit_bag(given, counts, rng))
                out = np.flatnonzero(~self.in_bag_[bag])
                if self.oob and len(out):
                    self.bag_predictions_[bag, out] = self._values(self.estimators_[-1], X.iloc[out])
                bar.advance()
        if self.oob:
            self._keep_oob(*out_of_bag_sum(self.bag_predictions_, self.in_bag_), X.index, columns)

    def _draw(self, n_units: int, rng: np.random.Generator) -> np.ndarray:
        """How often each unit is in the bag."""
        n_drawn = max(1, round(self.max_samples * n_units))
        drawn = rng.integers(n_units, size=n_drawn) if self.bootstrap else rng.permutation(n_units)[:n_drawn]
        return np.bincount(drawn, minlength=n_units)

    def _fit_bag(self, given: _Given, counts: np.ndarray, rng: np.random.Generator) -> Any:
        estimator, eval_set = _fresh(self.estimator, rng), given.eval_set
        if self.uses_eval_set and eval_set is None:
            counts, carved = given.units.carve(counts, rng)
            if len(carved):
                eval_set = given.labelled(carved)
        rows = given.units.rows(counts)
        estimator = self._usable(estimator, given.target[rows])
        return estimator.fit(*given.labelled(rows), **given.beside(rows, estimator, eval_set))

    def _mean(self, X: Any) -> np.ndarray:
        check_is_fitted(self, "estimators_")
        X = as_frame(X)
        total = np.zeros((len(X), len(self._columns())))
        for estimator in self.estimators_:
            total += self._values(estimator, X)
        return total / len(self.estimators_)

    def _check_settings(self) -> None:
        if self.n_estimators < 1:
            raise ConfigError(f"n_estimators must be at least 1, got {self.n_estimators}.")
        if not 0 < self.max_samples <= 1:
            raise ConfigError(f"max_samples is a share above 0 and at most 1, got {self.max_samples}.")
        self._check_estimator()

    @abstractmethod
    def _check_estimator(self) -> None: ...

    @abstractmethod
    def _columns(self) -> list[Any]: ...

    @abstractmethod
    def _learn_target(self, X: pd.DataFrame, y: Any) -> np.ndarray: ...

    def _usable(self, estimator: Any, target: np.ndarray) -> Any:
        return estimator

    @abstractmethod
    def _values(self, estimator: Any, X: pd.DataFrame) -> np.ndarray: ...


class BaggedClassifier(ClassifierMixin, BaggedEstimator):
    """Bags of a classifier, their probabilities averaged; the settings are those of `BaggedEstimator`.

    A class that a bag lacks has probability nought in it, and no other class's column moves.
    """

    def predict_proba(self, X: pd.DataFrame) -> np.ndarray:
        """Probabilities of shape (n_samples, n_classes); columns in the order of `classes_`."""
        return self._mean(X)

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """The most probable label of each row; ties go to the first class."""
        best = self.predict_proba(X).argmax(axis=1)
        return np.asarray(self.classes_[best])

    def _check_estimator(self) -> None:
        if not hasattr(self.estimator, "predict_proba"):
            raise ConfigError(
                f"{type(self.estimator).__name__} has no predict_proba, and probabilities are what bags average.",
                hint="Wrap it in CalibratedClassifierCV, or use BaggedRegressor for values.",
            )

    def _columns(self) -> list[Any]:
        return list(self.classes_)

    def _learn_target(self, X: pd.DataFrame, y: Any) -> np.ndarray:
        labels = target_values(X, y)
        self.classes_ = np.unique(labels)
        return labels

    def _usable(self, estimator: Any, target: np.ndarray) -> Any:
        from sklearn.dummy import DummyClassifier

        # Many classifiers refuse a single class. What a bag of one class says is no matter of the model.
        return estimator if (target != target[0]).any() else DummyClassifier(strategy="prior")

    def _values(self, estimator: Any, X: pd.DataFrame) -> np.ndarray:
        values = np.zeros((len(X), len(self.classes_)))
        values[:, np.searchsorted(self.classes_, estimator.classes_)] = estimator.predict_proba(X)
        return values


class BaggedRegressor(RegressorMixin, BaggedEstimator):
    """Bags of a regressor, their values averaged; the settings are those of `BaggedEstimator`."""

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Values of shape (n_samples,)."""
        return self._mean(X)[:, 0]

    def _check_estimator(self) -> None:
        if is_classifier(self.estimator):
            raise ConfigError(f"{type(self.estimator).__name__} is a classifier.", hint="Use BaggedClassifier.")

    def _columns(self) -> list[Any]:
        return ["value"]

    def _learn_target(self, X: pd.DataFrame, y: Any) -> np.ndarray:
        try:
            return target_values(X, y).astype(np.float64)
        except (TypeError, ValueError) as error:
            raise DataError(f"y must hold numbers for a regression ({error}).") from error

    def _values(self, estimator: Any, X: pd.DataFrame) -> np.ndarray:
        return np.asarray(estimator.predict(X), dtype=np.float64).reshape(len(X), 1)


@dataclass(frozen=True, eq=False)
class _Given:
    """What a bagged model is fitted on."""

    X: pd.DataFrame
    target: np.ndarray
    units: _Units
    eval_set: EvalSet | None
    groups: np.ndarray | None
    extra: pd.DataFrame | None
    extra_weights: Mapping[str, float] | None

    def labelled(self, rows: np.ndarray) -> tuple[pd.DataFrame, pd.Series]:
        return self.X.iloc[rows], pd.Series(self.target[rows], index=self.X.index[rows])

    def beside(self, rows: np.ndarray, estimator: Any, eval_set: EvalSet | None) -> dict[str, Any]:
        """What `fit` of an estimator is given besides rows and labels: no more than it takes."""
        more: dict[str, Any] = {"eval_set": eval_set} if getattr(estimator, "uses_eval_set", False) else {}
        if self.groups is not None and getattr(estimator, "uses_groups", False):
            more["groups"] = self.groups[rows]
        if self.extra is not None and getattr(estimator, "learns_extras", False):
            more |= {"extra": self.extra.iloc[rows], "extra_weights": self.extra_weights}
        return more


@dataclass(frozen=True)
class _Units:
    """What is drawn as one: rows, or groups of rows, numbered in the ids' own order.

    Parameters
    ----------
    order : ndarray of shape (n_rows,)
        Positions of the rows, sorted by id.
    codes : ndarray of shape (n_rows,)
        The unit of each of these rows.
    strata : ndarray of shape (n_units,)
        Units of like target lie side by side when sorted by it.
    """

    order: np.ndarray
    codes: np.ndarray
    strata: np.ndarray

    @classmethod
    def of(cls, X: pd.DataFrame, groups: Any, target: np.ndarray) -> _Units:
        order = _by_id(X.index)
        if groups is None:
            return cls(order, np.arange(len(order)), np.unique(target, return_inverse=True)[1][order])
        codes, distinct = pd.factorize(_group_values(X, groups)[order])
        return cls(order, codes, np.zeros(len(distinct), dtype=np.int64))

    @property
    def n(self) -> int:
        return len(self.strata)

    def rows(self, counts: np.ndarray) -> np.ndarray:
        """Positions of the rows of a draw, each as often as its unit was drawn."""
        return np.repeat(self.order, counts[self.codes])

    def carve(self, counts: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """The draw without the units for early stopping, and the rows of those, each once.

        In order of the target every n-th unit is carved, so that each class, or range of values, gives its share.
        A bag of a single unit gives none.
        """
        drawn = np.flatnonzero(counts)
        if len(drawn) < 2:
            return counts, drawn[:0]
        n_carved = max(1, round(_CARVED * len(drawn)))
        sorted_units = drawn[np.lexsort((rng.random(len(drawn)), self.strata[drawn]))]
        places = (np.arange(n_carved) + rng.random()) * len(drawn) / n_carved
        chosen = np.zeros_like(counts)
        chosen[sorted_units[places.astype(np.int64)]] = 1
        return np.where(chosen, 0, counts), self.rows(chosen)


def _by_id(index: pd.Index) -> np.ndarray:
    """Positions that sort the ids; texts and numbers may be mixed."""
    try:
        return np.asarray(index.argsort(kind="stable"))
    except TypeError:
        keys = [(type(i).__name__, i) for i in index.tolist()]
        return np.array(sorted(range(len(index)), key=keys.__getitem__))


def _group_values(X: pd.DataFrame, groups: Any) -> np.ndarray:
    if len(groups) != len(X):
        raise DataError(f"X has {len(X)} rows and groups has {len(groups)}.")
    if isinstance(groups, pd.Series):
        check_same_rows(X, groups, "groups")
    if (empty := int(pd.isna(groups).sum())) > 0:
        raise DataError(f"{empty} value(s) of groups are missing.", hint="Give every row a group.")
    return np.asarray(groups)


def _fresh(estimator: Any, rng: np.random.Generator) -> Any:
    """An unfitted copy with seeds of its own, which reports to where the estimator does."""
    progress = getattr(estimator, "progress", None)
    if progress is not None:
        # `clone` copies settings deeply, and a bar on a terminal cannot be copied.
        estimator = copy.copy(estimator).set_params(progress=None)
    fresh = clone(estimator)
    if progress is not None:
        fresh.set_params(progress=progress)
    seeds = sorted(name for name in fresh.get_params() if name.rpartition("__")[2] in _SEEDS)
    return fresh.set_params(**{name: int(rng.integers(2**31 - 1)) for name in seeds})
