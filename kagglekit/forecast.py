"""How long training will still take, from the fits measured so far."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

__all__ = ["Budget", "Forecast", "clock", "rough_blend_seconds", "rough_seconds", "rough_table_seconds"]

# Seconds for one fit on two laptop cores, per 1,000 rows: read off the project's own runs. They matter only until the
# first fold of an experiment is measured, and scale together with what this machine turned out to need.
_PER_1000_ROWS = {
    "majority": 0.01,
    "mean": 0.01,
    "oner": 0.1,
    "linear": 0.6,
    "forest": 0.6,
    "extra-trees": 0.5,
    "xgboost": 0.8,
    "catboost": 3.0,
    "knn": 0.1,
    "fastai-tabular": 4.0,
    "tabm": 20.0,
}
_TREES = 100  # of the forests that were timed
_BOOSTING = 0.6
_TIMM_EPOCH = 14.0  # Lite0 at 128 px, forwards and backwards; a frozen epoch takes two fifths of it
_TIMM_FEATURES = 2.6  # of one fold: a single pass serves all five
_UNKNOWN = 1.0
# Of a cross-fitted blend: loading and compiling, for each member, and for each million predicted numbers.
_BLEND_START, _BLEND_MEMBER, _BLEND_MILLION = 8.0, 0.06, 5.0
# Of the table: comparing a run with another, by resampling, and that for each 1,000 rows.
_TABLE_START, _TABLE_RUN, _TABLE_1000_ROWS = 1.0, 0.05, 0.013


def rough_seconds(model: str, params: Mapping[str, object], n_rows: int, bags: int = 0, n_targets: int = 1) -> float:
    """A first guess of the seconds that one fit takes, of all its bags; right to a factor of a few, not more.

    Most models are fitted once for each of several targets; `timm` without bags learns all at once, and features of
    images are the same for all.
    """
    is_shared = model == "timm-features" or (model == "timm" and not bags)
    return max(1, bags) * (1 if is_shared else n_targets) * _one_model(model, params, n_rows)


def _one_model(model: str, params: Mapping[str, object], n_rows: int) -> float:
    thousands = n_rows / 1000
    area = _area(params.get("size", 128))
    if model == "timm":
        sizes = params.get("sizes")
        areas = sum(map(_area, sizes)) if isinstance(sizes, list | tuple) and sizes else area
        epochs = areas * float(str(params.get("epochs", 3)))
        return thousands * _TIMM_EPOCH * (epochs + 0.4 * area * float(str(params.get("freeze_epochs", 1))))
    if model == "timm-features":
        return thousands * area * _TIMM_FEATURES
    if model == "lightgbm":
        return thousands * _BOOSTING
    trees = float(str(params.get("n_estimators", _TREES))) / _TREES if model in ("forest", "extra-trees") else 1.0
    return thousands * trees * _PER_1000_ROWS.get(model, _UNKNOWN)


def rough_blend_seconds(n_members: int, n_rows: int, n_columns: int) -> float:
    """A first guess of the seconds that a cross-fitted blend by `auto` or `greedy` takes."""
    return _BLEND_START + _BLEND_MEMBER * n_members + _BLEND_MILLION * n_members * n_rows * n_columns / 1e6


def rough_table_seconds(n_runs: int, n_rows: int) -> float:
    """A first guess of the seconds that the table takes: each run is compared with the best."""
    return _TABLE_START + n_runs * (_TABLE_RUN + _TABLE_1000_ROWS * n_rows / 1000)


def _area(size: object) -> float:
    """Pixels of an image, one number being the side of a square, beside those of the timed one."""
    height, width = size if isinstance(size, list | tuple) else (size, size)
    return float(str(height)) * float(str(width)) / 128**2


class Budget:
    """A limit of time, and what still fits into it.

    Parameters
    ----------
    minutes : float, optional
        None sets no limit.
    now : callable
        Seconds on a clock that only runs forward.
    """

    def __init__(self, minutes: float | None, now: Callable[[], float] = time.monotonic) -> None:
        self._now, self._start = now, now()
        self.seconds = math.inf if minutes is None else 60 * minutes
        self._reserved = 0.0

    @property
    def is_limited(self) -> bool:
        return self.seconds < math.inf

    @property
    def spent(self) -> float:
        return self._now() - self._start

    @property
    def left(self) -> float:
        """Seconds, less those that are kept for what comes last."""
        return self.seconds - self.spent - self._reserved

    def reserve(self, seconds: float) -> None:
        """Keep so much for what comes last; it takes the place of what was kept before."""
        self._reserved = max(0.0, seconds)

    def fits(self, seconds: float) -> bool:
        """Whether something that takes so long may still be started."""
        return seconds <= self.left


@dataclass
class Forecast:
    """Seconds left for a plan of experiments.

    Parameters
    ----------
    fits : mapping of str to int
        Fits that each experiment still needs.
    guess : mapping of str to float
        Rough seconds of one fit of each experiment.
    model : mapping of str to str
        Of each experiment: how far a guess was off says something about the same model only.
    """

    fits: Mapping[str, int]
    guess: Mapping[str, float]
    model: Mapping[str, str]
    _measured: dict[str, list[float]] = field(default_factory=dict)

    def measured(self, experiment: str, seconds: float) -> None:
        """Record one finished fit."""
        self._measured.setdefault(experiment, []).append(seconds)

    def seconds_left(self) -> float:
        """Measured means where there are any, elsewhere guesses scaled by how far the same model's were off so far."""
        return sum(self._left(name) * self._each(name) for name in self.fits)

    def _left(self, name: str) -> int:
        return max(0, self.fits[name] - len(self._measured.get(name, ())))

    def _each(self, name: str) -> float:
        # An experiment's first fit also decodes images and loads weights: it tells little about the others.
        if len(times := self._measured.get(name, [])) > 1:
            return sum(times[1:]) / (len(times) - 1)
        warm = {n: t[1:] for n, t in self._measured.items() if self.model[n] == self.model[name]}
        guessed = sum(self.guess[n] * len(t) for n, t in warm.items())
        spent = sum(sum(t) for t in warm.values())
        return self.guess[name] * (spent / guessed if guessed >= 1.0 else 1.0)


def clock(seconds: float) -> str:
    """Minutes and seconds for people.

    >>> clock(75)
    '1:15'
    """
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"
