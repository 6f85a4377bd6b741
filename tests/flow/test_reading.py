"""Comparisons, forecasts and advice, through the command line, on runs that were trained and sent."""

from __future__ import annotations

import inspect
import json

import pytest
from flowers import PIPELINE, write_pipeline

from kagglekit.cli import results
from kagglekit.shakeup import PUBLIC_SHARE

FAST = PIPELINE.replace('slug = "flower-colours"', 'slug = "flowers"')


@pytest.fixture
def sent(kagglekit, flowers_folder, tmp_path):
    """The flowers with every experiment trained and the blend sent."""
    assert kagglekit("arena", "create", str(flowers_folder), "--name", "flowers").status == 0
    write_pipeline(tmp_path, FAST)
    said = kagglekit("submit", "flowers")
    assert said.status == 0, said.err
    assert "Expected by CV, 19 times in 20: public" in said.out
    return kagglekit


def as_json(said) -> dict:
    assert said.status == 0, said.err
    return json.loads(said.out)


def test_a_forest_is_better_than_the_majority(sent):
    found = as_json(sent("compare", "flowers", "majority", "forest", "--json"))
    assert found["verdict"] == "better"
    assert found["by_row"]["low"] > 0
    assert found["by_fold"]["mean"] > 0
    assert found["n_private"] == 21
    text = sent("compare", "flowers", "majority", "forest-oob").out
    assert text.startswith("forest-oob against majority: better")
    assert "folds do not pair" in text


def test_runs_of_other_folds_are_compared_when_asked(sent):
    old = as_json(sent("board", "flowers", "--json"))
    run = next(row["run"] for row in old if row["name"] == "forest")
    assert sent("train", "flowers", "majority", "--set", "folds.n=4").status == 0
    words = ("compare", "flowers", "majority", run, "--set", "folds.n=4")
    said = sent(*words)
    assert said.status == 2
    assert "--unpaired" in said.err.strip().splitlines()[-1]
    assert "better" in sent(*words, "--unpaired").out.splitlines()[0]


def test_forecasts_know_what_was_sent(sent):
    found = as_json(sent("shakeup", "flowers", "--json"))
    by_name = {f["name"]: f for f in found["forecasts"]}
    assert set(by_name) == {"forest", "forest-oob", "blend"}
    assert by_name["blend"]["residual"]["public"] is not None
    assert by_name["forest"]["residual"] is None
    two = sent("shakeup", "flowers", "majority", "forest", "--public-share", "0.5")
    assert "Of 30 test rows, 15 are taken as public." in two.out
    assert "majority beats forest  " in two.out


def test_advice_knows_what_was_sent(sent):
    found = as_json(sent("advise", "flowers", "--json"))
    assert found["sent"] == ["blend"]
    assert {p["name"] for p in found["prospects"]} == {"forest", "forest-oob", "blend"}
    assert sent("advise", "flowers", "forest", "majority", "--final", "--line", "0.5").out.startswith("Final two: ")


def test_a_mistake_is_one_line(sent):
    for words, says in (
        (("compare", "flowers", "forest", "forest"), "Two different runs"),
        (("compare", "flowers", "forest", "larger"), "'larger' is not trained"),
        (("compare", "flowers", "forest", "nothing"), "no finished run"),
        (("shakeup", "flowers", "--public-share", "1.5"), "Write it as a fraction"),
        (("advise", "flowers", "--public-share", "0"), "Write it as a fraction"),
    ):
        said = sent(*words)
        assert said.status == 2
        assert says in said.err.strip().splitlines()[-1]


def test_the_public_share_that_is_taken_is_the_same_everywhere():
    for command in (results.compare, results.shakeup, results.advise):
        assert inspect.signature(command).parameters["public_share"].default == PUBLIC_SHARE


def test_without_runs_there_is_nothing_to_read(kagglekit, flowers_folder, tmp_path):
    assert kagglekit("arena", "create", str(flowers_folder), "--name", "flowers").status == 0
    write_pipeline(tmp_path, FAST)
    assert kagglekit("download", "flowers").status == 0
    for command in ("shakeup", "advise"):
        said = kagglekit(command, "flowers")
        assert said.status == 2
        assert "No experiment is trained yet" in said.err
