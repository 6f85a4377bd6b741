"""Which columns matter to the run's own models: what they lose on held-out rows when one column is shuffled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from kagglekit.inspect.alike import rank_correlation
from kagglekit.inspect.by_target import (
    CELL_RATIO,
    MOST_DRAWN,
    Worth,
    named_upright,
    paint_cells,
    table_cells,
    worth_lines,
)
from kagglekit.inspect.own_weights import own_weights
from kagglekit.inspect.subject import Subject
from kagglekit.refit import Refit
from kagglekit.report.blocks import Chart
from kagglekit.report.drawing import ACCENT, SOFT, dots, draw, grid, named_rows
from kagglekit.report.words import number, percent, plural, signed, span, trimmed
from kagglekit.stats import corrected_t

__all__ = ["ColumnImportance", "Importance", "measure_importance", "reach", "shuffle_losses"]

_MOST_COLUMNS, _SHUFFLES, _REPEATS = 200, 200, 5  # a wide table gets fewer shuffles of each column
_AT_ONCE = 100_000  # rows handed to the model in one call
_ALIKE = 0.8
_SHOWN, _DRAWN = 12, 20


@dataclass(frozen=True)
class ColumnImportance:
    """One column.

    Parameters
    ----------
    column : str
    mean, low, high : float
        What the metric loses when it is shuffled, with a 95 % interval; above nought where the column is of use.
    own : float or None
        The model's own share: impurity of forests, gain of boosting.
    alike : tuple of str
        Columns of nearly the same order (rank correlation .8 and more), with which it shares its importance.
    targets : mapping of str to Worth
        Of several targets: the same for each by itself; else empty.
    """

    column: str
    mean: float
    low: float
    high: float
    own: float | None
    alike: tuple[str, ...]
    targets: Mapping[str, Worth] = field(default_factory=dict)

    @property
    def is_weak(self) -> bool:
        """Whether the interval reaches down to nought."""
        return self.low <= 0


@dataclass(frozen=True)
class Importance:
    """Every column, the most important first.

    Parameters
    ----------
    columns : tuple of ColumnImportance
    metric : str
    scores : tuple of float
        Of the folds' models with nothing shuffled.
    repeats : int
        Shuffles of each column in each fold.
    left_out : int
        Columns that were not looked at.
    """

    columns: tuple[ColumnImportance, ...]
    metric: str
    scores: tuple[float, ...]
    repeats: int
    left_out: int = 0
    name: ClassVar[str] = "importance"

    @property
    def targets(self) -> list[str]:
        """Several targets; none where there is one."""
        return list(self.columns[0].targets)

    @property
    def weak(self) -> list[str]:
        """Columns of which no use shows."""
        return [c.column for c in self.columns if c.is_weak]

    def words(self) -> list[str]:
        """What was found, in plain lines."""
        folds = plural(len(self.scores), "fold")
        lines = [
            f"Importance: what {self.metric} loses on held-out rows when a column is shuffled ({folds}, "
            f"{plural(self.repeats, 'shuffle')} each; {number(float(np.mean(self.scores)))} unshuffled)."
        ]
        wide = max(len(c.column) for c in self.columns)
        for c in self.columns[:_SHOWN]:
            own = "" if c.own is None else f"  own {percent(c.own):>7}"
            lines.append(f"  {c.column:<{wide}}  {signed(c.mean):>8}  ({span(c.low, c.high)}){own}")
        if self.targets:
            lines += worth_lines({c.column: c.targets for c in self.columns[:_SHOWN]})
        if self.weak:
            lines.append(f"No use shows (the interval reaches nought): {', '.join(self.weak)}.")
        if alike := [c for c in self.columns if c.alike]:
            pairs = "; ".join(f"{c.column} with {', '.join(c.alike)}" for c in alike[:_SHOWN])
            lines.append(f"Columns that go together share their importance, and each can look useless: {pairs}.")
        if self.left_out:
            lines.append(f"The last {plural(self.left_out, 'column')} were not looked at.")
        return lines

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        facts = asdict(self) | {"weak": self.weak}
        if not self.targets:
            facts["columns"] = [_without_targets(c) for c in self.columns]
        return facts

    def table(self) -> pd.DataFrame:
        """A row for each column."""
        rows = [_without_targets(c) | {"alike": " ".join(c.alike)} | table_cells(c.targets) for c in self.columns]
        return pd.DataFrame(rows)

    def chart(self) -> Chart:
        """Permutation with intervals, the model's own shares beside it, and of several targets a cell for each."""
        top = self.columns[:_DRAWN]
        own = [c.own for c in top if c.own is not None]
        targets = self.targets[:MOST_DRAWN]
        ratios = [3.0] + [2.0] * bool(own) + [CELL_RATIO * len(targets)] * bool(targets)

        def paint(figure: Any) -> None:
            axes = figure.subplots(1, len(ratios), sharey=True, width_ratios=ratios, squeeze=False)[0]
            places = named_rows(axes[0], [trimmed(c.column) for c in top])
            self._paint_losses(axes[0], places)
            if own:
                grid(axes[1], "x")
                axes[1].barh(places, [100 * (c.own or 0.0) for c in top], height=0.6, color=SOFT)
                axes[1].set_xlabel("the model's own share, %")
            if targets:
                paint_cells(axes[-1], places, [c.targets for c in top])

        words = f"What each column is worth on held-out rows, with 95 % intervals; most: {top[0].column}."
        title = "Importance"
        if targets:
            title += ", and of each target (brackets: its interval reaches nought)"
        height = 90 + 26 * len(top) + (0 if named_upright(targets) else 60)
        return draw("importance", title, words, paint, height=height, width=760 + 67 * len(targets))

    def _paint_losses(self, axes: Any, places: Any) -> None:
        top = self.columns[:_DRAWN]
        grid(axes, "x")
        dots(
            axes, [c.mean for c in top], places, [[c.mean - c.low for c in top], [c.high - c.mean for c in top]], ACCENT
        )
        axes.axvline(0, color=SOFT, linewidth=1)
        axes.set_xlabel(f"{self.metric} lost when shuffled")


def _without_targets(column: ColumnImportance) -> dict[str, Any]:
    return {key: value for key, value in asdict(column).items() if key != "targets"}


def measure_importance(subject: Subject) -> Importance:
    """Shuffle each column of the held-out rows of each fold, up to five times over.

    Parameters
    ----------
    subject : Subject

    Returns
    -------
    Importance

    Notes
    -----
    Source: Breiman 2001, "Random forests", section 10, measured on held-out rows. The interval is over folds, by the t
    distribution with the correction of Nadeau and Bengio 2003, each fold's loss being the mean of its shuffles; with a
    single fold it is the range of the shuffles. Not for choosing among columns that go together.
    """
    columns = subject.columns[:_MOST_COLUMNS]
    repeats = int(np.clip(_SHUFFLES // len(columns), 1, _REPEATS))
    found = [shuffle_losses(subject, fit, columns, repeats) for fit in subject.fits]
    losses = {c: np.array([of_fold[c] for _, of_fold in found]) for c in columns}
    targets = subject.prepared.competition.targets
    own = [w for fit in subject.fits if (w := own_weights(fit.estimator)) is not None]
    shares = pd.concat(own, axis=1).fillna(0.0).mean(axis=1) if own else None
    alike = _alike(subject, columns)
    measured = [
        ColumnImportance(
            c,
            *reach(losses[c].mean(axis=2), subject.fits),
            own=None if shares is None else float(shares.get(c, 0.0)),
            alike=alike[c],
            targets={name: Worth(*reach(losses[c][:, :, n], subject.fits)) for n, name in enumerate(targets)},
        )
        for c in columns
    ]
    return Importance(
        columns=tuple(sorted(measured, key=lambda c: (-c.mean, c.column))),
        metric=subject.metric.name,
        scores=tuple(float(whole.mean()) for whole, _ in found),
        repeats=repeats,
        left_out=len(subject.columns) - len(columns),
    )


def shuffle_losses(
    subject: Subject, fit: Refit, columns: Sequence[str], repeats: int, rows: pd.Index | None = None
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The scores of a fit on rows it did not see, and what each shuffle of each column costs them.

    Shuffled copies are handed to the model many at a time, as each call of it has a cost of its own.

    Returns
    -------
    whole : ndarray of shape (n_targets,)
    losses : dict of str to ndarray of shape (n_shuffles, n_targets)
        Their mean over targets is the loss of the competition's metric.
    """
    ids = fit.score_ids if rows is None else rows
    X, rng = fit.X.loc[ids], np.random.default_rng(len(ids))
    whole = subject.scores(fit.predict(X))
    jobs = [c for c in columns for _ in range(repeats)]
    at_once = max(1, _AT_ONCE // len(X))
    losses: dict[str, list[np.ndarray]] = {c: [] for c in columns}
    for start in range(0, len(jobs), at_once):
        batch = jobs[start : start + at_once]
        copies = [X.assign(**{c: X[c].iloc[rng.permutation(len(X))].set_axis(X.index)}) for c in batch]
        predicted = fit.predict(pd.concat(copies, ignore_index=True))
        for place, column in enumerate(batch):
            part = predicted.iloc[place * len(X) : (place + 1) * len(X)].set_axis(X.index)
            losses[column].append(subject.sign * (whole - subject.scores(part)))
    return whole, {column: np.array(found) for column, found in losses.items()}


def reach(losses: np.ndarray, fits: Sequence[Refit]) -> tuple[float, float, float]:
    """Mean and 95 % interval of losses of shape (n_folds, n_shuffles)."""
    by_fold = losses.mean(axis=1)
    if len(by_fold) < 2:
        return float(by_fold.mean()), float(losses.min()), float(losses.max())
    share = float(np.mean([len(f.score_ids) / len(f.fit_ids) for f in fits]))
    nothing = np.zeros(len(by_fold)).tolist()
    found = corrected_t(nothing, by_fold.tolist(), test_to_fit=share, greater_is_better=True)
    return found.mean, found.low, found.high


def _alike(subject: Subject, columns: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
    near = rank_correlation(subject.prepared.X[list(columns)]).abs().to_numpy() >= _ALIKE
    np.fill_diagonal(near, False)
    return {
        c: tuple(o for o, is_near in zip(columns, row, strict=True) if is_near)
        for c, row in zip(columns, near, strict=True)
    }
