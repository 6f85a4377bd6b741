"""Accuracy against cost as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kagglekit.errors import MissingExtra, UsageError
from kagglekit.files import atomic
from kagglekit.zoo.table import Entry, cost_name, costs

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["drawing", "plot"]

_NAMED = 24  # names that fit
_COLOURS = 10  # families with a colour of their own
_OTHERS = "others"
_HIGHEST = 120  # points that a name may stand above its model
_APART = 9  # and from which on a line leads to it


def plot(found: Sequence[Entry], path: Path) -> None:
    """Write the table as a PNG; see `drawing`, which raises the same errors."""
    figure = drawing(found)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as file:
        figure.savefig(file, format="png", dpi=120)


def drawing(found: Sequence[Entry]) -> Figure:
    """The table as a figure: accuracy against cost on a logarithmic axis, families in colours, the best joined.

    Raises
    ------
    MissingExtra
        matplotlib is not installed.
    UsageError
        No model has a cost.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.ticker import LogLocator, NullFormatter
    except ImportError as error:
        raise MissingExtra("A plot", error.name or "matplotlib", "report") from error
    points = [(cost, entry) for cost, entry in zip(costs(found), found, strict=True) if cost == cost]
    if not points:
        raise UsageError("None of these models has a known cost.", hint="Add --probe.")
    figure = Figure(figsize=(11, 7), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot(xscale="log", xlabel=cost_name(found), ylabel="ImageNet top-1 accuracy (%)")
    axes.set_title("Named and joined: no other model listed is as accurate at its cost", loc="left", fontsize=11)
    for family, own in _by_family(points).items():
        where, height = zip(*own, strict=True)
        axes.scatter(where, height, label=family, s=26, color="0.8" if family == _OTHERS else None, zorder=2)
    best = sorted((c, e.result.top1, e.result.model.partition(".")[0]) for c, e in points if e.best)
    axes.plot([c for c, _, _ in best], [t for _, t, _ in best], color="0.4", linewidth=0.8, zorder=1)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())  # its own writes 3 x 10^1
    axes.margins(x=0.16, y=0.08)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8, loc="lower right", frameon=False)
    axes.grid(visible=True, which="major", alpha=0.3)
    _name(figure, axes, best[:: max(1, -(-len(best) // _NAMED))])
    return figure


def _name(figure: Figure, axes: Axes, best: Sequence[tuple[float, float, str]]) -> None:
    """Write names to the upper left of their points, where no model lies, each so high that none covers another.

    One that fits nowhere is left out.
    """
    from matplotlib.lines import Line2D
    from matplotlib.transforms import Bbox

    figure.draw_without_rendering()  # only then is it known where the frame lies
    middles = axes.transData.transform([(cost, top1) for cost, top1, _ in best])
    taken = [Bbox.from_bounds(x - 5, y - 5, 10, 10) for x, y in middles]
    for cost, top1, name in best:
        text = axes.annotate(name, (cost, top1), (0, 0), textcoords="offset points", fontsize=8, ha="right")
        for up in range(3, _HIGHEST, 3):
            text.set_position((-6, up))
            box = text.get_window_extent()
            inside = axes.bbox.x0 < box.x0 and box.y1 < axes.bbox.y1
            if inside and not any(box.overlaps(other) for other in taken):
                taken.append(box)
                if up > _APART:
                    x, y = axes.transData.inverted().transform((box.x1, box.y0))
                    axes.add_line(Line2D([x, cost], [y, top1], color="0.5", linewidth=0.4, zorder=1))
                break
        else:
            text.remove()


def _by_family(points: Sequence[tuple[float, Entry]]) -> dict[str, list[tuple[float, float]]]:
    """Cost and accuracy of each family, those with few models together."""
    families = [entry.result.family for _, entry in points]
    common = sorted(set(families), key=lambda family: (-families.count(family), family))[:_COLOURS]
    found: dict[str, list[tuple[float, float]]] = {}
    for cost, entry in points:
        family = entry.result.family if entry.result.family in common else _OTHERS
        found.setdefault(family, []).append((cost, entry.result.top1))
    return dict(sorted(found.items(), key=lambda item: (item[0] == _OTHERS, item[0])))
