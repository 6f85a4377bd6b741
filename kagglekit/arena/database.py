"""The arena's memory: uploads, submissions and pushed notebooks, in one SQLite file for any number of processes."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from kagglekit.errors import DiskError

__all__ = ["Database", "KernelRecord", "LimitUsed", "SubmissionRecord", "Upload", "stamp"]

_DISK_WORDS = ("disk I/O error", "disk is full", "readonly database", "unable to open database file")
_SCHEMA = """
CREATE TABLE IF NOT EXISTS uploads (
    id TEXT PRIMARY KEY, slug TEXT NOT NULL, file_name TEXT NOT NULL, bytes INTEGER NOT NULL, created TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS submissions (
    ref INTEGER PRIMARY KEY AUTOINCREMENT, slug TEXT NOT NULL, fingerprint TEXT NOT NULL, team TEXT NOT NULL,
    upload TEXT NOT NULL UNIQUE, file_name TEXT NOT NULL, bytes INTEGER NOT NULL, description TEXT NOT NULL,
    status TEXT NOT NULL, public REAL, private REAL, error TEXT NOT NULL DEFAULT '', created TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS submissions_by_slug ON submissions (slug, team, created);
CREATE TABLE IF NOT EXISTS kernels (
    id INTEGER PRIMARY KEY AUTOINCREMENT, slug TEXT NOT NULL, version INTEGER NOT NULL, source TEXT NOT NULL,
    request TEXT NOT NULL, created TEXT NOT NULL, UNIQUE (slug, version)
);
"""


@dataclass(frozen=True)
class Upload:
    """A file that was announced; its bytes lie under its id."""

    id: str
    slug: str
    file_name: str
    bytes: int


@dataclass(frozen=True)
class SubmissionRecord:
    """One submission. `status` is "pending", "complete" or "error"; `created` is UTC, ISO 8601."""

    ref: int
    slug: str
    fingerprint: str
    team: str
    upload: str
    file_name: str
    bytes: int
    description: str
    status: str
    public: float | None
    private: float | None
    error: str
    created: str


@dataclass(frozen=True)
class KernelRecord:
    """One version of a pushed notebook or script; `request` is all that was pushed with it, as JSON."""

    id: int
    slug: str
    version: int
    source: str
    request: str
    created: str


class LimitUsed(Exception):
    """The team has no submissions left today."""


class Database:
    """Opens a connection for each call, so that threads and processes share nothing but the file.

    Parameters
    ----------
    path : Path
        The SQLite file; made when it is missing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._connection() as connection:
            connection.executescript(_SCHEMA)

    def start_upload(self, slug: str, file_name: str, size: int, now: datetime) -> Upload:
        """Announce a file; its id is a secret that only the one who announced it learns."""
        upload = Upload(secrets.token_urlsafe(24), slug, file_name, size)
        with self._connection() as connection:
            connection.execute(
                "INSERT INTO uploads VALUES (?, ?, ?, ?, ?)", (upload.id, slug, file_name, size, stamp(now))
            )
        return upload

    def upload(self, upload_id: str) -> Upload | None:
        row = self._one("SELECT id, slug, file_name, bytes FROM uploads WHERE id = ?", (upload_id,))
        return Upload(*row) if row else None

    def add_submission(
        self, upload: Upload, *, fingerprint: str, team: str, description: str, daily_limit: int, now: datetime
    ) -> SubmissionRecord:
        """Add a pending submission, or return the one that was made from this upload before.

        Raises
        ------
        LimitUsed
            `daily_limit` submissions of this UTC day count already. Counting and adding are one transaction.
        """
        with self._connection() as connection:
            connection.execute("BEGIN IMMEDIATE")
            known = connection.execute("SELECT * FROM submissions WHERE upload = ?", (upload.id,)).fetchone()
            if known:
                return SubmissionRecord(*known)
            if _used_today(connection, upload.slug, team, now) >= daily_limit:
                raise LimitUsed
            cursor = connection.execute(
                "INSERT INTO submissions"
                " (slug, fingerprint, team, upload, file_name, bytes, description, status, created)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, 'pending', ?)",
                (upload.slug, fingerprint, team, upload.id, upload.file_name, upload.bytes, description, stamp(now)),
            )
            added = connection.execute("SELECT * FROM submissions WHERE ref = ?", (cursor.lastrowid,)).fetchone()
            return SubmissionRecord(*added)

    def set_scores(self, ref: int, public: float, private: float | None) -> None:
        with self._connection() as connection:
            connection.execute(
                "UPDATE submissions SET status = 'complete', public = ?, private = ?, error = '' WHERE ref = ?",
                (public, private, ref),
            )

    def set_error(self, ref: int, reason: str) -> None:
        with self._connection() as connection:
            connection.execute("UPDATE submissions SET status = 'error', error = ? WHERE ref = ?", (reason, ref))

    def submission(self, ref: int) -> SubmissionRecord | None:
        row = self._one("SELECT * FROM submissions WHERE ref = ?", (ref,))
        return SubmissionRecord(*row) if row else None

    def submissions(self, slug: str, team: str) -> list[SubmissionRecord]:
        """A team's submissions, newest first."""
        query = "SELECT * FROM submissions WHERE slug = ? AND team = ? ORDER BY ref DESC"
        return [SubmissionRecord(*row) for row in self._all(query, (slug, team))]

    def scored(self, slug: str, fingerprint: str) -> list[SubmissionRecord]:
        """Submissions of all teams that were scored under this fingerprint, oldest first."""
        query = "SELECT * FROM submissions WHERE slug = ? AND fingerprint = ? AND status = 'complete' ORDER BY ref"
        return [SubmissionRecord(*row) for row in self._all(query, (slug, fingerprint))]

    def pending(self) -> list[SubmissionRecord]:
        """Submissions whose grading has not ended; after a crash they are graded again."""
        return [
            SubmissionRecord(*row)
            for row in self._all("SELECT * FROM submissions WHERE status = 'pending' ORDER BY ref")
        ]

    def used_today(self, slug: str, team: str, now: datetime) -> int:
        """Submissions of this UTC day that count; refused files do not, as on Kaggle."""
        with self._connection() as connection:
            return _used_today(connection, slug, team, now)

    def save_kernel(self, slug: str, source: str, request: str, now: datetime) -> KernelRecord:
        """Store the next version of a pushed notebook or script."""
        with self._connection() as connection:
            connection.execute("BEGIN IMMEDIATE")
            query = "SELECT COALESCE(MAX(version), 0) + 1 FROM kernels WHERE slug = ?"
            (version,) = connection.execute(query, (slug,)).fetchone()
            cursor = connection.execute(
                "INSERT INTO kernels (slug, version, source, request, created) VALUES (?, ?, ?, ?, ?)",
                (slug, version, source, request, stamp(now)),
            )
            return KernelRecord(cursor.lastrowid or 0, slug, version, source, request, stamp(now))

    def kernel(self, slug: str) -> KernelRecord | None:
        """The latest version."""
        row = self._one("SELECT * FROM kernels WHERE slug = ? ORDER BY version DESC LIMIT 1", (slug,))
        return KernelRecord(*row) if row else None

    def _one(self, query: str, values: tuple[object, ...] = ()) -> tuple[Any, ...] | None:
        with self._connection() as connection:
            row: tuple[Any, ...] | None = connection.execute(query, values).fetchone()
            return row

    def _all(self, query: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        with self._connection() as connection:
            return connection.execute(query, values).fetchall()

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        # isolation_level=None leaves transactions to us; a block that raises rolls back.
        with (
            _disk_errors(self._path),
            closing(sqlite3.connect(self._path, timeout=30, isolation_level=None)) as connection,
        ):
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            yield connection
            if connection.in_transaction:
                connection.execute("COMMIT")


@contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    """SQLite's own words for a full or read-only disk, as one clear line."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if any(words in str(error) for words in _DISK_WORDS):
            raise DiskError(
                f"The arena's memory {path} cannot be written ({error}).",
                hint="Is the disk full or read-only? Free some space and run the same command again.",
            ) from error
        raise


def stamp(moment: datetime) -> str:
    """UTC, ISO 8601 with milliseconds and a Z: sorts as text."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def _used_today(connection: sqlite3.Connection, slug: str, team: str, now: datetime) -> int:
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    query = (
        "SELECT COUNT(*) FROM submissions WHERE slug = ? AND team = ? AND status != 'error'"
        " AND created >= ? AND created < ?"
    )
    values = (slug, team, stamp(midnight), stamp(midnight + timedelta(days=1)))
    (count,) = connection.execute(query, values).fetchone()
    return int(count)
