"""Mean absolute error and squared logarithmic error: one pass over rows for each candidate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from kagglekit.blend.kernels import kernels
from kagglekit.blend.objectives.base import Objective, Walk, first_best
from kagglekit.blend.problem import Problem

__all__ = ["AbsoluteError", "SquaredLogError", "first_best_convex", "read_only"]

Array = npt.NDArray[Any]

# As in `first_best`.
_TIE = 1e-12
# Single precision: the largest relative error of one rounding, and what sums of rounded squares were seen to be off by,
# fifty times over.
_ROUNDING, _SUMMING = 6e-8, 1e-6


def read_only(problem: Problem) -> Array:
    """The column that metrics of values look at, as the read-only array (n_models, n_rows) that kernels take."""
    values: Array = np.asarray(problem.P)[:, :, 0]
    values = np.ascontiguousarray(values).view()
    values.flags.writeable = False
    return values


def first_best_convex(loss: Callable[[int], float], n: int) -> tuple[int, float]:
    """`first_best` of n values that fall and then rise, and that value, from about 2 log2(n) of them.

    Where neighbours are too near for float arithmetic to tell them apart, so is everything between them and the lowest
    value: a wrong turn there changes nothing that `first_best` looks at.
    """
    known: dict[int, float] = {}

    def at(place: int) -> float:
        if place not in known:
            known[place] = loss(place)
        return known[place]

    low, high = 0, n - 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if at(middle) <= at(middle + 1) else (middle + 1, high)
    best = at(low)
    limit = best + _TIE * max(1.0, abs(best))
    while low > 0 and at(low - 1) <= limit:
        low -= 1
    return low, at(low)


class AbsoluteError(Objective):
    """The objective of mean absolute error.

    Parameters
    ----------
    problem : Problem
    compiled : bool, optional
        By default loops are compiled where numba is installed.
    """

    def __init__(self, problem: Problem, *, compiled: bool | None = None) -> None:
        super().__init__(problem)
        self.kernels = kernels("errors", compiled=compiled)
        self.P = read_only(problem)
        self.y: Array = np.ascontiguousarray(problem.truth, dtype=np.float64)
        self.weight = np.empty(0) if problem.weight is None else problem.weight
        self.total = float(len(self.y) if problem.weight is None else self.weight.sum())

    def start(self) -> AbsoluteWalk:
        """An empty blend."""
        return AbsoluteWalk(self)


class AbsoluteWalk(Walk):
    """Holds the error of the blend in each row."""

    def __init__(self, objective: AbsoluteError) -> None:
        self.objective = objective
        self.error = -objective.y

    def losses(self, candidates: Array, share: float) -> Array:
        """One pass over the rows of each candidate."""
        o = self.objective
        sums: Array = o.kernels.absolute_sums(o.P, candidates, self.error, o.y, float(share), o.weight)
        return sums / o.total

    def line(self, model: int, shares: Array) -> Array:
        """One pass over rows for each share."""
        return self._line(self._step(model), shares)

    def best_line(self, model: int, shares: Array) -> tuple[int, float]:
        """The loss is convex in the share, so that few shares need a pass; `shares` must be in order."""
        step = self._step(model)
        return first_best_convex(lambda place: float(self._line(step, shares[place : place + 1])[0]), len(shares))

    def move(self, model: int, share: float) -> None:
        """Take a step."""
        self.error += share * self._step(model)

    def _step(self, model: int) -> Array:
        step: Array = self.objective.P[model] - self.objective.y - self.error
        return step

    def _line(self, step: Array, shares: Array) -> Array:
        o = self.objective
        sums: Array = o.kernels.absolute_line(self.error, step, np.asarray(shares, dtype=np.float64), o.weight)
        return sums / o.total


class SquaredLogError(Objective):
    """The objective of root mean squared logarithmic error.

    Candidates are first compared in single precision; those that its rounding could hide are then compared exactly, so
    that the choice is the exact one.

    Parameters
    ----------
    problem : Problem
    compiled : bool, optional
        By default loops are compiled where numba is installed.

    Raises
    ------
    DataError
        A true value is negative.
    """

    def __init__(self, problem: Problem, *, compiled: bool | None = None) -> None:
        super().__init__(problem)
        problem.loss(problem.P[0])  # refuses what the metric refuses
        self.kernels = kernels("errors", compiled=compiled)
        self.P = read_only(problem)
        self.target: Array = np.log1p(np.ascontiguousarray(problem.truth, dtype=np.float64))
        self.weight = np.empty(0) if problem.weight is None else problem.weight
        self.total = float(len(self.target) if problem.weight is None else self.weight.sum())
        # Predictions that lie far above all truths are far off, and their logarithm's rounding is nothing beside that.
        self.rounding = _ROUNDING * 2 * (1 + float(self.target.max()))

    def start(self) -> SquaredLogWalk:
        """An empty blend."""
        return SquaredLogWalk(self)

    def exact(self, blend: Array) -> float:
        """The loss of one blend of shape (n_rows,), in double precision; `blend` is overwritten."""
        np.maximum(blend, 0, out=blend)
        np.log1p(blend, out=blend)
        blend -= self.target
        squares = float(blend @ (blend * self.weight) if self.weight.size else blend @ blend)
        return float(np.sqrt(squares / self.total))

    def slack(self, rough: Array) -> Array:
        """How far losses of single precision may lie from the exact ones."""
        slack: Array = _SUMMING * rough + self.rounding
        return slack


class SquaredLogWalk(Walk):
    """Holds the blend, in double precision."""

    def __init__(self, objective: SquaredLogError) -> None:
        self.objective = objective
        self.blend = np.zeros(len(objective.target))

    def losses(self, candidates: Array, share: float) -> Array:
        """One exact evaluation for each candidate."""
        return np.array([self._exact(int(model), share) for model in candidates])

    def line(self, model: int, shares: Array) -> Array:
        """One exact evaluation for each share."""
        return np.array([self._exact(model, float(share)) for share in shares])

    def best(self, candidates: Array, share: float) -> tuple[int, float]:
        """One pass in single precision over the rows of each candidate, and an exact one for those that came close."""
        o = self.objective
        sums = o.kernels.log_sums(o.P, candidates, self.blend, o.target, float(share), o.weight)
        place, loss = self._settle(sums, lambda place: self._exact(int(candidates[place]), share))
        return int(candidates[place]), loss

    def best_line(self, model: int, shares: Array) -> tuple[int, float]:
        """As `best`, over shares."""
        o = self.objective
        step = o.P[model] - self.blend
        sums = o.kernels.log_line(self.blend, step, o.target, np.asarray(shares, dtype=np.float64), o.weight)
        return self._settle(sums, lambda place: self._exact(model, float(shares[place])))

    def move(self, model: int, share: float) -> None:
        """Take a step."""
        self.blend = self._moved(model, share)

    def _exact(self, model: int, share: float) -> float:
        return self.objective.exact(self._moved(model, share))

    def _moved(self, model: int, share: float) -> Array:
        # A bare float would leave the product in the single precision of P.
        moved: Array = (1 - share) * self.blend + np.float64(share) * self.objective.P[model]
        return moved

    def _settle(self, sums: Array, exact: Callable[[int], float]) -> tuple[int, float]:
        rough = np.sqrt(sums / self.objective.total)
        slack = self.objective.slack(rough)
        near = np.flatnonzero(rough - slack <= (rough + slack).min())
        losses = np.array([exact(int(place)) for place in near])
        first = first_best(losses)
        return int(near[first]), float(losses[first])
