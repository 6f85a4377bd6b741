"""Metrics give what scikit-learn and scipy give, match rows by id, and refuse what has no score."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as sp
from sklearn import metrics as sk
from strategies import labels_for, make_ids, probabilities_for, quick, seeds, shuffled, values_for

from kagglekit.errors import ConfigError, DataError, PredictionsError
from kagglekit.metrics import METRICS, describe, get_metric, label_codes, nearest_class

CLASSES = {"text": ("ant", "bee", "cat"), "numbers": (0, 1, 2)}
REFERENCES = {
    "accuracy": lambda y, P, L, w: sk.accuracy_score(y, L, sample_weight=w),
    "log_loss": lambda y, P, L, w: sk.log_loss(y, P, sample_weight=w),
    "roc_auc": lambda y, P, L, w: sk.roc_auc_score(y, P, multi_class="ovr", sample_weight=w),
    "f1_macro": lambda y, P, L, w: sk.f1_score(y, L, average="macro", sample_weight=w),
    "qwk": lambda y, P, L, w: sk.cohen_kappa_score(y, L, weights="quadratic", sample_weight=w),
    "mcc": lambda y, P, L, w: sk.matthews_corrcoef(y, L, sample_weight=w),
    "map@2": lambda y, P, L, w: np.average(
        [{0: 1, 1: 0.5}.get(list(np.argsort(-row, kind="stable")).index(t), 0) for t, row in zip(y, P, strict=True)],
        weights=w,
    ),
}
VALUE_REFERENCES = {
    "rmse": lambda y, p, w: sk.root_mean_squared_error(y, p, sample_weight=w),
    "rmsle": lambda y, p, w: sk.root_mean_squared_log_error(y, np.maximum(p, 0), sample_weight=w),
    "mae": lambda y, p, w: sk.mean_absolute_error(y, p, sample_weight=w),
    "r2": lambda y, p, w: sk.r2_score(y, p, sample_weight=w),
    "pearson": lambda y, p, w: sp.pearsonr(*repeated(w, y, p)).statistic,
    "spearman": lambda y, p, w: sp.spearmanr(*repeated(w, y, p)).statistic,
}
weighted = pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])


def weights_for(y: pd.Series, seed: int) -> pd.Series:
    """Quarters from 0 to 1, by id, in another order than y."""
    weights = pd.Series(np.random.default_rng(seed).integers(0, 5, len(y)) / 4, index=y.index)
    return shuffled(weights, seed)


def repeated(weights: np.ndarray | None, *arrays: np.ndarray) -> list[np.ndarray]:
    """For each quarter of a weight, its row once."""
    return [a if weights is None else np.repeat(a, (4 * weights).astype(int), axis=0) for a in arrays]


def of_values(values: list[float]) -> tuple[pd.Series, pd.DataFrame]:
    frame = pd.DataFrame({"target": values}, index=make_ids(len(values)))
    return frame["target"], frame


@pytest.mark.parametrize("name", REFERENCES)
@pytest.mark.parametrize("kind", CLASSES)
@weighted
@quick
@given(seed=seeds)
def test_class_metrics_equal_their_reference(name, kind, weighted, seed):
    classes = CLASSES[kind]
    y = labels_for(make_ids(40), classes, seed)
    P = probabilities_for(y, classes, seed).round(1)
    P = P.div(P.sum(axis=1), axis=0)
    codes = np.array([classes.index(label) for label in y])
    weights = weights_for(y, seed) if weighted else None
    in_order = weights[y.index].to_numpy() if weighted else None
    expected = REFERENCES[name](codes, P.to_numpy(), P.to_numpy().argmax(axis=1), in_order)
    assert get_metric(name).score(y, P, classes, weights) == pytest.approx(expected)


@pytest.mark.parametrize("name", VALUE_REFERENCES)
@weighted
@quick
@given(seed=seeds)
def test_value_metrics_equal_their_reference(name, weighted, seed):
    y = pd.Series(np.random.default_rng(seed).integers(0, 9, 30), index=make_ids(30))
    frame = values_for(y, seed)
    weights = weights_for(y, seed) if weighted else None
    in_order = weights[y.index].to_numpy() if weighted else None
    expected = VALUE_REFERENCES[name](y.to_numpy(), frame["target"].to_numpy(), in_order)
    assert get_metric(name).score(y, frame, (), weights) == pytest.approx(expected)


@pytest.mark.parametrize("classes", [(0, 1), (0, 1, 2)], ids=["two classes", "three classes"])
@pytest.mark.parametrize("name", METRICS)
@quick
@given(seed=seeds, factor=st.sampled_from([4, 1, 1 / 3, 1e-6]))
def test_whole_weights_repeat_rows_and_a_common_factor_changes_nothing(name, classes, seed, factor):
    metric = get_metric(name)
    y = labels_for(make_ids(30), classes, seed)
    frame = (values_for(y, seed) if metric.needs == "values" else probabilities_for(y, classes, seed)).round(1)
    weights = weights_for(y, seed)[y.index].to_numpy()
    truth, predicted = metric.truth(y, classes), metric.predicted(frame.to_numpy(), classes)
    expected = metric.function(*repeated(weights, truth, predicted))
    assert metric.function(truth, predicted, factor * weights) == pytest.approx(expected)
    whole = (4 * weights).astype(int)
    assert metric.function(truth, predicted, whole) == pytest.approx(expected)


@pytest.mark.parametrize("name", METRICS)
def test_a_scorer_takes_weights_in_the_order_of_y_or_by_id(name):
    metric, classes = get_metric(name), (0, 1, 2)
    y = labels_for(make_ids(30), classes, 5)
    frame = values_for(y, 5) if metric.needs == "values" else probabilities_for(y, classes, 5)
    weights = weights_for(y, 5)
    expected = metric.score(y, frame, classes, weights)
    assert expected != pytest.approx(metric.score(y, frame, classes))
    assert metric.scorer(y, classes, weights)(frame.to_numpy()) == expected
    assert metric.scorer(y, classes, weights[y.index].to_numpy())(frame.to_numpy()) == expected


@pytest.mark.parametrize("classes", [(0, 1), ("no", "yes"), (False, True)])
def test_binary_metrics_take_the_second_class_as_positive(classes):
    y = labels_for(make_ids(50), classes, 3)
    P = probabilities_for(y, classes, 4)
    positive, guess = (y == classes[1]).astype(int), (P.iloc[:, 1] > P.iloc[:, 0]).astype(int)
    assert get_metric("roc_auc").score(y, P, classes) == pytest.approx(sk.roc_auc_score(positive, P.iloc[:, 1]))
    assert get_metric("f1").score(y, P, classes) == pytest.approx(sk.f1_score(positive, guess))
    weights = weights_for(y, 5)
    w = weights[y.index]
    expected = sk.roc_auc_score(positive, P.iloc[:, 1], sample_weight=w)
    assert get_metric("roc_auc").score(y, P, classes, weights) == pytest.approx(expected)
    expected = sk.f1_score(positive, guess, sample_weight=w)
    assert get_metric("f1").score(y, P, classes, weights) == pytest.approx(expected)


@pytest.mark.parametrize("name", METRICS)
@quick
@given(seed=seeds)
def test_the_order_of_rows_and_columns_never_matters(name, seed):
    metric, ids = get_metric(name), make_ids(30, "mixed")
    y = labels_for(ids, (0, 1, 2), seed)
    frame = values_for(y, seed) if metric.needs == "values" else probabilities_for(y, (0, 1, 2), seed)
    other = shuffled(frame, seed + 1)[frame.columns[::-1]]
    score = metric.score(y, frame, (0, 1, 2))
    assert metric.score(y, other, (0, 1, 2)) == score
    assert metric.score(shuffled(y, seed + 2), frame, (0, 1, 2)) == pytest.approx(score)
    assert metric.scorer(y, (0, 1, 2))(frame.to_numpy()) == score


@pytest.mark.parametrize("name", METRICS)
def test_perfect_predictions_are_never_beaten(name):
    metric = get_metric(name)
    y = labels_for(make_ids(30), (0, 1, 2), 0)
    make = values_for if metric.needs == "values" else lambda y, s, n: probabilities_for(y, (0, 1, 2), s, 1 - n)
    perfect, poor = (metric.score(y, make(y, 1, noise), (0, 1, 2)) for noise in (0.0, 1.0))
    assert metric.better(perfect, poor)
    assert not metric.better(poor, perfect)
    assert not metric.better(perfect, perfect)


@pytest.mark.parametrize("name", METRICS)
def test_the_per_row_form_gives_the_same_score(name):
    metric = get_metric(name)
    y = labels_for(make_ids(30), (0, 1, 2), 0)
    frame = values_for(y, 1) if metric.needs == "values" else probabilities_for(y, (0, 1, 2), 1)
    if metric.per_row is not None:
        truth, predicted = metric.truth(y, (0, 1, 2)), metric.predicted(frame.to_numpy(), (0, 1, 2))
        mean = metric.per_row(truth, predicted).mean()
        assert metric.finish(mean) == pytest.approx(metric.score(y, frame, (0, 1, 2)))
    assert (metric.per_row is not None) == (name in ["accuracy", "log_loss", "rmse", "rmsle", "mae", "map@5"])


@pytest.mark.parametrize("name", ["accuracy", "f1_macro", "mcc", "qwk", "log_loss", "roc_auc", "map@3"])
def test_a_class_that_y_lacks_is_no_trouble(name):
    y = labels_for(make_ids(20), (0, 2), 0)
    frame = probabilities_for(y, (0, 1, 2), 0)
    assert np.isfinite(get_metric(name).score(y, frame, (0, 1, 2)))


@pytest.mark.parametrize("name", ["f1_macro", "mcc", "roc_auc"])
def test_a_class_whose_rows_have_no_weight_is_one_that_y_lacks(name):
    y = labels_for(make_ids(30), (0, 1, 2), 0)
    frame = probabilities_for(y, (0, 1, 2), 0)
    expected = get_metric(name).score(y[y != 1], frame[y != 1], (0, 1, 2))
    assert get_metric(name).score(y, frame, (0, 1, 2), (y != 1) * 0.7) == pytest.approx(expected)


def test_log_loss_rescales_rows_and_clips():
    y = pd.Series(["a", "b"], index=["r", "s"])
    frame = pd.DataFrame({"a": [2.0, 1.0], "b": [6.0, 0.0]}, index=["r", "s"])
    expected = (-np.log(0.25) - np.log(1e-15)) / 2
    assert get_metric("log_loss").score(y, frame, ("a", "b")) == pytest.approx(expected)
    assert get_metric("log_loss").score(y, frame * 0, ("a", "b")) == pytest.approx(np.log(2))


def test_rmsle_takes_negative_predictions_as_zero_and_refuses_negative_truth():
    y, frame = of_values([0.0, 3.0])
    assert get_metric("rmsle").score(y, frame - frame.eq(0) * 5, ()) == 0
    with pytest.raises(DataError, match="y >= 0"):
        get_metric("rmsle").score(y - 1, frame, ())


@pytest.mark.parametrize("name", ["pearson", "spearman"])
def test_a_constant_has_no_correlation(name):
    y, frame = of_values([1.0, 2.0, 3.0])
    assert get_metric(name).score(y, frame * 0 + 0.1, ()) == 0.0
    assert get_metric(name).score(y * 0, frame, ()) == 0.0


@pytest.mark.parametrize("name", ["pearson", "spearman"])
def test_a_row_of_no_weight_does_not_make_a_constant_vary(name):
    y, frame = of_values([0.1, 0.1, 0.1, 7.0])
    weights = pd.Series([0.1, 0.7, 1 / 3, 0.0], index=y.index)
    assert get_metric(name).score(y, frame, (), weights) == 0.0


@quick
@given(seed=seeds)
def test_fractions_as_weights_leave_best_and_constant_scores_exact(seed):
    y = labels_for(make_ids(50), (0, 1), seed)
    weights = pd.Series(np.random.default_rng(seed).random(50), index=y.index)
    perfect = pd.DataFrame({"0": 1.0 - y, "1": y * 1.0})
    for name in ("accuracy", "roc_auc", "f1", "f1_macro", "qwk", "map@2"):
        assert get_metric(name).score(y, perfect, (0, 1), weights) == 1.0
    assert get_metric("mcc").score(y, perfect * 0 + [0.2, 0.8], (0, 1), weights) == 0.0


def test_r2_of_a_constant_y():
    y, frame = of_values([2.0, 2.0])
    assert get_metric("r2").score(y, frame, ()) == 1.0
    assert get_metric("r2").score(y, frame + 1, ()) == 0.0
    rounding = pd.Series([0.1, 0.1, 0.1])
    assert get_metric("r2").score(rounding, rounding.to_frame() + 1, ()) == 0.0


def test_constant_labels_are_chance_for_mcc_and_agreement_for_qwk():
    y = pd.Series([1, 1], index=["r", "s"])
    assert get_metric("mcc").score_labels(y, y, (0, 1)) == 0.0
    assert get_metric("qwk").score_labels(y, y, (0, 1)) == 1.0


def test_roc_auc_of_one_class_says_so():
    y = pd.Series([1, 1], index=["r", "s"])
    frame = pd.DataFrame({"0": [0.2, 0.3], "1": [0.8, 0.7]}, index=y.index)
    with pytest.raises(DataError, match="two classes in y, got one class in 2 row"):
        get_metric("roc_auc").score(y, frame, (0, 1))
    y["s"] = 0
    with pytest.raises(DataError, match=r"two classes in y, got one class in 1 row.* of weight above 0"):
        get_metric("roc_auc").score(y, frame, (0, 1), pd.Series([1.0, 0.0], index=y.index))


def test_qwk_rounds_a_column_of_values_to_the_nearest_class():
    y = pd.Series([3, 4, 8, 8], index=list("abcd"))
    frame = pd.DataFrame({"quality": [-9.0, 4.4, 7.1, 99.0]}, index=y.index)
    expected = sk.cohen_kappa_score([3, 4, 8, 8], [3, 4, 8, 8], weights="quadratic")
    assert get_metric("qwk").score(y, frame, (3, 4, 8)) == expected == 1.0
    assert nearest_class(np.array([-1.0, 0.4, 0.6, 7.0]), ("low", "mid", "high")).tolist() == [0, 0, 1, 2]


def test_qwk_without_classes_rounds_to_whole_numbers():
    y, frame = of_values([1.0, 2.0, 5.0])
    assert get_metric("qwk").score(y, frame + 0.3, ()) == 1.0


def test_integer_classes_count_by_value_in_qwk():
    y = pd.Series([1, 2, 9], index=list("abc"))
    near, far = pd.Series([2, 2, 9], index=y.index), pd.Series([1, 9, 9], index=y.index)
    qwk = get_metric("qwk")
    assert qwk.score_labels(y, near, (1, 2, 9)) > qwk.score_labels(y, far, (1, 2, 9))


def test_map_counts_a_hit_by_its_place_and_never_a_class_that_was_not_ranked():
    y = pd.Series(["a", "b", "c"], index=list("rst"))
    beliefs = pd.DataFrame({"a": [3.0, 3, 3], "b": [2.0, 2, 2], "c": [1.0, 1, -1]}, index=y.index)
    assert get_metric("map@3").score(y, beliefs, ("a", "b", "c")) == pytest.approx((1 + 1 / 2 + 0) / 3)
    assert get_metric("map@1").score(y, beliefs, ("a", "b", "c")) == pytest.approx(1 / 3)


@given(k=st.integers(1, 200))
@quick
def test_map_names_are_parsed(k):
    assert get_metric(f"map@{k}").k == k


@pytest.mark.parametrize(
    ("name", "hint"), [("acuracy", "accuracy"), ("map@0", "map@5"), ("map@k", "map@5"), ("?", "Known: accuracy")]
)
def test_unknown_names_come_with_a_hint(name, hint):
    with pytest.raises(ConfigError, match=hint):
        get_metric(name)


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_is_described_with_its_direction(name):
    metric = get_metric(name)
    assert metric.name == name
    assert metric.title
    assert ("higher" if metric.greater_is_better else "lower") in describe(name)
    assert len(metric.function.__doc__) > 40


def test_labels_are_the_same_when_python_says_so():
    assert label_codes(pd.Series([True, False]), (0, 1)).tolist() == [1, 0]
    assert label_codes(pd.Series([1.0, 0.0]), (0, 1)).tolist() == [1, 0]
    assert label_codes(pd.Series(["b", "a"], dtype="category"), ("a", "b")).tolist() == [1, 0]


@pytest.mark.parametrize("labels", [["1", "0"], [1, 2], [0, None]])
def test_unknown_labels_are_named(labels):
    with pytest.raises(DataError, match="among the 2 classes"):
        label_codes(pd.Series(labels, dtype=object), (0, 1))


def test_score_labels_matches_by_id_and_refuses_other_metrics():
    y = pd.Series(["a", "b", "b"], index=list("rst"))
    guesses = pd.Series(["b", "b", "a"], index=list("tsr"))
    assert get_metric("accuracy").score_labels(y, guesses) == 1.0
    with pytest.raises(PredictionsError, match="rmse needs numbers, got labels"):
        get_metric("rmse").score_labels(y, guesses)


Y = pd.Series([0, 1, 1], index=list("rst"))
P = pd.DataFrame({"0": [0.9, 0.2, 0.4], "1": [0.1, 0.8, 0.6]}, index=list("rst"))


@pytest.mark.parametrize(
    ("name", "y", "frame", "error", "says"),
    [
        ("accuracy", Y, P.drop("r"), PredictionsError, "1 missing: r"),
        ("accuracy", Y.drop("r"), P, PredictionsError, "1 extra: r"),
        ("accuracy", Y, pd.concat([P, P]), PredictionsError, "predictions must hold each id once"),
        ("accuracy", Y, P.rename(columns={"0": "zero"}), PredictionsError, "one column for each class"),
        ("accuracy", Y, P[["1"]], PredictionsError, "one column for each class"),
        ("accuracy", Y, P.replace(0.9, np.nan), PredictionsError, "finite"),
        ("rmse", Y, P, PredictionsError, "one column of values, got 2"),
        ("rmse", Y.astype(str) + "x", P[["1"]], DataError, "must hold numbers"),
        ("rmse", Y.replace(0, np.nan), P[["1"]], DataError, "finite numbers; 1 row"),
        ("accuracy", Y[:0], P[:0], DataError, "no rows"),
        ("accuracy", Y + 1, P, DataError, "got 2"),
    ],
)
def test_bad_input_gets_one_clear_line(name, y, frame, error, says):
    with pytest.raises(error, match=says) as caught:
        get_metric(name).score(y, frame, (0, 1))
    assert "\n" not in str(caught.value)


def test_class_metrics_need_classes():
    with pytest.raises(DataError, match="needs the classes of y"):
        get_metric("accuracy").truth(Y, ())


@pytest.mark.parametrize(
    ("weights", "says"),
    [
        (pd.Series([1.0, -1.0, -2.0], index=Y.index), "at least 0; 2 row"),
        (pd.Series([1.0, np.nan, np.inf], index=Y.index), "finite numbers; 2 row"),
        (pd.Series([0, 0, 0], index=Y.index), "above 0 for a row at least"),
        (pd.Series(["a", "b", "c"], index=Y.index), "sample weights must hold numbers"),
        (pd.Series([1.0, 2.0], index=["r", "s"]), "Sample weights must hold the ids of y; 1 missing: t"),
        (pd.Series([1.0] * 4, index=list("rstt")), "sample weights must hold each id once; repeated: t"),
        (np.ones(2), r"one number for each of the 3 row.*got \(2,\)"),
        (np.ones((3, 1)), r"got \(3, 1\)"),
    ],
)
def test_wrong_weights_get_one_clear_line(weights, says):
    with pytest.raises(DataError, match=says) as caught:
        get_metric("accuracy").scorer(Y, (0, 1), weights)
    assert "\n" not in str(caught.value)
    assert not isinstance(caught.value, PredictionsError)
