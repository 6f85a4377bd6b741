"""A competition's data on disk: as downloaded, and as prepared. The only place that knows those file names.

::

    data/<slug>/
        raw/ ...              the competition's files, extracted
        manifest.json         size and CRC-32 of each; written last, so it marks the download complete
        single/ ...           files that were fetched one by one; no stage reads them
        single.json           size and CRC-32 of each, and what it was checked by when it came
        prepared/             train.parquet, test.parquet, folds.parquet, sample.parquet, prepared.json
        cache/                decoded images and features of frozen models; safe to delete
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from kagglekit.archives import check_names
from kagglekit.contracts import Competition, Folds
from kagglekit.errors import DataError, StoreError
from kagglekit.files import atomic_folder, read_json, write_json
from kagglekit.store import check_frame, read_frame, write_frame, write_pieces

__all__ = ["Pieces", "Prepared", "RawData", "SingleFiles"]

_TABLES = ("train", "test")
Pieces = tuple[Iterable[pd.DataFrame], pd.DataFrame]
"""A table in pieces, and a row with nothing missing."""


@dataclass(frozen=True)
class RawData:
    """The competition's files as they were downloaded.

    Parameters
    ----------
    folder : Path
        `data/<slug>`.
    """

    folder: Path

    @property
    def files(self) -> Path:
        return self.folder / "raw"

    @property
    def is_complete(self) -> bool:
        """Whether the download finished; an existing folder alone is no proof."""
        return self._manifest.is_file() and self.files.is_dir()

    @property
    def _manifest(self) -> Path:
        return self.folder / "manifest.json"

    def seal(self) -> None:
        """Write the manifest: from now on the download counts as complete."""
        files = sorted(p for p in self.files.rglob("*") if p.is_file())
        write_json(self._manifest, {p.relative_to(self.files).as_posix(): [p.stat().st_size, _crc(p)] for p in files})

    def fingerprint(self) -> str:
        """Twelve hex digits that stand for the downloaded files.

        Raises
        ------
        DataError
            The download is not finished, or a file is gone or has another size than was downloaded.
        """
        if not self.is_complete:
            raise DataError(f"There is no finished download in {self.folder}.", hint="Run `kagglekit download` first.")
        written: dict[str, list[int]] = read_json(self._manifest)
        for name, (size, _) in written.items():
            path = self.files / name
            if not path.is_file() or path.stat().st_size != size:
                raise DataError(
                    f"{path} is not as it was downloaded.",
                    hint=f"Restore it, or move {self.folder} away and download again.",
                )
        lines = "\n".join(f"{name} {size} {crc}" for name, (size, crc) in sorted(written.items()))
        return hashlib.sha256(lines.encode()).hexdigest()[:12]


@dataclass(frozen=True)
class SingleFiles:
    """Files of the competition that were downloaded one by one.

    Parameters
    ----------
    folder : Path
        `data/<slug>`.
    """

    folder: Path

    @property
    def files(self) -> Path:
        return self.folder / "single"

    def path(self, name: str) -> Path:
        """Where the file of this name lies, or would lie.

        Raises
        ------
        DataError
            The name leads elsewhere.
        """
        check_names("The list of files", [name])
        return self.files / name

    def has(self, name: str) -> bool:
        """Whether the file is here as it came."""
        path, entry = self.path(name), self._manifest().get(name)
        return entry is not None and path.is_file() and path.stat().st_size == entry["bytes"]

    def words(self, name: str) -> str:
        """What the file was checked by when it came, for people."""
        check = str(self._manifest()[name]["check"])
        known = {"md5": "its MD5 is right", "crc": "its CRC is right"}
        return known.get(check, "unverified: the site sends nothing to check it by but its size")

    def seal(self, name: str, check: str) -> None:
        """Write down that a file is here, and what it was checked by."""
        path = self.path(name)
        entry = {"bytes": path.stat().st_size, "crc32": _crc(path), "check": check}
        write_json(self._file, self._manifest() | {name: entry})

    @property
    def _file(self) -> Path:
        return self.folder / "single.json"

    def _manifest(self) -> dict[str, dict[str, Any]]:
        return read_json(self._file) if self._file.is_file() else {}


@dataclass(frozen=True)
class Prepared:
    """What the stages after `prepare` work on.

    One that was loaded reads its tables when they are first asked for, and sent to another process it is read there.

    Parameters
    ----------
    competition : Competition
    train : DataFrame of shape (n_train, n_columns)
        Indexed by id: features, and the target.
    test : DataFrame of shape (n_test, n_features)
        Indexed by id.
    sample : DataFrame
        The sample submission as it came.
    folds : Folds
    data : str
        Fingerprint of the downloaded files and of how they were read.
    cache : Path
        Where decoded images may be kept.
    notes : tuple of str
        What `prepare` saw and decided, for people.
    features : str
        Fingerprint of the pipeline's `features.py`, which `data` covers too; "" where there is none.
    """

    competition: Competition
    train: pd.DataFrame
    test: pd.DataFrame
    sample: pd.DataFrame
    folds: Folds
    data: str
    cache: Path
    notes: tuple[str, ...] = ()
    features: str = ""

    @property
    def y(self) -> Any:
        """The true answers by id: a Series, or a DataFrame with a column for each of several targets."""
        return self.competition.answers(self.train)

    @property
    def X(self) -> pd.DataFrame:
        """Training features: the columns that test rows have too."""
        names = list(self.test.columns)
        if list(self.train.columns[: len(names)]) == names:
            return self.train.iloc[:, : len(names)]  # a view, not a copy
        return self.train[names]

    def __getattr__(self, name: str) -> Any:
        """Read a table that is not in memory yet.

        Raises
        ------
        StoreError
            It was prepared anew since, or is damaged.
        """
        stored: _Stored | None = self.__dict__.get("_stored")
        if stored is None or name not in _TABLES:
            raise AttributeError(f"{type(self).__name__} has no attribute '{name}'")
        frame = self.__dict__[name] = stored.read(name)
        return frame

    def __getstate__(self) -> dict[str, Any]:
        kept = () if self.__dict__.get("_stored") is None else _TABLES
        return {name: value for name, value in self.__dict__.items() if name not in kept}

    def save(self, folder: Path, key: str, pieces: Mapping[str, Pieces] | None = None) -> None:
        """Write to `folder` as a whole; `key` says what it was made from.

        Parameters
        ----------
        folder : Path
        key : str
        pieces : mapping of str to (iterable of DataFrame, DataFrame), optional
            "train" and "test" in pieces and an example of each, in place of the tables themselves; see `write_pieces`.
        """
        with atomic_folder(folder) as temporary:
            files = RawData(folder.parent).files.absolute()
            for name in _TABLES:
                if pieces is None:
                    write_frame(temporary / f"{name}.parquet", _relative(getattr(self, name), files))
                else:
                    write_pieces(temporary / f"{name}.parquet", *pieces[name])
            write_frame(temporary / "sample.parquet", self.sample)
            write_frame(temporary / "folds.parquet", self.folds.assignment)
            facts = {
                "key": key,
                "competition": asdict(self.competition),
                "folds": {"scheme": self.folds.scheme, "seed": self.folds.seed},
                "data": self.data,
                "notes": list(self.notes),
                "features": self.features,
            }
            write_json(temporary / "prepared.json", facts)

    @staticmethod
    def load(folder: Path, key: str, cache: Path) -> Prepared | None:
        """Read what was saved under the same key, or None when it is missing or was made from something else."""
        path = folder / "prepared.json"
        facts: dict[str, Any] = read_json(path) if path.is_file() else {}
        if facts.get("key") != key:
            return None
        try:
            return Prepared._read(_Stored(folder, key), facts, cache)
        except StoreError:
            return None  # damaged: it can be made again from the raw files

    @staticmethod
    def _read(stored: _Stored, facts: dict[str, Any], cache: Path) -> Prepared:
        folder = stored.folder
        for name in _TABLES:
            check_frame(folder / f"{name}.parquet")
        said = facts["competition"]
        tuples = {key: tuple(said.get(key, ())) for key in ("classes", "targets")}
        competition = Competition(**{**said, **tuples})
        group = competition.group
        groups = read_frame(folder / "train.parquet", [group])[group] if group else None
        made = Prepared.__new__(Prepared)
        made.__dict__.update(
            _stored=stored,
            competition=competition,
            sample=read_frame(folder / "sample.parquet"),
            folds=Folds(read_frame(folder / "folds.parquet"), **facts["folds"], groups=groups),
            data=facts["data"],
            cache=cache,
            notes=tuple(facts["notes"]),
            features=facts.get("features", ""),
        )
        return made


@dataclass(frozen=True)
class _Stored:
    """Where tables lie, and what they were made from."""

    folder: Path
    key: str

    def read(self, name: str) -> pd.DataFrame:
        facts: dict[str, Any] = read_json(self.folder / "prepared.json")
        if facts["key"] != self.key:
            raise StoreError(f"{self.folder} was prepared anew since it was opened.", hint="Run the command again.")
        return _absolute(read_frame(self.folder / f"{name}.parquet"), RawData(self.folder.parent).files.absolute())


def _relative(frame: pd.DataFrame, files: Path) -> pd.DataFrame:
    """Image paths inside the download, so that the whole folder can be moved."""
    if "path" not in frame:
        return frame
    return frame.assign(path=[Path(p).relative_to(files).as_posix() for p in frame["path"]])


def _absolute(frame: pd.DataFrame, files: Path) -> pd.DataFrame:
    return frame if "path" not in frame else frame.assign(path=[(files / p).as_posix() for p in frame["path"]])


def _crc(path: Path) -> int:
    crc = 0
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            crc = zlib.crc32(block, crc)
    return crc
