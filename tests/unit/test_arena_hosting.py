from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from meadow import CLASSES, N_TEST, N_TRAIN, SLUG, answers, tables, write_answers, write_folder

from kagglekit.arena import hosting
from kagglekit.arena.grader import grade, grade_file
from kagglekit.arena.hosted import Hosted, competition_folder, open_hosted
from kagglekit.contracts import Form
from kagglekit.errors import CompetitionNotFound, ConfigError, DataError, KagglekitError, SubmissionError, UsageError
from kagglekit.forms import check_submission


class Heard:
    """A progress that remembers what was said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


def create(tmp_path: Path, *, name: str = SLUG, replace: bool = False, **changed: pd.DataFrame) -> Hosted:
    folder = write_folder(tmp_path / "folder", **changed)
    return hosting.create(folder, tmp_path / "home", name, metric="accuracy", replace=replace)


def test_facts_are_read_from_the_files(tmp_path: Path):
    made = create(tmp_path)
    facts = made.competition
    assert (facts.id, facts.target, facts.task, facts.form) == ("plot", "grass", "classification", "label")
    assert facts.classes == CLASSES
    assert [f.name for f in made.files] == ["sample_submission.csv", "test.csv", "train.csv"]
    assert open_hosted(tmp_path / "home", SLUG) == made
    assert hosting.is_hosted(tmp_path / "home", SLUG) and hosting.hosted(tmp_path / "home") == [made]


def test_the_solution_is_apart_from_the_files_and_for_the_owner_only(tmp_path: Path):
    made = create(tmp_path)
    assert not list(made.files_folder.rglob("solution*"))
    assert (made.folder / "solution.csv").stat().st_mode & 0o077 == 0
    assert all(made.file(name) is None for name in ("solution.csv", "../solution.csv", "/etc/passwd", ".", ""))


@pytest.mark.parametrize(
    ("target", "metric"),
    [
        (["a", "b", "c"] * 10, "accuracy"),
        ([1, 2, 3] * 10, "accuracy"),
        (list(range(30)), "rmse"),
        ([0.5, 1.5, 2.5] * 10, "rmse"),
    ],
)
def test_a_missing_metric_is_guessed_and_said(tmp_path: Path, target: list, metric: str):
    made_from = tables()
    solution = made_from["solution"].assign(grass=target)
    train = made_from["train"].assign(grass=(target * 2)[:60])
    sample = made_from["sample_submission"].assign(grass=target[0])
    folder = write_folder(tmp_path / "folder", solution=solution, train=train, sample_submission=sample)
    heard = Heard()
    made = hosting.create(folder, tmp_path / "home", SLUG, progress=heard)
    assert made.metric == metric
    assert any(metric in line for line in heard.said) and list(made.notes) == heard.said


def test_without_usage_thirty_percent_become_public_whatever_the_order(tmp_path: Path):
    solution = tables()["solution"].drop(columns="Usage")
    one = create(tmp_path / "one", solution=solution).solution_frame().set_index("plot")["Usage"]
    shuffled = solution.sample(frac=1, random_state=1)
    made = create(tmp_path / "two", solution=shuffled)
    two = made.solution_frame().set_index("plot")["Usage"]
    assert one.equals(two.loc[one.index])
    assert 0.1 < (one == "Public").mean() < 0.5
    assert any("Usage" in note for note in made.notes)


@pytest.mark.parametrize("name", ["gender_submission", "anything"])
def test_a_sample_under_another_name_is_found(tmp_path: Path, name: str):
    folder = write_folder(tmp_path / "folder", **{name: tables()["sample_submission"]})
    (folder / "sample_submission.csv").unlink()
    assert hosting.create(folder, tmp_path / "home", SLUG).sample == f"{name}.csv"


def solution_with(**columns: object) -> pd.DataFrame:
    return tables()["solution"].assign(**columns)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"solution": tables()["solution"][1:]}, "1 lack an answer"),
        ({"solution": solution_with(plot=160)}, "more than once"),
        ({"solution": solution_with(grass=["rye"] * 29 + [None])}, "empty cell"),
        ({"solution": solution_with(Usage="public")}, "Usage must be one of"),
        ({"solution": solution_with(Usage="Private")}, "Public"),
        ({"solution": solution_with(extra=1)}, "columns id, target and Usage"),
        ({"sample_submission": pd.concat([tables()["sample_submission"]] * 2)}, "more than once"),
        ({"test": answers().assign(height=1.0)}, "test.csv gives the true 'grass'"),
        ({"sample_submission": answers()}, "sample_submission.csv gives the true 'grass'"),
        ({"answers": tables()["solution"]}, "copy of solution.csv"),
    ],
)
def test_a_folder_that_cannot_be_hosted_is_refused_and_leaves_nothing(tmp_path: Path, changed: dict, says: str):
    with pytest.raises(DataError, match=says):
        create(tmp_path, **changed)
    assert not hosting.is_hosted(tmp_path / "home", SLUG)
    assert not (tmp_path / "home" / "competitions").exists()


def test_a_solution_deeper_in_the_folder_and_links_are_refused(tmp_path: Path):
    folder = write_folder(tmp_path / "folder")
    write_folder(folder / "more")
    with pytest.raises(DataError, match=r"more/solution\.csv"):
        hosting.create(folder, tmp_path / "home", SLUG)
    folder = write_folder(tmp_path / "linked")
    (folder / "notes.txt").symlink_to(folder / "solution.csv")
    with pytest.raises(DataError, match="symbolic links"):
        hosting.create(folder, tmp_path / "home", SLUG)


def test_the_same_again_is_nothing_new_and_other_content_needs_replace(tmp_path: Path):
    first = create(tmp_path)
    assert create(tmp_path) == first
    changed = tables()["train"].assign(height=0.0)
    with pytest.raises(UsageError, match=r"other content.*--replace"):
        create(tmp_path, train=changed)
    assert open_hosted(tmp_path / "home", SLUG) == first
    assert create(tmp_path, train=changed, replace=True).fingerprint != first.fingerprint


def test_hosted_files_survive_their_source(tmp_path: Path):
    made = create(tmp_path)
    for path in (tmp_path / "folder").iterdir():
        path.unlink()
    assert len(pd.read_csv(made.files_folder / "test.csv")) == N_TEST


@given(st.text(max_size=12))
def test_a_name_is_a_plain_slug_or_is_refused(name: str):
    try:
        folder = competition_folder(Path("home"), name)
    except CompetitionNotFound:
        return
    assert folder == Path("home/competitions") / name and set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")


def test_names_and_facts_that_cannot_be_are_refused(tmp_path: Path):
    folder = write_folder(tmp_path / "folder")
    for name in ("../up", "Meadow", ""):
        with pytest.raises(UsageError, match="cannot be a competition's name"):
            hosting.create(folder, tmp_path / "home", name)
    with pytest.raises(ConfigError, match="unknown"):
        hosting.create(folder, tmp_path / "home", SLUG, metric="acuracy")
    with pytest.raises(UsageError, match="daily limit"):
        hosting.create(folder, tmp_path / "home", SLUG, daily_limit=0)


def test_grades_are_those_of_the_public_and_private_rows(tmp_path: Path):
    made = create(tmp_path)
    grades = grade_file(made, write_answers(tmp_path / "s.csv", right=15))
    usage = tables()["solution"]["Usage"].to_numpy()
    right = np.arange(N_TEST) < 15
    assert grades.public == pytest.approx(right[usage == "Public"].mean())
    assert grades.private == pytest.approx(right[usage == "Private"].mean())


def test_a_submission_in_another_order_has_the_same_grade(tmp_path: Path):
    made = create(tmp_path)
    answers(20).sample(frac=1, random_state=3).to_csv(tmp_path / "shuffled.csv", index=False)
    assert grade_file(made, tmp_path / "shuffled.csv") == grade_file(made, write_answers(tmp_path / "s.csv", 20))


@pytest.mark.parametrize("content", ["", "plot,grass\n1", '"', "\x00\x01", "plot;grass\n160;rye\n"])
def test_what_is_no_submission_is_refused_with_a_reason(tmp_path: Path, content: str):
    made = create(tmp_path)
    (tmp_path / "bad.csv").write_text(content)
    with pytest.raises(SubmissionError, match="submission"):
        grade_file(made, tmp_path / "bad.csv")
    with pytest.raises(SubmissionError, match="There is no file"):
        grade_file(made, tmp_path / "none.csv")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Hosted:
    return create(tmp_path_factory.mktemp("made"))


@settings(max_examples=60)
@given(content=st.binary(max_size=60))
def test_no_bytes_break_the_grader(made: Hosted, content: bytes):
    path = made.folder / "s.csv"
    path.write_bytes(content)
    with pytest.raises(SubmissionError):
        grade_file(made, path)


def test_baselines_are_the_sample_and_constants_of_the_training_target(tmp_path: Path):
    made = create(tmp_path)
    majority = tables()["train"]["grass"].mode()[0]
    solution = tables()["solution"]
    public = solution[solution["Usage"] == "Public"]["grass"]
    scores = {b.team: b.public for b in made.baselines}
    assert scores["Majority class"] == pytest.approx((public == majority).mean())
    assert scores["Sample submission"] == pytest.approx((public == CLASSES[0]).mean())


@pytest.mark.parametrize(
    ("metric", "columns", "team"),
    [
        ("rmse", ["value"], "Mean of the training target"),
        ("mae", ["value"], "Median of the training target"),
        ("log_loss", CLASSES, "Training shares of the classes"),
        ("map@3", ["value"], "Most common classes"),
        ("qwk", ["value"], "Majority class"),
    ],
)
def test_every_form_has_a_baseline(tmp_path: Path, metric: str, columns: list[str], team: str):
    made_from = tables()
    numeric = metric in ("rmse", "mae", "qwk")
    train, solution = (made_from[name].rename(columns={"grass": "value"}) for name in ("train", "solution"))
    if numeric:
        train, solution = (t.assign(value=t["value"].map(CLASSES.index)) for t in (train, solution))
    sample = made_from["sample_submission"][["plot"]].assign(**dict.fromkeys(columns, 0))
    folder = write_folder(tmp_path / "folder", train=train, solution=solution, sample_submission=sample)
    made = hosting.create(folder, tmp_path / "home", SLUG, metric=metric)
    assert team in {b.team for b in made.baselines}


@pytest.mark.parametrize(("values", "classes"), [([True, False], ("False", "True")), ([1.0, 0.0], (0, 1))])
def test_truth_values_and_whole_floats_are_classes(tmp_path: Path, values: list, classes: tuple):
    made_from = tables()
    changed = {name: t.assign(grass=(values * 60)[: len(t)]) for name, t in made_from.items() if name != "test"}
    changed["sample_submission"]["grass"] = values[1]
    made = create(tmp_path, **changed)
    assert made.competition.classes == classes
    made_from["solution"].assign(grass=(values * 15))[["plot", "grass"]].to_csv(tmp_path / "s.csv", index=False)
    assert grade_file(made, tmp_path / "s.csv").public == 1.0


def create_from_targets(tmp_path: Path, train: list, test: list, metric: str, form: Form | None = None) -> Hosted:
    """A competition with these values as the target, and a sample of 0.5 in one column."""
    made_from = tables()
    folder = write_folder(
        tmp_path / "folder",
        train=made_from["train"].assign(grass=(train * N_TRAIN)[:N_TRAIN]),
        solution=made_from["solution"].assign(grass=(test * N_TEST)[:N_TEST]),
        sample_submission=made_from["sample_submission"].assign(grass=0.5),
    )
    return hosting.create(folder, tmp_path / "home", SLUG, metric=metric, form=form)


@pytest.mark.parametrize("labels", [[0, 1, 1], ["no", "yes", "yes"]])
def test_log_loss_of_two_classes_takes_one_column_of_probabilities(tmp_path: Path, labels: list):
    made = create_from_targets(tmp_path, labels, labels, "log_loss")
    assert (made.competition.form, made.competition.classes) == ("probability", tuple(labels[:2]))
    p = np.linspace(0.05, 0.95, N_TEST)
    tables()["solution"][["plot"]].assign(grass=p).to_csv(tmp_path / "s.csv", index=False)
    losses = -np.log(np.where(np.arange(N_TEST) % 3 == 0, 1 - p, p))
    usage = tables()["solution"]["Usage"].to_numpy()
    found = grade_file(made, tmp_path / "s.csv")
    assert found.public == pytest.approx(losses[usage == "Public"].mean())
    assert found.private == pytest.approx(losses[usage == "Private"].mean())
    assert {b.team: b.public for b in made.baselines}["Sample submission"] == pytest.approx(np.log(2))


@pytest.mark.parametrize(
    ("metric", "form", "says"),
    [
        ("log_loss", None, "needs the classes bent, fescue, rye"),
        ("roc_auc", None, "needs the classes bent, fescue, rye"),
        ("log_loss", "probability", "needs two classes, got 3: bent, fescue, rye"),
    ],
)
def test_a_sample_that_no_answer_could_fit_is_refused(tmp_path: Path, metric: str, form: Form | None, says: str):
    with pytest.raises(DataError, match=rf"sample_submission\.csv does not fit metric '{metric}'.*{says}"):
        create_from_targets(tmp_path, list(CLASSES), list(CLASSES), metric, form)
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(("train", "test"), [(["a", "b"], ["a", "b"]), ([1, 2], [1, "a"]), ([1.5, "a"], [1, 2])])
def test_a_metric_of_numbers_refuses_words_and_shows_one(tmp_path: Path, train: list, test: list):
    with pytest.raises(DataError, match=r"Metric 'rmse' needs numbers; the target 'grass' holds 'a'\."):
        create_from_targets(tmp_path, train, test, "rmse")


def test_a_missing_solution_is_named(tmp_path: Path):
    folder = write_folder(tmp_path / "folder")
    (folder / "solution.csv").unlink()
    with pytest.raises(KagglekitError, match=r"holds no solution\.csv"):
        hosting.create(folder, tmp_path / "home", SLUG)


@given(order=st.permutations(range(N_TEST)), right=st.integers(0, N_TEST))
@settings(max_examples=20, deadline=None)
def test_all_rows_are_graded_together_whatever_their_order(
    tmp_path_factory: pytest.TempPathFactory, order: list[int], right: int
):
    folder = tmp_path_factory.mktemp("graded")
    made = create(folder)
    answers(right).iloc[order].to_csv(folder / "s.csv", index=False)
    found = grade_file(made, folder / "s.csv")
    assert found == grade_file(made, write_answers(folder / "in-order.csv", right))
    assert found.all_rows == pytest.approx(right / N_TEST)
    assert found.all_rows == pytest.approx((found.public * 10 + found.private * 20) / 30)


def test_another_order_is_graded_here_and_refused_before_it_is_sent(tmp_path: Path):
    made, reversed_rows = create(tmp_path), answers()[::-1]
    assert grade(made.competition, made.sample_frame(), made.solution_frame(), reversed_rows).public == 1.0
    with pytest.raises(SubmissionError, match="reordered"):
        check_submission(reversed_rows, made.competition, made.sample_frame())
