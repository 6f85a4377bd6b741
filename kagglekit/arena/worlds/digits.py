"""Digits: the real handwritten digits that come with scikit-learn, 8 by 8 pixels each, as a table."""

from __future__ import annotations

import numpy as np
import pandas as pd

from kagglekit.arena.worlds.base import Drawn, World, ids_for, n_rows, public_part, table_maker

__all__ = ["WORLD", "draw"]


def draw(scale: float | None, seed: int) -> Drawn:
    """The tables at a scale: some of the 1,797 digits, shuffled."""
    from sklearn.datasets import load_digits

    found = load_digits()
    rng = np.random.default_rng([seed, 4])
    n_train, n_test = n_rows(scale, WORLD.scale, WORLD.n_train, WORLD.n_test, least=60)
    rows = rng.permutation(len(found.target))[: n_train + n_test]
    pixels = {f"row{r}_column{c}": found.images[rows, r, c].astype(int) for r in range(8) for c in range(8)}
    frame = pd.DataFrame({"scan": ids_for(rng, len(rows)), **pixels, "digit": found.target[rows]})
    train, test = frame[:n_train], frame[n_train:]
    usage = public_part(rng, test["scan"])
    return Drawn(train, test, "scan", "digit", test[["scan"]].assign(digit=0), usage)


_COLUMNS = {
    "scan": "id",
    "row0_column0 ... row7_column7": "ink in each of 64 fields, 0 to 16",
    "digit": "0 to 9; to predict",
    "source": "scikit-learn's load_digits: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits (UCI)",
}

WORLD: World = World(
    name="digits",
    slug="digits",
    title="Digits (practice data: real scans that come with scikit-learn)",
    task="classification",
    metric="accuracy",
    form="label",
    n_train=1200,
    n_test=597,
    make=table_maker(draw, lambda: WORLD, _COLUMNS, "Scanning digits"),
    summary="real handwritten digits, 8 by 8 pixels as 64 columns",
    teaches=(
        "Real data at last, and easy: the question is not whether a model works but which of two good ones is "
        "better, when they differ in five rows of six hundred. It teaches differences inside the noise: kagglekit "
        "compare says how many rows would decide. (The answers come with scikit-learn; looking them up teaches "
        "nothing.)\n\n"
        "Worth trying: sklearn.neighbors.KNeighborsClassifier and sklearn.svm.SVC, which compare whole pictures, "
        "against trees, which look at one pixel at a time. Does a blend of a forest and a nearest neighbour beat "
        "both? Do a few sums over rows and columns of pixels help the trees?"
    ),
    synthetic=False,
)
