"""A submission file, read and checked as the site will read it, before anything is sent.

The table itself is checked by `forms`; here is what can be wrong with a file that should hold one.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from kagglekit.contracts import Competition
from kagglekit.errors import SubmissionError, preview
from kagglekit.forms import check_submission

__all__ = ["read_submission"]

_BOM = b"\xef\xbb\xbf"
_KINDS: tuple[tuple[bytes, str], ...] = (
    (b"PK\x03\x04", "a zip archive"),
    (b"\x1f\x8b", "a gzip file"),
    (b"PAR1", "a Parquet file"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\x80", "a pickle"),
    (b"\xff\xfe", "in UTF-16"),
    (b"\xfe\xff", "in UTF-16"),
)
_TEXT_KINDS = (("<", "a web page"), ("{", "JSON"), ("[", "JSON"))
_SEPARATORS: Mapping[str, str] = {";": "semicolons", "\t": "tabs", "|": "bars"}
_MISSING = ["", "nan", "NaN", "NAN", "NA", "N/A", "null", "None", "<NA>"]
_WRITE = "Write it with frame.to_csv(path, index=False)."


def read_submission(path: Path, competition: Competition, sample: pd.DataFrame, *, strict: bool = True) -> pd.DataFrame:
    """Read a submission file, refusing one that the site would refuse, or that would mean something else.

    Parameters
    ----------
    path : Path
    competition : Competition
    sample : DataFrame
        The sample submission.
    strict : bool
        Also refuse the sample's ids in another order; see `check_submission`.

    Returns
    -------
    DataFrame
        The table, with ids of the sample's type.

    Raises
    ------
    SubmissionError
        One line that names the first thing that is wrong, and where.
    """
    content = _content(path)
    _check_header(content, sample)
    frame = _table(content, competition, sample)
    check_submission(frame, competition, sample, strict=strict)
    return frame


def _content(path: Path) -> bytes:
    if path.is_dir():
        raise SubmissionError(f"{path} is a folder; a CSV file is expected.", hint="Name the file in it.")
    if not path.is_file():
        raise SubmissionError(f"There is no file {path}.", hint="Look for it under submissions/.")
    content = path.read_bytes()
    if not content.strip():
        raise SubmissionError(f"{path.name} is empty.", hint="Was it cut off by a full disk? Write it again.")
    _check_kind(path, content)
    return content.removeprefix(_BOM)


def _check_kind(path: Path, content: bytes) -> None:
    kind = next((words for start, words in _KINDS if content.startswith(start)), "")
    if kind == "a zip archive" and b"xl/workbook" in content:
        kind = "an Excel workbook"
    if not kind:
        first = content.removeprefix(_BOM).lstrip()[:1].decode("latin-1")
        kind = next((words for start, words in _TEXT_KINDS if first == start), "")
    if kind:
        raise SubmissionError(f"{path.name} is {kind}; a CSV file in UTF-8 is expected.", hint=_WRITE)
    if (at := content.find(b"\0")) >= 0:
        raise SubmissionError(f"{path.name} holds zero bytes, from byte {at:,} on.", hint="Write it again.")
    try:
        content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise SubmissionError(f"{path.name} is not in UTF-8, in line {line}.", hint=_WRITE) from None
    if content.count(b'"') % 2:
        raise SubmissionError(f"{path.name} opens a quotation mark that nothing closes.", hint=_WRITE)


def _check_header(content: bytes, sample: pd.DataFrame) -> None:
    """What `forms` cannot see, because reading a table hides it."""
    names = next(csv.reader(io.StringIO(content[: content.find(b"\n") + 1 or None].decode())), [])
    want = [str(c) for c in sample.columns]
    if names == want:
        return
    for separator, words in _SEPARATORS.items():
        if len(names) < len(want) and separator.join(names).count(separator) >= len(want) - 1:
            raise SubmissionError(f"The submission is separated by {words}; commas are expected.", hint=_WRITE)
    if twice := sorted({n for n in names if names.count(n) > 1}):
        raise SubmissionError(f"The submission has the column {preview(twice)} more than once.")
    if names[:1] in ([""], ["Unnamed: 0"], ["index"]) and names[1:] == want:
        raise SubmissionError("The submission has the row numbers as a first column.", hint=_WRITE)
    if [n.strip().casefold() for n in names] == [w.strip().casefold() for w in want]:
        raise SubmissionError(f"The submission's columns are spelled {preview(names)}, not {preview(want)}.")
    if len(names) == len(want) and not set(names) & set(want) and names[0] in set(sample.iloc[:, 0].astype(str)):
        raise SubmissionError(f"The submission begins with a row; its first line must be: {','.join(want)}")


def _table(content: bytes, competition: Competition, sample: pd.DataFrame) -> pd.DataFrame:
    """The table with each column as what it should be, or as text where a cell is something else."""
    import pyarrow as pa

    types = _types(content, competition, sample)
    for column_types in (types, dict.fromkeys(types, pa.string())):
        try:
            return _parsed(content, column_types)
        except pa.ArrowInvalid:
            _check_width(content)
    raise SubmissionError("The submission is no table that can be read.", hint=_WRITE)


def _types(content: bytes, competition: Competition, sample: pd.DataFrame) -> dict[str, Any]:
    import pyarrow as pa

    numbers = competition.form in ("value", "values", "probability", "probabilities") or (
        competition.form in ("label", "labels") and all(isinstance(c, int) for c in competition.classes)
    )
    names = next(csv.reader(io.StringIO(content[: content.find(b"\n") + 1 or None].decode())), [])
    whole_ids = pd.api.types.is_integer_dtype(sample[competition.id]) if competition.id in sample else False
    found = dict.fromkeys(names, pa.float64() if numbers else pa.string())
    if competition.id in found:
        found[competition.id] = pa.int64() if whole_ids else pa.string()
    return found


def _parsed(content: bytes, types: Mapping[str, Any]) -> pd.DataFrame:
    import pyarrow as pa
    from pyarrow import csv as arrow

    text = {name for name, kind in types.items() if kind == pa.string()}
    table = arrow.read_csv(
        pa.BufferReader(content),
        parse_options=arrow.ParseOptions(newlines_in_values=b'"' in content),
        convert_options=arrow.ConvertOptions(
            column_types=types, null_values=[""] if text else _MISSING, strings_can_be_null=True
        ),
    )
    frame: pd.DataFrame = table.to_pandas()
    return frame


def _check_width(content: bytes) -> None:
    """Name the first line that has more or fewer cells than the header."""
    rows = csv.reader(io.StringIO(content.decode()))
    width = len(next(rows))
    for row in rows:
        if row and len(row) != width:
            raise SubmissionError(
                f"Line {rows.line_num} of the submission has {len(row)} cell(s), the header has {width}."
            )
