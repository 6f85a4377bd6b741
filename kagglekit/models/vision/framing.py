"""Which part of a picture the network sees, as a map from what it sees to where in the picture that lies.

All maps are homographies, 3 x 3, between coordinates that run from -1 to 1 over the width (x, first) and the height (y)
of a picture, corner to corner of its pixels. They take a place in the output to the place in the input that is read
there, so a product of maps is read from the right: the rightmost acts first on a place in the output.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kagglekit.models.vision.decoding import Resize

__all__ = ["Frame", "resample"]


@dataclass(frozen=True)
class Frame:
    """How cached pictures become what the network sees.

    Parameters
    ----------
    height, width : int
        Of what the network sees.
    resize : {"squish", "crop", "pad", "reflect"}
    presized : bool
        The cache holds whole pictures, squished to one size; what is seen is cut out of them, by the shape that each
        picture had. Without, the cache holds what is seen.
    """

    height: int
    width: int
    resize: Resize
    presized: bool

    @property
    def padding(self) -> str:
        """What `grid_sample` reads beyond the picture: black only where that is asked for."""
        return "zeros" if self.presized and self.resize == "pad" else "reflection"

    def place(self, shapes: np.ndarray, generator: Any = None) -> Any:
        """Maps from the frame into the pictures, of shape (n, 3, 3).

        Parameters
        ----------
        shapes : ndarray of int, shape (n, 2)
            Height and width that each file had.
        generator : torch.Generator, optional
            Crops are taken at a place by chance; without, from the middle.
        """
        import torch

        maps = torch.eye(3).repeat(len(shapes), 1, 1)
        if not self.presized or self.resize == "squish":
            return maps
        # How much wider than the frame a picture is, relative to its height.
        wider = torch.from_numpy(shapes[:, 1] / shapes[:, 0] / (self.width / self.height)).float()
        if self.resize == "crop":
            maps[:, 0, 0], maps[:, 1, 1] = (1 / wider).clamp(max=1), wider.clamp(max=1)
            if generator is not None:
                maps[:, :2, 2] = shift(maps[:, 0, 0], maps[:, 1, 1], generator)
        else:
            maps[:, 0, 0], maps[:, 1, 1] = (1 / wider).clamp(min=1), wider.clamp(min=1)
        return maps


def shift(x_share: Any, y_share: Any, generator: Any) -> Any:
    """Offsets (n, 2) by chance that keep boxes with these shares of the width and height inside."""
    import torch

    u = torch.rand(len(x_share), 2, generator=generator) * 2 - 1
    return u * (1 - torch.stack([x_share, y_share], 1))


def resample(x: Any, maps: Any, height: int, width: int, padding: str) -> Any:
    """Read pictures through maps: one bilinear `grid_sample` for all that moves pixels.

    Parameters
    ----------
    x : tensor (n, 3, input height, input width)
        Of floats.
    maps : tensor (n, 3, 3)
        See this module's first lines.
    height, width : int
        Of the output.
    padding : {"zeros", "border", "reflection"}

    Notes
    -----
    Bilinear reading takes in two pixels each way. A picture more than twice the output's size is first averaged down to
    twice, so that none of its pixels is passed over; the same holds in training and in prediction, so that the network
    predicts from pictures as sharp as those it learnt from.
    """
    from torch.nn import functional

    shrink = min(x.shape[2] / height, x.shape[3] / width) / 2
    if shrink > 1:
        x = functional.interpolate(x, (round(x.shape[2] / shrink), round(x.shape[3] / shrink)), mode="area")
    grid = _grid(maps.to(x.device), height, width)
    return functional.grid_sample(x, grid, "bilinear", padding, align_corners=False)


def _grid(maps: Any, height: int, width: int) -> Any:
    """Where each output pixel's middle lies in the input: (n, height, width, 2)."""
    import torch

    y, x = ((torch.arange(n, device=maps.device) * 2 + 1) / n - 1 for n in (height, width))
    # A homography is three affine functions of the place; each is the sum of a row's and a column's part.
    parts = maps[:, :, 0, None, None] * x + (maps[:, :, 1, None] * y + maps[:, :, 2, None])[..., None]
    return torch.stack([parts[:, 0] / parts[:, 2], parts[:, 1] / parts[:, 2]], -1)
