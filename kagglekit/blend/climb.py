"""Hill climbing: members mixed into the best one, each at the share of a grid that helps most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from kagglekit.blend.base import LinearBlender, Step
from kagglekit.blend.blocks import make_blocks
from kagglekit.blend.objectives import Objective, Walk, first_best, objective_for
from kagglekit.blend.objectives.squared import GramWalk
from kagglekit.blend.problem import Problem
from kagglekit.contracts import Label
from kagglekit.errors import ConfigError

__all__ = ["Climb", "HillClimb", "climb", "grid"]

Array = npt.NDArray[Any]

# An improvement must be more than the noise of float addition, as in `first_best`.
_TIE = 1e-12
_LARGEST_SHARE = 0.5
# Blocks of the inner cross-fit, and the strengths that it chooses from.
_BLOCKS = 5
_STRENGTHS = np.array([0, 0.1, 0.25, 0.5, 0.75, 1])
# Fewer rows than this for each member, and negative weights say more of noise than of members.
_ROWS_PER_MEMBER = 10


@dataclass(frozen=True)
class Climb:
    """Members in the order in which they were mixed in, the share of each, and the loss after it."""

    members: Array
    shares: Array
    losses: Array

    def weights(self, n_models: int) -> Array:
        """Weights after each step: float64 of shape (n_steps, n_models)."""
        path = np.zeros((len(self.members), n_models))
        now = np.zeros(n_models)
        for step, (member, share) in enumerate(zip(self.members, self.shares, strict=True)):
            now *= 1 - share
            now[member] += share
            path[step] = now
        return path

    def blends(self, P: Array) -> list[Array]:
        """Blends of other rows after each step: float64 of shape (n_rows, n_columns) each."""
        blends = [P[self.members[0]].astype(np.float64)]
        for member, share in zip(self.members[1:], self.shares[1:], strict=True):
            blends.append((1 - share) * blends[-1] + np.float64(share) * P[member])
        return blends


def grid(precision: float, negative: bool) -> Array:
    """Shares that are tried: multiples of the precision up to a half, and from minus a half if negative ones are."""
    n = int(_LARGEST_SHARE / precision + 1e-9)
    places = np.arange(-n if negative else 1, n + 1)
    shares: Array = places[places != 0] * precision
    return shares


def climb(objective: Objective, shares: Array, n_passes: int = 1, max_steps: int = 1000) -> Climb:
    """Start from the best member, then mix in the member, at the share, that helps most, until none helps.

    Parameters
    ----------
    objective : Objective
    shares : ndarray of float, shape (n_shares,)
        In rising order; of equal steps the member that is better alone, then the lower share is taken.
    n_passes : int
        In each pass a member is mixed in once at most.
    max_steps : int
        The start counts as one.
    """
    walk = objective.start()
    everyone = np.arange(objective.problem.n_models)
    order = everyone[np.argsort(walk.losses(everyone, 1.0), kind="stable")]
    first, loss = walk.best(order, 1.0)
    walk.move(first, 1.0)
    steps = [(first, 1.0, loss)]
    unused = order[order != first]
    for _ in range(n_passes):
        before = len(steps)
        while len(unused) and len(steps) < max_steps:
            member, place, reached = _best_step(walk, unused, shares, loss, objective.problem)
            if not reached < loss - _TIE * max(1.0, abs(loss)):
                break
            walk.move(member, float(shares[place]))
            loss = reached
            steps.append((member, float(shares[place]), loss))
            unused = unused[unused != member]
        if len(steps) == before:
            break
        unused = order
    members, taken, losses = zip(*steps, strict=True)
    return Climb(np.array(members), np.array(taken), np.array(losses))


def _best_step(walk: Walk, members: Array, shares: Array, loss: float, problem: Problem) -> tuple[int, int, float]:
    """Member, place of the share, and loss; of equals the first member."""
    if isinstance(walk, GramWalk):
        return walk.best_step(members, shares)
    bounds = _bounds(walk, members, shares, loss) if _is_convex(problem, shares) else np.full(len(members), -np.inf)
    found, tie = np.full(len(members), np.inf), _TIE * max(1.0, abs(loss))
    places = np.zeros(len(members), dtype=np.int64)
    for m in np.argsort(bounds, kind="stable"):
        if bounds[m] > min(found.min(), loss - 2 * tie):
            break
        places[m], found[m] = walk.best_line(int(members[m]), shares)
    best = first_best(found) if np.isfinite(found).any() else 0
    return int(members[best]), int(places[best]), float(found[best])


def _is_convex(problem: Problem, shares: Array) -> bool:
    """Whether the loss is convex in the share; that of log loss ends where probabilities are clipped."""
    return problem.metric.name == "mae" or (problem.metric.name == "log_loss" and bool(shares[0] > 0))


def _bounds(walk: Walk, members: Array, shares: Array, loss: float) -> Array:
    """What no share can get below: a convex loss lies above the line from no step through the smallest one."""
    bounds = np.full(len(members), loss)
    for sign in (-1, 1):
        side = shares[shares * sign > 0]
        if len(side):
            smallest, largest = np.abs(side).min(), np.abs(side).max()
            fall = (loss - walk.losses(members, sign * float(smallest))) / smallest
            bounds = np.minimum(bounds, loss - fall * largest)
    return bounds - _TIE * max(1.0, abs(loss))


class HillClimb(LinearBlender):
    """Hill climbing as it is known from Kaggle: the best member, then step by step another at a share of a grid.

    Each step makes the blend `(1 - share) * blend + share * member`, with the member and the share that help most.
    Unlike greedy selection, a step can take much or little of a member, and weights may be negative: then what a member
    adds to the noise of others is taken away.

    Source: "Hill climbing" notebooks and the `hillclimbers` package (M. Yurtseven), which with `shrink=0` gives the
    same weights. Weights that fit some hundred rows are mostly noise, negative ones above all; therefore the number of
    steps that are kept, and how far weights are then drawn to the plain mean, are chosen on rows that did not choose
    the steps.

    Not for negative weights on few rows for each member: see `warning_`. Not for metrics of labels either, whose loss
    is flat almost everywhere: greedy selection takes larger steps.

    Parameters
    ----------
    metric, classes, cv, seed
        See `Blender`.
    precision : float
        Step of the grid of shares, which ends at 0.5.
    negative : bool
        Try shares from -0.5 on.
    n_passes : int
        With one, each member is mixed in once at most; with more, members come back.
    max_steps : int
        No more steps than this; the best member counts as one.
    shrink : float or None
        How far weights are drawn to the plain mean, from 0 to 1; all steps are kept. None chooses steps and strength by
        an inner cross-fit over five blocks, at six times the cost.

    Attributes
    ----------
    weights_ : Series by member
        They sum to one.
    trajectory_ : tuple of Step
        All steps, those beyond `n_steps_` too, before weights are shrunk.
    n_steps_ : int
        Steps that were kept.
    shrink_ : float
        How far weights were drawn to the plain mean.
    warning_ : str
        One line if negative weights rest on few rows; else empty.
    """

    n_steps_: int
    shrink_: float
    warning_: str

    def __init__(
        self,
        metric: str = "log_loss",
        *,
        classes: Sequence[Label] = (),
        precision: float = 0.01,
        negative: bool = False,
        n_passes: int = 1,
        max_steps: int = 100,
        shrink: float | None = None,
        cv: int | Literal["auto"] | None = "auto",
        seed: int = 0,
    ) -> None:
        self.metric = metric
        self.classes = classes
        self.precision = precision
        self.negative = negative
        self.n_passes = n_passes
        self.max_steps = max_steps
        self.shrink = shrink
        self.cv = cv
        self.seed = seed

    def _learn(self, problem: Problem) -> None:
        self._check()
        path = self._climb(problem)
        honest = self._honest(problem) if self.shrink is None and problem.n_models > 1 else None
        if honest is None:
            kept, self.shrink_ = len(path.losses) - 1, float(self.shrink or 0)
        else:
            kept, self.shrink_ = _choose(honest[:, : len(path.losses)])
        learnt = path.weights(problem.n_models)[kept]
        self.n_steps_ = kept + 1
        self.weights_ = pd.Series(
            (1 - self.shrink_) * learnt + self.shrink_ / problem.n_models, index=list(problem.names)
        )
        self.trajectory_ = _steps(problem, path, honest)
        self.warning_ = _warning(problem, self.weights_)

    def _check(self) -> None:
        if not 0 < self.precision <= _LARGEST_SHARE or self.n_passes < 1 or self.max_steps < 1:
            raise ConfigError(
                "Hill climbing needs a precision above 0 and up to 0.5, and n_passes and max_steps of 1 or more, got "
                f"{self.precision}, {self.n_passes} and {self.max_steps}."
            )
        if self.shrink is not None and not 0 <= self.shrink <= 1:
            raise ConfigError(f"shrink must lie between 0 and 1, got {self.shrink}.", hint="None has it chosen.")

    def _climb(self, problem: Problem) -> Climb:
        shares = grid(self.precision, self.negative)
        return climb(objective_for(problem), shares, self.n_passes, self.max_steps)

    def _honest(self, problem: Problem) -> Array:
        """Losses on rows that did not choose, of shape (n_blocks, max_steps, n_strengths)."""
        blocks = make_blocks(problem, _BLOCKS, self.seed)
        held = []
        for block in np.unique(blocks):
            path = self._climb(problem.rows(blocks != block))
            losses = _held_losses(path, problem.rows(blocks == block))
            # A climb that ended stays where it is.
            held.append(np.pad(losses, ((0, self.max_steps - len(losses)), (0, 0)), mode="edge"))
        return np.array(held)


def _held_losses(path: Climb, held: Problem) -> Array:
    """Losses on held-out rows after each step, for each strength: of shape (n_steps, n_strengths)."""
    mean = held.P.mean(axis=0, dtype=np.float64)
    return np.array([[held.loss((1 - s) * blend + s * mean) for s in _STRENGTHS] for blend in path.blends(held.P)])


def _choose(honest: Array) -> tuple[int, float]:
    """The step and strength with the best lower bound of the gain over the first member."""
    worst = honest.mean(axis=0) + _standard_error(honest)
    step, strength = np.unravel_index(first_best(worst.ravel()), worst.shape)
    return int(step), float(_STRENGTHS[strength])


def _standard_error(honest: Array) -> Array:
    """Of the mean gain over the first member unshrunk, over blocks: how hard a block is cancels out."""
    gain = honest - honest[:, :1, :1]
    error: Array = gain.std(axis=0, ddof=1) / np.sqrt(len(gain))
    return error


def _steps(problem: Problem, path: Climb, honest: Array | None) -> tuple[Step, ...]:
    sign = -1 if problem.metric.greater_is_better else 1
    names = [problem.names[m] for m in path.members]
    fit = sign * path.losses
    if honest is None:
        return tuple(Step(name, float(score)) for name, score in zip(names, fit, strict=True))
    mean = honest.mean(axis=0)[:, 0]
    worst = mean + _standard_error(honest)[:, 0]
    return tuple(
        Step(name, float(fit[s]), float(sign * mean[s]), float(sign * worst[s])) for s, name in enumerate(names)
    )


def _warning(problem: Problem, weights: pd.Series) -> str:
    negative = int((weights < 0).sum())
    if not negative or problem.n_rows >= _ROWS_PER_MEMBER * problem.n_models:
        return ""
    return (
        f"{negative} negative weight(s) rest on {problem.n_rows} rows for {problem.n_models} members; below "
        f"{_ROWS_PER_MEMBER} rows for each, they often fit noise. Believe the nested score only, or use negative=False."
    )
