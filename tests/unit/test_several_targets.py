"""Several targets: the metric, the folds, one fit for each, and blends with weights for each."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import gardens
import numpy as np
import pandas as pd
import pytest
from flowers import write_pipeline, write_raw
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk
from sklearn.tree import DecisionTreeClassifier
from vision_cases import picture_table, picture_target

from kagglekit.blend.crossfit import fit_members
from kagglekit.blend.methods import make_blender
from kagglekit.board import board
from kagglekit.config import Experiment, Pipeline, load_pipeline
from kagglekit.contracts import Competition, Predictions
from kagglekit.dataset import Prepared, RawData
from kagglekit.decisions import fit_cut
from kagglekit.drift.copies import find_copies
from kagglekit.drift.inflation import measure_inflation
from kagglekit.ensemble import ensemble
from kagglekit.errors import ConfigError, DataError, KagglekitError, PredictionsError, SubmissionError, UsageError
from kagglekit.folds import joint_strata, make_folds, strata_of
from kagglekit.forecast import Budget
from kagglekit.forms import grade, to_submission
from kagglekit.inspect import Subject
from kagglekit.inspect.by_target import Worth
from kagglekit.inspect.importance import ColumnImportance, Importance, measure_importance
from kagglekit.metrics import COLUMNWISE, get_metric
from kagglekit.models import registry
from kagglekit.models.several import PerTarget
from kagglekit.portfolio import offered, run_portfolio
from kagglekit.prepare import prepare
from kagglekit.refit import refit
from kagglekit.report.importance import importance_section, permutation_importance
from kagglekit.report.losses import loss_facts, losses, losses_by_target
from kagglekit.report.material import Material
from kagglekit.report.targets import target_scores, targets_section
from kagglekit.scoring import decide
from kagglekit.search.fresh import on_fresh_folds
from kagglekit.store import Store
from kagglekit.train import train

PEERS = {
    "columnwise_log_loss": lambda y, p, w: sk.log_loss(y, p, sample_weight=w, labels=[0, 1]),
    "columnwise_roc_auc": lambda y, p, w: sk.roc_auc_score(y, p, sample_weight=w),
    "columnwise_f1": lambda y, p, w: sk.f1_score(y, p > 0.5, sample_weight=w),
    "columnwise_rmse": lambda y, p, w: sk.root_mean_squared_error(y, p, sample_weight=w),
    "columnwise_mae": lambda y, p, w: sk.mean_absolute_error(y, p, sample_weight=w),
    "columnwise_r2": lambda y, p, w: sk.r2_score(y, p, sample_weight=w),
}


def start(tmp_path: Path, text: str = gardens.PIPELINE, **given) -> tuple[Prepared, Pipeline, Store]:
    frames = gardens.tables(**given)
    raw = write_raw(tmp_path / "data" / gardens.SLUG, frames["train"], frames["test"], frames["sample_submission"])
    pipeline = load_pipeline(write_pipeline(tmp_path, text), check_params=registry.check)
    return prepare(raw, pipeline), pipeline, Store(tmp_path / "runs")


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 9999), name=st.sampled_from(sorted(PEERS)), n_targets=st.integers(2, 4))
def test_a_columnwise_metric_is_the_mean_of_each_columns_own(seed: int, name: str, n_targets: int) -> None:
    rng = np.random.default_rng(seed)
    metric, columns = get_metric(name), [f"t{i}" for i in range(n_targets)]
    is_labels = metric.of_one_target.needs != "values"
    truth = np.vstack([np.eye(2)[:, [0] * n_targets], rng.integers(0, 2, (18, n_targets))])
    y = pd.DataFrame(truth.astype(int) if is_labels else rng.normal(size=truth.shape), columns=columns)
    frame = pd.DataFrame(rng.uniform(0.01, 0.99, truth.shape), columns=columns)
    weight = pd.Series(rng.integers(1, 4, 20).astype(float))
    shuffled, classes = frame.sample(frac=1, random_state=seed)[columns[::-1]], (0, 1) if is_labels else ()
    for w in (None, weight):
        expected = np.mean([PEERS[name](y[c], frame[c], w) for c in columns])
        assert metric.score(y, shuffled, classes, w) == pytest.approx(expected)
    alone = [PEERS[name](y[c], frame[c], None) for c in columns]
    assert metric.each(y, shuffled, classes) == pytest.approx(alone)
    if metric.per_row is not None:
        rows = metric.per_row(metric.truth(y, classes), metric.predicted(frame.to_numpy(), classes))
        assert metric.finish(rows.mean()) == pytest.approx(metric.score(y, frame, classes))
    with pytest.raises(PredictionsError, match="one column for each target"):
        metric.score(y, frame[columns[1:]], classes)


def test_every_columnwise_metric_is_known_by_its_base() -> None:
    for name in COLUMNWISE:
        metric = get_metric(name)
        assert name == f"columnwise_{metric.of_one_target.name}"
        assert metric.greater_is_better == metric.of_one_target.greater_is_better
    with pytest.raises(ConfigError, match="columnwise_rmse"):
        get_metric("columnwise_rmes")


def facts(**changes) -> Competition:
    given = {
        "slug": "g",
        "task": "classification",
        "metric": "columnwise_roc_auc",
        "id": "bed",
        "target": "a, b",
        "classes": (0, 1),
        "form": "probabilities",
        "targets": ("a", "b"),
    }
    return Competition(**{**given, **changes})


def test_a_competition_of_several_targets_is_one_of_each() -> None:
    several = facts()
    assert several.columns == several.target_columns == ("a", "b")
    one = several.of("b")
    assert (one.metric, one.target, one.columns, one.form) == ("roc_auc", "b", ("0", "1"), "probability")
    assert one.targets == ()
    with pytest.raises(UsageError, match=r"Cleaning is for one target, and g has 2: a, b\. Look at the report\."):
        several.refuse_several("Cleaning", hint="Look at the report.")
    one.refuse_several("Cleaning", hint="")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"metric": "roc_auc"}, "columnwise_roc_auc"),
        ({"targets": ()}, "for one target"),
        ({"targets": ("a", "a")}, "must differ"),
        ({"classes": ("no", "yes")}, "must be 0 and 1"),
        ({"form": "label"}, "'probabilities'"),
        ({"metric": "columnwise_f1"}, "'labels'"),
        ({"decision": "threshold"}, "a metric of labels"),
    ],
)
def test_facts_that_contradict_each_other_are_refused(changes, words) -> None:
    with pytest.raises(ConfigError) as refusal:
        facts(**changes)
    assert words in str(refusal.value)


def test_folds_keep_the_shares_of_every_label() -> None:
    y = gardens.tables(n_train=400)["train"].set_index("bed")[list(gardens.LABELS)]
    strata = joint_strata(y, 4)
    folds = make_folds(y.index, scheme="stratified", n=4, seed=0, y=strata)
    shares = y.groupby(folds.assignment.iloc[:, 0]).mean()
    assert (shares - y.mean()).abs().to_numpy().max() < 0.02
    rare = pd.DataFrame({"a": [0, 1] * 20 + [1], "b": [0] * 40 + [1]})
    assert joint_strata(rare, 4).value_counts().min() >= 4
    numbers = gardens.tables(numbers=True)["train"][list(gardens.LABELS)]
    assert joint_strata(numbers, 3).corr(numbers.mean(axis=1)) > 0.9


def test_an_estimator_of_one_target_is_fitted_for_each() -> None:
    table = gardens.tables()["train"].set_index("bed")
    X, y = table[["rain", "sun", "wind"]], table[list(gardens.LABELS)].assign(never=0)
    model = PerTarget(DecisionTreeClassifier(max_depth=2, random_state=0)).fit(X, y)
    found = pd.DataFrame(model.predict_proba(X), columns=model.classes_)
    assert list(found) == [*gardens.LABELS, "never"]
    assert (found["never"] == 0).all()
    alone = DecisionTreeClassifier(max_depth=2, random_state=0).fit(X, y["slugs"])
    np.testing.assert_array_equal(found["slugs"], alone.predict_proba(X)[:, 1])
    np.testing.assert_array_equal(model.predict(X)[:, 2], alone.predict(X))
    with pytest.raises(DataError, match="another order"):
        PerTarget(alone).fit(X, y.iloc[::-1])


def test_prepared_several_targets_are_read_again_as_they_were(tmp_path: Path) -> None:
    prepared, pipeline, _ = start(tmp_path)
    again = prepare(RawData(tmp_path / "data" / gardens.SLUG), pipeline)
    assert again.competition == prepared.competition
    assert prepared.competition.targets == gardens.LABELS
    assert list(prepared.X) == ["rain", "sun", "wind"]
    pd.testing.assert_frame_equal(again.y, prepared.y)


def test_every_label_has_a_threshold_that_other_rows_chose() -> None:
    several = facts(metric="columnwise_f1", form="labels", decision="threshold")
    rng = np.random.default_rng(0)
    y = pd.DataFrame({"a": rng.random(300) < 0.1, "b": rng.random(300) < 0.5}).astype(int)
    frame = (0.2 * y + rng.uniform(0, 0.3, (300, 2))).astype(np.float32)
    reference, others = frame.iloc[:150], frame.iloc[150:]
    labels = decide(others, reference, y, several)
    for name in "ab":
        cut = fit_cut((y[name].iloc[:150] == 1).to_numpy(), reference[name].to_numpy(dtype=float), "f1")
        np.testing.assert_array_equal(labels[name] == 1, others[name] >= cut)
    metric = get_metric("columnwise_f1")
    assert metric.score(y.iloc[150:], labels, (0, 1)) > metric.score(y.iloc[150:], others, (0, 1)) + 0.2
    sample = pd.DataFrame({"bed": others.index, "a": 0, "b": 0})
    made = to_submission(Predictions(labels), several, sample)
    assert set(made["a"]) == {0, 1}
    assert grade(metric, y.iloc[150:], made, several, sample) == pytest.approx(
        metric.score(y.iloc[150:], labels, (0, 1))
    )
    with pytest.raises(SubmissionError, match="not among the classes"):
        grade(metric, y.iloc[150:], made.assign(a=2), several, sample)


@pytest.mark.parametrize("model", ["forest", "lightgbm"])
def test_random_labels_score_like_chance(tmp_path: Path, model: str) -> None:
    text = gardens.PIPELINE.replace("log_loss", "roc_auc")
    prepared, pipeline, store = start(tmp_path, text, n_train=240)
    shuffled = prepared.train.copy()
    order = np.random.default_rng(3).permutation(len(shuffled))
    shuffled[list(gardens.LABELS)] = prepared.y.to_numpy()[order]
    params = {"n_jobs": 1} if model == "lightgbm" else {"n_estimators": 20}
    one = Experiment(name="it", why="x", model=model, params=params)
    run = train(replace(prepared, train=shuffled), one, store)
    assert abs(run.score - 0.5) < 0.09
    learnt = train(prepared, pipeline.experiment("forest"), Store(tmp_path / "more"))
    assert learnt.score > 0.7
    assert learnt.oof.columns == gardens.LABELS


def test_several_numbers_are_transformed_and_come_back(tmp_path: Path) -> None:
    prepared, pipeline, store = start(tmp_path, gardens.NUMBERS, numbers=True)
    positive = prepared.train.assign(**{name: np.exp(prepared.train[name]) for name in gardens.LABELS})
    prepared = replace(prepared, train=positive)
    one = replace(pipeline.experiment("linear"), target_transform="log1p", bags=2)
    run = train(prepared, one, store)
    assert run.oof.columns == gardens.LABELS
    for name in gardens.LABELS:
        assert run.oof.frame[name].corr(prepared.y[name], method="spearman") > 0.5


def test_members_of_a_portfolio_that_stop_early_take_several_targets(tmp_path: Path) -> None:
    prepared, _, store = start(tmp_path)
    path = write_pipeline(tmp_path, gardens.PIPELINE)
    pipeline = load_pipeline(path, check_params=registry.check, offered=offered)
    chosen = pipeline.experiments["tabular-lightgbm-1"]
    quick = replace(chosen, params={**chosen.params, "n_estimators": 5, "n_jobs": 1})
    ran = run_portfolio(prepared, [quick], store, Budget(None), installed=lambda package: True)
    assert not ran.left_out
    assert ran.runs[quick.name].oof.columns == gardens.LABELS


def test_every_target_is_blended_by_itself_and_no_row_by_weights_that_it_chose(tmp_path: Path) -> None:
    prepared, pipeline, store = start(tmp_path)
    runs = {name: train(prepared, e, store) for name, e in pipeline.experiments.items()}
    run = ensemble("blend", pipeline.ensembles["blend"], runs, prepared, store)
    for name in gardens.LABELS:
        one = prepared.competition.of(name)
        given = {
            member: Predictions(pd.DataFrame({"0": 1 - r.oof.frame[name], "1": r.oof.frame[name]}))
            for member, r in runs.items()
        }
        alone = fit_members(
            make_blender("convex", {}, metric="log_loss", classes=(0, 1), seed=0),
            given,
            y=prepared.y[name],
            folds=prepared.folds,
            columns=one.columns,
        )
        np.testing.assert_allclose(run.oof.frame[name], alone.oof["1"].loc[run.oof.ids], rtol=1e-5)
        assert run.study["targets"][name] == pytest.approx(alone.weights)
    weights = pd.DataFrame(run.study["targets"])
    assert run.weights == pytest.approx(weights.mean(axis=1).to_dict())
    assert sum(run.weights.values()) == pytest.approx(1)
    metric = get_metric("columnwise_log_loss")
    assert run.score == pytest.approx(metric.score(prepared.y, run.oof.frame, (0, 1)), rel=0.02)
    assert run.fit_score is not None and run.fit_score < run.score
    alone_scores = {m["member"]: m["alone"] for m in run.study["members"]}
    assert alone_scores["linear"] == pytest.approx(metric.score(prepared.y, runs["linear"].oof.frame, (0, 1)))
    assert set(run.test.ids) == set(prepared.test.index)


def test_a_blend_of_several_noise_members_gains_nothing(tmp_path: Path) -> None:
    prepared, pipeline, store = start(tmp_path)
    run = train(prepared, pipeline.experiment("linear"), store)
    rng = np.random.default_rng(0)
    members = {}
    for name in "abcd":
        noise = {part: rng.uniform(0.3, 0.7, getattr(run, part).frame.shape) for part in ("oof", "test")}
        frames = {part: Predictions(getattr(run, part).frame * 0 + values) for part, values in noise.items()}
        members[name] = replace(run, name=name, **frames)
    blended = ensemble("blend", pipeline.ensembles["blend"], members, prepared, store)
    assert blended.fit_score is not None
    assert blended.score > blended.fit_score
    assert blended.score > np.log(2) * 0.98


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('target = ["aphids", "mildew", "slugs"]', 'target = ["aphids"]', "target is a list of 1"),
        ('"columnwise_log_loss"', '"log_loss"', "columnwise_log_loss"),
        ('"columnwise_log_loss"', '"columnwise_rmse"', "scores numbers"),
        ('"slugs"]', '"rain"]', "must hold 0 and 1; 'rain' holds"),
        ('"slugs"]', '"slug"]', "Did you mean 'slugs'"),
        ('model = "linear"', 'model = "linear"\ncalibrate = "temperature"', "calibrate is for one target"),
        ('model = "linear"', 'model = "linear"\nextra_targets = ["rain"]', 'is for model = "timm"'),
        ('model = "linear"', 'model = "timm"\nextra_targets = ["slugs"]', "or it is the target"),
        ('model = "linear"', 'model = "timm"\nextra_targets = ["rain"]\nextra_weights = [1, 2]', "one number for each"),
        (
            'model = "linear"',
            'model = "timm"\nextra_targets = ["rain"]\nfeatures = "f"\n\n[features.f]\nratios = [["rain", "sun"]]',
            "does not go with features",
        ),
    ],
)
def test_what_several_targets_cannot_have_is_said_in_one_line(tmp_path: Path, old: str, new: str, words: str) -> None:
    with pytest.raises(KagglekitError) as refusal:
        start(tmp_path, gardens.PIPELINE.replace(old, new, 1))
    assert words in str(refusal.value)
    assert "\n" not in str(refusal.value)


TINY = {"arch": "test_resnet", "weights": "random", "size": 32, "epochs": 1, "freeze_epochs": 0}


def of_pictures(cache: Path, competition: Competition, answers: pd.DataFrame) -> Prepared:
    """A prepared competition of noisy one-colour pictures with these columns beside the path."""
    X = picture_table(0)[["path"]]
    return Prepared(
        competition=competition,
        train=X.join(answers),
        test=X.set_axis([f"t{i}" for i in range(len(X))], axis=0),
        sample=pd.DataFrame(),
        folds=make_folds(X.index, scheme="kfold", n=2, seed=0),
        data="d",
        cache=cache,
    )


def test_an_image_model_learns_several_labels_in_one_fit(tmp_path: Path) -> None:
    y = picture_target(picture_table(0), "classification")
    answers = pd.DataFrame({"a": (y == "blast").astype(int), "b": (y != "tungro").astype(int)})
    several = facts(task="image-classification", metric="columnwise_f1", form="labels", decision="threshold")
    prepared = of_pictures(tmp_path / "cache", several, answers)
    one = Experiment("it", "x", "timm", {**TINY, "epochs": 8, "lr": 1e-2, "augment": False, "early_stopping": True})
    run = train(prepared, one, Store(tmp_path / "runs"))
    assert run.oof.columns == ("a", "b")
    assert run.score > 0.8
    fitted = refit(prepared, one, next(prepared.folds.splits())).estimator
    assert fitted.objective_.names == ("a", "b")


def test_extra_targets_reach_the_fit_rows_only_and_no_input(tmp_path: Path) -> None:
    y = picture_target(picture_table(0), "classification")
    age = np.where(np.arange(66) % 5, np.arange(66.0), np.nan)
    table = pd.DataFrame({"y": y, "variety": ["u", "v", None] * 22, "age": age}, index=y.index)
    single = Competition("pics", "image-classification", "accuracy", "id", "y", classes=tuple(sorted(set(y))))
    prepared = of_pictures(tmp_path / "cache", single, table)
    one = Experiment("it", "x", "timm", TINY, extra_targets=("variety", "age"), extra_weights=(0.5, 0.1))
    split = next(prepared.folds.splits())
    fitted = refit(prepared, one, split)
    heads = {e.name: e for e in fitted.estimator.objective_.extras}
    assert {name: head.weight for name, head in heads.items()} == {"variety": 0.5, "age": 0.1}
    known = table.loc[split.fit_ids, "age"]
    assert heads["age"].objective.mean[0] == pytest.approx(known.mean())
    assert list(fitted.estimator.feature_names_in_) == ["path"]
    assert fitted.predict(fitted.test).shape == (66, 3)
    with pytest.raises(ConfigError, match="no column 'agee'"):
        refit(prepared, replace(one, extra_targets=("agee",)), split)


@pytest.mark.parametrize("several", [False, True])
def test_bags_learn_extra_targets_of_the_rows_that_they_drew(tmp_path: Path, several: bool) -> None:
    y = picture_target(picture_table(0), "classification")
    table = pd.DataFrame({"y": y, "age": np.arange(66.0)}, index=y.index)
    facts_ = Competition("pics", "image-classification", "accuracy", "id", "y", classes=tuple(sorted(set(y))))
    if several:
        table = table.drop(columns="y").assign(a=(y == "blast").astype(int), b=(y != "tungro").astype(int))
        facts_ = facts(task="image-classification", metric="columnwise_f1", form="labels", decision="threshold")
    prepared = of_pictures(tmp_path / "cache", facts_, table)
    one = Experiment("it", "x", "timm", TINY, bags=2, extra_targets=("age",), extra_weights=(0.5,))
    fitted = refit(prepared, one, next(prepared.folds.splits())).estimator
    for bags in fitted.estimators_.values() if several else [fitted]:
        for bag, drawn in zip(bags.estimators_, bags.in_bag_, strict=True):
            (head,) = bag.objective_.extras
            assert head.weight == 0.5
            known = table.loc[prepared.folds.ids, "age"]
            assert head.objective.mean[0] != known.mean(), "those drawn alone"
            assert 0 < drawn.sum() < len(drawn)
    if not several:
        run = train(prepared, replace(one, validation="oob", bags=3), Store(tmp_path / "runs"))
        assert run.oof.frame.notna().all(axis=None)


@pytest.mark.parametrize("numbers", [False, True])
def test_a_report_scores_each_target_as_a_competition_of_it_alone_would(tmp_path: Path, numbers: bool) -> None:
    prepared, pipeline, store = start(tmp_path, gardens.NUMBERS if numbers else gardens.PIPELINE, numbers=numbers)
    run = train(prepared, pipeline.experiment("linear"), store)
    material = Material("Gardens", "arena", prepared, {"linear": run}, board(prepared, pipeline, {"linear": run}, []))
    peer = PEERS[prepared.competition.metric]
    scores = target_scores(material, material.decided(run))
    assert list(scores) == list(gardens.LABELS)
    for name, found in scores.items():
        assert found.score == pytest.approx(peer(prepared.y[name], run.oof.frame[name].loc[prepared.y.index], None))
        assert found.low < found.score < found.high
    each = losses_by_target(prepared, run)
    if not numbers:
        assert each.mean().mean() == pytest.approx(np.mean([s.score for s in scores.values()]))
    ranked = losses(prepared, run)
    assert ranked.is_monotonic_decreasing
    worst = each.loc[ranked.index[0]]
    lines = dict(loss_facts(prepared, run, ranked.index[0]))
    assert lines["bed"] == ranked.index[0] and lines["worst at"] == worst.idxmax()
    section = targets_section(material)
    assert section is not None and section.blocks[1].rows[0][0] in gardens.LABELS
    _, columns = permutation_importance(material)
    assert columns[0].mean == pytest.approx(np.mean([*columns[0].targets.values()]))
    table = importance_section(material).blocks[1]
    assert [head.title for head in table.columns][3:] == list(gardens.LABELS)


def test_errors_in_units_of_their_own_stand_on_one_scale(tmp_path: Path) -> None:
    prepared, pipeline, _ = start(tmp_path, gardens.NUMBERS, numbers=True)
    y = prepared.y * [1.0, 1000.0, 0.001]
    scaled = replace(prepared, train=prepared.train.assign(**y))
    charts = []
    for data, folder in ((prepared, "as-they-are"), (scaled, "scaled")):
        run = train(data, pipeline.experiment("linear"), Store(tmp_path / folder))
        told = Material("Gardens", "arena", data, {"linear": run}, board(data, pipeline, {"linear": run}, []))
        charts.append(targets_section(told).blocks[0].words)
    assert charts[0] == charts[1], "the unit of a target changes nothing"
    assert "in standard deviations of the target" in charts[0]


def test_what_is_said_of_many_targets_alike_is_said_once(tmp_path: Path) -> None:
    prepared, pipeline, store = start(tmp_path, gardens.PIPELINE.replace('"convex"', '"auto"'))
    runs = {name: train(prepared, e, store) for name, e in pipeline.experiments.items()}
    reason = ensemble("blend", pipeline.ensembles["blend"], runs, prepared, store).study["reason"]
    assert reason.startswith("Each target: auto mixed") and reason.count("auto mixed") == 1


@pytest.mark.parametrize("numbers", [False, True])
def test_importance_says_what_each_target_is_told_by(tmp_path: Path, numbers: bool) -> None:
    prepared, pipeline, store = start(tmp_path, gardens.NUMBERS if numbers else gardens.PIPELINE, numbers=numbers)
    run = train(prepared, pipeline.experiments["linear"], store)
    subject = Subject(prepared, pipeline.experiments["linear"], run)
    found = measure_importance(subject)
    for column in found.columns:
        assert column.mean == pytest.approx(np.mean([worth.mean for worth in column.targets.values()]))
    most = {name: max(column.targets[name].mean for column in found.columns) for name in gardens.LABELS}
    told = {c.column: {name for name, worth in c.targets.items() if worth.mean > most[name] / 4} for c in found.columns}
    assert told == {"rain": {"aphids", "mildew"}, "sun": {"aphids", "slugs"}, "wind": {"mildew"}}, "as gardens are made"
    table = found.table().set_index("column")
    assert table.loc["sun", "slugs mean"] == pytest.approx(
        found.columns[[*table.index].index("sun")].targets["slugs"].mean
    )
    lines = found.words()
    (head,) = [line for line in lines if line.split() == list(gardens.LABELS)]
    for column, line in zip(found.columns, lines[lines.index(head) + 1 :], strict=False):
        bracketed = [figure.startswith("(") for figure in line.split()[1:]]
        assert line.split()[0] == column.column
        assert bracketed == [worth.is_weak for worth in column.targets.values()]
        assert len(line) <= len(head) + 1, "figures stand below their names"
    assert all(f">{name}<" in found.chart().svg for name in gardens.LABELS)


def test_many_targets_fit_into_the_lines_and_the_picture() -> None:
    names = [f"a rather long target {n}" for n in range(30)]
    columns = [
        ColumnImportance(f"c{n}", 0.1, 0.05, 0.2, None, (), {t: Worth(n * 1000.0, n - 1.0, 3000.0) for t in names})
        for n in range(3)
    ]
    found = Importance(tuple(columns), "columnwise_rmse", (1.0, 2.0), 5)
    _, _, block = "\n".join(found.words()).partition("Target by target")
    assert "24 targets more in the table" in block
    assert max(map(len, block.splitlines())) <= 110
    assert found.chart().svg.count(">a rather long") == 8
    assert found.table().shape == (3, 6 + 90)


def test_duplicates_of_several_targets_conflict_where_one_label_does(tmp_path: Path) -> None:
    prepared, _, _ = start(tmp_path)
    twins = prepared.train.iloc[:40].copy()
    twins.index = pd.Index([f"twin-{i}" for i in range(40)], name="bed")
    twins.iloc[:3, twins.columns.get_loc("slugs")] ^= 1
    both = pd.concat([prepared.train, twins])
    folds = make_folds(both.index, scheme="stratified", n=3, seed=0, y=strata_of(both[list(gardens.LABELS)], 3))
    doubled = replace(prepared, train=both, folds=folds)
    copies = find_copies(doubled, None)
    assert (len(copies.within_train), copies.conflicts) == (40, 3)
    gain = measure_inflation(doubled, copies, n_trees=5).linked
    assert gain.low < gain.mean < gain.high and gain.mean > 0
    again = on_fresh_folds(doubled)
    assert again.folds.fingerprint != folds.fingerprint and again.folds.n == 3
