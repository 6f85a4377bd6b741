"""What simple models of the arena learn from: a competition's table as numbers, or the colours of its images."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api import types

from kagglekit.arena.hosted import read_table
from kagglekit.contracts import Competition

__all__ = ["IMAGE_SUFFIXES", "Material", "image_paths", "material_of"]

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp"}

# Baselines are to be beaten, not to be good: more rows would only cost time.
_MOST_ROWS, _MOST_IMAGES = 10_000, 2_000
_FEWEST_ROWS = 10
_SIDE, _LEVELS = 48, 4


@dataclass(frozen=True)
class Material:
    """Rows to learn from and rows to answer.

    Parameters
    ----------
    X : DataFrame of shape (n_train, n_columns)
    y : Series of shape (n_train,)
    X_test : DataFrame of shape (n_test, n_columns)
        By id, the ids of the sample submission in its order; the columns of `X`.
    of_images : bool
        Whether the columns are shares of colours.
    """

    X: pd.DataFrame
    y: pd.Series
    X_test: pd.DataFrame
    of_images: bool = False


def material_of(folder: Path, names: Sequence[str], competition: Competition, sample: pd.DataFrame) -> Material | None:
    """What can be learnt from: the columns that train.csv and test.csv share, else the images named by ids.

    Returns
    -------
    Material or None
        None when there is neither, or too few rows; a large table is cut to 10,000 rows, 2,000 for images.
    """
    if "train.csv" not in names or competition.task == "image-segmentation":
        return None
    train = read_table(folder / "train.csv", id_column=competition.id)
    if competition.target not in train or competition.id not in train:
        return None
    train = train.dropna(subset=[competition.target]).set_index(competition.id)
    ids = pd.Index(sample[competition.id])
    if competition.has_images:
        train = _fewer(train, _MOST_IMAGES)
        found = _images(folder, names, train, competition.target, ids)
    else:
        found = _table(folder, names, _fewer(train, _MOST_ROWS), competition, ids)
    if found is None or len(found.X) < _FEWEST_ROWS or found.y.nunique() < 2 or not found.X.shape[1]:
        return None
    return found


def _fewer(train: pd.DataFrame, most: int) -> pd.DataFrame:
    return train if len(train) <= most else train.sample(most, random_state=0)


def _table(
    folder: Path, names: Sequence[str], train: pd.DataFrame, competition: Competition, ids: pd.Index
) -> Material | None:
    if "test.csv" not in names:
        return None
    test = read_table(folder / "test.csv", id_column=competition.id)
    if competition.id not in test:
        return None
    test = test.set_index(competition.id)
    if test.index.has_duplicates or not ids.isin(test.index).all():
        return None
    shared = [c for c in train.columns if c in test.columns and c not in competition.target_columns]
    X, X_test = train[shared], test.loc[ids, shared]
    useful = [c for c in shared if X[c].nunique() > 1 and not _is_code(X[c])]
    return Material(X[useful].apply(_dated), train[competition.target], X_test[useful].apply(_dated))


def _is_code(values: pd.Series) -> bool:
    return bool(not types.is_numeric_dtype(values) and values.nunique() > 0.9 * len(values))


def _dated(values: pd.Series) -> pd.Series:
    """Dates as days, so that a model can compare them; everything else as it is."""
    if types.is_numeric_dtype(values) or not values.dropna().head(20).astype(str).str.match(r"\d{4}-\d\d-\d\d").all():
        return values
    dates = pd.to_datetime(values, errors="coerce", utc=True)
    return (dates - pd.Timestamp("1970-01-01", tz="UTC")).dt.total_seconds() / 86_400


def image_paths(names: Sequence[str], ids: Sequence[object], part: str) -> list[str | None]:
    """For each id, the image of that name (with or without its suffix) in the training or test part.

    Parameters
    ----------
    names : sequence of str
        Files, relative, with forward slashes.
    ids : sequence
    part : {"train", "test"}
        Files whose path speaks of the other part are left out.
    """
    other = {"train": "test", "test": "train"}[part]
    known: dict[str, str] = {}
    for name in names:
        path = PurePosixPath(name)
        if path.suffix.lower() in IMAGE_SUFFIXES and other not in name.lower():
            known[path.name] = known[path.stem] = name
    return [known.get(str(i)) for i in ids]


def _images(folder: Path, names: Sequence[str], train: pd.DataFrame, target: str, ids: pd.Index) -> Material | None:
    if importlib.util.find_spec("PIL") is None:
        return None
    paths = image_paths(names, train.index.tolist(), "train")
    test_paths = image_paths(names, ids.tolist(), "test")
    if None in test_paths or sum(p is not None for p in paths) < _FEWEST_ROWS:
        return None
    there = np.array([p is not None for p in paths])
    X = _colours([folder / p for p in paths if p is not None])
    X_test = _colours([folder / p for p in test_paths if p is not None])
    if X is None or X_test is None:
        return None
    y = train.loc[there, target]
    return Material(X.set_axis(y.index), y, X_test.set_axis(ids), of_images=True)


def _colours(paths: Sequence[Path]) -> pd.DataFrame | None:
    """The share of each of 64 colours in each image; None when one cannot be read."""
    from PIL import Image, UnidentifiedImageError

    rows = []
    for path in paths:
        try:
            with Image.open(path) as image:
                image.draft("RGB", (2 * _SIDE, 2 * _SIDE))  # JPEG gives a small picture at a fraction of the cost
                pixels = np.asarray(image.convert("RGB").resize((_SIDE, _SIDE)))
        except (UnidentifiedImageError, OSError):
            return None
        rows.append(_histogram(pixels))
    return pd.DataFrame(np.array(rows).reshape(len(rows), _LEVELS**3)).add_prefix("colour_")


def _histogram(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    levels = (pixels.reshape(-1, 3) // (256 // _LEVELS)).astype(np.int64)
    codes = (levels[:, 0] * _LEVELS + levels[:, 1]) * _LEVELS + levels[:, 2]
    return np.bincount(codes, minlength=_LEVELS**3) / len(codes)
