"""Duplicates across train, test and folds: what is found, what they are worth, and groups that keep them together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from flowers import PIPELINE, SLUG, tables, write_pipeline, write_raw
from vision_pictures import pictures

from kagglekit.config import load_pipeline
from kagglekit.contracts import Competition
from kagglekit.dataset import Prepared, RawData
from kagglekit.drift.copies import Copies, find_copies
from kagglekit.drift.inflation import measure_inflation
from kagglekit.drift.out_of_bag import bag_gaps
from kagglekit.drift.study import study_drift, write_groups
from kagglekit.errors import ConfigError, DataError, FoldsError, UsageError
from kagglekit.folds import make_folds
from kagglekit.models import registry
from kagglekit.prepare import prepare
from kagglekit.store import Store
from kagglekit.train import train

N, N_COPIED = 200, 50


def world(*, copied: bool, in_test: int = 0, metric: str = "accuracy", scheme: str = "stratified") -> Prepared:
    """Noisy labels of four measurements; with `copied`, rows 50 to 99 are rows 0 to 49 again, labels too."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(N, 4)), columns=list("abcd"))
    y = X["a"] + rng.normal(scale=1.2, size=N)
    if copied:
        X.iloc[N_COPIED : 2 * N_COPIED] = X.iloc[:N_COPIED].to_numpy()
        y.iloc[N_COPIED : 2 * N_COPIED] = y.iloc[:N_COPIED].to_numpy()
    test = pd.DataFrame(rng.normal(size=(N_COPIED * 2, 4)), columns=list("abcd")).set_axis(
        [f"t{i}" for i in range(2 * N_COPIED)]
    )
    test.iloc[:in_test] = X.iloc[:in_test].to_numpy()
    is_class = metric == "accuracy"
    target = pd.Series(np.where(y > 0, "tall", "low")) if is_class else y
    frame = X.assign(size=target).set_axis(pd.Index([f"r{i:03d}" for i in range(N)], name="plant"))
    facts = Competition(
        slug="s",
        task="classification" if is_class else "regression",
        metric=metric,
        id="plant",
        target="size",
        classes=("low", "tall") if is_class else (),
    )
    folds = make_folds(frame.index, scheme=scheme, n=5, seed=3, y=frame["size"])
    return Prepared(facts, frame, test, pd.DataFrame(), folds, "data", Path("cache"))


def test_duplicates_are_counted_within_and_across_sides_and_folds():
    prepared = world(copied=True, in_test=10)
    copies = find_copies(prepared, None)
    assert len(copies.within_train) == N_COPIED
    assert set(copies.links.loc[copies.links["a_side"] != copies.links["b_side"], "b"]) == {f"t{i}" for i in range(10)}
    fold = prepared.folds.assignment.iloc[:, 0]
    expected = sum(fold[f"r{i:03d}"] != fold[f"r{i + N_COPIED:03d}"] for i in range(N_COPIED))
    assert copies.across_folds == expected > 0
    assert copies.conflicts == 0
    assert len(copies.linked) == 2 * N_COPIED
    assert copies.test_linked == 10
    assert copies.groups["r060"] == copies.groups["r010"] == "r010"
    assert copies.groups["r150"] == "r150"


def test_labels_that_disagree_are_counted():
    prepared = world(copied=True)
    swapped = prepared.train.copy()
    swapped.loc["r050", "size"] = "tall" if swapped.loc["r000", "size"] == "low" else "low"
    assert find_copies(replace(prepared, train=swapped), None).conflicts == 1


def test_groups_of_the_competition_stay_whole():
    prepared = world(copied=True)
    owner = [f"o{i // 2}" for i in range(N)]
    grouped = replace(
        prepared,
        train=prepared.train.assign(owner=owner),
        competition=replace(prepared.competition, group="owner"),
    )
    groups = find_copies(grouped, None).groups
    assert groups["r000"] == groups["r001"] == groups["r050"] == groups["r051"]
    assert groups["r100"] == groups["r101"] != groups["r102"]


@pytest.mark.parametrize("metric", ["accuracy", "rmse"])
def test_duplicates_that_straddle_folds_inflate_the_score(metric):
    prepared = world(copied=True, metric=metric)
    found = measure_inflation(prepared, find_copies(prepared, None), n_trees=8)
    assert found.is_there
    assert found.gain.mean > 0.01
    assert found.gain.low > 0
    assert found.linked.mean > found.gain.mean
    assert found.n_linked == 2 * N_COPIED


def test_pairs_that_share_nothing_inflate_nothing():
    """The same pairs, but of rows that are not alike: the interval holds nought."""
    linked = find_copies(world(copied=True), None)
    found = measure_inflation(world(copied=False), linked, n_trees=8)
    assert not found.is_there
    assert found.gain.low <= 0 <= found.gain.high
    assert abs(found.gain.mean) < 0.03


def test_time_forward_folds_are_not_measured():
    prepared = world(copied=True)
    later = prepared.folds
    object.__setattr__(later, "scheme", "time")
    with pytest.raises(DataError, match="Time-forward"):
        measure_inflation(prepared, find_copies(world(copied=True), None))


@pytest.mark.parametrize(("in_test", "flatters"), [(0, True), (50, False)])
def test_validation_is_too_good_only_where_test_rows_have_fewer_duplicates(in_test, flatters):
    found = study_drift(world(copied=True, in_test=in_test), {}, n_trees=16)
    assert found.flatters is flatters
    assert ("validation is too good" in found.words()) is flatters
    assert ("speaks for them as it is" in found.words()) is not flatters
    assert 'scheme = "stratified-group"' in found.words()
    assert found.as_json()["inflation"]["gain"]["low"] > 0


def test_without_duplicates_nothing_is_measured_or_offered():
    found = study_drift(world(copied=False), {}, n_trees=16)
    assert found.inflation is None
    assert "No duplicate rows in train or test." in found.words()
    assert "groups.csv" not in found.words()


def test_images_are_looked_at_by_hand_made_features(tmp_path):
    X, y = pictures(tmp_path / "pictures", 36)
    test, _ = pictures(tmp_path / "others", 24, seed=1)
    for i in range(12):  # twelve images come twice in train
        Path(X["path"].iloc[12 + i]).write_bytes(Path(X["path"].iloc[i]).read_bytes())
    ids = pd.Index([f"test{i}" for i in range(24)])
    train_frame = X.assign(label=np.array(list(y[:12]) * 2 + list(y[24:])))
    facts = Competition("s", "image-classification", "accuracy", "image_id", "label", tuple(sorted(set(y))))
    folds = make_folds(X.index, scheme="kfold", n=3, seed=0)
    prepared = Prepared(facts, train_frame, test.set_axis(ids), pd.DataFrame(), folds, "d", tmp_path / "cache")
    found = study_drift(prepared, {}, n_trees=16)
    assert {c.name for c in found.adversarial.columns} <= {"image files", "colours", "pixels"}
    assert "8 x 8 pixels" in found.words()
    assert len(found.copies.within_train) >= 12
    assert found.copies.of == "images"
    assert found.inflation is not None


def trained(root: Path, text: str = PIPELINE):
    raw = write_raw(root / "data" / SLUG, *tables())
    pipeline = load_pipeline(write_pipeline(root, text), check_params=registry.check)
    prepared = prepare(raw, pipeline)
    names = ("majority", "forest", "forest-oob")
    return prepared, {n: train(prepared, pipeline.experiment(n), Store(root / "runs")) for n in names}


def test_out_of_bag_stands_beside_the_folds_of_the_same_forest(tmp_path):
    prepared, runs = trained(tmp_path)
    (gap,) = bag_gaps(prepared, runs)
    assert (gap.folds, gap.bags) == ("forest", "forest-oob")
    assert gap.by_bags - gap.by_folds == pytest.approx(gap.difference.mean)
    assert "Out of bag accuracy" in gap.words()
    text = PIPELINE.replace('validation = "oob"', 'validation = "oob"\nmax_features = 1.0')
    assert bag_gaps(*trained(tmp_path / "other", text)) == []


def grouped(root: Path, prepared: Prepared, groups: pd.Series, text: str) -> Prepared:
    linked = Copies("rows", pd.DataFrame(), groups, {}, 0, 0, groups.index[:0], 0, 1)
    path = write_pipeline(root, text)
    write_groups(linked, path.parent / "groups.csv", "flower")
    return prepare(RawData(root / "data" / SLUG), load_pipeline(path, check_params=registry.check))


GROUPED = PIPELINE.replace('scheme = "stratified"', 'scheme = "stratified-group"\ngroups = "groups.csv"')


def test_a_file_of_groups_keeps_them_in_one_fold_and_no_model_sees_it(tmp_path):
    prepared, _ = trained(tmp_path)
    ids = prepared.train.index
    groups = pd.Series(np.repeat(ids[::3], 3)[: len(ids)], index=ids, name="group")
    found = grouped(tmp_path, prepared, groups, GROUPED)
    assert found.data == prepared.data
    assert list(found.X.columns) == list(prepared.X.columns)
    assert (found.folds.assignment.iloc[:, 0].groupby(groups).nunique() == 1).all()
    others = groups.copy()
    others.iloc[:2] = [ids[0], ids[1]]
    again = grouped(tmp_path, prepared, others, GROUPED)
    assert again.competition.group == found.competition.group
    assert again.train[again.competition.group].iloc[1] == ids[1]


def test_a_wrong_file_of_groups_is_told(tmp_path):
    prepared, _ = trained(tmp_path)
    ids = prepared.train.index
    groups = pd.Series(ids, index=ids, name="group")
    with pytest.raises(FoldsError, match="several folds"):
        grouped(tmp_path, prepared, groups, GROUPED.replace("stratified-group", "stratified"))
    with pytest.raises(DataError, match="lacks 2 training row"):
        grouped(tmp_path, prepared, groups.iloc[2:], GROUPED)
    with pytest.raises(ConfigError, match="names the group 'soil' already"):
        grouped(tmp_path, prepared, groups, GROUPED.replace('target = "colour"', 'target = "colour"\ngroup = "soil"'))
    with pytest.raises(ConfigError, match="there is no file"):
        grouped(tmp_path, prepared, groups, GROUPED.replace("groups.csv", "other.csv"))


def test_nothing_but_a_file_of_groups_is_written_over(tmp_path):
    copies = find_copies(world(copied=True), None)
    path = tmp_path / "groups.csv"
    write_groups(copies, path, "plant")
    write_groups(copies, path, "plant")
    back = pd.read_csv(path, index_col="plant")["group"]
    pd.testing.assert_series_equal(back, copies.groups, check_names=False, check_dtype=False, check_index_type=False)
    other = tmp_path / "train.csv"
    other.write_text("plant,size\n")
    for wrong in (other, tmp_path):
        with pytest.raises(UsageError, match="is no file of groups"):
            write_groups(copies, wrong, "plant")
    assert other.read_text() == "plant,size\n"
