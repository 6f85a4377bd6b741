"""The mix that `auto` makes: which parts, in which shares, of what; its ridge at the plain definition."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from test_blend_pools import chances, values

from kagglekit.blend import auto as auto_module
from kagglekit.blend.auto import AutoBlend
from kagglekit.blend.greedy import GreedyEnsemble
from kagglekit.blend.matrix import PredictionMatrix
from kagglekit.blend.methods import make_blender
from kagglekit.blend.problem import Problem


def test_probabilities_are_a_mix_of_a_selection_and_a_pool_by_rows() -> None:
    P, y = chances(n_classes=3, n_rows=250)
    blend = AutoBlend("accuracy", cv=None).fit(P, y)
    assert blend.share_ == pytest.approx(0.5)
    logs = np.log(np.maximum(P.astype(float), blend.free_.floors[:, None, None]))
    pool = np.exp(np.tensordot(blend.free_.weights, logs, axes=1))
    mean = np.tensordot(blend.selection_, P, axes=1)
    expected = (mean / mean.sum(axis=1, keepdims=True) + pool / pool.sum(axis=1, keepdims=True)) / 2
    np.testing.assert_allclose(blend.predict(P), expected, atol=1e-5)
    assert blend.weights_.sum() == pytest.approx(1)


@pytest.mark.parametrize("metric", ["rmse", "mae", "r2"])
def test_values_are_blended_by_the_weights_shown(metric: str) -> None:
    P, y = values(n_rows=500)
    blend = AutoBlend(metric, cv=None).fit(P, y)
    assert blend.share_ == pytest.approx(16 / 17)
    assert blend.weights_.sum() == pytest.approx(1)
    np.testing.assert_allclose(blend.predict(P), np.tensordot(blend.weights_, P, axes=1), rtol=1e-4)


def test_the_ridge_minimises_squared_error_drawn_to_the_selection() -> None:
    P, y = values(n_rows=200, seed=1)
    blend = AutoBlend("rmse", cv=None).fit(P, y)
    centre, w = blend.selection_.to_numpy(), blend.free_.weights
    X, n = P[:, :, 0].astype(float), len(P)
    # Where the constraint on the sum binds, the gradient is the same along every weight.
    slope = X @ (w @ X - y) + blend.free_.strength * (w - centre)
    assert 0 < blend.free_.strength < np.inf
    assert w.sum() == pytest.approx(1)
    np.testing.assert_allclose(slope, np.full(n, slope.mean()), atol=1e-3 * np.abs(X @ y).max())


def test_rmsle_is_drawn_to_the_selection_among_logarithms() -> None:
    P, y = values(n_rows=200, seed=1)
    P, y = np.abs(P), np.abs(y)
    logs = AutoBlend("rmse", cv=None).fit(np.log1p(P), np.log1p(y))
    problem = Problem.of(P, y, metric="rmsle")
    centre = logs.selection_.to_numpy()
    found = auto_module._ridge(problem, centre, seed=0)
    np.testing.assert_allclose(found.weights, logs.free_.weights, atol=1e-4)


def test_the_more_rows_the_more_of_the_free_fit() -> None:
    shares = [AutoBlend("rmse", cv=None).fit(*values(n_rows=n)).share_ for n in (20, 200, 2_000)]
    assert shares == sorted(shares)
    assert shares[0] < 0.1
    assert shares[-1] > 0.85


@pytest.mark.parametrize(
    ("metric", "shift"), [("spearman", 0.0), ("roc_auc", 0.5)], ids=["ranks of values", "scores below nought"]
)
def test_what_is_neither_probability_nor_value_is_selected_on_the_metric(metric: str, shift: float) -> None:
    P, y = values(n_rows=80) if metric == "spearman" else chances(n_rows=80)
    blend = AutoBlend(metric, cv=None).fit(P - np.float32(shift), y)
    pd.testing.assert_series_equal(blend.weights_, mixed_selection(metric, P - np.float32(shift), y, 80))
    assert "1% of it bagged, as 80 rows are few" in blend.reason_


def mixed_selection(metric, P, y, n):
    one, bagged = (
        GreedyEnsemble(metric, n_steps=25, stop="best", n_bags=n_bags, member_share=0.75, cv=None).fit(P, y)
        for n_bags in (1, 20)
    )
    share = n**4 / (n**4 + 250**4)
    return (1 - share) * one.weights_ + share * bagged.weights_


@pytest.mark.parametrize("metric", ["log_loss", "accuracy"])
def test_the_selection_of_probabilities_is_made_by_log_loss_and_bagged_by_rows(metric: str) -> None:
    P, y = chances(n_rows=250)
    blend = AutoBlend(metric, cv=None).fit(P, y)
    pd.testing.assert_series_equal(blend.selection_, mixed_selection("log_loss", P, y, 250))


def test_values_are_selected_on_the_metric() -> None:
    P, y = values(n_rows=300)
    blend = AutoBlend("mae", cv=None).fit(P, y)
    pd.testing.assert_series_equal(blend.selection_, mixed_selection("mae", P, y, 300))


def test_a_large_matrix_on_disk_is_blended_as_in_memory_and_mostly_left_there(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(auto_module, "_SELECT_ROWS", 60)
    P, y = chances(n_rows=300)
    names, ids = tuple("abcdef"), pd.RangeIndex(300)
    matrix = PredictionMatrix(names, ids, ("a", "b"), P)
    kept = AutoBlend(cv=None).fit(matrix.save(tmp_path / "matrix"), pd.Series(y))
    np.testing.assert_allclose(kept.predict(matrix), AutoBlend(cv=None).fit(matrix, pd.Series(y)).predict(matrix))


def test_rows_of_weight_nought_are_as_good_as_absent(monkeypatch) -> None:
    monkeypatch.setattr(auto_module, "_SELECT_ROWS", 60)
    P, y = chances(n_rows=240)
    problem = Problem.of(P, y, metric="log_loss")
    half = np.arange(240) % 2 == 0
    some = auto_module._some_rows(replace(problem, weight=half.astype(float)))
    assert some.n_rows == 60
    assert some.weight is not None
    assert some.weight.all()
    assert AutoBlend(cv=None).fit(P, y, sample_weight=half.astype(float)).share_ == pytest.approx(
        120**4 / (120**4 + 250**4)
    )


def test_the_reason_names_both_parts_and_the_warning_few_rows() -> None:
    P, y = chances(n_rows=50)
    blend = make_blender("auto", metric="log_loss", classes=("a", "b")).fit(P, y)
    assert blend.reason_ == (
        "auto mixed 100% greedy selection with 0% log pool drawn towards it, and bagged as much of the selection: "
        "the more rows, the more of both; here 50."
    )
    assert "50 rows are few" in blend.warning_
