"""Predicted values against true ones, and what is left over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from kagglekit.report.blocks import Chart, Column, Section, Table
from kagglekit.report.drawing import ACCENT, INK, SOFT, bare, draw, grid
from kagglekit.report.material import Material
from kagglekit.report.words import number, plural, signed, span

__all__ = ["Residuals", "residuals_section"]

Array = npt.NDArray[Any]
_BINS, _FEWEST, _MOST_POINTS = 10, 10, 700


@dataclass(frozen=True)
class Residuals:
    """Values with their predictions, in rising order of prediction.

    Parameters
    ----------
    predicted, true : ndarray of shape (n_rows,)
    """

    predicted: Array
    true: Array

    @classmethod
    def of(cls, predicted: Array, true: Array) -> Residuals:
        order = np.argsort(predicted, kind="stable")
        return cls(np.asarray(predicted, float)[order], np.asarray(true, float)[order])

    @property
    def left(self) -> Array:
        """True less predicted: above nought where too little was predicted."""
        return self.true - self.predicted

    def bins(self) -> list[tuple[int, float, float, float]]:
        """Rows, mean prediction, mean residual and its standard error, in bins of rising prediction."""
        n = max(1, min(_BINS, len(self.true) // _FEWEST))
        parts = np.array_split(np.arange(len(self.true)), n)
        return [
            (len(p), self.predicted[p].mean(), self.left[p].mean(), self.left[p].std(ddof=len(p) > 1) / np.sqrt(len(p)))
            for p in parts
        ]

    def shown(self) -> Array:
        """Row numbers of the points to draw: all, or evenly many along the order of predictions."""
        n = len(self.true)
        return np.unique(np.linspace(0, n - 1, min(n, _MOST_POINTS)).round().astype(int))


def residuals_section(material: Material) -> Section | None:
    """The values of the run that is looked at closely; nothing for classes and several targets."""
    if material.competition.is_classification or material.competition.targets:
        return None
    frame = material.focus.oof.frame
    found = Residuals.of(frame.iloc[:, 0].to_numpy(), material.prepared.y.loc[frame.index].to_numpy(dtype=float))
    total = float(((found.true - found.true.mean()) ** 2).sum())
    explained = 1 - float((found.left**2).sum()) / total if total else 0.0
    words = (
        f"{material.focus.name} on the {len(frame):,} training rows that it did not see when it predicted them: R² "
        f"{number(explained)}, mean residual {signed(float(found.left.mean()))}, and half of all residuals lie in "
        f"{span(*np.quantile(found.left, [0.25, 0.75]))}."
    )
    return Section("values", "Values", words, [true_chart(found), left_chart(found), _table(found)])


def _points(found: Residuals) -> str:
    shown = len(found.shown())
    return f"{plural(shown, 'row')}" + (f" of {len(found.true):,}, evenly drawn," if shown < len(found.true) else "")


def true_chart(found: Residuals) -> Chart:
    """True values against predicted ones."""
    some = found.shown()

    def paint(figure: Any) -> None:
        axes = figure.add_subplot()
        grid(axes, "both")
        bare(axes)
        axes.plot(
            found.predicted[some], found.true[some], "o", color=ACCENT, markersize=3.5, alpha=0.4, markeredgewidth=0
        )
        ends = [min(found.predicted[0], found.true.min()), max(found.predicted[-1], found.true.max())]
        axes.plot(ends, ends, color=SOFT, linewidth=1, linestyle=(0, (4, 3)))
        axes.set_xlabel("predicted")
        axes.set_ylabel("true")

    words = f"True against predicted values, {_points(found)} one point each; on the dashed line both are the same."
    return draw("true-values", "Predicted and true", words, paint, height=360)


def left_chart(found: Residuals) -> Chart:
    """Residuals against predictions, with the mean of each bin."""
    some, bins = found.shown(), found.bins()

    def paint(figure: Any) -> None:
        axes = figure.add_subplot()
        grid(axes, "y")
        axes.plot(
            found.predicted[some], found.left[some], "o", color=ACCENT, markersize=3.5, alpha=0.3, markeredgewidth=0
        )
        axes.axhline(0, color=SOFT, linewidth=1)
        _, x, mean, error = (np.array(c) for c in zip(*bins, strict=True))
        axes.errorbar(x, mean, yerr=1.96 * error, fmt="o-", color=INK, markersize=5, linewidth=1)
        low, high = np.quantile(found.left, [0.005, 0.995])
        axes.set_ylim(min(low, mean.min()) - 0.1 * (high - low or 1), max(high, mean.max()) + 0.1 * (high - low or 1))
        axes.set_xlabel("predicted")
        axes.set_ylabel("true − predicted")

    worst = max(bins, key=lambda b: abs(b[2]))
    words = (
        f"Residuals against predictions, {_points(found)} with the mean of bins and its 95 % interval; the widest one "
        f"in two hundred at each end are cut off. Farthest off: {signed(float(worst[2]))} on average where about "
        f"{number(float(worst[1]))} was predicted."
    )
    return draw("residuals", "Residuals", words, paint, height=360)


def _table(found: Residuals) -> Table:
    rows = [
        [f"{n:,}", number(x), number(x + m), signed(m), span(m - 1.96 * e, m + 1.96 * e)] for n, x, m, e in found.bins()
    ]
    heads = [Column(t, "number") for t in ("rows", "predicted", "true", "difference", "95 %")]
    return Table(
        "Calibration of values", heads, rows, "Means over bins of rising prediction, of nearly as many rows each."
    )
