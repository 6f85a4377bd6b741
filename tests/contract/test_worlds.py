"""What every practice competition must be, whatever it is about."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from kagglekit.arena.hosted import Hosted, read_table
from kagglekit.arena.leaderboard import standings
from kagglekit.arena.medals import medal_lines
from kagglekit.arena.worlds import WORLDS, World, ensure, host
from kagglekit.arena.worlds.base import SECRETS
from kagglekit.contracts import Competition
from kagglekit.errors import DataError
from kagglekit.files import sha256
from kagglekit.look import look
from kagglekit.metrics import get_metric
from kagglekit.progress import Silent

# Large enough that a forest beats a constant answer, small enough to be drawn while one waits.
SCALES = {
    "paddy": 0.0001,
    "shapes": 0.02,
    "digits": 0.15,
    "coffee": 0.3,
    "weekday": 0.2,
    "rps": 0.4,
    "films": 0.3,
    "ratings": 0.5,
    "auction": 0.15,
    "phrases": 0.2,
    "scenes": 0.05,
}
CONSTANT = ("Majority class", "Mean of", "Training share")


@dataclass(frozen=True)
class Case:
    world: World
    folder: Path
    hosted: Hosted

    def table(self, name: str) -> pd.DataFrame:
        return read_table(self.folder / name, id_column=self.hosted.competition.id)

    @property
    def answers(self) -> pd.Series:
        """The hidden answers by id."""
        return self.table("solution.csv").set_index(self.hosted.competition.id)[self.hosted.competition.target]


def test_every_world_has_a_case() -> None:
    assert set(SCALES) == set(WORLDS)


@pytest.fixture(scope="module", params=list(SCALES))
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    world, home = WORLDS[request.param], tmp_path_factory.mktemp(request.param)
    made = host(world, home, scale=SCALES[world.name], n_jobs=1)
    return Case(world, ensure(world, home / "worlds", scale=SCALES[world.name]), made)


def contents(folder: Path) -> dict[str, str]:
    return {p.relative_to(folder).as_posix(): sha256(p) for p in sorted(folder.rglob("*")) if p.is_file()}


def draw(world: World, folder: Path, seed: int) -> dict[str, str]:
    folder.mkdir()
    world.make(folder, scale=SCALES[world.name], seed=seed, progress=Silent(), n_jobs=1)
    return contents(folder)


def test_a_seed_draws_the_same_bytes_and_another_seed_others(case: Case, tmp_path: Path) -> None:
    if case.world.name == "paddy":  # its own tests ask the same of single pictures, in a tenth of the time
        return
    assert draw(case.world, tmp_path / "again", case.world.seed) == contents(case.folder)
    drawn = draw(case.world, tmp_path / "other", case.world.seed + 1)
    assert all(drawn[name] != sha256(case.folder / name) for name in ("train.csv", "solution.csv"))


def test_facts_are_those_of_the_world(case: Case) -> None:
    facts, world = case.hosted.competition, case.world
    assert isinstance(facts, Competition)
    assert (facts.task, facts.metric, facts.group, facts.time) == (world.task, world.metric, world.group, world.time)
    assert case.hosted.synthetic == world.synthetic
    assert case.hosted.notes == ()


def test_it_says_what_it_is_and_what_is_worth_trying(case: Case) -> None:
    text = (case.folder / "README.txt").read_text(encoding="utf-8")
    assert text.startswith(case.world.title) and "practice data" in case.world.title
    assert ("synthetic" in case.world.title) == case.world.synthetic
    assert "Worth trying:" in case.hosted.description and len(case.hosted.description) > 300
    assert case.world.summary and len(case.world.summary) < 100


def test_sample_submission_and_solution_hold_the_same_ids_in_an_order_of_their_own(case: Case) -> None:
    key = case.hosted.competition.id
    sample, solution = case.table("sample_submission.csv")[key], case.table("solution.csv")
    assert sample.tolist() == solution[key].tolist() == sorted(sample)
    assert set(solution["Usage"]) == {"Public", "Private"}
    assert 0.15 < (solution["Usage"] == "Public").mean() < 0.5


def test_no_row_is_in_both_parts_and_every_class_can_be_learnt(case: Case) -> None:
    facts, train = case.hosted.competition, case.table("train.csv")
    assert not set(train[facts.id]) & set(case.answers.index)
    if facts.is_classification:
        assert set(case.answers) <= set(train[facts.target])


def test_groups_and_times_are_apart(case: Case) -> None:
    facts = case.hosted.competition
    if facts.group is None and facts.time is None:
        assert case.world.name not in ("phrases", "auction")
        return
    train, test = case.table("train.csv"), case.table("test.csv")
    if facts.group:
        assert not set(train[facts.group]) & set(test[facts.group])
    if facts.time:
        assert train[facts.time].max() < test[facts.time].min()


def test_only_features_may_be_downloaded(case: Case) -> None:
    names = [f.name for f in case.hosted.files]
    assert not [n for n in names if SECRETS in n or "solution" in n or "best" in n]
    facts = case.hosted.competition
    if "test.csv" in names:
        assert facts.target not in case.table("test.csv")
    sample = case.table("sample_submission.csv").drop(columns=facts.id)
    assert sample.nunique(dropna=False).max() == 1


def tells(clue: pd.Series, answers: pd.Series) -> float:
    """By how many standard errors a clue's order goes with the answers' order."""
    codes = answers.rank() if pd.api.types.is_numeric_dtype(answers) else pd.Series(pd.factorize(answers)[0])
    by_class = [codes.to_numpy() == c for c in np.unique(codes)] if codes.nunique() <= 10 else [codes.to_numpy()]
    found = [
        abs(np.corrcoef(clue.rank().to_numpy(), part.astype(float))[0, 1])
        for part in by_class
        if np.ptp(part.astype(float))
    ]
    return float(max(found) * np.sqrt(len(clue))) if clue.nunique() > 1 else 0.0


def numbers(ids: pd.Index) -> pd.Series:
    return pd.Series(ids.astype(str).str.extract(r"(\d+)")[0].astype(int).to_numpy())


def test_names_and_order_tell_nothing(case: Case) -> None:
    """Files are in the order of ids, so that ids are the only order there is."""
    answers = case.answers.reset_index(drop=True)
    if case.world.task == "image-segmentation":
        answers = answers.map(len)
    assert tells(numbers(case.answers.index), answers) < 4


def test_files_have_one_time_and_pictures_no_metadata(case: Case) -> None:
    assert len({p.stat().st_mtime for p in case.folder.rglob("*") if p.is_file()}) == 1
    for path in sorted(case.folder.rglob("*.jpg"))[:5]:
        with Image.open(path) as picture:
            assert not picture.getexif() and "comment" not in picture.info


def test_every_picture_has_its_row(case: Case) -> None:
    pictures = {p.name for p in case.folder.rglob("*.jpg")}
    if case.hosted.competition.has_images:
        key = case.hosted.competition.id
        assert pictures == {*case.table("train.csv")[key], *case.answers.index}
    else:
        assert not pictures


def test_baselines_stand_in_a_sensible_order(case: Case) -> None:
    sign = 1 if get_metric(case.hosted.metric).greater_is_better else -1
    scores = {b.team: sign * b.private for b in case.hosted.baselines}
    if case.world.task == "image-segmentation":
        assert scores["Forest on single pixels"] > scores["Where water usually is"] > scores["Sample submission"]
    elif case.world.name == "phrases":
        # Columns one by one tell nothing here: that is what it teaches.
        assert scores["Shared words"] > 0.3 > scores["Random forest"]
    elif case.hosted.competition.has_images:
        assert {"Majority class", "One rule", "Linear model", "Colour-histogram forest"} <= set(scores)
    else:
        constant = max(score for team, score in scores.items() if team.startswith(CONSTANT))
        assert {"One rule", "Linear model"} <= set(scores)
        assert scores["Random forest"] > constant


def test_nothing_beats_the_best_possible_but_by_luck(case: Case) -> None:
    hosted, metric = case.hosted, get_metric(case.hosted.metric)
    if not case.world.best:
        assert hosted.best is None
        return
    assert hosted.best is not None
    sign = 1 if metric.greater_is_better else -1
    luck = 2 / np.sqrt(len(case.answers))
    assert all(sign * (b.private - hosted.best.private) < luck for b in (*hosted.baselines, *hosted.rivals))
    answer = hosted.answers_frame(hosted.best.team)
    assert set(answer[hosted.competition.id]) == set(case.answers.index)
    assert (hosted.folder / "answers" / "best.csv").stat().st_mode & 0o077 == 0


def test_the_board_has_medals_for_simulated_teams_that_are_called_so(case: Case) -> None:
    lines = standings(case.hosted, [])
    assert len(case.hosted.rivals) == case.world.teams
    assert all(line.team.startswith("Simulated team") == line.is_simulated for line in lines)
    won = [line.rank for line in lines if line.medal]
    assert max(won) == medal_lines(len(lines)).bronze or not lines[max(won)].is_simulated
    assert [line.medal for line in lines if line.is_baseline and not line.is_simulated] == [None] * len(
        case.hosted.baselines
    )


def test_new_finds_the_facts_by_itself(case: Case) -> None:
    facts = case.hosted.competition
    if case.world.task == "image-segmentation":
        with pytest.raises(DataError, match="no model of kagglekit predicts"):
            look(case.hosted.files_folder, facts.slug, metric=facts.metric)
        return
    found = look(case.hosted.files_folder, facts.slug, metric=facts.metric)
    seen = (found.task, found.metric, found.id, found.target, found.form, found.group, found.time)
    assert seen == (facts.task, facts.metric, facts.id, facts.target, facts.form, facts.group, facts.time)
    assert found.guesses == ()
    train = case.table("train.csv")
    assert all(train[column].nunique() == 1 for column in found.drop)


@pytest.mark.parametrize("scale", [0, -1, 1.5])
def test_a_scale_beyond_the_full_size_is_refused(case: Case, scale: float, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="above 0 and at most 1"):
        case.world.make(tmp_path, scale=scale, seed=1, progress=Silent(), n_jobs=1)
