"""Rock, paper, scissors: an opponent with habits, and three moves to know them by. Probabilities are asked for."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd

from kagglekit.arena.worlds.base import Drawn, World, ids_for, n_rows, public_part, table_maker

__all__ = ["MOVES", "WORLD", "draw", "habits"]

#: In the order of the alphabet, as classes are.
MOVES = ("paper", "rock", "scissors")
# What beats each move: scissors cut paper, paper wraps rock, rock blunts scissors.
_BEATEN_BY = {"paper": "scissors", "rock": "paper", "scissors": "rock"}


def habits() -> np.ndarray:
    """The chance of each next move after each three: shape (3, 3, 3, 3), oldest move first.

    The opponent changes after a repetition, goes on with a cycle, and otherwise likes to beat the move before last.
    """
    table = np.empty((3, 3, 3, 3))
    for a, b, c in product(range(3), repeat=3):
        weight = np.ones(3)
        if a == b == c:
            weight[c] = 0.25
        elif b == c:
            weight[c], weight[_answer(c)] = 0.6, 2.4
        elif len({a, b, c}) == 3:
            weight[a] = 4.0
        elif a == c:
            weight[b] = 2.5
        else:
            weight[_answer(b)] = 2.0
        table[a, b, c] = weight / weight.sum()
    return table


def _answer(move: int) -> int:
    return MOVES.index(_BEATEN_BY[MOVES[move]])


def draw(scale: float | None, seed: int) -> Drawn:
    """The tables at a scale."""
    rng = np.random.default_rng([seed, 2])
    n_train, n_test = n_rows(scale, WORLD.scale, WORLD.n_train, WORLD.n_test)
    n, chances = n_train + n_test, habits()
    # Matches of seven moves; the first three are of no habit yet, and the last four of each are what rows show.
    moves = rng.integers(0, 3, (n, 7))
    for i in range(3, 7):
        chance = chances[moves[:, i - 3], moves[:, i - 2], moves[:, i - 1]]
        moves[:, i] = (rng.random((n, 1)) > np.cumsum(chance, axis=1)).sum(axis=1).clip(max=2)
    known = chances[moves[:, 3], moves[:, 4], moves[:, 5]]
    words = np.array(MOVES)[moves]
    frame = pd.DataFrame(
        {
            "match": ids_for(rng, n),
            "three_ago": words[:, 3],
            "two_ago": words[:, 4],
            "last": words[:, 5],
            "next": words[:, 6],
        }
    )
    train, test = frame[:n_train], frame[n_train:]
    even = test[["match"]].assign(**dict.fromkeys(MOVES, round(1 / 3, 4)))
    best = test[["match"]].assign(**dict(zip(MOVES, known[n_train:].T, strict=True)))
    return Drawn(train, test, "match", "next", even, public_part(rng, test["match"]), best)


_COLUMNS = {
    "match": "id",
    "three_ago, two_ago, last": "the opponent's last three moves",
    "next": "his next move; to predict, as a probability for each of paper, rock and scissors",
}

WORLD: World = World(
    name="rps",
    slug="rps",
    title="Rock, paper, scissors (synthetic practice data)",
    task="classification",
    metric="log_loss",
    form="probabilities",
    n_train=2700,
    n_test=1500,
    make=table_maker(draw, lambda: WORLD, _COLUMNS, "Playing"),
    summary="an opponent's last three moves tell something about his next",
    teaches=(
        "An opponent with habits: he changes after a repetition, and goes on with a cycle. Each column alone says "
        "little; the three together say much. It teaches log loss: what counts is not who is likeliest but how sure "
        "one may be.\n\n"
        "Worth trying: one column against three joined into one. A linear model sees no combinations: what does it "
        "need in features.py? Does a forest with large leaves (min_samples_leaf) say better probabilities than one "
        "with small ones? What does a probability of 0 cost when it was wrong once?"
    ),
    best="the chances by which the moves were drawn (log loss about 0.98; guessing evenly costs 1.0986).",
)
