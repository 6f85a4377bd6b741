"""Corrections of training labels: rows that get another label when a model is fitted, and rows that are left out.

They lie in a CSV file beside the pipeline file, with the competition's id and target as columns. An empty label leaves
the row out. Scores stay on the labels as given, so that a cleaned experiment is compared with its parent on one truth.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from kagglekit.contracts import Label
from kagglekit.errors import ConfigError, DataError, nearest, preview
from kagglekit.files import write_text

__all__ = ["Correction", "Corrections", "corrected", "corrections_words", "read_corrections", "write_corrections"]

Correction = tuple[str, str | float | None]
"""An id as it is written, and its label: text for a class, a number for a value, None for a row that is left out."""

Corrections = Sequence[Correction]
"""At most one for each id."""


def read_corrections(path: Path, *, id_column: str, target: str, numeric: bool) -> tuple[Correction, ...]:
    """Read a file of corrections, sorted by id, so that the order of its lines does not matter.

    Parameters
    ----------
    path : Path
        UTF-8, with or without a byte order mark.
    id_column, target : str
        Its two columns.
    numeric : bool
        Whether labels are numbers.

    Raises
    ------
    ConfigError
        There is no such file.
    DataError
        It is no table of these two columns, an id is empty or comes twice, or a number is none.
    """
    head, *lines = _lines(path) or [[]]
    if head != [id_column, target]:
        raise DataError(f"{path} must have the columns '{id_column}' and '{target}', got {preview(head) or 'none'}.")
    if odd := next((line for line in lines if len(line) != 2 or not line[0]), None):
        raise DataError(f"{path}: each line must be an id and a label, got '{','.join(odd)}'.")
    ids = [line[0] for line in lines]
    if twice := sorted({i for i in ids if ids.count(i) > 1}) if len(set(ids)) < len(ids) else []:
        raise DataError(f"{path} names some rows twice: {preview(twice)}.", hint="Keep one line for each row.")
    return tuple(sorted((i, _label(path, i, text, numeric)) for i, text in lines))


def _lines(path: Path) -> list[list[str]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
        return [line for line in csv.reader(io.StringIO(text, newline=""), strict=True) if line]
    except FileNotFoundError as error:
        raise ConfigError(
            f"There is no file {path}.", hint="Take its `cleaning` key out; then `kagglekit clean` writes one."
        ) from error
    except (UnicodeError, csv.Error) as error:
        raise DataError(f"{path} is not a CSV table in UTF-8: {error}.", hint="Look at its first lines.") from error


def _label(path: Path, id_: str, text: str, numeric: bool) -> str | float | None:
    if not text:
        return None
    if not numeric:
        return text
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DataError(f"{path}: the value of '{id_}' must be a number, got '{text}'.", hint="Empty leaves it out.")
    return value


def write_corrections(path: Path, corrections: Corrections, *, id_column: str, target: str) -> None:
    """Write a file that `read_corrections` reads, whole or not at all, sorted by id."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([id_column, target])
    writer.writerows([i, "" if label is None else label] for i, label in sorted(corrections, key=lambda c: c[0]))
    write_text(path, text.getvalue())


def corrected(y: pd.Series, corrections: Corrections, classes: Sequence[Label] = ()) -> pd.Series:
    """The labels to fit on: corrected, without the rows that are left out.

    Parameters
    ----------
    y : Series of shape (n_rows,)
        Labels as given, by id.
    corrections : Corrections
    classes : sequence
        Every label that can occur; empty for values.

    Returns
    -------
    Series of shape (n_kept,)
        In the order of `y`; `y` itself where nothing is corrected.

    Raises
    ------
    DataError
        An id is not in `y`, or a label is not among the classes.
    """
    if not corrections:
        return y
    place = {str(id_): n for n, id_ in enumerate(y.index)}
    label = {str(c): c for c in classes}
    _refuse_unknown("row", [i for i, _ in corrections], place)
    if classes:
        _refuse_unknown("class", [str(v) for _, v in corrections if v is not None], label)
    values, keep = y.to_numpy(dtype=object).copy(), np.ones(len(y), dtype=bool)
    for id_, value in corrections:
        keep[place[id_]] = value is not None
        values[place[id_]] = label[str(value)] if classes and value is not None else value
    return pd.Series(values[keep], index=y.index[keep], name=y.name).astype(y.dtype if classes else float)


def _refuse_unknown(what: str, named: Sequence[str], known: Collection[str]) -> None:
    if unknown := [name for name in named if name not in known]:
        raise DataError(
            f"cleaning: there is no {what} '{unknown[0]}' in the training data"
            + (f" (nor {len(unknown) - 1} more that are named)." if len(unknown) > 1 else "."),
            hint=nearest(unknown[0], known) if len(known) <= 1000 else "Look for it in the training table.",
        )


def corrections_words(corrections: Corrections) -> str:
    """How much is corrected, in words.

    >>> corrections_words([("a", "cat"), ("b", "dog"), ("c", None)])
    '2 labels changed, 1 row left out'
    """
    out = sum(label is None for _, label in corrections)
    counts = {"label": (len(corrections) - out, "changed"), "row": (out, "left out")}
    said = [f"{n:,} {noun}{'s' if n > 1 else ''} {done}" for noun, (n, done) in counts.items() if n]
    return ", ".join(said) or "nothing changed"
