"""How much memory a block of work takes at its highest."""

from __future__ import annotations

import gc
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kagglekit.errors import ConfigError

__all__ = ["Memory", "enough_memory", "let_go", "peak_memory"]

_STATM = Path("/proc/self/statm")
_EVERY = 0.01  # seconds between two looks


@dataclass
class Memory:
    """The highest use so far.

    Parameters
    ----------
    mb : float
        Resident memory of this process in MB (2**20 bytes); 0 where the system does not tell.
    gpu_mb : float
        What torch had allocated on the GPU; 0 without one.
    """

    mb: float = 0.0
    gpu_mb: float = 0.0

    def look(self) -> None:
        """Take the use of this moment into account."""
        self.mb = max(self.mb, _resident_mb())


@contextmanager
def peak_memory() -> Iterator[Memory]:
    """Watch this process as long as the block runs.

    `getrusage` cannot be asked: its peak is that of the whole process, and so that of the largest model before.
    """
    used, done = Memory(), threading.Event()

    def watch() -> None:
        while not done.wait(_EVERY):
            used.look()

    thread = threading.Thread(target=watch, daemon=True)
    if cuda := _cuda():
        cuda.reset_peak_memory_stats()
    thread.start()
    try:
        yield used
    finally:
        done.set()
        thread.join()
        used.look()
        if cuda := _cuda():
            used.gpu_mb = cuda.max_memory_allocated() / (1 << 20)


@contextmanager
def enough_memory(what: str) -> Iterator[None]:
    """Turn running out of memory in this block into an error of ours.

    Raises
    ------
    ConfigError
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and "out of memory" not in str(error):
            raise
        raise ConfigError(
            f"'{what}' does not fit into memory.", hint="Halve its batch_size, or take fewer pixels."
        ) from error


def let_go() -> None:
    """Give memory of the GPU that is no longer used back, which torch keeps for itself, so that others have it."""
    gc.collect()  # a Learner and its callbacks know each other
    if cuda := _cuda():
        cuda.empty_cache()


def _resident_mb() -> float:
    try:
        pages = int(_STATM.read_text(encoding="ascii").split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def _cuda() -> Any:
    """torch's door to the GPU, once torch is loaded and has used one."""
    torch = sys.modules.get("torch")
    return torch.cuda if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized() else None
