import multiprocessing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kagglekit.contracts import Predictions, Run
from kagglekit.errors import StoreError, UsageError
from kagglekit.store import Draft, FoldResult, Store


def predictions(ids: list[str]) -> Predictions:
    values = np.linspace(0.1, 0.9, len(ids))
    return Predictions(pd.DataFrame({"a": values, "b": 1 - values}, index=pd.Index(ids, name="id")))


def make_run(name: str = "forest", key: str = "0123abcd") -> Run:
    return Run(
        name=name,
        key=key,
        kind="oof",
        hypothesis="why not",
        parent=None,
        settings={"model": "forest", "params": {"n_estimators": 3}},
        metric="accuracy",
        scores=(0.5, 0.6),
        data="d",
        folds="f",
        oof=predictions(["r1", "r2"]),
        test=predictions(["t1"]),
        seconds=1.5,
        peak_mb=100.0,
    )


def finish(store: Store, run: Run) -> None:
    with store.draft(run.id, {"s": 1}) as draft:
        draft.finish(run)


def test_a_finished_run_reads_back_the_same(tmp_path):
    store, run = Store(tmp_path), make_run()
    finish(store, run)
    back = store.load(run.id)
    assert (back.scores, back.settings, back.id, back.score) == (run.scores, run.settings, run.id, run.score)
    pd.testing.assert_frame_equal(back.oof.frame, run.oof.frame)
    pd.testing.assert_frame_equal(back.test.frame, run.test.frame)


def test_a_run_without_its_marker_is_no_run(tmp_path):
    store, run = Store(tmp_path), make_run()
    finish(store, run)
    (tmp_path / run.id / "COMPLETE").unlink()
    assert store.ids() == []
    with pytest.raises(UsageError, match="no finished run"):
        store.load(run.id)


@pytest.mark.parametrize("name", ["oof.parquet", "test.parquet", "run.json"])
def test_a_changed_file_is_noticed(tmp_path, name):
    store, run = Store(tmp_path), make_run()
    finish(store, run)
    path = tmp_path / run.id / name
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(StoreError, match="not as it was written"):
        store.load(run.id)


def test_folds_are_kept_and_found_again(tmp_path):
    store = Store(tmp_path)
    result = FoldResult("fold-0", 0.5, 1.0, 10.0, predictions(["r1"]), predictions(["t1"]))
    with store.draft("x-1", {"s": 1}) as draft:
        draft.save_fold(result)
    with store.draft("x-1", {"s": 1}) as draft:
        assert draft.fold("fold-1") is None
        found = draft.fold("fold-0")
    assert found is not None
    assert found.score == result.score
    pd.testing.assert_frame_equal(found.oof.frame, result.oof.frame)


def test_a_run_folder_begun_with_other_settings_is_refused(tmp_path):
    store = Store(tmp_path)
    with store.draft("x-1", {"data": "old"}):
        pass
    with pytest.raises(StoreError, match="other settings or data"), store.draft("x-1", {"data": "new"}):
        pass


def _hold(folder: Path, ready, done) -> None:
    with Store(folder).draft("x-1", {"s": 1}):
        ready.set()
        done.wait(30)


def test_two_processes_cannot_make_the_same_run(tmp_path):
    context = multiprocessing.get_context("spawn")
    ready, done = context.Event(), context.Event()
    other = context.Process(target=_hold, args=(tmp_path, ready, done))
    other.start()
    try:
        assert ready.wait(30)
        with pytest.raises(StoreError, match="Another process"), Store(tmp_path).draft("x-1", {"s": 1}):
            pass
    finally:
        done.set()
        other.join(30)


def test_runs_of_an_experiment_come_oldest_first(tmp_path):
    store = Store(tmp_path)
    for key in ("bbbbbbbb", "aaaaaaaa"):
        finish(store, make_run(key=key))
    finish(store, make_run(name="forest-large", key="cccccccc"))
    assert store.find("forest") == ["forest-bbbbbbbb", "forest-aaaaaaaa"]


def test_a_damaged_fold_is_named(tmp_path):
    draft = Draft(tmp_path)
    (tmp_path / "fold-0").mkdir()
    (tmp_path / "fold-0" / "fold.json").write_text('{"score": 1')
    with pytest.raises(StoreError, match="not valid JSON"):
        draft.fold("fold-0")


def test_checkpoints_of_a_fold_go_when_it_is_saved(tmp_path):
    with Store(tmp_path).draft("forest-0123abcd", {"s": 1}) as draft:
        for name in ("fold-0", "fold-1"):
            draft.checkpoints(name).mkdir(parents=True)
            (draft.checkpoints(name) / "key.safetensors").write_bytes(b"state")
        result = FoldResult("fold-0", 0.5, 1.0, 10.0, predictions(["r1"]), predictions(["t1"]), notes=("smaller",))
        draft.save_fold(replace(result, pretrained=("a file",)))
        assert (draft.fold("fold-0").notes, draft.fold("fold-0").pretrained) == (("smaller",), ("a file",))
        assert not draft.checkpoints("fold-0").exists()
        assert draft.checkpoints("fold-1").is_dir()
        draft.save_fold(replace(result, name="fold-1", notes=()))
        assert sorted(p.name for p in draft.folder.iterdir()) == ["fold-0", "fold-1", "settings.json"]
