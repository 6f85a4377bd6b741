"""Portfolios: ordinary experiments in order, within a limit of time, and nothing that would not fit is started."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from fakes import Remembering
from flowers import PIPELINE, SLUG, tables, write_pipeline, write_raw
from pandas.testing import assert_frame_equal

from kagglekit.config import Experiment, load_pipeline
from kagglekit.contracts import Run
from kagglekit.errors import UsageError
from kagglekit.flow import Flow
from kagglekit.forecast import Budget, rough_seconds
from kagglekit.identity import run_id
from kagglekit.models import registry
from kagglekit.parallel import OutOfTime, Stoppable, fits_at_once
from kagglekit.portfolio import PORTFOLIOS, Ran, _Watch, members, offered, run_portfolio
from kagglekit.prepare import prepare
from kagglekit.progress import Silent
from kagglekit.store import Store
from kagglekit.train import train
from kagglekit.workspace import Workspace


def load(root: Path, text: str = PIPELINE):
    return load_pipeline(write_pipeline(root, text), check_params=registry.check, offered=offered)


class Stage:
    """The flowers, and three members that take a moment."""

    def __init__(self, root: Path) -> None:
        raw = write_raw(root / "data" / SLUG, *tables())
        self.pipeline = load(root)
        self.prepared = prepare(raw, self.pipeline)
        self.store = Store(root / "runs")
        self.told = Remembering()
        names = ("tabular-linear-1", "tabular-knn-1", "tabular-forest-2")
        quick = {"tabular-forest-2": {"n_estimators": 4, "oob": False, "n_jobs": 1}}
        made = [self.pipeline.experiments[name] for name in names]
        self.members = [replace(e, params=quick.get(e.name, e.params)) for e in made]

    def run(self, budget: Budget, chosen: list[Experiment] | None = None, **more) -> Ran:
        more = {"installed": lambda package: True} | more
        return run_portfolio(self.prepared, chosen or self.members, self.store, budget, progress=self.told, **more)


class Hands:
    """A clock that stands still until a test sets it; `per_call` makes it run by itself."""

    def __init__(self, per_call: float = 0.0) -> None:
        self.time, self.per_call = 0.0, per_call

    def __call__(self) -> float:
        self.time += self.per_call
        return self.time


@pytest.mark.parametrize(("task", "metric"), [("classification", "accuracy"), ("regression", "rmsle")])
def test_every_member_is_a_checked_experiment_with_a_hypothesis(tmp_path, task, metric):
    text = PIPELINE.replace('"classification"', f'"{task}"').replace('"accuracy"', f'"{metric}"')
    if task == "regression":
        text = text.partition("[experiments.majority]")[0]
    found = members("tabular", load(tmp_path, text).experiments)
    assert len(found) >= 12
    assert len({e.model for e in found}) >= 8
    assert all(e.offered and e.optional and e.why for e in found)
    assert len({str(sorted(e.settings.items(), key=str)) for e in found}) == len(found), "two members are the same"
    wanted = "log1p" if task == "regression" else "none"
    assert {e.target_transform for e in found} == {wanted}


def test_one_of_each_kind_comes_before_variants_and_further_seeds(tmp_path):
    found = members("tabular", load(tmp_path).experiments)
    first = [e.name for e in found[:6]]
    assert {n.split("-", 1)[1] for n in first} >= {"lightgbm-1", "forest-1", "catboost-1", "linear-1"}
    seeds = [i for i, e in enumerate(found) if "-seed" in e.name]
    assert min(seeds) == len(found) - len(seeds)


def test_a_table_of_the_file_takes_a_members_place_and_may_be_based_on_one(tmp_path):
    text = PIPELINE + (
        '[experiments.tabular-forest-1]\nwhy = "mine"\nmodel = "forest"\nn_estimators = 7\n'
        '[experiments.own]\nwhy = "x"\nbased_on = "tabular-lightgbm-1"\nnum_leaves = 9\n'
    )
    found = load(tmp_path, text).experiments
    assert (found["tabular-forest-1"].why, found["tabular-forest-1"].offered) == ("mine", False)
    assert found["own"].model == "lightgbm"
    assert not found["own"].offered


def test_images_have_no_tabular_portfolio(tmp_path):
    facts = load(tmp_path).competition.model_copy(update={"task": "image-classification"})
    assert offered(facts) == {}
    with pytest.raises(UsageError, match="no model for this task"):
        members("tabular", {})
    with pytest.raises(UsageError, match=r"no portfolio 'tabula'\. Did you mean 'tabular'"):
        members("tabula", {})
    assert PORTFOLIOS == ("tabular",)


def test_all_are_trained_where_there_is_time_and_then_found_again(tmp_path):
    stage = Stage(tmp_path)
    ran = stage.run(Budget(5, Hands()))
    assert list(ran.runs) == [e.name for e in stage.members]
    assert ran.left_out == {}
    assert all(isinstance(run, Run) and stage.store.has(run.id) for run in ran.runs.values())
    assert [line.split(":")[0] for line in stage.told.said] == [e.name for e in stage.members]
    again = stage.run(Budget(0, Hands()))
    assert list(again.runs) == list(ran.runs)


def test_without_a_limit_all_are_trained(tmp_path):
    stage = Stage(tmp_path)
    ran = stage.run(Budget(None))
    assert list(ran.runs) == [member.name for member in stage.members]


def test_nothing_is_started_that_would_not_fit(tmp_path):
    stage = Stage(tmp_path)
    ran = stage.run(Budget(0, Hands()))
    assert ran.runs == {}
    assert not stage.store.folder.exists(), "something was begun"
    assert set(ran.left_out) == {e.name for e in stage.members}
    assert "Left out: tabular-linear-1, tabular-knn-1, tabular-forest-2 (no time is left)." in stage.told.said


def test_what_is_left_out_stands_in_one_readable_line(tmp_path):
    stage = Stage(tmp_path)
    chosen = members("tabular", stage.pipeline.experiments)
    ran = stage.run(Budget(0, Hands()), chosen)
    assert len(ran.left_out) == len(chosen)
    (line,) = [said for said in stage.told.said if said.startswith("Left out")]
    seeds = [e.name for e in chosen if "-seed" in e.name]
    assert line.endswith(f" and {len(seeds)} further seeds (no time is left).")
    assert all((e.name in line) == (e.name not in seeds) for e in chosen)
    stage.run(Budget(0, Hands()), [e for e in chosen if e.name in seeds])
    assert stage.told.said[-1] == f"Left out: {len(seeds)} further seeds (no time is left)."


def test_a_smaller_member_runs_where_a_larger_one_does_not_fit(tmp_path):
    stage = Stage(tmp_path)
    large = replace(stage.members[2], name="tabular-large", params={"n_estimators": 1_000_000})
    ran = stage.run(Budget(1, Hands()), [large, stage.members[0]])
    assert list(ran.runs) == ["tabular-linear-1"]
    assert list(ran.left_out) == ["tabular-large"]


def test_a_member_that_takes_longer_than_forecast_stops_between_folds_and_goes_on_later(tmp_path):
    stage = Stage(tmp_path)
    chosen = stage.members[:1]
    ran = stage.run(Budget(0.1, Hands(per_call=3.1)), chosen)  # six seconds are over at the second look
    assert ran.runs == {}
    assert "stopped after 1 fold(s)" in ran.left_out["tabular-linear-1"]
    folder = stage.store.folder / run_id(stage.prepared, chosen[0])
    assert [p.name for p in folder.glob("fold-*")] == ["fold-0"]
    written = (folder / "fold-0" / "fold.json").stat().st_mtime_ns
    assert list(stage.run(Budget(5, Hands()), chosen).runs) == ["tabular-linear-1"]
    assert (folder / "fold-0" / "fold.json").stat().st_mtime_ns == written


class InTheMiddle(Stoppable):
    """Fits here, and runs out of time within the second fold."""

    def map(self, function, items, *, may_start=lambda item: True):
        for number, item in enumerate(items):
            if number == 1:
                raise OutOfTime("stopped in the middle")
            if may_start(item):
                yield function(item)


def test_a_fold_that_is_stopped_in_the_middle_is_lost_and_finished_ones_are_kept(tmp_path):
    stage = Stage(tmp_path)
    chosen = stage.members[:1]
    ran = stage.run(Budget(5, Hands()), chosen, workers=InTheMiddle(lambda: 1.0))
    assert ran.left_out == {"tabular-linear-1": "stopped in the middle"}
    folder = stage.store.folder / run_id(stage.prepared, chosen[0])
    assert sorted(p.name for p in folder.iterdir()) == ["fold-0", "settings.json"]
    whole = stage.run(Budget(5, Hands()), chosen).runs["tabular-linear-1"]
    fresh = train(stage.prepared, chosen[0], Store(tmp_path / "fresh"))
    assert_frame_equal(whole.oof.frame, fresh.oof.frame)


class Beside(Stoppable):
    """Two folds at the same time, as far as forecasts know."""

    def __init__(self) -> None:
        super().__init__(lambda: float("inf"), n_jobs=2)

    def map(self, function, items, *, may_start=lambda item: True):
        return (function(item) for item in items if may_start(item))


def test_two_folds_at_the_same_time_are_forecast_to_take_half_as_long(tmp_path):
    stage = Stage(tmp_path)
    (linear,) = chosen = stage.members[:1]
    one = rough_seconds(linear.model, linear.params, len(stage.prepared.train))
    together = math.ceil(stage.prepared.folds.n / 2)
    for folds, more, starts in (
        (together - 0.1, {"workers": Beside()}, False),
        (together + 0.1, {}, False),
        (together + 0.1, {"workers": Beside()}, True),
    ):
        stage.told.said.clear()
        stage.run(Budget(folds * one / 60, Hands()), chosen, **more)
        assert any(line.startswith(f"{linear.name}: about") for line in stage.told.said) == starts


def test_folds_left_take_half_as_long_two_at_a_time():
    watches = [_Watch(5, Budget(1, Hands()), n_jobs) for n_jobs in (1, 2)]
    for watch in watches:
        watch(SimpleNamespace(seconds=29.0))
    assert [watch.may_fit("fold-1") for watch in watches] == [False, True]


@pytest.mark.parametrize(("n_rows", "cores", "wanted"), [(4999, 4, 4), (4999, 64, 5), (5000, 4, 1)])
def test_folds_of_a_small_table_share_the_cores_out(monkeypatch, n_rows, cores, wanted):
    monkeypatch.setattr("kagglekit.parallel.n_cores", lambda: cores)
    assert fits_at_once(n_rows, 5) == wanted


def test_time_is_kept_for_what_comes_after_the_members_but_not_most_of_it(tmp_path):
    hands, asked = Hands(), []

    def closing(n_members: int, slowness: float) -> float:
        asked.append(n_members)
        hands.time = 0.0 if n_members == 1 else 21.0
        return 1000.0

    ran = Stage(tmp_path).run(Budget(0.5, hands), closing=closing)
    assert list(ran.runs) == ["tabular-linear-1"]
    assert asked == [1, 2, 2]


def test_the_whole_command_keeps_to_its_time(tmp_path):
    write_raw(tmp_path / "data" / "arena" / SLUG, *tables())
    write_pipeline(tmp_path)
    flow = Flow("flowers", Workspace(tmp_path, "arena"), told := Remembering())
    start = time.monotonic()
    ran = flow.train_portfolio("tabular", budget=Budget(0))
    assert ran.runs == {}
    assert time.monotonic() - start < 20
    assert "No time was left for the baseline 'mean'." not in told.said  # the task is one of labels
    assert flow.board_as_it_is() == []
    assert flow.board() != []
    assert {row.name for row in flow.board_as_it_is()} == {row.name for row in flow.board()}


def test_what_is_not_installed_is_left_out_and_named(tmp_path):
    stage = Stage(tmp_path)
    boosted = stage.pipeline.experiments["tabular-catboost-1"]
    ran = stage.run(Budget(5, Hands()), [boosted, stage.members[0]], installed=lambda package: package != "catboost")
    assert list(ran.runs) == ["tabular-linear-1"]
    assert "kagglekit[boosters]" in ran.left_out["tabular-catboost-1"]


def test_members_stand_in_the_table_and_in_all_once_they_are_trained(tmp_path):
    write_raw(tmp_path / "data" / "arena" / SLUG, *tables())
    write_pipeline(tmp_path)
    flow = Flow("flowers", Workspace(tmp_path, "arena"), Silent())
    assert not [n for n in flow.pipeline.experiments if n.startswith("tabular-")]
    assert not [e for e in (*flow.planned(), *flow.waiting()) if e.offered]
    flow.train(["tabular-linear-1"])
    assert [n for n in flow.pipeline.experiments if n.startswith("tabular-")] == ["tabular-linear-1"]
    assert "tabular-linear-1" in {row.name for row in flow.board()}
    assert "tabular-linear-1" in flow.ensemble("blend").weights
