"""One synthetic photograph of a rice plant: what stands in it, and what the camera does to it."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageFilter

from kagglekit.arena.worlds.leaves import (
    Blade,
    Colour,
    background,
    blend,
    lay,
    new_strip,
    panicle,
    smooth_noise,
    tiller,
)
from kagglekit.arena.worlds.lesions import BROWN, LESIONS, STRAW, blemishes

__all__ = ["JPEG_BYTES", "SIZE", "Plant", "encode", "photograph"]

SIZE = (480, 640)
JPEG_BYTES = (60_000, 100_000)

# Share of the pictures that show a whole plant and not a few blades from near by.
_WHOLE_PLANT = {"dead_heart": 1.0, "tungro": 0.4, "normal": 0.3}
_WHOLE_PLANT_ELSE = 0.05
# A few rows at a time stay in the processor's cache; the whole picture as floats does not.
_ROWS = 64


@dataclass(frozen=True)
class Plant:
    """What is to be photographed.

    Parameters
    ----------
    label : str
        The disease, as a key of `lesions.LESIONS`.
    variety : int
        Number of the variety; it shifts the green.
    age : int
        Days since sowing.
    """

    label: str
    variety: int
    age: int

    def green(self, rng: Generator) -> Colour:
        """The colour of one healthy blade: fresher when young, yellower when old, and never twice the same."""
        young, old = (72, 138, 46), (132, 148, 58)
        shift = self.variety * 37 % 11 - 5
        base = blend(young, old, (self.age - 45) / 37 + rng.normal(0, 0.18))
        light = rng.uniform(0.85, 1.12)
        return blend((0, 0, 0), (base[0] + shift, base[1], base[2] - shift + rng.normal(0, 8)), light)


def photograph(plant: Plant, rng: Generator, size: tuple[int, int] = SIZE) -> Image.Image:
    """Draw a plant and take its picture."""
    picture = background(rng, size)
    severity = float(rng.beta(2.2, 1.5))
    if plant.label == "bacterial_panicle_blight":
        _ear(plant, rng, picture, severity)
    elif rng.random() < _WHOLE_PLANT.get(plant.label, _WHOLE_PLANT_ELSE):
        _whole_plant(plant, rng, picture, severity)
    else:
        _near_blades(plant, rng, picture, severity)
        if plant.age > 66 and rng.random() < 0.15:
            _panicles(rng, picture, sick=0.0, n=1)
    return _camera(rng, picture)


def _near_blades(plant: Plant, rng: Generator, picture: Image.Image, severity: float) -> None:
    n = int(rng.choice([1, 2, 3], p=[0.45, 0.37, 0.18]))
    upright = rng.random() < 0.7
    for i in range(n):
        half_width = rng.uniform(42, 96) / (1 + 0.25 * (n - 1))
        strip = new_strip(rng, 760, round(2.2 * half_width), plant.green(rng))
        blemishes(strip, rng, plant.age)
        if i == n - 1 or rng.random() < 0.85:
            LESIONS[plant.label](strip, rng, severity)
        lay(picture, strip, _across(rng, picture.size, half_width, upright), shadow=rng.uniform(0.1, 0.55))


def _across(rng: Generator, size: tuple[int, int], half_width: float, upright: bool) -> Blade:
    """A blade that crosses the picture through its middle part."""
    tilt = rng.normal(0, 0.28) if upright else rng.normal(math.pi / 2, 0.3)
    angle = -math.pi / 2 + tilt + (math.pi if rng.random() < 0.25 else 0.0)
    length = rng.uniform(1.1, 1.4) * 640
    bend = rng.normal(0, 55)
    back = length * rng.uniform(0.4, 0.6)
    middle_x = size[0] * rng.uniform(0.28, 0.72) + bend * 0.25 * math.sin(angle)
    middle_y = size[1] * rng.uniform(0.35, 0.65)
    x, y = middle_x - back * math.cos(angle), middle_y - back * math.sin(angle)
    return Blade(x, y, angle, length, half_width, bend, rng.uniform(-0.4, 0.4))


def _whole_plant(plant: Plant, rng: Generator, picture: Image.Image, severity: float) -> None:
    draw = ImageDraw.Draw(picture)
    width, height = picture.size
    foot = (width * rng.uniform(0.35, 0.65), height * rng.uniform(0.85, 1.05))
    n = int(rng.integers(9, 17))
    dead = set(rng.permutation(n)[-int(rng.integers(1, 4)) :].tolist()) if plant.label == "dead_heart" else set()
    for i in sorted(range(n), key=lambda i: (i in dead, i)):
        lean = rng.normal(0, 0.5) if i not in dead else rng.normal(0, 0.14)
        length = height * rng.uniform(0.5, 0.95) * (0.85 if i in dead else 1.0)
        blade = Blade(
            foot[0] + rng.normal(0, 18),
            foot[1],
            -math.pi / 2 + lean,
            length,
            rng.uniform(5, 10) if i in dead else rng.uniform(6, 15),
            lean * length * rng.uniform(0.1, 0.6),
        )
        colours = _dry(rng) if i in dead else _along(plant, rng, severity)
        line = tiller(draw, blade, colours, [rng.uniform(0.75, 0.95), 1.0, 1.12, 0.97, rng.uniform(0.8, 1.0)])
        if i not in dead:
            _marks(plant.label, rng, draw, line, blade.half_width, severity)


def _dry(rng: Generator) -> list[Colour]:
    base, tip = blend((150, 148, 84), (170, 140, 84), rng.random()), blend((196, 168, 108), BROWN, rng.random() * 0.6)
    return [blend(base, tip, i / 13 + rng.normal(0, 0.08)) for i in range(14)]


def _along(plant: Plant, rng: Generator, severity: float) -> list[Colour]:
    """Colours of a narrow blade from base to tip."""
    green = plant.green(rng)
    colours = [blend(green, (0, 0, 0), rng.normal(0, 0.04)) for _ in range(18)]
    if plant.label == "tungro":
        ill, start, most = blend((214, 178, 52), (208, 140, 46), rng.random()), 0.8 - 0.75 * severity, 0.85
    elif plant.label == "bacterial_leaf_blight":
        ill, start, most = STRAW, 0.85 - 0.6 * severity, 0.95
    elif rng.random() < 0.12:  # any old leaf dries from its tip
        ill, start, most = blend(STRAW, BROWN, rng.random() * 0.5), rng.uniform(0.6, 0.95), 0.8
    else:
        return colours
    steepness = rng.uniform(1.2, 3.0)
    shares = [min(max((i / 17 - start) * steepness, 0.0), most) for i in range(18)]
    return [blend(c, ill, s) for c, s in zip(colours, shares, strict=True)]


def _marks(
    label: str,
    rng: Generator,
    draw: ImageDraw.ImageDraw,
    line: list[tuple[float, float]],
    half_width: float,
    severity: float,
) -> None:
    """Lesions on a narrow blade, a few pixels each."""
    kinds: dict[str, tuple[Colour, float, float, int]] = {
        "blast": ((168, 156, 132), 0.75, 0.3, 4),
        "brown_spot": (BROWN, 0.22, 0.16, 14),
        "hispa": ((222, 224, 200), 1.3, 0.1, 10),
        "bacterial_leaf_streak": ((142, 92, 34), 1.0, 0.09, 14),
        "downy_mildew": ((226, 228, 180), 0.2, 0.15, 26),
    }
    if label not in kinds:
        return
    colour, long, wide, n = kinds[label]
    for _ in range(1 + int(rng.poisson(n * severity))):
        i = int(rng.integers(1, len(line) - 2))
        (x0, y0), (x1, y1) = line[i], line[i + 1]
        step = math.hypot(x1 - x0, y1 - y0) or 1.0
        ux, uy = (x1 - x0) / step, (y1 - y0) / step
        aside, t = rng.uniform(-0.6, 0.6) * half_width, rng.random()
        x, y = x0 + ux * step * t - uy * aside, y0 + uy * step * t + ux * aside
        a, b = max(2.0, long * half_width), max(1.0, wide * half_width)
        corners = [
            (x + ux * a, y + uy * a),
            (x - uy * b, y + ux * b),
            (x - ux * a, y - uy * a),
            (x + uy * b, y - ux * b),
        ]
        draw.polygon(corners, fill=colour, outline=BROWN if label == "blast" else None)


def _ear(plant: Plant, rng: Generator, picture: Image.Image, severity: float) -> None:
    for _ in range(int(rng.integers(1, 4))):
        half_width = rng.uniform(12, 30)
        strip = new_strip(rng, 640, round(2 * half_width), plant.green(rng))
        blemishes(strip, rng, plant.age)
        lay(picture, strip, _across(rng, picture.size, half_width, upright=True), shadow=0.3)
    _panicles(rng, picture, sick=0.35 + 0.6 * severity, n=int(rng.integers(1, 4)))


def _panicles(rng: Generator, picture: Image.Image, sick: float, n: int) -> None:
    draw = ImageDraw.Draw(picture)
    width, height = picture.size
    for _ in range(n):
        ripe = blend((150, 168, 78), (206, 178, 92), rng.random())
        ill = blend((190, 168, 130), (112, 78, 46), rng.random())
        grains = [
            blend(ill if rng.random() < sick else ripe, (90, 70, 40), abs(rng.normal(0, 0.13)))
            for _ in range(int(rng.integers(70, 130)))
        ]
        base = (width * rng.uniform(0.25, 0.75), height * rng.uniform(0.75, 1.0))
        # Ears whose grains stay empty stand upright; full ones bend.
        droop = max(0.0, rng.normal(0.5 - 0.45 * sick, 0.1))
        panicle(rng, draw, base, height * rng.uniform(0.55, 0.85), droop, grains)


def _camera(rng: Generator, picture: Image.Image) -> Image.Image:
    """Focus, light, white balance, contrast and sensor noise."""
    picture = picture.filter(
        ImageFilter.GaussianBlur(float(rng.choice([0.55, 0.7, 0.9, 1.4, 2.0], p=[0.35, 0.35, 0.18, 0.09, 0.03])))
    )
    light = 1 + smooth_noise(rng, picture.size, (2, 3)) * np.float32(rng.uniform(0.05, 0.28))
    balance = np.exp(rng.normal(0, 0.035, 3)) * math.exp(rng.normal(-0.02, 0.11))
    contrast, lift = rng.uniform(0.85, 1.2), rng.uniform(-8, 14)
    width, height = picture.size
    gain = np.tile((balance * contrast).astype(np.float32), width)
    # Contrast turns about a middle grey.
    offset = np.tile((110 * balance * (1 - contrast) + lift).astype(np.float32), width)
    # Rows of 3 * width numbers: numpy is slow where the innermost axis holds three.
    taken = np.array(picture).reshape(height, -1)
    noise = np.frombuffer(rng.bytes(taken.size), np.uint8).reshape(taken.shape)
    grain = np.float32(rng.uniform(2.0, 5.5))
    for start in range(0, height, _ROWS):
        rows = slice(start, start + _ROWS)
        pixels = taken[rows].astype(np.float32)
        pixels *= np.repeat(light[rows], 3, axis=1)
        pixels *= gain
        pixels += offset
        pixels += _sensor_noise(noise[rows], grain)
        taken[rows] = np.clip(pixels, 0, 255, out=pixels)
    return Image.fromarray(taken.reshape(height, width, 3))


def _sensor_noise(noise: np.ndarray, strength: np.float32) -> np.ndarray:
    """Flat noise of variance strength**2; the blur of JPEG hides that it is not normal, and bytes are ten times
    cheaper."""
    values = noise.astype(np.float32)
    values -= np.float32(127.5)
    values *= np.float32(1 / 73.9)
    values *= strength
    return values


def encode(picture: Image.Image) -> bytes:
    """JPEG of 60 to 100 KB where a quality between 40 and 98 gives it, as a phone's pictures have when made smaller."""
    low, high, quality = 40, 98, 85
    data = b""
    for _ in range(6):
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=quality)
        data = buffer.getvalue()
        if JPEG_BYTES[0] <= len(data) <= JPEG_BYTES[1] or low == high:
            break
        if len(data) < JPEG_BYTES[0]:
            low = quality
        else:
            high = quality
        quality = (low + high + 1) // 2
    return data
