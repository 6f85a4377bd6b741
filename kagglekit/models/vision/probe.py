"""How many images fit into a device's memory at once: found by trying, before it costs an hour."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from kagglekit.errors import ConfigError
from kagglekit.models.vision.runtime import import_torch
from kagglekit.models.vision.still import hold_still

__all__ = ["fitting_batch", "in_chunks", "try_step"]


def fitting_batch(attempt: Callable[[int, int], None], batch_size: int, accumulate: int) -> tuple[int, int]:
    """Halve a batch, and double what is accumulated, until a step fits: a step sees as many images as was wished.

    Odd batches are rounded up, so that a step may see more, never fewer; twice as many at most.

    Parameters
    ----------
    attempt : callable
        One step on batches of this size, so many accumulated; raises `torch.OutOfMemoryError` when they are too large.
    batch_size, accumulate : int

    Returns
    -------
    batch_size, accumulate : int

    Raises
    ------
    ConfigError
        Not even one image fits.
    """
    while not _fits(partial(attempt, batch_size, accumulate)):
        if batch_size == 1:
            raise ConfigError(
                "Not even one image fits into the device's memory.",
                hint="Take a smaller size or architecture, or end what else uses the device.",
            )
        batch_size, accumulate = -(-batch_size // 2), 2 * accumulate
    return batch_size, accumulate


def in_chunks(look: Callable[[slice], Any], n: int, step: int) -> Iterator[Any]:
    """Results of `look` on slices of n rows; slices are halved where memory does not suffice.

    Raises
    ------
    torch.OutOfMemoryError
        Not even one row fits.
    """
    torch, start = import_torch(), 0
    while start < n:
        rows, found = slice(start, min(start + step, n)), None
        try:
            found = look(rows)
        except torch.OutOfMemoryError:
            if step == 1:
                raise
        if found is None:
            _let_go()  # outside the handler, whose traceback holds the tensors
            step = -(-step // 2)
        else:
            yield found
            start = rows.stop


def try_step(model: Any, n: int, size: tuple[int, int], device: Any, precision: str, *, averaged: bool = False) -> None:
    """Take the memory of one step on n black images: forward, backward, and Adam's two means; nothing is changed.

    With `averaged`, a running mean of the weights is kept besides.
    """
    torch = import_torch()
    dtype = {"fp16": torch.float16, "bf16": torch.bfloat16}.get(precision)
    cuda = [device] if device.type == "cuda" else []
    mode = torch.autocast(device.type, dtype=dtype, enabled=dtype is not None)
    with torch.random.fork_rng(devices=cuda):  # dropout draws numbers
        model.train()
        hold_still(model)
        try:
            x = torch.zeros(n, 3, *size, device=device).contiguous(memory_format=torch.channels_last)
            with mode:
                outputs = model(x)
            parts = outputs if isinstance(outputs, tuple | list) else (outputs,)
            sum(part.float().square().mean() for part in parts).backward()
            means = [torch.empty_like(p) for p in model.parameters() for _ in range(3 if averaged else 2)]
            del means
        finally:
            model.zero_grad(set_to_none=True)


def _fits(action: Callable[[], None]) -> bool:
    try:
        action()
        return True
    except import_torch().OutOfMemoryError:
        pass
    _let_go()  # outside the handler, whose traceback holds the tensors
    return False


def _let_go() -> None:
    torch = import_torch()
    if torch.cuda.is_available():
        gc.collect()
        torch.cuda.empty_cache()
