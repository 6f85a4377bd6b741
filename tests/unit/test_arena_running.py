"""Notebooks that were pushed to an arena, run: the queue, what a run is given, code competitions, and what is cut."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from arena_calls import BLOBS, DATASETS, KERNELS, Answer, ask, call
from meadow import SLUG, answers, tables, write_answers, write_folder

from kagglekit.arena import hosting
from kagglekit.arena.kernel_store import KernelRecord, KernelStore
from kagglekit.arena.running.inputs import Inputs, run_folder
from kagglekit.arena.running.local import LocalRunner
from kagglekit.arena.running.queue import RunQueue
from kagglekit.arena.running.worker import CUT, _alive, is_working, work
from kagglekit.arena.server import Arena
from kagglekit.errors import DataError
from kagglekit.sandbox import UNSEALED, Job, Outcome, Place, find_jail

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
OWNER = "competitor"
Push = Callable[..., KernelRecord]


def sleeping(home: Path) -> None:
    """Wakes nobody: the test does the work."""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    hosting.create(write_folder(tmp_path / "folder"), tmp_path / "home", SLUG, metric="accuracy")
    return tmp_path / "home"


@pytest.fixture
def runner(home: Path) -> LocalRunner:
    return LocalRunner(home, sleeping)


@pytest.fixture
def arena(home: Path, runner: LocalRunner) -> Iterator[Arena]:
    with Arena(home, runner=runner) as running:
        yield running


@pytest.fixture
def push(home: Path, arena: Arena) -> Push:
    def push(slug: str, source: str, **more: Any) -> KernelRecord:
        fields = {"slug": f"{OWNER}/{slug}", "text": source, "language": "python", "kernelType": "script"}
        assert call(arena, "SaveKernel", KERNELS, **fields | more).status == 200
        record = KernelStore(home / "arena.db").find(slug)
        assert record is not None
        return record

    return push


def ask_about(arena: Arena, method: str, slug: str) -> Answer:
    return call(arena, method, KERNELS, userName=OWNER, kernelSlug=slug)


def writes(text: str) -> Callable[..., Outcome]:
    """Stands in for the sandbox: every run writes this as its submission, and is complete."""

    def run(job: Job, folder: Path, stop: Callable[[], bool]) -> Outcome:
        (folder / "working").mkdir(parents=True)
        (folder / "working" / "submission.csv").write_text(text)
        return Outcome("COMPLETE", "", 0.1, 0)

    return run


def test_a_pushed_script_is_run_and_its_output_is_there(home, arena, push):
    push("first", "print(open('/kaggle/input/meadow/test.csv').readline())\nopen('made.txt', 'w').write('1')")
    assert ask_about(arena, "GetKernelSessionStatus", "first").json == {"status": "QUEUED"}
    assert ask_about(arena, "ListKernelSessionOutput", "first").json["files"] == []
    work(home)
    status = ask_about(arena, "GetKernelSessionStatus", "first").json
    assert status["status"] == "ERROR", "the competition was not among its inputs"
    push("first", "print('row')\nopen('made.txt', 'w').write('1')", competitionDataSources=[SLUG])
    work(home)
    found = ask_about(arena, "ListKernelSessionOutput", "first").json
    assert [f["fileName"] for f in found["files"]] == ["made.txt"] and "row" in found["log"]
    assert ask(arena, "GET", found["files"][0]["url"]).body == b"1"


def test_a_run_is_given_what_was_asked_for(home, arena, push):
    token = call(arena, "StartBlobUpload", BLOBS, name="w.txt", contentLength=1).json
    ask(arena, "PUT", token["createUrl"], b"w")
    call(arena, "CreateDataset", DATASETS, slug="weights", title="Weights", files=[{"token": token["token"]}])
    push("maker", "open('model.txt', 'w').write('m')")
    work(home)
    taker = push(
        "taker",
        "import os\n"
        "for name in sorted(os.listdir('/kaggle/input')):\n"
        "    print(name, sorted(os.listdir('/kaggle/input/' + name)))",
        competitionDataSources=[f"competitions/{SLUG}"],
        datasetDataSources=[f"{OWNER}/weights"],
        kernelDataSources=[f"{OWNER}/maker"],
    )
    work(home)
    (run,) = RunQueue(home / "arena.db").of_kernel(taker.id)
    assert (run.status, run.message) == ("COMPLETE", "" if find_jail() else UNSEALED)
    log = ask_about(arena, "ListKernelSessionOutput", "taker").json["log"]
    assert "maker ['model.txt']" in log and "weights ['w.txt']" in log
    assert "meadow ['sample_submission.csv', 'test.csv', 'train.csv']" in log
    assert not run_folder(home, run.id).with_name(f"{run.id}.inputs").exists()


def test_a_notebook_goes_on_from_its_own_last_complete_run(home, push, runner):
    queue, inputs = RunQueue(home / "arena.db"), Inputs(home, OWNER)
    for number, status in enumerate(("COMPLETE", "ERROR", "QUEUED"), start=1):
        record = push("long", "", **{"kernelDataSources": [f"{OWNER}/long"]} if number > 1 else {})
        (run,) = queue.of_kernel(record.id)
        working = Place(run_folder(home, run.id)).working
        working.mkdir(parents=True)
        (working / "fold.txt").write_text(str(number))
        queue.finish(run.id, status)
    (run,) = queue.of_kernel(record.id)
    (folder,) = inputs.of(run, record, home / "for-it").values()
    assert (folder / "fold.txt").read_text() == "1"


def test_the_limits_and_the_kind_are_those_that_were_pushed(home, push):
    jobs: list[Job] = []

    def note(job: Job, folder: Path, stop: Callable[[], bool]) -> Outcome:
        jobs.append(job)
        return Outcome("COMPLETE", "", 0.1, 0)

    push("short", "1", kernelType="notebook", sessionTimeoutSeconds=60)
    push("long", "2", sessionTimeoutSeconds=10**6)
    work(home, note)
    assert [(j.source, j.kind, j.limits.seconds, j.rerun) for j in jobs] == [
        ("1", "notebook", 60.0, False),
        ("2", "script", 12 * 3600.0, False),
    ]


def test_a_run_is_cancelled_before_and_while_it_runs(home, arena, push, runner):
    queued = push("queued", "")
    assert call(arena, "CancelKernelSession", KERNELS, kernelSessionId=queued.id).status == 200
    running = push("running", "")

    def until_stopped(job: Job, folder: Path, stop: Callable[[], bool]) -> Outcome:
        assert not stop()
        runner.cancel(running)
        return Outcome("CANCEL_ACKNOWLEDGED" if stop() else "ERROR", "", 0.1, 0)

    work(home, until_stopped)
    assert runner.session(queued).status == runner.session(running).status == "CANCEL_ACKNOWLEDGED"
    runner.cancel(running)
    assert call(arena, "CancelKernelSession", KERNELS, kernelSessionId=99).status == 404


def test_a_deleted_notebook_ends_its_run_and_leaves_nothing(home, arena, push):
    push("gone", "")
    (run,) = RunQueue(home / "arena.db").moving()

    def deleted_meanwhile(job: Job, folder: Path, stop: Callable[[], bool]) -> Outcome:
        ask_about(arena, "DeleteKernel", "gone")
        folder.mkdir(parents=True)
        return Outcome("CANCEL_ACKNOWLEDGED" if stop() else "ERROR", "", 0.1, 0)

    work(home, deleted_meanwhile)
    assert RunQueue(home / "arena.db").get(run.id) is None and not run_folder(home, run.id).exists()


def test_what_cannot_be_run_is_an_error_that_says_why(home, push, runner):
    record = push("broken", "")

    def fail(job: Job, folder: Path, stop: Callable[[], bool]) -> Outcome:
        raise DataError("Something is missing.")

    work(home, fail)
    assert runner.session(record).message == "The arena could not run it: Something is missing."


def test_a_run_whose_worker_died_is_told_as_cut(home, push, runner):
    record = push("cut", "")
    queue = RunQueue(home / "arena.db")
    claimed = queue.claim()
    assert claimed is not None
    (home / "kernels").mkdir()
    with _alive(home):
        assert is_working(home) and runner.session(record).status == "RUNNING"
    assert (runner.session(record).status, runner.session(record).message) == ("ERROR", CUT)
    woken: list[Path] = []
    LocalRunner(home, woken.append)
    assert woken == [home]
    work(home, writes(""))
    assert queue.of_kernel(record.id)[0].message == CUT
    LocalRunner(home, woken.append)
    assert woken == [home], "nothing is left to be done"


def test_a_worker_of_its_own_does_what_is_pushed(home):
    with Arena(home, runner=LocalRunner(home)) as arena:
        fields = {"slug": f"{OWNER}/alone", "text": "print('by itself')", "kernelType": "script"}
        call(arena, "SaveKernel", KERNELS, **fields)
    with Arena(home, runner=LocalRunner(home)) as arena:  # the run outlives the arena that took it
        until = time.monotonic() + 60
        while (status := ask_about(arena, "GetKernelSessionStatus", "alone").json["status"]) in ("QUEUED", "RUNNING"):
            assert time.monotonic() < until
            time.sleep(0.1)
        assert status == "COMPLETE", (home / "kernels" / "worker.log").read_text()
        assert "by itself" in ask_about(arena, "ListKernelSessionOutput", "alone").json["log"]
    assert (home / "kernels" / "worker.log").read_text() == ""


# Code competitions


def shown_folder(folder: Path, rows: int = 6) -> Path:
    """What a competitor downloads: few of the test rows."""
    write_folder(folder, **{name: tables()[name][:rows] for name in ("test", "sample_submission")})
    (folder / "solution.csv").unlink()
    return folder


@pytest.fixture
def code_home(tmp_path: Path) -> Path:
    shown = shown_folder(tmp_path / "shown")
    made = hosting.create(
        write_folder(tmp_path / "folder"), tmp_path / "home", SLUG, metric="accuracy", daily_limit=2, shown=shown
    )
    assert "A code competition: 6 test rows are shown, 30 are hidden." in made.notes and made.is_code
    return tmp_path / "home"


COPY = """
import os, pandas as pd
sample = pd.read_csv('/kaggle/input/meadow/sample_submission.csv')
print(len(sample), os.environ.get('KAGGLE_IS_COMPETITION_RERUN'))
sample.assign(grass='fescue').to_csv('submission.csv', index=False)
"""


def test_a_code_competition_scores_what_the_notebook_makes_of_the_hidden_rows(code_home):
    runner = LocalRunner(code_home, sleeping)
    with Arena(code_home, runner=runner) as arena:
        listed = call(arena, "ListDataFiles", competitionName=SLUG).json["files"]
        assert {f["name"]: f["totalBytes"] for f in listed}["test.csv"] < 400
        refused = submit_file(arena, code_home)
        assert refused.status == 400 and "only accepts submissions from notebooks" in refused.json["message"]
        fields = {"slug": f"{OWNER}/coder", "text": COPY, "kernelType": "script", "competitionDataSources": [SLUG]}
        call(arena, "SaveKernel", KERNELS, **fields)
        work(code_home)
        assert '"6 None\\n"' in ask_about(arena, "ListKernelSessionOutput", "coder").json["log"]
        named = {"competitionName": SLUG, "kernelOwner": OWNER, "kernelSlug": "coder", "fileName": "submission.csv"}
        ref = call(arena, "CreateCodeSubmission", **named).json["ref"]
        assert call(arena, "GetSubmission", ref=ref).json["status"] == "PENDING"
    with Arena(code_home, runner=runner) as arena:  # it waits for its file, and is not graded without one
        assert call(arena, "GetSubmission", ref=ref).json["status"] == "PENDING"
        work(code_home)
        found = call(arena, "GetSubmission", ref=ref).json
        truth = tables()["solution"]
        public = truth[truth["Usage"] == "Public"]
        assert found["publicScore"] == f"{(public['grass'] == 'fescue').mean():.5f}"
        log = Place(run_folder(code_home, 2)).log.read_text()
        assert "30 1" in log
        # What the notebook wrote, and the log, on the hidden rows are nobody's to see.
        assert '"6 None\\n"' in ask_about(arena, "ListKernelSessionOutput", "coder").json["log"]


def submit_file(arena: Arena, folder: Path) -> Answer:
    path = write_answers(folder / "s.csv")
    return call(
        arena, "StartSubmissionUpload", competitionName=SLUG, fileName=path.name, contentLength=path.stat().st_size
    )


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (Outcome("ERROR", "It failed: ValueError: row 7 is odd", 1.0, 0), "Notebook Threw Exception"),
        (Outcome("ERROR", "It exceeded the time limit of 9 h.", 1.0, 0), "Notebook Timeout"),
        (Outcome("ERROR", "It exceeded 30 GiB of memory.", 1.0, 0), "Notebook Exceeded Allowed Compute"),
        (Outcome("COMPLETE", "", 1.0, 0), "Submission CSV Not Found"),
    ],
)
def test_a_rerun_that_fails_is_told_in_kaggles_words(code_home, outcome, words):
    runner = LocalRunner(code_home, sleeping)
    with Arena(code_home, runner=runner) as arena:
        call(arena, "SaveKernel", KERNELS, slug=f"{OWNER}/coder", text="", kernelType="script")
        work(code_home, writes(answers().to_csv(index=False)))
        named = {"competitionName": SLUG, "kernelOwner": OWNER, "kernelSlug": "coder", "fileName": "submission.csv"}
        ref = call(arena, "CreateCodeSubmission", **named).json["ref"]
        work(code_home, lambda job, folder, stop: outcome)
        found = call(arena, "GetSubmission", ref=ref).json
        assert (found["status"], found["errorDescription"]) == ("ERROR", words)


def test_a_rerun_that_was_cut_does_not_wait_for_ever(code_home):
    runner = LocalRunner(code_home, sleeping)
    with Arena(code_home, runner=runner) as arena:
        call(arena, "SaveKernel", KERNELS, slug=f"{OWNER}/coder", text="", kernelType="script")
        work(code_home, writes("x"))
        named = {"competitionName": SLUG, "kernelOwner": OWNER, "kernelSlug": "coder", "fileName": "submission.csv"}
        ref = call(arena, "CreateCodeSubmission", **named).json["ref"]
        RunQueue(code_home / "arena.db").claim()
        work(code_home)
        assert call(arena, "GetSubmission", ref=ref).json["errorDescription"] == CUT


def test_internet_is_off_in_a_code_competition(code_home):
    with Arena(code_home, runner=LocalRunner(code_home, sleeping)) as arena:
        fields = {"slug": f"{OWNER}/coder", "text": "", "kernelType": "script", "enableInternet": True}
        call(arena, "SaveKernel", KERNELS, **fields)
        work(code_home, writes("x"))
        named = {"competitionName": SLUG, "kernelOwner": OWNER, "kernelSlug": "coder", "fileName": "submission.csv"}
        refused = call(arena, "CreateCodeSubmission", **named)
        assert refused.status == 400 and "internet must be off" in refused.json["message"]


def test_a_code_competition_keeps_its_answers(tmp_path):
    whole, home = write_folder(tmp_path / "whole"), tmp_path / "home"
    with pytest.raises(DataError, match="holds a solution"):
        hosting.create(whole, home, SLUG, shown=write_folder(tmp_path / "a"))
    told = shown_folder(tmp_path / "b")
    tables()["solution"].drop(columns="Usage").to_csv(told / "notes.csv", index=False)
    with pytest.raises(DataError, match=r"notes\.csv gives the true 'grass'"):
        hosting.create(whole, home, SLUG, shown=told)
    lacking = shown_folder(tmp_path / "c")
    (lacking / "sample_submission.csv").unlink()
    with pytest.raises(DataError, match="needs sample_submission"):
        hosting.create(whole, home, SLUG, shown=lacking)
    pd.DataFrame({"plot": [160], "other": [1]}).to_csv(lacking / "sample_submission.csv", index=False)
    with pytest.raises(DataError, match="same columns in both"):
        hosting.create(whole, home, SLUG, shown=lacking)
