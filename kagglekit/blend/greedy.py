"""Forward selection with replacement, bagged over rows and members, stopped where honest gain ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from kagglekit.blend.base import LinearBlender, Step
from kagglekit.blend.blocks import make_blocks
from kagglekit.blend.matrix import weighted
from kagglekit.blend.objectives import Objective, first_best, objective_for
from kagglekit.blend.problem import Problem
from kagglekit.contracts import Label
from kagglekit.errors import ConfigError

__all__ = ["GreedyEnsemble", "Selection", "select"]

Array = npt.NDArray[Any]

# Blocks of the inner cross-fit that says where to stop.
_STOP_BLOCKS = 5


@dataclass(frozen=True)
class Selection:
    """Members in the order in which they were taken, and the loss after each."""

    taken: Array
    losses: Array

    def weights(self, n_models: int) -> Array:
        """Weights after each step: float64 of shape (n_steps, n_models)."""
        counts = np.zeros((len(self.taken), n_models))
        counts[np.arange(len(self.taken)), self.taken] = 1
        shares: Array = counts.cumsum(axis=0) / np.arange(1, len(self.taken) + 1)[:, None]
        return shares


def select(objective: Objective, n_steps: int, candidates: Array | None = None) -> Selection:
    """Take, `n_steps` times, the member that helps the blend most; of equals the first.

    Parameters
    ----------
    objective : Objective
    n_steps : int
    candidates : ndarray of int, optional
        Places of the members that may be taken; all by default.
    """
    walk = objective.start()
    offered = np.arange(objective.problem.n_models) if candidates is None else candidates
    taken, losses = np.empty(n_steps, dtype=np.int64), np.empty(n_steps)
    for step in range(n_steps):
        share = 1 / (step + 1)
        taken[step], losses[step] = walk.best(offered, share)
        walk.move(int(taken[step]), share)
    return Selection(taken, losses)


class GreedyEnsemble(LinearBlender):
    """Forward selection with replacement: at each step the member that helps the blend most is added once more.

    Source: Caruana, Niculescu-Mizil, Crew and Ksikes 2004, "Ensemble selection from libraries of models"; bagging over
    members is from there too (section 2.3). With several bags, weights are the mean over bags.

    Not for very few rows without bags: it overfits them, as `nested_score_` shows.

    Parameters
    ----------
    metric, classes, cv, seed
        See `Blender`.
    n_steps : int
        Weights are multiples of about 1 / n_steps.
    stop : {"honest", "best"}
        "honest" keeps as many steps as still raise the lower bound of the gain over one member, measured on rows that
        did not choose the steps (five blocks inside the fitted rows). "best" keeps the best prefix on the fitted rows
        themselves, as other tools do, and is six times faster.
    n_bags : int
        Selections, each on rows drawn with replacement and on some of the members.
    member_share : float
        Share of the members that each bag may take, drawn without replacement; at least one.

    Attributes
    ----------
    weights_ : Series by member
        How often each was taken, as shares.
    trajectory_ : tuple of Step
        All steps, those beyond `n_steps_` too. With bags, `member` is the one whose weight the step raised most.
    n_steps_ : int
        Steps that were kept.
    """

    n_steps_: int

    def __init__(
        self,
        metric: str = "log_loss",
        *,
        classes: Sequence[Label] = (),
        n_steps: int = 50,
        stop: Literal["honest", "best"] = "honest",
        n_bags: int = 1,
        member_share: float = 0.5,
        cv: int | Literal["auto"] | None = "auto",
        seed: int = 0,
    ) -> None:
        self.metric = metric
        self.classes = classes
        self.n_steps = n_steps
        self.stop = stop
        self.n_bags = n_bags
        self.member_share = member_share
        self.cv = cv
        self.seed = seed

    def _learn(self, problem: Problem) -> None:
        self._check()
        path, losses = self._path(problem)
        honest = self._honest(problem) if self.stop == "honest" and problem.n_models > 1 else None
        kept = first_best(losses if honest is None else honest.mean(axis=0) + _standard_error(honest))
        self.n_steps_ = kept + 1
        self.weights_ = pd.Series(path[kept], index=list(problem.names))
        self.trajectory_ = _steps(problem, path, losses, honest)

    def _check(self) -> None:
        if self.n_steps < 1 or self.n_bags < 1 or not 0 < self.member_share <= 1:
            raise ConfigError(
                "Greedy selection needs n_steps and n_bags of 1 or more and a member_share above 0 and up to 1, got "
                f"{self.n_steps}, {self.n_bags} and {self.member_share}."
            )
        if self.stop not in ("honest", "best"):
            raise ConfigError(f"stop must be 'honest' or 'best', got '{self.stop}'.")

    def _path(self, problem: Problem) -> tuple[Array, Array]:
        """Weights after each step, of shape (n_steps, n_models), and their losses on these rows."""
        if self.n_bags == 1:
            chosen = select(objective_for(problem), self.n_steps)
            return chosen.weights(problem.n_models), chosen.losses
        rng = np.random.default_rng(self.seed)
        path = np.zeros((self.n_steps, problem.n_models))
        for _ in range(self.n_bags):
            path += self._bag(problem, rng) / self.n_bags
        return path, _losses(problem, path)

    def _bag(self, problem: Problem, rng: np.random.Generator) -> Array:
        n_members = max(1, round(self.member_share * problem.n_models))
        # Drawn by name, so that the order of members changes nothing.
        by_name = np.argsort(np.array(problem.names))
        members = np.sort(by_name[rng.choice(problem.n_models, n_members, replace=False)])
        drawn = problem.rows(_draw_rows(problem, rng))
        return select(objective_for(drawn), self.n_steps, members).weights(problem.n_models)

    def _honest(self, problem: Problem) -> Array:
        """Losses on rows that did not choose, less those after one step: of shape (n_blocks, n_steps)."""
        blocks = make_blocks(problem, _STOP_BLOCKS, self.seed)
        held = []
        for block in np.unique(blocks):
            scored = blocks == block
            path, _ = self._path(problem.rows(~scored))
            held.append(_losses(problem.rows(scored), path))
        return np.array(held)


def _draw_rows(problem: Problem, rng: np.random.Generator) -> Array:
    """Rows drawn with replacement; which ones depends on their ids, not on their order."""
    order = np.argsort(pd.util.hash_pandas_object(problem.y.index.to_series()).to_numpy(), kind="stable")
    return np.sort(order[rng.integers(0, problem.n_rows, problem.n_rows)])


def _losses(problem: Problem, path: Array) -> Array:
    return np.array([problem.loss(weighted(weights, problem.P)) for weights in path])


def _standard_error(honest: Array) -> Array:
    """Of the mean gain over the first step, over blocks: how hard a block is cancels out."""
    gain = honest - honest[:, :1]
    error: Array = gain.std(axis=0, ddof=1) / np.sqrt(len(gain))
    return error


def _steps(problem: Problem, path: Array, losses: Array, honest: Array | None) -> tuple[Step, ...]:
    sign = -1 if problem.metric.greater_is_better else 1
    raised = np.diff(path * np.arange(1, len(path) + 1)[:, None], axis=0, prepend=0).argmax(axis=1)
    mean = None if honest is None else honest.mean(axis=0)
    worst = None if honest is None else honest.mean(axis=0) + _standard_error(honest)
    return tuple(
        Step(
            member=problem.names[raised[s]],
            fit_score=float(sign * losses[s]),
            honest_score=None if mean is None else float(sign * mean[s]),
            honest_low=None if worst is None else float(sign * worst[s]),
        )
        for s in range(len(path))
    )
