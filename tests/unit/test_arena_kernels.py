import io
import json
import threading
import time
import zipfile
from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from arena_calls import KERNELS, Answer, ask, call, location, scored
from meadow import SLUG, write_answers, write_folder

from kagglekit.arena import hosting
from kagglekit.arena.kernel_store import KernelRecord, KernelStore
from kagglekit.arena.runner import LogLine, Session, Storage, follow, output_files
from kagglekit.arena.server import Arena

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@dataclass
class FakeRunner:
    """Runs nothing: its sessions are where a test puts them."""

    folder: Path
    now: Session = field(default_factory=lambda: Session("RUNNING", is_moving=True))
    lines: list[LogLine] = field(default_factory=list)
    started: list[int] = field(default_factory=list)
    discarded: list[int] = field(default_factory=list)

    def start(self, kernel: KernelRecord) -> None:
        self.started.append(kernel.version)

    def session(self, kernel: KernelRecord) -> Session:
        return self.now

    def log(self, kernel: KernelRecord) -> Sequence[LogLine]:
        return list(self.lines)

    def output(self, kernel: KernelRecord) -> Path | None:
        return self.folder

    def discard(self, kernel: KernelRecord) -> None:
        self.discarded.append(kernel.version)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    hosting.create(write_folder(tmp_path / "folder"), tmp_path / "home", SLUG, metric="accuracy", daily_limit=1)
    return tmp_path / "home"


@pytest.fixture
def runner(tmp_path: Path) -> FakeRunner:
    (tmp_path / "output" / "deep").mkdir(parents=True)
    write_answers(tmp_path / "output" / "submission.csv", 15)
    (tmp_path / "output" / "deep" / "a.txt").write_text("deep")
    (tmp_path / "output" / "link.txt").symlink_to("/etc/hostname")
    return FakeRunner(tmp_path / "output")


@pytest.fixture
def arena(home: Path, runner: FakeRunner) -> Iterator[Arena]:
    with Arena(home, runner=runner) as running:
        yield running


def push(arena: Arena, slug: str = "forest", **more: Any) -> dict[str, Any]:
    fields = {"slug": f"{arena.username}/{slug}", "text": "print(1)", "language": "python", "kernelType": "script"}
    return call(arena, "SaveKernel", KERNELS, **fields | more).json


def ask_about(arena: Arena, method: str, slug: str = "forest", **more: Any) -> Answer:
    return call(arena, method, KERNELS, userName=arena.username, kernelSlug=slug, **more)


def stream(arena: Arena, slug: str = "forest") -> Answer:
    headers = {"Authorization": f"Bearer {arena.token}", "Accept": "text/event-stream, */*"}
    return ask(arena, "GET", f"/api/v1/kernels/logs/stream/{arena.username}/{slug}", headers=headers)


def events(answer: Answer) -> list[Any]:
    *lines, last = [line.removeprefix("data: ") for line in answer.body.decode().split("\n\n") if line]
    assert last == "END_OF_LOG"
    return [json.loads(line) for line in lines]


def test_each_push_is_a_version_and_is_handed_to_the_runner(arena: Arena, runner: FakeRunner):
    first, second = push(arena, newTitle="A forest"), push(arena, text="print(2)")
    assert (first["versionNumber"], second["versionNumber"]) == (1, 2) and first["kernelId"] == second["kernelId"]
    assert first["url"] == f"{arena.url}/code/{arena.username}/forest" and runner.started == [1, 2]
    assert ask_about(arena, "GetKernel").json["blob"]["source"] == "print(2)"
    for fields in ({"slug": "forest/1"}, {"slug": "forest", "versionLabel": "1"}):
        found = ask_about(arena, "GetKernel", **fields).json
        assert (found["blob"]["source"], found["metadata"]["title"]) == ("print(1)", "A forest")
    assert ask_about(arena, "GetKernel", "forest/3").status == 404
    assert ask_about(arena, "GetKernel", "forest/x").status == 404


def test_sources_that_the_arena_has_not_are_named_and_left_out(arena: Arena):
    push(arena, "parent")
    sources = {
        "competitionDataSources": [f"competitions/{SLUG}", "none"],
        "kernelDataSources": [f"{arena.username}/parent", "somebody/parent"],
        "datasetDataSources": [f"{arena.username}/none"],
        "modelDataSources": ["a/b/c/d/1"],
    }
    made = push(arena, **sources)
    assert made["invalidCompetitionSources"] == ["none"] and made["invalidKernelSources"] == ["somebody/parent"]
    assert made["invalidDatasetSources"] and made["invalidModelSources"]
    kept = ask_about(arena, "GetKernel").json["metadata"]
    assert kept["competitionDataSources"] == [f"competitions/{SLUG}"] and kept["datasetDataSources"] == []


def test_lists_hold_the_public_and_ones_own_holds_all(arena: Arena):
    push(arena, "open-one", isPrivate=False, competitionDataSources=[SLUG])
    push(arena, "shut-one", kernelType="notebook")

    def listed(**fields: Any) -> list[str]:
        return [k["slug"] for k in call(arena, "ListKernels", KERNELS, **fields).json["kernels"]]

    assert listed() == ["open-one"] and listed(group="PROFILE") == ["shut-one", "open-one"]
    assert listed(group="PROFILE", kernelType="notebook", language="all") == ["shut-one"]
    assert listed(user=arena.username, competition=SLUG) == ["open-one"]
    assert listed(user="somebody") == [] and listed(group="PROFILE", search="shut") == ["shut-one"]


def test_output_is_listed_and_downloaded_and_a_link_is_none(arena: Arena, runner: FakeRunner):
    push(arena)
    files = ask_about(arena, "ListKernelSessionOutput").json["files"]
    assert [f["fileName"] for f in files] == ["deep/a.txt", "submission.csv"]
    assert ask(arena, "GET", files[0]["url"]).body == b"deep"
    sizes = {f["name"]: f["size"] for f in ask_about(arena, "ListKernelFiles").json["files"]}
    assert sizes == {n: (runner.folder / n).stat().st_size for n in ("deep/a.txt", "submission.csv")}
    owner = {"service": KERNELS, "ownerSlug": arena.username, "kernelSlug": "forest"}
    one = ask(arena, "GET", location(arena, "DownloadKernelOutput", **owner, filePath="deep/a.txt"))
    assert one.body == b"deep"
    whole = ask(arena, "GET", location(arena, "DownloadKernelOutput", **owner, versionNumber=1))
    with zipfile.ZipFile(io.BytesIO(whole.body)) as archive:
        assert archive.namelist() == ["deep/a.txt", "submission.csv"]
    (runner.folder / "deep" / "a.txt").write_text("changed")
    again = ask(arena, "GET", location(arena, "DownloadKernelOutputZip", service=KERNELS, kernelSessionId=1))
    with zipfile.ZipFile(io.BytesIO(again.body)) as archive:
        assert archive.read("deep/a.txt") == b"changed"


@pytest.mark.parametrize("name", ["link.txt", "../home/arena.db", "/etc/hostname", "deep", "deep/../submission.csv"])
def test_no_name_leaves_the_output(arena: Arena, name: str):
    push(arena)
    found = call(arena, "DownloadKernelOutput", KERNELS, ownerSlug=arena.username, kernelSlug="forest", filePath=name)
    assert found.status == 404


def test_the_log_is_streamed_while_it_grows_and_ends(arena: Arena, runner: FakeRunner):
    push(arena)
    runner.lines.append(LogLine("stdout", 0.5, "first\n"))

    def go_on() -> None:
        time.sleep(0.3)
        runner.lines.append(LogLine("stderr", 1.0, "second\n"))
        runner.now = Session("COMPLETE")

    thread = threading.Thread(target=go_on)
    thread.start()
    answer = stream(arena)
    thread.join()
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    assert [e["data"] for e in events(answer)] == ["first\n", "second\n"]
    assert events(answer)[1] == {"stream_name": "stderr", "time": 1.0, "data": "second\n"}
    posted = ask_about(arena, "GetKernelSessionLogsStream")
    assert events(posted) == events(answer)
    assert json.loads(ask_about(arena, "ListKernelSessionOutput").json["log"]) == events(answer)


def test_a_stream_needs_the_token_and_a_notebook(arena: Arena):
    assert ask(arena, "GET", f"/v1/kernels/logs/stream/{arena.username}/forest").status == 401
    assert stream(arena, "none").status == 404


def test_a_notebooks_output_is_submitted_once_it_is_complete(arena: Arena, runner: FakeRunner):
    push(arena)
    fields = {"competitionName": SLUG, "kernelOwner": arena.username, "kernelSlug": "forest", "kernelVersion": 1}

    def send(**more: Any) -> Answer:
        return call(arena, "CreateCodeSubmission", **fields | more)

    assert send().status == 400 and "not complete" in send().json["message"]
    runner.now = Session("COMPLETE")
    assert send(fileName="none.csv").status == 400 and send(kernelSlug="none").status == 404
    assert send(kernelOwner="somebody").status == 404
    made = send(fileName="submission.csv", submissionDescription="from a notebook").json
    found = scored(arena, made["ref"])
    assert (found["publicScore"], found["description"]) == ("0.50000", "from a notebook")
    assert "allowance (1 of 1)" in send(fileName="submission.csv").json["message"]


def test_a_failed_run_says_why(arena: Arena, runner: FakeRunner):
    push(arena)
    runner.now = Session("ERROR", "Out of memory.")
    assert ask_about(arena, "GetKernelSessionStatus").json == {"status": "ERROR", "failureMessage": "Out of memory."}
    assert [e["data"] for e in events(stream(arena))] == ["Out of memory.\n"]


def test_a_deleted_notebook_is_gone_with_its_runs(arena: Arena, runner: FakeRunner):
    push(arena), push(arena)
    assert ask_about(arena, "DeleteKernel").status == 200 and runner.discarded == [1, 2]
    assert ask_about(arena, "GetKernel").status == 404 and ask_about(arena, "DeleteKernel").status == 404


def test_an_arena_without_a_runner_keeps_notebooks_and_says_that_it_does_not_run_them(home: Path):
    with Arena(home) as arena:
        push(arena)
        status = ask_about(arena, "GetKernelSessionStatus").json
        assert status == {"status": "QUEUED", "failureMessage": Storage.message}
        assert [e["data"] for e in events(stream(arena))] == [f"{Storage.message}\n"]
        assert ask_about(arena, "ListKernelSessionOutput").json == {"files": [], "log": "", "nextPageToken": ""}
        assert ask_about(arena, "ListKernelFiles").json["files"] == []
        owner = {"ownerSlug": arena.username, "kernelSlug": "forest"}
        assert call(arena, "DownloadKernelOutput", KERNELS, **owner).status == 404


@pytest.mark.parametrize(
    ("day", "refresh"), [(6, "2026-03-07"), (7, "2026-03-14"), (8, "2026-03-14")], ids=["Friday", "Saturday", "Sunday"]
)
def test_the_quota_is_nothing_and_begins_anew_on_saturdays(home: Path, day: int, refresh: str):
    with Arena(home, now=lambda: datetime(2026, 3, day, 12, tzinfo=UTC)) as arena:
        found = call(arena, "GetAcceleratorQuotaStatistics", KERNELS).json
    assert found["quotaRefreshTime"] == f"{refresh}T00:00:00.000Z"
    assert found["gpuQuota"]["totalTimeAllowed"] == "0s" and found["tpuQuota"]["timeUsed"] == "0s"


@pytest.mark.parametrize("slug", ["somebody/forest", "forest", "competitor/../x", "competitor/A b", "competitor/"])
def test_a_notebook_needs_a_name_of_its_owners(arena: Arena, slug: str):
    assert call(arena, "SaveKernel", KERNELS, slug=slug, text="").status == 403


def test_following_a_run_that_cannot_move_ends_at_once(tmp_path: Path):
    record = KernelStore(tmp_path / "arena.db").save("forest", "", "{}", NOON)
    assert list(follow(Storage(), record)) == []
    assert output_files(None) == [] and output_files(tmp_path / "none") == []


def test_basic_credentials_open_the_stream_too(arena: Arena, runner: FakeRunner):
    push(arena)
    runner.now = Session("COMPLETE")
    basic = b64encode(f"{arena.username}:{arena.token}".encode()).decode()
    path = f"/v1/kernels/logs/stream/{arena.username}/forest"
    assert ask(arena, "GET", path, headers={"Authorization": f"Basic {basic}"}).status == 200
