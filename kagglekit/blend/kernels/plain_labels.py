"""Loops over rows for metrics of labels, in numpy. The parameters are explained in `fast_labels`."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["count", "line", "split", "tally", "widen"]

Array = npt.NDArray[Any]


def widen(table: Array, most: Array, spread: Array) -> float:
    """Take one more member into the extremes of each row."""
    top, second = _top_two(table)
    np.maximum(spread, top - table.min(axis=1, keepdims=True), out=spread)
    np.maximum(most, np.where(table == top, second, top) - table, out=most)
    return max(float(table.max()), -float(table.min()))


def split(
    blend: Array,
    limits: Array,
    share: float,
    slack: float,
    codes: Array,
    weight: Array,
    scale: Array,
    counts: Array,
    rows: Array,
) -> int:
    """Count the rows that no member can give another label, and list the others."""
    top, second = _top_two(blend)
    labels = blend.argmax(axis=1)
    limit = np.take_along_axis(limits, labels[:, None] if limits.shape[1] > 1 else 0 * labels[:, None], axis=1)
    settled = ((1 - share) * (top - second) - abs(share) * limit.astype(np.float64) > slack)[:, 0]
    count(counts, labels[settled], codes[settled], weight[settled], scale)
    still_open = np.flatnonzero(~settled)
    rows[: len(still_open)] = still_open
    return len(still_open)


def tally(
    P: Array,
    rows: Array,
    places: Array,
    candidates: Array,
    blend: Array,
    share: float,
    codes: Array,
    weight: Array,
    scale: Array,
    counts: Array,
) -> float:
    """Count some rows by label after each candidate's step."""
    own, code, heft = (1 - share) * blend[rows], codes[rows], weight[rows]
    for c, model in enumerate(candidates):
        count(counts[c], (own + share * P[model][places]).argmax(axis=1), code, heft, scale)
    return 0.0


def line(
    blend: Array,
    table: Array,
    shares: Array,
    slack: float,
    codes: Array,
    weight: Array,
    scale: Array,
    counts: Array,
) -> None:
    """Count all rows by label for each share of one member."""
    ends = [(1 - share) * blend + share * table for share in (float(shares.min()), float(shares.max()))]
    labels, labels_high = (end.argmax(axis=1) for end in ends)
    leads, leads_high = (np.subtract(*_top_two(end))[:, 0] for end in ends)
    same = (labels == labels_high) & (np.minimum(leads, leads_high) > slack)
    common = np.zeros(counts.shape[1:])
    count(common, labels[same], codes[same], weight[same], scale)
    own, others, code, heft = blend[~same], table[~same], codes[~same], weight[~same]
    for s, share in enumerate(shares.tolist()):
        count(counts[s], ((1 - share) * own + share * others).argmax(axis=1), code, heft, scale)
    counts += common


def count(counts: Array, labels: Array, codes: Array, weight: Array, scale: Array) -> None:
    """Add labels to the counts; see `fast_labels.split`."""
    right = labels == codes
    n_columns = counts.shape[1]
    counts[0] += np.bincount(labels[~right], weight[~right], minlength=n_columns)
    counts[1] += np.bincount(labels[right], weight[right], minlength=n_columns)
    counts[2, 0] += weight @ np.square(scale[codes] - scale[labels])


def _top_two(table: Array) -> tuple[Array, Array]:
    """The highest and the second highest column of each row, of shape (n_rows, 1)."""
    ordered = np.partition(table, -2, axis=1)
    return ordered[:, -1:], ordered[:, -2:-1]
