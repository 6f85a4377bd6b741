"""What every objective offers: a blend under construction that knows the loss of each next step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import numpy.typing as npt

from kagglekit.blend.matrix import weighted
from kagglekit.blend.problem import Problem

__all__ = ["Objective", "Walk", "first_best"]

Array = npt.NDArray[Any]

# The noise of float addition must not decide between equals.
_TIE = 1e-12


def first_best(losses: Array) -> int:
    """The place of the lowest loss; of equals, the first."""
    best = float(losses.min())
    return int(np.argmax(losses <= best + _TIE * max(1.0, abs(best))))


class Walk(ABC):
    """A blend under construction.

    It starts empty. `move(model, share)` makes it `(1 - share) * blend + share * model`, so that greedy selection
    moves by 1, 1/2, 1/3, ... and hill climbing by shares of a grid. The first move must have the share 1.
    Losses are those of the problem's metric, turned so that lower is better.
    """

    @abstractmethod
    def losses(self, candidates: Array, share: float) -> Array:
        """The loss after `move(candidate, share)`, for each candidate.

        Parameters
        ----------
        candidates : ndarray of int, shape (n_candidates,)
            Places of models.
        share : float
            Between 0 and 1, or negative.

        Returns
        -------
        ndarray of float64, shape (n_candidates,)
        """

    @abstractmethod
    def line(self, model: int, shares: Array) -> Array:
        """The loss after `move(model, share)`, for each share: float64 of shape (n_shares,)."""

    @abstractmethod
    def move(self, model: int, share: float) -> None:
        """Take a step."""

    def best(self, candidates: Array, share: float) -> tuple[int, float]:
        """The candidate whose step gives the lowest loss (of equals the first), and that loss."""
        losses = self.losses(candidates, share)
        place = first_best(losses)
        return int(candidates[place]), float(losses[place])

    def best_line(self, model: int, shares: Array) -> tuple[int, float]:
        """The place of the share whose step gives the lowest loss (of equals the first), and that loss."""
        losses = self.line(model, shares)
        place = first_best(losses)
        return place, float(losses[place])


class Objective(ABC):
    """The loss of blends of one problem's rows.

    Parameters
    ----------
    problem : Problem
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem

    @abstractmethod
    def start(self) -> Walk:
        """An empty blend."""

    def loss(self, weights: Array) -> float:
        """The loss of the weighted sum of all models."""
        return self.problem.loss(weighted(weights, self.problem.P))
