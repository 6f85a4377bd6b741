"""What happens between the batches of fastai's Learner: accumulation, mixing, and what is told to the outside.

fastai asks little of a callback: a name, a place in the order, and to be called with the name of each event. `Hook` is
that and no more, so that this module imports nothing heavy and a callback's parameters are those that it names.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kagglekit.models.vision.runtime import import_torch
from kagglekit.models.vision.still import hold_still

__all__ = ["Accumulate", "Hook", "Mix", "Still", "Watch"]

_BEFORE_PRECISION = 6  # fastai's MixedPrecision has 10 and looks for overflow in what is about to be a step


class Hook:
    """One callback; a method named after an event is called at it.

    Attributes
    ----------
    learn : fastai.learner.Learner
        Set by it.
    """

    order = 0
    learn: Any = None

    @property
    def name(self) -> str:
        """Under this name the Learner keeps it as an attribute."""
        return f"{type(self).__name__.lower()}_hook"

    def __call__(self, event: str) -> None:
        if (act := getattr(self, event, None)) is not None:
            act()


class Still(Hook):
    """Batch normalisation keeps its statistics, though the rest trains."""

    def before_train(self) -> None:
        hold_still(self.learn.model)


class Accumulate(Hook):
    """Sum the gradients of the batches that belong to one step, each by its share of the step's images.

    The sum is the gradient of all the step's images at once where all count alike; with class weights or missing labels
    each batch's loss is a mean of its own weights. fastai's `GradientAccumulation` counts items instead: where they do
    not divide an epoch, it leaves the last gradients of one epoch to the first step of the next.
    """

    order = _BEFORE_PRECISION

    def before_batch(self) -> None:
        # A schedule looks at this: all batches of a step have the rate of the step, however it is cut.
        if self.learn.training:
            done = self.learn.dl.steps_before(self.learn.iter) / self.learn.dl.n_steps
            self.learn.pct_train = (self.learn.epoch + done) / self.learn.n_epoch

    def after_loss(self) -> None:
        if self.learn.training:
            self.learn.loss_grad = self.learn.loss_grad * self.learn.dl.shares[self.learn.iter]

    def before_step(self) -> None:
        from fastai.callback.core import CancelBatchException

        if not self.learn.dl.ends_step(self.learn.iter):
            raise CancelBatchException


class Mix(Hook):
    """MixUp and CutMix: each image is blended with another, or gets a box of it; its label is mixed alike.

    Parameters
    ----------
    mixup, cutmix : float
        Concentration of the Beta distribution that the share of the other image comes from; 0 is never. With both, a
        coin decides at each batch.
    soft : callable
        Makes labels of class numbers into shares that can be averaged, see `Objective.soft`.

    References
    ----------
    Zhang et al., "mixup: Beyond Empirical Risk Minimization", 2018.
    Yun et al., "CutMix: Regularization Strategy to Train Strong Classifiers with Localizable Features", 2019.
    """

    order = 5

    def __init__(self, mixup: float, cutmix: float, soft: Callable[[Any], Any]) -> None:
        self.mixup, self.cutmix, self.soft = mixup, cutmix, soft

    def before_batch(self) -> None:
        if not self.learn.training:
            return
        (x,), (y,) = self.learn.xb, self.learn.yb
        cuts = bool(self.cutmix) and (not self.mixup or float(import_torch().rand(())) < 0.5)
        x, kept = self._boxed(x) if cuts else self._blended(x)
        labels = self.soft(y)
        # The order of a batch is by chance already, so its own reverse is as good a partner as any.
        self.learn.xb, self.learn.yb = (x,), (labels.flip(0).lerp(labels, kept.to(labels.device)[:, None]),)

    def _blended(self, x: Any) -> tuple[Any, Any]:
        kept = self._share(self.mixup, len(x))
        kept = kept.maximum(1 - kept)  # the nearer image first, so that no pair is made twice
        return x.flip(0).lerp(x, kept.to(x.device).view(-1, 1, 1, 1)), kept

    def _boxed(self, x: Any) -> tuple[Any, Any]:
        torch = import_torch()
        height, width = x.shape[-2:]
        side = float((1 - self._share(self.cutmix, 1)).sqrt())
        middle = torch.rand(2) * torch.tensor([height, width])
        half = torch.tensor([height, width]) * side / 2
        top, left = (middle - half).round().clamp(min=0).int().tolist()
        bottom, right = (middle + half).round().int().tolist()
        mixed = x.clone()
        mixed[..., top:bottom, left:right] = x.flip(0)[..., top:bottom, left:right]
        cut = (min(bottom, height) - top) * (min(right, width) - left)
        return mixed, torch.full((len(x),), 1 - cut / (height * width))

    def _share(self, concentration: float, n: int) -> Any:
        torch = import_torch()
        alpha = torch.tensor(concentration)
        return torch.distributions.Beta(alpha, alpha).sample((n,))


class Watch(Hook):
    """Tells of batches, steps and epochs.

    Parameters
    ----------
    on_batch, on_step : callable
    on_epoch : callable
        Training ends when it returns True.
    """

    order = 70

    def __init__(self, on_batch: Callable[[], None], on_step: Callable[[], None], on_epoch: Callable[[], bool]) -> None:
        self.on_batch, self.on_step, self.on_epoch = on_batch, on_step, on_epoch

    def after_batch(self) -> None:
        self.on_batch()

    def after_step(self) -> None:
        self.on_step()

    def after_train(self) -> None:
        from fastai.callback.core import CancelFitException

        # Not `after_epoch`, which also comes for epochs that a resumed training skips.
        if self.on_epoch():
            raise CancelFitException
