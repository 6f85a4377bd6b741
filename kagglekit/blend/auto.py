"""A blend for every metric and number of rows: what few rows can choose and what many rows can, mixed by how many are
there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from kagglekit.blend.base import Blender
from kagglekit.blend.greedy import GreedyEnsemble
from kagglekit.blend.logits import LogitFit, fit_logits, pooled
from kagglekit.blend.problem import Problem
from kagglekit.blend.ridge import RidgeFit, few_rows, fit_ridge, line
from kagglekit.contracts import Label
from kagglekit.metrics import get_metric

__all__ = ["AutoBlend"]

Array = npt.NDArray[Any]
Form = Literal["probabilities", "values", "other"]

# With this many rows the two parts count the same. Squared below, so that a free fit of very few rows hardly counts.
_EVEN_ROWS = 250
_N_BAGS, _N_STEPS = 20, 25
# Of the members in each bag: with half of them, too many bags lack the few good ones of a mixed library.
_MEMBER_SHARE = 0.75
# The selection is made on at most this many rows: with more, its part of the blend is small.
_SELECT_ROWS = 5_000
# Below this, greedy selection alone is bagged.
_FEW_ROWS = 1_000


class AutoBlend(Blender):
    """Mixes two blends by the number of rows, never by their scores: a bagged greedy selection and a free fit.

    The selection stays good when rows are few; the free fit, whose weights may be negative, finds more when they are
    many. It is drawn towards the selection as far as held-out rows ask for, not towards equal weights, as in most
    libraries some members are no good. Its share of the blend is n² / (n² + 250²) for n rows: .14 for 100
    rows, .94 for 1,000.

    - Probabilities: selection and fit both minimise log loss, whatever the metric, and the fit is a weighted geometric
      mean (see `LogPool`). For accuracy, F1, kappa, MCC and MAP@k too this did better on held-out rows than climbing
      the metric itself, which moves by whole rows and so follows their noise.
    - Values: the selection climbs the metric, the fit is least squares with weights that sum to one (`RidgeBlend`).
    - Everything else (labels or scores that are no probabilities; spearman): greedy selection on the metric, bagged
      below 1,000 rows.

    How it was measured: `benchmarks/ensembling/quality.py`. Not for comparing methods: name one, or several ensembles,
    and compare their honest scores.

    Parameters
    ----------
    metric, classes, cv, seed
        See `Blender`.

    Attributes
    ----------
    weights_ : Series by member
        For values those of the blend. For probabilities each member's mean share in the two parts, which says how much
        it counts, but is not what the blend is computed by.
    share_ : float
        Of the free fit; 0 where there is none.
    selection_ : GreedyEnsemble
    free_ : LogitFit or RidgeFit
        The free fit, where there is one.
    reason_ : str
        What was done, and why.

    References
    ----------
    Caruana, Munson and Niculescu-Mizil 2006, "Getting the most out of ensemble selection" (bagging, few rows).
    """

    share_: float
    selection_: GreedyEnsemble
    free_: LogitFit | RidgeFit

    def __init__(
        self,
        metric: str = "log_loss",
        *,
        classes: Sequence[Label] = (),
        cv: int | Literal["auto"] | None = "auto",
        seed: int = 0,
    ) -> None:
        self.metric = metric
        self.classes = classes
        self.cv = cv
        self.seed = seed

    def _learn(self, problem: Problem) -> None:
        n_rows = problem.n_rows if problem.weight is None else int(np.count_nonzero(problem.weight))
        form = _form(problem)
        if form == "other":
            self._select_only(problem, n_rows)
            return
        goal = replace(problem, metric=get_metric("log_loss")) if form == "probabilities" else problem
        self.selection_ = self._selection(goal, _N_BAGS).fit_problem(_some_rows(goal))
        centre = self.selection_.weights_.to_numpy()
        self.free_ = (fit_logits if form == "probabilities" else _ridge)(goal, centre, seed=self.seed)
        self.share_ = n_rows**2 / (n_rows**2 + _EVEN_ROWS**2)
        total = self.free_.weights.sum()
        mean = (1 - self.share_) * centre + self.share_ * self.free_.weights / (total if total > 0 else 1)
        self.weights_ = pd.Series(mean, index=list(problem.names))
        self.reason_ = (
            f"auto mixed {1 - self.share_:.0%} bagged greedy selection with {self.share_:.0%} "
            f"{'log pool' if form == 'probabilities' else 'ridge'} drawn towards it: the more rows, the more of the "
            f"second; here {n_rows}."
        )
        self.warning_ = few_rows(problem)

    def _select_only(self, problem: Problem, n_rows: int) -> None:
        few = n_rows < _FEW_ROWS
        self.share_ = 0.0
        self.selection_ = self._selection(problem, _N_BAGS if few else 1).fit_problem(problem)
        self.weights_, self.trajectory_ = self.selection_.weights_, self.selection_.trajectory_
        self.reason_ = f"auto chose greedy selection on {self.metric} itself" + (
            f", bagged, as {n_rows} rows are few to choose on." if few else f": {n_rows} rows are enough without bags."
        )

    def _selection(self, problem: Problem, n_bags: int) -> GreedyEnsemble:
        name, classes = problem.metric.name, problem.classes
        return GreedyEnsemble(
            name,
            classes=classes,
            n_steps=_N_STEPS,
            stop="best",
            n_bags=n_bags,
            member_share=_MEMBER_SHARE,
            cv=None,
            seed=self.seed,
        )

    def combine(self, P: Array) -> Array:
        """The mix: of probabilities, of values, or the selection alone."""
        if self.share_ == 0:
            return self.selection_.combine(P)
        share, chosen = np.float32(self.share_), self.selection_.combine(P)
        if isinstance(self.free_, RidgeFit):
            free = line(self.free_.weights, P, logs=get_metric(self.metric).name == "rmsle")
        else:
            free, chosen = pooled(self.free_.weights, self.free_.floors, P), _scaled(chosen)
        mix: Array = (1 - share) * chosen + share * free
        return mix


def _form(problem: Problem) -> Form:
    n_columns = problem.P.shape[2]
    if problem.metric.needs == "values":
        return "values" if n_columns == 1 and problem.metric.name != "spearman" else "other"
    return "probabilities" if n_columns > 1 and all(table.min() >= 0 for table in problem.P) else "other"


def _some_rows(problem: Problem) -> Problem:
    """As many rows as the selection needs, in memory; which ones depends on their ids, not on their order."""
    counted = np.arange(problem.n_rows) if problem.weight is None else np.flatnonzero(problem.weight)
    if len(counted) <= _SELECT_ROWS:
        return problem
    places = np.argsort(pd.util.hash_pandas_object(problem.y.index[counted]).to_numpy(), kind="stable")
    return replace(problem, P=np.asarray(problem.P)).rows(np.sort(counted[places[:_SELECT_ROWS]]))


def _ridge(problem: Problem, centre: Array, *, seed: int) -> RidgeFit:
    """Least squares drawn towards `centre`: towards equal weights, for a truth shifted by how far those lie apart."""
    equal = np.full(problem.n_models, 1 / problem.n_models)
    logs = problem.metric.name == "rmsle"
    shift = _column(equal, problem.P, logs) - _column(centre, problem.P, logs)
    truth = problem.truth.astype(np.float64)
    shifted = np.expm1(np.log1p(truth) + shift) if logs else truth + shift
    found = fit_ridge(replace(problem, y=pd.Series(shifted, index=problem.y.index)), seed)
    return replace(found, weights=found.weights - equal + centre)


def _column(weights: Array, P: Array, logs: bool) -> Array:
    blend: Array = line(weights, P, logs=logs)[:, 0].astype(np.float64)
    return np.log1p(blend) if logs else blend


def _scaled(blend: Array) -> Array:
    total = blend.sum(axis=1, keepdims=True)
    scaled: Array = np.divide(blend, total, out=blend, where=total > 0)
    return scaled
