"""From a matplotlib figure to an SVG that takes its colours from the page.

Figures are drawn in stand-in colours; in the SVG each becomes a variable of the page's style sheet, so that one picture
serves light, dark and paper. Text stays text: it can be searched, scaled and read aloud.
"""

from __future__ import annotations

import io
import re
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from kagglekit.errors import MissingExtra
from kagglekit.report.blocks import Chart
from kagglekit.report.words import printable

__all__ = [
    "ACCENT",
    "BETTER",
    "INK",
    "LINE",
    "PAPER",
    "SOFT",
    "WORSE",
    "bare",
    "dots",
    "draw",
    "grid",
    "limits",
    "named_rows",
    "variable_of",
]

INK, SOFT, LINE, PAPER = "#010a01", "#010a02", "#010a03", "#010a04"
ACCENT, BETTER, WORSE = "#010a05", "#010a06", "#010a07"
_VARIABLES = {
    INK: "--ink",
    SOFT: "--soft",
    LINE: "--line",
    PAPER: "--paper",
    ACCENT: "--accent",
    BETTER: "--better",
    WORSE: "--worse",
}

# Half the page on a desk, the whole of it on a phone, where text shrinks by a quarter and can still be read.
_WIDTH = 460
_STYLE: Mapping[str, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "kagglekit",
    "text.parse_math": False,  # a dollar in a label is a dollar
    "font.size": 12,
    "text.color": INK,
    "axes.edgecolor": LINE,
    "axes.labelcolor": SOFT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "axes.unicode_minus": True,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": SOFT,
    "ytick.labelcolor": INK,
    "grid.color": LINE,
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "legend.labelcolor": INK,
}
_HREF = "{http://www.w3.org/1999/xlink}href"


def draw(
    name: str, title: str, words: str, paint: Callable[[Any], None], *, height: float, width: float = _WIDTH
) -> Chart:
    """A chart from a function that paints a matplotlib Figure.

    Parameters
    ----------
    name, title, words : str
        See `Chart`.
    paint : callable
        Given the Figure.
    height, width : float
        In CSS pixels.

    Raises
    ------
    MissingExtra
        matplotlib is not installed.

    Notes
    -----
    matplotlib reads its settings from one place in the process; they are set for as long as the figure is drawn. Not
    for use from several threads at once.
    """
    matplotlib, figure_class = _matplotlib()
    title, words = printable(title), printable(words)
    with matplotlib.rc_context(), warnings.catch_warnings():
        # The font that measures the text lacks a letter; the one that the browser shows it in need not.
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        figure = figure_class(figsize=(width / 72, height / 72), layout="constrained")
        paint(figure)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    return Chart(name, title, words, _themed(buffer.getvalue(), name, title, words))


def variable_of(colour: str) -> str:
    """The variable of the page's style sheet that a stand-in colour becomes."""
    return _VARIABLES[colour]


def _matplotlib() -> tuple[Any, Any]:
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtra("A report", "matplotlib", "report") from error
    return matplotlib, Figure


def _themed(svg: str, name: str, title: str, words: str) -> str:
    """The `<svg>` element alone: no size of its own, no style sheet, ids that no other figure has, a title."""
    root = ET.fromstring(svg)
    used = set(re.findall(r"url\(#([^)]+)\)", svg)) | {e.get(_HREF, "")[1:] for e in root.iter() if _HREF in e.attrib}
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        element.attrib = {k: v for k, v in _attributes(element.attrib, name, used).items() if v}
    # matplotlib's style sheet would be the whole page's, and its metadata name its version.
    for parent in list(root.iter()):
        for child in [c for c in parent if c.tag in ("metadata", "style")]:
            parent.remove(child)
    box = root.attrib["viewBox"]
    root.attrib = {"viewBox": box, "role": "img", "aria-labelledby": f"{name}-title {name}-words"}
    for place, (tag, text) in enumerate((("title", title), ("desc", words))):
        root.insert(place, described := ET.Element(tag, {"id": f"{name}-{'words' if place else 'title'}"}))
        described.text = text
    text = ET.tostring(root, encoding="unicode")
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, f"var({variable})")
    return text


def _attributes(attributes: Mapping[str, str], name: str, used: set[str]) -> dict[str, str]:
    kept = {key: value for key, value in attributes.items() if key not in ("id", _HREF, "clip-path", "style")}
    if (own := attributes.get("id", "")) in used:
        kept["id"] = f"{name}-{own}"
    if _HREF in attributes:
        kept["href"] = f"#{name}-{attributes[_HREF][1:]}"
    if "clip-path" in attributes:
        kept["clip-path"] = attributes["clip-path"].replace("url(#", f"url(#{name}-")
    # The page's own font, so that the figure's words look like the words around it. Older releases of matplotlib write
    # size and family as one.
    style = re.sub(r"font:[^;]*?([\d.]+px)[^;]*", r"font-size: \1", attributes.get("style", ""))
    kept["style"] = re.sub(r"font-family:[^;]*;?", "", style).strip()
    return kept


def bare(axes: Any, *sides: str) -> None:
    """Take away the lines and ticks of these sides; their labels stay."""
    for side in sides:
        axes.spines[side].set_visible(False)
    axes.tick_params(length=0)


def grid(axes: Any, along: str) -> None:
    """Thin lines behind the data along one axis ("x" or "y"), which then needs no line of its own."""
    axes.grid(axis=along)
    bare(axes, "left", "bottom")


def named_rows(axes: Any, names: Sequence[str]) -> Any:
    """Name the rows of a chart from the top down; returns the rows' places on the y axis."""
    places = np.arange(len(names))
    axes.set_yticks(places, names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    return places


def dots(axes: Any, x: Any, y: Any, reach: Any, colour: str, marker: str = "o") -> None:
    """Points with horizontal intervals; `reach` is of shape (2, n): how far the interval reaches below and above."""
    axes.errorbar(x, y, xerr=reach, fmt=marker, color=colour, markersize=6, elinewidth=1.8, capsize=0)


def limits(low: Sequence[float], high: Sequence[float], minor: Sequence[bool]) -> tuple[float, float]:
    """The range of an axis on which the differences that matter can be seen.

    Parameters
    ----------
    low, high : sequence of float
        Intervals.
    minor : sequence of bool
        Marks those (baselines) that may lie outside, as they do when including them would more than double the range.
    """
    lows, highs, aside = np.asarray(low, float), np.asarray(high, float), np.asarray(minor, bool)
    main = ~aside if (~aside).any() else np.ones(len(lows), bool)
    bottom, top = lows[main].min(), highs[main].max()
    if highs.max() - lows.min() <= 2 * (top - bottom):
        bottom, top = lows.min(), highs.max()
    margin = 0.06 * (top - bottom) or max(abs(top), 1.0) * 0.05
    return float(bottom - margin), float(top + margin)
