"""How much one column tells of the target by itself, on held-out rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

__all__ = ["Strength", "Target", "strength_of"]

_FOLDS, _FLOOR = 5, 0.02
# Folds share fit rows, and many columns are looked at: the lower bound is that of 99.9 %.
_REACH = 3.3 * 1.2


@dataclass(frozen=True)
class Strength:
    """The share of what there is to be told, with a lower bound.

    Parameters
    ----------
    score : float
        0 tells nothing more than the mean or the shares of the classes do, 1 tells everything.
    low : float
        Below it only once in a thousand.
    """

    score: float
    low: float


@dataclass(frozen=True, eq=False)
class Target:
    """What is to be told: classes by number, or the ranks of values, and the folds that everything is measured on.

    Parameters
    ----------
    values : ndarray of shape (n_rows,)
        Integers for classes, else floats.
    is_classes : bool
    folds : ndarray of int, shape (n_rows,)
    """

    values: np.ndarray
    is_classes: bool
    folds: np.ndarray

    @classmethod
    def of(cls, y: pd.Series, *, is_classes: bool) -> Target:
        """The target of some rows; ranks, so that neither a skewed target nor one wild value decides."""
        folds = np.random.default_rng(0).permutation(np.arange(len(y)) % _FOLDS)
        if is_classes:
            return cls(pd.factorize(y)[0], True, folds)
        ranks = y.rank().to_numpy(dtype=float)
        return cls((ranks - ranks.mean()) / max(float(ranks.std()), 1e-12), False, folds)

    def losses(self, predicted: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Log loss, or squared error, of each of some rows."""
        if self.is_classes:
            chosen = predicted[np.arange(len(rows)), self.values[rows]]
            return np.asarray(-np.log(np.clip(chosen, _FLOOR, 1)))
        return np.asarray((predicted[:, 0] - self.values[rows]) ** 2)


def strength_of(values: np.ndarray, target: Target) -> Strength:
    """Measure one column by a tree on held-out rows.

    Parameters
    ----------
    values : ndarray of shape (n_rows,)
        Numbers that order the rows, NaN where nothing is known.
    target : Target
        Of the same rows.
    """
    X = np.where(np.isnan(values), np.nanmin(values) - 1 if not np.isnan(values).all() else 0.0, values)[:, None]
    base, own = np.empty(len(X)), np.empty(len(X))
    for fold in range(_FOLDS):
        fit, held = np.flatnonzero(target.folds != fold), np.flatnonzero(target.folds == fold)
        base[held] = target.losses(_constant(target, fit, len(held)), held)
        own[held] = target.losses(_tree(X, target, fit, held), held)
    gain, whole = base - own, max(float(base.mean()), 1e-12)
    error = float(gain.std()) / np.sqrt(len(gain))
    return Strength(float(gain.mean()) / whole, (float(gain.mean()) - _REACH * error) / whole)


def _constant(target: Target, fit: np.ndarray, n: int) -> np.ndarray:
    if not target.is_classes:
        return np.full((n, 1), target.values[fit].mean())
    shares = np.bincount(target.values[fit], minlength=target.values.max() + 1) / len(fit)
    return np.tile(shares, (n, 1))


def _tree(X: np.ndarray, target: Target, fit: np.ndarray, held: np.ndarray) -> np.ndarray:
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    leaf = max(5, len(fit) // 100)
    if not target.is_classes:
        grown = DecisionTreeRegressor(min_samples_leaf=leaf, random_state=0).fit(X[fit], target.values[fit])
        return np.asarray(grown.predict(X[held]))[:, None]
    tree = DecisionTreeClassifier(min_samples_leaf=leaf, random_state=0).fit(X[fit], target.values[fit])
    said = np.zeros((len(held), target.values.max() + 1))
    said[:, tree.classes_] = tree.predict_proba(X[held])
    return said
