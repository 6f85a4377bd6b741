"""A competition of several targets, from a folder to a place on the arena's leaderboard."""

from __future__ import annotations

import json

import gardens
import pandas as pd
import pytest
from flowers import write_pipeline


def as_json(said) -> dict:
    assert said.status == 0, said.err
    return json.loads(said.out)


def check_refusals(kagglekit) -> None:
    """What takes one target says so, and what to do instead."""
    for words, instead in (
        (["inspect", "gardens", "--only", "lint"], "--only importance,weak looks at all"),
        (["clean", "gardens"], "rows with the largest losses"),
    ):
        refused = kagglekit(*words)
        assert refused.status == 2
        assert "is for one target, and gardens has 3" in refused.err and instead in refused.err


@pytest.mark.parametrize("numbers", [False, True])
def test_several_targets_are_trained_blended_sent_and_graded(kagglekit, tmp_path, numbers):
    folder = tmp_path / "from-elsewhere"
    folder.mkdir()
    frames = gardens.tables(numbers=numbers)
    for name, frame in frames.items():
        frame.to_csv(folder / f"{name}.csv", index=False)
    said = kagglekit("arena", "create", str(folder), "--name", "gardens")
    assert said.status == 0, said.err
    metric = "columnwise_rmse" if numbers else "columnwise_log_loss"
    assert metric in said.out + said.err
    drafted = kagglekit("new", "gardens")
    assert drafted.status == 0, drafted.err
    assert 'target = ["aphids", "mildew", "slugs"]' in drafted.out and f'metric = "{metric}"' in drafted.out
    refused = kagglekit("arena", "create", str(folder), "--name", "others", "--teams", "3")
    assert "A field of simulated teams is for one target" in refused.err
    write_pipeline(tmp_path, gardens.NUMBERS if numbers else gardens.PIPELINE, "gardens")
    sent = kagglekit("submit", "gardens", "--json")
    assert "the pipeline file says" not in sent.err
    result = as_json(sent)
    assert result["forecast"]["residual"] is not None, "the public score is held against the forecast"
    answers = pd.read_csv(tmp_path / result["file"], index_col="bed")
    assert list(answers.columns) == list(gardens.LABELS)
    truth = frames["solution"].set_index("bed")
    public = truth[truth["Usage"] == "Public"]
    if numbers:
        errors = (answers.loc[public.index] - public[list(gardens.LABELS)]) ** 2
        assert result["submission"]["public"] == pytest.approx(float((errors.mean() ** 0.5).mean()), abs=1e-4)
        return
    write_pipeline(tmp_path, gardens.PIPELINE + '[ensembles.alone]\nmembers = ["linear"]\n', "gardens")
    alone = kagglekit("ensemble", "gardens", "alone")
    assert "'alone' has one member so far: the blend of one is that member, 'linear'." in alone.err
    write_pipeline(tmp_path, gardens.PIPELINE, "gardens")
    board = kagglekit("board", "gardens")
    assert board.status == 0, board.err
    assert "linear" in board.out
    found = as_json(kagglekit("compare", "gardens", "forest", "linear", "--json"))
    assert found["by_row"]["mean"] == pytest.approx(found["score_a"] - found["score_b"])
    forecasts = as_json(kagglekit("shakeup", "gardens", "--json"))["forecasts"]
    assert {f["name"] for f in forecasts} == {"linear", "forest", "blend"}
    advice = as_json(kagglekit("advise", "gardens", "--json"))
    assert advice["sent"] == ["blend"] and len(advice["prospects"]) == 3
    drift = as_json(kagglekit("drift", "gardens", "--json"))
    assert drift["duplicates"]["links"] == [] and "advice" in drift["adversarial"]
    for words in (["report"], ["board", "--web"]):
        page = kagglekit(words[0], "gardens", *words[1:])
        assert page.status == 0, page.err
        assert "linear" in (tmp_path / page.out.strip()).read_text(encoding="utf-8")
    page = (tmp_path / "reports" / "gardens.html").read_text(encoding="utf-8")
    assert "Target by target" in page and "Permutation importance" in page and "worst at" in page
    found = as_json(kagglekit("search", "gardens", "linear", "--trials", "2", "--json"))
    assert len(found["trials"]) == 2
    looked = as_json(kagglekit("inspect", "gardens", "linear", "--json"))
    assert {c["column"] for c in looked["importance"]["columns"]} == {"rain", "sun", "wind"}
    assert "weak" in looked and "not shown: lint, redundancy" in looked["notes"][0]
    check_refusals(kagglekit)
