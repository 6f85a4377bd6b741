"""Duplicates across train, test and folds, and the groups that would keep them together."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from kagglekit.dataset import Prepared
from kagglekit.drift.pictures import Pictures
from kagglekit.duplicates.crops import CROP_SIDE, crop_links
from kagglekit.duplicates.images import image_links
from kagglekit.duplicates.links import as_groups
from kagglekit.duplicates.rows import row_links

__all__ = ["Copies", "find_copies"]

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Copies:
    """What was found to come twice.

    Parameters
    ----------
    of : {"rows", "images"}
    links : DataFrame
        Columns `a`, `b` (ids), `a_side`, `b_side` ("train" or "test"), `kind` and `distance`.
    groups : Series by training id
        Training rows that links hold together, also by way of test rows; groups of the competition are kept whole.
    refused : mapping of str to int
        Kinds of likeness that chance alone brings in these data, and how many pairs it brought.
    across_folds : int
        Links between training rows that lie in different folds now.
    conflicts : int or None
        Links between training rows of different labels; None for regression.
    linked : Index
        Training ids that have a duplicate among the training rows, directly or by way of others.
    test_linked, n_test : int
        Test rows that have a duplicate among the training rows, and all.
    """

    of: str
    links: pd.DataFrame
    groups: pd.Series = field(repr=False)
    refused: Mapping[str, int]
    across_folds: int
    conflicts: int | None
    linked: pd.Index = field(repr=False)
    test_linked: int
    n_test: int

    @property
    def within_train(self) -> pd.DataFrame:
        """The links whose both ends are training rows."""
        return self.links[(self.links["a_side"] == "train") & (self.links["b_side"] == "train")]

    @property
    def across_sides(self) -> int:
        """Links between a training and a test row."""
        return int((self.links["a_side"] != self.links["b_side"]).sum())

    @property
    def train_share(self) -> float:
        """Share of training rows with a duplicate among the training rows."""
        return len(self.linked) / len(self.groups)

    @property
    def test_share(self) -> float:
        """Share of test rows with a duplicate among the training rows."""
        return self.test_linked / self.n_test

    @property
    def rarer_in_test(self) -> bool:
        """Whether test rows have clearly fewer duplicates in train: two standard errors of the difference of shares."""
        n_train = len(self.groups)
        share = (len(self.linked) + self.test_linked) / (n_train + self.n_test)
        error = math.sqrt(share * (1 - share) * (1 / n_train + 1 / self.n_test))
        return self.train_share - self.test_share > 2 * error

    def words(self) -> list[str]:
        """What was found, in plain lines."""
        lines = [f"No duplicate {self.of} in train or test."]
        if len(self.links):
            lines = [
                f"Duplicate {self.of}: {len(self.within_train)} pairs within train ({len(self.linked)} rows), "
                f"{self.across_sides} between train and test, {self._within_test} within test ({self._kinds()})."
            ]
        if len(self.within_train):
            lines.append(f"  for example {self._examples()}")
            lines.append(f"{self.across_folds} of the {len(self.within_train)} pairs within train lie across folds.")
            if self.conflicts:
                lines.append(f"{self.conflicts} of them have different labels: look at these first.")
        for kind, n_pairs in self.refused.items():
            lines.append(
                f"{n_pairs:,} pairs are '{kind}', which chance alone brings in these {self._seen}: no duplicates."
            )
        return lines

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "of": self.of,
            "pairs within train": len(self.within_train),
            "pairs between train and test": self.across_sides,
            "pairs within test": self._within_test,
            "pairs across folds": self.across_folds,
            "pairs with different labels": self.conflicts,
            "share of training rows": self.train_share,
            "share of test rows": self.test_share,
            "refused": dict(self.refused),
            "links": self.links.to_dict("records"),
        }

    @property
    def _within_test(self) -> int:
        return len(self.links) - len(self.within_train) - self.across_sides

    @property
    def _seen(self) -> str:
        return "columns" if self.of == "rows" else self.of

    def _kinds(self) -> str:
        counts = self.links["kind"].value_counts(sort=False)
        return ", ".join(f"{n} {kind}" for kind, n in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:4])

    def _examples(self, most: int = 3) -> str:
        rows = self.within_train.head(most).itertuples(index=False)
        return ", ".join(f"{row.a} = {row.b} ({row.kind})" for row in rows)


def find_copies(prepared: Prepared, pictures: Pictures | None, *, embeddings: bool = False) -> Copies:
    """Look for duplicates among the rows of train and test: by their images where there are any, else by their columns.

    Parameters
    ----------
    prepared : Prepared
    pictures : Pictures, optional
        For image competitions.
    embeddings : bool
        Whether to look for crops of images too, which a small network proposes.

    Raises
    ------
    DataError
        Millions of images are nearly alike.
    """
    links, refused = _found(prepared, pictures, embeddings)
    train_ids = prepared.train.index
    ids = np.concatenate([train_ids.to_numpy(object), prepared.test.index.to_numpy(object)])
    a, b = links["a"].to_numpy(np.int64), links["b"].to_numpy(np.int64)
    within = (a < len(train_ids)) & (b < len(train_ids))
    folds = prepared.folds.assignment.iloc[:, 0].loc[train_ids].to_numpy()
    clusters = as_groups(links, pd.RangeIndex(len(ids))).to_numpy()
    train_clusters = pd.Series(clusters[: len(train_ids)])
    # A column for each of several targets: labels conflict where one of them does.
    labels = prepared.y.to_numpy().reshape(len(train_ids), -1) if prepared.competition.is_classification else None
    return Copies(
        of="rows" if pictures is None else "images",
        links=pd.DataFrame(
            {
                "a": ids[a],
                "b": ids[b],
                "a_side": np.where(a < len(train_ids), "train", "test"),
                "b_side": np.where(b < len(train_ids), "train", "test"),
                "kind": links["kind"].to_numpy(object),
                "distance": links["distance"].to_numpy(np.int64),
            }
        ),
        groups=_groups(prepared, links),
        refused=refused,
        across_folds=int((folds[a[within]] != folds[b[within]]).sum()),
        conflicts=None if labels is None else int((labels[a[within]] != labels[b[within]]).any(axis=1).sum()),
        linked=train_ids[train_clusters.duplicated(keep=False)],
        test_linked=int(np.isin(clusters[len(train_ids) :], train_clusters).sum()),
        n_test=len(prepared.test),
    )


def _found(prepared: Prepared, pictures: Pictures | None, embeddings: bool) -> tuple[pd.DataFrame, Mapping[str, int]]:
    """Links by position, counted through train and then test: an id may be in both."""
    if pictures is not None:
        places = pd.RangeIndex(len(pictures.paths))
        links = image_links(pictures.values, places)
        if not embeddings:
            return links, {}
        crops = crop_links(pictures.at(CROP_SIDE), pictures.embeddings(), places)
        both = pd.concat([links, crops.links], ignore_index=True)
        return both.drop_duplicates(["a", "b"], ignore_index=True), crops.refused
    found = row_links(pd.concat([prepared.X, prepared.test], ignore_index=True))
    return found.links, found.refused


def _groups(prepared: Prepared, links: pd.DataFrame) -> pd.Series:
    n_train, n_rows = len(prepared.train), len(prepared.train) + len(prepared.test)
    column = prepared.competition.group
    given = None
    if column is not None:
        given = prepared.train[column].reset_index(drop=True).reindex(range(n_rows))
    positions = as_groups(links, pd.RangeIndex(n_rows), groups=given).iloc[:n_train].to_numpy()
    # Training rows come first, so that the first of a group that holds a training row is one.
    ids = prepared.train.index
    return pd.Series(ids[positions], index=ids, name="group")
