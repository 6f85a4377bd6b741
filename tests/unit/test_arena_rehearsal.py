"""Rehearsal: every split grades as the grader does, ranks as the board does, and says the same again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from meadow import N_TEST, SLUG, answers, write_answers, write_folder

from kagglekit.arena import hosting
from kagglekit.arena.database import Database
from kagglekit.arena.field import rivals_answers
from kagglekit.arena.grader import grade
from kagglekit.arena.hosted import Hosted, now_utc
from kagglekit.arena.medals import medal_lines
from kagglekit.arena.rehearsal import rehearse, sent
from kagglekit.arena.uploads import upload_path
from kagglekit.console import rehearsal
from kagglekit.errors import SubmissionError, UsageError

TEAMS = 40


@pytest.fixture(scope="module")
def meadow(tmp_path_factory: pytest.TempPathFactory) -> Hosted:
    folder = tmp_path_factory.mktemp("meadow")
    return hosting.create(write_folder(folder / "folder"), folder / "home", SLUG, metric="accuracy", teams=TEAMS)


ENTRIES = {"perfect": answers(), "good": answers(24), "poor": answers(6)}


def test_the_same_seed_says_the_same_and_another_something_else(meadow: Hosted):
    one, same, other = (rehearse(meadow, ENTRIES, seed=seed).as_json() for seed in (1, 1, 2))
    assert one == same != other
    assert one["splits"] == 20 and one["teams"] == len(meadow.baselines) + TEAMS + 1


def test_scores_are_the_graders_on_each_split(meadow: Hosted):
    found = rehearse(meadow, {"good": answers(24)}, splits=5, seed=3).entries[0]
    rng, solution = np.random.default_rng([3, 17]), meadow.solution_frame()
    for public, private in zip(found.public, found.private, strict=True):
        part = np.isin(np.arange(N_TEST), rng.permutation(N_TEST)[:10])
        solution["Usage"] = np.where(part, "Public", "Private")
        expected = grade(meadow.competition, meadow.sample_frame(), solution, answers(24))
        assert (public, private) == (expected.public, expected.private)


def test_places_medals_and_gaps_are_what_they_say(meadow: Hosted):
    found = {e.name: e for e in rehearse(meadow, ENTRIES, splits=30).entries}
    lines = medal_lines(len(meadow.baselines) + TEAMS + 1)
    assert list(found) == ["perfect", "good", "poor"]
    assert (found["perfect"].ranks == 1).all() and (found["perfect"].public_ranks == 1).all()
    assert found["perfect"].share("gold") == 1.0
    for entry in found.values():
        assert entry.gaps == pytest.approx(entry.private - entry.public)
        assert entry.medals == tuple(lines.medal(int(r)) for r in entry.ranks)
        assert sum(entry.share(m) for m in ("gold", "silver", "bronze", None)) == pytest.approx(1)
    assert np.median(found["good"].ranks) < np.median(found["poor"].ranks)
    assert np.ptp(found["good"].private) > 0


def test_a_loss_ranks_the_other_way_round(tmp_path: Path):
    rng = np.random.default_rng(4)
    y = rng.normal(size=N_TEST)
    solution = pd.DataFrame({"plot": range(N_TEST), "y": y, "Usage": ["Public", "Private"] * (N_TEST // 2)})
    folder = tmp_path / "folder"
    folder.mkdir()
    solution.to_csv(folder / "solution.csv", index=False)
    sample = solution[["plot"]].assign(y=0.5)
    sample.to_csv(folder / "sample_submission.csv", index=False)
    made = hosting.create(folder, tmp_path / "home", "meadow", metric="rmse")
    found = rehearse(made, {"near": sample.assign(y=y + 0.1), "far": sample.assign(y=9.0)}, splits=7).entries
    assert [e.name for e in found] == ["near", "far"]
    assert found[0].ranks.tolist() == [1] * 7 and found[1].ranks.tolist() == [2] * 7
    assert found[1].gaps == pytest.approx(found[1].public - found[1].private)


def test_teams_can_be_simulated_for_the_rehearsal_alone(meadow: Hosted, tmp_path: Path):
    bare = replace(meadow, rivals=())
    assert rehearse(bare, ENTRIES, splits=2).teams == len(meadow.baselines) + 1
    assert rehearse(bare, ENTRIES, splits=2, teams=7).simulated == 7


def test_simulated_teams_of_the_rehearsal_are_those_of_the_board(meadow: Hosted):
    solution, sample = meadow.solution_frame(), meadow.sample_frame()
    for line, (team, answer) in zip(meadow.rivals, rivals_answers(meadow).items(), strict=True):
        again = grade(meadow.competition, sample, solution, answer)
        assert (line.team, line.public, line.private) == (team, again.public, again.private)


@pytest.mark.parametrize(
    ("entries", "asked", "error", "says"),
    [
        ({}, {}, UsageError, "nothing to rehearse"),
        (ENTRIES, {"splits": 0}, UsageError, "0 split"),
        (ENTRIES, {"public_share": 1.0}, UsageError, "both parts need rows"),
        (ENTRIES, {"public_share": 0.001}, UsageError, "both parts need rows"),
        ({"short": answers()[1:]}, {}, SubmissionError, "missing: 160"),
    ],
)
def test_what_cannot_be_rehearsed_is_told(meadow: Hosted, entries: dict, asked: dict, error: type, says: str):
    with pytest.raises(error, match=says):
        rehearse(meadow, entries, **asked)


def test_what_was_sent_is_found_with_its_file_name(tmp_path: Path):
    home = tmp_path / "home"
    made = hosting.create(write_folder(tmp_path / "folder"), home, SLUG, metric="accuracy")
    database = Database(home / "arena.db")
    for name in ("first.csv", "second.csv", "second.csv"):
        upload = database.start_upload(SLUG, name, 1, now_utc())
        upload_path(home, upload.id).parent.mkdir(exist_ok=True)
        write_answers(upload_path(home, upload.id), 20)
        record = database.add_submission(
            upload, fingerprint=made.fingerprint, team="a", description="", daily_limit=9, now=now_utc()
        )
        database.set_scores(record.ref, 0.5, 0.5)
    found = sent(home, made)
    assert list(found) == ["first", "second (2)", "second (3)"]
    assert found["first"]["grass"].tolist() == answers(20)["grass"].tolist()


def test_people_read_medians_spans_and_shares(meadow: Hosted):
    text = rehearsal(rehearse(meadow, ENTRIES).as_json())
    assert "20 splits of 30 hidden rows, 33% of them public; 45 teams, 40 of them simulated" in text.replace("46", "45")
    line = next(line for line in text.splitlines() if line.startswith("perfect"))
    assert "1.0000 (1.0000 to 1.0000)" in line and "1 (1 to 1)" in line and line.endswith("gold 100%")
