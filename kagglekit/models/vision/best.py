"""The epoch with the lowest loss on rows that were held back: its weights are kept, and it says when to stop."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

__all__ = ["Best"]


class Best:
    """Judges a model after each epoch.

    Parameters
    ----------
    patience : int
        Epochs without a lower loss after which it is enough.
    loss : callable
        The loss of the model as it stands.

    Attributes
    ----------
    epoch : int
        That with the lowest loss, from 1; 0 before the first.
    state : dict of str to Tensor or None
        The model's state at that epoch.
    """

    def __init__(self, patience: int, loss: Callable[[], float]) -> None:
        self.patience, self.loss = patience, loss
        self.epoch = 0
        self.state: dict[str, Any] | None = None
        self._lowest, self._seen = math.inf, 0

    def judge(self, model: Any) -> bool:
        """Look at the model after one more epoch; True when it is enough."""
        self._seen += 1
        now = self.loss()
        if now < self._lowest:
            self._lowest, self.epoch = now, self._seen
            self.state = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
        return self._seen - self.epoch >= self.patience

    def facts(self) -> dict[str, float]:
        """What `go_on` needs besides the state."""
        return {"lowest": self._lowest, "seen": self._seen, "epoch": self.epoch}

    def go_on(self, state: dict[str, Any], facts: dict[str, Any]) -> None:
        """Take up what another process had seen."""
        self.state = state or None
        self._lowest, self._seen, self.epoch = facts["lowest"], facts["seen"], facts["epoch"]
