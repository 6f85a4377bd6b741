"""A hosted competition as it lies in the arena's home: its facts, its files, and apart from them its solution."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import pandas as pd

from kagglekit.contracts import Competition
from kagglekit.errors import CompetitionNotFound, DataError, nearest
from kagglekit.files import read_json
from kagglekit.tables import exact_ids

__all__ = ["Baseline", "Hosted", "HostedFile", "competition_folder", "hosted", "is_hosted", "open_hosted", "read_table"]

FACTS = "competition.json"
FILES = "files"
HIDDEN = "hidden"
SOLUTION = "solution.csv"
ANSWERS = "answers"
BEST = "best.csv"
USAGE = "Usage"

_SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,79}")
# A label may be the word "NA" or "None": only an empty cell, or NaN itself, is a missing value.
_MISSING = ["", "nan", "NaN"]


@dataclass(frozen=True)
class HostedFile:
    """A file that a competitor may download; `name` is relative, with forward slashes."""

    name: str
    bytes: int


@dataclass(frozen=True)
class Baseline:
    """A simple answer on the leaderboard, or a simulated team: a first score has company.

    Parameters
    ----------
    team : str
        Its name on the board.
    public, private : float
        NaN for a part that the solution lacks.
    """

    team: str
    public: float
    private: float


@dataclass(frozen=True)
class Hosted:
    """One competition of the arena.

    Parameters
    ----------
    folder : Path
        Holds `competition.json`, `files/` and `solution.csv`.
    competition : Competition
        The facts that grading needs.
    title, description : str
    daily_limit : int
        Submissions a team has each UTC day.
    synthetic : bool
        Whether code made the data; pages then say so.
    sample : str
        Name of the sample submission among the files.
    files : tuple of HostedFile
        Everything that may be downloaded. What is not listed here cannot be asked for.
    baselines : tuple of Baseline
        Simple answers; that of number i lies in `answers/i.csv`, beside the solution and as hidden.
    fingerprint : str
        Of the files, the solution and the rules of grading: scores compare only where it is equal.
    created : str
        UTC, ISO 8601.
    deadline : str or None
        UTC, ISO 8601; private scores are shown after it. None: never.
    notes : tuple of str
        What `hosting.create` guessed.
    rivals : tuple of Baseline
        Simulated teams, so that a place and a medal mean something. They are made of the hidden answers, by
        `rivals.rivals_of`, and always called simulated.
    best : Baseline, optional
        What somebody who knew how the data were made would score; known for worlds that code made. Not a team.
    hidden : tuple of HostedFile
        Of a code competition: what a submitted notebook finds in place of `files` when it is run to be scored.
    """

    folder: Path
    competition: Competition
    title: str
    description: str
    daily_limit: int
    synthetic: bool
    sample: str
    files: tuple[HostedFile, ...]
    baselines: tuple[Baseline, ...]
    fingerprint: str
    created: str
    deadline: str | None
    notes: tuple[str, ...]
    rivals: tuple[Baseline, ...] = ()
    best: Baseline | None = None
    hidden: tuple[HostedFile, ...] = ()

    @property
    def is_code(self) -> bool:
        """Whether it takes notebooks only, which are run again on a hidden test set."""
        return bool(self.hidden)

    @property
    def slug(self) -> str:
        return self.competition.slug

    @property
    def metric(self) -> str:
        return self.competition.metric

    @property
    def files_folder(self) -> Path:
        return self.folder / FILES

    @property
    def hidden_folder(self) -> Path:
        return self.folder / HIDDEN

    def file(self, name: str) -> Path | None:
        """The path of a listed file; None for every other name, however it is spelled."""
        return self.files_folder / name if name in self._names else None

    @cached_property
    def _names(self) -> frozenset[str]:
        return frozenset(f.name for f in self.files)

    def sample_frame(self) -> pd.DataFrame:
        """The sample submission that scored files are held to: that of the hidden test set, where there is one."""
        folder = self.hidden_folder if self.is_code else self.files_folder
        return read_table(folder / self.sample, id_column=self.competition.id)

    def solution_frame(self) -> pd.DataFrame:
        """Columns id, target (or several of them) and Usage."""
        return read_table(self.folder / SOLUTION, id_column=self.competition.id)

    def answers_frame(self, team: str) -> pd.DataFrame:
        """The answers of a baseline, or of the best possible score, as it would submit them."""
        names = {b.team: f"{number}.csv" for number, b in enumerate(self.baselines)}
        if self.best is not None:
            names[self.best.team] = BEST
        return read_table(self.folder / ANSWERS / names[team], id_column=self.competition.id)

    def is_over(self, now: datetime) -> bool:
        return self.deadline is not None and now >= datetime.fromisoformat(self.deadline)


def competition_folder(home: Path, slug: str) -> Path:
    """Where a competition lies, or would lie.

    Raises
    ------
    CompetitionNotFound
        The slug holds anything but lower-case letters, digits and hyphens, so it names no competition.
    """
    if not _SLUG.fullmatch(slug):
        raise CompetitionNotFound(f"'{slug[:80]}' is not a competition's name: letters a-z, digits and hyphens only.")
    return home / "competitions" / slug


def is_hosted(home: Path, slug: str) -> bool:
    """Whether the arena hosts a competition of this name."""
    return slug in _names(home)


def open_hosted(home: Path, slug: str) -> Hosted:
    """Read a hosted competition.

    Raises
    ------
    CompetitionNotFound
        There is none of this name; the hint names the nearest.
    """
    folder = competition_folder(home, slug)
    try:
        stat = (folder / FACTS).stat()
    except OSError as error:
        raise CompetitionNotFound(
            f"The arena hosts no competition '{slug}'.", hint=nearest(slug, _names(home))
        ) from error
    return _read(folder, stat.st_ino, stat.st_mtime_ns)


def hosted(home: Path) -> list[Hosted]:
    """All hosted competitions, by slug."""
    return [open_hosted(home, name) for name in _names(home)]


def to_json(made: Hosted) -> dict[str, Any]:
    """What `competition.json` holds."""
    facts = made.competition
    return {
        "slug": facts.slug,
        "task": facts.task,
        "metric": facts.metric,
        "form": facts.form,
        "id": facts.id,
        "target": facts.target,
        "targets": list(facts.targets),
        "classes": list(facts.classes),
        "group": facts.group,
        "time": facts.time,
        "title": made.title,
        "description": made.description,
        "daily_limit": made.daily_limit,
        "synthetic": made.synthetic,
        "sample": made.sample,
        "files": [{"name": f.name, "bytes": f.bytes} for f in made.files],
        "hidden": [{"name": f.name, "bytes": f.bytes} for f in made.hidden],
        "baselines": [_scores(b) for b in made.baselines],
        "rivals": [_scores(b) for b in made.rivals],
        "best": None if made.best is None else _scores(made.best),
        "fingerprint": made.fingerprint,
        "created": made.created,
        "deadline": made.deadline,
        "notes": list(made.notes),
    }


@lru_cache(maxsize=64)
def _read(folder: Path, inode: int, modified: int) -> Hosted:
    # Inode and time change when the competition is replaced. A listing of ten thousand images takes a while to read.
    return _from_json(folder, read_json(folder / FACTS))


def _from_json(folder: Path, stored: dict[str, Any]) -> Hosted:
    facts = Competition(
        classes=tuple(stored["classes"]),
        targets=tuple(stored.get("targets", ())),
        **{k: stored[k] for k in ("slug", "task", "metric", "form", "id", "target", "group", "time")},
    )
    return Hosted(
        folder=folder,
        competition=facts,
        files=tuple(HostedFile(f["name"], f["bytes"]) for f in stored["files"]),
        baselines=tuple(_baseline(b) for b in stored["baselines"]),
        hidden=tuple(HostedFile(f["name"], f["bytes"]) for f in stored.get("hidden", ())),
        # Competitions that were hosted before there were simulated teams have no such key, nor `hidden`.
        rivals=tuple(_baseline(b) for b in stored.get("rivals", ())),
        best=_baseline(stored["best"]) if stored.get("best") else None,
        notes=tuple(stored["notes"]),
        **{
            k: stored[k]
            for k in (
                "title",
                "description",
                "daily_limit",
                "synthetic",
                "sample",
                "fingerprint",
                "created",
                "deadline",
            )
        },
    )


def read_table(path: Path, columns: list[str] | None = None, *, id_column: str | None = None) -> pd.DataFrame:
    """Read a CSV whose labels may be words like "NA"; True and False are words too.

    Ids in `id_column` stay as they are written, leading zeros and all.

    Raises
    ------
    DataError
        The file is not a CSV table in UTF-8.
    """
    try:
        frame = pd.read_csv(
            path, usecols=columns, keep_default_na=False, na_values=_MISSING, encoding="utf-8-sig", low_memory=False
        )
        if id_column in frame:
            words = pd.read_csv(path, usecols=[id_column], keep_default_na=False, encoding="utf-8-sig", dtype=str)
            frame[id_column] = exact_ids(words[id_column])
    except (ValueError, UnicodeError) as error:
        # pandas' own EmptyDataError and ParserError are ValueErrors.
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DataError(f"{path.name} is not a CSV table in UTF-8: {reason}.") from error
    return frame.astype(dict.fromkeys(frame.select_dtypes(bool).columns, str))


def now_utc() -> datetime:
    return datetime.now(UTC)


def _names(home: Path) -> list[str]:
    return sorted(p.parent.name for p in (home / "competitions").glob(f"[!.]*/{FACTS}"))


def _scores(baseline: Baseline) -> dict[str, Any]:
    return {"team": baseline.team, "public": baseline.public, "private": _number(baseline.private)}


def _baseline(stored: dict[str, Any]) -> Baseline:
    private = stored["private"]
    return Baseline(stored["team"], stored["public"], math.nan if private is None else private)


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
