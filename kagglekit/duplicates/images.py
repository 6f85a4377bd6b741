"""Images that look alike: perceptual hashes, also of turned and mirrored copies, and a second look at the pixels.

Images that look alike have hashes that differ in a few of 64 bits, and then one of four parts of those hashes differs
in hardly any: only such pairs are looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from kagglekit.duplicates.links import Part, check_ids, first_of_equal, link_frame
from kagglekit.errors import DataError

__all__ = ["ORIENTATIONS", "SIDE", "image_hashes", "image_links", "low_frequencies", "turned"]

Array = npt.NDArray[Any]

SIDE = 32
"""Height and width of the pictures that are compared."""

ORIENTATIONS = 8
"""Four turns, each plain and mirrored; number 0 is the image as it is."""

_ALIKE = 0.95
_BANDS, _BAND_BITS = 4, 16
_AT_ONCE, _PICTURES_AT_ONCE = 4_000_000, 4_096
_MOST_PAIRS = 2_000_000
_LUMA = np.array([0.299, 0.587, 0.114])
# One colour all over, up to the noise of compression: there is no pattern to correlate.
_FLAT, _SAME_SHADE = 2.0, 3.0


def image_links(pictures: Array, ids: pd.Index, *, radius: int = 7, turns: bool = True) -> pd.DataFrame:
    """Links between images that show the same.

    Parameters
    ----------
    pictures : ndarray of uint8, shape (n_images, 32, 32, 3)
        Every image squished to one small size.
    ids : Index of shape (n_images,)
    radius : int
        0 to 11: in how many of 64 bits the perceptual hashes may differ. Of two unlike photographs about 32 differ;
        copies stay below 7. From 8 on the search takes eight times as long.
    turns : bool
        Whether to look for turned and mirrored copies.

    Returns
    -------
    DataFrame
        Columns `a`, `b` (ids), `kind` ("alike", "turned") and `distance` in bits.

    Raises
    ------
    DataError
        Pictures of another shape, an id that comes twice, a radius too large to search by parts, or millions of pairs
        that are nearly alike.

    Notes
    -----
    A pair of like hashes is a link only if the pictures' colours correlate by .95 or more over all pixels, so that
    images of one scheme (a leaf on white) in different colours are told apart. Copies that were recompressed, resized,
    squished, brightened or turned by quarters are found; crops and turns by other angles are not.
    """
    check_ids(ids)
    if pictures.shape != (len(ids), SIDE, SIDE, 3):
        raise DataError(f"{len(ids)} images must come as ({len(ids)}, {SIDE}, {SIDE}, 3), got {pictures.shape}.")
    if not 0 <= radius < 3 * _BANDS:
        raise DataError(f"The radius must lie between 0 and {3 * _BANDS - 1} bits, got {radius}.")
    if not len(ids):
        return link_frame([], ids)
    first, others, part = _same_pixels(pictures)
    parts: list[Part] = [part] * bool(len(others))
    frequencies = low_frequencies(pictures[first] @ _LUMA)
    plain = image_hashes(frequencies)
    for orientation in range(ORIENTATIONS if turns else 1):
        i, j, distance = _search(plain, image_hashes(frequencies, orientation), radius)
        # A pair is found from both sides in every orientation that is its own inverse; once is enough for 0.
        once = i < j if orientation == 0 else i != j
        i, j, distance = first[i[once]], first[j[once]], distance[once]
        alike = _look_alike(pictures, i, j, orientation)
        parts.append((i[alike], j[alike], "turned" if orientation else "alike", distance[alike]))
    return link_frame(parts, ids)


def turned(picture: Array, orientation: int) -> Array:
    """A square picture of shape (..., side, side, n_colours), turned or mirrored in one of eight ways."""
    if orientation & 4:
        picture = picture.swapaxes(-3, -2)
    if orientation & 2:
        picture = picture[..., ::-1, :, :]
    return picture[..., ::-1, :] if orientation & 1 else picture


def low_frequencies(grey: Array) -> Array:
    """The 64 lowest frequencies of images, without their mean: float32 of shape (n_images, 64).

    Parameters
    ----------
    grey : ndarray of shape (n_images, 32, 32)
        Brightness, 0 to 255.

    Notes
    -----
    The two-dimensional cosine transform, taken along diagonals. The choice is symmetric, so that the frequencies of a
    turned or mirrored image are these same numbers in another order and with other signs.
    """
    if grey.ndim != 3 or grey.shape[1:] != (SIDE, SIDE):
        raise DataError(f"Hashes need images of shape (n, {SIDE}, {SIDE}), got {grey.shape}.")
    u, v = _frequencies()
    k = np.arange(int(u.max()) + 1)
    waves = np.cos(np.pi * np.outer(k, 2 * np.arange(SIDE) + 1) / (2 * SIDE))
    spectrum = np.einsum("uy,nyx,vx->nuv", waves, np.asarray(grey, dtype=np.float64), waves, optimize=True)
    return np.asarray(spectrum[:, u, v], dtype=np.float32)


def image_hashes(frequencies: Array, orientation: int = 0) -> Array:
    """Perceptual hashes: uint64 of shape (n_images,), one bit for each frequency above the image's median.

    Parameters
    ----------
    frequencies : ndarray of shape (n_images, 64)
        From `low_frequencies`.
    orientation : int
        0 to 7: the hash that the image would have if it were `turned` so.

    Notes
    -----
    After Zauner 2010, "Implementation and Benchmarking of Perceptual Image Hash Functions". Blind to brightness,
    contrast and size, and nearly so to compression; not to cropping. An image of one colour has the hash 0.
    """
    u, v = _frequencies()
    values = np.round(np.asarray(frequencies, dtype=np.float64), 1)  # what rounding errors leave is no pattern
    if orientation & 4:
        place = {pair: i for i, pair in enumerate(zip(u.tolist(), v.tolist(), strict=True))}
        values = values[:, [place[b, a] for a, b in zip(u.tolist(), v.tolist(), strict=True)]]
    if orientation & 2:
        values = values * np.where(u % 2, -1.0, 1.0)
    if orientation & 1:
        values = values * np.where(v % 2, -1.0, 1.0)
    bits = values > np.median(values, axis=1, keepdims=True)
    return np.ascontiguousarray(np.packbits(bits, axis=1)).view(">u8")[:, 0].astype(np.uint64)


def _same_pixels(pictures: Array) -> tuple[Array, Array, Part]:
    """The first of each distinct picture, the others, and the links between them."""
    rows = np.ascontiguousarray(pictures).reshape(len(pictures), -1)
    first, bucket = first_of_equal(np.array([row.tobytes() for row in rows], dtype=object))
    others = np.flatnonzero(first[bucket] != np.arange(len(bucket)))
    return first, others, (first[bucket[others]], others, "alike", np.zeros(len(others), dtype=np.int64))


def _look_alike(pictures: Array, i: Array, j: Array, orientation: int) -> Array:
    """Whether picture i shows what picture j shows when it is turned."""
    alike = np.zeros(len(i), dtype=bool)
    for start in range(0, len(i), _PICTURES_AT_ONCE):
        rows = slice(start, start + _PICTURES_AT_ONCE)
        a, b = pictures[i[rows]], turned(pictures[j[rows]], orientation)
        alike[rows] = _correlate(*(p.reshape(len(p), -1).astype(np.float32) for p in (a, b)))
    return alike


def _correlate(a: Array, b: Array) -> Array:
    flat = (a.std(axis=1) < _FLAT) & (b.std(axis=1) < _FLAT)
    same_shade = np.abs(a - b).max(axis=1, initial=0.0) <= _SAME_SHADE
    a, b = (v - v.mean(axis=1, keepdims=True) for v in (a, b))
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return np.asarray(np.where(flat, same_shade, (a * b).sum(axis=1) >= _ALIKE * np.maximum(lengths, 1e-6)))


def _frequencies() -> tuple[Array, Array]:
    """Rows and columns of the 64 lowest frequencies: nine whole diagonals, and ten of the eleven of the next."""
    pairs = [(u, d - u) for d in range(1, 11) for u in range(d + 1) if (u, d - u) != (5, 5)]
    u, v = zip(*pairs, strict=True)
    return np.array(u), np.array(v)


def _search(a: Array, b: Array, radius: int) -> tuple[Array, Array, Array]:
    """All (i, j) with at most `radius` bits between a[i] and b[j], each once, and their distances.

    If two hashes differ in at most `radius` bits, one of their four parts differs in at most radius // 4: only
    those are looked up (Norouzi, Punjani and Fleet 2012, "Fast Search in Hamming Space with Multi-Index Hashing").
    """
    found: list[Array] = [np.empty(0, dtype=np.int64)]
    n_found = 0
    for band in range(_BANDS):
        part_a, part_b = ((h >> np.uint64(_BAND_BITS * band)).astype(np.uint16).astype(np.int64) for h in (a, b))
        order = np.argsort(part_b, kind="stable")
        reach = np.concatenate(([0], np.cumsum(np.bincount(part_b, minlength=1 << _BAND_BITS))))
        for mask in _masks(radius // _BANDS):
            for i, place in _matches(reach[part_a ^ mask], reach[(part_a ^ mask) + 1]):
                j = order[place]
                near = np.bitwise_count(a[i] ^ b[j]) <= radius
                found.append(i[near] * len(b) + j[near])
                n_found += int(near.sum())
            _refuse_too_many(n_found)
    i, j = np.divmod(np.unique(np.concatenate(found)), max(1, len(b)))
    return i, j, np.bitwise_count(a[i] ^ b[j]).astype(np.int64)


def _refuse_too_many(n_found: int) -> None:
    if n_found > 2 * _BANDS * _MOST_PAIRS:
        raise DataError(
            "Millions of pairs of these images have nearly the same perceptual hash: it does not tell them apart.",
            hint="Use a smaller radius, or leave the duplicates out of the check.",
        )


def _masks(most: int) -> Iterator[int]:
    for n_bits in range(most + 1):
        for bits in combinations(range(_BAND_BITS), n_bits):
            yield sum(1 << bit for bit in bits)


def _matches(low: Array, high: Array) -> Iterator[tuple[Array, Array]]:
    """Every (row, place) with low[row] <= place < high[row], in pieces that fit in memory."""
    sizes = high - low
    ends = np.cumsum(sizes)
    start = 0
    while start < len(sizes):
        before = ends[start] - sizes[start]
        stop = max(start + 1, int(np.searchsorted(ends, before + _AT_ONCE, side="right")))
        rows = np.repeat(np.arange(start, stop), sizes[start:stop])
        place = np.arange(len(rows)) - np.repeat(ends[start:stop] - sizes[start:stop] - before, sizes[start:stop])
        yield rows, place + low[rows]
        start = stop
