"""Watching what a process and all that it started take of the computer."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

from kagglekit.errors import MissingExtra

__all__ = ["Watch", "folder_size"]


class Watch:
    """A process and its descendants.

    Parameters
    ----------
    pid : int
        It leads a process group of its own.

    Raises
    ------
    MissingExtra
        psutil is not installed.
    """

    def __init__(self, pid: int) -> None:
        try:
            import psutil
        except ModuleNotFoundError as error:
            raise MissingExtra("Watching a run's memory", "psutil", "notebooks") from error
        self._psutil, self._pid = psutil, pid

    def memory(self, limit: int) -> int:
        """Bytes of memory in use.

        Pages that several processes share are counted once for each, unless that comes to more than `limit`: telling
        them apart is slow.
        """
        processes = self._processes()
        rough = sum(self._of(p, exact=False) for p in processes)
        return rough if rough <= limit else sum(self._of(p, exact=True) for p in processes)

    def kill(self) -> None:
        """End all of them at once, also those that left the process group."""
        processes = self._processes()
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._pid, signal.SIGKILL)
        for process in processes:
            with suppress(self._psutil.Error):
                process.kill()

    def _processes(self) -> list[Any]:
        with suppress(self._psutil.Error):
            first = self._psutil.Process(self._pid)
            return [first, *first.children(recursive=True)]
        return []

    def _of(self, process: Any, *, exact: bool) -> int:
        with suppress(self._psutil.Error):
            found = process.memory_full_info() if exact else process.memory_info()
            return int(getattr(found, "pss", found.rss))
        return 0  # it ended between two looks


def folder_size(folder: Path) -> int:
    """Bytes of all files below a folder; links are not followed."""
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                total += os.lstat(Path(root, name)).st_size
    return total
