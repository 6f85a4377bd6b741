"""Kaggle's API calls as the arena answers them: one function a call, and the table that names them all.

Each call is a POST to `/api/v1/<service>/<Method>` with a JSON object; the field names and the meaning of each are
those of the public client (package `kagglesdk`). To add a call, write its function and add one line to `CALLS`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from kagglekit.arena.database import Database, LimitUsed, SubmissionRecord, stamp
from kagglekit.arena.hosted import Hosted, hosted, open_hosted
from kagglekit.arena.identity import Identity
from kagglekit.arena.leaderboard import Standing, standings
from kagglekit.arena.signing import Signer

__all__ = ["CALLS", "OPEN_CALLS", "Desk", "Fields", "Redirect", "Refusal", "answer"]

T = TypeVar("T")

# Kaggle's client crashes on a competition without a deadline.
_NO_DEADLINE = "2100-01-01T00:00:00.000Z"
_UPLOAD_SECONDS = 7 * 24 * 3600
_DOWNLOAD_SECONDS = 6 * 3600
_LARGEST_UPLOAD = 1 << 30
_LARGEST_SOURCE = 16 << 20
_LARGEST_PAGE = 200


class Refusal(Exception):
    """An answer other than 200.

    Parameters
    ----------
    status : int
        HTTP status.
    message : str
        What the caller should read.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


@dataclass(frozen=True)
class Redirect:
    """Where the bytes are: the claim of a download ticket, and the file name that the address ends in."""

    claim: Mapping[str, str]
    name: str


@dataclass(frozen=True)
class Desk:
    """What the calls work with.

    Parameters
    ----------
    home : Path
    url : str
        The arena's own address, without a final slash.
    identity : Identity
    database : Database
    signer : Signer
    now : callable
        The time, aware, in UTC.
    grade : callable
        Starts the grading of a submission by its ref, and returns at once.
    """

    home: Path
    url: str
    identity: Identity
    database: Database
    signer: Signer
    now: Callable[[], datetime]
    grade: Callable[[int], None]


class Fields:
    """The fields of a request; the client leaves out those that have their default."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def text(self, name: str) -> str:
        return self._typed(name, str, "")

    def number(self, name: str) -> int:
        return self._typed(name, int, 0)

    def as_json(self) -> str:
        return json.dumps(dict(self._values), sort_keys=True)

    def _typed(self, name: str, kind: type[T], default: T) -> T:
        value = self._values.get(name)
        if value is None:
            return default
        if not isinstance(value, kind) or isinstance(value, bool):
            raise Refusal(400, f"The field {name} must be of type {kind.__name__}.")
        return value


Answer = dict[str, Any] | Redirect
Call = Callable[[Desk, Fields], Answer]


def answer(desk: Desk, service: str, method: str, values: Mapping[str, Any]) -> Answer:
    """Answer one call.

    Raises
    ------
    Refusal
    CompetitionNotFound
    """
    call = CALLS.get((service, method))
    if call is None:
        raise Refusal(501, f"The arena does not answer {service}/{method}.")
    return call(desk, Fields(values))


def introspect_token(desk: Desk, fields: Fields) -> Answer:
    if not desk.identity.is_token(fields.text("token")):
        return {"active": False}
    return {"active": True, "username": desk.identity.username, "userId": 1, "scope": "resources.admin:*"}


def list_competitions(desk: Desk, fields: Fields) -> Answer:
    search = fields.text("search").lower()
    found = [h for h in hosted(desk.home) if search in f"{h.slug} {h.title}".lower()]
    page, following = _page(found, fields)
    return {"competitions": [_competition(desk, h) for h in page], "nextPageToken": following}


def get_competition(desk: Desk, fields: Fields) -> Answer:
    return _competition(desk, _hosted(desk, fields))


def list_data_files(desk: Desk, fields: Fields) -> Answer:
    hosted = _hosted(desk, fields)
    page, following = _page(hosted.files, fields)
    files = [{"name": f.name, "totalBytes": f.bytes, "creationDate": hosted.created} for f in page]
    return {"files": files, "nextPageToken": following}


def download_data_file(desk: Desk, fields: Fields) -> Answer:
    hosted, name = _hosted(desk, fields), fields.text("fileName")
    if hosted.file(name) is None:
        raise Refusal(404, f"{hosted.slug} has no file of this name.")
    return Redirect({"kind": "file", "slug": hosted.slug, "name": name}, Path(name).name)


def download_data_files(desk: Desk, fields: Fields) -> Answer:
    hosted = _hosted(desk, fields)
    return Redirect({"kind": "archive", "slug": hosted.slug}, f"{hosted.slug}.zip")


def start_submission_upload(desk: Desk, fields: Fields) -> Answer:
    hosted = _hosted(desk, fields)
    name, size = fields.text("fileName") or "submission.csv", fields.number("contentLength")
    if not 0 <= size <= _LARGEST_UPLOAD:
        raise Refusal(400, f"A submission may hold at most {_LARGEST_UPLOAD} bytes.")
    upload = desk.database.start_upload(hosted.slug, name.replace("\\", "/").rsplit("/", 1)[-1], size, desk.now())
    ticket = desk.signer.sign({"id": upload.id}, purpose="upload", seconds=_UPLOAD_SECONDS)
    return {"token": upload.id, "createUrl": f"{desk.url}/upload/{ticket}"}


def create_submission(desk: Desk, fields: Fields) -> Answer:
    hosted = _hosted(desk, fields)
    upload = desk.database.upload(fields.text("blobFileTokens"))
    if upload is None or upload.slug != hosted.slug or not upload_path(desk.home, upload.id).is_file():
        raise Refusal(400, "The submission's file has not been uploaded.")
    try:
        record = desk.database.add_submission(
            upload,
            fingerprint=hosted.fingerprint,
            team=desk.identity.username,
            description=fields.text("submissionDescription"),
            daily_limit=hosted.daily_limit,
            now=desk.now(),
        )
    except LimitUsed as error:
        raise Refusal(400, _limit_message(hosted.daily_limit, desk.now())) from error
    if record.status == "pending":
        desk.grade(record.ref)
    return {"message": f"Successfully submitted to {hosted.title} (arena)", "ref": record.ref}


def list_submissions(desk: Desk, fields: Fields) -> Answer:
    hosted = _hosted(desk, fields)
    records = desk.database.submissions(hosted.slug, desk.identity.username)
    if fields.text("group") == "SUBMISSION_GROUP_SUCCESSFUL":
        records = [r for r in records if r.status == "complete"]
    page, following = _page(records, fields)
    return {"submissions": [_submission(desk, hosted, r) for r in page], "nextPageToken": following}


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


def get_leaderboard(desk: Desk, fields: Fields) -> Answer:
    page, following = _page(leaderboard(desk, _hosted(desk, fields)), fields)
    lines = [
        {"teamId": s.team_id, "teamName": s.team, "submissionDate": s.date, "score": score_text(s.score)} for s in page
    ]
    return {"submissions": lines, "nextPageToken": following}


def download_leaderboard(desk: Desk, fields: Fields) -> Answer:
    hosted = _hosted(desk, fields)
    return Redirect({"kind": "leaderboard", "slug": hosted.slug}, f"{hosted.slug}.zip")


def save_kernel(desk: Desk, fields: Fields) -> Answer:
    owner, _, slug = fields.text("slug").partition("/")
    if owner != desk.identity.username or not slug or "/" in slug:
        raise Refusal(403, f"A notebook's id must be {desk.identity.username}/<name> here.")
    source = fields.text("text")
    if len(source) > _LARGEST_SOURCE:
        raise Refusal(400, f"A notebook may hold at most {_LARGEST_SOURCE} characters.")
    record = desk.database.save_kernel(slug, source, fields.as_json(), desk.now())
    return {
        "ref": f"/code/{owner}/{slug}",
        "url": f"{desk.url}/code/{owner}/{slug}",
        "versionNumber": record.version,
        "kernelId": record.id,
    }


_COMPETITIONS = "competitions.CompetitionApiService"
_KERNELS = "kernels.KernelsApiService"
_SECURITY = "security.OAuthService"

#: Every call that the arena answers; all others get 501 and say so.
CALLS: Mapping[tuple[str, str], Call] = MappingProxyType(
    {
        (_SECURITY, "IntrospectToken"): introspect_token,
        (_COMPETITIONS, "ListCompetitions"): list_competitions,
        (_COMPETITIONS, "GetCompetition"): get_competition,
        (_COMPETITIONS, "ListDataFiles"): list_data_files,
        (_COMPETITIONS, "DownloadDataFile"): download_data_file,
        (_COMPETITIONS, "DownloadDataFiles"): download_data_files,
        (_COMPETITIONS, "StartSubmissionUpload"): start_submission_upload,
        (_COMPETITIONS, "CreateSubmission"): create_submission,
        (_COMPETITIONS, "ListSubmissions"): list_submissions,
        (_COMPETITIONS, "GetSubmission"): get_submission,
        (_COMPETITIONS, "DownloadSubmission"): download_submission,
        (_COMPETITIONS, "GetSubmissionLimits"): get_submission_limits,
        (_COMPETITIONS, "GetLeaderboard"): get_leaderboard,
        (_COMPETITIONS, "DownloadLeaderboard"): download_leaderboard,
        (_KERNELS, "SaveKernel"): save_kernel,
    }
)

#: Calls that need no credentials: a token is checked by sending it.
OPEN_CALLS = frozenset({(_SECURITY, "IntrospectToken")})


def leaderboard(desk: Desk, hosted: Hosted) -> list[Standing]:
    """The standings as of now."""
    return standings(hosted, desk.database.scored(hosted.slug, hosted.fingerprint))


def upload_path(home: Path, upload_id: str) -> Path:
    """Where the bytes of a complete upload lie. Only for ids that the database knows."""
    return home / "uploads" / upload_id


def score_text(score: float) -> str:
    """Kaggle sends scores as text, with five decimals."""
    # Adding zero turns -0.0 into 0.0.
    return f"{round(score, 5) + 0.0:.5f}"


def download_ticket(desk: Desk, redirect: Redirect) -> str:
    return desk.signer.sign(redirect.claim, purpose="download", seconds=_DOWNLOAD_SECONDS)


def _hosted(desk: Desk, fields: Fields) -> Hosted:
    return open_hosted(desk.home, fields.text("competitionName"))


def _record(desk: Desk, ref: int) -> SubmissionRecord:
    record = desk.database.submission(ref) if abs(ref) < 1 << 63 else None
    if record is None:
        raise Refusal(404, "There is no such submission.")
    return record


def _competition(desk: Desk, hosted: Hosted) -> dict[str, Any]:
    lines, address = leaderboard(desk, hosted), f"{desk.url}/competitions/{hosted.slug}"
    mine = [s for s in lines if s.team == desk.identity.username and not s.is_baseline]
    kind = "Synthetic practice competition." if hosted.synthetic else "Practice competition."
    found: dict[str, Any] = {
        "id": int(hosted.fingerprint[:8], 16),
        "ref": address,
        "url": address,
        "title": hosted.title,
        "description": f"{kind} {hosted.description}".strip(),
        "organizationName": "kagglekit arena",
        "category": "Practice",
        "reward": "Practice",
        "deadline": hosted.deadline or _NO_DEADLINE,
        "enabledDate": hosted.created,
        "teamCount": len(lines),
        "userHasEntered": True,
        "maxDailySubmissions": hosted.daily_limit,
        "maxTeamSize": 1,
        "evaluationMetric": hosted.competition.metric,
    }
    return found | ({"userRank": mine[0].rank} if mine else {})


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


def _page(items: list[T] | tuple[T, ...], fields: Fields) -> tuple[list[T], str]:
    """One page of a list, and the token of the next; the token is the place where it starts."""
    size = min(max(fields.number("pageSize") or 20, 1), _LARGEST_PAGE)
    token, page = fields.text("pageToken"), max(fields.number("page"), 1)
    if token and not (token.isascii() and token.isdigit() and len(token) < 10):
        raise Refusal(400, "The page token is none of the arena's.")
    start = int(token) if token else (page - 1) * size
    end = start + size
    return list(items[start:end]), str(end) if end < len(items) else ""


def _limit_message(limit: int, now: datetime) -> str:
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    hours = (midnight - now).total_seconds() / 3600
    return (
        f"Submission not allowed: your team has used its submission allowance ({limit} of {limit}). "
        f"It resets at midnight UTC ({hours:.1f} hours from now, {stamp(midnight)})."
    )
