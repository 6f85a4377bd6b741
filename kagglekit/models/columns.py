"""From a table as it was read to numbers that a model takes, learnt on the fit rows alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from kagglekit.errors import DataError, nearest, preview
from kagglekit.models.readers import Pieces, Reader, kind_of, learn_reader

__all__ = ["Encoding", "TabularColumns", "as_frame"]

Encoding = Literal["ordinal", "onehot"]


def as_frame(X: Any) -> pd.DataFrame:
    """X as a DataFrame; arrays get the column names x0, x1, ...

    Raises
    ------
    DataError
        X is neither, has no rows, or a column name comes twice.
    """
    if not isinstance(X, pd.DataFrame):
        values = np.asarray(X)
        if values.ndim != 2:
            raise DataError(
                f"X must be a table of rows and columns, got {type(X).__name__} of {values.ndim} dimension(s)."
            )
        X = pd.DataFrame(values, columns=[f"x{i}" for i in range(values.shape[1])])
    if X.columns.has_duplicates:
        raise DataError(f"Column names must differ; these come twice: {preview(X.columns[X.columns.duplicated()])}.")
    return pd.DataFrame(X)


class TabularColumns(TransformerMixin, BaseEstimator):
    """Make a table of numbers of any table: numbers, text, categories, dates, truth values, missing values.

    Everything is learnt in `fit`. In `transform`, columns are found by name: their order does not matter, further ones
    are ignored, levels never seen at fit are the rare level, and missing values are what they were at fit.

    Parameters
    ----------
    encode : {"ordinal", "onehot"}
        Levels as codes by falling frequency (trees), or one column for each (linear models, distances).
    fill : bool
        Replace missing numbers by the median of the fit rows and add a column `<name>_na`; otherwise they stay NaN.
    scale : bool
        Standardise the numbers (mean 0, variance 1); the 0/1 columns of levels stay as they are.
    squash : bool
        log(1 + x) for numbers from 0 up whose skewness exceeds 0.75; linear models gain, trees cannot.
    most_levels : int
        Text with more different values is read as text; also the most one-hot columns of a column.
    min_count : int
        Levels with fewer fit rows than this share one one-hot column.
    most_words : int
        The most words of a text column that get a column of their own.

    Attributes
    ----------
    feature_names_in_ : ndarray of shape (n_columns,)
    kinds_ : dict of str to {"number", "category", "date", "text"}
    dropped_ : dict of str to str
        Columns that nothing can be learnt from, and why.
    categorical_ : list of str
        The output columns that hold codes of levels, for models that take them natively.

    Notes
    -----
    Counting the levels and taking medians uses no labels, so out-of-bag predictions stay honest. Do not use this class
    for image paths or for long prose.
    """

    def __init__(
        self,
        *,
        encode: Encoding = "ordinal",
        fill: bool = True,
        scale: bool = False,
        squash: bool = False,
        most_levels: int = 100,
        min_count: int = 5,
        most_words: int = 30,
    ) -> None:
        self.encode = encode
        self.fill = fill
        self.scale = scale
        self.squash = squash
        self.most_levels = most_levels
        self.min_count = min_count
        self.most_words = most_words

    def fit(self, X: pd.DataFrame, y: Any = None) -> TabularColumns:
        """Learn kinds, levels, medians and scales from the fit rows; `y` is ignored."""
        X = as_frame(X)
        self.feature_names_in_ = np.array(X.columns, dtype=object)
        self.n_features_in_ = X.shape[1]
        self.kinds_: dict[str, str] = {}
        self.dropped_: dict[str, str] = {}
        self._learnt: list[_Column] = []
        # A bootstrap draws rows several times: copies of a row must not make an id look like a column that repeats.
        distinct = X[~X.index.duplicated()] if X.index.has_duplicates else X
        for name in X.columns:
            self._learn_column(distinct[name])
        self._names_out = _distinct([n for c in self._learnt for n in c.names])
        flags = [f for c in self._learnt for f in c.categorical]
        self.categorical_ = [n for n, f in zip(self._names_out, flags, strict=True) if f]
        return self

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        """Floats of shape (n_rows, n_features_out), indexed like X.

        Raises
        ------
        DataError
            A column of the fit rows is missing, or holds text where it held numbers.
        """
        check_is_fitted(self, "feature_names_in_")
        X = as_frame(X)
        self._check_columns(X)
        arrays = [a for c in self._learnt for a in c.transform(X[c.name])]
        values = np.column_stack(arrays) if arrays else np.empty((len(X), 0))
        return pd.DataFrame(values, index=X.index, columns=self._names_out)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Names of the output columns; `input_features` is there for scikit-learn only."""
        check_is_fitted(self, "feature_names_in_")
        return np.array(self._names_out, dtype=object)

    @property
    def origins(self) -> dict[str, str]:
        """The input column of each output column."""
        check_is_fitted(self, "feature_names_in_")
        inputs = [str(c.name) for c in self._learnt for _ in c.names]
        return dict(zip(self._names_out, inputs, strict=True))

    def _check_columns(self, X: pd.DataFrame) -> None:
        lost = [n for n in self.feature_names_in_ if n not in X.columns]
        if lost:
            raise DataError(
                f"X lacks {len(lost)} column(s) that the model was fitted on: {preview(lost)}.",
                hint=nearest(str(lost[0]), map(str, X.columns)),
            )

    def _learn_column(self, column: pd.Series) -> None:
        name = str(column.name)
        if column.isna().all():
            self.dropped_[name] = "missing in every fit row"
            return
        kind = kind_of(column, self.most_levels)
        self.kinds_[name] = kind
        reader = learn_reader(column, kind, min_count=self.min_count, most_words=self.most_words)
        pieces = reader.read(column)
        varied = {n: self._learn_piece(n, v) for n, v in pieces.items() if _varies(v)}
        # Codes of levels have one for "missing"; everything else that is filled needs to say so.
        flag = self.fill and column.isna().any() and not (kind == "category" and self.encode == "ordinal")
        if varied or flag:
            self._learnt.append(_Column(column.name, reader, varied, f"{name}_na" if flag else ""))
        else:
            self.dropped_[name] = _why_dropped(pieces)

    def _learn_piece(self, name: str, values: np.ndarray) -> _Number | _Codes | _OneHot:
        if values.dtype != object:
            return _Number.learn(name, values, fill=self.fill, scale=self.scale, squash=self.squash)
        counts = pd.Series(values, dtype=object).value_counts()
        levels = sorted(counts.index, key=lambda v: (-counts[v], v))
        if self.encode == "ordinal":
            return _Codes(name, {v: i for i, v in enumerate(levels)}, -1.0 if self.fill else np.nan)
        common = [v for v in levels if counts[v] >= self.min_count][: self.most_levels]
        return _OneHot(name, {v: i for i, v in enumerate(common)}, len(common) < len(levels))


def _varies(values: np.ndarray) -> bool:
    if values.dtype == object or not len(values):
        return len(pd.unique(values)) > 1
    first = values[0]
    return bool((~np.isnan(values) if np.isnan(first) else values != first).any())


def _skewness(values: np.ndarray) -> float:
    off = values - values.mean()
    spread = values.std()
    return float((off**3).mean() / spread**3) if spread > 0 else 0.0


def _why_dropped(pieces: Pieces) -> str:
    return "the same in every fit row" if pieces else "different in every fit row, like an id"


def _distinct(names: list[str]) -> list[str]:
    seen: set[str] = set()
    for i, name in enumerate(names):
        while name in seen:
            name += "_"
        names[i] = name
        seen.add(name)
    return names


@dataclass(frozen=True)
class _Column:
    """One input column: its reader and what becomes of each of its pieces."""

    name: Any
    reader: Reader
    pieces: dict[str, _Number | _Codes | _OneHot]
    flag: str

    @property
    def names(self) -> list[str]:
        return [n for p in self.pieces.values() for n in p.names] + [self.flag] * bool(self.flag)

    @property
    def categorical(self) -> list[bool]:
        return [isinstance(p, _Codes) for p in self.pieces.values() for _ in p.names] + [False] * bool(self.flag)

    def transform(self, column: pd.Series) -> list[np.ndarray]:
        read = self.reader.read(column)
        arrays = [a for n, piece in self.pieces.items() for a in piece.transform(read[n])]
        return [*arrays, column.isna().to_numpy(dtype=float)] if self.flag else arrays


@dataclass(frozen=True)
class _Number:
    name: str
    median: float
    log: bool
    mean: float
    spread: float

    @classmethod
    def learn(cls, name: str, values: np.ndarray, *, fill: bool, scale: bool, squash: bool) -> _Number:
        log = squash and bool(np.nanmin(values) >= 0) and _skewness(values[~np.isnan(values)]) > 0.75
        raw = cls(name, float(np.nanmedian(values)) if fill else np.nan, log, 0.0, 1.0)
        if not scale:
            return raw
        (done,) = raw.transform(values)
        spread = float(np.nanstd(done))
        return cls(name, raw.median, log, float(np.nanmean(done)), spread if spread > 0 else 1.0)

    @property
    def names(self) -> list[str]:
        return [self.name]

    def transform(self, values: np.ndarray) -> list[np.ndarray]:
        # Large tables notice every pass over them, so what would change nothing is left out.
        if not np.isnan(self.median):
            values = np.where(np.isnan(values), self.median, values)
        if self.log:
            values = np.log1p(np.maximum(values, 0))
        return [values if (self.mean, self.spread) == (0.0, 1.0) else (values - self.mean) / self.spread]


@dataclass(frozen=True)
class _Codes:
    """0 for the most frequent level and so on; an unseen one comes after the rarest."""

    name: str
    codes: dict[str, int]
    missing: float

    @property
    def names(self) -> list[str]:
        return [self.name]

    def transform(self, levels: np.ndarray) -> list[np.ndarray]:
        unseen = len(self.codes)
        return [np.array([self.missing if v is None else self.codes.get(v, unseen) for v in levels], dtype=float)]


@dataclass(frozen=True)
class _OneHot:
    """One 0/1 column for each common level, and one for all the others when there are any."""

    name: str
    codes: dict[str, int]
    others: bool

    @property
    def names(self) -> list[str]:
        return [f"{self.name}={v}" for v in self.codes] + [f"{self.name}=other"] * self.others

    def transform(self, levels: np.ndarray) -> list[np.ndarray]:
        n = len(self.codes)
        codes = np.array([-1 if v is None else self.codes.get(v, n) for v in levels])
        return [(codes == i).astype(float) for i in range(n + self.others)]
