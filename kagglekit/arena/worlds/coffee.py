"""Coffee: what a cup costs, by its size, its extras and whether it is taken away. The smallest regression there is."""

from __future__ import annotations

import numpy as np
import pandas as pd

from kagglekit.arena.worlds.base import Drawn, World, ids_for, n_rows, public_part, table_maker

__all__ = ["WORLD", "draw", "price"]

# Euros; a tip, a discount or a slip of the till.
_SPREAD = 0.30
_STEP = 0.05


def price(size: np.ndarray, extras: np.ndarray, takeaway: np.ndarray) -> np.ndarray:
    """The price on the board, without tips and slips.

    A large cup has one extra free, so that the price is not a sum over columns.
    """
    base = np.array([2.6, 3.2, 3.6])[size]
    paid = np.maximum(extras - (size == 2), 0)
    return base + np.array([0.0, 0.6, 1.0, 1.2])[paid] + takeaway * np.array([0.10, 0.15, 0.35])[size]


def draw(scale: float | None, seed: int) -> Drawn:
    """The tables at a scale."""
    rng = np.random.default_rng([seed, 1])
    n_train, n_test = n_rows(scale, WORLD.scale, WORLD.n_train, WORLD.n_test)
    n = n_train + n_test
    size, takeaway = rng.choice(3, n, p=[0.35, 0.4, 0.25]), rng.choice(2, n, p=[0.6, 0.4])
    extras = rng.choice(4, n, p=[0.45, 0.3, 0.17, 0.08])
    true = price(size, extras, takeaway)
    paid = np.round((true + rng.normal(0, _SPREAD, n)) / _STEP) * _STEP
    frame = pd.DataFrame(
        {"cup": ids_for(rng, n), "size": size, "extras": extras, "takeaway": takeaway, "price": paid.round(2)}
    )
    train, test = frame[:n_train], frame[n_train:]
    return Drawn(
        train=train,
        test=test,
        id="cup",
        target="price",
        sample=test[["cup"]].assign(price=0.0),
        usage=public_part(rng, test["cup"]),
        best=test[["cup"]].assign(price=true[n_train:]),
    )


_COLUMNS = {
    "cup": "id",
    "size": "0 small, 1 medium, 2 large",
    "extras": "shots, syrups and the like, 0 to 3",
    "takeaway": "1 when the cup leaves the house",
    "price": "paid, in euros; to predict",
}

WORLD: World = World(
    name="coffee",
    slug="coffee",
    title="Coffee prices (synthetic practice data)",
    task="regression",
    metric="rmse",
    form="value",
    n_train=900,
    n_test=600,
    make=table_maker(draw, lambda: WORLD, _COLUMNS, "Brewing coffee"),
    summary="what a cup costs, by size, extras and takeaway",
    teaches=(
        "Three columns with 24 combinations, so that every model can be checked by hand: a table of 24 means is "
        "nearly the best answer. It teaches what noise is: no model goes below it, and most differences lie inside "
        "it.\n\n"
        "Worth trying: how much of the price does the best single column tell? A straight line cannot know that a "
        "large cup has one extra free: does a product of columns in features.py give it what a forest finds by "
        "itself? Why does LightGBM gain nothing here from more trees?"
    ),
    best="the price on the board, without the tips and slips that were added to it (rmse about 0.30).",
)
