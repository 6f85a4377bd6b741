"""Score against time: what each run cost, and how the best score grew."""

from __future__ import annotations

from itertools import accumulate
from typing import Any

from kagglekit.forecast import clock
from kagglekit.report.blocks import Chart, Section
from kagglekit.report.drawing import ACCENT, PAPER, bare, draw, grid, limits
from kagglekit.report.material import Material
from kagglekit.report.story import colour_of
from kagglekit.report.words import number

__all__ = ["cost_chart", "progress_chart", "timing_section"]

_SHORTEST = 0.1  # seconds; keeps a blend of some milliseconds on a logarithmic axis


def timing_section(material: Material) -> Section | None:
    """What the score cost; nothing to show for a single run."""
    if len(material.rows) < 2:
        return None
    words = "Numbers are those of the story above. Time is that of all fits and predictions of a run, on this machine."
    return Section("time", "Score against time", words, [cost_chart(material), progress_chart(material)])


def cost_chart(material: Material) -> Chart:
    """Score of each run against its own time."""
    low, high = _limits(material)

    def paint(figure: Any) -> None:
        axes = figure.add_subplot()
        grid(axes, "y")
        for row in material.in_order:
            seconds = max(row.seconds, _SHORTEST)
            _numbered(axes, seconds, min(max(row.score, low), high), material.numbers[row.name], colour_of(row))
        axes.set_xscale("log")
        _time_axis(axes, [max(row.seconds, _SHORTEST) for row in material.rows])
        axes.set_xlabel("time of the run")
        axes.set_ylabel(material.competition.metric)
        axes.set_ylim(low, high)

    fastest = min(material.rows, key=lambda row: row.seconds)
    best = material.rows[0]
    words = (
        f"Score of each run against the time it took, on a logarithmic axis: the best, {best.name}, took "
        f"{clock(best.seconds)}; the quickest, {fastest.name}, {clock(fastest.seconds)} for {number(fastest.score)}. "
        "A blend's time is without that of its members. Baselines far below are drawn at the edge."
    )
    return draw("cost", "What a score costs", words, paint, height=300)


def progress_chart(material: Material) -> Chart:
    """The best score so far against the time spent in all."""
    rows, low_high = material.in_order, _limits(material)
    better = max if material.sign > 0 else min
    spent = list(accumulate(row.seconds for row in rows))
    best = list(accumulate((row.score for row in rows), better))

    def paint(figure: Any) -> None:
        axes = figure.add_subplot()
        grid(axes, "y")
        axes.step([*spent, spent[-1] * 1.02], [*best, best[-1]], where="post", color=ACCENT, linewidth=2)
        for row, x in zip(rows, spent, strict=True):
            y = min(max(row.score, low_high[0]), low_high[1])
            _numbered(axes, x, y, material.numbers[row.name], colour_of(row))
        axes.set_ylim(*low_high)
        axes.set_xlim(-0.04 * spent[-1], 1.02 * spent[-1])
        _clock_axis(axes)
        axes.set_xlabel("time of all runs so far")
        axes.set_ylabel(material.competition.metric)

    words = (
        f"The line is the best score so far against the time spent in all, {clock(spent[-1])} at the end; the points "
        "are the runs in the order of making."
    )
    return draw("progress", "How the best score grew", words, paint, height=300)


def _limits(material: Material) -> tuple[float, float]:
    scores = [row.score for row in material.in_order]
    return limits(scores, scores, [material.is_baseline(row.name) for row in material.in_order])


def _numbered(axes: Any, x: float, y: float, name: int, colour: str) -> None:
    """A point that bears its run's number; it is never cut by the edge."""
    axes.plot([x], [y], "o", color=colour, markersize=15, markeredgecolor=PAPER, clip_on=False, zorder=3)
    axes.annotate(str(name), (x, y), ha="center", va="center_baseline", color=PAPER, fontsize=9.5, zorder=4)


def _time_axis(axes: Any, seconds: list[float]) -> None:
    from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator

    steps = {0.1: "0.1 s", 1: "1 s", 10: "10 s", 60: "1 min", 600: "10 min", 3600: "1 h", 36000: "10 h"}
    axes.set_xlim(min(seconds) / 2, max(seconds) * 2)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_locator(FixedLocator(list(steps)))
    axes.xaxis.set_major_formatter(lambda value, _: steps.get(value, ""))
    _apart(axes)


def _clock_axis(axes: Any) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 1.5, 2, 3, 6, 10]))
    axes.xaxis.set_major_formatter(lambda value, _: clock(value))
    _apart(axes)


def _apart(axes: Any) -> None:
    """Room between the lowest points and the words below them."""
    bare(axes, "left")
    axes.tick_params(axis="x", pad=12)
