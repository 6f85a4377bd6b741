"""Pictures that vision tests share: coloured shapes, drawn by code."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw

COLOURS = {"blast": (200, 60, 40), "normal": (60, 180, 60), "tungro": (60, 80, 200)}


def draw(colour: tuple[int, int, int], rng: np.random.Generator, width: int = 48, height: int = 40) -> Image.Image:
    """A disc of about this colour on noise."""
    image = Image.fromarray(rng.integers(80, 150, (height, width, 3), dtype=np.uint8))
    fill = tuple(int(c) for c in np.clip(np.array(colour) + rng.integers(-30, 30, 3), 0, 255))
    x, y, r = rng.integers(14, width - 14), rng.integers(14, height - 14), rng.integers(8, 13)
    ImageDraw.Draw(image).ellipse((x - r, y - r, x + r, y + r), fill=fill)
    return image


def pictures(folder: Path, n: int, seed: int = 0) -> tuple[pd.DataFrame, pd.Series]:
    """X with a column `path` and y, indexed by ids that are no positions; labels come in turn."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    ids = [f"img{number:03d}" for number in rng.permutation(n)]
    labels = [list(COLOURS)[i % len(COLOURS)] for i in range(n)]
    for image_id, label in zip(ids, labels, strict=True):
        draw(COLOURS[label], rng).save(folder / f"{image_id}.png")
    index = pd.Index(ids, name="image_id")
    X = pd.DataFrame({"path": [str(folder / f"{i}.png") for i in ids], "variety": "ADT45"}, index=index)
    return X, pd.Series(labels, index=index, name="label")
