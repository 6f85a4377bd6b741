"""The confusion matrix of a run as a picture, and as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from kagglekit.contracts import Run
from kagglekit.dataset import Prepared
from kagglekit.inspect.sheets import Cell, Sheet, font
from kagglekit.report.confusion import Confusion
from kagglekit.report.words import percent, plural, printable, trimmed

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["confusion_sheet", "confusion_table"]

_RIGHT, _WRONG, _INK = np.array((11, 122, 117)), np.array((190, 70, 30)), (26, 34, 36)
_WIDE = 1000  # pixels that the cells may take together, as long as each can be read; and that the picture has at least
_CELL = (30, 130)
_LETTERS, _LABEL, _GAP = 15, 24, 8


def confusion_sheet(prepared: Prepared, run: Run) -> Sheet:
    """True classes downwards, predicted ones across, shaded by the share of the true class; errors in another colour.

    The rows are those that the run predicted without having seen them, and the likeliest class is predicted.
    """
    found = _confusion(prepared, run)
    right = int(np.trace(found.counts))
    rows = plural(int(found.counts.sum()), "training row")
    worst = [f"{n} of {true} taken for {guess}" for true, guess, n, _ in found.worst[:1]]
    return Sheet(
        title=f"{run.name}: which classes are taken for which",
        words=f"{percent(right / found.counts.sum())} right of {rows} that it did not see. Down: true, across: "
        f"predicted. {'; '.join(worst) or 'No errors'}.",
        cells=[Cell([_drawn(found)], [])],
    )


def confusion_table(prepared: Prepared, run: Run) -> pd.DataFrame:
    """Rows of each true class by the predicted one, then their number and the share that is right."""
    found = _confusion(prepared, run)
    table = pd.DataFrame(found.counts, index=pd.Index(found.classes, name="true"), columns=list(found.classes))
    return table.assign(rows=found.counts.sum(axis=1), right=np.diag(found.shares).round(6))


def _confusion(prepared: Prepared, run: Run) -> Confusion:
    return Confusion.of(prepared.y, run.oof.frame, prepared.competition.classes)


def _drawn(found: Confusion) -> np.ndarray:
    from PIL import Image, ImageDraw

    names = [trimmed(printable(name), _LABEL) for name in found.classes]
    n, letters = len(names), font(_LETTERS)
    side = int(np.clip(_WIDE // n, *_CELL))
    margin = int(max(letters.getlength(name) for name in names)) + _GAP
    # Wide enough for the words above it.
    image = Image.new("RGB", (max(_WIDE, margin + n * side), margin + n * side), "white")
    draw = ImageDraw.Draw(image)
    for i, j in np.ndindex(n, n):
        x, y = margin + j * side, margin + i * side
        share, count = found.shares[i, j], found.counts[i, j]
        full = _RIGHT if i == j else _WRONG
        colour = tuple(int(v) for v in 255 + (full - 255) * (0.04 + 0.96 * share**0.5 if count else 0.02))
        draw.rectangle((x, y, x + side - 2, y + side - 2), fill=colour)
        if count:
            ink = "white" if share > 0.45 else _INK
            small = font(min(_LETTERS, side // 3))
            draw.text((x + side / 2, y + side / 2), f"{count:,}", fill=ink, font=small, anchor="mm")
    for place, name in enumerate(names):
        middle = margin + place * side + side // 2
        draw.text((margin - _GAP, middle), name, fill=_INK, font=letters, anchor="rm")
        upright = _upright(name, margin - _GAP)
        image.paste(upright, (middle - upright.width // 2, 0))
    return np.asarray(image)


def _upright(name: str, height: int) -> Image:
    """A word that is read from below, ending at the bottom."""
    from PIL import Image, ImageDraw

    line = Image.new("RGB", (height, _LETTERS + 6), "white")
    ImageDraw.Draw(line).text((0, (_LETTERS + 6) // 2), name, fill=_INK, font=font(_LETTERS), anchor="lm")
    return line.transpose(Image.Transpose.ROTATE_90)
