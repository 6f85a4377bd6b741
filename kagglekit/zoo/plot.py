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
    from matplotlib.transforms import Bbox

__all__ = ["drawing", "plot"]

_NAMED = 24  # names that fit
_COLOURS = 10  # families with a colour of their own
_OTHERS = "others"


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
    except ImportError as error:
        raise MissingExtra("A plot", error.name or "matplotlib", "report") from error
    points = [(cost, entry) for cost, entry in zip(costs(found), found, strict=True) if cost == cost]
    if not points:
        raise UsageError("None of these models has a known cost.", hint="Add --probe.")
    figure = Figure(figsize=(11, 7), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot(xscale="log", xlabel=cost_name(found), ylabel="ImageNet top-1 accuracy (%)")
    for family, own in _by_family(points).items():
        where, height = zip(*own, strict=True)
        axes.scatter(where, height, label=family, s=26, color="0.75" if family == _OTHERS else None)
    best = sorted((c, e.result.top1, e.result.model.partition(".")[0]) for c, e in points if e.best)
    axes.plot([c for c, _, _ in best], [t for _, t, _ in best], color="0.4", linewidth=0.8, zorder=0)
    axes.legend(fontsize=7, loc="lower right")
    axes.grid(visible=True, which="major", alpha=0.3)
    _name(figure, axes, best[:: max(1, -(-len(best) // _NAMED))])
    return figure


def _name(figure: Figure, axes: Axes, best: Sequence[tuple[float, float, str]]) -> None:
    """Name the best, the most accurate first, below or above their points; one that fits neither way is left out."""
    figure.draw_without_rendering()  # only then is it known where the frame lies
    taken: list[Bbox] = []
    for cost, top1, name in reversed(best):
        text = axes.annotate(name, (cost, top1), fontsize=7, xytext=(0, 0), textcoords="offset points")
        for place, side in (((3, -8), "left"), ((-3, 4), "right")):
            text.set(position=place, horizontalalignment=side)
            box = text.get_window_extent()
            if axes.bbox.x0 < box.x0 and box.x1 < axes.bbox.x1 and not any(box.overlaps(other) for other in taken):
                taken.append(box)
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
    return found
