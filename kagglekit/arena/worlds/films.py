"""Films: did somebody like a film, by his age and what the film is."""

from __future__ import annotations

import numpy as np
import pandas as pd

from kagglekit.arena.worlds.base import Drawn, World, ids_for, n_rows, public_part, table_maker

__all__ = ["GENRES", "WORLD", "draw"]

#: How much each genre is liked, and how much more or less with every ten years of age.
GENRES = {
    "action": (0.3, -0.45),
    "animation": (0.2, -0.50),
    "comedy": (0.1, -0.05),
    "documentary": (-0.3, 0.45),
    "drama": (0.0, 0.40),
    "horror": (-0.2, -0.60),
    "romance": (-0.1, 0.20),
    "western": (-0.5, 0.65),
}
_UNKNOWN_POPULARITY = 0.15
# Popularity is log-normal: mean and standard deviation of its logarithm, and where it is cut off.
_LOG_MEAN, _LOG_SPREAD, _LIMITS = 2.7, 0.9, (0.5, 100.0)


def _log_odds(age: np.ndarray, genre: np.ndarray, length: np.ndarray, popularity: np.ndarray) -> np.ndarray:
    liking, with_age = np.array(list(GENRES.values()))[genre].T
    patience = 0.06 * (age - 40)
    too_long = -1.6 * ((length - (112 + patience * 10)) / 35) ** 2
    return 1.1 + liking + with_age * (age - 40) / 10 + np.clip(too_long, -3, 0) + 1.3 * np.log(popularity / 20) / 2


def draw(scale: float | None, seed: int) -> Drawn:
    """The tables at a scale."""
    rng = np.random.default_rng([seed, 5])
    n_train, n_test = n_rows(scale, WORLD.scale, WORLD.n_train, WORLD.n_test, least=60)
    n = n_train + n_test
    age, genre = rng.integers(14, 80, n), rng.integers(0, len(GENRES), n)
    length = np.round(rng.normal(108, 22, n).clip(60, 210)).astype(int)
    popularity = np.round(np.exp(rng.normal(_LOG_MEAN, _LOG_SPREAD, n)).clip(*_LIMITS), 1)
    chance = 1 / (1 + np.exp(-_log_odds(age, genre, length, popularity)))
    liked = (rng.random(n) < chance).astype(int)
    shown = np.where(rng.random(n) < _UNKNOWN_POPULARITY, np.nan, popularity)
    frame = pd.DataFrame(
        {
            "viewing": ids_for(rng, n),
            "age": age,
            "genre": np.array(list(GENRES))[genre],
            "length": length,
            "popularity": shown,
            "liked": liked,
        }
    )
    train, test = frame[:n_train], frame[n_train:]
    return Drawn(
        train=train,
        test=test,
        id="viewing",
        target="liked",
        sample=test[["viewing"]].assign(liked=0.5),
        usage=public_part(rng, test["viewing"]),
        best=test[["viewing"]].assign(liked=_known_chance(age, genre, length, shown)[n_train:]),
    )


def _known_chance(age: np.ndarray, genre: np.ndarray, length: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """The chance given what the table shows: where popularity is not told, its mean over what it may be."""
    off = np.linspace(-2.5, 2.5, 41)
    steps, weights = np.exp(_LOG_MEAN + _LOG_SPREAD * off).clip(*_LIMITS), np.exp(-(off**2) / 2)
    chances = [1 / (1 + np.exp(-_log_odds(age, genre, length, np.full(len(age), step)))) for step in steps]
    unknown = np.average(chances, axis=0, weights=weights)
    known = 1 / (1 + np.exp(-_log_odds(age, genre, length, np.where(np.isnan(shown), 1.0, shown))))
    return np.where(np.isnan(shown), unknown, known)


_COLUMNS = {
    "viewing": "id",
    "age": "of the viewer",
    "genre": "one of eight",
    "length": "in minutes",
    "popularity": "a score above 0; empty where nobody counted",
    "liked": "1 or 0; to predict, as the probability of 1",
}

WORLD: World = World(
    name="films",
    slug="films",
    title="Films liked (synthetic practice data)",
    task="classification",
    metric="roc_auc",
    form="probability",
    n_train=2000,
    n_test=1200,
    make=table_maker(draw, lambda: WORLD, _COLUMNS, "Showing films"),
    summary="did a viewer like a film, by age, genre, length and popularity",
    teaches=(
        "Two classes, a column of words, gaps, and a metric of order. Genres are liked at different ages, and films "
        "can be too short as well as too long: a straight line sees neither. It teaches what the area under the ROC "
        "curve rewards, and that the logarithm of a lopsided column helps one model and not another.\n\n"
        "Worth trying: does age times genre help the linear model? The distance of the length from two hours? Is a "
        "gap in popularity worth a column of its own? Do larger leaves help the forest, as the target is noisy?"
    ),
    best="the chance by which each answer was drawn, given what the table shows (area about 0.79).",
)
