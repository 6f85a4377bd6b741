"""Mean average precision at k with one true class for each row: a matter of the place of the true class."""

from __future__ import annotations

from functools import cached_property
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from kagglekit.blend.kernels import kernels
from kagglekit.blend.objectives.base import Objective, Walk
from kagglekit.blend.objectives.settled import OpenRows, in_order, slack_of
from kagglekit.blend.problem import Problem

__all__ = ["MeanAveragePrecision"]

Array = npt.NDArray[Any]


class MeanAveragePrecision(Objective):
    """The loss of map@k.

    As with labels, a row is settled once no member can move another class past the true one, or once so many classes
    surely lie above it that it cannot come among the first k.

    Parameters
    ----------
    problem : Problem
        With a metric map@k.
    compiled : bool, optional
        See `kernels`.
    """

    def __init__(self, problem: Problem, *, compiled: bool | None = None) -> None:
        super().__init__(problem)
        self.loops: ModuleType = kernels("rankings", compiled=compiled)

    def start(self) -> RankingWalk:
        """An empty blend."""
        return RankingWalk(self)

    @cached_property
    def P(self) -> Array:
        """Of shape (n_models, n_rows, n_columns), as loops take it."""
        return in_order(self.problem.P)

    @cached_property
    def codes(self) -> Array:
        """The true class of each row."""
        return self.problem.truth.astype(np.int32)

    @cached_property
    def weight(self) -> Array:
        """Of each row: float64."""
        weight = self.problem.weight
        return np.ones(self.problem.n_rows) if weight is None else weight

    @cached_property
    def extremes(self) -> tuple[Array, Array]:
        """By how much a member puts each class above the true one, at most and at least."""
        return self._widened[:2]

    @property
    def range(self) -> tuple[float, float]:
        """The lowest and the highest value of any member."""
        return self._widened[2:]

    @cached_property
    def _widened(self) -> tuple[Any, ...]:
        most = np.full(self.P.shape[1:], -np.inf, dtype=np.float32)
        least = np.full(self.P.shape[1:], np.inf, dtype=np.float32)
        ends = [self.loops.widen(table, self.codes, most, least) for table in self.P]
        return most, least, min(low for low, _ in ends), max(high for _, high in ends)


class RankingWalk(Walk):
    """A blend whose classes rank by their columns, equal ones in their order."""

    def __init__(self, objective: MeanAveragePrecision) -> None:
        self.objective = objective
        self.blend: Array = np.zeros(objective.P.shape[1:])
        self._bound = 0.0
        # A negative value drops out of the ranking, so rows settle only where there can be none.
        self._settles = objective.range[0] >= 0
        self._rows = np.empty(len(self.blend), dtype=np.int32)
        self._open = OpenRows(objective.P, copies=not isinstance(objective.problem.P, np.memmap))

    def losses(self, candidates: Array, share: float) -> Array:
        """The loss of each candidate's step."""
        own, share = self.objective, float(share)
        slack = self._slack(share) if self._settles and 0 <= share <= 1 else np.inf
        truth = (own.codes, own.weight)
        settled, n_open = own.loops.split(self.blend, *own.extremes, share, slack, self._k, *truth, self._rows)
        gains = np.full(len(candidates), settled)
        places = np.asarray(candidates, dtype=np.int64)
        for part in self._open.parts(self._rows[:n_open]):
            own.loops.tally(*part, places, self.blend, share, self._k, *truth, gains)
        return self._loss(gains)

    def line(self, model: int, shares: Array) -> Array:
        """The loss of one member's step for each share."""
        own, shares = self.objective, np.asarray(shares, dtype=np.float64)
        gains = np.zeros(len(shares))
        slack = self._slack(float(np.abs(shares).max()))
        own.loops.line(self.blend, own.P[model], shares, slack, self._k, own.codes, own.weight, gains)
        return self._loss(gains)

    def move(self, model: int, share: float) -> None:
        """Take a step."""
        self.blend *= 1 - share
        self.blend += share * self.objective.P[model]
        self._bound = abs(1 - share) * self._bound + self._largest * abs(share)
        self._settles = self._settles and 0 <= share <= 1

    @property
    def _k(self) -> int:
        return self.objective.problem.metric.k

    @property
    def _largest(self) -> float:
        lowest, highest = self.objective.range
        return max(-lowest, highest)

    def _slack(self, share: float) -> float:
        return slack_of(share, self._largest, self._bound)

    def _loss(self, gains: Array) -> Array:
        losses: Array = -gains / self.objective.weight.sum()
        return losses
