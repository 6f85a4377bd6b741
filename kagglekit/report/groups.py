"""Scores in parts of the data: groups, and the levels of columns that have few."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from kagglekit.errors import DataError
from kagglekit.report.blocks import Chart, Column, Section, Table
from kagglekit.report.drawing import ACCENT, LINE, dots, draw, grid, named_rows
from kagglekit.report.material import Material
from kagglekit.report.words import number, span, trimmed
from kagglekit.stats import Interval, bootstrap_interval

__all__ = ["Part", "groups_section", "parts_of", "split_columns"]

_MOST_COLUMNS, _MOST_LEVELS, _MOST_PARTS, _FEWEST = 6, 8, 12, 10
_RESAMPLES = 300


@dataclass(frozen=True)
class Part:
    """The rows of one level and their score."""

    level: str
    rows: int
    interval: Interval


def split_columns(material: Material) -> list[str]:
    """The competition's group, then the columns of two to eight levels, as many as a page can hold."""
    train, group = material.prepared.train, material.competition.group
    few = [
        str(name)
        for name in material.prepared.X.columns
        if name not in (group, "path") and 2 <= train[name].nunique() <= _MOST_LEVELS
    ]
    return ([group] if group else []) + few[:_MOST_COLUMNS]


def parts_of(material: Material, column: str) -> list[Part]:
    """The score of each level of a column, with its interval; the commonest levels first where there are many.

    Levels of fewer than ten rows, and those in which the metric is not defined, are left out.
    """
    frame = material.decided(material.focus)
    levels = material.prepared.train.loc[frame.index, column].astype(object).fillna("missing").astype(str)
    found: list[Part] = []
    for level, n in levels.value_counts().items():
        if n < _FEWEST or len(found) == _MOST_PARTS:
            break
        if (interval := _interval(material, frame[levels == level])) is not None:
            found.append(Part(str(level), int(n), interval))
    return found


def _interval(material: Material, frame: pd.DataFrame) -> Interval | None:
    y, classes = material.prepared.y.loc[frame.index], material.competition.classes
    try:
        return bootstrap_interval(material.metric, y, frame, classes, n_resamples=_RESAMPLES)
    except DataError:
        return None  # such as the area under the curve of rows of one class


def groups_section(material: Material) -> Section | None:
    """A chart for each column that parts the rows, and all of it as a table."""
    parted = [(column, parts) for column in split_columns(material) if len(parts := parts_of(material, column)) > 1]
    if not parted:
        return None
    words = (
        f"The {material.competition.metric} of {material.focus.name} in parts of the training rows, with 95 % "
        "intervals. A part that scores badly may be hard, rare or wrongly labelled: look at its rows before changing "
        "the model."
    )
    charts = [_chart(material, place, *pair) for place, pair in enumerate(parted, start=1)]
    return Section("groups", "Parts of the data", words, [*charts, _table(material, parted)])


def _chart(material: Material, place: int, column: str, parts: Sequence[Part]) -> Chart:
    def paint(figure: Any) -> None:
        axes = figure.add_subplot()
        places = named_rows(axes, [trimmed(f"{p.level} ({p.rows:,})") for p in parts])
        grid(axes, "x")
        axes.axvline(material.focus.score, color=LINE, linewidth=2)
        spans = [p.interval for p in parts]
        reach = [[s.score - s.low for s in spans], [s.high - s.score for s in spans]]
        dots(axes, [s.score for s in spans], places, reach, ACCENT)
        axes.set_xlabel(material.competition.metric)

    worst = min(parts, key=lambda p: material.sign * p.interval.score)
    words = (
        f"Score at each level of {column}, its rows in brackets; the line is the score of all rows. Worst: "
        f"{worst.level}, {number(worst.interval.score)}."
    )
    return draw(f"part-{place}", column, words, paint, height=80 + 26 * len(parts))


def _table(material: Material, parted: Sequence[tuple[str, Sequence[Part]]]) -> Table:
    rows = [
        [column, p.level, f"{p.rows:,}", number(p.interval.score), span(p.interval.low, p.interval.high)]
        for column, parts in parted
        for p in parts
    ]
    heads = [
        Column("column"),
        Column("level", "name"),
        *(Column(t, "number") for t in ("rows", material.competition.metric, "95 %")),
    ]
    words = f"Levels of {_FEWEST} rows or more; the {_MOST_PARTS} commonest of each column. Bootstrap of rows."
    return Table("Scores of parts", heads, rows, words, wide=True)
