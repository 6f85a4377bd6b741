"""A search: trials are runs, no settings are trained twice, the winner is measured on folds that chose nothing."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fakes import Remembering
from flowers import PIPELINE, SLUG, tables, write_pipeline, write_raw

from kagglekit.config import load_pipeline
from kagglekit.dataset import Prepared
from kagglekit.errors import ConfigError, DataError, StoreError
from kagglekit.files import lock
from kagglekit.flow import Flow
from kagglekit.forecast import Budget
from kagglekit.identity import run_id
from kagglekit.models import registry
from kagglekit.prepare import prepare
from kagglekit.results import Results
from kagglekit.search import Record, Trial, as_experiment, built_in, load_record, search, searched, space_of
from kagglekit.search.fresh import on_fresh_folds
from kagglekit.search.trials import trial_experiment
from kagglekit.store import Store
from kagglekit.workspace import Workspace

SPACE = "\n[search.forest]\nmin_samples_leaf = [1, 40]\nmax_features = [0.2, 1.0]\n"

# A forest that can be beaten.
PARENT = {"n_estimators": 5, "min_samples_leaf": 25, "oob": False, "n_jobs": 1}


class Stage:
    """The flowers, prepared, with a search table."""

    def __init__(self, root: Path, text: str = PIPELINE + SPACE, frames=None) -> None:
        raw = write_raw(root / "data" / SLUG, *(frames or tables()))
        self.pipeline = load_pipeline(write_pipeline(root, text), check_params=registry.check)
        self.prepared: Prepared = prepare(raw, self.pipeline)
        self.store = Store(root / "runs")
        self.told = Remembering()
        self.experiment = replace(self.pipeline.experiment("forest"), params=PARENT)

    def search(self, trials: int = 6, budget: Budget | None = None) -> Record:
        space = space_of(self.pipeline, self.experiment)
        return search(
            self.prepared, self.experiment, space, self.store, trials=trials, budget=budget, progress=self.told
        )


@pytest.fixture(scope="module")
def done(tmp_path_factory) -> tuple[Stage, Record]:
    stage = Stage(tmp_path_factory.mktemp("search"))
    return stage, stage.search(8)


def test_every_complete_trial_is_a_run_under_its_parent_with_its_hypothesis(done):
    stage, record = done
    assert len(record.trials) == 8
    for trial in record.complete:
        run = stage.store.load(trial.run)
        if trial.run != record.parent:
            assert (run.name, run.parent) == ("forest-search", "forest")
            assert run.hypothesis.startswith("trial ")
            assert "of the search from forest: " in run.hypothesis
        assert run.scores == trial.scores
        for name, value in trial.params.items():
            assert run.settings["params"][name] == value


def test_the_parent_is_the_first_trial_and_is_not_trained_again(done):
    _, record = done
    assert record.trials[0].run == record.parent
    assert record.trials[0].change == ""


def test_the_winner_is_measured_on_folds_that_chose_nothing(done):
    stage, record = done
    assert record.beats_parent, "else this data tells nothing"
    fresh = record.measured
    assert fresh is not None
    assert fresh.low <= fresh.better_by <= fresh.high
    runs = [stage.store.load(i) for i in stage.store.ids() if "-fresh-" in i]
    assert sorted(r.name for r in runs) == ["forest-fresh", "forest-search-fresh"]
    assert {r.folds for r in runs}.isdisjoint({stage.prepared.folds.fingerprint})
    assert {r.settings["seed"] for r in runs}.isdisjoint({stage.experiment.seed})
    assert fresh.score == next(r.score for r in runs if r.name == "forest-search-fresh")


def test_the_table_says_the_fresh_score_and_not_the_one_that_chose(done):
    _, record = done
    told = searched(record)
    assert (told.score, told.verdict) == (record.fresh.score, record.fresh.verdict)
    assert told.trials == 8
    assert f"found {record.best.score:.4f}" in told.words
    assert "not measured" in searched(replace(record, fresh=None)).verdict


def test_a_search_that_is_done_does_nothing(done):
    stage, record = done
    before = stage.store.ids()
    assert stage.search(8) == record
    assert stage.store.ids() == before
    assert any("Nothing to search: 8 trial(s)" in line for line in stage.told.said)


def test_the_record_comes_back_as_it_was(done):
    stage, record = done
    assert load_record(stage.store.folder, record.parent) == record
    assert load_record(stage.store.folder, "forest-00000000") is None


def test_the_winner_as_an_experiment_has_the_settings_of_its_run(done, tmp_path):
    stage, record = done
    table = tomllib.loads(as_experiment(record))["experiments"]["forest-tuned"]
    own = {k: v for k, v in table.items() if k not in ("why", "based_on")}
    made = trial_experiment(stage.experiment, own, "", 0, "classification")
    assert run_id(stage.prepared, made) == record.best.run


def test_other_settings_of_the_same_values_are_the_same_run(tmp_path):
    stage = Stage(tmp_path)
    plain, spelt = (trial_experiment(stage.experiment, p, "", 1, "classification") for p in ({}, {"max_features": 0.5}))
    assert run_id(stage.prepared, plain) == run_id(stage.prepared, spelt)


def test_nothing_is_trained_twice_in_a_small_space(tmp_path):
    stage = Stage(tmp_path, PIPELINE + "\n[search.forest]\nmin_samples_leaf = {choices = [3, 25]}\n")
    record = stage.search(9)
    assert len(record.trials) == 9
    assert len({t.run for t in record.trials}) == 2
    assert len([i for i in stage.store.ids() if i.startswith("forest-search-") and "fresh" not in i]) == 1


def test_settings_that_the_model_refuses_do_not_end_the_search(tmp_path):
    stage = Stage(tmp_path, PIPELINE + "\n[search.forest]\nmax_features = {choices = [0.5, 7.5]}\n")
    record = stage.search(6)
    assert record.count("refused") >= 1
    assert record.count("complete") >= 1
    assert any("refused" in line for line in stage.told.said)


def test_a_hopeless_trial_stops_early_and_leaves_no_finished_run(tmp_path):
    stage = Stage(tmp_path, PIPELINE.replace("n = 3", "n = 4") + "\n[search.forest]\nmin_samples_leaf = [1, 45]\n")
    record = stage.search(12)
    pruned = [t for t in record.trials if t.state == "pruned"]
    assert pruned
    for trial in pruned:
        if trial.run not in {t.run for t in record.complete}:
            assert not stage.store.has(trial.run)
            kept = list((stage.store.folder / trial.run).glob("fold-*"))
            assert 2 <= len(kept) < 4
        assert trial.scores == ()


class Clock:
    """A clock that a test moves."""

    def __init__(self, step: float) -> None:
        self.time, self.step = 0.0, step

    def __call__(self) -> float:
        self.time += self.step
        return self.time


def test_nothing_starts_that_would_not_fit_and_more_time_goes_on(tmp_path):
    stage = Stage(tmp_path)
    short = stage.search(10, Budget(1, Clock(10)))
    assert 1 <= len(short.trials) < 6
    none = stage.search(10, Budget(0, Clock(10)))
    assert none.trials == short.trials
    longer = stage.search(6)
    assert len(longer.trials) == 6
    assert longer.trials[: len(short.trials)] == short.trials


def test_a_second_process_on_the_same_search_is_refused(tmp_path):
    stage = Stage(tmp_path)
    record = stage.search(1)
    with (
        lock(stage.store.folder / f".{record.parent}.search.lock", busy="x"),
        pytest.raises(StoreError, match="Another process searches"),
    ):
        stage.search(2)


def test_random_labels_find_a_winner_in_the_search_and_none_on_fresh_folds(tmp_path):
    frame, test, sample = tables(n_train=150)
    frame["colour"] = np.random.default_rng(3).permutation(frame["colour"].to_numpy())
    stage = Stage(tmp_path, frames=(frame, test, sample))
    record = stage.search(10)
    assert record.best.score > record.parent_score
    assert record.measured.verdict != "better"
    assert record.measured.score < record.best.score


def test_fresh_folds_differ_and_obey_the_same_rule(tmp_path):
    stage = Stage(tmp_path)
    again = on_fresh_folds(stage.prepared).folds
    mine = stage.prepared.folds
    assert again.fingerprint != mine.fingerprint
    assert (again.scheme, again.n, again.repeats) == (mine.scheme, mine.n, mine.repeats)
    assert 0.4 < float((again.assignment["repeat_0"] != mine.assignment["repeat_0"]).mean()) < 0.95


def test_time_has_one_order_and_keeps_its_folds(tmp_path):
    frames = tables()
    for frame in frames[:2]:
        frame["day"] = range(len(frame))
    text = PIPELINE.replace('"stratified"', '"time"').replace('target = "colour"', 'target = "colour"\ntime = "day"')
    stage = Stage(tmp_path, text, frames)
    assert on_fresh_folds(stage.prepared) is stage.prepared


def _record(rows: list[list[float]], metric: str = "accuracy") -> Record:
    trials = tuple(
        Trial("s", i, "complete", f"run-{i}", f"c{i}", {"a": i}, tuple(scores)) for i, scores in enumerate(rows)
    )
    return Record("forest", "run-0", metric, tuple(rows[0]), trials)


@pytest.mark.parametrize(("metric", "sign"), [("accuracy", 1), ("rmse", -1)])
def test_choosing_by_the_other_folds_is_the_plain_definition(metric, sign):
    table = np.random.default_rng(0).random((7, 5))
    record = _record(table.tolist(), metric)
    expected = []
    for fold in range(5):
        others = np.delete(table, fold, axis=1).mean(axis=1) * sign
        expected.append(table[others.argmax(), fold])
    assert record.chosen_by_others == pytest.approx(np.mean(expected))
    assert record.best.number == (sign * table.mean(axis=1)).argmax()


def test_a_lead_that_is_noise_is_gone_when_other_folds_choose():
    """Fifty trials that are all alike: the best one's lead is luck, and choosing by other folds has none of it."""
    rng = np.random.default_rng(1)
    found = [_record((0.8 + rng.normal(0, 0.02, (50, 5))).tolist()) for _ in range(40)]
    assert np.mean([r.best.score for r in found]) > 0.815
    assert np.mean([r.chosen_by_others for r in found]) == pytest.approx(0.8, abs=0.005)


def test_a_trial_that_ends_again_replaces_its_first_end():
    record = _record([[0.5, 0.5]])
    again = record.with_trial(replace(record.trials[0], scores=(0.6, 0.6)))
    assert len(again.trials) == 1
    assert again.best.score == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ("n_estimator = [5, 9]", "no setting 'n_estimator'.*Did you mean 'n_estimators'"),
        ("n_estimators = [50.5, 60]", "whole number"),
        ("n_estimators = [60, 50]", "smaller to a larger"),
        ("n_estimators = [5, 5]", "smaller to a larger"),
        ("n_estimators = 5", "a list or a table"),
        ("n_estimators = {low = 5}", "the numbers low and high"),
        ("n_estimators = {low = 5, hi = 6}", "unknown key 'hi'"),
        ("max_features = {low = 0, high = 1, log = true}", "logarithm"),
        ("n_estimators = [5]", "two values"),
        ("n_estimators = []", "two values"),
        ("", "names no setting"),
    ],
)
def test_a_space_that_cannot_be_is_refused_in_one_line(tmp_path, table, says):
    path = write_pipeline(tmp_path, f"{PIPELINE}\n[search.forest]\n{table}\n")
    with pytest.raises(ConfigError, match=says) as error:
        load_pipeline(path, check_params=registry.check)
    assert "\n" not in str(error.value)
    assert "[search.forest]" in str(error.value)


def test_a_space_for_no_experiment_names_the_nearest(tmp_path):
    path = write_pipeline(tmp_path, f"{PIPELINE}\n[search.forrest]\nn_estimators = [5, 9]\n")
    with pytest.raises(ConfigError, match=r"no experiment 'forrest'.*Did you mean 'forest'"):
        load_pipeline(path, check_params=registry.check)


@pytest.mark.parametrize("task", ["classification", "regression"])
@pytest.mark.parametrize("model", [m for m in registry.MODELS if built_in(m, "classification")])
def test_built_in_spaces_fit_their_models_and_hold_their_defaults_or_lie_near(model, task):
    space = built_in(model, task)
    assert space
    for name, dimension in space.items():
        for value in (dimension.low, dimension.high):
            assert registry.check(model, {name: value}, task)[name] == value


def test_a_model_without_a_space_asks_for_one(tmp_path):
    stage = Stage(tmp_path)
    with pytest.raises(ConfigError, match=r"no built-in space .* \[search.majority\]"):
        space_of(stage.pipeline, stage.pipeline.experiment("majority"))


def test_the_parent_is_refused_as_train_refuses_it(tmp_path):
    stage = Stage(tmp_path)
    stage.experiment = replace(stage.experiment, columns=("nothing",))
    with pytest.raises((ConfigError, DataError), match="no column 'nothing'"):
        stage.search(1)


def test_the_flow_knows_the_winner_by_the_name_of_its_trials(tmp_path):
    write_raw(tmp_path / "data" / "arena" / SLUG, *tables())
    weak = PIPELINE.replace("n_estimators = 20", "n_estimators = 5\nmin_samples_leaf = 25\noob = false\nn_jobs = 1")
    text = (
        weak.partition("[experiments.forest-oob]")[0]
        + PIPELINE.partition("optional = true")[2]
        + "\n[search.forest]\nmin_samples_leaf = [1, 4]\n"
    )
    write_pipeline(tmp_path, text)
    flow = Flow("flowers", Workspace(tmp_path, "arena"), Remembering())
    record = flow.search("forest", trials=2)
    assert set(flow.winners()) == {"forest-search"}
    assert flow.choose("forest-search").id == record.best.run
    rows = {row.name: row for row in flow.board()}
    assert rows["forest-search"].trials == 2
    assert rows["forest-search"].score == record.fresh.score
    assert sum(name.startswith("forest-search") for name in rows) == 1
    shown = {row.name for row in flow.board(all_trials=True)}
    assert {t.run for t in record.complete if t.run != record.parent} <= shown
    assert set(flow.ensemble("blend").weights) == {"forest", "forest-search"}
    results = Results(flow)
    assert results.blame("forest-search").made.run.id == record.best.run
    assert any("chosen on these rows" in note for note in results.compare("forest", "forest-search").notes)
    write_pipeline(tmp_path, f"{text}\n{as_experiment(record)}\n")
    adopted = Flow("flowers", Workspace(tmp_path, "arena"), Remembering())
    adopted.train(["forest-tuned"])
    assert adopted.winners() == {}, "it stands in the table as an experiment now"
