"""Runs on disk: the only place that knows the names of the files in a run's folder.

::

    runs/<slug>/<experiment>-<key>/
        settings.json       what is being run, written first
        fold-0/ ...         one folder for each finished fold, whole or absent
        oof.parquet         predictions for training ids
        test.parquet        predictions for test ids
        .checkpoints/       where unfinished fits of image models stand; gone when their fold is there
        run.json            everything else about the run
        COMPLETE            written last: SHA-256 of the three files above
        models/fold-0/ ...  with `keep_models`: each fitted image model, exported; they carry hashes of their own

A killed run goes on at its first missing fold. A finished run is never changed or deleted; other settings, data, folds
or feature code make another key and so another folder.
"""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from kagglekit.contracts import Predictions, Run
from kagglekit.errors import StoreError, UsageError, nearest
from kagglekit.files import atomic, atomic_folder, lock, read_json, sha256, write_json

__all__ = ["Draft", "FoldResult", "Store", "check_frame", "read_frame", "read_run", "write_frame", "write_pieces"]

_FORMAT = 1
_MARKER = "COMPLETE"
_CHECKPOINTS = ".checkpoints"
_SEALED = ("oof.parquet", "test.parquet", "run.json")
_FOLD_FILES = ("oof.parquet", "test.parquet")
_PLAIN_FILES = ("plain-oof.parquet", "plain-test.parquet")
_MODELS = "models"


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
    plain : tuple of Predictions, optional
        Predictions of the scored rows and of test without test-time augmentation, where `oof` and `test` are with it.
    notes : tuple of str
        What was done otherwise than the settings say.
    pretrained : tuple of str
        Where pretrained weights came from.
    """

    name: str
    score: float
    seconds: float
    peak_mb: float
    oof: Predictions
    test: Predictions
    seed_scores: tuple[float, ...] = ()
    plain: tuple[Predictions, Predictions] | None = None
    notes: tuple[str, ...] = ()
    pretrained: tuple[str, ...] = ()


def write_frame(path: Path, frame: pd.DataFrame) -> None:
    """Write a frame with its index as parquet, atomically."""
    buffer = io.BytesIO()
    frame.to_parquet(buffer, compression="zstd")
    with atomic(path) as file:
        file.write(buffer.getbuffer())


def write_pieces(path: Path, pieces: Iterable[pd.DataFrame], example: pd.DataFrame) -> None:
    """Write the pieces of a frame as the file that `write_frame` would write, one in memory at a time.

    Parameters
    ----------
    path : Path
    pieces : iterable of DataFrame
    example : DataFrame
        A row with nothing missing: a piece alone may not tell a column's type.
    """
    import pyarrow
    from pyarrow.parquet import ParquetWriter

    schema = pyarrow.Schema.from_pandas(example, preserve_index=True)
    with atomic(path) as file, ParquetWriter(file, schema, compression="zstd") as writer:
        for piece in pieces:
            writer.write_table(pyarrow.Table.from_pandas(piece, schema, preserve_index=True))


def check_frame(path: Path) -> None:
    """See that a parquet file is there and whole, without reading its rows.

    Raises
    ------
    StoreError
        It is missing or damaged.
    """
    from pyarrow.parquet import read_schema

    with _unreadable(path):
        read_schema(path)


def read_frame(path: Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Read a frame that `write_frame` wrote, or these columns of it.

    Raises
    ------
    StoreError
        The file is missing or damaged.
    """
    with _unreadable(path):
        return pd.read_parquet(path, columns=None if columns is None else list(columns))


@contextmanager
def _unreadable(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        raise StoreError(
            f"{path} cannot be read ({error}).", hint="Remove its folder to have it made again."
        ) from error


def _predictions(folder: Path, files: tuple[str, str] = _FOLD_FILES) -> tuple[Predictions, Predictions]:
    return Predictions(read_frame(folder / files[0])), Predictions(read_frame(folder / files[1]))


def read_run(folder: Path) -> Run:
    """Read a finished run, wherever its folder lies; its hashes are not looked at.

    Raises
    ------
    StoreError
        It was written by another version, or a file cannot be read.
    """
    facts = read_json(folder / "run.json")
    if not isinstance(facts, dict) or facts.pop("format", None) != _FORMAT:
        raise StoreError(f"{folder} was written by another version of kagglekit.", hint="Upgrade kagglekit.")
    oof, test = _predictions(folder)
    try:
        of_seeds = tuple(tuple(scores) for scores in facts.get("seed_scores", ()))
        facts |= {"scores": tuple(facts["scores"]), "seed_scores": of_seeds}
        facts |= {name: tuple(facts.get(name, ())) for name in ("notes", "pretrained")}
        return Run(**facts, oof=oof, test=test)
    except (KeyError, TypeError) as error:
        raise StoreError(f"{folder / 'run.json'} does not say what a run says ({error}).") from error


def _check_seal(folder: Path) -> None:
    """Refuse a finished run whose files are not those that its marker was written for."""
    written = read_json(folder / _MARKER)
    if not isinstance(written, dict) or set(written) != set(_SEALED):
        raise StoreError(f"{folder / _MARKER} is not the marker of a finished run.")
    for name, digest in written.items():
        if not (folder / name).is_file() or sha256(folder / name) != digest:
            raise StoreError(f"{folder / name} is not as it was written.", hint="Restore it, or move the run away.")


def _fold_facts(folder: Path, *, proven: bool = False) -> dict[str, Any]:
    """What a fold's JSON says besides the hashes of its files, which are checked; `proven` refuses one without."""
    facts: dict[str, Any] = read_json(folder / "fold.json")
    written = facts.pop("sha256", None)  # absent in folds from before it was kept
    if written is None and not proven:
        return facts
    if not isinstance(written, dict) or set(written) not in (set(_FOLD_FILES), {*_FOLD_FILES, *_PLAIN_FILES}):
        raise StoreError(f"{folder / 'fold.json'} has no hashes of the fold's files.", hint="Train the fold again.")
    for name, digest in written.items():
        if not (folder / name).is_file() or sha256(folder / name) != digest:
            raise StoreError(f"{folder / name} is not as it was written.", hint=f"Remove {folder}: it is made again.")
    return facts


class Draft:
    """A run that is being made: its finished folds, and the step that seals it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fold(self, name: str) -> FoldResult | None:
        """A finished fold, or None when it has not been trained."""
        folder = self.folder / name
        if not folder.is_dir():
            return None
        facts = _fold_facts(folder)
        oof, test = _predictions(folder)
        for name_of in ("seed_scores", "notes", "pretrained"):
            facts[name_of] = tuple(facts.get(name_of, ()))
        plain = _predictions(folder, _PLAIN_FILES) if (folder / _PLAIN_FILES[0]).is_file() else None
        return FoldResult(name=name, **facts, oof=oof, test=test, plain=plain)

    def save_fold(self, result: FoldResult) -> None:
        """Keep a finished fold; it appears whole or not at all."""
        with atomic_folder(self.folder / result.name) as folder:
            kept = dict(zip(_FOLD_FILES, (result.oof, result.test), strict=True))
            kept |= dict(zip(_PLAIN_FILES, result.plain or (), strict=False))
            for name, predictions in kept.items():
                write_frame(folder / name, predictions.frame)
            facts: dict[str, Any] = {"score": result.score, "seconds": result.seconds, "peak_mb": result.peak_mb}
            facts |= {"seed_scores": list(result.seed_scores)} if result.seed_scores else {}
            facts |= {"notes": list(result.notes)} if result.notes else {}
            facts |= {"pretrained": list(result.pretrained)} if result.pretrained else {}
            write_json(folder / "fold.json", {**facts, "sha256": {n: sha256(folder / n) for n in kept}})
        shutil.rmtree(self.checkpoints(result.name), ignore_errors=True)
        with suppress(OSError):
            self.checkpoints(result.name).parent.rmdir()  # unless another fold still needs it

    def checkpoints(self, name: str) -> Path:
        """Where the fits of a fold may keep how far they are; it is removed when the fold is saved."""
        return self.folder / _CHECKPOINTS / name

    def model_folder(self, name: str) -> Path:
        """Where a fitted model is to be kept; one that a killed fit left there is removed."""
        folder = self.folder / _MODELS / name
        shutil.rmtree(folder, ignore_errors=True)
        return folder

    def take_fold(self, source: Path) -> bool:
        """Copy a finished fold that was made elsewhere, unless it is here; says whether it was copied.

        Raises
        ------
        StoreError
            Its files are not as they were written.
        """
        if (self.folder / source.name).is_dir():
            return False
        _fold_facts(source, proven=True)
        with atomic_folder(self.folder / source.name) as folder:
            for name in (*read_json(source / "fold.json")["sha256"], "fold.json"):
                shutil.copyfile(source / name, folder / name)
        return True

    def take_seal(self, source: Path) -> None:
        """Copy the files of a finished run that was made elsewhere and, last, its marker.

        Raises
        ------
        StoreError
            A file is not as it was written, or is missing.
        """
        _check_seal(source)
        for name in (*_SEALED, _MARKER):
            with atomic(self.folder / name) as file:
                file.write((source / name).read_bytes())

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
        _check_seal(folder)
        return read_run(folder)

    def take(self, source: Path, settings: dict[str, Any]) -> list[str]:
        """Take over what was finished elsewhere of the run that a folder is named after.

        Parameters
        ----------
        source : Path
            A run's folder with this class's file names, finished or not.
        settings : dict
            What the run must have been begun with.

        Returns
        -------
        list of str
            What is new here: names of folds, and "run" when the finished run itself came.

        Raises
        ------
        StoreError
            It was begun with other settings, or a file is not as it was written; nothing of that fold or run is kept.
        """
        if self.has(source.name):
            return []
        path = source / "settings.json"
        if not path.is_file() or read_json(path) != settings:
            raise StoreError(f"{source} was begun with other settings, data or folds than are here.")
        with self.draft(source.name, settings) as draft:
            folds = sorted(p for p in source.iterdir() if (p / "fold.json").is_file())
            taken = [fold.name for fold in folds if draft.take_fold(fold)]
            if (source / _MARKER).is_file():
                draft.take_seal(source)
                taken.append("run")
        return taken

    def folds(self, run_id: str) -> list[str]:
        """Names of the finished folds of a run, whether it is complete or not."""
        return sorted(p.parent.name for p in (self.folder / run_id).glob("*/fold.json"))

    def fold(self, run_id: str, name: str) -> FoldResult | None:
        """One fit of a run, as it was stored; None where it is not there."""
        return Draft(self.folder / run_id).fold(name)

    def models(self, run_id: str) -> dict[str, Path]:
        """The fitted models that were kept with a run, by the name of their fit."""
        return {p.name: p for p in sorted((self.folder / run_id / _MODELS).glob("[!.]*")) if p.is_dir()}

    def ids(self) -> list[str]:
        """Ids of all finished runs, sorted, so that nothing depends on how a folder lists its files."""
        return sorted(p.parent.name for p in self.folder.glob(f"*/{_MARKER}"))

    def find(self, name: str) -> list[str]:
        """Ids of the finished runs of one experiment, the newest last."""
        named = [i for i in self.ids() if i.rpartition("-")[0] == name]
        return sorted(named, key=lambda i: (self.folder / i / _MARKER).stat().st_mtime_ns)
