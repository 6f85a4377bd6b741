"""Shapes: photographs of a circle, a square or a triangle that somebody cut out and laid on a table."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.random import Generator

from kagglekit.arena.worlds.base import Drawn, World, ids_for, n_rows, public_part, write_world
from kagglekit.arena.worlds.camera import Camera, draw_all, mix, need_pillow
from kagglekit.progress import Progress, Silent

__all__ = ["CLASSES", "SIZE", "WORLD", "draw_picture", "make", "plan"]

CLASSES = ("circle", "square", "triangle")
#: Width and height in pixels.
SIZE = (192, 144)
_WRONG_LABELS = 0.04
# Drawn larger and then made smaller: edges come out smooth.
_FINE = 3

Colour = tuple[int, int, int]

_COLOURS: tuple[Colour, ...] = (
    (196, 62, 52),
    (52, 96, 168),
    (226, 178, 62),
    (84, 140, 76),
    (150, 92, 156),
    (222, 126, 58),
    (206, 200, 188),
    (74, 70, 72),
)
# Every shape comes in every colour, some of them more often: colour tells a little, and is not the answer.
_LEANING = 0.45


@dataclass(frozen=True)
class _Job:
    seed: int
    number: int
    shape: str
    path: Path


def plan(scale: float | None, seed: int) -> Drawn:
    """The tables at a scale; `best` says what each test picture shows."""
    rng = np.random.default_rng([seed, 9])
    n_train, n_test = n_rows(scale, WORLD.scale, WORLD.n_train, WORLD.n_test, least=18)
    n = n_train + n_test
    shown = rng.permutation(np.arange(n) % 3)
    wrong = rng.random(n) < _WRONG_LABELS
    label = np.where(wrong, (shown + rng.integers(1, 3, n)) % 3, shown)
    names = np.array([f"{i}.jpg" for i in ids_for(rng, n, first=100_000)])
    frame = pd.DataFrame({"photo": names, "shape": np.array(CLASSES)[label], "shown": np.array(CLASSES)[shown]})
    train, test = frame[:n_train], frame[n_train:]
    return Drawn(
        train=train,
        test=test,
        id="photo",
        target="shape",
        sample=test[["photo"]].assign(shape=CLASSES[0]),
        usage=public_part(rng, test["photo"]),
        best=test[["photo"]].assign(shape=test["shown"]),
        has_test_table=False,
    )


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
    drawn = plan(scale, seed)
    jobs = []
    for part, table in (("train_photos", drawn.train), ("test_photos", drawn.test)):
        (folder / part).mkdir(parents=True)
        for photo, shown in zip(table["photo"], table["shown"], strict=True):
            jobs.append(_Job(seed, int(photo.removesuffix(".jpg")), shown, folder / part / photo))
    # In the order of their numbers, which know nothing of shapes.
    draw_all(_draw, sorted(jobs, key=lambda job: job.number), progress or Silent(), n_jobs)
    train, test = (table.drop(columns="shown") for table in (drawn.train, drawn.test))
    tables = Drawn(train, test, "photo", "shape", drawn.sample, drawn.usage, best=drawn.best, has_test_table=False)
    write_world(folder, tables, WORLD, _COLUMNS)


def _draw(job: _Job) -> None:
    rng = np.random.default_rng([job.seed, 10, job.number])
    camera = Camera(
        blur=float(rng.choice([0.5, 0.8, 1.3, 2.0], p=[0.4, 0.35, 0.18, 0.07])),
        grain=float(rng.uniform(2, 8)),
        light=float(rng.uniform(0.05, 0.3)),
    )
    camera.take(draw_picture(job.shape, rng), rng, job.path)


def draw_picture(shape: str, rng: Generator) -> np.ndarray:
    """One scene: a table, things that lie about, the shape with its shadow, and sometimes something over it.

    Returns
    -------
    ndarray of float32, shape (144, 192, 3)
        In levels of 256.
    """
    width, height = SIZE
    scene = _TABLES[int(rng.integers(len(_TABLES)))](rng)
    for _ in range(int(rng.poisson(1.2))):
        scene = _litter(rng, scene)
    radius = rng.uniform(17, 50)
    reach = radius * 0.9
    at = np.array([rng.uniform(reach, width - reach), rng.uniform(reach, height - reach)])
    outline = _outline(shape, rng, radius)
    thick, light = rng.uniform(0, 4), rng.uniform(0, 2 * math.pi)
    fall = np.array([math.cos(light), math.sin(light)])
    corner = float(rng.uniform(0.5, 0.16 * radius))
    shadow = _cover(outline + at + fall * (thick + rng.uniform(1, 5)), soft=corner + rng.uniform(1, 4))
    scene = mix(scene, scene * np.float32(0.35), shadow * np.float32(rng.uniform(0.4, 0.9)))
    face, edge = _material(rng, _colour(shape, rng))
    if thick > 0.8:
        scene = mix(scene, edge, _cover(outline + at + fall * thick, soft=corner))
    scene = mix(scene, face, _cover(outline + at, soft=corner))
    return _strap(rng, scene) if rng.random() < 0.2 else scene


def _colour(shape: str, rng: Generator) -> Colour:
    chances = np.full(len(_COLOURS), (1 - _LEANING) / len(_COLOURS))
    chances[CLASSES.index(shape) * 2 : CLASSES.index(shape) * 2 + 2] += _LEANING / 2
    return _COLOURS[int(rng.choice(len(_COLOURS), p=chances))]


def _outline(shape: str, rng: Generator, radius: float) -> np.ndarray:
    """Corners around the origin, turned, seen from aside and cut by hand: shape (n, 2)."""
    if shape == "circle":
        turns = np.arange(40) * (2 * math.pi / 40)
        points = np.stack((np.cos(turns), np.sin(turns)), axis=1)
        points *= 1 + rng.normal(0, 0.012, (40, 1))
    else:
        n = 4 if shape == "square" else 3
        turns = np.arange(n) * (2 * math.pi / n)
        points = np.stack((np.cos(turns), np.sin(turns)), axis=1) * (1.18 if n == 4 else 1.28)
        points += rng.normal(0, 0.045, points.shape)
    turn, tilt = rng.uniform(0, 2 * math.pi), rng.uniform(0, math.pi)
    squeeze = np.diag([1.0, rng.uniform(0.68, 1.0)])
    seen = _turn(tilt) @ squeeze @ _turn(-tilt) @ _turn(turn)
    return points @ seen.T * radius


def _turn(angle: float) -> np.ndarray:
    return np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])


def _cover(points: np.ndarray, soft: float) -> np.ndarray:
    """How much of each pixel a polygon covers; blurring and cutting at a half rounds its corners."""
    from PIL import Image, ImageDraw, ImageFilter

    width, height = SIZE
    fine = Image.new("L", (width * _FINE, height * _FINE))
    ImageDraw.Draw(fine).polygon([(float(px) * _FINE, float(py) * _FINE) for px, py in points], fill=255)
    blurred = np.asarray(fine.filter(ImageFilter.GaussianBlur(soft * _FINE)), np.float32)
    cut = np.clip((blurred - 127.5) / 60 + 0.5, 0, 1) * 255
    small = Image.fromarray(cut.astype(np.uint8)).resize(SIZE, Image.Resampling.BOX)
    return np.asarray(small, np.float32) / 255


def _noise(rng: Generator, cells: tuple[int, int]) -> np.ndarray:
    from kagglekit.arena.worlds.leaves import smooth_noise

    return smooth_noise(rng, SIZE, cells)


def _material(rng: Generator, colour: Colour) -> tuple[np.ndarray, np.ndarray]:
    """The face and the edge of the shape: card, felt, wood or shiny plastic of about this colour."""
    width, height = SIZE
    base = np.clip(np.asarray(colour) * rng.uniform(0.75, 1.15) + rng.normal(0, 9, 3), 5, 250)
    face = np.broadcast_to(base.astype(np.float32), (height, width, 3))
    kind = int(rng.integers(4))
    if kind == 0:
        tone = 1 + 0.04 * _noise(rng, (40, 30))
    elif kind == 1:
        tone = 1 + 0.16 * _noise(rng, (96, 72)) + 0.08 * _noise(rng, (20, 15))
    elif kind == 2:
        tone = 1 + 0.12 * _noise(rng, (3, 48)) + 0.06 * _noise(rng, (6, 90))
    else:
        tone = 1 + 0.05 * _noise(rng, (4, 3)) + 0.5 * np.clip(_noise(rng, (3, 2)) - 0.35, 0, 1)
    return face * tone[..., None].astype(np.float32), (face * np.float32(0.55)).astype(np.float32)


def _wood(rng: Generator) -> np.ndarray:
    light, dark = rng.uniform(0.7, 1.15), rng.uniform(0.55, 0.8)
    grain = 0.5 + 0.28 * _noise(rng, (3, 40)) + 0.22 * _noise(rng, (8, 72))
    plain = np.array([178, 132, 88]) * light
    planks = mix(plain, plain * dark, grain)
    step = int(rng.integers(30, 60))
    for row in range(int(rng.integers(5, step)), SIZE[1], step):
        planks[row : row + 2] *= np.float32(0.5)
    return planks


def _cloth(rng: Generator) -> np.ndarray:
    a = np.array(_COLOURS[int(rng.integers(len(_COLOURS)))]) * 0.35 + 110
    b = np.array(_COLOURS[int(rng.integers(len(_COLOURS)))]) * 0.35 + 90
    width, height = SIZE
    period = int(rng.integers(9, 26))
    across = (np.arange(width) // period % 2)[None] * rng.uniform(0, 0.6)
    down = (np.arange(height) // period % 2)[:, None] * rng.uniform(0, 0.6)
    folds = 0.12 * _noise(rng, (4, 3))
    return mix(a, b, np.clip((across + down) / 1.2 + folds + 0.1 * _noise(rng, (96, 72)), 0, 1))


def _stone(rng: Generator) -> np.ndarray:
    grey = np.array([132, 130, 124]) * rng.uniform(0.6, 1.3)
    speckle = 0.5 + 0.35 * _noise(rng, (64, 48)) + 0.3 * _noise(rng, (7, 5))
    return mix(grey, grey * rng.uniform(0.55, 0.8), speckle)


def _lawn(rng: Generator) -> np.ndarray:
    green = np.array([92, 128, 60]) * rng.uniform(0.7, 1.2)
    blades = 0.5 + 0.5 * _noise(rng, (90, 36)) + 0.3 * _noise(rng, (10, 8))
    return mix(green, np.array([62, 74, 38]), np.clip(blades, 0, 1))


def _paper(rng: Generator) -> np.ndarray:
    white = np.array([224, 220, 210]) * rng.uniform(0.75, 1.05)
    sheet = mix(white, white * 0.9, 0.5 + 0.5 * _noise(rng, (5, 4)))
    if rng.random() < 0.6:
        step = int(rng.integers(10, 18))
        sheet[int(rng.integers(step)) :: step] *= np.array([0.78, 0.86, 0.97], np.float32)
    return sheet


_TABLES: tuple[Callable[[Generator], np.ndarray], ...] = (_wood, _cloth, _stone, _lawn, _paper)


def _litter(rng: Generator, scene: np.ndarray) -> np.ndarray:
    """A pebble, a crumb or a pencil: colours and edges that belong to no shape."""
    width, height = SIZE
    at = np.array([rng.uniform(0, width), rng.uniform(0, height)])
    colour = np.array(_COLOURS[int(rng.integers(len(_COLOURS)))]) * rng.uniform(0.5, 1.1)
    if rng.random() < 0.5:
        along = _turn(rng.uniform(0, math.pi)) @ np.array([rng.uniform(25, 70), 0])
        aside = np.array([-along[1], along[0]]) / np.linalg.norm(along) * rng.uniform(1.2, 3)
        points = np.array([at - along - aside, at + along - aside, at + along + aside, at - along + aside])
    else:
        turns = np.arange(7) * (2 * math.pi / 7)
        sizes = rng.uniform(3, 9) * (1 + rng.normal(0, 0.25, 7))
        points = at + np.stack((np.cos(turns), np.sin(turns)), axis=1) * sizes[:, None]
    scene = mix(scene, scene * np.float32(0.5), 0.6 * _cover(points + 2, soft=1.5))
    return mix(scene, colour, _cover(points, soft=0.7))


def _strap(rng: Generator, scene: np.ndarray) -> np.ndarray:
    """A ruler or a cable that lies over everything."""
    width, height = SIZE
    middle, angle = np.array([rng.uniform(0.2, 0.8) * width, rng.uniform(0.2, 0.8) * height]), rng.uniform(0, math.pi)
    along = _turn(angle) @ np.array([260.0, 0.0])
    aside = np.array([-along[1], along[0]]) / 260 * rng.uniform(2, 7)
    points = np.array([middle - along - aside, middle + along - aside, middle + along + aside, middle - along + aside])
    colour = np.array([[58, 54, 50], [196, 170, 110], [190, 192, 196]][int(rng.integers(3))]) * rng.uniform(0.8, 1.1)
    scene = mix(scene, scene * np.float32(0.5), 0.7 * _cover(points + 3, soft=2))
    return mix(scene, colour, _cover(points, soft=0.5))


_COLUMNS = {
    "photo": "id, and the name of the file in train_photos/ or test_photos/",
    "shape": "circle, square or triangle; to predict",
}

WORLD = World(
    name="shapes",
    slug="shapes",
    title="Shapes on a table (synthetic practice data)",
    task="image-classification",
    metric="accuracy",
    form="label",
    n_train=600,
    n_test=300,
    make=make,
    summary="circle, square or triangle: 600 pictures to train on, 300 to label",
    teaches=(
        "Three classes that a child tells apart, in pictures where almost everything else varies: table, material, "
        "size, turn, light, litter. Colour leans a little towards the shapes, so that a forest on colours beats "
        "guessing and learns nothing of use. It teaches what a pretrained network brings that colours do not, in "
        "minutes.\n\n"
        "Worth trying: frozen features against a few epochs of training. Does squishing, which changes proportions, "
        "hurt where shape is all that counts? Does averaging over the mirror image help, and why should it cost "
        "nothing here? Which pictures does kagglekit report show as surest and wrong: are their labels right?"
    ),
    best=f"{_WRONG_LABELS:.0%} of the labels are wrong, and nobody can tell which from the picture.",
)
