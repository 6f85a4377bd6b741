"""Rows that come twice: what is found, what is not, and what chance is said to bring."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kagglekit.duplicates.links import as_groups
from kagglekit.duplicates.rows import row_links
from kagglekit.errors import DataError

N, COPIES = 300, 20


def table(seed: int = 0, n: int = N) -> pd.DataFrame:
    """Measurements, names of levels, gaps and a column of names."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(rng.normal(size=(n, 6)), columns=[f"m{i}" for i in range(6)])
    frame["soil"] = rng.choice(["clay", "sand", "silt"], n)
    frame["count"] = rng.integers(0, 40, n)
    frame.loc[rng.choice(n, n // 5, replace=False), "m0"] = np.nan
    return frame.set_axis([f"r{i:03d}" for i in range(n)])


def with_copies(change) -> pd.DataFrame:
    """The table, and below it changed copies of its first rows."""
    frame = table()
    copies = change(frame.iloc[:COPIES].copy(), np.random.default_rng(1))
    return pd.concat([frame, copies.set_axis([f"c{i:03d}" for i in range(COPIES)])])


def pairs(links: pd.DataFrame) -> set[tuple[str, str]]:
    return {tuple(sorted(pair)) for pair in zip(links["a"], links["b"], strict=True)}


def pairs_of_numbers(links: pd.DataFrame) -> set[tuple[int, int]]:
    return set(zip(links["a"].tolist(), links["b"].tolist(), strict=True))


EXPECTED = {(f"c{i:03d}", f"r{i:03d}") for i in range(COPIES)}


def noise(rows: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Every measurement off by up to .0009 standard deviations: over all columns no grid of cells would hold them."""
    measured = [f"m{i}" for i in range(6)]
    return rows.assign(**{c: rows[c] + rng.uniform(-9e-4, 9e-4, len(rows)) for c in measured})


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda rows, rng: rows, "exact"),
        (noise, "near"),
        (lambda rows, rng: rows.assign(count=rows["count"] + 100), "all but count"),
        (lambda rows, rng: rows.assign(m3=rng.normal(size=len(rows))), "all but m3"),
    ],
)
def test_copies_are_found_and_nothing_else(change, kind):
    found = row_links(with_copies(change))
    assert pairs(found.links) == EXPECTED
    assert set(found.links["kind"]) == {kind}


def test_rows_further_off_than_the_tolerance_are_not_near():
    frame = with_copies(lambda rows, rng: noise(rows, rng).assign(m1=rows["m1"] + 0.01, m2=rows["m2"] + 0.01))
    assert len(row_links(frame).links) == 0
    assert pairs(row_links(frame, tolerance=0.02).links) == EXPECTED


def test_infinities_and_gaps_are_values_like_others():
    frame = with_copies(noise)
    frame.loc[["r000", "c000"], "m1"] = np.inf
    frame.loc["r001", "m1"] = np.inf
    assert pairs(row_links(frame).links) == EXPECTED - {("c001", "r001")}


def test_a_column_of_names_is_left_out_and_said():
    frame = with_copies(lambda rows, rng: rows)
    frame["name"] = [f"plant {i}" for i in range(len(frame))]
    found = row_links(frame)
    assert "name" in found.left_out
    assert pairs(found.links) == EXPECTED


def test_equal_rows_of_a_few_coarse_columns_are_no_duplicates():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"sex": rng.choice(list("fm"), 400), "class": rng.integers(1, 4, 400)})
    found = row_links(frame)
    assert len(found.links) == 0
    assert found.refused["exact"] > 10_000
    assert found.chance["exact"] == pytest.approx(found.refused["exact"], rel=0.05)


def test_a_single_fine_column_is_enough_for_exact_copies():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"petal": rng.normal(size=100), "soil": rng.choice(["clay", "sand"], 100)})
    found = row_links(pd.concat([frame, frame.iloc[:20]], ignore_index=True))
    assert pairs_of_numbers(found.links) == {(i, 100 + i) for i in range(20)}


@pytest.mark.parametrize("digits", [1, 2])
def test_ties_of_rounded_numbers_are_foretold(digits):
    """A measurement in steps ties by chance, with zeros that come often; the chance told is the one that came true."""
    rng = np.random.default_rng(0)
    petal = rng.normal(size=2000).round(digits) * (rng.random(2000) < 0.8)
    frame = pd.DataFrame({"petal": petal, "soil": rng.choice(["clay", "sand"], 2000)})
    found = row_links(frame)
    assert len(found.links) == 0
    assert found.chance["exact"] == pytest.approx(found.refused["exact"], rel=0.1)


def test_too_many_near_pairs_are_refused_without_being_listed():
    frame = pd.DataFrame({"m": np.random.default_rng(0).normal(size=4000), "level": "a"})
    found = row_links(frame, tolerance=2.0)
    assert len(found.links) == 0
    assert found.refused["near"] > 5_000_000


def test_wrong_input_is_told():
    frame = table(n=3)
    with pytest.raises(DataError, match="Each id may come once"):
        row_links(pd.concat([frame, frame]))
    with pytest.raises(DataError, match="0 or more standard deviations"):
        row_links(frame, tolerance=-1)


def test_a_table_without_rows_or_columns_has_no_links():
    assert len(row_links(pd.DataFrame(index=["a", "b"])).links) == 0
    assert len(row_links(table().iloc[:1]).links) == 0


@given(st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=15), st.randoms(use_true_random=False))
@settings(max_examples=50, deadline=None)
def test_groups_are_the_components_whatever_the_order_of_links(edges, random):
    ids = pd.Index([f"i{k}" for k in range(12)])
    links = pd.DataFrame([(ids[a], ids[b]) for a, b in edges], columns=["a", "b"])
    groups = as_groups(links, ids)
    random.shuffle(edges)
    pd.testing.assert_series_equal(groups, as_groups(links.iloc[::-1], ids))
    merged = {i: {i} for i in ids}
    for a, b in zip(links["a"], links["b"], strict=True):
        union = merged[a] | merged[b]
        for member in union:
            merged[member] = union
    for i in ids:
        assert set(groups.index[groups == groups[i]]) == merged[i]
        assert groups[i] in merged[i]


def test_groups_that_exist_are_kept_whole_and_gaps_join_nothing():
    ids = pd.Index(list("abcdef"))
    given_ = pd.Series(["x", "x", "y", None, None, "y"], index=ids)
    groups = as_groups(pd.DataFrame({"a": ["b", "e"], "b": ["d", "zz"]}), ids, groups=given_)
    assert groups.to_dict() == {"a": "a", "b": "a", "d": "a", "c": "c", "f": "c", "e": "e"}
