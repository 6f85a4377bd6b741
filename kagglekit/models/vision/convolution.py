"""A convolution, and the ReLU after it, that keeps little for its gradients and computes them fast on a CPU."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

from kagglekit.models.vision.runtime import import_timm, import_torch

__all__ = ["Bounds", "Geometry", "convolve"]

Bounds = tuple[float, float]

_COLUMNS = 3
"""oneDNN's fast kernel for the gradient of depthwise weights takes no wider ones."""


class Geometry(NamedTuple):
    """All of a convolution that does not learn.

    Parameters
    ----------
    kernel, stride, padding, dilation : (int, int)
        Along height and width.
    groups : int
    same : bool
        TensorFlow's padding in place of `padding`: more after the image than before it where that must be.
    bounds : (float, float), optional
        What comes out is clamped between them; (0, inf) is ReLU.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int
    same: bool = False
    bounds: Bounds | None = None


def convolve(x: Any, weight: Any, bias: Any, geometry: Geometry) -> Any:
    """A convolution with a bias, and a clamp; between the two nothing is kept for the backward pass.

    Parameters
    ----------
    x : Tensor of shape (n, channels, height, width)
        Best with channels last in memory.
    weight : Tensor of shape (out_channels, channels / groups, *kernel)
    bias : Tensor of shape (out_channels,)
    geometry : Geometry

    Notes
    -----
    For training on a CPU. It has first derivatives only, and does not heed autocast.
    """
    return _operation().apply(x, weight, bias, geometry)


@lru_cache
def _operation() -> Any:
    """The operation, made in here, so that importing kagglekit does not import torch."""
    torch: Any = import_torch()
    clamped = torch.ops.aten.hardtanh_backward

    class Convolution(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any, weight: Any, bias: Any, geometry: Geometry) -> Any:
            wide, padding = _padded(x, geometry)
            y = torch.nn.functional.conv2d(
                wide, weight, bias, geometry.stride, padding, geometry.dilation, geometry.groups
            )
            if geometry.bounds:
                y.clamp_(*geometry.bounds)
            ctx.save_for_backward(wide, weight, y if geometry.bounds else None)
            ctx.geometry, ctx.padding, ctx.size = geometry, padding, x.shape[2:]
            return y

        @staticmethod
        @torch.autograd.function.once_differentiable
        def backward(ctx: Any, dy: Any) -> tuple[Any, ...]:
            (x, weight, y), geometry = ctx.saved_tensors, ctx.geometry
            if geometry.bounds:
                dy = clamped(dy, y, *geometry.bounds)
            for_x, for_weight, for_bias, _ = ctx.needs_input_grad
            apart = for_weight and _is_wide_depthwise(weight, geometry)
            dx, dweight = _gradients(dy, x, weight, geometry, ctx.padding, [for_x, for_weight and not apart, False])
            if apart:
                dweight = _by_columns(dy, x, weight, geometry, ctx.padding)
            # oneDNN would take longer over the bias, and so does one sum over three axes with the channels last.
            return _cut(dx, ctx.size), dweight, dy.sum((2, 3)).sum(0) if for_bias else None, None

    return Convolution


def _padded(x: Any, geometry: Geometry) -> tuple[Any, tuple[int, int]]:
    """The input, padded as far as torch's own convolution does not pad, and what that is to pad."""
    if not geometry.same:
        return x, geometry.padding
    return import_timm().layers.pad_same(x, geometry.kernel, geometry.stride, geometry.dilation), (0, 0)


def _cut(x: Any, size: tuple[int, int]) -> Any:
    """The gradient without what belongs to the padding; the smaller half of that lies before the image."""
    if x is None or x.shape[2:] == size:
        return x
    top, left = ((wide - narrow) // 2 for wide, narrow in zip(x.shape[2:], size, strict=True))
    return x[:, :, top : top + size[0], left : left + size[1]]


def _gradients(dy: Any, x: Any, weight: Any, geometry: Geometry, padding: tuple[int, int], wanted: list[bool]) -> Any:
    rest = geometry.stride, padding, geometry.dilation, False, (0, 0), geometry.groups, wanted
    return import_torch().ops.aten.convolution_backward(dy, x, weight, None, *rest)[:2]


def _is_wide_depthwise(weight: Any, geometry: Geometry) -> bool:
    depthwise = geometry.groups == len(weight) and weight.shape[1] == 1
    return depthwise and geometry.kernel[1] > _COLUMNS and geometry.dilation == (1, 1)


def _by_columns(dy: Any, x: Any, weight: Any, geometry: Geometry, padding: tuple[int, int]) -> Any:
    """The gradient of a wide depthwise kernel, three of its columns at a time, in two thirds of the time."""
    torch = import_torch()
    (high, wide), reach = padding, (dy.shape[3] - 1) * geometry.stride[1]
    x, parts = torch.nn.functional.pad(x, (wide, wide, high, high)), []
    for first in range(0, geometry.kernel[1], _COLUMNS):
        some = weight[..., first : first + _COLUMNS]
        seen = x[..., first : first + reach + some.shape[3]].contiguous(memory_format=torch.channels_last)
        parts.append(_gradients(dy, seen, some, geometry, (0, 0), [False, True, False])[1])
    return torch.cat(parts, 3)
