"""Members' logits, and log loss of their weighted sums: what `LogPool` and the default stack are fitted by.

Several fits that differ in the rows they count run side by side, so that one pass over the logits serves all blocks of
a cross-fit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from kagglekit.blend.problem import Problem
from kagglekit.blend.ridge import inner_blocks, relative
from kagglekit.metrics import label_codes

__all__ = ["LogitFit", "Logits", "fit_logits", "pooled"]

Array = npt.NDArray[Any]

# A member's probabilities below its floor count as the floor; candidates, and rows that decide at most.
_FLOORS = np.logspace(-6, -1, 6)
_FLOOR_ROWS = 2_000
# Strengths from strong to weak, in units of the mean curvature of the loss along one weight.
_STRENGTHS = np.logspace(2, -4, 13)
# The walk from strong to weak ends when held-out rows have got worse this many times in a row.
_PATIENCE = 2
# How many rows' worth of belief there is that the members' common scale is right as it is.
_SCALE_ROWS = 5.0
_SCALE_STEPS = 50
# Numbers computed from rows that are drawn to decide on the strength: 20 MB of doubles. Predictions in memory may have
# their logits beside them, up to 1 GB; those on disk have not, beyond as much.
_DRAWN = 2_500_000
_KEPT = 125_000_000
_AT_ONCE = 1_000_000
# What a step may still promise when a fit ends, in units of log loss per row.
_ROUGH, _FINE = 1e-5, 1e-9
# How often curvatures are computed anew in the last fit; each time serves eight steps.
_RENEWALS = 12


@dataclass(frozen=True, eq=False)
class Logits:
    """Members' logits against the first class, kept in memory or computed row tile by row tile.

    Parameters
    ----------
    P : ndarray of float32, shape (n_models, n_rows, n_columns)
    floors : ndarray of shape (n_models,)
        What a member's smaller probabilities count as.
    extra : ndarray of shape (n_extra, n_columns - 1)
        Logits that are the same for every row, in the place of further members: intercepts.
    rows : ndarray of int, optional
        Those that are used; all without it.
    kept : ndarray of float64, shape (n_features, n_columns - 1, n_rows), optional
    """

    P: Array
    floors: Array
    extra: Array
    rows: Array | None = None
    kept: Array | None = None

    @property
    def n_rows(self) -> int:
        return int(self.P.shape[1]) if self.rows is None else len(self.rows)

    @property
    def n_features(self) -> int:
        return len(self.P) + len(self.extra)

    @property
    def row_size(self) -> int:
        """Numbers for one row."""
        return self.n_features * int(self.extra.shape[1])

    def some(self, rows: Array | None) -> Logits:
        """These rows only; in memory if they are not too many."""
        chosen = replace(self, rows=rows)
        if chosen.n_rows * self.row_size > (_DRAWN if isinstance(self.P, np.memmap) else _KEPT):
            return chosen
        return replace(chosen, kept=chosen._computed(slice(0, chosen.n_rows)))

    def tiles(self) -> Iterator[tuple[slice, Array]]:
        """Pieces of rows: which, and logits of shape (n_features, n_columns - 1, n)."""
        if self.kept is not None:
            yield slice(0, self.n_rows), self.kept
            return
        at_once = max(1, _AT_ONCE // self.row_size)
        for start in range(0, self.n_rows, at_once):
            tile = slice(start, min(start + at_once, self.n_rows))
            yield tile, self._computed(tile)

    def _computed(self, tile: slice) -> Array:
        rows: slice | Array = tile if self.rows is None else self.rows[tile]
        logits = np.empty((self.n_features, self.extra.shape[1], tile.stop - tile.start))
        for member, table, floor in zip(logits, self.P, self.floors, strict=False):
            logs = np.log(np.maximum(table[rows].T, floor, dtype=np.float64))
            np.subtract(logs[1:], logs[:1], out=member)
        logits[len(self.P) :] = self.extra[:, :, None]
        return logits


@dataclass(frozen=True, eq=False)
class LogitFit:
    """What `fit_logits` found.

    Parameters
    ----------
    weights : ndarray of float64, shape (n_features,)
    floors : ndarray of float64, shape (n_models,)
    strength : float
        Half of it times the squared distance of the weights was added to the summed log loss; infinite for the centre.
    """

    weights: Array
    floors: Array
    strength: float


def fit_logits(problem: Problem, centre: Array, extra: Array | None = None, *, seed: int) -> LogitFit:
    """Weights of the lowest log loss, drawn towards a multiple of `centre` as far as held-out rows ask for.

    Parameters
    ----------
    problem : Problem
        Of probabilities.
    centre : ndarray of shape (n_features,)
        The multiple is fitted first, by itself.
    extra : ndarray of shape (n_extra, n_columns - 1), optional
        See `Logits`.
    seed : int
        Of blocks and of rows drawn.
    """
    codes, weight = label_codes(problem.y, problem.classes), relative(problem.weight)
    counts = np.ones(len(codes)) if weight is None else weight
    floors = _best_floors(problem.P, codes, counts)
    logits = Logits(problem.P, floors, np.empty((0, problem.P.shape[2] - 1)) if extra is None else extra)
    whole = _Fits(logits.some(None), codes, counts[None])
    few = _draw(whole, seed)
    part = whole if few is None else whole.some(few)
    blocks = inner_blocks(problem, seed)
    strength, curvature = _choose(part, centre, blocks if few is None else blocks[few])
    goal = part.scales(centre)[:, None] * centre
    weights = goal if np.isinf(strength) else _finish(whole, part, goal, strength, curvature)
    return LogitFit(weights[0], floors, strength)


def pooled(weights: Array, floors: Array, P: Array, intercepts: Array | float = 0.0) -> Array:
    """Probabilities in proportion to the product of members to the power of their weights; float32, rows sum to one.

    Parameters
    ----------
    weights, floors : ndarray of shape (n_models,)
    P : ndarray of float32, shape (n_models, n_rows, n_columns)
    intercepts : ndarray of shape (n_columns,), or float
        Added to the logarithms.
    """
    total = np.zeros(P.shape[1:], dtype=np.float64)
    total += intercepts
    for weight, floor, table in zip(weights, floors, P, strict=True):
        total += weight * np.log(np.maximum(table, floor, dtype=np.float64))
    total -= total.max(axis=1, keepdims=True)
    np.exp(total, out=total)
    total /= total.sum(axis=1, keepdims=True)
    chances: Array = total.astype(np.float32)
    return chances


@dataclass(frozen=True, eq=False)
class _Fits:
    """Several fits on the same rows, each counting them by its own weights.

    Parameters
    ----------
    logits : Logits
    codes : ndarray of int, shape (n_rows,)
        True classes.
    counts : ndarray of shape (n_fits, n_rows)
        How much each row counts.
    """

    logits: Logits
    codes: Array
    counts: Array

    def some(self, rows: Array) -> _Fits:
        """The same fits on some rows only."""
        return _Fits(self.logits.some(rows), self.codes[rows], self.counts[:, rows])

    def with_counts(self, chosen: Array) -> _Fits:
        """A single fit made into several, each with the rows of a mask: of shape (n_fits, n_rows)."""
        return replace(self, counts=self.counts * chosen)

    def losses(self, weights: Array) -> Array:
        """The summed log loss of each fit's weights on the rows that it counts: of shape (n_fits,)."""
        total = np.zeros(len(weights))
        for tile, logits in self.logits.tiles():
            rows, _ = _row_losses(_sums(weights, logits), self.codes[tile])
            total += np.einsum("kn,kn->k", rows, self.counts[:, tile])
        return total

    def slopes(self, weights: Array) -> tuple[Array, Array]:
        """The losses, and their gradient: of shape (n_fits, n_features)."""
        total, gradient = np.zeros(len(weights)), np.zeros(weights.shape)
        for tile, logits in self.logits.tiles():
            rows, excess = _row_losses(_sums(weights, logits), self.codes[tile])
            counts = self.counts[:, tile]
            total += np.einsum("kn,kn->k", rows, counts)
            excess *= counts[:, None, :]
            gradient += excess.reshape(len(weights), -1) @ logits.reshape(len(logits), -1).T
        return total, gradient

    def curvatures(self, weights: Array, parts: Array) -> Array:
        """The second derivative at one set of weights, for each part of the rows: (n_parts, n_features, n_features).

        Parameters
        ----------
        weights : ndarray of shape (n_features,)
        parts : ndarray of bool, shape (n_parts, n_rows)
        """
        found = np.zeros((len(parts), len(weights), len(weights)))
        for tile, logits in self.logits.tiles():
            apart = _apart(logits, _chances(_sums(weights[None], logits))[0])
            apart *= np.sqrt(self.counts[0, tile])
            for total, part in zip(found, parts[:, tile], strict=True):
                flat = apart[:, :, part].reshape(len(weights), -1)
                total += flat @ flat.T
        return found

    def scales(self, centre: Array) -> Array:
        """The multiple of `centre` that suits each fit best: of shape (n_fits,)."""
        sums = np.concatenate([_sums(centre[None], logits)[0] for _, logits in self.logits.tiles()], axis=1)
        padded = np.concatenate([np.zeros((1, sums.shape[1])), sums])
        truth = padded[self.codes, np.arange(len(self.codes))]
        scales = np.ones(len(self.counts))
        for _ in range(_SCALE_STEPS):
            chances = _chances(scales[:, None, None] * sums)
            mean = np.einsum("kcn,cn->kn", chances, padded)
            spread = np.einsum("kcn,cn->kn", chances, padded**2) - mean**2
            slope = np.einsum("kn,kn->k", mean - truth, self.counts) + _SCALE_ROWS * (scales - 1)
            step = slope / (np.einsum("kn,kn->k", spread, self.counts) + _SCALE_ROWS)
            scales = np.maximum(scales - np.clip(step, -0.5, 0.5), 0)
            if np.abs(step).max() < 1e-9:
                break
        return scales


@dataclass(frozen=True, eq=False)
class _Basis:
    """Curvatures of several fits by their axes, so that any strength can be added to them at no cost.

    Parameters
    ----------
    values : ndarray of shape (n_fits, n_features)
    vectors : ndarray of shape (n_fits, n_features, n_features)
    """

    values: Array
    vectors: Array

    @classmethod
    def of(cls, curvatures: Array) -> _Basis:
        values, vectors = np.linalg.eigh(curvatures)
        return cls(np.maximum(values, 0), vectors)

    def steps(self, slopes: Array, strength: float) -> Array:
        """Newton steps with these curvatures."""
        along = np.einsum("kfv,kf->kv", self.vectors, slopes) / (self.values + strength)
        steps: Array = np.einsum("kfv,kv->kf", self.vectors, along)
        return steps


def _best_floors(P: Array, codes: Array, counts: Array) -> Array:
    """For each member, the floor of its probabilities that gives the member by itself the lowest log loss.

    A model that says 0 and errs must not decide rows alone; how far its small probabilities can be trusted differs
    from a nearest neighbour to a boosted tree, and a few hundred rows tell.
    """
    rows = np.flatnonzero(counts)
    rows = rows[:: -(-len(rows) // _FLOOR_ROWS)]
    true, weight = (codes[rows], np.arange(len(rows))), counts[rows]
    found = np.empty(len(P))
    for place, table in enumerate(P):
        raised = np.ascontiguousarray(table[rows].T, dtype=np.float64)
        losses = []
        for floor in _FLOORS:
            np.maximum(raised, floor, out=raised)
            losses.append(weight @ np.log(raised.sum(axis=0) / raised[true]))
        found[place] = _FLOORS[np.argmin(losses)]
    return found


def _choose(fits: _Fits, centre: Array, blocks: Array) -> tuple[float, Array]:
    """The strength of the lowest held-out log loss, and the curvature on all rows near the centre."""
    held = np.unique(blocks)[:, None] == blocks
    inside, outside = fits.with_counts(~held), fits.with_counts(held)
    goal = inside.scales(centre)[:, None] * centre
    by_block = fits.curvatures(goal.mean(axis=0), held)
    curvature = by_block.sum(axis=0)
    unit = _unit(curvature, centre)
    if len(held) < 2 or unit == 0:
        return np.inf, curvature
    basis = _Basis.of(curvature - by_block)
    best, lowest, worse, weights = np.inf, outside.losses(goal).sum(), 0, goal
    for strength in _STRENGTHS * unit:
        weights, _ = _descend(inside, weights, goal, strength, basis, _ROUGH)
        loss = outside.losses(weights).sum()
        best, lowest, worse = (strength, loss, 0) if loss < lowest else (best, lowest, worse + 1)
        if worse == _PATIENCE:
            break
    return float(best), curvature


def _unit(curvature: Array, centre: Array) -> float:
    """The mean curvature along one weight, the common scale left out; nought if that is rounding only."""
    whole = float(np.trace(curvature))
    apart = whole - float(centre @ curvature @ centre / (centre @ centre))
    return apart / len(centre) if apart > 1e-12 * whole else 0.0


def _descend(
    fits: _Fits, weights: Array, goal: Array, strength: float, basis: _Basis, promise: float, most: int = 30
) -> tuple[Array, bool]:
    """Newton steps with fixed curvatures, halved where they do not pay; and whether they ended by themselves.

    Parameters
    ----------
    promise : float
        What a step may still gain when it is not taken, in log loss per row.
    """
    value, slope = _penalised(fits, weights, goal, strength)
    size, enough = np.ones(len(weights)), promise * fits.counts.sum(axis=1)
    for _ in range(most):
        step = basis.steps(slope, strength)
        if (np.einsum("kf,kf->k", step, slope) <= enough).all():
            return weights, True
        trial = weights - size[:, None] * step
        new_value, new_slope = _penalised(fits, trial, goal, strength)
        paid = new_value <= value
        weights, slope = np.where(paid[:, None], trial, weights), np.where(paid[:, None], new_slope, slope)
        value, size = np.where(paid, new_value, value), np.where(paid, np.minimum(1, 2 * size), size / 2)
    return weights, False


def _penalised(fits: _Fits, weights: Array, goal: Array, strength: float) -> tuple[Array, Array]:
    losses, slopes = fits.slopes(weights)
    apart = weights - goal
    return losses + strength / 2 * np.einsum("kf,kf->k", apart, apart), slopes + strength * apart


def _finish(whole: _Fits, part: _Fits, goal: Array, strength: float, curvature: Array) -> Array:
    """The weights of one fit to the last digits that matter.

    Curvatures come from a part of its rows, the given one first; they are computed anew when they no longer serve.
    """
    weights, share = goal, whole.counts.sum() / part.counts.sum()
    everyone = np.ones((1, part.logits.n_rows), dtype=bool)
    for _ in range(_RENEWALS):
        basis = _Basis.of(share * curvature[None])
        weights, done = _descend(whole, weights, goal, strength, basis, _FINE, most=8)
        if done:
            break
        curvature = part.curvatures(weights[0], everyone)[0]
    return weights


def _draw(fits: _Fits, seed: int) -> Array | None:
    """Numbers of the rows that decide on the strength, in their order; None for all."""
    n_rows = max(1, _DRAWN // fits.logits.row_size)
    if n_rows >= fits.logits.n_rows:
        return None
    counted = np.flatnonzero(fits.counts[0])
    if n_rows >= len(counted):
        return counted
    return np.sort(np.random.default_rng(seed).choice(counted, n_rows, replace=False))


def _sums(weights: Array, logits: Array) -> Array:
    """Weighted sums of features: of shape (n_fits, n_columns - 1, n_rows)."""
    sums: Array = (weights @ logits.reshape(len(logits), -1)).reshape(len(weights), *logits.shape[1:])
    return sums


def _chances(sums: Array) -> Array:
    """Probabilities of all classes from logits against the first: of shape (n_fits, n_columns, n_rows)."""
    chances = np.empty((len(sums), sums.shape[1] + 1, sums.shape[2]))
    highest = np.maximum(sums.max(axis=1), 0)
    np.negative(highest, out=chances[:, 0])
    np.subtract(sums, highest[:, None], out=chances[:, 1:])
    np.exp(chances, out=chances)
    chances /= chances.sum(axis=1, keepdims=True)
    return chances


def _row_losses(sums: Array, codes: Array) -> tuple[Array, Array]:
    """Log loss of each fit and row, and its derivative along the logits."""
    chances, rows = _chances(sums), np.arange(len(codes))
    losses = -np.log(np.maximum(chances[:, codes, rows], np.finfo(float).tiny))
    chances[:, codes, rows] -= 1
    return losses, chances[:, 1:]


def _apart(logits: Array, chances: Array) -> Array:
    """How features of classes lie apart, by root of chance: their products summed are the curvature of log loss.

    Returns
    -------
    ndarray of shape (n_features, n_columns, n_rows); for two classes (n_features, 1, n_rows)
    """
    if len(chances) == 2:
        single: Array = logits * np.sqrt(chances[0] * chances[1])
        return single
    apart = np.empty((len(logits), *chances.shape))
    mean = np.einsum("fcn,cn->fn", logits, chances[1:])
    np.negative(mean, out=apart[:, 0])
    np.subtract(logits, mean[:, None], out=apart[:, 1:])
    apart *= np.sqrt(chances)
    return apart
