"""Labels from folders and names, and what is wrong with them in one line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from kagglekit.config import load_pipeline
from kagglekit.dataset import RawData
from kagglekit.errors import ConfigError, DataError, KagglekitError, UsageError
from kagglekit.image_files import ids_of, image_names, label_rows, named_images, pattern_of
from kagglekit.look import look
from kagglekit.models import registry
from kagglekit.new import render
from kagglekit.prepare import prepare

BREEDS = ("great_pyrenees", "Abyssinian", "pug")
NAMES = [f"{breed}_{n}.jpg" for breed in BREEDS for n in (3, 12, 173, 2)]


def draw(folder: Path, names: list[str]) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 6)).save(folder / name)
    return folder


def write(root: Path, data: str, more: str = "", folds: str = "[folds]\nn = 2") -> Path:
    text = f"""[competition]
slug = "pets"
task = "image-classification"
metric = "accuracy"
id = "image"
target = "breed"
{more}
[data]
{data}
{folds}
[experiments.majority]
why = "x"
model = "majority"
"""
    path = root / "pipelines" / "pets" / "pipeline.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def prepared(root: Path, data: str, **facts: str):
    raw = RawData(root / "data" / "pets")
    raw.seal()
    return prepare(raw, load_pipeline(write(root, data, **facts), check_params=registry.check))


@pytest.fixture
def pets(tmp_path) -> Path:
    draw(tmp_path / "data/pets/raw/images", NAMES)
    draw(tmp_path / "data/pets/raw/test", ["b.jpg", "a.jpg"])
    return tmp_path


def test_breeds_are_read_from_names(pets):
    made = prepared(pets, "train_folder = 'images'\nlabels = '(.+)_\\d+\\.jpg'\ntest_folder = 'test'")
    assert made.competition.classes == ("Abyssinian", "great_pyrenees", "pug")
    assert made.y["great_pyrenees_173.jpg"] == "great_pyrenees"
    assert list(made.test.index) == ["a.jpg", "b.jpg"]
    assert all(Path(p).is_file() for p in [*made.train["path"], *made.test["path"]])
    assert list(made.sample.columns) == ["image", "breed"]


def test_named_groups_are_columns_that_folds_can_respect(pets):
    data = "train_folder = 'images'\nlabels = '(?P<breed>.+)_(?P<who>\\d)\\d*\\.jpg'\ntest_folder = 'test'"
    made = prepared(pets, data, more='group = "who"', folds='[folds]\nscheme = "group"\nn = 2')
    assert set(made.train["who"]) == {"1", "2", "3"}
    assert "who" not in made.X


def test_folders_are_labels_and_ids_of_the_sample_are_names_without_endings(tmp_path):
    raw = draw(tmp_path / "data/pets/raw", ["train/cat/1.jpg", "train/cat/2.jpg", "train/dog/1.jpg", "train/dog/2.jpg"])
    draw(raw / "test", ["deep/9.jpg", "7.jpg"])
    (raw / "sample_submission.csv").write_text("image,breed\n7,cat\n9,cat\n")
    made = prepared(tmp_path, "train_folder = 'train'\ntest_folder = 'test'")
    assert made.y.to_dict() == {"cat/1.jpg": "cat", "cat/2.jpg": "cat", "dog/1.jpg": "dog", "dog/2.jpg": "dog"}
    assert sorted(made.test.index) == [7, 9]
    assert made.test["path"].loc[9].endswith("test/deep/9.jpg")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ("train_folder = 'imags'", "no folder 'imags'. Did you mean 'images'"),
        ("train_folder = 'images'\nlabels = '(.+)_\\d\\.jpg'", r"6 of 12 images do not match .*Abyssinian_12\.jpg"),
        ("train_folder = 'images'\nlabels = '(?P<bred>.+)_\\d+\\.jpg'", "label 'breed'. Did you mean 'bred'"),
        ("train_folder = 'images'\nlabels = '(.+'", "no regular expression"),
        ("train_folder = 'images'\nlabels = '.+'", "needs one group"),
        ("train_folder = 'images'\nlabels = '()[^/]+'", "finds an empty label"),
        ("train_folder = 'images'", "12 of 12 images do not match"),
        ("train_folder = 'images'\ntrain_images = 'x/{image}'", "leave out train_images"),
        ("train_folder = 'images'\nlabels = '(.+)_\\d+\\.jpg'\ntest_folder = 'none'", "no images in"),
    ],
)
def test_bad_input_is_one_line(pets, data, says):
    (pets / "data/pets/raw/none").mkdir()
    (pets / "data/pets/raw/none/x.txt").write_text("x")
    with pytest.raises(KagglekitError, match=says) as error:
        prepared(pets, data if "test_folder" in data else data + "\ntest_folder = 'test'")
    assert "\n" not in str(error.value)


def test_one_label_alone_and_an_empty_folder_are_refused(tmp_path):
    pattern = pattern_of("folder", "label", "here")
    draw(tmp_path, ["cat/1.jpg", "cat/2.jpg"])
    with pytest.raises(DataError, match="all 2 images have the label 'cat'"):
        label_rows(tmp_path, pattern, "label", "here")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no images in"):
        label_rows(tmp_path / "empty", pattern, "label", "here")
    with pytest.raises(ConfigError, match="plain word"):
        pattern_of("folder", "the label", "here")


@given(st.sets(st.from_regex(r"[a-z]{1,4}/[0-9]{1,3}\.png", fullmatch=True), min_size=1, max_size=8))
def test_ids_are_found_by_the_path_whatever_their_order(names):
    listed = sorted(names)
    assert ids_of(listed, listed[::-1], "here") == listed


def test_an_image_without_an_id_is_named():
    assert ids_of(["a/1.jpg", "b/2.jpg"], [2, 1], "here") == [1, 2]
    with pytest.raises(DataError, match=r"without an image: 3\."):
        ids_of(["1.jpg", "2.jpg"], [1, 3], "here")


def test_files_and_folders_can_be_named_together(tmp_path):
    draw(tmp_path, ["a/1.jpg", "a/.hidden/2.jpg", "b.PNG"])
    assert image_names(tmp_path) == ["a/1.jpg", "b.PNG"]
    assert named_images([tmp_path / "b.PNG", tmp_path / "a"]) == [tmp_path / "b.PNG", tmp_path / "a/1.jpg"]
    with pytest.raises(UsageError, match="There is no file"):
        named_images([tmp_path / "c.jpg"])
    (tmp_path / "none").mkdir()
    with pytest.raises(UsageError, match="holds no images"):
        named_images([tmp_path / "none"])


@pytest.mark.parametrize(
    ("place", "names", "labels"),
    [
        ("images", NAMES, r"(.+?)[ _-]*\d+\.\w+"),
        ("data/train", [n.replace("_", "/", 1) for n in NAMES if "great" not in n], "folder"),
    ],
)
def test_new_proposes_what_it_sees_and_prepare_takes_it(tmp_path, place, names, labels):
    raw = tmp_path / "data/pets/raw"
    draw(raw / place, names)
    draw(raw / "data/test", ["1.jpg", "2.jpg"])
    found = look(raw, "pets")
    assert (found.task, found.train_folder, found.labels, found.test_folder) == (
        "image-classification",
        place,
        labels,
        "data/test",
    )
    assert "8 wide and 6 high" in found.reasons["train_folder"]
    path = tmp_path / "pipelines/pets/pipeline.toml"
    path.parent.mkdir(parents=True)
    path.write_text(render(found))
    RawData(raw.parent).seal()
    made = prepare(RawData(raw.parent), load_pipeline(path, check_params=registry.check))
    assert len(made.train) == len(names)
    assert set(made.competition.classes) <= set(BREEDS)


def test_new_says_what_is_missing(tmp_path):
    draw(tmp_path, [f"train/{n}" for n in NAMES])
    with pytest.raises(DataError, match=r"no folder of test images.*arena create"):
        look(tmp_path, "pets")
    draw(tmp_path / "other", ["train/x.jpg", "train/y.jpg", "test/z.jpg"])
    with pytest.raises(DataError, match="no rule was found that leads from its images to labels"):
        look(tmp_path / "other", "pets")
