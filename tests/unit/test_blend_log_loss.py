"""The log loss objective: exact to the last clip, lazy without a difference, and at home on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import quick, seeds

from kagglekit.blend.greedy import select
from kagglekit.blend.kernels import kernels
from kagglekit.blend.objectives import first_best
from kagglekit.blend.objectives.log_loss import LogLoss
from kagglekit.blend.problem import Problem

both_ways = pytest.mark.parametrize("compiled", [True, False], ids=["numba", "numpy"])


def drawn(seed: int, n_models: int = 5, n_rows: int = 150, n_classes: int = 3, *, weights=False, sums=True) -> Problem:
    """Probabilities that are multiples of 1 / 256, noughts among them, so that rows sum to exactly one; a copy too."""
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(n_rows) % n_classes)
    cuts = np.sort(rng.integers(0, 257, (n_models, n_rows, n_classes - 1)), axis=2)
    P = np.diff(cuts, axis=2, prepend=0, append=256) / 256
    # Some skill, or no member would be better than another.
    skill = np.arange(n_models)[:, None] % 3 / 4
    P *= 1 - skill[:, :, None]
    P[:, np.arange(n_rows), y] += skill
    P[-1] = P[0]
    if not sums:
        P *= rng.choice([0, 1, 1.25, 1.5], (n_models, n_rows, 1))
    weight = rng.integers(0, 3, n_rows) + (np.arange(n_rows) < 3) if weights else None
    return Problem.of(P.astype(np.float32), y, metric="log_loss", classes=tuple(range(n_classes)), sample_weight=weight)


@both_ways
@quick
@given(seed=seeds, weights=st.booleans(), sums=st.booleans(), n_classes=st.integers(2, 4))
def test_steps_are_exact(compiled, seed, weights, sums, n_classes):
    problem = drawn(seed, n_classes=n_classes, weights=weights, sums=sums)
    walk = LogLoss(problem, compiled=compiled, tile=64).start()
    P, blend = problem.P.astype(float), np.zeros(problem.P.shape[1:])
    everyone, shares = np.arange(5), np.array([-0.45, -0.1, 0, 0.3, 1])
    for model, share in ((2, 1.0), (0, 0.5), (1, -0.25), (3, 1 / 3)):
        steps = [(everyone, share), (everyone[::-1], -0.3), (everyone[1:2], 0.1)]
        for candidates, s in steps[:1] if share == 1 else steps:
            expected = [problem.loss((1 - s) * blend + s * P[c]) for c in candidates]
            np.testing.assert_allclose(walk.losses(candidates, s), expected, rtol=1e-9)
        walk.move(model, share)
        blend = (1 - share) * blend + share * P[model]
        expected = [problem.loss((1 - s) * blend + s * P[4]) for s in shares]
        np.testing.assert_allclose(walk.line(4, shares), expected, rtol=1e-9)


@both_ways
@pytest.mark.parametrize("n_rows", [1, 63, 64, 1023, 1024, 1025, 4500])
def test_products_do_not_leave_the_range_of_doubles(compiled, n_rows):
    P = np.full((3, n_rows, 2), 0.5, dtype=np.float32)
    P[0] = [0, 1]
    P[1] = [1e-12, 1]
    walk = LogLoss(Problem.of(P, np.zeros(n_rows, int), metric="log_loss", classes=(0, 1)), compiled=compiled).start()
    expected = [-np.log(1e-15), -np.log(float(np.float32(1e-12))), np.log(2)]
    np.testing.assert_allclose(walk.losses(np.arange(3), 1.0), expected, rtol=1e-12)


@both_ways
@quick
@given(seed=seeds, weights=st.booleans())
def test_lazy_selection_is_exact_selection(compiled, seed, weights):
    problem = drawn(seed, n_models=70, weights=weights)
    exact = select(LogLoss(problem, compiled=compiled, lazy=False), 12)
    lazy = select(LogLoss(problem, compiled=compiled, tile=16), 12)
    np.testing.assert_array_equal(lazy.taken, exact.taken)
    np.testing.assert_allclose(lazy.losses, exact.losses, rtol=1e-12)


@both_ways
def test_lazy_selection_leaves_most_members_alone(compiled):
    walk = LogLoss(drawn(0, n_models=96, n_rows=600), compiled=compiled, tile=64).start()
    for step in range(1, 31):
        found = walk.best(np.arange(96), 1 / step)
        walk.move(found[0], 1 / step)
    losses = walk._tangents.losses(np.arange(96), walk.blend.copy(), 1 / 31)
    assert (losses < 1e300).sum() < 32
    assert first_best(losses) == first_best(walk.losses(np.arange(96), 1 / 31))


@both_ways
def test_steps_outside_the_simplex_are_not_bounded(compiled):
    problem = drawn(3, n_models=70)
    walk = LogLoss(problem, compiled=compiled).start()
    for model, share in ((2, 1.0), (5, -0.3)):
        walk.move(model, share)
    everyone = np.arange(70)
    assert walk.best(everyone, 0.2)[0] == first_best(walk.losses(everyone, 0.2))


@both_ways
@quick
@given(seed=seeds, weights=st.booleans(), sums=st.booleans(), model=st.integers(0, 4), from_zero=st.booleans())
def test_the_best_share_is_found_without_the_others(compiled, seed, weights, sums, model, from_zero):
    walk = LogLoss(drawn(seed, weights=weights, sums=sums), compiled=compiled).start()
    walk.move(0, 1.0)
    if not from_zero:
        walk.move(2, 0.5)
        walk.move(1, 0.5)
    shares = np.linspace(0 if seed % 2 else -0.5, 0.5, 60)
    losses = walk.line(model, shares)
    place, loss = walk.best_line(model, shares)
    assert place == first_best(losses)
    assert loss == pytest.approx(losses[place], rel=1e-12)


@both_ways
def test_a_line_evaluates_few_shares(compiled):
    rng = np.random.default_rng(0)
    P = rng.uniform(0.2, 0.8, (2, 500, 1)).astype(np.float32)
    problem = Problem.of(np.concatenate([P, 1 - P], axis=2), rng.integers(0, 2, 500), metric="log_loss")
    walk = LogLoss(problem, compiled=compiled).start()
    walk.move(0, 1.0)
    asked = []
    line = walk.line
    walk.line = lambda model, shares: asked.extend(shares) or line(model, shares)
    shares = np.linspace(0, 0.5, 201)
    assert walk.best_line(1, shares)[0] == first_best(line(1, shares))
    assert len(asked) < 25


@both_ways
@pytest.mark.parametrize("weighted", [False, True])
def test_sums_over_tiles(compiled, weighted):
    rng = np.random.default_rng(0)
    a, b = rng.uniform(0.01, 1, 1000), (10 ** rng.uniform(-3, 14, 1000)).astype(np.float32)
    w = rng.uniform(size=1000) if weighted else np.empty(0)
    weight = w if weighted else np.ones(1000)
    loops = kernels("log_loss", compiled=compiled)
    places = np.arange(0, 1000, 300)
    np.testing.assert_allclose(loops.tile_logs(b, w, 300), np.add.reduceat(weight * np.log(b.astype(float)), places))
    np.testing.assert_allclose(loops.tile_dots(a, b, w, 300), np.add.reduceat(weight * a * b, places))


def mapped(folder: Path, P: np.ndarray) -> np.ndarray:
    np.save(folder / "values.npy", P)
    return np.load(folder / "values.npy", mmap_mode="r")


def kept(folder: Path) -> list[str]:
    return sorted(p.name.split("-")[0] for p in folder.iterdir() if p.name != "values.npy")


@both_ways
@pytest.mark.parametrize("sums", [True, False])
def test_the_true_class_column_of_a_memory_map_is_kept_beside_it(tmp_path, compiled, sums):
    problem = drawn(1, sums=sums)
    P = mapped(tmp_path, problem.P)
    names = ["values.lowest", *(() if sums else ("values.row",)), "values.true"]
    for _ in range(2):
        stored = LogLoss(Problem.of(P, problem.y, metric="log_loss"), compiled=compiled)
        assert stored.lazy == sums
        np.testing.assert_array_equal(select(stored, 5).losses, select(LogLoss(problem, compiled=compiled), 5).losses)
        assert kept(tmp_path) == names
    inner = stored.columns.C
    while isinstance(inner.base, np.ndarray):
        inner = inner.base
    assert isinstance(inner, np.memmap)


def test_another_truth_or_part_of_the_matrix_has_its_own_column(tmp_path):
    problem = drawn(1)
    P = mapped(tmp_path, problem.P)
    reversed_y = 2 - problem.y
    for values, y in ((P, problem.y), (P, reversed_y), (P[1:3], problem.y), (P[2:4], problem.y)):
        given = Problem.of(values, y, metric="log_loss")
        expected = Problem.of(np.array(values), y, metric="log_loss")
        np.testing.assert_array_equal(LogLoss(given).columns.C, LogLoss(expected).columns.C)
    assert kept(tmp_path).count("values.true") == 4


def test_a_matrix_whose_folder_cannot_be_written(tmp_path):
    problem = drawn(1)
    folder = tmp_path / "gone"
    folder.mkdir()
    P = mapped(folder, problem.P)
    folder.rename(tmp_path / "elsewhere")
    stored = LogLoss(Problem.of(P, problem.y, metric="log_loss"))
    np.testing.assert_array_equal(stored.columns.C, LogLoss(problem).columns.C)
    assert kept(tmp_path / "elsewhere") == []


def test_a_disk_without_room(tmp_path, monkeypatch):
    problem = drawn(1)
    P = mapped(tmp_path, problem.P)
    full = type("Usage", (), {"free": 0})
    monkeypatch.setattr("shutil.disk_usage", lambda folder: full)
    stored = LogLoss(Problem.of(P, problem.y, metric="log_loss"))
    np.testing.assert_array_equal(stored.columns.C, LogLoss(problem).columns.C)
    assert kept(tmp_path) == []


def test_rows_left_out_of_a_memory_map_share_its_column(tmp_path):
    problem = drawn(1, n_models=70)
    P = mapped(tmp_path, problem.P)
    chosen = np.arange(problem.n_rows) % 3 > 0
    part = Problem.of(P, problem.y, metric="log_loss").rows(chosen)
    expected = select(LogLoss(problem.rows(chosen)), 8)
    found = select(LogLoss(part), 8)
    np.testing.assert_array_equal(found.taken, expected.taken)
    np.testing.assert_allclose(found.losses, expected.losses, rtol=1e-12)


def test_ids_decide_which_rows_are_meant():
    problem = drawn(2)
    y = pd.Series(problem.y.to_numpy(), index=[f"r{i}" for i in range(problem.n_rows)])
    by_name = Problem.of(problem.P, y, metric="log_loss")
    np.testing.assert_array_equal(select(LogLoss(by_name), 4).taken, select(LogLoss(problem), 4).taken)
