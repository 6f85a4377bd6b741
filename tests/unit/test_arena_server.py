import hashlib
import io
import json
import socket
import threading
import zipfile
from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from arena_calls import COMPETITIONS, Answer, ask, call, location, scored, submit
from meadow import N_TEST, SLUG, tables, write_answers, write_folder

from kagglekit.arena import hosting
from kagglekit.arena.database import Database
from kagglekit.arena.grading import Grading
from kagglekit.arena.kernel_store import KernelStore
from kagglekit.arena.protocol import CALLS
from kagglekit.arena.server import Arena, is_loopback
from kagglekit.arena.uploads import upload_path
from kagglekit.errors import DiskError, UsageError

CLIMBING = [
    "solution.csv",
    "../solution.csv",
    "..%2fsolution.csv",
    "%2e%2e/solution.csv",
    "files/../../solution.csv",
    "....//solution.csv",
    "/etc/passwd",
    "..\\solution.csv",
    "solution.csv\x00.csv",
    "../../../identity.json",
    "../../arena.db",
]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("arena")
    hosting.create(write_folder(folder / "folder"), folder / "home", SLUG, metric="accuracy", daily_limit=100)
    return folder / "home"


@pytest.fixture(scope="module")
def arena(home: Path) -> Iterator[Arena]:
    with Arena(home) as running:
        yield running


def test_listens_on_loopback_only_and_says_so_in_its_address(arena: Arena):
    assert arena.url.startswith("http://127.0.0.1:")
    own = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)} - {"127.0.0.1"}
    port = int(arena.url.rsplit(":", 1)[1])
    for address in own:
        with socket.socket() as probe:
            # connect_ex asks the system without the test suite's guard, and reaches this computer only.
            assert probe.connect_ex((address, port)) != 0


def test_without_the_token_no_call_is_answered(arena: Arena):
    for service, method in CALLS:
        if method == "IntrospectToken":
            continue
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic d3Jvbmc="}):
            answer = ask(arena, "POST", f"/api/v1/{service}/{method}", b'{"competitionName": "meadow"}', headers)
            assert answer.status == 401 and "error" in answer.json


def test_a_token_is_introspected_and_basic_works(arena: Arena):
    for token, active in ((arena.token, True), ("wrong", False)):
        body = json.dumps({"token": token}).encode()
        found = ask(arena, "POST", "/v1/security.OAuthService/IntrospectToken", body).json
        assert (found["active"], found.get("username")) == (active, arena.username if active else None)
    basic = b64encode(f"{arena.username}:{arena.token}".encode()).decode()
    headers = {"Authorization": f"Basic {basic}"}
    assert ask(arena, "POST", f"/v1/{COMPETITIONS}/ListCompetitions", b"{}", headers).status == 200


@pytest.mark.parametrize("body", [b"[]", b"{", b"\xff", b'{"competitionName": 3}', b"[" * 100_000])
def test_a_malformed_request_is_400(arena: Arena, body: bytes):
    headers = {"Authorization": f"Bearer {arena.token}"}
    answer = ask(arena, "POST", f"/v1/{COMPETITIONS}/GetCompetition", body, headers)
    assert answer.status == 400 and answer.json["code"] == 400


@pytest.mark.parametrize(
    "value", [True, -1, 1 << 63, 1e300, "\x00", "\ud800", [], [1], [{}], {}, {"files": [{"token": "x"}]}, None]
)
def test_no_value_of_any_field_makes_a_call_fail(arena: Arena, value: object):
    names = "competitionName fileName contentLength ref submissionId pageSize pageToken page slug title ownerSlug body"
    names += (
        " datasetSlug files directories settings id userName kernelSlug versionLabel kernelOwner kernelVersion text"
    )
    names += " kernelSessionId datasetVersionNumber name type group search categoryIds competitionDataSources isPrivate"
    for service, method in CALLS:
        for given in ({}, {"competitionName": SLUG}):
            answer = call(arena, method, service, **dict.fromkeys(names.split(), value) | given)
            assert answer.status in (200, 302, 400, 403, 404, 501), (method, answer.body)


def test_calls_that_the_arena_does_not_know_say_so(arena: Arena):
    answer = call(arena, "ListModels", "models.ModelApiService")
    assert answer.status == 501 and "does not answer models.ModelApiService/ListModels" in answer.json["message"]
    assert ask(arena, "GET", "/v1/nothing").json["error"]["code"] == 404


def test_lists_come_in_pages(arena: Arena):
    first = call(arena, "ListDataFiles", competitionName=SLUG, pageSize=2).json
    second = call(arena, "ListDataFiles", competitionName=SLUG, pageSize=2, pageToken=first["nextPageToken"]).json
    names = [f["name"] for f in first["files"] + second["files"]]
    assert names == ["sample_submission.csv", "test.csv", "train.csv"] and second["nextPageToken"] == ""
    assert call(arena, "ListDataFiles", competitionName=SLUG, pageToken="x").status == 400


def test_a_download_carries_what_a_client_needs_to_resume_and_check_it(arena: Arena, home: Path):
    address = location(arena, "DownloadDataFile", competitionName=SLUG, fileName="train.csv")
    assert address.rsplit("/", 1)[1] == "train.csv"
    whole = ask(arena, "GET", address)
    content = (home / "competitions" / SLUG / "files" / "train.csv").read_bytes()
    assert whole.body == content and whole.headers["Accept-Ranges"] == "bytes"
    assert whole.headers["x-goog-hash"] == f"md5={b64encode(hashlib.md5(content).digest()).decode()}"
    part = ask(arena, "GET", address, headers={"Range": "bytes=10-", "If-Range": whole.headers["ETag"]})
    assert (part.status, part.body) == (206, content[10:])
    assert part.headers["Content-Range"] == f"bytes 10-{len(content) - 1}/{len(content)}"
    changed = ask(arena, "GET", address, headers={"Range": "bytes=10-", "If-Range": '"other"'})
    assert (changed.status, changed.body) == (200, content)
    assert ask(arena, "GET", address, headers={"Range": f"bytes={len(content)}-"}).status == 416
    datetime.strptime(whole.headers["Last-Modified"], "%a, %d %b %Y %H:%M:%S %Z")


def test_the_archive_is_the_same_bytes_whenever_it_is_built(arena: Arena, home: Path):
    def archive() -> bytes:
        return ask(arena, "GET", location(arena, "DownloadDataFiles", competitionName=SLUG)).body

    first = archive()
    built = next((home / "cache" / SLUG).glob("*.zip"))
    built.unlink()
    assert archive() == first
    with zipfile.ZipFile(io.BytesIO(first)) as zipped:
        assert zipped.testzip() is None
        assert zipped.namelist() == ["sample_submission.csv", "test.csv", "train.csv"]


@pytest.mark.parametrize("name", CLIMBING)
def test_no_spelling_of_a_name_leaves_the_files(arena: Arena, name: str):
    answers = [
        call(arena, "DownloadDataFile", competitionName=SLUG, fileName=name),
        call(arena, "DownloadDataFile", competitionName=f"{SLUG}/{name}", fileName="train.csv"),
        call(arena, "DownloadDataFiles", competitionName=f"../competitions/{SLUG}"),
        call(arena, "GetCompetition", competitionName=name),
    ]
    assert [a.status for a in answers] == [404] * 4


@pytest.mark.parametrize("name", [n.replace("\x00", "%00").replace("\\", "%5c") for n in CLIMBING])
@pytest.mark.parametrize(
    "route", ["/competitions/{}", "/download/{}", "/download/x/{}", "/{}", "/competitions/meadow/{}"]
)
def test_no_path_leaks_a_file(arena: Arena, home: Path, route: str, name: str):
    answer = ask(arena, "GET", route.format(name))
    assert answer.status in (403, 404)
    assert b"Usage" not in answer.body and str(home).encode() not in answer.body


def test_a_good_ticket_serves_its_file_whatever_name_follows(arena: Arena):
    address = location(arena, "DownloadDataFile", competitionName=SLUG, fileName="test.csv").rsplit("/", 1)[0]
    assert b"Usage" not in ask(arena, "GET", f"{address}/solution.csv").body
    assert ask(arena, "PUT", f"/upload/{address.rsplit('/', 1)[1]}", b"x").status == 403


def test_addresses_of_yesterday_are_refused(home: Path):
    moment = [datetime(2026, 3, 1, tzinfo=UTC)]
    with Arena(home, now=lambda: moment[0]) as arena:
        address = location(arena, "DownloadDataFile", competitionName=SLUG, fileName="test.csv")
        assert ask(arena, "GET", address).status == 200
        moment[0] += timedelta(days=1)
        assert ask(arena, "GET", address).status == 403


def test_an_upload_goes_on_where_it_stopped(arena: Arena, tmp_path: Path):
    content = write_answers(tmp_path / "s.csv").read_bytes()
    n = len(content)
    started = call(arena, "StartSubmissionUpload", competitionName=SLUG, fileName="s.csv", contentLength=n).json
    address = started["createUrl"]

    def put(body: bytes, content_range: str) -> Answer:
        return ask(arena, "PUT", address, body, {"Content-Range": content_range})

    nothing = put(b"", f"bytes */{n}")
    assert (nothing.status, nothing.headers["Range"], nothing.headers["Location"]) == (308, None, None)
    early = call(arena, "CreateSubmission", competitionName=SLUG, blobFileTokens=started["token"])
    assert early.status == 400 and "not been uploaded" in early.json["message"]
    half = put(content[:100], f"bytes 0-99/{n}")
    assert (half.status, half.headers["Range"]) == (308, "bytes=0-99")
    assert put(b"", f"bytes */{n}").headers["Range"] == "bytes=0-99"
    assert put(content[200:], f"bytes 200-{n - 1}/{n}").status == 400
    assert put(content[100:], f"bytes 100-{n - 1}/{n}").status == 200
    assert put(b"", f"bytes */{n}").status == 200
    created = call(arena, "CreateSubmission", competitionName=SLUG, blobFileTokens=started["token"])
    assert scored(arena, created.json["ref"])["publicScore"] == "1.00000"
    sent = ask(arena, "GET", location(arena, "DownloadSubmission", submissionId=created.json["ref"]))
    assert sent.body == content


def test_more_bytes_than_announced_are_refused(arena: Arena):
    started = call(arena, "StartSubmissionUpload", competitionName=SLUG, fileName="s.csv", contentLength=3).json
    assert ask(arena, "PUT", started["createUrl"], b"four").status == 400
    assert call(arena, "StartSubmissionUpload", competitionName=SLUG, contentLength=-1).status == 400


def test_an_upload_is_for_one_competition(arena: Arena, home: Path, tmp_path: Path):
    hosting.create(write_folder(tmp_path / "other"), home, "other")
    started = call(arena, "StartSubmissionUpload", competitionName="other", fileName="s.csv", contentLength=1).json
    assert ask(arena, "PUT", started["createUrl"], b"x").status == 200
    assert call(arena, "CreateSubmission", competitionName=SLUG, blobFileTokens=started["token"]).status == 400


def test_the_limit_is_a_400_that_names_midnight_utc(tmp_path: Path):
    made = tmp_path / "home"
    hosting.create(write_folder(tmp_path / "folder"), made, SLUG, daily_limit=1)
    moment = [datetime(2026, 3, 1, 21, tzinfo=UTC)]
    with Arena(made, now=lambda: moment[0]) as arena:
        path = write_answers(tmp_path / "s.csv")
        assert submit(arena, path).status == 200
        refused = submit(arena, path)
        assert refused.status == 400
        assert "submission allowance (1 of 1)" in refused.json["message"]
        assert "3.0 hours from now, 2026-03-02T00:00:00.000Z" in refused.json["message"]
        assert call(arena, "GetSubmissionLimits", competitionName=SLUG).json["numAllowedNow"] == 0
        moment[0] += timedelta(hours=3)
        assert submit(arena, path).status == 200


def test_private_scores_are_hidden_until_the_deadline(tmp_path: Path):
    made, deadline = tmp_path / "home", datetime(2026, 3, 2, tzinfo=UTC)
    hosting.create(write_folder(tmp_path / "folder"), made, SLUG, deadline=deadline)
    moment = [deadline - timedelta(hours=1)]
    with Arena(made, now=lambda: moment[0]) as arena:
        ref = submit(arena, write_answers(tmp_path / "s.csv", N_TEST)).json["ref"]
        assert "privateScore" not in scored(arena, ref)
        moment[0] = deadline
        assert scored(arena, ref)["privateScore"] == "1.00000"


def test_a_disk_that_fails_while_the_arena_serves_is_named(tmp_path: Path):
    hosting.create(write_folder(tmp_path / "folder"), tmp_path / "home", SLUG)
    with Arena(tmp_path / "home") as running:
        for path in (tmp_path / "home").glob("arena.db*"):
            path.unlink()
        (tmp_path / "home" / "arena.db").mkdir()  # what cannot be opened, also by root
        answer = call(running, "ListSubmissions", competitionName=SLUG)
        assert answer.status == 507 and "arena.db cannot be written" in answer.json["message"]
        assert ask(running, "GET", f"/competitions/{SLUG}").status == 507


class FullDisk(Database):
    """A database that had room for a submission, and has none for its scores."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.was_full = threading.Event()

    def set_scores(self, ref: int, public: float, private: float | None) -> None:
        self.was_full.set()
        raise DiskError("The disk is full.")


def test_a_score_that_the_disk_has_no_room_for_is_graded_again_later(tmp_path: Path):
    made, now = hosting.create(write_folder(tmp_path / "folder"), tmp_path / "home", SLUG), datetime.now(UTC)
    database = FullDisk(tmp_path / "home" / "arena.db")
    upload = database.start_upload(SLUG, "s.csv", 1, now)
    upload_path(tmp_path / "home", upload.id).parent.mkdir(parents=True)
    write_answers(upload_path(tmp_path / "home", upload.id))
    record = database.add_submission(
        upload, fingerprint=made.fingerprint, team="competitor", description="", daily_limit=1, now=now
    )
    grading = Grading(tmp_path / "home", database)
    grading.start_pending()
    assert database.was_full.wait(20)
    grading.stop()
    assert database.submission(record.ref) == record and record.status == "pending"
    with Arena(tmp_path / "home") as arena:
        assert scored(arena, record.ref)["publicScore"] == "1.00000"


def test_what_a_killed_arena_left_pending_is_graded_by_the_next(tmp_path: Path):
    made = tmp_path / "home"
    hosted = hosting.create(write_folder(tmp_path / "folder"), made, SLUG)
    database = Database(made / "arena.db")
    now = datetime(2026, 3, 1, tzinfo=UTC)
    upload = database.start_upload(SLUG, "s.csv", 1, now)
    (made / "uploads").mkdir()
    write_answers(made / "uploads" / upload.id)
    facts = {"fingerprint": hosted.fingerprint, "team": "competitor", "description": "", "daily_limit": 5, "now": now}
    ref = database.add_submission(upload, **facts).ref
    with Arena(made) as arena, Arena(made) as second:
        assert scored(arena, ref)["publicScore"] == "1.00000"
        assert scored(second, ref)["publicScore"] == "1.00000"


def test_a_grader_that_fails_says_so_and_shows_nothing(tmp_path: Path):
    made = tmp_path / "home"
    hosting.create(write_folder(tmp_path / "folder"), made, SLUG)
    with Arena(made) as arena:
        (made / "competitions" / SLUG / "solution.csv").write_text("plot,grass\n160,rye\n")
        found = scored(arena, submit(arena, write_answers(tmp_path / "s.csv")).json["ref"])
    assert found["status"] == "ERROR" and "could not be scored" in found["errorDescription"]
    assert "rye" not in found["errorDescription"]


def test_a_pushed_kernel_is_stored(arena: Arena, home: Path):
    service = "kernels.KernelsApiService"
    answer = call(arena, "SaveKernel", service, slug=f"{arena.username}/paddy", text="print(1)", language="python")
    assert answer.json["versionNumber"] == 1 and answer.json["url"].endswith(f"/code/{arena.username}/paddy")
    stored = KernelStore(home / "arena.db").find("paddy")
    assert stored is not None and stored.source == "print(1)"
    assert call(arena, "SaveKernel", service, slug="somebody/else", text="").status == 403


def test_the_leaderboard_can_be_viewed_and_downloaded(arena: Arena):
    lines = call(arena, "GetLeaderboard", competitionName=SLUG).json["submissions"]
    assert {"Majority class", "Sample submission"} <= {line["teamName"] for line in lines}
    zipped = ask(arena, "GET", location(arena, "DownloadLeaderboard", competitionName=SLUG)).body
    with zipfile.ZipFile(io.BytesIO(zipped)) as archive:
        table = archive.read(f"{SLUG}-publicleaderboard.csv").decode()
    assert table.count("\n") == len(lines) + 1


def test_pages_are_served_without_a_token_and_load_nothing(arena: Arena):
    for path, status in (("/", 200), (f"/competitions/{SLUG}", 200), ("/competitions/none", 404)):
        answer = ask(arena, "GET", path)
        assert answer.status == status and answer.headers["Content-Type"].startswith("text/html")
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


def test_pages_tell_how_to_start_and_how_one_stands(tmp_path: Path):
    hosting.create(write_folder(tmp_path / "folder"), tmp_path / "home", SLUG, title="Meadow <b>", metric="accuracy")
    with Arena(tmp_path / "home") as arena:
        assert "no score yet" in ask(arena, "GET", "/").body.decode()
        scored(arena, submit(arena, write_answers(tmp_path / "s.csv")).json["ref"])
        paths = ("/", f"/competitions/{SLUG}", f"/competitions/{SLUG}/leaderboard")
        index, page, board = (ask(arena, "GET", path).body.decode() for path in paths)
    assert "place 1 of 6, 1.00000" in index and "Meadow &lt;b&gt;" in index
    assert f"kagglekit new {SLUG} --on arena" in page and "No score here is a Kaggle score" in page
    assert board.index("competitor") < board.index("Majority class") < board.index("Sample submission")


def test_an_arena_without_competitions_says_how_to_get_one(tmp_path: Path):
    with Arena(tmp_path) as arena:
        assert "kagglekit arena draw" in ask(arena, "GET", "/").body.decode()


def test_a_foreign_host_name_is_refused(arena: Arena):
    # DNS rebinding: a page elsewhere whose name now points to this computer.
    assert ask(arena, "GET", "/", headers={"Host": "evil.example"}).status == 400


def test_absolute_addresses_work_for_clients_behind_http_proxy(arena: Arena):
    headers = {"Host": "localhost", "Authorization": f"Bearer {arena.token}"}
    answer = ask(arena, "POST", f"http://localhost/api/v1/{COMPETITIONS}/ListCompetitions", b"{}", headers)
    assert SLUG in [c["url"].rsplit("/", 1)[1] for c in answer.json["competitions"]]


def test_a_taken_port_is_one_clear_line(arena: Arena, tmp_path: Path):
    port = int(arena.url.rsplit(":", 1)[1])
    with pytest.raises(UsageError, match=f"Port {port} cannot be used"):
        Arena(tmp_path, port=port).__enter__()


@pytest.mark.parametrize(
    ("host", "words"),
    [("0.0.0.0", "every address"), ("192.0.2.1", "cannot be used on 192.0.2.1"), ("", "no address")],
)
def test_a_host_that_is_no_single_address_of_this_computer_is_one_clear_line(tmp_path: Path, host: str, words: str):
    with pytest.raises(UsageError, match=words):
        Arena(tmp_path, host=host).__enter__()


def test_other_loopback_addresses_are_this_computer_too(tmp_path: Path):
    with Arena(tmp_path, host="localhost") as arena:
        assert arena.url.startswith("http://127.0.0.1:") and ask(arena, "GET", "/").status == 200
    assert is_loopback("127.0.0.2") and not is_loopback("192.0.2.1")


def test_the_arena_is_quiet_and_ends(home: Path, capfd: pytest.CaptureFixture[str]):
    with Arena(home, port=0) as arena:
        ask(arena, "GET", "/")
        ask(arena, "GET", "/none")
    assert capfd.readouterr() == ("", "")
    with pytest.raises(ConnectionRefusedError):
        ask(arena, "GET", "/")


def test_solutions_never_pass_through_any_listing(arena: Arena):
    answers = tables()["solution"]["grass"].tolist()
    for method in ("ListDataFiles", "GetCompetition", "GetLeaderboard", "ListSubmissions"):
        body = call(arena, method, competitionName=SLUG).body.decode()
        assert "solution" not in body and ",".join(answers) not in body
