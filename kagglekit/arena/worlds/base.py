"""What a practice competition is, and how its tables are written so that nothing but the features tells an answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd

from kagglekit.arena.hosted import SOLUTION, USAGE
from kagglekit.contracts import Form, Task
from kagglekit.errors import DataError
from kagglekit.progress import Progress

__all__ = [
    "BEST",
    "SECRETS",
    "Drawn",
    "Make",
    "World",
    "ids_for",
    "n_rows",
    "public_part",
    "table_maker",
    "write_world",
]

#: Beside the files, hidden from competitors: the best possible submission, and further baselines by team.
SECRETS = ".answers"
BEST = "best.csv"

_PUBLIC_SHARE = 0.3


class Make(Protocol):
    """Writes a world into a folder."""

    def __call__(
        self, folder: Path, *, scale: float | None, seed: int, progress: Progress, n_jobs: int | None
    ) -> None: ...


@dataclass(frozen=True)
class World:
    """A practice competition.

    Parameters
    ----------
    name : str
        What a user types.
    slug : str
        The competition's slug in the arena; that of the Kaggle competition it imitates.
    title : str
        Says that it is synthetic: it is shown wherever the competition is.
    task, metric, form, group, time
        As in `kagglekit.contracts.Competition`.
    n_train, n_test : int
        Rows at full size.
    make : callable
        Writes its files into a folder.
    summary : str
        One line for a list.
    teaches : str
        What one can learn here; the page's text, in paragraphs separated by an empty line.
    best : str
        How the best possible score is known; "" where it is not.
    seed : int
        The world's own seed.
    scale : float
        Share of the full size that is drawn when nothing else is asked for.
    version : int
        Raised when the pictures or tables change, so that an old cache is not taken for the new world.
    daily_limit : int
        Submissions for each day.
    teams : int
        Simulated teams on its board.
    synthetic : bool
        Whether code made the data.
    """

    name: str
    slug: str
    title: str
    task: Task
    metric: str
    n_train: int
    n_test: int
    make: Make
    summary: str
    teaches: str
    best: str = ""
    form: Form | None = None
    group: str | None = None
    time: str | None = None
    seed: int = 2026
    scale: float = 1.0
    version: int = 1
    daily_limit: int = 5
    teams: int = 120
    synthetic: bool = True

    def as_json(self) -> dict[str, str | int | bool]:
        """What a list of worlds shows."""
        return {
            "name": self.name,
            "slug": self.slug,
            "title": self.title,
            "task": self.task,
            "metric": self.metric,
            "train rows": round(self.n_train * self.scale),
            "test rows": round(self.n_test * self.scale),
            "synthetic": self.synthetic,
            "summary": self.summary,
            "description": self.description,
        }

    @property
    def description(self) -> str:
        """The page's text."""
        best = f"The best possible score: {self.best}" if self.best else ""
        return "\n\n".join(part for part in (self.teaches, best) if part)


@dataclass(frozen=True)
class Drawn:
    """The tables of a world before they are written.

    Parameters
    ----------
    train, test : DataFrame
        The columns id, features and target; the test part's target is the hidden answer.
    id, target : str
    sample : DataFrame
        The sample submission for the test ids, in any order.
    usage : Series
        "Public" or "Private" by test id.
    best : DataFrame, optional
        The best possible submission.
    answers : mapping of str to DataFrame
        Further baselines: by team, what it submits.
    has_test_table : bool
        Whether test rows have features of their own.
    """

    train: pd.DataFrame
    test: pd.DataFrame
    id: str
    target: str
    sample: pd.DataFrame
    usage: pd.Series
    best: pd.DataFrame | None = None
    answers: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    has_test_table: bool = True


def n_rows(scale: float | None, default: float, *full: int, least: int = 20) -> list[int]:
    """Numbers of rows at a scale.

    Raises
    ------
    DataError
        The scale is not above 0 and at most 1.
    """
    scale = default if scale is None else scale
    if not 0 < scale <= 1:
        raise DataError(f"The scale of a world must be above 0 and at most 1, got {scale}.")
    return [max(least, round(n * scale)) for n in full]


def ids_for(rng: np.random.Generator, n: int, first: int = 10_000) -> np.ndarray:
    """Numbers that name rows and say nothing about them: drawn without order from ten times as many."""
    return rng.choice(np.arange(first, first + 10 * n), n, replace=False)


def public_part(rng: np.random.Generator, ids: pd.Series, groups: pd.Series | None = None) -> pd.Series:
    """Usage by id: 30 % of the rows, or of the groups, are public."""
    units = ids if groups is None else groups
    distinct = pd.Index(units.unique())
    public = set(rng.permutation(distinct)[: max(1, round(_PUBLIC_SHARE * len(distinct)))].tolist())
    return pd.Series(np.where(units.isin(public), "Public", "Private"), index=pd.Index(ids))


def table_maker(
    draw: Callable[[float | None, int], Drawn], world: Callable[[], World], columns: Mapping[str, str], doing: str
) -> Make:
    """What writes a world of one table, drawn in one go.

    Parameters
    ----------
    draw : callable
        Draws the table from scale and seed.
    world : callable
        Gives the world, which holds what is made here.
    columns : mapping of str to str
        What each column means, for README.txt.
    doing : str
        What is shown meanwhile.
    """

    def make(folder: Path, *, scale: float | None, seed: int, progress: Progress, n_jobs: int | None) -> None:
        with progress.task(doing, 1) as task:
            write_world(folder, draw(scale, seed), world(), columns)
            task.advance(1)

    return make


def write_world(folder: Path, drawn: Drawn, world: World, columns: Mapping[str, str]) -> None:
    """Write the tables of a world, by id, with its page as README.txt.

    Parameters
    ----------
    folder : Path
    drawn : Drawn
    world : World
    columns : mapping of str to str
        What each column or file holds, for people.
    """
    key = drawn.id
    test = drawn.test.sort_values(key)
    features = [c for c in test.columns if c != drawn.target]
    tables = {
        "train.csv": drawn.train.sort_values(key),
        "sample_submission.csv": drawn.sample.sort_values(key),
        SOLUTION: test[[key, drawn.target]].assign(**{USAGE: drawn.usage.loc[test[key]].to_numpy()}),
    }
    if drawn.has_test_table:
        tables["test.csv"] = test[features]
    if drawn.best is not None:
        tables[f"{SECRETS}/{BEST}"] = drawn.best.sort_values(key)
    for team, answer in drawn.answers.items():
        tables[f"{SECRETS}/{team}.csv"] = answer.sort_values(key)
    for name, table in tables.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        table.to_csv(folder / name, index=False)
    (folder / "README.txt").write_text(_readme(world, columns), encoding="utf-8")


def _readme(world: World, columns: Mapping[str, str]) -> str:
    origin = "Every row in this folder was made by a program.\n" if world.synthetic else ""
    width = max(len(name) for name in columns) + 2
    table = "\n".join(f"{name:<{width}}{what}" for name, what in columns.items())
    return f"{world.title}\n\n{origin}{world.description}\n\n{table}\n\nMetric: {world.metric}.\n"
