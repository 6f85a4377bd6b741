"""The process that works through the queue of runs, one at a time, and ends when there is none left.

It is a process of its own, so that a run goes on when the arena that took the notebook ends. When it dies itself, the
run in its hands is told as cut, by whoever looks next.
"""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from kagglekit.arena.database import Database
from kagglekit.arena.grading import grade_submission
from kagglekit.arena.identity import identity_of
from kagglekit.arena.kernel_store import KernelRecord, KernelStore
from kagglekit.arena.runner import output_files
from kagglekit.arena.running.inputs import Inputs, run_folder
from kagglekit.arena.running.queue import Run, RunQueue
from kagglekit.arena.uploads import upload_path
from kagglekit.errors import KagglekitError, StoreError
from kagglekit.files import lock
from kagglekit.sandbox import Job, Limits, Outcome, Place
from kagglekit.sandbox import run as run_job

__all__ = ["CUT", "RunJob", "is_working", "spawn", "work"]

CUT = "It was cut: the process that ran it ended, or this computer was switched off."
_BUSY = "Another process works through the queue."
_ALIVE = "alive.lock"

RunJob = Callable[[Job, Path, Callable[[], bool]], Outcome]


def spawn(home: Path) -> None:
    """Start a worker that outlives this process; where another is at work, it ends at once."""
    folder = home / "kernels"
    folder.mkdir(parents=True, exist_ok=True)
    words = [sys.executable, "-m", __name__, str(home.absolute())]
    # The shell starts it in the background and ends: nobody has to wait for it.
    script = 'log="$1"; shift; "$@" </dev/null >/dev/null 2>>"$log" &'
    subprocess.run(
        ["/bin/sh", "-c", script, "sh", str(folder / "worker.log"), *words], start_new_session=True, check=True
    )


def work(home: Path, run_one: RunJob | None = None) -> None:
    """Do all that is queued, unless another process is at it."""
    queue = RunQueue(home / "arena.db")
    while queue.moving():
        with ExitStack() as stack:
            try:
                stack.enter_context(lock(home / "kernels" / "worker.lock", busy=_BUSY))
            except StoreError:
                return
            stack.enter_context(_alive(home))
            _Worker(home, queue, run_one or _run).to_end()


def is_working(home: Path) -> bool:
    """Whether a worker is alive."""
    path = home / "kernels" / _ALIVE
    if not path.exists():
        return False
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


@contextmanager
def _alive(home: Path) -> Iterator[None]:
    # A lock apart from the one that workers compete for: who only looks must not make a worker believe it is beaten.
    with (home / "kernels" / _ALIVE).open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _run(job: Job, folder: Path, stop: Callable[[], bool]) -> Outcome:
    return run_job(job, folder, stop=stop)


class _Worker:
    def __init__(self, home: Path, queue: RunQueue, run_one: RunJob) -> None:
        self._home, self._queue, self._run_one = home, queue, run_one
        self._kernels, self._database = KernelStore(home / "arena.db"), Database(home / "arena.db")
        self._inputs = Inputs(home, identity_of(home).username)

    def to_end(self) -> None:
        for run in self._queue.moving():
            if run.status == "RUNNING":  # only one worker is at work, and it is this one: nobody runs it any more
                self._finish(run, Outcome("ERROR", CUT, 0.0, 0))
        while (claimed := self._queue.claim()) is not None:
            self._finish(claimed, self._outcome(claimed))

    def _outcome(self, run: Run) -> Outcome:
        kernel = self._kernels.numbered(run.kernel)
        if kernel is None:
            return Outcome("CANCEL_ACKNOWLEDGED", "", 0.0, 0)
        folder = run_folder(self._home, run.id)
        inputs = folder.with_name(f"{run.id}.inputs")
        try:
            job = _job(kernel, run, self._inputs.of(run, kernel, inputs))
            return self._run_one(job, folder, lambda: self._is_unwanted(run))
        except (KagglekitError, OSError) as error:
            return Outcome("ERROR", f"The arena could not run it: {error}", 0.0, 0)
        finally:
            shutil.rmtree(inputs, ignore_errors=True)

    def _is_unwanted(self, run: Run) -> bool:
        now = self._queue.get(run.id)
        return now is None or now.is_cancelled

    def _finish(self, run: Run, outcome: Outcome) -> None:
        message = " ".join((outcome.message, *outcome.notices)).strip()
        if run.submission is not None:
            self._hand_in(run, run.submission, outcome)
        self._queue.finish(run.id, outcome.status, message)
        if self._queue.get(run.id) is None:
            shutil.rmtree(run_folder(self._home, run.id), ignore_errors=True)

    def _hand_in(self, run: Run, submission: int, outcome: Outcome) -> None:
        """Grade the file that a submission waits for, or say what became of it in the words of Kaggle."""
        record, working = self._database.submission(submission), Place(run_folder(self._home, run.id)).working
        if record is None:
            return
        if outcome.status != "COMPLETE":
            self._database.set_error(submission, _kaggles_words(outcome.message))
        elif run.file_name not in output_files(working):
            self._database.set_error(submission, "Submission CSV Not Found")
        else:
            target = upload_path(self._home, record.upload)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(working / run.file_name, target)
            grade_submission(self._home, self._database, submission)


def _job(kernel: KernelRecord, run: Run, inputs: dict[str, Path]) -> Job:
    facts, limits = kernel.facts, Limits()
    asked = float(facts.get("sessionTimeoutSeconds") or limits.seconds)
    return Job(
        source=kernel.source,
        kind="script" if facts.get("kernelType") == "script" else "notebook",
        inputs=inputs,
        limits=Limits(seconds=min(asked, limits.seconds)),
        rerun=run.submission is not None,
    )


def _kaggles_words(message: str) -> str:
    # What a notebook printed on the hidden rows is told to nobody there.
    if message == CUT:
        return CUT
    if "time limit" in message:
        return "Notebook Timeout"
    return "Notebook Exceeded Allowed Compute" if "It exceeded" in message else "Notebook Threw Exception"


if __name__ == "__main__":
    work(Path(sys.argv[1]))
