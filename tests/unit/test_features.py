from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.preprocessing import TargetEncoder

from kagglekit.errors import DataError
from kagglekit.models import registry
from kagglekit.models.bagging import BaggedRegressor
from kagglekit.models.features import LearntFeatures, featured
from kagglekit.recipes import Recipes


def shops(n: int = 60, seed: int = 0) -> tuple[pd.DataFrame, pd.Series]:
    r = np.random.default_rng(seed)
    X = pd.DataFrame(
        {
            "shop": r.choice(list("abcd"), n),
            "item": r.choice(["x", "y", None], n),
            "price": r.lognormal(2, 1, n).round(2),
            "area": r.integers(0, 5, n),
        },
        index=[f"r{i}" for i in r.permutation(n)],
    )
    return X, (X["price"] + (X["shop"] == "a") * 9).rename("y")


def made(recipes: dict[str, Any], X: pd.DataFrame, y: Any = None, *, classification: bool = False) -> pd.DataFrame:
    return LearntFeatures(Recipes(**recipes), classification=classification).fit_transform(X, y)


ENCODED = {"target_encode": ["shop", "item", "shop+item"], "combine": [["shop", "item"]]}


@settings(max_examples=20, deadline=None)
@given(row=st.integers(0, 59), value=st.floats(-1e3, 1e3), copies=st.integers(1, 3))
def test_no_row_is_encoded_by_its_own_label_or_that_of_its_copies(row: int, value: float, copies: int) -> None:
    X, y = shops()
    rows = [*range(len(X)), *[row] * copies]
    other = y.copy()
    other.iloc[row] = value
    own = X.index[row]
    before, after = (made(ENCODED, X.iloc[rows], labels.iloc[rows]).loc[[own]] for labels in (y, other))
    pd.testing.assert_frame_equal(before, after)


@settings(max_examples=10, deadline=None)
@given(group=st.integers(0, 19), value=st.floats(-1e3, 1e3))
def test_no_group_is_encoded_by_its_own_labels(group: int, value: float) -> None:
    X, y = shops()
    groups = np.arange(len(X)) % 20
    other = y.where(groups != group, value)
    features = LearntFeatures(Recipes(**ENCODED), classification=False)
    before, after = (features.fit_transform(X, labels, groups) for labels in (y, other))
    pd.testing.assert_frame_equal(before[groups == group], after[groups == group])


def test_groups_reach_the_encoding_alone_and_in_bags() -> None:
    X, _ = shops(90)
    groups = pd.Series(np.arange(90) // 3, index=X.index)
    X = pd.DataFrame({"code": [f"g{g}" for g in groups]}, index=X.index)
    y = pd.Series(np.random.default_rng(0).normal(size=30)[groups], index=X.index)  # a row's group gives it away
    tree = registry.build("sklearn.tree.DecisionTreeRegressor", {"max_depth": 4}, task="regression", seed=0)
    model = featured(tree, Recipes(target_encode=["code"], leave_out=["code"]))
    bags = BaggedRegressor(model, n_estimators=1, bootstrap=False, oob=False, random_state=0)
    for estimator in (model, bags):
        alone, whole = (clone(estimator).fit(X, y, **more).predict(X) for more in ({}, {"groups": groups}))
        assert np.corrcoef(alone, y)[0, 1] > 0.8
        assert not np.corrcoef(whole, y)[0, 1] > 0.5


@pytest.mark.parametrize("smooth", ["auto", 3.0])
def test_encodings_of_new_rows_are_those_of_scikit_learn(smooth: Any) -> None:
    X, y = shops()
    labels = np.where(y > 15, "high", np.where(y > 8, "mid", "low"))
    new = shops(seed=1)[0].assign(item=None)
    for target, kind, names in (
        (y.to_numpy(), "continuous", ["target(shop)"]),
        (labels, "multiclass", [f"target(shop={c})" for c in ("high", "low", "mid")]),
        (labels == "mid", "binary", ["target(shop=True)"]),
    ):
        encoder = TargetEncoder(target_type=kind, smooth=smooth).fit(X[["shop"]], target)
        ours = LearntFeatures(Recipes(target_encode=["shop"], smooth=smooth), classification=kind != "continuous").fit(
            X, target
        )
        np.testing.assert_allclose(ours.transform(new)[names], encoder.transform(new[["shop"]]), atol=1e-12)


def test_out_of_fold_encodings_are_those_of_the_other_folds() -> None:
    X, y = shops()
    found = made({"target_encode": ["shop"]}, X, y)["target(shop)"]
    encodings = pd.DataFrame({"shop": X["shop"], "value": found.round(9)})
    assert encodings.groupby("shop")["value"].nunique().eq(5).all()


def test_an_unseen_level_is_the_average_row() -> None:
    X, y = shops()
    features = LearntFeatures(Recipes(target_encode=["shop"], counts=["shop"]), classification=False).fit(X, y)
    new = features.transform(X.head(1).assign(shop="z"))
    assert new["target(shop)"].item() == pytest.approx(y.mean())
    assert new["count(shop)"].item() == 0


def test_groups_counts_and_ratios_are_what_pandas_says() -> None:
    X, _ = shops()
    asked = {"by": "shop", "of": "price", "how": "std"}
    found = made(
        {
            "counts": ["item"],
            "ratios": [["price", "area"]],
            "aggregates": [asked, {"by": "shop", "of": "price", "relative": "difference"}],
        },
        X,
    )
    groups = X.groupby("shop")["price"]
    np.testing.assert_allclose(found["std(price by shop)"], groups.transform("std"))
    np.testing.assert_allclose(found["price-mean(price by shop)"], X["price"] - groups.transform("mean"), atol=1e-12)
    np.testing.assert_array_equal(found["count(item)"], X["item"].fillna("?").map(X["item"].fillna("?").value_counts()))
    expected = (X["price"] / X["area"]).where(X["area"] > 0)
    np.testing.assert_allclose(found["price/area"], expected)


def test_copies_of_a_row_change_no_count() -> None:
    X, _ = shops()
    recipes = {"counts": ["shop"], "rare": {"item": 3}, "aggregates": [{"by": "shop", "of": "price"}]}
    twice = pd.concat([X, X.head(20)])
    pd.testing.assert_frame_equal(made(recipes, twice).head(len(X)), made(recipes, X))


def test_dates_ordered_and_rare_levels() -> None:
    X = pd.DataFrame({"day": ["31.01.2024", "01.02.2024", None], "grade": ["low", "high", None], "city": list("aab")})
    X["built"] = pd.to_datetime(["2024-01-01"] * 3)
    found = made(
        {
            "dates": {"day": "%d.%m.%Y"},
            "ordered": {"grade": ["low", "high"]},
            "rare": {"city": 2},
            "differences": [["day", "built"]],
            "missing": ["grade"],
            "leave_out": ["built"],
        },
        X,
    )
    assert found["day-built"].tolist()[:2] == [30.0, 31.0]
    assert found["grade"].tolist()[:2] == [0.0, 1.0]
    assert found["missing(grade)"].tolist() == [0, 0, 1]
    assert found["city"].tolist() == ["a", "a", "(rare)"]
    assert "built" not in found


@pytest.mark.parametrize(
    ("recipes", "says"),
    [
        ({"counts": ["shp"]}, "Recipes need the column 'shp'.*Did you mean 'shop'"),
        ({"ratios": [["shop", "area"]]}, "'shop' holds levels, but the recipe needs numbers"),
        ({"ordered": {"shop": ["a", "b", "c"]}}, "does not name: d"),
        ({"dates": {"shop": "%Y"}}, "does not read as dates"),
    ],
)
def test_what_cannot_be_made_is_said(recipes: dict[str, Any], says: str) -> None:
    with pytest.raises(DataError, match=says):
        made(recipes, shops()[0])


def test_bags_of_a_memoriser_gain_nothing_from_an_encoded_id() -> None:
    """Each id is a level of its own: an encoding that saw a row's label would let the model read it off."""
    r = np.random.default_rng(0)
    X = pd.DataFrame({"code": [f"c{i // 2}" for i in range(200)], "noise": r.normal(size=200)})
    y = pd.Series(r.normal(size=200))
    tree = registry.build("sklearn.tree.DecisionTreeRegressor", {}, task="regression", seed=0)
    bags = BaggedRegressor(featured(tree, Recipes(target_encode=["code"], smooth=0.0)), n_estimators=8, random_state=0)
    found = bags.fit(X, y).oob_prediction_["value"]
    assert abs(found.corr(y)) < 0.25
