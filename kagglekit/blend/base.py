"""What every way to blend has in common: `fit`, `predict`, the score of the fitted rows, and the honest one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import check_is_fitted

from kagglekit.blend.blocks import default_blocks, make_blocks
from kagglekit.blend.interval import bootstrap
from kagglekit.blend.matrix import PredictionMatrix, weighted
from kagglekit.blend.problem import Problem
from kagglekit.contracts import Label
from kagglekit.errors import PredictionsError, preview
from kagglekit.stats import Interval

__all__ = ["Blender", "CrossFit", "LinearBlender", "Step", "cross_fit"]

Array = npt.NDArray[Any]

# Numbers of P that are copied at once when rows are combined block by block: 16 MB of float32.
_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class Step:
    """One step of a method that builds its blend member by member.

    Parameters
    ----------
    member : str
        What was added, or whose weight was changed.
    fit_score : float
        The metric after the step, on the rows that chose it.
    honest_score : float or None
        The metric after as many steps on rows that did not choose them; None where it was not asked for.
    honest_low : float or None
        The end of the honest score's interval that one would rather not see (one standard error of the gain).
    """

    member: str
    fit_score: float
    honest_score: float | None = None
    honest_low: float | None = None


class Blender(BaseEstimator, ABC):
    """Base of all methods; a subclass learns in `_learn` and combines in `combine`.

    Parameters
    ----------
    metric : str
        The competition's metric: what is optimised, and what scores are in.
    classes : sequence of str or int
        One for each column of `P`, in their order; without it the sorted labels of `y`.
    cv : int, "auto" or None
        Blocks of the cross-fit behind `nested_score_`; "auto" is 20 below 10,000 rows, else 10 (see `default_blocks`).
        None leaves it out, and `fit` is that much faster.
    seed : int
        Of blocks and of everything random.

    Attributes
    ----------
    names_ : tuple of str
        Members as fitted.
    weights_ : Series by member
        Where the blend is a weighted combination of its members.
    trajectory_ : tuple of Step
        Where the blend is built step by step; empty for other methods.
    fit_score_ : float
        The metric on the very rows that chose the blend: too good.
    nested_score_ : float
        The metric on rows that did not choose it: for each block of rows, a blend fitted on the others.
    nested_interval_ : Interval
        In which the nested score would lie on other rows of the same kind (95 %, bootstrap of the rows).
    nested_oof_ : ndarray of float32, shape (n_rows, n_columns)
        The predictions behind it.
    nested_ : CrossFit
        The blends that made them, each on the rows it was not chosen on.
    reason_ : str
        Why this method, where something chose it; else empty.
    warning_ : str
        What a person should know before trusting this blend; empty if there is nothing.
    """

    #: False for methods that learn nothing from the rows; their score on all rows together is honest.
    learns: ClassVar[bool] = True

    metric: str
    classes: Sequence[Label]
    cv: int | Literal["auto"] | None
    seed: int

    names_: tuple[str, ...]
    weights_: pd.Series
    trajectory_: tuple[Step, ...] = ()
    reason_: str = ""
    warning_: str = ""
    fit_score_: float
    nested_score_: float
    nested_interval_: Interval
    nested_oof_: Array
    nested_: CrossFit

    def fit(
        self,
        P: PredictionMatrix | Array,
        y: pd.Series | Array,
        groups: pd.Series | Array | None = None,
        sample_weight: pd.Series | Array | None = None,
    ) -> Self:
        """Choose the blend, and score the way of choosing on other rows than it chose on.

        Parameters
        ----------
        P : PredictionMatrix, or ndarray of shape (n_models, n_rows, n_columns)
            Out-of-fold or out-of-bag predictions of every member for the same rows.
        y : Series by id, or ndarray in the row order of a bare `P`
        groups : Series or ndarray of shape (n_rows,), optional
            Rows of one group never lie on both sides of the cross-fit.
        sample_weight : Series or ndarray of shape (n_rows,), optional

        Raises
        ------
        PredictionsError, DataError, ConfigError
            See `Problem.of`; or the method does not suit the metric.
        """
        problem = Problem.of(P, y, metric=self.metric, classes=self.classes, groups=groups, sample_weight=sample_weight)
        self.fit_problem(problem)
        self.fit_score_ = problem.score(self.combine(problem.P))
        if self.cv is not None:
            n = default_blocks(problem.n_rows) if self.cv == "auto" else self.cv
            self.nested_ = cross_fit(self, problem, make_blocks(problem, n, self.seed))
            self.nested_oof_ = self.nested_.combine(problem.P)
            self.nested_score_ = problem.score(self.nested_oof_)
            self.nested_interval_ = bootstrap(problem, self.nested_oof_, self.seed)
        return self

    def fit_problem(self, problem: Problem) -> Self:
        """Choose the blend on rows that are checked already; no scores."""
        self.names_ = problem.names
        self._learn(problem)
        return self

    def predict(self, P: PredictionMatrix | Array) -> Array:
        """The blend of other rows: float32 of shape (n_rows, n_columns).

        Raises
        ------
        PredictionsError
            The members are not those that were fitted.
        """
        check_is_fitted(self, "names_")
        if isinstance(P, PredictionMatrix):
            if P.names != self.names_:
                raise PredictionsError(
                    f"The blend was fitted on {preview(self.names_)}; it cannot blend {preview(P.names)}."
                )
            return self.combine(P.values)
        values = np.asarray(P, dtype=np.float32)
        values = values[:, :, None] if values.ndim == 2 else values
        if len(values) != len(self.names_):
            raise PredictionsError(f"The blend was fitted on {len(self.names_)} members, got {len(values)}.")
        return self.combine(values)

    @abstractmethod
    def combine(self, P: Array) -> Array:
        """The blend of members in the order in which they were fitted.

        Parameters
        ----------
        P : ndarray of float32, shape (n_models, n_rows, n_columns)

        Returns
        -------
        ndarray of float32, shape (n_rows, n_columns)
        """

    @abstractmethod
    def _learn(self, problem: Problem) -> None:
        """Set `weights_` or whatever else `combine` needs."""


class LinearBlender(Blender):
    """Base of methods whose blend is the weighted sum of its members."""

    def combine(self, P: Array) -> Array:
        """The weighted sum."""
        return weighted(self.weights_.to_numpy(), P)


@dataclass(frozen=True, eq=False)
class CrossFit:
    """Blends of which each is used only on rows that did not choose it.

    Parameters
    ----------
    parts : tuple of (ndarray of int, Blender or None)
        Row numbers, and the blend that was chosen without them; None where there were no rows to choose on.
    """

    parts: tuple[tuple[Array, Blender | None], ...]

    def combine(self, P: Array) -> Array:
        """Each row of P, combined by its own blend: float32 of shape (n_rows, n_columns)."""
        if len(self.parts) == 1 and (only := self.parts[0][1]):
            return only.combine(P)
        oof = np.empty(P.shape[1:], dtype=np.float32)
        for rows, blender in self.parts:
            for tile in _tiles(rows, P):
                part = P[:, tile]
                oof[tile] = _plain_mean(part) if blender is None else blender.combine(part)
        return oof


def cross_fit(blender: Blender, problem: Problem, blocks: Array, *, forward: bool = False) -> CrossFit:
    """For each block of rows, choose a blend on the others.

    Parameters
    ----------
    blender : Blender
        Not changed; clones of it are fitted.
    problem : Problem
    blocks : ndarray of int, shape (n_rows,)
    forward : bool
        Choose on earlier blocks only, as later rows would not have been known. The first block has none before it
        and gets the plain mean.

    Notes
    -----
    A method that learns nothing is not cut into blocks: ranks within a block are others than those among all rows.
    """
    if not blender.learns:
        return CrossFit(((np.arange(problem.n_rows), clone(blender).fit_problem(problem)),))
    parts: list[tuple[Array, Blender | None]] = []
    for block in np.unique(blocks):
        chosen = blocks < block if forward else blocks != block
        fitted = clone(blender).fit_problem(problem.rows(chosen)) if chosen.any() else None
        parts.append((np.flatnonzero(blocks == block), fitted))
    return CrossFit(tuple(parts))


def _plain_mean(P: Array) -> Array:
    return weighted(np.full(len(P), 1 / len(P)), P)


def _tiles(rows: Array, P: Array) -> list[Array]:
    """Row numbers in pieces, so that a piece of all members fits easily in memory."""
    at_once = max(1, _AT_ONCE // (P.shape[0] * P.shape[2]))
    return [rows[start : start + at_once] for start in range(0, len(rows), at_once)]
