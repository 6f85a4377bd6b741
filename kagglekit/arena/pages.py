"""The arena's pages for people: plain HTML from the server, readable on a phone, nothing loaded from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta
from functools import lru_cache
from importlib.resources import files
from typing import Any

from kagglekit.arena.calls.competitions import leaderboard
from kagglekit.arena.database import SubmissionRecord
from kagglekit.arena.dataset_store import DatasetRecord
from kagglekit.arena.desk import Desk, score_text
from kagglekit.arena.hosted import Hosted, hosted, open_hosted
from kagglekit.arena.kernel_store import KernelRecord
from kagglekit.arena.leaderboard import Standing, chosen
from kagglekit.arena.runner import output_files
from kagglekit.errors import MissingExtra
from kagglekit.metrics import get_metric

__all__ = [
    "PageNotFound",
    "competition_page",
    "competitions_page",
    "dataset_page",
    "datasets_page",
    "kernel_page",
    "kernels_page",
    "leaderboard_page",
    "not_found_page",
    "split_message",
    "submissions_page",
]

# The message that `kagglekit submit` writes: a run's id, which ends in eight hexadecimal digits, its score, what it was
# for; and at the end, perhaps, the mark by which a lost submission is found again.
_CV = re.compile(r"[\w.-]+-[0-9a-f]{8} CV (-?\d+\.\d{5}): (.*?)(?: \[[0-9a-f]{8}\])?", re.DOTALL)
_FEW = 5
_MANY = 30


class PageNotFound(Exception):
    """There is nothing of this name to make a page of."""


def competitions_page(desk: Desk) -> str:
    """All competitions, each with how one stands."""
    return _page("competitions.html", "Arena", "Competitions", cards=[_card(desk, h) for h in hosted(desk.home)])


def competition_page(desk: Desk, slug: str) -> str:
    """The facts, the first places and the files of one competition."""
    one = open_hosted(desk.home, slug)
    standings = leaderboard(desk, one)
    top = [s for s in standings if s.rank <= _FEW or s.team == desk.identity.username]
    return _page(
        "competition.html",
        one.title,
        "Competitions",
        head=_head(desk, one),
        tab="Overview",
        description=one.description,
        facts=_facts(one),
        classes=[str(c) for c in one.competition.classes],
        board={"lines": [_line(desk, s) for s in top], "moved": False},
        n_teams=len(standings),
        more_teams=len(standings) > len(top),
        files=[{"name": f.name, "size": _size(f.bytes)} for f in one.files[:_MANY]],
        more_files=f"{len(one.files) - _MANY:,}" if len(one.files) > _MANY else "",
    )


def leaderboard_page(desk: Desk, slug: str) -> str:
    """The public leaderboard, and after the deadline the private one above it."""
    one = open_hosted(desk.home, slug)
    public = leaderboard(desk, one)
    lines = [_line(desk, s) for s in public]
    note = f"Scores of the public part of the test rows. The rest decides in the end. {_place(desk, public)}"
    boards = [{"title": "Public leaderboard", "lines": lines, "moved": False, "note": note}]
    if one.is_over(desk.now()):
        before = {s.team: s.rank for s in public}
        private = leaderboard(desk, one, "private")
        lines = [_line(desk, s, before.get(s.team)) for s in private]
        note = "Scores of the private part, which decide. Of each team, the better of its two best public submissions."
        note = f"{note} {_place(desk, private)}"
        boards.insert(0, {"title": "Private leaderboard", "lines": lines, "moved": True, "note": note})
    title = f"{one.title}: leaderboard"
    return _page("leaderboard.html", title, "Competitions", head=_head(desk, one), tab="Leaderboard", boards=boards)


def submissions_page(desk: Desk, slug: str) -> str:
    """One's own submissions, with CV beside the score."""
    one, now = open_hosted(desk.home, slug), desk.now()
    records = desk.database.submissions(slug, desk.identity.username)
    scored = [r for r in records if r.status == "complete" and r.fingerprint == one.fingerprint]
    final = {r.ref for r in chosen(scored, get_metric(one.metric))} if one.is_over(now) else set()
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    left = (midnight - now) // timedelta(minutes=1)
    facts = [
        ("Left today", _left(desk, one)),
        ("Counted anew in", f"{left // 60} h {left % 60:02d} min"),
        ("Submissions", f"{len(records):,}"),
    ]
    return _page(
        "submissions.html",
        f"{one.title}: my submissions",
        "Competitions",
        head=_head(desk, one),
        tab="My submissions",
        facts=facts,
        is_over=one.is_over(now),
        lines=[_submission(r, counts=r.ref in final) for r in records],
    )


def datasets_page(desk: Desk) -> str:
    """All datasets, the last changed first."""
    lines = [
        {
            "title": r.settings.title,
            "ref": f"{desk.identity.username}/{r.slug}",
            "address": f"/datasets/{desk.identity.username}/{r.slug}",
            "is_private": r.settings.is_private,
            "version": r.latest.number,
            "size": _size(r.latest.bytes),
            "date": _date(r.latest.created),
        }
        for r in desk.datasets.all()
    ]
    return _page("datasets.html", "Arena: datasets", "Datasets", lines=lines)


def dataset_page(desk: Desk, owner: str, slug: str) -> str:
    """One dataset: what it is, its files, its versions."""
    record = desk.datasets.find(slug)
    if record is None or owner != desk.identity.username:
        raise PageNotFound
    settings, latest = record.settings, record.latest
    return _page(
        "dataset.html",
        settings.title,
        "Datasets",
        ref=f"{owner}/{slug}",
        subtitle=settings.subtitle,
        description=settings.description,
        license=settings.license_name,
        is_private=settings.is_private,
        version=latest.number,
        files=[{"name": f.name, "size": _size(f.bytes)} for f in latest.files[:_MANY]],
        more_files=f"{len(latest.files) - _MANY:,}" if len(latest.files) > _MANY else "",
        versions=_versions(record),
    )


def kernels_page(desk: Desk) -> str:
    """All notebooks and scripts, the last pushed first."""
    lines = [
        {
            "title": r.title,
            "ref": f"{desk.identity.username}/{r.slug}",
            "address": f"/code/{desk.identity.username}/{r.slug}",
            "is_private": r.facts.get("isPrivate", True),
            "status": _status(desk, r),
            "version": r.version,
            "date": _date(r.created),
        }
        for r in desk.kernels.latest()
    ]
    return _page("kernels.html", "Arena: code", "Code", lines=lines)


def kernel_page(desk: Desk, owner: str, slug: str) -> str:
    """One notebook: where its run stands, what it takes and what it made. Its source needs the token."""
    record = desk.kernels.find(slug)
    if record is None or owner != desk.identity.username:
        raise PageNotFound
    facts, folder = record.facts, desk.runner.output(record)
    kinds = {"competition": "competitionDataSources", "dataset": "datasetDataSources", "notebook": "kernelDataSources"}
    return _page(
        "kernel.html",
        record.title,
        "Code",
        ref=f"{owner}/{slug}",
        status=_status(desk, record),
        message=desk.runner.session(record).message,
        is_private=facts.get("isPrivate", True),
        facts=[
            ("Version", record.version),
            ("Pushed", _date(record.created)),
            ("Kind", f"{facts.get('language', 'python')} {facts.get('kernelType', 'notebook')}"),
            ("Machine", facts.get("machineShape") or ("GPU" if facts.get("enableGpu") else "CPU")),
            ("Internet", "on" if facts.get("enableInternet") else "off"),
        ],
        sources=[(kind, name) for kind, field in kinds.items() for name in facts.get(field, ())],
        files=[{"name": n, "size": _size((folder / n).stat().st_size)} for n in output_files(folder)] if folder else [],
    )


def not_found_page() -> str:
    return _page("missing.html", "Not found", "")


def split_message(message: str) -> tuple[str | None, str]:
    """The CV score that `kagglekit submit` wrote into a submission's message, and what the run was for.

    A message of any other form has no CV, and is given back whole.
    """
    match = _CV.fullmatch(message)
    return (match[1], match[2]) if match else (None, message)


def _card(desk: Desk, one: Hosted) -> dict[str, Any]:
    standings = leaderboard(desk, one)
    own = next((s for s in standings if s.team == desk.identity.username and not s.is_baseline), None)
    place = f"place {own.rank} of {len(standings)}, {score_text(own.score)}" if own else "no score yet"
    metric = get_metric(one.metric)
    return _head(desk, one) | {
        "metric": metric.title,
        "better": "higher" if metric.greater_is_better else "lower",
        "place": place,
        "left": "" if one.is_over(desk.now()) else f"{_left(desk, one)} left today",
    }


def _head(desk: Desk, one: Hosted) -> dict[str, Any]:
    kind = "synthetic practice competition" if one.synthetic else "practice competition"
    return {"slug": one.slug, "title": one.title, "kind": kind, "is_over": one.is_over(desk.now())}


def _left(desk: Desk, one: Hosted) -> str:
    used = desk.database.used_today(one.slug, desk.identity.username, desk.now())
    return f"{max(0, one.daily_limit - used)} of {one.daily_limit}"


def _facts(one: Hosted) -> list[tuple[str, str]]:
    competition, metric = one.competition, get_metric(one.metric)
    return [
        ("Task", competition.task),
        ("Metric", f"{metric.title}, {'higher' if metric.greater_is_better else 'lower'} is better"),
        *([("Best possible, public", score_text(one.best.public))] if one.best else []),
        ("Id, target", f"{competition.id}, {competition.target}"),
        ("Submissions a day", str(one.daily_limit)),
        ("Deadline", _date(one.deadline) if one.deadline else "none"),
        ("Files", f"{len(one.files):,}, {_size(sum(f.bytes for f in one.files))}"),
    ]


def _line(desk: Desk, standing: Standing, before: int | None = None) -> dict[str, Any]:
    mine = standing.team == desk.identity.username and not standing.is_baseline
    won = (before or standing.rank) - standing.rank
    return {
        "rank": standing.rank,
        "team": standing.team,
        "kind": "baseline" if standing.is_baseline else "mine" if mine else "team",
        "word": _word(standing, mine),
        "medal": standing.medal or "",
        "score": score_text(standing.score),
        "entries": "" if standing.is_baseline else standing.entries,
        "date": "" if standing.is_baseline else _date(standing.date),
        "move": f"▲ {won}" if won > 0 else f"▼ {-won}" if won < 0 else "–",
        "direction": "up" if won > 0 else "down" if won < 0 else "",
    }


def _word(standing: Standing, mine: bool) -> str:
    if standing.is_simulated:
        return ""  # its name says so
    return "baseline" if standing.is_baseline else "you" if mine else ""


def _place(desk: Desk, standings: Sequence[Standing]) -> str:
    """Where one stands, for boards on which one has to look for it."""
    own = next((s for s in standings if s.team == desk.identity.username and not s.is_baseline), None)
    return f"You: place {own.rank} of {len(standings)}." if own else ""


def _submission(record: SubmissionRecord, *, counts: bool) -> dict[str, Any]:
    cv, why = split_message(record.description)
    word = {"complete": "counts" if counts else "", "pending": "pending", "error": "refused"}[record.status]
    return {
        "file": record.file_name,
        "message": why,
        "error": record.error,
        "kind": {"error": "wrong"}.get(record.status, "mine" if counts else "line"),
        "word": word,
        "cv": cv or "–",
        "public": "–" if record.public is None else score_text(record.public),
        "private": "–" if record.private is None else score_text(record.private),
        "date": _date(record.created),
    }


def _versions(record: DatasetRecord) -> Sequence[dict[str, Any]]:
    return [
        {
            "number": v.number,
            "notes": v.notes,
            "files": f"{len(v.files):,}",
            "size": _size(v.bytes),
            "date": _date(v.created),
        }
        for v in record.versions
    ]


def _status(desk: Desk, record: KernelRecord) -> str:
    return desk.runner.session(record).status.replace("_", " ").lower()


def _size(n_bytes: int) -> str:
    if n_bytes < 1000:
        return f"{n_bytes} B"
    return f"{n_bytes / 1e6:,.1f} MB" if n_bytes >= 1e5 else f"{n_bytes / 1e3:,.1f} kB"


def _date(stamped: str) -> str:
    return f"{stamped[:10]} {stamped[11:16]} UTC"


def _page(template: str, title: str, room: str, **values: Any) -> str:
    return str(_environment().get_template(template).render(title=title, room=room, **values))


@lru_cache(maxsize=1)
def _environment() -> Any:
    try:
        from jinja2 import Environment, FunctionLoader, StrictUndefined
    except ModuleNotFoundError as error:
        raise MissingExtra("The arena's pages", "jinja2", "arena") from error
    return Environment(
        loader=FunctionLoader(_template),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _template(name: str) -> str:
    return (files("kagglekit.arena") / "templates" / name).read_text(encoding="utf-8")
