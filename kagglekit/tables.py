"""Reading a competition's CSV files: ids exactly as they are written, labels that may be words such as "NA".

A file is read as a whole, or in pieces that together are the same table: pandas tells a column's type from the values
that it has at hand, so the types of pieces are told first, and each piece is then read as what the whole column is.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from kagglekit.errors import DataError

__all__ = ["ChunkedTable", "exact_ids", "read_table"]

_WHOLE = r"0|-?[1-9]\d{0,17}"
_Kind = Literal["empty", "int", "float", "bool", "text", "odd"]
_PLAIN: Mapping[str, _Kind] = {"int64": "int", "float64": "float", "bool": "bool"}


def read_table(path: Path, *, id_column: str | None = None, target: str | None = None) -> pd.DataFrame:
    """Read a CSV as pandas does, save for the two columns whose text matters.

    Parameters
    ----------
    path : Path
        UTF-8, with or without a byte order mark.
    id_column : str, optional
        See `exact_ids`: an id "00060" stays what it is, and an id "NA" is an id.
    target : str, optional
        If it holds text, only empty cells are missing: "None" is a label.

    Raises
    ------
    DataError
        The file is not a CSV table in UTF-8.
    """
    with _csv_errors(path):
        frame = pd.read_csv(path, encoding="utf-8-sig", low_memory=False)
        special = [c for c in (id_column, target) if c is not None and c in frame]
        words = pd.read_csv(path, encoding="utf-8-sig", usecols=special, dtype=str, keep_default_na=False)
    if id_column in special:
        frame[id_column] = exact_ids(words[id_column])
    if target in special and (not pd.api.types.is_numeric_dtype(frame[target]) or frame[target].isna().all()):
        frame[target] = words[target].where(words[target] != "")
    return frame


@contextmanager
def _csv_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (ValueError, UnicodeError) as error:  # pandas' own EmptyDataError and ParserError are ValueErrors
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DataError(f"{path} is not a CSV table in UTF-8: {reason}.", hint="Look at its first lines.") from error


def exact_ids(words: pd.Series) -> pd.Series:
    """Ids as they are written: whole numbers where every one prints back to the same text, else text.

    Empty cells are missing.
    """
    if len(words) and words.str.fullmatch(_WHOLE).all():
        return words.astype("int64")
    return words.where(words != "")


class ChunkedTable:
    """A CSV file in pieces that are, one after the other, what `read_table` reads at once.

    Memory holds one piece at a time. Only a column whose pieces do not tell the type of the whole, such as truth values
    with gaps, is kept as a whole. Gaps are gaps also beside whole numbers of more than 63 bits, which pandas then reads
    as text with the words "NA" in it.

    Parameters
    ----------
    path, id_column, target
        See `read_table`.
    rows : int
        In each piece.

    Attributes
    ----------
    columns : list of str
        In the file's order.

    Raises
    ------
    DataError
        The file is not a CSV table in UTF-8.
    """

    def __init__(
        self, path: Path, *, id_column: str | None = None, target: str | None = None, rows: int = 250_000
    ) -> None:
        self.path, self.rows = path, rows
        self._id, self._target = id_column, target
        with _csv_errors(path):
            self.columns = list(pd.read_csv(path, encoding="utf-8-sig", nrows=0).columns)
            kinds = self._kinds()
            self._odd = {name: self._alone(name) for name, found in kinds.items() if _whole(found) == "odd"}
            self._dtypes = {name: _dtype(found) for name, found in kinds.items() if name not in self._odd}
            self._empty = {name for name, found in kinds.items() if _whole(found) == "empty"}
            self._as_written = [c for c in (id_column, target) if c in self.columns and self._is_text(c)]
            self._whole_ids = id_column in self.columns and all(
                pd.api.types.is_integer_dtype(exact_ids(words)) for words in self._words([str(id_column)])
            )

    def pieces(self, columns: Sequence[str] | None = None) -> Iterator[pd.DataFrame]:
        """The table, or these columns of it, under a plain index that counts on from piece to piece."""
        wanted = self.columns if columns is None else list(columns)
        typed = [c for c in wanted if c != self._id and c not in self._as_written]
        words = [c for c in wanted if c not in typed]
        start = 0
        for frame, said in self._both(typed, words):
            made = {c: frame[c] for c in typed if c not in self._odd}
            made |= {c: column.iloc[start : start + len(frame)] for c, column in self._odd.items() if c in typed}
            made |= {c: self._written(c, said[c]) for c in words}
            start += len(frame)
            yield pd.DataFrame({c: made[c].set_axis(frame.index) for c in wanted})

    def example(self) -> pd.DataFrame:
        """One row of the right types with nothing missing."""
        odd = {c: column.dropna().iloc[:1].set_axis([0]) for c, column in self._odd.items()}
        made = {c: pd.Series(["0"], dtype=str).astype(dtype) for c, dtype in self._dtypes.items()} | odd
        made |= {c: pd.Series(["0"], dtype=str) for c in self._as_written}
        if self._id in made:
            made[self._id] = pd.Series([0]) if self._whole_ids else pd.Series(["0"], dtype=str)
        return pd.DataFrame({c: made[c] for c in self.columns})

    def _both(self, typed: list[str], words: list[str]) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
        """The same rows twice: by type, and as they are written."""
        some = typed or words
        with _csv_errors(self.path):
            dtypes = {c: dtype for c, dtype in self._dtypes.items() if c in typed}
            yield from zip(self._read(some, dtype=dtypes), self._written_pieces(words or some[:1]), strict=True)

    def _read(self, columns: list[str], **options: Any) -> Iterator[pd.DataFrame]:
        chosen = None if columns == self.columns else columns
        with pd.read_csv(
            self.path, encoding="utf-8-sig", low_memory=False, chunksize=self.rows, usecols=chosen, **options
        ) as reader:
            yield from reader

    def _written_pieces(self, columns: list[str]) -> Iterator[pd.DataFrame]:
        return self._read(columns, dtype=str, keep_default_na=False)

    def _words(self, columns: list[str]) -> Iterator[pd.Series]:
        return (piece[columns[0]] for piece in self._written_pieces(columns))

    def _written(self, name: str, words: pd.Series) -> pd.Series:
        return words.astype("int64") if name == self._id and self._whole_ids else words.where(words != "")

    def _kinds(self) -> dict[str, set[_Kind]]:
        found: dict[str, set[_Kind]] = {name: set() for name in self.columns}
        for piece in self._read(self.columns):
            for name in self.columns:
                found[name].add(_kind(piece[name]))
        return found

    def _alone(self, name: str) -> pd.Series:
        """A whole column, as pandas reads it when it sees all of it."""
        text = io.StringIO()
        for number, words in enumerate(self._words([name])):
            words.to_frame("words").assign(row=0).to_csv(text, index=False, header=number == 0)
        text.seek(0)
        return pd.read_csv(text, low_memory=False)["words"].rename(name)

    def _is_text(self, name: str) -> bool:
        """Whether an id or a target is taken as it is written."""
        if name == self._id:
            return True
        whole = self._odd.get(name)
        dtype = self._dtypes[name] if whole is None else whole.dtype
        return name in self._empty or not pd.api.types.is_numeric_dtype(dtype)


def _kind(column: pd.Series) -> _Kind:
    if column.isna().all():
        return "empty"
    if (plain := _PLAIN.get(str(column.dtype))) is not None:
        return plain
    return "text" if pd.api.types.infer_dtype(column, skipna=True) == "string" else "odd"


def _whole(kinds: set[_Kind]) -> _Kind:
    """What a column is whose pieces are these."""
    present = kinds - {"empty"}
    if "odd" in present or (present == {"bool"} and "empty" in kinds):
        return "odd"
    if "text" in present:  # with words in it, numbers and truth values are words too
        return "text"
    if present <= {"int", "float"}:
        return "empty" if not present else "int" if kinds == {"int"} else "float"
    return "bool" if present == {"bool"} else "odd"


def _dtype(kinds: set[_Kind]) -> Any:
    return {"empty": "float64", "int": "int64", "float": "float64", "bool": "bool", "text": str}[_whole(kinds)]
