"""Uploads: files that were announced, the signed addresses that take their bytes, and where these lie."""

from __future__ import annotations

import shutil
from pathlib import Path

from kagglekit.arena.database import Upload
from kagglekit.arena.desk import Desk, Refusal

__all__ = ["adopt", "announce", "upload_path", "uploaded"]

_UPLOAD_SECONDS = 7 * 24 * 3600
_LARGEST = 1 << 36


def announce(desk: Desk, slug: str, name: str, size: int, *, largest: int = _LARGEST) -> tuple[Upload, str]:
    """Announce a file for a competition, or with slug "" for a dataset; gives the address that takes its bytes."""
    if not 0 <= size <= largest:
        raise Refusal(400, f"A file of 0 to {largest} bytes can be uploaded here, not of {size}.")
    upload = desk.database.start_upload(slug, name.replace("\\", "/").rsplit("/", 1)[-1], size, desk.now())
    ticket = desk.signer.sign({"id": upload.id}, purpose="upload", seconds=_UPLOAD_SECONDS)
    return upload, f"{desk.url}/upload/{ticket}"


def uploaded(desk: Desk, token: str, slug: str) -> Upload | None:
    """The upload of this token, if it is for this competition and all of its bytes have come."""
    upload = desk.database.upload(token)
    if upload is None or upload.slug != slug or not upload_path(desk.home, upload.id).is_file():
        return None
    return upload


def adopt(desk: Desk, slug: str, path: Path) -> Upload:
    """Make an upload of a file that lies on this computer."""
    upload = desk.database.start_upload(slug, path.name, path.stat().st_size, desk.now())
    target = upload_path(desk.home, upload.id)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, target)
    return upload


def upload_path(home: Path, upload_id: str) -> Path:
    """Where the bytes of a complete upload lie. Only for ids that the database knows."""
    return home / "uploads" / upload_id
