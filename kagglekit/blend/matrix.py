"""Predictions of several members for the same rows, as one model-major array: in memory, or a memory map on disk."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from kagglekit.contracts import Predictions, repeated
from kagglekit.errors import ConfigError, PredictionsError, StoreError, preview
from kagglekit.files import atomic_folder, read_json, write_json

__all__ = ["PredictionMatrix", "stack", "weighted"]

Array = npt.NDArray[Any]

_VALUES, _IDS, _FACTS = "values.npy", "ids.parquet", "matrix.json"


@dataclass(frozen=True, eq=False)
class PredictionMatrix:
    """Members' predictions by name, id and column.

    Parameters
    ----------
    names : tuple of str
        Members, each once.
    ids : Index of shape (n_rows,)
    columns : tuple of str
        One for each class, or the target alone.
    values : ndarray of float32, shape (n_models, n_rows, n_columns)
        `values[m]` is the table of member `names[m]`; may be a read-only memory map.

    Raises
    ------
    PredictionsError
        Names or ids are repeated, or the shape is another one.
    """

    names: tuple[str, ...]
    ids: pd.Index
    columns: tuple[str, ...]
    values: Array

    def __post_init__(self) -> None:
        expected = (len(self.names), len(self.ids), len(self.columns))
        if self.values.shape != expected:
            raise PredictionsError(
                f"{expected[0]} members of {expected[1]} rows and {expected[2]} columns need an array of shape "
                f"{expected}, got {self.values.shape}."
            )
        for what, labels in (("Members", pd.Index(self.names)), ("Rows", self.ids)):
            if twice := repeated(labels):
                raise PredictionsError(f"{what} of a matrix must differ; these come more than once: {preview(twice)}.")

    def __len__(self) -> int:
        return len(self.names)

    def save(self, folder: Path) -> Self:
        """Write the matrix to a new folder and open it from there, as a memory map.

        Raises
        ------
        StoreError
            The folder exists.
        """
        return type(self).write(folder, zip(self.names, self.values, strict=True), self.names, self.ids, self.columns)

    @classmethod
    def write(
        cls,
        folder: Path,
        tables: Iterable[tuple[str, Array]],
        names: Sequence[str],
        ids: pd.Index,
        columns: Sequence[str],
    ) -> Self:
        """Write members one by one, so that no more than one of them is in memory, and open the result.

        Parameters
        ----------
        folder : Path
            Complete or absent; it must not exist.
        tables : iterable of (str, ndarray of shape (n_rows, n_columns))
            Every member once, in the order of `names`.
        names, ids, columns
            As of the class.

        Raises
        ------
        StoreError
            The folder exists.
        PredictionsError
            Members are missing, come twice or in another order.
        """
        if folder.exists():
            raise StoreError(f"{folder} exists.", hint="Open it, or choose another folder.")
        shape = (len(names), len(ids), len(columns))
        with atomic_folder(folder) as draft:
            values = np.lib.format.open_memmap(draft / _VALUES, mode="w+", dtype=np.float32, shape=shape)
            written = []
            for layer, (name, table) in zip(values, tables, strict=True):
                layer[:] = table
                written.append(name)
            if written != list(names):
                raise PredictionsError(f"Expected the members {preview(names)} in this order, got {preview(written)}.")
            values.flush()
            ids.to_frame(index=False, name="id").to_parquet(draft / _IDS)
            write_json(draft / _FACTS, {"names": list(names), "columns": list(columns)})
        return cls.open(folder)

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open a matrix that `save` or `write` wrote; its values are read from disk as they are needed.

        Raises
        ------
        StoreError
            There is no matrix in this folder.
        """
        if not (folder / _FACTS).is_file():
            raise StoreError(f"There is no prediction matrix in {folder}.")
        facts = read_json(folder / _FACTS)
        ids = pd.Index(pd.read_parquet(folder / _IDS)["id"], name=None)
        values = np.load(folder / _VALUES, mmap_mode="r")
        return cls(tuple(facts["names"]), ids, tuple(facts["columns"]), values)


def stack(members: Mapping[str, Predictions], ids: pd.Index, columns: Sequence[str]) -> PredictionMatrix:
    """Predictions of several members for the same rows, as one matrix.

    Members come in the order of their sorted names, so that nothing depends on the order in which they were listed.

    Raises
    ------
    ConfigError
        There are no members.
    PredictionsError
        A member has other ids or columns.
    """
    if not members:
        raise ConfigError("A blend needs at least one member.")
    names = tuple(sorted(members))
    values = np.empty((len(names), len(ids), len(columns)), dtype=np.float32)
    for layer, name in zip(values, names, strict=True):
        try:
            layer[:] = members[name].aligned(ids, columns).to_numpy()
        except PredictionsError as error:
            raise PredictionsError(f"Member '{name}': {error.message}", hint=error.hint) from error
    return PredictionMatrix(names, ids, tuple(columns), values)


def weighted(weights: Array, P: Array) -> Array:
    """The weighted sum of members: float32 of shape (n_rows, n_columns).

    Members of weight nought are not read, which matters when `P` lies on disk.
    """
    used = np.flatnonzero(weights)
    if 2 * len(used) > len(P):
        return np.tensordot(np.asarray(weights, dtype=np.float32), P, axes=1)
    total = np.zeros(P.shape[1:], dtype=np.float32)
    part = np.empty_like(total)
    for member in used:
        total += np.multiply(P[member], np.float32(weights[member]), out=part)
    return total
