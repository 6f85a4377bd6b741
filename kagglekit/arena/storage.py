"""Bytes in and out: signed upload and download addresses, with ranges, resumption and checksums as cloud storage has.

An address holds a ticket and, for the client's sake, a file name at its end; only the ticket decides what is served.
Uploads follow Google's protocol for resumable uploads, which Kaggle's client expects.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from kagglekit.arena.archive import built, files_archive, leaderboard_archive
from kagglekit.arena.calls.competitions import leaderboard
from kagglekit.arena.database import Upload
from kagglekit.arena.desk import Desk, Refusal
from kagglekit.arena.hosted import open_hosted
from kagglekit.arena.leaderboard import Part
from kagglekit.arena.runner import output_files
from kagglekit.arena.signing import BadTicket
from kagglekit.arena.uploads import upload_path
from kagglekit.files import disk_errors

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

__all__ = ["receive", "send"]

_RANGE = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+)")


def send(desk: Desk, ticket: str) -> Response:
    """Answer a download: the file, with all headers that let a client resume and check it.

    Raises
    ------
    Refusal
        The ticket is not good, or what it names is gone.
    """
    from starlette.responses import FileResponse

    path = _file_of(desk, _claim(desk, ticket, "download"))
    if path is None or not path.is_file():
        raise Refusal(404, "There is no such file.")
    stat = path.stat()
    digest = _md5(path, stat.st_mtime_ns, stat.st_size)
    return FileResponse(
        path,
        media_type="application/zip" if path.suffix == ".zip" else "application/octet-stream",
        # An ETag of the content: a file that was made again, byte for byte, is still the same to who resumes.
        headers={"x-goog-hash": f"md5={base64.b64encode(digest).decode()}", "ETag": f'"{digest.hex()}"'},
        stat_result=stat,
    )


async def receive(desk: Desk, ticket: str, request: Request) -> Response:
    """Answer an upload: the whole file, the next part of it, or the question how much has come so far.

    Raises
    ------
    Refusal
        The ticket is not good, or the bytes are not those that were announced.
    """
    upload = desk.database.upload(_claim(desk, ticket, "upload")["id"])
    if upload is None:
        raise Refusal(404, "There is no such upload.")
    whole = upload_path(desk.home, upload.id)
    if whole.is_file():
        return _answer(200)
    with _part(whole.with_suffix(".part")) as part:
        start = _start(request.headers.get("content-range"), upload, _size(part))
        if start is not None:
            await _append(part, start, upload, request)
        elif upload.bytes:
            return _so_far(_size(part))
        if _size(part) < upload.bytes:
            return _so_far(_size(part))
        Path(part.name).replace(whole)
    return _answer(200)


@contextmanager
def _part(path: Path) -> Iterator[BinaryIO]:
    """What has come so far; only one request at a time adds to it, whichever process it reached."""
    import fcntl  # the arena runs where Kaggle's competitors do, on Linux and macOS

    path.parent.mkdir(parents=True, exist_ok=True)
    with disk_errors(path), path.open("ab") as touched, path.open("r+b") as part:
        try:
            fcntl.flock(touched, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Refusal(503, "Another request is uploading this file.") from error
        yield part


def _start(content_range: str | None, upload: Upload, received: int) -> int | None:
    """Where the body begins; None for a mere question."""
    if content_range is None:
        return 0
    match = _RANGE.fullmatch(content_range.strip())
    if match is None or int(match[3]) != upload.bytes:
        raise Refusal(400, "The Content-Range is not one of this upload.")
    if match[1] is None:
        return None
    if int(match[1]) > received:
        raise Refusal(400, f"The upload goes on at byte {received}.")
    return int(match[1])


async def _append(part: BinaryIO, start: int, upload: Upload, request: Request) -> None:
    part.seek(start)
    part.truncate()
    async for chunk in request.stream():
        if part.tell() + len(chunk) > upload.bytes:
            raise Refusal(400, f"More bytes came than the {upload.bytes} announced.")
        part.write(chunk)


def _so_far(received: int) -> Response:
    # "Resume Incomplete": a Location would make the client follow it, and without a Range nothing has come.
    return _answer(308, {"Range": f"bytes=0-{received - 1}"} if received else {})


def _answer(status: int, headers: dict[str, str] | None = None) -> Response:
    from starlette.responses import Response

    return Response(status_code=status, headers=headers)


def _size(part: BinaryIO) -> int:
    return part.seek(0, 2)


def _claim(desk: Desk, ticket: str, purpose: str) -> dict[str, str]:
    try:
        return desk.signer.open(ticket, purpose=purpose)
    except BadTicket as error:
        raise Refusal(403, "This address is not valid, or no longer.") from error


def _file_of(desk: Desk, claim: dict[str, str]) -> Path | None:
    kind = claim["kind"]
    if kind == "submission":
        record = desk.database.submission(int(claim["ref"]))
        return upload_path(desk.home, record.upload) if record else None
    if kind == "dataset":
        return _dataset_file(desk, claim)
    if kind == "output":
        return _output_file(desk, claim)
    hosted = open_hosted(desk.home, claim["slug"])
    if kind == "archive":
        return files_archive(desk.home, hosted)
    if kind == "leaderboard":
        part: Part = "private" if hosted.is_over(desk.now()) else "public"
        return leaderboard_archive(desk.home, hosted, leaderboard(desk, hosted, part), part)
    return hosted.file(claim["name"])


def _dataset_file(desk: Desk, claim: dict[str, str]) -> Path | None:
    record = desk.datasets.numbered(int(claim["id"]))
    version = record.version(int(claim["version"])) if record else None
    if record is None or version is None:
        return None
    content = {f.name: desk.datasets.content(f.sha256) for f in version.files}
    if "name" in claim:
        return content.get(claim["name"])
    return built(desk.home / "cache" / "datasets" / str(record.id) / f"{version.number}.zip", content)


def _output_file(desk: Desk, claim: dict[str, str]) -> Path | None:
    record = desk.kernels.numbered(int(claim["id"]))
    folder = desk.runner.output(record) if record else None
    names = output_files(folder)
    if record is None or folder is None or not names:
        return None
    if "name" in claim:
        return folder / claim["name"] if claim["name"] in names else None
    return built(_output_archive(desk.home, record.id, folder, names), {name: folder / name for name in names})


def _output_archive(home: Path, record_id: int, folder: Path, names: list[str]) -> Path:
    """Where the zip of this state of the output lies; a run that goes on changes it."""
    state = [(name, (folder / name).stat().st_mtime_ns, (folder / name).stat().st_size) for name in names]
    return home / "cache" / "output" / str(record_id) / f"{hashlib.sha256(repr(state).encode()).hexdigest()[:16]}.zip"


@lru_cache(maxsize=1024)
def _md5(path: Path, modified: int, size: int) -> bytes:
    # Time and size are part of the key, so that a changed file is read again.
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").digest()
