"""Ladders: rungs become runs, one shared fold promotes, a budget loses nothing, and the score is a fresh one."""

from __future__ import annotations

import json
from concurrent.futures import BrokenExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fakes import Remembering
from flowers import PIPELINE, SLUG, tables, write_pipeline, write_raw

from kagglekit.config import load_pipeline
from kagglekit.contracts import Predictions
from kagglekit.errors import ConfigError, UsageError
from kagglekit.flow import Flow
from kagglekit.forecast import Budget
from kagglekit.ladder import Costs, bake_off, climb, known_candidates, load_ladder, shared_split
from kagglekit.ladder.judge import Judge, Scored
from kagglekit.ladder.memory import enough_memory, peak_memory
from kagglekit.ladder.record import Measured
from kagglekit.models import registry
from kagglekit.parallel import OutOfTime, Stoppable
from kagglekit.prepare import prepare
from kagglekit.rungs import Ladder, Rung
from kagglekit.store import FoldResult, Store
from kagglekit.workspace import Workspace

STUMPS = """
[experiments.stump]
why = "one split"
model = "forest"
n_estimators = 1
max_depth = 1
n_jobs = 1
oob = false

[experiments.bush]
why = "a few trees"
model = "forest"
n_estimators = 12
max_depth = 7
n_jobs = 1
oob = false
"""
LADDER = """
[ladder]
start = "stump"

[[ladder.rungs]]
name = "deep"
why = "do deeper trees help?"
max_depth = [1, 4, 9]

[[ladder.rungs]]
name = "many"
why = "do more trees help?"
n_estimators = { few = 3, dozen = 12 }
"""
TEXT = PIPELINE.partition("[experiments.majority]")[0] + STUMPS


def easy(seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """The flowers in colours that a tree of some depth tells apart, and one of a single split does not."""
    train, test, sample = tables(240, seed=seed)
    train["petal"] += 3.0 * train["colour"].map({"blue": 0, "red": 1, "white": 2})
    return train, test, sample


class Stage:
    """The flowers with a pipeline file, and a store."""

    def __init__(self, root: Path, text: str = TEXT + LADDER) -> None:
        raw = write_raw(root / "data" / SLUG, *easy())
        self.pipeline = load_pipeline(write_pipeline(root, text), check_params=registry.check)
        self.prepared = prepare(raw, self.pipeline)
        self.store = Store(root / "runs")
        self.told = Remembering()

    def climb(self, ladder: Ladder | None = None, *, minutes: float | None = None, **options):
        return climb(
            self.prepared,
            ladder or self.pipeline.ladder,
            self.pipeline.experiments,
            self.store,
            budget=Budget(minutes, Hands()),
            progress=self.told,
            **options,
        )


@pytest.fixture(scope="module")
def climbed(tmp_path_factory):
    """A stage whose ladder was climbed, and what came of it; not to be climbed again."""
    stage = Stage(tmp_path_factory.mktemp("climbed"))
    return stage, stage.climb()


class Hands:
    """A clock that stands still."""

    def __call__(self) -> float:
        return 0.0


def load(root: Path, ladder: str):
    return load_pipeline(write_pipeline(root, TEXT + ladder), check_params=registry.check)


def test_a_rung_is_every_combination_of_its_values_and_names_what_varies():
    rung = Rung("r", "?", {"a": {"1": 1, "2": 2}, "b": {"only": 5}, "c": {"x": "X", "y": "Y"}})
    made = rung.combinations()
    assert [m.name for m in made] == ["r-1-x", "r-1-y", "r-2-x", "r-2-y"]
    assert made[1].changes == {"a": 1, "b": 5, "c": "Y"}
    assert [m.name for m in Rung("r", "?", {"a": {"1": 1}}).combinations()] == ["r"]


def test_the_file_states_a_ladder_with_words_for_values(tmp_path):
    found = load(tmp_path, LADDER).ladder
    assert (found.start, found.fold) == ("stump", None)
    assert found.rungs[0].grid == {"max_depth": {"1": 1, "4": 4, "9": 9}}
    assert found.rungs[1].grid == {"n_estimators": {"few": 3, "dozen": 12}}
    assert load(tmp_path, "").ladder is None


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (('start = "stump"', 'start = "stumb"'), r"start = 'stumb' is no experiment\. Did you mean 'stump'"),
        (('start = "stump"', ""), "start = None is no experiment"),
        (('start = "stump"', 'start = "stump"\nfold = "0"'), "fold must be the number of a fold"),
        (('start = "stump"', 'start = "stump"\nfolds = 1'), "unknown key 'folds'"),
        (('name = "deep"', 'name = "deep down"'), "needs a name of letters"),
        (('why = "do deeper trees help?"', ""), r"rung 'deep': the key 'why' is missing"),
        (("max_depth = [1, 4, 9]", ""), "rung 'deep' changes no setting"),
        (("max_depth = [1, 4, 9]", "max_dept = [1]"), r"has no setting 'max_dept'.*max_depth"),
        (("max_depth = [1, 4, 9]", 'max_depth = ["four"]'), "rung 'deep'.*max_depth"),
        (("max_depth = [1, 4, 9]", "max_depth = [4, 4]"), "lists a value twice"),
        (("max_depth = [1, 4, 9]", "max_depth = []"), "max_depth has no values"),
        (
            ("max_depth = [1, 4, 9]", "n_estimators = { few = 3, dozen = 12 }"),
            "'deep' and 'many' try the same settings",
        ),
        (('name = "many"', 'name = "deep"\nmax_depth = [4]'), None),
        (('name = "deep"', 'name = "bush"\nmin_samples_leaf = 2'), None),
        (("max_depth = [1, 4, 9]", "max_depth = 4"), None),
    ],
)
def test_what_a_ladder_cannot_say_is_refused_in_one_line(tmp_path, change, says):
    text = LADDER.replace(*change)
    assert text != LADDER
    if says is None:
        load(tmp_path, text)
        return
    with pytest.raises(ConfigError, match=says):
        load(tmp_path, text)


def test_candidates_must_not_take_a_name_and_a_start_needs_folds(tmp_path):
    with pytest.raises(ConfigError, match="candidate 'bush' has the name of an experiment"):
        load(tmp_path, LADDER.replace('name = "deep"', 'name = "bush"').replace("[1, 4, 9]", "4"))
    with pytest.raises(ConfigError, match="two candidates are called 'deep'"):
        load(tmp_path, LADDER.replace('"many"', '"deep"').replace("[1, 4, 9]", "4").replace("few = 3, ", ""))
    oob = '[experiments.bagged]\nwhy = "x"\nmodel = "forest"\nvalidation = "oob"\n'
    with pytest.raises(ConfigError, match="start = 'bagged' has no folds"):
        load(tmp_path, oob + LADDER.replace('start = "stump"', 'start = "bagged"'))


def test_what_won_is_promoted_on_one_fold_and_scored_afresh_on_the_others(climbed):
    stage, found = climbed
    by_name = {step.experiment: step for step in found.steps}
    assert next(iter(by_name)) == "stump"
    assert {"deep-4", "deep-9"} <= set(by_name), "its own settings are no candidate"
    (first,) = [s for s in found.steps if s.rung == "deep" and s.promoted]
    assert first.verdict == "better"
    assert {s.against for s in found.steps if s.rung == "many"} == {first.experiment}
    assert found.best == [s.experiment for s in found.steps if s.promoted][-1]
    assert (found.split, found.n_scored, found.n_fitted) == ("fold-0", 80, 160)
    assert set(found.runs) == {"stump", *(s.experiment for s in found.steps if s.promoted)}
    shared = stage.prepared.folds.assignment.iloc[:, 0] == 0
    assert found.n_fresh == (~shared).sum()
    fresh = {one.experiment: one for one in found.fresh}
    best = found.runs[found.best]
    ids = stage.prepared.folds.ids[~shared]
    right = best.oof.frame.loc[ids].idxmax(axis=1) == stage.prepared.y.loc[ids]
    assert fresh[found.best].score == pytest.approx(right.mean())
    assert fresh["stump"].difference is None
    assert fresh[found.best].verdict == "better"
    json.dumps(found.as_json())


def test_only_the_shared_fold_of_what_lost_is_trained(climbed):
    stage, found = climbed
    lost = [s.experiment for s in found.steps if not s.promoted and s.rung != "start"]
    assert lost
    known = {p.name.rpartition("-")[0]: p for p in stage.store.folder.iterdir() if p.is_dir()}
    for name in lost:
        assert stage.store.folds(known[name].name) == ["fold-0"]


def test_the_same_command_trains_nothing_twice_and_says_the_same(climbed):
    stage, first = climbed
    written = {p: p.stat().st_mtime_ns for p in stage.store.folder.glob("*/*/fold.json")}
    assert len(written) >= 7
    assert stage.climb(minutes=0).as_json() == first.as_json()
    assert {p: p.stat().st_mtime_ns for p in stage.store.folder.glob("*/*/fold.json")} == written


def test_an_experiment_of_the_file_with_a_candidates_settings_is_that_candidate(tmp_path):
    stage = Stage(tmp_path)
    found = stage.climb(Ladder("stump", (Rung("r", "?", {"max_depth": {"7": 7}, "n_estimators": {"12": 12}}),)))
    assert [s.experiment for s in found.steps] == ["stump", "bush"]


def test_a_rung_may_try_seeds_and_other_targets(tmp_path):
    ladder = LADDER.partition("[[ladder.rungs]]")[0] + '[[ladder.rungs]]\nname = "steady"\nwhy = "?"\nseeds = [1, 2]\n'
    stage = Stage(tmp_path, TEXT + ladder)
    found = stage.climb(full=False)
    assert [s.experiment for s in found.steps] == ["stump", "steady-2"], "one seed is what the start has"
    assert found.steps[1].change == "seeds default -> 2"
    (made,) = known_candidates(load_ladder(stage.store.folder), stage.pipeline.experiments).values()
    assert (made.seeds, made.based_on, made.params) == (2, "stump", stage.pipeline.experiments["stump"].params)
    with pytest.raises(ConfigError, match=r"rung 'steady': its value: seeds = 0"):
        load(tmp_path, ladder.replace("[1, 2]", "0"))
    with pytest.raises(ConfigError, match="extra_targets is for model = \"timm\", got 'forest'"):
        load(tmp_path, ladder.replace("seeds = [1, 2]", 'extra_targets = [["soil"]]'))


def test_a_budget_stops_before_what_would_not_fit_and_more_time_goes_on_there(tmp_path):
    stage = Stage(tmp_path)
    none = stage.climb(minutes=0)
    assert (none.steps, none.runs, none.best) == ([], {}, "stump")
    assert "stump would take about" in none.undecided
    assert not list(stage.store.folder.glob("*/*/fold.json"))

    slow = Slow(stage, {"deep-9": 1e9})
    some = stage.climb(minutes=1, costs=slow)
    assert [s.experiment for s in some.steps] == ["stump", "deep-4"]
    assert "deep-9 would take about" in some.undecided
    assert some.best == "stump", "a rung is decided when all of it is there"
    again = stage.climb()
    assert again.undecided == ""
    assert again.best != "stump"


class FewFits(Stoppable):
    """Fits here, and runs out of time in the middle of the fit after so many."""

    def __init__(self, n: int) -> None:
        super().__init__(lambda: 1.0)
        self.n = n

    def map(self, function, items, *, may_start=lambda item: True):
        for item in items:
            if may_start(item):
                self.n -= 1
                if self.n < 0:
                    raise OutOfTime("stopped in the middle")
                yield function(item)


def test_what_runs_past_the_budget_is_stopped_and_the_same_command_goes_on_there(tmp_path):
    stage = Stage(tmp_path)
    some = stage.climb(minutes=1, workers=FewFits(2))
    assert [s.experiment for s in some.steps] == ["stump", "deep-4"]
    assert "deep-9 took longer than forecast, and was stopped" in some.undecided
    assert (some.best, some.runs) == ("stump", {}), "a rung is decided when all of it is there"
    assert "The time was over in the middle of stump" in stage.told.said[-1]
    written = {p: p.stat().st_mtime_ns for p in stage.store.folder.glob("*/*/fold.json")}
    assert len(written) == 2
    again = stage.climb()
    assert again.undecided == "" and again.best != "stump"
    assert {p: p.stat().st_mtime_ns for p in written} == written


class Dying(FewFits):
    """Its process is killed in the middle of the first fit, and another one takes its place."""

    def map(self, function, items, *, may_start=lambda item: True):
        if self.n:
            yield from super().map(function, items, may_start=may_start)
        self.n = 99
        raise BrokenExecutor


def test_a_candidate_whose_process_dies_is_left_out_and_the_others_go_on(tmp_path):
    stage = Stage(tmp_path)
    stage.climb(Ladder("stump", ()), full=False)
    found = stage.climb(full=False, minutes=1, workers=Dying(0))
    (reason,) = found.left_out.values()
    assert "was ended by the system, as when memory runs out. Halve its batch_size" in reason
    assert found.undecided == "" and len(found.steps) >= 3


def test_a_fit_without_end_is_ended_with_the_budget(tmp_path):
    stage = Stage(tmp_path)
    stage.climb(Ladder("stump", ()), full=False)
    endless = Ladder("stump", (Rung("trees", "?", {"n_estimators": {"all": 10**6}}),))
    named, budget, costs = stage.pipeline.experiments, Budget(0.02), Slow(stage, {})
    some = climb(stage.prepared, endless, named, stage.store, budget=budget, costs=costs)
    assert "trees took longer than forecast" in some.undecided
    assert some.best == "stump"


class Slow(Costs):
    """Forecasts that a test sets."""

    def __init__(self, stage: Stage, seconds: dict[str, float]) -> None:
        super().__init__(stage.prepared, shared_split(stage.prepared), load_ladder(stage.store.folder))
        self.told = seconds

    def forecast(self, experiment) -> Measured:
        return Measured(self.told.get(experiment.name, 0.1), basis="told")


def test_what_cannot_be_trained_here_is_named_in_one_line_and_left_out(tmp_path):
    stage = Stage(tmp_path)
    rung = Rung("r", "?", {"max_features": {"all": 1.0, "absurd": -3.0}})
    again = Rung("again", "?", {"max_features": {"all": 1.0}})
    found = stage.climb(Ladder("stump", (rung, again)))
    assert list(found.left_out) == ["r-absurd"]
    assert "\n" not in found.left_out["r-absurd"]
    compared = ["stump", "r-all"] + ["r-all"] * (found.best == "stump")
    assert [s.experiment for s in found.steps] == compared, "the same settings are one candidate"


def test_forecasts_learn_from_what_was_trained(climbed, tmp_path):
    stage, found = climbed
    record = load_ladder(stage.store.folder)
    assert set(record.candidates) == {"deep-4", "deep-9", "many-few", "many-dozen"}
    assert {s.cost.basis for s in found.steps} == {"a rough guess"}
    assert all(s.cost.mb > 10 and s.cost.forecast > 0 for s in found.steps)
    (off,) = record.off.values()
    assert off > 0
    costs = Costs(stage.prepared, shared_split(stage.prepared), record)
    bush = stage.pipeline.experiments["bush"]
    plain = Costs(stage.prepared, shared_split(stage.prepared), load_ladder(tmp_path / "none"))
    assert costs.forecast(bush).forecast == pytest.approx(off * plain.forecast(bush).forecast)


def test_a_damaged_record_is_an_empty_one(tmp_path):
    stage = Stage(tmp_path)
    first = stage.climb(full=False)
    path = stage.store.folder / "ladder.json"
    for text in ("{", '{"format": 99}', '{"format": 1}', "[]"):
        path.write_text(text)
        assert load_ladder(stage.store.folder).candidates == {}
    again = stage.climb(full=False)
    assert (again.best, {s.experiment for s in again.steps}) == (first.best, {s.experiment for s in first.steps})


def judge(prepared, n_right: dict[str, int], seconds: dict[str, float]) -> tuple[Judge, dict[str, Scored]]:
    """Candidates that get so many rows of the shared fold right, and take so long."""
    split = shared_split(prepared)
    found, y = {}, prepared.y.loc[split.score_ids]
    for name, right in n_right.items():
        wrong = y.map({"blue": "red", "red": "white", "white": "blue"})
        said = y.where(np.arange(len(y)) < right, wrong)
        frame = pd.DataFrame({c: (said == c).astype(float) for c in prepared.competition.classes}, index=y.index)
        fold = FoldResult("fold-0", right / len(y), seconds[name], 1.0, Predictions(frame), Predictions(frame))
        experiment = replace(bare(), name=name)
        found[name] = Scored(experiment, fold)
    return Judge(prepared, split), found


def bare():
    from kagglekit.config import Experiment

    return Experiment(name="x", why="?", model="forest", params={})


@pytest.mark.parametrize(
    ("right", "seconds", "chosen"),
    [
        ({"best": 40, "a": 70, "b": 60}, {"best": 1, "a": 1, "b": 1}, "a"),
        ({"best": 40, "a": 70, "b": 69}, {"best": 1, "a": 9, "b": 1}, "b"),  # no difference among winners: the cheaper
        ({"best": 40, "a": 41, "b": 39}, {"best": 1, "a": 5, "b": 1}, "best"),  # no difference: what was there
        ({"best": 40, "a": 40, "b": 39}, {"best": 1, "a": 0.5, "b": 0.1}, "a"),  # as good, and much cheaper
        ({"best": 40, "a": 40, "b": 10}, {"best": 1, "a": 0.9, "b": 0.1}, "best"),
    ],
)
def test_no_difference_keeps_the_cheaper(climbed, right, seconds, chosen):
    judging, scored = judge(climbed[0].prepared, right, seconds)
    best, others = scored["best"], [scored["a"], scored["b"]]
    verdicts = {one.name: judging.step("r", one, best, 2).verdict for one in others}
    assert judging.promote(others, best, verdicts).name == chosen


def test_the_more_candidates_the_surer_a_win_must_be(climbed):
    judging, scored = judge(climbed[0].prepared, {"best": 40, "a": 46}, {"best": 1, "a": 1})
    alone, among = (judging.difference(scored["best"], scored["a"], n) for n in (1, 20))
    assert alone.mean == among.mean
    assert alone.low > 0 and among.low < alone.low and among.high > alone.high
    assert judging.step("r", scored["a"], scored["best"], 1).verdict == "better"


def test_labels_by_chance_promote_nothing_that_fresh_rows_confirm(tmp_path):
    """The shared fold picks the luckiest of many; the other folds do not know of its luck."""
    train, *others = tables(240)
    train["colour"] = np.random.default_rng(3).permutation(train["colour"])
    raw = write_raw(tmp_path / "data" / SLUG, train, *others)
    pipeline = load_pipeline(write_pipeline(tmp_path, TEXT + LADDER), check_params=registry.check)
    prepared = prepare(raw, pipeline)
    rung = Rung("luck", "?", {"max_depth": {str(d): d for d in range(2, 8)}})
    found = climb(prepared, Ladder("stump", (rung,)), pipeline.experiments, Store(tmp_path / "runs"))
    assert len(found.steps) == 7
    assert all(one.verdict != "better" for one in found.fresh)
    assert all(abs(one.score - 1 / 3) < 0.12 for one in found.fresh)


def test_a_promoted_run_stands_on_the_board_with_its_score_on_the_other_folds(tmp_path):
    write_raw(tmp_path / "data" / "arena" / SLUG, *easy())
    write_pipeline(tmp_path, TEXT + LADDER)
    flow = Flow("flowers", Workspace(tmp_path, "arena"), Remembering())
    found = flow.ladder()
    flow = Flow("flowers", Workspace(tmp_path, "arena"), Remembering())
    promoted = [s.experiment for s in found.steps if s.promoted]
    rows = {row.name: row for row in flow.board()}
    assert {"stump", *promoted} <= set(rows)
    run, row = found.runs[promoted[0]], rows[promoted[0]]
    assert row.score == pytest.approx(np.mean(run.scores[1:]))
    assert row.fit_score == pytest.approx(run.score)
    assert "promoted on fold-0, scored on the others" in row.hypothesis
    assert row.against == "stump"
    lost = next(s.experiment for s in found.steps if not s.promoted and s.experiment != "stump")
    assert lost not in rows
    flow.train([lost])
    assert lost in {r.name for r in flow.board()}, "it can be trained by its name like any other"


def test_without_a_ladder_the_command_says_what_to_do(tmp_path):
    write_pipeline(tmp_path, TEXT)
    flow = Flow("flowers", Workspace(tmp_path, "arena"), Remembering())
    with pytest.raises(ConfigError, match=r"has no \[ladder\].*--bake-off"):
        flow.ladder()
    with pytest.raises(UsageError, match="has no setting 'resize'"):
        flow.bake_off("stump")


def test_a_bake_off_compares_every_way_that_the_model_offers():
    ladder = bake_off(replace(bare(), name="lite", model="timm"), "image-classification")
    (rung,) = ladder.rungs
    assert ladder.start == "lite"
    assert {"squish", "crop", "pad"} <= set(rung.grid["resize"])
    assert [c.name for c in rung.combinations()][:1] == ["lite-squish"]


def test_a_fold_that_is_not_there_is_refused_and_time_takes_the_last(climbed):
    prepared = climbed[0].prepared
    with pytest.raises(ConfigError, match="there are the folds 0 to 2"):
        shared_split(prepared, 3)
    assert shared_split(prepared, 2).name == "fold-2"
    timed = replace(prepared, folds=replace(prepared.folds, scheme="time"))
    assert shared_split(timed).name == "fold-2"


def test_memory_is_that_of_the_block():
    with peak_memory() as used:
        block = np.ones(60 << 17)  # 60 MB
        used.look()
        high = used.mb
        del block
    with peak_memory() as later:
        pass
    assert used.mb >= high > later.mb - 1
    with pytest.raises(ConfigError, match="'big' does not fit into memory"), enough_memory("big"):
        raise RuntimeError("CUDA out of memory. Tried to allocate 20 GiB")
    with pytest.raises(RuntimeError, match="something else"), enough_memory("big"):
        raise RuntimeError("something else")
