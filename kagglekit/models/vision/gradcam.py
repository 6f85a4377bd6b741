"""Grad-CAM: which part of a picture an output of a network rests on."""

from __future__ import annotations

from typing import Any

import numpy as np

from kagglekit.errors import UsageError
from kagglekit.models.vision.runtime import import_torch

__all__ = ["grad_cam"]


def grad_cam(network: Any, x: Any, outputs: Any) -> np.ndarray:
    """Heat maps of shape (n_images, height, width) from 0 to 1, each one's highest value 1.

    The last feature map, its channels weighted by their mean gradient and summed, as far as it is above nought. A map
    of noughts says that no part speaks for the output. It is as coarse as the last feature map (4 x 4 at 128 px), and
    shows where, not what: it is no proof that the network looks at the right thing, and for a network that was hardly
    trained it is noise.

    Parameters
    ----------
    network : torch.nn.Module
        A timm model: convolutional with channels first or last (Swin, MambaOut), or a transformer of patches, where the
        map is what enters the last block, as the last one's own patches have no part in the answer.
    x : Tensor of shape (n_images, 3, height, width)
        Normalised.
    outputs : sequence of int, shape (n_images,)
        The output of each image that is asked about.

    Raises
    ------
    UsageError
        The network has no map of places.

    References
    ----------
    Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization", 2017.
    """
    torch = import_torch()
    with torch.enable_grad():
        x = x.detach().clone().requires_grad_()
        last, scores = _forward(network.eval(), x)
        chosen = scores[torch.arange(len(x)), torch.as_tensor(outputs)].sum()
        (gradient,) = torch.autograd.grad(chosen, last)
    features, slopes = (_places(network, part.detach().float()) for part in (last, gradient))
    heat = (slopes.mean((2, 3), keepdim=True) * features).sum(1, keepdim=True).clamp_min(0)
    heat = torch.nn.functional.interpolate(heat, x.shape[2:], mode="bilinear")[:, 0]
    highest = heat.amax((1, 2), keepdim=True)
    found: np.ndarray = torch.where(highest > 0, heat / highest.clamp_min(1e-30), 0.0).cpu().numpy()
    return found


def _forward(network: Any, x: Any) -> tuple[Any, Any]:
    """The last map that the outputs depend on, and the outputs."""
    if not _is_patches(network):
        if not hasattr(network, "forward_head"):
            raise _no_places(network)
        features = network.forward_features(x)
        return features, network.forward_head(features)
    kept: list[Any] = []
    hook = network.blocks[-1].norm1.register_forward_hook(lambda module, given, made: kept.append(made))
    try:
        scores = network(x)
    finally:
        hook.remove()
    return kept[0], scores


def _is_patches(network: Any) -> bool:
    blocks = getattr(network, "blocks", None)
    return hasattr(network, "num_prefix_tokens") and blocks is not None and hasattr(blocks[-1], "norm1")


def _places(network: Any, values: Any) -> Any:
    """A map of shape (n, channels, height, width), whatever the network's own order."""
    if not hasattr(values, "ndim") or values.ndim not in (3, 4):
        raise _no_places(network)
    if values.ndim == 3:
        values = values[:, getattr(network, "num_prefix_tokens", 0) :]
        grid = getattr(getattr(network, "patch_embed", None), "grid_size", None) or [round(values.shape[1] ** 0.5)] * 2
        if grid[0] * grid[1] != values.shape[1]:
            raise _no_places(network)
        return values.unflatten(1, tuple(grid)).permute(0, 3, 1, 2)
    channels_last = values.shape[3] == network.num_features != values.shape[1]
    return values.permute(0, 3, 1, 2) if channels_last else values


def _no_places(network: Any) -> UsageError:
    return UsageError(
        f"{type(network).__name__} has no last feature map with places, so Grad-CAM cannot show where it looks.",
        hint="Ask it of a convolutional network, or of a transformer of patches.",
    )
