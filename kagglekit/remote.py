"""What a site says, as small values: the site itself, its competitions, files, submissions and leaderboard."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from kagglekit.workspace import SiteName

__all__ = [
    "CompetitionPage",
    "DailyLimit",
    "LeaderboardRow",
    "RemoteFile",
    "RemoteSubmission",
    "Site",
    "Status",
]

Status = Literal["pending", "complete", "error"]


@dataclass(frozen=True)
class Site:
    """Where competitions are: Kaggle itself, or an arena."""

    name: SiteName
    url: str

    @classmethod
    def kaggle(cls) -> Site:
        return cls("kaggle", "https://www.kaggle.com")


@dataclass(frozen=True)
class CompetitionPage:
    """What a site says about a competition.

    Parameters
    ----------
    slug, title, url, description, metric : str
        `metric` is the site's own word for it; the arena uses kagglekit's names.
    deadline : datetime or None
        UTC.
    daily_limit : int
        0 when the site does not say.
    teams, place : int or None
        Teams on the public leaderboard, and one's own rank there; None when the site does not say.
    by_code : bool
        Whether submissions are made from notebooks only.
    """

    slug: str
    title: str
    url: str
    description: str
    metric: str
    deadline: datetime | None
    daily_limit: int
    teams: int | None = None
    place: int | None = None
    by_code: bool = False

    @classmethod
    def of(cls, found: Any) -> CompetitionPage:
        """From the client's message."""
        # Kaggle's `ref` is the address, its last part the slug.
        slug = (found.ref or found.url or "").rstrip("/").rsplit("/", 1)[-1]
        return cls(
            slug=slug,
            title=found.title or slug,
            url=found.url or found.ref,
            description=found.description or "",
            metric=found.evaluation_metric or "",
            deadline=_aware(found.deadline),
            daily_limit=found.max_daily_submissions,
            teams=found.team_count or None,
            place=found.user_rank or None,
            by_code=bool(found.is_kernels_submissions_only),
        )


@dataclass(frozen=True)
class RemoteFile:
    """A file that can be downloaded."""

    name: str
    bytes: int
    created: datetime | None

    @classmethod
    def of(cls, found: Any) -> RemoteFile:
        """From the client's message."""
        return cls(found.name, found.total_bytes, _aware(found.creation_date))


@dataclass(frozen=True)
class RemoteSubmission:
    """A submission as the site knows it; scores are None until it has some, `error` is the site's reason."""

    ref: str
    file: str
    message: str
    status: Status
    public: float | None
    private: float | None
    date: datetime | None
    error: str

    @classmethod
    def of(cls, found: Any) -> RemoteSubmission:
        """From the client's message."""
        statuses: dict[str, Status] = {"PENDING": "pending", "COMPLETE": "complete", "ERROR": "error"}
        return cls(
            ref=str(found.ref),
            file=found.file_name or "",
            message=found.description or "",
            status=statuses[found.status.name],
            public=_number(found.public_score),
            private=_number(found.private_score),
            date=_aware(found.date),
            error=found.error_description or "",
        )


@dataclass(frozen=True)
class DailyLimit:
    """Submissions of this UTC day: how many count already, and how many are left."""

    used: int
    left: int


@dataclass(frozen=True)
class LeaderboardRow:
    """One line of a leaderboard, best first; the score is NaN when the site sends none."""

    rank: int
    team: str
    score: float
    date: datetime | None

    @classmethod
    def of(cls, rank: int, found: Any) -> LeaderboardRow:
        """From the client's message."""
        score = _number(found.score)
        return cls(rank, found.team_name or "", math.nan if score is None else score, _aware(found.submission_date))


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None


def _aware(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment else None
