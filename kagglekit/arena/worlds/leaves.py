"""Drawing rice plants: backgrounds, blades, tillers and panicles, in numpy and Pillow.

Per-pixel work uses only sums, products and table look-ups, which every processor rounds alike; sines and powers are
taken in float64 over short tables. So a picture has the same pixels on every machine.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageFilter

__all__ = [
    "Blade",
    "Colour",
    "background",
    "blend",
    "lay",
    "new_strip",
    "panicle",
    "paste",
    "smooth_noise",
    "tiller",
]

Colour = tuple[int, int, int]
Point = tuple[float, float]
Box = tuple[int, int, int, int]


def blend(a: Sequence[float], b: Sequence[float], share: float) -> Colour:
    """The colour that lies `share` of the way from `a` to `b`."""
    r, g, blue = (max(0, min(255, round(x + (y - x) * share))) for x, y in zip(a, b, strict=True))
    return r, g, blue


def paste(image: Image.Image, colour: Colour, mask: Image.Image, opacity: float = 1.0) -> None:
    """Lay a colour over the part of an image that a mask shows."""
    if opacity < 1.0:
        mask = mask.point([round(i * opacity) for i in range(256)])
    image.paste(colour, (0, 0), mask)


def smooth_noise(rng: Generator, size: tuple[int, int], cells: tuple[int, int]) -> np.ndarray:
    """Smooth random field of shape (height, width) in [-1, 1], with about `cells` bumps across and down."""
    coarse = rng.integers(0, 256, (max(cells[1], 2), max(cells[0], 2)), dtype=np.uint8)
    fine = Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)
    return np.asarray(fine, np.float32) / np.float32(127.5) - np.float32(1)


def background(rng: Generator, size: tuple[int, int]) -> Image.Image:
    """Soil, flooded field, or a blurred green stand, at half resolution and then enlarged: it is out of focus."""
    half = (size[0] // 2, size[1] // 2)
    ground = [(104, 86, 66), (128, 120, 108), (74, 92, 52), (52, 66, 40), (150, 158, 160)][int(rng.integers(5))]
    other = [(70, 58, 44), (92, 108, 62), (120, 128, 92), (60, 70, 60)][int(rng.integers(4))]
    share = smooth_noise(rng, half, (3, 4)) * 0.35 + smooth_noise(rng, half, (24, 32)) * 0.2 + 0.5
    grain = smooth_noise(rng, half, (90, 120)) * rng.uniform(4, 22)
    pixels = _mix(ground, other, share) + grain[..., None]
    image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    _distant_blades(rng, image, int(rng.integers(1, 14)))
    blurred = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.6, 3.5)))
    return blurred.resize(size, Image.Resampling.BILINEAR)


def _mix(a: Colour, b: Colour, share: np.ndarray) -> np.ndarray:
    first, second = np.asarray(a, np.float32), np.asarray(b, np.float32)
    return first + (second - first) * share[..., None]


def _distant_blades(rng: Generator, image: Image.Image, n: int) -> None:
    draw = ImageDraw.Draw(image)
    width, height = image.size
    for _ in range(n):
        x, lean = rng.uniform(-0.1, 1.1) * width, rng.uniform(-0.6, 0.6) * width
        green = blend((58, 92, 38), (128, 150, 70), rng.random())
        if rng.random() < 0.12:
            green = blend((150, 132, 84), (120, 96, 60), rng.random())
        top = rng.uniform(-0.2, 0.6) * height
        points = [(x + lean * t * t, height + (top - height) * t) for t in (0.0, 0.25, 0.5, 0.75, 1.0)]
        draw.line(points, fill=green, width=int(rng.integers(2, 11)), joint="curve")


@dataclass(frozen=True)
class Blade:
    """Where a flat strip of leaf lies in the picture.

    Parameters
    ----------
    x, y : float
        Its base, in pixels.
    angle : float
        Direction of growth in radians; 0 points right, -pi/2 up.
    length, half_width : float
        In pixels.
    bend : float
        How far the tip leaves the straight line, in pixels.
    fold : float
        Share of the width that the nearer half takes from the other, as a blade is seldom seen flat.
    """

    x: float
    y: float
    angle: float
    length: float
    half_width: float
    bend: float
    fold: float = 0.0


def new_strip(rng: Generator, length: int, width: int, green: Colour) -> Image.Image:
    """A healthy leaf laid flat: base at the left, tip at the right, midrib in the middle."""
    veins = np.repeat(rng.uniform(-1, 1, width // 3 + 1), 3)[:width].astype(np.float32)
    tone = 1 + 0.07 * veins[:, None] + 0.10 * smooth_noise(rng, (length, width), (5, 2))
    tone = tone + 0.06 * smooth_noise(rng, (length, width), (length // 16, width // 3))
    across = np.abs(np.linspace(-1, 1, width, dtype=np.float32))
    tone[: width // 2] *= np.float32(rng.uniform(0.8, 1.0))
    share = np.clip(1 - across / np.float32(rng.uniform(0.05, 0.11)), 0, 1)[:, None]
    light = np.float32(rng.uniform(0.4, 0.85))
    strip = np.empty((width, length, 3), np.uint8)
    for band, (own, of_rib) in enumerate(zip(green, (176, 196, 128), strict=True)):
        pixels = np.float32(own) * tone
        pixels += (np.float32(of_rib) - pixels) * share * light
        strip[..., band] = np.clip(pixels, 0, 255, out=pixels)
    return Image.fromarray(strip)


def lay(picture: Image.Image, strip: Image.Image, blade: Blade, shadow: float = 0.0) -> None:
    """Bend a flat strip along a blade's curve and draw it into the picture, with antialiased edges and a shadow."""
    cos, sin = np.float32(math.cos(blade.angle)), np.float32(math.sin(blade.angle))
    centre, reach = _curve(blade)
    left, top, right, bottom = box = _bounds(blade, centre, reach, picture.size)
    if left >= right or top >= bottom:
        return
    dx = np.arange(left, right, dtype=np.float32) - np.float32(blade.x)
    dy = (np.arange(top, bottom, dtype=np.float32) - np.float32(blade.y))[:, None]
    along, aside = dx * cos + dy * sin, dy * cos - dx * sin
    step = np.clip(along, 0, blade.length - 1).astype(np.int32)
    away = (aside - centre[step]) / reach[step]
    away /= np.where(away < 0, np.float32(1 - blade.fold), np.float32(1 + blade.fold))
    inside = (np.abs(away) < 1) & (along >= 0) & (along < np.float32(blade.length))
    rows, columns = np.nonzero(inside)
    if not len(rows):
        return
    away, step = away[rows, columns], step[rows, columns]
    cover = np.clip((1 - np.abs(away)) * reach[step] + np.float32(0.3), 0, 1)
    if shadow:
        _cast(picture, inside, box, shadow)
    texture = np.asarray(strip)
    u = (step * np.float32((texture.shape[1] - 1) / blade.length)).astype(np.int32)
    v = ((away + 1) * np.float32((texture.shape[0] - 1) / 2)).astype(np.int32)
    canvas = np.array(picture.crop(box))
    below = canvas[rows, columns].astype(np.float32)
    canvas[rows, columns] = (below + (texture[v, u] - below) * cover[:, None]).astype(np.uint8)
    picture.paste(Image.fromarray(canvas), (left, top))


def _bounds(blade: Blade, centre: np.ndarray, reach: np.ndarray, size: tuple[int, int]) -> Box:
    """The part of the picture that a blade can touch; looking only there halves the work."""
    t, far = np.arange(len(centre)), reach * (1 + abs(blade.fold)) + 4
    cos, sin = math.cos(blade.angle), math.sin(blade.angle)
    x = [blade.x + t * cos - aside * sin for aside in (centre - far, centre + far)]
    y = [blade.y + t * sin + aside * cos for aside in (centre - far, centre + far)]
    left, top = max(0, math.floor(np.min(x)) - 4), max(0, math.floor(np.min(y)) - 4)
    return left, top, min(size[0], math.ceil(np.max(x)) + 5), min(size[1], math.ceil(np.max(y)) + 5)


def _curve(blade: Blade) -> tuple[np.ndarray, np.ndarray]:
    t = np.linspace(0, 1, math.ceil(blade.length) + 1)
    centre = blade.bend * t**2
    taper = np.minimum(1.0, 0.55 + 1.6 * t) * np.sqrt(np.clip(1 - t**3, 0, 1))
    return centre.astype(np.float32), np.maximum(blade.half_width * taper, 0.7).astype(np.float32)


def _cast(picture: Image.Image, inside: np.ndarray, box: Box, depth: float) -> None:
    whole = Image.new("L", picture.size)
    whole.paste(Image.fromarray(inside.astype(np.uint8) * 255), box[:2])
    small = whole.resize((picture.width // 8, picture.height // 8))
    mask = small.filter(ImageFilter.GaussianBlur(2)).resize(picture.size, Image.Resampling.BILINEAR)
    shifted = Image.new("L", picture.size)
    shifted.paste(mask, (10, 14))
    paste(picture, (18, 22, 14), shifted, depth)


def tiller(draw: ImageDraw.ImageDraw, blade: Blade, colours: Sequence[Colour], bands: Sequence[float]) -> list[Point]:
    """Draw a narrow blade as coloured facets.

    Parameters
    ----------
    draw : ImageDraw
    blade : Blade
    colours : sequence of colour
        From base to tip.
    bands : sequence of float
        Brightness of each band across the blade.

    Returns
    -------
    list of point
        The centre line, one point more than there are colours.
    """
    centre, reach = _curve(blade)
    n = len(colours)
    cos, sin = math.cos(blade.angle), math.sin(blade.angle)
    stops = [int(i * (len(centre) - 1) / n) for i in range(n + 1)]

    def place(stop: int, across: float) -> Point:
        aside = float(centre[stop]) + across * float(reach[stop])
        return blade.x + stop * cos - aside * sin, blade.y + stop * sin + aside * cos

    edges = [2 * i / len(bands) - 1 for i in range(len(bands) + 1)]
    grid = [[place(stop, edge) for edge in edges] for stop in stops]
    for i, colour in enumerate(colours):
        for j, light in enumerate(bands):
            corners = [grid[i][j], grid[i][j + 1], grid[i + 1][j + 1], grid[i + 1][j]]
            draw.polygon(corners, fill=blend((0, 0, 0), colour, light))
    return [place(stop, 0.0) for stop in stops]


def panicle(
    rng: Generator, draw: ImageDraw.ImageDraw, base: Point, length: float, droop: float, grains: Sequence[Colour]
) -> None:
    """Draw an ear of rice: a stem that bends by `droop`, and a grain of each colour along its branches."""
    lean = rng.uniform(-0.3, 0.3) * length
    side = 1 if rng.random() < 0.5 else -1

    def stem(t: float) -> Point:
        fall = droop * length * t**3
        return base[0] + lean * t + side * fall * 0.8, base[1] - length * t + fall * 1.1 * t

    draw.line([stem(t / 10) for t in range(11)], fill=(120, 136, 70), width=3)
    size = length * rng.uniform(0.026, 0.036)
    for i, colour in enumerate(grains):
        t = 0.3 + 0.7 * i / len(grains)
        x, y = stem(t)
        spread = (1.15 - t) * length * rng.uniform(0.02, 0.22) * rng.choice((-1, 1))
        drop = abs(spread) * rng.uniform(-0.6, 0.9)
        draw.line([(x, y), (x + spread, y + drop)], fill=(126, 138, 78), width=1)
        _grain(draw, (x + spread, y + drop), size * rng.uniform(0.8, 1.2), rng.uniform(0.6, 2.5), colour)


def _grain(draw: ImageDraw.ImageDraw, at: Point, size: float, angle: float, colour: Colour) -> None:
    for scale, light in ((1.0, 0.62), (0.72, 1.0)):
        outline = []
        for k in range(10):
            turn = k * math.pi / 5
            a, b = size * scale * math.cos(turn), 0.42 * size * scale * math.sin(turn)
            outline.append(
                (at[0] + a * math.cos(angle) - b * math.sin(angle), at[1] + a * math.sin(angle) + b * math.cos(angle))
            )
        draw.polygon(outline, fill=blend((0, 0, 0), colour, light))
