"""A desk of suspect rows that tests of the cleaning page share."""

from __future__ import annotations

from pathlib import Path

from stories import beliefs, prepared, run

from kagglekit.clean import Desk, suspects_of
from kagglekit.config import Experiment

FOREST = Experiment("forest", "x", "forest", {})


def desk(folder: Path, *, n: int = 6, task: str = "classification", metric: str = "accuracy", **facts) -> Desk:
    """The rows r000 to r004 are believed to be of the next class; ten off by 30 in a regression."""
    data = prepared(task=task, metric=metric, folder=folder)
    made = run(data, "forest", beliefs(data, set(range(5))))
    common = {"comp": "zoo", "competition": data.competition, "run": made.name, "file": folder / "cleaning.csv"}
    found = {"suspects": suspects_of(data, made, n), "experiments": {"forest": FOREST}, "based_on": "forest"}
    return Desk(**{**common, **found, **facts})
