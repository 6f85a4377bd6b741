"""Competitions: what is asked about them, their files and their leaderboards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kagglekit.arena.desk import Answer, Desk, Fields, Redirect, Refusal, page, score_text
from kagglekit.arena.hosted import Hosted, hosted, open_hosted
from kagglekit.arena.leaderboard import Part, Standing, standings

__all__ = [
    "download_data_file",
    "download_data_files",
    "download_leaderboard",
    "get_competition",
    "get_leaderboard",
    "leaderboard",
    "list_competitions",
    "list_data_files",
]

# Kaggle's client crashes on a competition without a deadline.
_NO_DEADLINE = "2100-01-01T00:00:00.000Z"


def list_competitions(desk: Desk, fields: Fields) -> Answer:
    search = fields.text("search").lower()
    found, following = page([h for h in hosted(desk.home) if search in f"{h.slug} {h.title}".lower()], fields)
    return {"competitions": [_competition(desk, h) for h in found], "nextPageToken": following}


def get_competition(desk: Desk, fields: Fields) -> Answer:
    return _competition(desk, _hosted(desk, fields))


def list_data_files(desk: Desk, fields: Fields) -> Answer:
    hosted = _hosted(desk, fields)
    found, following = page(hosted.files, fields)
    files = [{"name": f.name, "totalBytes": f.bytes, "creationDate": hosted.created} for f in found]
    return {"files": files, "nextPageToken": following}


def download_data_file(desk: Desk, fields: Fields) -> Answer:
    hosted, name = _hosted(desk, fields), fields.text("fileName")
    if hosted.file(name) is None:
        raise Refusal(404, f"{hosted.slug} has no file of this name.")
    return Redirect({"kind": "file", "slug": hosted.slug, "name": name}, Path(name).name)


def download_data_files(desk: Desk, fields: Fields) -> Answer:
    hosted = _hosted(desk, fields)
    return Redirect({"kind": "archive", "slug": hosted.slug}, f"{hosted.slug}.zip")


def get_leaderboard(desk: Desk, fields: Fields) -> Answer:
    hosted = _hosted(desk, fields)
    found, following = page(leaderboard(desk, hosted, _part(desk, hosted, fields)), fields)
    lines = [
        {"teamId": s.team_id, "teamName": s.team, "submissionDate": s.date, "score": score_text(s.score)} for s in found
    ]
    return {"submissions": lines, "nextPageToken": following}


def download_leaderboard(desk: Desk, fields: Fields) -> Answer:
    hosted = _hosted(desk, fields)
    return Redirect({"kind": "leaderboard", "slug": hosted.slug}, f"{hosted.slug}.zip")


def leaderboard(desk: Desk, hosted: Hosted, part: Part = "public") -> list[Standing]:
    """The standings as of now, by public or by private scores."""
    return standings(hosted, desk.database.scored(hosted.slug, hosted.fingerprint), part)


def _part(desk: Desk, hosted: Hosted, fields: Fields) -> Part:
    return "private" if hosted.is_over(desk.now()) and not fields.flag("overridePublic") else "public"


def _hosted(desk: Desk, fields: Fields) -> Hosted:
    return open_hosted(desk.home, fields.text("competitionName"))


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
