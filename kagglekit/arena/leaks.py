"""Leaks that can be seen in a competition's files: training rows or images that are among the test ones."""

from __future__ import annotations

import importlib.util
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from kagglekit.arena.hosted import read_table
from kagglekit.arena.material import IMAGE_SUFFIXES
from kagglekit.contracts import Competition
from kagglekit.duplicates.images import SIDE, image_links
from kagglekit.duplicates.rows import row_links
from kagglekit.errors import DataError, preview
from kagglekit.files import sha256

__all__ = ["check_copies", "image_copies", "thumbnails"]

# Looking for images that are nearly alike decodes every one; for nearly equal rows, all values are sorted.
_MOST_IMAGES, _MOST_ROWS = 20_000, 200_000
_ALLOW = "Remove the copies, or host it all the same with --allow-copies."


def check_copies(
    folder: Path, names: Sequence[str], competition: Competition, *, refuse: bool = True, near: bool = True
) -> list[str]:
    """Refuse a competition whose training rows or images are among its test rows or images.

    Parameters
    ----------
    folder : Path
    names : sequence of str
        Its files.
    competition : Competition
    refuse : bool
        Whether equal ones are an error; otherwise they are noted.
    near : bool
        Whether to look for nearly equal rows, and for images that look alike, which decodes all of them.

    Returns
    -------
    list of str
        One note for each kind of copies that was found.

    Raises
    ------
    DataError
        Equal rows or byte-identical images are on both sides. Rows count only where chance would not bring them:
        tables of a few coarse columns hold equal rows by nature.
    """
    tables = _rows(folder, names, competition, near=near)
    images = image_copies(folder, names)
    equal = [*tables[:1], *([_said(images, "byte-identical image")] if images else [])]
    equal = [text for text in equal if text]
    if equal and refuse:
        raise DataError(f"{equal[0]}.", hint=_ALLOW)
    alike = _alike(folder, names, set(images)) if near else ""
    return [f"{text}." for text in (*equal, *tables[1:], alike) if text]


def image_copies(folder: Path, names: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs of a training and a test image with the same bytes."""
    train, test = _images(names)
    by_size: dict[int, list[str]] = defaultdict(list)
    for name in train:
        by_size[(folder / name).stat().st_size].append(name)
    pairs = []
    digests: dict[str, str] = {}
    for name in test:
        for other in by_size.get((folder / name).stat().st_size, ()):
            for one in (name, other):
                digests[one] = digests.get(one) or sha256(folder / one)
            if digests[name] == digests[other]:
                pairs.append((other, name))
    return pairs


def thumbnails(paths: Sequence[Path]) -> np.ndarray:
    """Images squished to the size that `kagglekit.duplicates` compares: uint8 of shape (n_images, 32, 32, 3).

    Raises
    ------
    DataError
        A file is not an image.
    """
    from PIL import Image, UnidentifiedImageError

    pictures = np.empty((len(paths), SIDE, SIDE, 3), np.uint8)
    for picture, path in zip(pictures, paths, strict=True):
        try:
            with Image.open(path) as image:
                image.draft("RGB", (4 * SIDE, 4 * SIDE))
                picture[:] = np.asarray(image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX))
        except (UnidentifiedImageError, OSError) as error:
            raise DataError(f"{path.name} is not an image that can be read: {error}.") from error
    return pictures


def _images(names: Sequence[str]) -> tuple[list[str], list[str]]:
    images = [n for n in names if PurePosixPath(n).suffix.lower() in IMAGE_SUFFIXES]
    return [n for n in images if "test" not in n.lower()], [n for n in images if "test" in n.lower()]


def _rows(folder: Path, names: Sequence[str], competition: Competition, *, near: bool) -> tuple[str, ...]:
    """What is to be said of equal rows, and of nearly equal ones; "" for nothing."""
    if not {"train.csv", "test.csv"} <= set(names):
        return ("",)
    train, test = (read_table(folder / n, id_column=competition.id) for n in ("train.csv", "test.csv"))
    shared = [c for c in train if c in test and c not in (competition.id, *competition.target_columns)]
    if competition.id not in train or competition.id not in test or not shared:
        return ("",)
    index = pd.MultiIndex.from_tuples(
        [("train.csv", i) for i in train[competition.id]] + [("test.csv", i) for i in test[competition.id]]
    )
    both = pd.concat([train[shared], test[shared]]).set_axis(np.arange(len(index)))
    if index.has_duplicates:
        return ("",)
    near = near and len(both) <= _MOST_ROWS
    found = row_links(both, tolerance=1e-3 if near else 0.0, all_but_one=near)
    links = found.links[(found.links["a"] < len(train)) != (found.links["b"] < len(train))]
    pairs = {
        kind: [tuple(sorted((int(a), int(b)))) for a, b in zip(part["a"], part["b"], strict=True)]
        for kind, part in links.groupby("kind")
    }
    shown = {kind: [(f"row {index[a][1]}", str(index[b][1])) for a, b in part] for kind, part in pairs.items() if part}
    nearly = [pair for kind, part in shown.items() if kind != "exact" for pair in part]
    return _said(shown.get("exact", []), "equal row"), _said(nearly, "nearly equal row")


def _alike(folder: Path, names: Sequence[str], known: set[tuple[str, str]]) -> str:
    train, test = _images(names)
    if not train or not test or len(train) + len(test) > _MOST_IMAGES or importlib.util.find_spec("PIL") is None:
        return ""
    paths = [*train, *test]
    try:
        links = image_links(thumbnails([folder / n for n in paths]), pd.Index(paths))
    except DataError as error:
        # A real competition may hold a damaged file; `kagglekit prepare` names them all.
        return f"Images were not looked at for likeness: {error.message.rstrip('.')}"
    sides = set(train)
    pairs = [
        (a, b) if a in sides else (b, a)
        for a, b in zip(links["a"], links["b"], strict=True)
        if (a in sides) != (b in sides)
    ]
    return _said([pair for pair in pairs if pair not in known], "image that looks alike")


def _said(pairs: Sequence[tuple[str, str]], what: str) -> str:
    if not pairs:
        return ""
    first = preview([f"{train} = {test}" for train, test in pairs], most=3)
    many = what if len(pairs) == 1 else what.replace("row", "rows").replace("image", "images").replace("looks", "look")
    return f"{len(pairs)} {many} in both training and test data ({first})"
