"""A training that is killed goes on at the epoch it was in, and ends where it would have ended."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from vision_pictures import pictures

from kagglekit.models.vision.checkpoint import Checkpoint, training_key
from kagglekit.models.vision.estimator import TimmClassifier
from kagglekit.models.vision.runtime import import_torch
from kagglekit.progress import Task

torch = import_torch()
TINY = {"arch": "test_resnet", "weights": "random", "size": 32, "sizes": (24, 32), "epochs": 2, "freeze_epochs": 2}
TINY |= {"batch_size": 8, "accumulate": 2, "lr": 1e-3, "mixup": 0.4, "ema": 0.9}
EPOCHS = 2 + 2 * 2


class Killed(Exception):
    pass


class _Free:
    def advance(self, steps: float = 1.0) -> None:
        pass

    def note(self, text: str) -> None:
        pass


class FewBatches:
    """Progress that breaks off in the middle of an epoch."""

    def __init__(self, n: int) -> None:
        self.left = n

    @contextmanager
    def task(self, name: str, total: float | None) -> Iterator[Task]:
        yield self if name.startswith("train") else _Free()

    def advance(self, steps: float = 1.0) -> None:
        self.left -= steps
        if self.left < 0:
            raise Killed

    def note(self, text: str) -> None:
        pass

    def say(self, text: str) -> None:
        pass


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> tuple[pd.DataFrame, pd.Series]:
    return pictures(tmp_path_factory.mktemp("images"), 24)


@pytest.fixture(scope="module")
def held_out(tmp_path_factory: pytest.TempPathFactory) -> tuple[pd.DataFrame, pd.Series]:
    return pictures(tmp_path_factory.mktemp("held-out"), 9, seed=3)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def untouched(data) -> np.ndarray:
    torch.set_num_threads(1)
    return TimmClassifier(**TINY).fit(*data).predict_proba(data[0])


@pytest.mark.parametrize("epoch", range(1, EPOCHS))
def test_a_training_broken_off_in_any_epoch_ends_as_if_it_had_not_been(epoch, data, tmp_path, untouched) -> None:
    with pytest.raises(Killed):
        TimmClassifier(**TINY, checkpoint_dir=str(tmp_path), progress=FewBatches(4 * epoch + 1)).fit(*data)
    assert len(list(tmp_path.iterdir())) == 1
    model = TimmClassifier(**TINY, checkpoint_dir=str(tmp_path)).fit(*data)
    assert model.n_steps_ == 2 * EPOCHS
    assert model.seconds_before_ > 0
    np.testing.assert_array_equal(model.predict_proba(data[0]), untouched)


def test_a_finished_training_is_not_trained_again(data, tmp_path, untouched) -> None:
    TimmClassifier(**TINY, checkpoint_dir=str(tmp_path)).fit(*data)
    written = next(tmp_path.iterdir()).stat().st_mtime_ns
    again = TimmClassifier(**TINY, checkpoint_dir=str(tmp_path)).fit(*data)
    np.testing.assert_array_equal(again.predict_proba(data[0]), untouched)
    assert next(tmp_path.iterdir()).stat().st_mtime_ns == written


def test_early_stopping_goes_on_with_what_it_had_seen(data, held_out, tmp_path) -> None:
    settings = {**TINY, "sizes": (), "epochs": 5, "early_stopping": True, "patience": 2}
    plain = TimmClassifier(**settings).fit(*data, eval_set=held_out)
    with pytest.raises(Killed):
        broken = TimmClassifier(**settings, checkpoint_dir=str(tmp_path), progress=FewBatches(4 * 4 + 1))
        broken.fit(*data, eval_set=held_out)
    model = TimmClassifier(**settings, checkpoint_dir=str(tmp_path)).fit(*data, eval_set=held_out)
    assert (model.best_epoch_, model.n_steps_) == (plain.best_epoch_, plain.n_steps_)
    np.testing.assert_array_equal(model.predict_proba(data[0]), plain.predict_proba(data[0]))


def test_another_training_never_goes_on_with_it(data, tmp_path) -> None:
    X, y = data
    with pytest.raises(Killed):
        TimmClassifier(**TINY, checkpoint_dir=str(tmp_path), progress=FewBatches(5)).fit(X, y)
    for changed, labels in (({"lr": 2e-3}, y), ({"random_state": 1}, y), ({}, y.shift(fill_value="blast"))):
        model = TimmClassifier(**{**TINY, **changed})
        plain = model.fit(X, labels).predict_proba(X)
        resumed = model.set_params(checkpoint_dir=str(tmp_path)).fit(X, labels).predict_proba(X)
        np.testing.assert_array_equal(resumed, plain)
    assert len(list(tmp_path.iterdir())) == 4


def test_a_damaged_file_is_as_good_as_none(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path, "key")
    assert checkpoint.read() is None
    checkpoint.write({"model": {"w": torch.ones(2)}, "optimizer": {}}, {"epoch": 1})
    saved = checkpoint.read()
    assert saved is not None and saved.facts == {"epoch": 1}
    assert torch.equal(saved.part("model")["w"], torch.ones(2)) and saved.part("optimizer") == {}
    for content in (b"", b"{}", checkpoint.path.read_bytes()[:-4]):
        checkpoint.path.write_bytes(content)
        assert checkpoint.read() is None


def test_the_key_tells_trainings_apart() -> None:
    labels = np.arange(3)
    keys = {
        training_key({"lr": 1}, ["a"], labels),
        training_key({"lr": 2}, ["a"], labels),
        training_key({"lr": 1}, ["b"], labels),
        training_key({"lr": 1}, ["a"], labels + 1),
    }
    assert len(keys) == 4


def test_a_killed_process_is_gone_on_with(data, tmp_path, untouched) -> None:
    """kill -9 at any moment: the file is whole, and the next process ends where one alone would have."""
    table = tmp_path / "table.csv"
    data[0].assign(label=data[1]).to_csv(table)
    code = f"""
        import pandas as pd, torch
        torch.set_num_threads(1)
        from kagglekit.models.vision.estimator import TimmClassifier
        frame = pd.read_csv({str(table)!r}, index_col=0)
        model = TimmClassifier(**{TINY!r}, checkpoint_dir={str(tmp_path / "kept")!r})
        model.fit(frame[["path", "variety"]], frame["label"])
    """
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)])
    while not list((tmp_path / "kept").glob("*.safetensors")):
        assert process.poll() is None, "it ended before its first epoch was kept"
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    model = TimmClassifier(**TINY, checkpoint_dir=str(tmp_path / "kept")).fit(*data)
    np.testing.assert_array_equal(model.predict_proba(data[0]), untouched)
