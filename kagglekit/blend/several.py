"""A blend of members that predict several targets: each target is a problem of its own, with weights of its own.

The metric is the mean over targets, so the best weights of each target by itself are the best of all together, and what
a member adds to the mean is the mean of what it adds. Members, folds and blocks are shared; so is the rule that no row
is scored by a blend that it helped to choose.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from kagglekit.blend.base import Blender
from kagglekit.blend.crossfit import CrossFitted, fit_members
from kagglekit.blend.study import Contribution, contributions, correlation
from kagglekit.contracts import Competition, Folds, Predictions

__all__ = ["SeveralFitted", "fit_several"]


@dataclass(frozen=True, eq=False)
class SeveralFitted:
    """A cross-fitted blend for each target.

    Parameters
    ----------
    parts : mapping of str to CrossFitted
        By target, in the order of the competition's columns.
    competition : Competition
    """

    parts: Mapping[str, CrossFitted]
    competition: Competition

    @property
    def oof(self) -> pd.DataFrame:
        """The blend of each row, chosen without it: a column for each target."""
        return self._joined({name: part.oof for name, part in self.parts.items()})

    @property
    def left_out(self) -> pd.Index:
        """Rows that some member has no prediction for; the same for all targets."""
        return next(iter(self.parts.values())).left_out

    @property
    def weights(self) -> dict[str, float]:
        """The mean over targets of each member's weight; empty for methods that have none."""
        table = pd.DataFrame(self.weights_by_target)
        return {str(name): float(mean) for name, mean in table.mean(axis=1).items()}

    @property
    def weights_by_target(self) -> dict[str, dict[str, float]]:
        """Weights by target and member."""
        return {name: part.weights for name, part in self.parts.items()}

    def fitted(self) -> pd.DataFrame:
        """The final blends of the very rows that chose them: too good, shown only beside the honest score."""
        return self._joined({name: part.fitted() for name, part in self.parts.items()})

    def predict(self, members: Mapping[str, Predictions], ids: pd.Index) -> Predictions:
        """Blend other rows: test rows."""
        frames = {}
        for name, part in self.parts.items():
            given = {member: _of_target(p, name, self.competition) for member, p in members.items()}
            frames[name] = part.predict(given, ids).frame
        return Predictions(self._joined(frames))

    def contributions(self) -> list[Contribution]:
        """What every member is worth and adds, the mean over targets."""
        found = [contributions(part.problem, part.nested) for part in self.parts.values()]
        return [_mean(same) for same in zip(*found, strict=True)]

    def correlation(self) -> pd.DataFrame:
        """How alike members err, the mean over targets."""
        tables = [correlation(part.problem) for part in self.parts.values()]
        return pd.DataFrame(np.mean(tables, axis=0), index=tables[0].index, columns=tables[0].columns)

    def _joined(self, frames: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
        return pd.DataFrame({name: frame.iloc[:, -1] for name, frame in frames.items()})


def fit_several(
    make: Callable[[Competition], Blender],
    members: Mapping[str, Predictions],
    *,
    y: pd.DataFrame,
    folds: Folds,
    competition: Competition,
) -> SeveralFitted:
    """Blend each target by itself.

    Parameters
    ----------
    make : callable
        From the competition of one target to an unfitted blender.
    members : mapping of str to Predictions
        With a column for each target.
    y : DataFrame by id
    folds : Folds
    competition : Competition

    Raises
    ------
    ConfigError, PredictionsError
        See `fit_members`.
    """
    parts = {}
    for name in competition.targets:
        one = competition.of(name)
        given = {member: _of_target(p, name, competition) for member, p in members.items()}
        parts[name] = fit_members(make(one), given, y=y[name], folds=folds, columns=one.columns)
    return SeveralFitted(parts, competition)


def _mean(same: Sequence[Contribution]) -> Contribution:
    alone, loss = (float(np.mean(values)) for values in zip(*((c.alone, c.loss) for c in same), strict=True))
    return Contribution(same[0].member, alone, loss)


def _of_target(predictions: Predictions, name: str, competition: Competition) -> Predictions:
    """One target's column as its competition has it: a probability of "yes" becomes two classes."""
    values = predictions.frame[name]
    if not competition.is_classification:
        return Predictions(values.to_frame())
    both = dict(zip(competition.of(name).columns, (1 - values, values), strict=True))
    return Predictions(pd.DataFrame(both))
