"""What each rice disease does to a leaf that is laid flat, by the descriptions of plant pathology.

Sizes are shares of the blade's width, as they are on a real plant. Source of the signs: International Rice Research
Institute, Rice Knowledge Bank, "Diseases" and "Insects" fact sheets.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageFilter

from kagglekit.arena.worlds.leaves import Colour, blend, paste, smooth_noise

__all__ = ["LESIONS", "blemishes"]

BROWN: Colour = (104, 62, 30)
STRAW: Colour = (206, 190, 132)
YELLOW: Colour = (202, 190, 66)


def _new_mask(strip: Image.Image) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    mask = Image.new("L", strip.size)
    return mask, ImageDraw.Draw(mask)


def _somewhere(rng: Generator, strip: Image.Image, edge: float = 0.1) -> tuple[float, float]:
    """A point on the strip."""
    return rng.uniform(0.04, 0.9) * strip.width, rng.uniform(edge, 1 - edge) * strip.height


def _spindle(x: float, y: float, length: float, width: float, tilt: float) -> list[tuple[float, float]]:
    steps = [i / 6 - 1 for i in range(13)]
    upper = [(x + s * length / 2, y + tilt * s * length / 2 - (1 - abs(s) ** 1.4) * width / 2) for s in steps]
    lower = [(x + s * length / 2, y + tilt * s * length / 2 + (1 - abs(s) ** 1.4) * width / 2) for s in steps]
    return upper + lower[::-1]


def _blur(mask: Image.Image, radius: float) -> Image.Image:
    return mask.filter(ImageFilter.GaussianBlur(radius))


def blast(strip: Image.Image, rng: Generator, severity: float) -> None:
    """Spindles with a grey centre, a brown border and often a yellow halo (Magnaporthe oryzae)."""
    (halo, on_halo), (rim, on_rim), (core, on_core) = _new_mask(strip), _new_mask(strip), _new_mask(strip)
    unit = strip.height
    for _ in range(4 + int(rng.poisson(10 * severity))):
        x, y = _somewhere(rng, strip, 0.15)
        length = unit * rng.uniform(0.16, 0.3 + 0.55 * severity)
        width = length * rng.uniform(0.22, 0.42)
        tilt = rng.normal(0, 0.04)
        on_halo.polygon(_spindle(x, y, length * 1.35, width * 1.7, tilt), fill=170)
        on_rim.polygon(_spindle(x, y, length, width, tilt), fill=235)
        on_core.polygon(_spindle(x, y, length * 0.68, width * 0.58, tilt), fill=235)
    paste(strip, YELLOW, _blur(halo, unit * 0.03), rng.uniform(0.3, 0.7))
    paste(strip, blend(BROWN, (70, 42, 26), rng.random()), _blur(rim, 0.7))
    paste(strip, blend((186, 178, 156), (150, 146, 136), rng.random()), _blur(core, 0.8))


def brown_spot(strip: Image.Image, rng: Generator, severity: float) -> None:
    """Many small round or oval brown spots with a yellow halo, evenly spread (Bipolaris oryzae)."""
    (halo, on_halo), (spot, on_spot), (core, on_core) = _new_mask(strip), _new_mask(strip), _new_mask(strip)
    unit = strip.height
    for _ in range(20 + int(rng.poisson(70 * severity))):
        x, y = _somewhere(rng, strip, 0.06)
        b = max(1.2, unit * rng.gamma(4, 0.006 + 0.004 * severity))
        a = b * rng.uniform(1.0, 1.7)
        on_halo.ellipse((x - 2 * a, y - 1.8 * b, x + 2 * a, y + 1.8 * b), fill=190)
        on_spot.ellipse((x - a, y - b, x + a, y + b), fill=int(rng.integers(170, 250)))
        if b > 4:
            on_core.ellipse((x - a / 3, y - b / 3, x + a / 3, y + b / 3), fill=190)
    paste(strip, YELLOW, _blur(halo, unit * 0.02), rng.uniform(0.2, 0.6))
    paste(strip, blend(BROWN, (128, 78, 34), rng.random()), _blur(spot, 0.6))
    paste(strip, (150, 128, 100), _blur(core, 0.6), 0.7)


def hispa(strip: Image.Image, rng: Generator, severity: float) -> None:
    """White streaks along the veins where beetles scraped the leaf, in groups, and pale blotches mined by grubs."""
    mask, draw = _new_mask(strip)
    unit = strip.height
    for _ in range(5 + int(rng.poisson(11 * severity))):
        x, y = _somewhere(rng, strip)
        length = unit * rng.uniform(0.3, 1.3)
        for _ in range(int(rng.integers(2, 9))):
            start, row = x + rng.normal(0, 0.25) * length, y + rng.normal(0, 0.06) * unit
            end = start + length * rng.uniform(0.3, 1.0)
            draw.line(
                [(start, row), (end, row)], fill=int(rng.integers(130, 235)), width=int(rng.integers(1, 3 + unit // 70))
            )
    for _ in range(int(rng.poisson(1.2 * severity))):
        x, y = _somewhere(rng, strip)
        a, b = unit * rng.uniform(0.15, 0.45), unit * rng.uniform(0.05, 0.12)
        draw.ellipse((x - a, y - b, x + a, y + b), fill=150)
    paste(strip, blend((226, 228, 206), (198, 204, 164), rng.random()), _blur(mask, 0.7), rng.uniform(0.6, 0.95))


def bacterial_leaf_streak(strip: Image.Image, rng: Generator, severity: float) -> None:
    """Narrow translucent streaks between the veins, water-soaked and then amber to brown (Xanthomonas oryzicola)."""
    (halo, on_halo), (streak, on_streak) = _new_mask(strip), _new_mask(strip)
    unit = strip.height
    for _ in range(22 + int(rng.poisson(60 * severity))):
        x, y = _somewhere(rng, strip, 0.06)
        length, width = unit * rng.gamma(3, 0.11), max(1, round(unit * rng.uniform(0.012, 0.035)))
        on_halo.line([(x - length * 0.1, y), (x + length * 1.1, y)], fill=170, width=width * 3)
        on_streak.line([(x, y), (x + length, y)], fill=int(rng.integers(130, 240)), width=width)
    paste(strip, YELLOW, _blur(halo, unit * 0.02), rng.uniform(0.2, 0.6))
    paste(strip, blend((142, 92, 34), (112, 74, 40), rng.random()), _blur(streak, 0.6))


def bacterial_leaf_blight(strip: Image.Image, rng: Generator, severity: float) -> None:
    """Margins that turn yellow and then straw white from the tip down, with a wavy edge (Xanthomonas oryzae)."""
    width, height = strip.size
    across = np.abs(np.linspace(-1, 1, height, dtype=np.float32))[:, None]
    along = np.linspace(0, 1, width, dtype=np.float32)[None]
    wave = smooth_noise(rng, (width, 2), (width // 45, 2))
    sides = np.where(np.arange(height)[:, None] < height // 2, wave[:1], wave[1:])
    reach = (along - np.float32(1 - rng.uniform(0.6, 1.1) * (0.6 + 0.6 * severity))) * np.float32(1.3)
    reach = np.clip(reach, 0, np.float32(0.25 + 0.7 * severity)) + sides * np.float32(0.12) * (reach > 0)
    depth = across - (1 - reach)
    paste(strip, YELLOW, _mask(depth * 7 + np.float32(0.9)), 0.75)
    dead = blend(STRAW, (176, 160, 120), rng.random())
    paste(strip, dead, _mask(depth * 9), 0.9)


def _mask(values: np.ndarray) -> Image.Image:
    return Image.fromarray((np.clip(values, 0, 1) * np.float32(255)).astype(np.uint8))


def tungro(strip: Image.Image, rng: Generator, severity: float) -> None:
    """Yellow to orange from the tip down, the veins green longest, with rusty specks (rice tungro viruses)."""
    width, height = strip.size
    along = np.linspace(0, 1, width, dtype=np.float32)[None]
    ragged = smooth_noise(rng, (width, height), (8, 5)) * np.float32(0.3)
    veins = np.repeat(rng.uniform(-0.25, 0.1, height // 5 + 1), 5)[:height].astype(np.float32)[:, None]
    change = (along - np.float32(0.62 - 0.7 * severity)) * np.float32(2.2) + ragged + veins
    orange = blend((214, 178, 52), (212, 142, 44), rng.random())
    paste(strip, orange, _mask(change), rng.uniform(0.45, 0.85))
    _specks(strip, rng, (140, 84, 36), int(rng.poisson(14)), 0.5)


def downy_mildew(strip: Image.Image, rng: Generator, severity: float) -> None:
    """Pale yellow to white specks that crowd into patches (Sclerophthora macrospora)."""
    width, height = strip.size
    patches = smooth_noise(rng, (width, height), (max(3, width // 110), 3)) + np.float32(0.5 * severity - 0.15)
    cell = max(2, round(height * rng.uniform(0.03, 0.05)))
    speckle = smooth_noise(rng, (width, height), (width // (2 * cell), height // cell))
    paste(strip, (190, 200, 118), _mask(patches * np.float32(0.8)), 0.55)
    paste(
        strip, (226, 228, 190), _mask(np.clip(patches + np.float32(0.25), 0, 1) * (speckle - np.float32(0.1)) * 3), 0.85
    )


def healthy(strip: Image.Image, rng: Generator, severity: float) -> None:
    """Nothing."""


def _specks(strip: Image.Image, rng: Generator, colour: Colour, n: int, opacity: float) -> None:
    mask, draw = _new_mask(strip)
    for _ in range(n):
        x, y = _somewhere(rng, strip)
        r = strip.height * rng.uniform(0.006, 0.022)
        draw.ellipse((x - 1.5 * r, y - r, x + 1.5 * r, y + r), fill=220)
    paste(strip, colour, mask, opacity)


def blemishes(strip: Image.Image, rng: Generator, age: int) -> None:
    """What healthy leaves show too: dirt, old scars, a dry or yellow tip, glints of dew and sky."""
    _specks(strip, rng, (96, 84, 60), int(rng.poisson(4)), 0.6)
    _specks(strip, rng, (224, 226, 210), int(rng.poisson(3)), 0.6)
    if rng.random() < 0.05 + 0.01 * (age - 45):
        along = np.linspace(0, 1, strip.width, dtype=np.float32)[None]
        edge = smooth_noise(rng, strip.size, (6, 4)) * np.float32(0.3)
        start = rng.uniform(0.7, 0.97)
        paste(strip, blend(YELLOW, STRAW, rng.random()), _mask((along - np.float32(start)) * 8 + edge * 2), 0.7)
    if rng.random() < 0.35:
        mask, draw = _new_mask(strip)
        for _ in range(int(rng.integers(1, 5))):
            x, y = _somewhere(rng, strip)
            draw.line([(x, y), (x + strip.height * rng.uniform(0.4, 2.2), y)], fill=130, width=int(rng.integers(1, 4)))
        paste(strip, (222, 232, 214), _blur(mask, 1.5), 0.7)


LESIONS: dict[str, Callable[[Image.Image, Generator, float], None]] = {
    "bacterial_leaf_blight": bacterial_leaf_blight,
    "bacterial_leaf_streak": bacterial_leaf_streak,
    "bacterial_panicle_blight": healthy,
    "blast": blast,
    "brown_spot": brown_spot,
    "dead_heart": healthy,
    "downy_mildew": downy_mildew,
    "hispa": hispa,
    "normal": healthy,
    "tungro": tungro,
}
