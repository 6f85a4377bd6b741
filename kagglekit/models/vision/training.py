"""Fine-tuning with fastai's Learner, fed straight from the decoded-image cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from kagglekit.models.vision.cache import DecodedImages
from kagglekit.models.vision.heads import head_of
from kagglekit.models.vision.lens import Lens
from kagglekit.models.vision.runtime import contained_import

__all__ = ["Batches", "Recipe", "fine_tune"]

_BODY_GROUPS = 2


@dataclass(frozen=True)
class Recipe:
    """How a pretrained model is fine-tuned.

    Parameters
    ----------
    epochs : int
        With the whole model free.
    freeze_epochs : int
        Before those, with only the head free.
    lr : float
        Highest learning rate of the head; one cycle, cosine.
    body_lr : float
        Highest learning rate of the last layers below the head; the first layers get `body_lr * first_lr`.
    wd : float
        Decoupled weight decay, on neither biases nor normalisation.
    train_bn : bool
        Whether batch normalisation uses and updates batch statistics. In a short training the running statistics lag
        behind the weights, and the model that predicts is not the one that was trained.
    precision : {"fp32", "fp16", "bf16"}
        The last two are fastai's mixed precision (`to_fp16`, `to_bf16`).
    """

    epochs: int
    freeze_epochs: int
    lr: float
    body_lr: float
    first_lr: float = 0.3
    wd: float = 0.01
    train_bn: bool = False
    precision: str = "fp32"


class Batches:
    """Shuffled, augmented batches of (images, encoded labels); a new order at every pass.

    Parameters
    ----------
    images : DecodedImages
    paths : sequence of str
    targets : ndarray of shape (n_images,) or (n_images, n_targets)
        As `Objective.encode` gives them.
    batch_size : int
    lens : Lens
        From cached pixels to what the model sees.
    generator : torch.Generator
        On the CPU; all chance of the data path comes from it.
    device : torch.device
    """

    def __init__(
        self,
        images: DecodedImages,
        paths: Sequence[str],
        targets: np.ndarray,
        *,
        batch_size: int,
        lens: Lens,
        generator: Any,
        device: Any,
    ) -> None:
        self.images, self.paths, self.targets = images, np.asarray(paths, dtype=object), targets
        self.lens, self.generator, self.device = lens, generator, device
        # Batches of equal size, so that none is left with an image or two: batch statistics of those are noise.
        self._n = max(1, round(len(paths) / batch_size))

    def __len__(self) -> int:
        return self._n

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        import torch

        for rows, x in self.by_rows():
            yield x, torch.from_numpy(self.targets[rows]).to(self.device)

    def by_rows(self) -> Iterator[tuple[np.ndarray, Any]]:
        """One pass: the places of each batch's images among `paths`, and the images."""
        import torch

        order = torch.randperm(len(self.paths), generator=self.generator).numpy()
        for rows in np.array_split(order, self._n):
            yield rows, self.lens.augmented(self.images.rows(self.paths[rows]), self.device, self.generator)


@dataclass(frozen=True)
class _Loaders:
    """The little that fastai's Learner asks of its data."""

    train: Batches
    device: Any
    n_inp: int = 1

    def __getitem__(self, number: int) -> Any:
        return self.train if number == 0 else ()


def fine_tune(
    model: Any,
    batches: Batches,
    recipe: Recipe,
    *,
    loss: Callable[..., Any],
    on_batch: Callable[[], None],
    on_epoch: Callable[[], bool],
) -> None:
    """Train a model in place.

    Parameters
    ----------
    model : torch.nn.Module
        timm's.
    batches : Batches
    recipe : Recipe
    loss : callable of (logits, labels)
        See `Objective.loss`.
    on_batch : callable
        Called after each batch.
    on_epoch : callable
        Called after each epoch with the whole model free; training ends when it returns True.

    Raises
    ------
    MissingExtra
    """
    learner = _learner(model, batches, recipe, loss)
    watch = _watch(model, recipe, on_batch, on_epoch)
    learner.add_cb(watch)
    if recipe.freeze_epochs:
        watch.frozen = True
        learner.freeze()
        learner.fit_one_cycle(recipe.freeze_epochs, recipe.lr, pct_start=0.9)
        learner.unfreeze()
        watch.frozen = False
    if recipe.epochs:
        body = recipe.body_lr * np.geomspace(recipe.first_lr, 1, _BODY_GROUPS)
        learner.fit_one_cycle(recipe.epochs, np.array([*body, recipe.lr]), pct_start=0.3, div=10)


def _learner(model: Any, batches: Batches, recipe: Recipe, loss: Callable[..., Any]) -> Any:
    """fastai's Learner without its global default callbacks, which print."""
    with contained_import("Fine-tuning"):
        from fastai.callback.fp16 import MixedPrecision
        from fastai.callback.schedule import Learner
        from fastai.callback.training import GradientClip
        from fastai.learner import TrainEvalCallback

    callbacks = [TrainEvalCallback(), GradientClip(1.0)]
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


def _watch(model: Any, recipe: Recipe, on_batch: Callable[[], None], on_epoch: Callable[[], bool]) -> Any:
    """A callback that holds batch normalisation still when told, and passes on what happens."""
    from fastai.callback.core import Callback, CancelFitException

    class Watch(Callback):
        frozen = False

        def before_train(self) -> None:
            if self.frozen or not recipe.train_bn:
                _normalisation_eval(model)

        def after_batch(self) -> None:
            on_batch()

        def after_epoch(self) -> None:
            if not self.frozen and on_epoch():
                raise CancelFitException

    return Watch()


def _groups(model: Any) -> list[list[Any]]:
    """Parameters in the order of depth: two groups of the body, then the head."""
    head = head_of(model)
    own = {id(p) for p in head.parameters()}
    body = [p for p in model.parameters() if id(p) not in own]
    cuts = np.linspace(0, len(body), _BODY_GROUPS + 1).astype(int)
    return [*(body[a:b] for a, b in pairwise(cuts)), list(head.parameters())]


def _normalisation_eval(model: Any) -> None:
    from torch.nn.modules.batchnorm import _BatchNorm

    for module in model.modules():
        if isinstance(module, _BatchNorm):
            module.eval()
