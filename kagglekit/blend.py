"""Blending predictions of several models, and scoring the blend on rows that did not choose its weights.

Predictions are stacked model by model: `P[m]` is one model's table of shape (n_rows, n_columns).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from kagglekit.contracts import Folds, Label, Predictions
from kagglekit.errors import ConfigError, PredictionsError, nearest, preview
from kagglekit.metrics import Metric

__all__ = ["METHODS", "CrossFitted", "Greedy", "Mean", "Method", "RankMean", "cross_fit", "stack"]

Array = npt.NDArray[Any]


class Score(Protocol):
    """Scores arrays of shape (n_rows, n_columns); see `Metric.scorer`."""

    def __call__(self, P: Array, /) -> float: ...


class Method(Protocol):
    """A way to blend. Settings are only stored when it is made; `fit` learns `weights_`."""

    weights_: Array

    def fit(self, P: Array, metric: Metric, score: Score) -> Self:
        """Choose weights.

        Parameters
        ----------
        P : ndarray of shape (n_models, n_rows, n_columns)
            Models in the order of their sorted names.
        metric : Metric
            Its direction and needs are used.
        score : callable
            Scores an array of shape (n_rows, n_columns) against the rows' truth.
        """

    def predict(self, P: Array) -> Array:
        """The blend, of shape (n_rows, n_columns)."""


def stack(members: Mapping[str, Predictions], ids: pd.Index, columns: Sequence[str]) -> tuple[Array, tuple[str, ...]]:
    """Predictions of several models for the same rows, as one array.

    Returns
    -------
    P : ndarray of float32, shape (n_models, n_rows, n_columns)
        Rows in the order of `ids`.
    names : tuple of str
        Members in sorted order, so that nothing depends on the order in which they were listed.

    Raises
    ------
    ConfigError
        There are no members.
    PredictionsError
        A member has other ids or columns.
    """
    if not members:
        raise ConfigError("A blend needs at least one member.")
    names = tuple(sorted(members))
    P = np.empty((len(names), len(ids), len(columns)), dtype=np.float32)
    for layer, name in zip(P, names, strict=True):
        try:
            layer[:] = members[name].aligned(ids, columns).to_numpy()
        except PredictionsError as error:
            raise PredictionsError(f"Member '{name}': {error.message}", hint=error.hint) from error
    return P, names


class Mean:
    """Plain mean of all models. Hard to beat when the models are about equally good.

    Attributes
    ----------
    weights_ : ndarray of shape (n_models,)
        All equal.
    """

    weights_: Array

    def fit(self, P: Array, metric: Metric, score: Score) -> Self:
        """Give every model the same weight; nothing is learnt from the rows."""
        self.weights_ = np.full(len(P), 1 / len(P))
        return self

    def predict(self, P: Array) -> Array:
        """The weighted mean. Rows of probabilities still sum to one."""
        return _weighted(self.weights_, P)


class RankMean:
    """Mean of ranks: each model's columns are first turned into ranks between 0 and 1.

    For metrics that look at the order of rows only (roc_auc, spearman), where models differ in scale or
    calibration. Not for probabilities, values or labels: ranks are none of these, and a rank depends on the
    other rows.

    Attributes
    ----------
    weights_ : ndarray of shape (n_models,)
        All equal.
    """

    weights_: Array

    def fit(self, P: Array, metric: Metric, score: Score) -> Self:
        """Give every model the same weight.

        Raises
        ------
        ConfigError
            The metric looks at more than the order of rows.
        """
        if metric.name not in _RANKING_METRICS:
            raise ConfigError(
                f"A rank mean keeps only the order of rows, and {metric.name} looks at more.",
                hint=f"Use method 'mean' or 'greedy'; rank means suit {' and '.join(_RANKING_METRICS)}.",
            )
        self.weights_ = np.full(len(P), 1 / len(P))
        return self

    def predict(self, P: Array) -> Array:
        """The mean of the ranks that rows have among the rows of `P`."""
        from scipy.stats import rankdata

        ranks = rankdata(P, axis=1) - 1
        return _weighted(self.weights_, (ranks / max(P.shape[1] - 1, 1)).astype(np.float32))


class Greedy:
    """Forward selection with replacement: at each step the model that helps the blend most is added once
    more.

    Source: Caruana, Niculescu-Mizil, Crew and Ksikes 2004, "Ensemble selection from libraries of models". The
    blend starts empty and ends as the best prefix of its steps, so it is never worse on the fitted rows than
    the best single model. Of equally good models the first by name is taken.

    Not for very few rows: it overfits them, which is why `cross_fit` scores it on other rows.

    Parameters
    ----------
    n_steps : int
        Weights are multiples of about 1 / n_steps.

    Attributes
    ----------
    weights_ : ndarray of shape (n_models,)
        How often each model was taken, as shares.
    history_ : tuple of float
        Score on the fitted rows after each step.
    """

    weights_: Array
    history_: tuple[float, ...]

    def __init__(self, n_steps: int = 25) -> None:
        self.n_steps = n_steps

    def fit(self, P: Array, metric: Metric, score: Score) -> Self:
        """Choose weights for these rows."""
        total = np.zeros(P.shape[1:], dtype=np.float64)
        taken: list[int] = []
        history: list[float] = []
        for step in range(1, self.n_steps + 1):
            best, value = self._best(P, total, step, metric, score)
            total += P[best]
            taken.append(best)
            history.append(value)
        kept = taken[: _first_best(history, metric) + 1]
        self.weights_ = np.bincount(kept, minlength=len(P)) / len(kept)
        self.history_ = tuple(history)
        return self

    def predict(self, P: Array) -> Array:
        """The weighted mean. Rows of probabilities still sum to one."""
        return _weighted(self.weights_, P)

    def _best(self, P: Array, total: Array, step: int, metric: Metric, score: Score) -> tuple[int, float]:
        scores = [score((total + member) / step) for member in P]
        best = _first_best(scores, metric)
        return best, scores[best]


#: Methods by the name used in a pipeline file.
METHODS: Mapping[str, type[Mean | RankMean | Greedy]] = MappingProxyType(
    {"mean": Mean, "rank-mean": RankMean, "greedy": Greedy}
)

# Metrics for which only the order of rows counts.
_RANKING_METRICS = ("roc_auc", "spearman")


@dataclass(frozen=True)
class CrossFitted:
    """A blend whose scores come from rows that did not choose its weights.

    Parameters
    ----------
    oof : DataFrame by id
        The blend of each scored row, with weights chosen without that row's fold.
    scores : tuple of float
        The metric on each fold.
    fit_score : float
        The score on the very rows that chose `weights`: too good, and shown beside the honest ones only.
    weights : mapping of str to float
        Chosen on all scored rows; for the test predictions. They sum to one.
    method : Method
        As fitted on all scored rows.
    """

    oof: pd.DataFrame
    scores: tuple[float, ...]
    fit_score: float
    weights: Mapping[str, float]
    method: Method

    def predict(self, P: Array, names: Sequence[str], ids: pd.Index) -> Predictions:
        """Blend other rows, as `stack` gave them: test rows.

        Raises
        ------
        PredictionsError
            The members are not those that were fitted.
        """
        if list(names) != list(self.weights):
            raise PredictionsError(
                f"The blend was fitted on {preview(self.weights)}; it cannot blend {preview(names)}."
            )
        return Predictions(pd.DataFrame(self.method.predict(P), index=ids, columns=list(self.oof.columns)))


def cross_fit(
    method: str,
    members: Mapping[str, Predictions],
    *,
    y: pd.Series,
    folds: Folds,
    metric: Metric,
    classes: Sequence[Label],
    columns: Sequence[str],
) -> CrossFitted:
    """Blend training rows so that no row helped to choose the weights it is blended with.

    For each fold, weights are chosen on the other scored folds. For time-forward folds, on the earlier folds
    only, as later rows would not have been known; the first fold has none before it and gets equal weights.
    The final weights, for test rows, are chosen on all scored rows. With repeated folds the first repeat is
    used.

    Parameters
    ----------
    method : {"mean", "rank-mean", "greedy"}
    members : mapping of str to Predictions
        Out-of-fold predictions by member name; they must hold at least the ids that the folds score.
    y : Series by id
    folds : Folds
    metric : Metric
    classes, columns : sequence
        Of the competition.

    Raises
    ------
    ConfigError
        Unknown method, no members, or a method that does not suit the metric.
    PredictionsError
        A member lacks a scored id or a column.

    Notes
    -----
    The members themselves saw the other folds' rows when they were trained, so a little of each fold's labels
    reaches the weights through them. This second-order leak is the usual one of stacking and is far smaller
    than choosing weights on the scored rows.
    """
    if method not in METHODS:
        raise ConfigError(f"Blend method '{method}' is unknown.", hint=nearest(method, METHODS))
    ids = folds.scored_ids
    P, names = stack({name: _only(p, ids) for name, p in members.items()}, ids, columns)
    y, numbers = y.loc[ids], folds.assignment.iloc[:, 0].loc[ids].to_numpy()
    oof = np.empty(P.shape[1:], dtype=np.float32)
    scores = []
    for fold in range(folds.n):
        scored = numbers == fold
        chosen = numbers < fold if folds.scheme == "time" else ~scored
        blend = _fitted(method, P, y, chosen, metric, classes)
        oof[scored] = blend.predict(P[:, scored])
        scores.append(metric.scorer(y[scored], classes)(oof[scored]))
    final = _fitted(method, P, y, np.ones(len(ids), dtype=bool), metric, classes)
    return CrossFitted(
        oof=pd.DataFrame(oof, index=ids, columns=list(columns)),
        scores=tuple(scores),
        fit_score=metric.scorer(y, classes)(final.predict(P)),
        weights=dict(zip(names, final.weights_.tolist(), strict=True)),
        method=final,
    )


def _fitted(method: str, P: Array, y: pd.Series, rows: Array, metric: Metric, classes: Sequence[Label]) -> Method:
    blend = METHODS[method]()
    if rows.any():
        return blend.fit(P[:, rows], metric, metric.scorer(y[rows], classes))
    # No rows to choose on: equal weights, whatever the method.
    blend.weights_ = np.full(len(P), 1 / len(P))
    return blend


def _only(predictions: Predictions, ids: pd.Index) -> Predictions:
    return Predictions(predictions.frame[predictions.ids.isin(ids)])


def _weighted(weights: Array, P: Array) -> Array:
    return np.tensordot(weights.astype(np.float32), P, axes=1)


def _first_best(scores: Sequence[float], metric: Metric) -> int:
    """The first of the best scores. The noise of float addition must not decide between equals."""
    values = np.asarray(scores) if metric.greater_is_better else -np.asarray(scores)
    best = values.max()
    return int(np.argmax(values >= best - 1e-12 * max(1.0, abs(best))))
