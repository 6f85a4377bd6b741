"""Drift, blame and rebuild as a person meets them on the command line."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from flowers import PIPELINE, tables, truth, write_pipeline

N_COPIES = 21


@pytest.fixture
def hosted(kagglekit, tmp_path):
    """The flowers in the arena, the first training rows copied below, with a pipeline file."""
    folder = tmp_path / "from-elsewhere"
    folder.mkdir()
    train, test, sample = tables()
    rng = np.random.default_rng(0)
    train, test = (frame.assign(width=rng.normal(size=len(frame))) for frame in (train, test))
    copies = train.iloc[:N_COPIES].copy()
    copies["flower"] = [f"g{i:03d}" for i in range(len(copies))]
    frames = {"train": pd.concat([train, copies]), "test": test, "sample_submission": sample, "solution": truth()}
    for name, frame in frames.items():
        frame.to_csv(folder / f"{name}.csv", index=False)
    assert kagglekit("arena", "create", str(folder), "--name", "flower-colours").status == 0
    write_pipeline(tmp_path)
    assert kagglekit("submit", "flowers").status == 0
    return kagglekit


def test_drift_finds_the_copies_and_its_groups_keep_them_together(hosted, tmp_path):
    said = hosted("drift", "flowers", "--write", "pipelines/flowers/groups.csv")
    assert said.status == 0, said.err
    for words in (
        "Train and test",
        "Out of bag accuracy",
        f"Duplicate rows: {N_COPIES} pairs within train",
        "Score inflation",
    ):
        assert words in said.out
    assert "Wrote pipelines/flowers/groups.csv: 90 groups." in said.out
    text = PIPELINE.replace('scheme = "stratified"', 'scheme = "stratified-group"\ngroups = "groups.csv"')
    write_pipeline(tmp_path, text)
    again = hosted("drift", "flowers", "--json")
    assert again.status == 0, again.err
    found = json.loads(again.out)
    assert found["duplicates"]["pairs across folds"] == 0
    assert found["inflation"] is None
    assert "in one fold already" in found["not measured"]


def test_drift_writes_over_nothing_else_and_says_so_first(hosted):
    said = hosted("drift", "flowers", "--write", "pipelines/flowers/pipeline.toml")
    assert said.status == 2
    assert said.out == ""
    assert "is no file of groups; it was left as it is." in said.err.splitlines()[-1]


def test_a_submission_is_traced_and_made_again(hosted):
    said = hosted("blame", "flowers", "1")
    assert said.status == 0, said.err
    assert "Submission 1 (arena, complete)" in said.out
    assert "weight 0.5000" in said.out
    made = json.loads(hosted("blame", "flowers", "blend", "--json").out)
    assert made["run"]["id"] in said.out
    assert made["submissions"][0]["file now"] == "as sent"
    for words in ([], ["--retrain"]):
        again = hosted("rebuild", "flowers", "1", *words)
        assert again.status == 0, again.err
        assert "Bit-identical to submission 1" in again.out
    assert json.loads(hosted("rebuild", "flowers", "blend", "--json").out)["identical"]


def test_a_file_that_cannot_be_made_again_ends_in_status_1(hosted, tmp_path):
    ledger = tmp_path / "submissions" / "flowers" / "practice.jsonl"
    lines = [json.loads(line) for line in ledger.read_text().splitlines()]
    ledger.write_text("".join(json.dumps(line | {"sha256": "0" * 64}) + "\n" for line in lines))
    said = hosted("rebuild", "flowers", "1")
    assert said.status == 1
    assert "Different from submission 1" in said.out
    assert "was changed since it was sent" in said.out


def test_a_reference_that_nothing_has_is_one_line(hosted):
    for command in ("blame", "rebuild"):
        said = hosted(command, "flowers", "99")
        assert said.status == 2
        assert said.err.splitlines()[-1].startswith("Error: No submission, run or experiment is called '99'.")
