"""Cutting a hidden test set out of one labelled table, or out of a folder of images sorted by label."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import pandas as pd
from pandas.api import types

from kagglekit.arena.hosted import SOLUTION, USAGE, read_table
from kagglekit.arena.leaks import thumbnails
from kagglekit.arena.material import IMAGE_SUFFIXES
from kagglekit.duplicates.images import image_links
from kagglekit.duplicates.links import as_groups
from kagglekit.duplicates.rows import row_links
from kagglekit.errors import DataError, UsageError, nearest, preview
from kagglekit.files import sha256
from kagglekit.folds import carve

__all__ = ["Cut", "How", "Ready", "ready"]

How = Literal["random", "stratified", "group", "time"]

_PRIVATE_SHARE = 0.7
_MOST_CLASSES = 20
_FEWEST = 10
_DATE = r"\d{4}-\d\d?-\d\d?"


@dataclass(frozen=True)
class Cut:
    """How a test set is cut.

    Parameters
    ----------
    target : str, optional
        The column to predict; needed for a table.
    id : str, optional
        The column that names rows. By default one called "id", else new numbers without any order.
    how : {"random", "stratified", "group", "time"}, optional
        By default stratified for labels, else random.
    by : str, optional
        The column of groups, none of which is then on both sides, or of times, the latest of which are hidden.
    share : float
        Share of the rows that are hidden, between 0 and 1.
    seed : int

    Raises
    ------
    UsageError
        The settings contradict each other.
    """

    target: str | None = None
    id: str | None = None
    how: str | None = None
    by: str | None = None
    share: float = 0.3
    seed: int = 0

    def __post_init__(self) -> None:
        if self.how not in (None, *get_args(How)):
            raise UsageError(f"A cut is one of {', '.join(get_args(How))}; got '{self.how}'.")
        if (self.how in ("group", "time")) != (self.by is not None):
            raise UsageError("A cut by group or time needs --by COLUMN, and no other cut takes it.")
        if not 0 < self.share < 1:
            raise UsageError(f"The hidden share must lie between 0 and 1, got {self.share}.")


@dataclass(frozen=True)
class Ready:
    """A folder that `hosting.create` takes.

    Parameters
    ----------
    folder : Path
    notes : tuple of str
        What was decided on the way.
    group, time : str, optional
        The column that the cut went by.
    """

    folder: Path
    notes: tuple[str, ...] = ()
    group: str | None = None
    time: str | None = None


@contextmanager
def ready(source: Path, home: Path, cut: Cut) -> Iterator[Ready]:
    """A competition folder for as long as the block runs: the source itself, or one that is cut out of it.

    Parameters
    ----------
    source : Path
        A folder with `solution.csv` is taken as it is. One labelled CSV file, or a folder that holds a folder of
        images for each label, is cut.
    home : Path
        The arena's home; what is cut lies there meanwhile.
    cut : Cut

    Raises
    ------
    DataError
        The source is none of these, or nothing can be cut from it.
    UsageError
        A column that was named is not there, or the target was not named.
    """
    if source.is_dir() and ((source / SOLUTION).exists() or not _label_folders(source)):
        if cut != Cut():
            raise UsageError(
                f"{source} is a whole competition or none: --target, --id, --cut, --by and --test-share are for one "
                "labelled CSV file, or a folder of images sorted by label."
            )
        yield Ready(source)
        return
    home.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=".cut-", dir=home))
    try:
        yield _cut_images(source, work, cut) if source.is_dir() else _cut_table(source, work, cut)
    finally:
        shutil.rmtree(work)


# Tables


def _cut_table(source: Path, work: Path, cut: Cut) -> Ready:
    if not source.is_file():
        raise DataError(f"There is no file or folder {source}.")
    table = read_table(source)
    if cut.target is None:
        raise UsageError(
            f"Which column of {source.name} is to be predicted?",
            hint=f"Name it with --target; there are {preview(table.columns, 12)}.",
        )
    for what, column in (("--target", cut.target), ("--id", cut.id), ("--by", cut.by)):
        if column is not None and column not in table:
            raise UsageError(f"{what}: {source.name} has no column '{column}'.", hint=nearest(column, table.columns))
    notes = []
    if missing := int(table[cut.target].isna().sum()):
        notes.append(f"{missing} row(s) without '{cut.target}' were left out.")
        table = table.dropna(subset=[cut.target])
    if len(table) < _FEWEST:
        raise DataError(f"{source.name} has {len(table)} labelled row(s); {_FEWEST} are needed to cut a test set.")
    rng = np.random.default_rng([cut.seed, 15])
    table, key, note = _with_ids(source, table, cut, rng)
    sides = _Sides(table.set_index(key), cut, cut.target)
    test_ids, more = sides.hidden()
    usage, notes = sides.usage(test_ids), [*notes, note, *more]
    # Rows in an order of their own: the source may be sorted by what is to be predicted.
    table = table.iloc[rng.permutation(len(table))]
    _write(
        work, table[~table[key].isin(test_ids.union(sides.dropped))], table[table[key].isin(test_ids)], key, cut, usage
    )
    by = {cut.how: cut.by}
    return Ready(work, tuple(n for n in notes if n), group=by.get("group"), time=by.get("time"))


def _with_ids(source: Path, table: pd.DataFrame, cut: Cut, rng: np.random.Generator) -> tuple[pd.DataFrame, str, str]:
    """The table with a column of ids, its name, and what was decided."""
    named = [c for c in table.columns if str(c).lower() == "id"] if cut.id is None else [cut.id]
    if named:
        table = read_table(source, id_column=named[0]).loc[table.index]
        ids = table[named[0]]
        if ids.notna().all() and ids.is_unique:
            return table, str(named[0]), ""
        if cut.id is not None:
            raise DataError(f"{source.name}: '{cut.id}' does not name each row once.", hint="Leave --id out.")
    key = next(name for name in ("row_id", "row_number", "new_row_id") if name not in table)
    table = table.assign(**{key: rng.permutation(len(table)) + 1})[[key, *table.columns]]
    return table, key, f"Rows got new numbers as '{key}', in no order."


def _write(
    work: Path, train: pd.DataFrame, test: pd.DataFrame, key: str, cut: Cut, usage: pd.Series, table: bool = True
) -> None:
    target = str(cut.target)
    first = train[target].mode().iloc[0] if _is_label(train[target]) else train[target].median()
    files = {
        "train.csv": train,
        "sample_submission.csv": test[[key]].assign(**{target: first}),
        SOLUTION: test[[key, target]].assign(**{USAGE: usage.loc[test[key]].to_numpy()}),
    }
    if table:
        files["test.csv"] = test.drop(columns=target)
    for name, frame in files.items():
        frame.to_csv(work / name, index=False)


def _is_label(target: pd.Series) -> bool:
    if not types.is_numeric_dtype(target):
        return True
    return bool((target % 1 == 0).all() and target.nunique() <= _MOST_CLASSES)


@dataclass
class _Sides:
    """Which rows are hidden; rows that are copies of each other stay on one side."""

    rows: pd.DataFrame
    cut: Cut
    target: str
    dropped: pd.Index = field(default_factory=lambda: pd.Index([]))

    def hidden(self) -> tuple[pd.Index, list[str]]:
        """Ids of the hidden rows, and what was decided."""
        how = self.cut.how or ("stratified" if _is_label(self.rows[self.target]) else "random")
        features = self.rows.drop(columns=self.target)
        links = row_links(features, tolerance=0.0, all_but_one=False).links if features.shape[1] else pd.DataFrame()
        n = len(links)
        if how == "time":
            hidden = self._carved(self.rows.index, how, self.cut.share)
            copies = as_groups(links, self.rows.index) if n else pd.Series(self.rows.index, self.rows.index)
            twice = copies.isin(copies.loc[hidden]) & ~self.rows.index.isin(hidden)
            self.dropped = self.rows.index[twice]
            said = [f"{len(self.dropped)} earlier row(s) were left out: they are equal to hidden ones."] * bool(
                twice.any()
            )
            return hidden, [self._told(how, hidden), *said]
        groups = self.rows[str(self.cut.by)] if how == "group" else None
        if groups is not None and groups.isna().any():
            raise DataError(f"--by: '{self.cut.by}' is empty in {int(groups.isna().sum())} row(s).")
        if n:
            groups = as_groups(links, self.rows.index, groups=groups)
        said = [f"{n} pair(s) of equal rows were kept on one side."] * bool(n)
        hidden = self._carved(self.rows.index, how, self.cut.share, groups)
        return hidden, [self._told(how, hidden), *said]

    def usage(self, hidden: pd.Index) -> pd.Series:
        """Usage by id: 30 % public, cut as the hidden rows were; with time, the earliest ones."""
        how = self.cut.how or "random"
        groups = self.rows.loc[hidden, str(self.cut.by)] if how == "group" else None
        if groups is not None and groups.nunique() < 2:
            groups, how = None, "random"
        private = self._carved(hidden, how, _PRIVATE_SHARE, groups)
        return pd.Series(np.where(hidden.isin(private), "Private", "Public"), index=hidden)

    def _carved(self, ids: pd.Index, how: str, share: float, groups: pd.Series | None = None) -> pd.Index:
        y = self.rows.loc[ids, self.target] if how == "stratified" and groups is None else None
        time = _times(self.rows.loc[ids, str(self.cut.by)]) if how == "time" else None
        return carve(ids, y=y, groups=groups, time=time, fraction=share, seed=self.cut.seed)[1]

    def _told(self, how: str, hidden: pd.Index) -> str:
        by = f" by '{self.cut.by}'" if self.cut.by else ""
        return f"{len(hidden):,} of {len(self.rows):,} rows were hidden, cut {how}{by}."


def _times(values: pd.Series) -> pd.Series:
    if types.is_numeric_dtype(values):
        return values
    if not values.astype(str).str.match(_DATE).all():
        raise DataError(
            f"--by: '{values.name}' holds neither numbers nor dates such as 2024-12-31; it holds {values.iloc[0]!r}."
        )
    return pd.to_datetime(values, utc=True, format="ISO8601")


# Images


def _label_folders(source: Path) -> dict[str, list[Path]]:
    """Images by label, for a folder that holds nothing but one folder for each label."""
    if any(source.glob("*.csv")):
        return {}
    folders = [p for p in sorted(source.iterdir()) if p.is_dir() and not p.name.startswith(".")]
    found = {p.name: [f for f in sorted(p.iterdir()) if f.suffix.lower() in IMAGE_SUFFIXES] for p in folders}
    return {label: files for label, files in found.items() if files}


def _cut_images(source: Path, work: Path, cut: Cut) -> Ready:
    found = _label_folders(source)
    if cut.by is not None or cut.id is not None:
        raise UsageError("Images sorted by label have no columns to cut or name them by.")
    target = cut.target or "label"
    rng = np.random.default_rng([cut.seed, 16])
    files = pd.DataFrame([(f, label) for label, paths in found.items() for f in paths], columns=["file", target])
    if len(files) < _FEWEST or len(found) < 2:
        raise DataError(f"{source} needs two labels and {_FEWEST} images, got {len(found)} and {len(files)}.")
    if links := [f for f in files["file"] if f.is_symlink()]:
        raise DataError(f"{source} holds symbolic links, which could lead anywhere: {preview(f.name for f in links)}.")
    # A new name says nothing: an old one often holds the label, or the order in which pictures were taken.
    number = pd.Series(rng.permutation(len(files)) + 1).astype(str).str.zfill(len(str(len(files))))
    files["image"] = number + files["file"].map(lambda f: f.suffix.lower())
    files = files.sort_values("image", ignore_index=True)
    groups, notes = _alike(files)
    hidden, told = _hidden_images(files, target, groups, cut)
    for file, image, label in zip(files["file"], files["image"], files[target], strict=True):
        place = work / "test_images" if image in hidden else work / "train_images" / label
        place.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, place / image)  # without the file's times
    table = files[["image", target]]
    is_test = table["image"].isin(hidden)
    private = carve(pd.Index(hidden), fraction=_PRIVATE_SHARE, seed=cut.seed)[1]
    usage = pd.Series(np.where(hidden.isin(private), "Private", "Public"), index=hidden)
    _write(work, table[~is_test], table[is_test], "image", Cut(target=target), usage, table=False)
    return Ready(work, (*told, *notes))


def _alike(files: pd.DataFrame) -> tuple[pd.Series, list[str]]:
    """A group for each image, by name: those that are equal or look alike are one."""
    ids = pd.Index(files["image"])
    links = image_links(thumbnails(files["file"].tolist()), ids)
    same = files["file"].map(sha256)
    equal = int(same.duplicated().sum())
    # Equal bytes give equal pictures, so that their links are among those that look alike.
    notes = [f"{len(links)} pair(s) of images that look alike were kept on one side ({equal} copies by the byte)."]
    return as_groups(links, ids), notes if len(links) else []


def _hidden_images(files: pd.DataFrame, target: str, groups: pd.Series, cut: Cut) -> tuple[pd.Index, list[str]]:
    how = cut.how or "stratified"
    first = groups.drop_duplicates()
    units = pd.Index(first.to_numpy())
    y = files.set_index("image")[target].loc[units] if how == "stratified" else None
    chosen = carve(units, y=y, fraction=cut.share, seed=cut.seed)[1]
    hidden = pd.Index(groups.index[groups.isin(chosen)])
    return hidden, [f"{len(hidden):,} of {len(files):,} images were hidden under new names, cut {how}."]
