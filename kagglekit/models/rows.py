"""What every model checks of y at the door: one label or value for each row of X."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from kagglekit.errors import DataError

__all__ = ["check_same_rows", "has_several", "target_table", "target_values"]


def check_same_rows(X: pd.DataFrame, other: pd.Series | pd.DataFrame, name: str) -> None:
    """Refuse what is not indexed like X: nothing is aligned by position.

    Raises
    ------
    DataError
    """
    if not other.index.equals(X.index):
        raise DataError(
            f"The rows of {name} are not those of X, or in another order.", hint=f"Use {name}.loc[X.index]."
        )


def has_several(y: Any) -> bool:
    """Whether y is a table of several targets."""
    return isinstance(y, pd.DataFrame) and y.shape[1] > 1


def target_table(X: pd.DataFrame, y: pd.DataFrame) -> np.ndarray:
    """Several targets as floats of shape (n_rows, n_targets).

    Raises
    ------
    DataError
        y belongs to other rows than X, has gaps, is empty, or does not hold finite numbers.
    """
    check_same_rows(X, y, "y")
    if y.empty:
        raise DataError("There are no rows to fit on.")
    try:
        values = y.to_numpy(dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"Several targets must all be numbers ({error}).") from error
    if not np.isfinite(values).all():
        raise DataError(
            f"{int((~np.isfinite(values)).sum())} value(s) of y are missing or infinite.",
            hint="Fit on rows that have every target.",
        )
    return values


def target_values(X: pd.DataFrame, y: Any) -> np.ndarray:
    """y as an array of shape (n_rows,).

    Raises
    ------
    DataError
        y belongs to other rows than X, has gaps, or is empty.
    """
    if len(y) != len(X):
        raise DataError(f"X has {len(X)} rows and y has {len(y)}.")
    if isinstance(y, pd.Series):
        check_same_rows(X, y, "y")
    series = pd.Series(np.asarray(y).ravel())
    if series.isna().any():
        raise DataError(f"{int(series.isna().sum())} value(s) of y are missing.", hint="Fit on rows with a label.")
    if series.empty:
        raise DataError("There are no rows to fit on.")
    if series.dtype == object and len({isinstance(v, str) for v in series}) == 2:
        raise DataError("Labels must be all text or all numbers; y mixes them.")
    return series.to_numpy()
