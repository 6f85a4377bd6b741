import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from flowers import PIPELINE, SLUG, tables, write_pipeline, write_raw
from hypothesis import given, settings
from hypothesis import strategies as st

from kagglekit.config import load_pipeline
from kagglekit.dataset import Prepared, RawData
from kagglekit.errors import ConfigError, CorruptImages, DataError, FoldsError, KagglekitError, StoreError
from kagglekit.models import registry
from kagglekit.prepare import prepare


def run(tmp_path: Path, train, test, sample, text: str = PIPELINE, **options) -> Prepared:
    raw = write_raw(tmp_path / "data" / SLUG, train, test, sample)
    pipeline = load_pipeline(write_pipeline(tmp_path, text), check_params=registry.check)
    return prepare(raw, pipeline, **options)


def test_frames_come_by_id_with_folds_for_all(tmp_path):
    train, test, sample = tables()
    prepared = run(tmp_path, train, test, sample)
    assert list(prepared.train.index) == list(train["flower"])
    assert list(prepared.X.columns) == ["petal", "soil"]
    assert prepared.competition.classes == ("blue", "red", "white")
    assert set(prepared.folds.ids) == set(train["flower"])


def test_a_second_call_reads_what_the_first_wrote(tmp_path):
    prepared = run(tmp_path, *tables())
    pipeline = load_pipeline(write_pipeline(tmp_path), check_params=registry.check)
    again = prepare(RawData(tmp_path / "data" / SLUG), pipeline)
    pd.testing.assert_frame_equal(again.train, prepared.train)
    pd.testing.assert_frame_equal(again.test, prepared.test)
    assert again.folds.fingerprint == prepared.folds.fingerprint
    assert again.competition == prepared.competition
    assert again.data == prepared.data


@given(st.randoms(use_true_random=False))
@settings(max_examples=8, deadline=None)
def test_the_order_of_rows_changes_no_fold(tmp_path_factory, random):
    train, test, sample = tables()
    order = list(range(len(train)))
    random.shuffle(order)
    first = run(tmp_path_factory.mktemp("a"), train, test, sample)
    second = run(tmp_path_factory.mktemp("b"), train.iloc[order], test, sample)
    assert first.folds.fingerprint == second.folds.fingerprint


def test_other_folds_are_other_folds_of_the_same_data(tmp_path):
    prepared = run(tmp_path, *tables())
    text = PIPELINE.replace("seed = 1", "seed = 2")
    other = prepare(
        RawData(tmp_path / "data" / SLUG), load_pipeline(write_pipeline(tmp_path, text), check_params=registry.check)
    )
    assert other.data == prepared.data
    assert other.folds.fingerprint != prepared.folds.fingerprint


def _broken(case: str):
    train, test, sample = tables()
    if case == "repeated id":
        train.loc[1, "flower"] = train.loc[0, "flower"]
    elif case == "missing target":
        train.loc[3, "colour"] = None
    elif case == "missing id":
        train.loc[3, "flower"] = None
    elif case == "rare class":
        train.loc[0, "colour"] = "green"
    elif case == "sample lacks a row":
        sample = sample.iloc[1:]
    elif case == "no id column":
        test = test.rename(columns={"flower": "flowr"})
    return train, test, sample


@pytest.mark.parametrize(
    ("case", "kind", "says"),
    [
        ("repeated id", DataError, "f000"),
        ("missing target", DataError, "missing in 1 row.*f003"),
        ("missing id", DataError, "empty in 1 row"),
        ("rare class", FoldsError, "green"),
        ("sample lacks a row", DataError, "1 only in the test rows"),
        ("no id column", ConfigError, "no column 'flower'. Did you mean 'flowr'"),
    ],
)
def test_bad_data_is_one_clear_line_for_whole_tables_and_pieces(tmp_path, case, kind, says):
    found = []
    for name, options in (("a", {}), ("b", {"whole": 0, "rows": 7})):
        folder = tmp_path / name
        with pytest.raises(kind, match=says) as error:
            run(folder, *_broken(case), **options)
        assert "\n" not in str(error.value)
        assert not (folder / "data" / SLUG / "prepared").exists()
        found.append(str(error.value).replace(str(folder), ""))
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('target = "colour"', 'target = "color"', "Did you mean 'colour'"),
        ('target = "colour"', 'target = "colour"\ngroup = "sol"', "Did you mean 'soil'"),
        ('task = "classification"', 'task = "regression"', "needs a numeric target"),
        ("[folds]", '[data]\ntrain = "trian.csv"\n[folds]', "Did you mean 'train.csv'"),
        ("[folds]", '[data]\ntest_images = "x/{flower}"\n[folds]', None),
    ],
)
def test_a_wrong_fact_is_refused(tmp_path, old, new, says):
    if says is None:
        assert len(run(tmp_path, *tables(), text=PIPELINE.replace(old, new)).test) == 30
        return
    with pytest.raises(KagglekitError, match=says):
        text = PIPELINE.replace(old, new)
        if "regression" in new:
            text = text.replace('"majority"', '"oner"').replace('"accuracy"', '"rmse"')
        run(tmp_path, *tables(), text=text)


def test_a_file_changed_since_the_download_is_noticed(tmp_path):
    run(tmp_path, *tables())
    path = tmp_path / "data" / SLUG / "raw" / "train.csv"
    path.write_text(path.read_text() + "f999,1,clay,blue\n")
    with pytest.raises(DataError, match="not as it was downloaded"):
        prepare(RawData(tmp_path / "data" / SLUG), load_pipeline(write_pipeline(tmp_path), check_params=registry.check))


def test_features_of_ones_own_see_no_target(tmp_path):
    write_pipeline(tmp_path)
    code = (
        "def add_features(frame):\n    assert 'colour' not in frame\n    return frame.assign(double=frame.petal * 2)\n"
    )
    (tmp_path / "pipelines" / "flowers" / "features.py").write_text(code)
    prepared = run(tmp_path, *tables())
    np.testing.assert_allclose(prepared.X["double"], prepared.X["petal"] * 2)
    assert "double" in prepared.test


@pytest.mark.parametrize("code", ["return frame['zz']", "return 1 +", "return frame.nothing()"])
def test_features_that_fail_are_named_with_their_line(tmp_path, code):
    write_pipeline(tmp_path)
    path = tmp_path / "pipelines" / "flowers" / "features.py"
    path.write_text(f"def add_features(frame):\n    {code}\n")
    with pytest.raises(ConfigError, match=r"features\.py failed near line") as error:
        run(tmp_path, *tables())
    assert "\n" not in str(error.value)


def test_a_damaged_copy_is_made_again(tmp_path):
    prepared = run(tmp_path, *tables())
    folder = tmp_path / "data" / SLUG
    (folder / "prepared" / "train.parquet").write_bytes(b"damaged")
    again = prepare(RawData(folder), load_pipeline(write_pipeline(tmp_path), check_params=registry.check))
    pd.testing.assert_frame_equal(again.train, prepared.train)


@pytest.mark.parametrize("text", [PIPELINE, PIPELINE.replace("[folds]", '[data]\ndrop = ["soil"]\n[folds]')])
def test_large_tables_in_pieces_are_the_same_tables(tmp_path, text):
    train, test, sample = tables()
    train["soil"] = train["soil"].where(train.index > 20)  # the first pieces hold nothing of it
    train["only"], train["flag"] = 1.5, [True] * 50 + [None] * 40
    test["flag"] = True
    run(tmp_path / "a", train, test, sample, text)
    pipeline = load_pipeline(write_pipeline(tmp_path / "a", text), check_params=registry.check)
    whole = prepare(RawData(tmp_path / "a" / "data" / SLUG), pipeline)  # as it is read back
    pieces = run(tmp_path / "b", train, test, sample, text, whole=0, rows=7)
    assert "train" not in vars(pieces), "the table was read"
    for name in ("train", "test", "sample"):
        pd.testing.assert_frame_equal(getattr(pieces, name), getattr(whole, name))
    assert pieces.folds.fingerprint == whole.folds.fingerprint
    assert (pieces.competition, pieces.notes, pieces.data) == (whole.competition, whole.notes, whole.data)


def test_large_tables_in_pieces_have_the_same_groups(tmp_path):
    train, test, sample = tables()
    for frame in (train, test, sample):
        frame["flower"] = frame["flower"].str[1:].astype(int)  # pandas may keep whole ids in a row as a range
    text = PIPELINE.replace("[folds]", '[folds]\ngroups = "groups.csv"').replace('"stratified"', '"stratified-group"')
    for name in ("a", "b"):
        path = tmp_path / name / "pipelines" / "flowers" / "groups.csv"
        path.parent.mkdir(parents=True)
        train[["flower"]].assign(group=[f"g{i // 3}" for i in range(len(train))]).to_csv(path, index=False)
    whole = run(tmp_path / "a", train, test, sample, text)
    pieces = run(tmp_path / "b", train, test, sample, text, whole=0, rows=7)
    pd.testing.assert_frame_equal(pieces.train, whole.train)
    assert pieces.folds.fingerprint == whole.folds.fingerprint
    pd.testing.assert_series_equal(pieces.folds.groups, whole.folds.groups)


def test_a_loaded_table_is_read_where_it_is_needed_and_only_while_it_is_the_same(tmp_path):
    first = run(tmp_path, *tables())
    folder = tmp_path / "data" / SLUG
    pipeline = load_pipeline(write_pipeline(tmp_path), check_params=registry.check)
    loaded = prepare(RawData(folder), pipeline)
    sent = pickle.dumps(loaded)
    assert len(sent) < len(pickle.dumps(first))
    pd.testing.assert_frame_equal(pickle.loads(sent).train, first.train)
    with pytest.raises(AttributeError):
        _ = loaded.nothing
    text = PIPELINE.replace("seed = 1", "seed = 2")
    prepare(RawData(folder), load_pipeline(write_pipeline(tmp_path, text), check_params=registry.check))
    with pytest.raises(StoreError, match="prepared anew"):
        _ = loaded.train


def test_ids_keep_their_leading_zeros(tmp_path):
    frames = tables()
    for frame in frames:
        frame["flower"] = frame["flower"].str.replace("f", "00")
    prepared = run(tmp_path, *frames)
    assert prepared.sample["flower"].iloc[0] == "00090"
    assert prepared.train.index[0] == "00000"


def test_features_that_lose_rows_are_refused(tmp_path):
    write_pipeline(tmp_path)
    path = tmp_path / "pipelines" / "flowers" / "features.py"
    path.write_text("def add_features(frame):\n    return frame.dropna()\n")
    with pytest.raises(ConfigError, match="same index"):
        run(tmp_path, *tables())


IMAGES = PIPELINE.replace('task = "classification"', 'task = "image-classification"').replace(
    "[folds]", '[data]\ntrain_images = "train/{colour}/{flower}"\ntest_images = "test/{flower}"\n[folds]'
)


def _with_images(tmp_path: Path) -> RawData:
    train, test, sample = tables()
    raw = write_raw(tmp_path / "data" / SLUG, train, test, sample)
    for folder, frame in (("train", train), ("test", test)):
        for row in frame.itertuples():
            path = raw.files / folder / getattr(row, "colour", "") / row.flower
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"picture")
    raw.seal()
    return raw


def test_images_become_a_column_of_paths_that_moves_with_the_data(tmp_path):
    raw = _with_images(tmp_path)
    pipeline = load_pipeline(write_pipeline(tmp_path, IMAGES), check_params=registry.check)
    prepared = prepare(raw, pipeline, find_corrupt=lambda paths, progress: [])
    assert all(Path(p).is_file() for p in [*prepared.X["path"], *prepared.test["path"]])
    moved = raw.folder.rename(tmp_path / "moved")
    again = prepare(RawData(moved), pipeline)
    assert again.train["path"].iloc[0].startswith(moved.absolute().as_posix())


def test_all_corrupt_images_are_named_at_once(tmp_path):
    raw = _with_images(tmp_path)
    pipeline = load_pipeline(write_pipeline(tmp_path, IMAGES), check_params=registry.check)
    with pytest.raises(CorruptImages) as error:
        prepare(raw, pipeline, find_corrupt=lambda paths, progress: [(p, "not an image") for p in paths[:3]])
    assert len(error.value.files) == 3


def test_missing_images_are_named(tmp_path):
    raw = _with_images(tmp_path)
    next((raw.files / "test").iterdir()).unlink()
    raw.seal()
    pipeline = load_pipeline(write_pipeline(tmp_path, IMAGES), check_params=registry.check)
    with pytest.raises(DataError, match="1 of 30 image files are not there"):
        prepare(raw, pipeline)
