"""Corrections of labels: read strictly, applied to fit rows alone, told by their size."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from flowers import PIPELINE, SLUG, tables, write_pipeline, write_raw
from hypothesis import given
from hypothesis import strategies as st
from notebook_cells import assignment
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin

from kagglekit.blame import blame
from kagglekit.board import board, change_words
from kagglekit.cleaning import corrected, corrections_words, read_corrections, write_corrections
from kagglekit.compare import compare
from kagglekit.config import load_pipeline
from kagglekit.errors import ConfigError, DataError
from kagglekit.identity import run_id
from kagglekit.kernels.notebook import script
from kagglekit.kernels.parcels import own_files
from kagglekit.ledger import Ledger
from kagglekit.models import registry
from kagglekit.prepare import prepare
from kagglekit.rebuild import rebuild
from kagglekit.refit import first_fit
from kagglekit.report.families import find_families
from kagglekit.store import Store
from kagglekit.train import train

CLEANED = PIPELINE + '\n[experiments.clean]\nwhy = "x"\nbased_on = "forest"\ncleaning = "cleaning.csv"\n'
WATCHING = '\n[experiments.boost]\nwhy = "x"\nmodel = "lightgbm"\nn_jobs = 1\ncleaning = "cleaning.csv"\n'
VALUES = (
    PIPELINE.replace('"classification"', '"regression"').replace('"accuracy"', '"rmse"').replace('"majority"', '"mean"')
)
seen: list[dict[int, object]] = []


class Witness(ClassifierMixin, BaseEstimator):
    """Remembers what it was fitted on."""

    def fit(self, X, y):
        seen.append(dict(zip(X.index, y, strict=True)))
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X):
        return np.full((len(X), len(self.classes_)), 1 / len(self.classes_))


class ValueWitness(RegressorMixin, BaseEstimator):
    def fit(self, X, y):
        seen.append(dict(zip(X.index, y, strict=True)))
        return self

    def predict(self, X):
        return np.zeros(len(X))


def start(root: Path, text: str = CLEANED, lines: str = "f000,red\nf001,\n", frames=None):
    raw = write_raw(root / "data" / SLUG, *(frames or tables()))
    path = write_pipeline(root, text)
    (path.parent / "cleaning.csv").write_text(f"flower,colour\n{lines}")
    pipeline = load_pipeline(path, check_params=registry.check)
    return prepare(raw, pipeline), pipeline, Store(root / "runs")


def read(path: Path, numeric: bool = False):
    return read_corrections(path, id_column="id", target="y", numeric=numeric)


WORDS = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1)


@given(st.dictionaries(WORDS, st.none() | WORDS))
def test_what_is_written_is_read(tmp_path_factory, made):
    path = tmp_path_factory.mktemp("c") / "cleaning.csv"
    write_corrections(path, list(made.items()), id_column="id", target="y")
    assert dict(read(path)) == made
    assert list(read(path)) == sorted(made.items(), key=lambda pair: pair[0])


def test_values_are_numbers(tmp_path):
    path = tmp_path / "c.csv"
    write_corrections(path, [("b", 0.1), ("a", None), ("7", -3.0)], id_column="id", target="y")
    assert read(path, numeric=True) == (("7", -3.0), ("a", None), ("b", 0.1))


@pytest.mark.parametrize(
    ("text", "numeric", "says"),
    [
        ("id,label\na,b\n", False, "must have the columns 'id' and 'y', got id, label"),
        ("", False, "got none"),
        ("id,y\na\n", False, "each line must be an id and a label, got 'a'"),
        ("id,y\n,b\n", False, "each line must be an id and a label, got ',b'"),
        ("id,y\na,b\nc,\na,\n", False, "names some rows twice: a"),
        ("id,y\na,much\n", True, "the value of 'a' must be a number, got 'much'"),
        ("id,y\na,inf\n", True, "must be a number"),
        ('id,y\n"a', False, "is not a CSV table"),
    ],
)
def test_a_file_that_cannot_be_meant_is_refused_in_one_line(tmp_path, text, numeric, says):
    path = tmp_path / "c.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=says) as caught:
        read(path, numeric)
    assert "\n" not in str(caught.value)


def test_corrections_change_their_rows_and_no_others():
    y = pd.Series([1, 0, 1, 0], index=[10, 11, 12, 13], name="y")
    found = corrected(y, [("11", "1"), ("12", None)], [0, 1])
    assert found.to_dict() == {10: 1, 11: 1, 13: 0}
    assert (found.dtype, found.name) == (y.dtype, "y")
    assert corrected(y, [("13", 0.5)]).tolist() == [1.0, 0.0, 1.0, 0.5]
    assert corrected(y, []) is y
    words = pd.Series(["a", "b"], index=["x", "y"])
    assert corrected(words, [("x", "b")], ["a", "b"]).dtype == words.dtype


def test_unknown_rows_and_labels_are_refused():
    y = pd.Series(["cat", "dog"], index=["r1", "r2"])
    with pytest.raises(DataError, match=r"no row 'r3' .*nor 1 more.* Known: r1, r2"):
        corrected(y, [("r3", "cat"), ("r9", None)], ["cat", "dog"])
    with pytest.raises(DataError, match=r"no class 'dgo'.*Did you mean 'dog'"):
        corrected(y, [("r1", "dgo")], ["cat", "dog"])


@pytest.fixture
def witness(monkeypatch):
    """A model of that name."""
    paths = {"classification": f"{__name__}:Witness", "regression": f"{__name__}:ValueWitness"}
    monkeypatch.setitem(registry.MODELS, "witness", paths)
    seen.clear()
    return '[experiments.it]\nwhy = "x"\nmodel = "witness"\ncleaning = "cleaning.csv"\n'


def test_fit_rows_are_cleaned_and_scored_rows_are_not(tmp_path, witness):
    prepared, pipeline, store = start(tmp_path, CLEANED + witness)
    before = prepared.y.copy()
    run = train(prepared, pipeline.experiment("it"), store)
    assert before["f000"] != "red"
    assert len(seen) == 3
    for split, fitted in zip(prepared.folds.splits(), seen, strict=True):
        cleaned = {i: before[i] for i in split.fit_ids if i != "f001"} | {"f000": "red"}
        assert fitted == {i: label for i, label in cleaned.items() if i in split.fit_ids}
    assert set(run.oof.ids) == set(before.index), "a row that is left out of fits is scored all the same"
    pd.testing.assert_series_equal(prepared.y, before)
    _, X, y, _ = first_fit(prepared, pipeline.experiment("it"))
    assert dict(zip(X.index, y, strict=True)) == seen[0]


def test_rows_that_early_stopping_watches_are_cleaned_too(tmp_path):
    prepared, pipeline, store = start(tmp_path, PIPELINE + WATCHING, "".join(f"f{i:03d},\n" for i in range(40)))
    run = train(prepared, pipeline.experiment("boost"), store)
    assert len(run.oof.ids) == 90
    _, X, *_ = first_fit(prepared, pipeline.experiment("boost"))
    assert not {f"f{i:03d}" for i in range(40)} & set(X.index)
    assert 20 < len(X) < 35


def test_values_are_cleaned_before_they_are_transformed(tmp_path, witness):
    frames = tables()
    frames[0]["colour"] = np.arange(90.0)
    text = f'{VALUES}{witness}target_transform = "log1p"\n'
    prepared, pipeline, store = start(tmp_path, text, "f000,2.5\nf001,\n", frames)
    train(prepared, pipeline.experiment("it"), store)
    assert sum("f000" in fitted for fitted in seen) == 2
    for fitted in seen:
        assert fitted == pytest.approx({i: np.log1p(2.5 if i == "f000" else int(i[1:])) for i in fitted})
        assert "f001" not in fitted


def test_the_settings_hold_the_corrections_and_nothing_where_there_are_none(tmp_path):
    prepared, pipeline, _ = start(tmp_path)
    plain, clean = pipeline.experiment("forest"), pipeline.experiment("clean")
    assert "cleaning" not in plain.settings
    assert clean.settings["cleaning"] == [["f000", "red"], ["f001", None]]
    other = replace(clean, cleaning=(("f000", "blue"),))
    keys = {run_id(prepared, replace(e, name="e")) for e in (plain, clean, other, replace(clean, cleaning_file="z"))}
    assert len(keys) == 3, "what the file is called does not matter, what it says does"
    (tmp_path / "pipelines" / "flowers" / "cleaning.csv").write_text("flower,colour\nf001,\nf000,red\n")
    again = load_pipeline(pipeline.path, check_params=registry.check)
    assert again.experiment("clean") == clean


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('cleaning = "no.csv"', r"\[experiments.it\] cleaning: There is no file .*no.csv.*kagglekit clean"),
        ('cleaning = "../cleaning.csv"', "cleaning = '../cleaning.csv'"),
        ('cleaning = "cleaning.csv"\nvalidation = "oob"', "labels as given"),
    ],
)
def test_the_key_is_refused_where_it_cannot_be_meant(tmp_path, text, says):
    with pytest.raises(ConfigError, match=says) as caught:
        start(tmp_path, f'{PIPELINE}[experiments.it]\nwhy = "x"\nmodel = "forest"\n{text}\n')
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ("f999,red\n", "Experiment 'clean': cleaning: there is no row 'f999'"),
        ("f001,rde\n", "no class 'rde'.*Did you mean 'red'"),
        ("".join(f"f{i:03d},\n" for i in range(90)), "leaves no row to fit fold-0 on"),
    ],
)
def test_what_the_data_cannot_bear_is_told_before_anything_is_trained(tmp_path, lines, says):
    prepared, pipeline, store = start(tmp_path, lines=lines)
    with pytest.raises(DataError, match=says):
        train(prepared, pipeline.experiment("clean"), store)


def test_a_change_is_told_by_its_size():
    many = [["a", "x"], ["b", "x"], ["c", None]]
    assert change_words({"cleaning": (None, many)}) == "cleaning: 2 labels changed, 1 row left out"
    words = change_words({"cleaning": (many, many[:1]), "size": (None, 3)})
    assert words == "cleaning: 2 labels changed, 1 row left out -> 1 label changed, size default -> 3"
    assert corrections_words([]) == "nothing changed"


def test_wrong_labels_cost_and_mending_them_pays(tmp_path):
    """Flipped labels in train; a neighbour learns them by heart until they are mended."""
    frames = tables(n_train=600)
    true = frames[0]["colour"].copy()
    flipped = np.random.default_rng(0).choice(600, 150, replace=False)
    frames[0].loc[flipped, "colour"] = [{"blue": "red", "red": "white", "white": "blue"}[c] for c in true[flipped]]
    text = PIPELINE + (
        '[experiments.near]\nwhy = "x"\nmodel = "sklearn.neighbors.KNeighborsClassifier"\nn_neighbors = 1\n'
        'columns = ["petal"]\n'
        '[experiments.clean]\nwhy = "x"\nbased_on = "near"\ncleaning = "cleaning.csv"\n'
    )
    mended = "".join(f"f{i:03d},{true[i]}\n" for i in flipped)
    prepared, pipeline, store = start(tmp_path, text, mended, frames)
    runs = {name: train(prepared, pipeline.experiment(name), store) for name in ("near", "clean")}
    found = compare(prepared, runs["near"], runs["clean"])
    assert found.by_row.low > 0
    row = next(r for r in board(prepared, pipeline, runs) if r.name == "clean")
    assert (row.change, row.verdict) == ("cleaning: 150 labels changed", "better")
    families = find_families(runs)
    assert [family.key for family in families] == ["cleaning"]


def test_a_cleaned_run_is_made_again_from_its_record(tmp_path):
    prepared, pipeline, store = start(tmp_path)
    run = train(prepared, pipeline.experiment("clean"), store)
    again = rebuild(run, prepared, store, {}, sent="", against="", retrain=True)
    assert again.differences == ()
    told = blame("clean", store, Ledger(tmp_path / "ledger.jsonl"), tmp_path).words()
    assert "cleaning (1 label changed, 1 row left out)" in told


def test_the_file_travels_with_a_notebook(tmp_path):
    _, pipeline, _ = start(tmp_path)
    assert [path.name for path in own_files(pipeline)] == ["cleaning.csv"]
    text = script(assignment("flowers", pipeline, ["clean"], tmp_path))
    assert "`cleaning`: 1 label changed, 1 row left out" in text
