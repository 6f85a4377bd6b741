"""The area under the ROC curve, exact on all rows.

The best of many candidates is found without sorting most of them: counting rows in fine bins bounds each candidate's
area, and only those whose upper bound reaches the best exact area are evaluated. Choosing on some of the rows would be
quicker and loses score, so that is not done.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from kagglekit.blend.kernels import kernels
from kagglekit.blend.objectives.base import Objective, Walk, first_best
from kagglekit.blend.objectives.general import GeneralWalk
from kagglekit.blend.problem import Problem

__all__ = ["AreaUnderCurve"]

Array = npt.NDArray[Any]

# Counts of this many bins stay in a core's own cache; more bins than an eighth of the rows bound no better.
_MOST_BINS, _ROWS_PER_BIN = 65536, 8

# Areas that differ by less are equals: see `first_best`.
_TIE = 1e-11


class AreaUnderCurve(Objective):
    """The loss of roc_auc; with more than two columns the mean over one-vs-rest for the classes that occur.

    Parameters
    ----------
    problem : Problem
        With the metric roc_auc. Weighted rows are left to `GeneralWalk`.
    compiled : bool, optional
        See `kernels`.
    """

    def __init__(self, problem: Problem, *, compiled: bool | None = None) -> None:
        super().__init__(problem)
        self.loops: ModuleType = kernels("ranks", compiled=compiled)
        n_columns = problem.P.shape[2]
        sizes = np.bincount(problem.truth, minlength=n_columns)
        #: Columns that count, each with the number of its pairs.
        self.columns: Array = np.array([1]) if n_columns == 2 else np.flatnonzero(sizes)
        self.pairs: Array = sizes[self.columns] * (problem.n_rows - sizes[self.columns])

    def start(self) -> Walk:
        """An empty blend."""
        # One class alone has no area: the definition's own error is the clearest.
        if self.problem.weight is not None or not self.pairs.all():
            return GeneralWalk(self.problem)
        return RankWalk(self)


class RankWalk(Walk):
    """A blend of the columns that count, each on its own."""

    def __init__(self, objective: AreaUnderCurve) -> None:
        n_rows = objective.problem.n_rows
        self.objective = objective
        self.blend = np.zeros((len(objective.columns), n_rows))
        self._codes = objective.problem.truth.astype(np.uint16)
        self._counts = np.empty(2 * int(np.clip(n_rows // _ROWS_PER_BIN, 64, _MOST_BINS)), dtype=np.uint32)
        self._keys, self._places = np.empty(n_rows), np.empty(n_rows, dtype=np.uint32)

    def losses(self, candidates: Array, share: float) -> Array:
        """The loss of each candidate's step, each evaluated in full."""
        return np.array([self._loss(int(model), float(share)) for model in candidates])

    def line(self, model: int, shares: Array) -> Array:
        """The loss of one member's step for each share, each evaluated in full."""
        return np.array([self._loss(model, float(share)) for share in shares])

    def best(self, candidates: Array, share: float) -> tuple[int, float]:
        """The candidate whose step gives the lowest loss (of equals the first), and that loss."""
        place, loss = self._best([(int(model), float(share)) for model in candidates])
        return int(candidates[place]), loss

    def best_line(self, model: int, shares: Array) -> tuple[int, float]:
        """The place of the share whose step gives the lowest loss (of equals the first), and that loss."""
        return self._best([(model, float(share)) for share in shares])

    def move(self, model: int, share: float) -> None:
        """Take a step."""
        for blend, column in zip(self.blend, self._columns(model), strict=True):
            blend[:] = (1 - share) * blend + share * column

    def _columns(self, model: int) -> list[Array]:
        columns = [self.objective.problem.P[model, :, column].view() for column in self.objective.columns]
        for column in columns:
            column.flags.writeable = False
        return columns

    def _best(self, steps: list[tuple[int, float]]) -> tuple[int, float]:
        # Losses, so bounds change places: the highest area is the lowest loss.
        bounds = np.array([self._bounds(*step) for step in steps])
        losses = np.full(len(steps), np.inf)
        reach = bounds[:, 1].min()
        # The likeliest first: the sooner the best is known, the fewer need evaluation.
        for place in np.argsort(bounds.sum(axis=1), kind="stable"):
            if bounds[place, 0] <= min(reach, losses.min()) + _TIE:
                losses[place] = self._loss(*steps[place])
        place = first_best(losses)
        return place, float(losses[place])

    def _bounds(self, model: int, share: float) -> tuple[float, float]:
        """The lowest and the highest loss that bins allow for."""
        bins = [
            self.objective.loops.screen(blend, column, share, self._codes, int(positive), self._counts)
            for blend, column, positive in self._parts(model)
        ]
        low, high = (self._mean([ends[e] for ends in bins]) for e in (1, 0))
        return low, high

    def _loss(self, model: int, share: float) -> float:
        scratch = (self._counts, self._keys, self._places)
        return self._mean(
            [
                self.objective.loops.exact(blend, column, share, self._codes, int(positive), *scratch)
                for blend, column, positive in self._parts(model)
            ]
        )

    def _parts(self, model: int) -> zip[tuple[Array, Array, Any]]:
        return zip(self.blend, self._columns(model), self.objective.columns, strict=True)

    def _mean(self, twice: list[float]) -> float:
        """The loss, from twice the number of pairs in their right order for each column."""
        return -float(np.mean(np.array(twice) / self.objective.pairs / 2))
