"""Ratings: how many stars does a viewer give a film, when most pairs of the two were never seen."""

from __future__ import annotations

import numpy as np
import pandas as pd

from kagglekit.arena.worlds.base import Drawn, World, ids_for, n_rows, public_part, table_maker

__all__ = ["WORLD", "draw"]

_USERS, _FILMS, _GENRES = 90, 80, ("comedy", "drama", "horror", "western")
_SPREAD = 0.75


def draw(scale: float | None, seed: int) -> Drawn:
    """The tables at a scale."""
    rng = np.random.default_rng([seed, 6])
    n_train, n_test = n_rows(scale, WORLD.scale, WORLD.n_train, WORLD.n_test, least=100)
    pairs = rng.permutation(_USERS * _FILMS)[: n_train + n_test]
    user, film = pairs // _FILMS, pairs % _FILMS
    genre = rng.integers(0, len(_GENRES), _FILMS)
    kind, quality = rng.normal(0, 0.45, _USERS), rng.normal(0, 0.55, _FILMS)
    taste, trait = rng.normal(size=(_USERS, 2)), rng.normal(0, 0.4, (_FILMS, 2))
    likes = rng.normal(0, 0.35, (_USERS, len(_GENRES)))
    mean = 3.4 + kind[user] + quality[film] + (taste[user] * trait[film]).sum(axis=1) + likes[user, genre[film]]
    stars = np.clip(np.rint(mean + rng.normal(0, _SPREAD, len(pairs))), 1, 5).astype(int)
    names = rng.permutation(900)[:_USERS] + 100, rng.permutation(900)[:_FILMS] + 100
    year = rng.integers(1950, 2024, _FILMS)
    frame = pd.DataFrame(
        {
            "rating": ids_for(rng, len(pairs)),
            "user": [f"u{names[0][u]}" for u in user],
            "film": [f"f{names[1][f]}" for f in film],
            "genre": np.array(_GENRES)[genre[film]],
            "year": year[film],
            "stars": stars,
        }
    )
    train, test = frame[:n_train], frame[n_train:]
    return Drawn(
        train=train,
        test=test,
        id="rating",
        target="stars",
        sample=test[["rating"]].assign(stars=3.0),
        usage=public_part(rng, test["rating"]),
        best=test[["rating"]].assign(stars=_expected_stars(mean)[n_train:]),
    )


def _expected_stars(mean: np.ndarray) -> np.ndarray:
    """The mean of stars that are rounded and kept between 1 and 5: 1 plus the chance to pass each step."""
    from scipy.special import ndtr

    return 1 + sum(ndtr((mean - step) / _SPREAD) for step in (1.5, 2.5, 3.5, 4.5))


_COLUMNS = {
    "rating": "id",
    "user, film": "codes: 90 viewers and 80 films; every pair comes once at most",
    "genre, year": "of the film",
    "stars": "1 to 5; to predict, as a number",
}

WORLD: World = World(
    name="ratings",
    slug="ratings",
    title="Film ratings (synthetic practice data)",
    task="regression",
    metric="rmse",
    form="value",
    n_train=2400,
    n_test=1200,
    make=table_maker(draw, lambda: WORLD, _COLUMNS, "Counting stars"),
    summary="stars that viewers give to films: a matrix that is two thirds empty",
    teaches=(
        "A recommender as a table: who, what, and how many stars. Codes mean nothing by themselves, so trees that "
        "cut them by their number learn slowly; a kindness of each viewer and a quality of each film go far. It "
        "teaches collaborative filtering and shrinkage.\n\n"
        "Worth trying: one-hot columns for both codes in a ridge regression (two biases), against a forest on "
        "codes. Means of viewers and films, shrunk to the overall mean, as columns: how must they be made within "
        "folds so that a row never sees its own stars? What do genres add to that, and what do two hidden tastes "
        "add?"
    ),
    best="the expected stars of someone who knows every taste by which they were drawn (rmse about 0.72).",
)
