"""Differences point the right way, intervals cover at about their rate, and nothing depends on chance."""

from __future__ import annotations

import math
import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from strategies import labels_for, make_ids, probabilities_for, quick, seeds, shuffled, values_for

from kagglekit.errors import DataError, PredictionsError
from kagglekit.metrics import METRICS, get_metric
from kagglekit.stats import Difference, bootstrap_interval, corrected_t, paired_bootstrap, verdict

CLASSES = (0, 1)
Y = labels_for(make_ids(300), CLASSES, 0)


def pair(name: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A poor and a good prediction of Y, in the form that the metric needs."""
    if get_metric(name).needs == "values":
        return values_for(Y, 1, 2.0), values_for(Y, 1, 0.5)
    return probabilities_for(Y, CLASSES, 1, 0.05), probabilities_for(Y, CLASSES, 2, 0.5)


@pytest.mark.parametrize("name", METRICS)
def test_positive_means_that_b_is_better_whatever_the_direction(name):
    metric, (poor, good) = get_metric(name), pair(name)
    up = paired_bootstrap(metric, Y, poor, good, CLASSES, n_resamples=100)
    down = paired_bootstrap(metric, Y, good, poor, CLASSES, n_resamples=100)
    assert verdict(up) == "better"
    assert verdict(down) == "worse"
    assert (down.mean, down.low, down.high) == (-up.mean, pytest.approx(-up.high), pytest.approx(-up.low))
    assert down.p_better == pytest.approx(1 - up.p_better)
    assert abs(up.mean) == pytest.approx(abs(metric.score(Y, good, CLASSES) - metric.score(Y, poor, CLASSES)))


@pytest.mark.parametrize("name", ["accuracy", "roc_auc"])
def test_the_same_predictions_are_no_difference(name):
    P = pair(name)[0]
    same = paired_bootstrap(get_metric(name), Y, P, shuffled(P, 1), CLASSES, n_resamples=50)
    assert same == Difference(0.0, 0.0, 0.0, 0.5)
    assert verdict(same) == "no difference"


@quick
@given(seed=seeds)
def test_row_order_never_matters_and_the_seed_decides(seed):
    metric, (a, b) = get_metric("rmse"), pair("rmse")
    one = paired_bootstrap(metric, Y, a, b, CLASSES, n_resamples=50, seed=seed)
    assert paired_bootstrap(metric, Y, shuffled(a, seed), shuffled(b, 1), CLASSES, n_resamples=50, seed=seed) == one
    assert paired_bootstrap(metric, Y, a, b, CLASSES, n_resamples=50, seed=seed + 1) != one


def test_the_quick_way_equals_the_plain_one():
    metric, frame = get_metric("rmse"), pair("rmse")[0]
    plain = type(metric)("plain", "values", greater_is_better=False, function=metric.function)
    assert bootstrap_interval(metric, Y, frame, ()).low == pytest.approx(bootstrap_interval(plain, Y, frame, ()).low)


def test_the_interval_of_the_bootstrap_covers_at_about_its_rate():
    rng, metric, covered = np.random.default_rng(0), get_metric("mae"), 0
    ids = make_ids(100)
    for run in range(200):
        errors = rng.exponential(size=(2, 100))
        a, b = (pd.DataFrame({"t": e}, index=ids) for e in errors)
        found = paired_bootstrap(metric, pd.Series(0.0, index=ids), a, b, (), n_resamples=200, seed=run)
        covered += found.low <= 0 <= found.high
    assert 0.89 <= covered / 200 <= 0.99


def test_the_interval_of_one_run_covers_its_true_accuracy():
    rng, metric, covered = np.random.default_rng(1), get_metric("accuracy"), 0
    ids = make_ids(100)
    for run in range(200):
        right = rng.random(100) < 0.7
        frame = pd.DataFrame({"0": ~right, "1": right}, index=ids).astype(float)
        found = bootstrap_interval(metric, pd.Series(1, index=ids), frame, (0, 1), n_resamples=200, seed=run)
        covered += found.low <= 0.7 <= found.high
        assert found.low <= found.score <= found.high
    assert 0.89 <= covered / 200 <= 0.99


def test_resamples_without_a_score_are_left_out():
    y = pd.Series([0, 0, 0, 1], index=list("abcd"))
    frame = pd.DataFrame({"0": [0.9, 0.8, 0.7, 0.1], "1": [0.1, 0.2, 0.3, 0.9]}, index=y.index)
    assert bootstrap_interval(get_metric("roc_auc"), y, frame, CLASSES).low == 1.0
    # This seed draws row 0 three times: one class, no score.
    with pytest.raises(DataError, match="defined on no resample"):
        bootstrap_interval(get_metric("roc_auc"), y, frame, CLASSES, n_resamples=1, seed=one_class_seed(4))


def one_class_seed(n: int) -> int:
    """The first seed whose first resample lacks the last row."""
    return next(s for s in range(100) if n - 1 not in np.random.default_rng(s).integers(0, n, (1, n)))


def test_other_ids_are_refused():
    a, b = pair("rmse")
    with pytest.raises(PredictionsError, match="1 missing"):
        paired_bootstrap(get_metric("rmse"), Y, a, b[1:], ())


@pytest.mark.parametrize("name", ["accuracy", "qwk", "roc_auc", "f1_macro"])
def test_two_thousand_resamples_of_a_thousand_rows_take_seconds(name):
    y = labels_for(make_ids(1000), CLASSES, 0)
    a, b = probabilities_for(y, CLASSES, 1), probabilities_for(y, CLASSES, 2)
    start = time.process_time()
    paired_bootstrap(get_metric(name), y, a, b, CLASSES)
    assert time.process_time() - start < 4


def test_corrected_t_equals_a_hand_calculation():
    found = corrected_t([1.0, 2.0, 3.0], [2.0, 4.0, 6.0], test_to_fit=0.5, greater_is_better=True)
    error = math.sqrt(1.0 * (1 / 3 + 0.5))
    assert found.mean == 2
    assert found.high == pytest.approx(2 + 4.302653 * error)
    assert found.low == pytest.approx(2 - 4.302653 * error)
    assert verdict(found) == "no difference"
    assert 0.5 < found.p_better < 1


def test_corrected_t_points_the_right_way():
    a, b = [0.5, 0.51, 0.5, 0.49], [0.4, 0.42, 0.4, 0.38]
    assert verdict(corrected_t(a, b, test_to_fit=1 / 3, greater_is_better=False)) == "better"
    assert verdict(corrected_t(a, b, test_to_fit=1 / 3, greater_is_better=True)) == "worse"


@pytest.mark.parametrize(("shift", "p"), [(0.0, 0.5), (0.25, 1.0), (-0.25, 0.0)])
def test_corrected_t_without_spread(shift, p):
    found = corrected_t([0.5, 0.5], [0.5 + shift] * 2, test_to_fit=0.25, greater_is_better=True)
    assert found == Difference(shift, shift, shift, p)


def test_the_correction_keeps_false_alarms_rare_when_folds_share_rows():
    rng, alarms = np.random.default_rng(0), {0.0: 0, 0.25: 0}
    for _ in range(200):
        # Folds that share rows have correlated differences: a common part, and a part of their own.
        differences = 0.5 * rng.normal() + rng.normal(size=5)
        for ratio in alarms:
            found = corrected_t([0.0] * 5, differences, test_to_fit=ratio, greater_is_better=True)
            alarms[ratio] += verdict(found) != "no difference"
    assert alarms[0.25] < 0.09 * 200 < alarms[0.0]


@pytest.mark.parametrize(("a", "b"), [([1.0], [1.0]), ([1.0, 2.0], [1.0])])
def test_corrected_t_needs_the_same_folds(a, b):
    with pytest.raises(DataError, match="same folds, at least two"):
        corrected_t(a, b, test_to_fit=0.25, greater_is_better=True)
