"""The predicted probability of the true class: all that the log loss looks at, a fraction of the whole matrix."""

from __future__ import annotations

import errno
import hashlib
import math
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from kagglekit.blend.problem import Problem

__all__ = ["TrueClass"]

Array = npt.NDArray[Any]

# Sums of a row of float32 probabilities are this near to one.
_NOISE = 2e-6


@dataclass(frozen=True, eq=False)
class TrueClass:
    """The true-class column of each model.

    Of a memory map these are memory maps too: files beside it, `<name>.true-class-<hash>.npy`, which the next fit on
    the same truth finds again. Where that folder cannot be written, they are temporary files.

    Parameters
    ----------
    C : ndarray of float32, shape (n_models, n_rows)
        Read-only.
    totals : ndarray of float32, shape (n_models, n_rows) or (0, 0)
        Sums of each model's rows, as the metric divides a row of the blend by its sum. Empty where all are one within
        the noise of float32 (2e-6); a blend of such members needs no division.
    lowest : float
        Of all values of `C`.
    """

    C: Array
    totals: Array
    lowest: float

    @classmethod
    def of(cls, problem: Problem, loops: ModuleType) -> Self:
        """Read the matrix once, or take what an earlier fit left beside it.

        Parameters
        ----------
        problem : Problem
            Of probabilities: one column for each class.
        loops : module
            Kernels of the family "log_loss".
        """
        P, codes = _frozen(problem.P), np.ascontiguousarray(problem.truth, dtype=np.int64)
        source = _memory_map(problem.P)
        if source is None:
            return cls._gathered(P, codes, loops, _Memory(P.shape[:2]))
        try:
            files = _Beside(P.shape[:2], _stem(source, P, codes))
            return cls._opened(files) if files.exist() else cls._gathered(P, codes, loops, files)
        except OSError:  # the folder is gone, full or read-only, as Kaggle's input folders are
            return cls._gathered(P, codes, loops, _Temporary(P.shape[:2]))

    @classmethod
    def _gathered(cls, P: Array, codes: Array, loops: ModuleType, room: _Memory) -> Self:
        C = room.make("true-class")
        lowest, farthest = loops.gather(P, codes, C)
        totals = np.empty((0, 0), dtype=np.float32)
        if farthest > _NOISE:
            totals = room.make("row-total")
            loops.gather_totals(P, totals)
            totals = room.keep(totals, "row-total")
        room.note(lowest)
        # Last, as it is what says that the files are whole.
        return cls(room.keep(C, "true-class"), totals, float(lowest))

    @classmethod
    def _opened(cls, files: _Beside) -> Self:
        has_totals = files.path("row-total").exists()
        totals = files.open("row-total") if has_totals else np.empty((0, 0), dtype=np.float32)
        return cls(files.open("true-class"), totals, float(files.open("lowest")[0]))


@dataclass(frozen=True)
class _Memory:
    """Room for arrays of one shape, in memory."""

    shape: tuple[int, ...]

    def make(self, name: str) -> Array:
        return np.empty(self.shape, dtype=np.float32)

    def keep(self, values: Array, name: str) -> Array:
        return _frozen(values)

    def note(self, lowest: float) -> None:
        """Write down what a later fit should not have to look for."""


@dataclass(frozen=True)
class _Temporary(_Memory):
    """Room in files that vanish with the arrays."""

    def make(self, name: str) -> Array:
        with tempfile.TemporaryFile() as file:
            return np.memmap(file, dtype=np.float32, mode="w+", shape=self.shape)


@dataclass(frozen=True)
class _Beside(_Memory):
    """Room in files beside the matrix; they appear under their name when they are whole."""

    stem: Path

    def path(self, name: str) -> Path:
        return self.stem.with_name(self.stem.name.replace("*", name))

    def exist(self) -> bool:
        return self.path("true-class").exists()

    def open(self, name: str) -> Array:
        return _frozen(np.load(self.path(name), mmap_mode="r"))

    def make(self, name: str) -> Array:
        needed = 4 * math.prod(self.shape)
        # Writing to a mapped file on a full disk ends the process, and no exception says so.
        if shutil.disk_usage(self.stem.parent).free < 1.1 * needed:
            raise OSError(errno.ENOSPC, "No room for the true-class column", str(self.stem.parent))
        return np.lib.format.open_memmap(self._draft(name), mode="w+", dtype=np.float32, shape=self.shape)

    def keep(self, values: Array, name: str) -> Array:
        self._draft(name).replace(self.path(name))
        return _frozen(values)

    def note(self, lowest: float) -> None:
        noted = np.lib.format.open_memmap(self._draft("lowest"), mode="w+", dtype=np.float32, shape=(1,))
        noted[0] = lowest
        self.keep(noted, "lowest")

    def _draft(self, name: str) -> Path:
        path = self.path(name)
        return path.with_name(f".{path.name}.{os.getpid()}.part")


def _frozen(values: Array) -> Array:
    """A read-only view that is a plain array, so that compiled loops meet one type only."""
    view = np.asarray(values).view()
    view.flags.writeable = False
    return view


def _memory_map(P: Array) -> np.memmap[Any, Any] | None:
    """The memory map of a file that `P` is, or is a view of."""
    found: Any = P
    while isinstance(found, np.ndarray):
        if isinstance(found, np.memmap) and found.filename is not None and not isinstance(found.base, np.ndarray):
            return found
        found = found.base
    return None


def _stem(source: np.memmap[Any, Any], P: Array, codes: Array) -> Path:
    """A path whose name tells the file, the part of it that `P` is, and the truth; "*" stands for what is kept."""
    path = Path(str(source.filename))
    facts = path.stat()
    start = P.ctypes.data - source.ctypes.data + source.offset
    key = hashlib.sha256(repr((facts.st_size, facts.st_mtime_ns, start, P.shape, P.strides)).encode())
    key.update(codes.tobytes())
    return path.with_name(f"{path.stem}.*-{key.hexdigest()[:16]}.npy")
