from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from flowers import PIPELINE, SLUG, tables, write_pipeline, write_raw

from kagglekit.config import Pipeline, load_pipeline
from kagglekit.dataset import Prepared
from kagglekit.errors import ConfigError, DataError
from kagglekit.models import registry
from kagglekit.prepare import prepare
from kagglekit.store import FoldResult, Store
from kagglekit.train import fold_names, run_id, train


def start(tmp_path: Path, text: str = PIPELINE, frames=None) -> tuple[Prepared, Pipeline, Store]:
    raw = write_raw(tmp_path / "data" / SLUG, *(frames or tables()))
    pipeline = load_pipeline(write_pipeline(tmp_path, text), check_params=registry.check)
    return prepare(raw, pipeline), pipeline, Store(tmp_path / "runs")


def experiment(model: str, extra: str = "") -> str:
    return f'{PIPELINE}\n[experiments.it]\nwhy = "x"\nmodel = "{model}"\n{extra}\n'


def test_every_row_is_predicted_once_by_a_model_that_never_saw_it(tmp_path):
    prepared, pipeline, store = start(tmp_path)
    run = train(prepared, pipeline.experiment("forest"), store)
    assert set(run.oof.ids) == set(prepared.train.index)
    assert len(run.scores) == 3
    assert run.score > 0.6
    assert run.kind == "oof"


@pytest.mark.parametrize("model", ["sklearn.neighbors.KNeighborsClassifier", "forest", "lightgbm"])
def test_random_labels_score_like_chance(tmp_path, model):
    """A memoriser (one neighbour, deep trees, early stopping) gains nothing: no scored label reaches a fit."""
    train_frame, test, sample = tables(n_train=300)
    train_frame["colour"] = np.random.default_rng(5).permutation(train_frame["colour"].to_numpy())
    extra = {"lightgbm": "n_jobs = 1", "forest": ""}.get(model, "n_neighbors = 1")
    prepared, pipeline, store = start(tmp_path, experiment(model, extra), (train_frame, test, sample))
    run = train(prepared, pipeline.experiment("it"), store)
    chance = prepared.y.value_counts(normalize=True).max()
    assert run.score < chance + 0.1


def test_a_killed_run_goes_on_at_the_first_missing_fold(tmp_path):
    prepared, pipeline, store = start(tmp_path)
    wanted = pipeline.experiment("forest")

    def stop_after_one(result: FoldResult) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(prepared, wanted, store, on_fold=stop_after_one)
    folder = store.folder / run_id(prepared, wanted)
    written = (folder / "fold-0" / "oof.parquet").stat().st_mtime_ns
    assert not store.has(folder.name)
    seen: list[str] = []
    run = train(prepared, wanted, store, on_fold=lambda result: seen.append(result.name))
    assert seen == ["fold-0", "fold-1", "fold-2"]
    assert (folder / "fold-0" / "oof.parquet").stat().st_mtime_ns == written
    whole = train(prepared, wanted, Store(tmp_path / "elsewhere"))
    pd.testing.assert_frame_equal(run.oof.frame, whole.oof.frame)


def test_a_finished_run_is_not_trained_again(tmp_path):
    prepared, pipeline, store = start(tmp_path)
    train(prepared, pipeline.experiment("forest"), store)
    seen: list[str] = []
    train(prepared, pipeline.experiment("forest"), store, on_fold=lambda result: seen.append(result.name))
    assert seen == []


def test_the_id_follows_settings_and_not_words(tmp_path):
    prepared, pipeline, _ = start(tmp_path)
    reworded = load_pipeline(
        write_pipeline(tmp_path, PIPELINE.replace("petals tell", "leaves tell")), check_params=registry.check
    )
    changed = load_pipeline(
        write_pipeline(tmp_path, PIPELINE.replace("n_estimators = 20", "n_estimators = 21")),
        check_params=registry.check,
    )
    first = run_id(prepared, pipeline.experiment("forest"))
    assert run_id(prepared, reworded.experiment("forest")) == first
    assert run_id(prepared, changed.experiment("forest")) != first


def test_folds_in_processes_give_the_same(tmp_path):
    prepared, pipeline, store = start(tmp_path)
    serial = train(prepared, pipeline.experiment("forest"), store)
    parallel = train(prepared, pipeline.experiment("forest"), Store(tmp_path / "other"), n_jobs=2)
    pd.testing.assert_frame_equal(serial.oof.frame, parallel.oof.frame)
    assert serial.scores == parallel.scores


def test_out_of_bag_predictions_cover_all_rows_in_one_fit(tmp_path):
    prepared, pipeline, store = start(tmp_path)
    wanted = pipeline.experiment("forest-oob")
    assert fold_names(prepared, wanted) == ["oob"]
    run = train(prepared, wanted, store)
    assert run.kind == "oob"
    assert set(run.oof.ids) == set(prepared.train.index)
    assert len(run.scores) == 3
    assert run.score > 0.6


def test_out_of_bag_is_refused_for_groups_for_few_trees_and_for_models_without_bags(tmp_path):
    grouped = PIPELINE.replace('target = "colour"', 'target = "colour"\ngroup = "field"').replace("stratified", "group")
    frames = tables()
    frames[0]["field"] = [f"field {i % 9}" for i in range(len(frames[0]))]
    for name, text, says in (
        ("a", grouped, "share groups"),
        ("b", PIPELINE.replace("n_estimators = 60", "n_estimators = 2"), "in every bag"),
    ):
        prepared, pipeline, store = start(tmp_path / name, text, frames)
        with pytest.raises((ConfigError, DataError), match=says):
            train(prepared, pipeline.experiment("forest-oob"), store)
    prepared, pipeline, store = start(tmp_path / "c", experiment("majority", 'validation = "oob"'))
    with pytest.raises(ConfigError, match="no out-of-bag"):
        train(prepared, pipeline.experiment("it"), store)


def test_a_class_that_a_fold_lacks_gets_probability_nought_and_no_columns_shift(tmp_path):
    train_frame, test, sample = tables()
    train_frame.loc[train_frame.index[0], "colour"] = "amber"
    text = PIPELINE.replace("stratified", "kfold")
    prepared, pipeline, store = start(tmp_path, text, (train_frame, test, sample))
    run = train(prepared, pipeline.experiment("forest"), store)
    assert run.oof.columns == ("amber", "blue", "red", "white")
    assert run.oof.frame.loc["f000", "amber"] == 0
    assert run.score > 0.6


def test_unknown_columns_are_refused(tmp_path):
    prepared, pipeline, store = start(tmp_path, experiment("forest", 'columns = ["petals"]'))
    with pytest.raises(ConfigError, match="Did you mean 'petal'"):
        train(prepared, pipeline.experiment("it"), store)


def test_chosen_and_dropped_columns_are_what_the_model_sees(tmp_path):
    prepared, pipeline, store = start(tmp_path, experiment("forest", 'drop = ["petal"]'))
    blind = train(prepared, pipeline.experiment("it"), store)
    seeing = train(prepared, pipeline.experiment("forest"), store)
    assert blind.score < seeing.score - 0.2


def test_regression_is_scored_in_its_own_unit(tmp_path):
    train_frame, test, sample = tables()
    train_frame["colour"] = np.exp(train_frame["petal"].fillna(0))
    text = (
        PIPELINE.replace('"classification"', '"regression"')
        .replace('"accuracy"', '"rmsle"')
        .replace('"majority"', '"mean"')
    )
    text = text.replace("n_estimators = 20", 'n_estimators = 20\ntarget_transform = "log1p"')
    prepared, pipeline, store = start(tmp_path, text, (train_frame, test, sample.assign(colour=1.0)))
    run = train(prepared, pipeline.experiment("forest"), store)
    nothing = train(prepared, pipeline.experiment("majority"), store)
    assert run.score < nothing.score / 2
    assert run.oof.frame["colour"].max() > 5


def test_repeated_folds_average_by_id(tmp_path):
    prepared, pipeline, store = start(tmp_path, PIPELINE.replace("seed = 1", "seed = 1\nrepeats = 2"))
    run = train(prepared, pipeline.experiment("forest"), store)
    assert len(run.scores) == 6
    assert set(run.oof.ids) == set(prepared.train.index)
    np.testing.assert_allclose(run.oof.frame.sum(axis=1), 1, atol=1e-5)


def test_time_forward_folds_leave_the_oldest_block_unscored(tmp_path):
    train_frame, test, sample = tables()
    when = pd.date_range("2026-01-01", periods=len(train_frame) + len(test), freq="D").strftime("%Y-%m-%d")
    train_frame["day"], test["day"] = when[: len(train_frame)], when[len(train_frame) :]
    text = PIPELINE.replace('target = "colour"', 'target = "colour"\ntime = "day"').replace("stratified", "time")
    prepared, pipeline, store = start(tmp_path, text, (train_frame, test, sample))
    run = train(prepared, pipeline.experiment("forest"), store)
    assert set(run.oof.ids) == set(prepared.folds.scored_ids)
    assert len(run.oof.ids) < len(prepared.train)
    first_scored = prepared.train.loc[run.oof.ids, "day"].min()
    unscored = prepared.train.drop(run.oof.ids)["day"].max()
    assert unscored < first_scored
