"""Metrics of labels: accuracy, F1, Matthews correlation and quadratic kappa, from counts by label.

One more member changes the label of few rows once the blend has some. A row whose highest column leads by more than
any member could make up at this share is *settled*: it is counted once for all candidates and not visited again.
What a member could make up is known from the data, row by row, so nothing is estimated.
"""

from __future__ import annotations

from functools import cached_property
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from kagglekit.blend.kernels import kernels
from kagglekit.blend.objectives.base import Objective, Walk
from kagglekit.blend.objectives.general import GeneralWalk
from kagglekit.blend.objectives.settled import OpenRows, in_order, slack_of
from kagglekit.blend.problem import Problem
from kagglekit.metrics import label_codes, nearest_class

__all__ = ["Labels"]

Array = npt.NDArray[Any]


class Labels(Objective):
    """The loss of metrics that take labels.

    Parameters
    ----------
    problem : Problem
        With the metric accuracy, f1, f1_macro, mcc or qwk. Ordinal values (qwk of one column) without classes go to
        whole numbers of any size; they are left to `GeneralWalk`.
    compiled : bool, optional
        See `kernels`.
    """

    def __init__(self, problem: Problem, *, compiled: bool | None = None) -> None:
        super().__init__(problem)
        self.loops: ModuleType = kernels("labels", compiled=compiled)

    def start(self) -> Walk:
        """An empty blend."""
        if not self.problem.classes:
            return GeneralWalk(self.problem)
        return ValueWalk(self) if self.problem.P.shape[2] == 1 else LabelWalk(self)

    @cached_property
    def P(self) -> Array:
        """Of shape (n_models, n_rows, n_columns), as loops take it."""
        return in_order(self.problem.P)

    @cached_property
    def codes(self) -> Array:
        """The true class of each row."""
        return label_codes(self.problem.y, self.problem.classes).astype(np.int32)

    @cached_property
    def weight(self) -> Array:
        """Of each row: float64."""
        weight = self.problem.weight
        return np.ones(self.problem.n_rows) if weight is None else weight

    @cached_property
    def scale(self) -> Array:
        """Where each class lies on the scale of an ordinal metric; its place, for others."""
        classes = pd.Series(list(self.problem.classes))
        return self.problem.metric.truth(classes, self.problem.classes).astype(np.float64)

    @cached_property
    def extremes(self) -> tuple[Array, Array, float]:
        """What a member can do against each class, its spread in each row, and the largest value: see `widen`."""
        most = np.full(self.P.shape[1:], -np.inf, dtype=np.float32)
        spread = np.zeros((len(most), 1), dtype=np.float32)
        return most, spread, max(self.loops.widen(table, most, spread) for table in self.P)

    @cached_property
    def true_weight(self) -> Array:
        """The weight of each class."""
        return np.bincount(self.codes, self.weight, minlength=len(self.scale))

    def losses(self, counts: Array) -> Array:
        """The loss of blends, from counts of shape (n_blends, 3, n_classes) as `fast_labels.split` describes them."""
        right, guessed = counts[:, 1], counts[:, 0] + counts[:, 1]
        scores: Array = {
            "accuracy": self._accuracy,
            "f1": self._f1,
            "f1_macro": self._f1_macro,
            "mcc": self._mcc,
            "qwk": lambda *_: self._kappa(guessed, counts[:, 2, 0]),
        }[self.problem.metric.name](right, guessed)
        return -scores

    def _accuracy(self, right: Array, guessed: Array) -> Array:
        rows: Array = right.sum(axis=1) / self.true_weight.sum()
        return rows

    def _f1_of_classes(self, right: Array, guessed: Array) -> Array:
        both = guessed + self.true_weight
        rows: Array = np.divide(2 * right, both, out=np.full(both.shape, np.nan), where=both > 0)
        return rows

    def _f1(self, right: Array, guessed: Array) -> Array:
        return np.nan_to_num(self._f1_of_classes(right, guessed)[:, 1])

    def _f1_macro(self, right: Array, guessed: Array) -> Array:
        rows: Array = np.nanmean(self._f1_of_classes(right, guessed), axis=1)
        return rows

    def _mcc(self, right: Array, guessed: Array) -> Array:
        true, total, same_total = self.true_weight, self.true_weight.sum(), guessed.sum(axis=1)
        spread = (same_total**2 - np.square(guessed).sum(axis=1)) * (total * total - true @ true)
        together = right.sum(axis=1) * total - guessed @ true
        rows: Array = np.divide(together, np.sqrt(np.maximum(spread, 0)), out=np.zeros(len(right)), where=spread > 0)
        return rows

    def _kappa(self, guessed: Array, distance: Array) -> Array:
        total = self.true_weight.sum()
        mean, square = (self.true_weight @ self.scale**power / total for power in (1, 2))
        means, squares = (guessed @ self.scale**power / total for power in (1, 2))
        expected = square + squares - 2 * mean * means
        rows: Array = 1 - np.divide(distance / total, expected, out=np.zeros(len(guessed)), where=expected > 0)
        return rows


class LabelWalk(Walk):
    """A blend whose label is its highest column, of equals the first."""

    def __init__(self, objective: Labels) -> None:
        self.objective = objective
        self.blend: Array = np.zeros(objective.P.shape[1:])
        self._bound = 0.0
        self._rows = np.empty(len(self.blend), dtype=np.int32)
        self._open = OpenRows(objective.P, copies=not isinstance(objective.problem.P, np.memmap))

    def losses(self, candidates: Array, share: float) -> Array:
        """The loss of each candidate's step."""
        own, share = self.objective, float(share)
        most, spread, _ = own.extremes
        settled = np.zeros((3, self.blend.shape[1]))
        truth = (own.codes, own.weight, own.scale)
        # A negative share turns help into harm, of which only the spread is known.
        limits = most if share >= 0 else spread
        n_open = own.loops.split(self.blend, limits, share, self._slack(share), *truth, settled, self._rows)
        counts = np.tile(settled, (len(candidates), 1, 1))
        places = np.asarray(candidates, dtype=np.int64)
        for part in self._open.parts(self._rows[:n_open]):
            own.loops.tally(*part, places, self.blend, share, *truth, counts)
        return own.losses(counts)

    def line(self, model: int, shares: Array) -> Array:
        """The loss of one member's step for each share."""
        own, shares = self.objective, np.asarray(shares, dtype=np.float64)
        counts = np.zeros((len(shares), 3, self.blend.shape[1]))
        slack = self._slack(float(np.abs(shares).max()))
        own.loops.line(self.blend, own.P[model], shares, slack, own.codes, own.weight, own.scale, counts)
        return own.losses(counts)

    def move(self, model: int, share: float) -> None:
        """Take a step."""
        self.blend *= 1 - share
        self.blend += share * self.objective.P[model]
        self._bound = abs(1 - share) * self._bound + abs(share) * self.objective.extremes[2]

    def _slack(self, share: float) -> float:
        return slack_of(share, self.objective.extremes[2], self._bound)


class ValueWalk(Walk):
    """A blend of one column of values whose label is the nearest class of a scale."""

    def __init__(self, objective: Labels) -> None:
        self.objective = objective
        self.blend = np.zeros(objective.problem.n_rows)
        self._bound = 0.0
        self._plain = kernels("labels", compiled=False)

    @cached_property
    def _reach(self) -> tuple[Array, Array, float]:
        """The lowest and the highest value of any member in each row, and the largest of all."""
        P = self.objective.problem.P[:, :, 0]
        lowest, highest = P.min(axis=0).astype(np.float64), P.max(axis=0).astype(np.float64)
        return lowest, highest, float(np.maximum(highest, -lowest).max())

    def losses(self, candidates: Array, share: float) -> Array:
        """The loss of each candidate's step."""
        ends = [(1 - share) * self.blend + share * end for end in self._reach[:2]]
        still_open, settled = self._split(ends, share)
        steps = ((int(model), float(share)) for model in candidates)
        return self._losses(steps, len(candidates), still_open, settled)

    def line(self, model: int, shares: Array) -> Array:
        """The loss of one member's step for each share."""
        # Between the smallest and the largest share, values lie between those at the ends.
        low, high = float(np.min(shares)), float(np.max(shares))
        ends = [self._value(model, share, slice(None)) for share in (low, high)]
        still_open, settled = self._split(ends, max(abs(low), abs(high)))
        return self._losses(((model, float(share)) for share in shares), len(shares), still_open, settled)

    def move(self, model: int, share: float) -> None:
        """Take a step."""
        self.blend = self._value(model, share, slice(None))
        self._bound = abs(1 - share) * self._bound + abs(share) * self._reach[2]

    def _value(self, model: int, share: float, rows: Any) -> Array:
        value: Array = (1 - share) * self.blend[rows] + share * self.objective.problem.P[model, rows, 0]
        return value

    def _split(self, ends: list[Array], share: float) -> tuple[Array, Array]:
        """Rows whose class may differ between two ends, and the counts of the others."""
        own, slack = self.objective, slack_of(share, self._reach[2], self._bound)
        labels = nearest_class(np.minimum(*ends) - slack, own.problem.classes)
        same = labels == nearest_class(np.maximum(*ends) + slack, own.problem.classes)
        counts = np.zeros((3, len(own.scale)))
        self._plain.count(counts, labels[same], own.codes[same], own.weight[same], own.scale)
        return np.flatnonzero(~same), counts

    def _losses(self, steps: Any, n_steps: int, rows: Array, settled: Array) -> Array:
        own, counts = self.objective, np.tile(settled, (n_steps, 1, 1))
        code, heft = own.codes[rows], own.weight[rows]
        for part, (model, share) in zip(counts, steps, strict=True):
            labels = nearest_class(self._value(model, share, rows), own.problem.classes)
            self._plain.count(part, labels, code, heft, own.scale)
        return own.losses(counts)
