"""What a section of the page is made of: plain values, which the template escapes and lays out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

__all__ = ["Block", "Chart", "Column", "Gallery", "Note", "Picture", "Section", "Table", "rows_of"]


@dataclass(frozen=True)
class Chart:
    """A figure.

    Parameters
    ----------
    name : str
        Letters and hyphens; the beginning of every id inside the SVG.
    title, words : str
        What it is, and what it shows: read aloud in place of the picture, too.
    svg : str
        An `<svg>` element as `drawing.draw` makes it: the one value that the template does not escape.
    """

    name: str
    title: str
    words: str
    svg: str
    kind: str = field(default="chart", init=False)


@dataclass(frozen=True)
class Column:
    """The head of a table's column; `style` is "text", "name", "number" or "verdict"."""

    title: str
    style: str = "text"


@dataclass(frozen=True)
class Table:
    """Rows of text under named columns."""

    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[str]]
    words: str = ""
    wide: bool = False
    kind: str = field(default="table", init=False)


@dataclass(frozen=True)
class Picture:
    """A small image with the words below it; `uri` is a data URI in base 64, which the template does not escape."""

    uri: str
    words: str
    lines: Sequence[tuple[str, str]]
    width: int
    height: int


@dataclass(frozen=True)
class Gallery:
    """Small images side by side."""

    title: str
    words: str
    pictures: Sequence[Picture]
    kind: str = field(default="gallery", init=False)


@dataclass(frozen=True)
class Note:
    """A paragraph."""

    words: str
    kind: str = field(default="note", init=False)


Block = Chart | Table | Gallery | Note


@dataclass(frozen=True)
class Section:
    """A part of the page with a place in its table of contents.

    Parameters
    ----------
    id : str
        Letters and hyphens.
    title, words : str
    blocks : sequence of Block
    """

    id: str
    title: str
    words: str
    blocks: Sequence[Block]


def rows_of(*cells: Sequence[str]) -> list[Sequence[str]]:
    """Rows of a table from its columns' cells."""
    return list(zip(*cells, strict=True))
