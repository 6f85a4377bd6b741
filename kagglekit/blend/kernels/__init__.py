"""The inner loops of objectives, in pairs: compiled (numba) and plain (numpy), the same functions in both."""

from __future__ import annotations

import importlib
from importlib.util import find_spec
from types import ModuleType

__all__ = ["FAMILIES", "kernels", "warm"]

#: Each has a module `fast_<family>` and a module `plain_<family>`.
FAMILIES = ("log_loss", "errors", "ranks", "labels", "rankings")


def kernels(family: str, *, compiled: bool | None = None) -> ModuleType:
    """The loops of one family of metrics.

    Parameters
    ----------
    family : str
        One of `FAMILIES`.
    compiled : bool, optional
        By default they are compiled where numba is installed.
    """
    if compiled is None:
        compiled = find_spec("numba") is not None
    return importlib.import_module(f"{__name__}.{'fast' if compiled else 'plain'}_{family}")


def warm() -> None:
    """Compile every loop once, so that numba's cache on disk holds it; `make setup` does this."""
    for family in FAMILIES:
        kernels(family, compiled=True).warm()
