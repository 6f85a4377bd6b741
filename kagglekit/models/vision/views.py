"""Ways to look at one picture again when it is predicted: mirrored, nearer, at its corners."""

from __future__ import annotations

from typing import Any, Literal, get_args

from kagglekit.errors import ConfigError, nearest
from kagglekit.models.vision.transforms import Augmentation, box

__all__ = ["Views", "check_views", "view_maps"]

Views = Literal["flip", "flips", "crops", "scales", "random"]

_CROP = 0.875
_SCALES = (1 / 1.15, 1 / 1.3)


def check_views(tta: bool | str, n: int) -> None:
    """Refuse an unknown kind of views, or fewer than one.

    Raises
    ------
    ConfigError
    """
    if not isinstance(tta, bool) and tta not in get_args(Views):
        raise ConfigError(f"tta '{tta}' is unknown.", hint=nearest(tta, get_args(Views)))
    if n < 1:
        raise ConfigError(f"tta_views must be at least 1, got {n}.")


def view_maps(tta: bool | str, n: int, aspect: float, seed: int, training: Augmentation | None = None) -> Any:
    """Maps (n_views, 3, 3) of all views into the frame; the first is the picture as it is.

    Parameters
    ----------
    tta : bool or str
        False: the picture alone. True or "flip": it and its mirror image. "flips": mirrored left to right, top to
        bottom, and both. "crops": besides, five crops (corners and middle, seven eighths of each side), each mirrored
        too. "scales": two magnifications besides, each mirrored too. "random": moved by chance as in training, but the
        same for every picture, so that what is predicted of one depends on no other.
    n : int
        Number of random views, besides the picture as it is.
    aspect : float
        Width of the frame by its height.
    seed : int
        Of the random views.
    training : Augmentation, optional
        By what the random views are drawn; None is the usual one.
    """
    import torch

    mirrors = box(torch.tensor([1.0, -1.0]), torch.ones(2), torch.zeros(2, 2))
    if tta is False:
        return mirrors[:1]
    if tta == "random":
        drawn = (training or Augmentation()).maps(n, aspect, torch.Generator().manual_seed(seed))
        return torch.cat([mirrors[:1], drawn])
    if tta == "flips":
        return box(torch.tensor([1.0, -1, 1, -1]), torch.tensor([1.0, 1, -1, -1]), torch.zeros(2, 4))
    shares = {"crops": [1.0, *[_CROP] * 5], "scales": [1.0, *_SCALES]}.get(str(tta), [1.0])
    room = torch.tensor([1 - share for share in shares])
    towards = torch.tensor([[0, 0], [0, 0], [-1, -1], [1, -1], [-1, 1], [1, 1]])[: len(shares)]
    seen = box(torch.tensor(shares), torch.tensor(shares), towards.T * room)
    return torch.cat([one @ mirrors for one in seen])
