"""Columns that order the rows alike, in clusters, and what a forest scores out of bag without each of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from kagglekit.inspect.alike import rank_correlation
from kagglekit.inspect.subject import Subject
from kagglekit.report.blocks import Chart
from kagglekit.report.drawing import ACCENT, LINE, SOFT, bare, draw
from kagglekit.report.words import number, plural, signed, span, trimmed
from kagglekit.stats import Difference, paired_bootstrap, verdict

__all__ = ["Redundancy", "Without", "measure_redundancy"]

_CLUSTER = 0.8  # mean rank correlation from which columns are in one cluster
_MOST_MEASURED, _MOST_DRAWN, _RESAMPLES = 20, 40, 500


@dataclass(frozen=True)
class Without:
    """The out-of-bag score without one or more columns.

    Parameters
    ----------
    columns : tuple of str
    cluster : int
        From 1; 0 for "all but one of each cluster".
    score : float
    difference : Difference
        To the score with every column; above nought where it is better without. 95 % interval of the paired bootstrap
        over rows.
    """

    columns: tuple[str, ...]
    cluster: int
    score: float
    difference: Difference


@dataclass(frozen=True)
class Redundancy:
    """Clusters of columns and what they are worth.

    Parameters
    ----------
    columns : tuple of str
    clusters : tuple of tuple of str
        Those with two columns or more.
    metric : str
    score : float or None
        Out of bag with every column; None where there is no cluster, and so nothing was fitted.
    without : tuple of Without
        One for each clustered column (the first 20), then all but one of each cluster.
    caution : str
        Why out-of-bag scores flatter here; "" where they do not.
    correlation : DataFrame of shape (n_columns, n_columns)
        Spearman's.
    """

    columns: tuple[str, ...]
    clusters: tuple[tuple[str, ...], ...]
    metric: str
    score: float | None
    without: tuple[Without, ...]
    caution: str = ""
    correlation: pd.DataFrame = field(default_factory=pd.DataFrame, repr=False)
    name: ClassVar[str] = "redundancy"

    def words(self) -> list[str]:
        """What was found, in plain lines."""
        if not self.clusters:
            strongest = self._strongest()
            return [f"Redundancy: no columns go together (rank correlation {_CLUSTER} and more).{strongest}"]
        lines = [
            f"Redundancy: {plural(len(self.clusters), 'cluster')} of columns with rank correlation {_CLUSTER} and "
            f"more; out-of-bag {self.metric} {number(self.score)} with every column."
        ]
        lines += [f"  cluster {n}: {', '.join(cluster)}" for n, cluster in enumerate(self.clusters, start=1)]
        for one in self.without:
            d = one.difference
            what = "all but one of each" if one.cluster == 0 else f"cluster {one.cluster}"
            lines.append(
                f"  without {', '.join(one.columns)} ({what}): {number(one.score)}, {signed(d.mean)} "
                f"({span(d.low, d.high)}), {verdict(d)}"
            )
        lines += [self.caution] * bool(self.caution)
        last = self.without[-1]
        if last.cluster == 0 and verdict(last.difference) != "worse":
            drop = "[" + ", ".join(f'"{c}"' for c in last.columns) + "]"
            lines.append(f"  To do: try an experiment with drop = {drop}.")
        return lines

    def _strongest(self) -> str:
        rho = self.correlation.abs().to_numpy(copy=True)
        if len(rho) < 2:
            return ""
        np.fill_diagonal(rho, 0)
        a, b = np.unravel_index(int(rho.argmax()), rho.shape)
        return f" Nearest: {self.columns[a]} and {self.columns[b]}, {rho[a, b]:.2f}."

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values; the correlations are in the table."""
        facts = {k: v for k, v in self.__dict__.items() if k not in ("correlation", "without")}
        return facts | {"without": [asdict(one) for one in self.without]}

    def table(self) -> pd.DataFrame:
        """A row for each pair of columns, the strongest first, and their clusters."""
        of = {c: n for n, cluster in enumerate(self.clusters, start=1) for c in cluster}
        rho = self.correlation.to_numpy()
        rows = [
            (a, b, float(rho[i, j]), of.get(a) if of.get(a) == of.get(b) else None)
            for i, a in enumerate(self.columns)
            for j, b in enumerate(self.columns[:i])
        ]
        frame = pd.DataFrame(rows, columns=["column", "other", "rank correlation", "cluster"])
        return frame.sort_values("rank correlation", key=np.abs, ascending=False, kind="stable", ignore_index=True)

    def chart(self) -> Chart | None:
        """The dendrogram: where branches meet, so far are the columns apart."""
        if len(self.columns) < 2:
            return None
        rho = self.correlation.abs()
        shown = _most_alike(rho)

        def paint(figure: Any) -> None:
            from scipy.cluster.hierarchy import dendrogram

            axes = figure.add_subplot()
            dendrogram(
                _linkage(rho.loc[shown, shown].to_numpy()),
                orientation="left",
                labels=[trimmed(c, 30) for c in shown],
                link_color_func=lambda _: ACCENT,
                leaf_font_size=12,
                ax=axes,
            )
            axes.axvline(1 - _CLUSTER, color=SOFT, linewidth=1, linestyle=(0, (4, 3)))
            ticks = np.array([0, 0.2, 0.4, 0.6, 0.8, 1.0])
            axes.set_xticks(ticks, [f"{1 - t:.1f}" for t in ticks])
            axes.set_xlim(1.02, -0.01)
            axes.set_xlabel("rank correlation (dashed: from here on, one cluster)")
            axes.grid(axis="x", color=LINE)
            bare(axes, "left", "right", "top", "bottom")

        words = f"Which columns order the rows alike: {plural(len(self.clusters), 'cluster')}."
        return draw("redundancy", "Columns that go together", words, paint, height=100 + 24 * len(shown), width=720)


def measure_redundancy(subject: Subject) -> Redundancy:
    """Cluster the columns by rank correlation, and fit a forest without each clustered one.

    Parameters
    ----------
    subject : Subject

    Returns
    -------
    Redundancy

    Notes
    -----
    Average linkage of 1 - |Spearman's rho|. The forest has the run's own settings where the run is one. The score
    of "all but one" drops columns that the same rows advised to drop: an experiment by folds has the last word.
    """
    columns = subject.columns
    rho = rank_correlation(subject.prepared.X[columns])
    clusters = _clusters(columns, rho.abs())
    whole = subject.forest.out_of_bag() if clusters else pd.DataFrame()
    return Redundancy(
        columns=tuple(columns),
        clusters=clusters,
        metric=subject.metric.name,
        score=subject.score(whole) if clusters else None,
        without=_measured(subject, clusters, whole),
        caution=_caution(subject),
        correlation=rho,
    )


def _caution(subject: Subject) -> str:
    folds = subject.prepared.folds
    if folds.scheme == "time" or folds.groups is not None:
        what = "later rows" if folds.scheme == "time" else "their group's other rows"
        return f"  Trees have seen {what}, so out-of-bag scores are too good here; their differences are a hint."
    return ""


def _linkage(strength: np.ndarray) -> np.ndarray:
    from scipy.cluster.hierarchy import linkage
    from scipy.spatial.distance import squareform

    linked: np.ndarray = linkage(squareform(np.round(1 - strength, 12), checks=False), "average")
    return linked


def _clusters(columns: Sequence[str], strength: pd.DataFrame) -> tuple[tuple[str, ...], ...]:
    from scipy.cluster.hierarchy import fcluster

    if len(columns) < 2:
        return ()
    numbers = fcluster(_linkage(strength.to_numpy()), 1 - _CLUSTER + 1e-9, "distance")
    together = [tuple(c for c, n in zip(columns, numbers, strict=True) if n == k) for k in dict.fromkeys(numbers)]
    return tuple(cluster for cluster in together if len(cluster) > 1)


def _measured(subject: Subject, clusters: Sequence[tuple[str, ...]], whole: pd.DataFrame) -> tuple[Without, ...]:
    of = [(c, n) for n, cluster in enumerate(clusters, start=1) for c in cluster][:_MOST_MEASURED]
    single = [_without(subject, (column,), number_, whole) for column, number_ in of]
    if not single or len(subject.columns) <= len(single) - len(clusters):
        return tuple(single)
    # Of each cluster the column stays that is missed most.
    kept = {
        n: min((w for w in single if w.cluster == n), key=lambda w: w.difference.mean).columns[0]
        for n in {w.cluster for w in single}
    }
    others = tuple(c for c, n in of if c != kept[n])
    joint = [_without(subject, others, 0, whole)] if len(others) > 1 else []
    return (*single, *joint)


def _without(subject: Subject, columns: tuple[str, ...], cluster: int, whole: pd.DataFrame) -> Without:
    part = subject.out_of_bag(without=columns).out_of_bag()
    ids = whole.index.intersection(part.index, sort=False)
    prepared = subject.prepared
    difference = paired_bootstrap(
        subject.metric,
        prepared.y.loc[ids],
        whole.loc[ids],
        part.loc[ids],
        prepared.competition.classes,
        groups=prepared.folds.groups,
        n_resamples=_RESAMPLES,
    )
    return Without(columns, cluster, subject.score(part), difference)


def _most_alike(strength: pd.DataFrame) -> list[str]:
    """The columns that a picture has room for: those with the nearest neighbour."""
    others = strength.to_numpy(copy=True)
    np.fill_diagonal(others, 0)
    order = np.argsort(-others.max(axis=1), kind="stable")[:_MOST_DRAWN]
    return [strength.columns[i] for i in sorted(order)]
