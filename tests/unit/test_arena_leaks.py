"""Copies on both sides: refused where they are equal, noted where they are nearly so, left alone where chance brings
them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from meadow import SLUG, tables, write_folder
from PIL import Image

from kagglekit.arena import hosting
from kagglekit.arena.hosted import Hosted
from kagglekit.arena.leaks import check_copies, image_copies
from kagglekit.contracts import Competition
from kagglekit.errors import DataError


def meadow_with(tmp_path: Path, allow: bool = False, **changed: pd.DataFrame) -> Hosted:
    folder = write_folder(tmp_path / "folder", **changed)
    return hosting.create(folder, tmp_path / "home", SLUG, metric="accuracy", allow_copies=allow)


def copied(columns: tuple[str, ...] = ("height", "width"), n: int = 3, shift: float = 0.0) -> pd.DataFrame:
    """Test rows of which the first `n` say what the first training rows say."""
    train, test = tables()["train"], tables()["test"].copy()
    for column in columns:
        test.loc[: n - 1, column] = train[column].to_numpy()[:n] + shift
    return test


def test_a_training_row_among_the_test_rows_is_refused_and_named(tmp_path: Path):
    with pytest.raises(DataError, match=r"3 equal rows in both.*row 100 = 160.*--allow-copies"):
        meadow_with(tmp_path, test=copied())
    assert not hosting.is_hosted(tmp_path / "home", SLUG)


def test_it_is_hosted_on_demand_and_the_copies_are_noted(tmp_path: Path):
    made = meadow_with(tmp_path, allow=True, test=copied())
    assert any("3 equal rows" in note for note in made.notes)


def test_nearly_equal_rows_are_noted(tmp_path: Path):
    made = meadow_with(tmp_path, test=copied(n=10, shift=1e-5))
    assert any(note.startswith("10 nearly equal rows in both training and test data") for note in made.notes)


def test_rows_of_a_few_coarse_columns_are_equal_by_nature(tmp_path: Path):
    rng = np.random.default_rng(1)
    train, test = (tables()[n].assign(height=0.0, width=0.0) for n in ("train", "test"))
    for frame in (train, test):
        frame["height"], frame["width"] = rng.integers(0, 3, len(frame)), rng.integers(0, 2, len(frame))
    assert meadow_with(tmp_path, train=train, test=test).notes == ()


PETS = Competition("pets", "image-classification", "accuracy", "image", "label", classes=("cat", "dog"))


def pets(folder: Path) -> list[str]:
    """Six training and three test images, all different."""
    rng = np.random.default_rng(2)
    names = [f"train/{i}.png" for i in range(6)] + [f"test/{i}.png" for i in range(6, 9)]
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
        coarse.resize((64, 48), Image.Resampling.BICUBIC).save(folder / name)
    return names


def test_different_images_raise_nothing(tmp_path: Path):
    assert check_copies(tmp_path, pets(tmp_path), PETS) == []


def test_an_image_with_the_same_bytes_is_refused_under_any_name(tmp_path: Path):
    names = pets(tmp_path)
    (tmp_path / "test/7.png").write_bytes((tmp_path / "train/3.png").read_bytes())
    assert image_copies(tmp_path, names) == [("train/3.png", "test/7.png")]
    with pytest.raises(DataError, match=r"1 byte-identical image in both.*train/3\.png = test/7\.png"):
        check_copies(tmp_path, names, PETS)
    assert check_copies(tmp_path, names, PETS, refuse=False) == [
        "1 byte-identical image in both training and test data (train/3.png = test/7.png)."
    ]


def test_a_smaller_mirrored_copy_is_noted_unless_code_made_the_images(tmp_path: Path):
    names = pets(tmp_path)
    with Image.open(tmp_path / "train/5.png") as image:
        image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).resize((48, 36)).save(tmp_path / "test/8.png")
    (note,) = check_copies(tmp_path, names, PETS)
    assert note == "1 image that looks alike in both training and test data (train/5.png = test/8.png)."
    assert check_copies(tmp_path, names, PETS, near=False) == []


def test_a_damaged_image_keeps_nobody_from_hosting(tmp_path: Path):
    names = pets(tmp_path)
    (tmp_path / "train/2.png").write_bytes(b"not an image")
    (note,) = check_copies(tmp_path, names, PETS)
    assert note.startswith("Images were not looked at for likeness: 2.png is not an image that can be read")
