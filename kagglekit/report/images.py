"""Small copies of image files."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kagglekit.errors import MissingExtra

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Thumbnail", "as_jpeg", "thumbnail", "upright"]

_SIDE, _QUALITY = 200, 78


@dataclass(frozen=True)
class Thumbnail:
    """A JPEG of at most 200 pixels a side; about 8 kB."""

    uri: str
    width: int
    height: int


def thumbnail(path: str | Path) -> Thumbnail | None:
    """A small upright copy of an image without the file's own notes (EXIF may name places); None if it cannot be read.

    Raises
    ------
    MissingExtra
        Pillow is not installed.
    """
    if (small := upright(path, _SIDE)) is None:
        return None
    return Thumbnail(f"data:image/jpeg;base64,{base64.b64encode(as_jpeg(small)).decode()}", *small.size)


def upright(path: str | Path, side: int) -> Image | None:
    """An image file in RGB, turned as its EXIF says, at most `side` pixels a side; None if it cannot be read.

    Raises
    ------
    MissingExtra
        Pillow is not installed.
    """
    try:
        from PIL import Image, ImageOps
    except ImportError as error:
        raise MissingExtra("Showing images", "pillow", "vision") from error
    try:
        with Image.open(path) as opened:
            small = ImageOps.exif_transpose(opened).convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    small.thumbnail((side, side))
    return small


def as_jpeg(image: Image) -> bytes:
    """A JPEG that holds pixels alone."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()
