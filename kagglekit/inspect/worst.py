"""The images with the largest loss, as one sheet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from kagglekit.contracts import Run
from kagglekit.dataset import Prepared
from kagglekit.inspect.sheets import Cell, Sheet
from kagglekit.report.images import upright
from kagglekit.report.losses import loss_facts, losses
from kagglekit.report.words import plural

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["worst_sheet"]

_SIDE, _MOST = 300, 25
_GREY = 244


def worst_sheet(prepared: Prepared, run: Run) -> Sheet:
    """The images that a run, which did not see them, predicted worst; whole, on a square.

    Files that cannot be read are left out.
    """
    cells = []
    for id_ in losses(prepared, run).index[:_MOST]:
        path = str(prepared.train["path"].iloc[prepared.train.index.get_loc(id_)])
        if (image := upright(path, 2 * _SIDE)) is None:
            continue
        name, *facts = loss_facts(prepared, run, id_)
        cells.append(Cell([_square(image)], [*(f"{what} {value}" for what, value in facts), name[1]]))
    return Sheet(
        title=f"{run.name}: the largest losses",
        words=f"{plural(len(cells), 'training image')} that it predicted worst without having seen them, worst first.",
        cells=cells,
    )


def _square(image: Image) -> np.ndarray:
    from PIL import ImageOps

    padded = ImageOps.pad(image, (_SIDE, _SIDE), color=(_GREY, _GREY, _GREY))
    return np.asarray(padded)
