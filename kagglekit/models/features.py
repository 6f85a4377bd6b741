"""Recipes learnt on the fit rows alone, in front of any model of tables.

Counts, groups and encodings of the target look at other rows. Here those are always rows that the model is fitted on,
so that a score on other rows stays honest.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, TransformerMixin, clone, is_classifier
from sklearn.utils.validation import check_is_fitted

from kagglekit.errors import DataError, nearest, preview
from kagglekit.models.base import EvalSet
from kagglekit.models.columns import as_frame
from kagglekit.models.readers import as_dates, as_levels, as_numbers, kind_of
from kagglekit.models.rows import target_values
from kagglekit.recipes import Aggregate, Recipes

__all__ = ["FeaturedClassifier", "FeaturedRegressor", "LearntFeatures", "featured"]

_RARE = "(rare)"
_INNER_FOLDS = 5


class LearntFeatures(TransformerMixin, BaseEstimator):
    """Make the columns that recipes ask for; what they need to know is learnt in `fit`.

    Parameters
    ----------
    recipes : Recipes
    classification : bool
        Whether `y` holds labels: then `target_encode` makes one column for each class (of two classes for the second).
    n_folds : int
        Inner folds of the cross-fitted target encoding.
    random_state : int, optional
        Deals the ids to the inner folds.

    Attributes
    ----------
    feature_names_in_ : ndarray of shape (n_columns,)

    Notes
    -----
    `fit_transform` is not `fit` and then `transform`: it encodes each row that was fitted on by the labels of the
    other inner folds. Inner folds are dealt by id, so that a row's own label takes no part in its own encoding, and
    copies of a row, as bags draw them, are in one fold. Encodings are scikit-learn's `TargetEncoder`'s.

    Where folds keep groups whole, levels that are nearly the groups themselves get an encoding here that rows of new
    groups will not have: leave such columns out of `target_encode`.

    References
    ----------
    Micci-Barreca, "A preprocessing scheme for high-cardinality categorical attributes", 2001.
    Pargent et al., "Regularized target encoding outperforms traditional methods", 2022 (cross-fitting).
    """

    def __init__(
        self, recipes: Recipes, *, classification: bool, n_folds: int = _INNER_FOLDS, random_state: int | None = None
    ) -> None:
        self.recipes = recipes
        self.classification = classification
        self.n_folds = n_folds
        self.random_state = random_state

    def fit(self, X: pd.DataFrame, y: Any = None) -> Self:
        """Learn from the fit rows.

        Raises
        ------
        DataError
            A column is missing, or is of a kind that a recipe cannot use.
        """
        self._learn(as_frame(X), y)
        return self

    def fit_transform(self, X: pd.DataFrame, y: Any = None, groups: Any = None) -> pd.DataFrame:
        """Learn from the fit rows and make their columns, target encodings out of fold, groups whole."""
        X = as_frame(X)
        made = self._learn(X, y)
        if not self.recipes.target_encode:
            return self._left(made)
        units = X.index if groups is None else pd.Index(groups)
        folds = _inner_folds(units, self.n_folds, self.random_state)
        return self._left(made.assign(**self._targets.cross_fitted(made, folds)))

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        """The columns of other rows; levels never seen at fit are as the average row is.

        Raises
        ------
        DataError
            A column of the fit rows is missing.
        """
        check_is_fitted(self, "feature_names_in_")
        X = as_frame(X)
        if lost := [c for c in self.recipes.used if c not in X]:
            raise DataError(f"X lacks {preview(lost)}, which recipes need.", hint=nearest(lost[0], X.columns))
        made = X.copy(deep=False)
        for step in self._steps:
            made = step.apply(made)
        if self.recipes.target_encode:
            made = made.assign(**self._targets.encoded(made))
        return self._left(made)

    def _learn(self, X: pd.DataFrame, y: Any) -> pd.DataFrame:
        if lost := [c for c in self.recipes.used if c not in X]:
            raise DataError(f"Recipes need the column {lost[0]!r}, which X lacks.", hint=nearest(lost[0], X.columns))
        self.feature_names_in_, self.n_features_in_ = X.columns.to_numpy(dtype=object), X.shape[1]
        # Copies of a row, as bags draw them, must not make a level look frequent.
        first = ~X.index.duplicated()
        made, self._steps = X.copy(deep=False), []
        for learn in _PLAN:
            for step in learn(self.recipes, made, first):
                self._steps.append(step)
                made = step.apply(made)
        if self.recipes.target_encode:
            smooth = self.recipes.smooth
            self._targets = _Targets.learn(
                made, self.recipes.target_encode, self._target(y), "auto" if smooth == "auto" else float(smooth)
            )
        return made

    def _target(self, y: Any) -> dict[str, np.ndarray]:
        """The numbers whose means encode a level, each under what its columns are called."""
        values = np.asarray(y)
        if not self.classification:
            return {"": values.astype(float)}
        classes = np.unique(values)
        shown = classes[1:] if len(classes) == 2 else classes
        return {f"={label}": (values == label).astype(float) for label in shown}

    def _left(self, made: pd.DataFrame) -> pd.DataFrame:
        return made.drop(columns=self.recipes.leave_out)


def _inner_folds(units: pd.Index, n_folds: int, seed: int | None) -> np.ndarray:
    """The inner fold of each row by its id or group alone, never by labels or the order of rows."""
    codes, distinct = pd.factorize(units)
    order = np.argsort([str(i) for i in distinct], kind="stable")
    dealt = np.empty(len(distinct), dtype=np.int64)
    shuffled = np.random.default_rng(seed or 0).permutation(len(distinct))
    dealt[order] = shuffled % min(n_folds, max(2, len(distinct)))
    return dealt[codes]


class _Step(ABC):
    """One recipe with what it has learnt: adds or replaces columns."""

    @abstractmethod
    def columns(self, frame: pd.DataFrame) -> dict[str, Any]:
        """The new columns, in the rows' order."""

    def apply(self, frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(**self.columns(frame))


@dataclass(frozen=True)
class _Parsed(_Step):
    column: str
    format: str

    def columns(self, frame: pd.DataFrame) -> dict[str, Any]:
        texts = pd.Series(as_levels(frame[self.column]), index=frame.index, dtype=object)
        try:
            return {self.column: pd.to_datetime(texts, format=self.format)}
        except ValueError as error:
            raise DataError(
                f"Column '{self.column}' does not read as dates in the format '{self.format}' ({error}).",
                hint="Mend the format in [features] of the pipeline file.",
            ) from error


@dataclass(frozen=True)
class _Ordered(_Step):
    column: str
    levels: tuple[str, ...]

    def columns(self, frame: pd.DataFrame) -> dict[str, Any]:
        places = {level: float(i) for i, level in enumerate(self.levels)}
        return {self.column: np.array([places.get(v, np.nan) for v in as_levels(frame[self.column])])}


@dataclass(frozen=True)
class _Rare(_Step):
    column: str
    kept: frozenset[str]

    def columns(self, frame: pd.DataFrame) -> dict[str, Any]:
        levels = [v if v is None or v in self.kept else _RARE for v in as_levels(frame[self.column])]
        return {self.column: pd.Series(levels, index=frame.index, dtype=object)}


@dataclass(frozen=True)
class _Missing(_Step):
    column: str

    def columns(self, frame: pd.DataFrame) -> dict[str, Any]:
        return {f"missing({self.column})": frame[self.column].isna().to_numpy(dtype=float)}


@dataclass(frozen=True)
class _Combined(_Step):
    parts: tuple[str, ...]

    def columns(self, frame: pd.DataFrame) -> dict[str, Any]:
        rows = zip(*(as_levels(frame[c]) for c in self.parts), strict=True)
        joined = ["+".join("?" if v is None else v for v in row) for row in rows]
        return {"+".join(self.parts): pd.Series(joined, index=frame.index, dtype=object)}


@dataclass(frozen=True)
class _Ratio(_Step):
    above: str
    below: str

    def columns(self, frame: pd.DataFrame) -> dict[str, Any]:
        return {f"{self.above}/{self.below}": _quotient(as_numbers(frame[self.above]), as_numbers(frame[self.below]))}


@dataclass(frozen=True)
class _Difference(_Step):
    first: str
    second: str
    dates: bool

    def columns(self, frame: pd.DataFrame) -> dict[str, Any]:
        name = f"{self.first}-{self.second}"
        if not self.dates:
            return {name: as_numbers(frame[self.first]) - as_numbers(frame[self.second])}
        apart = as_dates(frame[self.first]) - as_dates(frame[self.second])
        return {name: (apart.dt.total_seconds() / 86400).to_numpy(dtype=float)}


@dataclass(frozen=True)
class _Count(_Step):
    column: str
    counts: dict[str | None, int]

    def columns(self, frame: pd.DataFrame) -> dict[str, Any]:
        levels = as_levels(frame[self.column])
        return {f"count({self.column})": np.array([self.counts.get(v, 0) for v in levels], dtype=float)}


@dataclass(frozen=True)
class _Grouped(_Step):
    asked: Aggregate
    values: dict[str | None, float]
    overall: float

    @property
    def name(self) -> str:
        return f"{self.asked.how}({self.asked.of} by {self.asked.by})"

    def columns(self, frame: pd.DataFrame) -> dict[str, Any]:
        found = np.array([self.values.get(v, np.nan) for v in as_levels(frame[self.asked.by])], dtype=float)
        found = np.where(np.isnan(found), self.overall, found)
        made = {self.name: found}
        if self.asked.relative != "none":
            own = as_numbers(frame[self.asked.of])
            ratio = self.asked.relative == "ratio"
            made[f"{self.asked.of}{'/' if ratio else '-'}{self.name}"] = _quotient(own, found) if ratio else own - found
        return made


def _quotient(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """a / b, NaN where it is not finite."""
    return np.asarray(np.divide(above, below, out=np.full_like(above, np.nan), where=np.abs(below) > 0))


# Learning: each function makes the steps of its recipe from the frame so far; `first` marks one copy of each row.


def _learn_dates(recipes: Recipes, frame: pd.DataFrame, first: np.ndarray) -> list[_Step]:
    return [_Parsed(column, form) for column, form in recipes.dates.items()]


def _learn_ordered(recipes: Recipes, frame: pd.DataFrame, first: np.ndarray) -> list[_Step]:
    steps: list[_Step] = []
    for column, levels in recipes.ordered.items():
        ranked = tuple(map(str, levels))
        if unknown := sorted({v for v in as_levels(frame[column]) if v is not None} - set(ranked)):
            raise DataError(
                f"Column '{column}' holds levels that its order does not name: {preview(unknown)}.",
                hint="Name every level under `ordered` in [features] of the pipeline file.",
            )
        steps.append(_Ordered(column, ranked))
    return steps


def _learn_rare(recipes: Recipes, frame: pd.DataFrame, first: np.ndarray) -> list[_Step]:
    steps: list[_Step] = []
    for column, fewest in recipes.rare.items():
        counts = _level_counts(frame.loc[first, column])
        steps.append(_Rare(column, frozenset(v for v, n in counts.items() if v is not None and n >= fewest)))
    return steps


def _learn_missing(recipes: Recipes, frame: pd.DataFrame, first: np.ndarray) -> list[_Step]:
    return [_Missing(column) for column in recipes.missing]


def _learn_combined(recipes: Recipes, frame: pd.DataFrame, first: np.ndarray) -> list[_Step]:
    return [_Combined(tuple(columns)) for columns in recipes.combine]


def _learn_ratios(recipes: Recipes, frame: pd.DataFrame, first: np.ndarray) -> list[_Step]:
    _refuse_kinds(frame, [c for pair in recipes.ratios for c in pair], "number")
    return [_Ratio(above, below) for above, below in recipes.ratios]


def _learn_differences(recipes: Recipes, frame: pd.DataFrame, first: np.ndarray) -> list[_Step]:
    steps: list[_Step] = []
    for one, other in recipes.differences:
        dates = kind_of(frame[one]) == "date"
        _refuse_kinds(frame, [one, other], "date" if dates else "number")
        steps.append(_Difference(one, other, dates))
    return steps


def _learn_counts(recipes: Recipes, frame: pd.DataFrame, first: np.ndarray) -> list[_Step]:
    return [_Count(column, _level_counts(frame.loc[first, column])) for column in recipes.counts]


def _learn_aggregates(recipes: Recipes, frame: pd.DataFrame, first: np.ndarray) -> list[_Step]:
    return [_grouped(asked, frame[first]) for asked in recipes.aggregates]


def _grouped(asked: Aggregate, rows: pd.DataFrame) -> _Grouped:
    by = as_levels(rows[asked.by])
    if asked.how == "nunique" and asked.relative == "none":
        values = pd.Series(as_levels(rows[asked.of]), dtype=object)
    else:
        _refuse_kinds(rows, [asked.of], "number")
        values = pd.Series(as_numbers(rows[asked.of]))
    known = np.array([v is not None for v in by], dtype=bool)
    groups = getattr(values[known].groupby(by[known]), asked.how)()
    overall = getattr(values, asked.how)() if asked.how != "nunique" else 0.0
    return _Grouped(asked, {str(k): float(v) for k, v in groups.items()}, float(overall))


_PLAN = (
    _learn_dates,
    _learn_ordered,
    _learn_rare,
    _learn_missing,
    _learn_combined,
    _learn_ratios,
    _learn_differences,
    _learn_counts,
    _learn_aggregates,
)


def _level_counts(column: pd.Series) -> dict[str | None, int]:
    counts: dict[str | None, int] = {}
    codes, levels = pd.factorize(as_levels(column), use_na_sentinel=False)
    for level, n in zip(levels, np.bincount(codes), strict=True):
        counts[None if level is None or level != level else str(level)] = int(n)
    return counts


_KINDS = {"number": "numbers", "category": "levels", "date": "dates", "text": "text"}


def _refuse_kinds(frame: pd.DataFrame, columns: Sequence[str], wanted: str) -> None:
    for column in columns:
        if not frame[column].isna().all() and (kind := kind_of(frame[column])) != wanted:
            raise DataError(
                f"Column '{column}' holds {_KINDS[kind]}, but the recipe needs {_KINDS[wanted]}.",
                hint="Mend the recipe in [features] of the pipeline file.",
            )


@dataclass(frozen=True)
class _Targets:
    """Means of the target by level, shrunk; learnt once on all fit rows and once without each inner fold."""

    names: tuple[str, ...]
    levels: tuple[dict[str | None, int], ...]
    target: dict[str, np.ndarray]
    codes: np.ndarray
    smooth: str | float
    encoders: dict[str, Any]

    @classmethod
    def learn(
        cls, frame: pd.DataFrame, names: Sequence[str], target: dict[str, np.ndarray], smooth: str | float
    ) -> _Targets:
        levels = tuple({v: i for i, v in enumerate(dict.fromkeys(as_levels(frame[name])))} for name in names)
        codes = _codes(frame, names, levels)
        encoders = {key: _encoder(smooth).fit(codes, values) for key, values in target.items()}
        return cls(tuple(names), levels, target, codes, smooth, encoders)

    def encoded(self, frame: pd.DataFrame) -> dict[str, np.ndarray]:
        codes = _codes(frame, self.names, self.levels)
        return self._named({key: encoder.transform(codes) for key, encoder in self.encoders.items()})

    def cross_fitted(self, frame: pd.DataFrame, folds: np.ndarray) -> dict[str, np.ndarray]:
        found = {key: np.empty(self.codes.shape, dtype=float) for key in self.target}
        for fold in np.unique(folds):
            own = folds == fold
            for key, values in self.target.items():
                # A single row has no other to learn from: it gets the mean of nothing but itself, as all would.
                others = ~own if not own.all() else own
                encoder = _encoder(self.smooth).fit(self.codes[others], values[others])
                found[key][own] = encoder.transform(self.codes[own])
        return self._named(found)

    def _named(self, found: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {
            f"target({name}{key})": values[:, i] for key, values in found.items() for i, name in enumerate(self.names)
        }


def _codes(frame: pd.DataFrame, names: Sequence[str], levels: Sequence[dict[str | None, int]]) -> np.ndarray:
    """Levels as numbers, -1 for those never seen; a missing value is a level like any other."""
    columns = [
        np.array([known.get(v, -1) for v in as_levels(frame[n])]) for n, known in zip(names, levels, strict=True)
    ]
    return np.column_stack(columns)


def _encoder(smooth: str | float) -> Any:
    from sklearn.preprocessing import TargetEncoder

    return TargetEncoder(target_type="continuous", smooth=smooth)


class _Featured(BaseEstimator, ABC):
    """A model behind recipes: they are learnt on the rows that the model is fitted on, and on no others.

    Parameters
    ----------
    estimator : a tabular estimator of kagglekit, or any that takes a DataFrame
        It is cloned, never fitted itself.
    recipes : Recipes
    random_state : int, optional
        Deals rows to the inner folds of target encoding.

    Attributes
    ----------
    features_ : LearntFeatures
    estimator_ : the fitted clone
    """

    def __init__(self, estimator: Any, recipes: Recipes, *, random_state: int | None = None) -> None:
        self.estimator = estimator
        self.recipes = recipes
        self.random_state = random_state

    @property
    def uses_eval_set(self) -> bool:
        """Whether the model stops early."""
        return bool(getattr(self.estimator, "uses_eval_set", False))

    @property
    def ends_by(self) -> str:
        """The model's own, see `TabularEstimator`."""
        inner = getattr(self.estimator, "ends_by", "")
        return f"estimator__{inner}" if inner else ""

    @property
    def uses_groups(self) -> bool:
        """Whether rows of one group must be encoded by other groups' targets."""
        return bool(self.recipes.target_encode)

    @property
    def oob_prediction_(self) -> pd.DataFrame:
        """Out-of-bag predictions of the model, if it has them."""
        return pd.DataFrame(self.estimator_.oob_prediction_)

    @property
    def never_oob_(self) -> pd.Index:
        """Rows that have none."""
        never: pd.Index = self.estimator_.never_oob_
        return never

    def fit(self, X: pd.DataFrame, y: pd.Series, eval_set: EvalSet | None = None, groups: Any = None) -> Self:
        """Learn the recipes on the fit rows, then fit the model; rows for early stopping are encoded as new ones are.

        With `groups`, one for each row, target encoding takes a row's mean from other groups.

        Raises
        ------
        DataError
            See `LearntFeatures` and the model.
        """
        X = as_frame(X)
        y = pd.Series(target_values(X, y), index=X.index)
        self._check_target(y)
        self.features_ = LearntFeatures(
            self.recipes, classification=is_classifier(self), random_state=self.random_state
        )
        made = self.features_.fit_transform(X, y, groups)
        more: dict[str, Any] = {}
        if eval_set is not None and self.uses_eval_set:
            more = {"eval_set": (self.features_.transform(eval_set[0]), eval_set[1])}
        self.estimator_ = clone(self.estimator).fit(made, y, **more)
        self.feature_names_in_, self.n_features_in_ = X.columns.to_numpy(dtype=object), X.shape[1]
        return self

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """What the model predicts of the rows with their new columns."""
        made = self._made(X)
        return np.asarray(self.estimator_.predict(made))

    def _made(self, X: Any) -> pd.DataFrame:
        check_is_fitted(self, "estimator_")
        X = as_frame(X)
        if lost := [c for c in self.feature_names_in_ if c not in X]:
            raise DataError(f"X lacks {len(lost)} column(s) that the model was fitted on: {preview(lost)}.")
        return self.features_.transform(X)

    @abstractmethod
    def _check_target(self, y: pd.Series) -> None: ...


class FeaturedClassifier(ClassifierMixin, _Featured):
    """A classifier behind recipes; the settings are those of `_Featured`."""

    @property
    def classes_(self) -> np.ndarray:
        """The labels, sorted."""
        return np.asarray(self.estimator_.classes_)

    def predict_proba(self, X: pd.DataFrame) -> np.ndarray:
        """Probabilities of shape (n_samples, n_classes); columns in the order of `classes_`."""
        made = self._made(X)
        return np.asarray(self.estimator_.predict_proba(made))

    def _check_target(self, y: pd.Series) -> None:
        return


class FeaturedRegressor(RegressorMixin, _Featured):
    """A regressor behind recipes; the settings are those of `_Featured`."""

    def _check_target(self, y: pd.Series) -> None:
        try:
            y.astype(float)
        except ValueError as error:
            raise DataError(f"y must hold numbers for a regression ({error}).") from error


def featured(
    estimator: Any, recipes: Recipes, *, random_state: int | None = None
) -> FeaturedClassifier | FeaturedRegressor:
    """The model behind these recipes."""
    wrapped = FeaturedClassifier if is_classifier(estimator) else FeaturedRegressor
    return wrapped(estimator, recipes, random_state=random_state)
