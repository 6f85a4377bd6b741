"""Kaggle's own client against the arena: through our gateway, and as the stock command."""

import json
import os
import re
import socket
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from meadow import SLUG, answers, write_answers, write_folder
from relay import Relay, canned, relay

from kagglekit.arena import hosting
from kagglekit.arena.server import Arena
from kagglekit.arena.shell import announced, exports
from kagglekit.credentials import Credentials
from kagglekit.errors import (
    CompetitionNotFound,
    CredentialsError,
    GatewayError,
    LimitReached,
    SubmissionError,
    Unreachable,
)
from kagglekit.gateway import Gateway, Patience, Site
from kagglekit.kaggle_client import connect

TOKEN = Credentials("a test", token="token")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    hosting.create(write_folder(tmp_path / "folder"), tmp_path / "arena", SLUG, metric="accuracy")
    return tmp_path / "arena"


@pytest.fixture
def arena(home: Path) -> Iterator[Arena]:
    with Arena(home) as running:
        yield running


@pytest.fixture
def gateway(arena: Arena) -> Iterator[Gateway]:
    with Gateway(Site("arena", arena.url), arena.token) as opened:
        yield opened


@pytest.fixture
def relayed(arena: Arena) -> Iterator[tuple[Relay, Gateway]]:
    with relay(arena.url) as between, Gateway(Site("arena", between.url), arena.token) as opened:
        yield between, opened


def test_pages_and_files_are_listed(gateway: Gateway, arena: Arena):
    page = gateway.competition(SLUG)
    assert (page.slug, page.metric, page.daily_limit) == (SLUG, "accuracy", 5)
    assert page.url == f"{arena.url}/competitions/{SLUG}" and page.deadline and page.deadline.year == 2100
    assert [c.slug for c in gateway.competitions()] == [SLUG]
    files = gateway.files(SLUG)
    assert [f.name for f in files] == ["sample_submission.csv", "test.csv", "train.csv"]
    assert all(f.bytes > 0 for f in files)


def test_many_files_come_in_pages(home: Path, tmp_path: Path):
    folder = write_folder(tmp_path / "wide")
    (folder / "notes").mkdir()
    for number in range(450):
        (folder / "notes" / f"{number:03d}.txt").write_text("x")
    hosting.create(folder, home, "wide")
    with Arena(home) as arena, Gateway(Site("arena", arena.url), arena.token) as gateway:
        assert len({f.name for f in gateway.files("wide")}) == 453


def test_a_download_is_whole_and_holds_no_solution(gateway: Gateway, tmp_path: Path):
    path = gateway.download(SLUG, tmp_path / "data" / "meadow.zip")
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["sample_submission.csv", "test.csv", "train.csv"]
        assert archive.read("train.csv") == (tmp_path / "folder" / "train.csv").read_bytes()
    assert [p.name for p in path.parent.iterdir()] == ["meadow.zip"]


class Counted:
    """A progress that adds up what it is told."""

    def __init__(self) -> None:
        self.total: float | None = None
        self.done = 0.0

    @contextmanager
    def task(self, name: str, total: float | None) -> Iterator["Counted"]:
        self.total = total
        yield self

    def advance(self, steps: float = 1.0) -> None:
        self.done += steps

    def say(self, text: str) -> None: ...

    def note(self, text: str) -> None: ...


def test_a_download_reports_every_byte(gateway: Gateway, tmp_path: Path):
    progress = Counted()
    size = gateway.download(SLUG, tmp_path / "x.zip", progress).stat().st_size
    assert (progress.total, progress.done) == (size, size)


def test_a_download_that_was_cut_off_goes_on_there(relayed: tuple[Relay, Gateway], tmp_path: Path):
    between, gateway = relayed
    whole = gateway.download(SLUG, tmp_path / "whole.zip").read_bytes()
    first = next(headers for path, headers in between.passed if path.startswith("/download/"))
    assert "Range" not in first
    part = tmp_path / ".again.zip.part"
    part.mkdir()
    (part / "data").write_bytes(whole[:500])
    etag = _etag(between, gateway)
    (part / "note.json").write_text(json.dumps({"validator": etag, "size": len(whole), "md5": ""}))
    assert gateway.download(SLUG, tmp_path / "again.zip").read_bytes() == whole
    assert between.passed[-1][1]["Range"] == "bytes=500-"
    assert between.passed[-1][1]["If-Range"] == etag


def _etag(between: Relay, gateway: Gateway) -> str:
    import requests

    path = [path for path, _ in between.passed if path.startswith("/download/")][-1]
    return requests.get(between.url + path, timeout=20).headers["ETag"]


def test_a_submission_gets_its_public_score_and_no_private_one(gateway: Gateway, tmp_path: Path):
    ref = gateway.submit(SLUG, write_answers(tmp_path / "s.csv", right=15), "half right")
    found = gateway.wait_for_score(SLUG, ref, timeout=20)
    assert (found.status, found.public, found.private, found.error) == ("complete", 0.5, None, "")
    assert found.ref == ref and found.file == "s.csv" and found.message.startswith("half right [")
    assert gateway.submissions(SLUG) == [found]
    assert gateway.daily_limit(SLUG).left == 4
    assert [r.rank for r in gateway.leaderboard(SLUG)] == [1, 2, 3, 4, 5, 6]
    assert next(r for r in gateway.leaderboard(SLUG) if r.team == "competitor").score == 0.5


def test_ids_in_another_order_are_scored_as_kaggle_scores_them(gateway: Gateway, tmp_path: Path):
    answers(15).sample(frac=1, random_state=0).to_csv(tmp_path / "s.csv", index=False)
    ref = gateway.submit(SLUG, tmp_path / "s.csv", "shuffled")
    assert gateway.wait_for_score(SLUG, ref, timeout=20).public == 0.5


def test_a_malformed_submission_is_an_error_with_the_reason_and_costs_nothing(gateway: Gateway, tmp_path: Path):
    lines = write_answers(tmp_path / "s.csv").read_text().splitlines()
    (tmp_path / "short.csv").write_text("\n".join(lines[:-1]))
    ref = gateway.submit(SLUG, tmp_path / "short.csv", "one row short")
    found = gateway.wait_for_score(SLUG, ref, timeout=20)
    assert (found.status, found.public) == ("error", None)
    assert "189" in found.error and "missing" in found.error
    assert gateway.daily_limit(SLUG).used == 0


def test_an_empty_or_missing_file_is_not_sent(gateway: Gateway, tmp_path: Path):
    (tmp_path / "empty.csv").touch()
    for name in ("empty.csv", "none.csv"):
        with pytest.raises(SubmissionError, match="missing or empty"):
            gateway.submit(SLUG, tmp_path / name, "")
    assert gateway.submissions(SLUG) == []


def test_the_daily_limit_is_reached_once_and_says_when_it_ends(gateway: Gateway, tmp_path: Path):
    path = write_answers(tmp_path / "s.csv")
    for _ in range(5):
        gateway.wait_for_score(SLUG, gateway.submit(SLUG, path, "again"), timeout=20)
    with pytest.raises(LimitReached, match=r"resets at midnight UTC \(\d+\.\d hours from now"):
        gateway.submit(SLUG, path, "one too many")
    assert len(gateway.submissions(SLUG)) == 5


@pytest.mark.parametrize("lost", ["lose_request", "lose_answer"])
def test_a_submission_whose_answer_is_lost_is_made_exactly_once(
    relayed: tuple[Relay, Gateway], tmp_path: Path, lost: str
):
    between, gateway = relayed
    getattr(between, lost).append("CreateSubmission")
    ref = gateway.submit(SLUG, write_answers(tmp_path / "s.csv"), "lost")
    assert [s.ref for s in gateway.submissions(SLUG)] == [ref]
    assert between.count("CreateSubmission") == (2 if lost == "lose_request" else 1)


def test_when_nobody_can_know_whether_it_counted_it_is_not_sent_again(relayed: tuple[Relay, Gateway], tmp_path: Path):
    between, gateway = relayed
    between.lose_answer += ["CreateSubmission", *["ListSubmissions"] * Patience.near().attempts]
    with pytest.raises(Unreachable, match="nobody knows yet whether it counted"):
        gateway.submit(SLUG, write_answers(tmp_path / "s.csv"), "lost")
    assert between.count("CreateSubmission") == 1


def test_a_wrong_token_is_a_credentials_error(arena: Arena):
    with Gateway(Site("arena", arena.url), "wrong") as gateway, pytest.raises(CredentialsError, match="refused"):
        gateway.competition(SLUG)
    with pytest.raises(CredentialsError, match="token is needed"), Gateway(Site("arena", arena.url)):
        pass


def test_an_unknown_competition_names_the_nearest(gateway: Gateway, tmp_path: Path):
    for ask in (gateway.competition, gateway.files, lambda slug: gateway.download(slug, tmp_path / "x.zip")):
        with pytest.raises(CompetitionNotFound, match="Did you mean 'meadow'"):
            ask("medow")
    assert not (tmp_path / "x.zip").exists()


def test_a_number_that_is_no_submission_is_refused(gateway: Gateway):
    for ref in ("999999", "no number"):
        with pytest.raises(GatewayError, match=r"no such submission|number is expected"):
            gateway.submission(ref)


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_site_that_does_not_answer_is_unreachable_and_nothing_else_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    url = f"http://127.0.0.1:{closed_port()}"
    with Gateway(Site("arena", url), "token") as gateway, pytest.raises(Unreachable, match="still running"):
        gateway.download(SLUG, tmp_path / "x.zip")
    monkeypatch.setenv("https_proxy", url)
    monkeypatch.setenv("KAGGLE_API_TOKEN", "canary")
    kaggle = Gateway(Site.kaggle(), patience=Patience(attempts=2, first_pause=0.01))
    with kaggle as gateway, pytest.raises(Unreachable, match="Kaggle cannot be reached"):
        gateway.competition(SLUG)


def test_the_users_own_credentials_never_reach_the_arena(
    arena: Arena, no_credentials: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd
):
    monkeypatch.setenv("KAGGLE_API_TOKEN", "canary")
    monkeypatch.setenv("KAGGLE_USERNAME", "canary")
    monkeypatch.setenv("KAGGLE_KEY", "canary")
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{closed_port()}")
    (no_credentials / ".kaggle").mkdir()
    (no_credentials / ".kaggle" / "access_token").write_text("canary")
    before = dict(os.environ)
    with relay(arena.url) as between, Gateway(Site("arena", between.url), arena.token) as gateway:
        gateway.download(SLUG, tmp_path / "x.zip")
        ref = gateway.submit(SLUG, write_answers(tmp_path / "s.csv"), "canary test")
        gateway.wait_for_score(SLUG, ref, timeout=20)
        folder = write_kernel(tmp_path / "kernel", arena.username)
        assert gateway.push_kernel(folder).endswith("/code/competitor/meadow-forest")
        sent = [value for path, headers in between.passed for value in headers.values()]
    assert sent and not any("canary" in value for value in sent)
    assert dict(os.environ) == before
    assert capfd.readouterr() == ("", "")


def write_kernel(folder: Path, username: str) -> Path:
    folder.mkdir()
    (folder / "run.py").write_text("print(1)\n")
    facts = {"id": f"{username}/meadow-forest", "title": "meadow forest", "code_file": "run.py"}
    facts |= {"language": "python", "kernel_type": "script"}
    (folder / "kernel-metadata.json").write_text(json.dumps(facts))
    return folder


def test_a_kernel_without_metadata_is_one_clear_line(gateway: Gateway, tmp_path: Path):
    with pytest.raises(GatewayError, match="Metadata file not found"):
        gateway.push_kernel(tmp_path)


def test_every_address_of_the_client_is_turned_while_a_gateway_is_open_and_then_back(arena: Arena, monkeypatch):
    with Gateway(Site("arena", arena.url), arena.token):
        from kagglesdk.kaggle_env import KaggleEnv, get_endpoint

        assert {get_endpoint(env) for env in KaggleEnv} == {arena.url}
        monkeypatch.setenv("KAGGLE_API_TOKEN", "canary")
        with pytest.raises(GatewayError, match="turned to"), Gateway(Site.kaggle()):
            pass
    assert get_endpoint(KaggleEnv.PROD) == "https://api.kaggle.com"


def test_a_home_keeps_its_submissions_and_its_token(home: Path, tmp_path: Path):
    with Arena(home) as arena, Gateway(Site("arena", arena.url), arena.token) as gateway:
        ref = gateway.submit(SLUG, write_answers(tmp_path / "s.csv"), "first")
        found, token = gateway.wait_for_score(SLUG, ref, timeout=20), arena.token
    with Arena(home) as arena, Gateway(Site("arena", arena.url), token) as gateway:
        assert gateway.submissions(SLUG) == [found]


def test_a_killed_arena_loses_nothing(home: Path, tmp_path: Path):
    code = (
        "import sys, time; from pathlib import Path; from kagglekit.arena.server import Arena\n"
        "with Arena(Path(sys.argv[1])) as arena: print(arena.url, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(home)], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        url, token = server.stdout.readline().strip(), Arena(home).token
        with Gateway(Site("arena", url), token) as gateway:
            ref = gateway.submit(SLUG, write_answers(tmp_path / "s.csv"), "before the end")
            server.kill()
            server.wait()
            with pytest.raises(Unreachable):
                gateway.submission(ref)
    with Arena(home) as arena, Gateway(Site("arena", arena.url), token) as gateway:
        assert gateway.wait_for_score(SLUG, ref, timeout=20).public == 1.0


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b'{"code": 403, "message": "You must accept the rules"}', "RulesNotAccepted"),
        (b'{"error": {"code": 401, "message": "Unauthenticated"}}', "CredentialsError"),
        (b'{"code": 400, "message": "Your team has used its daily submission allowance (5)"}', "LimitReached"),
        (b'{"code": 400, "message": "Something else"}', "GatewayError"),
        (b'{"code": 503, "message": "Busy"}', "Unreachable"),
        (b'{"submissions": [{"status": "NEVER_HEARD_OF"}]}', "GatewayError"),
        (b"<html>", "GatewayError"),
    ],
)
def test_each_refusal_of_kaggle_has_its_own_error(answer: bytes, kind: str):
    from kagglesdk.competitions.types.competition_api_service import ApiListSubmissionsRequest

    code = re.search(rb'"code": (\d+)', answer)
    with canned(int(code[1]) if code else 200, answer) as url, connect(Site("arena", url), TOKEN) as connection:
        # Only its words change: the address stays the one above.
        connection.site = Site.kaggle()
        with pytest.raises(GatewayError) as raised:
            connection.call("list_submissions", ApiListSubmissionsRequest(), SLUG)
    assert type(raised.value).__name__ == kind
    if kind == "LimitReached":
        assert re.search(r"00:00 UTC, in \d+ h \d+ min", str(raised.value))
    if kind == "RulesNotAccepted":
        assert f"https://www.kaggle.com/competitions/{SLUG}/rules" in str(raised.value)


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_a_token_that_is_no_good_is_a_credentials_error_however_the_site_says_so(status: int):
    answer = json.dumps({"code": status, "message": "Nothing here"}).encode()
    with canned(status, answer) as url, Gateway(Site("arena", url), "canary") as gateway:
        with pytest.raises(CredentialsError, match="refused the credentials") as raised:
            _ = gateway.username
        assert "canary" not in str(raised.value)


def test_a_site_that_knows_nothing_at_all_is_asked_for_the_nearest_name_once():
    nothing = canned(404, b'{"code": 404, "message": "Not found"}')
    with nothing as url, Gateway(Site("arena", url), "token") as gateway:
        with pytest.raises(CompetitionNotFound, match=r"no competition 'medow'.*Check its name"):
            gateway.competition("medow")
        with pytest.raises(GatewayError, match="status 404"):
            gateway.competitions("medow")


def test_a_site_that_is_down_does_not_blame_the_token():
    busy = canned(503, b'{"code": 503, "message": "Busy"}')
    with busy as url, Gateway(Site("arena", url), "token") as gateway, pytest.raises(Unreachable):
        _ = gateway.username


def test_the_accounts_name_is_the_tokens(gateway: Gateway, arena: Arena):
    assert gateway.username == arena.username
    with Gateway(Site("arena", arena.url), "wrong") as other, pytest.raises(CredentialsError, match="another arena"):
        _ = other.username


@pytest.mark.parametrize("kind", ["Competition", "Dataset"])
def test_a_notebook_that_is_saved_without_its_data_is_an_error(tmp_path: Path, kind: str):
    answer = json.dumps({"url": "https://site/code/x", "versionNumber": 1, f"invalid{kind}Sources": ["medow"]})
    folder = write_kernel(tmp_path / "kernel", "competitor")
    refused = pytest.raises(GatewayError, match=rf"without the {kind.lower()} medow.*accept the competition's rules")
    with canned(200, answer.encode()) as url, Gateway(Site("arena", url), "token") as gateway, refused:
        gateway.push_kernel(folder)


@pytest.mark.parametrize(
    ("expires", "token"), [("2020-01-01T00:00:00+00:00", "fresh"), ("2999-01-01T00:00:00+00:00", "old")]
)
def test_a_login_is_renewed_only_when_it_is_over(no_credentials: Path, expires: str, token: str):
    login = no_credentials / ".kaggle" / "credentials.json"
    login.parent.mkdir()
    stored = {"refresh_token": "again", "access_token": "old", "access_token_expiration": expires, "username": "ann"}
    login.write_text(json.dumps(stored))
    credentials = Credentials("kaggle auth login", login=login)
    renewing = canned(200, b'{"token": "fresh", "expiresIn": 43200}')
    with renewing as url, connect(Site("arena", url), credentials) as connection:
        assert connection.token == token
    assert json.loads(login.read_text())["access_token"] == token


def test_a_login_that_was_revoked_is_refused(no_credentials: Path):
    login = no_credentials / ".kaggle" / "credentials.json"
    login.parent.mkdir()
    login.write_text('{"refresh_token": "canary"}')
    credentials = Credentials("kaggle auth login", login=login)
    refusing = canned(401, b'{"error": {"code": 401, "message": "Unauthenticated"}}')
    with (
        refusing as url,
        pytest.raises(CredentialsError, match="refused"),
        connect(Site("arena", url), credentials),
    ):
        pass


def test_the_place_among_the_teams_is_on_the_page(gateway: Gateway, tmp_path: Path):
    before = gateway.competition(SLUG)
    assert (before.place, before.teams) == (None, 5)
    gateway.wait_for_score(SLUG, gateway.submit(SLUG, write_answers(tmp_path / "s.csv"), "all right"), timeout=20)
    after = gateway.competition(SLUG)
    assert (after.place, after.teams) == (1, 6)


def stock(arena: Arena, home: Path, *words: str) -> str:
    """Run the stock command, which reaches the arena as its proxy; gives what it prints."""
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "KAGGLE_API_ENVIRONMENT": "LOCALHOST",
        "KAGGLE_API_TOKEN": arena.token,
        "http_proxy": arena.url,
    }
    command = [str(Path(sys.executable).with_name("kaggle")), *words]
    ended = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_the_stock_command_lists_downloads_submits_and_shows_the_score(arena: Arena, tmp_path: Path):
    def kaggle(*words: str) -> str:
        return stock(arena, tmp_path, "competitions", *words)

    assert f"/competitions/{SLUG}" in kaggle("list")
    kaggle("download", SLUG, "-p", str(tmp_path))
    assert zipfile.ZipFile(tmp_path / f"{SLUG}.zip").testzip() is None
    said = kaggle("submit", SLUG, "-f", str(write_answers(tmp_path / "s.csv", 15)), "-m", "by hand")
    assert "Successfully submitted" in said and "4 submissions remaining today" in said
    assert "0.50000" in kaggle("submissions", SLUG) and "competitor" in kaggle("leaderboard", SLUG, "--show")


def test_the_exports_turn_a_shell_to_the_arena(arena: Arena, home: Path, tmp_path: Path):
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "no_proxy": "localhost,other.example"}
    with announced(home, arena.url):
        lines = exports(home, env)
    script = f"{lines}\n{Path(sys.executable).with_name('kaggle')} competitions list"
    ended = subprocess.run(["sh", "-c", script], env=env, capture_output=True, text=True, timeout=60, check=False)
    assert f"/competitions/{SLUG}" in ended.stdout, ended.stdout + ended.stderr
