"""What holds for every model, whatever it is inside."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from model_cases import CASES as TABULAR
from model_cases import Case
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import cross_val_score
from vision_cases import VISION_CASES

from kagglekit.errors import DataError
from kagglekit.models.registry import MODELS

CASES = [*TABULAR, *VISION_CASES]
CLASSIFIERS = [c for c in CASES if c.task == "classification"]
each_case = pytest.mark.parametrize("case", CASES, ids=str)
each_classifier = pytest.mark.parametrize("case", CLASSIFIERS, ids=str)


def test_every_registered_model_has_a_case() -> None:
    offered = {(name, task) for name, paths in MODELS.items() for task in paths}
    assert offered <= {(c.model, c.task) for c in CASES}


@each_case
def test_fits_a_table_of_every_kind(case: Case) -> None:
    X, y = case.rows()
    model = case.make()
    assert model.fit(X, y) is model
    output = case.output(model, X)
    assert len(output) == len(X)
    assert np.isfinite(output).all()
    assert list(model.feature_names_in_) == list(X.columns)


@each_classifier
def test_probabilities_sum_to_one_and_agree_with_labels(case: Case) -> None:
    X, y = case.rows()
    model = case.make().fit(X, y)
    probabilities = model.predict_proba(X)
    assert list(model.classes_) == ["blast", "normal", "tungro"]
    assert probabilities.min() >= 0
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    assert (model.predict(X) == model.classes_[probabilities.argmax(axis=1)]).all()


@each_case
def test_a_clone_has_the_settings_and_nothing_learnt(case: Case) -> None:
    X, y = case.rows()
    model = case.make().fit(X, y)
    copy = clone(model)
    assert repr(copy) == repr(clone(case.make()))
    assert copy.set_params(**model.get_params(deep=False)) is copy
    with pytest.raises(NotFittedError):
        copy.predict(X)


@each_case
def test_equal_seeds_and_repeated_fits_give_equal_output(case: Case) -> None:
    X, y = case.rows()
    model = case.make(seed=3).fit(X, y)
    first = case.output(model, X)
    np.testing.assert_array_equal(first, case.output(case.make(seed=3).fit(X, y), X))
    np.testing.assert_array_equal(first, case.output(model.fit(X, y), X))


@each_case
def test_rows_and_columns_may_come_in_any_order(case: Case) -> None:
    X, y = case.rows()
    model = case.make().fit(X, y)
    expected = pd.DataFrame(case.output(model, X), index=X.index)
    other = X.sample(frac=1, random_state=1)[X.columns[::-1]].assign(unknown_column=1)
    got = pd.DataFrame(case.output(model, other), index=other.index)
    pd.testing.assert_frame_equal(got.loc[X.index], expected, check_exact=False, rtol=case.rtol, atol=1e-9)


@each_case
def test_x_and_y_stay_as_they_were(case: Case) -> None:
    X, y = case.rows()
    X_before, y_before = X.copy(deep=True), y.copy(deep=True)
    case.output(case.make().fit(X, y, eval_set=(X, y)), X)
    pd.testing.assert_frame_equal(X, X_before)
    pd.testing.assert_series_equal(y, y_before)


@each_case
def test_a_missing_column_is_named(case: Case) -> None:
    X, y = case.rows()
    model = case.make().fit(X, y)
    with pytest.raises(DataError, match=case.needed):
        model.predict(X.drop(columns=case.needed))


@each_case
def test_y_of_other_rows_or_with_gaps_is_refused(case: Case) -> None:
    X, y = case.rows()
    with pytest.raises(DataError, match="rows"):
        case.make().fit(X, y[::-1])
    with pytest.raises(DataError, match=r"all text or all numbers|hold numbers"):
        case.make().fit(X, pd.Series([1, "a"] * (len(X) // 2), index=X.index, dtype=object))
    with pytest.raises(DataError, match="missing"):
        case.make().fit(X, y.where(y.index != y.index[3]))


@each_case
def test_rows_for_early_stopping_are_accepted(case: Case) -> None:
    X, y = case.rows()
    held_out = (X.iloc[60:], y.iloc[60:])
    model = case.make().fit(X.iloc[:60], y.iloc[:60], eval_set=held_out)
    assert np.isfinite(case.output(model, X)).all()
    plain = case.make().fit(X.iloc[:60], y.iloc[:60])
    if not model.uses_eval_set:
        np.testing.assert_array_equal(case.output(model, X), case.output(plain, X))


@each_classifier
def test_a_class_without_fit_rows_is_not_made_up(case: Case) -> None:
    X, y = case.rows()
    seen = y != "tungro"
    model = case.make().fit(X[seen], y[seen], eval_set=(X, y))
    assert list(model.classes_) == ["blast", "normal"]
    assert model.predict_proba(X).shape == (len(X), 2)


@each_classifier
def test_one_class_alone_is_certain(case: Case) -> None:
    X, y = case.rows()
    model = case.make().fit(X, pd.Series(7, index=y.index))
    assert (model.predict(X) == 7).all()
    assert (model.predict_proba(X) == 1).all()


@each_classifier
@pytest.mark.parametrize("labels", [[3, 1, 2], [True, False, True], ["c", "a", "b"]], ids=["int", "bool", "text"])
def test_labels_come_back_as_they_went_in(case: Case, labels: list[Any]) -> None:
    X, y = case.rows()
    y = y.map(dict(zip(["blast", "normal", "tungro"], labels, strict=True)))
    model = case.make().fit(X, y)
    assert list(model.classes_) == sorted(set(labels))
    assert set(model.predict(X)) <= set(labels)


@each_case
def test_scikit_learn_can_cross_validate_it(case: Case) -> None:
    X, y = case.rows()
    assert np.isfinite(cross_val_score(case.make(), X, y, cv=2, error_score="raise")).all()


tabular_cases = pytest.mark.parametrize("case", TABULAR, ids=str)


@tabular_cases
def test_unseen_levels_and_new_gaps_are_predicted(case: Case) -> None:
    X, y = case.rows()
    model = case.make().fit(X, y)
    strange = X.assign(city="Atlantis", grade="none", name="Dr. Who", code="new", seen="1999-12-31", constant="other")
    gaps = X.assign(size=np.nan, rooms=np.nan, city=None, grade=None, sold=pd.Timestamp(0), seen=None, name=None)
    full = X.assign(empty=1.5, price=np.inf)
    for table in (strange, gaps, full):
        assert np.isfinite(case.output(model, table)).all()


@tabular_cases
def test_text_dtypes_do_not_matter(case: Case) -> None:
    X, y = case.rows()
    text = ["city", "seen", "name", "code", "constant"]
    as_object = X.astype(dict.fromkeys(text, object))
    as_string = X.astype(dict.fromkeys(text, "string"))
    outputs = [case.output(case.make().fit(t, y), u) for t, u in ((as_object, as_string), (as_string, as_object))]
    np.testing.assert_array_equal(outputs[0], outputs[1])


@tabular_cases
def test_duplicated_column_names_are_refused(case: Case) -> None:
    X, y = case.rows()
    with pytest.raises(DataError, match="size"):
        case.make().fit(pd.concat([X, X[["size"]]], axis=1), y)
