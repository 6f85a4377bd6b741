"""One behaviour suite for all blend methods."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from blend_cases import CASES, BlendCase, chosen, members
from sklearn.base import clone

from kagglekit.blend.base import Blender, cross_fit
from kagglekit.blend.matrix import PredictionMatrix
from kagglekit.blend.methods import METHODS, make_blender
from kagglekit.blend.problem import Problem
from kagglekit.errors import ConfigError, PredictionsError
from kagglekit.metrics import get_metric

PAIRS = [(method, case) for method in METHODS for case in CASES if case.suits(method)]
MISFITS = [(method, case) for method in METHODS for case in CASES if not case.suits(method)]
BINARY = CASES[0]

of_all = pytest.mark.parametrize(("method", "case"), PAIRS, ids=[f"{m}-{c.id}" for m, c in PAIRS])
of_each = pytest.mark.parametrize("method", [m for m in METHODS if BINARY.suits(m)])


def made(method: str, case: BlendCase) -> Blender:
    return make_blender(method, metric=case.metric, classes=case.classes)


def as_predicted(values: np.ndarray, case: BlendCase) -> np.ndarray:
    return get_metric(case.metric).predicted(values, case.classes)


@of_all
def test_fit_learns_names_weights_and_the_score_of_its_own_rows(method, case):
    matrix, y = members(case)
    blend = made(method, case)
    assert blend.fit(matrix, y) is blend
    predicted = blend.predict(matrix)
    assert blend.names_ == matrix.names
    assert predicted.shape == matrix.values.shape[1:]
    assert predicted.dtype == np.float32
    assert np.isfinite(predicted).all()
    frame = pd.DataFrame(predicted, index=matrix.ids, columns=list(matrix.columns))
    assert blend.fit_score_ == pytest.approx(get_metric(case.metric).score(y, frame, case.classes))
    if hasattr(blend, "weights_"):
        assert tuple(blend.weights_.index) == matrix.names
        assert np.isfinite(blend.weights_).all()
    for step in blend.trajectory_:
        assert step.member in matrix.names


@of_all
def test_it_is_not_worse_than_a_middling_member(method, case):
    matrix, y = members(case, n_rows=300)
    metric = get_metric(case.metric)
    blend = made(method, case).fit(matrix, y)
    score = metric.scorer(y, case.classes)
    alone = sorted((score(table) for table in matrix.values), reverse=metric.greater_is_better)
    assert not metric.better(alone[len(alone) // 2], blend.fit_score_)


@of_all
def test_no_row_chooses_what_it_is_blended_with(method, case):
    matrix, y = members(case)
    blocks = np.arange(len(y)) % 3
    lied = y.copy()
    lied[blocks == 1] = np.roll(y[blocks == 1].to_numpy(), 1)
    one, other = (
        cross_fit(made(method, case), Problem.of(matrix, truth, metric=case.metric, classes=case.classes), blocks)
        for truth in (y, lied)
    )
    np.testing.assert_array_equal(one.combine(matrix.values)[blocks == 1], other.combine(matrix.values)[blocks == 1])


@of_each
def test_the_order_of_rows_and_of_members_never_matters(method):
    matrix, y = members(BINARY)
    rows = np.random.default_rng(1).permutation(len(y))
    one = made(method, BINARY).fit(matrix, y)
    other = made(method, BINARY).fit(chosen(matrix, rows), y)
    np.testing.assert_allclose(other.predict(matrix), one.predict(matrix), atol=2e-4)
    backwards = made(method, BINARY).fit(chosen(matrix, np.arange(len(y)), matrix.names[::-1]), y)
    again = backwards.predict(chosen(matrix, np.arange(len(y)), matrix.names[::-1]))
    np.testing.assert_allclose(again, one.predict(matrix), atol=2e-2)


@of_each
def test_one_member_and_identical_members_are_blended(method):
    matrix, y = members(BINARY)
    single = chosen(matrix, np.arange(len(y)), ("m0",))
    assert np.isfinite(made(method, BINARY).fit(single, y).predict(single)).all()
    twins = PredictionMatrix(("a", "b", "c"), matrix.ids, matrix.columns, np.repeat(matrix.values[:1], 3, axis=0))
    blend = made(method, BINARY).fit(twins, y)
    alone = made(method, BINARY).fit(single, y)
    assert blend.fit_score_ == pytest.approx(alone.fit_score_, rel=0.05)


@of_each
def test_a_class_may_be_absent_and_a_probability_nought_or_one(method):
    case = BlendCase("log_loss", 4)
    matrix, y = members(case)
    present = (y != "c3").to_numpy()
    values = matrix.values[:, present].copy()
    values[0, 0], values[1, 1] = [0, 0, 1, 0], [1, 0, 0, 0]
    some = PredictionMatrix(matrix.names, matrix.ids[present], matrix.columns, values)
    blend = made(method, case).fit(some, y[present])
    assert np.isfinite(blend.predict(some)).all()
    np.testing.assert_allclose(blend.predict(some).sum(axis=1), 1, atol=1e-4)


@of_each
def test_other_members_and_other_ids_are_refused(method):
    matrix, y = members(BINARY)
    blend = made(method, BINARY).fit(matrix, y)
    renamed = PredictionMatrix(("m0", "m1", "m2", "z"), matrix.ids, matrix.columns, matrix.values)
    with pytest.raises(PredictionsError, match=r"fitted on m0.*cannot blend"):
        blend.predict(renamed)
    with pytest.raises(PredictionsError, match="fitted on 4 members, got 3"):
        blend.predict(matrix.values[:3])
    with pytest.raises(PredictionsError, match="each id of the matrix once"):
        made(method, BINARY).fit(matrix, y.iloc[1:])


@of_each
def test_settings_are_only_stored_and_a_clone_learns_the_same(method):
    matrix, y = members(BINARY)
    blend = made(method, BINARY)
    before = blend.get_params()
    blend.fit(matrix, y)
    assert blend.get_params() == before
    np.testing.assert_array_equal(clone(blend).fit(matrix, y).predict(matrix), blend.predict(matrix))


@of_each
def test_the_nested_score_is_that_of_rows_that_did_not_choose(method):
    matrix, y = members(BINARY, n_rows=60)
    blend = made(method, BINARY).set_params(cv=3).fit(matrix, y)
    frame = pd.DataFrame(blend.nested_oof_, index=matrix.ids, columns=list(matrix.columns))
    assert blend.nested_score_ == pytest.approx(get_metric("log_loss").score(y, frame, BINARY.classes))
    assert blend.nested_interval_.low <= blend.nested_score_ <= blend.nested_interval_.high


@pytest.mark.parametrize(("method", "case"), MISFITS, ids=[f"{m}-{c.id}" for m, c in MISFITS])
def test_a_method_that_does_not_suit_the_metric_says_so(method, case):
    matrix, y = members(case)
    with pytest.raises(ConfigError, match=r"(?i)rank mean|geometric|pool of logits"):
        made(method, case).fit(matrix, y)
