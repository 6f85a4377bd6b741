"""Inside a notebook: inputs wherever they are mounted, time that is kept, folds that are never trained twice."""

import math
import shutil
from dataclasses import replace

import pytest
from flowers import SLUG, tables, write_pipeline, write_raw

from kagglekit.config import Experiment, load_pipeline
from kagglekit.dataset import RawData
from kagglekit.errors import DataError, StoreError
from kagglekit.files import read_json, sha256
from kagglekit.identity import run_id
from kagglekit.kernels.mounts import copy_files, find_mount, is_rerun, mount_data, mounted_files, run_type
from kagglekit.kernels.plan import read_times
from kagglekit.kernels.session import Pace, Printing, carry_on, gpus_for, visible_gpus
from kagglekit.models import registry
from kagglekit.prepare import prepare
from kagglekit.store import Store
from kagglekit.train import train, train_within
from kagglekit.workspace import Workspace


def start(root):
    pipeline = load_pipeline(write_pipeline(root), check_params=registry.check)
    return prepare(write_raw(root / "data" / SLUG, *tables()), pipeline), pipeline.experiment("forest")


@pytest.mark.parametrize("place", [SLUG, f"competitions/{SLUG}"])
def test_data_are_found_at_either_mount_and_count_as_the_same_download(tmp_path, place):
    downloaded = write_raw(tmp_path / "home", *tables())
    shutil.copytree(downloaded.files, tmp_path / "input" / place)
    workspace = Workspace(tmp_path / "working", "kaggle")
    raw = mount_data(workspace, SLUG, tmp_path / "input")
    assert raw.fingerprint() == downloaded.fingerprint()
    assert raw.files.resolve() == tmp_path / "input" / place
    assert mount_data(workspace, SLUG, tmp_path / "gone") == raw


def test_a_link_without_a_manifest_is_made_anew(tmp_path):
    workspace = Workspace(tmp_path / "working", "kaggle")
    write_raw(tmp_path / "home", *tables()).files.rename(tmp_path / SLUG)
    left = RawData(workspace.data(SLUG))
    left.folder.mkdir(parents=True)
    left.files.symlink_to(tmp_path / "gone")
    assert mount_data(workspace, SLUG, tmp_path).is_complete


def test_missing_data_say_what_is_there(tmp_path):
    (tmp_path / "input" / "competitions" / "other").mkdir(parents=True)
    with pytest.raises(DataError, match="holds: competitions, competitions/other"):
        mount_data(Workspace(tmp_path, "kaggle"), SLUG, tmp_path / "input")
    with pytest.raises(DataError, match="holds: nothing"):
        mount_data(Workspace(tmp_path, "kaggle"), SLUG, tmp_path / "nowhere")


@pytest.mark.parametrize("place", ["things", "datasets/things", "datasets/ann/things", "notebooks/ann/things"])
def test_files_of_a_dataset_are_found_at_every_mount_and_checked(tmp_path, place):
    (tmp_path / place).mkdir(parents=True)
    (tmp_path / place / "a.txt").write_text("a")
    files = {"a.txt": sha256(tmp_path / place / "a.txt")}
    (copied,) = copy_files("things", "ann", files, tmp_path / "to", tmp_path)
    assert copied == tmp_path / "to" / "a.txt" and copied.read_text() == "a"
    with pytest.raises(StoreError, match=r"a\.txt is another version"):
        mounted_files("things", "ann", {"a.txt": "0" * 64}, tmp_path)
    with pytest.raises(DataError, match=r"ann/things has no file b\.txt"):
        mounted_files("things", "ann", {"b.txt": "0" * 64}, tmp_path)
    with pytest.raises(DataError, match="ann/others is not in"):
        mounted_files("others", "ann", files, tmp_path)
    assert find_mount("others", tmp_path, "ann") is None


def test_the_kind_of_run_is_what_kaggle_says():
    assert run_type({"KAGGLE_KERNEL_RUN_TYPE": "Batch"}) == "Batch" and run_type({}) == ""
    assert is_rerun({"KAGGLE_IS_COMPETITION_RERUN": "1"}) and not is_rerun({"KAGGLE_IS_COMPETITION_RERUN": "0"})
    assert not is_rerun({})


def test_gpus_are_those_that_this_process_may_see():
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": "0,1"}) == ["0", "1"]
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": "-1"}) == visible_gpus({"CUDA_VISIBLE_DEVICES": ""}) == []


def test_no_fold_is_begun_that_would_not_be_done_in_time(tmp_path):
    _, forest = start(tmp_path)
    clock = [0.0]
    pace = Pace(100.0, None, {"known": 40.0}, now=lambda: clock[0])
    assert pace.may_fit("known", "fold-0") and pace.may_fit("forest", "fold-0")
    clock[0] = 55.0
    assert not pace.may_fit("known", "fold-1")  # 55 + 40 and a margin are more than 100
    assert not pace.may_fit("forest", "fold-0")  # of unknown length, and half of the time is over
    pace.measured(forest, "fold-0", 20.0, n_rows=90)
    pace.measured(forest, "fold-1", 10.0, n_rows=90)
    assert pace.may_fit("forest", "fold-2")
    clock[0] = 80.0
    assert not pace.may_fit("forest", "fold-2")  # the longest counts, not the last
    pace.write(tmp_path / "times.json", "NvidiaTeslaT4")
    assert [(m.machine, m.model, m.seconds) for m in read_times(tmp_path / "times.json")] == [
        ("NvidiaTeslaT4", "forest", 20.0),
        ("NvidiaTeslaT4", "forest", 10.0),
    ]


def test_only_the_folds_of_this_session_are_begun():
    pace = Pace(math.inf, {"forest": ["fold-1"]})
    assert pace.may_fit("forest", "fold-1") and not pace.may_fit("forest", "fold-0")
    assert not pace.may_fit("larger", "fold-1")


def test_a_session_goes_on_where_an_earlier_one_ended_and_damage_is_left_behind(tmp_path, capsys):
    prepared, forest = start(tmp_path)
    earlier = Store(tmp_path / "input" / "notebooks" / "ann" / "it" / "runs" / SLUG)
    assert train_within(prepared, forest, earlier, lambda fold: fold != "fold-1") is None
    identity = run_id(prepared, forest)
    assert earlier.folds(identity) == ["fold-0", "fold-2"] and not earlier.has(identity)

    store = Store(tmp_path / "working")
    assert carry_on(store, SLUG, "it", "ann", tmp_path / "input") == {identity: ["fold-0", "fold-2"]}
    assert carry_on(store, SLUG, "it", "ann", tmp_path / "input") == {}
    assert carry_on(store, SLUG, "other", "ann", tmp_path / "input") == {}
    asked: list[str] = []
    run = train_within(prepared, forest, store, lambda fold: asked.append(fold) or True)
    assert asked == ["fold-1"]
    whole = train(prepared, forest, Store(tmp_path / "home"))
    assert run.oof.frame.equals(whole.oof.frame) and run.test.frame.equals(whole.test.frame)

    (earlier.folder / identity / "fold-2" / "oof.parquet").write_bytes(b"else")
    assert carry_on(Store(tmp_path / "third"), SLUG, "it", "ann", tmp_path / "input", Printing()) == {}
    assert "Left behind" in capsys.readouterr().out


def test_two_gpus_fit_folds_side_by_side_with_the_same_result(tmp_path):
    prepared, forest = start(tmp_path)
    asked: list[str] = []
    side = train_within(
        prepared, forest, Store(tmp_path / "side"), lambda fold: not asked.append(fold), devices=["0", "1"]
    )
    after = train(prepared, forest, Store(tmp_path / "after"))
    assert side is not None and sorted(asked) == ["fold-0", "fold-1", "fold-2"]
    assert side.oof.frame.equals(after.oof.frame) and side.scores == after.scores


def test_networks_of_images_are_given_all_gpus(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0, 3")
    network = Experiment("it", "x", "timm", {})
    assert gpus_for(network) == ["0", "3"]
    assert gpus_for(network, n_jobs=2) == []
    assert gpus_for(replace(network, params={"device": "cuda:1"})) == []
    assert gpus_for(replace(network, model="forest")) == []


def test_a_fold_keeps_the_hashes_of_its_files(tmp_path):
    prepared, forest = start(tmp_path)
    store = Store(tmp_path / "runs")
    assert train_within(prepared, forest, store, lambda fold: fold == "fold-0") is None
    folder = store.folder / run_id(prepared, forest) / "fold-0"
    assert read_json(folder / "fold.json")["sha256"]["oof.parquet"] == sha256(folder / "oof.parquet")
    shutil.copyfile(folder / "test.parquet", folder / "oof.parquet")
    with pytest.raises(StoreError, match=r"oof\.parquet is not as it was written"):
        train(prepared, forest, store)


def test_progress_for_a_log_prints_lines(capsys):
    progress = Printing()
    progress.say("begin")
    with progress.task("training", 3) as task:
        task.advance()
        task.note("forest fold-0 0.9")
    assert capsys.readouterr().out == "begin\ntraining: 3 steps\n  forest fold-0 0.9\n"
