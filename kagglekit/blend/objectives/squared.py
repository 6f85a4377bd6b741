"""Squared error and correlation: known for every step from inner products of members, whatever the number of rows.

With R_m the error of member m and G its inner products, the mean squared error after a step is
`(1 - s)^2 b.b + 2 s (1 - s) b.R_m + s^2 R_m.R_m`, and b.R_m follows from one column of G at each move.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
import numpy.typing as npt

from kagglekit.blend.kernels import kernels
from kagglekit.blend.objectives.base import Objective, Walk, first_best
from kagglekit.blend.objectives.errors import read_only
from kagglekit.blend.problem import Problem

__all__ = ["Correlation", "GramWalk", "SquaredError"]

Array = npt.NDArray[Any]

# Up to this many products of two numbers, all columns are made at once in double precision: a few hundredths of a
# second. Beyond, columns are made when they are needed, in single precision, and choices that its rounding could
# change are settled by a pass over rows.
_ALL_AT_ONCE = 4e8
# Products of single precision were seen to be off by 9e-8 of the two lengths at most.
_ROUNDING = 5e-7
# Rows in a tile: members' tiles should stay in the cache between being shifted and being multiplied.
_TILE = 2048
# A pass over rows makes a multiple of so many columns, which is what matrix products are fast at: of members that a
# selection on a part of the rows takes, then of those that came closest.
_WIDTH = 16
# The guess: rows for each hundredth of ..., steps, and how many standard errors the others may be behind.
_ROWS_TO_GUESS, _GUESSED_STEPS, _NOISE = 16, 60, 1.0


class Gram:
    """Inner products of members' shifted rows, each weighted row by row, divided by the sum of weights.

    Parameters
    ----------
    problem : Problem
    row, member : ndarray of shape (n_rows,) and (n_models,)
        What is taken from each row and from each member.
    compiled : bool or None
    """

    def __init__(self, problem: Problem, row: Array, member: Array, compiled: bool | None) -> None:
        self.kernels = kernels("errors", compiled=compiled)
        self.P = read_only(problem)
        self.row, self.member = row, member
        self.root = np.empty(0) if problem.weight is None else np.sqrt(problem.weight)
        self.total = float(problem.n_rows if problem.weight is None else problem.weight.sum())
        self.exact = problem.n_models**2 * problem.n_rows <= _ALL_AT_ONCE
        self.columns: dict[int, Array] = {}
        self.diagonal: Array
        if self.exact:
            gram = self._square(range(0, problem.n_rows, _TILE), np.float64)
            self.columns, self.diagonal = dict(enumerate(gram)), gram.diagonal().copy()
        else:
            self.diagonal = self._make(self._likely())

    def column(self, model: int, compared: tuple[Array, Array]) -> Array:
        """Products of one member with all; members and losses last compared tell who may be asked for next."""
        if model not in self.columns:
            models, losses = compared
            hopeful = dict.fromkeys([model, *models[np.argsort(losses)].tolist()])
            self._make(np.array([m for m in hopeful if m not in self.columns][:_WIDTH]))
        return self.columns[model]

    def along(self, rows: Array) -> Array:
        """Products of one vector over rows with every member."""
        found = np.zeros(len(self.P))
        vector = rows * self.root if self.root.size else rows
        for start in range(0, len(rows), _TILE):
            tile = self._tile(start, np.float64, np.zeros(len(self.P)))
            found += tile @ vector[start : start + tile.shape[1]]
        return found / self.total

    def _tile(self, start: int, dtype: npt.DTypeLike, squares: Array) -> Array:
        """Shifted rows from `start` on; what they add to each member's sum of squares is added."""
        stop = min(start + _TILE, len(self.row))
        tile = np.empty((len(self.P), stop - start), dtype)
        self.kernels.shift(self.P, start, self.row[start:stop], self.member, self.root[start:stop], tile, squares)
        return tile

    def _square(self, starts: range, dtype: npt.DTypeLike) -> Array:
        """All columns, from some tiles."""
        gram = np.zeros((len(self.P), len(self.P)))
        for start in starts:
            tile = self._tile(start, dtype, np.zeros(len(self.P)))
            gram += tile @ tile.T
        return gram / self.total

    def _make(self, models: Array) -> Array:
        """Make columns in one pass over rows; gives the diagonal."""
        columns, squares = np.zeros((len(self.P), len(models))), np.zeros(len(self.P))
        for start in range(0, len(self.row), _TILE):
            tile = self._tile(start, np.float32, squares)
            columns += tile @ (tile if len(models) == len(tile) else tile[models]).T
        self.columns.update(zip(models.tolist(), columns.T / self.total, strict=True))
        return squares / self.total

    def _likely(self) -> Array:
        """Members that greedy selection may take, judged by a part of the rows.

        They are those that come so close to being taken at any step that other rows could turn the choice.
        """
        n_tiles = -(-len(self.row) // _TILE)
        apart = max(1, n_tiles // max(1, _ROWS_TO_GUESS * len(self.row) // len(self.P) // _TILE))
        gram = self._square(range(0, len(self.row), _TILE * apart), np.float32) * apart
        own, along, square = gram.diagonal().copy(), np.zeros(len(gram)), 0.0
        likely = np.zeros(len(gram), dtype=bool)
        for step in range(_GUESSED_STEPS):
            share = 1 / (step + 1)
            losses = 2 * (1 - share) * along + share * own
            model = int(losses.argmin())
            # Products of two normal errors vary by the product of their lengths; that of b and R_m - R_k is 2 (1 - s) times.
            noise = 2 * np.sqrt(square * np.maximum(own - 2 * gram[model] + own[model], 0) * apart / len(self.row))
            likely |= losses - losses[model] <= _NOISE * noise
            square = (1 - share) ** 2 * square + share * losses[model]
            along = (1 - share) * along + share * gram[model]
        # A product of a tile with itself costs as much as one with six tenths of it.
        return np.flatnonzero(likely) if likely.mean() < 0.6 else np.arange(len(likely))


class _GramObjective(Objective):
    """What squared error and correlation share: a loss that is a function of two numbers of a blend.

    They are its mean square after the shift of `Gram`, and its product with the truth.
    """

    gram: Gram
    toward: Array

    def start(self) -> GramWalk:
        """An empty blend."""
        return GramWalk(self)

    @abstractmethod
    def turn(self, square: Array, toward: Array) -> Array:
        """The loss of blends of this mean square and this product with the truth."""

    @abstractmethod
    def exact(self, rows: Array, model: int, share: float) -> float:
        """The loss after a step from a blend whose shifted rows are given, by a pass over rows."""


class GramWalk(Walk):
    """Holds the blend's products with all members."""

    def __init__(self, objective: _GramObjective) -> None:
        self.objective, self.gram = objective, objective.gram
        self.square, self.toward, self.along = 0.0, 0.0, np.zeros(len(self.gram.P))
        # Only where columns are rounded: the blend's shifted rows, a bound of their length, and what was last compared.
        self.rows, self.reach = np.empty(0) if self.gram.exact else -self.gram.row, 0.0
        self.compared = np.empty(0, dtype=np.int64), np.empty(0)

    def losses(self, candidates: Array, share: float) -> Array:
        """In closed form; to single precision where there are many members and rows."""
        return self._losses(np.asarray(candidates), np.float64(share))

    def line(self, model: int, shares: Array) -> Array:
        """As `losses`."""
        return self._losses(np.int64(model), np.asarray(shares, dtype=np.float64))

    def best(self, candidates: Array, share: float) -> tuple[int, float]:
        """The exact best; rows are only looked at where rounded columns leave it open."""
        model, _, loss = self.best_step(np.asarray(candidates), np.array([share]))
        return model, loss

    def best_line(self, model: int, shares: Array) -> tuple[int, float]:
        """As `best`, over shares."""
        _, place, loss = self.best_step(np.array([model]), shares)
        return place, loss

    def best_step(self, candidates: Array, shares: Array) -> tuple[int, int, float]:
        """The best of all candidates at all shares: model, place of the share, loss; of equals the first candidate."""
        models = np.repeat(candidates, len(shares))
        steps = np.tile(np.asarray(shares, dtype=np.float64), len(candidates))
        losses = self._losses(models, steps)
        if self.gram.exact:
            place = first_best(losses)
            loss = float(losses[place])
        else:
            self.compared = models, losses
            place, loss = self._settle(models, steps, losses)
        return int(models[place]), place % len(shares), loss

    def move(self, model: int, share: float) -> None:
        """Take a step."""
        keep, column = 1 - share, self.gram.column(model, self.compared)
        self.square = float(self._square(np.int64(model), np.float64(share)))
        self.toward = keep * self.toward + share * float(self.objective.toward[model])
        self.along = keep * self.along + share * column
        if not self.gram.exact:
            self.gram.kernels.advance(self.rows, self.gram.P, model, self.gram.row, float(share))
            self.reach = abs(keep) * self.reach + abs(share) * float(np.sqrt(column[model]))

    def _square(self, models: Any, shares: Any) -> Any:
        keep = 1 - shares
        own = self.gram.diagonal[models]
        return np.maximum(keep**2 * self.square + 2 * keep * shares * self.along[models] + shares**2 * own, 0)

    def _losses(self, models: Any, shares: Any) -> Array:
        toward = (1 - shares) * self.toward + shares * self.objective.toward[models]
        return self.objective.turn(self._square(models, shares), toward)

    def _settle(self, models: Array, shares: Array, losses: Array) -> tuple[int, float]:
        slack = self._slack(models, shares, losses)
        near = np.flatnonzero(losses - slack <= (losses + slack).min())
        exact = np.array([self.objective.exact(self.rows, int(models[p]), float(shares[p])) for p in near])
        first = first_best(exact)
        return int(near[first]), float(exact[first])

    def _slack(self, models: Array, shares: Array, losses: Array) -> Array:
        """How far losses from rounded columns may lie from the exact ones."""
        square = self._square(models, shares)
        reach = np.abs(1 - shares) * self.reach + np.abs(shares) * np.sqrt(self.gram.diagonal[models])
        toward = (1 - shares) * self.toward + shares * self.objective.toward[models]
        slack: Array = np.abs(self.objective.turn(square + _ROUNDING * reach**2, toward) - losses)
        return slack


class SquaredError(_GramObjective):
    """The objective of root mean squared error and of r2.

    Parameters
    ----------
    problem : Problem
    compiled : bool, optional
        By default loops are compiled where numba is installed.
    """

    def __init__(self, problem: Problem, *, compiled: bool | None = None) -> None:
        super().__init__(problem)
        self.y: Array = np.ascontiguousarray(problem.truth, dtype=np.float64)
        self.weight = np.empty(0) if problem.weight is None else problem.weight
        self.gram = Gram(problem, self.y, np.zeros(problem.n_models), compiled)
        self.toward = np.zeros(problem.n_models)
        centred = self.y - np.average(self.y, weights=problem.weight)
        self.spread = float(np.average(centred**2, weights=problem.weight))

    def turn(self, square: Array, toward: Array) -> Array:
        """The root, or r2's share of the spread."""
        if self.problem.metric.name == "rmse":
            return np.sqrt(square)
        if self.spread > 0:
            share: Array = square / self.spread
            return share - 1
        return -np.asarray(square == 0, dtype=np.float64)

    def exact(self, rows: Array, model: int, share: float) -> float:
        """By one compiled pass over rows."""
        total = self.gram.kernels.squared_sum(self.gram.P, model, rows, self.y, share, self.weight)
        return float(self.turn(np.asarray(total / self.gram.total), self.toward))


class Correlation(_GramObjective):
    """The objective of Pearson's correlation.

    Parameters
    ----------
    problem : Problem
    compiled : bool, optional
        By default loops are compiled where numba is installed.
    """

    def __init__(self, problem: Problem, *, compiled: bool | None = None) -> None:
        super().__init__(problem)
        y = np.asarray(problem.truth, dtype=np.float64)
        centred = y - np.average(y, weights=problem.weight)
        self.spread = float(np.average(centred**2, weights=problem.weight))
        self.gram = Gram(problem, np.zeros(problem.n_rows), _means(problem), compiled)
        self.toward = self.gram.along(centred)
        # The float mean of a constant is not quite the constant; what little varies then is rounding, not a signal.
        constant = np.array([float(np.ptp(_counted(table[:, 0], problem.weight))) == 0 for table in problem.P])
        self.toward[constant] = 0

    def turn(self, square: Array, toward: Array) -> Array:
        """Minus the correlation; 0 where the truth or the blend is constant."""
        lengths = np.sqrt(square * self.spread)
        varies = (lengths > 0) & (toward != 0)
        correlation = np.divide(toward, lengths, out=np.zeros(np.shape(lengths)), where=varies)
        return -np.clip(correlation, -1, 1)

    def exact(self, rows: Array, model: int, share: float) -> float:
        """By the metric's definition."""
        moved = (1 - share) * rows + np.float64(share) * self.gram.P[model]
        return self.problem.loss(moved[:, None])


def _means(problem: Problem) -> Array:
    return np.array([np.average(table[:, 0].astype(np.float64), weights=problem.weight) for table in problem.P])


def _counted(rows: Array, weight: Array | None) -> Array:
    return rows if weight is None else rows[weight > 0]
