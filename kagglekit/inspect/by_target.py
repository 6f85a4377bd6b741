"""What a column is worth to each of several targets: in lines, as columns of a table, and as shaded cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kagglekit.report.drawing import ACCENT, INK, PAPER, bare
from kagglekit.report.words import plural, signed, trimmed

__all__ = ["CELL_RATIO", "MOST_DRAWN", "Worth", "named_upright", "paint_cells", "table_cells", "worth_lines"]

MOST_DRAWN = 8
CELL_RATIO = 0.55  # a cell's width, where that of the mean's own axes is 3
_MOST_SAID, _NAME = 6, 14


@dataclass(frozen=True)
class Worth:
    """What one target's own metric loses when a column is shuffled, with its 95 % interval."""

    mean: float
    low: float
    high: float

    @property
    def is_weak(self) -> bool:
        """Whether the interval reaches down to nought."""
        return self.low <= 0


def worth_lines(rows: Mapping[str, Mapping[str, Worth]]) -> list[str]:
    """A line for each column, with a figure for each of the first targets.

    Parameters
    ----------
    rows : mapping of str to mapping of str to Worth
        By column and target.
    """
    targets = list(next(iter(rows.values())))
    said = targets[:_MOST_SAID]
    wide = max(map(len, rows))
    more = f"; {plural(len(targets) - len(said), 'target')} more in the table" if len(targets) > len(said) else ""
    heads = "".join(f"  {trimmed(name, _NAME):>{_NAME}}" for name in said)
    lines = [
        f"Target by target, each in its own unit (brackets: the interval reaches nought{more}):",
        f"  {'':<{wide}}{heads}",
    ]
    for column, worth in rows.items():
        figures = "".join(f"  {_figure(worth[name]):>{_NAME}}" for name in said)
        lines.append(f"  {column:<{wide}}{figures}".rstrip())
    return lines


def _figure(worth: Worth) -> str:
    return f"({signed(worth.mean)})" if worth.is_weak else f"{signed(worth.mean)} "


def table_cells(worth: Mapping[str, Worth]) -> dict[str, float]:
    """The figures of one column by the names that they have in the table."""
    cells = {target: {"mean": w.mean, "low": w.low, "high": w.high} for target, w in worth.items()}
    return {f"{target} {what}": value for target, own in cells.items() for what, value in own.items()}


def named_upright(targets: Sequence[str]) -> bool:
    """Whether the targets' names have room below their cells."""
    return all(len(name) <= 9 for name in targets)


def paint_cells(axes: Any, places: Sequence[float], rows: Sequence[Mapping[str, Worth]]) -> None:
    """A cell for each column and target, shaded by the share of what the target's most important column is worth.

    Targets have units of their own, so shades are compared within one target only. Brackets: as in `worth_lines`.
    """
    from matplotlib.patches import Rectangle

    targets = list(rows[0])[:MOST_DRAWN]
    bare(axes, "left", "bottom")
    for x, target in enumerate(targets):
        most = max(0.0, *(worth[target].mean for worth in rows)) or 1.0
        for y, worth in zip(places, rows, strict=True):
            own = worth[target]
            shade = max(0.0, own.mean) / most
            axes.add_patch(Rectangle((x - 0.48, y - 0.45), 0.96, 0.9, color=ACCENT, alpha=0.06 + 0.9 * shade))
            # What lies below decides: on a dark cell the paper's colour can be read, on a light one the ink's.
            colour = PAPER if shade > 0.75 else INK
            axes.text(x, y, _figure(own).strip(), ha="center", va="center", color=colour, fontsize=9.5)
    upright = named_upright(targets)
    names = [trimmed(name, 18) for name in targets]
    turned = {"rotation": 0, "ha": "center"} if upright else {"rotation": 40, "ha": "right", "rotation_mode": "anchor"}
    axes.set_xticks(range(len(targets)), names, **turned)
    axes.tick_params(axis="x", labelcolor=INK)
    axes.set_xlim(-0.5, len(targets) - 0.5)
