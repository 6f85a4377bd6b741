"""The ledger: every submission ever sent, one JSON line each, only ever appended to."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from kagglekit.contracts import Submission
from kagglekit.errors import StoreError
from kagglekit.files import disk_errors, lock

__all__ = ["Ledger"]


@dataclass(frozen=True)
class Ledger:
    """An append-only file of submissions; the last line about a reference wins.

    Parameters
    ----------
    path : Path
        A JSON-lines file; it need not exist.
    """

    path: Path

    def append(self, submission: Submission) -> None:
        """Add a line and see it on disk before returning."""
        line = json.dumps(asdict(submission), sort_keys=True, ensure_ascii=False) + "\n"
        busy = f"Another process is writing {self.path}."
        with (
            lock(self.path.with_suffix(".lock"), busy=busy),
            disk_errors(self.path),
            self.path.open("a", encoding="utf-8") as file,
        ):
            file.write(line)
            file.flush()
            os.fsync(file.fileno())

    def submissions(self) -> list[Submission]:
        """The newest state of each submission, in the order they were sent.

        Raises
        ------
        StoreError
            A line is not what this version writes.
        """
        if not self.path.is_file():
            return []
        newest: dict[tuple[str, str], Submission] = {}
        for number, line in enumerate(self.path.read_text(encoding="utf-8").splitlines(), start=1):
            try:
                entry = Submission(**json.loads(line))
            except (ValueError, TypeError) as error:
                raise StoreError(
                    f"{self.path} line {number} is not a submission ({error}).",
                    hint="Mend or remove that line; the others are untouched.",
                ) from error
            newest[entry.site, entry.ref] = entry
        return list(newest.values())

    def with_file(self, sha256: str) -> Submission | None:
        """The latest submission of the same bytes that was not refused, if there is one."""
        same = [s for s in self.submissions() if s.sha256 == sha256 and s.status != "error"]
        return same[-1] if same else None
