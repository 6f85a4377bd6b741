"""Datasets, every version of each, their content kept once under its hash."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from kagglekit.arena.sqlite import Tables, stamp
from kagglekit.files import sha256

__all__ = ["DatasetFile", "DatasetRecord", "DatasetStore", "DatasetVersion", "Settings", "Taken"]


class Taken(Exception):
    """There is a dataset of this name."""


@dataclass(frozen=True)
class Settings:
    """What people read about a dataset, and who may see it."""

    title: str
    subtitle: str = ""
    description: str = ""
    license_name: str = ""
    keywords: tuple[str, ...] = ()
    is_private: bool = True


@dataclass(frozen=True)
class DatasetFile:
    """A file of a version; `name` is relative, with forward slashes."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class DatasetVersion:
    """One version."""

    number: int
    notes: str
    files: tuple[DatasetFile, ...]
    created: str

    @property
    def bytes(self) -> int:
        return sum(f.bytes for f in self.files)


@dataclass(frozen=True)
class DatasetRecord:
    """A dataset with its versions, the latest first."""

    id: int
    slug: str
    settings: Settings
    created: str
    versions: tuple[DatasetVersion, ...]

    @property
    def latest(self) -> DatasetVersion:
        return self.versions[0]

    def version(self, number: int | None) -> DatasetVersion | None:
        """A version, or the latest when none is named."""
        if not number:
            return self.latest
        return next((v for v in self.versions if v.number == number), None)


class DatasetStore(Tables):
    """Datasets by slug, and the bytes of their files.

    Parameters
    ----------
    path : Path
        The SQLite file.
    content : Path
        The folder of the bytes: one file for each SHA-256, however many versions hold it.
    """

    schema = """
    CREATE TABLE IF NOT EXISTS datasets (
        id INTEGER PRIMARY KEY AUTOINCREMENT, slug TEXT NOT NULL UNIQUE, settings TEXT NOT NULL, created TEXT NOT NULL
    );
    CREATE TABLE IF NOT EXISTS dataset_versions (
        dataset INTEGER NOT NULL, number INTEGER NOT NULL, notes TEXT NOT NULL, files TEXT NOT NULL,
        created TEXT NOT NULL, PRIMARY KEY (dataset, number)
    );
    """

    def __init__(self, path: Path, content: Path) -> None:
        super().__init__(path)
        self._content = content

    def content(self, digest: str) -> Path:
        """Where the bytes of this SHA-256 lie."""
        return self._content / digest[:2] / digest

    def create(self, slug: str, settings: Settings, files: Mapping[str, Path], now: datetime) -> DatasetRecord:
        """Store a dataset's first version.

        Parameters
        ----------
        slug : str
        settings : Settings
        files : mapping of str to Path
            Names in the dataset, and where the bytes lie now; they are linked, so that nothing is copied.
        now : datetime

        Raises
        ------
        Taken
        """
        digests = {name: sha256(path) for name, path in files.items()}
        with self._transaction() as connection:
            if connection.execute("SELECT 1 FROM datasets WHERE slug = ?", (slug,)).fetchone():
                raise Taken
            cursor = connection.execute(
                "INSERT INTO datasets (slug, settings, created) VALUES (?, ?, ?)",
                (slug, json.dumps(asdict(settings)), stamp(now)),
            )
            self._add_version(connection, cursor.lastrowid or 0, 1, "Initial release", files, digests, now)
        return self._sure(slug)

    def add_version(
        self,
        record: DatasetRecord,
        notes: str,
        files: Mapping[str, Path],
        now: datetime,
        *,
        delete_old: bool = False,
    ) -> DatasetRecord:
        """Store the next version; the old ones stay, unless they are to be deleted."""
        digests = {name: sha256(path) for name, path in files.items()}
        with self._transaction() as connection:
            query = "SELECT COALESCE(MAX(number), 0) + 1 FROM dataset_versions WHERE dataset = ?"
            (number,) = connection.execute(query, (record.id,)).fetchone()
            self._add_version(connection, record.id, number, notes, files, digests, now)
            if delete_old:
                self._forget(connection, "dataset = ? AND number < ?", (record.id, number))
        return self._sure(record.slug)

    def change(self, record: DatasetRecord, settings: Settings) -> None:
        """Store other settings."""
        with self._transaction() as connection:
            values = (json.dumps(asdict(settings)), record.id)
            connection.execute("UPDATE datasets SET settings = ? WHERE id = ?", values)

    def find(self, slug: str) -> DatasetRecord | None:
        row = self._one("SELECT id, slug, settings, created FROM datasets WHERE slug = ?", (slug,))
        return self._record(row) if row else None

    def numbered(self, dataset_id: int) -> DatasetRecord | None:
        row = self._one("SELECT id, slug, settings, created FROM datasets WHERE id = ?", (dataset_id,))
        return self._record(row) if row else None

    def all(self) -> list[DatasetRecord]:
        """All datasets, the last changed first."""
        rows = self._all("SELECT id, slug, settings, created FROM datasets")
        found = [record for row in rows if (record := self._record(row))]
        return sorted(found, key=lambda r: (r.latest.created, r.id), reverse=True)

    def delete(self, record: DatasetRecord) -> None:
        """Forget a dataset, and the bytes that no other version holds."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM datasets WHERE id = ?", (record.id,))
            self._forget(connection, "dataset = ?", (record.id,))

    def _add_version(
        self,
        connection: sqlite3.Connection,
        dataset: int,
        number: int,
        notes: str,
        files: Mapping[str, Path],
        digests: Mapping[str, str],
        now: datetime,
    ) -> None:
        # Bytes come and go inside a transaction only: nobody can remove what another is about to refer to.
        stored = [[name, path.stat().st_size, digests[name]] for name, path in sorted(files.items())]
        for name, path in files.items():
            self._keep(path, digests[name])
        connection.execute(
            "INSERT INTO dataset_versions VALUES (?, ?, ?, ?, ?)",
            (dataset, number, notes, json.dumps(stored), stamp(now)),
        )

    def _keep(self, path: Path, digest: str) -> None:
        target = self.content(digest)
        target.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            os.link(path, target)

    def _forget(self, connection: sqlite3.Connection, where: str, values: tuple[object, ...]) -> None:
        gone = connection.execute(f"SELECT files FROM dataset_versions WHERE {where}", values).fetchall()
        connection.execute(f"DELETE FROM dataset_versions WHERE {where}", values)
        kept = connection.execute("SELECT files FROM dataset_versions").fetchall()
        for digest in _digests(gone) - _digests(kept):
            self.content(digest).unlink(missing_ok=True)

    def _record(self, row: tuple[Any, ...]) -> DatasetRecord | None:
        # One deleted between two questions is none.
        found = self._versions(row[0])
        return DatasetRecord(row[0], row[1], _settings(row[2]), row[3], found) if found else None

    def _versions(self, dataset: int) -> tuple[DatasetVersion, ...]:
        query = "SELECT number, notes, files, created FROM dataset_versions WHERE dataset = ? ORDER BY number DESC"
        return tuple(
            DatasetVersion(number, notes, tuple(DatasetFile(*f) for f in json.loads(files)), created)
            for number, notes, files, created in self._all(query, (dataset,))
        )

    def _sure(self, slug: str) -> DatasetRecord:
        record = self.find(slug)
        if record is None:
            raise LookupError(f"The dataset {slug} was deleted while it was written.")
        return record


def _digests(rows: Sequence[tuple[str]]) -> set[str]:
    return {digest for (files,) in rows for _, _, digest in json.loads(files)}


def _settings(stored: str) -> Settings:
    values = json.loads(stored)
    return Settings(**values | {"keywords": tuple(values["keywords"])})
