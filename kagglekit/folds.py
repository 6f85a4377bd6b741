"""Cutting training rows into folds.

The cut depends on ids, targets, groups or times, scheme and seed, and never on the order of rows: everything
is first brought into the ids' own order. So a shuffled or re-saved train.csv keeps its folds.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from kagglekit.contracts import Folds, repeated
from kagglekit.errors import FoldsError, nearest, preview

__all__ = ["SCHEMES", "carve", "joint_strata", "make_folds", "strata_of"]

Array = npt.NDArray[Any]

#: Bins that a continuous target is cut into before it is stratified.
_BINS = 10
_FEWER = "Use fewer folds: n in [folds] of the pipeline file."


@dataclass(frozen=True)
class _Rows:
    """What a scheme may look at, in the ids' own order."""

    n: int
    ids: pd.Index
    y: pd.Series | None
    groups: pd.Series | None
    time: pd.Series | None


def make_folds(
    ids: pd.Index,
    *,
    scheme: str,
    n: int,
    seed: int,
    repeats: int = 1,
    y: pd.Series | None = None,
    groups: pd.Series | None = None,
    time: pd.Series | None = None,
) -> Folds:
    """Cut rows into folds.

    Parameters
    ----------
    ids : Index of shape (n_rows,)
        Each id once, in any order.
    scheme : {"kfold", "stratified", "group", "stratified-group", "time"}
        "stratified" keeps the share of each class in every fold; a continuous target is cut into quantile
        bins. "group" keeps groups whole and folds of like size, "stratified-group" the shares as well as
        whole groups allow. "time" cuts n + 1 blocks by time; the oldest is never scored, and fold k is fitted
        on the blocks before it. Rows of one time stay in one block.
    n : int
        Number of folds, 2 or more (for "time", 1 or more).
    seed : int
        Repeat r is cut with seed + r. "time" does not use it.
    repeats : int
    y, groups, time : Series by id, optional
        As the scheme needs; they may hold more ids.

    Raises
    ------
    FoldsError
        Repeated ids, missing values of `y`, `groups` or `time`, or too few rows, groups or times; a class
        with fewer rows than folds.

    Notes
    -----
    Not for test rows. If test rows come later than training rows, or from other groups, a random scheme gives
    scores that are too good: choose "time" or "group".
    """
    if scheme not in SCHEMES:
        raise FoldsError(f"Fold scheme '{scheme}' is unknown.", hint=nearest(scheme, SCHEMES))
    _check_counts(ids, scheme, n, repeats)
    if groups is not None and scheme in ("kfold", "stratified"):
        raise FoldsError(
            f"Scheme '{scheme}' would put one group into several folds.",
            hint="Use scheme 'group' or 'stratified-group', or remove group from [competition].",
        )
    ordered = _canonical(ids)
    rows = _Rows(
        n,
        ordered,
        y=_values(y, ordered, "y") if "stratified" in scheme else None,
        groups=_values(groups, ordered, "groups") if "group" in scheme else None,
        time=_values(time, ordered, "time") if scheme == "time" else None,
    )
    numbers = {f"repeat_{r}": SCHEMES[scheme](rows, seed + r) for r in range(repeats)}
    assignment = pd.DataFrame(numbers, index=ordered).loc[ids].astype(np.int64)
    return Folds(assignment, scheme=scheme, seed=seed, groups=rows.groups)


def strata_of(y: pd.Series | pd.DataFrame, n: int) -> pd.Series:
    """What n folds are stratified by: the target, or of several targets `joint_strata`."""
    return joint_strata(y, n) if isinstance(y, pd.DataFrame) else y


def joint_strata(y: pd.DataFrame, n: int) -> pd.Series:
    """What folds of several targets are stratified by: the labels of a row together, or the mean rank of its numbers.

    Parameters
    ----------
    y : DataFrame of shape (n_rows, n_targets)
        Several labels 0 and 1, or several numbers; by id.
    n : int
        Folds: combinations of labels that fewer rows have are taken for one class.

    Returns
    -------
    Series by id

    Notes
    -----
    Simpler than iterative stratification (Sechidis, Tsoumakas and Vlahavas 2011), which also keeps the shares of rare
    labels inside rare combinations.
    """
    if not y.isin([0, 1]).all(axis=None):
        return y.rank(pct=True).mean(axis=1)
    codes = pd.Series(pd.factorize(pd.MultiIndex.from_frame(y))[0], index=y.index)
    counts = codes.map(codes.value_counts())
    if (counts < n).sum() >= n:
        return codes.where(counts >= n, -1)
    return codes.where(counts >= n, codes.mode().iloc[0])


def carve(
    ids: pd.Index,
    *,
    y: pd.Series | None = None,
    groups: pd.Series | None = None,
    time: pd.Series | None = None,
    fraction: float,
    seed: int,
) -> tuple[pd.Index, pd.Index]:
    """Cut rows for early stopping from the rows of a fit, by the rule that folds are cut by.

    With `time` the latest rows are carved, with `groups` whole groups (the latest ones, if there is time
    too), with `y` alone the same share of each class; otherwise random rows.

    Parameters
    ----------
    ids : Index of shape (n_rows,)
        The fit rows of one fold.
    y, groups, time : Series by id, optional
    fraction : float
        Share of rows to carve, between 0 and 1; met as nearly as whole groups and times allow.
    seed : int

    Returns
    -------
    fit_ids, carved_ids : Index
        Both in the order of `ids`, neither empty.

    Raises
    ------
    FoldsError
        Fewer than two rows, groups or times.
    """
    if not 0 < fraction < 1:
        raise FoldsError(f"The share of rows to carve must lie between 0 and 1, got {fraction}.")
    if twice := repeated(ids):
        raise FoldsError(f"Each id may come once; these come more often: {preview(twice)}.")
    ordered = _canonical(ids)
    strata = np.zeros(len(ids), dtype=np.int64)
    if y is not None and groups is None and time is None:
        strata = _strata(_values(y, ordered, "y"), 2)
    units = _units(ordered, groups, time, np.random.default_rng(seed))
    carved = ids.isin(ordered[_latest_units(units, strata, fraction)])
    return ids[~carved], ids[carved]


def _units(ids: pd.Index, groups: pd.Series | None, time: pd.Series | None, rng: np.random.Generator) -> Array:
    """A number for each row: rows of one number go together, higher numbers are carved first."""
    when = None if time is None else _times(_values(time, ids, "time"))
    if groups is None:
        return rng.permutation(len(ids)) if when is None else np.unique(when, return_inverse=True)[1]
    codes, distinct = pd.factorize(_values(groups, ids, "groups"))
    order = rng.permutation(len(distinct))
    if when is not None:
        # The random order decides between groups that end at the same time.
        order = np.lexsort((order, pd.Series(when).groupby(codes).max().to_numpy())).argsort()
    units: Array = order[codes]
    return units


def _latest_units(units: Array, strata: Array, fraction: float) -> Array:
    """Mask of the rows to carve: in each stratum the highest units, as near to the fraction as can be."""
    carved = np.zeros(len(units), dtype=bool)
    for stratum in np.unique(strata):
        rows = np.flatnonzero(strata == stratum)
        names, sizes = np.unique(units[rows], return_counts=True)
        taken = np.cumsum(sizes[::-1])[:-1]
        if len(taken) and (len(rows) == len(units) or round(fraction * len(rows))):
            n_units = int(np.abs(taken - fraction * len(rows)).argmin()) + 1
            carved[rows] = units[rows] >= names[-n_units]
    if carved.any():
        return carved
    if strata.any():
        # Every class is too small to give a row: take rows whatever their class.
        return _latest_units(units, np.zeros_like(strata), fraction)
    raise FoldsError(
        "Rows for early stopping need at least two rows, groups or times to be carved from.",
        hint="Turn early stopping off, or use other folds.",
    )


def _check_counts(ids: pd.Index, scheme: str, n: int, repeats: int) -> None:
    if twice := repeated(ids):
        raise FoldsError(f"Folds need each id once; these come more than once: {preview(twice)}.")
    least = 1 if scheme == "time" else 2
    if n < least or repeats < 1:
        raise FoldsError(f"Scheme '{scheme}' needs n >= {least} and repeats >= 1, got n = {n}, repeats = {repeats}.")
    if len(ids) < n + (scheme == "time"):
        raise FoldsError(f"{len(ids)} row(s) cannot make {n} folds of scheme '{scheme}'.", hint=_FEWER)
    if scheme == "time" and repeats > 1:
        raise FoldsError(f"Time has one order, so it cannot be cut in {repeats} ways.", hint="Set repeats = 1.")


def _canonical(ids: pd.Index) -> pd.Index:
    """The ids in an order of their own; texts and numbers may be mixed."""
    try:
        return ids.sort_values()
    except TypeError:
        keys = [(type(i).__name__, i) for i in ids.tolist()]
        return ids[sorted(range(len(ids)), key=keys.__getitem__)]


def _values(values: pd.Series | None, ids: pd.Index, what: str) -> pd.Series:
    """The values of these ids, none missing."""
    if values is None:
        raise FoldsError(
            f"This fold scheme needs {what}, and none came.",
            hint="Name its column in [competition] of the pipeline file, or choose another scheme.",
        )
    if twice := repeated(values.index):
        raise FoldsError(f"{what} must hold each id once; these come more than once: {preview(twice)}.")
    if len(absent := ids[~ids.isin(values.index)]):
        raise FoldsError(f"{what} lacks {len(absent)} id(s): {preview(absent)}.")
    values = values.loc[ids]
    if (empty := values.isna()).any():
        raise FoldsError(
            f"{what} is missing in {int(empty.sum())} row(s): {preview(values.index[empty])}.",
            hint="Fill or remove these rows, or choose another scheme.",
        )
    return values


def _strata(y: pd.Series, n: int) -> Array:
    """A code for each row: its class, or the quantile bin of a continuous target."""
    if not _is_continuous(y, n):
        return pd.factorize(y)[0]
    bins = max(1, min(_BINS, len(y) // n))
    # Ranks with ties broken by id make bins of equal size, where pandas' qcut can leave some too small to
    # stratify.
    ranks = y.rank(method="first").to_numpy() - 1
    return (ranks * bins // len(y)).astype(np.int64)


def _is_continuous(y: pd.Series, n: int) -> bool:
    """Whether numbers are measurements rather than classes: fractions, or many values with few rows each."""
    if not pd.api.types.is_numeric_dtype(y) or pd.api.types.is_bool_dtype(y):
        return False
    counts = y.value_counts()
    if (y % 1 != 0).any():
        return bool(counts.min() < n)
    return len(counts) > 2 * _BINS and bool(counts.mean() < 2 * n)


def _times(time: pd.Series) -> Array:
    if pd.api.types.is_numeric_dtype(time) or pd.api.types.is_datetime64_any_dtype(time):
        return time.to_numpy()
    # pandas only warns when it has to guess a format; a guess could put days and months in the wrong order.
    try:
        with warnings.catch_warnings(record=True) as guesses:
            warnings.simplefilter("always", UserWarning)
            dates = pd.to_datetime(time).to_numpy()
        reason = str(guesses[0].message) if guesses else ""
    except (ValueError, TypeError) as error:
        reason = str(error)
    if reason:
        raise FoldsError(
            f"time must hold numbers or dates; {reason.splitlines()[0]}", hint="Write dates as 2024-12-31."
        )
    return dates


# The schemes: each gives a fold number for every row.


def _kfold(rows: _Rows, seed: int) -> Array:
    from sklearn.model_selection import KFold

    return _numbered(KFold(rows.n, shuffle=True, random_state=seed).split(rows.ids), rows)


def _stratified(rows: _Rows, seed: int) -> Array:
    from sklearn.model_selection import StratifiedKFold

    strata = _checked_strata(rows)
    return _numbered(StratifiedKFold(rows.n, shuffle=True, random_state=seed).split(rows.ids, strata), rows)


def _group(rows: _Rows, seed: int) -> Array:
    from sklearn.model_selection import GroupKFold

    codes = _checked_groups(rows)
    # GroupKFold fills the smallest fold with the largest group left, and takes equal groups by their number.
    # Shuffled numbers give it a seed and keep the folds balanced, which its own shuffle does not.
    shuffled = np.random.default_rng(seed).permutation(codes.max() + 1)[codes]
    return _numbered(GroupKFold(rows.n).split(rows.ids, groups=shuffled), rows)


def _stratified_group(rows: _Rows, seed: int) -> Array:
    from sklearn.model_selection import StratifiedGroupKFold

    strata, codes = _checked_strata(rows), _checked_groups(rows)
    splitter = StratifiedGroupKFold(rows.n, shuffle=True, random_state=seed)
    return _numbered(splitter.split(rows.ids, strata, codes), rows)


def _time(rows: _Rows, seed: int) -> Array:
    assert rows.time is not None
    times, row_time, counts = np.unique(_times(rows.time), return_inverse=True, return_counts=True)
    if len(times) <= rows.n:
        raise FoldsError(
            f"{rows.n} time-forward folds need {rows.n + 1} different times, got {len(times)}.", hint=_FEWER
        )
    place = np.arange(len(times))
    middle = np.cumsum(counts) - counts / 2
    block = (middle / len(rows.ids) * (rows.n + 1)).astype(np.int64)
    block[0], block[-1] = 0, rows.n
    # A time with very many rows may jump over a block. Lower, then raise, until no two neighbours differ by
    # more than 1.
    block = np.minimum.accumulate(block - place) + place
    block[-1] = rows.n
    block = np.maximum.accumulate((block - place)[::-1])[::-1] + place
    numbers: Array = block[row_time] - 1
    return numbers


def _numbered(splits: Any, rows: _Rows) -> Array:
    numbers = np.full(len(rows.ids), -1, dtype=np.int64)
    for fold, (_, scored) in enumerate(splits):
        numbers[scored] = fold
    return numbers


def _checked_strata(rows: _Rows) -> Array:
    assert rows.y is not None
    strata = _strata(rows.y, rows.n)
    if _is_continuous(rows.y, rows.n):
        return strata
    counts = rows.y.value_counts()
    if len(rare := counts[counts < rows.n]):
        named = preview([f"'{label}' has {count}" for label, count in rare.items()])
        raise FoldsError(
            f"Each class needs at least as many rows as there are folds ({rows.n}); {named}.",
            hint="Use fewer folds, or scheme 'kfold'.",
        )
    return strata


def _checked_groups(rows: _Rows) -> Array:
    assert rows.groups is not None
    codes, distinct = pd.factorize(rows.groups)
    if len(distinct) < rows.n:
        raise FoldsError(f"{rows.n} folds need at least {rows.n} groups, got {len(distinct)}.", hint=_FEWER)
    return codes


#: Fold schemes by name.
SCHEMES: Mapping[str, Callable[[_Rows, int], Array]] = MappingProxyType(
    {
        "kfold": _kfold,
        "stratified": _stratified,
        "group": _group,
        "stratified-group": _stratified_group,
        "time": _time,
    }
)
