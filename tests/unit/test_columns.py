from __future__ import annotations

import datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kagglekit.errors import DataError
from kagglekit.models.columns import TabularColumns
from kagglekit.models.readers import as_levels, as_numbers, kind_of


def one(values: object, **options: object) -> TabularColumns:
    return TabularColumns(**options).fit(pd.DataFrame({"c": values}))


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        (pd.Series([1, 2]), "number"),
        (pd.Series([True, False]), "number"),
        (pd.Series([True, None], dtype=object), "number"),
        (pd.Series([1, None], dtype=object), "number"),
        (pd.Series([1, None], dtype="Int64"), "number"),
        (pd.to_timedelta(pd.Series([1, 2]), unit="h"), "number"),
        (pd.Series(["3.5", "4"]), "category"),
        (pd.Series(["a", None]), "category"),
        (pd.Series([1, "a"], dtype=object), "category"),
        (pd.Series([1, 2]).astype("category"), "category"),
        (pd.Series(["2024-01-31", None, "2024-02-01"]), "date"),
        (pd.Series(["2024-01-31 10:00", "2024-02-01T10:00:00Z"]), "date"),
        (pd.Series(["2024-01-31", "soon"]), "category"),
        (pd.Series(["20240131"]), "category"),
        (pd.Series([datetime.date(2024, 1, 31)], dtype=object), "date"),
        (pd.to_datetime(pd.Series(["2024-01-31"])).dt.tz_localize("Europe/Oslo"), "date"),
        (pd.Series(pd.period_range("2024-01", periods=2, freq="M")), "date"),
        (pd.Series([f"name {i}" for i in range(30)]), "text"),
        (pd.Series([f"name {i % 150}" for i in range(900)]), "text"),
    ],
)
def test_kinds(column: pd.Series, kind: str) -> None:
    assert kind_of(column) == kind


def test_numbers_beyond_32_bits_count_as_missing() -> None:
    got = as_numbers(pd.Series([1.0, np.inf, -np.inf, 1e300, np.nan]))
    np.testing.assert_array_equal(got, [1, *[np.nan] * 4])


def test_equal_levels_are_equal_in_every_dtype() -> None:
    for values in ([1, 2, None], ["1", "2", None], [1.0, 2.0, np.nan]):
        assert as_levels(pd.Series(values, dtype=object)).tolist() == ["1", "2", None]
    assert as_levels(pd.Series([[1], None], dtype=object)).tolist() == ["[1]", None]


def test_numbers_are_filled_with_the_median_of_the_fit_rows_and_flagged() -> None:
    columns = one([1.0, 2.0, 9.0, np.nan])
    got = columns.transform(pd.DataFrame({"c": [np.nan, 5.0]}, index=["a", "b"]))
    expected = pd.DataFrame({"c": [2.0, 5.0], "c_na": [1.0, 0.0]}, index=["a", "b"])
    pd.testing.assert_frame_equal(got, expected)


def test_without_fill_missing_stays_missing() -> None:
    got = one([1.0, 2.0, np.nan], fill=False).transform(pd.DataFrame({"c": [np.nan, 5.0]}))
    assert got.columns.tolist() == ["c"]
    np.testing.assert_array_equal(got["c"], [np.nan, 5])


def test_codes_follow_frequency_and_keep_unseen_and_missing_apart() -> None:
    columns = one(["b", "b", "a", "c", "b", "c", None])
    got = columns.transform(pd.DataFrame({"c": ["b", "c", "a", "new", None]}))
    assert got["c"].tolist() == [0, 1, 2, 3, -1]
    assert columns.categorical_ == ["c"]


def test_one_hot_pools_rare_levels_and_puts_unseen_ones_there() -> None:
    columns = one(["a"] * 5 + ["b"] * 4 + ["x", "y"], encode="onehot", min_count=4)
    got = columns.transform(pd.DataFrame({"c": ["a", "b", "x", "new", None]}))
    assert got.columns.tolist() == ["c=a", "c=b", "c=other"]
    assert got.to_numpy().tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1], [0, 0, 0]]


def test_dates_become_calendar_parts_and_seconds() -> None:
    days = ["2023-12-31", "2024-02-29", "2024-01-01"]
    as_text, as_dates = one(days), one(pd.to_datetime(days))
    table = pd.DataFrame({"c": ["2024-02-29"]})
    row = as_text.transform(table).iloc[0]
    assert (row["c_year"], row["c_month"], row["c_day"], row["c_dayofweek"], row["c_dayofyear"]) == (2024, 2, 29, 3, 60)
    assert row["c_week"] == 9
    assert row["c_is_month_end"] == 1
    assert row["c_elapsed"] == pd.Timestamp("2024-02-29").timestamp()
    pd.testing.assert_frame_equal(as_dates.transform(table.apply(pd.to_datetime)), as_text.transform(table))
    assert "c_hour" not in row.index, "the same in every fit row"


def test_text_gives_its_shared_words_counts_first_character_and_number() -> None:
    names = ["Smith, Mr. A", "Jones, Mrs. B"] * 15 + [f"Only{i}, Mr. C{i}" for i in range(40)]
    columns = one(names)
    assert columns.kinds_ == {"c": "text"}
    got = columns.transform(pd.DataFrame({"c": ["Jones, Mrs. B", "Zed, Mr. C77", None]}))
    assert got["c_has_mrs"].tolist()[:2] == [1, 0]
    assert got["c_count"].tolist()[:2] == [15, 0]
    assert got["c_number"].tolist()[1] == 77
    assert got["c_first"].tolist()[0] == columns.transform(pd.DataFrame({"c": ["J"]}))["c_first"].item()


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([f"{i:08x}" for i in range(40)], "like an id"),
        ([np.nan] * 40, "missing"),
        (["same"] * 40, "the same"),
        ([3] * 40, "the same"),
    ],
)
def test_what_teaches_nothing_is_dropped_with_the_reason(values: list[object], reason: str) -> None:
    columns = one(values)
    assert reason in columns.dropped_["c"]
    assert columns.transform(pd.DataFrame({"c": values})).shape == (40, 0)


def test_text_where_numbers_were_is_refused_with_its_value() -> None:
    with pytest.raises(DataError, match=r"'c' held numbers.*soon"):
        one([1.0, 2.0]).transform(pd.DataFrame({"c": ["1.5", "soon"]}))
    with pytest.raises(DataError, match=r"'c' held dates.*soon"):
        one(["2024-01-31", "2024-02-01"]).transform(pd.DataFrame({"c": ["soon"]}))


def test_numbers_that_came_as_text_are_read() -> None:
    got = one([1.0, 2.0]).transform(pd.DataFrame({"c": ["1.5", None]}))
    assert got["c"].tolist() == [1.5, 1.5]


def test_output_names_differ_even_where_columns_look_like_flags() -> None:
    X = pd.DataFrame({"c": [1.0, np.nan, 3.0], "c_na": [1, 2, 3]})
    names = TabularColumns().fit(X).get_feature_names_out()
    assert len(set(names)) == len(names) == 3


def test_scaling_standardises_numbers_and_squashing_takes_logarithms_of_skewed_ones() -> None:
    values = np.r_[np.arange(1.0, 30), 1e6]
    plain, squashed = one(values, scale=True), one(values, scale=True, squash=True)
    table = pd.DataFrame({"c": values})
    for columns in (plain, squashed):
        got = columns.transform(table)["c"]
        assert abs(got.mean()) < 1e-9
        assert np.isclose(got.std(ddof=0), 1)
    assert squashed.transform(table)["c"].max() < plain.transform(table)["c"].max()


cells = st.one_of(st.none(), st.integers(-5, 5), st.floats(allow_nan=True), st.text(max_size=3), st.booleans())


@settings(max_examples=30, deadline=None)
@given(
    st.lists(cells, min_size=2, max_size=12),
    st.sampled_from(["ordinal", "onehot"]),
    st.booleans(),
    st.randoms(use_true_random=False),
)
def test_any_column_can_be_read_and_the_order_of_rows_does_not_matter(cells, encode, scale, random) -> None:
    X = pd.DataFrame({"c": pd.Series(cells, dtype=object)})
    before = X.copy(deep=True)
    got = TabularColumns(encode=encode, scale=scale).fit(X).transform(X)
    assert np.isfinite(got.to_numpy()).all()
    pd.testing.assert_frame_equal(X, before)
    order = random.sample(range(len(X)), len(X))
    shuffled = TabularColumns(encode=encode, scale=scale).fit(X.iloc[order]).transform(X)
    pd.testing.assert_frame_equal(shuffled, got, rtol=1e-6, atol=1e-6)
