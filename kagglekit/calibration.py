"""Probabilities that mean what they say: a temperature, or a floor, fitted on rows that they are not used for.

One number each, so that little can be overfitted: a temperature mends probabilities that are too sure, or not sure
enough, throughout; a floor those that are nought where the label can still occur, which log loss punishes without
bound.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import pandas as pd

__all__ = ["Calibration", "Method", "calibrated", "fit_floor", "fit_temperature"]

Method = Literal["none", "temperature", "clip"]
Calibration = Callable[[pd.DataFrame], pd.DataFrame]

_LEAST = 1e-12  # what counts as nought: forests and neighbours give it freely
_TEMPERATURES = np.geomspace(0.2, 5, 81)
_FLOORS = np.concatenate([[0.0], np.geomspace(1e-7, 0.1, 60)])


def fit_temperature(frame: pd.DataFrame, y: pd.Series, classes: Sequence[object]) -> float:
    """The temperature that gives these rows the lowest log loss; above 1 where the model was too sure.

    Parameters
    ----------
    frame : DataFrame by id, one column for each class
    y : Series by id
        Labels of these rows at least.
    classes : sequence
        The label of each column, in the columns' order.

    References
    ----------
    Guo et al., "On calibration of modern neural networks", 2017.
    """
    return float(_best(_TEMPERATURES, lambda t: _tempered(frame, t), frame, y, classes))


def fit_floor(frame: pd.DataFrame, y: pd.Series, classes: Sequence[object]) -> float:
    """The lowest probability of any class that gives these rows the lowest log loss."""
    return float(_best(_FLOORS, lambda floor: _clipped(frame, floor), frame, y, classes))


def calibrated(method: Method, frame: pd.DataFrame, y: pd.Series, classes: Sequence[object]) -> Calibration:
    """What mends probabilities, fitted on these rows: apply it to others."""
    if method == "none" or frame.empty:
        return lambda other: other
    if method == "temperature":
        temperature = fit_temperature(frame, y, classes)
        return lambda other: _like(other, _tempered(other, temperature))
    floor = fit_floor(frame, y, classes)
    return lambda other: _like(other, _clipped(other, floor))


def _best(
    choices: np.ndarray,
    mended: Callable[[float], np.ndarray],
    frame: pd.DataFrame,
    y: pd.Series,
    classes: Sequence[object],
) -> float:
    places = pd.Index([str(c) for c in classes]).get_indexer(pd.Index([str(label) for label in y.loc[frame.index]]))
    rows = np.arange(len(frame))
    losses = [-np.log(np.maximum(mended(choice)[rows, places], 1e-15)).mean() for choice in choices]
    return float(choices[int(np.argmin(losses))])


def _tempered(frame: pd.DataFrame, temperature: float) -> np.ndarray:
    logs = np.log(np.maximum(frame.to_numpy(dtype=float), _LEAST)) / temperature
    powers = np.exp(logs - logs.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _clipped(frame: pd.DataFrame, floor: float) -> np.ndarray:
    values = np.maximum(frame.to_numpy(dtype=float), floor)
    return np.asarray(values / values.sum(axis=1, keepdims=True))


def _like(frame: pd.DataFrame, values: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(values.astype(np.float32), index=frame.index, columns=frame.columns)
