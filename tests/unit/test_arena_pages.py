"""What people read, and that nobody reads it whom it is not for."""

import asyncio
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from arena_calls import COMPETITIONS, DATASETS, KERNELS, ask, call, scored, submit, upload
from meadow import SLUG, write_answers, write_folder

from kagglekit.arena import hosting
from kagglekit.arena.application import application
from kagglekit.arena.database import Database
from kagglekit.arena.dataset_store import DatasetStore
from kagglekit.arena.desk import Desk
from kagglekit.arena.identity import identity_of
from kagglekit.arena.kernel_store import KernelStore
from kagglekit.arena.pages import split_message
from kagglekit.arena.runner import Storage
from kagglekit.arena.server import Arena
from kagglekit.arena.signing import Signer

DEADLINE = datetime(2026, 3, 2, tzinfo=UTC)
NASTY = "<script>alert('x')</script> & \"rye\""


@pytest.fixture
def moment() -> list[datetime]:
    return [DEADLINE - timedelta(hours=3)]


@pytest.fixture
def arena(tmp_path: Path, moment: list[datetime]) -> Iterator[Arena]:
    folder = write_folder(tmp_path / "folder")
    hosting.create(
        folder, tmp_path / "home", SLUG, metric="accuracy", title=NASTY, description=NASTY, deadline=DEADLINE
    )
    with Arena(tmp_path / "home", now=lambda: moment[0]) as running:
        yield running


def page(arena: Arena, path: str = "") -> str:
    answer = ask(arena, "GET", f"/competitions/{SLUG}{path}")
    assert answer.status == 200
    return answer.body.decode()


def send(arena: Arena, path: Path, right: int, message: str) -> None:
    size = write_answers(path, right).stat().st_size
    fields = {"competitionName": SLUG}
    made = call(arena, "StartSubmissionUpload", **fields, fileName=path.name, contentLength=size).json
    assert ask(arena, "PUT", made["createUrl"], path.read_bytes()).status == 200
    sent = call(arena, "CreateSubmission", **fields, blobFileTokens=made["token"], submissionDescription=message)
    scored(arena, sent.json["ref"])


def cells(html: str, label: str) -> list[str]:
    return re.findall(rf'data-label="{label}">([^<]*)<', html)


@pytest.mark.parametrize(
    ("message", "cv"),
    [
        ("lite0-squish-deadbeef CV 0.81600: does squishing help?", "0.81600"),
        ("blend-3318aefc CV -1.50000: a mix [0a1b2c3d]", "-1.50000"),
        ("CV 0.9", None),
        ("my CV 0.81600: is good", None),
        ("forest-xyz CV 0.81600: why", None),
        ("forest-deadbeef CV 0.816: why", None),
        ("see forest-deadbeef CV 0.81600: why", None),
        ("", None),
    ],
)
def test_a_cv_is_read_from_kagglekits_own_message_and_from_no_other(message: str, cv: str | None):
    found, words = split_message(message)
    assert found == cv and (words == message) is (cv is None) and (cv is None or words[-1] in "x?")


def test_submissions_show_cv_beside_the_score_and_private_scores_only_in_the_end(
    arena: Arena, moment: list[datetime], tmp_path: Path
):
    send(arena, tmp_path / "a.csv", 15, "forest-deadbeef CV 0.48000: do trees help?")
    send(arena, tmp_path / "b.csv", 24, "by hand")
    shown = page(arena, "/submissions")
    assert cells(shown, "CV") == ["–", "0.48000"] and cells(shown, "Public") == ["0.80000", "0.50000"]
    assert "do trees help?" in shown and "CV 0.48000:" not in shown and cells(shown, "Private") == []
    assert "3 of 5" in shown and "3 h 00 min" in shown
    moment[0] = DEADLINE
    shown = page(arena, "/submissions")
    assert cells(shown, "Private") == ["0.80000", "0.50000"] and "counts" in shown


def test_the_private_leaderboard_stands_above_the_public_one_after_the_deadline(
    arena: Arena, moment: list[datetime], tmp_path: Path
):
    assert "Private" not in page(arena, "/leaderboard")
    send(arena, tmp_path / "a.csv", 15, "")
    moment[0] = DEADLINE
    shown = page(arena, "/leaderboard")
    assert shown.index("Private leaderboard") < shown.index("Public leaderboard")
    call_for = {"competitionName": SLUG}
    private = call(arena, "GetLeaderboard", **call_for).json["submissions"]
    public = call(arena, "GetLeaderboard", **call_for, overridePublic=True).json["submissions"]
    assert {s["teamName"]: s["score"] for s in private} != {s["teamName"]: s["score"] for s in public}
    for line in private:
        assert line["score"] in shown
    assert shown.count("You: place") == 2


def test_places_won_and_lost_are_told(arena: Arena, moment: list[datetime], tmp_path: Path):
    # Half of each part is right: below the majority's 0.6 on the public rows, above its 0.4 on the private ones.
    send(arena, tmp_path / "a.csv", 15, "")
    moment[0] = DEADLINE
    private, public = page(arena, "/leaderboard").split("Public leaderboard")
    assert private.index("competitor") < private.index("Majority class") < private.index("Sample submission")
    assert public.index("Majority class") < public.index("competitor") < public.index("Sample submission")
    found = re.findall(r'class="rank (?:up|down|)">(.*?)</td>\s*<td class="name">(\w+)', private)
    moves = {team: move for move, team in found}
    assert moves["competitor"].startswith("▲") and moves["Majority"].startswith("▼")


def test_pages_escape_everything_and_load_nothing(arena: Arena, tmp_path: Path):
    send(arena, tmp_path / "s.csv", 15, NASTY)
    token = {"token": upload(arena, "a.txt", b"a")}
    fields = {"title": NASTY, "subtitle": NASTY, "description": NASTY, "licenseName": NASTY}
    call(arena, "CreateDataset", DATASETS, slug="nasty", files=[token], **fields)
    call(arena, "SaveKernel", KERNELS, slug=f"{arena.username}/nasty", newTitle=NASTY, text=NASTY, machineShape=NASTY)
    owner = arena.username
    rooms = ["/", "/datasets", f"/datasets/{owner}/nasty", "/code", f"/code/{owner}/nasty"]
    for path in (*rooms, *(f"/competitions/{SLUG}{tab}" for tab in ("", "/leaderboard", "/submissions"))):
        answer = ask(arena, "GET", path)
        html = answer.body.decode()
        assert answer.status == 200 and "<script" not in html and "viewport" in html, path
        assert not re.search(r'(?:src|href)="(?!/)', html) and "url(" not in html and "@import" not in html
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert "script-src" not in answer.headers["Content-Security-Policy"]


def test_a_notebooks_source_is_on_no_page(arena: Arena):
    call(
        arena, "SaveKernel", KERNELS, slug=f"{arena.username}/secret", text="canary = 1", competitionDataSources=[SLUG]
    )
    shown = ask(arena, "GET", f"/code/{arena.username}/secret").body.decode()
    assert "canary" not in shown and SLUG in shown and Storage.message in shown


@pytest.mark.parametrize("path", ["/competitions/none", "/competitions/none/leaderboard", "/datasets/competitor/none"])
def test_a_page_of_nothing_is_404_and_leads_back(arena: Arena, path: str):
    answer = ask(arena, "GET", path)
    assert answer.status == 404 and b'href="/"' in answer.body
    assert ask(arena, "GET", path.replace("competitor", "somebody")).status == 404


def test_rooms_that_are_empty_say_how_to_fill_them(tmp_path: Path):
    with Arena(tmp_path) as arena:
        for path, word in (("/", "arena draw"), ("/datasets", "datasets create"), ("/code", "kernel push")):
            assert word in ask(arena, "GET", path).body.decode()


def get(desk: Desk, path: str, *headers: tuple[bytes, bytes], open_pages: bool) -> tuple[int, dict[bytes, bytes]]:
    """Ask an application without a socket: one that other computers can reach cannot be tested over loopback."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(dict(message))

    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(b"host", b"192.0.2.1"), *headers],
    }
    asyncio.run(application(desk, open_pages=open_pages)(scope, receive, send))
    return sent[0]["status"], dict(sent[0]["headers"])


def test_pages_that_other_computers_can_reach_need_the_token(tmp_path: Path):
    identity, path = identity_of(tmp_path), tmp_path / "arena.db"
    desk = Desk(
        home=tmp_path,
        url="http://192.0.2.1:80",
        identity=identity,
        database=Database(path),
        datasets=DatasetStore(path, tmp_path / "content"),
        kernels=KernelStore(path),
        runner=Storage(),
        signer=Signer(identity.key),
        now=lambda: DEADLINE,
        grade=lambda ref: None,
    )
    token = (b"authorization", f"Bearer {identity.token}".encode())
    for path in ("/", "/datasets", "/code"):
        status, headers = get(desk, path, open_pages=False)
        assert status == 401 and b"Basic" in headers[b"www-authenticate"]
        assert get(desk, path, (b"authorization", b"Bearer wrong"), open_pages=False)[0] == 401
        assert get(desk, path, token, open_pages=False)[0] == 200
        assert get(desk, path, open_pages=True)[0] == 200


def test_calls_to_a_competition_that_is_over_still_count(arena: Arena, moment: list[datetime], tmp_path: Path):
    moment[0] = DEADLINE + timedelta(days=1)
    assert submit(arena, write_answers(tmp_path / "late.csv")).status == 200
    found = call(arena, "ListSubmissions", COMPETITIONS, competitionName=SLUG).json["submissions"]
    assert len(found) == 1
