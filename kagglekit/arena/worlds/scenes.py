"""Scenes: a meadow from the air; which pixels are water? Segmentation, with masks as run-length text."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.random import Generator

from kagglekit.arena.worlds.base import Drawn, World, ids_for, n_rows, public_part, write_world
from kagglekit.arena.worlds.camera import Camera, draw_all, mix, need_pillow
from kagglekit.masks import decode, encode
from kagglekit.progress import Progress, Silent

__all__ = ["SIZE", "WORLD", "draw_scene", "make", "water"]

#: Width and height in pixels.
SIZE = (160, 120)
# Baselines learn from few pixels of few pictures; they are to be beaten.
_LEARNT_FROM, _PIXELS_EACH, _COARSE = 40, 250, 2


@dataclass(frozen=True)
class _Job:
    seed: int
    number: int
    path: Path


def make(
    folder: Path,
    *,
    scale: float | None = None,
    seed: int = 2026,
    progress: Progress | None = None,
    n_jobs: int | None = None,
) -> None:
    """Write the world; see `kagglekit.arena.worlds.base.Make`.

    Raises
    ------
    MissingExtra
        Pillow is not installed.
    """
    need_pillow()
    rng = np.random.default_rng([seed, 11])
    n_train, n_test = n_rows(scale, WORLD.scale, WORLD.n_train, WORLD.n_test, least=8)
    numbers = ids_for(rng, n_train + n_test, first=100_000)
    parts = np.where(np.arange(len(numbers)) < n_train, "train_images", "test_images")
    for part in ("train_images", "test_images"):
        (folder / part).mkdir(parents=True)
    jobs = [_Job(seed, int(i), folder / p / f"{i}.jpg") for i, p in sorted(zip(numbers, parts, strict=True))]
    draw_all(_draw, jobs, progress or Silent(), n_jobs)
    exact, traced = zip(*(_masks(seed, int(i)) for i in numbers), strict=True)
    frame = pd.DataFrame({"image": [f"{i}.jpg" for i in numbers], "water": traced, "exact": exact})
    train, test = frame[:n_train], frame[n_train:]
    ids = test[["image"]]
    drawn = Drawn(
        train=train.drop(columns="exact"),
        test=test.drop(columns="exact"),
        id="image",
        target="water",
        sample=ids.assign(water="1 1"),
        usage=public_part(rng, test["image"]),
        best=ids.assign(water=test["exact"]),
        answers={
            "Where water usually is": ids.assign(water=_usual_place(train["water"])),
            "Forest on single pixels": ids.assign(water=_pixel_forest(folder, train, test["image"])),
        },
        has_test_table=False,
    )
    write_world(folder, drawn, WORLD, _COLUMNS)


def water(seed: int, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Where water is, and where somebody who traced it by hand put its edge.

    Returns
    -------
    exact, traced : ndarray of bool, shape (120, 160)
        Never empty.
    """
    rng = np.random.default_rng([seed, 12, number])
    width, height = SIZE
    field = np.full((height, width), -1.0, np.float32)
    for _ in range(int(rng.choice([1, 2, 3], p=[0.55, 0.3, 0.15]))):
        field = np.maximum(field, _pond(rng))
    traced = field + np.float32(0.14) * _noise(rng, (9, 7)) + np.float32(rng.normal(0, 0.03))
    return field > 0, traced > 0


def _pond(rng: Generator) -> np.ndarray:
    """A rounded field that is above nought within a pond."""
    width, height = SIZE
    x, y = rng.uniform(0.18, 0.82) * width, rng.uniform(0.18, 0.82) * height
    a, b, turn = rng.uniform(11, 36), rng.uniform(9, 26), rng.uniform(0, math.pi)
    dx = np.arange(width, dtype=np.float32)[None] - np.float32(x)
    dy = np.arange(height, dtype=np.float32)[:, None] - np.float32(y)
    along = (dx * np.float32(math.cos(turn)) + dy * np.float32(math.sin(turn))) / np.float32(a)
    aside = (dy * np.float32(math.cos(turn)) - dx * np.float32(math.sin(turn))) / np.float32(b)
    return 1 - np.sqrt(along * along + aside * aside) + np.float32(0.42) * _noise(rng, (7, 5))


def _masks(seed: int, number: int) -> tuple[str, str]:
    exact, traced = water(seed, number)
    return encode(exact), encode(traced)


def _draw(job: _Job) -> None:
    exact, _ = water(job.seed, job.number)
    rng = np.random.default_rng([job.seed, 13, job.number])
    camera = Camera(blur=float(rng.choice([0.5, 0.8, 1.2])), grain=float(rng.uniform(2, 6)), light=0.12, quality=90)
    camera.take(draw_scene(exact, rng), rng, job.path)


def draw_scene(exact: np.ndarray, rng: Generator) -> np.ndarray:
    """A meadow with fields, paths, trees and shadows of clouds, and water where the mask says.

    Shadows and trees are as dark as water, and shallow water is as brown as soil: one pixel's colour does not tell.

    Returns
    -------
    ndarray of float32, shape (120, 160, 3)
    """
    scene = _meadow(rng)
    scene = mix(scene, scene * np.array([0.86, 0.8, 0.66], np.float32), 0.8 * _soft(exact, 3.5))
    scene = mix(scene, _water_colours(rng), _soft(exact, 0.8))
    for _ in range(int(rng.poisson(0.7))):
        scene = _path(rng, scene, exact)
    for _ in range(int(rng.poisson(9))):
        scene = _tree(rng, scene, exact)
    if rng.random() < 0.6:
        field = 0.8 * _noise(rng, (4, 3)) + 0.5 * _noise(rng, (9, 7))
        clouds = np.clip((field - np.float32(rng.uniform(0.1, 0.5))) * 4, 0, 1)
        scene = mix(scene, scene * np.array([0.42, 0.46, 0.55], np.float32), clouds * np.float32(0.9))
    return scene


def _meadow(rng: Generator) -> np.ndarray:
    greens = np.array([[112, 132, 68], [142, 150, 86], [88, 116, 60], [160, 148, 98], [128, 108, 78]], np.float64)
    a, b, c = greens[rng.permutation(5)[:3]] * rng.uniform(0.8, 1.15)
    scene = mix(a, b, np.clip(0.5 + 1.4 * _noise(rng, (3, 2)), 0, 1))
    scene = mix(scene, c, np.clip(2 * _noise(rng, (4, 3)) - 0.7, 0, 0.8))
    furrows = 0.05 * _noise(rng, (60, 3)) if rng.random() < 0.4 else 0.0
    return scene * (1 + 0.10 * _noise(rng, (80, 60)) + 0.08 * _noise(rng, (24, 18)) + furrows)[..., None]


def _water_colours(rng: Generator) -> np.ndarray:
    deep = np.array([[44, 66, 74], [52, 84, 104], [58, 70, 52], [96, 88, 66], [70, 98, 96]])[int(rng.integers(5))]
    deep = deep * rng.uniform(0.8, 1.25)
    sky = np.array([150, 172, 190]) * rng.uniform(0.8, 1.1)
    mirror = np.clip(0.8 * _noise(rng, (3, 2)) + rng.uniform(-0.5, 0.25), 0, 0.75)
    ripples = 1 + 0.05 * _noise(rng, (18, 60))
    return mix(deep, sky, mirror) * ripples[..., None].astype(np.float32)


def _path(rng: Generator, scene: np.ndarray, exact: np.ndarray) -> np.ndarray:
    from PIL import Image, ImageDraw

    width, height = SIZE
    line = Image.new("L", SIZE)
    y, bend, slope = rng.uniform(0, height), rng.uniform(-40, 40), rng.uniform(-60, 60)
    steps = [t / 12 for t in range(13)]
    points = [(t * (width + 20) - 10, y + slope * t + bend * 4 * t * (1 - t)) for t in steps]
    ImageDraw.Draw(line).line(points, fill=255, width=int(rng.integers(2, 6)), joint="curve")
    cover = _soft(np.asarray(line) > 0, 0.7) * ~exact
    colour = np.array([[176, 164, 138], [128, 124, 120], [150, 122, 92]][int(rng.integers(3))])
    return mix(scene, colour * rng.uniform(0.85, 1.1), cover)


def _tree(rng: Generator, scene: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """A crown and its shadow; trees stand on dry ground, their shadows fall where they fall."""
    width, height = SIZE
    x, y, radius = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(2.5, 8)
    if exact[int(y), int(x)]:
        return scene
    dx, dy = np.arange(width, dtype=np.float32)[None], np.arange(height, dtype=np.float32)[:, None]
    ragged = np.float32(radius) * (1 + np.float32(0.35) * _noise(rng, (24, 18)))

    def crown(x: float, y: float) -> np.ndarray:
        far = np.sqrt((dx - np.float32(x)) ** 2 + (dy - np.float32(y)) ** 2)
        return np.clip(ragged - far + 0.5, 0, 1)

    scene = mix(
        scene, scene * np.array([0.35, 0.4, 0.45], np.float32), 0.85 * crown(x + radius * 0.7, y + radius * 0.6)
    )
    green = np.array([52, 78, 38]) * rng.uniform(0.75, 1.3) + rng.normal(0, 6, 3)
    return mix(scene, green * (1 + 0.3 * _noise(rng, (70, 50)))[..., None], crown(x, y))


def _soft(mask: np.ndarray, blur: float) -> np.ndarray:
    from PIL import Image, ImageFilter

    image = Image.fromarray(mask.astype(np.uint8) * 255).filter(ImageFilter.GaussianBlur(blur))
    return np.asarray(image, np.float32) / 255


def _noise(rng: Generator, cells: tuple[int, int]) -> np.ndarray:
    from kagglekit.arena.worlds.leaves import smooth_noise

    return smooth_noise(rng, SIZE, cells)


def _usual_place(masks: pd.Series) -> str:
    """The pixels that are water most often, as many as an average picture has."""
    often = np.mean([decode(text, SIZE[::-1]) for text in masks], axis=0)
    return encode(often > np.quantile(often, 1 - often.mean()))


def _pixel_forest(folder: Path, train: pd.DataFrame, test_ids: pd.Series) -> list[str]:
    """Masks by the colour of each pixel alone, predicted at half the size."""
    from sklearn.ensemble import RandomForestClassifier

    rng = np.random.default_rng(14)
    some = train[:_LEARNT_FROM]
    pixels, wet = [], []
    for image, text in zip(some["image"], some["water"], strict=True):
        at = rng.permutation(SIZE[0] * SIZE[1])[:_PIXELS_EACH]
        pixels.append(_pixels(folder / "train_images" / image).reshape(-1, 3)[at])
        wet.append(decode(text, SIZE[::-1]).reshape(-1)[at])
    forest = RandomForestClassifier(20, max_depth=9, random_state=0).fit(np.concatenate(pixels), np.concatenate(wet))
    masks = []
    for image in test_ids:
        coarse = _pixels(folder / "test_images" / image)[::_COARSE, ::_COARSE]
        found = forest.predict(coarse.reshape(-1, 3)).reshape(coarse.shape[:2])
        masks.append(encode(found.repeat(_COARSE, axis=0).repeat(_COARSE, axis=1)))
    return masks


def _pixels(path: Path) -> np.ndarray:
    from PIL import Image

    with Image.open(path) as image:
        return np.asarray(image)


_COLUMNS = {
    "image": "id, and the name of the file in train_images/ or test_images/: 160 pixels wide, 120 high",
    "water": "where water is, traced by hand, as pairs 'start length'; pixels count from 1, down the columns",
}

WORLD = World(
    name="scenes",
    slug="scenes",
    title="Water in a meadow (synthetic practice data)",
    task="image-segmentation",
    metric="dice",
    form="mask",
    n_train=240,
    n_test=120,
    make=make,
    summary="which pixels of an aerial picture are water; masks as run-length text",
    teaches=(
        "Segmentation: the answer is a mask for each picture, written as run-length text. Shadows and trees are as "
        "dark as water, and shallow water is as brown as soil, so that a pixel's own colour does not tell: its "
        "neighbourhood must. No model of kagglekit predicts masks; this is a world for a network of your own, sent "
        "with the kaggle command. kagglekit.masks encodes and decodes the text.\n\n"
        "Worth trying: a forest on pixels that also sees blurred copies of the picture. A small U-Net with a "
        "pretrained encoder. What threshold suits the Dice coefficient, and does dropping small spots help? Masks "
        "were traced by hand: are sharp edges worth anything?"
    ),
    best="the true edge of the water, where the judges' hands were not quite sure (mean Dice about 0.94).",
)
