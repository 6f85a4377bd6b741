"""Images that are cut out of other images: pairs proposed by a network's features, confirmed on the pixels.

A perceptual hash says nothing of crops. Features of a network hardly change when an edge is cut off, but unlike images
of one scheme have like features too; so the features only say where to look.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from kagglekit.duplicates.links import Part, check_ids, link_frame
from kagglekit.errors import DataError

__all__ = ["CROP_SIDE", "CropLinks", "crop_links"]

Array = npt.NDArray[Any]

CROP_SIDE = 64
"""Height and width of the pictures in which crops are looked for."""

# What is tried first is coarse; the climb from there makes up for it.
_COARSE = 16
_SHARES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5)
_LOOKS_ALIKE = 0.75
# Steps of the climb in shares of a side, and the correlation below which it ends there.
_CLIMB = ((0.04, 0.7), (0.02, 0.8), (0.01, 0.85), (0.005, 0.9))
# A crop's pixels correlate with the place it was cut from, and so do its details.
_SAME, _SAME_DETAIL = 0.93, 0.6
_DETAIL = 4
_LEAST_SIDE, _MOST_STRETCH = 0.45, 1.25
_AT_ONCE, _PAIRS_AT_ONCE = 2_000_000, 2_048
# Simple pictures (a silhouette on black) fit into each other by chance. Then pairs drawn at random do too.
_CHANCE_PAIRS, _CHANCE_FOUND = 2_000, 2
_KINDS = {"crop": False, "mirrored crop": True}


@dataclass(frozen=True)
class CropLinks:
    """What was found.

    Parameters
    ----------
    links : DataFrame
        Columns `a`, `b` (ids), `kind` ("crop", "mirrored crop") and `distance`: hundredths that the correlation of the
        pixels lacks.
    refused : mapping of str to int
        Kinds that pairs drawn at random show too in these pictures, and how many pairs were dropped for it.
    """

    links: pd.DataFrame
    refused: Mapping[str, int]


def crop_links(pictures: Array, features: Array, ids: pd.Index, *, neighbours: int = 4) -> CropLinks:
    """Links between images of which one was cut out of the other, mirrored or not.

    Parameters
    ----------
    pictures : ndarray of uint8, shape (n_images, 64, 64, 3)
        Every image squished to one small size.
    features : ndarray of shape (n_images, n_features)
        Of a network whose features of an image and its mirror image are the same.
    ids : Index of shape (n_images,)
    neighbours : int
        With how many images of most similar features each is compared.

    Raises
    ------
    DataError
        Pictures or features of another shape, or an id that comes twice.

    Notes
    -----
    Found are crops that keep half of each side or more, of the same proportions within a fifth. Crops of a plain part
    (sky, white ground) have no detail to be known by, and are not found. Every image is compared with few others, so
    of a large cluster only some pairs are found, which hold it together.
    """
    check_ids(ids)
    if pictures.shape != (len(ids), CROP_SIDE, CROP_SIDE, 3) or len(features) != len(ids):
        raise DataError(
            f"{len(ids)} images must come as ({len(ids)}, {CROP_SIDE}, {CROP_SIDE}, 3) with features of each, got "
            f"{pictures.shape} and {features.shape}."
        )
    near = _nearest(features, min(neighbours, len(ids) - 1))
    by_chance = _drawn(len(ids))
    parts: list[Part] = []
    refused: dict[str, int] = {}
    for kind, flip in _KINDS.items():
        a, b, distance = _cut_out(pictures, *near, flip)
        if len(a) and len(_cut_out(pictures, *by_chance, flip)[0]) >= _CHANCE_FOUND:
            refused[kind] = len(a)
        else:
            parts.append((a, b, kind, distance))
    return CropLinks(link_frame(parts, ids), refused)


def _drawn(n_images: int) -> tuple[Array, Array]:
    """Pairs of images drawn at random; where there are few images, hardly any, as near ones would be among them."""
    rng = np.random.default_rng(0)
    i, j = rng.integers(0, n_images, (2, min(_CHANCE_PAIRS, n_images**2 // 100)))
    return i[i != j], j[i != j]


def _cut_out(pictures: Array, i: Array, j: Array, flip: bool) -> tuple[Array, Array, Array]:
    """The pairs of which either was cut out of the other, each once, and how far their pixels are from equal."""
    forth, back = _cut_from(pictures, i, j, flip), _cut_from(pictures, j, i, flip)
    places, first = np.unique(np.concatenate((forth[0], back[0])), return_index=True)
    return i[places], j[places], np.concatenate((forth[1], back[1]))[first]


def _nearest(features: Array, neighbours: int) -> tuple[Array, Array]:
    """Pairs i < j of which one is among the other's nearest by the angle between their centred features."""
    if len(features) < 2 or neighbours < 1:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    centred = features - features.mean(axis=0)
    unit = (centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-9)).astype(np.float32)
    rows = max(1, _AT_ONCE // len(unit))
    near = []
    for start in range(0, len(unit), rows):
        alike = unit[start : start + rows] @ unit.T
        alike[np.arange(len(alike)), start + np.arange(len(alike))] = -2
        near.append(np.argpartition(-alike, neighbours - 1, axis=1)[:, :neighbours])
    j = np.concatenate(near).ravel()
    i = np.repeat(np.arange(len(unit)), neighbours)
    low, high = np.minimum(i, j), np.maximum(i, j)
    first, second = np.divmod(np.unique(low * len(unit) + high), len(unit))
    return first, second


def _cut_from(pictures: Array, whole: Array, part: Array, flip: bool) -> tuple[Array, Array]:
    """Numbers of the pairs in which `part` was cut out of `whole`, and how far their pixels are from equal."""
    found, lack = [], []
    for start in range(0, len(whole), _PAIRS_AT_ONCE):
        rows = slice(start, start + _PAIRS_AT_ONCE)
        parts = pictures[part[rows]]
        boxes, alike = _place(pictures[whole[rows]], parts[:, :, ::-1] if flip else parts)
        for number in np.flatnonzero(alike >= _LOOKS_ALIKE):
            picture = pictures[part[start + number]]
            score = _confirmed(pictures[whole[start + number]], picture[:, ::-1] if flip else picture, boxes[number])
            if score is not None:
                found.append(start + number)
                lack.append(round(100 * (1 - score)))
    return np.array(found, dtype=np.int64), np.array(lack, dtype=np.int64)


def _place(wholes: Array, parts: Array) -> tuple[Array, Array]:
    """Where each part lies best in its whole, as (top, left, height, width) in shares, and the correlation there."""
    whole, part = _shrunk(wholes, _COARSE), _shrunk(parts, _COARSE)
    best, boxes = np.full(len(whole), -1.0), np.zeros((len(whole), 4))
    for share in _SHARES:
        side = round(share * _COARSE)
        template = _resampled(part, side)
        windows = np.lib.stride_tricks.sliding_window_view(whole, (side, side), axis=(1, 2))
        flat = windows.reshape(*windows.shape[:3], -1)
        scores = _correlations(flat, template.reshape(len(part), 1, 1, -1))
        place = scores.reshape(len(whole), -1).argmax(axis=1)
        score = scores.reshape(len(whole), -1)[np.arange(len(whole)), place]
        top, left = np.divmod(place, windows.shape[2])
        better = score > best
        box = np.stack([top, left, np.full(len(top), side), np.full(len(top), side)], axis=1) / _COARSE
        best[better], boxes[better] = score[better], box[better]
    return boxes, best


def _confirmed(whole: Array, part: Array, box: Array) -> float | None:
    """The correlation of a part with the place that it fits best near `box`; None where it is not a copy of it."""
    grey, target = whole.mean(axis=2, dtype=np.float32), part.mean(axis=2, dtype=np.float32)
    score = _correlation(_window(grey, box), target)
    for step, least in _CLIMB:
        box, score = _climbed(grey, target, box, score, step)
        if score < least:
            return None
    found = np.stack([_window(whole[:, :, c].astype(np.float32), box) for c in range(3)], axis=2)
    score = _correlation(found, part.astype(np.float32))
    details = _correlation(_details(_window(grey, box)), _details(target))
    return score if score >= _SAME and details >= _SAME_DETAIL else None


def _climbed(grey: Array, target: Array, box: Array, score: float, step: float) -> tuple[Array, float]:
    """The box moved as long as a step of this size helps."""
    moved = True
    while moved:
        moved = False
        for move in _MOVES:
            candidate = box + step * move
            if _inside(candidate) and (found := _correlation(_window(grey, candidate), target)) > score + 1e-4:
                box, score, moved = candidate, found, True
    return box, score


# Of a box: along, across, larger and smaller in each direction about its middle and about its corner.
_MOVES = np.array(
    [
        sign * np.array(move)
        for move in (
            (1, 0, 0, 0),
            (0, 1, 0, 0),
            (0, 0, 1, 0),
            (0, 0, 0, 1),
            (0, 0, 1, 1),
            (-0.5, -0.5, 1, 1),
            (-0.5, 0, 1, 0),
            (0, -0.5, 0, 1),
        )
        for sign in (1, -1)
    ]
)


def _inside(box: Array) -> bool:
    top, left, height, width = box
    return bool(
        min(top, left) >= -1e-9
        and max(top + height, left + width) <= 1 + 1e-9
        and min(height, width) >= _LEAST_SIDE
        and 1 / _MOST_STRETCH <= height / width <= _MOST_STRETCH
    )


def _window(grey: Array, box: Array) -> Array:
    """A box of a picture, brought back to the picture's size: float32."""
    top, left, height, width = box
    window: Array = _between(top, height) @ grey @ _between(left, width).T
    return window


def _between(start: float, length: float) -> Array:
    """Weights of linear interpolation along one side: float32 of shape (side, side)."""
    place = np.clip((start + length * (np.arange(CROP_SIDE) + 0.5) / CROP_SIDE) * CROP_SIDE - 0.5, 0, CROP_SIDE - 1)
    return np.asarray(np.maximum(0, 1 - np.abs(place[:, None] - np.arange(CROP_SIDE))), dtype=np.float32)


def _details(grey: Array) -> Array:
    """What is left of a picture without its coarse shapes."""
    from scipy.ndimage import uniform_filter

    smooth = uniform_filter(grey, 2)
    return np.asarray(smooth - uniform_filter(smooth, 2 * _DETAIL + 1))


def _shrunk(pictures: Array, side: int) -> Array:
    """Brightness at another size: float32 of shape (n, side, side)."""
    block = CROP_SIDE // side
    return np.asarray(pictures.reshape(-1, side, block, side, block, 3).mean(axis=(2, 4, 5), dtype=np.float32))


def _resampled(grey: Array, side: int) -> Array:
    """Pictures at another size, by area: linear in each direction."""
    weights = _areas(grey.shape[1], side)
    return np.asarray(np.einsum("ay,nyx,bx->nab", weights, grey, weights, optimize=True))


def _areas(n: int, side: int) -> Array:
    """How much of each of n cells lies in each of `side` equal ones: float32 of shape (side, n), rows sum to one."""
    edges = np.arange(side + 1) * n / side
    cells = np.arange(n)
    overlap = np.minimum(edges[1:, None], cells + 1) - np.maximum(edges[:-1, None], cells)
    return np.asarray(np.maximum(overlap, 0) * side / n, dtype=np.float32)


def _correlation(a: Array, b: Array) -> float:
    return float(_correlations(a.reshape(-1), b.reshape(-1)))


def _correlations(a: Array, b: Array) -> Array:
    """Along the last axis; 0 where either is constant."""
    a, b = a - a.mean(axis=-1, keepdims=True), b - b.mean(axis=-1, keepdims=True)
    lengths = np.sqrt((a * a).sum(axis=-1) * (b * b).sum(axis=-1))
    return np.asarray((a * b).sum(axis=-1) / np.maximum(lengths, 1e-6))
