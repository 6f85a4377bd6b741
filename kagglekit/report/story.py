"""What was tried, in order: why, what it changed, what it scored, and whether that helped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kagglekit.board import Row
from kagglekit.errors import preview
from kagglekit.forecast import clock
from kagglekit.report.blocks import Chart, Column, Section, Table
from kagglekit.report.drawing import BETTER, INK, LINE, SOFT, WORSE, dots, draw, grid, limits, named_rows
from kagglekit.report.material import Material
from kagglekit.report.words import number, plural, span, trimmed
from kagglekit.stats import Interval

__all__ = [
    "Chapter",
    "board_section",
    "chapters",
    "colour_of",
    "in_order_chart",
    "opening",
    "reasons_table",
    "verdict_words",
]

_KINDS = {"oob": "out of bag", "blend": "blend", "oof": ""}
_JOINT = {"better": "better than", "worse": "worse than", "no difference": "no difference to"}


@dataclass(frozen=True)
class Chapter:
    """One run in the story.

    Parameters
    ----------
    number : int
        From 1, in the order of making; charts name runs by it.
    row : Row
    interval : Interval
    kind : str
        "blend", "out of bag", "baseline" or nothing.
    verdict : str
        In words.
    time : str
    is_best : bool
        No run before it scored as well.
    strip : tuple of float
        Where the interval begins, the score lies and the interval ends, in per cent of the strip's width.
    """

    number: int
    row: Row
    interval: Interval
    kind: str
    verdict: str
    time: str
    is_best: bool
    strip: tuple[float, float, float]


def verdict_words(row: Row) -> str:
    """The verdict as a phrase."""
    return f"{_JOINT[row.verdict]} {row.against}" if row.verdict in _JOINT else row.verdict


def colour_of(row: Row) -> str:
    """The stand-in colour of a verdict."""
    return {"better": BETTER, "worse": WORSE}.get(row.verdict, SOFT)


def chapters(material: Material) -> list[Chapter]:
    """Every run in the order of making."""
    spans = [material.interval(row.name) for row in material.in_order]
    low, high = _limits(material, spans)
    best: float | None = None
    told = []
    for row, interval in zip(material.in_order, spans, strict=True):
        is_best = best is None or material.metric.better(row.score, best)
        best = row.score if is_best else best
        ends = [100 * (v - low) / (high - low) for v in (interval.low, interval.score, interval.high)]
        first, middle, last = (min(max(v, 0.0), 100.0) for v in ends)
        told.append(
            Chapter(
                number=material.numbers[row.name],
                row=row,
                interval=interval,
                kind="baseline" if material.is_baseline(row.name) else _KINDS[row.kind],
                verdict=verdict_words(row),
                time=clock(row.seconds),
                is_best=is_best,
                strip=(first, middle, last),
            )
        )
    return told


def _limits(material: Material, spans: Sequence[Interval]) -> tuple[float, float]:
    minor = [material.is_baseline(row.name) for row in material.in_order]
    return limits([s.low for s in spans], [s.high for s in spans], minor)


def opening(material: Material) -> str:
    """The story in a few sentences."""
    rows, best = material.rows, material.rows[0]
    blends = sum(row.kind == "blend" for row in rows)
    interval = material.interval(best.name)
    parts = [plural(len(rows) - blends, "experiment"), *([plural(blends, "blend")] if blends else [])]
    words = [
        f"{' and '.join(parts)}. Best on rows it did not see: {best.name}, {material.competition.metric} "
        f"{number(best.score)} (95 % interval {span(interval.low, interval.high)})"
        + (f", {verdict_words(best)}." if best.verdict in _JOINT else ".")
    ]
    if tied := [row.name for row in rows if row.tied]:
        words.append(f"Tied with it, as the difference lies inside the noise: {preview(tied, most=4)}.")
    judged = [row.verdict for row in rows if row.verdict in _JOINT]
    if judged:
        counts = {v: judged.count(v) for v in _JOINT}
        words.append(
            f"Of {plural(len(judged), 'change')} measured against what it changed, {counts['better']} helped, "
            f"{counts['worse']} hurt and {counts['no difference']} made no difference that these rows can show."
        )
    return " ".join(words)


def in_order_chart(material: Material) -> Chart:
    """Scores with intervals, in the order of making."""
    rows = material.in_order
    spans = [material.interval(row.name) for row in rows]
    low, high = _limits(material, spans)

    def paint(figure: Any) -> None:
        axes = figure.add_subplot()
        places = named_rows(axes, [f"{material.numbers[r.name]} {trimmed(r.name, 18)}" for r in rows])
        grid(axes, "x")
        axes.axvline(material.rows[0].score, color=LINE, linewidth=2)
        for place, row, interval in zip(places, rows, spans, strict=True):
            if not low <= row.score <= high:
                _aside(axes, place, row.score, low, high)
                continue
            reach = [[interval.score - interval.low], [interval.high - interval.score]]
            dots(axes, [interval.score], [place], reach, colour_of(row), "D" if row.kind == "blend" else "o")
        axes.set_xlim(low, high)
        axes.set_xlabel(f"{material.competition.metric}, {_direction(material)}")

    words = (
        f"Score of each run on training rows it did not see, with the 95 % interval over rows, in the order of making; "
        f"the line is the best, {material.rows[0].name} at {number(material.rows[0].score)}. Blue: better than what it "
        "changed; orange: worse; grey: no difference, or nothing to compare with. A diamond is a blend. Intervals that "
        "overlap do not mean that two runs are alike: the verdicts compare them row by row."
    )
    return draw("tried", "What was tried, in order", words, paint, height=70 + 26 * len(rows))


def _aside(axes: Any, place: float, score: float, low: float, high: float) -> None:
    """A score beyond the axis, named at its edge."""
    left = score < low
    text = f"◂ {number(score)}" if left else f"{number(score)} ▸"
    axes.annotate(
        text,
        (0.01 if left else 0.99, place),
        xycoords=("axes fraction", "data"),
        va="center",
        ha="left" if left else "right",
        color=INK,
        fontsize=11,
    )


def _direction(material: Material) -> str:
    return "more is better" if material.sign > 0 else "less is better"


def board_table(material: Material) -> Table:
    """Every run, best first, with all that was measured."""
    site = "Kaggle" if material.site == "kaggle" else "practice"
    columns: list[Column] = [
        Column("#", "number"),
        Column("run", "name"),
        Column(f"CV {material.competition.metric}", "number"),
        Column("± SE", "number"),
        Column("95 % interval", "number"),
        Column(f"public ({site})", "number"),
        Column(f"private ({site})", "number"),
        Column("time", "number"),
        Column("memory", "number"),
        Column("against the best", "verdict"),
        Column("against what it changed", "verdict"),
    ]
    cells = [_board_row(material, row) for row in material.rows]
    filled = [place for place in range(len(columns)) if any(row[place] for row in cells)]
    return Table(
        "All runs",
        [columns[place] for place in filled],
        [[row[place] for place in filled] for row in cells],
        "CV is the mean over folds on rows that the model did not see; a blend's weights come from other rows than "
        "those it is scored on. Tied with the best: the difference, row by row, lies inside the noise. Time is that "
        "of all fits, in minutes and seconds; memory is the highest of the process.",
        wide=True,
    )


def _board_row(material: Material, row: Row) -> list[str]:
    interval = material.interval(row.name)
    return [
        str(material.numbers[row.name]),
        row.name,
        number(row.score),
        number(row.standard_error),
        span(interval.low, interval.high),
        number(row.public),
        number(row.private),
        clock(row.seconds),
        f"{row.peak_mb:,.0f} MB",
        "best" if row is material.rows[0] else "tied with best" if row.tied else "",
        verdict_words(row),
    ]


def reasons_table(material: Material) -> Table:
    """Why each run was tried, in the order of making."""
    columns = [Column("#", "number"), Column("run", "name"), Column("why"), Column("changes")]
    rows = [[str(material.numbers[row.name]), row.name, row.hypothesis, row.change] for row in material.in_order]
    return Table("Why each was tried", columns, rows)


def board_section(material: Material) -> Section:
    """The board as a section."""
    return Section("board", "The board", "Every run beside every other, best first.", [board_table(material)])
