"""What the model says when one column is set to each of its values in turn, and the other columns stay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from kagglekit.inspect.alike import as_order
from kagglekit.inspect.importance import Importance
from kagglekit.inspect.subject import Subject
from kagglekit.models.readers import as_levels, kind_of
from kagglekit.report.blocks import Chart
from kagglekit.report.drawing import ACCENT, SOFT, bare, draw, grid
from kagglekit.report.words import number, plural, trimmed

__all__ = ["Curve", "Dependence", "measure_dependence"]

_MOST_CURVES, _POINTS, _LEVELS = 6, 20, 10
_ROWS, _LINES, _BINS = 100, 40, 20  # held-out rows of each fold; lines drawn in all; bars below


@dataclass(frozen=True)
class Curve:
    """One column.

    Parameters
    ----------
    column, output : str
        `output` is what the model says: a class, or the target.
    values : tuple of str
        The column's values, as text.
    places : tuple of float
        Where they stand on the axis: their numbers, days since 1970, or 0, 1, ... for levels.
    kind : {"number", "date", "category"}
    mean, low, high : tuple of float
        Over the models of the folds: their mean, the lowest and the highest.
    lines : tuple of tuple of float
        Single rows (individual conditional expectation), for up to 40 of them.
    edges, counts : tuple
        The column's own distribution: edges of bars (numbers) and how many rows.
    """

    column: str
    output: str
    values: tuple[str, ...]
    places: tuple[float, ...]
    kind: str
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    lines: tuple[tuple[float, ...], ...]
    edges: tuple[float, ...]
    counts: tuple[int, ...]

    def words(self) -> str:
        """Where it is lowest and highest."""
        least, most = int(np.argmin(self.mean)), int(np.argmax(self.mean))
        return (
            f"  {self.column}: {self.output} from {number(self.mean[least])} at {self.values[least]} "
            f"to {number(self.mean[most])} at {self.values[most]}"
        )


@dataclass(frozen=True)
class Dependence:
    """Curves of the columns that matter most.

    Parameters
    ----------
    curves : tuple of Curve
    n_rows : int
        Held-out rows behind each curve.
    left_out : tuple of str
        Columns that matter and cannot be shown so: text that hardly repeats.
    """

    curves: tuple[Curve, ...]
    n_rows: int
    left_out: tuple[str, ...]
    name: ClassVar[str] = "dependence"

    def words(self) -> list[str]:
        """What was found, in plain lines."""
        lines = [
            f"Partial dependence: what the models say, over {plural(self.n_rows, 'held-out row')}, when a column is "
            "set to each value and the others stay."
        ]
        lines += [curve.words() for curve in self.curves]
        if self.left_out:
            lines.append(f"  Not shown, as their values hardly repeat: {', '.join(self.left_out)}.")
        return lines

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    def table(self) -> pd.DataFrame:
        """A row for each value of each column."""
        rows = [
            {"column": c.column, "value": c.values[i], "output": c.output}
            | {"mean": c.mean[i], "low": c.low[i], "high": c.high[i]}
            for c in self.curves
            for i in range(len(c.values))
        ]
        return pd.DataFrame(rows, columns=["column", "value", "output", "mean", "low", "high"])

    def chart(self) -> Chart | None:
        """A panel for each column: single rows thin, their mean thick, the distribution below."""
        if not self.curves:
            return None
        across = min(3, len(self.curves))
        down = -(-len(self.curves) // across)

        def paint(figure: Any) -> None:
            panels = figure.subplots(2 * down, across, height_ratios=[4, 1] * down, squeeze=False)
            for place in range(across * down):
                row, column = divmod(place, across)
                upper, lower = panels[2 * row, column], panels[2 * row + 1, column]
                if place < len(self.curves):
                    _paint_curve(upper, lower, self.curves[place])
                else:
                    upper.set_visible(False)
                    lower.set_visible(False)

        words = f"Partial dependence of {', '.join(c.column for c in self.curves)}."
        width = max(460, 330 * across)
        return draw("dependence", "Partial dependence", words, paint, height=310 * down, width=width)


def _paint_curve(upper: Any, lower: Any, curve: Curve) -> None:
    x = np.array(curve.places)
    grid(upper, "y")
    for line in curve.lines:
        upper.plot(x, line, color=SOFT, alpha=0.3, linewidth=0.7, zorder=1)
    if curve.kind != "category":
        upper.fill_between(x, curve.low, curve.high, color=ACCENT, alpha=0.2, linewidth=0, zorder=2)
        upper.plot(x, curve.mean, color=ACCENT, linewidth=2.4, zorder=3)
        edges = np.array(curve.edges)
        lower.bar(edges[:-1], curve.counts, width=np.diff(edges), align="edge", color=SOFT)
    else:
        reach = [np.subtract(curve.mean, curve.low), np.subtract(curve.high, curve.mean)]
        upper.errorbar(x, curve.mean, yerr=reach, fmt="o", color=ACCENT, markersize=7, elinewidth=2, zorder=3)
        lower.bar(x, curve.counts, width=0.6, color=SOFT)
    upper.set_title(trimmed(curve.column, 28), fontsize=12)
    upper.set_ylabel(trimmed(curve.output, 26))
    limits = (-0.5, len(x) - 0.5) if curve.kind == "category" else (x.min(), x.max())
    margin = 0.02 * (limits[1] - limits[0])
    upper.set_xlim(limits[0] - margin, limits[1] + margin)
    lower.set_xlim(upper.get_xlim())
    upper.set_xticks([])
    lower.set_yticks([])
    bare(lower, "left")
    _name_places(lower, curve)


def _name_places(axes: Any, curve: Curve) -> None:
    if curve.kind == "number":
        axes.locator_params(axis="x", nbins=4)
    elif curve.kind == "date":
        few = np.linspace(0, len(curve.places) - 1, min(3, len(curve.places))).astype(int)
        axes.set_xticks([curve.places[i] for i in few], [curve.values[i][:7] for i in few])
    else:
        axes.set_xticks(curve.places, [trimmed(v, 10) for v in curve.values])
        if sum(len(trimmed(v, 10)) + 1 for v in curve.values) > 34:
            axes.tick_params(axis="x", labelrotation=60)


def measure_dependence(subject: Subject, importance: Importance) -> Dependence:
    """Partial dependence (Friedman 2001) and single rows (Goldstein and others 2015) of up to six columns.

    Parameters
    ----------
    subject : Subject
    importance : Importance
        Whose order chooses the columns: those of use first.

    Returns
    -------
    Dependence

    Notes
    -----
    Of several classes, the one is shown that the column moves most. A curve speaks of the model, not of the world:
    where columns go together it asks about rows that there cannot be. Numbers are set to 20 quantiles, dates to 20
    days, levels to their ten commonest. Lines that cross mean that the column works together with others.
    """
    order = [c.column for c in sorted(importance.columns, key=lambda c: (c.is_weak, -c.mean))]
    X = subject.prepared.X
    text = [c for c in order if kind_of(X[c]) == "text"]
    shown = [c for c in order if c not in text and X[c].nunique() > 1][:_MOST_CURVES]
    matter = {c.column for c in importance.columns if not c.is_weak}
    curves = [_curve(subject, column) for column in shown]
    n_rows = sum(min(_ROWS, len(fit.score_ids)) for fit in subject.fits)
    return Dependence(tuple(curves), n_rows, tuple(c for c in text if c in matter))


def _curve(subject: Subject, column: str) -> Curve:
    X = subject.prepared.X[column]
    kind = kind_of(X)
    positions, values, places = _grid(X)
    answers = [_answers(subject, fit, column, X.iloc[positions]) for fit in subject.fits]
    outputs = answers[0][1]
    means = np.array([a.mean(axis=0) for a, _ in answers])  # (folds, points, outputs)
    shown = int(np.ptp(means.mean(axis=0), axis=0).argmax()) if len(outputs) != 2 else 1
    lines = np.concatenate([a[..., shown] for a, _ in answers])
    lines = lines[np.linspace(0, len(lines) - 1, min(_LINES, len(lines))).astype(int)]
    edges, counts = _distribution(X, values, places)
    by_fold = means[..., shown]
    return Curve(
        column=column,
        output=f"P({subject.prepared.y.name} = {outputs[shown]})" if len(outputs) > 1 else outputs[0],
        values=values,
        places=places,
        kind=kind,
        mean=tuple(by_fold.mean(axis=0).tolist()),
        low=tuple(by_fold.min(axis=0).tolist()),
        high=tuple(by_fold.max(axis=0).tolist()),
        lines=tuple(tuple(line) for line in lines.tolist()),
        edges=edges,
        counts=counts,
    )


def _grid(X: pd.Series) -> tuple[list[int], tuple[str, ...], tuple[float, ...]]:
    """Positions of rows that hold the values to be set, and these values as text and as places on an axis."""
    kind = kind_of(X)
    if kind == "category":
        levels = pd.Series(as_levels(X), dtype=object)
        common = levels.value_counts().index[:_LEVELS]
        first = [int(np.flatnonzero((levels == level).to_numpy())[0]) for level in common]
        return first, tuple(map(str, common)), tuple(map(float, range(len(first))))
    order = as_order(X)
    known = np.flatnonzero(~np.isnan(order))
    distinct, first_row = np.unique(order[known], return_index=True)
    if len(distinct) > _POINTS:
        wanted = np.unique(np.quantile(order[known], np.linspace(0, 1, _POINTS), method="inverted_cdf"))
        chosen = np.searchsorted(distinct, wanted)
        distinct, first_row = distinct[chosen], first_row[chosen]
    positions = known[first_row].tolist()
    texts = tuple(
        f"{v:.6g}" if kind == "number" else str(X.iloc[p])[:10] for v, p in zip(distinct, positions, strict=True)
    )
    return positions, texts, tuple(distinct.tolist())


def _answers(subject: Subject, fit: Any, column: str, points: pd.Series) -> tuple[np.ndarray, list[str]]:
    """What a fit says of its held-out rows under each value: float of shape (n_rows, n_points, n_outputs)."""
    rows = fit.score_ids[np.linspace(0, len(fit.score_ids) - 1, min(_ROWS, len(fit.score_ids))).astype(int)]
    X = fit.X.loc[rows]
    many = X.iloc[np.repeat(np.arange(len(X)), len(points))].reset_index(drop=True)
    many[column] = points.iloc[np.tile(np.arange(len(points)), len(X))].set_axis(many.index)
    said = fit.predict(many)
    return said.to_numpy(dtype=float).reshape(len(X), len(points), -1), list(said.columns)


def _distribution(
    X: pd.Series, values: Sequence[str], places: Sequence[float]
) -> tuple[tuple[float, ...], tuple[int, ...]]:
    if kind_of(X) == "category":
        levels = pd.Series(as_levels(X), dtype=object).astype(str)
        return (), tuple(int((levels == value).sum()) for value in values)
    known = as_order(X)
    counts, edges = np.histogram(known[~np.isnan(known)], bins=_BINS, range=(places[0], places[-1]))
    return tuple(edges.tolist()), tuple(counts.tolist())
