"""Where a training stands, in one file that is whole or absent: a killed fold goes on at the epoch it was in."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kagglekit.files import atomic
from kagglekit.models.vision.runtime import import_torch

__all__ = ["Checkpoint", "Saved", "load_optimizer", "optimizer_state", "training_key"]

_VERSION = 2
_FACTS = "facts"


@dataclass(frozen=True)
class Saved:
    """What a checkpoint holds.

    Parameters
    ----------
    tensors : dict of str to Tensor
        On the CPU. Weights, optimizer, averages and generators; `part` takes one of them.
    facts : dict
        Numbers and words, as JSON has them.
    """

    tensors: dict[str, Any]
    facts: dict[str, Any]

    def part(self, name: str) -> dict[str, Any]:
        """The tensors below one name, without it."""
        return {key.removeprefix(f"{name}/"): t for key, t in self.tensors.items() if key.startswith(f"{name}/")}


class Checkpoint:
    """One training's file: safetensors, with all that is no tensor as JSON in its header. Nothing is ever unpickled.

    Parameters
    ----------
    folder : path or None
        None keeps nothing.
    key : str
        Of `training_key`: another training, another file.
    """

    def __init__(self, folder: str | Path | None, key: str) -> None:
        self.path = None if folder is None else Path(folder) / f"{key}.safetensors"

    def read(self) -> Saved | None:
        """What was written last; None where there is nothing, or nothing that can be read."""
        if self.path is None or not self.path.is_file():
            return None
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(self.path, framework="pt") as file:
                facts = json.loads((file.metadata() or {})[_FACTS])
                names = list(file.keys())
                return Saved({name: file.get_tensor(name) for name in names}, facts)
        except (SafetensorError, KeyError, ValueError):
            return None

    def write(self, parts: Mapping[str, Mapping[str, Any]], facts: Mapping[str, Any]) -> None:
        """Replace what is there, as a whole or not at all."""
        if self.path is None:
            return
        from safetensors.torch import save

        # Copies: safetensors refuses tensors that share memory, and writes rows before columns only.
        tensors = {
            f"{part}/{name}": tensor.detach().to("cpu", copy=True).contiguous()
            for part, named in parts.items()
            for name, tensor in named.items()
        }
        with atomic(self.path) as file:
            file.write(save(tensors, {_FACTS: json.dumps(dict(facts))}))


def training_key(settings: Mapping[str, Any], paths: list[str], labels: np.ndarray) -> str:
    """What one training is known by: settings, images, labels and the versions that compute it."""
    from kagglekit import __version__

    versions = [_VERSION, __version__, import_torch().__version__]
    digest = hashlib.sha256(json.dumps([versions, settings, paths], sort_keys=True, default=repr).encode())
    digest.update(np.ascontiguousarray(labels).tobytes())
    return digest.hexdigest()[:16]


def optimizer_state(optimizer: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What fastai's optimizer knows of each parameter: tensors by number and name, and the numbers beside them.

    Learning rate, momentum and weight decay are not among it: the schedule sets them at every batch.
    """
    torch = import_torch()
    states = [optimizer.state[p] for p, *_ in optimizer.all_params()]
    tensors = {f"{i}/{k}": v for i, state in enumerate(states) for k, v in state.items() if torch.is_tensor(v)}
    return tensors, [{k: v for k, v in state.items() if not torch.is_tensor(v)} for state in states]


def load_optimizer(optimizer: Any, tensors: dict[str, Any], numbers: list[dict[str, Any]]) -> None:
    """Give an optimizer of the same parameters what `optimizer_state` read."""
    for i, (p, *_) in enumerate(optimizer.all_params()):
        optimizer.state[p] = dict(numbers[i])
    params = [p for p, *_ in optimizer.all_params()]
    for key, tensor in tensors.items():
        number, _, name = key.partition("/")
        optimizer.state[params[int(number)]][name] = tensor.to(params[int(number)].device)
