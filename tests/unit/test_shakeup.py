"""Forecasts of the leaderboard against known truth."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from strategies import make_ids

from kagglekit.errors import UsageError
from kagglekit.metrics import get_metric
from kagglekit.shakeup import Shakeup, parts, residual, shakeup, swap_chance

ACCURACY, MAE = get_metric("accuracy"), get_metric("mae")


def rights(right: np.ndarray) -> tuple[pd.Series, pd.DataFrame]:
    """Rows of class 1, and a prediction that is right on these."""
    ids = make_ids(len(right))
    return pd.Series(1, index=ids), pd.DataFrame({"0": ~right, "1": right}, index=ids).astype(float)


def forecast(n_rows: int = 400, skill: float = 0.8, seed: int = 0, **sizes: int) -> Shakeup:
    y, frame = rights(np.random.default_rng(seed).random(n_rows) < skill)
    sizes = {"n_public": 100, "n_private": 300, **sizes}
    return shakeup(ACCURACY, y, frame, (0, 1), n_resamples=300, seed=seed, **sizes)


def test_parts_hold_all_rows():
    assert parts(1000) == (300, 700)
    assert parts(1000, 0.25) == (250, 750)
    for share in (0.0, 1.0, -0.2, 0.0001, math.nan):
        with pytest.raises(UsageError, match=r"0\.3 for 'approximately 30%"):
            parts(100, share)


def test_errors_are_those_of_coins():
    found = forecast(n_rows=1000)
    spread = math.sqrt(found.cv * (1 - found.cv))
    assert found.cv_error == pytest.approx(spread / math.sqrt(1000), rel=0.1)
    assert found.public_error == pytest.approx(spread / math.sqrt(100), rel=0.1)
    assert found.private_error == pytest.approx(spread / math.sqrt(300), rel=0.1)
    assert found.public.high - found.public.low > found.private.high - found.private.low
    assert "100 rows" in found.words()
    assert found.as_json()["n_private"] == 300


def test_the_interval_covers_public_and_private_scores_at_its_rate():
    rng, covered = np.random.default_rng(3), {"public": 0, "private": 0, "given": 0}
    for run in range(200):
        y, frame = rights(rng.random(300) < 0.8)
        found = shakeup(ACCURACY, y, frame, (0, 1), n_public=100, n_private=200, n_resamples=300, seed=run)
        public, private = rng.binomial(100, 0.8) / 100, rng.binomial(200, 0.8) / 200
        given = found.private_given(public)
        covered["public"] += found.public.low <= public <= found.public.high
        covered["private"] += found.private.low <= private <= found.private.high
        covered["given"] += given.low <= private <= given.high
    for part, count in covered.items():
        assert 0.9 <= count / 200 <= 0.99, part


def test_a_public_score_pulls_the_forecast_towards_it():
    found = forecast()
    assert found.private.score < found.private_given(0.95).score < 0.95
    assert found.private_given(0.95).low <= found.private_given(0.95).high <= 1


def test_errors_cannot_fall_below_nought():
    ids = make_ids(30)
    frame = pd.DataFrame({"t": np.random.default_rng(0).exponential(size=30)}, index=ids)
    found = shakeup(MAE, pd.Series(0.0, index=ids), frame, (), n_public=2, n_private=5, n_resamples=300)
    assert found.public.low == 0


@pytest.mark.parametrize(("public", "alarm"), [(0.8, False), (0.75, False), (0.5, True), (1.0, True)])
def test_an_alarm_is_raised_beyond_three_errors(public, alarm):
    found = residual(forecast(), public)
    assert found.alarm == alarm
    assert bool(found.causes) == alarm
    assert found.words().startswith("ALARM") == alarm
    assert found.as_json()["public"] == public
    if alarm:
        assert found.causes[0].startswith("100 public rows are few")
        assert any("another kind" in cause for cause in found.causes) == (public < 0.8)


def test_a_lower_error_is_better():
    one = Shakeup("mae", False, 1.0, 0.03, 0.04, 0.02, None, None, 900, 400, 500)
    assert residual(one, 1.2).errors == pytest.approx(-4)
    assert residual(one, 0.8).errors == pytest.approx(4)
    assert not any("rows are few" in cause for cause in residual(one, 0.8).causes)


def test_without_spread_nothing_can_be_said():
    y, frame = rights(np.ones(50, dtype=bool))
    found = shakeup(ACCURACY, y, frame, (0, 1), n_public=20, n_private=30, n_resamples=50)
    assert not residual(found, 0.9).alarm


def test_false_alarms_are_rare():
    rng = np.random.default_rng(5)
    alarms = sum(residual(forecast(300, 0.8, seed), rng.binomial(100, 0.8) / 100).alarm for seed in range(120))
    assert alarms <= 2


def two(gap: float, n: int, seed: int) -> tuple[pd.Series, pd.DataFrame, pd.DataFrame]:
    """Absolute errors of two candidates: independent, b smaller by `gap`."""
    rng, ids = np.random.default_rng(seed), make_ids(n)
    a, b = 10 + rng.normal(size=(2, n))
    return pd.Series(0.0, index=ids), pd.DataFrame({"t": a}, index=ids), pd.DataFrame({"t": b - gap}, index=ids)


def test_a_large_lead_does_not_swap_and_a_tie_is_a_coin():
    sure = swap_chance(MAE, *two(2.0, 200, 0), (), n_public=100, n_private=200, n_resamples=300)
    assert (sure.chance, sure.public_better, sure.right) == (0.0, 1.0, 1.0)
    y, a, _ = two(0.0, 200, 1)
    same = swap_chance(MAE, y, a, a, (), n_public=100, n_private=200, n_resamples=50)
    assert (same.chance, same.public_better, same.private_better, same.right) == (0.5, 0.5, 0.5, 0.5)


def test_the_chance_of_a_swap_is_that_of_the_formula():
    """Leads in both parts are jointly normal: with correlation r they differ in sign with the chance arccos(r) / pi."""
    y, a, b = two(0.0, 4000, 2)
    b = b - (b["t"].mean() - a["t"].mean())
    found = swap_chance(MAE, y, a, b, (), n_public=1000, n_private=2000, n_resamples=4000)
    own, public, private = 1 / 4000, 1 / 1000, 1 / 2000
    r = own / math.sqrt((own + public) * (own + private))
    assert found.chance == pytest.approx(math.acos(r) / math.pi, abs=0.03)
    assert found.right == pytest.approx(1 - math.acos(math.sqrt(own / (own + public))) / math.pi, abs=0.03)


def test_swaps_happen_as_often_as_forecast():
    """Where any true gap is about as likely as any other, which is what the forecast takes for granted."""
    rng, chances, swapped = np.random.default_rng(0), [], []
    for run in range(100):
        gap = rng.uniform(-0.5, 0.5)
        found = swap_chance(MAE, *two(gap, 200, run), (), n_public=100, n_private=200, n_resamples=200, seed=run)
        public, private = (gap + rng.normal(0, math.sqrt(2 / n)) for n in (100, 200))
        chances.append(found.chance)
        swapped.append(public * private < 0)
    assert np.mean(swapped) == pytest.approx(np.mean(chances), abs=0.1)
