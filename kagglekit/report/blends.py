"""What a blend is made of: weights, what each member adds, and how alike members err."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kagglekit.contracts import Run
from kagglekit.report.blocks import Block, Chart, Column, Note, Section, Table
from kagglekit.report.drawing import ACCENT, BETTER, INK, LINE, PAPER, SOFT, WORSE, bare, draw, grid, named_rows
from kagglekit.report.material import Material
from kagglekit.report.words import number, plural, signed, span, trimmed

__all__ = ["blend_section", "correlation_chart", "members_chart", "trajectory_chart"]

_MOST_DRAWN = 14
_MOST_MEMBERS = 30


def blend_section(material: Material) -> Section | None:
    """The run that is looked at closely where it is a blend, else the best blend; nothing without any."""
    blends = [material.runs[row.name] for row in material.rows if row.kind == "blend" and row.name in material.runs]
    blends = [run for run in blends if run.study]
    if not blends:
        return None
    run = material.focus if material.focus.kind == "blend" and material.focus.study else blends[0]
    study = run.study
    low, high = study["interval"]
    words = (
        f"{run.name} ({run.settings['method']}) of {plural(len(study['members']), 'member')}: {number(run.score)} on "
        f"rows that did not choose its weights (95 % interval {span(low, high)})"
        + ("" if run.fit_score is None else f"; {number(run.fit_score)} on those that did, for comparison only")
        + f". {study['reason']}".rstrip(" ")
    )
    blocks: list[Block] = [members_chart(run)]
    if len(study["members"]) > 1:
        blocks.append(correlation_chart(study["correlation"]))
    if len(study["trajectory"]) > 1:
        blocks.append(trajectory_chart(run))
    blocks.append(_table(run))
    blocks += [Note(study["warning"])] * bool(study["warning"])
    if run.unscored:
        left = (
            f"{plural(run.unscored, 'row')} took no part, as a member has no prediction for them: {study['left_out']}."
        )
        blocks.append(Note(left))
    return Section("blend", "The blend", words, blocks)


def _members(run: Run) -> list[Mapping[str, Any]]:
    """Heaviest first."""
    weights = run.weights
    order = sorted(run.study["members"], key=lambda m: (-abs(weights.get(m["member"], 0)), -m["loss"], m["member"]))
    return order[:_MOST_MEMBERS]


def members_chart(run: Run) -> Chart:
    """Weight of each member, where there are weights, beside what the blend loses without it."""
    members = _members(run)
    losses = [m["loss"] for m in members]

    def paint(figure: Any) -> None:
        panels = figure.subplots(1, 1 + bool(run.weights), sharey=True, squeeze=False)[0]
        for axes in panels:
            places = named_rows(axes, [trimmed(m["member"], 18) for m in members])
            grid(axes, "x")
        if run.weights:
            panels[0].barh(places, [run.weights[m["member"]] for m in members], height=0.6, color=ACCENT)
            panels[0].set_xlabel("weight")
        panels[-1].barh(places, losses, height=0.6, color=[BETTER if v > 0 else WORSE for v in losses])
        panels[-1].axvline(0, color=SOFT, linewidth=1)
        panels[-1].set_xlabel("worse without it by")
        panels[-1].locator_params(axis="x", nbins=3)

    top = max(members, key=lambda m: m["loss"])
    words = (
        f"{'Left, the weight of each member; right, by' if run.weights else 'By'} how much the honest score gets worse "
        "when a member says nothing of its own (blue; orange: the blend is better off without it). Most is added by "
        f"{top['member']}, {signed(top['loss'])}."
    )
    return draw("members", "Weights, and what each member adds", words, paint, height=80 + 28 * len(members))


def correlation_chart(correlation: Mapping[str, Mapping[str, float]]) -> Chart:
    """How alike the members err."""
    names = list(correlation)[:_MOST_DRAWN]
    n = len(names)
    values = np.array([[correlation[a][b] for b in names] for a in names])
    # Members of one competition are all alike: shades from the least alike to 1 show who differs.
    shade = (values - values.min()) / (1 - values.min() or 1)

    def paint(figure: Any) -> None:
        from matplotlib.patches import Rectangle

        axes = figure.add_subplot()
        bare(axes, "left", "bottom")
        size = 11 if n <= 7 else 9 if n <= 10 else 7.5
        for i, j in np.ndindex(n, n):
            alpha = 0.06 + 0.86 * shade[i, j]
            axes.add_patch(Rectangle((j - 0.48, i - 0.48), 0.96, 0.96, color=BETTER, alpha=alpha))
            ink = PAPER if alpha > 0.5 else INK
            axes.text(j, i, f"{values[i, j]:.2f}", ha="center", va="center", color=ink, fontsize=size)
        labels = [trimmed(name, 14) for name in names]
        axes.set_xticks(range(n), labels, rotation=45, ha="right")
        axes.tick_params(axis="x", labelcolor=INK)
        axes.set_yticks(range(n), labels)
        axes.set_xlim(-0.5, n - 0.5)
        axes.set_ylim(n - 0.5, -0.5)

    pairs = [(values[i, j], names[i], names[j]) for i in range(n) for j in range(i)]
    least, most = min(pairs), max(pairs)
    words = (
        "Correlation of the members' errors over rows. Members that err on other rows are worth blending: least alike "
        f"are {least[2]} and {least[1]} ({least[0]:.2f}), most alike {most[2]} and {most[1]} ({most[0]:.2f})."
        + (f" The first {n} members." if len(correlation) > n else "")
    )
    return draw("correlation", "How alike members err", words, paint, height=min(460, 150 + 50 * n))


def trajectory_chart(run: Run) -> Chart:
    """Honest score and score on the choosing rows, step by step."""
    steps: Sequence[Mapping[str, Any]] = run.study["trajectory"]
    x = np.arange(1, len(steps) + 1)

    def column(key: str) -> Any:
        return np.array([np.nan if step[key] is None else step[key] for step in steps], dtype=float)

    def paint(figure: Any) -> None:
        axes = figure.add_subplot()
        grid(axes, "y")
        honest, low = column("honest_score"), column("honest_low")
        axes.fill_between(x, low, honest, color=LINE, alpha=0.7)
        axes.plot(
            x, column("fit_score"), color=SOFT, linewidth=1.5, linestyle=(0, (4, 3)), label="on the choosing rows"
        )
        axes.plot(x, honest, "o-", color=ACCENT, linewidth=1.8, markersize=4, label="on other rows")
        axes.locator_params(axis="x", integer=True)
        axes.set_xlabel("step")
        axes.set_ylabel(run.metric)
        axes.legend(loc="best", fontsize=11)

    words = (
        f"The score after each of {len(steps)} steps of choosing: on the rows that chose (dashed) and, honestly, on "
        "rows that did not (solid, with the bound that the method trusts). Where the dashed line rises alone, choosing "
        "fits noise."
    )
    return draw("trajectory", "Choosing, step by step", words, paint, height=300)


def _table(run: Run) -> Table:
    heads = [Column("member", "name"), *(Column(t, "number") for t in ("weight", "alone", "adds", "errs alike"))]
    rows = [
        [
            m["member"],
            number(run.weights[m["member"]]) if run.weights else "",
            number(m["alone"]),
            signed(m["loss"]),
            f"{m['alike']:.2f}",
        ]
        for m in _members(run)
    ]
    words = (
        "Adds: how much worse the honest score gets without it. Errs alike: mean correlation with the others' errors."
    )
    return Table("Members", heads, rows, words)
