"""The runner that runs pushed notebooks on this computer."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from kagglekit.arena.hosted import now_utc
from kagglekit.arena.kernel_store import KernelRecord
from kagglekit.arena.runner import LogLine, Session, Storage
from kagglekit.arena.running.inputs import run_folder
from kagglekit.arena.running.queue import Run, RunQueue
from kagglekit.arena.running.worker import CUT, is_working, spawn
from kagglekit.sandbox import Place, read_log

__all__ = ["LocalRunner"]


class LocalRunner:
    """Runs notebooks one after the other, sealed off as a kernel is, in a process that outlives the arena.

    Parameters
    ----------
    home : Path
        The arena's.
    wake : callable
        Sees to it that what is queued there will be done.
    """

    def __init__(self, home: Path, wake: Callable[[Path], None] = spawn) -> None:
        self._home, self._wake = home, wake
        self._queue = RunQueue(home / "arena.db")
        if self._queue.moving():  # left by an earlier arena, or by a computer that was switched off
            wake(home)

    def start(self, kernel: KernelRecord) -> None:
        self._queue.add(kernel.id, now_utc())
        self._wake(self._home)

    def rerun(self, kernel: KernelRecord, submission: int, file_name: str) -> None:
        self._queue.add(kernel.id, now_utc(), submission, file_name)
        self._wake(self._home)

    def session(self, kernel: KernelRecord) -> Session:
        run = self._last(kernel)
        if run is None:
            return Session("QUEUED", Storage.message)
        if run.status == "RUNNING" and not is_working(self._home):
            run = self._last(kernel) or run  # it may have ended between two looks
            if run.status == "RUNNING":
                return Session("ERROR", CUT)
        return Session(run.status, run.message, is_moving=run.is_moving)

    def log(self, kernel: KernelRecord) -> Sequence[LogLine]:
        run = self._last(kernel)
        return read_log(Place(run_folder(self._home, run.id)).log) if run else ()

    def output(self, kernel: KernelRecord) -> Path | None:
        run = self._last(kernel)
        return Place(run_folder(self._home, run.id)).working if run and not run.is_moving else None

    def cancel(self, kernel: KernelRecord) -> None:
        if (run := self._last(kernel)) and run.is_moving:
            self._queue.cancel(run.id)

    def discard(self, kernel: KernelRecord) -> None:
        # The worker ends a run that is forgotten, and removes what it wrote meanwhile.
        for run in self._queue.forget(kernel.id):
            shutil.rmtree(run_folder(self._home, run), ignore_errors=True)

    def _last(self, kernel: KernelRecord) -> Run | None:
        return next(iter(self._queue.of_kernel(kernel.id)), None)
