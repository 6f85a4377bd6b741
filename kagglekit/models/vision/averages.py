"""A running mean of a model's weights, which errs less than the last weights where training is short of annealing."""

from __future__ import annotations

from typing import Any

from kagglekit.models.vision.runtime import import_torch

__all__ = ["WeightAverage"]


class WeightAverage:
    """Exponential moving average of weights and of normalisation statistics.

    The first steps count less of the past, (1 + t) / (10 + t), so that the pretrained weights do not linger in a short
    training.

    Parameters
    ----------
    model : torch.nn.Module
        Its state now is the first mean.
    decay : float
        Share of the mean that a step keeps.

    References
    ----------
    Tarvainen and Valpola, "Mean teachers are better role models", 2017.
    """

    def __init__(self, model: Any, decay: float) -> None:
        self.decay, self.n_updates = decay, 0
        self.state = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}

    def update(self, model: Any) -> None:
        """Take in the weights after one more step."""
        torch = import_torch()
        self.n_updates += 1
        kept = min(self.decay, (1 + self.n_updates) / (10 + self.n_updates))
        now = model.state_dict()
        floats = [name for name, tensor in self.state.items() if tensor.is_floating_point()]
        with torch.no_grad():
            torch._foreach_lerp_([self.state[n] for n in floats], [now[n] for n in floats], 1 - kept)
            for name in self.state.keys() - set(floats):
                self.state[name].copy_(now[name])
