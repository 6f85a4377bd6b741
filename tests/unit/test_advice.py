"""Advice against cases whose answer is known."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from strategies import make_ids, quick, seeds

from kagglekit.advice import advise, differing, final_two
from kagglekit.errors import UsageError
from kagglekit.metrics import get_metric

MAE, ACCURACY = get_metric("mae"), get_metric("accuracy")
IDS = make_ids(400)
Y = pd.Series(0.0, index=IDS)
TEST = pd.Index([f"t{i}" for i in range(100)])


def answers(*changed: int) -> pd.DataFrame:
    """A file of 100 zeros whose rows named differ."""
    values = np.zeros(100)
    values[list(changed)] = 1
    return pd.DataFrame({"target": values}, index=TEST)


def frame(values: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({"t": values}, index=IDS)


def advised(frames: dict, files: dict, sent: tuple = (), **options):
    sizes = {"n_public": 30, "n_private": 70, "n_resamples": 500}
    return advise(MAE, Y, frames, (), answers=files, sent=sent, **{**sizes, **options})


def world(gap: float = 0.3) -> tuple[dict, dict]:
    """A run that was sent, one that equals it, one that is better, one that is far worse."""
    rng = np.random.default_rng(0)
    base = 20 + rng.normal(size=400)
    frames = {
        "sent": frame(base),
        "twin": frame(base),
        "better": frame(base - gap + rng.normal(size=400)),
        "worse": frame(base + 5),
    }
    return frames, {"sent": answers(), "twin": answers(), "better": answers(1, 2, 3), "worse": answers(*range(50))}


def test_rows_that_differ_are_counted_against_the_nearest_file():
    files = {"far": answers(*range(50)), "near": answers(1)}
    assert differing(answers(1, 2), files) == (1, "near")
    assert differing(answers().iloc[::-1], {"same": answers()}) == (0, "same")
    assert differing(answers(), {}) == (None, None)
    assert differing(answers() + 1e-12, {"same": answers()}) == (0, "same")
    words = pd.DataFrame({"label": ["a", "b"]}, index=["x", "y"])
    assert differing(words, {"other": words.replace("b", "c")}) == (1, "other")


def test_what_was_sent_is_not_sent_again_and_the_better_one_comes_first():
    found = advised(*world(), sent=("sent",), slots=5)
    by_name = {p.name: p for p in found.prospects}
    assert found.prospects[0].name == "better"
    assert found.prospects[-1].name == "worse"
    assert [step.name for step in found.steps] == ["better"]
    assert found.steps[0].gain == pytest.approx(by_name["better"].gain)
    assert (by_name["twin"].differs, by_name["better"].differs, by_name["worse"].differs) == (0, 3, 50)
    assert by_name["better"].ahead == pytest.approx(0.3, abs=0.15)
    assert by_name["better"].p_better > 0.95
    assert by_name["worse"].p_better == by_name["worse"].gain == 0
    assert by_name["twin"].p_better == 0.5
    assert by_name["sent"].ahead is None
    assert found.as_json()["n_test"] == 100


def test_the_resolution_is_that_of_the_public_rows():
    """The difference of a row has the error 1, so 30 rows tell differences of 1.96 / sqrt(30) from luck."""
    found = advised(*world(), sent=("sent",), n_resamples=4000)
    better = next(p for p in found.prospects if p.name == "better")
    assert better.resolution == pytest.approx(1.96 / math.sqrt(30), rel=0.1)
    assert better.below
    assert not next(p for p in found.prospects if p.name == "worse").below


def test_accuracy_moves_no_further_than_the_rows_that_differ():
    y = pd.Series(1, index=IDS)
    rng = np.random.default_rng(0)
    tables = {name: rng.random(400) < 0.8 for name in ("a", "b")}
    frames = {n: pd.DataFrame({"0": ~r, "1": r}, index=IDS).astype(float) for n, r in tables.items()}
    files = {"a": answers(), "b": answers(5, 6)}
    found = advise(ACCURACY, y, frames, (0, 1), answers=files, sent=["a"], n_public=30, n_private=70, n_resamples=100)
    assert next(p for p in found.prospects if p.name == "b").most == pytest.approx(0.02)
    assert all(p.most is None for p in advised(*world(), sent=("sent",)).prospects)


def test_before_anything_is_sent_the_best_goes_first_and_the_slots_are_kept():
    found = advised(*world(gap=0.05), slots=2)
    assert len(found.steps) == 2
    assert found.steps[0].name == "better"
    assert found.steps[0].gain is None
    assert found.steps[1].gain > 0
    assert all(p.differs is None for p in found.prospects)


def test_a_candidate_that_errs_elsewhere_is_worth_more_than_a_twin():
    rng = np.random.default_rng(1)
    base = 20 + rng.normal(size=400)
    frames = {
        "sent": frame(base),
        "alike": frame(base + 0.01 + 0.02 * rng.normal(size=400)),
        "apart": frame(20.02 + rng.permutation(base - 20)),
    }
    files = {"sent": answers(), "alike": answers(1), "apart": answers(2)}
    assert [step.name for step in advised(frames, files, sent=("sent",), slots=1).steps] == ["apart"]


def test_nothing_to_weigh_is_told():
    with pytest.raises(UsageError, match="no candidate"):
        advised({}, {})
    with pytest.raises(UsageError, match="Two candidates"):
        final_two(pd.DataFrame({"a": [1.0]}), 0.5, True)
    one = world()[0]["sent"]
    assert advised({"only": one}, {"only": answers()}).pair is None


def draws(n: int, correlation: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.multivariate_normal([0, 0], [[1, correlation], [correlation, 1]], n)


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9])
def test_the_chance_of_a_pair_is_that_of_the_formula(correlation):
    """Of two jointly normal scores, the better one beats the mean with the chance 3/4 - arcsin(r) / 2 pi."""
    pair = final_two(pd.DataFrame(draws(100_000, correlation), columns=["a", "b"]), 0.0, True)
    assert pair.chance == pytest.approx(0.75 - math.asin(correlation) / 2 / math.pi, abs=0.01)
    assert pair.alone == pytest.approx(0.5, abs=0.01)


def test_the_pair_errs_apart_where_the_line_is_high():
    a, b = draws(20_000, 0.95).T
    c = np.random.default_rng(9).normal(-0.1, 1, 20_000)
    scores = pd.DataFrame({"a": a, "b": b, "c": c})
    high = final_two(scores, 1.0, True)
    assert {"c"} < {high.first, high.second}
    assert high.chance > high.alone
    turned = final_two(-scores, -1.0, False)
    assert (turned.first, turned.second, turned.chance) == (high.first, high.second, high.chance)


@quick
@given(seed=seeds)
def test_no_other_pair_has_a_better_chance(seed):
    rng = np.random.default_rng(seed)
    scores = pd.DataFrame(rng.normal(rng.normal(size=5), 1, (60, 5)), columns=list("abcde"))
    pair = final_two(scores, 0.5, True)
    chances = {(i, j): ((scores[i] > 0.5) | (scores[j] > 0.5)).mean() for i in "abcde" for j in "abcde" if i < j}
    assert pair.chance == pytest.approx(max(chances.values()))
    assert chances[tuple(sorted((pair.first, pair.second)))] == pytest.approx(pair.chance)
    assert pair.alone == pytest.approx((scores[pair.first] > 0.5).mean())


def test_where_the_line_says_nothing_the_better_scores_win():
    scores = pd.DataFrame({"a": [1.0, 1.0], "b": [3.0, 3.0], "c": [2.0, 2.0]})
    pair = final_two(scores, 0.0, True)
    assert (pair.first, pair.second, pair.chance) == ("b", "c", 1.0)
