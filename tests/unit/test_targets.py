from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kagglekit.errors import ConfigError, DataError
from kagglekit.targets import TARGETS, get_target


@given(st.lists(st.floats(1e-3, 1e9), min_size=1), st.sampled_from(sorted(TARGETS)))
def test_backward_undoes_forward_under_the_same_ids(values: list[float], name: str) -> None:
    y = pd.Series(values, index=[f"i{k}" for k in range(len(values))], name="price")
    target = get_target(name)
    pd.testing.assert_series_equal(target.backward(target.forward(y).to_frame())["price"], y, rtol=1e-6)


def test_the_logarithms_are_the_ones_they_are_named_after() -> None:
    y = pd.Series([1.0, 3.0])
    assert get_target("log1p").forward(y).tolist() == np.log1p([1, 3]).tolist()
    assert get_target("log").forward(y).tolist() == np.log([1, 3]).tolist()


@pytest.mark.parametrize(("name", "value"), [("log1p", -1.0), ("log", 0.0), ("log1p", np.nan), ("log1p", -3)])
def test_targets_without_a_logarithm_are_refused_with_their_row(name: str, value: float) -> None:
    with pytest.raises(DataError, match="1 are not, such as those of rows b"):
        get_target(name).forward(pd.Series([2.0, value], index=["a", "b"]))


def test_an_unknown_transform_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'log1p'"):
        get_target("log1")
