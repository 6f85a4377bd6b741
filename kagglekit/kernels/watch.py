"""Watching a notebook that runs: its log as it comes, its status, and why it failed."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from kagglekit.errors import KernelFailed, UsageError
from kagglekit.kernel_calls import KernelCalls, SessionState
from kagglekit.progress import Progress, Silent

__all__ = ["Watched", "watch"]

_LAST_LINES = 20
_LONGEST_LINE = 400
# What another program wrote must not move the cursor or recolour the terminal (ECMA-48 control sequences).
_SEQUENCE = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
_UNSEEN = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


@dataclass(frozen=True)
class Watched:
    """How a session ended: its status, and the last lines of its log."""

    status: str
    lines: tuple[str, ...]


def watch(
    kernels: KernelCalls,
    slug: str,
    *,
    progress: Progress | None = None,
    timeout: float = 48 * 3600.0,
    pause: float = 5.0,
    sleep: Callable[[float], None] = time.sleep,
    now: Callable[[], float] = time.monotonic,
) -> Watched:
    """Follow the latest version of a notebook until it has run.

    Parameters
    ----------
    kernels : KernelCalls
    slug : str
        The notebook's name.
    progress : Progress, optional
        Is told every line of the log.
    timeout : float
        Seconds.
    pause : float
        Seconds between two looks.
    sleep, now : callable

    Raises
    ------
    UsageError
        There is no such notebook.
    KernelFailed
        It ended with an error or was cancelled; the message has the reason and the last lines of the log. Or it
        waits for something that will not come, as the site says itself; or time ran out.
    """
    shown, told, end = _Lines(progress or Silent()), "", now() + timeout
    while True:
        state = _state(kernels, slug)
        if state.status != told:
            shown.progress.say(f"{kernels.owner}/{slug}: {state.status.lower().replace('_', ' ')}")
            told = state.status
        if state.status == "QUEUED" and state.message:
            raise KernelFailed(f"{kernels.owner}/{slug} waits and will not run: {state.message}")
        if state.status != "QUEUED":
            shown.follow(kernels.log(slug))
            state = _state(kernels, slug)
        if not state.is_moving:
            shown.finish()
            return _ended(kernels, slug, state, shown.last)
        if now() >= end:
            raise KernelFailed(f"{kernels.owner}/{slug} still runs.", hint="Watch it again: it goes on without you.")
        sleep(pause)


class _Lines:
    """The log as whole lines; each is told once, though a broken line begins the log anew."""

    def __init__(self, progress: Progress) -> None:
        self.progress, self._told, self._rest = progress, 0, ""
        self.last: tuple[str, ...] = ()

    def follow(self, pieces: Iterator[str]) -> None:
        """Tell the lines that are new; an unfinished last one waits."""
        number, self._rest = 0, ""
        for piece in pieces:
            *lines, self._rest = (self._rest + piece).split("\n")
            for line in lines:
                number += 1
                if number > self._told:
                    self._tell(line)

    def finish(self) -> None:
        """Tell the last line, finished or not: nothing more will come."""
        if self._rest:
            self._tell(self._rest)

    def _tell(self, line: str) -> None:
        shown = _clean(line)
        self.progress.say(shown)
        self.last = (*self.last, shown)[-_LAST_LINES:]
        self._told += 1


def _clean(line: str) -> str:
    return _UNSEEN.sub("", _SEQUENCE.sub("", line))[:_LONGEST_LINE]


def _state(kernels: KernelCalls, slug: str) -> SessionState:
    found = kernels.state(slug)
    if found is None:
        raise UsageError(f"There is no notebook {kernels.owner}/{slug}.", hint="Push it first: kagglekit kernel push")
    return found


def _ended(kernels: KernelCalls, slug: str, state: SessionState, last: tuple[str, ...]) -> Watched:
    if state.status == "COMPLETE":
        return Watched(state.status, last)
    said = f" {_clean(state.message)}" if state.message else ""
    ending = "was cancelled" if state.status.startswith("CANCEL") else "ended with an error"
    log = "\n".join(["", "The last lines of its log:", *(f"  {line}" for line in last)]) if last else ""
    hint = "Finished folds of earlier sessions are kept; mend the cause, then push again."
    raise KernelFailed(f"{kernels.owner}/{slug} {ending}.{said} {hint}{log}")
