"""Pushed notebooks and scripts, every version of each."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kagglekit.arena.sqlite import Tables, stamp

__all__ = ["KernelRecord", "KernelStore"]

_COLUMNS = "id, slug, version, source, request, created"
_NUMBER = "SELECT MIN(id) FROM kernels WHERE slug = ?"


@dataclass(frozen=True)
class KernelRecord:
    """One version of a pushed notebook or script; `request` is all that was pushed with the source, as JSON."""

    id: int
    slug: str
    version: int
    source: str
    request: str
    created: str

    @property
    def facts(self) -> dict[str, Any]:
        """What was pushed with the source, by the field names of Kaggle's API."""
        found: dict[str, Any] = json.loads(self.request)
        return found

    @property
    def title(self) -> str:
        return str(self.facts.get("newTitle") or self.slug)


class KernelStore(Tables):
    """Notebooks by slug and version."""

    schema = """
    CREATE TABLE IF NOT EXISTS kernels (
        id INTEGER PRIMARY KEY AUTOINCREMENT, slug TEXT NOT NULL, version INTEGER NOT NULL, source TEXT NOT NULL,
        request TEXT NOT NULL, created TEXT NOT NULL, UNIQUE (slug, version)
    );
    """

    def save(self, slug: str, source: str, request: str, now: datetime) -> KernelRecord:
        """Store the next version."""
        with self._transaction() as connection:
            query = "SELECT COALESCE(MAX(version), 0) + 1 FROM kernels WHERE slug = ?"
            (version,) = connection.execute(query, (slug,)).fetchone()
            cursor = connection.execute(
                "INSERT INTO kernels (slug, version, source, request, created) VALUES (?, ?, ?, ?, ?)",
                (slug, version, source, request, stamp(now)),
            )
            return KernelRecord(cursor.lastrowid or 0, slug, version, source, request, stamp(now))

    def find(self, slug: str, version: int | None = None) -> KernelRecord | None:
        """A version, or the latest."""
        query = f"SELECT {_COLUMNS} FROM kernels WHERE slug = ? AND (? IS NULL OR version = ?)"
        row = self._one(f"{query} ORDER BY version DESC LIMIT 1", (slug, version, version))
        return KernelRecord(*row) if row else None

    def numbered(self, record_id: int) -> KernelRecord | None:
        """The version that has this id."""
        row = self._one(f"SELECT {_COLUMNS} FROM kernels WHERE id = ?", (record_id,))
        return KernelRecord(*row) if row else None

    def number(self, slug: str) -> int:
        """The notebook's own number, which all of its versions share; 0 if there is none."""
        row = self._one(_NUMBER, (slug,))
        return int(row[0] or 0) if row else 0

    def latest(self) -> list[KernelRecord]:
        """The latest version of each, the last pushed first."""
        newest = "SELECT slug, MAX(version) FROM kernels GROUP BY slug"
        query = f"SELECT {_COLUMNS} FROM kernels WHERE (slug, version) IN ({newest}) ORDER BY id DESC"
        return [KernelRecord(*row) for row in self._all(query)]

    def delete(self, slug: str) -> list[KernelRecord]:
        """Forget every version; gives what was forgotten."""
        with self._transaction() as connection:
            rows = connection.execute(f"SELECT {_COLUMNS} FROM kernels WHERE slug = ?", (slug,)).fetchall()
            connection.execute("DELETE FROM kernels WHERE slug = ?", (slug,))
            return [KernelRecord(*row) for row in rows]
