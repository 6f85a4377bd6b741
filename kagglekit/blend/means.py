"""Means of all members: nothing is learnt from the rows, so nothing can be overfitted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from kagglekit.blend.base import LinearBlender
from kagglekit.blend.problem import Problem
from kagglekit.contracts import Label
from kagglekit.errors import ConfigError

__all__ = ["GeometricMean", "Mean", "RankMean"]

Array = npt.NDArray[Any]

# Metrics for which only the order of rows counts.
_RANKING_METRICS = ("roc_auc", "spearman")
_SMALLEST = np.float32(1e-7)


class Mean(LinearBlender):
    """Plain mean of all members. Hard to beat when they are about equally good, or the rows few.

    Parameters and attributes are those of `Blender`; `weights_` are all equal.
    """

    learns = False

    def __init__(
        self,
        metric: str = "log_loss",
        *,
        classes: Sequence[Label] = (),
        cv: int | Literal["auto"] | None = "auto",
        seed: int = 0,
    ) -> None:
        self.metric = metric
        self.classes = classes
        self.cv = cv
        self.seed = seed

    def _learn(self, problem: Problem) -> None:
        self.weights_ = pd.Series(1 / problem.n_models, index=list(problem.names))


class RankMean(Mean):
    """Mean of ranks: each member's columns are first turned into ranks between 0 and 1.

    For metrics that look at the order of rows only (roc_auc, spearman), where members differ in scale or calibration.
    Not for probabilities, values or labels: ranks are none of these, and a rank depends on the other rows that are
    predicted with it.
    """

    def _learn(self, problem: Problem) -> None:
        if problem.metric.name not in _RANKING_METRICS:
            raise ConfigError(
                f"A rank mean keeps only the order of rows, and {problem.metric.name} looks at more.",
                hint=f"Use method 'mean' or 'greedy'; rank means suit {' and '.join(_RANKING_METRICS)}.",
            )
        super()._learn(problem)

    def combine(self, P: Array) -> Array:
        """The mean of the ranks that rows have among the rows of `P`."""
        from scipy.stats import rankdata

        total = np.zeros(P.shape[1:], dtype=np.float64)
        for table in P:
            total += (rankdata(table, axis=0) - 1) / max(len(table) - 1, 1)
        mean: Array = (total / len(P)).astype(np.float32)
        return mean


class GeometricMean(Mean):
    """Geometric mean of probabilities, rows scaled to sum to one: the mean of logits, for two classes.

    A member that is sure counts for more than in a plain mean. Probabilities below 1e-7 count as 1e-7, as one sure and
    wrong member must not decide a row alone. Not for values or scores that are no probabilities.

    Source: Genest and Zidek 1986, "Combining probability distributions" (the logarithmic opinion pool).
    """

    def _learn(self, problem: Problem) -> None:
        check_probabilities("A geometric mean", problem)
        super()._learn(problem)

    def combine(self, P: Array) -> Array:
        """The geometric mean; rows sum to one."""
        total = np.zeros(P.shape[1:], dtype=np.float64)
        for table in P:
            total += np.log(np.maximum(table, _SMALLEST))
        total /= len(P)
        total -= total.max(axis=1, keepdims=True)
        np.exp(total, out=total)
        mean: Array = (total / total.sum(axis=1, keepdims=True)).astype(np.float32)
        return mean


def check_probabilities(what: str, problem: Problem) -> None:
    """Refuse members that are no probabilities of two classes or more.

    Raises
    ------
    ConfigError
    """
    lowest = min(float(table.min()) for table in problem.P)
    if problem.P.shape[2] < 2 or lowest < 0:
        came = "one column" if problem.P.shape[2] < 2 else f"values down to {lowest:.3g}"
        raise ConfigError(
            f"{what} needs probabilities of two classes or more, got {came}.", hint="Use method 'mean' or 'greedy'."
        )
