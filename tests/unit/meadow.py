"""A tiny competition folder for the arena's tests: three grasses told apart by two numbers."""

from pathlib import Path

import numpy as np
import pandas as pd

SLUG = "meadow"
CLASSES = ("bent", "fescue", "rye")
N_TRAIN, N_TEST = 60, 30


def tables(seed: int = 0) -> dict[str, pd.DataFrame]:
    """train, test, sample_submission and solution."""
    rng = np.random.default_rng(seed)
    n = N_TRAIN + N_TEST
    labels = np.array(CLASSES)[rng.choice(3, n, p=[0.2, 0.5, 0.3])]
    rows = pd.DataFrame(
        {"plot": np.arange(100, 100 + n), "height": rng.normal(size=n), "width": rng.normal(size=n), "grass": labels}
    )
    train, test = rows[:N_TRAIN], rows[N_TRAIN:].reset_index(drop=True)
    solution = test[["plot", "grass"]].assign(Usage=np.where(np.arange(N_TEST) % 3 == 0, "Public", "Private"))
    return {
        "train": train,
        "test": test.drop(columns="grass"),
        "sample_submission": test[["plot"]].assign(grass=CLASSES[0]),
        "solution": solution,
    }


def write_folder(folder: Path, **changed: pd.DataFrame) -> Path:
    """Write the competition's folder; keyword arguments replace a table, or add one."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in (tables() | changed).items():
        table.to_csv(folder / f"{name}.csv", index=False)
    return folder


def answers(right: int = N_TEST) -> pd.DataFrame:
    """A submission whose first `right` rows hold the true label and whose other rows hold a wrong one."""
    frame = tables()["solution"][["plot", "grass"]].copy()
    wrong = frame["grass"].map(dict(zip(CLASSES, CLASSES[1:] + CLASSES[:1], strict=True)))
    return frame.assign(grass=frame["grass"].where(np.arange(N_TEST) < right, wrong))


def write_answers(path: Path, right: int = N_TEST) -> Path:
    answers(right).to_csv(path, index=False)
    return path
