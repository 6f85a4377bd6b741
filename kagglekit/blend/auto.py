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
from kagglekit.blend.matrix import weighted
from kagglekit.blend.problem import Problem
from kagglekit.blend.ridge import RidgeFit, few_rows, fit_ridge, line
from kagglekit.contracts import Label
from kagglekit.metrics import get_metric

__all__ = ["AutoBlend"]

Array = npt.NDArray[Any]
Form = Literal["probabilities", "values", "other"]

# With this many rows the two parts count the same. The high power keeps bags and free fits of very few rows out: with
# fewer than 100 rows, plain selection was never worse and they at times were.
_EVEN_ROWS, _POWER = 250, 4
_N_BAGS, _N_STEPS = 20, 25
# Of the members in each bag: with half of them, too many bags lack the few good ones of a mixed library.
_MEMBER_SHARE = 0.75
# The selection is made on at most this many rows: with more, its part of the blend is small.
_SELECT_ROWS = 5_000
# Below this, greedy selection alone is bagged.
_FEW_ROWS = 1_000


class AutoBlend(Blender):
    """Mixes two blends by the number of rows, never by their scores: a greedy selection and a free fit.

    The selection stays good when rows are few; the free fit, whose weights may be negative, finds more when they are
    many. It is drawn towards the selection as far as held-out rows ask for, not towards equal weights, as in most
    libraries some members are no good. Its share of the blend is s = n⁴ / (n⁴ + 250⁴) for n rows: .02 for 100 rows,
    .94 for 500. The selection itself is the mean of one on all rows and of bagged ones, in which the bags have the
    same share s.

    - Probabilities: selection and fit both minimise log loss, whatever the metric, and the fit is a weighted geometric
      mean (see `LogPool`). For accuracy, F1, kappa, MCC and MAP@k too this did better on held-out rows than climbing
      the metric itself, which moves by whole rows and so follows their noise.
    - Values: the selection climbs the metric, the fit is least squares with weights that sum to one (`RidgeBlend`).
    - Everything else (labels or scores that are no probabilities; spearman): the selection alone, on the metric;
      without bags from 1,000 rows on.

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
    selection_ : Series by member
        Weights of the greedy selection.
    free_ : LogitFit or RidgeFit
        The free fit, where there is one.
    reason_ : str
        What was done, and why.

    References
    ----------
    Caruana, Munson and Niculescu-Mizil 2006, "Getting the most out of ensemble selection" (bagging, few rows).
    """

    share_: float
    selection_: pd.Series
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
        self.share_ = _share(n_rows)
        self.selection_ = self._mixed(_some_rows(goal), self.share_)
        centre = self.selection_.to_numpy()
        self.free_ = (fit_logits if form == "probabilities" else _ridge)(goal, centre, seed=self.seed)
        total = self.free_.weights.sum()
        mean = (1 - self.share_) * centre + self.share_ * self.free_.weights / (total if total > 0 else 1)
        self.weights_ = pd.Series(mean, index=list(problem.names))
        self.reason_ = (
            f"auto mixed {1 - self.share_:.0%} greedy selection with {self.share_:.0%} "
            f"{'log pool' if form == 'probabilities' else 'ridge'} drawn towards it, and bagged as much of the "
            f"selection: the more rows, the more of both; here {n_rows}."
        )
        self.warning_ = few_rows(problem)

    def _select_only(self, problem: Problem, n_rows: int) -> None:
        few, self.share_ = n_rows < _FEW_ROWS, 0.0
        if few:
            self.selection_ = self._mixed(problem, _share(n_rows))
        else:
            chosen = self._select(problem, 1)
            self.selection_, self.trajectory_ = chosen.weights_, chosen.trajectory_
        self.weights_ = self.selection_
        self.reason_ = f"auto chose greedy selection on {self.metric} itself" + (
            f", {_share(n_rows):.0%} of it bagged, as {n_rows} rows are few to choose on."
            if few
            else f": {n_rows} rows are enough without bags."
        )

    def _mixed(self, problem: Problem, share: float) -> pd.Series:
        """Weights of a selection on all rows and, to some share, of bagged ones."""
        return (1 - share) * self._select(problem, 1).weights_ + share * self._select(problem, _N_BAGS).weights_

    def _select(self, problem: Problem, n_bags: int) -> GreedyEnsemble:
        return GreedyEnsemble(
            problem.metric.name,
            classes=problem.classes,
            n_steps=_N_STEPS,
            stop="best",
            n_bags=n_bags,
            member_share=_MEMBER_SHARE,
            cv=None,
            seed=self.seed,
        ).fit_problem(problem)

    def combine(self, P: Array) -> Array:
        """The mix: of probabilities, of values, or the selection alone."""
        chosen = weighted(self.selection_.to_numpy(), P)
        if self.share_ == 0:
            return chosen
        share = np.float32(self.share_)
        if isinstance(self.free_, RidgeFit):
            free = line(self.free_.weights, P, logs=get_metric(self.metric).name == "rmsle")
        else:
            free, chosen = pooled(self.free_.weights, self.free_.floors, P), _scaled(chosen)
        mix: Array = (1 - share) * chosen + share * free
        return mix


def _share(n_rows: int) -> float:
    return float(n_rows**_POWER / (n_rows**_POWER + _EVEN_ROWS**_POWER))


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
