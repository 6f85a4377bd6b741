"""Decoded images, resized once: a store that folds, epochs, models and processes share.

Rows lie in shards, one folder for each batch of files that was new. A shard appears when it is whole and is never
changed after. A file is known by its path, size and times, so that a changed file is decoded again and nobody waits for
hashes of gigabytes at every fold.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import zlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, Self, get_args

import numpy as np

from kagglekit.errors import ConfigError, CorruptImages, MissingExtra, nearest
from kagglekit.files import atomic_folder, write_json
from kagglekit.progress import Progress, Silent

__all__ = [
    "HINT_CORRUPT",
    "DecodedImages",
    "PathLike",
    "Resize",
    "RowStore",
    "check_resize",
    "decode",
    "file_key",
    "find_corrupt",
]

Resize = Literal["squish", "crop", "pad"]
PathLike = str | Path

HINT_CORRUPT = "Download them again, or take their rows out of the training data."

_VERSION = 1
"""Part of every cache key; raised whenever decoding or resizing gives other pixels."""

_ORIENTATION = 0x0112
_SWAPPED = (5, 6, 7, 8)
"""EXIF orientations whose stored width is the height as seen."""

# All that Pillow's decoders were seen to raise on damaged files, besides OSError for truncated ones.
_DAMAGE = (OSError, ValueError, SyntaxError, EOFError, IndexError, TypeError, OverflowError, struct.error, zlib.error)


class RowStore:
    """Equally shaped arrays, one for each key, in memory or as shards below a folder.

    Parameters
    ----------
    folder : Path, optional
        None keeps everything in memory.
    shape : tuple of int
        Of one row.
    dtype : str
    """

    def __init__(self, folder: Path | None, shape: tuple[int, ...], dtype: str) -> None:
        self.folder, self.shape, self.dtype = folder, shape, np.dtype(dtype)
        self._shards: list[np.ndarray] = []
        self._names: set[str] = set()
        self._place: dict[str, tuple[int, int]] = {}
        self._refresh()

    def missing(self, keys: Iterable[str]) -> list[str]:
        """The keys that have no row yet, each once, in the order given."""
        self._refresh()
        return [key for key in dict.fromkeys(keys) if key not in self._place]

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
        for shard in np.unique(places[:, 0]):
            here = np.flatnonzero(places[:, 0] == shard)
            out[here] = self._shards[shard][places[here, 1]]
        return out

    def _include(self, keys: Sequence[str], rows: np.ndarray) -> None:
        self._place |= {key: (len(self._shards), row) for row, key in enumerate(keys)}
        self._shards.append(rows)

    def _refresh(self) -> None:
        """Take in shards that other processes have made."""
        if self.folder is None or not self.folder.is_dir():
            return
        for shard in sorted(p for p in self.folder.iterdir() if not p.name.startswith(".")):
            if shard.name in self._names:
                continue
            # Another process may be replacing this very shard by an equal one; then its rows are decoded once more.
            with suppress(OSError, ValueError):
                keys = json.loads((shard / "keys.json").read_text(encoding="utf-8"))
                rows = np.load(shard / "rows.npy", mmap_mode="r", allow_pickle=False)
                if rows.shape == (len(keys), *self.shape) and rows.dtype == self.dtype:
                    self._include(keys, rows)
                    self._names.add(shard.name)


class DecodedImages:
    """Images as uint8 RGB at one size, by path. Make one with `open`.

    Reading costs a copy out of a memory map; memory does not grow with the number of images when there is a
    `cache_dir`.
    """

    def __init__(self, store: RowStore, keys: dict[str, str]) -> None:
        self._store, self._keys = store, keys

    @classmethod
    def open(
        cls,
        paths: Iterable[PathLike],
        size: int | tuple[int, int],
        resize: Resize = "squish",
        cache_dir: PathLike | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Decode what is not in the cache yet and open the whole.

        Parameters
        ----------
        paths : iterable of str or Path
            JPEG, PNG or whatever Pillow reads; greyscale, palette, CMYK and 16-bit images become RGB, and a photograph
            is turned as its EXIF orientation says.
        size : int or (height, width)
            In pixels.
        resize : {"squish", "crop", "pad"}
            Ignore the shape, cut the middle, or add black borders.
        cache_dir : path, optional
            None decodes into memory, for this object only.
        progress : Progress, optional

        Raises
        ------
        CorruptImages
            Names every file that cannot be decoded; nothing is added to the cache.
        """
        check_resize(resize)
        height, width = (size, size) if isinstance(size, int) else size
        name = f"images-v{_VERSION}-{resize}-{height}x{width}"
        store = RowStore(Path(cache_dir) / name if cache_dir else None, (height, width, 3), "uint8")
        keys = {str(path): file_key(path) for path in paths}
        by_key = {key: path for path, key in keys.items()}
        if new := store.missing(keys.values()):
            files = [by_key[key] for key in new]
            store.add(new, lambda rows: _decode_into(rows, files, resize, progress or Silent()))
        return cls(store, keys)

    def __len__(self) -> int:
        return len(self._keys)

    def __getitem__(self, path: PathLike) -> np.ndarray:
        """One image of shape (height, width, 3)."""
        return self.take([path])[0]

    def take(self, paths: Iterable[PathLike]) -> np.ndarray:
        """Images of shape (n, height, width, 3), in the order of `paths`."""
        return self._store.take([self._keys[str(path)] for path in paths])


def find_corrupt(paths: Iterable[PathLike], progress: Progress | None = None) -> list[tuple[str, str]]:
    """The image files that cannot be decoded in full, each with the reason.

    Parameters
    ----------
    paths : iterable of str or Path
    progress : Progress, optional

    Returns
    -------
    list of (path, reason)
        In the order of `paths`; empty when all are sound. Damage that a JPEG decoder passes over in silence (grey
        blocks) is not found.
    """

    def load(path: str) -> None:
        with _open(path) as image:
            image.load()

    def try_one(path: str) -> str:
        return _reason(lambda: load(path))

    names = [str(path) for path in paths]
    reasons = _in_threads(try_one, names, "verify images", progress or Silent())
    return [(path, reason) for path, reason in zip(names, reasons, strict=True) if reason]


def decode(path: PathLike, height: int, width: int, resize: Resize) -> np.ndarray:
    """One file as an array of shape (height, width, 3), uint8."""
    from PIL import Image, ImageOps

    with _open(path) as opened:
        orientation = opened.getexif().get(_ORIENTATION, 1)
        # A JPEG can be decoded at half or a quarter of its size for less; below twice the target that costs accuracy.
        opened.draft("RGB", (2 * height, 2 * width) if orientation in _SWAPPED else (2 * width, 2 * height))
        image = _as_rgb(opened)
    if orientation != 1:
        image = ImageOps.exif_transpose(image)
    bicubic = Image.Resampling.BICUBIC
    if resize == "squish":
        image = image.resize((width, height), bicubic, reducing_gap=3.0)
    elif resize == "crop":
        image = image.resize((width, height), bicubic, box=_middle(image.size, width / height), reducing_gap=3.0)
    else:
        image = _padded(image, width, height, bicubic)
    return np.asarray(image)


def file_key(path: PathLike) -> str:
    """What a file's content is known by: its path, size, and times of modification and of change of status.

    The last tells apart two versions that were given one modification time, as `cp -p` does. A file that is not there
    has a key too, so that it is named together with the damaged ones.
    """
    full = Path(path).resolve()
    try:
        stat = full.stat()
        text = f"{full}|{stat.st_size}|{stat.st_mtime_ns}|{stat.st_ctime_ns}"
    except OSError:
        text = f"{full}|missing"
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:24]


def check_resize(resize: str) -> None:
    """Refuse an unknown way of resizing.

    Raises
    ------
    ConfigError
    """
    if resize not in get_args(Resize):
        raise ConfigError(f"resize '{resize}' is unknown.", hint=nearest(resize, get_args(Resize)))


def _open(path: PathLike) -> Any:
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingExtra("Reading images", "pillow", "vision") from error
    return Image.open(path)


def _reason(action: Callable[[], object]) -> str:
    """Why an action on an image failed, in one line, or ""."""
    from PIL import Image

    try:
        action()
    except FileNotFoundError:
        return "there is no such file"
    except (*_DAMAGE, Image.DecompressionBombError) as error:
        return (str(error) or type(error).__name__).splitlines()[0]
    return ""


def _in_threads(action: Callable[[Any], str], items: Sequence[Any], name: str, progress: Progress) -> list[str]:
    # Threads are enough: Pillow lets go of the interpreter while it decodes and resizes.
    results = []
    with progress.task(name, len(items)) as task, ThreadPoolExecutor(min(16, os.cpu_count() or 1)) as pool:
        for result in pool.map(action, items):
            results.append(result)
            task.advance()
    return results


def _decode_into(rows: np.ndarray, paths: Sequence[str], resize: Resize, progress: Progress) -> None:
    height, width = rows.shape[1:3]

    def fill(number: int) -> str:
        def action() -> None:
            rows[number] = decode(paths[number], height, width, resize)

        return _reason(action)

    reasons = _in_threads(fill, range(len(paths)), f"decode images at {height}x{width}", progress)
    if bad := [f"{path} ({reason})" for path, reason in zip(paths, reasons, strict=True) if reason]:
        raise CorruptImages(bad, hint=HINT_CORRUPT)


def _as_rgb(image: Any) -> Any:
    if image.mode in ("I", "F", "I;16", "I;16B", "I;16L"):
        from PIL import Image

        # Scanners and microscopes write 16 bits; Pillow's own conversion would cut off all above 255.
        values = np.asarray(image, dtype=np.float64)
        return Image.fromarray(np.clip(values / (257 if values.max() > 255 else 1), 0, 255).astype(np.uint8)).convert(
            "RGB"
        )
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    return image.convert("RGB")


def _middle(size: tuple[int, int], aspect: float) -> tuple[float, float, float, float]:
    """The largest box of an aspect ratio (width by height) in the middle of an image."""
    width, height = size
    w, h = min(width, height * aspect), min(height, width / aspect)
    left, top = (width - w) / 2, (height - h) / 2
    return left, top, left + w, top + h


def _padded(image: Any, width: int, height: int, filter_: Any) -> Any:
    from PIL import Image

    scale = min(width / image.width, height / image.height)
    inner = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    canvas = Image.new("RGB", (width, height))
    canvas.paste(image.resize(inner, filter_, reducing_gap=3.0), ((width - inner[0]) // 2, (height - inner[1]) // 2))
    return canvas
