"""The picture of a learning-rate sweep shows where the loss falls, not how far it explodes."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from kagglekit.inspect import Rates
from kagglekit.models.vision.sweep import Sweep


def rates(losses: np.ndarray, now: float | None = None) -> Rates:
    grown = np.geomspace(1e-7, 1e-1, len(losses))
    sweep = Sweep(tuple(grown), tuple(losses), {"valley": 2.5e-5, "slide": 1e-4}, now or 5e-4)
    return Rates("small", now, sweep)


def test_the_rate_of_now_is_told_whether_set_or_not():
    assert "slide 1.0e-04; lr is 5.0e-04, the default, now." in rates(np.ones(9)).words()
    assert "lr is 2.0e-03 now." in rates(np.ones(9), 2e-3).words()
    assert rates(np.ones(9)).as_json()["lr"] is None


def test_the_picture_ends_above_the_first_loss_however_the_last_ones_explode(tmp_path):
    falling = np.array([2.3, 2.3, 2.1, 1.7, 1.6, 1.9, 8.0, 900.0])
    low, high = rates(falling).shown
    assert (low, high) == (pytest.approx(1.39), pytest.approx(2.51))
    low, high = rates(np.full(8, 2.0)).shown
    assert low < 2.0 < high, "nothing was learnt"
    with Image.open(rates(falling).draw(tmp_path / "new" / "rates.png")) as image:
        assert image.size == (840, 480)
