from __future__ import annotations

import copy
import threading
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from strategies import ids, labels_for, quick, seeds, shuffled
from vision_cases import VISION_CASES

from kagglekit.errors import ConfigError, DataError
from kagglekit.models.bagging import BaggedClassifier, BaggedEstimator, BaggedRegressor, out_of_bag_sum
from kagglekit.models.boost import LightGBMClassifier
from kagglekit.models.imported import ImportedClassifier
from kagglekit.progress import Silent


def rows(n: int = 120, seed: int = 0) -> tuple[pd.DataFrame, pd.Series]:
    r = np.random.default_rng(seed)
    X = pd.DataFrame(r.normal(size=(n, 4)), columns=list("abcd"), index=[f"i{k}" for k in r.permutation(n)])
    return X, ((X["a"] + r.normal(size=n)) > 0).map({True: "yes", False: "no"})


class Recorder(ClassifierMixin, BaseEstimator):
    """Remembers the rows it was given; its probabilities say which bag it is."""

    def __init__(self, uses_eval_set: bool = False, random_state: int = 0, inner: Any = None) -> None:
        self.uses_eval_set = uses_eval_set
        self.random_state = random_state
        self.inner = inner

    def fit(self, X: pd.DataFrame, y: pd.Series, eval_set: Any = None) -> Recorder:
        self.seen_, self.watched_ = X.index, pd.Index([]) if eval_set is None else eval_set[0].index
        self.labels_, self.watched_labels_ = y, None if eval_set is None else eval_set[1]
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X: pd.DataFrame) -> np.ndarray:
        share = (self.random_state % 997 + 1) / 1000
        return np.tile([1 - share, *[share / (len(self.classes_) - 1)] * (len(self.classes_) - 1)], (len(X), 1))


bag_settings = st.fixed_dictionaries(
    {
        "n_estimators": st.integers(1, 8),
        "max_samples": st.sampled_from([0.3, 0.632, 1.0]),
        "bootstrap": st.booleans(),
        "random_state": seeds,
    }
)


@given(shape=st.tuples(st.integers(1, 6), st.integers(1, 9), st.integers(1, 4)), seed=seeds)
@quick
def test_the_vectorised_sum_is_the_loop(shape, seed):
    r = np.random.default_rng(seed)
    in_bag = r.random(shape[:2]) < 0.6
    predictions = np.where(in_bag[:, :, None], np.nan, r.normal(size=shape)).astype(np.float32)
    total, counts = out_of_bag_sum(predictions, in_bag)
    for row in range(shape[1]):
        out = [predictions[bag, row].astype(float) for bag in range(shape[0]) if not in_bag[bag, row]]
        assert counts[row] == len(out)
        np.testing.assert_allclose(total[row], np.sum(out, axis=0) if out else np.zeros(shape[2]), atol=1e-12)


@given(index=ids(), settings=bag_settings, stops=st.booleans())
@quick
def test_members_predict_exactly_the_rows_they_have_not_seen(index, settings, stops):
    X, y = pd.DataFrame({"a": range(len(index))}, index=index), labels_for(index, ("x", "y", "z"), 0)
    model = BaggedClassifier(Recorder(stops), **settings).fit(X, y)
    assert len(model.estimators_) == settings["n_estimators"]
    for member, in_bag, said in zip(model.estimators_, model.in_bag_, model.bag_predictions_, strict=True):
        if isinstance(member, DummyClassifier):
            continue
        assert set(member.seen_) | set(member.watched_) == set(index[in_bag])
        assert not set(member.seen_) & set(member.watched_)
        assert len(member.watched_) == (max(1, round(0.15 * in_bag.sum())) if stops else 0)
        pd.testing.assert_series_equal(member.labels_, y.loc[member.seen_], check_names=False)
        assert np.isnan(said[in_bag]).all()
        assert not np.isnan(said[~in_bag]).any()
    assert list(model.oob_counts_) == list((~model.in_bag_).sum(axis=0))
    assert set(model.never_oob_) == set(index[model.in_bag_.all(axis=0)])
    assert model.oob_prediction_.index.equals(index)
    seen = model.oob_prediction_.notna().all(axis=1)
    assert set(index[~seen]) == set(model.never_oob_)
    np.testing.assert_allclose(model.oob_prediction_[seen].sum(axis=1), 1, atol=1e-6)


@given(index=ids(), settings=bag_settings, n_groups=st.integers(1, 9), stops=st.booleans())
@quick
def test_groups_are_drawn_whole(index, settings, n_groups, stops):
    X, y = pd.DataFrame({"a": 0}, index=index), labels_for(index, ("x", "y"), 0)
    groups = pd.Series([f"g{i % n_groups}" for i in range(len(index))], index=index)
    model = BaggedClassifier(Recorder(stops), **settings).fit(X, y, groups=groups)
    for member, in_bag in zip(model.estimators_, model.in_bag_, strict=True):
        assert not set(groups[in_bag]) & set(groups[~in_bag])
        if isinstance(member, Recorder):
            assert not set(groups[member.seen_]) & set(groups[member.watched_])
    drawn = [groups[in_bag].nunique() for in_bag in model.in_bag_]
    assert max(drawn) <= max(1, round(settings["max_samples"] * n_groups))
    if not settings["bootstrap"]:
        assert len(set(drawn)) == 1


@given(index=ids(), settings=bag_settings, grouped=st.booleans(), stops=st.booleans(), seed=seeds)
@quick
def test_the_order_of_rows_does_not_matter(index, settings, grouped, stops, seed):
    X, y = pd.DataFrame({"a": range(len(index))}, index=index), labels_for(index, (1, 2), 0)
    groups = pd.Series([i % 5 for i in range(len(index))], index=index) if grouped else None
    first = BaggedClassifier(Recorder(stops), **settings).fit(X, y, groups=groups)
    X = shuffled(X, seed)
    again = BaggedClassifier(Recorder(stops), **settings)
    again.fit(X, y.loc[X.index], groups=None if groups is None else groups.loc[X.index])
    pd.testing.assert_frame_equal(again.oob_prediction_.loc[index], first.oob_prediction_)
    for a, b in zip(again.estimators_, first.estimators_, strict=True):
        if isinstance(a, Recorder):
            assert list(a.seen_) == list(b.seen_)
            assert list(a.watched_) == list(b.watched_)


def test_more_bags_leave_the_first_ones_as_they_are() -> None:
    X, y = rows()
    few, many = (BaggedClassifier(Recorder(), n_estimators=n, random_state=1).fit(X, y) for n in (3, 5))
    np.testing.assert_array_equal(few.in_bag_, many.in_bag_[:3])
    np.testing.assert_array_equal(few.bag_predictions_, many.bag_predictions_[:3])


def test_each_bag_has_seeds_of_its_own_nested_ones_too() -> None:
    X, y = rows()
    inner = Recorder(inner=DecisionTreeClassifier())
    model = BaggedClassifier(inner, n_estimators=5, random_state=0).fit(X, y)
    found = [(m.random_state, m.inner.random_state) for m in model.estimators_]
    assert len({seed for pair in found for seed in pair}) == 10
    assert inner.random_state == 0
    assert inner.inner.random_state is None


def test_rows_for_early_stopping_hold_their_share_of_each_class() -> None:
    X, _ = rows(400)
    y = pd.Series(["common"] * 320 + ["rare"] * 80, index=X.index)
    member = BaggedClassifier(Recorder(True), n_estimators=1, random_state=0).fit(X, y).estimators_[0]
    share = (member.watched_labels_ == "rare").mean()
    assert abs(share - (y.loc[member.seen_.union(member.watched_)] == "rare").mean()) < 0.03
    given_rows = X.iloc[:9], y.iloc[:9]
    told = BaggedClassifier(Recorder(True), n_estimators=1, random_state=0).fit(X.iloc[9:], y.iloc[9:], given_rows)
    assert list(told.estimators_[0].watched_) == list(X.index[:9])


def test_predictions_are_the_mean_of_the_members() -> None:
    X, y = rows()
    model = BaggedClassifier(LogisticRegression(), n_estimators=4, random_state=0).fit(X, y)
    expected = np.mean([m.predict_proba(X) for m in model.estimators_], axis=0)
    np.testing.assert_allclose(model.predict_proba(X), expected)
    values = BaggedRegressor(DecisionTreeRegressor(), n_estimators=4, random_state=0).fit(X, X["a"] * 3)
    np.testing.assert_allclose(values.predict(X), np.mean([m.predict(X) for m in values.estimators_], axis=0))
    assert list(values.oob_prediction_.columns) == ["value"]


def test_a_class_that_a_bag_lacks_has_no_probability_in_it() -> None:
    X, _ = rows(60)
    y = pd.Series(["b"] * 29 + ["a"] + ["c"] * 30, index=X.index)
    model = BaggedClassifier(DecisionTreeClassifier(), n_estimators=12, random_state=0).fit(X, y)
    lone = X.index[29]
    assert list(model.classes_) == ["a", "b", "c"]
    lacking = [b for b in range(12) if not model.in_bag_[b, 29]]
    assert lacking
    assert all(list(model.estimators_[b].classes_) == ["b", "c"] for b in lacking)
    assert (model.bag_predictions_[lacking, 29, 0] == 0).all()
    assert model.oob_prediction_.loc[lone, "a"] == 0
    assert model.oob_prediction_.loc[lone].sum() == pytest.approx(1)


def test_a_bag_of_one_class_is_kept_and_certain() -> None:
    X, _ = rows(12)
    y = pd.Series([0] * 11 + [1], index=X.index)
    model = BaggedClassifier(LogisticRegression(), n_estimators=10, random_state=0).fit(X, y)
    alone = ~model.in_bag_[:, 11]
    assert alone.any()
    assert len(model.estimators_) == 10
    np.testing.assert_array_equal(model.bag_predictions_[alone, 11], [[1, 0]] * alone.sum())


def test_out_of_bag_on_noise_is_no_better_than_chance() -> None:
    X, _ = rows(400)
    y = pd.Series(np.random.default_rng(1).integers(0, 2, 400), index=X.index)
    for estimator in (DecisionTreeClassifier(), LightGBMClassifier(n_estimators=200, n_jobs=1)):
        model = BaggedClassifier(estimator, n_estimators=15, random_state=0).fit(X, y)
        scored = model.oob_prediction_[1].dropna()
        assert abs(roc_auc_score(y.loc[scored.index], scored) - 0.5) < 0.1


def test_without_oob_no_row_is_predicted_at_fit() -> None:
    X, y = rows()
    model = BaggedClassifier(DecisionTreeClassifier(), n_estimators=3, oob=False, random_state=0).fit(X, y)
    assert not hasattr(model, "oob_prediction_")
    assert not hasattr(model, "bag_predictions_")
    assert model.predict_proba(X).shape == (120, 2)


@pytest.mark.parametrize("case", VISION_CASES, ids=str)
def test_image_models_can_be_bagged(case, tmp_path) -> None:
    X, y = case.rows()
    bagged = BaggedClassifier if case.task == "classification" else BaggedRegressor
    progress = Unmovable()
    inner = case.make().set_params(cache_dir=str(tmp_path), progress=progress)
    model = bagged(inner, n_estimators=2, random_state=0, progress=progress).fit(X, y)
    assert progress.opened[0] == "bags"
    assert len(progress.opened) > 2
    assert all(member.progress is progress for member in model.estimators_)
    assert model.oob_prediction_.notna().all(axis=1).sum() == len(X) - len(model.never_oob_) > len(X) / 2
    assert np.isfinite(case.output(model, X)).all()


class Learner(Recorder):
    """A recorder that learns more than the target."""

    learns_extras = True

    def fit(self, X: pd.DataFrame, y: pd.Series, extra: Any = None, extra_weights: Any = None) -> Learner:
        self.extra_, self.weights_ = extra, extra_weights
        return super().fit(X, y)


def test_each_bag_learns_the_extras_of_the_rows_it_drew() -> None:
    X, y = rows(40)
    extra = pd.DataFrame({"age": np.arange(40.0)}, index=X.index)
    model = BaggedClassifier(Learner(), n_estimators=3, random_state=0).fit(X, y, extra=extra, extra_weights={"age": 2})
    for member in model.estimators_:
        pd.testing.assert_frame_equal(member.extra_, extra.loc[member.seen_])
        assert member.weights_ == {"age": 2}
    alike = BaggedClassifier(Learner(), n_estimators=1).fit(X, y.map(lambda _: "yes"), extra=extra)
    assert alike.predict(X).tolist() == ["yes"] * 40, "a bag of one class learns nothing"


def test_extras_of_other_rows_or_for_who_learns_none_are_refused() -> None:
    X, y = rows(40)
    extra = pd.DataFrame({"age": np.arange(40.0)}, index=X.index)
    with pytest.raises(DataError, match="rows of extra are not those of X"):
        BaggedClassifier(Learner()).fit(X, y, extra=extra.iloc[::-1])
    with pytest.raises(ConfigError, match="Recorder learns nothing beside the target"):
        BaggedClassifier(Recorder()).fit(X, y, extra=extra)


def test_an_image_model_that_stops_early_watches_rows_of_its_bag(tmp_path) -> None:
    case = VISION_CASES[0]
    X, y = case.rows()
    inner = case.make().set_params(cache_dir=str(tmp_path), early_stopping=True, epochs=2)
    model = BaggedClassifier(inner, n_estimators=1, random_state=0).fit(X, y)
    assert model.estimators_[0].best_epoch_ > 0


class Unmovable(Silent):
    """Like a bar on a terminal: it cannot be copied."""

    def __init__(self) -> None:
        self.opened: list[str] = []
        self.lock = threading.RLock()

    def task(self, name: str, total: float | None) -> Any:
        self.opened.append(name)
        return super().task(name, total)


def test_the_bar_of_the_test_cannot_be_copied() -> None:
    with pytest.raises(TypeError):
        copy.deepcopy(Unmovable())


def test_a_clone_has_the_settings_and_may_be_bagged_again() -> None:
    X, y = rows()
    model = BaggedClassifier(DecisionTreeClassifier(max_depth=2), n_estimators=3, max_samples=0.5, random_state=7)
    copied = clone(model.fit(X, y))
    assert not hasattr(copied, "estimators_")
    assert copied.get_params()["estimator__max_depth"] == 2
    copied.set_params(estimator__max_depth=1, n_estimators=2).fit(X, y)
    assert [m.get_depth() for m in copied.estimators_] == [1, 1]
    twice = BaggedClassifier(copied, n_estimators=2, random_state=0).fit(X, y)
    assert twice.predict_proba(X).shape == (120, 2)


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (BaggedClassifier(LogisticRegression(), n_estimators=0), "n_estimators must be at least 1"),
        (BaggedClassifier(LogisticRegression(), max_samples=0), "max_samples is a share"),
        (BaggedClassifier(LogisticRegression(), max_samples=1.2), "max_samples is a share"),
        (BaggedClassifier(LinearSVC()), "no predict_proba"),
        (BaggedRegressor(ImportedClassifier(LogisticRegression())), "is a classifier. Use BaggedClassifier"),
    ],
)
def test_settings_that_cannot_be_are_refused(model: BaggedEstimator, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        model.fit(*rows())


@pytest.mark.parametrize(
    ("groups", "says"),
    [
        (lambda X: pd.Series(1, index=X.index[::-1]), "another order"),
        (lambda X: [1, 2], "groups has 2"),
        (lambda X: pd.Series([None] + ["a"] * (len(X) - 1), index=X.index), "1 value.* of groups are missing"),
    ],
)
def test_groups_of_other_rows_or_with_gaps_are_refused(groups, says) -> None:
    X, y = rows()
    with pytest.raises(DataError, match=says):
        BaggedClassifier(DecisionTreeClassifier()).fit(X, y, groups=groups(X))
