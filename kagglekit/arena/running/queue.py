"""Runs of notebooks, and what became of each: a queue that any number of processes share."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from kagglekit.arena.runner import Status
from kagglekit.arena.sqlite import Tables, stamp

__all__ = ["Run", "RunQueue"]

_COLUMNS = "id, kernel, submission, file_name, status, message, is_cancelled"


@dataclass(frozen=True)
class Run:
    """One run of one version.

    Parameters
    ----------
    id : int
    kernel : int
        Of the version.
    submission : int or None
        The submission that waits for it: then it runs on the hidden test set of a code competition.
    file_name : str
        What of its output is submitted.
    status : str
    message : str
    is_cancelled : bool
        Whether somebody asked for its end.
    """

    id: int
    kernel: int
    submission: int | None
    file_name: str
    status: Status
    message: str
    is_cancelled: bool

    @property
    def is_moving(self) -> bool:
        return self.status in ("QUEUED", "RUNNING")


class RunQueue(Tables):
    """Runs, in the order in which they came."""

    schema = """
    CREATE TABLE IF NOT EXISTS runs (
        id INTEGER PRIMARY KEY AUTOINCREMENT, kernel INTEGER NOT NULL, submission INTEGER, file_name TEXT NOT NULL,
        status TEXT NOT NULL, message TEXT NOT NULL DEFAULT '', is_cancelled INTEGER NOT NULL DEFAULT 0,
        created TEXT NOT NULL
    );
    """

    def add(self, kernel: int, now: datetime, submission: int | None = None, file_name: str = "") -> None:
        """Queue a run."""
        with self._transaction() as connection:
            connection.execute(
                "INSERT INTO runs (kernel, submission, file_name, status, created) VALUES (?, ?, ?, 'QUEUED', ?)",
                (kernel, submission, file_name, stamp(now)),
            )

    def claim(self) -> Run | None:
        """Take the first that is queued; it is running from now on."""
        with self._transaction() as connection:
            query = f"SELECT {_COLUMNS} FROM runs WHERE status = 'QUEUED' ORDER BY id LIMIT 1"
            row = connection.execute(query).fetchone()
            if row is None:
                return None
            connection.execute("UPDATE runs SET status = 'RUNNING' WHERE id = ?", (row[0],))
        found = self.get(row[0])
        return found or self.claim()  # it was forgotten meanwhile

    def get(self, run: int) -> Run | None:
        row = self._one(f"SELECT {_COLUMNS} FROM runs WHERE id = ?", (run,))
        return _run(row) if row else None

    def of_kernel(self, kernel: int) -> list[Run]:
        """All runs of a version, the last first; that on a hidden test set are not among them."""
        query = f"SELECT {_COLUMNS} FROM runs WHERE kernel = ? AND submission IS NULL ORDER BY id DESC"
        return [_run(row) for row in self._all(query, (kernel,))]

    def moving(self) -> list[Run]:
        """Those that are queued or running."""
        query = f"SELECT {_COLUMNS} FROM runs WHERE status IN ('QUEUED', 'RUNNING') ORDER BY id"
        return [_run(row) for row in self._all(query)]

    def awaits(self, submission: int) -> bool:
        """Whether a submission's file is still to be made."""
        return any(run.submission == submission for run in self.moving())

    def finish(self, run: int, status: Status, message: str = "") -> None:
        with self._transaction() as connection:
            connection.execute("UPDATE runs SET status = ?, message = ? WHERE id = ?", (status, message, run))

    def cancel(self, run: int) -> None:
        """Ask for the end of a run; one that has not begun ends at once."""
        with self._transaction() as connection:
            connection.execute("UPDATE runs SET is_cancelled = 1 WHERE id = ?", (run,))
            query = "UPDATE runs SET status = 'CANCEL_ACKNOWLEDGED' WHERE id = ? AND status = 'QUEUED'"
            connection.execute(query, (run,))

    def forget(self, kernel: int) -> list[int]:
        """Remove a version's runs, but for those that a submission waits for; gives their numbers."""
        with self._transaction() as connection:
            chosen = "FROM runs WHERE kernel = ? AND submission IS NULL"
            rows = connection.execute(f"SELECT id {chosen}", (kernel,)).fetchall()
            connection.execute(f"DELETE {chosen}", (kernel,))
            return [run for (run,) in rows]


def _run(row: tuple[int, int, int | None, str, Status, str, int]) -> Run:
    return Run(*row[:6], is_cancelled=bool(row[6]))
