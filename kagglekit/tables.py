"""Reading a competition's CSV files: ids exactly as they are written, labels that may be words such as "NA"."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from kagglekit.errors import DataError

__all__ = ["exact_ids", "read_table"]

_WHOLE = r"0|-?[1-9]\d{0,17}"


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
    try:
        frame = pd.read_csv(path, encoding="utf-8-sig", low_memory=False)
        special = [c for c in (id_column, target) if c is not None and c in frame]
        words = pd.read_csv(path, encoding="utf-8-sig", usecols=special, dtype=str, keep_default_na=False)
    except (ValueError, UnicodeError) as error:  # pandas' own EmptyDataError and ParserError are ValueErrors
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DataError(f"{path} is not a CSV table in UTF-8: {reason}.", hint="Look at its first lines.") from error
    if id_column in special:
        frame[id_column] = exact_ids(words[id_column])
    if target in special and (not pd.api.types.is_numeric_dtype(frame[target]) or frame[target].isna().all()):
        frame[target] = words[target].where(words[target] != "")
    return frame


def exact_ids(words: pd.Series) -> pd.Series:
    """Ids as they are written: whole numbers where every one prints back to the same text, else text.

    Empty cells are missing.
    """
    if len(words) and words.str.fullmatch(_WHOLE).all():
        return words.astype("int64")
    return words.where(words != "")
