"""The probe on tiny networks: a few steps tell what many take, and a ladder of images is climbed with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator
from vision_pictures import pictures

from kagglekit.config import Experiment, load_pipeline
from kagglekit.dataset import RawData
from kagglekit.ladder import Costs, bake_off, climb, load_ladder, shared_split
from kagglekit.ladder.memory import Memory
from kagglekit.ladder.probe import Speed, can_probe, passes, probe
from kagglekit.models import registry
from kagglekit.models.vision.checkpoint import Checkpoint
from kagglekit.models.vision.decoding import find_corrupt
from kagglekit.models.vision.estimator import TimmClassifier
from kagglekit.parallel import OutOfTime, Stoppable
from kagglekit.prepare import prepare
from kagglekit.progress import Task
from kagglekit.rungs import Ladder, Rung
from kagglekit.store import Store

PIPELINE = """
[competition]
slug = "discs"
task = "image-classification"
metric = "accuracy"
id = "image_id"
target = "label"

[data]
test = "sample_submission.csv"
train_images = "{image_id}.png"
test_images = "{image_id}.png"

[folds]
scheme = "stratified"
n = 2

[experiments.tiny]
why = "a tiny network"
model = "timm"
arch = "test_resnet"
weights = "random"
size = 24
epochs = 1
freeze_epochs = 0
batch_size = 8
"""


class Sleeper(BaseEstimator):
    """Takes a known time for each row and pass, a known time besides, and long to load its libraries at first."""

    def __init__(self, epochs: int = 3, batch_size: int = 10, freeze_epochs: int = 0, clock: Callable | None = None):
        self.epochs, self.batch_size, self.freeze_epochs, self.clock = epochs, batch_size, freeze_epochs, clock

    def __sklearn_clone__(self) -> Sleeper:
        return Sleeper(**self.get_params(deep=False))

    def fit(self, X, y, extra=None, extra_weights=None):
        assert self.epochs == 1 and self.freeze_epochs == 0
        if extra is not None:
            assert extra.index.equals(X.index) and extra_weights == {"age": 0.5}
            self.clock.seconds += 0.01 * len(X)
        self.clock.seconds += (0.2 if self.clock.seen else 90.0) + 0.01 * len(X) + self._decode(X)
        return self

    def predict(self, X):
        self.clock.seconds += 0.001 * len(X) + self._decode(X)
        return np.zeros(len(X))

    def _decode(self, X):
        new = [i for i in X.index if i not in self.clock.seen]
        self.clock.seen.update(new)
        return 0.002 * len(new)


class Clock:
    """Runs only where the model lets it."""

    def __init__(self) -> None:
        self.seconds, self.seen = 0.0, set()

    def perf_counter(self) -> float:
        return self.seconds


def test_the_difference_of_two_fits_is_what_rows_cost(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("kagglekit.ladder.probe.time", clock)
    X = pd.DataFrame({"a": range(400)})
    found = probe(Sleeper(epochs=3, clock=clock), X, pd.Series(range(400)))
    assert found.row_epoch == pytest.approx(0.01)
    assert found.fixed == pytest.approx(0.2)
    assert found.row_predicted == pytest.approx(0.001)
    assert found.row_decoded == pytest.approx(0.002)
    assert found.mb > 10
    assert found.seconds(1000, 100, 3, 0) == pytest.approx(0.2 + 30 + 0.1)


def test_what_is_learnt_beside_the_target_costs_time_too(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("kagglekit.ladder.probe.time", clock)
    X = pd.DataFrame({"a": range(400)})
    beside = {"extra": pd.DataFrame({"age": range(400)}), "extra_weights": {"age": 0.5}}
    assert probe(Sleeper(clock=clock), X, pd.Series(range(400)), beside).row_epoch == pytest.approx(0.02)


def test_where_a_single_batch_takes_a_minute_it_has_to_do(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("kagglekit.ladder.probe.time", clock)
    X = pd.DataFrame({"a": range(4000)})
    found = probe(Sleeper(batch_size=2000, clock=clock), X, pd.Series(range(4000)).mod(7))
    assert found.row_epoch == pytest.approx(0.01, rel=0.02)
    sleeper = Sleeper(batch_size=7000, clock=clock)
    clock.seconds = 0.0
    assert probe(sleeper, pd.concat([X, X + 1]).reset_index(), pd.Series(range(8000)).mod(7)).fixed == 0.0
    assert clock.seconds < 200, "two batches"


def test_only_what_trains_in_epochs_is_probed():
    assert can_probe(TimmClassifier())
    assert not can_probe(registry.build("forest", {}, task="classification", seed=0))
    assert passes(TimmClassifier(epochs=5, freeze_epochs=1)) == pytest.approx(5.4)
    growing = TimmClassifier(epochs=2, freeze_epochs=0, sizes=((48, 64), (96, 128)), size=(96, 128))
    assert passes(growing) == pytest.approx(2 * 1.25)
    assert passes(Sleeper(epochs=2)) == pytest.approx(2.0)


@pytest.fixture(scope="module")
def discs(tmp_path_factory):
    root = tmp_path_factory.mktemp("discs")
    raw = RawData(root / "data")
    X, y = pictures(raw.files, 72)
    train = pd.DataFrame({"image_id": X.index[:48], "label": y.iloc[:48].to_numpy()})
    train.to_csv(raw.files / "train.csv", index=False)
    pd.DataFrame({"image_id": X.index[48:], "label": "blast"}).to_csv(raw.files / "sample_submission.csv", index=False)
    raw.seal()
    path = root / "pipeline.toml"
    path.write_text(PIPELINE)
    pipeline = load_pipeline(path, check_params=registry.check)
    return pipeline, prepare(raw, pipeline, find_corrupt=find_corrupt)


def test_images_are_forecast_by_a_probe_and_then_by_what_was_trained(discs, tmp_path):
    pipeline, prepared = discs
    rungs = (
        Rung("arch", "?", {"arch": {"vit": "test_vit", "none": "no_such_net", "typo": "test_resnett"}}),
        Rung("longer", "?", {"epochs": {"2": 2}}),
    )
    found = climb(prepared, Ladder("tiny", rungs), pipeline.experiments, Store(tmp_path), full=False)
    by_name = {step.experiment: step for step in found.steps}
    assert list(by_name) == ["tiny", "longer"]
    assert "timm has no architecture 'no_such_net'" in found.left_out["arch-none"]
    assert found.left_out["arch-typo"] == "timm has no architecture 'test_resnett'. Did you mean 'test_resnet'?"
    assert "Input height (24) should be divisible by patch size (16)" in found.left_out["arch-vit"]
    assert by_name["tiny"].cost.basis == "probe"
    assert by_name["longer"].cost.basis == "an earlier candidate"
    assert by_name["longer"].cost.forecast < 20 * by_name["longer"].seconds
    assert by_name["tiny"].cost.mb > 50 and by_name["tiny"].cost.forecast_mb > 50


def test_the_bake_off_is_one_call(discs, tmp_path):
    pipeline, prepared = discs
    start = pipeline.experiments["tiny"]
    ladder = bake_off(start, pipeline.competition.task)
    few = Rung("tiny", "?", {"resize": {w: w for w in ("squish", "crop", "pad")}})
    found = climb(prepared, Ladder("tiny", (few,)), pipeline.experiments, Store(tmp_path), full=False)
    assert {s.experiment for s in found.steps} == {"tiny", "tiny-crop", "tiny-pad"}
    assert all(s.difference is not None for s in found.steps[1:])
    assert set(few.grid["resize"]) <= set(ladder.rungs[0].grid["resize"])


class Halting(Stoppable):
    """Fits here, and runs out of time after so many batches of training."""

    def __init__(self, batches: int) -> None:
        super().__init__(lambda: 1.0)
        self.batches, self.steps = batches, []

    def map(self, function, items, *, may_start=lambda item: True):
        for _ in items:
            yield function(self)

    @contextmanager
    def task(self, name: str, total: float | None) -> Iterator[Task]:
        yield self if name.startswith("train") else NoTask()

    def advance(self, steps: float = 1.0) -> None:
        self.steps.append(steps)
        if sum(self.steps) > self.batches:
            raise OutOfTime

    def note(self, text: str) -> None:
        pass

    def say(self, text: str) -> None:
        pass


class NoTask:
    def advance(self, steps: float = 1.0) -> None:
        pass

    def note(self, text: str) -> None:
        pass


def test_a_training_that_was_stopped_goes_on_at_its_epoch_and_its_time_is_added_up(discs, tmp_path):
    pipeline, prepared = discs
    tiny = pipeline.experiments["tiny"]
    long = {"long": replace(tiny, name="long", params={**tiny.params, "epochs": 3})}
    store, ladder = Store(tmp_path), Ladder("long", ())
    some = climb(prepared, ladder, long, store, full=False, workers=Halting(2 * 3 + 1))
    assert "long took longer than forecast" in some.undecided
    (file,) = store.folder.glob("*/.checkpoints/fold-0/*.safetensors")
    checkpoint = Checkpoint(file.parent, file.stem)
    saved = checkpoint.read()
    parts = {name.partition("/")[0]: {} for name in saved.tensors}
    checkpoint.write({name: saved.part(name) for name in parts}, saved.facts | {"seconds": 1000.0})
    going_on = Halting(99)
    again = climb(prepared, ladder, long, store, full=False, workers=going_on)
    assert going_on.steps == [6, 1, 1, 1], "two epochs of three batches lie behind it"
    assert again.steps[0].seconds > 1000


def test_weights_that_are_not_here_leave_a_candidate_out(discs, tmp_path, monkeypatch):
    monkeypatch.setenv("KAGGLEKIT_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    pipeline, prepared = discs
    rung = Rung("large", "?", {"weights": {"own": str(tmp_path / "absent.safetensors"), "random": "random"}})
    found = climb(prepared, Ladder("tiny", (rung,)), pipeline.experiments, Store(tmp_path), full=False)
    assert found.left_out == {"large-own": "no weights of it on this machine"}
    assert [s.experiment for s in found.steps] == ["tiny"]


def test_a_slower_training_than_forecast_makes_the_next_forecast_longer(discs, tmp_path):
    pipeline, prepared = discs
    split, record = shared_split(prepared), load_ladder(tmp_path)
    costs, tiny = Costs(prepared, split, record), pipeline.experiments["tiny"]
    first = costs.forecast(tiny)
    (key,) = record.speeds
    assert isinstance(record.speeds[key], Speed)
    costs.learn(tiny, 100.0, Memory(512.0))
    again = costs.forecast(tiny)
    assert again.forecast == pytest.approx(100.0, rel=0.05)
    assert (again.basis, again.forecast_mb) == ("an earlier candidate", 512.0)
    assert first.forecast < again.forecast
    longer = Experiment(name="l", why="?", model="timm", params={**tiny.params, "epochs": 3})
    assert costs.forecast(longer).forecast == pytest.approx(300.0, rel=0.1)
