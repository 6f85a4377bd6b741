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
from kagglekit.folds import make_folds, strata_of
from kagglekit.metrics import get_metric
from kagglekit.models import registry
from kagglekit.models.several import for_targets
from kagglekit.progress import Progress, Silent
from kagglekit.stats import Difference

__all__ = ["Inflation", "measure_inflation"]

Array = npt.NDArray[Any]

_REPEATS = 5
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
        By how much the split folds flatter, positive whatever the metric's direction; over all rows, of which those
        without a duplicate gain nothing.
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
        return [
            f"Score inflation ({self.model}, {self.n_folds} folds, {self.n_rows:,} rows): {self.metric} "
            f"{self.split:.4f} with duplicates split over folds, {self.together:.4f} with them together: "
            f"{gain.mean:+.4f} ({gain.low:+.4f} to {gain.high:+.4f}).",
            f"On the {self.n_linked:,} rows that have a duplicate: {linked.mean:+.4f} "
            f"({linked.low:+.4f} to {linked.high:+.4f}).",
        ]

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def measure_inflation(
    prepared: Prepared,
    copies: Copies,
    *,
    X: pd.DataFrame | None = None,
    sees: str = "the columns",
    n_trees: int = 50,
    progress: Progress | None = None,
) -> Inflation:
    """Cross-validate a small forest on both kinds of folds, and compare its predictions row by row.

    Parameters
    ----------
    prepared : Prepared
    copies : Copies
    X : DataFrame by training id, optional
        Features to use instead of the columns: for images, pixels.
    sees : str
        What these are, in words.
    n_trees : int
        Of each forest.
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
    folds have the same number, seeds and repeats; scores are means over five repeats. Rows without a duplicate keep the
    predictions of the split folds in both, as they differ by chance alone. The interval resamples groups, 95 %. Not for
    time-forward folds.
    """
    if prepared.folds.scheme == "time":
        raise DataError("Time-forward folds are not cut at random: duplicates cannot be split over them at will.")
    ids = _rows(copies, prepared.folds.seed)
    linked = copies.linked.intersection(ids, sort=False)
    X = (prepared.X if X is None else X).loc[ids]
    y, groups = prepared.y.loc[ids], copies.groups.loc[ids]
    cuts = [_cut(prepared, y, groups, together=t) for t in (False, True)]
    with (progress or Silent()).task("duplicates split and together", 2) as task:
        tries = []
        for folds in cuts:
            tries.append(_cross_validated(X, y, folds, prepared.competition, n_trees))
            task.advance()
    split, together = tries
    # Only rows with a duplicate can gain by it: for the others both folds differ by chance alone, which would hide it.
    alone = ids.difference(linked, sort=False)
    mixed = [pd.concat([a.loc[alone], b.loc[linked]]).loc[ids] for a, b in zip(split, together, strict=True)]
    everything = _Tries(prepared.competition, y, split, mixed)
    among = _Tries(prepared.competition, y.loc[linked], *([frame.loc[linked] for frame in part] for part in tries))
    return Inflation(
        metric=prepared.competition.metric,
        model=f"a forest of {n_trees} trees on {sees}",
        split=everything.score(everything.split),
        together=everything.score(everything.together),
        gain=everything.difference(groups),
        linked=among.difference(groups.loc[linked]),
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
    n, seed = prepared.folds.n, prepared.folds.seed
    return make_folds(y.index, scheme=scheme, n=n, seed=seed, repeats=_REPEATS, y=strata_of(y, n), groups=given)


def _cross_validated(
    X: pd.DataFrame, y: pd.Series, folds: Folds, competition: Competition, n_trees: int
) -> list[pd.DataFrame]:
    """Out-of-fold predictions, a frame for each repeat."""
    params = {"n_estimators": n_trees, "min_samples_leaf": 1, "max_features": "sqrt", "n_jobs": 1}
    parts: list[list[pd.DataFrame]] = [[] for _ in range(folds.repeats)]
    for split in folds.splits():
        forest = registry.build("forest", params, task=competition.task, seed=split.repeat).set_params(oob=False)
        forest = for_targets(forest, competition.targets)
        forest.fit(X.loc[split.fit_ids], y.loc[split.fit_ids])
        parts[split.repeat].append(_predicted(forest, X.loc[split.score_ids], competition))
    return [pd.concat(part).loc[y.index] for part in parts]


def _predicted(forest: Any, X: pd.DataFrame, competition: Competition) -> pd.DataFrame:
    if not competition.is_classification:
        values = np.asarray(forest.predict(X)).reshape(len(X), -1)
        return pd.DataFrame(values, index=X.index, columns=list(competition.columns))
    frame = pd.DataFrame(forest.predict_proba(X), index=X.index, columns=[str(c) for c in forest.classes_])
    return frame.reindex(columns=list(competition.columns), fill_value=0.0)


class _Tries:
    """Repeats of both kinds of folds on the same rows, as the metric's function takes them."""

    def __init__(
        self, competition: Competition, y: pd.Series, split: Sequence[pd.DataFrame], together: Sequence[pd.DataFrame]
    ) -> None:
        self.metric, classes = get_metric(competition.metric), competition.classes
        self.truth = self.metric.truth(y, classes)
        self.split, self.together = (
            [self.metric.predicted(self.metric.aligned(y, frame, classes), classes) for frame in frames]
            for frames in (split, together)
        )

    def score(self, tries: Sequence[Array], weight: Array | None = None) -> float:
        """The mean over repeats of the metric."""
        return float(np.mean([self.metric.function(self.truth, predicted, weight) for predicted in tries]))

    def difference(self, groups: pd.Series) -> Difference:
        """How much better the split folds score, with the interval over resampled groups."""
        codes = pd.factorize(groups)[0]
        n_groups = int(codes.max()) + 1
        rng = np.random.default_rng(0)
        draws = (np.bincount(rng.integers(0, n_groups, n_groups), minlength=n_groups) for _ in range(_RESAMPLES))
        values = np.array([self._gain(counts[codes].astype(np.float64)) for counts in draws])
        values = values[~np.isnan(values)]
        if not len(values):
            raise DataError(f"{self.metric.name} is defined on no resample of the rows that have a duplicate.")
        low, high = np.quantile(values, [0.025, 0.975])
        better = float(np.mean(values > 0) + np.mean(values == 0) / 2)
        return Difference(self._gain(None), float(low), float(high), better)

    def _gain(self, weight: Array | None) -> float:
        try:
            gain = self.score(self.split, weight) - self.score(self.together, weight)
        except DataError:
            return np.nan
        return gain if self.metric.greater_is_better else -gain
