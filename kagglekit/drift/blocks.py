"""What tells rows apart, as numbers: one block for each column of a table, and for each kind of fact about an image."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api import types

from kagglekit.errors import DataError, preview
from kagglekit.models.columns import TabularColumns
from kagglekit.models.readers import kind_of

__all__ = ["Blocks", "Likeness", "Pair"]

Array = npt.NDArray[Any]
Likeness = Literal["", "id-like", "time-like"]
Pair = tuple[pd.DataFrame, pd.DataFrame]
"""The same columns for training rows and for test rows, by id."""

# Pixels and embeddings have hundreds of columns that say little each: their main directions are enough.
_WIDE, _DIRECTIONS = 50, 32
_NEARLY_ALL = 0.99
_MANY = 50
_TIME_NAMES = {"date", "datetime", "day", "dt", "hour", "month", "time", "timestamp", "week", "year", "yr"}
_TOKEN = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


class Blocks:
    """Every column of both tables as numbers, all pieces of one column together.

    Parameters
    ----------
    train, test : DataFrame by id
        The columns of `test` are used.
    extra : mapping of str to Pair
        Blocks of numbers that count as one column each.

    Attributes
    ----------
    places : dict of str to ndarray
        The pieces of each column among the columns of `matrix`.
    left_out : dict of str to str
        Columns that nothing can be learnt from, and why.
    likeness : dict of str to (Likeness, str)
        What a column looks like, and why.

    Raises
    ------
    DataError
        Training rows lack a column, or there is nothing to compare.
    """

    def __init__(self, train: pd.DataFrame, test: pd.DataFrame, extra: Mapping[str, Pair]) -> None:
        self.n_train, self.train_ids = len(train), train.index
        if lost := [c for c in test.columns if c not in train]:
            raise DataError(f"Training rows lack {len(lost)} column(s) of the test rows: {preview(lost)}.")
        self.places: dict[str, Array] = {}
        self.left_out: dict[str, str] = {}
        self.likeness: dict[str, tuple[Likeness, str]] = {}
        self._values: list[Array] = []
        for name in test.columns:
            self._add_column(str(name), _joined(train[name], test[name]))
        for name, (of_train, of_test) in extra.items():
            self._add(name, _narrow(np.vstack([of_train.loc[train.index], of_test.loc[test.index]])))
            self.likeness[name] = ("", "")
        if not self.places:
            raise DataError("There is no column that could tell training rows from test rows.")

    @property
    def names(self) -> list[str]:
        return list(self.places)

    def matrix(self, rows: Array) -> Array:
        """Floats of shape (len(rows), n_pieces); rows count through train and then test."""
        return np.column_stack([values[rows] for values in self._values])

    def _add_column(self, name: str, column: pd.Series) -> None:
        frame = column.to_frame(name)
        reader = TabularColumns().fit(frame)
        if name in reader.dropped_:
            self.left_out[name] = reader.dropped_[name]
            return
        self._add(name, reader.transform(frame).to_numpy(np.float32))
        self.likeness[name] = _likeness(name, column, self.n_train)

    def _add(self, name: str, values: Array) -> None:
        start = sum(v.shape[1] for v in self._values)
        self.places[name] = np.arange(start, start + values.shape[1])
        self._values.append(np.asarray(values, dtype=np.float32))


def _joined(train: pd.Series, test: pd.Series) -> pd.Series:
    if types.is_numeric_dtype(train.dtype) != types.is_numeric_dtype(test.dtype):
        train, test = (c.astype(object).map(str, na_action="ignore") for c in (train, test))
    elif isinstance(train.dtype, pd.CategoricalDtype) and train.dtype != test.dtype:
        train, test = train.astype(object), test.astype(object)
    return pd.concat([train, test], ignore_index=True)


def _narrow(values: Array) -> Array:
    if values.shape[1] <= _WIDE:
        return values
    from sklearn.decomposition import PCA

    n_directions = min(_DIRECTIONS, len(values) - 1)
    return np.asarray(PCA(n_directions, svd_solver="randomized", random_state=0).fit_transform(values))


def _likeness(name: str, column: pd.Series, n_train: int) -> tuple[Likeness, str]:
    if kind_of(column) == "date":
        return "time-like", "it holds dates"
    if _TIME_NAMES & {token.lower() for token in _TOKEN.findall(name)}:
        return "time-like", "by its name"
    present = column.dropna()
    n_different = present.map(str).nunique() if present.dtype == object else present.nunique()
    if n_different > _NEARLY_ALL * len(column) and _could_be_name(present):
        return "id-like", "different in nearly every row"
    ordered = column.iloc[:n_train].dropna()
    if types.is_numeric_dtype(ordered.dtype) and ordered.nunique() > _MANY and ordered.is_monotonic_increasing:
        return "time-like", "it rises with the rows"
    return "", ""


def _could_be_name(present: pd.Series) -> bool:
    """Whole numbers, or text without spaces; not measurements and not sentences."""
    if types.is_numeric_dtype(present.dtype):
        return bool((present % 1 == 0).all())
    return not present.map(str).str.contains(" ").any()
