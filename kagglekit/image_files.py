"""Image files in folders: which there are, and the labels that their folders or names give them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from kagglekit.errors import ConfigError, DataError, UsageError, nearest, preview

__all__ = ["FOLDER", "IMAGES", "ids_of", "image_names", "label_rows", "named_images", "pattern_of"]

IMAGES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
"""Endings that make a file an image, in lower case."""

FOLDER = "folder"
"""The word for labels that are the names of the folders that hold the images."""


def image_names(folder: Path) -> list[str]:
    """Images in a folder and in those below it, by their path inside it, sorted; hidden files are left out."""
    found = (p.relative_to(folder) for p in folder.rglob("*") if p.suffix.lower() in IMAGES and p.is_file())
    return sorted(p.as_posix() for p in found if not any(part.startswith(".") for part in p.parts))


def named_images(given: Iterable[Path]) -> list[Path]:
    """Files as they are given, and the images of folders among them; each once.

    Raises
    ------
    UsageError
        A path is not there, or a folder holds no image.
    """
    found: list[Path] = []
    for path in given:
        inside = [path / name for name in image_names(path)] if path.is_dir() else [path]
        if not inside:
            raise UsageError(f"The folder {path} holds no images.", hint=f"Images end with {', '.join(IMAGES)}.")
        if not path.exists():
            raise UsageError(f"There is no file {path}.")
        found += inside
    return list(dict.fromkeys(found))


def pattern_of(labels: str, target: str, where: str) -> re.Pattern[str]:
    """The regular expression that finds labels in the paths of images.

    Parameters
    ----------
    labels : str
        "folder", or a regular expression with one group, which is the label, or with named groups, which are columns;
        one of these has the target's name.
    target : str
    where : str
        Where it is written, for messages.

    Raises
    ------
    ConfigError
        It is no regular expression, or has not the groups.
    """
    if labels == FOLDER:
        return re.compile(rf"(?:.*/)?(?P<{_group(target, where)}>[^/]+)/[^/]+")
    try:
        pattern = re.compile(labels)
    except re.error as error:
        raise ConfigError(f"{where}: {labels!r} is no regular expression: {error}.") from error
    if pattern.groups == 1 and not pattern.groupindex:
        return pattern
    if target not in pattern.groupindex:
        hint = nearest(target, pattern.groupindex) if pattern.groupindex else r'labels = "(.+)_\\d+\\.jpg"'
        raise ConfigError(f"{where}: the pattern needs one group for the label '{target}'.", hint=hint)
    return pattern


def _group(target: str, where: str) -> str:
    if not target.isidentifier():
        raise ConfigError(f"{where}: a target that folders name must be a plain word, got '{target}'.")
    return target


def label_rows(folder: Path, pattern: re.Pattern[str], target: str, where: str) -> pd.DataFrame:
    """The images of a folder with their labels.

    Parameters
    ----------
    folder : Path
    pattern : Pattern
        See `pattern_of`; it must match the whole path inside the folder, or, for labels in names, the file's name.
    target : str
    where : str
        Where folder and pattern are written, for messages.

    Returns
    -------
    DataFrame
        One row for each image: "file" is its path inside the folder, then the groups of the pattern.

    Raises
    ------
    DataError
        The folder holds no images, one does not match, or all have one label.
    """
    names = image_names(folder)
    if not names:
        raise DataError(f"{where}: there are no images in {folder}.", hint=f"Images end with {', '.join(IMAGES)}.")
    matches = [pattern.fullmatch(name) or pattern.fullmatch(name.rpartition("/")[2]) for name in names]
    if lost := [name for name, match in zip(names, matches, strict=True) if match is None]:
        raise DataError(
            f"{where}: {len(lost)} of {len(names)} images do not match {pattern.pattern!r}: {preview(lost)}.",
            hint="The whole name must match, with its ending; mend the pattern, or move these files away.",
        )
    columns = list(pattern.groupindex) or [target]
    rows = [match.groups() for match in matches if match is not None]
    frame = pd.DataFrame(_named(rows, pattern), columns=columns).assign(file=names)
    if frame[target].isna().any() or (frame[target] == "").any():
        raise DataError(
            f"{where}: {pattern.pattern!r} finds an empty label.", hint="Use .+ instead of .* in the group."
        )
    if frame[target].nunique() < 2:
        raise DataError(
            f"{where}: all {len(names)} images have the label '{frame[target].iloc[0]}'.",
            hint="Is the folder the one above those of the labels?",
        )
    return frame[["file", *columns]]


def ids_of(names: Sequence[str], ids: Sequence[object], where: str) -> list[object]:
    """The id of each image: that of `ids` which is its path, its name, or its name without ending.

    Raises
    ------
    DataError
        No such rule gives each image another id, or the ids that come out are others.
    """
    known = {str(id_): id_ for id_ in ids}
    rules = (str, lambda name: Path(name).name, lambda name: Path(name).stem)
    for rule in rules:
        found = [known.get(rule(name)) for name in names]
        if len(set(found)) == len(known) == len(names) and None not in found:
            return found
    lost = sorted(set(known) - {rule(name) for rule in rules for name in names})
    raise DataError(
        f"{where}: the {len(names)} images are not those of the sample submission, which has {len(known)} ids"
        f"{f'; without an image: {preview(lost)}' if lost else ''}.",
        hint="An id is an image's path in the folder, its name, or its name without ending.",
    )


def _named(rows: Sequence[tuple[str | None, ...]], pattern: re.Pattern[str]) -> list[tuple[str | None, ...]]:
    """Of each match the named groups, in their order; or its one group."""
    places = [number - 1 for number in pattern.groupindex.values()] or [0]
    return [tuple(row[place] for place in places) for row in rows]
