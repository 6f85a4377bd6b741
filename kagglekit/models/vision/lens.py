"""From cached pixels to what the network sees: framed, augmented, normalised, a whole batch at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kagglekit.models.vision.cache import DecodedImages
from kagglekit.models.vision.decoding import PathLike, Resize, Size, height_width, shape_of
from kagglekit.models.vision.framing import Frame, resample
from kagglekit.models.vision.transforms import Augmentation, Normalizer
from kagglekit.progress import Progress

__all__ = ["Lens", "Sight", "canvas_for"]

_ASPECTS = (1, 5 / 4, 4 / 3, 3 / 2, 16 / 9, 2)
"""Shapes that pictures commonly have; taller ones have one over them."""
_LOOKED_AT = 100


def canvas_for(paths: Sequence[PathLike], size: Size, resize: Resize) -> tuple[int, int]:
    """Height and width at which files are decoded for a model that sees `size`: twice that.

    A crop is cut from the canvas, so that has the shape of the pictures, the most common one among them: in a squished
    canvas a crop of a 4:3 picture has three quarters of the pixels along its width, which cost 1.3 points of accuracy
    on the practice pictures (`benchmarks/vision/parity.py`).

    Parameters
    ----------
    paths : sequence of str or Path
        A hundred of them are looked at, by their headers; damaged ones have no say.
    size : int or (height, width)
    resize : {"squish", "crop", "pad", "reflect"}
    """
    height, width = height_width(size)
    if resize != "crop":
        return 2 * height, 2 * width
    known = sorted(map(str, paths))
    shapes = [shape_of(path) for path in known[:: -(-len(known) // _LOOKED_AT) or 1]]
    aspects = Counter(_common(shape[1] / shape[0]) for shape in shapes if shape is not None)
    # Of equally common ones the squarest, whatever the order of the files.
    aspect = min(aspects, key=lambda a: (-aspects[a], abs(np.log(a)), a), default=1.0)
    wider = aspect / (width / height)
    return round(2 * height * max(1.0, 1 / wider)), round(2 * width * max(1.0, wider))


def _common(aspect: float) -> float:
    """The nearest of the shapes that pictures commonly have."""
    return float(min([*_ASPECTS, *(1 / a for a in _ASPECTS)], key=lambda a: abs(np.log(aspect / a))))


@dataclass(frozen=True)
class Sight:
    """How a model sees files: what of a picture, and at which size.

    Parameters
    ----------
    size : int or (height, width)
        Of what the model sees, in pixels.
    resize : {"squish", "crop", "pad", "reflect"}
    presize : int or (height, width), optional
        Of the decoded images, see `canvas_for`; None is twice `size`.
    """

    size: Size
    resize: Resize
    presize: Size | None = None

    @property
    def canvas(self) -> tuple[int, int]:
        """Height and width of decoded images: whole pictures where they differ from `size`, else what is seen."""
        height, width = height_width(self.size)
        return (2 * height, 2 * width) if self.presize is None else height_width(self.presize)

    @property
    def presized(self) -> bool:
        return self.canvas != height_width(self.size)

    def open(
        self, paths: Iterable[PathLike], cache_dir: PathLike | None = None, progress: Progress | None = None
    ) -> DecodedImages:
        """The files, decoded; see `DecodedImages.open`."""
        resize: Resize = "squish" if self.presized else self.resize
        return DecodedImages.open(paths, self.canvas, resize, cache_dir, progress)

    def lens(self, normalize: Normalizer, augment: Augmentation | None = None, size: Size | None = None) -> Lens:
        """From those to what the model sees; another `size` for a stage of its training."""
        height, width = height_width(self.size if size is None else size)
        # What is decoded as it is seen has its shape already; at another size of a stage it is only read smaller.
        resize: Resize = self.resize if self.presized else "squish"
        presized = self.presized or self.canvas != (height, width)
        return Lens(Frame(height, width, resize, presized), normalize, augment)


@dataclass(frozen=True)
class Lens:
    """What stands between `DecodedImages` and a model.

    Parameters
    ----------
    frame : Frame
    normalize : Normalizer
    augment : Augmentation, optional
        None leaves training images as they are.
    """

    frame: Frame
    normalize: Normalizer
    augment: Augmentation | None = None

    def __call__(self, rows: np.ndarray, device: Any) -> Any:
        """Images as they are predicted from: float (n, 3, height, width), channels last in memory.

        Parameters
        ----------
        rows : structured ndarray of shape (n,)
            Of `DecodedImages.rows`.
        device : torch.device
        """
        return self._finished(self._plain(_floats(rows, device), rows))

    def augmented(self, rows: np.ndarray, device: Any, generator: Any) -> Any:
        """The same, augmented; all chance comes from `generator`, a `torch.Generator` on the CPU."""
        if self.augment is None:
            return self(rows, device)
        own = self.augment.maps(len(rows), self.frame.width / self.frame.height, generator)
        x = self._read(_floats(rows, device), self.frame.place(rows["shape"], generator) @ own)
        if self.augment.light:
            x = self.augment.relit(x.div_(255), generator).mul_(255)
        x = self._finished(x)
        return self.augment.erased(x, generator) if self.augment.erase else x

    def views(self, rows: np.ndarray, device: Any, maps: Any) -> Iterator[Any]:
        """Images through each of some views (`views.view_maps`), one view after the other."""
        import torch

        pixels = _floats(rows, device)
        plain, place = self._plain(pixels, rows), self.frame.place(rows["shape"])
        for own in maps:
            # A mirror image needs no reading between pixels.
            if torch.equal(own.abs(), torch.eye(3)):
                axes = [axis for axis, along in ((-1, own[0, 0]), (-2, own[1, 1])) if along < 0]
                yield self._finished(plain.flip(axes))
            else:
                yield self._finished(self._read(pixels, place @ own))

    def _plain(self, pixels: Any, rows: np.ndarray) -> Any:
        if not self.frame.presized and pixels.shape[2:] == (self.frame.height, self.frame.width):
            return pixels
        return self._read(pixels, self.frame.place(rows["shape"]))

    def _read(self, pixels: Any, maps: Any) -> Any:
        return resample(pixels, maps, self.frame.height, self.frame.width, self.frame.padding)

    def _finished(self, x: Any) -> Any:
        import torch

        return self.normalize.scaled(x).contiguous(memory_format=torch.channels_last)


def _floats(rows: np.ndarray, device: Any) -> Any:
    """Pixels from 0 to 255 as floats (n, 3, height, width)."""
    import torch

    # Bytes travel to the device, a quarter of the floats.
    return torch.from_numpy(rows["pixels"]).to(device, non_blocking=True).permute(0, 3, 1, 2).float()
