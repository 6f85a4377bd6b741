"""Weekday: which day was it, by when somebody was active, slept and studied."""

from __future__ import annotations

import numpy as np
import pandas as pd

from kagglekit.arena.worlds.base import Drawn, World, ids_for, n_rows, public_part, table_maker

__all__ = ["WORLD", "draw"]

_COLUMNS_OF = ("morning", "afternoon", "evening", "sleep", "study")
# Minutes of activity (thousands of steps would do as well) and hours; rows are Monday (0) to Sunday (6).
_MEANS = np.array(
    [
        [35, 40, 30, 6.6, 5.0],
        [40, 45, 45, 7.2, 5.5],
        [38, 42, 75, 7.1, 4.6],
        [40, 45, 45, 7.2, 5.5],
        [36, 44, 95, 6.9, 3.2],
        [25, 85, 80, 8.6, 1.8],
        [15, 60, 35, 8.9, 3.0],
    ]
)
_SPREADS = np.array([14.0, 20.0, 22.0, 0.8, 1.3])


def _covariances() -> np.ndarray:
    """Tuesdays and Thursdays have the same means: only how study and the afternoon go together tells them apart."""
    correlations = np.tile(np.eye(5), (7, 1, 1))
    for day in range(7):
        correlations[day][0, 3] = correlations[day][3, 0] = -0.35
    for day, together in ((1, 0.8), (3, -0.8), (0, -0.3), (5, -0.4)):
        correlations[day][1, 4] = correlations[day][4, 1] = together
    return correlations * np.outer(_SPREADS, _SPREADS)


def _likelihoods(values: np.ndarray) -> np.ndarray:
    """Log density of each row under each day, up to a constant: shape (n_rows, 7)."""
    found = np.empty((len(values), 7))
    for day, covariance in enumerate(_covariances()):
        off = values - _MEANS[day]
        distance = (off * np.linalg.solve(covariance, off.T).T).sum(axis=1)
        found[:, day] = -0.5 * (distance + np.linalg.slogdet(covariance)[1])
    return found


def draw(scale: float | None, seed: int) -> Drawn:
    """The tables at a scale."""
    rng = np.random.default_rng([seed, 3])
    n_train, n_test = n_rows(scale, WORLD.scale, WORLD.n_train, WORLD.n_test, least=70)
    n = n_train + n_test
    day = rng.permutation(np.arange(n) % 7)
    factors = np.linalg.cholesky(_covariances())
    values = _MEANS[day] + np.einsum("nij,nj->ni", factors[day], rng.normal(size=(n, 5)))
    values = np.round(values, 1)
    best = _likelihoods(values).argmax(axis=1)
    frame = pd.DataFrame({"diary": ids_for(rng, n), **dict(zip(_COLUMNS_OF, values.T, strict=True)), "day": day})
    train, test = frame[:n_train], frame[n_train:]
    return Drawn(
        train=train,
        test=test,
        id="diary",
        target="day",
        sample=test[["diary"]].assign(day=0),
        usage=public_part(rng, test["diary"]),
        best=test[["diary"]].assign(day=best[n_train:]),
    )


_COLUMNS = {
    "diary": "id",
    "morning, afternoon, evening": "activity in each part of the day, compared with the person's usual one (can be "
    "below nought)",
    "sleep, study": "hours, by the person's own estimate",
    "day": "0 Monday to 6 Sunday; to predict",
}

WORLD: World = World(
    name="weekday",
    slug="weekday",
    title="Weekdays (synthetic practice data)",
    task="classification",
    metric="accuracy",
    form="label",
    n_train=2100,
    n_test=1400,
    make=table_maker(draw, lambda: WORLD, _COLUMNS, "Writing diaries"),
    summary="which day was it, by activity, sleep and study",
    teaches=(
        "Seven classes and five numbers. The weekend is easy. Tuesday and Thursday have the same means in every "
        "column: only how study and the afternoon go together tells them apart, which no rule on one column and no "
        "straight line can see. It teaches reading a confusion matrix (kagglekit report) and making the one feature "
        "that it asks for.\n\n"
        "Worth trying: which two days are confused most, and why? Does the product of study and afternoon, each "
        "less its mean, help a linear model more than a forest? Does "
        "sklearn.discriminant_analysis.QuadraticDiscriminantAnalysis, which models just this, beat boosting?"
    ),
    best="the likeliest day under the distributions that the diaries were drawn from (accuracy about 0.64).",
)
