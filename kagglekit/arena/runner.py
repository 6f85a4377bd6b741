"""Runners: what becomes of a pushed notebook. The arena stores it, and asks a runner for everything after that."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from kagglekit.arena.kernel_store import KernelRecord

__all__ = ["LogLine", "Runner", "Session", "Storage", "follow", "output_files"]

#: By the names of Kaggle's API; its client cannot read any other.
Status = Literal["QUEUED", "RUNNING", "COMPLETE", "ERROR", "CANCEL_ACKNOWLEDGED"]


@dataclass(frozen=True)
class Session:
    """Where the run of one version stands.

    Parameters
    ----------
    status : str
    message : str
        Why it failed, or why it waits; people read it.
    is_moving : bool
        Whether the status, the log or the output may still change.
    """

    status: Status
    message: str = ""
    is_moving: bool = False


@dataclass(frozen=True)
class LogLine:
    """A piece of what a notebook wrote, and how many seconds after its start."""

    stream: Literal["stdout", "stderr"]
    seconds: float
    text: str


class Runner(Protocol):
    """Runs notebooks. Every call returns at once, and may come from any thread."""

    def start(self, kernel: KernelRecord) -> None:
        """Begin to run a version that was just pushed."""

    def session(self, kernel: KernelRecord) -> Session:
        """Where its run stands."""

    def log(self, kernel: KernelRecord) -> Sequence[LogLine]:
        """All that it has written so far, oldest first."""

    def output(self, kernel: KernelRecord) -> Path | None:
        """The folder that holds the files it made; None while there is none."""

    def discard(self, kernel: KernelRecord) -> None:
        """End its run, and remove its log and its files."""


class Storage:
    """The runner of an arena that runs nothing: notebooks are kept, and wait, and their sessions say so."""

    message = "This arena keeps notebooks and does not run them."

    def start(self, kernel: KernelRecord) -> None:
        pass

    def session(self, kernel: KernelRecord) -> Session:
        return Session("QUEUED", self.message)

    def log(self, kernel: KernelRecord) -> Sequence[LogLine]:
        return ()

    def output(self, kernel: KernelRecord) -> Path | None:
        return None

    def discard(self, kernel: KernelRecord) -> None:
        pass


def follow(runner: Runner, kernel: KernelRecord, *, pause: float = 0.2) -> Iterator[LogLine]:
    """The log from its beginning, and then each line as it comes, until nothing more can come."""
    seen = 0
    while True:
        # Asked before the log is read, so that a line written in between is not lost.
        is_moving = runner.session(kernel).is_moving
        lines = runner.log(kernel)
        yield from lines[seen:]
        seen = len(lines)
        if not is_moving:
            return
        time.sleep(pause)


def output_files(folder: Path | None) -> list[str]:
    """Names of the files that a run made, relative and with forward slashes; links, which lead elsewhere, are none."""
    if folder is None or not folder.is_dir():
        return []
    # os.walk does not enter a folder that is reached by a link.
    found = (Path(root, name) for root, _, names in os.walk(folder) for name in names)
    return sorted(p.relative_to(folder).as_posix() for p in found if p.is_file() and not p.is_symlink())
