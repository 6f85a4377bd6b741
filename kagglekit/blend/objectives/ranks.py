"""The area under the ROC curve, exact on all rows.

The best of many candidates is found without sorting most of them: counting rows in fine bins bounds each candidate's
area, and only those whose upper bound reaches the best exact area are evaluated. Choosing on some of the rows would be
quicker and loses score, so that is not done.
"""

from __future__ import annotations

from collections.abc import Iterator
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
_FEWEST_BINS, _MOST_BINS, _ROWS_PER_BIN = 64, 65536, 8

# Rounding of sums must exclude nobody, and equals of the best are evaluated too.
_TIE = 1e-9


class AreaUnderCurve(Objective):
    """The loss of roc_auc; with more than two columns the mean over one-vs-rest for the classes that occur.

    Parameters
    ----------
    problem : Problem
        With the metric roc_auc. Weighted candidates are screened too, and evaluated by the metric's own definition.
    compiled : bool, optional
        See `kernels`.
    """

    def __init__(self, problem: Problem, *, compiled: bool | None = None) -> None:
        super().__init__(problem)
        self.loops: ModuleType = kernels("ranks", compiled=compiled)
        n_columns = problem.P.shape[2]
        sizes = np.bincount(problem.truth, problem.weight, minlength=n_columns)
        #: Columns that count, each with the number of its pairs (or their weight).
        self.columns: Array = np.array([1]) if n_columns == 2 else np.flatnonzero(sizes)
        self.pairs: Array = sizes[self.columns] * (sizes.sum() - sizes[self.columns])

    def start(self) -> Walk:
        """An empty blend."""
        # One class alone has no area: the definition's own error is the clearest.
        return RankWalk(self) if self.pairs.all() else GeneralWalk(self.problem)


class RankWalk(Walk):
    """A blend of the columns that count, each on its own."""

    def __init__(self, objective: AreaUnderCurve) -> None:
        n_rows, self._weight = objective.problem.n_rows, objective.problem.weight
        self.objective = objective
        self.blend = np.zeros((len(objective.columns), n_rows))
        self._codes = objective.problem.truth.astype(np.uint16)
        n_bins = int(np.clip(n_rows // _ROWS_PER_BIN, _FEWEST_BINS, _MOST_BINS))
        self._counts = np.empty(2 * n_bins, dtype=np.uint32 if self._weight is None else np.float64)
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
        for blend, column, _ in self._parts(model):
            blend *= 1 - share
            blend += share * column

    def _best(self, steps: list[tuple[int, float]]) -> tuple[int, float]:
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
        loops = self.objective.loops
        ends = []
        for blend, column, positive in self._parts(model):
            step = (blend, column, share, self._codes, positive)
            if self._weight is None:
                ends.append(loops.screen(*step, self._counts))
            else:
                ends.append(loops.screen_weighted(*step, self._weight, self._counts))
        least, most = (np.mean(end / self.objective.pairs / 2) for end in np.array(ends).T)
        # The highest area is the lowest loss.
        return -float(most), -float(least)

    def _loss(self, model: int, share: float) -> float:
        areas = [
            self._area(*part, share, pairs)
            for part, pairs in zip(self._parts(model), self.objective.pairs, strict=True)
        ]
        return -float(np.mean(areas))

    def _area(self, blend: Array, column: Array, positive: int, share: float, pairs: float) -> float:
        if self._weight is None:
            scratch = (self._counts, self._keys, self._places)
            twice: float = self.objective.loops.exact(blend, column, share, self._codes, positive, *scratch)
            return twice / pairs / 2
        scores = (1 - share) * blend + share * column
        return self.objective.problem.metric.function(self._codes == positive, scores, self._weight)

    def _parts(self, model: int) -> Iterator[tuple[Array, Array, int]]:
        """For each column that counts: the blend, the member, and the class that is positive."""
        for blend, place in zip(self.blend, self.objective.columns.tolist(), strict=True):
            column = np.asarray(self.objective.problem.P)[model, :, place]
            # Loops are compiled for one kind of array: the one that a matrix on disk has.
            column.flags.writeable = False
            yield blend, column, place
