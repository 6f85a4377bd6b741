"""Simple models for the arena's leaderboard: one rule, a linear model, a forest.

They are plain scikit-learn, apart from kagglekit's own models: a practice board must not move when those change.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api import types

from kagglekit.arena.material import Material
from kagglekit.contracts import Competition, Predictions
from kagglekit.forms import to_submission

__all__ = ["learnt_answers"]

Array = npt.NDArray[Any]
Encoder = Callable[[pd.Series], Array]

_TREES, _LEAF, _RULES = 100, 3, 8
_MOST_LEVELS = 30
_DOUBT = 0.03


def learnt_answers(competition: Competition, sample: pd.DataFrame, material: Material) -> dict[str, pd.DataFrame]:
    """Answers of one rule, a linear model and a forest, as they would submit them.

    Parameters
    ----------
    competition : Competition
    sample : DataFrame
        The sample submission.
    material : Material

    Returns
    -------
    dict of str to DataFrame
        By team.
    """
    forest = "Colour-histogram forest" if material.of_images else "Random forest"
    # The forest is told what it learnt from: on images it sees colours and nothing else.
    names = {"One rule": "one rule", "Linear model": "linear", forest: "forest"}
    y, restore = _target(competition, material.y)
    kind = "classification" if competition.is_classification else "regression"
    answers = {}
    for team, model in names.items():
        predicted = _MODELS[model](kind, material.X, y, material.X_test)
        frame = _frame(competition, restore(predicted), y, material.X_test.index)
        answers[team] = to_submission(Predictions(frame), competition, sample)
    return answers


def _target(competition: Competition, y: pd.Series) -> tuple[pd.Series, Callable[[Array], Array]]:
    if competition.metric == "rmsle":
        return np.log1p(y), np.expm1
    return y, lambda values: values


def _frame(competition: Competition, predicted: Array, y: pd.Series, ids: pd.Index) -> pd.DataFrame:
    """Predictions with the competition's columns; a class that no training row has gets 0."""
    if not competition.is_classification:
        return pd.DataFrame({competition.target: predicted}, index=ids)
    known = pd.DataFrame(predicted, index=ids, columns=[str(label) for label in np.unique(y.to_numpy())])
    return known.reindex(columns=list(competition.columns), fill_value=0.0)


def _one_rule(kind: str, X: pd.DataFrame, y: pd.Series, X_test: pd.DataFrame) -> Array:
    """The single column whose cuts explain the training rows best (Holte 1993)."""
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    A, B = _codes(X, X_test)
    Tree = DecisionTreeClassifier if kind == "classification" else DecisionTreeRegressor
    trees = [
        Tree(max_leaf_nodes=_RULES, min_samples_leaf=2 * _LEAF, random_state=0).fit(A[:, [i]], y)
        for i in range(A.shape[1])
    ]
    best = int(np.argmax([tree.score(A[:, [i]], y) for i, tree in enumerate(trees)]))
    return _predict(trees[best], B[:, [best]])


def _forest(kind: str, X: pd.DataFrame, y: pd.Series, X_test: pd.DataFrame) -> Array:
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    A, B = _codes(X, X_test)
    if kind == "classification":
        model = RandomForestClassifier(_TREES, min_samples_leaf=_LEAF, random_state=0)
    else:
        model = RandomForestRegressor(_TREES, min_samples_leaf=_LEAF, max_features=0.5, random_state=0)
    return _predict(model.fit(A, y), B)


def _linear(kind: str, X: pd.DataFrame, y: pd.Series, X_test: pd.DataFrame) -> Array:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression, Ridge

    A, B = _columns(X, X_test)
    model = LogisticRegression(max_iter=300) if kind == "classification" else Ridge()
    with warnings.catch_warnings():
        # A model that is to be beaten need not have converged to the last digit.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return _predict(model.fit(A, y), B)


def _predict(model: Any, B: Array) -> Array:
    if not hasattr(model, "predict_proba"):
        return np.asarray(model.predict(B))
    # A leaf of three rows is too sure; one wrong certainty would cost more log loss than all other rows.
    P = np.asarray(model.predict_proba(B))
    return (1 - _DOUBT) * P + _DOUBT / P.shape[1]


def _codes(X: pd.DataFrame, X_test: pd.DataFrame) -> tuple[Array, Array]:
    """For trees: words as codes by falling frequency, missing values below all others."""
    return _encoded(X, X_test, _coder)


def _columns(X: pd.DataFrame, X_test: pd.DataFrame) -> tuple[Array, Array]:
    """For a linear model: numbers standardised, a column for each of the commonest words."""
    return _encoded(X, X_test, _spreader)


def _encoded(X: pd.DataFrame, X_test: pd.DataFrame, learn: Callable[[pd.Series], Encoder]) -> tuple[Array, Array]:
    encoders = {c: learn(X[c]) for c in X.columns}
    A, B = (np.column_stack([encode(frame[c]) for c, encode in encoders.items()]) for frame in (X, X_test))
    return A, B


def _coder(train: pd.Series) -> Encoder:
    if not types.is_numeric_dtype(train):
        codes = {level: i for i, level in enumerate(train.astype(str).value_counts().index)}
        return lambda values: values.astype(str).map(codes).fillna(-1).to_numpy(np.float64)
    below = float(train.min()) - 1
    return lambda values: _numbers(values).fillna(below).to_numpy()


def _spreader(train: pd.Series) -> Encoder:
    if not types.is_numeric_dtype(train):
        levels = train.astype(str).value_counts().index[:_MOST_LEVELS].to_numpy()
        return lambda values: (values.astype(str).to_numpy()[:, None] == levels).astype(np.float64)
    middle, spread = float(train.median()), float(train.astype(np.float64).std()) or 1.0

    def spread_out(values: pd.Series) -> Array:
        numbers = _numbers(values)
        return np.column_stack([(numbers.fillna(middle) - middle) / spread, numbers.isna()])

    return spread_out


def _numbers(values: pd.Series) -> pd.Series:
    return pd.to_numeric(values, errors="coerce").astype(np.float64)


_MODELS: Mapping[str, Callable[[str, pd.DataFrame, pd.Series, pd.DataFrame], Array]] = MappingProxyType(
    {"one rule": _one_rule, "linear": _linear, "forest": _forest}
)
