"""From a folder of someone's own to a scored submission, through the command line, the arena and the kaggle client."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from flowers import PIPELINE, tables, truth, write_pipeline

FAST = PIPELINE.replace('slug = "flower-colours"', 'slug = "flowers"')


@pytest.fixture
def hosted(kagglekit, flowers_folder, tmp_path):
    """The flowers hosted in the arena, with a pipeline file."""
    assert kagglekit("arena", "create", str(flowers_folder), "--name", "flowers").status == 0
    write_pipeline(tmp_path, FAST)
    return kagglekit


def as_json(said) -> dict:
    assert said.status == 0, said.err
    return json.loads(said.out)


def test_from_a_folder_to_a_place_on_the_leaderboard(kagglekit, flowers_folder, tmp_path):
    said = kagglekit("arena", "create", str(flowers_folder), "--name", "flowers", "--metric", "accuracy")
    assert said.status == 0, said.err
    said = kagglekit("new", "flowers")
    assert said.status == 0, said.err
    assert "Read it" in said.out
    write_pipeline(tmp_path, FAST)  # the written one trains more than a test has time for; test_new looks at it
    said = kagglekit("submit", "flowers")
    assert said.status == 0, said.err
    assert said.err.startswith("On the offline arena (no Kaggle credentials found)")
    for words in ("Honest accuracy of the blend", "not a Kaggle score", "practice leaderboard", "Worth trying next"):
        assert words in said.out
    assert "kagglekit train flowers larger" in said.out


def test_a_second_run_trains_and_sends_nothing(hosted):
    first = as_json(hosted("submit", "flowers", "--json"))
    said = hosted("submit", "flowers", "--json")
    second = as_json(said)
    assert "Nothing to train" in said.err
    assert second["repeated"]
    assert second["submission"] == first["submission"]
    third = as_json(hosted("submit", "flowers", "--json", "--again"))
    assert not third["repeated"]
    assert third["submission"]["ref"] != first["submission"]["ref"]


def test_a_public_score_that_does_not_fit_is_followed_by_the_drift_check(kagglekit, flowers_folder, tmp_path):
    """Another meaning of the labels in test: no column shows it, and the score falls all the same."""
    path = flowers_folder / "solution.csv"
    solution = pd.read_csv(path)
    solution["colour"] = solution["colour"].map({"blue": "red", "red": "white", "white": "blue"})
    solution.to_csv(path, index=False)
    assert kagglekit("arena", "create", str(flowers_folder), "--name", "flowers").status == 0
    write_pipeline(tmp_path, FAST)
    said = kagglekit("submit", "flowers")
    assert said.status == 0, said.err
    assert "standard errors worse than CV" in said.out
    assert "The drift check, as the public score does not fit:\n\nTrain and test look alike" in said.out
    assert "The drift check" not in kagglekit("submit", "flowers").out, "nothing new was sent"
    again = as_json(kagglekit("submit", "flowers", "--again", "--json"))
    assert again["drift"]["adversarial"]["verdict"] == "alike"


def test_the_score_is_that_of_the_hidden_answers(hosted, tmp_path):
    result = as_json(hosted("submit", "flowers", "--json"))
    graded = as_json(hosted("arena", "grade", "flowers", result["file"], "--json"))
    assert graded["public"] == pytest.approx(result["submission"]["public"], abs=1e-5)
    truth = pd.read_csv(tmp_path / "from-elsewhere" / "solution.csv", index_col="flower")
    answers = pd.read_csv(tmp_path / result["file"], index_col="flower")["colour"]
    right = answers.loc[truth.index] == truth["colour"]
    assert graded["public"] == pytest.approx(right[truth["Usage"] == "Public"].mean())
    assert graded["private"] == pytest.approx(right[truth["Usage"] == "Private"].mean())
    assert graded["all"] == pytest.approx(right.mean())


def test_a_dry_run_sends_nothing(hosted, tmp_path):
    result = as_json(hosted("submit", "flowers", "--json", "--dry-run"))
    assert result["submission"] is None
    assert Path(tmp_path / result["file"]).is_file()
    assert not (tmp_path / "submissions" / "flowers" / "practice.jsonl").exists()


def test_an_optional_experiment_joins_once_it_is_trained(hosted):
    before = as_json(hosted("submit", "flowers", "--json"))
    assert "larger" not in {row["name"] for row in before["board"]}
    assert hosted("train", "flowers", "larger").status == 0
    after = as_json(hosted("submit", "flowers", "--json"))
    assert "larger" in {row["name"] for row in after["board"]}
    assert "kagglekit train flowers larger" not in hosted("submit", "flowers").out


def test_one_run_can_be_submitted_by_name_or_id(hosted):
    blend = as_json(hosted("submit", "flowers", "--json"))
    forest = as_json(hosted("submit", "flowers", "--run", "forest", "--json"))
    assert forest["run"].startswith("forest-")
    assert as_json(hosted("submit", "flowers", "--run", blend["run"], "--json"))["repeated"]


def test_each_stage_has_a_command(hosted):
    for words in (("download", "flowers"), ("prepare", "flowers"), ("train", "flowers"), ("ensemble", "flowers")):
        said = hosted(*words)
        assert said.status == 0, said.err
    rows = as_json(hosted("board", "flowers", "--json"))
    assert {row["name"] for row in rows} == {"majority", "oner", "forest", "forest-oob", "blend"}
    assert rows[-1]["name"] == "majority"
    assert next(r for r in rows if r["name"] == "forest-oob")["verdict"] in ("better", "worse", "no difference")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("submit", "flowerz"), "Did you mean 'flowers'?"),
        (("submit", "flowers", "--on", "moon"), "kaggle or arena"),
        (("submit", "flowers", "--on", "kaggle"), "kaggle.com/settings"),
        (("train", "flowers", "forst"), "Did you mean 'forest'?"),
        (("train", "flowers", "--set", "folds.m=3"), "unknown key 'm'"),
        (("train", "flowers", "--set", "folds.n=80"), "fewer folds"),
        (("ensemble", "flowers", "mix"), "no ensemble 'mix'"),
        (("submit", "flowers", "--run", "forest-00000000"), "no finished run"),
        (("arena", "create", "nowhere", "--name", "x"), "nowhere"),
        (("arena", "draw", "pady"), "Did you mean 'paddy'?"),
        (("new", "flowrs"), "Did you mean 'flowers'?"),
    ],
)
def test_a_mistake_is_one_line_and_exit_status_2(hosted, words, says):
    assert hosted("download", "flowers").status == 0
    said = hosted(*words)
    assert said.status == 2
    line = said.err.strip().splitlines()[-1]
    assert line.startswith("Error: ")
    assert says in line
    assert "Traceback" not in said.err


def test_a_run_of_other_data_is_not_submitted(hosted, flowers_folder, tmp_path):
    old = as_json(hosted("submit", "flowers", "--json"))["run"]
    for name, frame in zip(("train", "test", "sample_submission"), tables(seed=1), strict=True):
        frame.to_csv(flowers_folder / f"{name}.csv", index=False)
    truth(seed=1).to_csv(flowers_folder / "solution.csv", index=False)
    assert hosted("arena", "create", str(flowers_folder), "--name", "flowers", "--replace").status == 0
    (tmp_path / "data").rename(tmp_path / "data-before")
    said = hosted("submit", "flowers", "--run", old)
    assert said.status == 2
    assert "was made from other data" in said.err
    assert (tmp_path / "runs" / "arena" / "flowers" / old / "COMPLETE").is_file()


def test_new_never_overwrites_a_pipeline(hosted, tmp_path):
    said = hosted("new", "flowers")
    assert said.status == 2
    assert (tmp_path / "pipelines" / "flowers" / "pipeline.toml").read_text() == FAST


def _binary_log_loss(folder: Path) -> None:
    """Ids with leading zeros, 0/1 labels, a sample of probabilities: the form of many playground competitions."""
    train, test, sample = tables()
    answers = truth()
    for frame in (train, test, sample, answers):
        frame["flower"] = frame["flower"].str.replace("f", "00")
        if "colour" in frame:
            frame["colour"] = (frame["colour"] == "blue").astype(int)
    for name, frame in (("train", train), ("test", test), ("solution", answers)):
        frame.to_csv(folder / f"{name}.csv", index=False)
    sample.assign(colour=0.5).to_csv(folder / "sample_submission.csv", index=False)


def test_probabilities_for_ids_with_leading_zeros(kagglekit, flowers_folder, tmp_path):
    _binary_log_loss(flowers_folder)
    said = kagglekit("arena", "create", str(flowers_folder), "--name", "flowers", "--metric", "log_loss")
    assert said.status == 0, said.err
    assert kagglekit("new", "flowers").status == 0
    written = (tmp_path / "pipelines" / "flowers" / "pipeline.toml").read_text()
    assert 'form = "probability"' in written
    write_pipeline(tmp_path, FAST.replace('"accuracy"', '"log_loss"\nform = "probability"'))
    result = as_json(kagglekit("submit", "flowers", "--json"))
    rows = Path(result["file"]).read_text().splitlines()
    assert rows[1].startswith("00090,0.")
    answers = pd.read_csv(flowers_folder / "solution.csv", index_col="flower")
    beliefs = pd.read_csv(result["file"], index_col="flower")["colour"].loc[answers.index]
    public = answers["Usage"] == "Public"
    loss = -np.log(np.where(answers["colour"] == 1, beliefs, 1 - beliefs)[public]).mean()
    assert result["submission"]["public"] == pytest.approx(loss, abs=1e-4)


def test_a_metric_for_numbers_does_not_take_words(kagglekit, flowers_folder):
    said = kagglekit("arena", "create", str(flowers_folder), "--name", "x", "--metric", "rmse")
    assert said.status == 2
    assert "needs numbers" in said.err
