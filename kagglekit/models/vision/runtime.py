"""torch as we want it: imported once with threads that soon sleep when idle, seeded and silenced for a block only."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pandas as pd

from kagglekit.errors import ConfigError, MissingExtra

__all__ = [
    "PRECISIONS",
    "alone",
    "contained_import",
    "import_timm",
    "import_torch",
    "pick_device",
    "pick_precision",
    "quiet",
    "repeatable",
]

PRECISIONS = ("auto", "fp16", "bf16", "fp32")
_AMPERE = 8  # the first generation whose tensor cores compute in bf16

_SPIN = "GOMP_SPINCOUNT"
_TURNS = 20_000
_TRIM, _MMAP = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of glibc's malloc.h
_KEPT = 1 << 30
_CHAINED = "mode.chained_assignment"
_DUPLICATES = "KMP_DUPLICATE_LIB_OK"

# Deprecations and notes that torch, timm and fastai give about each other; nothing a user could act on.
_COMPLAINTS = (
    "`torch.jit.script` is deprecated",
    "Detected call of `lr_scheduler.step",
    ".*nonzero.*",
    ".*default grid_sample.*",
    ".*mode.chained_assignment",
    "IProgress not found",
    r"torch.searchsorted\(\): input value tensor is non-contiguous",  # this and the next: position tables of timm
    "Using a non-tuple sequence for multidimensional indexing",
)


def import_torch(what: str = "An image model") -> Any:
    """torch, with OpenMP threads that soon sleep while they wait, and memory that is kept for the next batch.

    By default they spin for long, which makes a step many times slower as soon as another process wants a core. Not at
    all costs a sixth of the speed on a quiet machine; this little spinning costs neither, seen on two cores. OpenMP
    reads the setting once, when torch loads it, so the environment is put back after the import.

    Raises
    ------
    MissingExtra
    """
    if "torch" not in sys.modules:
        _keep_pages()
    before = os.environ.get(_SPIN)
    if "torch" not in sys.modules and before is None and "OMP_WAIT_POLICY" not in os.environ:
        os.environ[_SPIN] = str(_TURNS)
    try:
        import torch
    except ImportError as error:
        raise MissingExtra(what, error.name or "torch", "vision") from error
    finally:
        if before is None:
            os.environ.pop(_SPIN, None)
    return torch


def _keep_pages() -> None:
    """Let malloc keep large blocks that are freed: each batch would fault all its pages in anew.

    Only glibc has this; what the environment says of it stays as it is.
    """
    if sys.platform != "linux" or any(name.startswith("MALLOC_") for name in os.environ):
        return
    import ctypes

    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_TRIM, _KEPT)
        mallopt(_MMAP, _KEPT)


def import_timm(what: str = "An image model") -> Any:
    """timm, on top of `import_torch`.

    Raises
    ------
    MissingExtra
    """
    import_torch(what)
    try:
        with quiet():
            import timm
    except ImportError as error:
        raise MissingExtra(what, error.name or "timm", "vision") from error
    return timm


def pick_device(name: str | None) -> Any:
    """The named torch device, or the GPU when there is one, else the CPU.

    Raises
    ------
    ConfigError
        torch knows no such device, or this machine has none.
    """
    torch = import_torch()
    try:
        found = torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))
    except RuntimeError as error:
        raise ConfigError(f"torch knows no device '{name}'.", hint='For example "cpu", "cuda" or "cuda:1".') from error
    if found.type == "cuda" and (found.index or 0) >= (n := torch.cuda.device_count()):
        raise ConfigError(f"There is no device '{name}' here: torch sees {n} GPU(s).", hint="Leave device out.")
    return found


def pick_precision(wanted: str, capability: tuple[int, int] | None) -> str:
    """The precision to train in: "fp16", "bf16" or "fp32".

    Parameters
    ----------
    wanted : {"auto", "fp16", "bf16", "fp32"}
    capability : (major, minor), optional
        Of the GPU, as `torch.cuda.get_device_capability` gives it; None for a CPU, which always takes fp32.

    Notes
    -----
    torch says that a T4 (7.5) supports bf16, which it emulates, slower than fp32; so the generation decides.
    """
    if capability is None:
        return "fp32"
    if wanted != "auto":
        return wanted
    return "bf16" if capability[0] >= _AMPERE else "fp16"


@contextmanager
def contained_import(what: str) -> Iterator[None]:
    """Import fastai in this block: its import changes an environment variable, warning filters and a pandas option.

    Raises
    ------
    MissingExtra
    """
    before = os.environ.get(_DUPLICATES)
    with quiet():
        chained = pd.get_option(_CHAINED)
        try:
            yield
        except ImportError as error:
            raise MissingExtra(what, error.name or "fastai", "vision") from error
        finally:
            if before is None:
                os.environ.pop(_DUPLICATES, None)
            pd.set_option(_CHAINED, chained)


@contextmanager
def repeatable(seed: int) -> Iterator[None]:
    """Seed torch's own generators for as long as the block runs, then put their states back."""
    torch = import_torch()
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield


@contextmanager
def alone() -> Iterator[Callable[[], None]]:
    """What each thread of a pool calls first, so that it computes on one core and leaves the others to its fellows.

    torch would start all its threads in each of them, which takes half as long again. It counts threads for each thread
    that calls it, and those yet to come take the last number set, so that is put back.
    """
    torch = import_torch()
    before = torch.get_num_threads()
    try:
        yield lambda: torch.set_num_threads(1)
    finally:
        torch.set_num_threads(before)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep known complaints of the libraries below us from the user, by message, as long as the block runs."""
    with warnings.catch_warnings():
        for message in _COMPLAINTS:
            warnings.filterwarnings("ignore", message=message)
        yield
