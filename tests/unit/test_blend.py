"""Blends: weights sum to one, member order never matters, and no row chooses its own weights."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from strategies import labels_for, make_ids, probabilities_for, quick, seeds, shuffled, values_for

from kagglekit.blend import METHODS, Greedy, Mean, RankMean, cross_fit, stack
from kagglekit.contracts import Predictions
from kagglekit.errors import ConfigError, PredictionsError
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


def fitted(method: str, members: dict[str, Predictions], metric: str = "roc_auc", **more: object):
    known = {"y": Y, "folds": FOLDS, "metric": get_metric(metric), "classes": CLASSES, "columns": CLASSES}
    return cross_fit(method, members, **known | more)


def test_stack_is_model_major_sorted_and_aligned_by_id():
    members = models({"b": 0.2, "a": 0.5})
    P, names = stack(members, IDS[::-1], ("yes", "no"))
    assert names == ("a", "b")
    assert P.shape == (2, 60, 2)
    assert P.dtype == np.float32
    assert P[0, 0].tolist() == members["a"].frame.loc[IDS[-1], ["yes", "no"]].tolist()


def test_stack_refuses_nothing_and_names_the_member_that_is_off():
    with pytest.raises(ConfigError, match="at least one member"):
        stack({}, IDS, CLASSES)
    off = Predictions(models({"a": 0.1})["a"].frame.drop(IDS[0]))
    with pytest.raises(PredictionsError, match=f"Member 'off': .*missing {IDS[0]}"):
        stack(models({"a": 0.1}) | {"off": off}, IDS, CLASSES)


@pytest.mark.parametrize("method", METHODS)
@quick
@given(seed=seeds)
def test_weights_are_shares_and_member_order_never_matters(method, seed):
    members = models({"a": 0.1, "b": 0.3, "c": 0.2}, seed)
    one, other = fitted(method, members), fitted(method, dict(reversed(members.items())))
    assert sum(one.weights.values()) == pytest.approx(1)
    assert min(one.weights.values()) >= 0
    assert one.weights == other.weights
    assert one.scores == other.scores
    pd.testing.assert_frame_equal(one.oof, other.oof)


@pytest.mark.parametrize("method", ["mean", "greedy"])
def test_blended_probabilities_still_sum_to_one(method):
    blend = fitted(method, models({"a": 0.1, "b": 0.3}), "log_loss")
    assert blend.oof.sum(axis=1).to_numpy() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_scores_are_those_of_the_oof_rows(method):
    blend = fitted(method, models({"a": 0.1, "b": 0.3}))
    numbers = FOLDS.assignment.iloc[:, 0]
    again = [AUC.score(Y[numbers == k], blend.oof[numbers == k], CLASSES) for k in range(3)]
    assert blend.scores == pytest.approx(again)


def test_no_row_chooses_the_weights_that_blend_it():
    members = models({"a": 0.2, "b": 0.25, "c": 0.3})
    numbers = FOLDS.assignment.iloc[:, 0]
    lied = Y.where(numbers != 1, Y.map({"no": "yes", "yes": "no"}))
    honest, told = fitted("greedy", members), fitted("greedy", members, y=lied)
    pd.testing.assert_frame_equal(honest.oof[numbers == 1], told.oof[numbers == 1])
    assert told.weights != honest.weights


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


@pytest.mark.parametrize("metric", ["accuracy", "log_loss", "roc_auc", "mcc", "map@1"])
@quick
@given(seed=seeds)
def test_greedy_is_no_worse_than_the_best_member_on_the_rows_it_saw(metric, seed):
    chosen = get_metric(metric)
    members = models({"a": 0.1, "b": 0.2, "c": 0.15}, seed)
    P, _ = stack(members, IDS, CLASSES)
    score = chosen.scorer(Y, CLASSES)
    greedy = Greedy(n_steps=8).fit(P, chosen, score)
    blended = score(greedy.predict(P))
    assert not any(score(p) - blended > 1e-6 if chosen.greater_is_better else blended - score(p) > 1e-6 for p in P)
    assert len(greedy.history_) == 8


def test_greedy_may_take_one_model_often_and_never_a_useless_one():
    y = pd.Series(np.random.default_rng(0).normal(size=200), index=make_ids(200))
    rmse, noise = get_metric("rmse"), 3 * np.random.default_rng(9).normal(size=(200, 1))
    good, fair = values_for(y, 1, 0.3).to_numpy(), values_for(y, 2, 0.6).to_numpy()
    greedy = Greedy().fit(np.stack([good, fair, noise]), rmse, rmse.scorer(y, ()))
    assert greedy.weights_[0] > greedy.weights_[1] > 0
    assert greedy.weights_[2] == 0


def test_equal_models_go_to_the_first_name():
    same = models({"z": 0.3})["z"]
    assert fitted("greedy", {"z": same, "m": same, "a": same}).weights == {"a": 1.0, "m": 0.0, "z": 0.0}


def test_the_fit_score_is_kept_beside_the_honest_scores():
    members = models({f"m{i}": 0.0 for i in range(12)})
    blend = fitted("greedy", members)
    assert blend.fit_score > np.mean(blend.scores)


@quick
@given(seed=seeds)
def test_rank_means_do_not_depend_on_scale(seed):
    P, _ = stack(models({"a": 0.1, "b": 0.3}, seed), IDS, CLASSES)
    blend = RankMean().fit(P, AUC, AUC.scorer(Y, CLASSES))
    np.testing.assert_allclose(blend.predict(P), blend.predict(np.exp(3 * P)), atol=1e-6)
    assert blend.predict(P).min() >= 0
    assert blend.predict(P).max() <= 1
    assert blend.predict(P[:, :1]).tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize("metric", [m for m in METRICS if m not in ("roc_auc", "spearman")])
def test_rank_means_are_refused_where_more_than_the_order_counts(metric):
    P = np.zeros((2, 3, 1), dtype=np.float32)
    with pytest.raises(ConfigError, match="keeps only the order of rows"):
        RankMean().fit(P, get_metric(metric), lambda P: 0.0)


@pytest.mark.parametrize("method", METHODS)
def test_test_rows_are_blended_with_the_final_weights(method):
    members = models({"a": 0.1, "b": 0.3})
    blend = fitted(method, members)
    P, names = stack(members, IDS, CLASSES)
    made = blend.predict(P, names, IDS)
    assert made.columns == CLASSES
    assert made.ids.equals(IDS)
    assert AUC.score(Y, made.frame, CLASSES) == pytest.approx(blend.fit_score)
    with pytest.raises(PredictionsError, match="fitted on a, b; it cannot blend a, z"):
        blend.predict(P, ("a", "z"), IDS)


def test_a_mean_is_a_mean():
    P = np.arange(12, dtype=np.float32).reshape(3, 2, 2)
    blend = Mean().fit(P, AUC, lambda P: 0.0)
    np.testing.assert_allclose(blend.predict(P), P.mean(axis=0))


def test_an_unknown_method_comes_with_a_hint():
    with pytest.raises(ConfigError, match="Did you mean 'greedy'"):
        fitted("gredy", models({"a": 0.1}))
