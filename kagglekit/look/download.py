"""The tables of a download, or the labelled folders in their place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from kagglekit.errors import ConfigError, DataError, preview
from kagglekit.image_files import FOLDER, ids_of, image_names, label_rows, pattern_of
from kagglekit.look.findings import Notes
from kagglekit.tables import read_table

__all__ = ["Download", "Labelled", "read_download"]

_NAMED = r"(.+?)[ _-]*\d+\.\w+"  # great_pyrenees_173.jpg is of the label great_pyrenees


@dataclass(frozen=True)
class Labelled:
    """Folders in the place of tables: labelled images, how they are labelled, and images to predict."""

    train: str
    labels: str
    test: str


@dataclass(frozen=True, eq=False)
class Download:
    """Rows to learn from, rows to predict, and the sample submission, each with the name of its file.

    `test` is the sample itself where test rows have no table of their own. The names of tables that folders stand for
    are "".
    """

    raw: Path
    id: str
    train_name: str
    test_name: str
    sample_name: str
    train: pd.DataFrame
    test: pd.DataFrame
    sample: pd.DataFrame
    folders: Labelled | None = None

    @property
    def has_test_table(self) -> bool:
        """Whether more is known of test rows than their ids."""
        return self.test is not self.sample

    def shared(self, targets: Sequence[str]) -> list[str]:
        """The columns that both train and test have, besides the id and the targets."""
        return [c for c in self.train.columns if c in self.test and c not in (self.id, *targets)]


def read_download(raw: Path, slug: str, notes: Notes) -> Download:
    """Read what lies in a folder.

    Raises
    ------
    DataError
        There is no training table or sample submission, or no rows in them.
    """
    found = sorted(p.relative_to(raw).as_posix() for p in [*raw.glob("*.csv"), *raw.glob("*/*.csv")])
    tables = [t for t in found if Path(t).name != "solution.csv"]
    if not any("train" in Path(t).stem.lower() for t in tables):
        samples = [t for t in tables if "submission" in Path(t).stem.lower()]
        if image_names(raw) and len(samples) == len(tables):
            return _read_folders(raw, slug, samples, notes)
    return _read_tables(raw, tables, notes)


def _read_tables(raw: Path, tables: Sequence[str], notes: Notes) -> Download:
    train_name = _table(raw, tables, "train", "a training table such as train.csv")
    sample_name = _table(raw, tables, "submission", "a sample submission such as sample_submission.csv")
    test_name = _table(raw, tables, "test", None) or sample_name
    columns = [str(c) for c in read_table(raw / sample_name).columns]
    key, answer = columns[0], columns[1] if len(columns) > 1 else None
    train, sample = (read_table(raw / name, id_column=key, target=answer) for name in (train_name, sample_name))
    test = sample if test_name == sample_name else read_table(raw / test_name, id_column=key, target=answer)
    if sample.shape[1] < 2 or not len(sample):
        raise DataError(
            f"{sample_name} needs an id column, a target column and rows, got the columns "
            f"{list(sample.columns)} and {len(sample)} row(s)."
        )
    if not len(train):
        raise DataError(f"{train_name} has a header and no rows.", hint="Download it again.")
    notes.reasons["new"] = f"{len(train):,} training rows and {len(sample):,} rows to predict."
    if test is sample:
        notes.reasons["test"] = "Test rows have no table of their own; the sample submission lists their ids."
    return Download(raw, key, train_name, test_name, sample_name, train, test, sample)


def _table(raw: Path, tables: Sequence[str], word: str, wanted: str | None) -> str:
    """The table whose name is `word`, begins with it, or holds it; the shortest name first."""
    others = {"train", "test", "submission"} - {word}
    fits = [t for t in tables if word in Path(t).stem.lower()]
    fits = [t for t in fits if word == "submission" or not any(o in Path(t).stem.lower() for o in others)]
    if not fits and wanted:
        raise DataError(
            f"{raw} needs {wanted}; it has {preview(tables) or 'no CSV file'}.",
            hint="Rename the table that it is, or write the pipeline file by hand.",
        )
    return min(fits, key=lambda t: (not Path(t).stem.lower().startswith(word), len(t), t), default="")


def _read_folders(raw: Path, slug: str, samples: Sequence[str], notes: Notes) -> Download:
    """Labelled images in the place of a training table."""
    inside, sample_name = image_names(raw), samples[0] if samples else ""
    columns = [str(c) for c in read_table(raw / sample_name).columns] if samples else []
    key, answer = columns[0] if columns else "image", columns[1] if len(columns) == 2 else "label"
    place, labels, train = _labelled(raw, inside, answer)
    folder = _unlabelled(raw, inside, slug)
    names = image_names(raw / folder)
    sample = pd.DataFrame({key: names, answer: ""})
    if samples:
        sample = read_table(raw / sample_name, id_column=key, target=answer)
        ids_of(names, sample[key].tolist(), folder)
    notes.reasons["new"] = f"{len(train):,} labelled images and {len(sample):,} to predict."
    how = "the folder that an image lies in" if labels == FOLDER else "its name, before the number"
    notes.reasons["labels"] = f"The label is {how}: {train[answer].nunique()} in all."
    train, folders = train.rename(columns={"file": key}), Labelled(place, labels, folder)
    return Download(raw, key, "", "", sample_name, train, sample[[key]], sample, folders)


def _labelled(raw: Path, inside: Sequence[str], answer: str) -> tuple[str, str, pd.DataFrame]:
    """The folder of labelled images, how they are labelled, and the rows."""
    above = {str(p) for name in inside for p in Path(name).parents}
    places = sorted((p for p in above if "test" not in p.lower()), key=lambda p: ("train" not in p.lower(), len(p), p))
    for place in places:
        names = image_names(raw / place)
        by_folder = all(name.count("/") == 1 for name in names) and "test" not in " ".join(names).lower()
        for labels in (FOLDER,) if by_folder else (_NAMED,) if not any("/" in n for n in names) else ():
            try:
                rows = label_rows(raw / place, pattern_of(labels, answer, place), answer, place)
            except (ConfigError, DataError):
                continue
            if rows[answer].nunique() <= len(rows) / 2:
                return place, labels, rows
    raise DataError(
        f"{raw} has no training table, and no rule was found that leads from its images to labels.",
        hint="Expected train/<label>/<image>, or names such as label_12.jpg; else write [data] labels by hand.",
    )


def _unlabelled(raw: Path, inside: Sequence[str], slug: str) -> str:
    """The folder of images to predict."""
    above = {str(p) for name in inside for p in Path(name).parents if "test" in str(p).lower()}
    if not above:
        raise DataError(
            f"{raw} has labelled images and no folder of test images.",
            hint=f"Cut a hidden part: kagglekit arena create {raw} --name {slug}-practice",
        )
    return min(above, key=lambda p: (len(Path(p).parts), p))
