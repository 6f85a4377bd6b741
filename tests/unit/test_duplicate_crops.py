"""Crops: found where features propose them, confirmed by pixels, and never by chance."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageDraw, ImageOps
from test_duplicate_images import photograph, recompressed

from kagglekit.contracts import Competition
from kagglekit.dataset import Prepared
from kagglekit.drift.copies import find_copies
from kagglekit.drift.pictures import Pictures
from kagglekit.drift.study import study_drift
from kagglekit.duplicates.crops import CROP_SIDE, crop_links
from kagglekit.errors import DataError, UsageError
from kagglekit.folds import make_folds
from kagglekit.progress import Silent

N = 20


def detailed(seed: int) -> Image.Image:
    """A photograph with things in it."""
    rng = np.random.default_rng(1_000 + seed)
    image = photograph(seed).resize((320, 240))
    pen = ImageDraw.Draw(image)
    for x, y, r in rng.integers(4, 236, (40, 3)):
        pen.ellipse((x, y, x + r % 25 + 3, y + r % 19 + 3), fill=tuple(int(c) for c in rng.integers(0, 256, 3)))
    return image


def small(images) -> np.ndarray:
    return np.stack([np.asarray(i.convert("RGB").resize((CROP_SIDE, CROP_SIDE))) for i in images])


def features(n_images: int, pairs: int) -> np.ndarray:
    """As a network might give: those of image i and of image i + `pairs` are alike."""
    found = np.random.default_rng(0).normal(size=(n_images, 16))
    found[pairs:] = found[: n_images - pairs] + 0.1 * found[pairs:]
    return found


CROPS = {
    "four fifths": lambda i: i.crop((20, 30, 276, 222)),
    "a corner of three fifths": lambda i: i.crop((0, 0, 192, 144)),
    "another shape": lambda i: i.crop((60, 10, 300, 220)),
    "recompressed": lambda i: recompressed(i.crop((40, 10, 280, 190))),
    "mirrored": lambda i: ImageOps.mirror(i.crop((20, 30, 276, 222))),
}


@pytest.fixture(scope="module")
def images():
    return [detailed(seed) for seed in range(N)]


@pytest.mark.parametrize("how", CROPS)
def test_nearly_every_crop_is_found_and_no_other_pair(images, how):
    cut = list(map(CROPS[how], images))
    for order in ([*images, *cut], [*cut, *images]):  # the whole may come first or last
        found = crop_links(small(order), features(2 * N, N), pd.RangeIndex(2 * N))
        pairs = set(zip(found.links["a"], found.links["b"], strict=True))
        assert pairs <= {(i, i + N) for i in range(N)}
        assert len(pairs) >= N - 2
        assert set(found.links["kind"]) == {"mirrored crop" if how == "mirrored" else "crop"}
        assert found.links["distance"].between(0, 7).all()
        assert not found.refused


def test_features_alone_make_no_link(images):
    assert crop_links(small(images), features(N, N // 2), pd.RangeIndex(N)).links.empty


def test_silhouettes_that_fit_into_each_other_by_chance_are_counted_and_left_out():
    def disc(seed: int) -> Image.Image:
        rng = np.random.default_rng(seed)
        image, r = Image.new("RGB", (120, 120)), int(rng.integers(30, 45))
        ImageDraw.Draw(image).ellipse((60 - r, 60 - r, 60 + r, 60 + r), fill="white")
        return image

    pictures = small(map(disc, range(30)))
    found = crop_links(pictures, features(30, 15), pd.RangeIndex(30))
    assert found.links.empty
    assert found.refused["crop"] >= 15


def test_few_images_and_wrong_shapes():
    one = small([detailed(0)])
    assert crop_links(one, np.ones((1, 4)), pd.RangeIndex(1)).links.empty
    assert crop_links(one[:0], np.ones((0, 4)), pd.RangeIndex(0)).links.empty
    with pytest.raises(DataError, match=r"1 images must come as \(1, 64, 64, 3\) with features of each"):
        crop_links(one[:, :32], np.ones((1, 4)), pd.RangeIndex(1))


def written(folder, images) -> list[str]:
    for number, image in enumerate(images):
        image.save(folder / f"{number:02d}.png")
    return [str(folder / f"{number:02d}.png") for number in range(len(images))]


def prepared_images(folder, images) -> Prepared:
    """Twenty images in train, five crops of them in test."""
    paths = written(folder, [*images, *map(CROPS["four fifths"], images[:5])])
    train = pd.DataFrame({"path": paths[:N], "label": ["a", "b"] * (N // 2)}, index=paths[:N]).rename_axis("image")
    test = pd.DataFrame({"path": paths[N:]}, index=paths[N:]).rename_axis("image")
    facts = Competition(
        slug="s",
        task="image-classification",
        metric="accuracy",
        id="image",
        target="label",
        classes=("a", "b"),
    )
    folds = make_folds(train.index, scheme="kfold", n=2, seed=0)
    return Prepared(facts, train, test, pd.DataFrame(), folds, "data", folder / "cache")


def test_crops_are_looked_for_by_embeddings_only_when_asked_for(tmp_path, images):
    prepared = prepared_images(tmp_path, images)
    paths = prepared.train["path"].tolist(), prepared.test["path"].tolist()
    pictures = Pictures(*paths, cache=prepared.cache, progress=Silent())
    assert find_copies(prepared, pictures).links.empty
    copies = find_copies(prepared, pictures, embeddings=True)
    assert copies.test_linked == len(copies.links) == 5
    assert set(copies.links["a"].str.slice(-6)) == {f"{i:02d}.png" for i in range(5)}
    assert "5 between train and test" in copies.words()[0]
    assert "(5 crop)" in copies.words()[0]


def test_embeddings_of_a_table_are_refused():
    from test_drift_duplicates import world

    with pytest.raises(UsageError, match="Embeddings are of images, and s has none"):
        study_drift(world(copied=False), {}, embeddings=True)
