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
from kagglekit.resampling import resampled_scores
from kagglekit.stats import (
    Difference,
    bootstrap_interval,
    corrected_t,
    future_scores,
    paired_bootstrap,
    verdict,
    welch,
)

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
    with pytest.raises(DataError, match="defined on no resample"):
        bootstrap_interval(get_metric("roc_auc"), y, frame, CLASSES, n_resamples=1, seed=one_class_seed(y, frame))


def one_class_seed(y: pd.Series, frame: pd.DataFrame) -> int:
    """The first seed whose first resample lacks a class."""
    area = get_metric("roc_auc")
    return next(
        s for s in range(100) if np.isnan(resampled_scores(area, y, [frame], CLASSES, n_resamples=1, seed=s)).any()
    )


def test_rows_of_one_group_count_as_one():
    """Rows written ten times over tell no more than once."""
    y, a, b = Y[:40], *(frame[:40] for frame in pair("rmse"))
    tenfold = [pd.concat([v.set_axis(v.index + f"-{i}") for i in range(10)]) for v in (y, a, b)]
    groups = pd.Series([i.rpartition("-")[0] for i in tenfold[0].index], index=tenfold[0].index)
    once = paired_bootstrap(get_metric("rmse"), y, a, b, ())
    naive = paired_bootstrap(get_metric("rmse"), *tenfold, ())
    whole = paired_bootstrap(get_metric("rmse"), *tenfold, (), groups=groups)
    assert whole.high - whole.low == pytest.approx(once.high - once.low, rel=0.1)
    assert naive.high - naive.low < 0.5 * (once.high - once.low)


def test_future_scores_spread_by_the_chance_of_both_draws():
    """Means of n and of m rows of variance 1 differ by a variance of 1/n + 1/m."""
    ids = make_ids(400)
    values = np.random.default_rng(2).normal(size=400)
    values = (values - values.mean()) / values.std()
    frame = pd.DataFrame({"t": np.abs(values + 10)}, index=ids)
    drawn = future_scores(
        get_metric("mae"),
        pd.Series(0.0, index=ids),
        {"m": frame},
        (),
        sizes={"public": 100, "private": 300, "true": None},
        n_resamples=4000,
    )
    public, private, true = (drawn[part]["m"] for part in ("public", "private", "true"))
    assert true.std() == pytest.approx(0.05, rel=0.05)
    assert public.std() == pytest.approx(math.sqrt(1 / 400 + 1 / 100), rel=0.05)
    assert (public - true).std() == pytest.approx(0.1, rel=0.05)
    assert (public - private).std() == pytest.approx(math.sqrt(1 / 100 + 1 / 300), rel=0.05)
    assert public.mean() == pytest.approx(10, abs=0.01)


def test_future_scores_need_a_defined_metric():
    y = pd.Series([0, 0, 0, 1], index=list("abcd"))
    frame = pd.DataFrame({"0": [0.9, 0.8, 0.7, 0.1], "1": [0.1, 0.2, 0.3, 0.9]}, index=y.index)
    with pytest.raises(DataError, match="defined on no resample"):
        future_scores(get_metric("roc_auc"), y, {"m": frame}, CLASSES, sizes={"public": 1}, n_resamples=20)


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


def test_welch_equals_scipy_when_folds_share_no_rows():
    from scipy.stats import ttest_ind

    a, b = [0.5, 0.6, 0.55, 0.7], [0.75, 0.7, 0.8]
    found = welch(a, b, test_to_fit=0.0, greater_is_better=True)
    low, high = ttest_ind(b, a, equal_var=False).confidence_interval(0.95)
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))
    wider = welch(a, b, test_to_fit=0.25, greater_is_better=True)
    assert wider.low < found.low < found.high < wider.high
    assert welch(a, b, test_to_fit=0.25, greater_is_better=False).mean == -found.mean


def test_welch_without_spread_or_with_one_fold():
    assert welch([0.5, 0.5], [0.75, 0.75, 0.75], test_to_fit=0.5, greater_is_better=True).p_better == 1
    with pytest.raises(DataError, match="at least two folds each; got 1 and 2"):
        welch([0.5], [0.5, 0.6], test_to_fit=0.5, greater_is_better=True)
