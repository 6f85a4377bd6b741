"""Sheets of pictures: they show what training is given, and the same bytes each time."""

from __future__ import annotations

import numpy as np
import pytest
from discs import SMALL, discs, experiment
from PIL import Image
from stories import beliefs, prepared, run
from vision_pictures import draw

from kagglekit.config import Experiment
from kagglekit.errors import UsageError
from kagglekit.inspect import Cell, Sheet, batch_sheet, save_sheet, sees_pictures, worst_sheet
from kagglekit.models.vision import fitting, training
from kagglekit.models.vision.transforms import Normalizer
from kagglekit.refit import first_fit


@pytest.mark.parametrize("changed", [{}, {"sizes": (24, 32), "mixup": 0.4}])
def test_the_batch_is_the_very_one_that_training_begins_with(changed, tmp_path, monkeypatch):
    trained: list[np.ndarray] = []

    class Watched:
        n_steps, seconds_before = 0, 0.0

        def __init__(self, model, batches_at, recipe, **told):
            x, targets = next(iter(batches_at(recipe.stages[0].size)))
            trained.extend([x.numpy(), targets.numpy()])

        def run(self):
            pass

    monkeypatch.setattr(fitting, "Trainer", Watched)
    model, X, y, _ = first_fit(discs(tmp_path), experiment(batch_size=8, **changed))
    seen = model.seen(X, y)
    assert ("before it is mixed with others" in seen.words) == bool(changed)
    assert not hasattr(model, "model_"), "nothing is fitted by looking"
    model.fit(X, y)
    pixels = model._normalize.undo(training.import_torch().from_numpy(trained[0]))
    np.testing.assert_array_equal(seen.views["as the model gets it"], pixels)
    assert y.iloc[seen.rows].tolist() == model.classes_[trained[1]].tolist()
    assert (seen.views["resized"] != pixels).any(axis=(1, 2, 3)).all(), "augmented"


def test_without_augmentation_the_model_gets_the_resized_image(tmp_path):
    model, X, y, _ = first_fit(discs(tmp_path), experiment(augment=False))
    views = model.seen(X, y).views
    np.testing.assert_array_equal(views["resized"], views["as the model gets it"])


def test_frozen_features_are_made_of_the_image_and_its_mirror_image(tmp_path):
    model, X, y, _ = first_fit(discs(tmp_path), experiment("timm-features"))
    views = model.seen(X, y).views
    np.testing.assert_array_equal(views["and mirrored"], views["as the model gets it"][:, :, ::-1])
    model, X, y, _ = first_fit(discs(tmp_path), experiment("timm-features", flip=False))
    assert list(model.seen(X, y).views) == ["as the model gets it"]


def test_bytes_survive_normalisation():
    torch = training.import_torch()
    images = np.random.default_rng(0).integers(0, 256, (2, 5, 4, 3), dtype=np.uint8)
    normalize = Normalizer((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    x = normalize(images, torch.device("cpu"))
    np.testing.assert_array_equal(normalize.undo(x), images)
    assert normalize.undo(x + 100).min() == 255
    assert normalize.undo(x - 100).max() == 0


def test_the_sheet_says_what_each_image_is(tmp_path):
    data = discs(tmp_path)
    sheet = batch_sheet(data, experiment(batch_size=6))
    assert sheet.heads == ["resized", "as the model gets it"]
    assert 5 <= len(sheet.cells) <= 7
    assert all(cell.lines[0] == data.y[cell.lines[1]] for cell in sheet.cells)
    assert "32 px by squish" in sheet.words
    first = sheet.cells[0].lines[1]
    other = next(c for c in data.competition.classes if c != data.y[first])
    cleaned = batch_sheet(data, experiment(batch_size=6, cleaning=((first, other),)))
    assert cleaned.cells[0].lines == [other, first], "labels as they are fitted on"
    bagged = Experiment("it", "x", "timm", SMALL | {"batch_size": 6}, seed=7, bags=3, validation="oob")
    assert batch_sheet(data, bagged).cells


def test_a_model_that_looks_at_no_pictures_is_refused(tmp_path):
    forest = Experiment("it", "x", "forest", {})
    assert not sees_pictures(forest)
    with pytest.raises(UsageError, match=r"looks at no pictures.*timm, timm-features"):
        batch_sheet(discs(tmp_path), forest)


def test_the_worst_images_come_first_with_what_was_said_of_them(tmp_path):
    data = prepared(task="image-classification", folder=tmp_path)
    for path in data.train["path"].iloc[:2]:
        draw((200, 60, 40), np.random.default_rng(0), width=64, height=48).save(path)
    sheet = worst_sheet(data, run(data, "a", beliefs(data, {0, 1, 2})))
    assert [cell.lines for cell in sheet.cells] == [
        ["true ant, 10.0 %", "predicted bee, 80.0 %", "r000"],
        ["true bee, 10.0 %", "predicted cow, 80.0 %", "r001"],
    ], "the third cannot be read"
    picture = sheet.cells[0].pictures[0]
    assert picture.shape == (300, 300, 3)
    assert picture[0, 0].tolist() == [244, 244, 244]
    assert picture[150, 5].tolist() != [244, 244, 244]


@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_the_same_sheet_gives_the_same_bytes(tmp_path, ending):
    red = np.full((20, 20, 3), (200, 0, 0), np.uint8)
    sheet = Sheet("a title", "words " * 100, [Cell([red, red], ["a name that is far too long for its place " * 9])] * 9)
    first, again = (save_sheet(sheet, tmp_path / f"{name}.{ending}").read_bytes() for name in "ab")
    assert first == again
    with Image.open(tmp_path / f"a.{ending}") as image:
        pixels = np.asarray(image.convert("RGB"), int)
    assert pixels.shape[1] <= 1800
    share = (np.abs(pixels - (200, 0, 0)).max(axis=2) < 30).sum() / (2 * 9 * 160 * 160)
    assert share == pytest.approx(1, abs=0.03), "each pixel a square, up to 160 a side"
    assert (pixels[:, -30:] > 200).all(), "no words run over the edge"


def test_a_sheet_of_nothing_is_refused(tmp_path):
    with pytest.raises(UsageError, match="nothing to show"):
        save_sheet(Sheet("t", "w", []), tmp_path / "a.png")
