"""Cross-validation against the leaderboard: does one say what the other will?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from kagglekit.contracts import Submission
from kagglekit.report.blocks import Chart, Column, Section, Table
from kagglekit.report.drawing import ACCENT, LINE, SOFT, bare, draw
from kagglekit.report.material import Material
from kagglekit.report.words import number, signed, trimmed

__all__ = ["leaderboard_chart", "leaderboard_section", "scored"]


def scored(material: Material) -> list[Submission]:
    """The submissions that the site scored, one for each file, in the order they were sent; other sites' never."""
    complete = [
        s for s in material.submissions if s.site == material.site and s.status == "complete" and s.public is not None
    ]
    return list({s.sha256: s for s in complete}.values())


def leaderboard_section(material: Material) -> Section | None:
    """Submissions beside their cross-validation, where there are any."""
    sent = scored(material)
    if not sent:
        return None
    practice = " These are practice scores, not Kaggle's." if material.site == "arena" else ""
    words = f"Each submission that {material.place} scored, beside the score that cross-validation gave it.{practice}"
    return Section(
        "leaderboard",
        "Cross-validation against the leaderboard",
        words,
        [leaderboard_chart(material, sent), _table(material, sent)],
    )


def noise(material: Material, n_rows: int) -> float:
    """Half the width of the 95 % interval of a leaderboard score less its CV, if test rows are like training rows.

    It comes of the rows alone: those of the training set that CV is a mean over, and `n_rows` of the test set.
    """
    name = material.focus.name
    interval, n_train = material.interval(name), len(material.focus.oof.ids)
    return (interval.high - interval.low) / 2 * math.sqrt(1 + n_train / n_rows)


def leaderboard_chart(material: Material, sent: Sequence[Submission]) -> Chart:
    """Public score against CV, with the band in which it should lie."""
    n_test = len(material.prepared.test)
    band = noise(material, n_test)
    values = [v for s in sent for v in (s.cv, s.public, s.private) if v is not None]
    low, high = min(values) - 1.1 * band, max(values) + 1.1 * band

    def paint(figure: Any) -> None:
        axes = figure.add_subplot()
        bare(axes, "left", "bottom")
        axes.fill_between([low, high], [low - band, high - band], [low + band, high + band], color=LINE, alpha=0.6)
        axes.plot([low, high], [low, high], color=SOFT, linewidth=1)
        for place, s in enumerate(sorted(sent, key=lambda s: s.cv)):
            reach = 1.96 * s.cv_se if math.isfinite(s.cv_se) else 0
            axes.errorbar([s.cv], [s.public], xerr=[[reach], [reach]], fmt="o", color=ACCENT, markersize=7)
            if s.private is not None:
                axes.plot([s.cv], [s.private], "s", color=SOFT, markersize=5)
            # Above and below in turn: neighbours on the axis often have the same public score.
            axes.annotate(
                trimmed(_name(s), 14),
                (s.cv, s.public),
                xytext=(0, -15 if place % 2 else 8),
                textcoords="offset points",
                ha="center",
                fontsize=10,
            )
        axes.set_xlim(low, high)
        axes.set_ylim(low, high)
        axes.set_xlabel(f"CV {material.competition.metric} (± 1.96 SE)")
        axes.set_ylabel(f"leaderboard, {material.place}")

    words = (
        f"Public scores on {material.place} (round; private ones, where known, square) against CV. On the line both "
        f"agree. In the band a score on all {n_test:,} test rows would lie 95 times of 100 if test rows are like "
        "training rows; the public part is smaller and scatters more."
    )
    return draw("leaderboard-chart", "CV against leaderboard", words, paint, height=400)


def _name(submission: Submission) -> str:
    return submission.run.rpartition("-")[0]


def _table(material: Material, sent: Sequence[Submission]) -> Table:
    has_private = any(s.private is not None for s in sent)
    heads = ("CV", "± SE", "public", "public − CV", *(["private"] if has_private else []))
    rows = [
        [
            _name(s),
            number(s.cv),
            number(s.cv_se),
            number(s.public),
            signed((s.public or 0.0) - s.cv),
            *([number(s.private)] if has_private else []),
        ]
        for s in sent
    ]
    columns = [Column("run", "name"), *(Column(head, "number") for head in heads)]
    return Table(f"Submissions to {material.place}", columns, rows, "The same file sent twice stands here once.")
