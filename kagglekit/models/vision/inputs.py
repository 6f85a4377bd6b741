"""What image models check at the door: a column of paths, a label for each row."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from kagglekit.errors import DataError, nearest

__all__ = ["image_paths", "target_values"]


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


def target_values(X: pd.DataFrame, y: Any) -> np.ndarray:
    """y as an array of shape (n_rows,).

    Raises
    ------
    DataError
        y belongs to other rows than X, has gaps, or is empty.
    """
    if len(y) != len(X):
        raise DataError(f"X has {len(X)} rows and y has {len(y)}.")
    if isinstance(y, pd.Series) and not y.index.equals(X.index):
        raise DataError("The rows of y are not those of X, or in another order.", hint="Use y.loc[X.index].")
    series = pd.Series(np.asarray(y).ravel())
    if series.isna().any():
        raise DataError(f"{int(series.isna().sum())} value(s) of y are missing.", hint="Fit on rows with a label.")
    if series.empty:
        raise DataError("There are no rows to fit on.")
    if series.dtype == object and len({isinstance(v, str) for v in series}) == 2:
        raise DataError("Labels must be all text or all numbers; y mixes them.")
    return series.to_numpy()
