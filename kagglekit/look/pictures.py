"""The rule that leads from rows to image files, and what the images measure."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from pandas.api import types

from kagglekit.image_files import IMAGES
from kagglekit.look.download import Download
from kagglekit.look.findings import Notes
from kagglekit.look.target import Target

__all__ = ["Pictures", "find_pictures"]

_MEASURED = 300  # reading a header takes no time
_NO_FIELD = set("{}.[]!:")  # in a column's name these would mean something in a pattern


@dataclass(frozen=True)
class Pictures:
    """Where images lie, and what they measure.

    Parameters
    ----------
    train, test : str, optional
        Patterns such as `"train_images/{label}/{image_id}"`; None where folders give the labels.
    size : (int, int), optional
        The commonest width and height in pixels.
    square : bool
        Whether all are as wide as high.
    """

    train: str | None
    test: str | None
    size: tuple[int, int] | None = None
    square: bool = False


def find_pictures(download: Download, target: Target, notes: Notes) -> Pictures | None:
    """The images of all rows; None where there are none, or no rule leads to them."""
    if download.folders:
        place = download.raw / download.folders.train
        measured = _measured(place / name for name in download.train[download.id].head(_MEASURED))
        notes.reasons["train_folder"] = _words(measured)
        return _pictures(None, None, measured)
    raw = download.raw
    folders = sorted({p.parent for p in raw.rglob("*") if p.suffix.lower() in IMAGES})
    if not folders:
        return None
    below = {f.relative_to(raw) for f in folders}
    places = sorted({p.as_posix() for f in below for p in (f, f.parent)})
    labelled = [*(f"{{{name}}}/" for name in target.columns if not _NO_FIELD & set(name)), ""]
    find = _Patterns(raw, target.columns, download.id)
    train = find.first(download.train, [p for p in places if "test" not in p.lower()], labelled)
    test = find.first(download.test, [p for p in places if "train" not in p.lower()], [""])
    if not train or not test:
        which = download.train_name if not train else download.test_name
        notes.reasons["images"] = (
            f"There are images, but no rule was found that leads from the rows of {which} to them. If they matter, "
            'set task = "image-..." and write train_images and test_images yourself.'
        )
        return None
    measured = _measured(_paths(raw, download.train.head(_MEASURED), train))
    notes.reasons["train_images"] = (
        f"All {len(download.train):,} training rows have their file there. {_words(measured)}"
    )
    notes.reasons["test_images"] = f"All {len(download.test):,} test rows have theirs."
    return _pictures(train, test, measured)


@dataclass(frozen=True)
class _Patterns:
    """The search for a pattern that names a file for every row."""

    raw: Path
    targets: tuple[str, ...]
    id: str

    def first(self, frame: pd.DataFrame, places: Iterable[str], inner: Iterable[str]) -> str | None:
        """The first that does."""
        names = [c for c in frame.columns if c not in self.targets and not types.is_float_dtype(frame[c])]
        names = [str(c) for c in sorted(names, key=lambda c: c != self.id) if not _NO_FIELD & set(str(c))]
        for name in names:
            for place in places:
                for middle in inner:
                    for ending in ("", *IMAGES):
                        pattern = f"{place}/{middle}{{{name}}}{ending}".removeprefix("./")
                        # Nearly all that are wrong are wrong in the first row already.
                        if self._all_there(frame.head(1), pattern) and self._all_there(frame, pattern):
                            return pattern
        return None

    def _all_there(self, frame: pd.DataFrame, pattern: str) -> bool:
        paths = _paths(self.raw, frame, pattern)
        return all(path.suffix.lower() in IMAGES and path.is_file() for path in paths)


def _paths(raw: Path, frame: pd.DataFrame, pattern: str) -> Iterator[Path]:
    columns = re.findall(r"\{([^{}]+)\}", pattern)
    rows = frame[columns].astype(str).to_dict("records")
    return (raw / pattern.format_map(row) for row in rows)


def _measured(paths: Iterable[Path]) -> list[tuple[int, int]]:
    """Width and height of images."""
    if importlib.util.find_spec("PIL") is None:
        return []
    from PIL import Image, UnidentifiedImageError

    sizes: list[tuple[int, int]] = []
    for path in paths:
        try:
            with Image.open(path) as image:
                sizes.append(image.size)
        except (UnidentifiedImageError, OSError):
            continue  # `prepare` names every damaged file
    return sizes


def _usual(sizes: list[tuple[int, int]]) -> tuple[int, int]:
    return max(sorted(set(sizes)), key=sizes.count)


def _words(sizes: list[tuple[int, int]]) -> str:
    if not sizes:
        return ""
    width, height = usual = _usual(sizes)
    return f"{sizes.count(usual)} of the first {len(sizes)} are {width} wide and {height} high."


def _pictures(train: str | None, test: str | None, sizes: list[tuple[int, int]]) -> Pictures:
    if not sizes:
        return Pictures(train, test)
    return Pictures(train, test, _usual(sizes), all(width == height for width, height in sizes))
