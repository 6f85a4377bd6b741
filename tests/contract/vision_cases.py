"""The image models under the behaviour suite: tiny networks from random weights, on drawn pictures."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from model_cases import Case
from PIL import Image

_COLOURS = {"blast": (200, 60, 40), "normal": (60, 180, 60), "tungro": (60, 80, 200)}
N_IMAGES = 66


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="vision-cases-")  # removed when the interpreter ends


def picture_table(seed: int) -> pd.DataFrame:
    """A column of paths to noisy one-colour pictures, whose names start with their label."""
    rng = np.random.default_rng(seed)
    ids = [f"img{number:03d}" for number in rng.permutation(N_IMAGES)]
    labels = [list(_COLOURS)[i % len(_COLOURS)] for i in range(N_IMAGES)]
    paths = [Path(_folder().name) / f"{seed}" / f"{label}-{i}.png" for i, label in zip(ids, labels, strict=True)]
    for path, label in zip(paths, labels, strict=True):
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            noise = rng.integers(-40, 40, (32, 32, 3)) + np.array(_COLOURS[label])
            Image.fromarray(noise.astype(np.uint8)).save(path)
    index = pd.Index(ids, name="id")
    return pd.DataFrame({"path": [str(p) for p in paths], "variety": "ADT45"}, index=index)


def picture_target(X: pd.DataFrame, task: str) -> pd.Series:
    """The label that the file's name starts with; for a regression its number."""
    labels = pd.Series([Path(p).name.split("-")[0] for p in X["path"]], index=X.index, name="y")
    return labels if task == "classification" else labels.map({name: float(i) for i, name in enumerate(_COLOURS)})


_TINY = {"arch": "test_resnet", "weights": "random", "size": 32}

# A network in single precision rounds differently in batches of another make-up.
_RTOL = 1e-4

VISION_CASES: list[Case] = [
    Case(model, task, {**_TINY, **extra}, picture_table, picture_target, needed="path", rtol=_RTOL)
    for model, task, extra in (
        ("timm", "classification", {"epochs": 1, "freeze_epochs": 0, "batch_size": 16}),
        ("timm", "regression", {"epochs": 1, "freeze_epochs": 0, "batch_size": 16}),
        ("timm-features", "classification", {"C": 0.01, "flip": False}),
        ("timm-features", "regression", {"flip": False}),
    )
]
