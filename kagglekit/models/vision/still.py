"""Batch normalisation that stands still in training, computed as part of the convolution before it.

While its statistics stand still, batch normalisation is a scale and a shift of each channel, which the convolution can
do: scaled weights and a bias. autograd then keeps one tensor for convolution, normalisation and ReLU where it keeps
three, and memory is what the training of a small network waits for. The weights that learn are those of the model, and
their gradients the same to rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from kagglekit.models.vision.convolution import Bounds, Geometry, convolve
from kagglekit.models.vision.decoding import Size
from kagglekit.models.vision.folding import answers, norms_after_convolutions
from kagglekit.models.vision.runtime import import_timm, import_torch

__all__ = ["hold_still", "still_norms"]


def hold_still(model: Any) -> None:
    """Let batch normalisation use its statistics and not change them, though the model is in training mode."""
    from torch.nn.modules.batchnorm import _BatchNorm

    for module in model.modules():
        if isinstance(module, _BatchNorm):
            module.eval()


@contextmanager
def still_norms(model: Any, size: Size) -> Iterator[None]:
    """Compute batch normalisation with the convolution before it, as long as the block runs.

    Parameters
    ----------
    model : torch.nn.Module
        On a CPU; on other devices nothing changes. A model that it would compute otherwise is left as it is.
    size : int or (height, width)
        Of its input, in pixels.

    Notes
    -----
    Not for a training in which normalisation learns from batches (`train_bn`): its statistics would neither be used nor
    change. A step of EfficientNet-Lite0 (128 px, batches of 64, two CPU cores) takes a fifth less time, and less than
    half of the memory is kept for the backward pass. On a GPU it was not measured.

    A copy made of the model within the block would go on with the weights of this one.
    """
    torch = import_torch()
    pairs = _pairs(model) if next(model.parameters()).device.type == "cpu" else []
    before = answers(model, size) if pairs else None
    try:
        for conv, norm in pairs:
            conv.forward, norm.forward = partial(_convolve, conv, norm), _rest(norm)
        if pairs and not torch.allclose(answers(model, size), before, rtol=1e-3, atol=1e-3):
            _part(pairs)
        yield
    finally:
        _part(pairs)


def _pairs(model: Any) -> list[tuple[Any, Any]]:
    """Convolutions that this module can compute, each with the normalisation after it."""
    found = [(getattr(block, conv), getattr(block, norm)) for block, conv, norm in norms_after_convolutions(model)]
    return [pair for pair in found if _is_plain(pair[0]) and _is_fixed(pair[1]) and not any(map(_is_changed, pair))]


def _is_changed(module: Any) -> bool:
    """Whether somebody gave this very module a `forward`: a block around this one, or another library."""
    return "forward" in vars(module)


def _part(pairs: list[tuple[Any, Any]]) -> None:
    """Give the modules the `forward` of their classes again."""
    for pair in pairs:
        for module in pair:
            vars(module).pop("forward", None)


def _is_plain(conv: Any) -> bool:
    if type(conv) is import_torch().nn.Conv2d:
        return conv.padding_mode == "zeros" and not isinstance(conv.padding, str)
    return type(conv) is import_timm().layers.Conv2dSame


def _is_fixed(norm: Any) -> bool:
    return bool(norm.affine and norm.track_running_stats)


def _convolve(conv: Any, norm: Any, x: Any) -> Any:
    """What the two compute one after the other, and ReLU where it belongs to the second."""
    scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
    shift = norm.bias - norm.running_mean * scale
    if conv.bias is not None:
        shift = shift + conv.bias * scale
    geometry = Geometry(
        conv.kernel_size,
        conv.stride,
        conv.padding,
        conv.dilation,
        conv.groups,
        same=type(conv) is not import_torch().nn.Conv2d,
        bounds=_bounds(norm),
    )
    return convolve(x, conv.weight * scale.view(-1, 1, 1, 1), shift, geometry)


def _bounds(norm: Any) -> Bounds | None:
    """Between which values a ReLU that belongs to the normalisation (timm's) clamps; it comes after nothing else."""
    torch = import_torch()
    if not isinstance(getattr(norm, "drop", None), torch.nn.Identity):
        return None
    return {torch.nn.ReLU: (0.0, float("inf")), torch.nn.ReLU6: (0.0, 6.0)}.get(type(norm.act))


def _rest(norm: Any) -> Callable[[Any], Any]:
    """What a normalisation layer does that `_convolve` does not: timm's own have dropout and an activation."""
    if not hasattr(norm, "act") or _bounds(norm):
        return lambda x: x
    return lambda x: norm.act(norm.drop(x))
