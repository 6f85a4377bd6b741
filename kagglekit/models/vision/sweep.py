"""Which learning rate to take: the loss of a mock training whose rate grows from step to step."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from kagglekit.errors import DataError
from kagglekit.models.vision.batches import Batches
from kagglekit.models.vision.callbacks import Hook
from kagglekit.models.vision.runtime import contained_import, import_torch
from kagglekit.models.vision.training import Recipe, as_trained, learner_of, rates

__all__ = ["LEAST", "Sweep", "sweep_rates"]

_LOWEST, _HIGHEST = 1e-7, 1.0
_SMOOTH = 0.9
_DIVERGED = 4.0
LEAST = 100
"""Steps: fastai's `slide` compares points that lie 15 apart, and a tenth of them is cut off before."""
_CUT_END = 5


@dataclass(frozen=True)
class Sweep:
    """Loss against the learning rate.

    Parameters
    ----------
    rates : tuple of float
        Of the last layers below the head, which is the setting `lr`.
    losses : tuple of float
        Smoothed.
    suggestions : mapping of str to float
        "valley" lies in the longest falling stretch, "slide" where the loss begins to stop falling; both are fastai's.
    now : float
        The rate that a fit would take.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    suggestions: Mapping[str, float]
    now: float


class _Grow(Hook):
    """Raises the rates before each step, keeps the smoothed losses, and ends when there are enough of them.

    A step of several batches has one rate and one loss, that of all its images.
    """

    order = 65

    def __init__(self, multiples: Any, n_steps: int, on_step: Callable[[], None]) -> None:
        self.multiples, self.n_steps, self.on_step = multiples, n_steps, on_step
        self.losses: list[float] = []
        self._mean, self._step = 0.0, 0.0

    @property
    def rates(self) -> list[float]:
        """Of the steps that were done."""
        return [self._rate(number) for number in range(len(self.losses))]

    def _rate(self, number: int) -> float:
        return float(_LOWEST * (_HIGHEST / _LOWEST) ** (number / (self.n_steps - 1)))

    def before_batch(self) -> None:
        self.learn.opt.set_hyper("lr", self._rate(len(self.losses)) * self.multiples)

    def after_batch(self) -> None:
        from fastai.callback.core import CancelFitException

        self._step += float(self.learn.loss.detach()) * self.learn.dl.shares[self.learn.iter]
        if not self.learn.dl.ends_step(self.learn.iter):
            return
        n = len(self.losses) + 1
        self._mean, self._step = _SMOOTH * self._mean + (1 - _SMOOTH) * self._step, 0.0
        self.losses.append(self._mean / (1 - _SMOOTH**n))
        self.on_step()
        exploded = self.losses[-1] > _DIVERGED * min(self.losses) and 2 * n > self.n_steps
        if n == self.n_steps or exploded:
            raise CancelFitException


def sweep_rates(
    model: Any,
    batches: Batches,
    recipe: Recipe,
    loss: Callable[..., Any],
    *,
    n_steps: int = LEAST,
    on_step: Callable[[], None] = lambda: None,
) -> Sweep:
    """Train a copy of a model, with the whole of it free, at a rate that grows with each step.

    Parameters
    ----------
    model : torch.nn.Module
    batches : Batches
    recipe : Recipe
        Says how the rates of the layers relate.
    loss : callable
        See `Objective.loss`.
    n_steps : int
        At least 100.
    on_step : callable

    Raises
    ------
    DataError
        The loss is no number even at small rates.

    References
    ----------
    Smith, "Cyclical Learning Rates for Training Neural Networks", 2017. Howard & Gugger, "Deep Learning for Coders
    with fastai and PyTorch", 2020, chapter 5.
    """
    n_steps = max(n_steps, LEAST)
    model, frame = copy.deepcopy(model), batches.lens.frame
    growing = _Grow(rates(recipe) / recipe.body_lr, n_steps, on_step)
    with as_trained(model, recipe, (frame.height, frame.width)):
        learner_of(model, batches, recipe, loss).fit(n_steps // batches.n_steps + 1, cbs=[growing])
    grown, losses = growing.rates, growing.losses
    n = next((i for i, value in enumerate(losses) if not math.isfinite(value)), len(losses))
    if n < n_steps // 2:
        raise DataError("The loss is no number even at a small learning rate.", hint="Look at the labels and images.")
    return Sweep(tuple(grown[:n]), tuple(losses[:n]), _suggested(grown[:n], losses[:n]), recipe.body_lr)


def _suggested(grown: list[float], losses: list[float]) -> dict[str, float]:
    torch = import_torch()
    with contained_import("Finding a learning rate"):
        from fastai.callback.schedule import slide, valley
    kept = slice(len(losses) // 10, -_CUT_END)  # the first losses are of few batches, the last explode
    x, y = np.array(grown[kept]), torch.tensor(losses[kept])  # numpy 2 warns of a tensor among fastai's rates
    return {"valley": float(valley(x, y, len(x))[0]), "slide": float(slide(x, y, len(x))[0])}
