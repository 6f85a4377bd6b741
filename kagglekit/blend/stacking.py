"""Stacking: a model that learns from what other models predict, in as many layers as wanted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import clone, is_classifier
from sklearn.utils.validation import has_fit_parameter

from kagglekit.blend.base import Blender
from kagglekit.blend.blocks import make_blocks
from kagglekit.blend.logits import fit_logits, pooled
from kagglekit.blend.means import check_probabilities
from kagglekit.blend.problem import Problem
from kagglekit.blend.ridge import few_rows, fit_ridge, line
from kagglekit.contracts import Label
from kagglekit.errors import ConfigError
from kagglekit.metrics import label_codes

__all__ = ["StackBlend"]

Array = npt.NDArray[Any]

# A probability below this counts as this in the features of a user's models.
_SMALLEST = 1e-6
# Of the cross-fit that a layer's out-of-fold predictions come from.
_FOLDS = 5
# An intercept of this size costs as much as a weight of one: what a strength holds back is weights.
_INTERCEPT = 10.0


class StackBlend(Blender):
    """A model over the members' predictions, with layers of further models between if wanted.

    Models of a layer are fitted fold by fold, so that what the next layer learns from is out-of-fold; each layer sees
    the members and all layers before it. New rows get the mean of the fold models, not a model fitted on all rows: the
    next layer learnt to trust models of the folds' kind.

    Without `estimator`, the last model is one that is drawn towards the plain mean as far as held-out rows ask for, so
    that its nested score is close to the truth: for classes a `LogPool` with an intercept for each class, for values a
    `RidgeBlend` whose mean may be scaled and shifted. A model of your own is scored as honestly, but one that is not
    regularised loses much of what its fitted rows promise: many members on few rows are many features.

    Models of your own see a DataFrame with one column for each member and class, called "<member>__<class>" (or
    "<member>" for values). Probabilities come as logits against the other classes' geometric mean, for two classes that
    of the second alone; probabilities below 1e-6 count as 1e-6. Their `y` is the number of the class among those that
    occur in the rows they are fitted on; classes that do not occur get the probability 0.

    Not for predictions that fill memory: models of your own need all features at once.

    Parameters
    ----------
    metric, classes, cv, seed
        See `Blender`. The metric is what scores are in; what a model minimises is its own affair.
    estimator : estimator, optional
        Any of scikit-learn's kind: with `predict_proba` for classes, a regressor for values.
    layers : sequence of sequences of estimators
        The first layer first.

    Attributes
    ----------
    strength_ : float
        Of the last model, where it is the default; infinite for the plain mean.

    References
    ----------
    Wolpert 1992, "Stacked generalization"; Van der Laan, Polley and Hubbard 2007, "Super learner".
    """

    strength_: float

    def __init__(
        self,
        metric: str = "log_loss",
        *,
        classes: Sequence[Label] = (),
        estimator: Any = None,
        layers: Sequence[Sequence[Any]] = (),
        cv: int | Literal["auto"] | None = "auto",
        seed: int = 0,
    ) -> None:
        self.metric = metric
        self.classes = classes
        self.estimator = estimator
        self.layers = layers
        self.cv = cv
        self.seed = seed

    def _learn(self, problem: Problem) -> None:
        form = _Form.of(problem)
        _check([*(e for layer in self.layers for e in layer), self.estimator], problem)
        self.layers_: list[_Layer] = []
        for number, layer in enumerate(self.layers, 1):
            fitted, outputs = _fit_layer(layer, number, problem, form, self.seed)
            problem = replace(problem, P=_joined(problem.P, outputs), names=(*problem.names, *fitted.names))
            self.layers_.append(fitted)
        if self.estimator is not None:
            self.last_: _Last = _Own(form, _fit(self.estimator, form.features(problem.P, problem.names), problem))
        else:
            self.last_, self.strength_ = _fit_default(problem, self.seed)
        self.warning_ = few_rows(problem)

    def combine(self, P: Array) -> Array:
        """Through all layers to the last model's prediction."""
        names = self.names_
        for layer in self.layers_:
            P, names = _joined(P, layer.tables(P, names)), (*names, *layer.names)
        return self.last_.table(P, names)


@dataclass(frozen=True)
class _Form:
    """How predictions become features.

    Parameters
    ----------
    classes : tuple of str or int
        Empty for values.
    logits : bool
        Whether they are probabilities, so that logits can be taken.
    """

    classes: tuple[Label, ...]
    logits: bool

    @classmethod
    def of(cls, problem: Problem) -> _Form:
        classes = problem.classes if problem.P.shape[2] > 1 else ()
        return cls(classes, bool(classes) and all(table.min() >= 0 and table.max() <= 1 for table in problem.P))

    def features(self, P: Array, names: Sequence[str]) -> pd.DataFrame:
        """One column for each member and class that says something of its own: float64."""
        columns = self.classes[1:] if self.logits and len(self.classes) == 2 else self.classes
        tables = [self._numbers(table) for table in P]
        labels = [f"{name}__{c}" for name in names for c in columns] if self.classes else list(names)
        return pd.DataFrame(np.concatenate(tables, axis=1), columns=labels)

    def _numbers(self, table: Array) -> Array:
        if not self.logits:
            return table.astype(np.float64)
        logs = np.log(np.maximum(table, _SMALLEST, dtype=np.float64))
        # Two classes: the logit of the second against the first. More: against the geometric mean of all.
        apart: Array = logs[:, 1:] - logs[:, :1] if logs.shape[1] == 2 else logs - logs.mean(axis=1, keepdims=True)
        return apart


@dataclass(frozen=True, eq=False)
class _Fitted:
    """A model as fitted, and the columns that its classes stand for.

    Parameters
    ----------
    model : estimator or None
        None where the fitted rows held one class only.
    codes : ndarray of int
        Columns of the classes that the model knows, in its order; empty for values.
    n_columns : int
    """

    model: Any
    codes: Array
    n_columns: int

    def table(self, features: pd.DataFrame) -> Array:
        """Predictions, float32 of shape (n_rows, n_columns)."""
        if self.n_columns == 1:
            return np.asarray(self.model.predict(features), dtype=np.float32).reshape(-1, 1)
        table = np.zeros((len(features), self.n_columns), dtype=np.float32)
        table[:, self.codes] = 1 if self.model is None else self.model.predict_proba(features)
        return table


@dataclass(frozen=True, eq=False)
class _Layer:
    """Models of one layer, each as one model for each block of rows.

    Parameters
    ----------
    names : tuple of str
    models : tuple of tuples of _Fitted
    form : _Form
    """

    names: tuple[str, ...]
    models: tuple[tuple[_Fitted, ...], ...]
    form: _Form

    def tables(self, P: Array, names: Sequence[str]) -> Array:
        """Each model's prediction, the mean of its fold models: float32 of shape (n_outputs, n_rows, n_columns)."""
        features = self.form.features(P, names)
        return np.stack([np.mean([fold.table(features) for fold in model], axis=0) for model in self.models])


class _Last(Protocol):
    """The model at the end of a stack."""

    def table(self, P: Array, names: Sequence[str], /) -> Array:
        """Predictions, float32 of shape (n_rows, n_columns)."""


@dataclass(frozen=True, eq=False)
class _Own:
    """A user's model."""

    form: _Form
    fitted: _Fitted

    def table(self, P: Array, names: Sequence[str]) -> Array:
        return self.fitted.table(self.form.features(P, names))


@dataclass(frozen=True, eq=False)
class _Line:
    """A weighted sum of values (of log(1 + value) for rmsle) and an intercept."""

    weights: Array
    intercept: float
    logs: bool

    def table(self, P: Array, names: Sequence[str]) -> Array:
        return line(self.weights, P, logs=self.logs, intercept=self.intercept)


@dataclass(frozen=True, eq=False)
class _Pool:
    """A weighted sum of logits, and an intercept for each class."""

    weights: Array
    floors: Array
    intercepts: Array

    def table(self, P: Array, names: Sequence[str]) -> Array:
        return pooled(self.weights, self.floors, P, self.intercepts)


def _fit_default(problem: Problem, seed: int) -> tuple[_Last, float]:
    """The last model where none is given, and its strength."""
    n, n_columns = problem.n_models, problem.P.shape[2]
    if n_columns == 1:
        ridge = fit_ridge(problem, seed, free=True)
        return _Line(ridge.weights, ridge.intercept, problem.metric.name == "rmsle"), ridge.strength
    check_probabilities("The last model of a stack", problem)
    extra = _INTERCEPT * np.eye(n_columns - 1)
    centre = np.append(np.full(n, 1 / n), np.zeros(len(extra)))
    found = fit_logits(problem, centre, extra, seed=seed)
    return _Pool(found.weights[:n], found.floors, np.append(0.0, found.weights[n:] @ extra)), found.strength


def _check(estimators: Sequence[Any], problem: Problem) -> None:
    needs_classes = problem.P.shape[2] > 1
    for estimator in estimators:
        if estimator is None:
            continue
        if needs_classes and not hasattr(estimator, "predict_proba"):
            raise ConfigError(f"A stack for classes needs models with predict_proba, got {estimator}.")
        if not needs_classes and is_classifier(estimator):
            raise ConfigError(f"A stack for values needs regressors, got {estimator}.")
        if problem.weight is not None and not has_fit_parameter(estimator, "sample_weight"):
            raise ConfigError(
                f"Rows have weights, which {estimator} does not take.", hint="Choose another model, or fit without."
            )


def _fit_layer(
    estimators: Sequence[Any], number: int, problem: Problem, form: _Form, seed: int
) -> tuple[_Layer, Array]:
    """A layer, and its out-of-fold predictions: float32 of shape (n_outputs, n_rows, n_columns)."""
    blocks = make_blocks(problem, _FOLDS, seed)
    features = form.features(problem.P, problem.names)
    outputs = np.empty((len(estimators), *problem.P.shape[1:]), dtype=np.float32)
    models = []
    for estimator, table in zip(estimators, outputs, strict=True):
        folds = []
        for block in np.unique(blocks):
            scored = blocks == block
            folds.append(_fit(estimator, features, problem, ~scored))
            table[scored] = folds[-1].table(features[scored])
        models.append(tuple(folds))
    names = tuple(f"layer{number}-{i}-{type(e).__name__}" for i, e in enumerate(estimators, 1))
    return _Layer(names, tuple(models), form), outputs


def _fit(estimator: Any, features: pd.DataFrame, problem: Problem, rows: Array | None = None) -> _Fitted:
    """A clone, fitted on some rows; those of weight nought are left out."""
    rows = np.ones(problem.n_rows, dtype=bool) if rows is None else rows
    chosen = rows if problem.weight is None else rows & (problem.weight > 0)
    n_columns = problem.P.shape[2]
    if n_columns == 1:
        y, present = problem.truth[chosen], np.empty(0, dtype=np.int64)
    else:
        present, y = np.unique(label_codes(problem.y[chosen], problem.classes), return_inverse=True)
        if len(present) == 1:
            return _Fitted(None, present, n_columns)
    weight = {} if problem.weight is None else {"sample_weight": problem.weight[chosen]}
    model = clone(estimator).fit(features[chosen], y, **weight)
    return _Fitted(model, present[np.asarray(model.classes_, dtype=np.int64)] if len(present) else present, n_columns)


def _joined(P: Array, more: Array) -> Array:
    return np.concatenate([P, more])
