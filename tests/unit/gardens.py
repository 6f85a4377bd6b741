"""A small, made competition of several targets: three yes-or-no labels, or three numbers, that columns tell."""

from __future__ import annotations

import numpy as np
import pandas as pd

SLUG = "gardens"
LABELS = ("aphids", "mildew", "slugs")

PIPELINE = """
[competition]
slug = "gardens"
task = "classification"
metric = "columnwise_log_loss"
id = "bed"
target = ["aphids", "mildew", "slugs"]

[folds]
scheme = "stratified"
n = 3
seed = 1

[experiments.linear]
why = "each pest has a line of its own"
model = "linear"

[experiments.forest]
why = "do trees find more?"
model = "forest"
n_estimators = 20

[ensembles.blend]
members = "all"
method = "convex"
"""

NUMBERS = (
    PIPELINE.replace('"classification"', '"regression"').replace("log_loss", "rmse").replace("stratified", "kfold")
)


def tables(n_train: int = 120, n_test: int = 60, seed: int = 0, *, numbers: bool = False) -> dict[str, pd.DataFrame]:
    """Train, test, sample submission and solution, by the names of their files."""
    rng = np.random.default_rng(seed)
    n = n_train + n_test
    X = pd.DataFrame(rng.normal(size=(n, 3)), columns=["rain", "sun", "wind"])
    scores = np.column_stack([X["rain"] + X["sun"], X["rain"] - X["wind"], X["sun"]]) + rng.normal(0, 0.7, (n, 3))
    y = pd.DataFrame(scores if numbers else (scores > 0.4).astype(int), columns=list(LABELS))
    table = pd.concat([pd.DataFrame({"bed": [f"b{i:03d}" for i in range(n)]}), X, y], axis=1)
    test = table.iloc[n_train:]
    usage = ["Public" if i % 3 == 0 else "Private" for i in range(n_test)]
    return {
        "train": table.iloc[:n_train],
        "test": test.drop(columns=list(LABELS)),
        "sample_submission": test[["bed"]].assign(**dict.fromkeys(LABELS, 0.5)),
        "solution": test[["bed", *LABELS]].assign(Usage=usage),
    }
