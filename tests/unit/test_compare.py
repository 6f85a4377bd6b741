"""Comparisons find what is there, call noise noise, and say what it would take to know."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from made_runs import made_prepared, made_run

from kagglekit.compare import _rows_needed, compare
from kagglekit.errors import UsageError


def errors(seed: int, *, gap: float = 0.0, n: int = 200, repeats: int = 1, seeds: float = 0.0) -> tuple:
    """Absolute errors of two runs: rows differ by 1 in each, b is better by `gap`, and a repeat by chance."""
    rng = np.random.default_rng(seed)
    hard = rng.normal(size=n)
    a, b = (
        20 + hard + 0.5 * rng.normal(size=(repeats, n)) + seeds * rng.normal(size=(repeats, 1)) - shift
        for shift in (0.0, gap)
    )
    return a, b


def compared(prepared, a, b, **options):
    runs = (made_run(prepared, name, values) for name, values in (("old", a), ("new", b)))
    return compare(prepared, *runs, **{"n_resamples": 500, **options})


def test_a_real_difference_is_found_either_way():
    prepared = made_prepared()
    a, b = errors(0, gap=0.5)
    found, turned = compared(prepared, a, b), compared(prepared, b, a)
    assert (found.verdict, turned.verdict) == ("better", "worse")
    assert found.difference.mean == pytest.approx(-turned.difference.mean) == pytest.approx(0.5, abs=0.15)
    assert found.by_fold is not None
    assert found.by_fold.mean == pytest.approx(found.by_row.mean)
    assert found.p_private > 0.99
    assert (found.more_seeds, found.rows_needed) == (0, None)
    assert found.score_a - found.score_b == pytest.approx(found.difference.mean)


def test_a_pair_of_equals_is_no_difference():
    prepared = made_prepared()
    values = errors(1)[0]
    found = compared(prepared, values, values)
    assert found.verdict == "no difference"
    assert found.p_private == 0.5
    assert found.rows_needed is None
    json.dumps(found.as_json(), allow_nan=False)


def test_the_smallest_difference_is_found_in_four_of_five_cases():
    """The error of the mean difference is sqrt(2) * 0.5 / sqrt(200) = 0.05, so rows alone could show 0.14.

    Five folds tell little of the noise of training; that costs some 15 % more.
    """
    prepared = made_prepared()
    found = [compared(prepared, *errors(seed, gap=0.165), n_resamples=200) for seed in range(50)]
    assert np.median([f.smallest for f in found]) == pytest.approx(0.165, rel=0.1)
    assert np.mean([f.verdict == "better" for f in found]) == pytest.approx(0.75, abs=0.1)


def test_equals_are_told_apart_in_one_case_of_twenty():
    prepared = made_prepared()
    found = [compared(prepared, *errors(seed), n_resamples=200) for seed in range(60)]
    assert np.mean([f.verdict != "no difference" for f in found]) <= 0.08


def test_a_win_inside_the_noise_of_seeds_is_no_difference():
    """Every repeat moves by chance as a whole, which rows cannot show: by rows alone most pairs would differ."""
    prepared = made_prepared(repeats=3)
    found = [compared(prepared, *errors(s, repeats=3, seeds=0.3), n_resamples=100) for s in range(40)]
    assert np.mean([f.by_row.low > 0 or f.by_row.high < 0 for f in found]) > 0.4
    assert np.mean([f.verdict != "no difference" for f in found]) <= 0.1
    assert found[0].seeds.source == "3 repeats"


def test_one_repeat_tells_the_noise_of_seeds_from_its_folds():
    """Models of a fold err together."""
    prepared = made_prepared()
    numbers = prepared.folds.assignment.iloc[:, 0].to_numpy()
    rng, by_row, said = np.random.default_rng(0), 0, 0
    for seed in range(40):
        a, b = errors(seed)
        found = compared(prepared, a, b + rng.normal(0, 0.3, 5)[numbers], n_resamples=200)
        by_row += found.by_row.low > 0 or found.by_row.high < 0
        said += found.verdict != "no difference"
    assert by_row > 13
    assert said <= 4


def test_more_seeds_are_named_where_they_would_decide():
    prepared = made_prepared(n_rows=2000, repeats=3)
    found = [compared(prepared, *errors(s, gap=0.25, n=2000, repeats=3, seeds=0.3), n_resamples=200) for s in range(20)]
    open_ones = [f for f in found if f.verdict == "no difference" and f.difference.mean > 0.15]
    assert open_ones
    for one in open_ones:
        # 1.96 * sqrt(noise of a repeat^2 / repeats + rows^2) comes down to the difference.
        repeats = 3 + one.more_seeds
        assert 1.96 * one.seeds.per_repeat / np.sqrt(repeats) <= one.difference.mean


def test_rows_too_few_cannot_be_mended_by_seeds():
    prepared = made_prepared(n_rows=100, repeats=2)
    rng = np.random.default_rng(3)
    a = np.tile(20 + rng.normal(size=100), (2, 1))
    b = np.tile(20 + rng.normal(size=100) - 0.1, (2, 1))
    found = compared(prepared, a, np.add(b, [[0.001], [-0.001]]))
    assert found.verdict == "no difference"
    assert found.more_seeds is None
    assert found.rows_needed > 100


def test_the_chance_on_the_private_set_depends_on_its_size():
    prepared = made_prepared(n_test=60)
    a, b = errors(7, gap=0.1)
    small, large = compared(prepared, a, b), compared(made_prepared(n_test=6000), a, b)
    assert 0.5 < small.p_private < large.p_private
    assert (small.n_private, large.n_private) == (42, 4200)
    assert compared(prepared, a, b, public_share=0.5).n_private == 30


def test_the_chance_is_calibrated():
    """Of comparisons that say 80 %, about 80 % end so; any true gap is as likely as any other."""
    prepared, rng, said, came = made_prepared(), np.random.default_rng(0), [], []
    for seed in range(200):
        gap = rng.uniform(-0.3, 0.3)
        said.append(compared(prepared, *errors(seed, gap=gap), n_resamples=200).p_private)
        # 70 private rows, whose mean difference has the error sqrt(2) * 0.5 / sqrt(70)
        came.append(gap + rng.normal(0, np.sqrt(0.5 / 70)) > 0)
    said, came = np.array(said), np.array(came)
    for low, high in ((0, 0.25), (0.25, 0.75), (0.75, 1.01)):
        here = (said >= low) & (said < high)
        assert came[here].mean() == pytest.approx(said[here].mean(), abs=0.12)


def test_groups_are_drawn_whole():
    groups = np.arange(200) // 10
    rng = np.random.default_rng(0)
    a, b = 20 + np.repeat(rng.normal(size=(2, 20)), 10, axis=1)
    apart, whole = (
        compared(made_prepared(scheme=scheme, groups=g), a, b).by_row
        for scheme, g in (("kfold", None), ("group", groups))
    )
    assert whole.high - whole.low > 2 * (apart.high - apart.low)


def test_labels_are_compared_too():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 300)
    prepared = made_prepared(300, metric="accuracy", y=y)
    a, b = (np.where(rng.random(300) < skill, y, 1 - y) for skill in (0.7, 0.9))
    assert compared(prepared, a, b).verdict == "better"


def test_out_of_bag_and_time_forward_runs_pair_by_rows_only():
    a, b = errors(0, gap=0.5)
    prepared = made_prepared()
    old, new = made_run(prepared, "old", a[0]), made_run(prepared, "new", b[0], kind="oob")
    short = replace(new, oof=type(new.oof)(new.oof.frame[10:]), folds="others")
    found = compare(prepared, old, short, n_resamples=200)
    assert found.by_fold is None
    assert found.n_rows == 190
    assert found.notes[0].startswith("10 row(s)")
    time = made_prepared(scheme="time")
    assert compared(time, a, b).by_fold is None


def test_other_folds_are_refused_unless_unpaired():
    a, b = errors(0, gap=0.9)
    prepared, other = made_prepared(), made_prepared(n=4)
    old, new = made_run(prepared, "same", a[0]), made_run(other, "same", b[0], key="ffffffff")
    with pytest.raises(UsageError, match="--unpaired"):
        compare(prepared, old, new)
    found = compare(prepared, old, new, unpaired=True)
    assert found.verdict == "better"
    assert (found.by_row, found.p_private, found.a, found.b) == (None, None, old.id, new.id)
    json.dumps(found.as_json(), allow_nan=False)
    equal = compare(prepared, old, replace(old, key="12345678"), unpaired=True)
    assert equal.verdict == "no difference"


def test_the_same_run_or_other_data_are_refused():
    prepared = made_prepared()
    run = made_run(prepared, "one", errors(0)[0][0])
    with pytest.raises(UsageError, match="Two different runs"):
        compare(prepared, run, run)
    with pytest.raises(UsageError, match="other data"):
        compare(prepared, run, made_run(prepared, "two", errors(0)[0][0], data="before"))


def test_rows_that_would_decide_are_always_more_than_there_are():
    assert _rows_needed(891, 0.0084, -0.01684) == 892  # an interval that ends at zero exactly
    assert _rows_needed(100, 0.01, 0.01) == 385  # 1.96 squared times as many
