"""Bytes to floats around zero, and chance: what is drawn anew for every image at every pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np

from kagglekit.errors import ConfigError, nearest
from kagglekit.models.vision.framing import shift

__all__ = ["Augmentation", "Normalizer"]


@dataclass(frozen=True)
class Normalizer:
    """Bytes to floats around zero.

    Parameters
    ----------
    mean, std : tuple of 3 floats
        Of channels in [0, 1].
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __call__(self, images: np.ndarray, device: Any) -> Any:
        """A float tensor (n, 3, height, width), channels last in memory, from bytes (n, height, width, 3)."""
        import torch

        return self.scaled(torch.from_numpy(images).to(device, non_blocking=True).permute(0, 3, 1, 2).float())

    def scaled(self, x: Any, largest: float = 255.0) -> Any:
        """Floats (n, 3, height, width) from 0 to `largest`, normalised in place."""
        import torch

        mean, std = (torch.tensor(v, device=x.device).view(1, 3, 1, 1) * largest for v in (self.mean, self.std))
        return x.sub_(mean).div_(std)

    def undo(self, x: Any) -> np.ndarray:
        """Bytes (n, height, width, 3) from such a tensor; what lies beyond black and white is cut off."""
        import torch

        mean, std = (torch.tensor(v, device=x.device).view(1, 3, 1, 1) * 255 for v in (self.mean, self.std))
        pixels = (x * std + mean).round().clamp(0, 255).permute(0, 2, 3, 1)
        found: np.ndarray = pixels.cpu().numpy().astype(np.uint8)
        return found


_ASPECTS = (3 / 4, 4 / 3)
_ERASED = (0.02, 0.3)
_ERASED_ASPECTS = (0.3, 1 / 0.3)
_ENDS = 1e-6  # light works on logits, which black and white do not have


@dataclass(frozen=True)
class Augmentation:
    """What happens to training images by chance; the amounts are those of fastai's `aug_transforms`.

    All that moves pixels is one map (see `framing`), so that an image is read, and blurred, once.

    Parameters
    ----------
    flip, flip_vert : bool
        Mirror half of the images left to right; top to bottom.
    degrees : float
        Largest rotation either way.
    zoom : float
        Largest magnification; 1 is none.
    warp : float
        Largest tilt either way: how far the corners of the frame move, 1 being half its side.
    min_scale : float
        Least share of the frame's area that is cut out and enlarged (random-resized crop); 1 is the whole.
    light : float
        Largest change of brightness and of contrast, as a share.
    erase : float
        Share of the images in which a box is filled with noise.
    p_affine, p_light : float
        Share of the images that are rotated, zoomed and warped, and of those whose brightness and contrast change; each
        of these is drawn for itself.

    References
    ----------
    Howard and Gugger, "fastai: A layered API for deep learning", 2020 (`aug_transforms`, light on logits).
    Szegedy et al., "Going deeper with convolutions", 2015 (random-resized crop).
    Zhong et al., "Random erasing data augmentation", 2020.
    """

    flip: bool = True
    flip_vert: bool = False
    degrees: float = 10.0
    zoom: float = 1.1
    warp: float = 0.2
    min_scale: float = 1.0
    light: float = 0.2
    erase: float = 0.0
    p_affine: float = 0.75
    p_light: float = 0.75

    def __post_init__(self) -> None:
        ranges = {"degrees": 180, "warp": 0.5, "light": 0.9, "erase": 1, "p_affine": 1, "p_light": 1}
        for name, high in ranges.items():
            if not 0 <= getattr(self, name) <= high:
                raise ConfigError(f"augment: {name} must be from 0 to {high}, got {getattr(self, name)}.")
        if self.zoom < 1 or not 0 < self.min_scale <= 1:
            raise ConfigError(
                f"augment: zoom must be at least 1 and min_scale above 0 and at most 1, got {self.zoom} and "
                f"{self.min_scale}."
            )

    @classmethod
    def of(cls, settings: bool | Mapping[str, Any]) -> Self | None:
        """The augmentation that settings ask for: True the usual one, False none, a table the usual one but for these.

        Raises
        ------
        ConfigError
            A name is unknown or a value out of range.
        """
        if isinstance(settings, bool):
            return cls() if settings else None
        known = {field.name: field.default for field in fields(cls)}
        for name, value in settings.items():
            if name not in known:
                raise ConfigError(f"augment has no setting '{name}'.", hint=nearest(name, known))
            if isinstance(value, bool) != isinstance(known[name], bool) or not isinstance(value, int | float):
                wanted = "true or false" if isinstance(known[name], bool) else "a number"
                raise ConfigError(f"augment: {name} must be {wanted}, got {value!r}.")
        return cls(**settings)

    def maps(self, n: int, aspect: float, generator: Any) -> Any:
        """Random maps (n, 3, 3) from what the network sees into the frame; `aspect` is its width by its height."""
        import torch

        u = torch.rand(8, n, generator=generator)
        on = (torch.rand(4, n, generator=generator) < self.p_affine).float()
        maps = self._flips(u[:2])
        maps = maps @ tilt((u[2] * 2 - 1) * on[0] * self.warp, (u[3] * 2 - 1) * on[1] * self.warp)
        maps = maps @ rotation((u[4] * 2 - 1) * on[2] * self.degrees, aspect)
        share = 1 / (1 + u[5] * on[3] * (self.zoom - 1))
        # What is magnified may be moved as far as it still fills the frame.
        maps = maps @ box(share, share, (u[6:8] * 2 - 1) * (1 - share))
        return self._cut(n, generator) @ maps if self.min_scale < 1 else maps

    def relit(self, x: Any, generator: Any) -> Any:
        """Brightness and contrast of images (n, 3, height, width) between 0 and 1, changed on their logits."""
        import torch

        u = torch.rand(4, len(x), 1, 1, 1, generator=generator)
        on = (u[:2] < self.p_light).float()
        brightness = torch.logit(0.5 + 0.5 * self.light * (u[2] * 2 - 1) * on[0]).to(x.device)
        contrast = torch.exp(-np.log(1 - self.light) * (u[3] * 2 - 1) * on[1]).to(x.device)
        return torch.logit(x, _ENDS).add_(brightness).mul_(contrast).sigmoid_()

    def erased(self, x: Any, generator: Any) -> Any:
        """Normalised images, some with a box of noise, written in place."""
        import torch

        n, channels, height, width = x.shape
        u = torch.rand(5, n, generator=generator)
        area, aspect = _between(u[1], *_ERASED), _log_between(u[2], *_ERASED_ASPECTS)
        tall, wide = (height * (area * aspect).sqrt()).long(), (width * (area / aspect).sqrt()).long()
        for i in torch.nonzero(u[0] < self.erase).flatten().tolist():
            h, w = max(1, min(height, int(tall[i]))), max(1, min(width, int(wide[i])))
            top, left = int(u[3, i] * (height - h + 1)), int(u[4, i] * (width - w + 1))
            noise = torch.randn(channels, h, w, generator=generator)
            x[i, :, top : top + h, left : left + w] = noise.to(x.device, x.dtype)
        return x

    def _flips(self, u: Any) -> Any:
        import torch

        maps = torch.eye(3).repeat(u.shape[1], 1, 1)
        for axis, wanted in enumerate((self.flip, self.flip_vert)):
            if wanted:
                maps[:, axis, axis] = torch.where(u[axis] < 0.5, -1.0, 1.0)
        return maps

    def _cut(self, n: int, generator: Any) -> Any:
        import torch

        u = torch.rand(2, n, generator=generator)
        area, aspect = _between(u[0], self.min_scale, 1.0), _log_between(u[1], *_ASPECTS)
        wide, tall = (area * aspect).sqrt().clamp(max=1), (area / aspect).sqrt().clamp(max=1)
        return box(wide, tall, shift(wide, tall, generator).T)


def rotation(degrees: Any, aspect: float) -> Any:
    """Maps (n, 3, 3) that turn about the middle and keep the proportions of a frame of this aspect ratio."""
    import torch

    angle = degrees * torch.pi / 180
    maps = torch.eye(3).repeat(len(angle), 1, 1)
    maps[:, 0, 0] = maps[:, 1, 1] = angle.cos()
    maps[:, 0, 1], maps[:, 1, 0] = -angle.sin() / aspect, angle.sin() * aspect
    return maps


def box(wide: Any, tall: Any, middle: Any) -> Any:
    """Maps (n, 3, 3) onto boxes with these shares of the width and height, and middles (2, n)."""
    import torch

    maps = torch.eye(3).repeat(len(wide), 1, 1)
    maps[:, 0, 0], maps[:, 1, 1] = wide, tall
    maps[:, 0, 2], maps[:, 1, 2] = middle[0], middle[1]
    return maps


def tilt(x: Any, y: Any) -> Any:
    """Maps (n, 3, 3) of a picture that is tilted about its upright axis by `x` and about its level one by `y`.

    The corners of the picture are seen at (-1 - y, -1 - x), (-1 + y, 1 + x), (1 + y, -1 + x) and (1 - y, 1 - x).
    """
    import torch

    one = torch.ones_like(x)
    seen = torch.stack(
        [
            torch.stack([-one - y, -one - x, one], 1),
            torch.stack([-one + y, one + x, one], 1),
            torch.stack([one + y, -one + x, one], 1),
            torch.stack([one - y, one - x, one], 1),
        ],
        2,
    )
    corners = torch.tensor([[-1.0, -1.0, 1.0, 1.0], [-1.0, 1.0, -1.0, 1.0], [1.0, 1.0, 1.0, 1.0]]).expand(len(x), 3, 4)
    maps = _basis(corners) @ torch.linalg.inv(_basis(seen))
    return maps / maps[:, 2:, 2:]


def _basis(points: Any) -> Any:
    """The homography that takes the three unit vectors and their sum to four points (n, 3, 4)."""
    import torch

    weights = torch.linalg.solve(points[:, :, :3], points[:, :, 3])
    return points[:, :, :3] * weights[:, None, :]


def _between(u: Any, low: float, high: float) -> Any:
    return low + u * (high - low)


def _log_between(u: Any, low: float, high: float) -> Any:
    return low * (high / low) ** u
