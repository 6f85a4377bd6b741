"""`kagglekit ladder` and `kagglekit zoo` as a person types them."""

from __future__ import annotations

import json
from pathlib import Path

from flowers import PIPELINE, write_pipeline

LADDER = """
[ladder]
start = "forest"

[[ladder.rungs]]
name = "more"
why = "do more trees help?"
n_estimators = [30, 40]
"""


def test_a_ladder_from_the_command_line(kagglekit, flowers_folder, tmp_path):
    assert (
        kagglekit("arena", "create", str(flowers_folder), "--name", "flower-colours", "--metric", "accuracy").status
        == 0
    )
    write_pipeline(tmp_path, PIPELINE + LADDER)
    assert kagglekit("download", "flowers", "--on", "arena").status == 0
    said = kagglekit("ladder", "flowers", "--on", "arena", "--minutes", "0")
    assert said.status == 0
    assert "Not at the top yet: forest would take about" in said.out
    said = kagglekit("ladder", "flowers", "--on", "arena", "--minutes", "60", "--json")
    assert said.status == 0, said.err
    found = json.loads(said.out)
    assert {step["experiment"] for step in found["steps"]} == {"forest", "more-30", "larger"}, (
        "40 trees are in the file"
    )
    assert found["fresh rows"] == 60
    assert "Every rung is compared on fold-0: 30 rows, fitted on 60." in said.err
    again = kagglekit("ladder", "flowers", "--on", "arena")
    head, *lines = again.out.splitlines()
    assert head.split()[:3] == ["rung", "experiment", "accuracy"]
    assert [line.split()[0] for line in lines[:3]] == ["start", "more", "more"]
    assert "All on fold-0, 30 rows that chose: no fresh scores." in again.out
    assert "On the 60 rows of the other folds, which decided nothing:" in again.out
    refused = kagglekit("ladder", "flowers", "--on", "arena", "--bake-off", "forest")
    assert refused.status == 2
    assert "has no setting 'resize'" in refused.err


def test_the_zoo_from_the_command_line(kagglekit, tmp_path: Path):
    said = kagglekit("zoo")
    assert said.status == 0
    assert len([line for line in said.out.splitlines() if " M  " in line]) == 20
    assert "results-imagenet.csv" in said.out
    said = kagglekit("zoo", "--family", "efficientnet", "--max-params", "6", "--json")
    assert {"tf_efficientnet_lite0.in1k", "efficientnet_b0.ra_in1k"} <= {one["model"] for one in json.loads(said.out)}
    said = kagglekit("zoo", "--top", "8", "--plot", "zoo.png")
    assert said.out.splitlines()[-1] == "zoo.png"
    assert (tmp_path / "zoo.png").stat().st_size > 10_000
    refused = kagglekit("zoo", "--family", "convnexd")
    assert refused.status == 2
    assert "Did you mean 'convnext'" in refused.err
