"""What a model is given, turned back into pictures that a person can look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

__all__ = ["Seen"]


@dataclass(frozen=True)
class Seen:
    """A batch of images as a model gets it.

    Parameters
    ----------
    rows : ndarray of int, shape (n_images,)
        Their places among the rows that were given.
    views : mapping of str to ndarray of uint8, shape (n_images, size, size, 3)
        The images by what was done to them. Values beyond black and white are cut off for showing.
    words : str
        Which batch it is, and what was done to it.
    """

    rows: np.ndarray
    views: Mapping[str, np.ndarray]
    words: str
