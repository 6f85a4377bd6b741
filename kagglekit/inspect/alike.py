"""How alike columns order the rows: rank correlation of columns of any kind."""

from __future__ import annotations

import numpy as np
import pandas as pd

from kagglekit.models.readers import as_levels, as_numbers, kind_of

__all__ = ["as_order", "rank_correlation"]

_MOST_ROWS = 10_000


def as_order(column: pd.Series) -> np.ndarray:
    """Numbers that order the rows, NaN where nothing is known: float64 of shape (n_rows,).

    Dates are days since 1970. Levels are ordered by how often they come (of two that come as often, the one that comes
    first), so that a column and its copy under other names are ordered alike.
    """
    kind = kind_of(column)
    if kind == "number":
        return as_numbers(column)
    if kind == "date":
        dates = pd.to_datetime(column, format="ISO8601", errors="coerce", utc=True)
        days = (dates - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(days=1)
        return np.asarray(days.to_numpy(dtype=float, na_value=np.nan))
    codes, levels = pd.factorize(as_levels(column))
    counts = np.bincount(codes[codes >= 0], minlength=len(levels))
    place = np.empty(len(levels))
    place[np.argsort(-counts, kind="stable")] = np.arange(len(levels))
    known: np.ndarray = np.where(codes >= 0, place[codes] if len(levels) else 0.0, np.nan)
    return known


def rank_correlation(X: pd.DataFrame) -> pd.DataFrame:
    """Spearman's rank correlation of every pair of columns: DataFrame of shape (n_columns, n_columns).

    Missing values stand in the middle of the ranks; a column that never changes goes together with none. Of large
    tables 10,000 rows are looked at.

    Notes
    -----
    Levels have no order of their own: two columns of levels that tell the same in another grouping are missed.
    """
    if len(X) > _MOST_ROWS:
        X = X.iloc[np.sort(np.random.default_rng(0).choice(len(X), _MOST_ROWS, replace=False))]
    ranks = pd.DataFrame({c: as_order(X[c]) for c in X.columns}).rank()
    centred = (ranks - ranks.mean()).fillna(0.0).to_numpy()
    length = np.sqrt((centred**2).sum(axis=0))
    scaled = centred / np.where(length > 0, length, np.inf)
    rho = np.clip(scaled.T @ scaled, -1, 1)
    np.fill_diagonal(rho, 1.0)
    return pd.DataFrame(rho, index=X.columns, columns=X.columns)
