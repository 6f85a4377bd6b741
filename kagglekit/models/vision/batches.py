"""Shuffled, augmented batches, read straight from the decoded-image cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from kagglekit.models.vision.cache import DecodedImages
from kagglekit.models.vision.decoding import Size
from kagglekit.models.vision.lens import Lens

__all__ = ["Batches", "BatchesAt", "largest_batch"]


class Batches:
    """Shuffled, augmented batches of (images, encoded labels); a new order at every pass.

    Parameters
    ----------
    images : DecodedImages
    paths : sequence of str
    targets : ndarray of shape (n_images,) or (n_images, n_targets)
        As `Objective.encode` gives them.
    batch_size : int
        About; batches are of equal size, so that none is left with an image or two.
    accumulate : int
        Batches that make one step. A step sees the same images whether they come in one batch or in several.
    lens : Lens
        From cached pixels to what the model sees.
    generator : torch.Generator
        On the CPU; all chance of the data path comes from it.
    device : torch.device
    """

    def __init__(
        self,
        images: DecodedImages,
        paths: Sequence[str],
        targets: np.ndarray,
        *,
        batch_size: int,
        accumulate: int = 1,
        lens: Lens,
        generator: Any,
        device: Any,
    ) -> None:
        self.images, self.paths, self.targets = images, np.asarray(paths, dtype=object), targets
        self.lens, self.generator, self.device = lens, generator, device
        steps = _steps(len(paths), batch_size, accumulate)
        self._cuts = np.cumsum([n for step in steps for n in step])[:-1]
        self.shares = [n / sum(step) for step in steps for n in step]
        self._step_of = [number for number, step in enumerate(steps) for _ in step]
        self.n_steps = len(steps)

    def __len__(self) -> int:
        return len(self.shares)

    def ends_step(self, number: int) -> bool:
        """Whether a batch of the pass is the last of its step."""
        return self._step_of[number] != self._step_of[min(number + 1, len(self) - 1)] or number == len(self) - 1

    def steps_before(self, number: int) -> int:
        """Steps of the pass that are done before the step of a batch."""
        return self._step_of[number]

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        import torch

        for rows, x in self.by_rows():
            yield x, torch.from_numpy(self.targets[rows]).to(self.device)

    def by_rows(self) -> Iterator[tuple[np.ndarray, Any]]:
        """One pass: the places of each batch's images among `paths`, and the images."""
        import torch

        order = torch.randperm(len(self.paths), generator=self.generator).numpy()
        for rows in np.split(order, self._cuts):
            yield rows, self.lens.augmented(self.images.rows(self.paths[rows]), self.device, self.generator)


def _steps(n: int, batch_size: int, accumulate: int) -> list[list[int]]:
    """Sizes of the batches of each step of a pass over n images."""
    steps = np.array_split(np.arange(n), max(1, round(n / (batch_size * accumulate))))
    return [[len(part) for part in np.array_split(step, min(accumulate, len(step)))] for step in steps]


def largest_batch(n: int, batch_size: int, accumulate: int) -> int:
    """Images in the largest batch of a pass over n images."""
    return max(max(step) for step in _steps(n, batch_size, accumulate))


BatchesAt = Callable[[Size], Batches]
