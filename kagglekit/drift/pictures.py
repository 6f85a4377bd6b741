"""What can be said of images without a network: small pictures of them, and facts about their files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from kagglekit.drift.blocks import Pair
from kagglekit.duplicates.images import SIDE
from kagglekit.models.vision.cache import DecodedImages
from kagglekit.models.vision.features import pooled_features
from kagglekit.progress import Progress

__all__ = ["FEATURES", "Pictures"]

Array = npt.NDArray[Any]

FEATURES = "size and weight of the files, mean and spread of the colours, 8 x 8 pixels of small pictures"
"""What stands in for the features of a network, in words."""

# Crops are proposed as well from small pictures as from large ones, and four times as fast.
_ARCH, _ARCH_SIDE = "tf_efficientnet_lite0", 128


class Pictures:
    """Every image of train and test at 32 x 32 pixels, squished.

    Parameters
    ----------
    train, test : sequence of str
        Paths.
    cache : Path
        Where decoded images may be kept.
    progress : Progress

    Raises
    ------
    CorruptImages, MissingExtra
    """

    def __init__(self, train: Sequence[str], test: Sequence[str], *, cache: Path, progress: Progress) -> None:
        self.paths, self.n_train = [*train, *test], len(train)
        self._cache, self._progress = cache, progress
        self.values = self.at(SIDE)

    def at(self, side: int) -> Array:
        """The same at another size: uint8 of shape (n_images, side, side, 3)."""
        images = DecodedImages.open(self.paths, side, "squish", cache_dir=self._cache, progress=self._progress)
        return np.asarray(images.take(self.paths))

    def embeddings(self) -> Array:
        """Features of a small frozen network: float32 of shape (n_images, n_features).

        Raises
        ------
        WeightsNotFound, MissingExtra
        """
        return pooled_features(
            self.paths, _ARCH, _ARCH_SIDE, cache_dir=str(self._cache / "features"), progress=self._progress
        )

    def thumbnails(self, side: int = 8) -> Array:
        """Pixels at `side` x `side`, a divisor of 32: float32 of shape (n_images, 3 * side ** 2)."""
        block = SIDE // side
        cells = self.values.reshape(-1, side, block, side, block, 3).mean(axis=(2, 4), dtype=np.float32)
        return np.asarray(cells.reshape(len(self.values), -1))

    def blocks(self, train_ids: pd.Index, test_ids: pd.Index) -> Mapping[str, Pair]:
        """Hand-made features of three kinds, for adversarial validation without a network."""
        flat = self.values.reshape(len(self.values), -1, 3).astype(np.float32)
        kinds = {
            "image files": np.array([_file_facts(path) for path in self.paths]),
            "colours": np.hstack([flat.mean(axis=1), flat.std(axis=1)]),
            "pixels": self.thumbnails(),
        }
        return {
            name: (pd.DataFrame(v[: self.n_train], index=train_ids), pd.DataFrame(v[self.n_train :], index=test_ids))
            for name, v in kinds.items()
        }


def _file_facts(path: str) -> tuple[float, float, float]:
    """Width and height in pixels, bytes; only the header is read."""
    from PIL import Image

    with Image.open(path) as image:
        width, height = image.size
    return float(width), float(height), float(Path(path).stat().st_size)
