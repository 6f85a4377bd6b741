"""Rows of a table that say the same: equal, nearly equal, or equal in all columns but one.

Equal rows share a hash, and rows that differ in one column share the hash without that column. Rows whose measurements
are slightly off are neighbours in a k-d tree.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api import types

from kagglekit.duplicates.links import Part, check_ids, first_of_equal, link_frame
from kagglekit.errors import DataError

__all__ = ["RowLinks", "row_links"]

Array = npt.NDArray[Any]

# More different values than this make a number a measurement, which may be slightly off.
_MEASURED = 50
_NEARLY_ALL = 0.99
_OFTEN = 5
_CHANCE = 0.1
_MOST_PAIRS = 5_000_000


@dataclass(frozen=True)
class RowLinks:
    """Pairs of rows that say the same.

    Parameters
    ----------
    links : DataFrame
        Columns `a` and `b` (ids), `kind` ("exact", "near", or "all but COLUMN") and `distance`: in how many columns
        the two rows differ.
    compared : tuple of str
        The columns that were compared.
    left_out : mapping of str to str
        Those that were not, and why.
    chance : mapping of str to float
        For each kind that was looked for: pairs to be expected by chance if the columns were independent.
    refused : mapping of str to int
        Kinds whose pairs were dropped because chance alone may bring a tenth of them or more, and how many there were.
    """

    links: pd.DataFrame
    compared: tuple[str, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)
    chance: Mapping[str, float] = field(default_factory=dict)
    refused: Mapping[str, int] = field(default_factory=dict)


def row_links(frame: pd.DataFrame, *, tolerance: float = 1e-3, all_but_one: bool = True) -> RowLinks:
    """Find rows that are equal, nearly equal, or equal in all columns but one.

    Parameters
    ----------
    frame : DataFrame of shape (n_rows, n_columns)
        By id, each id once. Missing values count as equal to each other.
    tolerance : float
        How far each measurement may be off, in standard deviations of its column; 0 looks for equal ones only.
    all_but_one : bool
        Whether rows may differ in one column.

    Raises
    ------
    DataError
        An id comes twice, or the tolerance is negative.

    Notes
    -----
    A measurement is a column of floats with more than 50 different values; other columns must be equal. Columns in
    which nearly every row has another name or whole number cannot be equal and are left out. Not for a handful of
    coarse columns: there, equal rows are no duplicates, and kinds that chance would bring are refused. Chance is
    counted as if columns were independent, which is too low when they are not: look at some pairs.
    """
    check_ids(frame.index)
    if tolerance < 0:
        raise DataError(f"The tolerance must be 0 or more standard deviations, got {tolerance}.")
    left_out = {str(c): "different in nearly every row" for c in frame if _is_name(frame[c])}
    compared = [c for c in frame if str(c) not in left_out]
    if len(frame) < 2 or not compared:
        return RowLinks(link_frame([], frame.index), tuple(map(str, compared)), left_out)
    rows = _Rows(frame[compared])
    found = [rows.exact()]
    if tolerance > 0 and rows.measured:
        found.append(rows.near(tolerance))
    if all_but_one and len(compared) > 2:
        found.append(rows.all_but_one())
    kept = [f for f in found if not f.n_pairs or f.chance <= _CHANCE * f.n_pairs]
    return RowLinks(
        links=link_frame([part for f in kept for part in f.parts], frame.index),
        compared=tuple(map(str, compared)),
        left_out=left_out,
        chance={f.kind: f.chance for f in found},
        refused={f.kind: f.n_pairs for f in found if f not in kept},
    )


@dataclass(frozen=True, eq=False)
class _Found:
    kind: str
    n_pairs: int
    chance: float
    parts: list[Part]


class _Rows:
    """A table as hashes: a row's hash is the sum of its values' hashes, so that one column can be taken out again."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self.frame = frame
        self.pairs = len(frame) * (len(frame) - 1) / 2
        self.measured = [c for c in frame if _is_measured(frame[c])]
        self.total = np.zeros(len(frame), dtype=np.uint64)
        self.match: dict[Any, float] = {}
        for number, name in enumerate(frame):
            codes = _codes(frame[name])
            self.match[name] = _tie_chance(frame[name]) if _is_fine(frame[name]) else _match(codes)
            self.total += _scattered(codes, number)
        # One row for each exact value: further kinds are looked for among these.
        self.first, self.bucket = first_of_equal(self.total)

    def exact(self) -> _Found:
        others = np.flatnonzero(self.first[self.bucket] != np.arange(len(self.bucket)))
        part = (self.first[self.bucket[others]], others, "exact", np.zeros(len(others), dtype=np.int64))
        return _Found("exact", _n_pairs(np.bincount(self.bucket)), self._chance(self.match), [part])

    def near(self, tolerance: float) -> _Found:
        """Neighbours whose every measurement lies within the tolerance; all else is equal."""
        from scipy.spatial import cKDTree

        steps = {name: tolerance * _spread(self.frame[name]) for name in self.measured}
        chance = self._chance(self.match | {n: _near_match(self.frame[n], steps[n]) for n in self.measured})
        tree = cKDTree(self._points(steps))
        # Counting first: a few coarse measurements have so many neighbours that the pairs would fill the memory.
        n_pairs = int((tree.count_neighbors(tree, 1, p=np.inf) - len(self.first)) // 2)
        if not n_pairs or n_pairs > _MOST_PAIRS or chance > _CHANCE * n_pairs:
            return _Found("near", n_pairs, max(chance, _CHANCE * n_pairs + 1) if n_pairs > _MOST_PAIRS else chance, [])
        pairs = np.sort(tree.query_pairs(1, p=np.inf, output_type="ndarray"), axis=1)
        a, b = self.first[pairs[:, 0]], self.first[pairs[:, 1]]
        return _Found("near", n_pairs, chance, [(a, b, "near", self._distance(a, b))])

    def all_but_one(self) -> _Found:
        parts: list[Part] = []
        n_pairs = 0
        for number, name in enumerate(self.frame):
            a, b, pairs = self._linked(self.total - _scattered(_codes(self.frame[name]), number))
            n_pairs += pairs
            parts.append((a, b, f"all but {name}", np.ones(len(a), dtype=np.int64)))
        match = list(self.match.values())
        others = [(1 - m) * float(np.prod(match[:i] + match[i + 1 :])) for i, m in enumerate(match)]
        return _Found("all but one", n_pairs, self.pairs * sum(others), parts)

    def _chance(self, match: Mapping[Any, float]) -> float:
        return self.pairs * float(np.prod(list(match.values())))

    @cached_property
    def _rest(self) -> Array:
        """A number for each distinct row that stands for all that must be equal, gaps and infinities included."""
        total = self.total.copy()
        for number, name in enumerate(self.frame):
            if name in self.measured:
                values = self.frame[name].to_numpy(np.float64)
                total -= _scattered(_codes(self.frame[name]), number)
                total += _scattered(np.where(np.isfinite(values), 0, _codes(self.frame[name]) + 1), number)
        return first_of_equal(total[self.first])[1]

    def _points(self, steps: Mapping[Any, float]) -> Array:
        """Measurements in units of the tolerance, beside the number of all the rest, ten units apart."""
        columns = [self.frame[name].to_numpy(np.float64)[self.first] / steps[name] for name in self.measured]
        return np.column_stack([10.0 * self._rest, *[np.where(np.isfinite(c), c, 0.0) for c in columns]])

    def _linked(self, hashes: Array) -> tuple[Array, Array, int]:
        """Links among rows that differ exactly and have one hash here, and how many pairs they stand for."""
        first, bucket = first_of_equal(hashes[self.first])
        others = np.flatnonzero(first[bucket] != np.arange(len(bucket)))
        return self.first[first[bucket[others]]], self.first[others], _n_pairs(np.bincount(bucket))

    def _distance(self, a: Array, b: Array) -> Array:
        differ = np.zeros(len(a), dtype=np.int64)
        for name in self.measured:
            codes = _codes(self.frame[name])
            differ += codes[a] != codes[b]
        return differ


def _n_pairs(sizes: Array) -> int:
    sizes = sizes.astype(np.int64)
    return int((sizes * (sizes - 1) // 2).sum())


def _is_name(column: pd.Series) -> bool:
    """Whether nearly every row has another name or whole number, as in a column of ids."""
    present = column.dropna()
    if len(present) < 2 or (types.is_float_dtype(present.dtype) and bool((present % 1 != 0).any())):
        return False
    return len(pd.unique(_codes(present))) > _NEARLY_ALL * len(present)


def _is_measured(column: pd.Series) -> bool:
    return bool(types.is_float_dtype(column.dtype) and column.nunique() > _MEASURED)


def _spread(column: pd.Series) -> float:
    values = column.to_numpy(np.float64)
    return float(np.std(values[np.isfinite(values)])) or 1.0


def _codes(column: pd.Series) -> Array:
    """Whole numbers that are equal where the values are; -1 where they are missing."""
    if column.dtype == object:
        column = column.map(str, na_action="ignore")
    return pd.factorize(column)[0]


def _match(codes: Array) -> float:
    """The chance that two random rows agree."""
    return 2 * _n_pairs(np.bincount(codes + 1)) / (len(codes) * (len(codes) - 1))


def _is_fine(column: pd.Series) -> bool:
    """Whether numbers have so many values that rows which come twice would make most of its ties."""
    return bool(types.is_numeric_dtype(column.dtype) and column.nunique() > _MEASURED)


def _tie_chance(column: pd.Series) -> float:
    """The chance that two random rows agree in a number of many values, not counting what duplicates bring.

    Values that come often, and gaps, are ties of the column's own; for the others it is the density of the values times
    the step that they are written in.
    """
    values = column.to_numpy(np.float64, na_value=np.nan)
    known = values[np.isfinite(values)]
    distinct, counts = np.unique(known, return_counts=True)
    often = counts > _OFTEN
    rest, step = np.sort(known[np.isin(known, distinct[~often])]), float(np.diff(distinct).min())
    reach = max(step, 0.1 * float(known.std()))
    within = np.searchsorted(rest, rest + reach, side="right") - np.searchsorted(rest, rest - reach, side="left")
    equal = np.searchsorted(rest, rest, side="right") - np.searchsorted(rest, rest, side="left")
    smooth = float((within - equal).sum()) * step / (2 * reach)
    ties = 2 * (_n_pairs(counts[often]) + _n_pairs(np.array([len(values) - len(known)])))
    return (ties + smooth) / (len(values) * (len(values) - 1))


def _near_match(column: pd.Series, step: float) -> float:
    """The chance that two random rows lie within a step of each other, or both have no finite value."""
    values = column.to_numpy(np.float64)
    known = np.sort(values[np.isfinite(values)])
    near = np.searchsorted(known, known + step, side="right") - np.searchsorted(known, known - step, side="left")
    return float(near.sum() + (len(values) - len(known)) ** 2) / len(values) ** 2


def _scattered(codes: Array, column: int) -> Array:
    """A 64-bit hash of (column, code), by the finaliser of SplitMix64 (Steele, Lea and Flood 2014)."""
    salt = np.uint64((column + 1) * 0xD1342543DE82EF95 % (1 << 64))
    x = (codes + 2).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + salt
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(x ^ (x >> np.uint64(31)))
