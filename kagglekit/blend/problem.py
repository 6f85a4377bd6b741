"""What a blend is fitted on: members' predictions, the truth of the same rows, and the metric."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from kagglekit.blend.matrix import PredictionMatrix
from kagglekit.contracts import Label
from kagglekit.errors import ConfigError, DataError, PredictionsError, preview
from kagglekit.metrics import Metric, get_metric

__all__ = ["Problem"]

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Problem:
    """Rows to fit a blend on; `Problem.of` checks them.

    Parameters
    ----------
    P : ndarray of float32, shape (n_models, n_rows, n_columns)
    y : Series of shape (n_rows,), indexed by id
        Row by row those of `P`.
    metric : Metric
    classes : tuple of str or int
        One for each column of `P`, in their order; empty for regression.
    names : tuple of str
        Members.
    weight : ndarray of float64, shape (n_rows,), optional
        How much each row counts.
    groups : ndarray of shape (n_rows,), optional
        Rows of one group never lie on both sides of a cross-fit.
    """

    P: Array
    y: pd.Series
    metric: Metric
    classes: tuple[Label, ...]
    names: tuple[str, ...]
    weight: Array | None = None
    groups: Array | None = None

    @classmethod
    def of(
        cls,
        P: PredictionMatrix | Array,
        y: pd.Series | Array,
        *,
        metric: str,
        classes: Sequence[Label] = (),
        groups: pd.Series | Array | None = None,
        sample_weight: pd.Series | Array | None = None,
    ) -> Self:
        """Check what a user hands to `fit`.

        With a `PredictionMatrix`, everything that has ids is matched by id. A bare array has none: then `y` must be
        in its row order, and members are called "0", "1", ...

        Raises
        ------
        PredictionsError
            Ids differ, shapes do not fit, or a prediction is not finite.
        DataError
            `y` or the weights cannot be used.
        ConfigError
            Unknown metric, or no members.
        """
        matrix = P if isinstance(P, PredictionMatrix) else _named(np.asarray(P), y)
        by_id = isinstance(P, PredictionMatrix)
        _check_values(matrix)
        rules = get_metric(metric)
        truth = _rows(y, matrix.ids, "y", by_id)
        weight = None if sample_weight is None else _weight(_rows(sample_weight, matrix.ids, "sample_weight", by_id))
        return cls(
            P=matrix.values if isinstance(matrix.values, np.memmap) else np.ascontiguousarray(matrix.values),
            y=truth,
            metric=rules,
            classes=_classes(rules, truth, matrix.columns, tuple(classes)),
            names=matrix.names,
            weight=weight,
            groups=None if groups is None else pd.factorize(_rows(groups, matrix.ids, "groups", by_id))[0],
        )

    @property
    def n_models(self) -> int:
        return int(self.P.shape[0])

    @property
    def n_rows(self) -> int:
        return int(self.P.shape[1])

    @cached_property
    def truth(self) -> Array:
        """What the metric's function takes first."""
        return self.metric.truth(self.y, self.classes)

    def score(self, blend: Array) -> float:
        """The metric of one table of shape (n_rows, n_columns) for these rows."""
        predicted = self.metric.predicted(blend, self.classes)
        if self.weight is None:
            return self.metric.function(self.truth, predicted)
        return self.metric.function(self.truth, predicted, self.weight)

    def loss(self, blend: Array) -> float:
        """The score, turned so that lower is better."""
        score = self.score(blend)
        return -score if self.metric.greater_is_better else score

    def rows(self, chosen: Array) -> Problem:
        """The problem on some rows only: a mask, or row numbers, which may repeat.

        Rows in memory are copied. Those of a memory map stay where they are, and the others get the weight nought.
        """
        if isinstance(self.P, np.memmap):
            counts = chosen.astype(np.float64) if chosen.dtype == bool else np.bincount(chosen, minlength=self.n_rows)
            return replace(self, weight=counts if self.weight is None else counts * self.weight)
        return Problem(
            # `take` keeps the members' tables whole in memory, which indexing does not; the loops need it.
            P=self.P.take(np.flatnonzero(chosen) if chosen.dtype == bool else chosen, axis=1),
            y=self.y[chosen] if chosen.dtype == bool else self.y.iloc[chosen],
            metric=self.metric,
            classes=self.classes,
            names=self.names,
            weight=None if self.weight is None else self.weight[chosen],
            groups=None if self.groups is None else self.groups[chosen],
        )


def _named(P: Array, y: Any) -> PredictionMatrix:
    """A bare array as a matrix; its rows are called as in `y` where that is a Series."""
    P = P[:, :, None] if P.ndim == 2 else P
    if P.ndim != 3:
        raise PredictionsError(
            f"Predictions must have the shape (n_models, n_rows, n_columns), got {P.shape}.",
            hint="Stack one table for each model: np.stack([oof_a, oof_b]).",
        )
    ids = y.index if isinstance(y, pd.Series) and len(y) == P.shape[1] else pd.RangeIndex(P.shape[1])
    names = tuple(str(m) for m in range(P.shape[0]))
    columns = tuple(str(c) for c in range(P.shape[2]))
    return PredictionMatrix(names, ids, columns, P if P.dtype == np.float32 else P.astype(np.float32))


def _check_values(matrix: PredictionMatrix) -> None:
    if not len(matrix):
        raise ConfigError("A blend needs at least one member.")
    for name, table in zip(matrix.names, matrix.values, strict=True):
        # One sum is finite unless a value is not (or it overflows, and only then every value is looked at). It is made
        # in the precision of the values: three times as fast as in double precision.
        with np.errstate(over="ignore", invalid="ignore"):
            total = table.sum()
        if not np.isfinite(total) and not np.isfinite(table).all():
            bad = matrix.ids[~np.isfinite(table).all(axis=1)]
            raise PredictionsError(
                f"Member '{name}': predictions must be finite; {len(bad)} row(s) are not: {preview(bad)}."
            )


def _rows(values: pd.Series | Array, ids: pd.Index, what: str, by_id: bool) -> pd.Series:
    """One value for each row: matched by id where there are ids, else checked for length."""
    if isinstance(values, pd.Series) and by_id:
        absent = ids[~ids.isin(values.index)]
        if len(absent) or not values.index.is_unique:
            raise PredictionsError(f"{what} must hold each id of the matrix once; missing: {preview(absent)}.")
        found = values.loc[ids]
    else:
        if len(values) != len(ids):
            raise PredictionsError(f"{what} has {len(values)} value(s) for {len(ids)} rows of predictions.")
        found = pd.Series(np.asarray(values), index=ids)
    if found.isna().any():
        raise DataError(f"{what} is missing in {int(found.isna().sum())} row(s): {preview(ids[found.isna()])}.")
    return found


def _weight(weight: pd.Series) -> Array:
    values = weight.to_numpy(dtype=np.float64)
    if not np.isfinite(values).all() or (values < 0).any() or not values.any():
        raise DataError("sample_weight must hold finite numbers of 0 or more, and not zeros alone.")
    return values


def _classes(metric: Metric, y: pd.Series, columns: tuple[str, ...], classes: tuple[Label, ...]) -> tuple[Label, ...]:
    """The classes in the order of the columns."""
    if metric.needs == "values" or (metric.ordinal and not classes and len(columns) == 1):
        return classes
    if not classes:
        classes = tuple(sorted(pd.unique(y).tolist()))
        if len(classes) != len(columns):
            raise ConfigError(
                f"{metric.name}: y has {len(classes)} classes and the predictions {len(columns)} columns.",
                hint="Name the classes: classes=(...), in the order of the columns.",
            )
    if len(classes) != len(columns) and not (metric.ordinal and len(columns) == 1):
        raise PredictionsError(f"{metric.name}: {len(classes)} classes need as many columns, got {len(columns)}.")
    return classes
