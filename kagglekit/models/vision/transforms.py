"""From uint8 batches to what the network sees: normalised, and augmented as a whole batch at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

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

        x = torch.from_numpy(images).to(device, non_blocking=True).permute(0, 3, 1, 2).float()
        mean, std = (torch.tensor(v, device=device).view(1, 3, 1, 1) * 255 for v in (self.mean, self.std))
        return x.sub_(mean).div_(std)

    def undo(self, x: Any) -> np.ndarray:
        """Bytes (n, height, width, 3) from such a tensor; what lies beyond black and white is cut off."""
        import torch

        mean, std = (torch.tensor(v, device=x.device).view(1, 3, 1, 1) * 255 for v in (self.mean, self.std))
        pixels = (x * std + mean).round().clamp(0, 255).permute(0, 2, 3, 1)
        found: np.ndarray = pixels.cpu().numpy().astype(np.uint8)
        return found


@dataclass(frozen=True)
class Augmentation:
    """Random flips, one affine map for all that moves pixels, and light.

    All geometry goes through one bilinear `grid_sample`, so that an image is blurred once and a batch takes
    milliseconds. The amounts are those of fastai's `aug_transforms`, save for warp, which photographs of leaves and
    plates do not miss.

    Parameters
    ----------
    degrees : float
        Largest rotation either way.
    zoom : float
        Largest magnification; 1 is none.
    light : float
        Largest relative change of contrast, and of brightness as a share of the range.
    p_affine, p_light : float
        Share of images that are rotated and zoomed, and whose light is changed.
    """

    degrees: float = 10.0
    zoom: float = 1.15
    light: float = 0.2
    p_affine: float = 0.75
    p_light: float = 0.75

    def __call__(self, x: Any, generator: Any) -> Any:
        """Augment a batch of shape (n, 3, height, width); random numbers come from `generator`, on the CPU."""
        return self._light(self._move(x, generator), generator)

    def _move(self, x: Any, generator: Any) -> Any:
        import torch
        from torch.nn import functional

        n, _, height, width = x.shape
        u = torch.rand(6, n, generator=generator)
        chosen = (u[0] < self.p_affine).float()
        angle = (u[1] * 2 - 1) * chosen * self.degrees * torch.pi / 180
        scale = 1 / (1 + u[2] * chosen * (self.zoom - 1))
        flip = torch.where(u[3] < 0.5, -1.0, 1.0)
        # A zoomed picture may be moved as far as it still fills the frame.
        shift_x, shift_y = (u[4] * 2 - 1) * (1 - scale), (u[5] * 2 - 1) * (1 - scale)
        cos, sin, aspect = angle.cos() * scale, angle.sin() * scale, height / width
        theta = torch.stack(
            [torch.stack([cos * flip, -sin * aspect, shift_x], 1), torch.stack([sin * flip / aspect, cos, shift_y], 1)],
            1,
        )
        grid = functional.affine_grid(theta.to(x.device), [n, 3, height, width], align_corners=False)
        moved = functional.grid_sample(x, grid, "bilinear", "reflection", align_corners=False)
        return moved.contiguous(memory_format=torch.channels_last)

    def _light(self, x: Any, generator: Any) -> Any:
        import torch

        u = torch.rand(3, len(x), 1, 1, 1, generator=generator)
        amount = (u[0] < self.p_light).float() * self.light
        contrast = torch.exp((u[1] * 2 - 1) * amount).to(x.device)
        brightness = ((u[2] * 2 - 1) * amount * 2).to(x.device)
        middle = x.mean(dim=(1, 2, 3), keepdim=True)
        return (x - middle).mul_(contrast).add_(middle + brightness)
