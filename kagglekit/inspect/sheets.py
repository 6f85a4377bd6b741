"""Sheets of pictures with words below them, as one image file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kagglekit.errors import MissingExtra, UsageError
from kagglekit.files import atomic
from kagglekit.report.words import printable

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Cell", "Sheet", "font", "save_sheet"]

_WIDE = 1680  # pixels that a row of cells may take
_LEAST = 160  # a picture's side on the sheet
_MARGIN, _GAP, _BETWEEN = 40, 28, 6
_LINE, _TITLE, _WORDS = 17, 30, 19  # heights of letters
_STEP = _LINE + 6
_INK, _SOFT, _ACCENT = (26, 34, 36), (91, 103, 107), (11, 122, 117)


@dataclass(frozen=True)
class Cell:
    """Pictures side by side, and lines below them.

    Parameters
    ----------
    pictures : sequence of ndarray of uint8, shape (height, width, 3)
        All of one size.
    lines : sequence of str
        The first one is dark, the others grey.
    """

    pictures: Sequence[np.ndarray]
    lines: Sequence[str]


@dataclass(frozen=True)
class Sheet:
    """A title, a line of words and cells in order.

    Parameters
    ----------
    title, words : str
    cells : sequence of Cell
        At least one, all alike in form.
    heads : sequence of str
        What the pictures of a cell are, from left to right.
    """

    title: str
    words: str
    cells: Sequence[Cell]
    heads: Sequence[str] = ()


def save_sheet(sheet: Sheet, path: Path) -> Path:
    """Write a sheet as PNG or JPEG, by the name's ending; whole or not at all. The same sheet gives the same bytes.

    Pictures that are small are shown with each of their pixels as a square, none is smoothed.

    Raises
    ------
    MissingExtra
        Pillow is not installed.
    UsageError
        There are no cells.
    """
    if not sheet.cells:
        raise UsageError(f"There is nothing to show on {path.name}.")
    image = _drawn(sheet)
    with atomic(path) as file:
        image.save(file, "PNG" if path.suffix == ".png" else "JPEG", quality=90)
    return path


def _drawn(sheet: Sheet) -> Image:
    try:
        from PIL import Image, ImageDraw
    except ImportError as error:
        raise MissingExtra("Drawing pictures", "pillow", "vision") from error
    grid = _grid(sheet)
    image = Image.new("RGB", grid.size, "white")
    draw, inside = ImageDraw.Draw(image), grid.size[0] - 2 * _MARGIN
    _write(draw, (_MARGIN, _MARGIN), sheet.title, _TITLE, _INK, inside)
    _write(draw, (_MARGIN, _MARGIN + _TITLE + 14), sheet.words, _WORDS, _SOFT, inside)
    for number, cell in enumerate(sheet.cells):
        x, y = grid.place(number)
        for place, picture in enumerate(cell.pictures):
            left = x + place * (grid.wide + _BETWEEN)
            shown = Image.fromarray(picture).resize((grid.wide, grid.high), Image.Resampling.NEAREST)
            image.paste(shown, (left, y))
            if number < grid.columns and sheet.heads:
                _write(draw, (left, y - _LINE - 10), sheet.heads[place], _LINE, _ACCENT, grid.wide)
        for place, line in enumerate(cell.lines):
            at = (x, y + grid.high + 8 + place * _STEP)
            _write(draw, at, line, _LINE, _SOFT if place else _INK, grid.cell_wide)
    return image


@dataclass(frozen=True)
class _Grid:
    """Where things lie on a sheet, in pixels: a picture's size, a cell's, and the sheet's."""

    wide: int
    high: int
    cell_wide: int
    cell_high: int
    columns: int
    top: int
    size: tuple[int, int]

    def place(self, number: int) -> tuple[int, int]:
        """The upper left corner of a cell."""
        row, column = divmod(number, self.columns)
        return _MARGIN + column * (self.cell_wide + _GAP), self.top + row * (self.cell_high + _GAP)


def _grid(sheet: Sheet) -> _Grid:
    pictures = sheet.cells[0].pictures
    height, width = pictures[0].shape[:2]
    scale = max(1, -(-_LEAST // width))
    wide, high, many = width * scale, height * scale, len(pictures)
    cell_wide = many * wide + (many - 1) * _BETWEEN
    cell_high = high + 8 + max(len(cell.lines) for cell in sheet.cells) * _STEP
    columns = max(1, min(len(sheet.cells), (_WIDE + _GAP) // (cell_wide + _GAP)))
    rows = -(-len(sheet.cells) // columns)
    top = _MARGIN + _TITLE + 14 + _WORDS + 30 + (_LINE + 10 if sheet.heads else 0)
    size = 2 * _MARGIN + columns * (cell_wide + _GAP) - _GAP, top + rows * (cell_high + _GAP) - _GAP + _MARGIN
    return _Grid(wide, high, cell_wide, cell_high, columns, top, size)


@cache
def font(size: int) -> Any:
    """The letters of sheets, at a height in pixels."""
    from PIL import ImageFont

    return ImageFont.load_default(size)


def _write(draw: Any, at: tuple[int, int], text: str, size: int, colour: tuple[int, int, int], most: int) -> None:
    """A line that never runs over its place."""
    letters = font(size)
    words = printable(text)
    if letters.getlength(words) > most:
        while words and letters.getlength(f"{words}…") > most:
            words = words[:-1]
        words += "…"
    draw.text(at, words, fill=colour, font=letters)
