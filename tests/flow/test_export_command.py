"""From labelled folders to a model that is taken elsewhere, shown and looked into: the commands as people type them."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from vision_pictures import COLOURS, draw

from kagglekit.dataset import RawData

PIPELINE = """[competition]
slug = "leaves"
task = "image-classification"
metric = "accuracy"
id = "image"
target = "label"

[data]
train_folder = "train"
test_folder = "test"

[folds]
scheme = "stratified"
n = 2

[experiments.tiny]
why = "does it run?"
model = "timm"
arch = "test_resnet"
weights = "random"
size = 32
epochs = 1
freeze_epochs = 0
keep_models = true
"""


def test_a_model_is_exported_asked_shown_and_looked_into(kagglekit, tmp_path):
    raw, rng = tmp_path / "data/arena/leaves/raw", np.random.default_rng(0)
    for n in range(30):
        label = list(COLOURS)[n % 3]
        for place in (f"train/{label}/{n}.png", f"test/{n}.png"):
            (raw / place).parent.mkdir(parents=True, exist_ok=True)
            draw(COLOURS[label], rng).save(raw / place)
    RawData(raw.parent).seal()
    (tmp_path / "pipelines/leaves").mkdir(parents=True)
    (tmp_path / "pipelines/leaves/pipeline.toml").write_text(PIPELINE)
    assert kagglekit("train", "leaves").status == 0

    said = kagglekit("export", "leaves", "tiny")
    assert said.status == 0, said.err
    assert said.out.startswith("exports/leaves/tiny\n2 networks, test_resnet at 32 x 32 px by squish")
    assert "It predicts what the run stored: 30 test rows" in said.out
    again = kagglekit("export", "leaves", "tiny")
    assert again.status == 2
    assert "exists already and was left alone. Name another folder with --to." in again.err

    asked = kagglekit("predict", "exports/leaves/tiny", str(raw / "test"), "--top", "1")
    assert len(asked.out.splitlines()) == 30
    assert asked.out.splitlines()[0].startswith(f"{raw}/test/0.png: ")
    beliefs = json.loads(kagglekit("predict", "exports/leaves/tiny", str(raw / "test/0.png"), "--json").out)
    assert sum(beliefs[f"{raw}/test/0.png"].values()) == pytest.approx(1)
    assert kagglekit("predict", "exports/leaves", str(raw)).status == 2

    shown = kagglekit("demo", "exports/leaves/tiny", str(raw / "test/0.png"))
    assert shown.out.startswith("exports/leaves/tiny-space: ")
    assert (tmp_path / "exports/leaves/tiny-space/app.py").is_file()
    nothing = kagglekit("demo", ".")
    assert nothing.status == 2 and "holds no exported model" in nothing.err

    looked = kagglekit("inspect", "leaves", "tiny", "--heat")
    assert looked.status == 0, looked.err
    names = ("batch.png", "losses.jpg", "confusion.png", "confusion.csv", "heat.jpg", "heat.csv")
    assert looked.out.splitlines() == [f"reports/leaves/tiny-{name}" for name in names]
    table = pd.read_csv(tmp_path / "reports/leaves/tiny-confusion.csv", index_col="true")
    assert table["rows"].sum() == 30
