"""Fine-tuning with fastai's Learner, fed straight from the decoded-image cache."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from kagglekit.models.vision.averages import WeightAverage
from kagglekit.models.vision.batches import Batches, BatchesAt
from kagglekit.models.vision.best import Best
from kagglekit.models.vision.callbacks import Accumulate, Hook, Mix, Still, Watch
from kagglekit.models.vision.checkpoint import Checkpoint, Saved, load_optimizer, optimizer_state
from kagglekit.models.vision.decoding import Size, height_width
from kagglekit.models.vision.heads import head_of
from kagglekit.models.vision.runtime import contained_import, import_torch
from kagglekit.models.vision.still import still_norms

__all__ = ["Recipe", "Stage", "Trainer", "as_trained", "learner_of", "rates"]

_BODY_GROUPS = 2


@dataclass(frozen=True)
class Stage:
    """Epochs that share a size and a cycle of the learning rate.

    Parameters
    ----------
    epochs : int
    size : int or (height, width)
        Of the images, in pixels.
    frozen : bool
        Whether only the head trains.
    """

    epochs: int
    size: Size
    frozen: bool = False


@dataclass(frozen=True)
class Recipe:
    """How a pretrained model is fine-tuned.

    Parameters
    ----------
    stages : tuple of Stage
        One after the other, each with a learning rate that rises and falls once.
    lr : float
        Highest learning rate of the head; one cycle, cosine.
    body_lr : float
        Highest learning rate of the last layers below the head.
    first_lr : float
        Of the first layers, as a share of `body_lr`; those between lie between.
    wd : float
        Decoupled weight decay, on neither biases nor normalisation.
    mixup, cutmix : float
        See `callbacks.Mix`.
    ema : float
        Share of the weights' running mean that a step keeps, see `averages.WeightAverage`; 0 keeps no mean.
    train_bn : bool
        Whether batch normalisation uses and updates batch statistics. In a short training the running statistics lag
        behind the weights, and the model that predicts is not the one that was trained.
    precision : {"fp32", "fp16", "bf16"}
        The last two are fastai's mixed precision (`to_fp16`, `to_bf16`).
    """

    stages: tuple[Stage, ...]
    lr: float
    body_lr: float
    first_lr: float = 0.3
    wd: float = 0.01
    mixup: float = 0.0
    cutmix: float = 0.0
    ema: float = 0.0
    train_bn: bool = False
    precision: str = "fp32"


@dataclass(frozen=True)
class _Loaders:
    """The little that fastai's Learner asks of its data."""

    train: Batches
    device: Any
    n_inp: int = 1

    def __getitem__(self, number: int) -> Any:
        return self.train if number == 0 else ()


class Trainer:
    """One training of a model in place, which can be killed after any epoch and gone on with.

    Parameters
    ----------
    model : torch.nn.Module
        timm's.
    batches_at : callable
        The training batches at a size; all sizes draw their chance from one generator.
    recipe : Recipe
    loss : callable of (logits, labels)
        See `Objective.loss`.
    soft : callable
        See `Objective.soft`.
    best : Best, optional
        Judges each epoch with the whole model free, at the last size, and may end training.
    checkpoint : Checkpoint, optional
    on_batch : callable of float
        Called with the number of batches that were done since.

    Attributes
    ----------
    n_steps : int
        Optimizer steps taken.
    seconds_before : float
        That a killed process had trained, whose checkpoint was gone on from.
    """

    def __init__(
        self,
        model: Any,
        batches_at: BatchesAt,
        recipe: Recipe,
        *,
        loss: Callable[..., Any],
        soft: Callable[[Any], Any],
        best: Best | None = None,
        checkpoint: Checkpoint | None = None,
        on_batch: Callable[[float], None] = lambda n: None,
    ) -> None:
        self.model, self.batches_at, self.recipe = model, batches_at, recipe
        self.loss, self.soft, self.best, self.on_batch = loss, soft, best, on_batch
        self.checkpoint = checkpoint or Checkpoint(None, "")
        self.n_steps, self._stage, self._epoch, self._is_over = 0, 0, 0, False
        self.seconds_before, self._begun = 0.0, 0.0
        self._learner: Any = None
        self._size: Size | None = None
        self._average: WeightAverage | None = None
        self._learnt: tuple[dict[str, Any], list[dict[str, Any]]] | None = None

    def run(self) -> None:
        """Train through all stages, or what is left of them, and leave the model with the weights to predict by.

        Raises
        ------
        MissingExtra
        """
        self._begun = time.perf_counter()
        if (saved := self.checkpoint.read()) is not None:
            self._go_on(saved)
        for number, stage in enumerate(self.recipe.stages):
            if number > self._stage:
                self._stage, self._epoch = number, 0
            if number == self._stage and self._epoch < stage.epochs and not self._is_over:
                self._fit(stage)
        if self.recipe.stages:
            _set_size(self.model, self.recipe.stages[-1].size)
        if self.best is not None and self.best.state is not None:
            self.model.load_state_dict(self.best.state)
        elif self._average is not None:
            self.model.load_state_dict(self._average.state)
        self.model.eval()

    def _fit(self, stage: Stage) -> None:
        self._open(stage)
        learner, recipe, start = self._learner, self.recipe, self._epoch
        (learner.freeze if stage.frozen else learner.unfreeze)()
        if self._learnt is not None and start:
            load_optimizer(learner.opt, *self._learnt)  # not earlier: freezing clears what an optimizer has learnt
        self._learnt = None
        if recipe.ema and self._average is None and not stage.frozen:
            self._average = WeightAverage(self.model, recipe.ema)
        with as_trained(self.model, recipe, stage.size):
            if stage.frozen:
                learner.fit_one_cycle(stage.epochs, recipe.lr, pct_start=0.9, start_epoch=start)
            else:
                learner.fit_one_cycle(stage.epochs, rates(recipe), pct_start=0.3, div=10, start_epoch=start)

    def _open(self, stage: Stage) -> None:
        """A Learner at the stage's size; one is kept as long as the size is."""
        if stage.size == self._size:
            return
        _set_size(self.model, stage.size)
        self._size, self._average = stage.size, None
        self._learner = learner_of(self.model, self.batches_at(stage.size), self.recipe, self.loss)
        if self.recipe.mixup or self.recipe.cutmix:
            self._learner.add_cb(Mix(self.recipe.mixup, self.recipe.cutmix, self.soft))
        self._learner.add_cb(Watch(lambda: self.on_batch(1), self._on_step, self._on_epoch))

    def _on_step(self) -> None:
        self.n_steps += 1
        if self._average is not None:
            self._average.update(self.model)

    def _on_epoch(self) -> bool:
        stage = self.recipe.stages[self._stage]
        self._epoch += 1
        if self.best is not None and not stage.frozen and stage.size == self.recipe.stages[-1].size:
            self._is_over = self._judged()
        self._save()
        return self._is_over

    def _judged(self) -> bool:
        assert self.best is not None
        if self._average is None:
            return self.best.judge(self.model)
        own = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}
        self.model.load_state_dict(self._average.state)
        enough = self.best.judge(self.model)
        self.model.load_state_dict(own)
        return enough

    def _save(self) -> None:
        if self.checkpoint.path is None:
            return
        tensors, numbers = optimizer_state(self._learner.opt)
        parts = {"model": self.model.state_dict(), "optimizer": tensors, "chance": self._chance()}
        facts: dict[str, Any] = {"stage": self._stage, "epoch": self._epoch, "over": self._is_over}
        facts |= {"n_steps": self.n_steps, "optimizer": numbers, "scaler": _scaler_state(self._learner)}
        facts["seconds"] = self.seconds_before + time.perf_counter() - self._begun
        if self._average is not None:
            parts["average"] = self._average.state
            facts["averaged"] = self._average.n_updates
        if self.best is not None:
            parts["best"] = self.best.state or {}
            facts["best"] = self.best.facts()
        self.checkpoint.write(parts, facts)

    def _go_on(self, saved: Saved) -> None:
        """Take up everything as it was at the end of the epoch that was saved."""
        facts = saved.facts
        self._stage, self._epoch, self._is_over = facts["stage"], facts["epoch"], facts["over"]
        self.n_steps, self.seconds_before = facts["n_steps"], facts["seconds"]
        self._open(self.recipe.stages[self._stage])
        self.model.load_state_dict(saved.part("model"))
        self._learnt = saved.part("optimizer"), facts["optimizer"]
        if scaler := facts["scaler"]:
            self._learner.add_cb(_Rescale(scaler))
        if "averaged" in facts:
            self._average = WeightAverage(self.model, self.recipe.ema)
            for name, tensor in saved.part("average").items():
                self._average.state[name].copy_(tensor)
            self._average.n_updates = facts["averaged"]
        if self.best is not None:
            self.best.go_on(saved.part("best"), facts["best"])
        self._set_chance(saved.part("chance"))
        self.on_batch(self._done() * len(self._learner.dls.train))

    def _done(self) -> int:
        """Epochs behind us, of all stages."""
        return sum(stage.epochs for stage in self.recipe.stages[: self._stage]) + self._epoch

    def _chance(self) -> dict[str, Any]:
        torch = import_torch()
        cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
        found = {"torch": torch.get_rng_state(), "batches": self._learner.dls.train.generator.get_state()}
        return found | {f"cuda{number}": state for number, state in enumerate(cuda)}

    def _set_chance(self, states: dict[str, Any]) -> None:
        torch = import_torch()
        torch.set_rng_state(states["torch"])
        self._learner.dls.train.generator.set_state(states["batches"])
        for number in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
            if (state := states.get(f"cuda{number}")) is not None:
                torch.cuda.set_rng_state(state, number)


class _Rescale(Hook):
    """Gives the scaler of fp16 gradients, made anew at each fit, the scale that a killed training had found."""

    order = 20

    def __init__(self, state: dict[str, Any]) -> None:
        self.state: dict[str, Any] | None = state

    def before_fit(self) -> None:
        if self.state is not None:
            self.learn.scaler.load_state_dict(self.state)
            self.state = None


def as_trained(model: Any, recipe: Recipe, size: Size) -> AbstractContextManager[None]:
    """A block in which the model computes faster what the recipe trains, see `still.still_norms`."""
    return nullcontext() if recipe.train_bn else still_norms(model, size)


def rates(recipe: Recipe) -> np.ndarray:
    """The highest learning rate of each group: the layers of the body from first to last, then the head."""
    return np.array([*recipe.body_lr * np.geomspace(recipe.first_lr, 1, _BODY_GROUPS), recipe.lr])


def learner_of(model: Any, batches: Batches, recipe: Recipe, loss: Callable[..., Any]) -> Any:
    """fastai's Learner without its global default callbacks, which print."""
    with contained_import("Fine-tuning"):
        from fastai.callback.fp16 import MixedPrecision
        from fastai.callback.schedule import Learner
        from fastai.callback.training import GradientClip
        from fastai.learner import TrainEvalCallback

    callbacks = [TrainEvalCallback(), Accumulate(), GradientClip(1.0), *([] if recipe.train_bn else [Still()])]
    if recipe.precision != "fp32":
        callbacks.append(MixedPrecision(recipe.precision))
    groups = _groups(model)
    return Learner(
        _Loaders(batches, batches.device),
        model,
        loss_func=loss,
        splitter=lambda _: groups,
        cbs=callbacks,
        wd=recipe.wd,
        train_bn=False,
        default_cbs=False,
    )


def _groups(model: Any) -> list[list[Any]]:
    """Parameters in the order of depth: two groups of the body, then the head."""
    head = head_of(model)
    own = {id(p) for p in head.parameters()}
    body = [p for p in model.parameters() if id(p) not in own]
    cuts = np.linspace(0, len(body), _BODY_GROUPS + 1).astype(int)
    return [*(body[a:b] for a, b in pairwise(cuts)), list(head.parameters())]


def _set_size(model: Any, size: Size) -> None:
    """Tell models with a position table the size of the images; its entries are interpolated."""
    if hasattr(model, "set_input_size"):
        model.set_input_size(img_size=height_width(size))


def _scaler_state(learner: Any) -> dict[str, Any]:
    scaler = getattr(learner, "scaler", None)
    return scaler.state_dict() if scaler is not None else {}
