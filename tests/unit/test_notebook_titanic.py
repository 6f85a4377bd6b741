"""The notebook runs as it stands, on a table of its own or on the one that lies there."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "titanic.py"
MODELS = {"sex rule", "OneR", "four leaves", "linear", "net", "forest"}


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> dict:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("nothing"))
        return runpy.run_path(str(NOTEBOOK))


def test_every_model_beats_a_guess_on_the_look_alike(ran):
    assert ran["scores"].keys() == MODELS
    assert min(ran["scores"].values()) > 0.65
    assert ran["scores"]["OneR"] == ran["scores"]["sex rule"], "one rule finds the sex by itself"
    for frame in ran["predictions"].values():
        assert frame.index.equals(ran["table"].index)
        assert frame.min().min() >= 0
        assert frame.sum(axis=1).to_numpy() == pytest.approx(1)


def test_its_tree_splits_as_scikit_learn_does(ran):
    from sklearn.tree import DecisionTreeRegressor

    X, t = ran["as_numbers"](ran["table"], ran["table"]), ran["y"].to_numpy(float)
    tree = DecisionTreeRegressor(max_depth=1, min_samples_leaf=20).fit(X, t).tree_
    column, threshold = ran["best_split"](X, t)
    assert (column, threshold) == (tree.feature[0], pytest.approx(tree.threshold[0]))
    assert ran["best_split"](X[:30], t[:30]) is None, "no side of twenty"


def test_it_reads_the_table_that_lies_there(ran, tmp_path, monkeypatch, capsys):
    path = tmp_path / "data" / "titanic" / "raw" / "train.csv"
    path.parent.mkdir(parents=True)
    ran["look_alike"](200, seed=3).to_csv(path)
    monkeypatch.chdir(tmp_path)
    again = runpy.run_path(str(NOTEBOOK))
    assert len(again["table"]) == 200
    assert "the real table of 200 passengers" in capsys.readouterr().out
