"""Exporting a run: its own models, kept or fitted again, with what is known of how good they are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from discs import CLASSES, FAST, discs, experiment

from kagglekit.errors import ConfigError, KagglekitError, StoreError, UsageError
from kagglekit.export import export_run
from kagglekit.files import lock
from kagglekit.folds import make_folds
from kagglekit.identity import run_id
from kagglekit.models.vision.exported import load
from kagglekit.scoring import decide
from kagglekit.store import Store
from kagglekit.train import train


@pytest.fixture
def data(tmp_path):
    return discs(tmp_path / "cache", n=2)


def test_the_folds_models_are_fitted_again_and_predict_what_the_run_stored(data, tmp_path):
    it, store = experiment(**FAST, seeds=2), Store(tmp_path / "runs")
    run = train(data, it, store)
    made = export_run(run, data, it, store, tmp_path / "out" / "it", fastai=True)
    assert [m.file for m in made.facts.members] == [f"fold-{f}-seed-{s}.safetensors" for f in (0, 1) for s in (0, 1)]
    model = load(made.folder)
    assert model.facts.columns == list(CLASSES)
    np.testing.assert_allclose(model.answers(list(data.test["path"])), run.test.frame, atol=1e-5)
    assert "fitted again by the run's seeds" in made.words()
    assert f"accuracy {run.score:.4f} ±" in made.words()
    assert "It predicts what the run stored: 9 test rows" in made.words()
    assert "opening it runs what is in it" in made.words()
    assert set(model.facts.sha256) >= {"export.pkl", "probe.jpg"}
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["it"], "nothing is left beside it"
    with pytest.raises(UsageError, match="exists already"):
        export_run(run, data, it, store, made.folder)


def test_what_a_killed_export_left_goes_and_a_running_one_is_left_alone(data, tmp_path):
    it, store = experiment("timm-features", C=0.1, keep_models=True), Store(tmp_path / "runs")
    run = train(data, it, store)
    half = tmp_path / "out" / ".it.part" / "whole"
    half.mkdir(parents=True)
    (half / "model.json").write_text("half")
    with (
        lock(half.parent / "lock", busy=""),
        pytest.raises(StoreError, match=r"Another process is writing .*out/it\. Wait for it"),
    ):
        export_run(run, data, it, store, tmp_path / "out" / "it")
    assert (half / "model.json").read_text() == "half"
    made = export_run(run, data, it, store, tmp_path / "out" / "it")
    assert load(made.folder).facts.columns == list(CLASSES)
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["it"]


def test_augmentation_that_did_not_win_is_not_exported(data, tmp_path):
    it, store = experiment(**FAST, tta=True), Store(tmp_path / "runs")
    run = train(data, it, store)
    for kept in (False, True):
        chosen = replace(run, tta={**run.tta, "kept": kept})
        made = export_run(chosen, data, it, store, tmp_path / f"kept-{kept}", fit="fold-0")
        assert len(made.facts.views) == (2 if kept else 1)


def test_kept_models_are_taken_without_a_fit(data, tmp_path):
    it, store = experiment(**FAST, keep_models=True), Store(tmp_path / "runs")
    run = train(data, it, store)
    assert run.id == run_id(data, replace(it, keep_models=False)), "it decides no result"
    assert list(store.models(run.id)) == ["fold-0", "fold-1"]
    unfit = replace(data, train=data.train.assign(path="nowhere.png"))
    made = export_run(run, unfit, it, store, tmp_path / "it")
    assert "fold-0, fold-1: kept when the run was trained" in made.words()
    one = export_run(run, unfit, it, store, tmp_path / "one", fit="fold-1")
    assert [m.file for m in one.facts.members] == ["fold-1.safetensors"]
    assert f"{run.scores[1]:.4f} on the rows of fold-1" in one.words()


def test_a_model_on_all_rows_has_no_honest_score_and_says_so(data, tmp_path):
    it, store = experiment("timm-features", C=0.1), Store(tmp_path / "runs")
    run = train(data, it, store)
    made = export_run(run, data, it, store, tmp_path / "it", fit="all")
    assert [m.file for m in made.facts.members] == ["all.safetensors"]
    assert "fitted on all 66 training rows\nno honest score" in made.words()
    assert "test rows" not in made.words()


@pytest.mark.parametrize(
    ("classes", "metric", "decision", "says"),
    [
        ((0, 1), "f1", "threshold", "a picture is called '1' above a probability of"),
        ((0, 1, 2), "qwk", "shares", "the mean class is cut at"),
    ],
)
def test_labels_are_chosen_by_the_runs_own_rule(data, classes, metric, decision, says, tmp_path):
    numbers = data.train["label"].map({name: min(n, len(classes) - 1) for n, name in enumerate(CLASSES)})
    facts = replace(data.competition, classes=classes, metric=metric, decision=decision)
    data = replace(data, competition=facts, train=data.train.assign(label=numbers))
    it, store = experiment("timm-features", C=0.1, keep_models=True), Store(tmp_path / "runs")
    run = train(data, it, store)
    made = export_run(run, data, it, store, tmp_path / "it")
    assert f"Labels are chosen as the run's are, by its out-of-fold rows: {says}" in made.words()
    chosen = decide(run.test.frame, run.oof.frame, data.y, facts).idxmax(axis=1).map(int)
    assert load(made.folder).predict(list(data.test["path"])).tolist() == chosen.tolist()
    mended = export_run(run, data, replace(it, calibrate="clip"), store, tmp_path / "mended")
    assert mended.facts.cuts is None
    assert f"after decision = '{decision}', which is not exported" in mended.words()
    assert "after calibrate = 'clip', which is not exported" in mended.facts.about.score


def test_a_fold_of_repeats_that_were_scored_together_has_no_score_of_its_own(data, tmp_path):
    data = replace(data, folds=make_folds(data.train.index, scheme="kfold", n=2, repeats=2, seed=0))
    it, store = experiment("timm-features", C=0.1, keep_models=True), Store(tmp_path / "runs")
    run = train(data, it, store)
    one = export_run(run, data, it, store, tmp_path / "one", fit="repeat-1-fold-1")
    assert f"{run.scores[3]:.4f} on the rows of repeat-1-fold-1" in one.words()
    together = replace(run, scores=run.scores[:2])
    assert (
        "of which repeat-1-fold-1 is one"
        in export_run(together, data, it, store, tmp_path / "both", fit="repeat-1-fold-1").words()
    )


def test_bags_are_exported_together(data, tmp_path):
    it, store = experiment(**FAST, bags=6, validation="oob", keep_models=True), Store(tmp_path / "runs")
    run = train(data, it, store)
    made = export_run(run, data, it, store, tmp_path / "it")
    assert len(made.facts.members) == 6
    assert "out of bag" in made.words()
    assert "It predicts what the run stored" in made.words()
    with pytest.raises(UsageError, match="no fit 'fold-0'"):
        export_run(run, data, it, store, tmp_path / "one", fit="fold-0")


@pytest.mark.parametrize(
    ("changes", "options", "says"),
    [
        ({"kind": "blend", "weights": {"a": 1.0}}, {}, "is a blend.*Export its members: a"),
        ({}, {"fit": "fold-7"}, "no fit 'fold-7'.*Did you mean 'fold-"),
        ({"settings": {"pseudo": {}}}, {}, "fitted on test rows with labels"),
    ],
)
def test_what_cannot_be_is_one_line_and_leaves_nothing(data, tmp_path, changes, options, says):
    it, store = experiment("timm-features", C=0.1), Store(tmp_path / "runs")
    run = replace(train(data, it, store), **changes)
    with pytest.raises(KagglekitError, match=says) as error:
        export_run(run, data, it, store, tmp_path / "out" / "it", **options)
    assert "\n" not in str(error.value)
    assert not list((tmp_path / "out").glob("*"))


def test_models_of_one_target_each_are_not_kept(data, tmp_path):
    facts = replace(
        data.competition,
        target="red, blue",
        targets=("red", "blue"),
        classes=(0, 1),
        metric="columnwise_log_loss",
        form="probabilities",
    )
    several = replace(data, competition=facts, train=data.train.assign(red=1, blue=0))
    with pytest.raises(ConfigError, match=r"keep_models keeps one model of all targets.*one for each of 2"):
        train(several, experiment("timm-features", C=0.1, keep_models=True), Store(tmp_path / "runs"))


def test_a_table_has_no_models_to_keep(data, tmp_path):
    forest = replace(experiment(), model="forest", params={}, keep_models=True)
    with pytest.raises(ConfigError, match="keep_models is for image models"):
        train(data, forest, Store(tmp_path / "runs"))
    with pytest.raises(UsageError, match="looks at no images"):
        run = train(data, experiment("timm-features", C=0.1), Store(tmp_path / "runs"))
        export_run(run, data, forest, Store(tmp_path / "runs"), tmp_path / "it")
