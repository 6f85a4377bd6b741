"""Each fault does what its name says, at the same places for the same seed, and only where its script says so."""

import http.client
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from meadow import SLUG, write_folder

from kagglekit.arena import hosting
from kagglekit.arena.faults import Fault, Faults
from kagglekit.arena.server import Arena
from kagglekit.errors import UsageError

WHOLE = b"".join(str(i).encode() for i in range(5000))


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Arena, Faults]]:
    home = tmp_path_factory.mktemp("arena")
    folder = write_folder(home / "folder")
    (folder / "digits.txt").write_bytes(WHOLE)
    hosting.create(folder, home / "home", SLUG, metric="accuracy")
    faults = Faults()
    with Arena(home / "home", faults=faults) as running:
        yield running, faults


class Got:
    """An answer, as far as it came."""

    def __init__(self, url: str, method: str = "GET", headers: dict[str, str] | None = None, body: str = "") -> None:
        at = urlsplit(url)
        connection = http.client.HTTPConnection(at.netloc, timeout=5)
        start = time.monotonic()
        connection.request(method, at.path, body or None, headers or {})
        answer = connection.getresponse()
        self.status, self.headers = answer.status, {k.lower(): v for k, v in answer.getheaders()}
        try:
            self.body = answer.read()
        except http.client.IncompleteRead as error:
            self.body = error.partial
        self.seconds = time.monotonic() - start
        connection.close()


def located(arena: Arena) -> str:
    url = f"{arena.url}/api/v1/competitions.CompetitionApiService/DownloadDataFile"
    body = f'{{"competitionName": "{SLUG}", "fileName": "digits.txt"}}'
    return Got(url, "POST", {"Authorization": f"Bearer {arena.token}"}, body).headers["location"]


def play(arena: tuple[Arena, Faults], *script: Fault, **headers: str) -> Got:
    running, faults = arena
    faults.play([])
    url = located(running)
    faults.play(script)
    return Got(url, headers={k.replace("_", "-"): v for k, v in headers.items()})


def test_without_a_script_nothing_goes_wrong(arena):
    got = play(arena)
    assert (got.status, got.body, got.headers["content-length"]) == (200, WHOLE, str(len(WHOLE)))
    assert arena[1].struck == []


def test_a_cut_ends_at_its_byte(arena):
    got = play(arena, Fault("cut", "/download/", at=1234))
    assert (got.status, got.body) == (200, WHOLE[:1234])


def test_a_flip_changes_its_byte_and_no_other(arena):
    got = play(arena, Fault("flip", "/download/", at=777))
    assert [i for i, (a, b) in enumerate(zip(got.body, WHOLE, strict=True)) if a != b] == [777]


def test_the_seed_decides_where(arena):
    _, faults = arena
    places = []
    for _ in range(2):
        other = Faults(seed=5)
        faults._random = other._random
        places.append([len(play(arena, Fault("cut", "/download/")).body) for _ in range(3)])
    assert places[0] == places[1] and len(set(places[0])) == 3


def test_a_page_comes_in_place_of_the_file(arena):
    got = play(arena, Fault("page", "/download/"))
    assert (got.status, got.headers["content-type"]) == (200, "text/html") and b"<html>" in got.body


def test_a_range_is_ignored_or_refused(arena):
    assert play(arena, range="bytes=5-").status == 206
    assert play(arena, Fault("whole", "/download/"), range="bytes=5-").status == 200
    assert play(arena, Fault("range", "/download/"), range="bytes=5-").status == 416


def test_an_etag_changes_behind_the_back_of_a_resumed_download(arena):
    etag = play(arena).headers["etag"]
    got = play(arena, Fault("etag", "/download/"), range="bytes=5-", if_range='"old"')
    assert (got.status, got.headers["etag"]) == (206, '"another"') and etag != '"another"'


@pytest.mark.parametrize(("kind", "header"), [("length", "content-length"), ("hash", "x-goog-hash")])
def test_a_header_is_left_out(arena, kind, header):
    assert header in play(arena).headers
    got = play(arena, Fault(kind, "/download/"))
    assert header not in got.headers and got.body == WHOLE


def test_refusals_come_with_their_status(arena):
    got = play(arena, Fault("limit", "/download/", value="17"))
    assert (got.status, got.headers["retry-after"]) == (429, "17")
    assert "retry-after" not in play(arena, Fault("limit", "/download/")).headers
    assert play(arena, Fault("error", "/download/")).status == 500
    assert play(arena, Fault("error", "/download/", value="503")).status == 503


def test_a_stall_takes_its_time_at_the_start_or_inside(arena):
    for at in (None, 10_000):
        got = play(arena, Fault("stall", "/download/", at=at, seconds=0.2))
        assert got.seconds > 0.19 and got.body == WHOLE


@pytest.mark.parametrize("kind", ["refuse", "lose"])
def test_an_answer_does_not_come(arena, kind):
    with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
        play(arena, Fault(kind, "/download/"))


def test_a_lost_answer_was_given(arena, tmp_path: Path):
    running, faults = arena
    url = f"{running.url}/api/v1/kernels.KernelsApiService/SaveKernel"
    words = (url, "POST", {"Authorization": f"Bearer {running.token}"}, '{"slug": "competitor/x", "text": "1"}')
    faults.play([Fault("lose", "/SaveKernel")])
    with pytest.raises(http.client.RemoteDisconnected):
        Got(*words)
    assert b'"versionNumber":2' in Got(*words).body


def test_after_and_times_count_the_requests_of_a_route(arena):
    running, faults = arena
    faults.play([Fault("error", "/nowhere", after=1, times=2)])
    assert [Got(f"{running.url}/nowhere").status for _ in range(5)] == [404, 500, 500, 404, 404]
    assert Got(f"{running.url}/").status == 200


def test_an_unknown_fault_is_refused():
    with pytest.raises(UsageError, match="no fault 'cat'"):
        Fault("cat", "/")
