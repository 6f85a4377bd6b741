"""Image files to pixels: any mode to RGB, turned upright, resized once with a good filter."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from kagglekit.errors import ConfigError, MissingExtra, nearest
from kagglekit.models.vision.runtime import import_torch
from kagglekit.progress import Progress, Silent, Task

__all__ = [
    "PathLike",
    "Resize",
    "Size",
    "check_resize",
    "decode",
    "find_corrupt",
    "height_width",
    "in_threads",
    "pixels",
    "reason",
    "shape_of",
]

Resize = Literal["squish", "crop", "pad", "reflect"]
Size = int | tuple[int, int]
PathLike = str | Path

_ORIENTATION = 0x0112
_SWAPPED = (5, 6, 7, 8)
"""EXIF orientations whose stored width is the height as seen."""

_AT_ONCE = 16
"""Items that a thread takes in hand at once where there are many: one by one they take a tenth longer."""

# All that Pillow's decoders were seen to raise on damaged files, besides OSError for truncated ones.
_DAMAGE = (OSError, ValueError, SyntaxError, EOFError, IndexError, TypeError, OverflowError, struct.error, zlib.error)


def height_width(size: Size) -> tuple[int, int]:
    """Height and width in pixels; one number is a square."""
    return (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))


def pixels(size: Size) -> str:
    """A size in words: "128 px", or "480x360 px" for height and width."""
    return f"{size} px" if isinstance(size, int) else f"{size[0]}x{size[1]} px"


def check_resize(resize: str) -> None:
    """Refuse an unknown way of resizing.

    Raises
    ------
    ConfigError
    """
    if resize not in get_args(Resize):
        raise ConfigError(f"resize '{resize}' is unknown.", hint=nearest(resize, get_args(Resize)))


def decode(path: PathLike, height: int, width: int, resize: Resize) -> tuple[np.ndarray, tuple[int, int]]:
    """One file at a size, and the height and width that it had.

    Notes
    -----
    A JPEG can be decoded at a half, a quarter or an eighth of its size for less. That is done as long as at least twice
    the wanted size is left, and antialiased bicubic resampling does the rest: measured on photographs of leaves (480 x
    640 to 128 x 128), pixels then differ by 0.3 of 255 from those of a full decode; decoding at just above the wanted
    size would differ three times as much, and blurs the fine lesions that some classes differ by.
    """
    with _open(path) as opened:
        orientation = opened.getexif().get(_ORIENTATION, 1)
        whole = opened.size
        opened.draft("RGB", (2 * height, 2 * width) if orientation in _SWAPPED else (2 * width, 2 * height))
        is_plain = (opened.format, opened.mode, orientation, opened.size) == ("JPEG", "RGB", 1, whole)
        values = _whole_jpeg(path) if is_plain else None
        if values is None:
            values = _upright(opened, orientation)
    return _fitted(values, height, width, resize), whole if orientation in _SWAPPED else whole[::-1]


def _upright(opened: Any, orientation: int) -> np.ndarray:
    image = _as_rgb(opened)
    if orientation != 1:
        from PIL import ImageOps

        image = ImageOps.exif_transpose(image)
    return np.array(image)


def _whole_jpeg(path: PathLike) -> np.ndarray | None:
    """A JPEG by simplejpeg: the pixels that Pillow gives, in two thirds of its time; None leaves it to Pillow."""
    try:
        from simplejpeg import decode_jpeg

        return np.asarray(decode_jpeg(Path(path).read_bytes(), fastdct=False, fastupsample=False))
    except (ImportError, ValueError):  # not there, or the file is damaged: Pillow says in what way
        return None


def shape_of(path: PathLike) -> tuple[int, int] | None:
    """Height and width of an image as it is seen, by its header; None where it has none that can be read."""
    found: list[tuple[int, int]] = []

    def read() -> None:
        with _open(path) as image:
            swapped = image.getexif().get(_ORIENTATION, 1) in _SWAPPED
            found.append(image.size if swapped else image.size[::-1])

    return None if reason(read) else found[0]


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

    names = [str(path) for path in paths]
    with (progress or Silent()).task("verify images", len(names)) as task:
        reasons = in_threads(lambda path: reason(lambda: load(path)), names, task)
    return [(path, why) for path, why in zip(names, reasons, strict=True) if why]


def reason(action: Callable[[], object]) -> str:
    """Why an action on an image failed, in one line, or ""."""
    from PIL import Image

    try:
        action()
    except FileNotFoundError:
        return "there is no such file"
    except (*_DAMAGE, Image.DecompressionBombError) as error:
        return (str(error) or type(error).__name__).splitlines()[0]
    return ""


def in_threads(
    action: Callable[[Any], Any], items: Sequence[Any], task: Task, begin: Callable[[], object] | None = None
) -> list[Any]:
    """What an action gives for each item, in order; the task advances at each. Every thread calls `begin` first."""
    # Threads are enough: Pillow and torch let go of the interpreter while they decode and resize.
    n_threads = min(16, os.cpu_count() or 1)
    step = max(1, min(_AT_ONCE, len(items) // (n_threads * _AT_ONCE)))
    parts = [items[first : first + step] for first in range(0, len(items), step)]
    results: list[Any] = []
    with ThreadPoolExecutor(n_threads, initializer=begin) as pool:
        for some in pool.map(lambda part: [action(item) for item in part], parts):
            results += some
            task.advance(len(some))
    return results


def _open(path: PathLike) -> Any:
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingExtra("Reading images", "pillow", "vision") from error
    return Image.open(path)


def _as_rgb(image: Any) -> Any:
    if image.mode == "RGB":
        return image
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


def _fitted(image: np.ndarray, height: int, width: int, resize: Resize) -> np.ndarray:
    if resize == "squish":
        return _resized(image, height, width)
    if resize == "crop":
        return _resized(_middle(image, width / height), height, width)
    scale = min(width / image.shape[1], height / image.shape[0])
    inner = _resized(image, max(1, round(image.shape[0] * scale)), max(1, round(image.shape[1] * scale)))
    above, left = (height - inner.shape[0]) // 2, (width - inner.shape[1]) // 2
    around = ((above, height - inner.shape[0] - above), (left, width - inner.shape[1] - left), (0, 0))
    return np.pad(inner, around, mode="symmetric" if resize == "reflect" else "constant")


def _resized(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Antialiased bicubic resampling: Pillow's own, within one of 255, in a fifth of its time."""
    torch = import_torch("Resizing images")
    if image.shape[:2] == (height, width):
        return image
    # The picture's own axis comes first, so that torch sees channels last and leaves them there.
    x = torch.from_numpy(image)[None].permute(0, 3, 1, 2)
    found = torch.nn.functional.interpolate(x, (height, width), mode="bicubic", antialias=True)
    return np.asarray(found[0].permute(1, 2, 0).numpy())


def _middle(image: np.ndarray, aspect: float) -> np.ndarray:
    """The largest box of an aspect ratio (width by height) in the middle of an image."""
    height, width = image.shape[:2]
    w, h = max(1, min(width, round(height * aspect))), max(1, min(height, round(width / aspect)))
    top, left = (height - h) // 2, (width - w) // 2
    return image[top : top + h, left : left + w]
