"""Links between rows, and the groups that they make."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from kagglekit.contracts import repeated
from kagglekit.errors import DataError, preview

__all__ = ["Part", "as_groups", "check_ids", "first_of_equal", "link_frame"]

Array = npt.NDArray[Any]
Part = tuple[Array, Array, str, Array]
"""Positions of a, positions of b, kind, distances."""

_COLUMNS = ("a", "b", "kind", "distance")


def as_groups(links: pd.DataFrame, ids: pd.Index, *, groups: pd.Series | None = None) -> pd.Series:
    """A group for each id, the same for all that links hold together, directly or through others.

    Parameters
    ----------
    links : DataFrame
        With columns `a` and `b`; links to other ids are ignored.
    ids : Index of shape (n_rows,)
    groups : Series by id, optional
        Groups that exist already; linked groups become one. A missing value is a group of its own.

    Returns
    -------
    Series by id
        Each group is called by the first of its ids in `ids`.

    Raises
    ------
    DataError
        An id comes twice.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    check_ids(ids)
    a, b = (ids.get_indexer(pd.Index(links[end])) if len(links) else np.empty(0, np.int64) for end in ("a", "b"))
    known = (a >= 0) & (b >= 0)
    a, b = a[known], b[known]
    if groups is not None:
        codes = pd.factorize(groups.loc[ids])[0]
        rows = np.flatnonzero(codes >= 0)
        first, bucket = first_of_equal(codes[rows])
        a, b = np.concatenate((a, rows[first[bucket]])), np.concatenate((b, rows))
    graph = coo_array((np.ones(len(a), dtype=np.int8), (a, b)), shape=(len(ids), len(ids)))
    first, bucket = first_of_equal(connected_components(graph, directed=False)[1])
    return pd.Series(ids[first[bucket]], index=ids, name="group")


def link_frame(parts: list[Part], ids: pd.Index) -> pd.DataFrame:
    """Links by id, each pair once: the least distance first."""
    frames = [pd.DataFrame({"a": a, "b": b, "kind": kind, "distance": d}) for a, b, kind, d in parts if len(a)]
    if not frames:
        return pd.DataFrame({c: [] for c in _COLUMNS}).astype({"distance": np.int64})
    frame = pd.concat(frames, ignore_index=True)
    frame[["a", "b"]] = np.sort(frame[["a", "b"]].to_numpy(), axis=1)
    frame = frame.sort_values(["distance", "a", "b"], kind="stable").drop_duplicates(["a", "b"], ignore_index=True)
    return frame.assign(a=ids[frame["a"].to_numpy()], b=ids[frame["b"].to_numpy()])


def first_of_equal(values: Array) -> tuple[Array, Array]:
    """Position of the first of each distinct value, in order of appearance, and each row's number among these."""
    bucket, distinct = pd.factorize(values)
    first = np.full(len(distinct), len(values), dtype=np.int64)
    np.minimum.at(first, bucket, np.arange(len(values)))
    return first, bucket


def check_ids(ids: pd.Index) -> None:
    """Refuse ids that come twice.

    Raises
    ------
    DataError
    """
    if twice := repeated(ids):
        raise DataError(f"Each id may come once; these come more often: {preview(twice)}.")
