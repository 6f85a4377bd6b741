"""What a cheap camera does to a drawn picture, and drawing many of them in several processes.

Colours are mixed in sums, products and table look-ups only, as in `leaves`: a picture has the same pixels on every
machine.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.random import Generator

from kagglekit.errors import MissingExtra
from kagglekit.parallel import pmap
from kagglekit.progress import Progress

__all__ = ["Camera", "draw_all", "mix", "need_pillow"]

Job = TypeVar("Job")

_BATCH = 64


def need_pillow() -> None:
    """Refuse to draw without Pillow.

    Raises
    ------
    MissingExtra
    """
    if importlib.util.find_spec("PIL") is None:
        raise MissingExtra("Drawing practice pictures", "pillow", "arena")


def draw_all(draw: Callable[[Job], None], jobs: Sequence[Job], progress: Progress, n_jobs: int | None) -> None:
    """Draw pictures in batches, so that progress can be told."""
    with progress.task("Drawing practice pictures", len(jobs)) as task:
        for start in range(0, len(jobs), _BATCH):
            batch = jobs[start : start + _BATCH]
            pmap(draw, batch, -1 if n_jobs is None else n_jobs)
            task.advance(len(batch))


def mix(a: Any, b: Any, share: np.ndarray) -> np.ndarray:
    """Colours `share` of the way from `a` to `b`: float32 of shape (height, width, 3).

    Parameters
    ----------
    a, b : colour, or ndarray of shape (height, width, 3)
    share : ndarray of shape (height, width)
    """
    first, second = np.asarray(a, np.float32), np.asarray(b, np.float32)
    return first + (second - first) * share[..., None].astype(np.float32)


@dataclass(frozen=True)
class Camera:
    """How a picture is taken.

    Parameters
    ----------
    blur : float
        Standard deviation of the focus, in pixels.
    grain : float
        Standard deviation of the sensor's noise, in levels of 256.
    light : float
        How unevenly the light falls: 0 for not at all.
    quality : int
        Of the JPEG file.
    """

    blur: float = 0.6
    grain: float = 4.0
    light: float = 0.15
    quality: int = 88

    def take(self, pixels: np.ndarray, rng: Generator, path: Path) -> None:
        """Write the picture of a scene, float32 of shape (height, width, 3), as JPEG without any metadata."""
        from PIL import Image, ImageFilter

        from kagglekit.arena.worlds.leaves import smooth_noise

        height, width = pixels.shape[:2]
        light = 1 + np.float32(self.light) * smooth_noise(rng, (width, height), (2, 2))
        balance = (1 + rng.normal(0, 0.04, 3)) * (1 + rng.normal(0, 0.08))
        taken = pixels * light[..., None] * balance.astype(np.float32)
        sharp = Image.fromarray(np.clip(taken, 0, 255).astype(np.uint8))
        soft = np.asarray(sharp.filter(ImageFilter.GaussianBlur(self.blur)), np.float32)
        grainy = soft + rng.normal(0, self.grain, soft.shape).astype(np.float32)
        Image.fromarray(np.clip(grainy, 0, 255).astype(np.uint8)).save(path, "JPEG", quality=self.quality)
