from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fakes import Remembering
from flowers import PIPELINE, SLUG, tables, write_pipeline, write_raw
from vision_cases import picture_table, picture_target

from kagglekit.board import board
from kagglekit.config import Experiment, Pipeline, load_pipeline
from kagglekit.console import RichProgress
from kagglekit.contracts import Competition
from kagglekit.dataset import Prepared
from kagglekit.errors import ConfigError, DataError
from kagglekit.flow import Flow
from kagglekit.folds import make_folds
from kagglekit.identity import fold_names, run_id
from kagglekit.job import Job
from kagglekit.kernels.session import Pace
from kagglekit.models import boost, registry
from kagglekit.prepare import prepare
from kagglekit.progress import Silent
from kagglekit.store import FoldResult, Store
from kagglekit.train import train
from kagglekit.workspace import Workspace


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
    extra = {"lightgbm": 'n_jobs = 1\nrefit = "always"', "forest": ""}.get(model, "n_neighbors = 1")
    prepared, pipeline, store = start(tmp_path, experiment(model, extra), (train_frame, test, sample))
    run = train(prepared, pipeline.experiment("it"), store)
    chance = prepared.y.value_counts(normalize=True).max()
    assert run.score < chance + 0.1


SMALL_TREES = "n_jobs = 1\nlearning_rate = 0.3\nearly_stopping_rounds = 5"
RECIPE = '[features.more]\ntarget_encode = ["soil"]\n'


@pytest.mark.parametrize("features", ["", 'features = "more"'])
def test_a_refit_is_the_fit_by_hand_on_all_rows_for_as_long(tmp_path, features):
    prepared, pipeline, _ = start(tmp_path, RECIPE + experiment("lightgbm", f"{SMALL_TREES}\n{features}"))
    once = pipeline.experiment("it")
    split = next(iter(prepared.folds.splits()))
    stopped, again = (
        job.fitted(split, job.estimator(once.seed))
        for job in (Job(prepared, replace(once, refit=rule), Silent()) for rule in ("never", "small"))
    )
    rounds = (stopped.estimator_ if features else stopped).n_estimators_
    key = "estimator__n_estimators" if features else "n_estimators"
    X, y = prepared.X.loc[split.fit_ids], prepared.y.loc[split.fit_ids]
    by_hand = Job(prepared, once, Silent()).estimator(once.seed).set_params(**{key: rounds}).fit(X, y)
    scored = prepared.X.loc[split.score_ids]
    np.testing.assert_array_equal(again.predict_proba(scored), by_hand.predict_proba(scored))
    assert np.abs(again.predict_proba(scored) - stopped.predict_proba(scored)).max() > 0


def test_a_refit_of_folds_that_share_bins_is_on_all_rows_too(tmp_path, monkeypatch):
    monkeypatch.setattr(boost, "_SHARED_FROM", 10)
    prepared, pipeline, _ = start(
        tmp_path, experiment("lightgbm", f'{SMALL_TREES}\nbagging_fraction = 1.0\nrefit = "always"')
    )
    job = Job(prepared, pipeline.experiment("it"), Silent())
    split = next(iter(prepared.folds.splits()))
    assert job.shared is not None
    model = job.fitted(split, job.estimator(42))
    assert model.n_estimators is not None
    root = model.booster_.dump_model()["tree_info"][0]["tree_structure"]
    assert root["internal_count"] == len(split.fit_ids)


def test_small_tables_are_refitted_and_large_ones_are_not():
    plain = Experiment("it", "x", "lightgbm", {})
    small, always = (replace(plain, refit=rule) for rule in ("small", "always"))
    assert [e.refits(10_000) for e in (plain, small, always)] == [False, True, True]
    assert [e.refits(10_001) for e in (plain, small, always)] == [False, False, True]
    assert "refit" not in plain.settings
    assert small.settings["refit"] == "small"


@pytest.mark.parametrize(
    ("model", "extra"), [("forest", ""), ("lightgbm", "bags = 3"), ("lightgbm", 'bags = 3\nvalidation = "oob"')]
)
def test_a_refit_of_what_does_not_stop_early_is_refused(tmp_path, model, extra):
    prepared, pipeline, store = start(tmp_path, experiment(model, f'refit = "always"\n{extra}'))
    with pytest.raises(ConfigError, match=f"refit is for models that stop early, and '{model}'"):
        train(prepared, pipeline.experiment("it"), store)


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


GROUPED = PIPELINE.replace('target = "colour"', 'target = "colour"\ngroup = "field"').replace("stratified", "group")
DATED = PIPELINE.replace('target = "colour"', 'target = "colour"\ntime = "day"').replace("stratified", "time")


def grouped_frames():
    frames = tables()
    frames[0]["field"] = [f"field {i % 9}" for i in range(len(frames[0]))]
    return frames


def dated_frames():
    train_frame, test, sample = tables()
    when = pd.date_range("2026-01-01", periods=len(train_frame) + len(test), freq="D").strftime("%Y-%m-%d")
    return train_frame.assign(day=when[: len(train_frame)]), test.assign(day=when[len(train_frame) :]), sample


def bagged(model: str, extra: str = "", base: str = PIPELINE, validation: str = "oob") -> str:
    return f'{base}\n[experiments.it]\nwhy = "x"\nmodel = "{model}"\nvalidation = "{validation}"\n{extra}\n'


@pytest.mark.parametrize(
    ("text", "frames", "says"),
    [
        (bagged("forest", base=GROUPED), grouped_frames, "share groups .* bags = 20, which draws whole groups"),
        (bagged("forest", "n_estimators = 1"), tables, "in every bag .* n_estimators = 100"),
        (bagged("linear", "bags = 1"), tables, r"5\d of 90 rows are in every bag .* bags = 20"),
        (bagged("majority"), tables, "no out-of-bag .* bags = 20"),
        (bagged("linear", "bags = 5", base=DATED), dated_frames, "fitted on later rows"),
        (bagged("forest", base=DATED), dated_frames, "fitted on later rows"),
    ],
)
def test_out_of_bag_is_refused_where_it_would_flatter_or_cannot_be_had(tmp_path, text, frames, says):
    prepared, pipeline, store = start(tmp_path, text, frames())
    with pytest.raises((ConfigError, DataError), match=says) as error:
        train(prepared, pipeline.experiment("it"), store)
    assert "\n" not in str(error.value)


class Told(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


@pytest.mark.parametrize(("model", "extra"), [("lightgbm", "n_jobs = 1\nbags = 4"), ("forest", "n_estimators = 3")])
def test_rows_in_every_bag_are_said_counted_and_left_out_of_the_score(tmp_path, model, extra):
    prepared, pipeline, store = start(tmp_path, bagged(model, extra))
    told = Told()
    train(prepared, pipeline.experiment("it"), store, progress=told)
    run = store.load(run_id(prepared, pipeline.experiment("it")))
    never = prepared.folds.ids.difference(run.oof.ids)
    assert run.kind == "oob"
    assert 0 < run.unscored == len(never) < 45
    assert len(told.lines) == 1
    assert f"{len(never)} of 90 rows are in every bag" in told.lines[0]
    folds = prepared.folds.assignment["repeat_0"].loc[run.oof.ids]
    right = run.oof.frame.idxmax(axis=1) == prepared.y.loc[run.oof.ids]
    np.testing.assert_allclose(run.scores, right.groupby(folds).mean())
    other = train(prepared, pipeline.experiment("forest"), store)
    rows = board(prepared, pipeline, {"forest": other, "it": replace(run, parent="forest")})
    assert next(r for r in rows if r.name == "it").verdict in ("better", "worse", "no difference")


def test_bags_of_any_model_predict_out_of_bag_and_by_folds(tmp_path):
    base = PIPELINE.replace('"accuracy"', '"log_loss"')
    text = bagged("sklearn.tree.DecisionTreeClassifier", "bags = 12", base=base) + (
        '[experiments.folds]\nwhy = "x"\nbased_on = "it"\nvalidation = "folds"\n'
        '[experiments.tree]\nwhy = "x"\nbased_on = "it"\nbags = 0\nvalidation = "folds"\n'
    )
    prepared, pipeline, store = start(tmp_path, text)
    runs = {name: train(prepared, pipeline.experiment(name), store) for name in ("it", "folds", "tree")}
    assert [r.kind for r in runs.values()] == ["oob", "oof", "oof"]
    assert max(runs["it"].score, runs["folds"].score) < runs["tree"].score / 2
    assert runs["folds"].test.frame.nunique().min() > runs["tree"].test.frame.nunique().max(), "36 trees, not 3"
    assert runs["folds"].unscored == 0


@pytest.mark.parametrize("validation", ["oob", "folds"])
@pytest.mark.parametrize("model", ["sklearn.neighbors.KNeighborsClassifier", "lightgbm"])
def test_bags_on_random_labels_score_like_chance(tmp_path, model, validation):
    train_frame, test, sample = tables(n_train=300)
    train_frame["colour"] = np.random.default_rng(5).permutation(train_frame["colour"].to_numpy())
    extra = "n_jobs = 1" if model == "lightgbm" else "n_neighbors = 1"
    text = bagged(model, f"{extra}\nbags = 8", validation=validation)
    prepared, pipeline, store = start(tmp_path, text, (train_frame, test, sample))
    run = train(prepared, pipeline.experiment("it"), store)
    assert run.score < prepared.y.value_counts(normalize=True).max() + 0.1


def test_out_of_bag_on_groups_draws_whole_groups(tmp_path):
    """Labels that only the group tells: a neighbour from the same group would know them."""
    frames = grouped_frames()
    colour = np.random.default_rng(1).choice(["blue", "red", "white"], 30)
    frames[0]["field"] = [f"field {i % 30}" for i in range(90)]
    frames[0]["petal"] = [i % 30 + i / 1000 for i in range(90)]
    frames[0]["colour"] = [colour[i * 7 % 30] for i in range(90)]
    text = bagged("sklearn.neighbors.KNeighborsClassifier", "n_neighbors = 1\nbags = 15", base=GROUPED)
    prepared, pipeline, store = start(tmp_path / "groups", text, frames)
    grouped = train(prepared, pipeline.experiment("it"), store)
    loose = text.replace('group = "field"\n', "").replace('scheme = "group"', 'scheme = "kfold"')
    prepared, pipeline, store = start(tmp_path / "rows", loose, frames)
    assert grouped.score < train(prepared, pipeline.experiment("it"), store).score - 0.2


def test_bags_change_the_id_and_their_absence_keeps_it(tmp_path):
    prepared, pipeline, _ = start(tmp_path)
    plain = pipeline.experiment("forest")
    ids = {run_id(prepared, replace(plain, bags=bags)) for bags in (0, 5, 6)}
    assert len(ids) == 3
    assert run_id(prepared, plain) in ids
    assert "bags" not in plain.settings
    assert replace(plain, bags=5).changes(plain) == {"bags": (None, 5)}


def test_bags_of_an_image_model_share_the_cache_and_the_bar(tmp_path):
    X = picture_table(0)
    y, settings = (
        picture_target(X, "classification"),
        {"arch": "test_resnet", "weights": "random", "size": 32, "C": 0.01},
    )
    facts = Competition("s", "image-classification", "log_loss", "id", "label", ("blast", "normal", "tungro"))
    folds = make_folds(X.index, scheme="kfold", n=3, seed=0)
    test = X.iloc[:9].set_axis([f"t{i}" for i in range(9)])
    prepared = Prepared(facts, X.assign(label=y), test, pd.DataFrame(), folds, "data", tmp_path / "cache")
    wanted = Experiment("it", "x", "timm-features", settings, validation="oob", bags=3)
    run = train(prepared, wanted, Store(tmp_path / "runs"), progress=RichProgress())
    assert run.score < 0.7 * np.log(3)
    assert run.unscored == len(X) - len(run.oof.ids)
    assert len(list((tmp_path / "cache").glob("features-*"))) == 3, "random weights: each bag's network is its own"


class Breaking(Silent):
    """A power cut after so many training batches."""

    def __init__(self, n_batches: int) -> None:
        self.left = n_batches

    @contextmanager
    def task(self, name, total):
        yield self if name.startswith("train") else NoTask()

    def advance(self, steps=1.0):
        self.left -= steps
        if self.left < 0:
            raise KeyboardInterrupt

    def note(self, text):
        pass


class NoTask:
    def advance(self, steps=1.0):
        pass


def test_a_fold_of_an_image_model_that_was_broken_off_goes_on_inside(tmp_path):
    X = picture_table(0)
    facts = Competition("s", "image-classification", "log_loss", "id", "label", ("blast", "normal", "tungro"))
    folds = make_folds(X.index, scheme="kfold", n=3, seed=0)
    test = X.iloc[:9].set_axis([f"t{i}" for i in range(9)])
    labelled = X.assign(label=picture_target(X, "classification"))
    prepared = Prepared(facts, labelled, test, pd.DataFrame(), folds, "data", tmp_path / "cache")
    settings = {"arch": "test_resnet", "weights": "random", "size": 32, "epochs": 3, "freeze_epochs": 0}
    wanted, store = Experiment("it", "x", "timm", settings), Store(tmp_path / "runs")
    with pytest.raises(KeyboardInterrupt):
        train(prepared, wanted, store, progress=Breaking(9 + 5))  # 3 batches an epoch: in the second of the second fold
    run_folder = tmp_path / "runs" / run_id(prepared, wanted)
    (kept,) = run_folder.glob(".checkpoints/*/*.safetensors")
    assert kept.parent.name == "fold-1" and store.folds(run_folder.name) == ["fold-0"]
    run = train(prepared, wanted, store, progress=Breaking(6 + 3 + 9))  # one epoch of the second fold is not done again
    plain = train(prepared, wanted, Store(tmp_path / "plain"))
    np.testing.assert_allclose(run.oof.frame, plain.oof.frame, atol=1e-6)
    assert not (run_folder / ".checkpoints").exists()


@pytest.mark.parametrize("bags", [0, 2])
def test_models_in_bags_keep_how_far_they_are_too(tmp_path, bags):
    facts = Competition("s", "image-classification", "log_loss", "id", "label", ("a", "b"))
    prepared = Prepared(facts, *[pd.DataFrame()] * 3, None, "data", tmp_path / "cache")
    with Store(tmp_path).draft("it-0", {}) as draft:
        job = Job(prepared, Experiment("it", "x", "timm", {}, bags=bags), Silent(), checkpoints=draft.checkpoints)
        found = job.kept(job.estimator(0), "fold-0").get_params()
    name = "estimator__checkpoint_dir" if bags else "checkpoint_dir"
    assert found[name] == str(tmp_path / "it-0" / ".checkpoints" / "fold-0")


def test_bagged_values_are_in_the_targets_own_unit(tmp_path):
    train_frame, test, sample = tables()
    train_frame["colour"] = np.exp(train_frame["petal"].fillna(0))
    text = PIPELINE.replace('"classification"', '"regression"').replace('"accuracy"', '"rmsle"')
    text = bagged("linear", 'bags = 8\ntarget_transform = "log1p"', base=text.replace('"majority"', '"mean"'))
    prepared, pipeline, store = start(tmp_path, text, (train_frame, test, sample.assign(colour=1.0)))
    run = train(prepared, pipeline.experiment("it"), store)
    assert run.oof.columns == run.test.columns == ("colour",)
    assert run.score < 0.3
    assert run.oof.frame["colour"].max() > 5
    assert train(prepared, pipeline.experiment("forest-oob"), store).kind == "oob"


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
    prepared, pipeline, store = start(tmp_path, DATED, dated_frames())
    run = train(prepared, pipeline.experiment("forest"), store)
    assert set(run.oof.ids) == set(prepared.folds.scored_ids)
    assert len(run.oof.ids) < len(prepared.train)
    assert run.unscored == 0
    first_scored = prepared.train.loc[run.oof.ids, "day"].min()
    unscored = prepared.train.drop(run.oof.ids)["day"].max()
    assert unscored < first_scored


def recipes(validation: str, extra: str = "") -> str:
    return (
        f'{PIPELINE}\n[features.plot]\ntarget_encode = ["code"]\n'
        f'[experiments.it]\nwhy = "x"\nmodel = "forest"\nn_estimators = 40\nfeatures = "plot"\n'
        f'validation = "{validation}"\n{extra}\n'
    )


def coded_frames():
    """Labels that are chance, and a column in which pairs of rows share a code."""
    train_frame, test, sample = tables(n_train=240)
    train_frame["colour"] = np.random.default_rng(5).permutation(train_frame["colour"].to_numpy())
    return train_frame.assign(code=[f"c{i // 2}" for i in range(240)]), test.assign(code="c0"), sample


@pytest.mark.parametrize(("validation", "extra"), [("folds", ""), ("oob", "bags = 5")])
def test_an_encoded_code_makes_chance_no_better(tmp_path, validation, extra):
    prepared, pipeline, store = start(tmp_path, recipes(validation, extra), coded_frames())
    run = train(prepared, pipeline.experiment("it"), store)
    assert run.score < prepared.y.value_counts(normalize=True).max() + 0.1
    assert run.settings["features"] == {"target_encode": ["code"]}


def test_trees_do_not_share_an_encoding_out_of_bag(tmp_path):
    prepared, pipeline, store = start(tmp_path, recipes("oob"), coded_frames())
    with pytest.raises(ConfigError, match=r"serves all trees.*bags = 20"):
        train(prepared, pipeline.experiment("it"), store)


def test_recipes_that_ask_for_a_column_left_out_are_refused(tmp_path):
    prepared, pipeline, store = start(tmp_path, recipes("folds", 'drop = ["code"]'), coded_frames())
    with pytest.raises(ConfigError, match="no column 'code'"):
        train(prepared, pipeline.experiment("it"), store)


PUPIL = """
[experiments.pupil]
why = "test rows may help"
based_on = "it"
pseudo = "it"
"""


@pytest.mark.parametrize(("extra", "more"), [('drop = ["shade"]', PUPIL), ("", PUPIL + 'drop = ["shade"]\n')])
def test_nothing_is_trained_or_promised_where_a_later_experiment_cannot_be(tmp_path, extra, more):
    write_raw(tmp_path / "data" / "arena" / SLUG, *tables())
    write_pipeline(tmp_path, changed_keys(extra, more=more))
    flow = Flow("flowers", Workspace(tmp_path, "arena"), Remembering())
    with pytest.raises(ConfigError, match="no column 'shade'"):
        flow.train(["majority", "pupil"])
    with pytest.raises(ConfigError, match="no column 'shade'"):
        flow.train_within(Pace(), ["majority", "pupil"])
    assert flow.store.ids() == []
    assert not any("Training" in words for words in flow.progress.said)


def changed_keys(extra: str, model: str = "extra-trees", more: str = "") -> str:
    return f'{PIPELINE}\n[experiments.it]\nwhy = "x"\nmodel = "{model}"\nn_estimators = 5\noob = false\n{extra}\n{more}'


def test_models_of_several_seeds_are_averaged_and_each_is_scored(tmp_path):
    prepared, pipeline, store = start(tmp_path, changed_keys("seeds = 3"))
    run = train(prepared, pipeline.experiment("it"), store)
    assert [len(scores) for scores in run.seed_scores] == [3, 3, 3]
    assert len(set(run.seed_scores)) > 1
    alone = train(prepared, replace(pipeline.experiment("it"), seeds=1), store)
    assert alone.seed_scores == ()
    assert store.load(run.id).seed_scores == run.seed_scores
    assert [scores[0] for scores in run.seed_scores] == list(alone.scores)
    assert not np.allclose(run.oof.frame, alone.oof.frame)


def test_calibrated_predictions_are_scored(tmp_path):
    text = changed_keys('calibrate = "clip"').replace('metric = "accuracy"', 'metric = "log_loss"')
    prepared, pipeline, store = start(tmp_path, text)
    run = train(prepared, pipeline.experiment("it"), store)
    plain = train(prepared, replace(pipeline.experiment("it"), calibrate="none"), store)
    assert run.score < plain.score
    assert run.settings["calibrate"] == "clip"


LABELLED = """
[experiments.pseudo]
why = "x"
based_on = "it"
pseudo = "it"
pseudo_share = 1.0
"""


def test_test_rows_are_labelled_by_the_model_that_never_saw_the_fold(tmp_path):
    prepared, pipeline, store = start(tmp_path, changed_keys("", more=LABELLED))
    wanted = pipeline.experiment("pseudo")
    run = train(prepared, wanted, store)
    assert store.find("it")
    assert run.settings["pseudo"]["run"] == store.find("it")[0]
    assert set(run.oof.ids) == set(prepared.train.index)
    assert wanted.changes(pipeline.experiment("it")) == {"pseudo": (None, "it"), "pseudo_share": (None, 1.0)}


def test_labelled_test_rows_count_for_less_where_the_model_weighs_rows(tmp_path):
    text = changed_keys("", more=LABELLED + "pseudo_weight = 0.05\n")
    prepared, pipeline, store = start(tmp_path, text)
    wanted = pipeline.experiment("pseudo")
    light = train(prepared, wanted, store)
    full = train(prepared, replace(wanted, pseudo_weight=1.0), store)
    assert light.settings["pseudo"]["weight"] == 0.05
    assert "weight" not in full.settings["pseudo"]
    assert not light.oof.frame.equals(full.oof.frame)
    for change in ({"model": "knn", "params": {}}, {"bags": 3}):
        with pytest.raises(ConfigError, match="needs a model that weighs rows"):
            train(prepared, replace(wanted, **change), store)


def test_folds_fitted_side_by_side_get_their_test_rows_too(tmp_path):
    prepared, pipeline, store = start(tmp_path, changed_keys("", more=LABELLED))
    alone = train(prepared, pipeline.experiment("pseudo"), store)
    beside = train(prepared, pipeline.experiment("pseudo"), Store(tmp_path / "beside"), n_jobs=2)
    pd.testing.assert_frame_equal(alone.oof.frame, beside.oof.frame)


def test_labelled_test_rows_make_chance_no_better(tmp_path):
    """Test rows that are the training rows themselves: a label by any model that saw one would be its own."""
    train_frame, test, sample = tables(n_train=150, n_test=150)
    train_frame["colour"] = np.random.default_rng(5).permutation(train_frame["colour"].to_numpy())
    test = test.assign(**{c: train_frame[c].to_numpy() for c in test.columns[1:]})
    prepared, pipeline, store = start(tmp_path, changed_keys("", more=LABELLED), (train_frame, test, sample))
    run = train(prepared, pipeline.experiment("pseudo"), store)
    assert run.score < prepared.y.value_counts(normalize=True).max() + 0.1
