"""Experiments that differ in one setting, side by side: squish, crop and pad; plain and test-time augmented."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kagglekit.cleaning import corrections_words
from kagglekit.contracts import Run
from kagglekit.report.blocks import Chart, Column, Section, Table
from kagglekit.report.drawing import BETTER, SOFT, WORSE, bare, draw, grid
from kagglekit.report.material import Material
from kagglekit.report.words import number, plural, signed, span, trimmed
from kagglekit.stats import Difference, paired_bootstrap, verdict

__all__ = ["Family", "families_section", "find_families"]

_MOST = 8
_RESAMPLES = 4_000_000
# Fingerprints are the same for all runs of a report, and how bags draw follows from there being bags.
_NOT_COMPARED = ("data", "folds", "bagging")
_COLOURS = {"better": BETTER, "worse": WORSE}


@dataclass(frozen=True)
class Family:
    """Runs whose settings differ in one key only.

    Parameters
    ----------
    key : str
    members : tuple of (value, name of the run)
        First the one that another is based on, then in the order of values; the first is what the others are compared
        with.
    """

    key: str
    members: tuple[tuple[Any, str], ...]


def find_families(runs: Mapping[str, Run]) -> list[Family]:
    """Every family of two members or more, the largest first.

    Settings are compared with the models' defaults filled in, so that an experiment that names a default is not another
    one. Blends are no experiments: they change with their members.
    """
    flat = {name: _flat(run.settings) for name, run in runs.items() if run.kind != "blend"}
    found = []
    for key in sorted({key for settings in flat.values() for key in settings}):
        groups: dict[str, list[tuple[Any, str]]] = {}
        for name, settings in flat.items():
            rest = {k: v for k, v in settings.items() if k != key}
            value = settings.get(key)
            groups.setdefault(json.dumps([rest, key in settings], sort_keys=True), []).append((value, name))
        for members in groups.values():
            if len({json.dumps(value, sort_keys=True) for value, _ in members}) > 1:
                changed = {runs[name].parent for _, name in members}
                found.append(Family(key, tuple(sorted(members, key=lambda m: (m[1] not in changed, *_rank(m))))))
    return sorted(found, key=lambda family: (-len(family.members), family.key, family.members[0][1]))


def _flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    own = {k: v for k, v in settings.items() if k not in ("params", *_NOT_COMPARED)}
    return {"bags": 0, "cleaning": [], **own, **settings.get("params", {})}


def _rank(member: tuple[Any, str]) -> tuple[int, float, str, str]:
    value, name = member
    is_number = isinstance(value, int | float)
    return (
        0 if value is None or value == [] else 1 if is_number else 2,
        float(value) if is_number else 0.0,
        str(value),
        name,
    )


def families_section(material: Material) -> Section | None:
    """The families as small charts with a table below, where there are any."""
    families = find_families(material.runs)[:_MOST]
    if not families:
        return None
    words = (
        "Each panel holds experiments that differ in that setting and in nothing else. The first value is compared "
        "with each other one, row by row: blue is better than the first, orange worse, grey no difference."
    )
    compared = [(family, _differences(material, family)) for family in families]
    charts = [_chart(material, place, *pair) for place, pair in enumerate(compared, start=1)]
    return Section("settings", "One setting at a time", words, [*charts, _table(material, compared)])


def _differences(material: Material, family: Family) -> list[Difference | None]:
    """Each member less the first; None where they share no rows."""
    frames = [material.decided(material.runs[name]) for _, name in family.members]
    found: list[Difference | None] = []
    for frame in frames[1:]:
        shared = frame.index.intersection(frames[0].index)
        if not len(shared):
            found.append(None)
            continue
        y, classes = material.prepared.y.loc[shared], material.competition.classes
        n = max(200, min(1000, _RESAMPLES // len(shared)))
        a, b = frames[0].loc[shared], frame.loc[shared]
        found.append(
            paired_bootstrap(material.metric, y, a, b, classes, groups=material.prepared.folds.groups, n_resamples=n)
        )
    return found


def _chart(material: Material, place: int, family: Family, differences: Sequence[Difference | None]) -> Chart:
    names = [name for _, name in family.members]
    spans = [material.interval(name) for name in names]
    said = ["", *(verdict(d) if d else "" for d in differences)]
    most = 60 // len(names)
    labels = [
        f"{trimmed(_shown(family.key, v), most)}\n{trimmed(word, most)}"
        for (v, _), word in zip(family.members, said, strict=True)
    ]

    def paint(figure: Any) -> None:
        axes = figure.add_subplot()
        grid(axes, "y")
        bare(axes)
        for x, (interval, colour) in enumerate(zip(spans, [_COLOURS.get(word, SOFT) for word in said], strict=True)):
            reach = [[interval.score - interval.low], [interval.high - interval.score]]
            axes.errorbar([x], [interval.score], yerr=reach, fmt="o", color=colour, markersize=8, elinewidth=2)
        axes.set_xticks(range(len(names)), labels)
        axes.set_xlim(-0.6, len(names) - 0.4)
        axes.set_ylabel(material.competition.metric)

    scores = "; ".join(
        f"{_shown(family.key, value)}: {number(interval.score)}"
        for (value, _), interval in zip(family.members, spans, strict=True)
    )
    words = f"{plural(len(names), 'experiment')} that differ in {family.key} alone, with 95 % intervals. {scores}."
    return draw(f"family-{place}", family.key, words, paint, height=250)


def _shown(key: str, value: Any) -> str:
    if value is None or value == []:
        return "not set"
    if key == "cleaning":
        return corrections_words(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _table(material: Material, compared: Sequence[tuple[Family, Sequence[Difference | None]]]) -> Table:
    columns = [
        Column("setting"),
        Column("value"),
        Column("run", "name"),
        Column(material.competition.metric, "number"),
        Column("better than the first by", "number"),
        Column("95 % interval", "number"),
        Column("verdict", "verdict"),
    ]
    rows = []
    for family, differences in compared:
        for (value, name), d in zip(family.members, [None, *differences], strict=True):
            rest = [signed(d.mean), span(d.low, d.high), verdict(d)] if d else ["", "", ""]
            rows.append([family.key, _shown(family.key, value), name, number(material.runs[name].score), *rest])
    return Table(
        "Values compared",
        columns,
        rows,
        f"Differences are in units of {material.competition.metric}, on pooled rows, positive where the value is "
        "better than the first; paired bootstrap of rows. Several comparisons at once: one in twenty intervals misses.",
        wide=True,
    )
