"""Looking into tables of which the truth is known: a column that matters, its copy, noise, and planted leaks."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kagglekit.config import Experiment
from kagglekit.contracts import Competition, Split
from kagglekit.dataset import Prepared
from kagglekit.errors import UsageError
from kagglekit.folds import make_folds
from kagglekit.inspect import PARTS, Subject, inspect_table
from kagglekit.inspect.alike import as_order, rank_correlation
from kagglekit.inspect.dependence import measure_dependence
from kagglekit.inspect.findings import save_finding, standalone
from kagglekit.inspect.importance import Importance, measure_importance
from kagglekit.inspect.lint import lint
from kagglekit.inspect.redundancy import measure_redundancy
from kagglekit.inspect.shift import measure_shift
from kagglekit.inspect.spread import measure_spread
from kagglekit.inspect.trees import measure_trees
from kagglekit.inspect.waterfall import take_apart
from kagglekit.inspect.weak import drop_weak
from kagglekit.refit import refit
from kagglekit.store import Store
from kagglekit.train import train

N, N_TEST = 300, 60


def table(n: int, seed: int) -> pd.DataFrame:
    """`strong` decides, `level` helps, `copy` says what `strong` says, the others say nothing."""
    rng = np.random.default_rng(seed)
    strong = rng.normal(size=n)
    return pd.DataFrame(
        {
            "strong": strong,
            "copy": np.exp(strong + rng.normal(0, 0.05, n)),
            "level": rng.choice(["low", "middle", "high"], n),
            "noise": rng.normal(size=n),
            "coin": rng.choice(["heads", "tails"], n),
        },
        index=pd.Index(rng.permutation(n) + 1000 * seed, name="id"),
    )


def made(task: str = "regression", *, scheme: str = "kfold", n_classes: int = 2, n: int = N, **columns) -> Prepared:
    X = table(n, 1).assign(**columns)
    level = X["level"].map({"low": -1.0, "middle": 0.0, "high": 1.0})
    value = X["strong"] + 0.7 * level + np.random.default_rng(9).normal(0, 0.4, n)
    classes: tuple = ()
    if task == "classification":
        classes = tuple("abc"[:n_classes])
        value = pd.Series(np.array(classes)[pd.qcut(value, n_classes, labels=False)], index=X.index)
    test = table(N_TEST, 2).assign(**{name: X[name].to_numpy()[:N_TEST] for name in columns})
    dated = "day" in columns
    facts = Competition(
        "made", task, "accuracy" if classes else "rmse", "id", "y", classes, time="day" if dated else None
    )
    folds = make_folds(X.index, scheme=scheme, n=4, seed=3, time=X["day"] if dated else None)
    return Prepared(facts, X.assign(y=value), test, pd.DataFrame(), folds, "d", Path("cache"))


def experiment(model: str = "forest", **params) -> Experiment:
    small = {"forest": {"n_estimators": 20, "oob": False}, "lightgbm": {"n_estimators": 40, "min_data_in_leaf": 10}}
    return Experiment("it", "x", model, small.get(model, {}) | params, seed=5)


@cache
def subject(task: str = "regression", model: str = "forest", n_classes: int = 2) -> Subject:
    return of(made(task, n_classes=n_classes), experiment(model))


@cache
def importance(task: str = "regression", model: str = "forest") -> Importance:
    return measure_importance(subject(task, model))


@cache
def without_copy() -> Subject:
    data = made()
    return of(replace(data, test=data.test.drop(columns="copy")), experiment())


def of(data: Prepared, tried: Experiment, **limits) -> Subject:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        run = train(data, tried, Store(Path(folder)))
    return Subject(data, tried, run, **limits)


def test_the_models_are_the_runs_own():
    assert "They predict what the run stored." in subject().words()
    assert not subject().is_sampled


def test_a_large_table_is_sampled_and_says_so():
    few = of(made(), experiment(), most_fit=80, most_held=20)
    assert [len(s.fit_ids) for s in few.splits] == [80] * 4
    assert [len(s.score_ids) for s in few.splits] == [20] * 4
    assert "up to 80 rows of each fold and judged by up to 20 held-out rows: a sample of 300" in few.words()[0]


def test_other_settings_are_noticed():
    it = subject()
    other = replace(it.experiment, params={"n_estimators": 21})
    assert "otherwise than the run stored" in Subject(it.prepared, other, it.run).words()[1]


def test_what_decides_is_found_and_noise_is_not():
    found = measure_importance(without_copy())
    by_name = {c.column: c for c in found.columns}
    assert [c.column for c in found.columns[:2]] == ["strong", "level"]
    assert by_name["strong"].low > 0
    assert not by_name["strong"].is_weak
    assert {"noise", "coin"} <= set(found.weak)
    assert sum(c.own for c in found.columns) == pytest.approx(1)
    assert by_name["strong"].own == max(c.own for c in found.columns)
    assert all(c.low <= c.mean <= c.high for c in found.columns)
    told = ["column", "mean", "low", "high", "own", "alike"]
    assert list(found.as_json()["columns"][0]) == list(found.table()) == told, "of one target nothing more"


def test_a_copy_shares_the_importance_and_is_named():
    found, alone = importance(), measure_importance(without_copy())
    by_name = {c.column: c for c in found.columns}
    assert by_name["strong"].alike == ("copy",)
    assert by_name["copy"].alike == ("strong",)
    assert by_name["noise"].alike == ()
    assert by_name["strong"].mean < alone.columns[0].mean
    assert any("strong with copy" in line for line in found.words())


def test_linear_models_tell_no_share_of_their_own():
    found = importance(model="linear")
    assert all(c.own is None for c in found.columns)
    assert found.columns[0].column == "strong"


def test_dropping_noise_harms_nothing():
    found = drop_weak(subject(), importance())
    assert {"noise", "coin"} <= set(found.columns)
    assert len(found.same.whole) == 4
    assert len(found.fresh.whole) == 4
    assert found.fresh.difference.low > -0.15
    assert found.same.whole == importance().scores
    assert "on the rows that chose them, so too good" in found.words()[1]
    assert set(found.table()["rows"]) == {"the rows that chose", "other folds, honest"}


def test_nothing_weak_is_nothing_to_drop():
    data = made()
    few = of(replace(data, test=data.test[["strong", "level"]]), experiment())
    found = drop_weak(few, measure_importance(few))
    assert found.columns == ()
    assert found.chart() is None
    assert found.words() == ["Weak columns: none; every column is of use."]


def test_time_forward_folds_choose_by_the_past():
    data = made(scheme="time", day=np.arange(N))
    dated = of(data, experiment())
    found = drop_weak(dated, measure_importance(dated))
    assert found.fresh is None
    assert "needs five time-forward folds" in found.words()[-1]
    five = make_folds(data.train.index, scheme="time", n=5, seed=0, time=data.train["day"])
    dated = of(replace(data, folds=five), experiment())
    found = drop_weak(dated, measure_importance(dated))
    assert len(found.fresh.whole) == 2, "the first three folds choose only"


def test_copies_are_one_cluster():
    found = measure_redundancy(subject())
    assert found.clusters == (("strong", "copy"),)
    assert [one.columns for one in found.without] == [("strong",), ("copy",)]
    assert all(abs(one.difference.mean) < 0.1 for one in found.without), "each stands in for the other"
    assert found.table().iloc[0][["column", "other"]].tolist() == ["copy", "strong"]


def test_without_copies_there_is_no_cluster():
    found = measure_redundancy(without_copy())
    assert found.clusters == found.without == ()
    assert "no columns go together" in found.words()[0]
    json.dumps(found.as_json(), allow_nan=False)


def test_rank_correlation_is_scipys():
    from scipy.stats import spearmanr

    X = table(100, 4)[["strong", "copy", "noise"]]
    np.testing.assert_allclose(rank_correlation(X), spearmanr(X).statistic, atol=1e-12)


def test_levels_under_other_names_are_the_same_order():
    level = table(100, 4)["level"]
    other = level.map({"low": "z", "middle": "a", "high": "m"})
    np.testing.assert_array_equal(as_order(level), as_order(other))
    assert np.isnan(as_order(pd.Series(["a", None, "b"]))).tolist() == [False, True, False]
    days = as_order(pd.Series(["1970-01-02", "1970-01-04", None]))
    np.testing.assert_array_equal(days, [1, 3, np.nan])


def test_dependence_follows_the_truth():
    found = measure_dependence(subject(), importance())
    curves = {c.column: c for c in found.curves}
    assert np.corrcoef(curves["strong"].mean, curves["strong"].places)[0, 1] > 0.8
    level = dict(zip(curves["level"].values, curves["level"].mean, strict=True))
    assert level["low"] < level["middle"] < level["high"]
    assert sum(curves["level"].counts) == N
    assert all(
        low <= mean <= high
        for low, mean, high in zip(*(getattr(curves["noise"], k) for k in ("low", "mean", "high")), strict=True)
    )


def test_the_mean_of_the_lines_is_the_curve():
    few = of(made(n=80), experiment())
    curve = measure_dependence(few, measure_importance(few)).curves[0]
    split, fit = few.splits[0], few.fits[0]
    X = fit.X.loc[split.score_ids].assign(**{curve.column: float(curve.values[0])})
    by_hand = [
        f.predict(f.X.loc[s.score_ids].assign(**{curve.column: X[curve.column].iloc[0]})).to_numpy().mean()
        for s, f in zip(few.splits, few.fits, strict=True)
    ]
    assert curve.mean[0] == pytest.approx(np.mean(by_hand), rel=1e-4)


@pytest.mark.parametrize("model", ["forest", "extra-trees", "lightgbm"])
@pytest.mark.parametrize(("task", "n_classes"), [("regression", 0), ("classification", 2), ("classification", 3)])
def test_a_waterfall_adds_up_to_the_prediction(model, task, n_classes):
    it = subject(task, model, n_classes)
    for id_ in (it.prepared.train.index[7], it.prepared.test.index[0]):
        found = take_apart(it, str(id_))
        assert found.base + sum(p.added for p in found.parts) == pytest.approx(found.said, abs=1e-9)
        assert found.said == pytest.approx(said_by_the_model(it, id_, found), abs=1e-5)
        assert found.parts[0].column in it.columns


def said_by_the_model(it: Subject, id_, found) -> float:
    """The models' own prediction of the row on the waterfall's scale."""
    fits = [f for f in it.fits if id_ in f.score_ids] or it.fits
    rows = [(f, (f.X if id_ in f.X.index else f.test).loc[[id_]]) for f in fits]
    if found.scale == "log-odds":
        raw = []
        for fit, row in rows:
            model = fit.estimator
            out = model.booster_.predict(
                model.columns_.transform(row).to_numpy(), raw_score=True, num_iteration=model.n_estimators_
            )
            raw.append(np.ravel(out))
        place = it.prepared.competition.classes.index(found.output.rpartition(" = ")[2])
        return float(np.mean([r[place] if len(r) > 1 else r[0] for r in raw]))
    column = found.output.removeprefix("P(y = ").removesuffix(")")
    return float(np.mean([f.predict(row)[column].iloc[0] for f, row in rows]))


def test_a_bag_of_forests_is_taken_apart_too():
    bagged = of(made(n=120), replace(experiment(n_estimators=10), bags=3))
    found = take_apart(bagged, str(bagged.prepared.test.index[0]))
    assert found.said == pytest.approx(said_by_the_model(bagged, bagged.prepared.test.index[0], found), abs=1e-5)


def test_a_row_that_is_not_there_and_a_model_that_cannot():
    with pytest.raises(UsageError, match=r"No row has the id 'x'\. Ids look like these"):
        take_apart(subject(), "x")
    with pytest.raises(UsageError, match="'linear' cannot be taken apart"):
        take_apart(subject(model="linear"), str(made().train.index[0]))


def test_on_a_log_scale_it_says_so():
    data = made()
    data = replace(data, train=data.train.assign(y=np.exp(data.y)))
    it = of(data, replace(experiment(), target_transform="log"))
    found = take_apart(it, str(data.test.index[0]))
    assert found.scale == "log of the target"
    logs = [np.log(f.predict(f.test.iloc[[0]]).to_numpy()) for f in it.fits]
    assert found.said == pytest.approx(np.mean(logs), abs=1e-5)


def test_trees_disagree_where_the_noise_is():
    rng = np.random.default_rng(2)
    wild = rng.choice([0.05, 3.0], N)
    data = made(wild=wild)
    data = replace(data, train=data.train.assign(y=data.train["strong"] + wild * rng.normal(size=N)))
    found = measure_spread(of(data, experiment()))
    assert found.low > 0
    assert found.bins[-1].error > 3 * found.bins[0].error
    assert sum(b.rows for b in found.bins) == found.n_rows == N
    top = data.train.loc[found.rows["row"], "wild"]
    assert (top == 3.0).mean() > 0.9


def test_the_spread_is_that_of_the_trees():
    it = subject("classification")
    row = measure_spread(it).rows.iloc[0]
    fit = next(f for f in it.fits if row["row"] in f.score_ids)
    model = fit.estimator
    values = model.columns_.transform(fit.X.loc[[row["row"]]]).to_numpy(np.float32)
    said = np.array([tree.predict_proba(values)[0, 1] for tree in model.forest_.estimators_])
    assert row["spread"] == pytest.approx(said.std())


def test_only_forests_have_trees_to_count():
    linear = subject(model="linear")
    for part in (measure_spread, measure_trees):
        with pytest.raises(UsageError, match="no forest"):
            part(linear)


def test_the_curve_ends_in_the_out_of_bag_score():
    it = subject()
    found = measure_trees(it)
    whole = it.forest.out_of_bag()
    assert found.n_trees[-1] == 20
    if found.n_rows == len(whole):
        assert found.scores[-1] == pytest.approx(it.score(whole), rel=1e-5)
    assert found.scores[-1] < found.scores[0], "errors fall"
    with pytest.raises(UsageError, match="too few for a curve"):
        measure_trees(of(made(), experiment(n_estimators=2)))


def test_alike_halves_are_alike_and_bags_agree():
    found = measure_shift(subject())
    assert found.adversarial.verdict in ("alike", "hardly different")
    assert len(found.gaps) == 1
    assert found.gaps[0].by_folds == pytest.approx(subject().run.score, abs=0.02)


def test_a_shifted_column_is_named_and_time_is_no_gap():
    data = made(scheme="time", day=np.arange(N))
    moved = replace(data, test=data.test.assign(noise=data.test["noise"] + 5))
    found = measure_shift(of(moved, experiment()))
    assert found.adversarial.columns[0].name in ("noise", "day")
    assert "noise" in {c.name for c in found.adversarial.telling}
    assert found.gaps == ()
    assert "trees have seen later rows" in found.why_no_gap


@pytest.mark.parametrize("task", ["regression", "classification"])
@pytest.mark.parametrize("seed", range(4))
def test_clean_data_raise_no_alarm(task, seed):
    rng = np.random.default_rng(seed)
    gaps = np.where(rng.random(N) < 0.3, np.nan, rng.normal(size=N))
    assert lint(made(task, gaps=gaps, count=rng.integers(0, 9, N))).signs == ()


def planted(task: str) -> Prepared:
    data = made(task)
    y, rng = data.y, np.random.default_rng(1)
    numbers = y if task == "regression" else y.map({"a": 0.0, "b": 1.0})
    late = np.where(numbers > numbers.median() if task == "regression" else numbers > 0.5, np.nan, rng.normal(size=N))
    return made(
        task,
        other_form=np.exp(numbers) if task == "regression" else y.map({"a": "yes", "b": "no"}),
        nearly=numbers + rng.normal(0, 0.15, N),
        late=late,
        serial=np.arange(N) + 5000,
        code=[f"c{i}" for i in rng.permutation(N)],
        nothing=np.nan,
        same="x",
    )


@pytest.mark.parametrize("task", ["regression", "classification"])
def test_planted_leaks_are_found_by_their_names(task):
    found = {(sign.kind, sign.column) for sign in lint(planted(task)).signs}
    assert found == {
        ("target in another form", "other_form"),
        ("too good", "nearly"),
        ("senseless predictor", "gaps of late"),
        ("id-like", "serial"),
        ("id-like", "code"),
        ("all missing", "nothing"),
        ("constant", "same"),
    } | ({("too good", "late")} if ("too good", "late") in found else set())


def test_a_sorted_file_is_noticed():
    data = made()
    by_target = replace(data, train=data.train.sort_values("y"))
    assert [(s.kind, s.column) for s in lint(by_target).signs] == [("senseless predictor", "row order")]


def test_a_column_that_is_empty_in_test_is_noticed():
    data = made(extra=np.random.default_rng(0).normal(size=N))
    (sign,) = lint(replace(data, test=data.test.assign(extra=np.nan))).signs
    assert sign.kind == "all missing"
    assert "none in test rows" in sign.words


def test_every_part_gives_words_json_a_table_and_a_picture(tmp_path):
    found = inspect_table(of(made("classification", n=160), experiment()))
    assert [f.name for f in found.findings] == list(PARTS)
    json.dumps(found.as_json(), allow_nan=False)
    paths = found.save(tmp_path)
    for finding in found.findings:
        assert f"it-{finding.name}.csv" in {p.name for p in paths}
        assert finding.words()
    for path in paths:
        if path.suffix == ".svg":
            root = ET.fromstring(path.read_text())
            assert float(root.get("width")) > 300
            assert "var(" not in path.read_text()
    assert len([p for p in paths if p.suffix == ".svg"]) >= 8
    assert found.words().count("\n\n") >= 8


def test_parts_that_cannot_be_are_noted_unless_asked_for():
    found = inspect_table(subject(model="linear"))
    assert [note.split(":")[0] for note in found.notes] == ["No waterfall", "No spread", "No trees"]
    with pytest.raises(UsageError, match="no forest"):
        inspect_table(subject(model="linear"), only=["trees"])
    with pytest.raises(UsageError, match=r"no part 'leaks'"):
        inspect_table(subject(), only=["leaks"])


def test_the_same_run_gives_the_same_files(tmp_path):
    first, again = (save_finding(measure_trees(subject()), tmp_path / folder, "it") for folder in "ab")
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in again]
    assert standalone(importance().chart()).startswith("<svg ")


def test_blends_and_images_are_refused():
    it = subject()
    with pytest.raises(UsageError, match="is a blend"):
        Subject.of(replace(it.run, kind="blend", weights={"a": 1.0}), it.prepared, {})
    pictures = replace(it.prepared, competition=replace(it.prepared.competition, task="image-regression"))
    with pytest.raises(UsageError, match="of images"):
        Subject.of(it.run, pictures, {})


def test_recent_rows_alone_are_fitted_on(tmp_path):
    data = made(scheme="time", day=np.arange(N))
    half = replace(experiment(), recent=0.5)
    split = Split(0, 0, data.train.index[:100], data.train.index[100:150])
    model = refit(data, half, split).estimator
    assert model.forest_.estimators_[0].tree_.n_node_samples[0] <= 50
    whole = refit(data, experiment(), split).estimator
    assert whole.forest_.estimators_[0].tree_.n_node_samples[0] > 50
