"""Submissions: made in the sample's shape, checked with one line for each fault, and graded by id."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from strategies import labels_for, make_ids, probabilities_for, quick, seeds, shuffled

from kagglekit.contracts import Competition, Predictions
from kagglekit.errors import PredictionsError, SubmissionError
from kagglekit.forms import check_submission, grade, metric_input, to_submission
from kagglekit.metrics import get_metric

FORMS = {
    "label": "accuracy",
    "value": "rmse",
    "probability": "roc_auc",
    "probabilities": "log_loss",
    "ranking": "map@2",
}
CLASSES = {
    "label": (3, 4, 5),
    "probability": ("no", "yes"),
    "probabilities": ("b", "a", "c"),
    "ranking": ("u", "v", "w"),
}


def competition(form: str, metric: str = "", classes: tuple[str | int, ...] | None = None) -> Competition:
    classes = CLASSES.get(form, ()) if classes is None else classes
    task = "classification" if classes else "regression"
    return Competition("toy", task, metric or FORMS[form], "Id", "target", classes, form=form)


def sample_for(comp: Competition, ids: pd.Index) -> pd.DataFrame:
    columns = sorted(comp.columns) if comp.form == "probabilities" else ["answer"]
    return pd.DataFrame({"Id": ids, **dict.fromkeys(columns, 0)})


def case(form: str, n: int = 12, seed: int = 0) -> tuple[Competition, pd.DataFrame, Predictions, pd.Series]:
    comp, ids = competition(form), make_ids(n)
    if not comp.classes:
        y = pd.Series(np.random.default_rng(seed).normal(size=n), index=ids)
        return comp, sample_for(comp, ids), Predictions((y + 0.1).to_frame("target")), y
    y = labels_for(ids, comp.classes, seed)
    return comp, sample_for(comp, ids), Predictions(probabilities_for(y, comp.classes, seed)), y


@pytest.mark.parametrize("form", FORMS)
@quick
@given(seed=seeds)
def test_a_made_submission_passes_and_scores_as_the_predictions_do(form, seed):
    comp, sample, predictions, y = case(form, seed=seed)
    made = to_submission(Predictions(shuffled(predictions.frame, seed)), comp, sample)
    assert list(made.columns) == list(sample.columns)
    assert made["Id"].tolist() == sample["Id"].tolist()
    check_submission(made, comp, sample)
    metric = get_metric(comp.metric)
    direct = metric.score(y, predictions.frame, comp.classes)
    assert grade(metric, y, made, comp, sample) == pytest.approx(direct, rel=1e-6)


@pytest.mark.parametrize("form", FORMS)
def test_a_csv_on_the_way_changes_nothing(form, tmp_path):
    comp, sample, predictions, y = case(form)
    made = to_submission(predictions, comp, sample)
    made.to_csv(tmp_path / "s.csv", index=False)
    back = pd.read_csv(tmp_path / "s.csv")
    check_submission(back, comp, sample)
    metric = get_metric(comp.metric)
    assert grade(metric, y, back, comp, sample) == pytest.approx(grade(metric, y, made, comp, sample))


@pytest.mark.parametrize("form", FORMS)
def test_a_part_of_the_rows_is_graded_in_any_order(form):
    comp, sample, predictions, y = case(form, n=20)
    made, part = to_submission(predictions, comp, sample), y.iloc[5:17]
    metric = get_metric(comp.metric)
    expected = metric.score(part, predictions.frame.loc[part.index], comp.classes)
    assert grade(metric, part, shuffled(made, 1), comp, sample) == pytest.approx(expected, rel=1e-6)


def test_labels_keep_the_type_of_the_classes():
    comp, sample, predictions, _y = case("label")
    made = to_submission(predictions, comp, sample)
    assert made["answer"].dtype == np.int64
    assert set(made["answer"]) <= {3, 4, 5}
    texts = competition("label", classes=("3", "4"))
    frame = pd.DataFrame({"3": [0.9, 0.5], "4": [0.1, 0.5]}, index=["r", "s"])
    made = to_submission(Predictions(frame), texts, sample_for(texts, frame.index))
    assert made["answer"].tolist() == ["3", "3"]


def test_an_ordinal_value_becomes_the_nearest_class():
    comp = competition("label", "qwk", (3, 4, 8))
    frame = pd.DataFrame({"target": [-1.0, 4.2, 7.0, 99.0]}, index=list("abcd"))
    made = to_submission(Predictions(frame), comp, sample_for(comp, frame.index))
    assert made["answer"].tolist() == [3, 4, 8, 8]


def test_an_ordinal_value_without_classes_is_rounded_and_graded():
    comp = competition("label", "qwk", ())
    frame = pd.DataFrame({"target": [2.4, 4.6]}, index=["r", "s"])
    sample = sample_for(comp, frame.index)
    made = to_submission(Predictions(frame), comp, sample)
    assert made["answer"].tolist() == [2, 5]
    assert grade(get_metric("qwk"), pd.Series([2, 5], index=["r", "s"]), made, comp, sample) == 1.0


def test_probability_is_that_of_the_second_class_and_ranking_starts_with_the_likeliest():
    frame = pd.DataFrame({"no": [0.2], "yes": [0.8]}, index=["r"])
    comp = competition("probability")
    assert to_submission(Predictions(frame), comp, sample_for(comp, frame.index))["answer"][0] == np.float32(0.8)
    frame = pd.DataFrame({"u": [0.2], "v": [0.5], "w": [0.3]}, index=["r"])
    comp = competition("ranking")
    assert to_submission(Predictions(frame), comp, sample_for(comp, frame.index))["answer"][0] == "v w"


def test_labels_can_be_graded_by_a_metric_of_probabilities():
    comp = competition("label", "roc_auc", (0, 1))
    frame = pd.DataFrame({"Id": list("rst"), "answer": [0, 1, 1]})
    truth = pd.Series([0, 1, 1], index=list("rst"))
    assert grade(get_metric("roc_auc"), truth, frame, comp, sample_for(comp, truth.index)) == 1.0


def test_a_short_ranking_gets_nothing_for_labels_it_left_out():
    comp = competition("ranking")
    frame = pd.DataFrame({"Id": ["r", "s"], "answer": ["w", "v u"]})
    truth = pd.Series(["u", "u"], index=["r", "s"])
    assert grade(get_metric("map@2"), truth, frame, comp, sample_for(comp, truth.index)) == 0.25


def test_a_label_may_be_read_as_a_number_or_a_text():
    comp = competition("label", classes=("0", "1"))
    frame = pd.DataFrame({"Id": ["r", "s"], "answer": [0, 1]})
    sample = sample_for(comp, pd.Index(["r", "s"]))
    check_submission(frame, comp, sample)
    assert metric_input(frame, comp, sample).tolist() == ["0", "1"]


def set_at(frame: pd.DataFrame, row: int, column: str, value: object) -> pd.DataFrame:
    frame = frame.astype({column: object})
    frame.loc[row, column] = value
    return frame


FAULTS = {
    "empty": ("value", lambda f: f[:0], "has no rows; 12 are expected"),
    "missing": ("value", lambda f: f[2:], r"2 id\(s\) of the submission are missing"),
    "unexpected": ("value", lambda f: pd.concat([f, f[:1].assign(Id="new")]), r"1 id\(s\).* unexpected: new"),
    "repeated": ("value", lambda f: pd.concat([f, f[:1]]), r"1 id\(s\).* repeated: row-13"),
    "no id": ("value", lambda f: set_at(f, 0, "Id", None), "have no id"),
    "reordered": ("value", lambda f: f[::-1], "ids are reordered: row 1 has"),
    "missing column": ("value", lambda f: f[["Id"]], "missing answer"),
    "wrong column": ("value", lambda f: f.rename(columns={"answer": "x"}), "missing answer; unexpected x"),
    "extra column": ("value", lambda f: f.assign(more=1), "unexpected more"),
    "column order": ("value", lambda f: f[["answer", "Id"]], "in this order"),
    "NaN": ("value", lambda f: set_at(f, 1, "answer", np.nan), "has no value in column 'answer', at id"),
    "infinite": ("value", lambda f: f.assign(answer=np.inf), r"12 row\(s\).*infinite"),
    "text": ("value", lambda f: set_at(f, 1, "answer", "many"), r"1 row\(s\).*text instead of a number.*many"),
    "truth value": ("value", lambda f: f.assign(answer=True), "text instead of a number"),
    "above one": ("probability", lambda f: f.assign(answer=1.5), "outside 0..1 in column 'answer'"),
    "below zero": ("probabilities", lambda f: f.assign(b=-0.1), "outside 0..1 in column 'b'"),
    "unknown label": ("label", lambda f: set_at(f, 1, "answer", 9), r"not among the classes \(9\), at id row-7932"),
    "no label": ("label", lambda f: set_at(f, 1, "answer", None), "has no value"),
    "unknown guess": ("ranking", lambda f: set_at(f, 1, "answer", "u z"), "ranks labels that are not among"),
    "guess twice": ("ranking", lambda f: set_at(f, 1, "answer", "u u"), "ranks a label twice"),
    "guesses": ("ranking", lambda f: set_at(f, 1, "answer", "u v w"), "ranks more than 2 labels"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_gets_its_own_line(fault):
    form, spoil, says = FAULTS[fault]
    comp, sample, predictions, _y = case(form)
    made = to_submission(predictions, comp, sample)
    with pytest.raises(SubmissionError, match=says) as caught:
        check_submission(spoil(made), comp, sample)
    assert "\n" not in str(caught.value)


def test_kaggles_own_rule_takes_any_order():
    comp, sample, predictions, _y = case("value")
    check_submission(to_submission(predictions, comp, sample)[::-1], comp, sample, strict=False)


def test_predictions_for_other_ids_are_refused():
    comp, sample, predictions, _y = case("value")
    with pytest.raises(PredictionsError, match="missing row-13"):
        to_submission(Predictions(predictions.frame[1:]), comp, sample)
    with pytest.raises(PredictionsError, match="sample submission lacks: elsewhere"):
        made = to_submission(predictions, comp, sample)
        grade(get_metric("rmse"), pd.Series([1.0], index=["elsewhere"]), made, comp, sample)


@pytest.mark.parametrize(
    ("form", "classes", "says"),
    [
        ("value", ("a", "b"), "one column of numbers, got the classes a, b"),
        ("probability", ("a", "b", "c"), "needs two classes, got 3"),
        ("ranking", ("a b", "c"), "these hold one: a b"),
    ],
)
def test_a_form_that_does_not_fit_the_classes_is_refused(form, classes, says):
    comp = competition(form, "accuracy", classes)
    y = labels_for(make_ids(4), classes, 0)
    with pytest.raises(SubmissionError, match=says):
        to_submission(Predictions(probabilities_for(y, classes, 0)), comp, sample_for(comp, y.index))


@pytest.mark.parametrize(("form", "columns"), [("label", ["a", "b"]), ("probabilities", ["a", "b"]), ("value", [])])
def test_a_sample_that_does_not_fit_the_form_is_refused(form, columns):
    comp = competition(form)
    sample = pd.DataFrame({"Id": [1, 2], **{c: [0, 0] for c in columns}})
    with pytest.raises(SubmissionError, match=f"Form '{form}' needs"):
        check_submission(sample, comp, sample)


@pytest.mark.parametrize("form", ["label", "value", "probability"])
def test_a_million_rows_are_checked_quickly(form):
    comp, sample, predictions, _y = case(form)
    made = to_submission(predictions, comp, sample)
    big = made.loc[np.arange(1_000_000) % len(made)].assign(Id=np.arange(1_000_000))
    start = time.process_time()
    check_submission(big, comp, big)
    assert time.process_time() - start < 1.0
