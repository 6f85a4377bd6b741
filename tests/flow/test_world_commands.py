"""Practice worlds from drawing to medals, and competitions cut from what a user has."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image


def ran(said) -> str:
    assert said.status == 0, said.err
    return said.out


@pytest.mark.parametrize(("world", "scale"), [("coffee", "0.3"), ("auction", "0.05")])
def test_a_world_from_drawing_to_a_rehearsal(kagglekit, tmp_path, world, scale):
    ran(kagglekit("arena", "draw", world, "--scale", scale))
    assert world in ran(kagglekit("arena", "list"))
    assert f'slug = "{world}"' in ran(kagglekit("new", world, "--on", "arena"))
    path = tmp_path / "pipelines" / world / "pipeline.toml"
    path.write_text(path.read_text().replace("\nn = 5", "\nn = 2").replace("n_estimators = 100", "n_estimators = 10"))
    done = json.loads(ran(kagglekit("submit", world, "--on", "arena", "--json")))
    assert done["submission"]["site"] == "arena" and done["submission"]["public"] > 0
    assert done["teams"] > 120 and 1 <= done["place"] <= done["teams"]
    words = ["arena", "rehearse", world, "--splits", "8", "--json"]
    found = json.loads(ran(kagglekit(*words)))
    assert json.loads(ran(kagglekit(*words))) == found
    assert found["splits"] == 8 and found["simulated teams"] == 120
    sent = done["submission"]["file"].removesuffix(".csv")
    assert sent in found["entries"] and any(name.startswith("forest-") for name in found["entries"])
    assert sum(found["entries"][sent]["medals"].values()) == pytest.approx(1)
    only = ran(kagglekit("arena", "rehearse", world, f"submissions/{world}/{sent}.csv", "--splits", "3"))
    assert "3 splits" in only and sent in only


def test_worlds_are_listed_with_task_metric_and_rows(kagglekit):
    text = ran(kagglekit("arena", "worlds"))
    assert all(word in text for word in ("auction", "rmsle", "6,000", "scenes", "image-segmentation"))
    assert set(json.loads(ran(kagglekit("arena", "worlds", "--json")))) >= {"coffee", "digits", "paddy"}
    page = ran(kagglekit("arena", "worlds", "rps"))
    assert "Worth trying:" in page and "kagglekit new rps" in page
    wrong = kagglekit("arena", "worlds", "rsp")
    assert wrong.status == 2 and "rps" in wrong.err


def test_another_seed_replaces_a_world(kagglekit):
    ran(kagglekit("arena", "draw", "coffee", "--scale", "0.2"))
    before = json.loads(ran(kagglekit("arena", "rehearse", "coffee", "--json", "--splits", "2", *sample())))
    assert "--replace" in kagglekit("arena", "draw", "coffee", "--scale", "0.3").err
    ran(kagglekit("arena", "draw", "coffee", "--scale", "0.2", "--seed", "7", "--replace"))
    after = json.loads(ran(kagglekit("arena", "rehearse", "coffee", "--json", "--splits", "2", *sample())))
    assert before["entries"] != after["entries"]


def sample() -> list[str]:
    return [".arena/competitions/coffee/files/sample_submission.csv"]


def test_scenes_is_for_a_network_of_ones_own(kagglekit):
    ran(kagglekit("arena", "draw", "scenes", "--scale", "0.02"))
    refused = kagglekit("new", "scenes", "--on", "arena")
    assert refused.status == 2 and "no model of kagglekit predicts" in refused.err
    submission = ".arena/competitions/scenes/files/sample_submission.csv"
    assert json.loads(ran(kagglekit("arena", "grade", "scenes", submission, "--json")))["all"] < 0.1


def test_one_labelled_table_becomes_a_competition(kagglekit, tmp_path):
    rng = np.random.default_rng(1)
    rows = pd.DataFrame({"a": rng.normal(size=90), "b": rng.normal(size=90), "farm": rng.integers(0, 15, 90)})
    rows["y"] = np.where(rows["a"] + 0.3 * rng.normal(size=90) > 0, "high", "low")
    rows.to_csv(tmp_path / "rows.csv", index=False)
    asked = ["arena", "create", "rows.csv", "--name", "mine"]
    assert "--target" in kagglekit(*asked).err
    out = ran(kagglekit(*asked, "--target", "y", "--cut", "group", "--by", "farm", "--teams", "20"))
    assert "hidden, cut group by 'farm'" in out and "Hosted 'mine' (accuracy)" in out
    text = ran(kagglekit("new", "mine", "--on", "arena"))
    assert 'target = "y"' in text


def test_copies_are_refused_unless_allowed(kagglekit, tmp_path, flowers_folder):
    train, test = (pd.read_csv(flowers_folder / f"{n}.csv").fillna({"petal": 0.5}) for n in ("train", "test"))
    train["petal"] += np.arange(len(train)) / 1e3
    test.loc[:4, ["petal", "soil"]] = train.loc[20:24, ["petal", "soil"]].to_numpy()
    for name, frame in (("train", train), ("test", test)):
        frame.to_csv(flowers_folder / f"{name}.csv", index=False)
    asked = ["arena", "create", "from-elsewhere", "--name", "flowers"]
    refused = kagglekit(*asked)
    assert refused.status == 2 and "equal rows" in refused.err and "--allow-copies" in refused.err
    assert "equal rows" in ran(kagglekit(*asked, "--allow-copies"))


def test_a_folder_of_images_by_label_becomes_a_competition(kagglekit, tmp_path):
    rng = np.random.default_rng(2)
    for label in ("cat", "dog"):
        (tmp_path / "pets" / label).mkdir(parents=True)
        for i in range(8):
            coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
            coarse.resize((64, 48), Image.Resampling.BICUBIC).save(tmp_path / "pets" / label / f"{label}{i}.jpg")
    out = ran(kagglekit("arena", "create", "pets", "--name", "pets"))
    assert "of 16 images were hidden under new names" in out
    assert 'train_images = "train_images/{label}/{image}"' in ran(kagglekit("new", "pets", "--on", "arena"))
