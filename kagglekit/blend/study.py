"""What each member adds to a blend, and how alike members err."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from kagglekit.blend.base import CrossFit
from kagglekit.blend.problem import Problem
from kagglekit.metrics import label_codes

__all__ = ["Contribution", "contributions", "correlation", "likeness"]

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Contribution:
    """What one member adds.

    Parameters
    ----------
    member : str
    alone : float
        The metric of the member by itself.
    loss : float
        How much worse the honest score gets without it, in units of the metric; negative when the blend is better off
        without it.
    """

    member: str
    alone: float
    loss: float


def contributions(problem: Problem, nested: CrossFit) -> list[Contribution]:
    """What every member adds to the honest score, in the order of members.

    A member is taken out by giving it the plain mean of the others, so that a blend of any kind keeps its form and the
    member says nothing of its own. Weights are not chosen anew: a member of which another is a near copy adds little,
    and so does the other; taking out both may cost much.

    Parameters
    ----------
    problem : Problem
        In memory: each member is a pass over all predictions.
    nested : CrossFit
        Of these rows.
    """
    whole = problem.loss(nested.combine(problem.P))
    P, total = problem.P.copy(), problem.P.sum(axis=0, dtype=np.float64)
    found = []
    for m, name in enumerate(problem.names):
        alone = problem.score(problem.P[m])
        if problem.n_models > 1:
            P[m] = (total - problem.P[m]) / (problem.n_models - 1)
        found.append(Contribution(name, alone, problem.loss(nested.combine(P)) - whole))
        P[m] = problem.P[m]
    return found


def correlation(problem: Problem) -> pd.DataFrame:
    """Correlation of the members' errors over rows: of shape (n_models, n_models), by name.

    The error of a class member is what it missed of the true class, one less its probability; that of a value member is
    prediction less truth. Members of low correlation are worth blending even when one is somewhat worse. A member whose
    error is the same on every row has correlation 0 with all others.
    """
    errors = np.stack([_errors(problem, table) for table in problem.P])
    errors -= errors.mean(axis=1, keepdims=True)
    norm = np.linalg.norm(errors, axis=1, keepdims=True)
    errors = np.divide(errors, norm, out=np.zeros_like(errors), where=norm > 0)
    values = errors @ errors.T
    np.fill_diagonal(values, 1)
    return pd.DataFrame(values, index=list(problem.names), columns=list(problem.names))


def likeness(correlation: pd.DataFrame) -> pd.Series:
    """The mean correlation of each member's errors with those of the others, by name; 1 for a single member."""
    n = len(correlation)
    return (correlation.sum() - 1) / (n - 1) if n > 1 else pd.Series(1.0, index=correlation.index)


def _errors(problem: Problem, table: Array) -> Array:
    if table.shape[1] == 1:
        values = problem.truth if problem.classes or problem.metric.needs == "values" else problem.y.to_numpy(float)
        errors: Array = table[:, 0].astype(np.float64) - values
        return errors
    codes = label_codes(problem.y, problem.classes)
    missed: Array = 1 - table[np.arange(len(table)), codes].astype(np.float64)
    return missed
