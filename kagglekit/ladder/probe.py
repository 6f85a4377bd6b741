"""A few training steps on a tiny slice, from which the time and the memory of a whole training are told."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone

from kagglekit.ladder.memory import peak_memory

__all__ = ["Speed", "can_probe", "passes", "probe"]

_BATCHES = 4  # of the longer of two fits, whose difference is the time of three steps
_ENOUGH = 0.5  # seconds that the two fits must differ by, or the difference is noise
_TOO_LONG = 60.0  # seconds of one batch after which no more are tried
_FROZEN = 0.4  # what a pass with a frozen body takes of one with all layers free
_QUICK: dict[str, Any] = {
    "epochs": 1,
    "freeze_epochs": 0,
    "sizes": (),
    "early_stopping": False,
    "checkpoint_dir": None,
    "progress": None,
}


@dataclass(frozen=True)
class Speed:
    """What a model costs on one machine.

    Parameters
    ----------
    row_epoch : float
        Seconds for one row in one pass with all layers free.
    row_predicted, row_decoded : float
        Seconds for predicting a row, and for decoding its image once.
    fixed : float
        Seconds for making the model ready, once a fit.
    mb, gpu_mb : float
        The highest use of memory; see `Memory`. It depends on the batch, not on the number of rows.
    basis : str
        What it was told from, for people.
    """

    row_epoch: float
    row_predicted: float
    row_decoded: float
    fixed: float
    mb: float
    gpu_mb: float
    basis: str = "probe"

    def seconds(self, n_fitted: int, n_predicted: int, n_passes: float, n_decoded: int) -> float:
        """Seconds for one fit and its predictions."""
        trained = self.row_epoch * n_fitted * n_passes
        return self.fixed + trained + self.row_predicted * n_predicted + self.row_decoded * n_decoded


def can_probe(estimator: Any) -> bool:
    """Whether a model is trained in epochs on batches, so that a few steps tell how long many take."""
    return {"epochs", "batch_size"} <= set(estimator.get_params(deep=False))


def passes(estimator: Any) -> float:
    """Passes over the rows, those with a frozen body or at a smaller size counted for what they take."""
    settings = estimator.get_params(deep=False)
    size = settings.get("size", 1)
    areas = sum(_area(stage) for stage in settings.get("sizes") or (size,)) / _area(size)
    return float(settings["epochs"] * areas + _FROZEN * settings.get("freeze_epochs", 0))


def _area(size: int | Sequence[int]) -> int:
    """Pixels of an image; one number is the side of a square."""
    return size**2 if isinstance(size, int) else math.prod(size)


def probe(
    estimator: Any, X: pd.DataFrame, y: pd.Series | pd.DataFrame, beside: Mapping[str, Any] | None = None
) -> Speed:
    """Fit a copy of a model on a few batches, twice, and tell from the difference what a row costs.

    Parameters
    ----------
    estimator : estimator
        One that `can_probe`; it is not changed.
    X : DataFrame of shape (n_samples, n_columns)
        Rows to take some from.
    y : Series of shape (n_samples,), or DataFrame of shape (n_samples, n_targets)
    beside : mapping of str to Any, optional
        What `fit` takes besides; frames in it have the rows of X.

    Returns
    -------
    Speed

    Notes
    -----
    Images go to a cache of their own, so that decoding is measured too. Where one batch alone takes a minute, it stands
    for all: the forecast is then too long rather than too short.
    """
    rows = _rows(y)
    few = min(int(estimator.get_params()["batch_size"]), len(rows))
    with tempfile.TemporaryDirectory(prefix="kagglekit-probe-") as cache, peak_memory() as used:
        model = _quick(estimator, cache)
        fit = _Timed(lambda n: model.fit(X.iloc[rows[:n]], y.iloc[rows[:n]], **_of(beside, rows[:n])))
        predict = _Timed(lambda n: getattr(model, "predict_proba", model.predict)(X.iloc[rows[:n]]))
        fit(few)  # loads libraries and weights, which would else be taken for slowness
        short = fit(few)
        many = few if short > _TOO_LONG else min(_BATCHES * few, len(rows))
        cold, warm = predict(many), predict(many)
        per_row, fixed = _slope(fit, predict, short, few, many, len(rows))
    return Speed(
        row_epoch=per_row,
        row_predicted=warm / many,
        row_decoded=max(0.0, cold - warm) / max(1, many - few),
        fixed=fixed,
        mb=used.mb,
        gpu_mb=used.gpu_mb,
    )


class _Timed:
    """An action on so many rows, in seconds."""

    def __init__(self, action: Callable[[int], object]) -> None:
        self.action = action

    def __call__(self, n: int) -> float:
        start = time.perf_counter()
        self.action(n)
        return time.perf_counter() - start


def _slope(fit: _Timed, predict: _Timed, short: float, few: int, many: int, most: int) -> tuple[float, float]:
    """Seconds for a row, and for a fit of none."""
    if many <= few:
        return short / few, 0.0
    long = fit(many)
    while long - short < _ENOUGH and many < most:
        many = min(_BATCHES * many, most)
        predict(many)  # decodes what is new
        long = fit(many)
    per_row = max(long - short, 0.1 * long) / (many - few)  # a busy neighbour may have slowed the short one
    return per_row, max(0.0, short - per_row * few)


def _of(beside: Mapping[str, Any] | None, rows: np.ndarray) -> dict[str, Any]:
    given = (beside or {}).items()
    return {name: value.iloc[rows] if isinstance(value, pd.DataFrame) else value for name, value in given}


def _quick(estimator: Any, cache: str) -> Any:
    """A copy that trains for a single pass and leaves nothing behind."""
    model = clone(estimator)
    known = model.get_params(deep=False)
    return model.set_params(**{k: v for k, v in (_QUICK | {"cache_dir": cache}).items() if k in known})


def _rows(y: pd.Series | pd.DataFrame) -> np.ndarray:
    """Positions in an order by chance whose first two have different labels, as a model needs two classes."""
    order = np.random.default_rng(0).permutation(len(y))
    labels = y.to_numpy().reshape(len(y), -1)
    others = np.flatnonzero((labels[order] != labels[order[0]]).any(axis=1))
    if len(others):
        order[[1, others[0]]] = order[[others[0], 1]]
    return order
