"""A network on its device, and how it looks at pictures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from kagglekit.models.vision.cache import DecodedImages
from kagglekit.models.vision.lens import Sight
from kagglekit.models.vision.probe import in_chunks
from kagglekit.models.vision.runtime import import_torch
from kagglekit.models.vision.transforms import Normalizer

__all__ = ["Network"]

_CHUNK = 64


@dataclass(frozen=True, eq=False)
class Network:
    """A timm model and what stands between it and files.

    Parameters
    ----------
    model : torch.nn.Module
        timm's.
    sight : Sight
    normalize : Normalizer
    batch_size : int
        Of its training; as many images at least can be looked at together.
    """

    model: Any
    sight: Sight
    normalize: Normalizer
    batch_size: int

    def logits(self, images: DecodedImages, paths: list[str], maps: Any) -> Iterator[list[Any]]:
        """Outputs of every view of the images, some at a time.

        Parameters
        ----------
        images : DecodedImages
            That `sight` opened.
        paths : list of str
        maps : Tensor of shape (n_views, 3, 3)
            See `views.view_maps`.

        Yields
        ------
        list of Tensor, each of shape (n_images, n_outputs)
            For some of the images, one for each view.
        """
        self.model.eval()
        device, lens = next(self.model.parameters()).device, self.sight.lens(self.normalize)

        def look(rows: slice) -> list[Any]:
            with import_torch().inference_mode():
                return [self.model(view) for view in lens.views(images.rows(paths[rows]), device, maps)]

        yield from in_chunks(look, len(paths), max(_CHUNK, self.batch_size))
