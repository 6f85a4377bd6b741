"""What image models check at the door: a column of paths."""

from __future__ import annotations

from typing import Any

import pandas as pd

from kagglekit.errors import DataError, nearest

__all__ = ["image_paths"]


def image_paths(X: Any, path_col: str) -> list[str]:
    """The image files of a frame, in the order of its rows.

    Raises
    ------
    DataError
        X is no DataFrame, has no such column, or a path is missing.
    """
    if not isinstance(X, pd.DataFrame):
        raise DataError(f"X must be a DataFrame with a column of image paths, got {type(X).__name__}.")
    if path_col not in X:
        raise DataError(f"X has no column '{path_col}' with image paths.", hint=nearest(path_col, map(str, X.columns)))
    if X[path_col].isna().any():
        raise DataError(f"{int(X[path_col].isna().sum())} of {len(X)} image paths in '{path_col}' are missing.")
    return [str(path) for path in X[path_col]]
