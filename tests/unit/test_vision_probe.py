from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kagglekit.errors import ConfigError
from kagglekit.models.vision.probe import fitting_batch, in_chunks, try_step
from kagglekit.models.vision.runtime import import_torch

torch = import_torch()


class Small:
    """A device that takes so many images at once."""

    def __init__(self, room: int) -> None:
        self.room, self.asked = room, []

    def __call__(self, batch_size: int, accumulate: int) -> None:
        self.asked.append(batch_size)
        if batch_size > self.room:
            raise torch.OutOfMemoryError(f"{batch_size} images do not fit")


@settings(max_examples=30, deadline=None)
@given(room=st.integers(1, 200), batch_size=st.integers(1, 128), accumulate=st.integers(1, 4))
def test_a_batch_is_halved_until_it_fits_and_a_step_sees_as_many(room: int, batch_size: int, accumulate: int) -> None:
    device = Small(room)
    found, times = fitting_batch(device, batch_size, accumulate)
    assert found <= room
    assert found == batch_size or 2 * found > room
    assert batch_size * accumulate <= found * times <= 2 * batch_size * accumulate
    assert device.asked == sorted(set(device.asked), reverse=True)


def test_no_room_for_one_image_is_said() -> None:
    with pytest.raises(ConfigError, match="Not even one image"):
        fitting_batch(Small(0), 16, 1)


@settings(max_examples=30, deadline=None)
@given(n=st.integers(0, 60), step=st.integers(1, 64), room=st.integers(1, 64))
def test_predictions_come_in_order_in_chunks_that_fit(n: int, step: int, room: int) -> None:
    def look(rows: slice) -> list[int]:
        if rows.stop - rows.start > room:
            raise torch.OutOfMemoryError("too many")
        return list(range(rows.start, rows.stop))

    assert [row for chunk in in_chunks(look, n, step) for row in chunk] == list(range(n))


def test_an_error_for_one_image_is_not_swallowed() -> None:
    def look(rows: slice) -> None:
        raise torch.OutOfMemoryError("no room at all")

    with pytest.raises(torch.OutOfMemoryError):
        list(in_chunks(look, 3, 2))


def test_the_tried_step_leaves_the_model_and_chance_as_they_were() -> None:
    model = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3),
        torch.nn.BatchNorm2d(4),
        torch.nn.Dropout(),
        torch.nn.Flatten(),
        torch.nn.LazyLinear(2),
    )
    model(torch.zeros(1, 3, 8, 8))
    state, chance = {k: v.clone() for k, v in model.state_dict().items()}, torch.get_rng_state()
    try_step(model, 3, (8, 8), torch.device("cpu"), "fp32")
    assert all(torch.equal(v, state[k]) for k, v in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), chance)
    assert all(p.grad is None for p in model.parameters())
