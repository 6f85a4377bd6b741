"""Which learning rate to take: the loss of a mock training whose rate grows from batch to batch."""

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
from kagglekit.models.vision.training import Recipe, learner_of, rates

__all__ = ["LEAST", "Sweep", "sweep_rates"]

_LOWEST, _HIGHEST = 1e-7, 1.0
_SMOOTH = 0.9
_DIVERGED = 4.0
LEAST = 100
"""Batches: fastai's `slide` compares points that lie 15 apart, and a tenth of them is cut off before."""
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
    """Raises the rates before each batch, keeps the smoothed losses, and ends when there are enough of them."""

    order = 65

    def __init__(self, multiples: Any, n_batches: int, on_batch: Callable[[], None]) -> None:
        self.multiples, self.n_batches, self.on_batch = multiples, n_batches, on_batch
        self.rates: list[float] = []
        self.losses: list[float] = []
        self._mean = 0.0

    def before_batch(self) -> None:
        rate = _LOWEST * (_HIGHEST / _LOWEST) ** (len(self.losses) / (self.n_batches - 1))
        self.rates.append(rate)
        self.learn.opt.set_hyper("lr", rate * self.multiples)

    def after_batch(self) -> None:
        from fastai.callback.core import CancelFitException

        n = len(self.losses) + 1
        self._mean = _SMOOTH * self._mean + (1 - _SMOOTH) * float(self.learn.loss.detach())
        self.losses.append(self._mean / (1 - _SMOOTH**n))
        self.on_batch()
        exploded = self.losses[-1] > _DIVERGED * min(self.losses) and 2 * n > self.n_batches
        if n == self.n_batches or exploded:
            raise CancelFitException


def sweep_rates(
    model: Any,
    batches: Batches,
    recipe: Recipe,
    loss: Callable[..., Any],
    *,
    n_batches: int = LEAST,
    on_batch: Callable[[], None] = lambda: None,
) -> Sweep:
    """Train a copy of a model, with the whole of it free, at a rate that grows with each batch.

    Parameters
    ----------
    model : torch.nn.Module
    batches : Batches
    recipe : Recipe
        Says how the rates of the layers relate.
    loss : callable
        See `Objective.loss`.
    n_batches : int
        At least 100.
    on_batch : callable

    Raises
    ------
    DataError
        The loss is no number even at small rates.

    References
    ----------
    Smith, "Cyclical Learning Rates for Training Neural Networks", 2017. Howard & Gugger, "Deep Learning for Coders
    with fastai and PyTorch", 2020, chapter 5.
    """
    n_batches = max(n_batches, LEAST)
    learner = learner_of(copy.deepcopy(model), batches, recipe, loss)
    growing = _Grow(rates(recipe) / recipe.body_lr, n_batches, on_batch)
    learner.fit(n_batches // len(batches) + 1, cbs=[growing])
    grown, losses = growing.rates, growing.losses
    n = next((i for i, value in enumerate(losses) if not math.isfinite(value)), len(losses))
    if n < n_batches // 2:
        raise DataError("The loss is no number even at a small learning rate.", hint="Look at the labels and images.")
    return Sweep(tuple(grown[:n]), tuple(losses[:n]), _suggested(grown[:n], losses[:n]), recipe.body_lr)


def _suggested(grown: list[float], losses: list[float]) -> dict[str, float]:
    torch = import_torch()
    with contained_import("Finding a learning rate"):
        from fastai.callback.schedule import slide, valley
    kept = slice(len(losses) // 10, -_CUT_END)  # the first losses are of few batches, the last explode
    x, y = np.array(grown[kept]), torch.tensor(losses[kept])  # numpy 2 warns of a tensor among fastai's rates
    return {"valley": float(valley(x, y, len(x))[0]), "slide": float(slide(x, y, len(x))[0])}
