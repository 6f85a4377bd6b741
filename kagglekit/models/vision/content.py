"""What a file holds, as a short key: copies of one picture, wherever they lie, share what is made of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from kagglekit.files import sha256, write_json
from kagglekit.models.vision.decoding import PathLike, in_threads
from kagglekit.progress import Progress, Silent

__all__ = ["content_keys", "state_key"]

_FOLDER = "content-v1"
_DIGITS = 24


def content_keys(
    paths: Iterable[PathLike], cache_dir: PathLike | None, progress: Progress | None = None
) -> dict[str, str]:
    """The key of each file's content, by path.

    A file is read once: its key is kept below `cache_dir` under its path, size and times, so that later calls only ask
    the file system whether it changed.

    Parameters
    ----------
    paths : iterable of str or Path
    cache_dir : path, optional
        None goes by the state of the file alone (`state_key`), for things that are kept nowhere.
    progress : Progress, optional
    """
    states = {str(path): state_key(path) for path in paths}
    if cache_dir is None:
        return states
    folder = Path(cache_dir) / _FOLDER
    known = _known(folder)
    if new := {state: path for path, state in states.items() if state not in known}:
        with (progress or Silent()).task("look through images", len(new)) as task:
            digests = dict(zip(new, in_threads(_digest, list(new.values()), task), strict=True))
        found = {state: digest for state, digest in digests.items() if digest}
        if found:
            name = hashlib.sha256("\n".join(found).encode()).hexdigest()[:16]
            write_json(folder / f"{name}.json", found)
        known |= found
    # A file that is not there has a key too, so that it is named together with the damaged ones.
    return {path: known.get(state, state) for path, state in states.items()}


def state_key(path: PathLike) -> str:
    """What a file is known by without reading it: its path, size, and times of modification and of change of status.

    The last tells apart two versions that were given one modification time, as `cp -p` does.
    """
    full = Path(path).resolve()
    try:
        stat = full.stat()
        text = f"{full}|{stat.st_size}|{stat.st_mtime_ns}|{stat.st_ctime_ns}"
    except OSError:
        text = f"{full}|missing"
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:_DIGITS]


def _digest(path: str) -> str:
    try:
        return sha256(Path(path))[:_DIGITS]
    except OSError:
        return ""


def _known(folder: Path) -> dict[str, str]:
    known: dict[str, str] = {}
    if folder.is_dir():
        for file in folder.glob("[!.]*.json"):
            # Whole or absent, as all that is written through `files`; one damaged later costs a second reading.
            with suppress(OSError, ValueError):
                known |= json.loads(file.read_text(encoding="utf-8"))
    return known
