"""Blocks of rows for cross-fitting a blend."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from kagglekit.blend.problem import Problem
from kagglekit.errors import DataError
from kagglekit.folds import make_folds

__all__ = ["cut_folds", "default_blocks", "make_blocks"]

Array = npt.NDArray[Any]

# Below so many rows, fits take little time.
_FEW_ROWS = 10_000


def default_blocks(n_rows: int) -> int:
    """How many blocks the honest score is taken from: 20 below 10,000 rows, else 10.

    With K blocks of n rows, weights are chosen on n (K - 1) / K rows, and the honest score is worse than that of the
    final weights by about 1 / (2 (K - 1)) of the in-sample optimism where weights are few for the rows: an eighth for
    five blocks, an eighteenth for ten. On few rows and 200 members greedy selection was worse by twice that
    (`benchmarks/ensembling/honesty.py`).
    """
    return 20 if n_rows < _FEW_ROWS else 10


def make_blocks(problem: Problem, n: int, seed: int) -> Array:
    """A block number for each row; groups whole, classes spread where each has rows enough.

    Fewer than `n` blocks are made of fewer than `n` rows or groups. The cut depends on ids, not on the order of rows.

    Raises
    ------
    DataError
        There are fewer than two rows or groups.
    """
    units = problem.n_rows if problem.groups is None else len(np.unique(problem.groups))
    n = min(n, units)
    if n < 2:
        what = "rows" if problem.groups is None else "groups"
        raise DataError(
            f"An honest score needs at least two {what} to choose and to score on, got {units}.",
            hint="Fit with cv=None to do without it.",
        )
    return _cut(problem, np.ones(problem.n_rows, dtype=bool), n, seed)


def cut_folds(problem: Problem, numbers: Array, seed: int) -> Array:
    """Folds cut into at least as many blocks as `default_blocks` says, so that more rows choose each block's weights.

    Parameters
    ----------
    problem : Problem
    numbers : ndarray of int, shape (n_rows,)
        The fold of each row. One whose rows or groups are fewer than its blocks gets one block for each.
    seed : int
    """
    parts = -(-default_blocks(problem.n_rows) // len(np.unique(numbers)))
    blocks = np.empty(problem.n_rows, dtype=np.int64)
    for fold in np.unique(numbers):
        rows = numbers == fold
        groups = None if problem.groups is None else problem.groups[rows]
        n = min(parts, int(rows.sum()) if groups is None else len(np.unique(groups)))
        blocks[rows] = parts * fold + (_cut(problem, rows, n, seed) if n > 1 else 0)
    return np.unique(blocks, return_inverse=True)[1]


def _cut(problem: Problem, rows: Array, n: int, seed: int) -> Array:
    y = problem.y[rows]
    groups = None if problem.groups is None else pd.Series(problem.groups[rows], index=y.index)
    scheme = "group" if groups is not None else _scheme(problem, y, n)
    folds = make_folds(y.index, scheme=scheme, n=n, seed=seed, y=y, groups=groups)
    numbers: Array = folds.assignment.iloc[:, 0].loc[y.index].to_numpy()
    return numbers


def _scheme(problem: Problem, y: pd.Series, n: int) -> str:
    if not problem.classes:
        return "kfold"
    return "stratified" if y.value_counts().min() >= n else "kfold"
