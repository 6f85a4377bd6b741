"""Runs on disk: the only place that knows the names of the files in a run's folder.

::

    runs/<slug>/<experiment>-<key>/
        settings.json       what is being run, written first
        fold-0/ ...         one folder for each finished fold, whole or absent
        oof.parquet         predictions for training ids
        test.parquet        predictions for test ids
        run.json            everything else about the run
        COMPLETE            written last: SHA-256 of the three files above

A killed run goes on at its first missing fold. A finished run is never changed or deleted; other settings, data, folds
or feature code make another key and so another folder.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from kagglekit.contracts import Predictions, Run
from kagglekit.errors import StoreError, UsageError, nearest
from kagglekit.files import atomic, atomic_folder, lock, read_json, sha256, write_json

__all__ = ["Draft", "FoldResult", "Store", "read_frame", "write_frame"]

_FORMAT = 1
_MARKER = "COMPLETE"
_SEALED = ("oof.parquet", "test.parquet", "run.json")


@dataclass(frozen=True)
class FoldResult:
    """What one fit left behind.

    Parameters
    ----------
    name : str
        As in `Split.name`.
    score : float
        The metric on the scored rows.
    seconds, peak_mb : float
    oof, test : Predictions
        For the scored rows, and for all test rows.
    seed_scores : tuple of float
        The metric of each seed's model alone, where several were averaged.
    """

    name: str
    score: float
    seconds: float
    peak_mb: float
    oof: Predictions
    test: Predictions
    seed_scores: tuple[float, ...] = ()


def write_frame(path: Path, frame: pd.DataFrame) -> None:
    """Write a frame with its index as parquet, atomically."""
    buffer = io.BytesIO()
    frame.to_parquet(buffer, compression="zstd")
    with atomic(path) as file:
        file.write(buffer.getbuffer())


def read_frame(path: Path) -> pd.DataFrame:
    """Read a frame that `write_frame` wrote.

    Raises
    ------
    StoreError
        The file is missing or damaged.
    """
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise StoreError(
            f"{path} cannot be read ({error}).", hint="Remove its folder to have it made again."
        ) from error


def _predictions(folder: Path) -> tuple[Predictions, Predictions]:
    return Predictions(read_frame(folder / "oof.parquet")), Predictions(read_frame(folder / "test.parquet"))


class Draft:
    """A run that is being made: its finished folds, and the step that seals it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fold(self, name: str) -> FoldResult | None:
        """A finished fold, or None when it has not been trained."""
        folder = self.folder / name
        if not folder.is_dir():
            return None
        facts = read_json(folder / "fold.json")
        oof, test = _predictions(folder)
        facts["seed_scores"] = tuple(facts.get("seed_scores", ()))
        return FoldResult(name=name, **facts, oof=oof, test=test)

    def save_fold(self, result: FoldResult) -> None:
        """Keep a finished fold; it appears whole or not at all."""
        with atomic_folder(self.folder / result.name) as folder:
            write_frame(folder / "oof.parquet", result.oof.frame)
            write_frame(folder / "test.parquet", result.test.frame)
            facts: dict[str, Any] = {
                "score": result.score,
                "seconds": result.seconds,
                "peak_mb": result.peak_mb,
            }
            facts |= {"seed_scores": list(result.seed_scores)} if result.seed_scores else {}
            write_json(folder / "fold.json", facts)

    def finish(self, run: Run) -> None:
        """Write the run's files and, last, the marker that makes it complete."""
        write_frame(self.folder / "oof.parquet", run.oof.frame)
        write_frame(self.folder / "test.parquet", run.test.frame)
        facts = {key: value for key, value in asdict(run).items() if key not in ("oof", "test")}
        write_json(self.folder / "run.json", {"format": _FORMAT, **facts})
        write_json(self.folder / _MARKER, {name: sha256(self.folder / name) for name in _SEALED})


class Store:
    """The runs of one competition.

    Parameters
    ----------
    folder : Path
        `runs/<slug>`; it need not exist.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def draft(self, run_id: str, settings: dict[str, Any]) -> Iterator[Draft]:
        """Open a run for writing, alone, going on where a killed one stopped.

        Raises
        ------
        StoreError
            Another process is making the same run, or the folder holds a run with other settings.
        """
        folder = self.folder / run_id
        busy = f"Another process is making the run {run_id}."
        with lock(self.folder / f".{run_id}.lock", busy=busy):
            path = folder / "settings.json"
            if path.exists() and read_json(path) != settings:
                raise StoreError(
                    f"{folder} was begun with other settings or data than now asked for.",
                    hint="Move that folder away; nothing in it was changed.",
                )
            if not path.exists():
                write_json(path, settings)
            yield Draft(folder)

    def has(self, run_id: str) -> bool:
        """Whether a run is complete."""
        return (self.folder / run_id / _MARKER).is_file()

    def load(self, run_id: str) -> Run:
        """Read a finished run, checking that its files are as they were written.

        Raises
        ------
        UsageError
            There is no such finished run.
        StoreError
            A file was changed or damaged since.
        """
        folder = self.folder / run_id
        if not self.has(run_id):
            raise UsageError(f"There is no finished run '{run_id}' in {self.folder}.", hint=nearest(run_id, self.ids()))
        for name, digest in read_json(folder / _MARKER).items():
            if not (folder / name).is_file() or sha256(folder / name) != digest:
                raise StoreError(f"{folder / name} is not as it was written.", hint="Restore it, or move the run away.")
        facts = read_json(folder / "run.json")
        if facts.pop("format") != _FORMAT:
            raise StoreError(f"{folder} was written by another version of kagglekit.", hint="Upgrade kagglekit.")
        facts["scores"] = tuple(facts["scores"])
        facts["seed_scores"] = tuple(tuple(scores) for scores in facts.get("seed_scores", ()))
        oof, test = _predictions(folder)
        return Run(**facts, oof=oof, test=test)

    def fold(self, run_id: str, name: str) -> FoldResult | None:
        """One fit of a run, as it was stored; None where it is not there."""
        return Draft(self.folder / run_id).fold(name)

    def ids(self) -> list[str]:
        """Ids of all finished runs, sorted, so that nothing depends on how a folder lists its files."""
        return sorted(p.parent.name for p in self.folder.glob(f"*/{_MARKER}"))

    def find(self, name: str) -> list[str]:
        """Ids of the finished runs of one experiment, the newest last."""
        named = [i for i in self.ids() if i.rpartition("-")[0] == name]
        return sorted(named, key=lambda i: (self.folder / i / _MARKER).stat().st_mtime_ns)
