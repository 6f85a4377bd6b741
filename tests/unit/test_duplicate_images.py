"""Images that come twice: every way of copying that is promised, and pictures that only seem alike."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageEnhance, ImageFilter

from kagglekit.duplicates.images import (
    ORIENTATIONS,
    SIDE,
    image_hashes,
    image_links,
    low_frequencies,
    turned,
)
from kagglekit.errors import DataError

N = 24


def photograph(seed: int) -> Image.Image:
    """Blurred coloured noise of several scales: as rich as a photograph, and unlike every other one."""
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", (160, 120))
    for cells, share in ((3, 1.0), (7, 0.5), (20, 0.3)):
        layer = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        image = Image.blend(image, layer.resize(image.size, Image.Resampling.BICUBIC), share)
    return image.filter(ImageFilter.GaussianBlur(1))


def small(images) -> np.ndarray:
    return np.stack([np.asarray(i.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BICUBIC)) for i in images])


def recompressed(image: Image.Image) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=25)
    return Image.open(buffer)


COPIES = {
    "recompressed": recompressed,
    "half the size": lambda i: i.resize((80, 60)),
    "squished": lambda i: i.resize((160, 50)),
    "brighter": lambda i: ImageEnhance.Brightness(i).enhance(1.2),
    "turned": lambda i: i.transpose(Image.Transpose.ROTATE_90),
    "upside down, recompressed": lambda i: recompressed(i.transpose(Image.Transpose.ROTATE_180)),
    "mirrored, smaller": lambda i: i.transpose(Image.Transpose.FLIP_LEFT_RIGHT).resize((70, 60)),
}


@pytest.fixture(scope="module")
def photographs():
    return [photograph(seed) for seed in range(N)]


@pytest.mark.parametrize("how", COPIES)
def test_every_copy_is_found_and_no_other_pair(photographs, how):
    pictures = small([*photographs, *map(COPIES[how], photographs)])
    links = image_links(pictures, pd.RangeIndex(2 * N))
    assert {(a, b) for a, b in zip(links["a"], links["b"], strict=True)} == {(i, i + N) for i in range(N)}
    turns = how.startswith(("turned", "upside", "mirrored"))
    assert set(links["kind"]) == {"turned" if turns else "alike"}


def test_turned_copies_are_not_looked_for_unless_asked(photographs):
    pictures = small([*photographs, *map(COPIES["turned"], photographs)])
    assert len(image_links(pictures, pd.RangeIndex(2 * N), turns=False)) == 0


def test_one_scheme_in_other_colours_is_told_apart():
    """Equal in brightness, so equal in hash: the second look is at colours."""
    y, x = np.mgrid[:SIDE, :SIDE]
    grey = (90 + 60 * np.sin(x / 5) * np.cos(y / 7)).astype(np.uint8)
    red, blue = np.stack([grey + 40, grey, grey], axis=2), np.stack([grey, grey, grey + 105], axis=2)
    hashes = image_hashes(low_frequencies(np.stack([red, blue]) @ [0.299, 0.587, 0.114]))
    assert np.bitwise_count(hashes[0] ^ hashes[1]) <= 6
    assert len(image_links(np.stack([red, blue]), pd.Index(["red", "blue"]))) == 0


def test_images_of_one_colour_are_alike_only_in_one_shade():
    pictures = np.stack([np.full((SIDE, SIDE, 3), v, dtype=np.uint8) for v in (10, 12, 200, 200)])
    links = image_links(pictures, pd.Index(list("abcd")))
    assert {(a, b) for a, b in zip(links["a"], links["b"], strict=True)} == {("a", "b"), ("c", "d")}


@pytest.mark.parametrize("orientation", range(ORIENTATIONS))
def test_the_hash_of_a_turned_image_is_known_without_turning_it(photographs, orientation):
    grey = small(photographs).mean(axis=3)
    really = image_hashes(low_frequencies(turned(grey[..., None], orientation)[..., 0]))
    foretold = image_hashes(low_frequencies(grey), orientation)
    assert np.bitwise_count(really ^ foretold).max() <= 2


@pytest.mark.parametrize("radius", [0, 5, 11])
def test_the_search_by_parts_finds_what_comparing_all_pairs_finds(radius):
    """Parity with the plain definition: hashes within the radius, and colours that correlate by .95."""
    rng = np.random.default_rng(0)
    base = rng.integers(0, 256, (SIDE, SIDE, 3)).astype(float)
    mixed = [base + rng.normal(0, s, base.shape) for s in np.linspace(0, 30, 40)]
    pictures = np.clip(np.stack(mixed), 0, 255).astype(np.uint8)
    hashes = image_hashes(low_frequencies(pictures @ np.array([0.299, 0.587, 0.114])))
    i, j = np.triu_indices(40, 1)
    alike = np.corrcoef(pictures.reshape(40, -1))[i, j] >= 0.95
    near = alike & (np.bitwise_count(hashes[i] ^ hashes[j]) <= radius)
    links = image_links(pictures, pd.RangeIndex(40), radius=radius, turns=False)
    assert {*zip(links["a"], links["b"], strict=True)} == {*zip(i[near].tolist(), j[near].tolist(), strict=True)}
    assert radius == 0 or 0 < near.sum() < alike.sum() + (radius == 11)


def test_wrong_input_is_told(photographs):
    pictures = small(photographs)
    with pytest.raises(DataError, match="must come as"):
        image_links(pictures[:, :16], pd.RangeIndex(N))
    with pytest.raises(DataError, match="between 0 and 11 bits, got 12"):
        image_links(pictures, pd.RangeIndex(N), radius=12)
    assert len(image_links(pictures[:0], pd.RangeIndex(0))) == 0
