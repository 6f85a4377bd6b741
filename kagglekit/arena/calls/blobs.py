"""Blobs: files on their way into a dataset."""

from __future__ import annotations

from kagglekit.arena.desk import Answer, Desk, Fields, Refusal
from kagglekit.arena.uploads import announce

__all__ = ["start_blob_upload"]

_KINDS = ("", "DATASET", "INBOX", "API_BLOB_TYPE_UNSPECIFIED")


def start_blob_upload(desk: Desk, fields: Fields) -> Answer:
    if fields.text("type") not in _KINDS:
        raise Refusal(501, f"The arena keeps no blobs of type {fields.text('type')}.")
    if not fields.text("name"):
        raise Refusal(400, "The file needs a name.")
    upload, address = announce(desk, "", fields.text("name"), fields.number("contentLength"))
    return {"token": upload.id, "createUrl": address}
