"""What tests of notebooks share: assignments with parcels that are only named, and sites in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from kagglekit.config import Pipeline
from kagglekit.kernel_calls import Pushed, SessionState
from kagglekit.kernels.assignment import Assignment
from kagglekit.kernels.machines import find_machine
from kagglekit.kernels.parcels import Parcel
from kagglekit.kernels.plan import Estimate, Todo, make

WHEELS = {"kagglekit-1-py3-none-any.whl": "ab" * 32}


def assignment(
    comp: str, pipeline: Pipeline, names: Sequence[str], root: Path, *, accelerator: str = "t4", **more: Any
) -> Assignment:
    """A notebook for these experiments, all folds in one session."""
    machine = find_machine(accelerator)
    todos = [Todo(name, ("fold-0", "fold-1", "fold-2"), Estimate(10.0, "a rough guess")) for name in names]
    chosen = tuple(pipeline.experiment(name) for name in names)
    parcels = {"wheels": Parcel("kagglekit-wheels", root / "wheels", WHEELS)}
    return Assignment(comp, pipeline, chosen, parcels, "ann", machine, make(todos, machine), **more)


class FakeDatasets:
    """Datasets in memory; a new one is ready after so many looks, and shows as many files as `shows` lets through."""

    owner = "ann"

    def __init__(self, *, looks: int = 0, ends: str = "READY", shows: int | None = None) -> None:
        self.kept: dict[str, list[str]] = {}
        self.sent: list[tuple[str, str]] = []
        self._looks, self._ends, self._shows, self._left = looks, ends, shows, 0

    def status(self, slug: str) -> str:
        if slug not in self.kept:
            return ""
        self._left = max(0, self._left - 1)
        return "BLOBS_RECEIVED" if self._left else self._ends

    def files(self, slug: str) -> list[str]:
        return sorted(self.kept.get(slug, []))[: self._shows]

    def create(self, slug: str, title: str, files: Sequence[Path]) -> None:
        self._take("create", slug, files)

    def add_version(self, slug: str, notes: str, files: Sequence[Path]) -> None:
        self._take("version", slug, files)

    def _take(self, how: str, slug: str, files: Sequence[Path]) -> None:
        self.sent.append((how, slug))
        self.kept[slug], self._left = [f.name for f in files], self._looks


class FakeKernels:
    """One notebook whose states and pieces of log come one after the other."""

    owner = "ann"

    def __init__(self, states: Sequence[SessionState | None], logs: Sequence[Sequence[str]] = ()) -> None:
        self._states, self._logs = list(states), [list(log) for log in logs]
        self.pushed: list[tuple[Path, int | None]] = []

    def push(self, folder: Path, timeout: int | None = None) -> Pushed:
        self.pushed.append((folder, timeout))
        return Pushed("https://site/code/ann/it", len(self.pushed))

    def state(self, slug: str) -> SessionState | None:
        return self._states.pop(0) if len(self._states) > 1 else self._states[0]

    def log(self, slug: str) -> Iterator[str]:
        yield from self._logs.pop(0) if len(self._logs) > 1 else (self._logs or [[]])[0]
