"""Rehearsals: a built notebook, run on this computer as Kaggle would run it, before it is pushed.

::

    build/rehearsals/<slug>/
        working/                what would be its output
        log.jsonl               what it wrote, and when
        session/executed.ipynb  the notebook with all that its cells showed
"""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kagglekit.errors import UsageError
from kagglekit.files import read_json
from kagglekit.progress import Progress, Silent
from kagglekit.sandbox import (
    UNSEALED,
    Job,
    Layout,
    Limits,
    LogLine,
    Outcome,
    Place,
    find_jail,
    mounted_at,
    read_log,
    run,
    size_words,
    time_words,
)

__all__ = ["Rehearsal", "Sources", "rehearse"]

_METADATA = "kernel-metadata.json"
_LAST_LINES = 20


@dataclass(frozen=True)
class Sources:
    """Where this computer keeps what Kaggle would mount.

    Parameters
    ----------
    competition : callable
        From a competition's slug, the folder of its files.
    datasets : Path
        Holds a folder for each dataset, by its slug.
    outputs : Path
        Holds a folder for each rehearsed notebook, by its slug.
    """

    competition: Callable[[str], Path]
    datasets: Path
    outputs: Path


@dataclass(frozen=True)
class Rehearsal:
    """What became of it."""

    slug: str
    outcome: Outcome
    place: Place

    @property
    def passed(self) -> bool:
        return self.outcome.status == "COMPLETE"

    def words(self) -> str:
        """For people: what it took and where things lie; where it failed, the end of the log, and the reason last."""
        took = f"{time_words(self.outcome.seconds)}, at most {size_words(self.outcome.memory)} of memory"
        if not self.passed:
            ending = [f"The rehearsal failed after {took}.", self.outcome.message]
            return "\n".join([*self._end_of_log(), *self._places(), *ending])
        found = ", ".join(self.outcome.hosts)
        without = [f"It looked for {found}, found no network, and went on without."] if found else []
        return "\n".join([f"Rehearsed {self.slug} in {took}.", *without, *self._places()])

    def _places(self) -> list[str]:
        lines = [f"output: {self.place.working} ({len(self._files())} files)", f"log: {self.place.log}"]
        return [*lines, *([f"notebook: {self.place.result}"] if self.place.result.exists() else [])]

    def as_json(self) -> dict[str, Any]:
        return {
            "notebook": self.slug,
            "status": self.outcome.status,
            "reason": self.outcome.message,
            "seconds": self.outcome.seconds,
            "memory": self.outcome.memory,
            "looked for": list(self.outcome.hosts),
            "notices": list(self.outcome.notices),
            "output": str(self.place.working),
            "files": self._files(),
            "log": str(self.place.log),
        }

    def _files(self) -> list[str]:
        working = self.place.working
        return sorted(p.relative_to(working).as_posix() for p in working.rglob("*") if p.is_file())

    def _end_of_log(self) -> list[str]:
        text = "".join(line.text for line in read_log(self.place.log))
        last = [line for line in text.splitlines() if line.strip()][-_LAST_LINES:]
        return ["The end of its log:", textwrap.indent("\n".join(last), "  ")] if last else []


def rehearse(
    folder: Path,
    sources: Sources,
    *,
    limits: Limits | None = None,
    layout: Layout = "old",
    progress: Progress | None = None,
) -> Rehearsal:
    """Run a built notebook or script here, under the conditions of a Kaggle kernel.

    Its packages are those of this environment, read-only for all others, but without kagglekit: that must come from the
    notebook itself. There is no accelerator unless this computer has one.

    Parameters
    ----------
    folder : Path
        Holds the notebook and its `kernel-metadata.json`.
    sources : Sources
    limits : Limits, optional
        Kaggle's own if not given.
    layout : {"old", "new"}
        Where inputs are mounted; Kaggle's images differ. See `kagglekit.sandbox.mounted_at`.
    progress : Progress, optional

    Raises
    ------
    UsageError
        There is no built notebook, or one of its inputs is not on this computer.
    MissingExtra
        What runs notebooks is not installed.
    """
    progress = progress or Silent()
    if not (folder / _METADATA).is_file():
        raise UsageError(f"There is no built notebook in {folder}.")
    metadata = read_json(folder / _METADATA)
    owner, _, slug = metadata["id"].partition("/")
    place = Place(sources.outputs / slug)
    _keep_earlier(place, metadata, sources)
    job = Job(
        source=(folder / metadata["code_file"]).read_text(encoding="utf-8"),
        kind="script" if metadata.get("kernel_type") == "script" else "notebook",
        inputs=_inputs(metadata, owner, sources, layout),
        limits=limits or Limits(),
    )
    if find_jail() is None:
        progress.say(UNSEALED)
    with progress.task(f"rehearsing {slug}", None) as task:

        def tell(line: LogLine) -> None:
            if words := line.text.strip():
                task.note(words.splitlines()[-1][:80])

        return Rehearsal(slug, run(job, place.folder, on_line=tell), place)


def _keep_earlier(place: Place, metadata: dict[str, Any], sources: Sources) -> None:
    """A notebook that goes on from its own output finds that of its last rehearsal."""
    if metadata["id"] in metadata.get("kernel_sources", ()) and place.working.is_dir():
        kept = _earlier(place.folder)
        shutil.rmtree(kept, ignore_errors=True)
        kept.parent.mkdir(parents=True, exist_ok=True)
        place.working.rename(kept)


def _earlier(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.earlier")


def _inputs(metadata: dict[str, Any], owner: str, sources: Sources, layout: Layout) -> dict[str, Path]:
    found = {}
    for slug in metadata.get("competition_sources", ()):
        found[mounted_at("competition", "", slug, layout)] = _sure(sources.competition(slug), f"data of {slug}")
    for name in metadata.get("dataset_sources", ()):
        whose, _, slug = name.partition("/")
        found[mounted_at("dataset", whose, slug, layout)] = _sure(sources.datasets / slug, f"dataset {name}")
    for name in metadata.get("kernel_sources", ()):
        whose, _, slug = name.partition("/")
        kept = _earlier(sources.outputs / slug)
        if name != metadata["id"]:
            kept = _sure(Place(sources.outputs / slug).working, f"output of the notebook {name}")
        if kept.is_dir():  # a first session has no output of its own yet
            found[mounted_at("kernel", whose, slug, layout)] = kept
    return found


def _sure(folder: Path, what: str) -> Path:
    if not folder.is_dir():
        raise UsageError(f"The {what} is among the notebook's inputs and not on this computer ({folder}).")
    return folder
