"""Grading in the background: a thread that takes submissions by ref and writes what became of them."""

from __future__ import annotations

import math
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path

from kagglekit.arena.database import Database
from kagglekit.arena.grader import grade_file
from kagglekit.arena.hosted import open_hosted
from kagglekit.arena.uploads import upload_path
from kagglekit.errors import CompetitionNotFound, DiskError, KagglekitError, SubmissionError

__all__ = ["Grading"]


class Grading:
    """Grades one submission at a time, in the order in which they came."""

    def __init__(self, home: Path, database: Database) -> None:
        self._home, self._database = home, database
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="arena-grader")

    def start(self, ref: int) -> None:
        """Grade this submission as soon as those before it are done."""
        future = self._thread.submit(self._grade, ref)
        future.add_done_callback(partial(self._note_failure, ref))

    def start_pending(self) -> None:
        """Take up what a crash left behind. Two processes may grade the same one: both find the same score."""
        for record in self._database.pending():
            self.start(record.ref)

    def stop(self) -> None:
        """Finish the submission in hand; those after it stay pending until the arena serves again."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _grade(self, ref: int) -> None:
        record = self._database.submission(ref)
        if record is None:
            return
        try:
            hosted = open_hosted(self._home, record.slug)
            if hosted.fingerprint != record.fingerprint:
                raise SubmissionError("The competition was replaced before this submission was graded.")
            grades = grade_file(hosted, upload_path(self._home, record.upload))
        except (SubmissionError, CompetitionNotFound) as error:
            self._database.set_error(ref, str(error))
            return
        self._database.set_scores(ref, grades.public, None if math.isnan(grades.private) else grades.private)

    def _note_failure(self, ref: int, future: Future[None]) -> None:
        error = None if future.cancelled() else future.exception()
        if error is None or isinstance(error, DiskError):
            return  # what the disk had no room for stays pending until the arena serves again
        # What a stranger's error says could quote the solution; ours never does.
        reason = error.message if isinstance(error, KagglekitError) else type(error).__name__
        with suppress(DiskError):
            self._database.set_error(ref, f"The submission could not be scored ({reason}).")
