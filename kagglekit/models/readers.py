"""Reading one column: what kind it is, and the numbers and levels that are in it.

A reader is learnt on the fit rows and turns a column into named *pieces*. A piece is either a float array (NaN where
unknown) or an object array of levels (None where unknown). `kagglekit.models.columns` makes model inputs of them.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import pandas as pd
from pandas.api import types

from kagglekit.errors import DataError, preview

__all__ = ["Kind", "Pieces", "Reader", "as_dates", "as_levels", "as_numbers", "kind_of", "learn_reader"]

Kind = Literal["number", "category", "date", "text"]
Pieces = dict[str, np.ndarray]

_ISO_DATE = r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?)?"
_WORD = re.compile(r"[^\W\d_]{2,}")
_DIGITS = re.compile(r"\d{1,15}")
_NUMBERS = {"integer", "floating", "mixed-integer-float", "decimal", "boolean"}
_DATES = {"datetime", "datetime64", "date", "period"}
# Trees work in 32 bits; what does not fit there is no measurement and counts as missing.
_LARGEST = float(np.finfo(np.float32).max)
_PARTS = {
    "year": "year",
    "month": "month",
    "day": "day",
    "dayofweek": "day_of_week",
    "dayofyear": "day_of_year",
    "hour": "hour",
    "minute": "minute",
    "is_month_start": "is_month_start",
    "is_month_end": "is_month_end",
    "is_quarter_start": "is_quarter_start",
    "is_quarter_end": "is_quarter_end",
    "is_year_start": "is_year_start",
    "is_year_end": "is_year_end",
}


class Reader(Protocol):
    """Turns a column into pieces, always the same ones."""

    def read(self, column: pd.Series) -> Pieces:
        """The pieces of a column, in the column's row order."""


def kind_of(column: pd.Series, most_levels: int = 100) -> Kind:
    """What a column holds, by its dtype first and its values second.

    Text counts as dates only when every value is an ISO 8601 date, and as "text" when it has more than `most_levels`
    different values, or more than ten and half as many as rows. Text such as "3.5" stays text: pandas would have read
    a number if every value had been one.
    """
    dtype = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return "category"
    if types.is_datetime64_any_dtype(dtype) or isinstance(dtype, pd.PeriodDtype):
        return "date"
    if types.is_numeric_dtype(dtype) or types.is_timedelta64_dtype(dtype):
        return "number"
    return _kind_of_values(column.dropna(), most_levels)


def _kind_of_values(present: pd.Series, most_levels: int) -> Kind:
    inferred = types.infer_dtype(present)
    if inferred in _NUMBERS:
        return "number"
    texts = present.map(str)
    if inferred in _DATES or (len(texts) and texts.str.fullmatch(_ISO_DATE).all()):
        return "date"
    n_levels = texts.nunique()
    many = n_levels > most_levels or (n_levels > 10 and 2 * n_levels > len(texts))
    return "text" if many else "category"


def learn_reader(column: pd.Series, kind: Kind, *, min_count: int, most_words: int) -> Reader:
    """The reader of a column of this kind, learnt on these rows."""
    name = str(column.name)
    if kind == "number":
        return _Number(name)
    if kind == "category":
        return _Category(name)
    return _Date(name) if kind == "date" else _Text.learn(name, column, min_count, most_words)


def as_numbers(column: pd.Series) -> np.ndarray:
    """Floats of shape (n_rows,), NaN for what is missing, infinite or beyond 32 bits; not to be written to.

    Raises
    ------
    DataError
        A value is text that is no number.
    """
    if types.is_timedelta64_dtype(column.dtype):
        return np.asarray(column.dt.total_seconds().to_numpy(dtype=float))
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(object)
    if column.dtype == np.float64:
        values = column.to_numpy()
    else:
        values = pd.to_numeric(column, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
        _refuse_unread(column, np.isnan(values), "numbers")
    fits = np.abs(values) <= _LARGEST
    return values if fits.all() else np.where(fits, values, np.nan)


def as_levels(column: pd.Series) -> np.ndarray:
    """Text levels of shape (n_rows,), None for what is missing; 1, 1.0 and "1" are one level."""
    # Among mixed values True equals 1, and lists have no hash: their names come first, their numbers second.
    if column.dtype == object and types.infer_dtype(column, skipna=True) != "string":
        column = column.map(_level, na_action="ignore")
    codes, unique = pd.factorize(column)
    names = np.array([*(_level(v) for v in unique), None], dtype=object)
    return names[codes]


def _level(value: Any) -> str:
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)


def as_dates(column: pd.Series) -> pd.Series:
    """Dates without a time zone (UTC where there was one), under the same index.

    Raises
    ------
    DataError
        A value does not read as an ISO 8601 date.
    """
    if isinstance(column.dtype, pd.PeriodDtype):
        return pd.Series(column.dt.to_timestamp())
    if types.is_datetime64_any_dtype(column.dtype):
        dates = pd.to_datetime(column, utc=True)
    else:
        texts = column.map(str, na_action="ignore")
        dates = pd.to_datetime(texts, utc=True, format="ISO8601", errors="coerce")
        _refuse_unread(column, dates.isna().to_numpy(), "dates such as 2024-01-31")
    return dates.dt.tz_localize(None)


def _refuse_unread(column: pd.Series, unread: np.ndarray, expected: str) -> None:
    wrong = column[unread & column.notna().to_numpy()]
    if len(wrong):
        raise DataError(
            f"Column '{column.name}' held {expected} in the fit rows and now holds {preview(wrong.unique(), most=3)}.",
            hint="Read both tables the same way, or make the column text in both.",
        )


@dataclass(frozen=True)
class _Number:
    name: str

    def read(self, column: pd.Series) -> Pieces:
        return {self.name: as_numbers(column)}


@dataclass(frozen=True)
class _Category:
    name: str

    def read(self, column: pd.Series) -> Pieces:
        return {self.name: as_levels(column)}


@dataclass(frozen=True)
class _Date:
    """Calendar parts, after fastai's `add_datepart`; hour and minute too, and `elapsed` in seconds since 1970."""

    name: str

    def read(self, column: pd.Series) -> Pieces:
        dates = as_dates(column)
        missing = dates.isna().to_numpy()
        at = dates.fillna(pd.Timestamp(0)).dt
        parts = {part: getattr(at, attribute) for part, attribute in _PARTS.items()}
        parts["week"] = at.isocalendar().week
        parts["elapsed"] = (dates.fillna(pd.Timestamp(0)) - pd.Timestamp(0)).dt.total_seconds()
        return {f"{self.name}_{p}": np.where(missing, np.nan, v.to_numpy(dtype=float)) for p, v in parts.items()}


@dataclass(frozen=True)
class _Text:
    """What a model can use of free text or of a column with very many levels.

    The words that many rows share, length, number of words; and where values repeat, also the value itself (its
    frequent levels), how many fit rows carry it, its first character and its last number ("C85": "C" and 85).
    """

    name: str
    counts: dict[str, int]
    frequent: frozenset[str]
    words: tuple[str, ...]
    repeats: bool

    @classmethod
    def learn(cls, name: str, column: pd.Series, min_count: int, most_words: int) -> _Text:
        levels = [v for v in as_levels(column) if v is not None]
        counts = Counter(levels)
        words = Counter(w for v in levels for w in set(_words(v)))
        least = max(2 * min_count, len(levels) // 100)
        shared = [w for w, n in words.items() if least <= n <= len(levels) - least]
        shared.sort(key=lambda w: (-words[w], w))
        frequent = frozenset(v for v, n in counts.items() if n >= min_count)
        return cls(name, dict(counts), frequent, tuple(shared[:most_words]), len(counts) < len(levels))

    def read(self, column: pd.Series) -> Pieces:
        # A value that is different in every row and shares no word is an id: nothing can be learnt from it.
        if not (self.repeats or self.words):
            return {}
        levels = as_levels(column)
        found = [None if v is None else _words(v) for v in levels]
        pieces = {f"{self.name}_length": _numbers(len(v) if v is not None else None for v in levels)}
        pieces[f"{self.name}_words"] = _numbers(len(w) if w is not None else None for w in found)
        for word in self.words:
            pieces[f"{self.name}_has_{word}"] = _numbers(None if w is None else word in w for w in found)
        return pieces | (self._read_repeated(levels) if self.repeats else {})

    def _read_repeated(self, levels: np.ndarray) -> Pieces:
        return {
            self.name: np.array([v if v in self.frequent else None for v in levels], dtype=object),
            f"{self.name}_count": _numbers(None if v is None else self.counts.get(v, 0) for v in levels),
            f"{self.name}_first": np.array([v[:1].upper() if v else None for v in levels], dtype=object),
            f"{self.name}_number": _numbers(_last_number(v) for v in levels),
        }


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _last_number(text: str | None) -> float | None:
    digits = _DIGITS.findall(text or "")
    return float(digits[-1]) if digits else None


def _numbers(values: Any) -> np.ndarray:
    return np.array([np.nan if v is None else float(v) for v in values], dtype=float)
