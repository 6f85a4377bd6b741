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
# second. Beyond, columns are made for members that are likely to be taken, in single precision; choices that its
# rounding could change are settled by a pass over rows.
_ALL_AT_ONCE = 4e8
# Products of single precision were seen to be off by 9e-8 of the two lengths at most.
_ROUNDING = 5e-7
# Rows in a tile: members' tiles should stay in the cache between being shifted and being multiplied.
_TILE = 2048
# The guess is made on so many times n_rows / n_models rows, which costs a small part of what all columns would.
_GUESS, _GUESSED_STEPS = 16, 60
# Standard errors of the guess that a member may be behind the one that is taken.
_NOISE = 0.6
# Above this share of likely members, columns of all cost no more.
_WIDE = 0.6


class Gram:
    """Inner products of members' shifted rows, each weighted row by row, divided by the sum of weights.

    Parameters
    ----------
    problem : Problem
    row, member : ndarray of shape (n_rows,) and (n_models,)
        What is taken from each row and from each member.
    compiled : bool or None

    Attributes
    ----------
    exact : bool
        Whether all columns are there in double precision.
    diagonal : ndarray of float64, shape (n_models,)
    columns : dict of int to ndarray of float64, shape (n_models,)
        By member; see `column`.
    """

    def __init__(self, problem: Problem, row: Array, member: Array, compiled: bool | None) -> None:
        self.kernels = kernels("errors", compiled=compiled)
        self.P = read_only(problem)
        self.row, self.member = row, member
        self.weight = np.empty(0) if problem.weight is None else problem.weight
        self.root = np.sqrt(self.weight)
        self.total = float(problem.n_rows if problem.weight is None else problem.weight.sum())
        self.exact = problem.n_models**2 * problem.n_rows <= _ALL_AT_ONCE
        self.columns: dict[int, Array] = {}
        self.diagonal = np.zeros(problem.n_models)
        everyone = np.arange(problem.n_models)
        if self.exact:
            gram = self._square(everyone, range(0, problem.n_rows, _TILE), np.float64)
            self.columns, self.diagonal = dict(enumerate(gram)), gram.diagonal().copy()
        else:
            self._foresee(everyone)

    def column(self, model: int) -> Array:
        """Products of one member with all; one that was not foreseen costs a pass over rows."""
        if model not in self.columns:
            self.columns[model] = self.along(self.P[model] - self.row - self.member[model])
        return self.columns[model]

    def along(self, rows: Array) -> Array:
        """Products of one vector over rows with every member, in double precision."""
        vector = np.asarray(rows * self.weight if self.weight.size else rows, dtype=np.float64)
        found: Array = self.kernels.along(self.P, vector) - self.row @ vector - self.member * vector.sum()
        return found / self.total

    def _foresee(self, everyone: Array) -> None:
        """Columns of the members that greedy selection takes, if it takes none but likely ones."""
        likely = self._likely(everyone)
        among = self._square(likely, range(0, len(self.row), _TILE), np.float32)
        self.diagonal[likely] = among.diagonal()
        taken = np.unique(_taken(among))
        unlikely = np.setdiff1d(everyone, likely)
        rest, self.diagonal[unlikely] = self._product(unlikely, likely[taken])
        for place, model in enumerate(taken):
            column = np.empty(len(everyone))
            column[likely], column[unlikely] = among[:, model], rest[:, place]
            self.columns[int(likely[model])] = column

    def _likely(self, everyone: Array) -> Array:
        """Members that come so close to being taken on a part of the rows that others could turn the choice."""
        n_tiles = -(-len(self.row) // _TILE)
        apart = max(1, n_tiles * len(self.P) // (_GUESS * n_tiles + len(self.P)))
        gram = self._square(everyone, range(0, len(self.row), _TILE * apart), np.float32) * apart
        likely = np.zeros(len(gram), dtype=bool)
        own, along, square = gram.diagonal().copy(), np.zeros(len(gram)), 0.0
        for step in range(_GUESSED_STEPS):
            share = 1 / (step + 1)
            losses = 2 * (1 - share) * along + share * own
            model = int(losses.argmin())
            # Of the mean product of the blend's error with the difference of two members', were all normal.
            lengths = square * np.maximum(own - 2 * gram[model] + own[model], 0)
            likely |= losses - losses[model] <= _NOISE * 2 * np.sqrt(lengths * apart / len(self.row))
            square = (1 - share) ** 2 * square + share * losses[model]
            along = (1 - share) * along + share * gram[model]
        return np.flatnonzero(likely) if likely.mean() < _WIDE else everyone

    def _square(self, models: Array, starts: range, dtype: npt.DTypeLike) -> Array:
        """Products of some members with each other, from tiles that start at some rows."""
        gram = np.zeros((len(models), len(models)))
        for start in starts:
            tile = self._tile(models, start, dtype, np.zeros(len(models)))
            gram += tile @ tile.T
        return gram / self.total

    def _product(self, models: Array, others: Array) -> tuple[Array, Array]:
        """Products of some members with others, of shape (n_models, n_others), and with themselves."""
        products, squares = np.zeros((len(models), len(others))), np.zeros(len(models))
        for start in range(0, len(self.row), _TILE):
            other = self._tile(others, start, np.float32, np.zeros(len(others)))
            products += self._tile(models, start, np.float32, squares) @ other.T
        return products / self.total, squares / self.total

    def _tile(self, models: Array, start: int, dtype: npt.DTypeLike, squares: Array) -> Array:
        """Shifted rows of some members from `start` on; what they add to their sums of squares is added."""
        stop = min(start + _TILE, len(self.row))
        tile = np.empty((len(models), stop - start), dtype)
        row, root = self.row[start:stop], self.root[start:stop]
        self.kernels.shift(self.P, models, start, row, self.member, root, tile, squares)
        return tile


def _taken(gram: Array) -> Array:
    """Whom greedy selection takes, step by step, by the products of errors."""
    own, along = gram.diagonal().copy(), np.zeros(len(gram))
    taken = np.empty(_GUESSED_STEPS, dtype=np.int64)
    for step in range(_GUESSED_STEPS):
        share = 1 / (step + 1)
        taken[step] = (2 * (1 - share) * along + share * own).argmin()
        along = (1 - share) * along + share * gram[taken[step]]
    return taken


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
        # Only where columns are rounded: the blend's shifted rows, and a bound of their length.
        self.rows, self.reach = np.empty(0) if self.gram.exact else -self.gram.row, 0.0

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
            place, loss = self._settle(models, steps, losses)
        return int(models[place]), place % len(shares), loss

    def move(self, model: int, share: float) -> None:
        """Take a step."""
        keep, column = 1 - share, self.gram.column(model)
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
