"""Dropping columns of which no use shows: the score without them, and the same choice made again on other folds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from kagglekit.contracts import Folds, Split
from kagglekit.folds import make_folds, strata_of
from kagglekit.inspect.importance import Importance, reach, shuffle_losses
from kagglekit.inspect.subject import Subject
from kagglekit.refit import Refit
from kagglekit.report.blocks import Chart
from kagglekit.report.drawing import ACCENT, SOFT, dots, draw, grid, named_rows
from kagglekit.report.words import number, signed, span
from kagglekit.stats import Difference, corrected_t, verdict

__all__ = ["Dropped", "WeakColumns", "drop_weak"]

_FOLDS, _REPEATS = 5, 2
_OTHER_SEED = 1_000  # far from the seeds that repeats of the run's own folds have


@dataclass(frozen=True)
class Dropped:
    """Scores with every column and without the weak ones, fold by fold.

    Parameters
    ----------
    whole, without : tuple of float
        Of fresh fits on each fold.
    columns : tuple of tuple of str
        What was left out in each fold.
    difference : Difference
        Above nought where the score is better without; 95 % interval of the corrected t test over folds.
    """

    whole: tuple[float, ...]
    without: tuple[float, ...]
    columns: tuple[tuple[str, ...], ...]
    difference: Difference

    def words(self) -> str:
        """The two scores and their difference."""
        d = self.difference
        return (
            f"{number(float(np.mean(self.whole)))} with every column, {number(float(np.mean(self.without)))} without: "
            f"{signed(d.mean)} ({span(d.low, d.high)}), {verdict(d)}"
        )


@dataclass(frozen=True)
class WeakColumns:
    """What dropping the weak columns does.

    Parameters
    ----------
    columns : tuple of str
        Those of which no use shows in the run's folds.
    metric : str
    same : Dropped or None
        On the very rows that chose them: too good. None where there are none to drop.
    fresh : Dropped or None
        On other folds, the columns of each fold chosen by its fit rows alone: what to believe. None where it cannot
        be measured.
    why_not : str
        Why it cannot.
    """

    columns: tuple[str, ...]
    metric: str
    same: Dropped | None
    fresh: Dropped | None
    why_not: str = ""
    name: ClassVar[str] = "weak"

    def words(self) -> list[str]:
        """What was found, in plain lines."""
        if self.same is None:
            return [f"Weak columns: {self.why_not or 'none; every column is of use.'}"]
        lines = [
            f"Weak columns: {', '.join(self.columns)} (no use shows; fresh fits without them).",
            f"  on the rows that chose them, so too good: {self.metric} {self.same.words()}",
        ]
        if self.fresh is None:
            return [*lines, f"  {self.why_not}"]
        lines.append(f"  chosen again by other folds' fit rows alone, so honest: {self.metric} {self.fresh.words()}")
        return [*lines, self._advice()]

    def _advice(self) -> str:
        drop = "[" + ", ".join(f'"{c}"' for c in self.columns) + "]"
        if self.fresh is not None and verdict(self.fresh.difference) == "worse":
            return "  Keep them: together they are of use, though none is alone."
        return f"  To do: try an experiment with drop = {drop}; fewer columns are easier to keep right."

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    def table(self) -> pd.DataFrame:
        """A row for each fold of each kind."""
        rows = [
            {"rows": kind, "fold": n, "whole": whole, "without": without, "dropped": " ".join(columns)}
            for kind, found in self._kinds()
            for n, (whole, without, columns) in enumerate(zip(found.whole, found.without, found.columns, strict=True))
        ]
        return pd.DataFrame(rows, columns=["rows", "fold", "whole", "without", "dropped"])

    def _kinds(self) -> list[tuple[str, Dropped]]:
        both = [("the rows that chose", self.same), ("other folds, honest", self.fresh)]
        return [(kind, found) for kind, found in both if found is not None]

    def chart(self) -> Chart | None:
        """The two differences with their intervals."""
        kinds = self._kinds()
        if not kinds:
            return None

        def paint(figure: Any) -> None:
            axes = figure.add_subplot()
            places = named_rows(axes, [kind for kind, _ in kinds])
            grid(axes, "x")
            for place, (_, found) in zip(places, kinds, strict=True):
                d = found.difference
                colour = ACCENT if found is self.fresh else SOFT
                dots(axes, [d.mean], [place], [[d.mean - d.low], [d.high - d.mean]], colour)
            axes.axvline(0, color=SOFT, linewidth=1)
            axes.set_xlabel(f"{self.metric}: better by, without the weak columns")

        words = f"What dropping {', '.join(self.columns)} does, with 95 % intervals."
        return draw("weak", "Without the weak columns", words, paint, height=150, width=620)


def drop_weak(subject: Subject, importance: Importance) -> WeakColumns:
    """Fit again without the columns of which no use shows, in the run's folds and in other ones.

    Parameters
    ----------
    subject : Subject
    importance : Importance
        Of this subject.

    Returns
    -------
    WeakColumns

    Notes
    -----
    A choice judged by the rows that made it looks too good (Ambroise and McLachlan 2002). So the choice is made anew
    for each of five folds cut by another seed: for folds i and j a model is fitted on all others, and its losses on i
    help to choose for j, whose rows took no part. Time-forward folds choose by earlier folds. Not for columns that go
    together: all of them may look weak, and be dropped at once.
    """
    columns = tuple(importance.weak)
    if len(columns) == len(importance.columns):  # something has to stay
        columns = columns[1:]
    if not columns:
        return WeakColumns((), importance.metric, None, None)
    if len(subject.splits) < 2:
        return WeakColumns(columns, importance.metric, None, None, "one fold alone cannot tell a gain from noise.")
    whole = tuple(subject.held_out(fit) for fit in subject.fits)
    same = _dropped(subject, subject.splits, whole, [columns] * len(whole))
    if subject.prepared.folds.scheme == "time":
        chosen, why_not = _chosen_by_time(subject)
    else:
        chosen, why_not = _chosen_by_pairs(subject), ""
    if len(chosen) < 2:
        return WeakColumns(columns, importance.metric, same, None, why_not)
    splits = [split for split, _ in chosen]
    whole = tuple(subject.held_out(fit) for fit in subject.fit(splits))
    return WeakColumns(columns, importance.metric, same, _dropped(subject, splits, whole, [weak for _, weak in chosen]))


def _dropped(
    subject: Subject, splits: Sequence[Split], whole: tuple[float, ...], columns: Sequence[tuple[str, ...]]
) -> Dropped:
    without = tuple(
        subject.held_out(subject.fit([split], without=weak)[0]) if weak else score
        for split, weak, score in zip(splits, columns, whole, strict=True)
    )
    share = float(np.mean([len(s.score_ids) / len(s.fit_ids) for s in splits]))
    greater = subject.metric.greater_is_better
    difference = corrected_t(whole, without, test_to_fit=share, greater_is_better=greater)
    return Dropped(whole, without, tuple(columns), difference)


def _chosen_by_pairs(subject: Subject) -> list[tuple[Split, tuple[str, ...]]]:
    """Other folds, and for each the columns that are weak by the rows outside it."""
    folds = _other_folds(subject)
    numbers = folds.assignment.iloc[:, 0]
    pairs = [(i, j) for i in range(folds.n) for j in range(i)]
    outside = [
        Split(0, n, folds.ids[~numbers.isin(pair)], folds.ids[numbers.isin(pair)]) for n, pair in enumerate(pairs)
    ]
    losses: dict[int, list[np.ndarray]] = {fold: [] for fold in range(folds.n)}
    fits = subject.fit(subject.sampled(outside))
    for (i, j), fit in zip(pairs, fits, strict=True):
        for judging, choosing in ((i, j), (j, i)):
            rows = fit.score_ids[numbers.loc[fit.score_ids] == judging]
            losses[choosing].append(_losses(subject, fit, rows))
    splits = subject.sampled(list(folds.splits()))
    return [(split, _weak(subject, np.array(losses[split.fold]), fits)) for split in splits]


def _other_folds(subject: Subject) -> Folds:
    """Folds of the same scheme cut by another seed."""
    folds, facts, train = subject.prepared.folds, subject.prepared.competition, subject.prepared.train
    return make_folds(
        train.index,
        scheme=folds.scheme,
        n=min(max(folds.n, 3), _FOLDS),
        seed=folds.seed + _OTHER_SEED,
        y=strata_of(subject.prepared.y, folds.n),
        groups=train[facts.group] if facts.group else None,
        time=train[facts.time] if facts.time else None,
    )


def _chosen_by_time(subject: Subject) -> tuple[list[tuple[Split, tuple[str, ...]]], str]:
    """Later folds, and for each the columns that are weak by three or more earlier ones."""
    splits, fits = subject.splits, subject.fits
    measured = [_losses(subject, fit) for fit in fits[:-1]]
    chosen = [(splits[k], _weak(subject, np.array(measured[:k]), fits[:k])) for k in range(3, len(splits))]
    return chosen, "An honest score needs five time-forward folds: three to choose by, two to judge."


def _losses(subject: Subject, fit: Refit, rows: pd.Index | None = None) -> np.ndarray:
    """Of shape (n_columns, n_shuffles): the mean over targets where there are several."""
    _, found = shuffle_losses(subject, fit, subject.columns, _REPEATS, rows)
    return np.array([found[c].mean(axis=1) for c in subject.columns])


def _weak(subject: Subject, losses: np.ndarray, fits: Sequence[Any]) -> tuple[str, ...]:
    """Columns whose interval reaches nought, by losses of shape (n_folds, n_columns, n_shuffles); never all of them."""
    means = losses.mean(axis=(0, 2))
    low = [reach(losses[:, place], fits)[1] for place in range(len(means))]
    best = int(means.argmax())
    return tuple(c for place, c in enumerate(subject.columns) if low[place] <= 0 and place != best)
