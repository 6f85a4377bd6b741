"""The best weights on the simplex: at least 0, summing to 1."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from kagglekit.blend.base import LinearBlender
from kagglekit.blend.kernels import kernels
from kagglekit.blend.problem import Problem
from kagglekit.blend.true_class import TrueClass
from kagglekit.contracts import Label
from kagglekit.metrics import get_metric

__all__ = ["ConvexBlend", "minimise_quadratic"]

Array = npt.NDArray[Any]

# The duality gap at which weights count as optimal: losses then agree to as many places.
_GAP = 1e-10
_MOST_STEPS = 200
# The metric clips here too.
_LOWEST = 1e-15
_SAFE = 1e-9
_WELL = 0.1
_DEEPEST = -0.99
_RIDGE = 1e-13
# Members that may join the weights in one step: more would make Hessians large for nothing.
_NEWCOMERS = 16
_TILE = 8192
# A first solution on some rows pays from here on: on a 16th of them, or less if that is still plenty.
_MANY_ROWS, _ONE_OF, _PLENTY, _BLOCK = 20_000, 16, 25_000, 256


class ConvexBlend(LinearBlender):
    """The weighted mean of members that is best on the fitted rows: the optimum that greedy selection approaches.

    Log loss is minimised by Newton steps on the few members that have weight (a few passes over the true-class
    columns); rmse and r2 by a quadratic programme on the Gram matrix of the members' errors. Other metrics have no
    optimum that could be found directly, so a smooth stand-in is minimised: log loss for metrics of classes
    (accuracy, roc_auc, map@k, ...), rmse for metrics of values and for a single column of ordinal values.

    Log loss divides a row of the blend by its sum, which is not convex where members' rows have different sums; there,
    members' rows are divided by their own sums while weights are chosen.

    Not for few rows and many members: it overfits them more than a bagged greedy blend, as `nested_score_` shows.

    Parameters
    ----------
    metric, classes, cv, seed
        See `Blender`.

    Attributes
    ----------
    weights_ : Series by member
        At least 0, sum 1. Most are exactly 0.
    surrogate_ : {"log_loss", "rmse"}
        What was minimised.
    n_iter_ : int
        Steps: of Newton on all rows, or of the quadratic programme.
    gap_ : float
        The duality gap: by how much better, at most, any other weights could be in what was minimised (for rmse, in
        half its square, the members' mean square being 1).

    References
    ----------
    Jaggi 2013, "Revisiting Frank-Wolfe: projection-free sparse convex optimization", for the gap as a certificate.
    """

    surrogate_: Literal["log_loss", "rmse"]
    n_iter_: int
    gap_: float

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
        one_column = problem.P.shape[2] == 1
        self.surrogate_ = "rmse" if problem.metric.needs == "values" or one_column else "log_loss"
        found = _least_log_loss(problem) if self.surrogate_ == "log_loss" else _least_squares(problem)
        self.weights_ = pd.Series(found.weights, index=list(problem.names))
        self.n_iter_, self.gap_ = found.n_iter, found.gap
        if found.gap > 1e-6:
            from sklearn.exceptions import ConvergenceWarning

            warnings.warn(
                f"Convex weights may be improved by up to {found.gap:.1g} after {found.n_iter} steps.",
                ConvergenceWarning,
                stacklevel=2,
            )


@dataclass(frozen=True)
class _Optimum:
    weights: Array
    n_iter: int
    gap: float


def _least_squares(problem: Problem) -> _Optimum:
    gram = _error_gram(problem)
    scale = float(gram.diagonal().mean()) or 1.0
    start = np.zeros(len(gram))
    start[gram.diagonal().argmin()] = 1
    weights, n_iter = minimise_quadratic(gram / scale, np.zeros(len(gram)), start)
    slope = gram @ weights / scale
    return _Optimum(weights, n_iter, float(weights @ slope - slope.min()))


def _error_gram(problem: Problem) -> Array:
    """Mean products of the members' errors, tile by tile: float64 of shape (n_models, n_models)."""
    y = problem.truth.astype(np.float64)
    weight = np.ones(problem.n_rows) if problem.weight is None else problem.weight
    gram = np.zeros((problem.n_models, problem.n_models))
    for start in range(0, problem.n_rows, _TILE):
        rows = slice(start, start + _TILE)
        errors = (problem.P[:, rows, 0] - y[rows]) * np.sqrt(weight[rows])
        gram += errors @ errors.T
    mean: Array = gram / weight.sum()
    return mean


def minimise_quadratic(H: Array, b: Array, start: Array) -> tuple[Array, int]:
    """Minimise `v @ H @ v / 2 - b @ v` over the simplex, by an active set.

    Parameters
    ----------
    H : ndarray of shape (n, n)
        Symmetric, no negative eigenvalue.
    b : ndarray of shape (n,)
    start : ndarray of shape (n,)
        On the simplex.

    Returns
    -------
    weights : ndarray of shape (n,)
    n_iter : int
        Linear systems solved.

    References
    ----------
    Nocedal and Wright 2006, "Numerical optimization", section 16.5.
    """
    v = start.copy()
    free = v > 0
    scale = float(H.diagonal().max()) or 1.0
    H, b = H / scale, b / scale
    tolerance = 1e-14 * max(1.0, float(np.abs(b).max()))
    n_iter = 0
    while n_iter < _MOST_STEPS + 10 * len(b):
        n_iter += 1
        target, level = _stationary(H, b, free)
        if (target[free] > 0).all():
            v = target
            slack = np.where(free, 0, level - (H @ v - b))
            newcomer = int(slack.argmax())
            if slack[newcomer] <= tolerance:
                break
            free[newcomer] = True
        else:
            v, free = _blocked(v, target, free)
    return v, n_iter


def _stationary(H: Array, b: Array, free: Array) -> tuple[Array, float]:
    """Where the gradient of all free weights is equal while they sum to one; and that gradient."""
    chosen = np.flatnonzero(free)
    n = len(chosen)
    system = np.ones((n + 1, n + 1))
    # Where members are nearly alike, many weights are equally good; a tiny ridge makes a choice among them.
    system[:n, :n] = H[np.ix_(chosen, chosen)] + _RIDGE * np.eye(n)
    system[n, n] = 0
    solved = np.linalg.solve(system, np.append(b[chosen], 1))
    target = np.zeros(len(b))
    target[chosen] = solved[:n]
    return target, -float(solved[n])


def _blocked(v: Array, target: Array, free: Array) -> tuple[Array, Array]:
    """As far towards the target as all weights stay at 0 or more; the one that stops it is no longer free."""
    falling = free & (target <= 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        reach = np.where(falling, v / (v - target), np.inf)
    reach[falling & (v == 0)] = 0
    stopper = int(reach.argmin())
    v = v + min(1.0, float(reach[stopper])) * (target - v)
    free = free.copy()
    free[stopper] = False
    v[~free] = 0
    return v / v.sum(), free


def _least_log_loss(problem: Problem) -> _Optimum:
    loops = kernels("log_loss")
    problem = replace(problem, metric=get_metric("log_loss"))
    columns = TrueClass.of(problem, loops)
    C = _shares(columns, 1 / problem.P.shape[2]) if len(columns.totals) else columns.C
    weight = np.full(problem.n_rows, 1 / problem.n_rows)
    if problem.weight is not None:
        weight = problem.weight / problem.weight.sum()
    descent = _Descent(C, weight, loops)
    start = _first_guess(descent) if problem.n_rows >= _MANY_ROWS else None
    return descent.run(start)


def _shares(columns: TrueClass, fallback: float) -> Array:
    """True-class columns divided by the sums of their rows."""
    with np.errstate(divide="ignore", invalid="ignore"):
        shares: Array = np.where(columns.totals > 0, columns.C / columns.totals, np.float32(fallback))
    return shares


def _first_guess(descent: _Descent) -> Array | None:
    """The optimum on blocks of rows taken from everywhere."""
    n_rows = descent.C.shape[1]
    starts = np.arange(0, n_rows - _BLOCK, _BLOCK * max(_ONE_OF, n_rows // _PLENTY))
    C = np.concatenate([descent.C[:, s : s + _BLOCK] for s in starts], axis=1)
    weight = np.concatenate([descent.weight[s : s + _BLOCK] for s in starts])
    if not weight.any():
        return None
    return _Descent(C, weight / weight.sum(), descent.loops, gap=1e-5).run(None).weights


def _gap(w: Array, slope: Array) -> float:
    return max(0.0, float(slope.max() - w @ slope))


class _Descent:
    """Newton steps on the weights in use, for the mean of -log of a blend.

    With b the blend's column and r = weight / b, the slope C @ r is the gradient, turned. At the optimum no slope is
    above the mean slope by weights (which is 1, unless all members give a row up); by how much one is, is the gap.

    Parameters
    ----------
    C : ndarray of float32, shape (n_models, n_rows)
    weight : ndarray of float64, shape (n_rows,)
        Sums to one.
    loops : module
    gap : float
        Where to end.
    """

    def __init__(self, C: Array, weight: Array, loops: Any, gap: float = _GAP) -> None:
        self.C, self.weight, self.loops, self.gap = C, weight, loops, gap
        self.models = np.arange(len(C))

    def run(self, start: Array | None) -> _Optimum:
        """From a start, or from equal weights of some members that a mean of all would want more of."""
        w = self._start() if start is None else self._safe(start)
        best, n_iter = _Optimum(w, 0, np.inf), 0
        while n_iter < _MOST_STEPS:
            slope = self._slope(self._blend(w), self.models)
            gap = _gap(w, slope)
            best = min(best, _Optimum(w, n_iter, gap), key=lambda optimum: optimum.gap)
            if gap <= self.gap:
                break
            w, n_steps = self._newton(w, self._working(w, slope), max(self.gap, 0.01 * gap))
            n_iter += max(n_steps, 1)
            if not n_steps:
                break
        return best

    def _start(self) -> Array:
        mean = np.full(len(self.C), 1 / len(self.C))
        wanted = np.argsort(-self._slope(self._blend(mean), self.models), kind="stable")[:_NEWCOMERS]
        start = np.zeros(len(self.C))
        start[wanted] = 1 / len(wanted)
        return self._safe(start)

    def _safe(self, w: Array) -> Array:
        """No row may have a blend of next to nothing if any member has more: slopes there know no measure."""
        return w if self._blend(w).min() > _SAFE else 0.9 * w + 0.1 / len(w)

    def _blend(self, w: Array) -> Array:
        blend = np.zeros(self.C.shape[1])
        for model in np.flatnonzero(w):
            self.loops.add(blend, self.C[model], float(w[model]))
        return np.maximum(blend, _LOWEST, out=blend)

    def _slope(self, blend: Array, models: Array) -> Array:
        found: Array = self.loops.dots(self.C, models, self.weight / blend, len(blend))
        return found

    def _working(self, w: Array, slope: Array) -> Array:
        """Members in use, and those that want to join most."""
        wanting = np.argsort(-slope, kind="stable")[:_NEWCOMERS]
        return np.union1d(np.flatnonzero(w), wanting[slope[wanting] > w @ slope])

    def _newton(self, w: Array, working: Array, gap: float) -> tuple[Array, int]:
        """Steps on the working members alone, until their own gap is small; and how many steps were taken."""
        H, left = np.empty((0, 0)), np.inf
        for n_steps in range(_MOST_STEPS):
            blend = self._blend(w)
            slope = self._slope(blend, working)
            now = _gap(w[working], slope)
            if now <= gap:
                return w, n_steps
            # The Hessian costs more than a slope, so it serves for as long as steps shrink the gap well.
            if not len(H) or now > _WELL * left:
                H = self._hessian(working, blend)
            left = now
            target = np.zeros_like(w)
            target[working], _ = minimise_quadratic(H, slope + H @ w[working], w[working])
            share = self._share(blend, self._blend(target))
            if share == 0:
                return w, n_steps
            w = (1 - share) * w + share * target
            w[w < 1e-15] = 0
            w /= w.sum()
        return w, _MOST_STEPS

    def _hessian(self, working: Array, blend: Array) -> Array:
        # Single precision slows the last steps by nothing that could be seen; gradients are in double.
        scale = (np.sqrt(self.weight) / blend).astype(np.float32)
        H = np.zeros((len(working), len(working)))
        for start in range(0, len(blend), _TILE):
            rows = slice(start, start + _TILE)
            Z = self.C[working, rows] * scale[rows]
            H += Z @ Z.T
        return H

    def _share(self, blend: Array, towards: Array) -> float:
        """How far to go: the whole step if the loss falls enough, else as much as some halvings leave."""
        step = towards - blend
        rise = step / blend
        fall = float(self.weight @ rise)
        now = self._loss(blend)
        # No row is given up in one step: from next to nothing there is no way back.
        deepest = float(rise.min(initial=0, where=blend > 2 * _LOWEST))
        share = min(1.0, _DEEPEST / deepest) if deepest < 0 else 1.0
        for _ in range(40):
            if self._loss(blend + share * step) <= now - 1e-4 * share * fall:
                return share
            share /= 2
        return 0.0

    def _loss(self, blend: Array) -> float:
        return float(-self.weight @ np.log(np.maximum(blend, _LOWEST)))
