"""Cutting a test set out of one table or folder of images: what lies where, and what must not be on both sides."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from kagglekit.arena import hosting
from kagglekit.arena.cutting import Cut, ready
from kagglekit.arena.hosted import Hosted, read_table
from kagglekit.errors import DataError, FoldsError, UsageError
from kagglekit.files import sha256

N = 120


def table(seed: int = 0) -> pd.DataFrame:
    """Sorted by the answer, as tables often are."""
    rng = np.random.default_rng(seed)
    kind = np.sort(rng.choice(["oats", "rye", "wheat"], N, p=[0.2, 0.3, 0.5]))
    return pd.DataFrame(
        {
            "height": rng.normal(size=N),
            "weight": rng.normal(size=N),
            "farm": rng.choice([f"farm {i}" for i in range(12)], N),
            "day": pd.date_range("2024-01-01", periods=N).astype(str)[rng.permutation(N)],
            "grain": kind,
        }
    )


def create(tmp_path: Path, frame: pd.DataFrame, cut: Cut) -> tuple[Hosted, tuple[str, ...]]:
    tmp_path.mkdir(exist_ok=True)
    source = tmp_path / "grains.csv"
    frame.to_csv(source, index=False)
    with ready(source, tmp_path / "home", cut) as found:
        made = hosting.create(found.folder, tmp_path / "home", "grains", group=found.group, time=found.time)
    return made, found.notes


def sides(made: Hosted) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    key = made.competition.id
    train, test = (read_table(made.files_folder / f"{name}.csv", id_column=key) for name in ("train", "test"))
    return train, test, made.solution_frame()


def test_a_table_becomes_a_competition_with_its_answers_hidden(tmp_path: Path):
    made, notes = create(tmp_path, table(), Cut(target="grain"))
    train, test, solution = sides(made)
    assert made.competition.id == "row_id" and made.competition.target == "grain"
    assert "grain" not in test and len(train) + len(test) == N and len(test) == pytest.approx(0.3 * N, abs=2)
    assert sorted([*train["row_id"], *test["row_id"]]) == list(range(1, N + 1))
    assert set(test["row_id"]) == set(solution["row_id"])
    shares = solution["grain"].value_counts(normalize=True)
    assert shares.to_dict() == pytest.approx(table()["grain"].value_counts(normalize=True).to_dict(), abs=0.04)
    assert solution["Usage"].value_counts()["Public"] == pytest.approx(0.3 * len(test), abs=2)
    assert any("cut stratified" in note for note in notes) and any("row_id" in note for note in notes)
    assert [p.name for p in (tmp_path / "home").iterdir()] == ["competitions"]


def test_numbers_and_rows_are_in_no_order_of_the_answers(tmp_path: Path):
    made, _ = create(tmp_path, table(), Cut(target="grain"))
    train, _, solution = sides(made)
    for rows in (train["grain"], solution["grain"], train.sort_values("row_id")["grain"]):
        codes = pd.Series(pd.factorize(rows, sort=True)[0])
        assert abs(np.corrcoef(codes, np.arange(len(codes)))[0, 1]) < 0.3


def test_every_row_keeps_its_values_and_its_answer(tmp_path: Path):
    frame = table().assign(id=[f"{i:04d}" for i in range(N)])
    made, _ = create(tmp_path, frame, Cut(target="grain"))
    train, test, solution = (t.set_index("id") for t in sides(made))
    whole = frame.set_index("id")
    found = pd.concat([train, test.join(solution["grain"])]).loc[whole.index, list(whole.columns)]
    pd.testing.assert_frame_equal(found, whole, check_dtype=False)


@given(seed=st.integers(0, 50), share=st.sampled_from([0.2, 0.3, 0.5]))
@settings(max_examples=10, deadline=None)
def test_groups_stay_whole(tmp_path_factory: pytest.TempPathFactory, seed: int, share: float):
    made, _ = create(
        tmp_path_factory.mktemp("cut"), table(), Cut("grain", how="group", by="farm", share=share, seed=seed)
    )
    train, test, _ = sides(made)
    assert not set(train["farm"]) & set(test["farm"])
    assert made.competition.group == "farm"


def test_the_latest_rows_are_hidden_and_the_earliest_of_those_public(tmp_path: Path):
    made, _ = create(tmp_path, table(), Cut("grain", how="time", by="day"))
    train, test, solution = sides(made)
    assert train["day"].max() < test["day"].min() and made.competition.time == "day"
    days = test.set_index("row_id")["day"].loc[solution["row_id"]].to_numpy()
    public = (solution["Usage"] == "Public").to_numpy()
    assert days[public].max() < days[~public].min()


def test_another_seed_hides_other_rows_and_the_same_seed_the_same(tmp_path: Path):
    found = [create(tmp_path / str(i), table(), Cut("grain", seed=seed))[0] for i, seed in enumerate((1, 1, 2))]
    one, same, other = (sha256(made.files_folder / "test.csv") for made in found)
    assert one == same != other


@pytest.mark.parametrize("how", ["random", "stratified"])
def test_copies_stay_on_one_side(tmp_path: Path, how: str):
    frame = pd.concat([table(), table().iloc[::3]], ignore_index=True)
    made, notes = create(tmp_path, frame, Cut("grain", how=how))
    train, test, _ = sides(made)
    assert not set(train["height"]) & set(test["height"])
    assert any("40 pair(s) of equal rows were kept on one side" in note for note in notes)


def test_earlier_copies_of_later_rows_are_left_out(tmp_path: Path):
    frame = pd.concat([table(), table().assign(day="2024-03-01").iloc[:20]], ignore_index=True)
    frame = pd.concat([frame, frame.iloc[-1:]], ignore_index=True).sort_values("day")
    made, _ = create(tmp_path, frame, Cut("grain", how="time", by="day"))
    train, test, _ = sides(made)
    columns = ["height", "weight", "farm", "day"]
    assert not set(map(tuple, train[columns].to_numpy())) & set(map(tuple, test[columns].to_numpy()))


def test_rows_without_an_answer_are_left_out_and_said(tmp_path: Path):
    frame = table()
    frame.loc[:4, "grain"] = None
    made, notes = create(tmp_path, frame, Cut("grain"))
    assert sum(map(len, sides(made)[:2])) == N - 5
    assert any("5 row(s) without 'grain'" in note for note in notes)


def test_a_number_is_cut_at_random_and_scored_as_one(tmp_path: Path):
    made, notes = create(tmp_path, table(), Cut("height"))
    assert made.metric == "rmse" and any("cut random" in note for note in notes)


@pytest.mark.parametrize(
    ("settings", "error", "says"),
    [
        ({}, UsageError, r"Which column.*--target; there are height"),
        ({"target": "grian"}, UsageError, r"no column 'grian'.*grain"),
        ({"target": "grain", "id": "farm"}, DataError, "does not name each row once"),
        ({"target": "grain", "how": "time", "by": "farm"}, DataError, "neither numbers nor dates"),
        ({"target": "grain", "how": "group"}, UsageError, "needs --by"),
        ({"target": "grain", "by": "farm"}, UsageError, "needs --by"),
        ({"target": "grain", "how": "randomly"}, UsageError, "one of random, stratified, group, time"),
        ({"target": "grain", "share": 1.0}, UsageError, "between 0 and 1"),
        ({"target": "grain", "how": "group", "by": "field"}, FoldsError, "at least two"),
    ],
)
def test_what_cannot_be_cut_is_told_in_one_line(tmp_path: Path, settings: dict, error: type, says: str):
    with pytest.raises(error, match=says):
        create(tmp_path, table().assign(field="one"), Cut(**settings))
    assert not hosting.hosted(tmp_path / "home")


def test_a_whole_competition_is_not_cut(tmp_path: Path):
    (tmp_path / "solution.csv").write_text("id,y,Usage\n1,1,Public\n")
    with pytest.raises(UsageError, match="for one labelled CSV"), ready(tmp_path, tmp_path, Cut(target="y")):
        pass
    with ready(tmp_path, tmp_path, Cut()) as found:
        assert found.folder == tmp_path


# Images


def photographs(folder: Path, n: int = 12) -> Path:
    rng = np.random.default_rng(3)
    for label in ("cat", "dog"):
        (folder / label).mkdir(parents=True)
        for i in range(n):
            coarse = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
            path = folder / label / f"{label}_{i}.png"
            Image.fromarray(coarse).resize((80, 60), Image.Resampling.BICUBIC).save(path)
            os.utime(path, (1_000_000 + i, 1_000_000 + i))
    return folder


def create_images(tmp_path: Path, cut: Cut | None = None) -> tuple[Hosted, tuple[str, ...]]:
    with ready(tmp_path / "pets", tmp_path / "home", cut or Cut()) as found:
        return hosting.create(found.folder, tmp_path / "home", "pets"), found.notes


def test_images_by_label_become_a_competition_under_new_names(tmp_path: Path):
    photographs(tmp_path / "pets")
    made, notes = create_images(tmp_path)
    assert made.competition.task == "image-classification" and made.competition.classes == ("cat", "dog")
    names = [f.name for f in made.files if f.name.endswith(".png")]
    assert len(names) == 24 and not any(animal in Path(n).name for n in names for animal in ("cat", "dog"))
    train = read_table(made.files_folder / "train.csv")
    assert all((made.files_folder / f"train_images/{label}/{image}").is_file() for image, label in train.to_numpy())
    originals = {sha256(p): p.parent.name for p in (tmp_path / "pets").rglob("*.png")}
    for image, label in made.solution_frame()[["image", "label"]].to_numpy():
        path = made.files_folder / "test_images" / image
        assert originals[sha256(path)] == label and path.stat().st_mtime > 2_000_000
    assert any("cut stratified" in note for note in notes)
    assert {"One rule", "Linear model", "Colour-histogram forest"} <= {b.team for b in made.baselines}


def test_images_that_look_alike_stay_on_one_side(tmp_path: Path):
    folder = photographs(tmp_path / "pets")
    for i in range(12):
        (folder / "cat" / f"again_{i}.png").write_bytes((folder / "cat" / f"cat_{i}.png").read_bytes())
        with Image.open(folder / "dog" / f"dog_{i}.png") as image:
            image.resize((60, 45)).save(folder / "dog" / f"smaller_{i}.jpg")
    made, notes = create_images(tmp_path)
    assert any("24 pair(s) of images that look alike were kept on one side (12 copies by the byte)" in n for n in notes)
    assert not [note for note in made.notes if "both training and test" in note]


def test_a_folder_with_one_label_or_links_is_refused(tmp_path: Path):
    folder = photographs(tmp_path / "pets")
    (folder / "dog" / "link.png").symlink_to(folder / "cat" / "cat_0.png")
    with pytest.raises(DataError, match="symbolic links"):
        create_images(tmp_path)
    for path in (folder / "dog").iterdir():
        path.unlink()
    with pytest.raises(DataError, match="two labels"):
        create_images(tmp_path)
    with pytest.raises(UsageError, match="no columns to cut"):
        create_images(tmp_path, Cut(how="group", by="label"))
