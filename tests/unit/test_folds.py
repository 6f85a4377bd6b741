"""Folds: every row once, groups whole, time forward, and never the order of rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import id_kinds, ids, labels_for, make_ids, quick, seeds, shuffled

from kagglekit.errors import FoldsError
from kagglekit.folds import SCHEMES, carve, make_folds


def columns_for(ids: pd.Index, seed: int) -> dict[str, pd.Series]:
    """y with two even classes, about eight groups, and times with ties."""
    rng = np.random.default_rng(seed)
    return {
        "y": labels_for(ids, ("no", "yes"), seed),
        "groups": pd.Series(rng.permutation(np.arange(len(ids)) % 8), index=ids),
        "time": pd.Series(rng.permutation(np.arange(len(ids)) // 2), index=ids),
    }


def cut(scheme: str, ids: pd.Index, seed: int, **more: object):
    columns = columns_for(ids, 1)
    if scheme in ("kfold", "stratified"):
        del columns["groups"]
    return make_folds(ids, **{"scheme": scheme, "n": 3, "seed": seed} | columns | more)


@pytest.mark.parametrize("scheme", SCHEMES)
@quick
@given(ids=ids(min_size=16), seed=seeds)
def test_every_row_is_scored_once_and_never_fitted_then(scheme, ids, seed):
    folds = cut(scheme, ids, seed)
    scored = [i for split in folds.splits() for i in split.score_ids]
    assert sorted(scored, key=str) == sorted(folds.scored_ids, key=str)
    assert len(folds.scored_ids) == len(ids) or scheme == "time"
    for split in folds.splits():
        assert len(split.fit_ids)
        assert not set(split.fit_ids) & set(split.score_ids)


@pytest.mark.parametrize("scheme", SCHEMES)
@quick
@given(kind=id_kinds, seed=seeds)
def test_the_order_of_rows_never_matters(scheme, kind, seed):
    ids = make_ids(40, kind)
    columns = {k: shuffled(v, seed + 1) for k, v in columns_for(ids, 1).items()}
    if scheme in ("kfold", "stratified"):
        del columns["groups"]
    other = make_folds(ids[np.random.default_rng(seed).permutation(40)], scheme=scheme, n=3, seed=7, **columns)
    folds = cut(scheme, ids, 7)
    assert folds.fingerprint == other.fingerprint
    assert folds.assignment.index.equals(ids)
    pd.testing.assert_frame_equal(folds.assignment, other.assignment.loc[ids])


@pytest.mark.parametrize("scheme", ["kfold", "stratified", "group", "stratified-group"])
def test_the_seed_and_the_repeat_change_the_cut(scheme):
    ids = make_ids(60)
    folds = cut(scheme, ids, 5, repeats=2)
    assert folds.repeats == 2
    assert folds.fingerprint != cut(scheme, ids, 6, repeats=2).fingerprint
    second = cut(scheme, ids, 6).assignment.iloc[:, 0]
    assert (folds.assignment.iloc[:, 1] == second).all()


@quick
@given(seed=seeds)
def test_stratified_folds_keep_the_share_of_each_class(seed):
    ids = make_ids(60)
    y = labels_for(ids, ("a", "b", "c"), seed)
    folds = make_folds(ids, scheme="stratified", n=4, seed=seed, y=y)
    assert (pd.crosstab(folds.assignment.iloc[:, 0], y) == 5).all(axis=None)


@quick
@given(seed=seeds, ties=st.booleans())
def test_a_continuous_target_is_stratified_by_bins(seed, ties):
    ids = make_ids(200)
    y = pd.Series(np.random.default_rng(seed).lognormal(size=200), index=ids)
    y = y.clip(lower=1.0) if ties else y
    folds = make_folds(ids, scheme="stratified", n=5, seed=seed, y=y)
    ranks = y.rank().groupby(folds.assignment.iloc[:, 0]).mean()
    assert ranks.max() - ranks.min() < 15
    assert folds.assignment.iloc[:, 0].value_counts().tolist() == [40] * 5


@pytest.mark.parametrize("scheme", ["group", "stratified-group"])
@quick
@given(seed=seeds)
def test_groups_stay_whole_and_folds_balanced(scheme, seed):
    ids = make_ids(60)
    columns = columns_for(ids, seed)
    folds = make_folds(ids, scheme=scheme, n=4, seed=seed, **columns)
    numbers = folds.assignment.iloc[:, 0]
    assert (numbers.groupby(columns["groups"]).nunique() == 1).all()
    assert numbers.value_counts().max() <= 23


@quick
@given(times=st.lists(st.integers(0, 9), min_size=8, max_size=60), n=st.integers(1, 5))
def test_time_folds_go_forward_and_keep_ties_together(times, n):
    ids = make_ids(len(times))
    time = pd.Series(times, index=ids)
    if time.nunique() <= n:
        with pytest.raises(FoldsError, match="different times"):
            make_folds(ids, scheme="time", n=n, seed=0, time=time)
        return
    folds = make_folds(ids, scheme="time", n=n, seed=0, time=time)
    assert folds.n == n
    assert set(folds.assignment.iloc[:, 0]) == set(range(-1, n))
    for split in folds.splits():
        assert time[split.fit_ids].max() < time[split.score_ids].min()


def test_dates_may_be_text_and_a_crowded_day_skips_no_fold():
    ids = make_ids(100)
    days = ["2024-01-01", *["2024-01-02"] * 97, "2024-01-03", "2023-12-31"]
    folds = make_folds(ids, scheme="time", n=3, seed=0, time=pd.Series(days, index=ids))
    assert folds.assignment.iloc[:, 0].value_counts().to_dict() == {-1: 1, 0: 1, 1: 97, 2: 1}
    as_dates = make_folds(ids, scheme="time", n=3, seed=0, time=pd.to_datetime(pd.Series(days, index=ids)))
    assert as_dates.fingerprint == folds.fingerprint


IDS = make_ids(20)
COLUMNS = columns_for(IDS, 0)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"scheme": "stratfied"}, "Did you mean 'stratified'"),
        ({"n": 1}, "needs n >= 2"),
        ({"repeats": 0}, "repeats >= 1"),
        ({"n": 21}, "20 row\\(s\\) cannot make 21 folds"),
        ({"ids": IDS.append(IDS[:1])}, "more than once: row-13"),
        ({"scheme": "stratified"}, "needs y, and none came"),
        ({"scheme": "stratified", "y": COLUMNS["y"][3:]}, "y lacks 3 id"),
        ({"scheme": "stratified", "y": COLUMNS["y"].where(COLUMNS["y"] == "no")}, "y is missing in 10 row"),
        ({"scheme": "stratified", "y": pd.concat([COLUMNS["y"]] * 2)}, "y must hold each id once"),
        (
            {"scheme": "stratified", "y": pd.Series(["rare"] * 2 + ["common"] * 18, index=IDS)},
            r"as there are folds \(3\); 'rare' has 2. Use fewer folds, or scheme 'kfold'",
        ),
        ({"groups": COLUMNS["groups"]}, "one group into several folds"),
        ({"scheme": "group"}, "needs groups, and none came"),
        ({"scheme": "group", "groups": COLUMNS["groups"] * np.nan}, "groups is missing in 20 row"),
        ({"scheme": "group", "groups": COLUMNS["groups"] % 2}, "at least 3 groups, got 2"),
        ({"scheme": "time"}, "needs time, and none came"),
        ({"scheme": "time", "time": COLUMNS["time"], "repeats": 2}, "Time has one order"),
        ({"scheme": "time", "time": COLUMNS["y"]}, "time must hold numbers or dates"),
        ({"scheme": "time", "time": pd.Series("31/12/2024", index=IDS)}, "Write dates as 2024-12-31"),
    ],
)
def test_what_cannot_be_cut_gets_one_clear_line(changes, says):
    settings = {"ids": IDS, "scheme": "kfold", "n": 3, "seed": 0} | changes
    with pytest.raises(FoldsError, match=says):
        make_folds(settings.pop("ids"), **settings)


CARVES = {
    "rows": (),
    "classes": ("y",),
    "groups": ("groups",),
    "time": ("time",),
    "groups in time": ("groups", "time"),
}


@pytest.mark.parametrize("rule", CARVES)
@quick
@given(ids=ids(), fraction=st.floats(0.05, 0.6), seed=seeds)
def test_carving_splits_rows_in_two_whatever_their_order(rule, ids, fraction, seed):
    columns = {k: v for k, v in columns_for(ids, 2).items() if k in CARVES[rule]}
    fit, carved = carve(ids, fraction=fraction, seed=seed, **columns)
    assert len(fit)
    assert len(carved)
    assert fit.append(carved).sort_values(key=lambda i: i.map(str)).equals(ids.sort_values(key=lambda i: i.map(str)))
    again = carve(ids[::-1], fraction=fraction, seed=seed, **{k: v[::-1] for k, v in columns.items()})
    assert set(again[1]) == set(carved)
    if "groups" in columns:
        assert not set(columns["groups"][fit]) & set(columns["groups"][carved])
    if rule == "time":
        assert columns["time"][fit].max() < columns["time"][carved].min()
    if rule == "groups in time":
        ends = columns["time"].groupby(columns["groups"]).max()
        assert ends[columns["groups"][fit].unique()].max() <= ends[columns["groups"][carved].unique()].min()


def test_carving_meets_its_fraction_in_each_class():
    ids = make_ids(100)
    y = labels_for(ids, ("a", "b"), 0)
    _fit, carved = carve(ids, y=y, fraction=0.2, seed=0)
    assert y[carved].value_counts().to_dict() == {"a": 10, "b": 10}


def test_carving_from_classes_of_one_row_each_still_carves():
    ids = make_ids(6)
    _fit, carved = carve(ids, y=labels_for(ids, tuple("abcdef"), 0), fraction=0.2, seed=0)
    assert len(carved) == 1


@pytest.mark.parametrize(
    ("ids", "columns", "fraction", "says"),
    [
        (IDS[:1], {}, 0.2, "at least two rows"),
        (IDS, {"groups": COLUMNS["groups"] * 0}, 0.2, "at least two rows, groups or times"),
        (IDS, {"time": COLUMNS["time"] * 0}, 0.2, "at least two rows, groups or times"),
        (IDS, {}, 1.0, "between 0 and 1"),
        (IDS.append(IDS), {}, 0.2, "Each id may come once"),
    ],
)
def test_what_cannot_be_carved_gets_one_clear_line(ids, columns, fraction, says):
    with pytest.raises(FoldsError, match=says):
        carve(ids, fraction=fraction, seed=0, **columns)
