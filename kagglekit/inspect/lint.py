"""Signs that a column knows what it should not: leaks, ids, order, patterns of gaps; and columns that hold nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from kagglekit.dataset import Prepared
from kagglekit.inspect.alike import as_order
from kagglekit.inspect.strength import Target, strength_of
from kagglekit.models.readers import as_levels, as_numbers, kind_of
from kagglekit.report.blocks import Chart
from kagglekit.report.drawing import ACCENT, SOFT, WORSE, draw, grid, named_rows
from kagglekit.report.words import percent, plural, trimmed

__all__ = ["Lint", "Sign", "lint"]

_MOST_ROWS, _MOST_DRAWN = 5_000, 20
_DECIDES = 0.8  # share of what there is to be told by one column alone
_SENSELESS = 0.02  # what row order or gaps tell for sure before it is worth a word
_ID_SHARE, _ID_DENSITY = 0.95, 3
_SAME_ORDER, _PURE = 0.995, 0.995


@dataclass(frozen=True)
class Sign:
    """Something to look at.

    Parameters
    ----------
    kind : str
        "target in another form", "too good", "senseless predictor", "id-like", "all missing" or "constant".
    column : str
    words, advice : str
        What was seen, and what to do.
    strength : float or None
        How much of the target it tells alone on held-out rows, from 0 to 1.
    """

    kind: str
    column: str
    words: str
    advice: str
    strength: float | None = None


@dataclass(frozen=True)
class Lint:
    """What was found.

    Parameters
    ----------
    signs : tuple of Sign
    n_columns, n_rows : int
        Looked at.
    """

    signs: tuple[Sign, ...]
    n_columns: int
    n_rows: int
    name: ClassVar[str] = "lint"

    def words(self) -> list[str]:
        """What was found, in plain lines."""
        seen = f"{plural(self.n_columns, 'column')}, {plural(self.n_rows, 'row')}"
        if not self.signs:
            return [f"Leakage lint: nothing found in {seen}."]
        lines = [f"Leakage lint: {plural(len(self.signs), 'sign')} in {seen}."]
        for sign in self.signs:
            lines += [f"  {sign.column} ({sign.kind}): {sign.words}", f"    {sign.advice}"]
        return lines

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    def table(self) -> pd.DataFrame:
        """A row for each sign."""
        return pd.DataFrame(
            [asdict(sign) for sign in self.signs], columns=["kind", "column", "strength", "words", "advice"]
        )

    def chart(self) -> Chart | None:
        """How much each suspect tells alone."""
        strong = [s for s in self.signs if s.strength is not None]
        top = sorted(strong, key=lambda s: -(s.strength or 0.0))[:_MOST_DRAWN]
        if not top:
            return None

        def paint(figure: Any) -> None:
            axes = figure.add_subplot()
            places = named_rows(axes, [trimmed(s.column, 30) for s in top])
            grid(axes, "x")
            colours = [WORSE if (s.strength or 0) >= _DECIDES else ACCENT for s in top]
            axes.barh(places, [100 * max(s.strength or 0.0, 0.0) for s in top], height=0.6, color=colours)
            axes.axvline(100 * _DECIDES, color=SOFT, linewidth=1, linestyle=(0, (4, 3)))
            axes.set_xlim(0, 102)
            axes.set_xlabel("told of the target by this alone, % (dashed: too good to be true)")

        return draw("lint", "Suspects", self.words()[0], paint, height=90 + 28 * len(top), width=680)


def lint(prepared: Prepared) -> Lint:
    """Look for signs of leakage in the training table.

    Parameters
    ----------
    prepared : Prepared
        Of a table; the order of its rows is taken to be the file's.

    Returns
    -------
    Lint
        An empty one says that none of these signs is there, not that there is no leak.

    Notes
    -----
    "Tells" is measured by a tree that sees one column alone, on held-out rows: the share of the log loss (of the
    variance of ranks) that it takes away from knowing nothing. Of large tables 5,000 rows are looked at. Kaufman and
    others 2012, "Leakage in data mining", says what to ask of a suspect: was it known when the prediction is wanted?
    """
    facts, X = prepared.competition, prepared.X
    rows = np.arange(len(X))
    if len(X) > _MOST_ROWS:
        rows = np.sort(np.random.default_rng(0).choice(len(X), _MOST_ROWS, replace=False))
    y = prepared.y.iloc[rows]
    target = Target.of(y, is_classes=facts.is_classification)
    signs: list[Sign] = []
    for column in X.columns:
        signs += _of_column(str(column), X[column].iloc[rows], prepared.test[column], y, target)
    signs += _of_order(X, rows, target, is_dated=facts.time is not None)
    signs += _of_gaps(X, rows, target)
    order = {kind: place for place, kind in enumerate(_KINDS)}
    return Lint(tuple(sorted(signs, key=lambda s: order[s.kind])), X.shape[1], len(rows))


_KINDS = ("target in another form", "too good", "senseless predictor", "id-like", "all missing", "constant")


def _of_column(name: str, column: pd.Series, test: pd.Series, y: pd.Series, target: Target) -> Iterator[Sign]:
    if (empty := _empty(name, column, test)) is not None:
        yield empty
        return
    if _is_id(column):
        yield Sign(
            "id-like",
            name,
            "it is different in nearly every row: as a whole it tells nothing of new rows, only parts of it can.",
            f'Leave it out, drop = ["{name}"] in [data], or make columns of its parts in features.py.',
        )
        return
    found = strength_of(as_order(column), target)
    if _is_target(column, y, is_classes=target.is_classes):
        yield Sign(
            "target in another form",
            name,
            f"it says the same as {y.name} in other words: from the one follows the other.",
            "Leave it out: in new rows it will not be known, or there is nothing left to predict.",
            found.score,
        )
    elif found.score >= _DECIDES:
        yield Sign(
            "too good",
            name,
            f"alone it tells {percent(found.score)} of the target on rows that were held out.",
            "Ask when it was written down. If after the target was known, leave it out.",
            found.score,
        )


def _empty(name: str, column: pd.Series, test: pd.Series) -> Sign | None:
    drop = f'Leave it out: drop = ["{name}"] in [data].'
    if column.isna().all():
        return Sign("all missing", name, "it has no value in any training row.", drop)
    if test.isna().all():
        words = "it has values in training rows and none in test rows."
        return Sign("all missing", name, words, f"{drop} What is learnt from it will be missing where it counts.")
    if column.nunique(dropna=False) == 1:
        return Sign("constant", name, f"it is {column.iloc[0]} in every training row.", drop)
    return None


def _is_id(column: pd.Series) -> bool:
    """Text that hardly repeats, or whole numbers that hardly repeat and lie side by side or rise row by row."""
    present = column.dropna()
    if len(present) < 20 or present.nunique() < _ID_SHARE * len(present):
        return False
    kind = kind_of(column)
    if kind != "number":
        return kind != "date"
    values = as_numbers(present)
    if not (values == np.round(values)).all():
        return False
    steps = np.diff(values)
    return bool((steps > 0).all() or (steps < 0).all() or np.ptp(values) < _ID_DENSITY * len(values))


def _is_target(column: pd.Series, y: pd.Series, *, is_classes: bool) -> bool:
    known = column.notna()
    if known.sum() < 20:
        return False
    if is_classes:
        levels = as_levels(column[known])
        counts = pd.crosstab(levels, y[known].astype(str).to_numpy())
        if not y.nunique() <= len(counts) <= 3 * y.nunique():
            return False
        return bool(counts.max(axis=1).sum() >= _PURE * counts.to_numpy().sum())
    # Levels are ordered by how often they come, which no target is.
    if kind_of(column) != "number":
        return False
    a, b = pd.Series(as_numbers(column[known])).rank(), y[known].rank().reset_index(drop=True)
    if a.std() == 0 or b.std() == 0:
        return False
    return bool(abs(np.corrcoef(a, b)[0, 1]) >= _SAME_ORDER)


def _of_order(X: pd.DataFrame, rows: np.ndarray, target: Target, *, is_dated: bool) -> Iterator[Sign]:
    places = {"row order": rows.astype(float)}
    if pd.api.types.is_numeric_dtype(X.index) and not X.index.is_monotonic_increasing:
        places["the id's number"] = X.index.to_numpy(dtype=float)[rows]
    for name, values in places.items():
        found = strength_of(values, target)
        if found.low > _SENSELESS:
            why = "dated rows may come in the order of their dates; " if is_dated else ""
            yield Sign(
                "senseless predictor",
                name,
                f"the place of a row in the file tells {percent(found.score)} of the target: {why}the file is sorted, "
                "or was put together from parts.",
                "No model sees it here. Neighbours are alike, so random folds flatter: cut by time or group if they "
                "belong together, and ask how the test file was made.",
                found.score,
            )


def _of_gaps(X: pd.DataFrame, rows: np.ndarray, target: Target) -> Iterator[Sign]:
    gaps = X.iloc[rows].isna()
    counted = {c: gaps[c].to_numpy(dtype=float) for c in X.columns if 0 < gaps[c].mean() < 1}
    for name, values in counted.items():
        found = strength_of(values, target)
        if found.low > _SENSELESS:
            yield Sign(
                "senseless predictor",
                f"gaps of {name}",
                f"whether it is missing tells {percent(found.score)} of the target by itself.",
                "Ask why it is missing. If it was filled in after the target was known, it is a leak; if the test rows "
                "have the same gaps for the same reason, it is a feature.",
                found.score,
            )
