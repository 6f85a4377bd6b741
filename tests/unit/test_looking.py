"""The confusion matrix and heat maps of a run's images: what is drawn is what is counted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from discs import FAST, discs, experiment
from sklearn.metrics import confusion_matrix

from kagglekit.errors import UsageError
from kagglekit.inspect import confusion_sheet, confusion_table, fold_model, heat_sheet, save_sheet
from kagglekit.inspect.heat import lit
from kagglekit.store import Store
from kagglekit.train import train


@pytest.fixture
def trained(tmp_path):
    data, it = discs(tmp_path / "cache", n=2), experiment(**FAST, keep_models=True)
    store = Store(tmp_path / "runs")
    return data, it, store, train(data, it, store)


def test_the_confusion_matrix_is_that_of_held_out_rows(trained, tmp_path):
    data, _, _, run = trained
    table = confusion_table(data, run)
    classes = list(data.competition.classes)
    guess = run.oof.frame.idxmax(axis=1)
    np.testing.assert_array_equal(table[classes], confusion_matrix(data.y, guess.loc[data.y.index], labels=classes))
    assert table["rows"].sum() == len(data.y)
    assert table["right"].iloc[0] == pytest.approx(table.iloc[0][classes[0]] / table["rows"].iloc[0], abs=1e-6)
    sheet = confusion_sheet(data, run)
    picture = sheet.cells[0].pictures[0]
    assert picture.shape[1] >= 1000, "wide enough for the words above it"
    assert f"{(guess == data.y).mean() * 100:.1f} %" in sheet.words
    assert save_sheet(sheet, tmp_path / "a.png").stat().st_size > 1000


def test_many_classes_still_fit(trained):
    data, _, _, run = trained
    names = [f"a breed with a long name {n}" for n in range(60)]
    y = pd.Series([names[n % 60] for n in range(66)], index=data.train.index)
    frame = pd.DataFrame(np.random.default_rng(0).random((66, 60)), index=y.index, columns=names)
    many = replace(
        data,
        train=data.train.assign(label=y),
        competition=replace(data.competition, classes=tuple(names)),
    )
    other = replace(run, oof=type(run.oof)(frame), test=type(run.test)(frame.iloc[:9]))
    assert max(confusion_sheet(many, other).cells[0].pictures[0].shape) < 2400


def test_heat_is_of_the_first_folds_own_images_worst_first(trained):
    data, it, store, run = trained
    model = fold_model(data, run, it, store)
    sheet, table = heat_sheet(data, run, model)
    held = next(data.folds.splits()).score_ids
    assert len(table) == 24
    assert set(table.index) <= set(held)
    stored = run.oof.frame.loc[table.index]
    said = [stored.loc[i, label] for i, label in table["true"].items()]
    np.testing.assert_allclose(table["belief in true"], said, atol=1e-3)
    assert said[0] == min(said)
    assert table["share at the rim"].between(0, 1).all()
    assert table[["centre x", "centre y"]].stack().between(0, 1).all()
    pictures = sheet.cells[0].pictures
    assert [p.shape for p in pictures] == [(32, 32, 3)] * 3
    np.testing.assert_array_equal(pictures[0], model.seen([data.train["path"].loc[table.index[0]]])[0])
    for cell, (id_, row) in zip(sheet.cells, table.iterrows(), strict=True):
        right = row["true"] == row["predicted"]
        assert cell.lines[0].startswith(f"{row['predicted']}, ")
        assert cell.lines[1].startswith("right; next " if right else f"true {row['true']}, ")
        assert cell.lines[2] == id_
        assert row["predicted"] not in cell.lines[1], "held against another label"


def test_a_heat_map_lights_the_picture_and_draws_a_line_around():
    image, heat = np.full((8, 8, 3), (200, 100, 0), np.uint8), np.zeros((8, 8))
    heat[2:6, 2:6] = 1
    drawn = lit(image, heat)
    assert drawn[3, 3].tolist() == [200, 100, 0], "its own colours in the light"
    assert drawn[0, 0].tolist() == [30, 30, 30]
    assert (drawn == (255, 150, 30)).all(axis=2).sum() == 12, "the rim of four by four"
    assert lit(image, np.ones((8, 8))).tolist() == image.tolist(), "all of it is lit: there is no line"


def test_without_a_kept_model_the_fold_is_fitted_again(trained):
    data, it, store, run = trained
    kept = fold_model(data, run, it, store)
    paths = list(data.test["path"])
    again = fold_model(data, run, replace(it, keep_models=False), Store(store.folder / "elsewhere"))
    np.testing.assert_allclose(again.answers(paths), kept.answers(paths), atol=1e-5)
    with pytest.raises(UsageError, match="no image model of a first fold"):
        fold_model(data, replace(run, kind="oob"), it, store)
