"""Which columns matter: what a forest loses on held-out rows when one of them is shuffled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from kagglekit.errors import DataError
from kagglekit.models import registry
from kagglekit.models.several import for_targets
from kagglekit.report.blocks import Chart, Column, Section, Table
from kagglekit.report.drawing import ACCENT, SOFT, draw, grid, named_rows
from kagglekit.report.material import Material
from kagglekit.report.words import number, plural, signed, span, trimmed

__all__ = ["Importance", "importance_section", "permutation_importance"]

_MOST_FITTED, _MOST_SCORED, _MOST_DRAWN, _SEED = 5_000, 2_000, 15, 0
_MOST_TARGETS = 6
_REPEATS, _SHUFFLES, _MOST_COLUMNS = 5, 200, 500  # a wide table gets fewer shuffles of each column


@dataclass(frozen=True)
class Importance:
    """What shuffling one column costs, in units of the metric.

    Parameters
    ----------
    column : str
    losses : tuple of float
        One for each shuffle; above nought where the column was of use.
    targets: mapping of str to float
        Of several targets, whose mean that is, what each by itself loses; the mean over shuffles.
    """

    column: str
    losses: tuple[float, ...]
    targets: Mapping[str, float] = field(default_factory=dict)

    @property
    def mean(self) -> float:
        return float(np.mean(self.losses))


def permutation_importance(material: Material) -> tuple[float, list[Importance]]:
    """Fit a forest on all folds but the first and shuffle each column of the first, up to five times over.

    The runs' own models are not kept, so a forest of a hundred trees stands for them: what matters to it need not
    matter to another model. Columns that say the same share their importance, and each can then look useless.

    Parameters
    ----------
    material : Material
        Of a competition without images.

    Returns
    -------
    score : float
        Of the forest on the held-out fold.
    found : list of Importance
        The most important first; of very wide tables, the first 500 columns.

    Raises
    ------
    DataError
        The metric is not defined on that fold alone, or no column can be learnt from.

    Notes
    -----
    Source: Breiman 2001, "Random forests", section 10, measured on held-out rows instead of out-of-bag ones.
    """
    facts, prepared = material.competition, material.prepared
    split = next(iter(prepared.folds.splits()))
    rng = np.random.default_rng(_SEED)
    forest = registry.build("forest", {"oob": False}, task=facts.task, seed=_SEED)
    forest = for_targets(forest, facts.targets)
    fit_ids = _some(split.fit_ids, _MOST_FITTED, rng)
    forest.fit(prepared.X.loc[fit_ids], prepared.y.loc[fit_ids])
    score_ids = _some(split.score_ids, _MOST_SCORED, rng)
    X, y = prepared.X.loc[score_ids], prepared.y.loc[score_ids]
    whole = _scores(material, forest, X, y)
    columns = list(X.columns[:_MOST_COLUMNS])
    losses: dict[str, list[np.ndarray]] = {str(column): [] for column in columns}
    for _ in range(int(np.clip(_SHUFFLES // len(columns), 1, _REPEATS))):
        for column in columns:
            drawn = X[column].iloc[rng.permutation(len(X))]
            shuffled = X.assign(**{str(column): drawn.set_axis(X.index)})
            losses[str(column)].append(material.sign * (whole - _scores(material, forest, shuffled, y)))
    found = [_importance(column, np.array(values), facts.targets) for column, values in losses.items()]
    return float(whole.mean()), sorted(found, key=lambda i: (-i.mean, i.column))


def _importance(column: str, losses: np.ndarray, targets: Sequence[str]) -> Importance:
    """From losses of shape (n_shuffles, n_targets)."""
    own = dict(zip(targets, losses.mean(axis=0).tolist(), strict=False))
    return Importance(column, tuple(losses.mean(axis=1).tolist()), own)


def _some(ids: pd.Index, most: int, rng: np.random.Generator) -> pd.Index:
    return ids if len(ids) <= most else ids[np.sort(rng.choice(len(ids), most, replace=False))]


def _scores(material: Material, forest: Any, X: pd.DataFrame, y: pd.Series) -> np.ndarray:
    """Of each target."""
    facts = material.competition
    if facts.is_classification:
        frame = pd.DataFrame(forest.predict_proba(X), index=X.index, columns=[str(c) for c in forest.classes_])
        frame = frame.reindex(columns=list(facts.columns), fill_value=0.0)
    else:
        values = np.asarray(forest.predict(X)).reshape(len(X), -1)
        frame = pd.DataFrame(values, index=X.index, columns=list(facts.columns))
    return material.metric.each(y, frame, facts.classes)


def importance_section(material: Material) -> Section | None:
    """The columns of a table; nothing for images."""
    if material.competition.has_images:
        return None
    try:
        score, found = permutation_importance(material)
    except DataError:
        return None  # such as the area under the curve of a fold of one class
    words = (
        "The runs' models are not kept, so a forest of 100 trees was fitted anew on all folds but the first, without "
        f"the settings of any experiment: {material.competition.metric} {number(score)} on the first fold. A column's "
        "importance is what that score loses when the column is shuffled there. Columns that say the same share it."
    )
    if left := len(material.prepared.X.columns) - len(found):
        words += f" The last {plural(left, 'column')} were not looked at."
    return Section("importance", "What matters", words, [importance_chart(material, found), _table(found)])


def importance_chart(material: Material, found: list[Importance]) -> Chart:
    """The most important columns with the range of their shuffles."""
    top = found[:_MOST_DRAWN]

    def paint(figure: Any) -> None:
        axes = figure.add_subplot()
        places = named_rows(axes, [trimmed(i.column) for i in top])
        grid(axes, "x")
        reach = [[i.mean - min(i.losses) for i in top], [max(i.losses) - i.mean for i in top]]
        axes.barh(places, [i.mean for i in top], xerr=reach, height=0.6, color=ACCENT, ecolor=SOFT)
        axes.axvline(0, color=SOFT, linewidth=1)
        axes.set_xlabel(f"{material.competition.metric} lost")

    words = (
        f"What the forest loses when a column is shuffled, mean and range of {plural(len(top[0].losses), 'shuffle')}; "
        f"most by {top[0].column}, {signed(top[0].mean)}."
    )
    return draw("importance-chart", "Permutation importance", words, paint, height=80 + 26 * len(top))


def _table(found: list[Importance]) -> Table:
    targets = list(found[0].targets)[:_MOST_TARGETS]
    heads = [Column("column", "name"), Column("lost", "number"), Column("range of shuffles", "number")]
    heads += [Column(trimmed(name), "number") for name in targets]
    rows = [
        [i.column, signed(i.mean), span(min(i.losses), max(i.losses)), *(signed(i.targets[name]) for name in targets)]
        for i in found[: 2 * _MOST_DRAWN]
    ]
    left = len(found[0].targets) - len(targets)
    words = (
        "Lost: the mean over targets; beside its range what each loses by itself, in its own unit." if targets else ""
    )
    words += f" {plural(left, 'target')} more are not shown." if left else ""
    return Table("Columns", heads, rows, words, wide=bool(targets))
