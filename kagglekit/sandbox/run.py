"""Run a job to its end: start it sealed off, write its log, hold it to its limits, say what became of it."""

from __future__ import annotations

import codecs
import os
import queue
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from kagglekit.errors import MissingExtra
from kagglekit.sandbox.jail import UNSEALED, Bind, Jail, find_jail, interpreter
from kagglekit.sandbox.job import Job
from kagglekit.sandbox.log import LogFile, LogLine, Stream
from kagglekit.sandbox.reasons import reason, size_words, time_words
from kagglekit.sandbox.watch import Watch, folder_size

__all__ = ["Outcome", "Place", "run"]

_LOOK = 0.1  # seconds between two looks at memory
_LOOK_AT_DISK = 5.0
_LONGEST_WAIT = 1.0  # for the end of a line
_TAIL = 20_000
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Outcome:
    """What became of a run.

    Parameters
    ----------
    status : {"COMPLETE", "ERROR", "CANCEL_ACKNOWLEDGED"}
        By the names of Kaggle's API.
    message : str
        Why it failed; "" when it did not.
    seconds : float
    memory : int
        The most that it was seen to use, in bytes.
    hosts : tuple of str
        Names that it looked up and, without internet, did not find.
    notices : tuple of str
        What was not as on Kaggle.
    """

    status: Literal["COMPLETE", "ERROR", "CANCEL_ACKNOWLEDGED"]
    message: str
    seconds: float
    memory: int
    hosts: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Place:
    """Where a run's files lie on this computer."""

    folder: Path

    @property
    def working(self) -> Path:
        """What is /kaggle/working inside: the output."""
        return self.folder / "working"

    @property
    def log(self) -> Path:
        return self.folder / "log.jsonl"

    @property
    def result(self) -> Path:
        """The notebook with all that its cells showed."""
        return self.folder / "session" / "executed.ipynb"

    @property
    def machine(self) -> Path:
        """What nobody needs after the run: the home folder, temporary files, installed packages."""
        return self.folder / "machine"


def run(
    job: Job,
    folder: Path,
    *,
    on_line: Callable[[LogLine], None] = lambda line: None,
    stop: Callable[[], bool] = lambda: False,
    jail: Jail | Literal["find"] | None = "find",
) -> Outcome:
    """Run a job to its end.

    Parameters
    ----------
    job : Job
    folder : Path
        Takes the files of the run, as `Place` names them; those of an earlier run are removed.
    on_line : callable
        Told each piece of the log as it comes.
    stop : callable
        Asked several times a second whether to end the run.
    jail : Jail or None, optional
        What seals it off; the best that this computer offers if not given, nothing if None.

    Raises
    ------
    MissingExtra
        What runs notebooks is not installed.
    """
    _require(job)
    place, sealed = Place(folder), find_jail() if jail == "find" else jail
    shutil.rmtree(folder, ignore_errors=True)
    for path in (place.working, place.result.parent, place.machine, folder / "src"):
        path.mkdir(parents=True)
    try:
        command, env = _inside(job, place, sealed) if sealed else _beside(job, place)
        ended = _Run(job, place, on_line, stop).to_end(command, env)
    finally:
        hosts = _hosts(place)
        _clear(place.machine)
    failed = ended.status != 0 and not ended.cancelled
    message = ended.message or (reason(ended.errors, ended.status, hosts) if failed else "")
    status: Literal["COMPLETE", "ERROR", "CANCEL_ACKNOWLEDGED"] = "ERROR" if message else "COMPLETE"
    return Outcome(
        status="CANCEL_ACKNOWLEDGED" if ended.cancelled else status,
        message=message,
        seconds=ended.seconds,
        memory=ended.memory,
        hosts=hosts,
        notices=() if sealed else (UNSEALED,),
    )


def _clear(machine: Path) -> None:
    closed = machine.joinpath("jail", "layer", "work", "work")
    if closed.is_dir():  # overlayfs makes it with no rights at all
        closed.chmod(0o700)
    shutil.rmtree(machine, ignore_errors=True)


def _require(job: Job) -> None:
    needed = ("nbclient", "nbformat", "ipykernel") if job.kind == "notebook" else ()
    from importlib.util import find_spec

    for package in ("psutil", *needed):
        if find_spec(package) is None:
            raise MissingExtra("Running a kernel", package, "notebooks")


def _inside(job: Job, place: Place, jail: Jail) -> tuple[list[str], dict[str, str]]:
    """The command of a sealed run: every path as on Kaggle."""
    scratch = {name: place.machine / name for name in ("home", "tmp", "temp")}
    for path in scratch.values():
        path.mkdir()
    (place.folder / "src" / job.file_name).write_text(job.source, encoding="utf-8")
    shutil.copy(Path(__file__).with_name("notebook.py"), place.result.parent)
    empty = place.machine / "input"
    empty.mkdir()
    for name in job.inputs:
        (empty / name).mkdir(parents=True, exist_ok=True)  # the places that the mounts below need
    binds = [
        Bind(empty, "/kaggle/input"),
        *(Bind(path, f"/kaggle/input/{name}") for name, path in job.inputs.items()),
        Bind(place.folder / "src", "/kaggle/src"),
        Bind(place.working, "/kaggle/working", writable=True),
        Bind(scratch["temp"], "/kaggle/temp", writable=True),
        Bind(scratch["tmp"], "/tmp", writable=True),
        Bind(scratch["home"], "/root", writable=True),
        Bind(place.result.parent, "/session", writable=True),
    ]
    env = {"PATH": f"{Path(interpreter()).parent}:{_PATH}", "HOME": "/root", **job.environment()}
    words = _words(job, "/kaggle/src", "/session")
    return jail.command(place.machine / "jail", binds, words, env), env


def _beside(job: Job, place: Place) -> tuple[list[str], dict[str, str]]:
    """The command of a run that nothing seals off: copies of the inputs, and the paths in the source moved to them."""
    root, home = place.machine / "kaggle", place.machine / "home"
    home.mkdir()
    (root / "input").mkdir(parents=True)
    (root / "working").symlink_to(place.working.absolute(), target_is_directory=True)
    for name, path in job.inputs.items():
        shutil.copytree(path, root / "input" / name)
    moved = job.source.replace("/kaggle/", f"{root.absolute()}/")
    source = place.folder / "src"
    (source / job.file_name).write_text(moved, encoding="utf-8")
    runner = Path(__file__).with_name("notebook.py").read_text(encoding="utf-8")
    (place.result.parent / "notebook.py").write_text(
        runner.replace('"/kaggle/working"', repr(str(place.working.absolute()))), encoding="utf-8"
    )
    env = {"PATH": f"{Path(interpreter()).parent}:{_PATH}", "HOME": str(home.absolute()), **job.environment()}
    return _words(job, str(source.absolute()), str(place.result.parent.absolute())), env


def _words(job: Job, source: str, session: str) -> list[str]:
    if job.kind == "script":
        return [interpreter(), f"{source}/{job.file_name}"]
    return [interpreter(), "-I", f"{session}/notebook.py", f"{source}/{job.file_name}", f"{session}/executed.ipynb"]


def _hosts(place: Place) -> tuple[str, ...]:
    path = place.machine / "jail" / "hosts"
    return tuple(dict.fromkeys(path.read_text(encoding="utf-8").split())) if path.is_file() else ()


@dataclass
class _Ended:
    status: int
    seconds: float
    memory: int
    errors: str
    message: str
    cancelled: bool


class _Run:
    """One process being watched."""

    def __init__(self, job: Job, place: Place, on_line: Callable[[LogLine], None], stop: Callable[[], bool]) -> None:
        self._job, self._place, self._on_line, self._stop = job, place, on_line, stop
        self._pieces: queue.SimpleQueue[tuple[Stream, str]] = queue.SimpleQueue()
        self._begun: dict[Stream, str] = {}
        self._told = 0.0
        self._errors, self._memory, self._message, self._cancelled = "", 0, "", False
        self._started, self._disk_seen = time.monotonic(), 0.0

    def to_end(self, command: list[str], env: dict[str, str]) -> _Ended:
        with self._place.log.open("w", encoding="utf-8") as file, self._process(command, env) as process:
            log, watch = LogFile(file), Watch(process.pid)
            readers = [self._reader(process.stdout, "stdout"), self._reader(process.stderr, "stderr")]
            while process.poll() is None:
                self._write(log)
                if not self._message and not self._cancelled:
                    self._look(watch)
                if self._message or self._cancelled:
                    watch.kill()
            for reader in readers:
                reader.join()
            self._write(log, wait=0.0)
            self._message = self._message or self._too_much_disk()
            if self._message:
                self._take(log, "stderr", f"{self._message}\n")
        return _Ended(
            process.returncode if process.returncode >= 0 else 128 - process.returncode,
            self._seconds(),
            self._memory,
            self._errors,
            self._message,
            self._cancelled,
        )

    @contextmanager
    def _process(self, command: list[str], env: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
        process = subprocess.Popen(
            command,
            cwd=self._place.working,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        try:
            with process:
                try:
                    yield process
                finally:
                    if process.poll() is None:  # whoever waits for the run is leaving
                        Watch(process.pid).kill()
        finally:
            process.wait()

    def _reader(self, pipe: IO[bytes] | None, stream: Stream) -> threading.Thread:
        def read() -> None:
            decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
            while pipe is not None and (piece := os.read(pipe.fileno(), 1 << 16)):
                self._pieces.put((stream, decoder.decode(piece)))

        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        return thread

    def _write(self, log: LogFile, wait: float = _LOOK) -> None:
        """Write what has come, for as long as until the next look."""
        until = time.monotonic() + wait
        while True:
            try:
                left = until - time.monotonic()
                stream, text = self._pieces.get(block=left > 0, timeout=max(left, 0.0))
            except queue.Empty:
                break
            *whole, rest = (self._begun.pop(stream, "") + text).splitlines(keepends=True) or [""]
            if rest.endswith("\n"):
                whole.append(rest)
            else:
                self._begun[stream] = rest
            for line in whole:
                self._take(log, stream, line)
        if wait == 0.0 or self._seconds() - self._told > _LONGEST_WAIT:
            for stream, text in self._begun.items():
                self._take(log, stream, text)
            self._begun.clear()

    def _take(self, log: LogFile, stream: Stream, text: str) -> None:
        self._told = self._seconds()
        line = LogLine(stream, round(self._told, 3), text)
        if stream == "stderr":
            self._errors = (self._errors + text)[-_TAIL:]
        log.write(line)
        self._on_line(line)

    def _look(self, watch: Watch) -> None:
        limits = self._job.limits
        if self._stop():
            self._cancelled = True
            return
        used = watch.memory(limits.memory)
        self._memory = max(self._memory, used)
        if used > limits.memory:
            self._message = f"It exceeded {size_words(limits.memory)} of memory."
        elif self._seconds() > limits.seconds:
            self._message = f"It exceeded the time limit of {time_words(limits.seconds)}."
        elif self._seconds() - self._disk_seen > _LOOK_AT_DISK:
            self._disk_seen = self._seconds()
            self._message = self._too_much_disk()

    def _too_much_disk(self) -> str:
        limit = self._job.limits.disk
        if folder_size(self._place.working) <= limit:
            return ""
        return f"It wrote more than {size_words(limit)} to /kaggle/working."

    def _seconds(self) -> float:
        return time.monotonic() - self._started
