"""Several targets one by one: how well each is predicted, and by which runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from kagglekit.contracts import Competition
from kagglekit.errors import DataError
from kagglekit.metrics import get_metric
from kagglekit.report.blocks import Chart, Column, Section, Table
from kagglekit.report.drawing import ACCENT, dots, draw, grid, named_rows
from kagglekit.report.material import Material
from kagglekit.report.words import number, percent, plural, span, trimmed
from kagglekit.stats import Interval, bootstrap_interval

__all__ = ["target_frame", "target_scores", "targets_section"]

_MOST_DRAWN, _MOST_RUNS, _RESAMPLES = 40, 6, 300


def target_frame(frame: pd.DataFrame, target: str, competition: Competition) -> pd.DataFrame:
    """The predictions of one of several targets as a competition of it alone has them: for a label, two classes."""
    values = frame[target]
    return pd.DataFrame({"0": 1 - values, "1": values}) if competition.is_classification else values.to_frame()


def target_scores(material: Material, frame: pd.DataFrame) -> dict[str, Interval]:
    """The score of each target on all rows together, with its 95 % interval, in the order of the pipeline file.

    Targets for which the metric is not defined, such as a label that no row has, are left out.
    """
    facts, found = material.competition, dict[str, Interval]()
    metric = get_metric(facts.metric).of_one_target
    for name in facts.targets:
        own, y = target_frame(frame, name, facts), material.prepared.y.loc[frame.index, name]
        try:
            groups = material.prepared.folds.groups
            found[name] = bootstrap_interval(metric, y, own, facts.classes, groups=groups, n_resamples=_RESAMPLES)
        except DataError:
            continue
    return found


def targets_section(material: Material) -> Section | None:
    """Each target of the run that is looked at closely, beside what other runs reach; nothing for one target."""
    facts = material.competition
    if not facts.targets:
        return None
    found = target_scores(material, material.decided(material.focus))
    if not found:
        return None
    words = (
        f"{material.focus.name} on {plural(len(facts.targets), 'target')}, each by itself: "
        f"{get_metric(facts.metric).base} on all training rows that it did not see when it predicted them, taken "
        "together (a run's score is a mean over folds, so it differs a little from the mean of these)."
    )
    return Section("targets", "Target by target", words, [_chart(material, found), _table(material, found)])


def _comparable(material: Material, found: dict[str, Interval]) -> dict[str, Interval]:
    """Errors in a target's own unit as multiples of its standard deviation; other scores as they are."""
    if not _has_unit(material):
        return found
    wide = {name: float(material.prepared.y[name].std(ddof=0)) or 1.0 for name in found}
    return {name: Interval(s.score / wide[name], s.low / wide[name], s.high / wide[name]) for name, s in found.items()}


def _has_unit(material: Material) -> bool:
    return get_metric(material.competition.metric).base in ("rmse", "mae")


def _hardest(material: Material, found: dict[str, Interval]) -> list[str]:
    scores = _comparable(material, found)
    return sorted(found, key=lambda name: (material.sign * scores[name].score, name))


def _chart(material: Material, found: dict[str, Interval]) -> Chart:
    order, base = _hardest(material, found)[:_MOST_DRAWN], get_metric(material.competition.metric).base
    scores = _comparable(material, found)
    spans = [scores[name] for name in order]
    unit = ", in standard deviations of the target" if _has_unit(material) else ""

    def paint(figure: Any) -> None:
        axes = figure.add_subplot()
        places = named_rows(axes, [trimmed(name) for name in order])
        grid(axes, "x")
        reach = np.clip([[s.score - s.low for s in spans], [s.high - s.score for s in spans]], 0, None)
        dots(axes, [s.score for s in spans], places, reach, ACCENT)
        axes.set_xlabel(f"{base}{unit}")

    words = f"The score of each target{unit}, with its 95 % interval, the worst first: {order[0]}, "
    words += f"{number(spans[0].score)}."
    if material.competition.is_classification:
        words += " Scores of labels that are rare and frequent are not to be compared."
    return draw("targets-chart", "Score of each target", words, paint, height=70 + 26 * len(order))


def _table(material: Material, found: dict[str, Interval]) -> Table:
    """Targets as rows; the best runs on the board as columns."""
    facts = material.competition
    others = [row.name for row in material.rows if row.name != material.focus.name][: _MOST_RUNS - 1]
    scores = {name: _plain(material, name) for name in others}
    usual = "share of 1" if facts.is_classification else "target's mean"
    heads = [Column("target", "name"), Column(usual, "number"), Column(trimmed(material.focus.name, 18), "number")]
    heads += [Column("95 %", "number"), *(Column(trimmed(name, 18), "number") for name in others)]
    rows = []
    for name in _hardest(material, found):
        mean = float(material.prepared.y[name].mean())
        own = [percent(mean) if facts.is_classification else number(mean), number(found[name].score)]
        rows.append(
            [name, *own, span(found[name].low, found[name].high), *(number(s.get(name)) for s in scores.values())]
        )
    words = "The run that is looked at closely, with its interval, and the best others on the board."
    return Table("Targets", heads, rows, words, wide=True)


def _plain(material: Material, run: str) -> dict[str, float]:
    facts, frame = material.competition, material.decided(material.runs[run])
    metric, found = get_metric(facts.metric).of_one_target, dict[str, float]()
    for name in facts.targets:
        try:
            y = material.prepared.y.loc[frame.index, name]
            found[name] = metric.score(y, target_frame(frame, name, facts), facts.classes)
        except DataError:
            continue
    return found
