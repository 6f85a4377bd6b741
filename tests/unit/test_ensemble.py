from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from flowers import PIPELINE, SLUG, tables, write_pipeline, write_raw

from kagglekit.config import EnsembleTable, load_pipeline
from kagglekit.contracts import Predictions
from kagglekit.ensemble import ensemble, members_of
from kagglekit.errors import ConfigError, UsageError
from kagglekit.models import registry
from kagglekit.prepare import prepare
from kagglekit.store import Store
from kagglekit.train import train


def trained(root: Path, text: str = PIPELINE):
    raw = write_raw(root / "data" / SLUG, *tables())
    pipeline = load_pipeline(write_pipeline(root, text), check_params=registry.check)
    prepared, store = prepare(raw, pipeline), Store(root / "runs")
    names = ("majority", "forest", "forest-oob", "larger")
    return prepared, store, {name: train(prepared, pipeline.experiment(name), store) for name in names}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("world"))


def test_all_means_every_experiment_but_the_baselines(world):
    _, _, runs = world
    assert set(members_of(EnsembleTable(), runs)) == {"forest", "forest-oob", "larger"}


def test_baselines_can_be_members_when_they_are_named(world):
    _, _, runs = world
    assert set(members_of(EnsembleTable(members=["majority", "forest"]), runs)) == {"majority", "forest"}


def test_a_member_that_is_not_trained_is_refused(world):
    _, _, runs = world
    with pytest.raises(UsageError, match="'other', which is not finished"):
        members_of(EnsembleTable(members=["forest", "other"]), runs)
    with pytest.raises(UsageError, match="only baselines"):
        members_of(EnsembleTable(), {"majority": runs["majority"]})


@pytest.mark.parametrize("method", ["mean", "greedy"])
def test_a_blend_is_a_run_with_an_honest_score(world, method):
    prepared, store, runs = world
    table = EnsembleTable(method=method)
    members = members_of(table, runs)
    run = ensemble(f"blend-{method}", table, members, prepared, store)
    assert run.kind == "blend"
    assert set(run.oof.ids) == set(prepared.folds.scored_ids)
    assert set(run.weights) == set(members)
    assert sum(run.weights.values()) == pytest.approx(1)
    assert run.fit_score is not None
    np.testing.assert_allclose(run.test.frame.sum(axis=1), 1, atol=1e-5)
    assert store.load(run.id).score == run.score


def test_without_choices_both_scores_are_the_same_measure(world, tmp_path):
    prepared, _, runs = world
    by_f1 = replace(prepared, competition=replace(prepared.competition, metric="f1_macro"))
    table = EnsembleTable(method="mean")
    run = ensemble("e", table, members_of(table, runs), by_f1, Store(tmp_path))
    assert run.fit_score == pytest.approx(run.score, abs=1e-12)


def test_the_order_of_members_never_matters(world, tmp_path):
    prepared, _, runs = world
    table = EnsembleTable(method="greedy")
    members = members_of(table, runs)
    back = dict(reversed(members.items()))
    first = ensemble("e", table, members, prepared, Store(tmp_path / "a"))
    second = ensemble("e", table, back, prepared, Store(tmp_path / "b"))
    assert first.id == second.id
    assert dict(first.weights) == dict(second.weights)
    np.testing.assert_array_equal(first.test.frame.to_numpy(), second.test.frame.to_numpy())


def test_members_of_other_folds_are_refused_unless_out_of_bag(world, tmp_path):
    prepared, store, _ = world
    _, _, others = trained(tmp_path, PIPELINE.replace("seed = 1", "seed = 9"))
    with pytest.raises(ConfigError, match="validated on other folds"):
        ensemble("e", EnsembleTable(), {"forest": others["forest"]}, prepared, store)
    assert ensemble("e", EnsembleTable(method="mean"), {"oob": others["forest-oob"]}, prepared, store).score > 0.5
    asked = EnsembleTable(method="mean", mixed_folds=True)
    assert ensemble("e", asked, {"forest": others["forest"]}, prepared, store).score > 0.5


def test_a_blend_tells_what_each_member_adds_and_where_its_score_would_lie(world):
    prepared, store, runs = world
    run = ensemble("told", EnsembleTable(method="greedy", params={"n_steps": 5}), runs, prepared, store)
    study = store.load(run.id).study
    assert study["interval"][0] < run.score < study["interval"][1]
    assert [m["member"] for m in study["members"]] == sorted(runs)
    assert all(-1 <= m["alike"] <= 1 for m in study["members"])
    assert len(study["trajectory"]) == 5
    assert study["correlation"]["forest"]["forest"] == 1
    assert study["rows"] == len(prepared.folds.scored_ids)


def test_rows_that_a_member_lacks_are_left_out_and_told(world):
    prepared, store, runs = world
    lost = runs["forest-oob"].oof.ids[:2]
    fewer = replace(runs["forest-oob"], oof=Predictions(runs["forest-oob"].oof.frame.drop(lost)), key="fewer")
    run = ensemble("fewer", EnsembleTable(method="mean"), {**runs, "forest-oob": fewer}, prepared, store)
    assert run.unscored == 2
    assert set(prepared.folds.scored_ids) - set(run.oof.ids) == set(lost)
    assert all(str(i) in run.study["left_out"] for i in lost)
    assert len(run.test.ids) == len(prepared.test)


def test_an_ensemble_can_be_a_member(world):
    prepared, store, runs = world
    first = ensemble("first", EnsembleTable(method="mean"), members_of(EnsembleTable(), runs), prepared, store)
    table = EnsembleTable(method="mean", members=["first", "larger"])
    second = ensemble("second", table, members_of(table, runs | {"first": first}), prepared, store)
    assert second.weights == {"first": 0.5, "larger": 0.5}


def test_a_stack_is_made_of_named_estimators(world):
    prepared, store, runs = world
    table = EnsembleTable(method="stack", params={"estimator": "sklearn.naive_bayes.GaussianNB"})
    run = ensemble("stack", table, members_of(table, runs), prepared, store)
    assert run.weights == {}
    assert run.score > 0.5
