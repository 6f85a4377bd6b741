"""Bytes in and out: signed upload and download addresses, with ranges, resumption and checksums as cloud storage has.

An address holds a ticket and, for the client's sake, a file name at its end; only the ticket decides what is served.
Uploads follow Google's protocol for resumable uploads, which Kaggle's client expects.
"""

from __future__ import annotations

import base64
import hashlib
import re
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from kagglekit.arena.archive import files_archive, leaderboard_archive
from kagglekit.arena.database import Upload
from kagglekit.arena.hosted import open_hosted
from kagglekit.arena.protocol import Desk, Redirect, Refusal, download_ticket, leaderboard, upload_path
from kagglekit.arena.signing import BadTicket

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

__all__ = ["address", "receive", "send"]

_RANGE = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+)")


def address(desk: Desk, redirect: Redirect) -> str:
    """The signed address of a download; its last part is the file name."""
    return f"{desk.url}/download/{download_ticket(desk, redirect)}/{quote(redirect.name)}"


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
        headers={"x-goog-hash": f"md5={digest}"},
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
    part = whole.with_suffix(".part")
    part.parent.mkdir(parents=True, exist_ok=True)
    start = _start(request.headers.get("content-range"), upload, _size(part))
    if start is not None:
        await _append(part, start, upload, request)
    elif upload.bytes:
        return _so_far(_size(part))
    if _size(part) < upload.bytes:
        return _so_far(_size(part))
    part.replace(whole)
    return _answer(200)


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


async def _append(part: Path, start: int, upload: Upload, request: Request) -> None:
    with part.open("r+b" if part.exists() else "wb") as file:
        file.seek(start)
        file.truncate()
        async for chunk in request.stream():
            if file.tell() + len(chunk) > upload.bytes:
                raise Refusal(400, f"More bytes came than the {upload.bytes} announced.")
            file.write(chunk)


def _so_far(received: int) -> Response:
    # "Resume Incomplete": a Location would make the client follow it, and without a Range nothing has come.
    return _answer(308, {"Range": f"bytes=0-{received - 1}"} if received else {})


def _answer(status: int, headers: dict[str, str] | None = None) -> Response:
    from starlette.responses import Response

    return Response(status_code=status, headers=headers)


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _claim(desk: Desk, ticket: str, purpose: str) -> dict[str, str]:
    try:
        return desk.signer.open(ticket, purpose=purpose)
    except BadTicket as error:
        raise Refusal(403, "This address is not valid, or no longer.") from error


def _file_of(desk: Desk, claim: dict[str, str]) -> Path | None:
    if claim["kind"] == "submission":
        record = desk.database.submission(int(claim["ref"]))
        return upload_path(desk.home, record.upload) if record else None
    hosted = open_hosted(desk.home, claim["slug"])
    if claim["kind"] == "archive":
        return files_archive(desk.home, hosted)
    if claim["kind"] == "leaderboard":
        return leaderboard_archive(desk.home, hosted, leaderboard(desk, hosted))
    return hosted.file(claim["name"])


@lru_cache(maxsize=1024)
def _md5(path: Path, modified: int, size: int) -> str:
    # Time and size are part of the key, so that a changed file is read again.
    with path.open("rb") as file:
        return base64.b64encode(hashlib.file_digest(file, "md5").digest()).decode()
