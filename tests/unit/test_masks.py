"""Run-length masks: round trips, Kaggle's numbering, and the overlap against counting pixels."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from kagglekit.contracts import Competition
from kagglekit.errors import DataError, SubmissionError
from kagglekit.forms import check_submission, grade
from kagglekit.masks import decode, dice, encode, fault, runs
from kagglekit.metrics import get_metric

shapes = array_shapes(min_dims=2, max_dims=2, max_side=9)
masks = shapes.flatmap(lambda shape: arrays(bool, shape))
pairs = shapes.flatmap(lambda shape: st.tuples(arrays(bool, shape), arrays(bool, shape)))

PONDS = Competition("ponds", "image-segmentation", "dice", "image", "mask", form="mask")
SAMPLE = pd.DataFrame({"image": ["a", "b"], "mask": "1 1"})
TRUTH = pd.Series(["1 4", "3 4"], index=["a", "b"], name="mask")


@given(masks)
def test_a_mask_survives_its_text(mask: np.ndarray):
    assert (decode(encode(mask), mask.shape) == mask).all()
    assert fault(encode(mask)) == ""


def test_pixels_are_numbered_from_one_down_the_columns():
    mask = np.zeros((3, 4), dtype=bool)
    mask[1:, 0] = mask[0, 2] = True
    assert encode(mask) == "2 2 7 1"
    assert runs("2 2 7 1").tolist() == [[1, 3], [6, 7]]


@given(pairs)
def test_dice_is_that_of_the_pixels(two: tuple[np.ndarray, np.ndarray]):
    a, b = two
    both = a.sum() + b.sum()
    expected = 2 * (a & b).sum() / both if both else 1.0
    assert dice(encode(a), encode(b)) == pytest.approx(expected)
    assert dice(encode(a), encode(b)) == dice(encode(b), encode(a))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("5", "pairs"),
        ("5 3 9", "pairs"),
        ("a b", "pairs"),
        ("5  3", "pairs"),
        ("-1 3", "pairs"),
        ("1.5 2", "pairs"),
        ("0 3", "from 1"),
        ("4 0", "from 1"),
        ("1 99999999999999999999", "from 1"),
        ("9 1 5 1", "order"),
        ("1 5 3 1", "overlap"),
    ],
)
def test_what_is_no_mask_is_named(text: str, says: str):
    assert says in fault(text)
    with pytest.raises(DataError, match=says):
        runs(text)


def test_a_mask_beyond_its_image_is_refused():
    with pytest.raises(DataError, match="reaches pixel 9 of an image of 4"):
        decode("8 2", (2, 2))


def test_a_submission_of_masks_is_graded_in_any_order_and_empty_cells_are_empty_masks():
    submission = pd.DataFrame({"image": ["b", "a"], "mask": [np.nan, "3 4"]})
    assert grade(get_metric("dice"), TRUTH, submission, PONDS, SAMPLE) == pytest.approx((0.5 + 0.0) / 2)
    empty = pd.DataFrame({"image": ["a", "b"], "mask": [np.nan, np.nan]})
    assert grade(get_metric("dice"), TRUTH, empty, PONDS, SAMPLE) == 0.0


def test_a_submission_that_is_no_mask_names_the_row():
    broken = pd.DataFrame({"image": ["a", "b"], "mask": ["1 4", "3 4 5"]})
    with pytest.raises(SubmissionError, match=r"1 row\(s\).*no run-length text \(not pairs.*at id b"):
        check_submission(broken, PONDS, SAMPLE)
