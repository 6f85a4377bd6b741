"""Weighted geometric means of probabilities, drawn towards equal weights as far as held-out rows ask for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from kagglekit.blend.base import Blender
from kagglekit.blend.logits import fit_logits, pooled
from kagglekit.blend.means import check_probabilities
from kagglekit.blend.problem import Problem
from kagglekit.blend.ridge import few_rows
from kagglekit.contracts import Label

__all__ = ["LogPool"]

Array = npt.NDArray[Any]


class LogPool(Blender):
    """Weighted geometric mean of probabilities: p is proportional to the product of p_m ** w_m over members.

    For two classes this is logistic regression on the members' logits without an intercept. It minimises log loss plus
    half of `strength_` times the squared distance of the weights from equal ones. Their sum is free: above one it
    sharpens the pool, which members that err apart from each other ask for. It is fitted first, to equal weights, and
    those are what all weights are then drawn to. The strength is the one of the lowest held-out log loss (five blocks
    inside the fitted rows).

    Weights may be negative. Log loss is minimised whatever the metric; that suits roc_auc too. A member's probabilities
    below its floor count as the floor, as one sure and wrong member must not decide a row alone; the floor is the one
    that suits the member best by itself.

    Not for values or scores that are no probabilities.

    Parameters
    ----------
    metric, classes, cv, seed
        See `Blender`.

    Attributes
    ----------
    weights_ : Series by member
        Exponents. Their sum is how much the pool is sharpened, not one.
    floors_ : Series by member
        Between 1e-6 and 0.1.
    strength_ : float
        Infinite for equal weights. In units of summed log loss: it fades by itself as rows become more.

    References
    ----------
    Genest and Zidek 1986, "Combining probability distributions" (the logarithmic opinion pool).
    """

    floors_: pd.Series
    strength_: float

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
        check_probabilities("A pool of logits", problem)
        equal = np.full(problem.n_models, 1 / problem.n_models)
        found = fit_logits(problem, equal, seed=self.seed)
        self.weights_ = pd.Series(found.weights, index=list(problem.names))
        self.floors_ = pd.Series(found.floors, index=list(problem.names))
        self.strength_ = found.strength
        self.warning_ = few_rows(problem)

    def combine(self, P: Array) -> Array:
        """The geometric mean; rows sum to one."""
        return pooled(self.weights_.to_numpy(), self.floors_.to_numpy(), P)
