"""Telling a waiting person what happens: a protocol, and one that says nothing.

Libraries report through it; only the command line draws bars.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

__all__ = ["Progress", "Silent", "Task"]


class Task(Protocol):
    """One bar."""

    def advance(self, steps: float = 1.0) -> None:
        """Say that this many more steps are done."""

    def note(self, text: str) -> None:
        """Show a few words beside the bar, such as a forecast; they replace the last ones."""


class Progress(Protocol):
    """Somewhere to report to."""

    def task(self, name: str, total: float | None) -> AbstractContextManager[Task]:
        """Open a bar of `total` steps for as long as the block runs; None when the length is unknown."""

    def say(self, text: str) -> None:
        """One line of plain text."""


class _NoTask:
    def advance(self, steps: float = 1.0) -> None:
        pass

    def note(self, text: str) -> None:
        pass


class Silent:
    """Reports nothing; the default of every library function."""

    @contextmanager
    def task(self, name: str, total: float | None) -> Iterator[Task]:
        yield _NoTask()

    def say(self, text: str) -> None:
        pass
