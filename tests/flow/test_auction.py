"""The story of the auctions as its pipeline tells it, on a small drawing."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from kagglekit.config import load_pipeline
from kagglekit.models import registry

PIPELINE = Path(__file__).parents[2] / "pipelines" / "auction" / "pipeline.toml"
SMALL = ("--on", "arena", "--set", "experiments.forest.n_estimators=15")


@pytest.fixture
def auction(kagglekit, tmp_path):
    folder = tmp_path / "pipelines" / "auction"
    folder.mkdir(parents=True)
    shutil.copy(PIPELINE, folder)
    assert kagglekit("arena", "draw", "auction", "--scale", "0.05").status == 0
    assert kagglekit("download", "auction", "--on", "arena").status == 0
    return kagglekit


def test_each_step_trains_and_the_date_is_what_drifts(auction, tmp_path):
    steps = ("mean", "tree-4", "forest", "forest-recent", "lightgbm")
    said = auction("train", "auction", *steps, *SMALL)
    assert said.status == 0, said.err
    board = {line.split()[0]: line for line in said.out.splitlines() if line[:1].isalpha()}
    assert set(steps) <= board.keys()
    said = auction("inspect", "auction", "forest", "--only", "lint,shift,dependence", *SMALL)
    assert said.status == 0, said.err
    assert "Leakage lint: nothing found" in said.out
    assert "sold_on (time-like" in said.out
    assert "trees have seen later rows, so this gap is what the folds guard against" in said.out
    assert (tmp_path / "reports/auction/forest-dependence.svg").is_file()


def test_the_net_waits_to_be_trained_by_name():
    pipeline = load_pipeline(PIPELINE, check_params=registry.check)
    net = pipeline.experiments["net"]
    assert (net.model, net.target_transform, net.optional) == ("fastai-tabular", "log1p", True)
    assert "net" in pipeline.ensembles["blend-net"].members
