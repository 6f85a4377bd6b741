"""A runner that runs pushed notebooks in the arena's own process, below a folder that stands in for the machine."""

from __future__ import annotations

import builtins
import json
import shutil
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from kagglekit.arena.dataset_store import DatasetStore
from kagglekit.arena.hosted import open_hosted
from kagglekit.arena.kernel_store import KernelRecord
from kagglekit.arena.runner import LogLine, Session
from kagglekit.errors import KagglekitError


def script(notebook: dict[str, Any], root: Path) -> str:
    """The code cells in their order, with the two folders of Kaggle's machine moved below `root`."""
    code = "\n".join("".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code")
    for name in ("input", "working"):
        assert code.count(f'Path("/kaggle/{name}")') == 1
        code = code.replace(f'Path("/kaggle/{name}")', f"Path({str(root / name)!r})")
    return code


class RunsHere:
    """Runs each version as it is pushed, before the push is answered.

    Parameters
    ----------
    home : Path
        The arena's.
    root : Path
        Where the machines are, one for each version.
    spoil : callable
        Given the finished output, before anybody can see it.
    """

    def __init__(self, home: Path, root: Path, spoil: Callable[[Path], None] = lambda output: None) -> None:
        self.home, self.root, self.spoil = home, root, spoil
        self.sessions: dict[int, Session] = {}
        self.logs: dict[int, list[LogLine]] = {}
        self.latest: dict[str, int] = {}

    def start(self, kernel: KernelRecord) -> None:
        machine = self.root / str(kernel.id)
        self._mount(kernel, machine / "input")
        (machine / "working").mkdir(parents=True)
        lines = self.logs[kernel.id] = []

        def told(*words: object, **_: object) -> None:
            lines.append(LogLine("stdout", 0.0, " ".join(map(str, words)) + "\n"))

        path, session = list(sys.path), Session("COMPLETE")
        try:
            known = {"__name__": "__main__", "__builtins__": {**vars(builtins), "print": told}}
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # scikit-learn hands filters on to its threads, and wants some
                exec(compile(script(json.loads(kernel.source), machine), "notebook", "exec"), known)
            self.spoil(machine / "working")
        except (AssertionError, KagglekitError, LookupError, MemoryError, OSError, ValueError) as error:
            lines += [LogLine("stderr", 0.0, line) for line in traceback.format_exception(error)]
            session = Session("ERROR", f"{type(error).__name__}: the notebook failed")
        finally:
            sys.path[:] = path
        self.sessions[kernel.id] = session
        if session.status == "COMPLETE":
            self.latest[kernel.slug] = kernel.id

    def session(self, kernel: KernelRecord) -> Session:
        return self.sessions[kernel.id]

    def log(self, kernel: KernelRecord) -> Sequence[LogLine]:
        return self.logs[kernel.id]

    def output(self, kernel: KernelRecord) -> Path | None:
        return self.root / str(kernel.id) / "working"

    def discard(self, kernel: KernelRecord) -> None:
        shutil.rmtree(self.root / str(kernel.id))

    def _mount(self, kernel: KernelRecord, inputs: Path) -> None:
        facts, datasets = kernel.facts, DatasetStore(self.home / "arena.db", self.home / "content")
        for slug in facts.get("competitionDataSources", ()):
            shutil.copytree(open_hosted(self.home, slug).files_folder, inputs / "competitions" / slug)
        for address in facts.get("datasetDataSources", ()):
            found = datasets.find(address.partition("/")[2])
            assert found is not None
            (inputs / "datasets" / address).mkdir(parents=True)
            for file in found.latest.files:
                shutil.copyfile(datasets.content(file.sha256), inputs / "datasets" / address / file.name)
        for address in facts.get("kernelDataSources", ()):
            earlier = self.latest[address.partition("/")[2]]
            shutil.copytree(self.root / str(earlier) / "working", inputs / "notebooks" / address)
