"""Do probabilities mean what they say?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from kagglekit.metrics import label_codes
from kagglekit.report.blocks import Chart, Column, Note, Section, Table
from kagglekit.report.drawing import ACCENT, INK, SOFT, bare, draw, grid
from kagglekit.report.material import Material
from kagglekit.report.proportions import wilson
from kagglekit.report.words import number, plural, span

__all__ = ["Reliability", "calibration_section", "expected_chance", "reliability"]

Array = npt.NDArray[Any]
_BINS = 10
_FEWEST = 20  # rows of a bin
_DRAWS = 400


@dataclass(frozen=True)
class Reliability:
    """Rows in bins of rising probability.

    Parameters
    ----------
    predicted, observed : ndarray of shape (n_bins,)
        Mean probability, and the share of rows in which the event occurred.
    rows : ndarray of int, shape (n_bins,)
    """

    predicted: Array
    observed: Array
    rows: Array

    @property
    def ece(self) -> float:
        """Expected calibration error: the mean over rows of the gap of their bin.

        Source: Naeini, Cooper & Hauskrecht 2015. Not to compare models by: it depends on the bins, and chance alone
        makes it larger than nought; see `expected_chance`.
        """
        return float((np.abs(self.predicted - self.observed) * self.rows).sum() / self.rows.sum())


def _bins(p: Array) -> list[Array]:
    """Row numbers of bins of nearly as many rows each, rising in p.

    Equal probabilities share a bin: else the order of rows, which may go by label, would part them.
    """
    n = max(1, min(_BINS, len(p) // _FEWEST))
    order = np.argsort(p, kind="stable")
    rising = p[order]
    cuts = np.searchsorted(rising, rising[np.arange(1, n) * len(p) // n], side="left")
    return np.split(order, np.unique(cuts[cuts > 0]))


def reliability(p: Array, event: Array) -> Reliability:
    """Bin probabilities and compare each bin's mean with how often the event occurred.

    Parameters
    ----------
    p : ndarray of shape (n_rows,)
        Probabilities of the event.
    event : ndarray of bool, shape (n_rows,)
    """
    parts = _bins(p)
    means = [[values[part].mean() for part in parts] for values in (p, event)]
    return Reliability(np.array(means[0]), np.array(means[1]), np.array([len(part) for part in parts]))


def expected_chance(p: Array, seed: int = 0) -> float:
    """The ECE that perfectly calibrated probabilities stay below 95 times of 100 on as many rows.

    Events are drawn with the probabilities themselves, and each drawing is binned as the real ones are.
    """
    rng, parts = np.random.default_rng(seed), _bins(p)
    drawn = []
    for _ in range(_DRAWS):
        off: Array = (rng.random(len(p)) < p) - p
        drawn.append(sum(abs(off[part].sum()) for part in parts) / len(p))
    return float(np.quantile(drawn, 0.95))


def calibration_section(material: Material) -> Section | None:
    """The probabilities of the run that is looked at closely; nothing for values and several targets."""
    if not material.competition.is_classification or material.competition.targets:
        return None
    P = material.focus.oof.frame[list(material.competition.columns)].to_numpy(dtype=np.float64)
    title = "Calibration"
    if P.min() < -1e-6 or np.abs(P.sum(axis=1) - 1).max() > 1e-3:
        note = f"What {material.focus.name} predicts are no probabilities (they are not of 0 to 1 and of sum 1)."
        return Section("calibration", title, "Do probabilities mean what they say?", [Note(note)])
    p, event, what = _events(material, P)
    found, chance = reliability(p, event), expected_chance(p)
    words = (
        f"Do probabilities mean what they say? {material.focus.name}: {what}. The expected calibration error is "
        f"{number(found.ece)}; perfect probabilities would show up to {number(chance)} by chance (95 %): "
        + ("no miscalibration can be seen." if found.ece <= chance else "they are off by more than chance.")
    )
    return Section("calibration", title, words, [reliability_chart(found, what), _table(found)])


def _events(material: Material, P: Array) -> tuple[Array, Array, str]:
    """What is forecast: the second of two classes, else that the likeliest class is the true one."""
    classes = material.competition.classes
    truth = label_codes(material.prepared.y.loc[material.focus.oof.ids], classes)
    if len(classes) == 2:
        return P[:, 1], truth == 1, f"the probability of class {classes[1]}"
    return (
        P.max(axis=1),
        P.argmax(axis=1) == truth,
        "the probability of the likeliest class",
    )


def reliability_chart(found: Reliability, what: str) -> Chart:
    """Observed share against mean probability, bin by bin."""
    low, high = wilson(np.rint(found.observed * found.rows), found.rows)

    def paint(figure: Any) -> None:
        axes = figure.add_subplot()
        grid(axes, "both")
        bare(axes)
        axes.plot([0, 1], [0, 1], color=SOFT, linewidth=1, linestyle=(0, (4, 3)))
        reach = np.clip([found.observed - low, high - found.observed], 0, None)
        axes.errorbar(found.predicted, found.observed, yerr=reach, fmt="o-", color=ACCENT, markersize=6, linewidth=1)
        axes.text(0.97, 0.05, f"ECE {found.ece:.3f}", transform=axes.transAxes, ha="right", color=INK)
        axes.set_xlim(-0.02, 1.02)
        axes.set_ylim(-0.02, 1.02)
        axes.set_xlabel("mean predicted probability")
        axes.set_ylabel("observed share")

    gap = int(np.argmax(np.abs(found.predicted - found.observed)))
    words = (
        f"Rows in {plural(len(found.rows), 'bin')} of rising probability, {what}; on the dashed line probabilities "
        f"hold. Widest gap: {number(found.observed[gap])} observed where {number(found.predicted[gap])} was predicted."
    )
    return draw("reliability", "Reliability", words, paint, height=360)


def _table(found: Reliability) -> Table:
    low, high = wilson(np.rint(found.observed * found.rows), found.rows)
    rows = [
        [f"{n:,}", number(p), number(o), span(a, b)]
        for n, p, o, a, b in zip(found.rows, found.predicted, found.observed, low, high, strict=True)
    ]
    heads = [Column(t, "number") for t in ("rows", "predicted", "observed", "95 %")]
    return Table("Bins", heads, rows, "Bins of nearly equal numbers of rows; Wilson intervals.")
