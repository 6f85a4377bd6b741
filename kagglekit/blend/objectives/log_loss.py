"""The log loss: one pass over true-class columns for a step, and less where bounds rule candidates out."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from kagglekit.blend.kernels import kernels
from kagglekit.blend.objectives.base import Objective, Walk, first_best
from kagglekit.blend.problem import Problem
from kagglekit.blend.true_class import TrueClass

__all__ = ["LogLoss", "LogLossWalk"]

Array = npt.NDArray[Any]

# The blend of so many rows fits the second-level cache, or nearly.
_ROWS_IN_CACHE = 1 << 17
# More tiles give tighter bounds and more calls.
_TILES, _ROWS_PER_TILE = 24, 1024
# The tangent of -log(p) at e * 1e-15 and above lies below the loss of p clipped at 1e-15, for all p >= 0.
_LOWEST_TOUCH = 3e-15
# Wider than the tie of `first_best` and the noise of sums together.
_SLACK = 1e-10
# Fewer candidates are faster without bounds, and fewer shares without a search.
_FEWEST_CANDIDATES, _FEWEST_SHARES = 64, 16
# Each reference blend costs 4 bytes a row, and a pass over one column at each step.
_MOST_REFERENCES = 12


class LogLoss(Objective):
    """Log loss, with the metric's division by row sums and clipping at 1e-15.

    Parameters
    ----------
    problem : Problem
    compiled : bool, optional
        See `kernels`.
    lazy : bool
        Let `Walk.best` skip candidates that cannot be the best; it finds the same one.
    tile : int, optional
        Rows that are bounded together; by default a 24th of all, in steps of 1,024.
    """

    def __init__(
        self, problem: Problem, compiled: bool | None = None, lazy: bool = True, tile: int | None = None
    ) -> None:
        super().__init__(problem)
        self.loops = kernels("log_loss", compiled=compiled)
        self.columns = TrueClass.of(problem, self.loops)
        self.tile = tile or _ROWS_PER_TILE * max(1, round(problem.n_rows / (_TILES * _ROWS_PER_TILE)))
        weight = problem.weight
        self.weight = np.empty(0) if weight is None else weight * (problem.n_rows / weight.sum())
        # Tangents bound the loss of a convex blend from below; a ratio of two blends has none.
        self.lazy = lazy and not len(self.columns.totals) and self.columns.lowest >= 0

    def start(self) -> LogLossWalk:
        """An empty blend."""
        return LogLossWalk(self)


class LogLossWalk(Walk):
    """Holds the true-class column of the blend, in double precision."""

    def __init__(self, objective: LogLoss) -> None:
        self.objective = objective
        n_rows = objective.problem.n_rows
        self.blend = np.zeros(n_rows)
        self.blend_total = np.zeros(n_rows if len(objective.columns.totals) else 0)
        self.fallback = 1 / objective.problem.P.shape[2]
        self._convex = True
        self._tangents: _Tangents | None = None

    def losses(self, candidates: Array, share: float) -> Array:
        """One pass over the candidates' columns."""
        own = self.objective
        found: Array = own.loops.losses(
            own.columns.C,
            own.columns.totals,
            own.weight,
            np.ascontiguousarray(candidates, dtype=np.int64),
            self.blend,
            self.blend_total,
            float(share),
            self.fallback,
            _ROWS_IN_CACHE,
        )
        return found

    def line(self, model: int, shares: Array) -> Array:
        """One pass over the model's column, tile by tile for all shares."""
        own = self.objective
        found: Array = own.loops.line(
            own.columns.C[model],
            self._total(model),
            own.weight,
            np.ascontiguousarray(shares, dtype=np.float64),
            self.blend,
            self.blend_total,
            self.fallback,
            own.tile,
        )
        return found

    def best(self, candidates: Array, share: float) -> tuple[int, float]:
        """The best candidate; those whose loss is bound to be higher are not computed."""
        own = self.objective
        if not (own.lazy and self._convex and 0 < share <= 1) or len(candidates) < _FEWEST_CANDIDATES:
            return super().best(candidates, share)
        candidates = np.ascontiguousarray(candidates, dtype=np.int64)
        if self._tangents is None:
            self._tangents = _Tangents(own, candidates)
        losses = self._tangents.losses(candidates, self.blend, float(share))
        place = first_best(losses)
        return int(candidates[place]), float(losses[place])

    def best_line(self, model: int, shares: Array) -> tuple[int, float]:
        """The best share; as the loss is convex in the share, few of many need a pass over the rows."""
        own = self.objective
        if len(shares) < _FEWEST_SHARES or len(self.blend_total):
            return super().best_line(model, shares)
        lowest, highest, below, above = own.loops.reach(own.columns.C[model], self.blend, own.weight)
        if not lowest <= 0 <= highest:
            return super().best_line(model, shares)
        line = _Line(self, model, np.asarray(shares, dtype=np.float64))
        inside = np.flatnonzero((line.shares >= lowest) & (line.shares <= highest))
        if len(inside):
            line.bracket(int(inside[0]), int(inside[-1]))
        # Beyond, rows are clipped and the loss is no longer convex, but it cannot fall faster than at the share 0.
        line.scan(np.flatnonzero(line.shares < lowest)[::-1], below)
        line.scan(np.flatnonzero(line.shares > highest), above)
        return line.best()

    def move(self, model: int, share: float) -> None:
        """Take a step."""
        self._convex = self._convex and 0 <= share <= 1
        own = self.objective
        own.loops.step(self.blend, own.columns.C[model], float(share))
        if len(self.blend_total):
            own.loops.step(self.blend_total, own.columns.totals[model], float(share))

    def _total(self, model: int) -> Array:
        totals = self.objective.columns.totals
        return totals[model] if len(totals) else np.empty(0, dtype=np.float32)


class _Line:
    """Losses of some shares of a line, shares in rising order."""

    def __init__(self, walk: LogLossWalk, model: int, shares: Array) -> None:
        self.walk, self.model = walk, model
        self.order = np.argsort(shares, kind="stable")
        self.shares = shares[self.order]
        self.losses = np.full(len(shares), np.inf)

    def evaluate(self, places: Array) -> None:
        new = np.unique(places)
        new = new[np.isinf(self.losses[new])]
        if len(new):
            self.losses[new] = self.walk.line(self.model, self.shares[new])

    def bracket(self, first: int, last: int) -> None:
        """Evaluate ever closer around the lowest of a convex run of losses, then all that equal it."""
        left, right = first, last
        while right - left > 1:
            places = np.unique(np.linspace(left, right, 6).round().astype(np.int64))
            self.evaluate(places)
            best = int(self.losses[places].argmin())
            left, right = int(places[max(best - 1, 0)]), int(places[min(best + 1, len(places) - 1)])
            if len(places) == right - left + 1:
                break
        self.evaluate(np.arange(left, right + 1))
        bottom = float(self.losses[left : right + 1].min())
        # On the floor of a flat valley several shares are equally good, and the first is wanted.
        while left > first and self.losses[left] <= bottom + _SLACK:
            left -= 1
            self.evaluate(np.array([left]))
        while right < last and self.losses[right] <= bottom + _SLACK:
            right += 1
            self.evaluate(np.array([right]))

    def scan(self, places: Array, fall: float) -> None:
        """Evaluate shares ever farther from 0, but for those that the largest possible fall cannot bring to the best.

        Parameters
        ----------
        places : ndarray of int
        fall : float
            How much the loss can fall for each unit of the share.
        """
        level, reached = -np.inf, 0.0
        for place in places:
            bound = level - fall * abs(self.shares[place] - reached)
            if bound <= self.losses.min() + _SLACK:
                self.evaluate(np.array([place]))
                level, reached = self.losses[place], self.shares[place]

    def best(self) -> tuple[int, float]:
        losses = np.full(len(self.order), np.inf)
        losses[self.order] = self.losses
        place = first_best(losses)
        return place, float(losses[place])


class _Tangents:
    """Lower bounds of losses from tangents at earlier blends.

    As -log is convex, its tangent at an earlier blend r bounds the loss of any blend b from below:
    -log(b) >= -log(r) + 1 - b / r. The sum of b / r over rows needs, of a candidate, one inner product that was
    computed with its last exact loss. Bounds are kept for tiles of rows, so that the exact loss of some tiles and the
    bounds of the others can rule a candidate out.

    Source: the cutting planes of Kelley 1960, "The cutting-plane method for solving convex programs", applied to tiles.
    """

    def __init__(self, objective: LogLoss, candidates: Array) -> None:
        self.objective = objective
        n_models, n_rows = objective.columns.C.shape
        self.n_tiles = -(-n_rows // objective.tile)
        shape = (n_models, self.n_tiles)
        self.dots = np.zeros(shape)
        self.references = np.full(shape, -1, dtype=np.int64)
        self.cursor = np.zeros(n_models, dtype=np.int64)
        self.inverses = np.empty((max(2, min(_MOST_REFERENCES, n_models // 12)), n_rows), dtype=np.float32)
        # Of each reference and tile: the number (or weight) of rows, and the sum of losses at the reference.
        self.sizes = objective.loops.tile_dots(np.ones(n_rows), np.ones(n_rows, np.float32), *self._rest)
        self.heights = np.zeros((len(self.inverses), self.n_tiles))
        self._centre(candidates)

    @property
    def _rest(self) -> tuple[Array, int]:
        return self.objective.weight, self.objective.tile

    def losses(self, candidates: Array, blend: Array, share: float) -> Array:
        """Exact losses of the candidates that may be the best; infinity for the others."""
        own = self.objective
        now = self._refer(blend) if share < 1 else 0
        bounds = self._bounds(blend, share)
        order = np.argsort(bounds[candidates].sum(axis=1), kind="stable")
        found = own.loops.search(
            own.columns.C,
            own.weight,
            candidates[order],
            blend,
            self.inverses[now],
            share,
            own.tile,
            bounds,
            self.dots,
            self.references,
            self.cursor,
            now,
            _SLACK * own.problem.n_rows,
        )
        losses = np.empty(len(candidates))
        losses[order] = found
        return losses

    def _centre(self, candidates: Array) -> None:
        """The first reference: the mean of a few candidates spread over all of them."""
        chosen = candidates[:: max(1, len(candidates) // 8)]
        centre = np.zeros(self.inverses.shape[1])
        for model in chosen:
            self.objective.loops.add(centre, self.objective.columns.C[model], 1 / len(chosen))
        self._put(0, centre)

    def _refer(self, blend: Array) -> int:
        """Make the blend a reference, in place of the one that the fewest bounds stand on."""
        uses = np.bincount(self.references[self.references >= 0], minlength=len(self.inverses))
        place = int(uses.argmin())
        self.references[self.references == place] = -1
        self._put(place, blend)
        return place

    def _put(self, place: int, blend: Array) -> None:
        self.objective.loops.invert(blend, _LOWEST_TOUCH, self.inverses[place])
        self.heights[place] = self.objective.loops.tile_logs(self.inverses[place], *self._rest)

    def _bounds(self, blend: Array, share: float) -> Array:
        """A bound of each model's sum of losses in each tile: at least nought, as every loss is."""
        constants = self.heights + self.sizes
        for place in np.unique(self.references):
            if place >= 0 and share < 1:
                constants[place] -= (1 - share) * self.objective.loops.tile_dots(
                    blend, self.inverses[place], *self._rest
                )
        bounds = constants[self.references, np.arange(self.n_tiles)] - share * self.dots
        bounds[self.references < 0] = 0
        floored: Array = np.maximum(bounds, 0, out=bounds)
        return floored
