"""Whether held-out rows stand for test rows: a forest that tells train from test, and out of bag beside validation."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd

from kagglekit.drift.adversarial import Adversarial, adversarial_validation
from kagglekit.drift.out_of_bag import BagGap, bag_gaps
from kagglekit.errors import ConfigError, DataError
from kagglekit.inspect.subject import Subject
from kagglekit.report.blocks import Chart
from kagglekit.report.drawing import ACCENT, SOFT, dots, draw, grid, named_rows
from kagglekit.report.words import trimmed
from kagglekit.store import Store
from kagglekit.train import train

__all__ = ["Shift", "measure_shift"]

_DRAWN, _MOST_ROWS, _TREES = 15, 10_000, 60


@dataclass(frozen=True)
class Shift:
    """Train against test.

    Parameters
    ----------
    adversarial : Adversarial
    gaps : tuple of BagGap
        Forests scored both ways.
    why_no_gap : str
        Why there is none.
    """

    adversarial: Adversarial
    gaps: tuple[BagGap, ...]
    why_no_gap: str = ""
    name: ClassVar[str] = "shift"

    def words(self) -> list[str]:
        """What was found, in plain lines."""
        first, *rest = self.adversarial.words()
        lines = [f"Train or test? {first}", *(f"  {line.strip()}" for line in rest)]
        return [*lines, *(f"  {gap.words()}" for gap in self.gaps), *[f"  {self.why_no_gap}"] * bool(self.why_no_gap)]

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "adversarial": self.adversarial.as_json(),
            "out of bag": [gap.as_json() for gap in self.gaps],
            "why no gap": self.why_no_gap,
        }

    def table(self) -> pd.DataFrame:
        """A row for each column: what it tells alone, and what the forest loses without it."""
        rows = [
            {"column": c.name, "auc": c.auc.score, "low": c.auc.low, "high": c.auc.high}
            | {"importance": None if c.importance is None else c.importance.score, "like": c.like, "tells": c.tells}
            for c in self.adversarial.columns
        ]
        return pd.DataFrame(rows)

    def chart(self) -> Chart:
        """What single columns tell of train and test."""
        top = self.adversarial.columns[:_DRAWN]

        def paint(figure: Any) -> None:
            axes = figure.add_subplot()
            places = named_rows(axes, [trimmed(c.name) for c in top])
            grid(axes, "x")
            for place, c in zip(places, top, strict=True):
                reach = [[c.auc.score - c.auc.low], [c.auc.high - c.auc.score]]
                dots(axes, [c.auc.score], [place], reach, ACCENT if c.tells else SOFT)
            axes.axvline(0.5, color=SOFT, linewidth=1)
            axes.set_xlabel("AUC of telling test rows from training rows by this column alone (.5 is chance)")

        return draw("shift", "Train or test?", self.adversarial.words()[0], paint, height=90 + 26 * len(top), width=680)


def measure_shift(subject: Subject) -> Shift:
    """Tell test rows from training rows by the run's columns; score a forest out of bag as well as by its folds.

    Parameters
    ----------
    subject : Subject

    Returns
    -------
    Shift

    Notes
    -----
    See `kagglekit.drift`; `kagglekit drift` looks at all columns, and for duplicates too. Rows of a group count one by
    one here.
    """
    prepared = subject.prepared
    found = adversarial_validation(
        prepared.X[subject.columns],
        prepared.test[subject.columns],
        most_rows=_MOST_ROWS,
        n_trees=_TREES,
        progress=subject.progress,
    )
    gaps, why = _gaps(subject)
    return Shift(found, gaps, why)


def _unfair(subject: Subject) -> str:
    """Out of bag beside validation where trees have seen what the scored rows share with them."""
    bags, scores = subject.score(subject.forest.out_of_bag()), subject.run.score
    seen = "later rows" if subject.prepared.folds.scheme == "time" else "the group's other rows"
    return (
        f"Out of bag {subject.metric.name} {bags:.4f} beside validation {scores:.4f} ({subject.run.name}): out of bag, "
        f"trees have seen {seen}, so this gap is what the folds guard against. Believe validation."
    )


def _gaps(subject: Subject) -> tuple[tuple[BagGap, ...], str]:
    """The run beside the same forest scored the other way, which is fitted where no run of it is there."""
    if not subject.is_forest:
        return (), ""
    runs = {run.name: run for run in (*subject.runs, subject.run)}
    own = [gap for gap in bag_gaps(subject.prepared, runs) if subject.run.name in (gap.folds, gap.bags)]
    if own:
        return tuple(own), ""
    if len(subject.prepared.train) > subject.most_fit:
        return (), 'Out of bag beside validation: train it both ways (validation = "oob"), as the table is large.'
    other = "folds" if subject.experiment.validation == "oob" else "oob"
    twin = replace(subject.experiment, name=f"{subject.run.name} by {other}", validation=other)
    try:
        with tempfile.TemporaryDirectory() as folder:
            run = train(subject.prepared, twin, Store(Path(folder)))
    except (ConfigError, DataError):
        return (), _unfair(subject)
    return tuple(bag_gaps(subject.prepared, {subject.run.name: subject.run, run.name: run})), ""
