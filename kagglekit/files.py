"""Files that are complete or absent: atomic writes, hashes, locks.

Everything that kagglekit leaves on disk goes through here, so that Ctrl-C, kill -9 or a full disk at any moment leaves
either the old content or the new, never half of it.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from kagglekit.errors import DiskError, MissingExtra, StoreError

__all__ = [
    "atomic",
    "atomic_folder",
    "disk_errors",
    "link_or_copy",
    "lock",
    "read_json",
    "sha256",
    "turn",
    "work_folder",
    "write_json",
    "write_text",
]

_DISK_FULL = {errno.ENOSPC, errno.EDQUOT}
_NOT_WRITABLE = {errno.EACCES, errno.EPERM, errno.EROFS}
_LOCK = "lock"
_NO_LINK = {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.EACCES}


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn "disk full" and "not writable" into one clear line that names the place."""
    try:
        yield
    except OSError as error:
        if error.errno in _DISK_FULL:
            raise DiskError(
                f"The disk that holds {path} is full; nothing was changed there.",
                hint="Free some space and run the same command again: finished work is kept.",
            ) from error
        if error.errno in _NOT_WRITABLE:
            raise DiskError(f"{path} cannot be written: {error.strerror}.", hint="Check its owner and mode.") from error
        raise


@contextmanager
def atomic(path: Path) -> Iterator[BinaryIO]:
    """Open a file for writing that appears at `path` only when it is whole.

    The bytes go to a temporary name in the same folder, are flushed to disk, and renamed over `path` at the end.

    Raises
    ------
    DiskError
        The disk is full or the folder is not writable; `path` is as it was.
    """
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            temporary.chmod(0o666 & ~_umask())
            temporary.replace(path)
            _sync_folder(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Fill a folder that appears at `path` only when it is whole; what was at `path` before is replaced."""
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent))
        try:
            temporary.chmod(0o777 & ~_umask())
            yield temporary
            if path.exists():
                shutil.rmtree(path)
            temporary.replace(path)
            _sync_folder(path.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def link_or_copy(source: Path, target: Path) -> None:
    """Let a file have a second name, or a copy where the disk offers no links; its folder is made when missing."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in _NO_LINK:
            raise
        shutil.copy2(source, target)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically, in UTF-8."""
    with atomic(path) as file:
        file.write(text.encode())


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically: sorted keys, two spaces, a final newline, so that diffs are small."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file that kagglekit wrote.

    Raises
    ------
    StoreError
        The file is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise StoreError(f"{path} is not valid JSON ({error}).", hint="It was damaged outside kagglekit.") from error


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hex, read in constant memory."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def lock(path: Path, *, busy: str) -> Iterator[None]:
    """Hold a lock file for as long as the block runs; the system frees it when the process dies, however it dies.

    Parameters
    ----------
    path : Path
        The lock file; it is made when it is missing and stays.
    busy : str
        What to say when another process holds it.

    Raises
    ------
    StoreError
        Another process holds the lock.
    """
    import fcntl  # Kaggle and its competitors run Linux or macOS; importing here keeps the module readable elsewhere.

    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StoreError(busy, hint="Wait for it to end, or end it, then run this again.") from error
        yield


@contextmanager
def work_folder(path: Path, *, busy: str) -> Iterator[Path]:
    """A hidden folder beside `path` for what is not whole yet: one process at a time has it, and it goes at the end.

    What a killed process left in it is removed, as the system freed its lock.

    Parameters
    ----------
    path : Path
        What is being made there; nothing is done to it.
    busy : str
        What to say when another process is making it.

    Raises
    ------
    StoreError
        Another process is making it.
    DiskError
        The disk is full or the folder is not writable.
    """
    folder = path.with_name(f".{path.name}.part")
    with disk_errors(path), lock(folder / _LOCK, busy=busy):
        try:
            for left in folder.iterdir():
                if left.name != _LOCK:
                    shutil.rmtree(left)
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def turn(path: Path, *, on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold a lock file for as long as the block runs, after all who hold it before have let it go or died.

    Parameters
    ----------
    path : Path
        The lock file; it is made when it is missing and stays.
    on_wait : callable
        Called once when another process holds it.

    Raises
    ------
    MissingExtra
        filelock is not installed.
    """
    try:
        from filelock import FileLock, Timeout
    except ModuleNotFoundError as error:
        raise MissingExtra("Taking turns with other processes", "filelock", "kaggle") from error
    path.parent.mkdir(parents=True, exist_ok=True)
    held = FileLock(path)
    try:
        held.acquire(timeout=0)
    except Timeout:
        on_wait()
        held.acquire(timeout=-1, poll_interval=0.1)
    try:
        yield
    finally:
        held.release()


def _umask() -> int:
    # There is no call that only reads the mask; mkstemp ignores it and makes files that only the owner can read.
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync_folder(folder: Path) -> None:
    # A rename is durable only when its folder has reached the disk (rename(2), "NOTES").
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
