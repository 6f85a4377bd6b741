from __future__ import annotations

import numpy as np
import pandas as pd

from kagglekit.models.baseline import Majority, Mean, OneRClassifier, OneRRegressor


def rows() -> tuple[pd.DataFrame, pd.Series]:
    r = np.random.default_rng(0)
    X = pd.DataFrame({"noise": r.normal(size=80), "sex": r.choice(["f", "m"], 80)})
    return X, (X["sex"] == "f").astype(int)


def test_majority_gives_frequencies_and_ties_go_to_the_first_class() -> None:
    X = pd.DataFrame({"a": range(4)})
    model = Majority().fit(X, pd.Series(["b", "a", "b", "b"]))
    assert model.predict_proba(X[:1]).tolist() == [[0.25, 0.75]]
    assert Majority().fit(X, pd.Series(["b", "a", "b", "a"])).predict(X[:1]).tolist() == ["a"]


def test_mean() -> None:
    X = pd.DataFrame({"a": range(4)})
    assert Mean().fit(X, pd.Series([1, 2, 3, 6])).predict(X[:2]).tolist() == [3, 3]


def test_one_rule_finds_the_column_that_decides() -> None:
    X, y = rows()
    model = OneRClassifier().fit(X, y)
    assert model.column_ == "sex"
    assert (model.predict(X) == y).all()
    assert OneRRegressor().fit(X, y).column_ == "sex"


def test_one_rule_cuts_numbers_into_bins() -> None:
    X = pd.DataFrame({"x": np.arange(80.0), "z": [0, 1] * 40})
    y = (X["x"] // 20).rename("y")
    model = OneRRegressor(bins=4).fit(X, y)
    assert model.column_ == "x"
    np.testing.assert_allclose(model.edges_, [19.75, 39.5, 59.25])
    assert (model.predict(X) == y).all()


def test_bins_with_few_rows_and_unseen_levels_answer_with_all_rows() -> None:
    X = pd.DataFrame({"sex": ["f"] * 10 + ["m"] * 10 + ["x"] * 2})
    y = pd.Series([1] * 10 + [0] * 12)
    model = OneRClassifier(min_bucket=6).fit(X, y)
    got = model.predict_proba(pd.DataFrame({"sex": ["f", "m", "x", "new", None]}))[:, 1]
    np.testing.assert_allclose(got, [1, 0, 10 / 22, 10 / 22, 10 / 22])
