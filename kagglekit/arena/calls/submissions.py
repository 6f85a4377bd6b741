"""Submissions: a file or a notebook's output is sent, counted, graded and listed."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from kagglekit.arena.database import LimitUsed, SubmissionRecord, Upload
from kagglekit.arena.desk import Answer, Desk, Fields, Redirect, Refusal, page, score_text
from kagglekit.arena.hosted import Hosted, open_hosted
from kagglekit.arena.runner import output_files
from kagglekit.arena.sqlite import stamp
from kagglekit.arena.uploads import adopt, announce, uploaded

__all__ = [
    "create_code_submission",
    "create_submission",
    "download_submission",
    "get_submission",
    "get_submission_limits",
    "list_submissions",
    "start_submission_upload",
]

_LARGEST = 1 << 30


def start_submission_upload(desk: Desk, fields: Fields) -> Answer:
    hosted = _hosted(desk, fields)
    name, size = fields.text("fileName") or "submission.csv", fields.number("contentLength")
    upload, address = announce(desk, hosted.slug, name, size, largest=_LARGEST)
    return {"token": upload.id, "createUrl": address}


def create_submission(desk: Desk, fields: Fields) -> Answer:
    hosted = _hosted(desk, fields)
    upload = uploaded(desk, fields.text("blobFileTokens"), hosted.slug)
    if upload is None:
        raise Refusal(400, "The submission's file has not been uploaded.")
    return _submit(desk, hosted, upload, fields.text("submissionDescription"))


def create_code_submission(desk: Desk, fields: Fields) -> Answer:
    """Submit a file that a notebook made: the notebook's run must be complete."""
    hosted, name = _hosted(desk, fields), fields.text("fileName") or "submission.csv"
    kernel = desk.kernels.find(fields.text("kernelSlug"), fields.number("kernelVersion") or None)
    if kernel is None or fields.text("kernelOwner") != desk.identity.username:
        raise Refusal(404, "There is no such notebook.")
    session, folder = desk.runner.session(kernel), desk.runner.output(kernel)
    if session.status != "COMPLETE" or folder is None:
        raise Refusal(400, f"Version {kernel.version} of the notebook is not complete. {session.message}".strip())
    if name not in output_files(folder):
        raise Refusal(400, f"Version {kernel.version} of the notebook made no file {name}.")
    upload = adopt(desk, hosted.slug, folder / name)
    return _submit(desk, hosted, upload, fields.text("submissionDescription"))


def list_submissions(desk: Desk, fields: Fields) -> Answer:
    hosted = _hosted(desk, fields)
    records = desk.database.submissions(hosted.slug, desk.identity.username)
    if fields.text("group") == "SUBMISSION_GROUP_SUCCESSFUL":
        records = [r for r in records if r.status == "complete"]
    found, following = page(records, fields)
    return {"submissions": [_submission(desk, hosted, r) for r in found], "nextPageToken": following}


def get_submission(desk: Desk, fields: Fields) -> Answer:
    record = _record(desk, fields.number("ref"))
    return _submission(desk, open_hosted(desk.home, record.slug), record)


def download_submission(desk: Desk, fields: Fields) -> Answer:
    record = _record(desk, fields.number("submissionId"))
    return Redirect({"kind": "submission", "ref": str(record.ref)}, record.file_name)


def get_submission_limits(desk: Desk, fields: Fields) -> Answer:
    hosted, team, now = _hosted(desk, fields), desk.identity.username, desk.now()
    used = desk.database.used_today(hosted.slug, team, now)
    total = len(desk.database.submissions(hosted.slug, team))
    return {"numToday": used, "numTotal": total, "numAllowedNow": max(0, hosted.daily_limit - used)}


def _submit(desk: Desk, hosted: Hosted, upload: Upload, description: str) -> Answer:
    try:
        record = desk.database.add_submission(
            upload,
            fingerprint=hosted.fingerprint,
            team=desk.identity.username,
            description=description,
            daily_limit=hosted.daily_limit,
            now=desk.now(),
        )
    except LimitUsed as error:
        raise Refusal(400, _limit_message(hosted.daily_limit, desk.now())) from error
    if record.status == "pending":
        desk.grade(record.ref)
    return {"message": f"Successfully submitted to {hosted.title} (arena)", "ref": record.ref}


def _hosted(desk: Desk, fields: Fields) -> Hosted:
    return open_hosted(desk.home, fields.text("competitionName"))


def _record(desk: Desk, ref: int) -> SubmissionRecord:
    record = desk.database.submission(ref)
    if record is None:
        raise Refusal(404, "There is no such submission.")
    return record


def _submission(desk: Desk, hosted: Hosted, record: SubmissionRecord) -> dict[str, Any]:
    found: dict[str, Any] = {
        "ref": record.ref,
        "date": record.created,
        "description": record.description,
        "fileName": record.file_name,
        "totalBytes": record.bytes,
        "status": record.status.upper(),
        "submittedBy": record.team,
        "submittedByRef": record.team,
        "teamName": record.team,
        "url": f"{desk.url}/competitions/{record.slug}",
    }
    if record.public is not None:
        found["publicScore"] = score_text(record.public)
    if record.private is not None and hosted.is_over(desk.now()):
        found["privateScore"] = score_text(record.private)
    if record.error:
        found["errorDescription"] = record.error
    return found


def _limit_message(limit: int, now: datetime) -> str:
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    hours = (midnight - now).total_seconds() / 3600
    return (
        f"Submission not allowed: your team has used its submission allowance ({limit} of {limit}). "
        f"It resets at midnight UTC ({hours:.1f} hours from now, {stamp(midnight)})."
    )
