"""What duplicates are worth in validation: one quick model on folds that split them, and that keep them together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from kagglekit.contracts import Competition, Folds
from kagglekit.dataset import Prepared
from kagglekit.drift.copies import Copies
from kagglekit.errors import DataError
from kagglekit.folds import make_folds
from kagglekit.metrics import Metric, get_metric
from kagglekit.models import registry
from kagglekit.progress import Progress, Silent
from kagglekit.stats import Difference

__all__ = ["Inflation", "measure_inflation"]

Array = npt.NDArray[Any]

_REPEATS, _TREES = 3, 50
_MOST_ROWS = 5_000
_RESAMPLES = 1_000


@dataclass(frozen=True)
class Inflation:
    """How much better a quick model scores when duplicates lie in different folds.

    Parameters
    ----------
    metric, model : str
    split, together : float
        Cross-validated scores on folds that split duplicates and on folds that keep them together.
    gain : Difference
        By how much the split folds flatter, oriented so that more is better; over all rows.
    linked : Difference
        The same over the rows that have a duplicate.
    n_rows, n_linked, n_folds : int
    """

    metric: str
    model: str
    split: float
    together: float
    gain: Difference
    linked: Difference
    n_rows: int
    n_linked: int
    n_folds: int

    @property
    def is_there(self) -> bool:
        """Whether the interval over the rows with a duplicate lies above nought."""
        return self.linked.low > 0

    def words(self) -> list[str]:
        """What was measured, in plain lines."""
        gain, linked = self.gain, self.linked
        lines = [
            f"Score inflation ({self.model}, {self.n_folds} folds, {self.n_rows:,} rows): {self.metric} "
            f"{self.split:.4f} with duplicates split over folds, {self.together:.4f} with them together: "
            f"{gain.mean:+.4f} ({gain.low:+.4f} to {gain.high:+.4f}).",
            f"On the {self.n_linked:,} rows that have a duplicate: {linked.mean:+.4f} "
            f"({linked.low:+.4f} to {linked.high:+.4f}).",
        ]
        if self.is_there:
            return [*lines, "Validation is too good as it is: keep duplicates in one fold."]
        return [*lines, "No inflation shows in these rows."]

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def measure_inflation(
    prepared: Prepared, copies: Copies, *, X: pd.DataFrame | None = None, progress: Progress | None = None
) -> Inflation:
    """Cross-validate a small forest on both kinds of folds, and compare its predictions row by row.

    Parameters
    ----------
    prepared : Prepared
    copies : Copies
    X : DataFrame by training id, optional
        Features to use instead of the columns: for images, pixels.
    progress : Progress, optional

    Returns
    -------
    Inflation

    Raises
    ------
    DataError
        There is nothing to measure: too few rows with a duplicate, or folds that cannot be cut by these groups.

    Notes
    -----
    The forest grows deep trees, which remember rows: what it gains is about the most that a model gains. Both kinds of
    folds have the same number, seeds and repeats; predictions are averaged over three repeats. The interval resamples
    groups, 95 %. Not for time-forward folds.
    """
    if prepared.folds.scheme == "time":
        raise DataError("Time-forward folds are not cut at random: duplicates cannot be split over them at will.")
    ids = _rows(copies, prepared.folds.seed)
    linked = copies.linked.intersection(ids, sort=False)
    X = (prepared.X if X is None else X).loc[ids]
    y, groups = prepared.y.loc[ids], copies.groups.loc[ids]
    cuts = [_cut(prepared, y, groups, together=t) for t in (False, True)]
    with (progress or Silent()).task("duplicates split and together", 2) as task:
        frames = []
        for folds in cuts:
            frames.append(_cross_validated(X, y, folds, prepared.competition))
            task.advance()
    metric, classes = get_metric(prepared.competition.metric), prepared.competition.classes
    split, together = frames
    return Inflation(
        metric=metric.name,
        model=f"a forest of {_TREES} trees",
        split=metric.score(y, split, classes),
        together=metric.score(y, together, classes),
        gain=_difference(metric, y, together, split, classes, groups),
        linked=_difference(metric, y.loc[linked], together.loc[linked], split.loc[linked], classes, groups.loc[linked]),
        n_rows=len(ids),
        n_linked=len(linked),
        n_folds=prepared.folds.n,
    )


def _rows(copies: Copies, seed: int) -> pd.Index:
    """The ids of whole groups, drawn at random up to the number of rows that a quick model can take."""
    if len(copies.groups) <= _MOST_ROWS:
        return copies.groups.index
    names = copies.groups.unique()
    order = pd.Series(np.random.default_rng(seed).permutation(len(names)), index=names)
    rank = copies.groups.map(order).sort_values(kind="stable")
    last = rank.iloc[_MOST_ROWS - 1]
    return copies.groups.index[copies.groups.map(order) <= last]


def _cut(prepared: Prepared, y: pd.Series, groups: pd.Series, *, together: bool) -> Folds:
    """Folds as the competition has them, or the same with duplicates kept together."""
    column, scheme = prepared.competition.group, prepared.folds.scheme
    given = None if column is None else prepared.train.loc[y.index, column]
    if together:
        given, scheme = groups, "stratified-group" if scheme.startswith("stratified") else "group"
    return make_folds(
        y.index, scheme=scheme, n=prepared.folds.n, seed=prepared.folds.seed, repeats=_REPEATS, y=y, groups=given
    )


def _cross_validated(X: pd.DataFrame, y: pd.Series, folds: Folds, competition: Competition) -> pd.DataFrame:
    """Out-of-fold predictions, averaged over repeats."""
    total = pd.DataFrame(0.0, index=y.index, columns=list(competition.columns))
    params = {"n_estimators": _TREES, "min_samples_leaf": 1, "max_features": "sqrt", "n_jobs": 1}
    for split in folds.splits():
        forest = registry.build("forest", params, task=competition.task, seed=split.repeat).set_params(oob=False)
        forest.fit(X.loc[split.fit_ids], y.loc[split.fit_ids])
        total.loc[split.score_ids] += _predicted(forest, X.loc[split.score_ids], competition)
    return total / folds.repeats


def _predicted(forest: Any, X: pd.DataFrame, competition: Competition) -> pd.DataFrame:
    if not competition.is_classification:
        return pd.DataFrame({competition.target: np.asarray(forest.predict(X))}, index=X.index)
    frame = pd.DataFrame(forest.predict_proba(X), index=X.index, columns=[str(c) for c in forest.classes_])
    return frame.reindex(columns=list(competition.columns), fill_value=0.0)


def _difference(
    metric: Metric, y: pd.Series, a: pd.DataFrame, b: pd.DataFrame, classes: Sequence[Any], groups: pd.Series
) -> Difference:
    """How much better b is than a on the same rows, with the interval over resampled groups."""
    truth = metric.truth(y, classes)
    predicted = [metric.predicted(metric.aligned(y, frame, classes), classes) for frame in (a, b)]
    sign = 1 if metric.greater_is_better else -1
    codes = pd.factorize(groups)[0]
    n_groups = int(codes.max()) + 1
    rng = np.random.default_rng(0)

    def difference(weight: Array) -> float:
        try:
            before, after = (metric.function(truth, p, weight) for p in predicted)
        except DataError:
            return np.nan
        return sign * (after - before)

    draws = (np.bincount(rng.integers(0, n_groups, n_groups), minlength=n_groups) for _ in range(_RESAMPLES))
    values = np.array([difference(counts[codes].astype(np.float64)) for counts in draws])
    values = values[~np.isnan(values)]
    if not len(values):
        raise DataError(f"{metric.name} is defined on no resample of the rows that have a duplicate.")
    low, high = np.quantile(values, [0.025, 0.975])
    better = float(np.mean(values > 0) + np.mean(values == 0) / 2)
    return Difference(difference(np.ones(len(y))), float(low), float(high), better)
