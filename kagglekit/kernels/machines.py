"""Kaggle's machines: accelerators by their current names, and how many GPUs each has."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from kagglekit.errors import UsageError

__all__ = ["Machine", "find_machine"]


@dataclass(frozen=True)
class Machine:
    """A kind of machine.

    Parameters
    ----------
    name : str
        kagglekit's short name.
    shape : str or None
        Kaggle's name (`machine_shape` of its API); None for a machine without an accelerator.
    gpus : int
    """

    name: str
    shape: str | None
    gpus: int


# Names as of February 2026: docs/kernels.md of Kaggle/kaggle-cli. Some are for the participants of certain competitions
# only; Kaggle says so when the notebook is pushed.
_MACHINES: Mapping[str, Machine] = {
    m.name: m
    for m in (
        Machine("none", None, 0),
        Machine("t4", "NvidiaTeslaT4", 2),
        Machine("l4", "NvidiaL4", 4),
        Machine("l4x1", "NvidiaL4X1", 1),
        Machine("a100", "NvidiaTeslaA100", 1),
        Machine("h100", "NvidiaH100", 1),
        Machine("rtxpro6000", "NvidiaRtxPro6000", 1),
    )
}
_OTHER_WORDS = {"cpu": "none", "t4x2": "t4"}
_RETIRED = ("p100", "nvidiateslap100", "tpuv38", "tpu1vmv38")


def find_machine(accelerator: str) -> Machine:
    """The machine that a word means.

    Parameters
    ----------
    accelerator : str
        "none", "t4", "l4", "l4x1", "a100", "h100", "rtxpro6000", or Kaggle's own name of one of these.

    Raises
    ------
    UsageError
        It is not offered, or Kaggle has retired it and would silently give another machine.
    """
    word = re.sub(r"[^a-z0-9]", "", accelerator.lower())
    offered = ", ".join(_MACHINES)
    if word in _RETIRED:
        raise UsageError(
            f"Kaggle has retired the accelerator '{accelerator}' and would silently give another machine.",
            hint=f"Offered: {offered}.",
        )
    by_shape = {m.shape.lower(): m for m in _MACHINES.values() if m.shape}
    found = _MACHINES.get(_OTHER_WORDS.get(word, word)) or by_shape.get(word)
    if found is None:
        raise UsageError(f"There is no accelerator '{accelerator}'.", hint=f"Offered: {offered}.")
    return found
