"""The central values refuse what they must not hold, and never depend on the order of rows."""

from __future__ import annotations

import math
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import ids, make_ids, quick, seeds

from kagglekit.contracts import Competition, Folds, Predictions, Run, Submission, repeated
from kagglekit.errors import ConfigError, FoldsError, PredictionsError, StoreError

COMPETITION = Competition("toy", "classification", "accuracy", "id", "label", ("a", "b"))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"metric": "acuracy"}, "Did you mean 'accuracy'"),
        ({"task": "classifikation"}, "Did you mean 'classification'"),
        ({"form": "lable"}, "Did you mean 'label'"),
        ({"classes": ("a",)}, "at least two classes"),
        ({"classes": ("a", "a", "b")}, "listed twice"),
        ({"task": "regression"}, "classes are given, but the task is 'regression'"),
    ],
)
def test_a_competition_that_cannot_be_is_refused(changes, says):
    with pytest.raises(ConfigError, match=says):
        replace(COMPETITION, **changes)


def test_a_competition_knows_its_columns_and_kind():
    assert COMPETITION.columns == ("a", "b")
    assert replace(COMPETITION, classes=(0, 1)).columns == ("0", "1")
    assert replace(COMPETITION, task="image-classification").has_images
    value = replace(COMPETITION, task="regression", metric="rmse", classes=(), form="value")
    assert value.columns == ("label",)
    assert not value.is_classification
    assert not value.has_images


def folds(numbers: list[int], scheme: str = "kfold", groups: list[str] | None = None, ids=None) -> Folds:
    index = make_ids(len(numbers)) if ids is None else ids
    held = None if groups is None else pd.Series(groups, index=index)
    return Folds(pd.DataFrame({"repeat_0": numbers}, index=index), scheme=scheme, seed=0, groups=held)


@quick
@given(ids=ids(), n=st.integers(2, 5), seed=seeds)
def test_splits_score_every_row_once_and_fit_on_the_others(ids, n, seed):
    numbers = np.random.default_rng(seed).permutation(np.arange(len(ids)) % n)
    made = folds(numbers.tolist(), ids=ids)
    assert made.n == n
    assert made.scored_ids.equals(ids)
    scored = [i for s in made.splits() for i in s.score_ids]
    assert len(scored) == len(set(scored)) == len(ids)
    assert all(set(s.fit_ids) | set(s.score_ids) == set(ids) for s in made.splits())


@quick
@given(seed=seeds)
def test_the_fingerprint_depends_on_the_folds_and_not_on_row_order(seed):
    numbers = [0, 1, 2, 0, 1, 2]
    made = folds(numbers)
    order = np.random.default_rng(seed).permutation(6)
    assert Folds(made.assignment.iloc[order], scheme="kfold", seed=9).fingerprint == made.fingerprint
    assert folds(numbers[::-1]).fingerprint != made.fingerprint
    assert folds(numbers, "time").fingerprint != made.fingerprint


def test_ids_that_print_alike_are_different_ids():
    numbers, texts = folds([0, 1], ids=pd.Index([1, 2])), folds([0, 1], ids=pd.Index(["1", "2"]))
    assert numbers.fingerprint != texts.fingerprint


def test_time_folds_fit_on_earlier_rows_and_never_score_the_oldest():
    made = folds([-1, 0, 1, 1], "time")
    assert [len(s.fit_ids) for s in made.splits()] == [1, 2]
    assert len(made.scored_ids) == 3


def test_a_split_has_a_name():
    twice = pd.DataFrame({"a": [0, 1], "b": [1, 0]}, index=["r", "s"])
    names = [s.name for s in Folds(twice, scheme="kfold", seed=0).splits()]
    assert names == ["fold-0", "fold-1", "repeat-1-fold-0", "repeat-1-fold-1"]


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: folds([0, 2]), r"folds \[1\] of 3 are empty"),
        (lambda: folds([0, 0]), "Every fold needs rows"),
        (lambda: folds([-1, -1], "time"), "Every fold needs rows"),
        (lambda: folds([0, 1], ids=pd.Index(["r", "r"])), "more than once: r"),
        (lambda: folds([0, 1, 1], groups=["g", "g", "h"]), "these do not: g"),
    ],
)
def test_folds_that_would_mislead_are_refused(make, says):
    with pytest.raises(FoldsError, match=says):
        make()


FRAME = pd.DataFrame({"a": [0.25, 0.5], "b": [0.75, 0.5]}, index=["r", "s"])


@pytest.mark.parametrize(
    ("frame", "says"),
    [
        (FRAME.replace(0.25, np.nan), r"1 row\(s\) are not: r"),
        (FRAME.replace(0.25, np.inf), r"1 row\(s\) are not: r"),
        (FRAME * 1e300, r"2 row\(s\) are not: r, s"),
        (pd.concat([FRAME, FRAME]), "more than once: r, s"),
        (FRAME[[]], "distinct named columns"),
        (FRAME[["a", "a"]], "distinct named columns"),
    ],
)
@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
def test_predictions_that_are_no_numbers_are_refused(frame, says):
    with pytest.raises(PredictionsError, match=says):
        Predictions(frame)


def test_predictions_are_float32_and_leave_the_frame_alone():
    made = Predictions(FRAME)
    assert set(made.frame.dtypes) == {np.dtype("float32")}
    assert set(FRAME.dtypes) == {np.dtype("float64")}
    with pytest.raises(FrozenInstanceError):
        made.frame = FRAME


@quick
@given(ids=ids(), seed=seeds)
def test_aligned_gives_exactly_the_asked_order(ids, seed):
    values = np.arange(len(ids) * 2, dtype=float).reshape(-1, 2)
    made = Predictions(pd.DataFrame(values, index=ids, columns=["a", "b"]))
    order = np.random.default_rng(seed).permutation(len(ids))
    found = made.aligned(ids[order], ["b", "a"])
    assert found.index.equals(ids[order])
    np.testing.assert_array_equal(found.to_numpy(), values[order][:, ::-1])


@pytest.mark.parametrize(
    ("ids", "columns", "says"),
    [
        (["r"], ["a", "b"], "expected ids; not expected s"),
        (["r", "s", "t"], ["a", "b"], "expected ids; missing t"),
        (["r", "t"], ["a", "b"], "missing t; not expected s"),
        (["r", "s"], ["a"], "expected columns; not expected b"),
        (["r", "s"], ["a", "b", "c"], "expected columns; missing c"),
    ],
)
def test_aligned_names_what_is_missing_or_too_much(ids, columns, says):
    with pytest.raises(PredictionsError, match=says):
        Predictions(FRAME).aligned(pd.Index(ids), columns)


RUN = Run(
    name="forest",
    key="0123456789abcdef",
    kind="oof",
    hypothesis="trees are a decent start",
    parent=None,
    settings={},
    metric="accuracy",
    scores=(0.5, 0.7),
    data="d",
    folds="f",
    oof=Predictions(FRAME),
    test=Predictions(FRAME),
    seconds=1.0,
    peak_mb=10.0,
)


def test_a_run_sums_up_its_scores():
    assert RUN.id == "forest-01234567"
    assert RUN.score == pytest.approx(0.6)
    assert RUN.standard_error == pytest.approx(0.1)
    assert math.isnan(replace(RUN, scores=(0.5,)).standard_error)


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"kind": "off"}, StoreError, "kind 'off' is unknown"),
        ({"scores": ()}, StoreError, "finite score"),
        ({"scores": (0.5, math.nan)}, StoreError, "finite score"),
        ({"test": Predictions(FRAME[["b", "a"]])}, PredictionsError, "same columns"),
    ],
)
def test_a_run_that_explains_nothing_is_refused(changes, error, says):
    with pytest.raises(error, match=says):
        replace(RUN, **changes)


def test_a_run_is_held_to_the_ids_of_the_competition():
    RUN.check_ids(FRAME.index, FRAME.index, ("a", "b"))
    with pytest.raises(PredictionsError, match="missing t"):
        RUN.check_ids(FRAME.index, FRAME.index.append(pd.Index(["t"])), ("a", "b"))


def test_a_scored_submission_is_a_new_line():
    sent = Submission("arena", "toy", "forest-01234567", "s.csv", "0" * 64, "first", 0.6, 0.1, "17")
    back = sent.scored("complete", 0.61, None)
    assert (sent.status, sent.public) == ("pending", None)
    assert (back.status, back.public, back.private, back.ref) == ("complete", 0.61, None, "17")


def test_repeated_ids_are_named_once_each():
    assert repeated(pd.Index(["b", "a", "b", "b", "a"])) == ["b", "a"]
