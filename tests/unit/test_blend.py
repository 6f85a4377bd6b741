"""The matrix, the door of `fit`, blocks, cross-fitting along a competition's folds, and the study of a blend."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import labels_for, make_ids, probabilities_for, quick, seeds, shuffled, values_for

from kagglekit.blend.base import cross_fit
from kagglekit.blend.blocks import cut_folds, default_blocks, make_blocks
from kagglekit.blend.crossfit import CrossFitted, fit_members
from kagglekit.blend.interval import bootstrap
from kagglekit.blend.matrix import PredictionMatrix, stack, weighted
from kagglekit.blend.means import GeometricMean, Mean, RankMean
from kagglekit.blend.methods import METHODS, check, make_blender
from kagglekit.blend.problem import Problem
from kagglekit.blend.study import contributions, correlation, likeness
from kagglekit.contracts import Predictions
from kagglekit.errors import ConfigError, DataError, PredictionsError, StoreError
from kagglekit.folds import make_folds
from kagglekit.metrics import METRICS, get_metric

CLASSES = ("no", "yes")
IDS = make_ids(60)
Y = labels_for(IDS, CLASSES, 0)
FOLDS = make_folds(IDS, scheme="stratified", n=3, seed=0, y=Y)
AUC = get_metric("roc_auc")


def models(skills: dict[str, float], seed: int = 0) -> dict[str, Predictions]:
    made = enumerate(skills.items(), start=seed)
    return {name: Predictions(shuffled(probabilities_for(Y, CLASSES, i, skill), i)) for i, (name, skill) in made}


def fitted(method: str, members: dict[str, Predictions], metric: str = "roc_auc", **more) -> CrossFitted:
    known = {"y": Y, "folds": FOLDS, "columns": CLASSES}
    return fit_members(make_blender(method, metric=metric, classes=CLASSES), members, **known | more)


def problem(skills: dict[str, float], metric: str = "log_loss", **more) -> Problem:
    return Problem.of(stack(models(skills), IDS, CLASSES), Y, metric=metric, classes=CLASSES, **more)


# the matrix


def test_stack_is_model_major_sorted_and_aligned_by_id():
    members = models({"b": 0.2, "a": 0.5})
    matrix = stack(members, IDS[::-1], ("yes", "no"))
    assert matrix.names == ("a", "b")
    assert matrix.values.shape == (2, 60, 2)
    assert matrix.values.dtype == np.float32
    assert matrix.values[0, 0].tolist() == members["a"].frame.loc[IDS[-1], ["yes", "no"]].tolist()


def test_stack_refuses_nothing_and_names_the_member_that_is_off():
    with pytest.raises(ConfigError, match="at least one member"):
        stack({}, IDS, CLASSES)
    off = Predictions(models({"a": 0.1})["a"].frame.drop(IDS[0]))
    with pytest.raises(PredictionsError, match=f"Member 'off': .*missing {IDS[0]}"):
        stack(models({"a": 0.1}) | {"off": off}, IDS, CLASSES)


def test_a_matrix_refuses_repeated_names_ids_and_another_shape():
    values = np.zeros((2, 60, 2), dtype=np.float32)
    for names, ids, words in (
        (("a", "a"), IDS, "Members of a matrix must differ.*a"),
        (("a", "b"), IDS[[0, *range(59)]], "Rows of a matrix must differ"),
        (("a", "b", "c"), IDS, r"need an array of shape \(3, 60, 2\), got \(2, 60, 2\)"),
    ):
        with pytest.raises(PredictionsError, match=words):
            PredictionMatrix(names, ids, CLASSES, values)


@pytest.mark.parametrize("kind", ["int", "str"])
def test_a_matrix_comes_back_from_disk_as_it_was(tmp_path, kind):
    matrix = PredictionMatrix(("a", "b"), make_ids(7, kind), CLASSES, np.random.default_rng(0).random((2, 7, 2), "f4"))
    saved = matrix.save(tmp_path / "m")
    assert isinstance(saved.values, np.memmap)
    assert not saved.values.flags.writeable
    assert (saved.names, saved.columns) == (matrix.names, matrix.columns)
    assert saved.ids.tolist() == matrix.ids.tolist()
    np.testing.assert_array_equal(saved.values, matrix.values)
    with pytest.raises(StoreError, match="exists"):
        matrix.save(tmp_path / "m")
    with pytest.raises(StoreError, match="no prediction matrix"):
        PredictionMatrix.open(tmp_path / "other")


def test_a_matrix_that_is_written_in_another_order_leaves_nothing_behind(tmp_path):
    tables = [("b", np.zeros((3, 1))), ("a", np.zeros((3, 1)))]
    with pytest.raises(PredictionsError, match="in this order, got b, a"):
        PredictionMatrix.write(tmp_path / "m", tables, ("a", "b"), make_ids(3), ("t",))
    assert not (tmp_path / "m").exists()


@quick
@given(seed=seeds)
def test_a_weighted_sum_is_one_whether_many_or_few_members_count(seed):
    rng = np.random.default_rng(seed)
    P, weights = rng.random((6, 5, 2), dtype=np.float32), rng.normal(size=6) * (rng.random(6) < rng.random())
    np.testing.assert_allclose(weighted(weights, P), np.einsum("m,mnc->nc", weights, P), atol=1e-6)


# what is fitted on


def test_truth_groups_and_weights_are_matched_by_id():
    weight, groups = pd.Series(np.arange(60.0), index=IDS), pd.Series(np.arange(60) // 6, index=IDS)
    found = Problem.of(
        stack(models({"a": 0.2}), IDS, CLASSES),
        shuffled(Y, 1),
        metric="log_loss",
        classes=CLASSES,
        groups=shuffled(groups, 2),
        sample_weight=shuffled(weight, 3),
    )
    pd.testing.assert_series_equal(found.y, Y, check_names=False)
    assert found.weight.tolist() == weight.tolist()
    assert (pd.Series(found.groups).groupby(np.arange(60) // 6).nunique() == 1).all()


@pytest.mark.parametrize(
    ("P", "more", "error", "words"),
    [
        (np.zeros((0, 60, 2)), {}, ConfigError, "at least one member"),
        (np.zeros(60), {}, PredictionsError, r"shape \(n_models, n_rows, n_columns\), got \(60,\)"),
        (np.full((2, 60, 2), np.nan), {}, PredictionsError, "Member '0': predictions must be finite; 60 row"),
        (np.zeros((2, 59, 2)), {}, PredictionsError, r"y has 60 value\(s\) for 59 rows"),
        (np.zeros((2, 60, 3)), {}, ConfigError, "y has 2 classes and the predictions 3 columns"),
        (np.zeros((2, 60, 3)), {"classes": CLASSES}, PredictionsError, "2 classes need as many columns, got 3"),
        (np.zeros((2, 60, 2)), {"metric": "logloss"}, ConfigError, "Did you mean 'log_loss'"),
        (np.zeros((2, 60, 2)), {"sample_weight": np.zeros(60)}, DataError, "not zeros alone"),
        (np.zeros((2, 60, 2)), {"sample_weight": np.arange(60) - 1.0}, DataError, "0 or more"),
        (np.zeros((2, 60, 2)), {"groups": [None] * 60}, DataError, "groups is missing in 60 row"),
    ],
)
def test_what_cannot_be_blended_is_refused_in_one_line(P, more, error, words):
    with pytest.raises(error, match=words):
        Problem.of(P, Y, **{"metric": "log_loss", **more})


def test_large_values_that_overflow_a_sum_are_still_finite_predictions():
    P = np.full((1, 60, 1), 3e38, dtype=np.float32)
    assert Problem.of(P, np.zeros(60), metric="rmse").n_rows == 60


def test_a_bare_array_of_two_axes_is_one_column_each():
    blend = Mean("rmse", cv=None).fit(np.arange(8.0).reshape(2, 4), np.arange(4.0))
    assert blend.names_ == ("0", "1")
    assert blend.predict(np.arange(8.0).reshape(2, 4)).ravel().tolist() == [2, 3, 4, 5]


@quick
@given(seed=seeds)
def test_rows_of_a_matrix_on_disk_count_as_copied_rows_do(tmp_path_factory, seed):
    rng = np.random.default_rng(seed)
    matrix = stack(models({"a": 0.1, "b": 0.4}, seed), IDS, CLASSES)
    saved = matrix.save(tmp_path_factory.mktemp("m") / "m")
    mask = rng.random(60) < 0.7
    for rows in (mask, rng.integers(0, 60, 60)):
        one, other = (
            Problem.of(m, Y, metric="log_loss", classes=CLASSES, sample_weight=np.arange(1.0, 61)).rows(rows)
            for m in (matrix, saved)
        )
        assert isinstance(other.P, np.memmap)
        assert one.loss(one.P[0]) == pytest.approx(other.loss(other.P[0]))


# blocks


@quick
@given(seed=seeds)
def test_blocks_depend_on_ids_and_not_on_the_order_of_rows(seed):
    rows = np.random.default_rng(seed).permutation(60)
    one = problem({"a": 0.2})
    other = Problem.of(stack(models({"a": 0.2}), IDS[rows], CLASSES), Y, metric="log_loss", classes=CLASSES)
    assert make_blocks(one, 5, 0)[rows].tolist() == make_blocks(other, 5, 0).tolist()


def test_groups_stay_whole_and_few_units_make_few_blocks():
    groups = np.arange(60) // 20
    blocks = make_blocks(problem({"a": 0.2}, groups=groups), 10, 0)
    assert len(np.unique(blocks)) == 3
    assert all(len(np.unique(blocks[groups == g])) == 1 for g in range(3))
    with pytest.raises(DataError, match="at least two groups to choose and to score on, got 1"):
        make_blocks(problem({"a": 0.2}, groups=np.zeros(60)), 10, 0)


def test_folds_are_cut_into_enough_blocks_but_never_a_group():
    numbers, groups = np.arange(60) // 20, np.where(np.arange(60) < 20, 0, np.arange(60) // 5)
    blocks = cut_folds(problem({"a": 0.2}, groups=groups), numbers, 0)
    assert len(np.unique(blocks)) == 9  # the first fold is one group, the others have four each
    assert all(len(np.unique(numbers[blocks == b])) == 1 for b in range(9))
    assert all(len(np.unique(blocks[groups == g])) == 1 for g in np.unique(groups))


@given(n_folds=st.integers(2, 10))
def test_few_rows_are_cut_into_twenty_blocks_at_least(n_folds):
    numbers = np.arange(60) % n_folds
    blocks = cut_folds(problem({"a": 0.2}), numbers, 0)
    assert 20 <= len(np.unique(blocks)) < 20 + n_folds
    assert all(len(np.unique(numbers[blocks == b])) == 1 for b in np.unique(blocks))
    assert (default_blocks(9_999), default_blocks(10_000)) == (20, 10)


# along a competition's folds


def test_scores_of_a_mean_are_those_of_the_plain_mean():
    members = models({"a": 0.1, "b": 0.3})
    blend = fitted("mean", members)
    mean = sum(m.frame.loc[IDS, list(CLASSES)] for m in members.values()) / 2
    np.testing.assert_allclose(blend.oof, mean, atol=1e-6)
    assert blend.weights == {"a": 0.5, "b": 0.5}


def test_time_forward_weights_come_from_earlier_folds_only():
    time = pd.Series(np.arange(60), index=IDS)
    folds = make_folds(IDS, scheme="time", n=3, seed=0, time=time)
    members = {n: Predictions(p.frame.loc[folds.scored_ids]) for n, p in models({"a": 0.05, "b": 0.3}).items()}
    numbers = folds.assignment.iloc[:, 0]
    lied = Y.where(numbers != 2, Y.map({"no": "yes", "yes": "no"}))
    one, other = (fitted("greedy", members, y=y, folds=folds) for y in (Y, lied))
    pd.testing.assert_frame_equal(one.oof, other.oof)
    first = numbers.index[numbers == 0]
    mean = sum(m.frame.loc[first] for m in members.values()) / 2
    np.testing.assert_allclose(one.oof.loc[first], mean, atol=1e-6)
    assert list(one.oof.index) == list(folds.scored_ids)


def test_rows_that_a_member_lacks_take_no_part_and_are_named():
    members = models({"a": 0.1, "b": 0.3})
    members["b"] = Predictions(members["b"].frame.drop(IDS[[3, 7]]))
    blend = fitted("mean", members)
    assert blend.left_out.tolist() == IDS[[3, 7]].tolist()
    assert len(blend.oof) == 58
    members["a"] = Predictions(members["a"].frame.loc[IDS[[3, 7]]])
    with pytest.raises(PredictionsError, match="no row that all members predicted"):
        fitted("mean", members)


def test_test_rows_are_blended_with_the_final_weights():
    members = models({"a": 0.1, "b": 0.3})
    blend = fitted("greedy", members)
    made = blend.predict(members, IDS)
    assert made.columns == CLASSES
    pd.testing.assert_frame_equal(made.frame, blend.fitted(), check_names=False)
    with pytest.raises(PredictionsError, match="fitted on a, b; it cannot blend a, z"):
        blend.predict({"a": members["a"], "z": members["b"]}, IDS)


# means


@quick
@given(seed=seeds)
def test_rank_means_do_not_depend_on_scale(seed):
    P = stack(models({"a": 0.1, "b": 0.3}, seed), IDS, CLASSES).values
    blend = RankMean("roc_auc", classes=CLASSES, cv=None).fit(P, Y)
    np.testing.assert_allclose(blend.predict(P), blend.predict(np.exp(3 * P)), atol=1e-6)
    assert blend.predict(P).min() >= 0
    assert blend.predict(P).max() <= 1
    assert blend.predict(P[:, :1]).tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize("method", ["mean", "rank-mean", "geometric-mean"])
def test_what_learns_nothing_is_scored_on_all_rows_together(method):
    found = problem({"noise": 0.0, "skilled": 0.6, "half": 0.3}, "roc_auc")
    blend = make_blender(method, metric="roc_auc", classes=CLASSES).set_params(cv=5)
    blend.fit(PredictionMatrix(found.names, IDS, CLASSES, found.P), Y)
    np.testing.assert_array_equal(blend.nested_oof_, blend.predict(found.P))
    assert blend.nested_score_ == blend.fit_score_


@pytest.mark.parametrize("metric", [m for m in METRICS if m not in ("roc_auc", "spearman")])
def test_rank_means_are_refused_where_more_than_the_order_counts(metric):
    values = get_metric(metric).needs == "values"
    y = np.arange(6) % 2
    with pytest.raises(ConfigError, match="keeps only the order of rows"):
        RankMean(metric).fit(np.ones((2, 6, 1 if values else 2)), y)


def test_a_geometric_mean_is_the_mean_of_logits_and_survives_a_nought():
    P = np.array([[[0.2, 0.8]], [[0.5, 0.5]]])
    blend = GeometricMean(cv=None, classes=(0, 1)).fit(np.repeat(P, 4, axis=1), [0, 1, 0, 1])
    assert blend.predict(P)[0, 1] == pytest.approx(1 / (1 + np.exp(-np.log(4) / 2)))
    sure = np.array([[[1.0, 0.0]], [[0.5, 0.5]]])
    assert 0 < blend.predict(sure)[0, 1] < 0.01
    with pytest.raises(ConfigError, match="two classes or more, got one column"):
        GeometricMean("rmse").fit(np.ones((2, 4)), np.arange(4.0))
    with pytest.raises(ConfigError, match="values down to -1"):
        GeometricMean("log_loss").fit(np.full((2, 4, 2), -1.0), [0, 1, 0, 1])


# intervals and the study


def test_the_interval_holds_the_score_and_narrows_with_rows():
    few, many = (
        bootstrap(Problem.of(P[None, :, None], np.zeros(len(P)), metric="rmse"), P[:, None], 0)
        for P in (np.random.default_rng(0).normal(size=n).astype("f4") for n in (50, 5000))
    )
    for interval in (few, many):
        assert interval.low < interval.score < interval.high
    assert many.high - many.low < (few.high - few.low) / 5


def test_a_row_of_no_weight_is_in_no_interval():
    P = np.array([0.0, 1, 0, 1, 100], dtype=np.float32)[None, :, None]
    weighted_rows = Problem.of(P, np.zeros(5), metric="mae", sample_weight=[1, 1, 1, 1, 0])
    assert bootstrap(weighted_rows, P[0], 0).high <= 1


def test_what_a_member_adds_is_what_the_blend_loses_without_it():
    found = problem({"noise": 0.0, "same": 0.4, "same-again": 0.4, "skilled": 0.6}, "log_loss")
    P = found.P.copy()
    P[2] = P[1]
    found = Problem.of(PredictionMatrix(found.names, IDS, CLASSES, P), Y, metric="log_loss", classes=CLASSES)
    nested = cross_fit(make_blender("mean", metric="log_loss", classes=CLASSES), found, np.arange(60) % 3)
    adds = {c.member: c for c in contributions(found, nested)}
    assert adds["noise"].loss < 0 < adds["skilled"].loss
    assert adds["same"].loss == pytest.approx(adds["same-again"].loss)
    assert adds["skilled"].alone == pytest.approx(found.score(found.P[3]))
    np.testing.assert_array_equal(found.P, P)


def test_errors_of_copies_correlate_wholly_and_those_of_strangers_little():
    y = pd.Series(np.random.default_rng(0).normal(size=400).round(2).astype("f4"), index=make_ids(400))
    one, other = (values_for(y, seed).to_numpy() for seed in (1, 2))
    found = correlation(Problem.of(np.stack([one, one, other, y.to_numpy()[:, None]]), y, metric="rmse"))
    assert found.loc["0", "1"] == pytest.approx(1)
    assert abs(found.loc["0", "2"]) < 0.2
    assert found.loc["3", "0"] == 0  # never wrong: nothing to correlate
    assert likeness(found)["0"] == pytest.approx((1 + found.loc["0", "2"]) / 3)
    assert likeness(found.loc[["0"], ["0"]])["0"] == 1


# methods by name


def test_an_unknown_method_or_setting_comes_with_a_hint():
    with pytest.raises(ConfigError, match="Did you mean 'greedy'"):
        make_blender("gredy", metric="rmse", classes=())
    with pytest.raises(ConfigError, match=r"no setting 'n_step'. Did you mean 'n_steps'"):
        check("greedy", {"n_step": 3})
    with pytest.raises(ConfigError, match="'n_steps' of method 'greedy' must be a whole number; got 'many'"):
        check("greedy", {"n_steps": "many"})
    with pytest.raises(ConfigError, match="no setting 'metric'"):
        check("greedy", {"metric": "rmse"})


@pytest.mark.parametrize("method", METHODS)
def test_every_method_is_made_by_name(method):
    made = make_blender(method, metric="log_loss", classes=CLASSES, seed=3)
    assert (made.metric, made.classes, made.cv, made.seed) == ("log_loss", CLASSES, None, 3)
    assert check(method, {}) == {}
