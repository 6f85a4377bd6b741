"""A small, made competition that the flow's unit tests share: learnable, with text, numbers and gaps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from kagglekit.dataset import RawData

SLUG = "flower-colours"

PIPELINE = """
[competition]
slug = "flower-colours"
task = "classification"
metric = "accuracy"
id = "flower"
target = "colour"

[folds]
scheme = "stratified"
n = 3
seed = 1

[experiments.majority]
why = "what nothing is worth"
model = "majority"

[experiments.forest]
why = "petals tell the colour"
model = "forest"
n_estimators = 20

[experiments.forest-oob]
why = "out of bag tells the same in one fit"
based_on = "forest"
validation = "oob"
n_estimators = 60

[experiments.larger]
why = "do more trees help?"
based_on = "forest"
n_estimators = 40
optional = true

[ensembles.blend]
members = "all"
method = "mean"
"""


def tables(n_train: int = 90, n_test: int = 30, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Train, test and sample submission; the solution is `truth`."""
    rng = np.random.default_rng(seed)
    n = n_train + n_test
    colours = np.array(["blue", "red", "white"])[rng.integers(0, 3, n)]
    petal = pd.Series(colours).map({"blue": 0.0, "red": 1.5, "white": 3.0}).to_numpy() + rng.normal(0, 0.8, n)
    frame = pd.DataFrame({"petal": petal, "soil": rng.choice(["clay", "sand"], n), "colour": colours})
    frame.loc[rng.choice(n, 6, replace=False), "petal"] = np.nan
    frame.insert(0, "flower", [f"f{i:03d}" for i in range(n)])
    train, test = frame.iloc[:n_train], frame.iloc[n_train:].drop(columns="colour")
    sample = pd.DataFrame({"flower": test["flower"], "colour": "blue"})
    return train, test, sample


def truth(n_train: int = 90, n_test: int = 30, seed: int = 0) -> pd.DataFrame:
    """The solution, with Kaggle's Usage column."""
    rng = np.random.default_rng(seed)
    colours = np.array(["blue", "red", "white"])[rng.integers(0, 3, n_train + n_test)][n_train:]
    usage = ["Public" if i % 3 == 0 else "Private" for i in range(n_test)]
    return pd.DataFrame({"flower": [f"f{i:03d}" for i in range(n_train, n_train + n_test)], "colour": colours}).assign(
        Usage=usage
    )


def write_raw(folder: Path, train: pd.DataFrame, test: pd.DataFrame, sample: pd.DataFrame) -> RawData:
    """A finished download of these tables in `folder`."""
    raw = RawData(folder)
    raw.files.mkdir(parents=True)
    for name, frame in (("train", train), ("test", test), ("sample_submission", sample)):
        frame.to_csv(raw.files / f"{name}.csv", index=False)
    raw.seal()
    return raw


def write_pipeline(root: Path, text: str = PIPELINE, comp: str = "flowers") -> Path:
    path = root / "pipelines" / comp / "pipeline.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path
