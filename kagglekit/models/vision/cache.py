"""Decoded images, resized once: a store that folds, epochs, models and processes share.

Rows lie in shards, each a folder that appears when it is whole and is never changed after. A picture is known by what
its file holds, so that copies are decoded once and a changed file is decoded again.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np

from kagglekit.errors import CorruptImages
from kagglekit.files import atomic_folder, turn, write_json
from kagglekit.models.vision.content import content_keys
from kagglekit.models.vision.decoding import (
    PathLike,
    Resize,
    Size,
    check_resize,
    decode,
    height_width,
    in_threads,
    reason,
)
from kagglekit.models.vision.runtime import alone
from kagglekit.progress import Progress, Silent, Task

__all__ = ["HINT_CORRUPT", "DecodedImages", "RowStore"]

HINT_CORRUPT = "Download them again, or take their rows out of the training data."

_VERSION = 2
"""Part of every cache key; raised whenever decoding or resizing gives other pixels."""

_SHARD_BYTES = 256 << 20
"""What a killed process loses at most."""


class RowStore:
    """Equally shaped arrays, one for each key, in memory or as shards below a folder.

    Parameters
    ----------
    folder : Path, optional
        None keeps everything in memory.
    shape : tuple of int
        Of one row.
    dtype : str or dtype
    """

    def __init__(self, folder: Path | None, shape: tuple[int, ...], dtype: Any) -> None:
        self.folder, self.shape, self.dtype = folder, shape, np.dtype(dtype)
        self._shards: list[np.ndarray | _File] = []
        self._names: set[str] = set()
        self._place: dict[str, tuple[int, int]] = {}
        self._refresh()

    @property
    def row_bytes(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize

    def missing(self, keys: Iterable[str]) -> list[str]:
        """The keys that have no row yet, each once, in the order given."""
        self._refresh()
        return [key for key in dict.fromkeys(keys) if key not in self._place]

    @contextmanager
    def building(self, on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Be the only process that adds rows for as long as the block runs; others wait.

        Ask for `missing` inside the block: what was waited for is there.
        """
        if self.folder is None:
            yield
            return
        with turn(self.folder / ".building.lock", on_wait=on_wait):
            # Whoever was killed while it filled one of these holds the lock no longer.
            for left in self.folder.glob(".*.tmp"):
                shutil.rmtree(left, ignore_errors=True)
            yield

    def add(self, keys: Sequence[str], fill: Callable[[np.ndarray], None]) -> None:
        """Add rows for new keys.

        Parameters
        ----------
        keys : sequence of str
        fill : callable
            Given an array of shape (len(keys), *shape) to fill in place. What it raises leaves the store as it was.
        """
        shape = (len(keys), *self.shape)
        if self.folder is None:
            rows = np.empty(shape, self.dtype)
            fill(rows)
            self._include(keys, rows)
            return
        name = hashlib.sha256("\n".join(keys).encode()).hexdigest()[:16]
        with atomic_folder(self.folder / name) as temporary:
            rows = np.lib.format.open_memmap(temporary / "rows.npy", "w+", self.dtype, shape)
            fill(rows)
            rows.flush()
            write_json(temporary / "keys.json", list(keys))
        self._refresh()

    def take(self, keys: Sequence[str]) -> np.ndarray:
        """Rows in the order of `keys`, copied into one array of shape (len(keys), *shape)."""
        out = np.empty((len(keys), *self.shape), self.dtype)
        places = np.array([self._place[key] for key in keys], dtype=np.int64).reshape(-1, 2)
        for number in np.unique(places[:, 0]):
            here = np.flatnonzero(places[:, 0] == number)
            shard = self._shards[number]
            if isinstance(shard, _File):
                shard.read(places[here, 1], out, here, self.row_bytes)
            else:
                out[here] = shard[places[here, 1]]
        return out

    def _include(self, keys: Sequence[str], rows: np.ndarray | _File) -> None:
        self._place |= {key: (len(self._shards), row) for row, key in enumerate(keys)}
        self._shards.append(rows)

    def _refresh(self) -> None:
        """Take in shards that other processes have made."""
        if self.folder is None or not self.folder.is_dir():
            return
        for shard in sorted(p for p in self.folder.iterdir() if not p.name.startswith(".")):
            if shard.name in self._names:
                continue
            # One that was damaged since is passed over; its rows are made once more.
            with suppress(OSError, ValueError):
                keys = json.loads((shard / "keys.json").read_text(encoding="utf-8"))
                rows = np.load(shard / "rows.npy", mmap_mode="r", allow_pickle=False)
                if rows.shape == (len(keys), *self.shape) and rows.dtype == self.dtype:
                    self._include(keys, _File(shard / "rows.npy", rows.offset))
                    self._names.add(shard.name)


@dataclass(frozen=True)
class _File:
    """Rows of a file, read by position: the pages of a memory map would count as this process's own memory."""

    path: Path
    offset: int

    def read(self, rows: np.ndarray, out: np.ndarray, to: np.ndarray, row_bytes: int) -> None:
        """Copy rows of the file to places of `out`."""
        target = out.reshape(len(out), -1).view(np.uint8)
        file = os.open(self.path, os.O_RDONLY)
        try:
            for row, place in zip(rows.tolist(), to.tolist(), strict=True):
                if os.preadv(file, [target[place]], self.offset + row * row_bytes) != row_bytes:
                    raise OSError(f"{self.path} is shorter than it was; remove the folder that holds it.")
        finally:
            os.close(file)


class DecodedImages:
    """Images as uint8 RGB at one size, by path. Make one with `open`.

    Reading costs a copy out of the system's own cache of files; memory does not grow with the number of images when
    there is a `cache_dir`.
    """

    def __init__(self, store: RowStore, keys: dict[str, str]) -> None:
        self._store, self._keys = store, keys

    @classmethod
    def open(
        cls,
        paths: Iterable[PathLike],
        size: Size,
        resize: Resize = "squish",
        cache_dir: PathLike | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Decode what is not in the cache yet and open the whole.

        One process decodes; others that want the same images wait for it and read what it made.

        Parameters
        ----------
        paths : iterable of str or Path
            JPEG, PNG or whatever Pillow reads; greyscale, palette, CMYK and 16-bit images become RGB, and a photograph
            is turned as its EXIF orientation says.
        size : int or (height, width)
            In pixels.
        resize : {"squish", "crop", "pad", "reflect"}
            Ignore the shape, cut the middle, add black borders, or borders that mirror the picture.
        cache_dir : path, optional
            None decodes into memory, for this object only.
        progress : Progress, optional

        Raises
        ------
        CorruptImages
            Names every file that cannot be decoded; nothing of their shard is added to the cache.
        """
        check_resize(resize)
        height, width = height_width(size)
        name = f"images-v{_VERSION}-{resize}-{height}x{width}"
        row = [("pixels", np.uint8, (height, width, 3)), ("shape", "<i4", (2,))]
        store = RowStore(Path(cache_dir) / name if cache_dir else None, (), row)
        keys = content_keys(paths, cache_dir, progress)
        if store.missing(keys.values()):
            _Build(store, keys, resize, progress or Silent()).run()
        return cls(store, keys)

    def __len__(self) -> int:
        return len(self._keys)

    def __getitem__(self, path: PathLike) -> np.ndarray:
        """One image of shape (height, width, 3)."""
        return self.take([path])[0]

    def take(self, paths: Iterable[PathLike]) -> np.ndarray:
        """Images of shape (n, height, width, 3), in the order of `paths`."""
        return np.asarray(self.rows(paths)["pixels"])

    def rows(self, paths: Iterable[PathLike]) -> np.ndarray:
        """The same with the height and width of each file: a structured array with "pixels" and "shape"."""
        return self._store.take([self._keys[str(path)] for path in paths])


@dataclass(frozen=True)
class _Build:
    """The decoding of what a store lacks."""

    store: RowStore
    keys: dict[str, str]
    resize: Resize
    progress: Progress

    def run(self) -> None:
        with self.store.building(lambda: self.progress.say("Another process decodes these images; waiting for it.")):
            new = self.store.missing(self.keys.values())
            height, width = self.store.dtype["pixels"].shape[:2]
            with self.progress.task(f"decode images at {height}x{width}", len(new)) as task:
                bad = dict(self._shards(new, task))
        if bad:
            named = [f"{path} ({bad[key]})" for path, key in self.keys.items() if key in bad]
            raise CorruptImages(named, hint=HINT_CORRUPT)

    def _shards(self, new: Sequence[str], task: Task) -> Iterator[tuple[str, str]]:
        """Add all shards that are sound; give the keys of the files that are not, with the reason."""
        step = max(1, _SHARD_BYTES // self.store.row_bytes)
        for start in range(0, len(new), step):
            chunk = new[start : start + step]
            try:
                self.store.add(chunk, partial(self._fill, chunk=chunk, task=task))
            except _Unsound as error:
                yield from error.reasons.items()

    def _fill(self, rows: np.ndarray, chunk: Sequence[str], task: Task) -> None:
        paths = {key: path for path, key in self.keys.items()}
        height, width = rows.dtype["pixels"].shape[:2]

        def fill(number: int) -> str:
            def action() -> None:
                rows["pixels"][number], rows["shape"][number] = decode(paths[chunk[number]], height, width, self.resize)

            return reason(action)

        with alone() as begin:
            reasons = in_threads(fill, range(len(chunk)), task, begin)
        if bad := {key: why for key, why in zip(chunk, reasons, strict=True) if why}:
            raise _Unsound(bad)


class _Unsound(Exception):
    """Files of one shard that cannot be decoded, by key."""

    def __init__(self, reasons: dict[str, str]) -> None:
        self.reasons = reasons
