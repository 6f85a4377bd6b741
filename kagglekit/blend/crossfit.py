"""A blend of a competition's members, cross-fitted along the competition's own folds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from kagglekit.blend.base import Blender, CrossFit, cross_fit
from kagglekit.blend.blocks import cut_folds
from kagglekit.blend.matrix import PredictionMatrix, stack
from kagglekit.blend.problem import Problem
from kagglekit.contracts import Folds, Predictions
from kagglekit.errors import PredictionsError

__all__ = ["CrossFitted", "fit_members"]

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class CrossFitted:
    """A blend whose scores come from rows that did not choose its weights.

    Parameters
    ----------
    blender : Blender
        As fitted on all rows of `problem`; for test rows.
    nested : CrossFit
        The blends behind `oof`, each used on rows that it was not fitted on.
    problem : Problem
        The members' predictions for the rows that were used.
    oof : DataFrame by id
        The blend of each of these rows, chosen without it.
    left_out : Index
        Rows that the folds score and some member has no prediction for: out-of-bag members may lack a few. They took
        no part, neither in choosing nor in scoring.
    """

    blender: Blender
    nested: CrossFit
    problem: Problem
    oof: pd.DataFrame
    left_out: pd.Index

    @property
    def weights(self) -> dict[str, float]:
        """Weights by member, for the test rows; empty for methods that have none."""
        found = getattr(self.blender, "weights_", None)
        return {} if found is None else {str(name): float(weight) for name, weight in found.items()}

    def fitted(self) -> pd.DataFrame:
        """The final blend of the very rows that chose it: too good, and only to be shown beside the honest one."""
        blended = self.blender.combine(self.problem.P)
        return pd.DataFrame(blended, index=self.oof.index, columns=self.oof.columns)

    def predict(self, members: Mapping[str, Predictions], ids: pd.Index) -> Predictions:
        """Blend other rows: test rows.

        Raises
        ------
        PredictionsError
            The members are not those that were fitted, or lack an id.
        """
        columns = list(self.oof.columns)
        return Predictions(pd.DataFrame(self.blender.predict(stack(members, ids, columns)), index=ids, columns=columns))


def fit_members(
    blender: Blender,
    members: Mapping[str, Predictions],
    *,
    y: pd.Series,
    folds: Folds,
    columns: Sequence[str],
) -> CrossFitted:
    """Blend training rows so that no row helped to choose the blend that it is scored with.

    Each fold is cut into two blocks or more, groups whole, and each block is blended with what the others chose: the
    more rows choose, the nearer is the honest score to that of the final weights (see `blocks.cut_folds`). For
    time-forward folds the folds are the blocks and only earlier ones choose, as later rows would not have been known;
    the first has none before it and gets the plain mean. With repeated folds the first repeat is used.

    Parameters
    ----------
    blender : Blender
        Not fitted yet; its metric and classes are the competition's.
    members : mapping of str to Predictions
        Out-of-fold or out-of-bag predictions by member; rows that one of them lacks are left out and reported.
    y : Series by id
    folds : Folds
    columns : sequence of str
        Of the competition's predictions.

    Raises
    ------
    ConfigError
        No members, or a method that does not suit the metric.
    PredictionsError
        A member lacks a column, or there is no row that all members predicted.

    Notes
    -----
    The members themselves saw the other folds' rows when they were trained, so a little of each fold's labels reaches
    the weights through them. This second-order leak is the usual one of stacking and is far smaller than choosing
    weights on the scored rows.
    """
    ids = _shared(members, folds.scored_ids)
    matrix = stack({name: _only(p, ids) for name, p in members.items()}, ids, columns)
    groups = None if folds.groups is None else folds.groups.loc[ids]
    problem = Problem.of(matrix, y.loc[ids], metric=blender.metric, classes=blender.classes, groups=groups)
    numbers = folds.assignment.iloc[:, 0].loc[ids].to_numpy()
    forward = folds.scheme == "time"
    nested = cross_fit(
        blender, problem, numbers if forward else cut_folds(problem, numbers, blender.seed), forward=forward
    )
    return CrossFitted(
        blender=blender.fit_problem(problem),
        nested=nested,
        problem=problem,
        oof=_table(nested.combine(problem.P), matrix),
        left_out=folds.scored_ids.difference(ids, sort=False),
    )


def _shared(members: Mapping[str, Predictions], ids: pd.Index) -> pd.Index:
    """The ids that every member predicted, in the folds' order."""
    everywhere = np.ones(len(ids), dtype=bool)
    for predictions in members.values():
        everywhere &= ids.isin(predictions.ids)
    if not everywhere.any():
        raise PredictionsError("There is no row that all members predicted.")
    return ids[everywhere]


def _only(predictions: Predictions, ids: pd.Index) -> Predictions:
    return Predictions(predictions.frame[predictions.ids.isin(ids)])


def _table(values: Array, matrix: PredictionMatrix) -> pd.DataFrame:
    return pd.DataFrame(values, index=matrix.ids, columns=list(matrix.columns))
