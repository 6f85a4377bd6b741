"""Rows that belong together, columns that say nothing, and the folds that follow from both."""

from __future__ import annotations

import re
import warnings

import pandas as pd
from pandas.api import types

from kagglekit.contracts import Task
from kagglekit.errors import preview
from kagglekit.look.download import Download
from kagglekit.look.findings import Notes
from kagglekit.look.several import words_of_folds
from kagglekit.look.target import Target

__all__ = ["find_drop", "find_folds", "find_group", "find_time"]

_FEWEST_GROUPS = 10


def find_group(download: Download, target: Target, notes: Notes) -> str | None:
    """A column whose values repeat in train and never cross into test, though by chance they would."""
    if not download.has_test_table:
        return None
    train, test = download.train, download.test
    found = [(train[c].nunique(), str(c)) for c in download.shared(target.columns) if _keeps_apart(train[c], test[c])]
    if not found:
        return None
    n, column = min(found)
    notes.reasons["group"] = (
        f"'{column}' has {n:,} values in {len(train):,} training rows and {test[column].nunique():,} others in the "
        "test rows: none is in both. So the test rows are of new groups, and folds must keep a group whole to say the "
        "truth."
    )
    return column


def _keeps_apart(train: pd.Series, test: pd.Series) -> bool:
    if types.is_float_dtype(train) or types.is_bool_dtype(train) or train.isna().any() or test.isna().any():
        return False
    if types.is_numeric_dtype(train) and not re.search(r"(^|_)id$|Id$|ID$", str(train.name)):
        return False
    n, n_test = train.nunique(), test.nunique()
    repeats = n <= len(train) / 2 and n_test <= len(test) / 1.5
    if n < _FEWEST_GROUPS or n_test < _FEWEST_GROUPS or not repeats or _dates(train) is not None:
        return False
    return not set(train.unique()) & set(test.unique())


def find_time(download: Download, target: Target, notes: Notes) -> str | None:
    """A column of dates that are all later in test than in train."""
    if not download.has_test_table:
        return None
    for column in download.shared(target.columns):
        train, test = _dates(download.train[column]), _dates(download.test[column])
        if train is not None and test is not None and test.min() > train.max():
            notes.reasons["time"] = (
                f"'{column}' ends on {train.max():%Y-%m-%d} in the training rows and begins on "
                f"{test.min():%Y-%m-%d} in the test rows: the future is predicted, so it must be in validation too."
            )
            return column
    return None


def find_drop(download: Download, target: Target, group: str | None, time: str | None, notes: Notes) -> tuple[str, ...]:
    """Columns that nothing can be learnt from."""
    train = download.train
    features = [c for c in download.shared(target.columns) if c not in (group, time)]
    reasons = {c: why for c in features if (why := _useless(train[c]))}
    if only := [str(c) for c in train.columns if c not in (*download.test.columns, *target.columns)]:
        notes.reasons["only_train"] = f"Not used, because test rows lack them: {preview(only, most=20)}."
    notes.reasons["drop"] = " ".join(f"'{c}': {why}." for c, why in reasons.items())
    return tuple(reasons)


def _useless(values: pd.Series) -> str:
    if values.nunique(dropna=False) == 1:
        return f"one value in all {len(values):,} rows"
    # Words may say something even where every row has its own; codes without a space cannot.
    if types.is_numeric_dtype(values) or types.is_bool_dtype(values) or not values.is_unique or values.isna().any():
        return ""
    if values.astype(str).str.contains(r"\s").any() or _dates(values) is not None:
        return ""
    return f"{len(values):,} different codes in {len(values):,} rows, like an id"


def find_folds(
    download: Download, target: Target, task: Task, group: str | None, time: str | None, notes: Notes
) -> tuple[str, int]:
    """The scheme of the folds, and how many."""
    if time:
        notes.reasons["folds"] = "Fit on the past, score the next stretch of time."
        return "time", 5
    classes = task.endswith("classification")
    counts = [int(target.table[name].value_counts().min()) for name in target.columns]
    rarest = min(counts) if classes else len(target.table)
    n = max(2, min(5, rarest))
    if group:
        notes.reasons["folds"] = f"No '{group}' is fitted on and scored at once."
        return ("stratified-group" if classes else "group"), max(2, min(5, download.train[group].nunique()))
    if target.targets:
        notes.reasons["folds"] = words_of_folds(classes)
        return "stratified", n
    if not classes:
        notes.reasons["folds"] = f"Stratified over bins of '{target.name}': every fold has low and high values."
        return "stratified", 5
    notes.reasons["folds"] = f"Every fold has each class in proportion; the rarest has {rarest:,} rows."
    return "stratified", n


def _dates(values: pd.Series) -> pd.Series | None:
    """The values as dates, when they are text that all reads as dates."""
    if (
        types.is_numeric_dtype(values)
        or not values.head(20).astype(str).str.match(r"\d{4}-\d\d?-\d\d?|\d\d?/\d\d?/\d{4}").all()
    ):
        return None
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Parsing dates in .* format")  # the day first: it says so
            return pd.to_datetime(values, utc=True)
    except ValueError:
        return None
