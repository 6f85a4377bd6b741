"""Target transforms for regression: fit on the transformed target, report in the target's own unit.

A metric on logarithms (RMSLE) is a metric of squares on log1p(y): models that minimise squares should see that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from kagglekit.errors import ConfigError, DataError, nearest, preview

__all__ = ["TARGETS", "TargetTransform", "get_target"]

_Function = Callable[[pd.Series], pd.Series]


@dataclass(frozen=True)
class TargetTransform:
    """A named pair of functions that undo each other.

    Parameters
    ----------
    name : str
    lowest : float
        Targets must lie above this.
    there, back : callable
        Elementwise functions.
    """

    name: str
    lowest: float
    there: Callable[[np.ndarray], np.ndarray]
    back: Callable[[np.ndarray], np.ndarray]

    def forward(self, y: pd.Series) -> pd.Series:
        """The target as a model should see it, under the same ids.

        Raises
        ------
        DataError
            A target lies where the transform has no value.
        """
        values = y.to_numpy(dtype=float)
        outside = ~(values > self.lowest)
        if outside.any():
            raise DataError(
                f"Target transform '{self.name}' needs targets above {self.lowest:g}; "
                f"{int(outside.sum())} are not, such as those of rows {preview(y.index[outside], most=3)}.",
                hint='Use target_transform = "none", or mend those rows.',
            )
        return pd.Series(self.there(values), index=y.index, name=y.name)

    def backward(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Predictions in the target's own unit, under the same ids and column names."""
        return pd.DataFrame(self.back(frame.to_numpy(dtype=float)), index=frame.index, columns=frame.columns)


def _same(values: np.ndarray) -> np.ndarray:
    return values


TARGETS: dict[str, TargetTransform] = {
    t.name: t
    for t in (
        TargetTransform("none", -np.inf, _same, _same),
        TargetTransform("log1p", -1.0, np.log1p, np.expm1),
        TargetTransform("log", 0.0, np.log, np.exp),
    )
}


def get_target(name: str) -> TargetTransform:
    """A target transform by name: "none", "log1p" or "log".

    Raises
    ------
    ConfigError
        There is no such transform.
    """
    if name not in TARGETS:
        raise ConfigError(f"There is no target transform '{name}'.", hint=nearest(name, TARGETS))
    return TARGETS[name]
