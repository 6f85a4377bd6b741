from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score, matthews_corrcoef

from kagglekit.calibration import calibrated, fit_floor, fit_temperature
from kagglekit.contracts import Competition, Folds
from kagglekit.decisions import fit_cut
from kagglekit.errors import ConfigError
from kagglekit.scoring import calibrate, decided

CLASSES = ("a", "b", "c")


def made(n: int = 3000, sharpness: float = 3.0, seed: int = 0) -> tuple[pd.DataFrame, pd.Series]:
    """Labels drawn from probabilities, and these probabilities made too sure."""
    r = np.random.default_rng(seed)
    truth = r.dirichlet([1, 1, 1], n)
    labels = [CLASSES[i] for i in (truth.cumsum(axis=1) > r.random((n, 1))).argmax(axis=1)]
    sharp = truth**sharpness
    ids = pd.Index([f"i{k}" for k in range(n)])
    return pd.DataFrame(sharp / sharp.sum(axis=1, keepdims=True), ids, list(CLASSES)), pd.Series(labels, ids)


def facts(**changed: object) -> Competition:
    known = {"slug": "s", "task": "classification", "metric": "log_loss", "id": "id", "target": "y"}
    return Competition(**{**known, "classes": CLASSES, **changed})


def folds(index: pd.Index, scheme: str = "kfold") -> Folds:
    numbers = np.arange(len(index)) % 4 - (scheme == "time")
    return Folds(pd.DataFrame({"r0": numbers}, index=index), scheme, 0)


def test_the_temperature_undoes_what_was_made_too_sure() -> None:
    frame, y = made()
    assert fit_temperature(frame, y, CLASSES) == pytest.approx(3, rel=0.1)
    truth, labels = made(sharpness=1.0)
    assert fit_temperature(truth, labels, CLASSES) == pytest.approx(1, rel=0.1)


def test_a_floor_is_as_high_as_noughts_are_wrong() -> None:
    frame = pd.DataFrame({"a": np.ones(200), "b": np.zeros(200)})
    y = pd.Series(["a"] * 190 + ["b"] * 10)
    assert fit_floor(frame, y, ["a", "b"]) == pytest.approx(0.05, rel=0.2)
    assert fit_floor(frame, pd.Series(["a"] * 200), ["a", "b"]) == 0


@pytest.mark.parametrize("method", ["temperature", "clip"])
def test_probabilities_stay_probabilities_in_the_same_order(method: str) -> None:
    frame, y = made(400)
    found = calibrated(method, frame, y, CLASSES)(frame)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)
    assert (found.idxmax(axis=1) == frame.idxmax(axis=1)).all()


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 3), st.integers(0, 99), st.sampled_from(["temperature", "clip"]))
def test_labels_of_a_fold_change_none_of_its_predictions(fold: int, seed: int, method: str) -> None:
    frame, y = made(200)
    cut = folds(y.index)
    own = y.index[cut.assignment["r0"] == fold]
    other = y.copy()
    other.loc[own] = np.random.default_rng(seed).permutation(y.loc[own])
    before, after = (calibrate(method, frame, frame, labels, cut, facts())[0] for labels in (y, other))
    pd.testing.assert_frame_equal(before.loc[own], after.loc[own])


def test_earlier_folds_alone_calibrate_a_later_one() -> None:
    frame, y = made(400)
    found, _ = calibrate("temperature", frame, frame, y, folds(y.index, "time"), facts())
    numbers = folds(y.index, "time").assignment["r0"]
    pd.testing.assert_frame_equal(found[(numbers == 0).loc[found.index]], frame[numbers == 0])
    assert not np.allclose(found[(numbers == 1).loc[found.index]], frame[numbers == 1])
    assert not (numbers.loc[found.index] < 0).any()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 6)), min_size=2, max_size=40))
def test_no_cut_scores_better_than_the_one_found(rows: list[tuple[bool, int]]) -> None:
    # One row of each class besides: scikit-learn warns where there is a single one.
    y, p = np.array([True, False, *(r[0] for r in rows)]), np.array([0.5, 0.5, *(r[1] / 6 for r in rows)])
    for name, metric in (("f1", f1_score), ("mcc", matthews_corrcoef)):
        scores = [metric(y, p >= cut) for cut in (*np.unique(p), 2.0) if cut <= 1]
        assert metric(y, p >= fit_cut(y, p, name)) == pytest.approx(max(scores))


def test_a_threshold_is_fitted_on_other_folds() -> None:
    r = np.random.default_rng(0)
    y = pd.Series(np.where(r.random(400) < 0.15, "b", "a"))
    p = np.clip(0.15 + 0.1 * (y == "b") + r.normal(0, 0.05, 400), 0, 1)
    frame = pd.DataFrame({"a": 1 - p, "b": p})
    two = facts(metric="f1", classes=("a", "b"), decision="threshold")
    found = decided(frame, y, folds(y.index), two)
    assert f1_score(y == "b", found["b"]) > 0.5 > f1_score(y == "b", p > 0.5)
    own = y.index[:400:4]
    other = y.copy()
    other.loc[own] = "a"
    pd.testing.assert_frame_equal(decided(frame, other, folds(y.index), two).loc[own], found.loc[own])


def test_a_threshold_needs_two_classes_and_a_metric_of_labels() -> None:
    with pytest.raises(ConfigError, match="needs two classes"):
        facts(metric="f1_macro", decision="threshold")
    with pytest.raises(ConfigError, match="metric of labels"):
        facts(classes=("a", "b"), metric="roc_auc", decision="threshold")
