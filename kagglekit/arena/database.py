"""The arena's memory of uploads and submissions, in one SQLite file for any number of processes."""

from __future__ import annotations

import secrets
import sqlite3
from dataclasses import dataclass
from datetime import datetime, timedelta

from kagglekit.arena.sqlite import Tables, stamp

__all__ = ["Database", "LimitUsed", "SubmissionRecord", "Upload", "stamp"]

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
"""


@dataclass(frozen=True)
class Upload:
    """A file that was announced; its bytes lie under its id. `slug` is the competition it is for, "" if for none."""

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


class LimitUsed(Exception):
    """The team has no submissions left today."""


class Database(Tables):
    """What was uploaded and submitted."""

    schema = _SCHEMA

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
        with self._transaction() as connection:
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


def _used_today(connection: sqlite3.Connection, slug: str, team: str, now: datetime) -> int:
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    query = (
        "SELECT COUNT(*) FROM submissions WHERE slug = ? AND team = ? AND status != 'error'"
        " AND created >= ? AND created < ?"
    )
    values = (slug, team, stamp(midnight), stamp(midnight + timedelta(days=1)))
    (count,) = connection.execute(query, values).fetchone()
    return int(count)
