"""Least squares with weights that sum to one, drawn towards the plain mean as far as held-out rows ask for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from kagglekit.blend.base import LinearBlender
from kagglekit.blend.blocks import make_blocks
from kagglekit.blend.matrix import weighted
from kagglekit.blend.problem import Problem
from kagglekit.contracts import Label
from kagglekit.metrics import get_metric, label_codes

__all__ = ["RidgeBlend", "RidgeFit", "few_rows", "fit_ridge", "inner_blocks", "line", "relative"]

Array = npt.NDArray[Any]

# Strengths, in units of the mean squared spread of a member around the mean of all, summed over rows.
_STRENGTHS = (np.inf, *np.logspace(3, -6, 28))
_INNER_BLOCKS = 5
# Numbers of P that are turned into doubles at once: 16 MB.
_AT_ONCE = 2_000_000
# Fewer rows for each member than this are worth a warning.
_ROWS_PER_MEMBER = 10


class RidgeBlend(LinearBlender):
    """Least squares on the members: weights sum to one, may be negative, and are drawn towards equal weights.

    It minimises the squared error of the blend plus `strength_` times the squared distance of the weights from
    1 / n_models. The strength is the one whose held-out squared error is lowest (five blocks inside the fitted rows);
    the plain mean is among the candidates. Everything is read off one Gram matrix for each block of rows, so that all
    strengths together cost a single pass over `P`.

    Squared error is what is minimised for every metric: that is rmse, r2 and pearson themselves, a close relative of
    mae, and for classes the Brier score. For rmsle, values are first turned into log(1 + value), and the blend is
    turned back. For log loss `LogPool` is the better choice: a negative weight can push a probability out of the range
    of the members, where it is cut off.

    Not for a single column of labels or ranks whose distances mean nothing.

    Parameters
    ----------
    metric, classes, cv, seed
        See `Blender`.

    Attributes
    ----------
    weights_ : Series by member
        Sum to one.
    strength_ : float
        Infinite for the plain mean. In units of squared error: it fades by itself as rows become more.

    References
    ----------
    Breiman 1996, "Stacked regressions"; Hoerl and Kennard 1970, "Ridge regression", here with the plain mean, not
    nought, as the centre.
    """

    strength_: float

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
        found = fit_ridge(problem, self.seed)
        self.weights_ = pd.Series(found.weights, index=list(problem.names))
        self.strength_ = found.strength
        self.warning_ = few_rows(problem)

    def combine(self, P: Array) -> Array:
        """The weighted sum; see the class for what metrics ask for besides."""
        weights = self.weights_.to_numpy()
        metric = get_metric(self.metric)
        if metric.name == "rmsle":
            return line(weights, P, logs=True)
        blend = weighted(weights, P)
        if metric.needs in ("probabilities", "ranking") and weights.min() < 0:
            return _within_members(blend, P)
        return blend


@dataclass(frozen=True)
class RidgeFit:
    """Weights of members and what is added to their sum.

    Parameters
    ----------
    weights : ndarray of float64, shape (n_models,)
    intercept : float
    strength : float
        Infinite for equal weights.
    """

    weights: Array
    intercept: float
    strength: float


def fit_ridge(problem: Problem, seed: int, *, free: bool = False) -> RidgeFit:
    """Least squares drawn towards the plain mean, the strength chosen by an inner cross-fit.

    Parameters
    ----------
    problem : Problem
        For rmsle, weights are those of log(1 + value).
    seed : int
        Of the inner blocks.
    free : bool
        The mean may be scaled and shifted too, at little cost, so that weights need not sum to one. For one column.
    """
    n, blocks = problem.n_models, inner_blocks(problem, seed)
    level, spread = _level(problem) if free else (0.0, 1.0)
    moments = _moments(problem, blocks, (level, spread) if free else None)
    whole = sum(moments[1:], moments[0])
    unit = float(np.trace(whole.spread[:n, :n])) / n
    # Deviations that are nothing but rounding are no evidence: identical members stay equal.
    known = len(moments) > 1 and unit > 1e-12 * whole.rest
    strength = _best_strength(moments, whole, np.array(_STRENGTHS) * unit) if known else np.inf
    moves = whole.path(np.array([strength]))[0]
    # A move of members sums to nought, as their deviations from the mean say nothing about a common shift.
    weights = 1 / n + moves[:n] - moves[:n].mean()
    if not free:
        return RidgeFit(weights, 0.0, strength)
    shift, scale = moves[n:]
    return RidgeFit(weights + scale / n, float(shift * spread - scale * level), strength)


@dataclass(frozen=True, eq=False)
class _Moments:
    """Sums over rows of a block: all that least squares needs to know of them.

    Parameters
    ----------
    spread : ndarray of shape (n_features, n_features)
        Products of features: the members' deviations from their mean, and a shift and the mean where they are free.
    pull : ndarray of shape (n_features,)
        Products of features with what the mean leaves to explain.
    rest : float
        Its square.
    """

    spread: Array
    pull: Array
    rest: float

    def __add__(self, other: Self) -> _Moments:
        return _Moments(self.spread + other.spread, self.pull + other.pull, self.rest + other.rest)

    def __sub__(self, other: Self) -> _Moments:
        return _Moments(self.spread - other.spread, self.pull - other.pull, self.rest - other.rest)

    def path(self, strengths: Array) -> Array:
        """The solution for each strength: of shape (n_strengths, n_features)."""
        values, vectors = np.linalg.eigh(self.spread)
        damped = np.maximum(values, 0) + strengths[:, None]
        moves: Array = ((vectors.T @ self.pull) / damped) @ vectors.T
        return moves

    def errors(self, moves: Array) -> Array:
        """The sum of squared errors after each move: of shape (n_strengths,)."""
        total: Array = self.rest - 2 * moves @ self.pull + np.einsum("sf,sf->s", moves @ self.spread, moves)
        return total


def _best_strength(moments: Sequence[_Moments], whole: _Moments, strengths: Array) -> float:
    errors = sum(block.errors((whole - block).path(strengths)) for block in moments)
    return float(strengths[np.argmin(errors)])


def line(weights: Array, P: Array, *, logs: bool = False, intercept: float = 0.0) -> Array:
    """The weighted sum of members plus an intercept, of log(1 + value) if asked for: float32, (n_rows, n_columns)."""
    if not logs:
        return weighted(weights, P) + np.float32(intercept)
    total = np.full(P.shape[1:], intercept)
    for weight, table in zip(weights, P, strict=True):
        total += weight * np.log1p(np.maximum(table, 0, dtype=np.float64))
    values: Array = np.expm1(total).astype(np.float32)
    return values


def inner_blocks(problem: Problem, seed: int) -> Array:
    """Blocks to choose a strength by: five, or all rows in one where rows or groups are too few to be cut."""
    units = problem.n_rows if problem.groups is None else len(np.unique(problem.groups))
    return np.zeros(problem.n_rows, dtype=np.int64) if units < 2 else make_blocks(problem, _INNER_BLOCKS, seed)


def few_rows(problem: Problem) -> str:
    """A warning where rows are few for so many members; else empty."""
    n_rows = problem.n_rows if problem.weight is None else int(np.count_nonzero(problem.weight))
    if n_rows >= _ROWS_PER_MEMBER * problem.n_models:
        return ""
    return (
        f"{n_rows} rows are few to weigh {problem.n_models} members by; trust the nested score only, and compare it "
        "with the plain mean's."
    )


def _moments(problem: Problem, blocks: Array, free: tuple[float, float] | None) -> list[_Moments]:
    """Moments of each block of rows, in one pass over P."""
    n = problem.n_models + (0 if free is None else 2)
    numbers = np.unique(blocks)
    found = [_Moments(np.zeros((n, n)), np.zeros(n), 0.0) for _ in numbers]
    for rows, members, truth, root in _tiles(problem):
        mean = members.mean(axis=0)
        left = (truth - mean) * root
        features = (members - mean) * root
        if free is not None:
            features = np.concatenate([features, (free[1] * root)[None], ((mean - free[0]) * root)[None]])
        for place, number in enumerate(numbers):
            mine = blocks[rows] == number
            flat, rest = features[:, mine].reshape(n, -1), left[mine].ravel()
            found[place] += _Moments(flat @ flat.T, flat @ rest, float(rest @ rest))
    return found


def _tiles(problem: Problem) -> Iterator[tuple[slice, Array, Array, Array]]:
    """Rows in pieces: members of shape (n_models, n, columns), truth of (n, columns), root of weight of (n, 1)."""
    truth, weight = _truth(problem), relative(problem.weight)
    # Of two classes the second says it all.
    columns = slice(1, None) if problem.P.shape[2] == 2 else slice(None)
    at_once = max(1, _AT_ONCE // (problem.n_models * problem.P.shape[2]))
    for start in range(0, problem.n_rows, at_once):
        rows = slice(start, start + at_once)
        members, target = problem.P[:, rows, columns].astype(np.float64), _table(truth[rows], problem.P.shape[2])
        if problem.metric.name == "rmsle":
            members = np.log1p(np.maximum(members, 0))
        root = np.ones((len(target), 1)) if weight is None else np.sqrt(weight[rows])[:, None]
        yield rows, members, target[:, columns], root


def _truth(problem: Problem) -> Array:
    """Class codes where there is a column for each class, else values."""
    if problem.P.shape[2] > 1:
        return label_codes(problem.y, problem.classes)
    truth: Array = problem.truth.astype(np.float64)
    return np.log1p(truth) if problem.metric.name == "rmsle" else truth


def _table(truth: Array, n_columns: int) -> Array:
    """The truth of some rows in the shape of a member's table; float64."""
    table: Array = np.eye(n_columns)[truth] if n_columns > 1 else truth[:, None]
    return table


def _level(problem: Problem) -> tuple[float, float]:
    """Mean and standard deviation of the truth over counted rows."""
    truth = _truth(problem)
    mean = float(np.average(truth, weights=problem.weight))
    return mean, float(np.sqrt(np.average(np.square(truth - mean), weights=problem.weight)))


def relative(weight: Array | None) -> Array | None:
    """Weights of rows of mean one over the rows that count, so that a strength does not depend on their unit."""
    return None if weight is None else weight / weight[weight > 0].mean()


def _within_members(blend: Array, P: Array) -> Array:
    """No probability beyond those of all members; rows sum to one."""
    lowest, highest = P[0].copy(), P[0].copy()
    for table in P[1:]:
        np.minimum(lowest, table, out=lowest)
        np.maximum(highest, table, out=highest)
    np.clip(blend, lowest, highest, out=blend)
    total = blend.sum(axis=1, keepdims=True)
    np.divide(blend, total, out=blend, where=total > 0)
    return blend
