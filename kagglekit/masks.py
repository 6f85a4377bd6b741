"""Masks of images as run-length text, in Kaggle's convention, and how well two of them overlap.

Pixels are numbered from 1, from top to bottom and then from left to right. A mask is pairs "start length" separated by
spaces; a mask without pixels is the empty text. Overlaps are computed on the runs, so that no image size is needed.

References
----------
https://www.kaggle.com/competitions/airbus-ship-detection/overview/evaluation (the convention)
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt

from kagglekit.errors import DataError

__all__ = ["decode", "dice", "encode", "fault", "runs"]

Array = npt.NDArray[Any]

_PAIRS = re.compile(r"(?:[0-9]+ [0-9]+(?: |$))*")
# Beyond any image; it keeps sums of pixels in 64 bits.
_LARGEST = 1 << 40


def encode(mask: Array) -> str:
    """The runs of a mask.

    Parameters
    ----------
    mask : ndarray of bool, shape (height, width)

    >>> encode(np.array([[True, False], [True, True]]))
    '1 2 4 1'
    """
    flat = np.concatenate(([False], np.asarray(mask, dtype=bool).T.ravel(), [False]))
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    starts, ends = edges[::2], edges[1::2]
    return " ".join(f"{start} {end - start}" for start, end in zip(starts, ends, strict=True))


def decode(text: str, shape: tuple[int, int]) -> Array:
    """The mask of a text: bool of shape (height, width).

    Raises
    ------
    DataError
        The text is not a mask, or reaches beyond the image.
    """
    flat = np.zeros(shape[0] * shape[1], dtype=bool)
    for start, end in runs(text):
        if end > len(flat):
            raise DataError(f"The mask reaches pixel {end} of an image of {len(flat)}.")
        flat[start:end] = True
    return flat.reshape(shape[::-1]).T


def fault(text: str) -> str:
    """What is wrong with a text that should be a mask; "" when nothing is.

    >>> fault("3 2 4 1")
    'runs overlap or are not in order'
    """
    stripped = text.strip()
    if not stripped:
        return ""
    if not _PAIRS.fullmatch(stripped):
        return "not pairs of a start and a length"
    pairs = np.array([min(int(word), _LARGEST) for word in stripped.split(" ")], dtype=np.int64).reshape(-1, 2)
    if (pairs < 1).any() or (pairs >= _LARGEST).any():
        return "starts and lengths count from 1"
    if (pairs[1:, 0] < pairs[:-1].sum(axis=1)).any():
        return "runs overlap or are not in order"
    return ""


def runs(text: str) -> Array:
    """Runs as half-open ranges that count from 0: int64 of shape (n_runs, 2).

    Raises
    ------
    DataError
        The text is not a mask.
    """
    if wrong := fault(text):
        raise DataError(f"A mask must be runs such as '5 3 20 4', got {text[:40]!r}: {wrong}.")
    pairs = np.array(text.split(), dtype=np.int64).reshape(-1, 2)
    starts = pairs[:, 0] - 1
    return np.stack((starts, starts + pairs[:, 1]), axis=1)


def dice(a: str, b: str) -> float:
    """Twice the shared pixels over the pixels of both; 1 when both masks are empty.

    Source: Dice 1945; Kaggle's "Dice coefficient".

    >>> dice("1 4", "3 4")
    0.5
    """
    if a == b:
        return 1.0
    first, second = runs(a), runs(b)
    pixels = int((first[:, 1] - first[:, 0]).sum() + (second[:, 1] - second[:, 0]).sum())
    return 2 * _overlap(first, second) / pixels if pixels else 1.0


def _overlap(a: Array, b: Array) -> int:
    """Pixels in both: for each end of b's runs, the pixels of a before it."""
    if not len(a) or not len(b):
        return 0
    before = np.concatenate(([0], np.cumsum(a[:, 1] - a[:, 0])))
    place = np.searchsorted(a[:, 0], b, side="right")
    inside = np.where(place > 0, np.minimum(b, a[place - 1, 1]) - a[place - 1, 0], 0)
    counts = before[np.maximum(place - 1, 0)] + inside
    return int((counts[:, 1] - counts[:, 0]).sum())
