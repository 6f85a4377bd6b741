"""Tables in a SQLite file that any number of threads and processes use at once."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

from kagglekit.errors import DiskError

__all__ = ["Tables", "stamp"]

_DISK_WORDS = ("disk I/O error", "disk is full", "readonly database", "unable to open database file")


class Tables:
    """Opens a connection for each call, so that threads and processes share nothing but the file.

    The write-ahead log lets readers read while one writes; writers wait for each other for up to 30 seconds. What a
    transaction committed survives the end of the process, however it ends.

    Parameters
    ----------
    path : Path
        The SQLite file; made when it is missing.
    """

    schema: ClassVar[str]

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._connection() as connection:
            connection.executescript(self.schema)

    def _one(self, query: str, values: tuple[object, ...] = ()) -> tuple[Any, ...] | None:
        with self._connection() as connection:
            row: tuple[Any, ...] | None = connection.execute(query, values).fetchone()
            return row

    def _all(self, query: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        with self._connection() as connection:
            return connection.execute(query, values).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Read and write as one step: nobody else writes meanwhile, and a block that raises leaves no trace."""
        with self._connection() as connection:
            # IMMEDIATE takes the right to write before the first read, so that what was read still holds.
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        # isolation_level=None leaves transactions to us; closing a connection rolls back what was not committed.
        with (
            _disk_errors(self._path),
            closing(sqlite3.connect(self._path, timeout=30, isolation_level=None)) as connection,
        ):
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            yield connection


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
