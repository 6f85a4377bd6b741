"""Small downloads of made-up competitions, as Kaggle would send them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

Tables = dict[str, pd.DataFrame]


def passengers(n: int = 60, n_test: int = 20) -> Tables:
    """A binary task, as the Titanic is."""
    rng = np.random.default_rng(0)

    def rows(first: int, n: int) -> pd.DataFrame:
        return pd.DataFrame(
            {
                "Id": np.arange(first, first + n),
                "Age": rng.normal(30, 9, n).round(1),
                "Port": rng.choice(["S", "C", "Q"], n),
                "Ticket": rng.choice([f"T{i}" for i in range(15)], n),
            }
        )

    train, test = rows(1, n), rows(1001, n_test)
    train.insert(1, "Alive", np.arange(n) % 3 == 0)
    train["Alive"] = train["Alive"].astype(int)
    return {
        "train.csv": train,
        "test.csv": test,
        "gender_submission.csv": pd.DataFrame({"Id": test["Id"], "Alive": 0}),
    }


def with_target(values: np.ndarray, sample: object = 0) -> Tables:
    tables = passengers(len(values))
    tables["train.csv"]["Alive"] = values
    tables["gender_submission.csv"]["Alive"] = sample
    return tables


def prices() -> Tables:
    return with_target(np.random.default_rng(1).lognormal(12, 0.8, 60).round(2), 1.5)


def save(folder: Path, tables: Tables) -> Path:
    for name, table in tables.items():
        table.to_csv(folder / name, index=False)
    return folder


def save_images(folder: Path, ids: list[str], labels: list[str], pattern: Callable[[str, str], str]) -> Path:
    train = pd.DataFrame({"image_id": ids, "label": labels, "age": 50})
    train.to_csv(folder / "train.csv", index=False)
    test_ids = [f"9{i}" for i in ids[:4]]
    pd.DataFrame({"image_id": test_ids, "label": ""}).to_csv(folder / "sample_submission.csv", index=False)
    ending = "" if ids[0].endswith(".jpg") else ".jpg"
    places = [pattern(i, label) for i, label in zip(ids, labels, strict=True)]
    for place in [*places, *(f"test_images/{i}{ending}" for i in test_ids)]:
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 6)).save(folder / place)
    return folder
