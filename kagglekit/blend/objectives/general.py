"""Any metric, by its own definition: one full evaluation for each candidate."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from kagglekit.blend.objectives.base import Objective, Walk
from kagglekit.blend.problem import Problem

__all__ = ["General"]

Array = npt.NDArray[Any]


class General(Objective):
    """The objective of every metric that has no faster one; also what the faster ones are tested against."""

    def start(self) -> GeneralWalk:
        """An empty blend."""
        return GeneralWalk(self.problem)


class GeneralWalk(Walk):
    """Holds the blend itself, in double precision."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.blend = np.zeros(problem.P.shape[1:], dtype=np.float64)

    def losses(self, candidates: Array, share: float) -> Array:
        """One evaluation of the metric for each candidate."""
        return np.array([self._loss(int(model), share) for model in candidates])

    def line(self, model: int, shares: Array) -> Array:
        """One evaluation of the metric for each share."""
        return np.array([self._loss(model, float(share)) for share in shares])

    def move(self, model: int, share: float) -> None:
        """Take a step."""
        self.blend = (1 - share) * self.blend + share * self.problem.P[model]

    def _loss(self, model: int, share: float) -> float:
        return self.problem.loss((1 - share) * self.blend + share * self.problem.P[model])
