"""`kagglekit inspect` of a table: words, files where it says, and one line for what cannot be."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from flowers import PIPELINE, write_pipeline

from kagglekit.config import load_pipeline
from kagglekit.errors import ConfigError
from kagglekit.models import registry


@pytest.fixture
def trained(kagglekit, flowers_folder, tmp_path):
    assert kagglekit("arena", "create", str(flowers_folder), "--name", "flower-colours").status == 0
    write_pipeline(tmp_path, PIPELINE + '\n[experiments.linear]\nwhy = "a line"\nmodel = "linear"\n')
    assert kagglekit("download", "flowers").status == 0
    assert kagglekit("train", "flowers", "forest", "linear").status == 0
    return kagglekit


def test_it_says_what_it_finds_and_where_it_wrote_it(trained, tmp_path):
    said = trained("inspect", "flowers", "forest", "--only", "importance,waterfall", "--row", "f003")
    assert said.status == 0, said.err
    words, _, files = said.out.rstrip().rpartition("\n\n")
    assert "They predict what the run stored." in words
    assert words.index("Importance:") < words.index("Row f003 by the model of fold-")
    assert files.splitlines() == [
        f"reports/flowers/forest-{name}"
        for name in ("importance.csv", "importance.svg", "waterfall.csv", "waterfall.svg")
    ]
    table = pd.read_csv(tmp_path / "reports/flowers/forest-importance.csv")
    assert table["column"].tolist() == ["petal", "soil"]


def test_as_json_with_files_of_its_own_and_the_best_run(trained, tmp_path):
    said = trained("inspect", "flowers", "--only", "lint", "--out", "looked", "--json")
    facts = json.loads(said.out)
    assert facts["run"] in ("forest", "linear")
    assert facts["lint"] == {"signs": [], "n_columns": 2, "n_rows": 90}
    assert [(tmp_path / path).is_file() for path in facts["files"]] == [True]
    assert facts["files"][0].startswith("looked")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("forest", "--only", "imporance"), "no part 'imporance' of an inspection. Did you mean 'importance'?"),
        (("forest", "--only", "waterfall", "--row", "zzz"), "No row has the id 'zzz'. Ids look like these: f000"),
        (("linear", "--only", "trees"), "'linear' is no forest"),
        (("linear", "--only", "waterfall"), "'linear' cannot be taken apart. Name a run whose model is forest"),
        (("blend", "--only", "lint"), "'blend' is a blend, which has no columns. Inspect one of its members: forest"),
        (("larger",), "'larger' is not trained"),
    ],
)
def test_what_cannot_be_is_one_line(trained, words, expected):
    said = trained("inspect", "flowers", *words)
    assert said.status == 2
    (line,) = [line for line in said.err.splitlines() if line.startswith("Error")]
    assert expected in line


def test_recent_needs_a_time(trained, tmp_path):
    write_pipeline(tmp_path, PIPELINE.replace("n_estimators = 20\n", "n_estimators = 20\nrecent = 0.5\n"))
    said = trained("train", "flowers", "forest")
    assert said.status == 2
    assert 'recent = 0.5 takes the latest rows, which needs time = "column"' in said.err
    with pytest.raises(ConfigError, match="recent"):
        load_pipeline(
            write_pipeline(tmp_path, PIPELINE.replace("n_estimators = 20\n", "recent = 1.5\n")),
            check_params=registry.check,
        )
