"""The board and the report through the command line, from real runs."""

from __future__ import annotations

import json
import sys

import pytest
from flowers import PIPELINE, write_pipeline
from page_reader import check

FAST = PIPELINE.replace('slug = "flower-colours"', 'slug = "flowers"')


@pytest.fixture
def trained(kagglekit, flowers_folder, tmp_path):
    """The flowers with all that the pipeline plans, one file sent."""
    assert kagglekit("arena", "create", str(flowers_folder), "--name", "flowers").status == 0
    write_pipeline(tmp_path, FAST)
    assert kagglekit("submit", "flowers").status == 0
    return kagglekit


def test_the_story_of_real_runs_is_one_page(trained, tmp_path):
    said = trained("report", "flowers")
    assert (said.status, said.out.strip()) == (0, "reports/flowers.html")
    page = check((tmp_path / "reports" / "flowers.html").read_text(encoding="utf-8"))
    assert {"Cross-validation against the leaderboard", "Classes", "The blend", "What matters"} <= set(page.titles)
    assert "out of bag tells the same in one fit" in page.text
    assert str(tmp_path) not in (tmp_path / "reports" / "flowers.html").read_text(encoding="utf-8")
    said = trained("report", "flowers", "--run", "forest", "--out", "deep/er/forest.html")
    assert said.out.strip() == "deep/er/forest.html"
    assert "forest on the 90 training rows" in (tmp_path / "deep" / "er" / "forest.html").read_text(encoding="utf-8")


def test_the_board_is_a_page_too(trained, tmp_path):
    assert trained("board", "flowers", "--web").out.strip() == "reports/flowers-board.html"
    page = check((tmp_path / "reports" / "flowers-board.html").read_text(encoding="utf-8"))
    assert page.titles == ["The board", "How it was made"]
    assert trained("board", "flowers", "--web", "--out", "b.html").out.strip() == "b.html"
    said = trained("board", "flowers", "--out", "c.html")
    assert said.status == 2
    assert "--web" in said.err


def test_a_mistake_is_one_line(trained, monkeypatch):
    said = trained("report", "flowers", "--run", "forst")
    assert said.status == 2
    assert "Did you mean 'forest'?" in said.err
    monkeypatch.setitem(sys.modules, "jinja2", None)
    said = trained("report", "flowers")
    assert said.status == 2
    assert "kagglekit[report]" in said.err.strip().splitlines()[-1]


def test_baselines_that_the_file_leaves_out_are_there(trained, tmp_path):
    text = FAST.replace('[experiments.majority]\nwhy = "what nothing is worth"\nmodel = "majority"\n', "")
    write_pipeline(tmp_path, text.replace("experiments.larger", "experiments.oner"))
    rows = json.loads(trained("board", "flowers", "--json").out)
    assert {row["name"] for row in rows} == {"majority", "baseline-oner", "forest", "forest-oob", "blend"}
    assert next(row for row in rows if row["name"] == "baseline-oner")["hypothesis"].startswith("how far")
    assert not next(row for row in rows if row["name"] == "majority")["tied"]
    blend = json.loads(trained("ensemble", "flowers", "--json").out)
    assert set(blend["weights"]) == {"forest", "forest-oob"}


def test_a_baseline_that_cannot_be_fitted_is_told(kagglekit, flowers_folder, tmp_path):
    """Without a column to rule by there is no OneR; the board is there all the same."""
    assert kagglekit("arena", "create", str(flowers_folder), "--name", "flowers").status == 0
    write_pipeline(tmp_path, FAST + '[data]\ndrop = ["petal", "soil"]\n')
    assert kagglekit("download", "flowers").status == 0
    said = kagglekit("train", "flowers", "majority", "--json")
    assert said.status == 0, said.err
    assert [row["name"] for row in json.loads(said.out)] == ["majority"]
    assert "No baseline 'oner'" in said.err
