"""What every part of an inspection gives: words, plain values, a table and a picture; and how they are kept."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol
from xml.sax.saxutils import escape

import pandas as pd

from kagglekit.files import write_text
from kagglekit.report.blocks import Chart
from kagglekit.report.drawing import ACCENT, BETTER, INK, LINE, PAPER, SOFT, WORSE, variable_of

__all__ = ["Finding", "save_finding", "standalone"]

# The page's light colours: a picture by itself is looked at on white.
_LIGHT = {
    INK: "#1a2224",
    SOFT: "#5b676b",
    LINE: "#d9e0e2",
    PAPER: "#ffffff",
    ACCENT: "#0b7a75",
    BETTER: "#0b62a8",
    WORSE: "#b8480a",
}
_TITLE = 34  # height of the line above the picture
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


class Finding(Protocol):
    """What one part found."""

    @property
    def name(self) -> str:
        """The part's name: one word, for files and `--only`."""

    def words(self) -> Sequence[str]:
        """What was found, in plain lines."""

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values."""

    def table(self) -> pd.DataFrame:
        """The figures, a row for each thing looked at."""

    def chart(self) -> Chart | None:
        """A picture, or None where there is nothing to see."""


def save_finding(finding: Finding, folder: Path, stem: str) -> list[Path]:
    """Write the table as `<stem>-<name>.csv` and the picture, if there is one, as `.svg`.

    Raises
    ------
    MissingExtra
        matplotlib is not installed.
    """
    paths = [folder / f"{stem}-{finding.name}.csv"]
    write_text(paths[0], finding.table().to_csv(index=False, lineterminator="\n"))
    if (chart := finding.chart()) is not None:
        paths.append(folder / f"{stem}-{finding.name}.svg")
        write_text(paths[1], standalone(chart))
    return paths


def standalone(chart: Chart) -> str:
    """A chart as a file of its own: on white, in the page's light colours, with a size and a font."""
    svg = chart.svg
    for colour, value in _LIGHT.items():
        svg = svg.replace(f"var({variable_of(colour)})", value)
    head, body = svg.split(">", 1)
    box = head.split('viewBox="', 1)[1].split('"', 1)[0]
    left, top, width, height = (float(number) for number in box.split())
    high = height + _TITLE
    own = f'xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{high:g}" font-family="{_FONT}"'
    head = head.replace("<svg", f"<svg {own}", 1).replace(box, f"{left:g} {top - _TITLE:g} {width:g} {high:g}", 1)
    return (
        f'{head}><rect x="{left:g}" y="{top - _TITLE:g}" width="{width:g}" height="{high:g}" fill="{_LIGHT[PAPER]}"/>'
        f'<text x="{left + 8:g}" y="{top - 12:g}" font-size="15" font-weight="600" fill="{_LIGHT[INK]}">'
        f"{escape(chart.title)}</text>{body}\n"
    )
