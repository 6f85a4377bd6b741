"""Which classes are taken for which, and how well each is found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from kagglekit.metrics import label_codes
from kagglekit.report.blocks import Block, Chart, Column, Section, Table
from kagglekit.report.drawing import ACCENT, INK, PAPER, bare, dots, draw, grid, named_rows
from kagglekit.report.material import Material
from kagglekit.report.proportions import wilson
from kagglekit.report.words import number, percent, span, trimmed

__all__ = ["Confusion", "confusion_section"]

_MOST_DRAWN = 16
_MOST_LISTED = 40


@dataclass(frozen=True)
class Confusion:
    """How often each class was predicted for each true one.

    Parameters
    ----------
    classes : tuple of str
    counts : ndarray of int64, shape (n_classes, n_classes)
        Rows are true classes, columns predicted ones.
    """

    classes: tuple[str, ...]
    counts: npt.NDArray[np.int64]

    @classmethod
    def of(cls, y: pd.Series, frame: pd.DataFrame, classes: Sequence[str | int]) -> Confusion:
        """From true labels and one column of belief for each class, both by id; the likeliest class is predicted."""
        truth = label_codes(y.loc[frame.index], classes)
        predicted = frame[[str(c) for c in classes]].to_numpy().argmax(axis=1)
        counts = np.bincount(truth * len(classes) + predicted, minlength=len(classes) ** 2)
        return cls(tuple(str(c) for c in classes), counts.reshape(len(classes), -1).astype(np.int64))

    @property
    def shares(self) -> npt.NDArray[np.float64]:
        """Of the rows of each true class; noughts for a class without rows."""
        total = self.counts.sum(axis=1, keepdims=True)
        found: npt.NDArray[np.float64] = np.divide(self.counts, total, out=np.zeros(self.counts.shape), where=total > 0)
        return found

    @property
    def worst(self) -> list[tuple[str, str, int, float]]:
        """True class, predicted class, rows and share, of every confusion that occurred, the most frequent first."""
        off = self.counts * (1 - np.eye(len(self.classes), dtype=np.int64))
        pairs = sorted(zip(*np.nonzero(off), strict=True), key=lambda p: (-off[p], p))
        return [(self.classes[i], self.classes[j], int(off[i, j]), float(self.shares[i, j])) for i, j in pairs]


def confusion_section(material: Material) -> Section | None:
    """The classes of the run that is looked at closely; nothing for values and several targets."""
    if not material.competition.is_classification or material.competition.targets:
        return None
    frame = material.decided(material.focus)
    found = Confusion.of(material.prepared.y, frame, material.competition.classes)
    right = int(np.trace(found.counts))
    words = (
        f"{material.focus.name} on the {len(frame):,} training rows that it did not see when it predicted them: "
        f"{percent(right / len(frame))} right."
    )
    blocks: list[Block] = [recall_chart(found), _class_table(found)]
    if len(found.classes) <= _MOST_DRAWN:
        blocks.insert(0, matrix_chart(found))
    blocks.append(_worst_table(found))
    return Section("classes", "Classes", words, blocks)


def matrix_chart(found: Confusion) -> Chart:
    """The confusion matrix, shaded by the share of each true class."""
    n, shares = len(found.classes), found.shares

    def paint(figure: Any) -> None:
        from matplotlib.patches import Rectangle

        axes = figure.add_subplot()
        bare(axes, "left", "bottom")
        for i, j in np.ndindex(n, n):
            axes.add_patch(Rectangle((j - 0.48, i - 0.48), 0.96, 0.96, color=ACCENT, alpha=0.06 + 0.9 * shares[i, j]))
            # What lies below decides: on a dark cell the paper's colour can be read, on a light one the ink's.
            colour = PAPER if shares[i, j] > 0.5 else INK
            size = 12 if n <= 8 else 8
            axes.text(j, i, f"{found.counts[i, j]:,}", ha="center", va="center", color=colour, fontsize=size)
        names = [trimmed(c, 18) for c in found.classes]
        axes.set_xticks(range(n), names, rotation=0 if n <= 3 else 45, ha="center" if n <= 3 else "right")
        axes.tick_params(axis="x", labelcolor=INK)
        axes.set_yticks(range(n), names)
        axes.set_xlim(-0.5, n - 0.5)
        axes.set_ylim(n - 0.5, -0.5)
        axes.set_xlabel("predicted")
        axes.set_ylabel("true")

    worst = found.worst
    words = "Rows of the matrix are true classes, columns predicted ones; the shade is the share of the true class." + (
        f" Most often confused: {worst[0][0]} taken for {worst[0][1]}, {worst[0][2]:,} rows." if worst else ""
    )
    return draw("confusion", "Confusion matrix", words, paint, height=min(460, 150 + 62 * n))


def recall_chart(found: Confusion) -> Chart:
    """The share of each class that was found, with its interval."""
    recall, low, high = _rates(found, axis=1)
    order = np.argsort(recall, kind="stable")[:_MOST_LISTED]

    def paint(figure: Any) -> None:
        axes = figure.add_subplot()
        places = named_rows(axes, [trimmed(found.classes[i]) for i in order])
        grid(axes, "x")
        dots(axes, recall[order], places, np.clip([recall - low, high - recall], 0, None)[:, order], ACCENT)
        axes.set_xlim(-0.02, 1.02)
        axes.set_xlabel("recall")

    words = (
        f"The share of each class's rows that was found, with its 95 % interval, the worst first: "
        f"{found.classes[order[0]]}, {percent(recall[order[0]])}."
    )
    return draw("recall", "Recall of each class", words, paint, height=70 + 26 * len(order))


def _rates(found: Confusion, axis: int) -> tuple[Any, Any, Any]:
    """Recall (axis 1) or precision (axis 0) with its interval; 0 where there are no rows."""
    hits, n = np.diag(found.counts), found.counts.sum(axis=axis)
    return np.divide(hits, n, out=np.zeros(len(n)), where=n > 0), *wilson(hits, n)


def _class_table(found: Confusion) -> Table:
    recall, precision = _rates(found, 1), _rates(found, 0)
    order = np.argsort(recall[0], kind="stable")[:_MOST_LISTED]
    rows = [
        [
            found.classes[i],
            f"{found.counts[i].sum():,}",
            number(recall[0][i]),
            span(recall[1][i], recall[2][i]),
            number(precision[0][i]),
            span(precision[1][i], precision[2][i]),
        ]
        for i in order
    ]
    heads = [Column("class", "name"), *(Column(t, "number") for t in ("rows", "recall", "95 %", "precision", "95 %"))]
    cut = f" The {_MOST_LISTED} classes of lowest recall." if len(found.classes) > _MOST_LISTED else ""
    return Table("Scores of each class", heads, rows, f"Wilson intervals.{cut}", wide=True)


def _worst_table(found: Confusion) -> Table:
    heads = [Column("true", "name"), Column("taken for", "name"), Column("rows", "number"), Column("share", "number")]
    rows = [[true, taken, f"{n:,}", percent(share)] for true, taken, n, share in found.worst[:12]]
    return Table("Most frequent confusions", heads, rows, "Shares are of the rows of the true class.")
