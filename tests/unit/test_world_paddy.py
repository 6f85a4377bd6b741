"""The paddy look-alike: its files, its counts, and that a picture is the same wherever it is drawn."""

from __future__ import annotations

import io
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from kagglekit.arena.worlds import WORLDS, ensure, get_world
from kagglekit.arena.worlds.leaves import Blade, blend, lay, new_strip, smooth_noise
from kagglekit.arena.worlds.lesions import LESIONS
from kagglekit.arena.worlds.paddy import CLASSES, DEFAULT_SCALE, N_TEST, TITLE, VARIETIES, make, plan
from kagglekit.arena.worlds.plants import JPEG_BYTES, SIZE, Plant, encode, photograph
from kagglekit.errors import DataError, UsageError
from kagglekit.progress import Progress

TINY = 0.0001  # six training and two test pictures of each class


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("paddy")
    make(folder, scale=TINY, n_jobs=2)
    return folder


def draw(label: str, number: int = 1) -> Image.Image:
    return photograph(Plant(label, 3, 70), np.random.default_rng([7, number]))


def test_files_have_the_real_competitions_columns(world: Path) -> None:
    assert list(pd.read_csv(world / "train.csv")) == ["image_id", "label", "variety", "age"]
    assert list(pd.read_csv(world / "sample_submission.csv")) == ["image_id", "label"]
    assert list(pd.read_csv(world / "solution.csv")) == ["image_id", "label", "Usage"]


def test_every_row_has_its_picture_and_no_picture_is_left_over(world: Path) -> None:
    train, test = pd.read_csv(world / "train.csv"), pd.read_csv(world / "sample_submission.csv")
    expected = {f"train_images/{label}/{image}" for label, image in zip(train["label"], train["image_id"], strict=True)}
    expected |= {f"test_images/{image}" for image in test["image_id"]}
    assert {p.relative_to(world).as_posix() for p in world.rglob("*.jpg")} == expected


def test_the_sample_submission_is_sorted_and_gives_no_label_away(world: Path) -> None:
    sample, solution = pd.read_csv(world / "sample_submission.csv"), pd.read_csv(world / "solution.csv")
    assert sample["label"].isna().all()
    assert sample["image_id"].is_monotonic_increasing
    assert sample["image_id"].tolist() == solution["image_id"].tolist()
    assert set(solution["Usage"]) == {"Public", "Private"}


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


def test_pictures_have_the_real_size_and_four_lie_on_their_side(world: Path) -> None:
    sizes = [size_of(p) for p in sorted((world / "train_images").rglob("*.jpg"))]
    assert sizes.count(SIZE[::-1]) == 4
    assert sizes.count(SIZE) == len(sizes) - 4
    assert {size_of(p) for p in (world / "test_images").glob("*.jpg")} == {SIZE}


def test_pictures_weigh_what_the_real_ones_weigh(world: Path) -> None:
    weights = [p.stat().st_size for p in world.rglob("*.jpg")]
    assert all(JPEG_BYTES[0] <= w <= JPEG_BYTES[1] for w in weights)


def test_it_says_that_it_is_synthetic(world: Path) -> None:
    assert "synthetic" in TITLE
    assert WORLDS["paddy"].title == TITLE
    assert WORLDS["paddy"].scale == DEFAULT_SCALE
    assert (world / "README.txt").read_text().startswith(TITLE)


def test_the_full_size_has_the_real_counts() -> None:
    train, test = plan(1.0)
    assert train["label"].value_counts().to_dict() == CLASSES
    assert train["variety"].value_counts().to_dict() == VARIETIES
    assert len(train) == 10_407
    assert len(test) == N_TEST == 3_469
    assert train["age"].between(45, 82).all()


def test_the_default_size_leaves_enough_of_the_rarest_class_for_five_folds() -> None:
    train, test = plan(DEFAULT_SCALE)
    assert 600 <= len(train) <= 1_000
    assert train["label"].value_counts().min() >= 20
    assert len(test) == pytest.approx(len(train) / 3, rel=0.02)


@pytest.mark.parametrize("part", [0, 1])
def test_some_labels_are_wrong_in_both_parts(part: int) -> None:
    table = plan(1.0)[part]
    assert 0.03 < (table["label"] != table["drawn"]).mean() < 0.04


def test_a_small_world_is_part_of_the_full_one() -> None:
    for small, full in zip(plan(0.05), plan(1.0), strict=True):
        columns = ["image_id", "label", "drawn", "variety", "age", "on_side"]
        both = small[columns].merge(full[columns])
        assert len(both) == len(small)


def test_another_seed_is_another_world() -> None:
    assert plan(0.1, seed=1)[0]["image_id"].tolist() != plan(0.1, seed=2)[0]["image_id"].tolist()


@pytest.mark.parametrize("scale", [0, -0.5, 1.01])
def test_a_scale_beyond_the_full_size_is_refused(scale: float, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="above 0 and at most 1"):
        make(tmp_path, scale=scale)


@pytest.mark.parametrize("row", [0, 30, 55])
def test_a_picture_drawn_alone_has_the_same_bytes(row: int, world: Path) -> None:
    train, _ = plan(TINY)
    picture = train.iloc[row]
    plant = Plant(picture["drawn"], list(VARIETIES).index(picture["variety"]), int(picture["age"]))
    size = SIZE[::-1] if picture["on_side"] else SIZE
    alone = encode(photograph(plant, np.random.default_rng([2022, picture["number"]]), size))
    assert (world / "train_images" / picture["label"] / picture["image_id"]).read_bytes() == alone


def test_a_picture_depends_on_its_seed_alone() -> None:
    assert draw("blast").tobytes() == draw("blast").tobytes()
    assert draw("blast", 1).tobytes() != draw("blast", 2).tobytes()


@pytest.mark.parametrize("disease", sorted(set(LESIONS) - {"normal", "dead_heart", "bacterial_panicle_blight"}))
def test_each_disease_of_leaves_marks_a_leaf_in_its_own_way(disease: str) -> None:
    healthy = new_strip(np.random.default_rng(1), 300, 80, (90, 140, 50))
    ill = {}
    for name in (disease, "blast", "hispa"):
        ill[name] = healthy.copy()
        LESIONS[name](ill[name], np.random.default_rng(2), 0.8)
    assert ill[disease].tobytes() != healthy.tobytes()
    assert all(ill[disease].tobytes() != ill[n].tobytes() for n in ill if n != disease)


def test_hispa_is_whiter_and_streak_browner_than_a_healthy_leaf() -> None:
    healthy = new_strip(np.random.default_rng(1), 300, 80, (90, 140, 50))
    blue = {"normal": np.asarray(healthy)[..., 2].mean()}
    for name in ("hispa", "bacterial_leaf_streak"):
        strip = healthy.copy()
        LESIONS[name](strip, np.random.default_rng(2), 1.0)
        blue[name] = np.asarray(strip)[..., 2].mean()
    assert blue["hispa"] > blue["normal"] + 5
    assert blue["bacterial_leaf_streak"] < blue["hispa"]


def test_a_plain_picture_still_becomes_a_readable_jpeg() -> None:
    data = encode(Image.new("RGB", SIZE, (90, 120, 60)))
    assert Image.open(io.BytesIO(data)).size == SIZE


def test_a_blade_outside_the_picture_changes_nothing() -> None:
    picture = Image.new("RGB", (40, 60))
    lay(picture, new_strip(np.random.default_rng(0), 50, 12, (0, 200, 0)), Blade(500, 500, 0.0, 40, 5, 0))
    assert picture.tobytes() == Image.new("RGB", (40, 60)).tobytes()


def test_a_blade_covers_its_middle() -> None:
    picture = Image.new("RGB", (60, 60))
    lay(picture, new_strip(np.random.default_rng(0), 50, 20, (40, 200, 40)), Blade(5, 30, 0.0, 50, 10, 0))
    assert np.asarray(picture)[30, 25, 1] > 60
    assert np.asarray(picture)[5, 25].max() == 0


def test_helpers_stay_in_range() -> None:
    noise = smooth_noise(np.random.default_rng(0), (30, 20), (4, 3))
    assert noise.shape == (20, 30)
    assert np.abs(noise).max() <= 1
    assert blend((0, 10, 250), (10, 20, 260), 2.0) == (20, 30, 255)


class Said:
    """A world that counts how often it is drawn, and can fail half way."""

    def __init__(self, fails: bool = False) -> None:
        self.times, self.fails = 0, fails

    def __call__(self, folder: Path, *, scale: float | None, seed: int, progress: Progress, n_jobs: int | None) -> None:
        self.times += 1
        (folder / "train.csv").write_text(f"{scale} {seed}")
        if self.fails:
            raise KeyboardInterrupt


def test_a_world_is_drawn_once(tmp_path: Path) -> None:
    said = Said()
    world = replace(WORLDS["paddy"], make=said)
    first, second = ensure(world, tmp_path), ensure(world, tmp_path)
    assert first == second
    assert said.times == 1
    assert (first / "train.csv").read_text() == f"{world.scale} 2022"


def test_scale_and_version_have_a_folder_each(tmp_path: Path) -> None:
    world = replace(WORLDS["paddy"], make=Said())
    folders = {
        ensure(world, tmp_path),
        ensure(world, tmp_path, scale=0.5),
        ensure(replace(world, version=world.version + 1), tmp_path),
    }
    assert len(folders) == 3


def test_an_interrupted_world_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        ensure(replace(WORLDS["paddy"], make=Said(fails=True)), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_world_is_found_by_name_or_slug() -> None:
    assert get_world("paddy") is get_world("paddy-disease-classification")
    with pytest.raises(UsageError, match="Did you mean 'paddy'"):
        get_world("pady")


def test_listing_worlds_imports_nothing_heavy() -> None:
    code = (
        "import sys, kagglekit.arena.worlds;"
        "sys.exit(any(m in sys.modules for m in ('PIL', 'torch', 'sklearn', 'scipy')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
