"""Resamples score what the metric's own function scores, compiled or not, and spread as theory says."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from strategies import labels_for, make_ids, probabilities_for, quick, seeds, values_for

from kagglekit.errors import DataError, PredictionsError
from kagglekit.metrics import METRICS, get_metric
from kagglekit.resampling import fast, plain, resampled_scores
from kagglekit.resampling.draws import Alike, Cells, at_once
from kagglekit.resampling.scorers import Areas, Plain, Sums, areas_of, ranks_of, sums_of

CLASSES = (0, 1, 2)
Y = labels_for(make_ids(90), CLASSES, 0)


def frames(name: str, y: pd.Series = Y, classes: tuple = CLASSES) -> list[pd.DataFrame]:
    if get_metric(name).needs == "values":
        return [values_for(y, seed, 0.5 * seed) for seed in (1, 2)]
    return [probabilities_for(y, classes, seed, 0.2 * seed) for seed in (1, 2)]


def prepared(name: str) -> tuple:
    metric = get_metric(name)
    predicted = [metric.predicted(metric.aligned(Y, frame, CLASSES), CLASSES) for frame in frames(name)]
    return metric, metric.truth(Y, CLASSES), predicted


@pytest.mark.parametrize("loops", [plain, fast], ids=["plain", "compiled"])
@pytest.mark.parametrize("name", METRICS)
def test_scorers_give_what_the_function_gives_on_repeated_rows(name, loops):
    metric, truth, predicted = prepared(name)
    counts = Alike(len(Y), len(Y), 3).counts(0, 20, plain)
    sums = sums_of(metric, truth, predicted)
    scorer = Plain(metric, truth, predicted)
    if sums is not None:
        scorer = Sums(np.vstack([np.ones(len(truth)), sums[0]]), sums[1])
    elif name == "roc_auc":
        scorer = areas_of(truth, predicted, None)
    elif name == "spearman":
        scorer = ranks_of(np.round(truth), [np.round(p) for p in predicted], None)
        truth, predicted = np.round(truth), [np.round(p) for p in predicted]
    for count, scores in zip(counts, scorer.scores(counts, loops), strict=True):
        rows = np.repeat(np.arange(len(Y)), count)
        expected = [metric.function(truth[rows], p[rows]) for p in predicted]
        assert scores == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("name", METRICS)
def test_compiled_and_plain_agree(name, grouped):
    groups = pd.Series(np.arange(len(Y)) // 4, index=Y.index) if grouped else None
    one, other = (
        resampled_scores(
            get_metric(name), Y, frames(name), CLASSES, groups=groups, n_resamples=40, seed=5, compiled=compiled
        )
        for compiled in (False, True)
    )
    assert one.shape == (40, 2)
    np.testing.assert_allclose(one, other, rtol=1e-10)
    if get_metric(name).needs == "labels":
        np.testing.assert_array_equal(one, other)


@quick
@given(seed=seeds)
def test_draws_are_the_same_compiled_or_not_and_each_resample_is_full(seed):
    for draws in (Alike(37, 41, seed), Alike(5, 1, seed), Cells(np.array([3, 1, 7]), 11, seed)):
        for piece in (0, 2):
            counts = draws.counts(piece, 50, plain)
            np.testing.assert_array_equal(counts, draws.counts(piece, 50, fast))
            assert (counts.sum(axis=1) == draws.size).all()


def test_rows_are_drawn_alike_and_resamples_are_their_own():
    counts = Alike(10, 10, 0).counts(0, 10_000, fast)
    # A row is drawn Binomial(10, 1/10) times: mean 1, variance 0.9; two rows have the correlation -1/9.
    assert counts.mean(axis=0) == pytest.approx(1, abs=0.04)
    assert counts.var(axis=0) == pytest.approx(0.9, abs=0.05)
    together = np.corrcoef(counts.T)[~np.eye(10, dtype=bool)]
    assert together == pytest.approx(-1 / 9, abs=0.05)
    after = np.corrcoef(counts[:-1, 0], counts[1:, 0])[0, 1]
    assert abs(after) < 0.04


@pytest.mark.parametrize("n_rows", [40, 400])
def test_the_spread_of_an_accuracy_is_that_of_coins(n_rows):
    """40 rows have each row drawn, 400 of few kinds the table of kinds: the same law."""
    ids = make_ids(n_rows)
    right = np.arange(n_rows) % 4 > 0
    frame = pd.DataFrame({"0": ~right, "1": right}, index=ids).astype(float)
    scores = resampled_scores(get_metric("accuracy"), pd.Series(1, index=ids), [frame], (0, 1), n_resamples=8000)
    assert scores.mean() == pytest.approx(0.75, abs=0.005)
    assert scores.std() == pytest.approx(np.sqrt(0.75 * 0.25 / n_rows), rel=0.05)


def test_more_rows_in_a_resample_spread_less():
    metric, (frame, _) = get_metric("rmse"), frames("rmse")
    spread = [resampled_scores(metric, Y, [frame], (), size=size).std() for size in (90, 9000)]
    assert spread[0] == pytest.approx(10 * spread[1], rel=0.1)


def test_whole_groups_are_drawn():
    """Groups of equal rows: as few units as there are groups, so the spread is wider by the root of their size."""
    ids = make_ids(400)
    error = np.repeat(np.random.default_rng(0).exponential(size=40), 10)
    frame, y = pd.DataFrame({"t": error}, index=ids), pd.Series(0.0, index=ids)
    groups = pd.Series(np.arange(400) // 10, index=ids)
    alone = resampled_scores(get_metric("mae"), y, [frame], ()).std()
    whole = resampled_scores(get_metric("mae"), y, [frame], (), groups=groups).std()
    assert whole / alone == pytest.approx(np.sqrt(10), rel=0.1)


def test_predictions_share_their_resamples():
    frame = frames("rmse")[0]
    scores = resampled_scores(get_metric("rmse"), Y, [frame, frame], (), n_resamples=30)
    np.testing.assert_array_equal(scores[:, 0], scores[:, 1])


def test_a_longer_run_begins_with_the_shorter_one():
    few, many = (resampled_scores(get_metric("mae"), Y, frames("mae"), (), n_resamples=n) for n in (7, 3000))
    np.testing.assert_allclose(few, many[:7], rtol=1e-12)


def test_a_resample_of_one_class_has_no_area():
    y = pd.Series([0, 0, 0, 1], index=list("abcd"))
    frame = pd.DataFrame({"0": [0.9, 0.8, 0.7, 0.1], "1": [0.1, 0.2, 0.3, 0.9]}, index=y.index)
    scores = resampled_scores(get_metric("roc_auc"), y, [frame], (0, 1), n_resamples=2000)
    # The one positive row is not drawn in (3/4)^4 of resamples; all rows are it in (1/4)^4.
    assert np.isnan(scores).mean() == pytest.approx(0.75**4 + 0.25**4, abs=0.04)
    assert (scores[~np.isnan(scores)] == 1).all()


def test_memory_does_not_grow_with_resamples_of_many_rows_in_few_groups():
    ids = pd.RangeIndex(20_000)
    y = pd.Series(np.arange(20_000) % 2, index=ids)
    frame = pd.DataFrame({"0": np.linspace(1, 0, 20_000), "1": np.linspace(0, 1, 20_000)}, index=ids)
    groups = pd.Series(np.arange(20_000) % 50, index=ids)
    tracemalloc.start()
    resampled_scores(get_metric("roc_auc"), y, [frame], (0, 1), groups=groups, n_resamples=600, compiled=True)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # All counts of rows at once would take 48 MB.
    assert peak < 30e6


def test_a_piece_fits_a_cache_and_holds_a_resample_at_least():
    assert at_once(1 << 10) == 128
    assert at_once(1 << 20) == 1


def test_bad_input_is_told():
    metric, (frame, _) = get_metric("rmse"), frames("rmse")
    with pytest.raises(DataError, match="at least one row"):
        resampled_scores(metric, Y, [frame], (), size=0)
    with pytest.raises(PredictionsError, match="1 row"):
        resampled_scores(metric, Y, [frame], (), groups=pd.Series(0, index=Y.index[1:]))


def test_areas_take_units_of_several_rows():
    truth, scores = np.array([0, 1, 0, 1]), np.array([0.1, 0.4, 0.4, 0.9])
    areas = areas_of(truth, [scores], np.array([0, 0, 1, 1]))
    assert isinstance(areas, Areas)
    found = areas.scores(np.array([[1, 1], [2, 0]], dtype=np.int32), plain)
    assert found[:, 0] == pytest.approx([0.875, 1.0])


def test_a_constant_has_no_correlation_of_ranks():
    y, constant = np.array([1.0, 2.0, 3.0, 3.0]), np.full(4, 0.3)
    ranks = ranks_of(y, [constant, y, -y], np.array([0, 0, 1, 1]))
    found = ranks.scores(np.array([[1, 1], [0, 2]], dtype=np.int32), plain)
    np.testing.assert_allclose(found, [[0, 1, -1], [0, 0, 0]], atol=1e-12)
