"""Who stands on a new board: baselines that learn, and simulated teams."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kagglekit.arena import hosting
from kagglekit.arena.hosted import Hosted, open_hosted
from kagglekit.arena.learners import learnt_answers
from kagglekit.arena.material import Material, image_paths, material_of
from kagglekit.arena.rivals import Poles, rivals_of
from kagglekit.contracts import Competition, Form
from kagglekit.forms import check_submission
from kagglekit.metrics import get_metric

N = 150


def write(folder: Path, metric: str) -> Path:
    """Rows with a number, a word, a date, gaps and a code, and a target that depends on the first three."""
    rng = np.random.default_rng(5)
    frame = pd.DataFrame(
        {
            "row": rng.permutation(N) + 1,
            "size": rng.normal(size=N),
            "kind": rng.choice(["a", "b", "c"], N),
            "day": pd.date_range("2024-01-01", periods=N).astype(str),
            "code": [f"x{i}" for i in range(N)],
        }
    )
    level = 2 * frame["size"] + (frame["kind"] == "b") + np.arange(N) / N
    noisy = level + rng.normal(0, 0.3, N)
    frame.loc[::9, "size"] = np.nan
    frame.loc[::7, "kind"] = None
    targets = {"rmse": noisy, "rmsle": np.exp(noisy), "roc_auc": (noisy > 0.8).astype(int)}
    frame["y"] = targets.get(metric, pd.cut(noisy, 3, labels=["low", "middle", "high"]).astype(str))
    train, test = frame[:100], frame[100:]
    folder.mkdir()
    wide = metric == "log_loss"
    answers = dict.fromkeys(["high", "low", "middle"], 1 / 3) if wide else {"y": train["y"].iloc[0]}
    test[["row", "y"]].to_csv(folder / "solution.csv", index=False)
    train.to_csv(folder / "train.csv", index=False)
    test.drop(columns="y").to_csv(folder / "test.csv", index=False)
    test[["row"]].assign(**answers).to_csv(folder / "sample_submission.csv", index=False)
    return folder


def create(tmp_path: Path, metric: str, teams: int = 30, form: Form | None = None) -> Hosted:
    folder = write(tmp_path / "folder", metric)
    return hosting.create(folder, tmp_path / "home", "made", metric=metric, teams=teams, form=form)


@pytest.mark.parametrize("metric", ["accuracy", "log_loss", "roc_auc", "rmse", "rmsle", "f1_macro", "map@2"])
def test_models_beat_constants_for_every_kind_of_answer(tmp_path: Path, metric: str):
    made = create(tmp_path, metric)
    sign = 1 if get_metric(metric).greater_is_better else -1
    scores = {b.team: sign * b.private for b in made.baselines}
    learnt = {"One rule", "Linear model", "Random forest"}
    assert learnt <= set(scores)
    assert min(scores[t] for t in learnt) > max(s for t, s in scores.items() if t not in learnt)
    assert len(made.rivals) == 30
    again = open_hosted(tmp_path / "home", "made")
    assert (again.rivals, again.baselines, again.best) == (made.rivals, made.baselines, None)


def test_answers_are_kept_and_hidden(tmp_path: Path):
    made = create(tmp_path, "rmse")
    sample = made.sample_frame()
    for line in made.baselines:
        check_submission(made.answers_frame(line.team), made.competition, sample)
    files = list((made.folder / "answers").iterdir())
    assert len(files) == len(made.baselines) and all(f.stat().st_mode & 0o077 == 0 for f in files)
    assert made.file("answers/0.csv") is None and made.file("../answers/0.csv") is None


def test_the_same_again_is_nothing_new(tmp_path: Path):
    made = create(tmp_path, "accuracy")
    assert hosting.create(tmp_path / "folder", tmp_path / "home", "made", metric="accuracy", teams=30) == made


def test_a_competition_of_before_there_were_simulated_teams_can_be_read(tmp_path: Path):
    made = create(tmp_path, "rmse", teams=0)
    facts = made.folder / "competition.json"
    text = facts.read_text()
    facts.write_text(text.replace('"rivals"', '"other"').replace('"best"', '"more"'))
    assert open_hosted(tmp_path / "home", "made").rivals == ()


GRAIN = Competition("g", "classification", "accuracy", "row", "y", classes=("a", "b", "c"))


@pytest.mark.parametrize("broken", ["no test table", "no shared column", "few rows", "one class"])
def test_where_nothing_can_be_learnt_there_are_constants_only(tmp_path: Path, broken: str):
    frame = pd.DataFrame({"row": range(30), "x": np.arange(30.0), "y": ["a", "b", "c"] * 10})
    train, test = frame[:20], frame[20:].drop(columns="y")
    changes = {
        "no shared column": (train, test.rename(columns={"x": "z"})),
        "few rows": (train[:6], test),
        "one class": (train.assign(y="a"), test),
    }
    train, test = changes.get(broken, (train, test))
    train.to_csv(tmp_path / "train.csv", index=False)
    test.to_csv(tmp_path / "test.csv", index=False)
    names = ["train.csv"] + ["test.csv"] * (broken != "no test table")
    assert material_of(tmp_path, names, GRAIN, test[["row"]]) is None


def test_a_class_that_no_training_row_has_gets_no_belief():
    X = pd.DataFrame({"x": np.arange(20.0)})
    y = pd.Series(["a", "c"] * 10)
    facts = Competition("g", "classification", "log_loss", "row", "y", ("a", "b", "c"), form="probabilities")
    sample = pd.DataFrame({"row": [1, 2], "a": 0.3, "b": 0.3, "c": 0.4})
    found = learnt_answers(facts, sample, Material(X, y, X[:2].set_axis(pd.Index([1, 2], name="row"))))
    assert all((answer["b"] == 0).all() for answer in found.values())


def test_images_are_found_by_name_in_their_own_part():
    names = ["train/a/1.jpg", "train/b/2.png", "test/1.jpg", "test/3.jpg", "notes.txt"]
    assert image_paths(names, ["1.jpg", "2", "3"], "train") == ["train/a/1.jpg", "train/b/2.png", None]
    assert image_paths(names, [1, 3, "notes"], "test") == ["test/1.jpg", "test/3.jpg", None]


def poles(form: Form) -> tuple[Competition, Poles]:
    rng = np.random.default_rng(6)
    ids = pd.DataFrame({"row": range(200)})
    if form == "label":
        truth = rng.choice(["a", "b", "c"], 200)
        good = np.where(rng.random(200) < 0.6, truth, "a")
        frames = [ids.assign(y=values) for values in (np.full(200, "a"), good, truth)]
        return GRAIN, Poles(*frames, top_is_truth=True)
    truth = rng.normal(size=200)
    frames = [ids.assign(y=values) for values in (np.zeros(200), truth + rng.normal(size=200) * 0.5, truth)]
    return Competition("g", "regression", "rmse", "row", "y", form="value"), Poles(*frames, top_is_truth=False)


@given(seed=st.integers(0, 1000), form=st.sampled_from(["label", "value"]))
@settings(max_examples=20, deadline=None)
def test_simulated_teams_are_mixes_of_what_is_known(seed: int, form: Form):
    facts, mixed = poles(form)
    teams = dict(rivals_of(facts, mixed, 5, seed))
    assert list(teams) == [f"Simulated team {i:03d}" for i in range(1, 6)]
    choices = [frame["y"].to_numpy() for frame in (mixed.weak, mixed.good, mixed.top)]
    for answer in teams.values():
        assert answer["row"].tolist() == mixed.good["row"].tolist()
        if form == "label":
            assert np.isin(answer["y"], ["a", "b", "c"]).all()
            assert np.any([answer["y"] == c for c in choices], axis=0).all()
        else:
            assert (answer["y"] >= np.min(choices, axis=0) - 1e-9).all()
            assert (answer["y"] <= np.max(choices, axis=0) + 1e-9).all()


def test_the_same_seed_simulates_the_same_teams_and_more_teams_differ():
    facts, mixed = poles("value")
    one, same = (dict(rivals_of(facts, mixed, 8)) for _ in range(2))
    assert all(one[team].equals(same[team]) for team in one)
    assert len({tuple(answer["y"]) for answer in one.values()}) == 8
