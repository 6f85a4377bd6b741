"""What a leaderboard can and cannot tell: public and private scores as draws of rows of the kind that were trained on.

Nothing here looks at test labels or at other teams: out-of-fold rows are resampled into public and private parts of
the real sizes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from kagglekit.contracts import Label
from kagglekit.errors import UsageError
from kagglekit.metrics import Metric
from kagglekit.stats import Interval, future_scores

__all__ = ["PUBLIC_SHARE", "Residual", "Shakeup", "Swap", "parts", "residual", "shakeup", "swap_chance"]

Array = npt.NDArray[Any]

_NORMAL = 1.959964
_ALARM = 3.0
# Below this many public rows one score says little, and its error is far from normal.
_SMALL = 300
#: Taken where nobody says how much of the test data is public: a common share, and rather small than large, as a small
#: public part has the wide interval and raises few false alarms.
PUBLIC_SHARE = 0.3


def parts(n_test: int, public_share: float = PUBLIC_SHARE) -> tuple[int, int]:
    """Rows of the public and of the private part.

    Parameters
    ----------
    n_test : int
    public_share : float
        As the competition's leaderboard page says it: "approximately 30% of the test data" is 0.3.

    Raises
    ------
    UsageError
        The share is not between 0 and 1, or a part would be empty.
    """
    n_public = round(n_test * public_share) if 0 < public_share < 1 else 0
    if not 0 < n_public < n_test:
        raise UsageError(
            f"The public share must leave rows to both parts of {n_test} test row(s), got {public_share:g}.",
            hint="Write it as a fraction: 0.3 for 'approximately 30% of the test data'.",
        )
    return n_public, n_test - n_public


@dataclass(frozen=True)
class Shakeup:
    """Where the scores of one candidate should fall, given its cross-validation.

    Parameters
    ----------
    metric : str
    greater_is_better : bool
    cv : float
        The metric on all out-of-fold rows together.
    cv_error, public_error, private_error : float
        Standard deviations, by chance of the rows alone: of `cv`, and of the two parts' scores around the true one.
    public, private : Interval
        95 %; they hold the chance of the training rows and that of the test rows. `score` is `cv`.
    n_rows, n_public, n_private : int
    """

    metric: str
    greater_is_better: bool
    cv: float
    cv_error: float
    public_error: float
    private_error: float
    public: Interval
    private: Interval
    n_rows: int
    n_public: int
    n_private: int

    def private_given(self, public: float) -> Interval:
        """Where the private score should fall once the public one is known (95 %).

        The best guess of the true score weighs CV and public score by their precision, as if both were normal; the
        private score lies around it. Believe it only while `residual` raises no alarm.

        Notes
        -----
        Source: the mean of a normal variable under two independent measurements (Gelman et al. 2013, section 2.5).
        """
        cv_weight, public_weight = (1 / max(e, 1e-12) ** 2 for e in (self.cv_error, self.public_error))
        guess = (self.cv * cv_weight + public * public_weight) / (cv_weight + public_weight)
        reach = _NORMAL * math.sqrt(1 / (cv_weight + public_weight) + self.private_error**2)
        return Interval(guess, *_within(guess - reach, guess + reach, self.greater_is_better))

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    def words(self) -> str:
        """For people."""
        public, private = (f"{i.low:.5f} to {i.high:.5f}" for i in (self.public, self.private))
        return (
            f"Expected by CV, 19 times in 20: public {public} (taken as {self.n_public} rows), "
            f"private {private} ({self.n_private} rows)"
        )


def shakeup(
    metric: Metric,
    y: pd.Series,
    frame: pd.DataFrame,
    classes: Sequence[Label],
    *,
    n_public: int,
    n_private: int,
    groups: pd.Series | None = None,
    n_resamples: int = 4000,
    seed: int = 0,
) -> Shakeup:
    """Resample out-of-fold rows into public and private parts of the real sizes.

    Parameters
    ----------
    metric, y, classes, groups, n_resamples, seed
        As in `kagglekit.stats.paired_bootstrap`.
    frame : DataFrame of shape (n_rows, n_columns)
        Out-of-fold predictions by id, after the competition's decision rule.
    n_public, n_private : int
        Test rows of each part; see `parts`.

    Raises
    ------
    PredictionsError, DataError
        As `kagglekit.stats.future_scores`.

    Notes
    -----
    Test predictions are often means over fold models and so a little better than the out-of-fold ones; the intervals
    do not know this. Not for time-forward competitions, where test rows are of another time.
    """
    drawn = future_scores(
        metric,
        y,
        {"candidate": frame},
        classes,
        sizes={"public": n_public, "private": n_private, "true": None},
        groups=groups,
        n_resamples=n_resamples,
        seed=seed,
    )
    public, private, true = (drawn[part]["candidate"].to_numpy() for part in ("public", "private", "true"))
    cv, up = metric.score(y, frame, classes), metric.greater_is_better
    return Shakeup(
        metric=metric.name,
        greater_is_better=up,
        cv=cv,
        cv_error=float(np.std(true)),
        public_error=float(np.std(public - true)),
        private_error=float(np.std(private - true)),
        public=_interval(cv, public, up),
        private=_interval(cv, private, up),
        n_rows=len(y),
        n_public=n_public,
        n_private=n_private,
    )


def _interval(score: float, drawn: Array, greater_is_better: bool) -> Interval:
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Interval(score, *_within(float(low), float(high), greater_is_better))


def _within(low: float, high: float, greater_is_better: bool) -> tuple[float, float]:
    # Every metric that is better when greater ends at 1, every other at 0.
    return (min(low, 1.0), min(high, 1.0)) if greater_is_better else (max(low, 0.0), max(high, 0.0))


@dataclass(frozen=True)
class Residual:
    """How far a public score lies from what CV promised.

    Parameters
    ----------
    public, cv : float
    errors : float
        The distance in standard errors; positive where the public score is the better one.
    alarm : bool
        The distance is beyond 3 standard errors: about 1 in 370 by chance alone.
    causes : tuple of str
        What brings such a distance about, the commonest first; empty without an alarm.
    """

    public: float
    cv: float
    errors: float
    alarm: bool
    causes: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    def words(self) -> str:
        """For people, in one line."""
        side = "better" if self.errors > 0 else "worse"
        distance = f"{self.public:.5f} is {abs(self.errors):.1f} standard errors {side} than CV {self.cv:.5f}"
        if not self.alarm:
            return f"The public score {distance}: within what chance does."
        return f"ALARM: the public score {distance}; chance goes beyond 3 once in 370 times."


_METRIC = "the site scores by another metric than the pipeline file says"
_WORSE = (
    "test rows are of another kind than training rows",
    "folds leak: rows of one group, duplicates or later times lie on both sides",
    "the target or something made from it is among the features",
    "test rows are read or transformed otherwise than training rows",
    _METRIC,
)
_BETTER = (
    "test rows are easier or hold copies of training rows",
    "fold models see too few rows, and all of them together much more",
    "folds are harder than the competition's own split",
    _METRIC,
)


def residual(forecast: Shakeup, public: float) -> Residual:
    """Hold a public score against the forecast that CV gave.

    Parameters
    ----------
    forecast : Shakeup
        Of the run that was submitted.
    public : float
        Its public score, in the forecast's metric.

    Notes
    -----
    The distance is taken as normal: with a few dozen public rows, or a score next to its limit, alarms come oftener
    than once in 370. Without any spread (every row right, or every row equally wrong) nothing can be said and no
    alarm is raised.
    """
    error = math.hypot(forecast.cv_error, forecast.public_error)
    sign = 1 if forecast.greater_is_better else -1
    errors = sign * (public - forecast.cv) / error if error else 0.0
    alarm = abs(errors) > _ALARM
    causes = (*([_few(forecast.n_public)] * (forecast.n_public < _SMALL)), *(_BETTER if errors > 0 else _WORSE))
    return Residual(public, forecast.cv, float(errors), alarm, causes if alarm else ())


def _few(n_public: int) -> str:
    return f"{n_public} public rows are few, and a score of few rows strays far"


@dataclass(frozen=True)
class Swap:
    """Two candidates on the leaderboard.

    Parameters
    ----------
    chance : float
        That the one that leads in public does not lead in private. 0.5 is a toss of a coin.
    public_better, private_better : float
        Chance that b beats a in each part, ties counting half.
    right : float
        Chance that the public leader is the better one in truth (on endless rows).
    """

    chance: float
    public_better: float
    private_better: float
    right: float

    def as_json(self) -> dict[str, float]:
        """Plain JSON values."""
        return asdict(self)


def swap_chance(
    metric: Metric,
    y: pd.Series,
    a: pd.DataFrame,
    b: pd.DataFrame,
    classes: Sequence[Label],
    *,
    n_public: int,
    n_private: int,
    groups: pd.Series | None = None,
    n_resamples: int = 4000,
    seed: int = 0,
) -> Swap:
    """The chance that two candidates swap places between the public and the private leaderboard.

    Parameters are those of `shakeup`, for two candidates on the same rows.

    Notes
    -----
    What the true difference may be is taken from the out-of-fold rows alone, as if any were as likely beforehand;
    where most candidates are nearly alike, leads are owed to luck more often than is told here, and swaps are
    commoner. A tie in one part counts as half a swap.
    """
    drawn = future_scores(
        metric,
        y,
        {"a": a, "b": b},
        classes,
        sizes={"public": n_public, "private": n_private, "true": None},
        groups=groups,
        n_resamples=n_resamples,
        seed=seed,
    )
    public, private, true = (np.sign(_lead(metric, drawn[part])) for part in ("public", "private", "true"))
    return Swap(
        chance=float(np.mean(1 - public * private) / 2),
        public_better=float(np.mean(1 + public) / 2),
        private_better=float(np.mean(1 + private) / 2),
        right=float(np.mean(1 + public * true) / 2),
    )


def _lead(metric: Metric, scores: pd.DataFrame) -> Array:
    sign = 1 if metric.greater_is_better else -1
    lead: Array = sign * (scores["b"] - scores["a"]).to_numpy()
    # A tie of whole numbers must not be broken by rounding.
    return np.where(np.abs(lead) < 1e-12, 0.0, lead)
