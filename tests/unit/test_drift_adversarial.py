"""Adversarial validation against known truth: no drift, a shifted column, an id, a date, a group."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from kagglekit.drift.adversarial import adversarial_validation
from kagglekit.drift.auc import ranked
from kagglekit.errors import DataError

N_TRAIN, N_TEST = 160, 120


def tables(seed: int = 0, shift: float = 0.0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Train and test from one source, but for the column that is shifted."""
    rng = np.random.default_rng(seed)
    n = N_TRAIN + N_TEST
    frame = pd.DataFrame(
        {"height": rng.normal(size=n), "width": rng.normal(size=n), "soil": rng.choice(list("cst"), n)}
    )
    frame.loc[rng.choice(n, 20, replace=False), "width"] = np.nan
    frame.index = pd.Index([f"r{i}" for i in range(n)])
    frame.iloc[N_TRAIN:, 0] += shift
    return frame.iloc[:N_TRAIN], frame.iloc[N_TRAIN:]


def check(train, test, **options):
    return adversarial_validation(train, test, n_trees=15, **options)


def test_without_drift_the_tables_are_called_alike():
    """The stated 95 %: of twelve cases at most two may be called different (chance of more: 2 %)."""
    found = [check(*tables(seed), seed=seed) for seed in range(12)]
    assert sum(f.verdict == "alike" for f in found) >= 10
    assert sum(bool(f.telling) for f in found) <= 2
    assert np.mean([f.auc.score for f in found]) == pytest.approx(0.5, abs=0.03)


def test_a_shifted_column_is_named_first_with_what_to_do():
    found = check(*tables(shift=1.5))
    assert found.verdict in ("different", "very different")
    assert [c.name for c in found.telling] == ["height"]
    assert found.telling[0].importance.low > 0
    assert found.telling[0].auc.low > 0.6
    words = "\n".join(found.words())
    assert 'drop = ["height"]' in words
    assert found.effective_rows < 0.8 * N_TRAIN


def test_training_rows_like_test_rows_get_weight():
    train, test = tables(shift=1.5)
    weights = check(train, test).weights
    assert list(weights.index) == list(train.index)
    assert weights.mean() == pytest.approx(1)
    assert np.corrcoef(weights, train["height"])[0, 1] > 0.4


@pytest.mark.parametrize(
    ("column", "like", "advice"),
    [
        (np.arange(N_TRAIN + N_TEST), "id-like", "drop = "),
        (pd.date_range("2024-01-01", periods=N_TRAIN + N_TEST).astype(str), "time-like", 'scheme = "time"'),
    ],
)
def test_ids_and_dates_are_named_and_the_rest_judged_without_them(column, like, advice):
    train, test = tables()
    whole = pd.concat([train, test]).assign(key=column)
    found = check(whole.iloc[:N_TRAIN], whole.iloc[N_TRAIN:])
    assert found.verdict == "very different"
    assert (found.columns[0].name, found.columns[0].like) == ("key", like)
    assert found.without is not None
    assert found.without.low < 0.5
    assert any(advice in line and "key" in line for line in found.advice())


def test_a_column_that_is_time_by_its_name_is_time_like():
    train, test = (frame.rename(columns={"height": "saleYear"}) for frame in tables(shift=2))
    assert check(train, test).columns[0].like == "time-like"


def test_rows_of_one_group_say_little_each():
    """Eight rows in a group are alike: ungrouped, the forest knows test groups by heart."""
    rng = np.random.default_rng(0)
    group = pd.Series(np.repeat(np.arange(30), 8))
    frame = pd.DataFrame(rng.normal(size=(30, 4))[group], columns=list("abcd"))
    is_test = group.isin(rng.permutation(30)[:12])
    train, test = frame[~is_test], frame[is_test]
    assert check(train, test).verdict == "very different"
    found = check(train, test, groups=(group, group))
    assert found.verdict == "alike"
    assert found.n_units == 30
    assert "Groups were held out whole: 30 groups." in found.words()


def test_blocks_of_numbers_count_as_one_column():
    train, test = tables()
    rng = np.random.default_rng(0)
    pixels = [pd.DataFrame(rng.normal(m, 1, (len(f), 60)), index=f.index) for m, f in ((0, train), (0.5, test))]
    found = check(train, test, extra={"pixels": (pixels[0], pixels[1])})
    assert [c.name for c in found.telling] == ["pixels"]


def test_only_as_many_rows_are_seen_as_asked():
    found = check(*tables(), most_rows=100)
    assert (found.used_train, found.used_test) == (50, 50)
    assert len(found.weights) == N_TRAIN
    assert any("The forest saw 50 of 160" in line for line in found.words())


def test_wrong_input_is_told():
    train, test = tables()
    with pytest.raises(DataError, match="lack 1 column"):
        check(train.drop(columns="soil"), test)
    with pytest.raises(DataError, match="no column that could tell"):
        check(train[[]], test[[]])
    with pytest.raises(DataError, match="two rows or groups"):
        check(train, test.iloc[:1])


@given(st.integers(0, 10_000), st.integers(4, 40), st.booleans())
@settings(max_examples=40, deadline=None)
def test_the_auc_is_scikit_learns_and_its_influences_sum_to_nought(seed, n, ties):
    rng = np.random.default_rng(seed)
    positive = np.arange(n) % 2 == 0
    scores = rng.integers(0, 4, n) / 4 if ties else rng.normal(size=n)
    auc = ranked(positive, scores)
    assert auc.value == pytest.approx(roc_auc_score(positive, scores))
    assert auc.influence.sum() == pytest.approx(0, abs=1e-9)


def test_the_standard_error_is_the_bootstraps_for_rows_and_for_groups():
    rng = np.random.default_rng(0)
    units = np.repeat(np.arange(100), 4)
    positive = units % 2 == 0
    scores = rng.normal(size=100)[units] + positive + 0.3 * rng.normal(size=400)
    for cut in (np.arange(400), units):
        draws = []
        for _ in range(400):
            drawn = rng.integers(0, cut.max() + 1, cut.max() + 1)
            rows = np.concatenate([np.flatnonzero(cut == u) for u in drawn])
            draws.append(ranked(positive[rows], scores[rows]).value)
        assert ranked(positive, scores).error(cut) == pytest.approx(np.std(draws), rel=0.12)
