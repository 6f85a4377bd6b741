from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kagglekit.decisions import expected_class, fit_thresholds
from kagglekit.errors import DataError, PredictionsError


@given(st.lists(st.integers(1, 4), min_size=4, max_size=60), st.integers(0, 99))
def test_every_class_gets_the_share_it_has(labels: list[int], seed: int) -> None:
    y = pd.Series(labels, index=[f"i{k}" for k in range(len(labels))])
    values = pd.Series(np.random.default_rng(seed).normal(size=len(y)), index=y.index).sample(frac=1, random_state=seed)
    decided = fit_thresholds(y, values, [1, 2, 3, 4]).apply(values)
    assert decided.index.equals(values.index)
    counts = [(decided == c).sum() - (y == c).sum() for c in (1, 2, 3, 4)]
    assert max(map(abs, counts)) <= 1
    assert decided[values.sort_values().index].is_monotonic_increasing


def test_new_values_are_cut_at_the_same_bounds() -> None:
    ids = list("abcd")
    thresholds = fit_thresholds(pd.Series([3, 3, 3, 5], ids), pd.Series([0.1, 0.2, 0.3, 0.9], ids), [3, 4, 5])
    assert thresholds.apply(pd.Series([-9.0, 0.25, 9.0])).tolist() == [3, 3, 5]


def test_other_ids_and_unknown_classes_are_refused() -> None:
    y = pd.Series([1, 2], index=["a", "b"])
    with pytest.raises(PredictionsError, match="each of the 2 ids"):
        fit_thresholds(y, pd.Series([0.0, 1.0], index=["a", "c"]), [1, 2])
    with pytest.raises(DataError, match="2"):
        fit_thresholds(y, y.astype(float), [1, 3])


def test_expected_class_weighs_classes_by_probability() -> None:
    frame = pd.DataFrame({"5": [0.0, 0.5], "3": [1.0, 0.5]}, index=["a", "b"])
    assert expected_class(frame, [3, 5]).to_dict() == {"a": 3.0, "b": 4.0}
