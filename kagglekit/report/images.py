"""Small copies of image files, as data URIs."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path

from kagglekit.errors import MissingExtra

__all__ = ["Thumbnail", "thumbnail"]

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
    try:
        from PIL import Image, ImageOps
    except ImportError as error:
        raise MissingExtra("Images in a report", "pillow", "vision") from error
    try:
        with Image.open(path) as opened:
            small = ImageOps.exif_transpose(opened).convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    small.thumbnail((_SIDE, _SIDE))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=_QUALITY)
    uri = f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
    return Thumbnail(uri, *small.size)
