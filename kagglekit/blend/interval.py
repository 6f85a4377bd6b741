"""The interval of a blend's score, by resampling its rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from kagglekit.blend.problem import Problem
from kagglekit.stats import Interval, resample, rows_score

__all__ = ["bootstrap"]

Array = npt.NDArray[Any]

# Row numbers drawn in all: enough for steady ends of the interval on few rows, and quick on many.
_DRAWS = 10_000_000


def bootstrap(problem: Problem, table: Array, seed: int) -> Interval:
    """A table's score for the problem's rows, and the 95 % interval in which other rows would put it.

    Weights of rows go with the rows. Notes are those of `kagglekit.stats.bootstrap_interval`.
    """
    predicted = problem.metric.predicted(table, problem.classes)
    n_resamples = int(np.clip(_DRAWS // problem.n_rows, 100, 1000))
    score = rows_score(problem.metric, problem.truth, predicted, problem.weight)
    low, high = np.quantile(resample(score, problem.n_rows, n_resamples, seed), [0.025, 0.975])
    return Interval(problem.score(table), float(low), float(high))
