"""The whole check: what tells train from test, out of bag beside validation, duplicates and what they are worth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from kagglekit.contracts import Run
from kagglekit.dataset import Prepared
from kagglekit.drift.adversarial import Adversarial, adversarial_validation
from kagglekit.drift.copies import Copies, find_copies
from kagglekit.drift.inflation import Inflation, measure_inflation
from kagglekit.drift.out_of_bag import BagGap, bag_gaps
from kagglekit.drift.pictures import FEATURES, Pictures
from kagglekit.errors import DataError, UsageError
from kagglekit.files import write_text
from kagglekit.progress import Progress, Silent

__all__ = ["Drift", "check_groups_file", "study_drift", "write_groups"]

_FEW_LINKED = 10
_PIXELS = 4


@dataclass(frozen=True)
class Drift:
    """Whether validation speaks for the test rows.

    Parameters
    ----------
    adversarial : Adversarial
    features : str
        What it looked at besides columns; "" for tables.
    gaps : tuple of BagGap
    copies : Copies
    inflation : Inflation or None
    unmeasured : str
        Why there is no inflation.
    scheme : str
        Of the folds that would keep duplicates together; "" where they are together already.
    """

    adversarial: Adversarial
    features: str
    gaps: tuple[BagGap, ...]
    copies: Copies
    inflation: Inflation | None
    unmeasured: str
    scheme: str

    def words(self) -> str:
        """What was found, as plain text in three parts."""
        first = self.adversarial.words()
        if self.features:
            first.insert(1, f"It looked at {self.features}; no network.")
        bags = [gap.words() for gap in self.gaps] or [
            "Out of bag beside validation: no forest has been trained both ways "
            '(based_on = "a forest", validation = "oob").'
        ]
        last = self.copies.words()
        last += [self.unmeasured] * bool(self.unmeasured)
        last += self.inflation.words() if self.inflation is not None else []
        last += self._meaning() + self._offer()
        return "\n\n".join("\n".join(part) for part in (first, bags, last))

    @property
    def flatters(self) -> bool:
        """Whether validation is better than test rows can expect: they gain less by duplicates than folds do."""
        return self.inflation is not None and self.inflation.is_there and self.copies.rarer_in_test

    def _meaning(self) -> list[str]:
        if self.inflation is None:
            return []
        if not self.inflation.is_there:
            return ["No inflation shows in these rows."]
        train, test = self.copies.train_share, self.copies.test_share
        shares = f"{train:.1%} of training and {test:.1%} of test rows have a duplicate"
        if self.flatters:
            return [f"{shares} in train: validation is too good. Keep duplicates in one fold."]
        return [
            f"{shares} in train: test rows gain like those of the folds, so validation speaks for them as it is.",
            "Together, duplicates show what rows would score that are new.",
        ]

    def _offer(self) -> list[str]:
        if not self.scheme:
            return []
        return [
            f'To keep duplicates in one fold: --write groups.csv beside the pipeline file, then groups = "groups.csv" '
            f'and scheme = "{self.scheme}" in [folds]. Runs are then trained anew.'
        ]

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "adversarial": self.adversarial.as_json(),
            "features": self.features,
            "out of bag": [gap.as_json() for gap in self.gaps],
            "duplicates": self.copies.as_json(),
            "validation is too good": self.flatters,
            "inflation": None if self.inflation is None else self.inflation.as_json(),
            "not measured": self.unmeasured,
            "scheme": self.scheme,
        }


def study_drift(
    prepared: Prepared,
    runs: Mapping[str, Run],
    *,
    n_trees: int = 100,
    embeddings: bool = False,
    progress: Progress | None = None,
) -> Drift:
    """Check whether validation speaks for the test rows.

    Parameters
    ----------
    prepared : Prepared
    runs : mapping of str to Run
        Finished runs by name; forests among them are looked at.
    n_trees : int
        Of the forests that tell train from test; those that measure inflation have half as many.
    embeddings : bool
        Whether to look for crops of images too; see `find_copies`.
    progress : Progress, optional

    Raises
    ------
    DataError
        There is nothing to compare, or too little.
    UsageError
        Embeddings are asked for where there are no images.
    """
    progress = progress or Silent()
    pictures = None
    if prepared.competition.has_images:
        paths = prepared.train["path"].tolist(), prepared.test["path"].tolist()
        pictures = Pictures(*paths, cache=prepared.cache, progress=progress)
    elif embeddings:
        raise UsageError(f"Embeddings are of images, and {prepared.competition.slug} has none.")
    copies = find_copies(prepared, pictures, embeddings=embeddings)
    inflation, unmeasured = _inflation(prepared, copies, pictures, n_trees // 2, progress)
    return Drift(
        adversarial=_adversarial(prepared, pictures, n_trees, progress),
        features=FEATURES if pictures else "",
        gaps=tuple(bag_gaps(prepared, runs)),
        copies=copies,
        inflation=inflation,
        unmeasured=unmeasured,
        scheme=_offered(prepared, copies),
    )


def write_groups(copies: Copies, path: Path, id_name: str) -> None:
    """Write a group for each training id as `id,group`, for the key `groups` in [folds].

    Parameters
    ----------
    copies : Copies
    path : Path
        Of a new file, or of one that was written so before.
    id_name : str
        Heading of the first column.

    Raises
    ------
    UsageError
        Something else lies there.
    """
    check_groups_file(path, id_name)
    write_text(path, copies.groups.rename_axis(id_name).to_csv(lineterminator="\n"))


def check_groups_file(path: Path, id_name: str) -> None:
    """Refuse to write over anything but a file of groups.

    Raises
    ------
    UsageError
    """
    if path.is_file():
        with path.open(encoding="utf-8", errors="replace") as file:
            if file.readline().strip() == f"{id_name},group":
                return
    if path.exists():
        raise UsageError(f"{path} is no file of groups; it was left as it is.", hint="Name a new file: groups.csv.")


def _adversarial(prepared: Prepared, pictures: Pictures | None, n_trees: int, progress: Progress) -> Adversarial:
    """Only grouped rows of which both sides know the group are held out together."""
    train, test = prepared.train, prepared.test
    extra = {} if pictures is None else pictures.blocks(train.index, test.index)
    column = prepared.competition.group
    groups = None
    if column in test.columns and not (train[column].isna().any() or test[column].isna().any()):
        groups = (train[column], test[column])
    seen = test.drop(columns=[c for c in ("path", column if groups else None) if c in test.columns])
    return adversarial_validation(train, seen, groups=groups, extra=extra, n_trees=n_trees, progress=progress)


def _inflation(
    prepared: Prepared, copies: Copies, pictures: Pictures | None, n_trees: int, progress: Progress
) -> tuple[Inflation | None, str]:
    if not len(copies.within_train):
        return None, ""
    if len(copies.linked) < _FEW_LINKED:
        return None, f"Score inflation is not measured: {len(copies.linked)} rows with a duplicate are too few."
    if not copies.across_folds:
        return None, "Duplicates lie in one fold already: there is no inflation to measure."
    X = None
    if pictures is not None:
        pixels = pictures.thumbnails(_PIXELS)[: pictures.n_train]
        X = pd.DataFrame(pixels, index=prepared.train.index).add_prefix("pixel_")
    try:
        sees = "the columns" if X is None else f"{_PIXELS} x {_PIXELS} pixels"
        return measure_inflation(prepared, copies, X=X, sees=sees, n_trees=n_trees, progress=progress), ""
    except DataError as error:
        return None, f"Score inflation is not measured: {error}"


def _offered(prepared: Prepared, copies: Copies) -> str:
    if not copies.across_folds or prepared.folds.scheme == "time":
        return ""
    return "stratified-group" if prepared.folds.scheme.startswith("stratified") else "group"
