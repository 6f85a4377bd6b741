"""Which column is predicted, and whether ids and answers are what they must be."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
from pandas.api import types

from kagglekit.errors import DataError, preview
from kagglekit.look.download import Download
from kagglekit.look.findings import Notes

__all__ = ["Target", "check_rows", "find_target"]

_MOST_CLASSES = 20


@dataclass(frozen=True, eq=False)
class Target:
    """The column that is predicted, or several.

    Parameters
    ----------
    name : str
        Of several columns, their names in one.
    table : DataFrame of shape (n_rows, n_targets)
        Training rows.
    wide : bool
        Whether the sample submission has a column for each value of one target.
    """

    name: str
    table: pd.DataFrame
    wide: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(str(c) for c in self.table.columns)

    @property
    def targets(self) -> tuple[str, ...]:
        """The columns where there are several; else none."""
        return self.columns if len(self.columns) > 1 else ()

    @property
    def y(self) -> pd.Series:
        """The one target."""
        return self.table[self.name]

    @property
    def are_labels(self) -> bool:
        """Whether all columns hold labels 0 and 1."""
        return bool(self.table.isin([0, 1]).all(axis=None))

    @property
    def is_whole(self) -> bool:
        """Whether it is numbers without fractions."""
        return bool(types.is_numeric_dtype(self.y) and (self.y.astype(float) % 1 == 0).all())

    @property
    def looks_like_classes(self) -> bool:
        return not types.is_numeric_dtype(self.y) or (self.is_whole and self.y.nunique() <= _MOST_CLASSES)


def find_target(download: Download, notes: Notes) -> Target:
    """The column of train that the sample submission asks for.

    Raises
    ------
    DataError
        None is clear, or several are no numbers.
    """
    answers = [str(c) for c in download.sample.columns][1:]
    known = [c for c in answers if c in download.train]
    if len(known) > 1:
        return _several(download, answers, notes)
    name = answers[0] if len(answers) == 1 and known else ""
    if name:
        notes.reasons["target"] = f"{download.sample_name} asks for it."
    name = name or _hidden_target(download, answers, notes)
    return Target(name, download.train[[name]], len(answers) > 1)


def _several(download: Download, answers: list[str], notes: Notes) -> Target:
    """Every answer is a column of train, of numbers."""
    train, train_name = download.train, download.train_name
    if lost := [name for name in answers if name not in train]:
        raise DataError(
            f"{download.sample_name} asks for {len(answers)} columns, and {train_name} has no {preview(lost)}.",
            hint="Write the pipeline file by hand: docs/pipeline.md, 'Several targets', has an example.",
        )
    if words := [name for name in answers if not types.is_numeric_dtype(train[name])]:  # true and false are numbers
        raise DataError(
            f"{train_name}: several targets are numbers, or labels 0 and 1; '{words[0]}' holds "
            f"{train[words[0]].iloc[0]!r}.",
            hint="Make a column of 0 and 1 of each label, in a copy of the file.",
        )
    notes.reasons["target"] = f"{download.sample_name} asks for these {len(answers)}, all columns of {train_name}."
    return Target(", ".join(answers), train[answers])


def _hidden_target(download: Download, answers: list[str], notes: Notes) -> str:
    """The column of train that test lacks: its values are the sample's columns, or it is the only one."""
    train, sample_name = download.train, download.sample_name
    missing = [str(c) for c in train.columns if c != download.id and c not in download.test]
    for column in missing:
        if set(train[column].dropna().astype(str)) <= set(answers):
            notes.reasons["target"] = f"The columns of {sample_name} are its values."
            return column
    if len(missing) == 1 and len(answers) == 1:
        notes.reasons["target"] = f"The only column of {download.train_name} that {download.test_name} lacks."
        return missing[0]
    raise DataError(
        f"The target is not clear: {sample_name} has the column(s) {preview(answers)}, {download.train_name} has "
        f"{preview(train.columns)}.",
        hint="Write the pipeline file by hand: [competition] target = ...",
    )


def check_rows(download: Download, target: Target) -> None:
    """Refuse ids that are missing or repeat, and answers that are missing or all the same.

    Raises
    ------
    DataError
    """
    key, train_name = download.id, download.train_name
    for name, frame in (
        (train_name, download.train),
        (download.test_name, download.test),
        (download.sample_name, download.sample),
    ):
        if key not in frame:
            raise DataError(
                f"{name} has no column '{key}', which is the id in {download.sample_name}; it has "
                f"{preview(frame.columns)}.",
                hint="The id column must have one name in all tables.",
            )
        if twice := list(frame.loc[frame[key].duplicated(), key].unique()):
            raise DataError(
                f"{name}: the id column '{key}' holds each id once, but these repeat: {preview(twice)}.",
                hint="Is the id made of several columns? Then join them into one first.",
            )
    for name in target.columns:
        _check_answers(target.table[name], name, train_name)


def _check_answers(y: pd.Series, name: str, train_name: str) -> None:
    if missing := int(y.isna().sum()):
        raise DataError(
            f"{train_name}: the target '{name}' is missing in {missing} of {len(y)} rows.",
            hint="Nothing can be learnt from these rows: leave them out in a copy of the file, knowingly.",
        )
    if y.nunique() < 2:
        raise DataError(f"{train_name}: the target '{name}' has one value only: {y.iloc[0]!r}.")
