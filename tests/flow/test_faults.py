"""Small versions of `benchmarks/faults`: what the gateway does when the network misbehaves."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from meadow import SLUG, write_answers, write_folder
from relay import redirecting, relay

from kagglekit.arena import hosting
from kagglekit.arena.faults import Fault, Faults
from kagglekit.arena.server import Arena
from kagglekit.dataset import RawData, SingleFiles
from kagglekit.download import download, download_file
from kagglekit.errors import DataError, GatewayError, KagglekitError, Unreachable
from kagglekit.files import sha256
from kagglekit.gateway import Gateway, Patience, Site
from kagglekit.sending import sending

DATA = "/download/"
ALWAYS = 99
QUICK = Patience(connect=2, read=0.5, attempts=6, budget=3, first_pause=0.005, longest_pause=0.1, settle=0.05)


@dataclass
class World:
    arena: Arena
    faults: Faults
    gateway: Gateway
    folder: Path

    @property
    def files(self) -> dict[str, str]:
        return hashes(self.folder / "arena" / "competitions" / SLUG / "files")

    def fetched(self, *script: Fault) -> RawData:
        self.faults.play(script)
        return download(self.gateway, SLUG, self.folder / "data")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    folder = write_folder(tmp_path / "folder")
    (folder / "noise.npz").write_bytes(np.random.default_rng(0).bytes(300_000))
    hosting.create(folder, tmp_path / "arena", SLUG, metric="accuracy", daily_limit=50)
    faults = Faults(seed=1)
    with (
        Arena(tmp_path / "arena", faults=faults) as arena,
        Gateway(Site("arena", arena.url), arena.token, patience=QUICK) as gateway,
    ):
        yield World(arena, faults, gateway, tmp_path)


def hashes(folder: Path) -> dict[str, str]:
    paths = [p for p in sorted(folder.rglob("*")) if p.is_file()]
    return {p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in paths}


def test_a_download_that_is_cut_five_times_is_whole_on_the_first_command(world: World):
    raw = world.fetched(Fault("cut", DATA, times=5))
    assert hashes(raw.files) == world.files
    ranges = [r for path, r in world.faults.requests if path.startswith(DATA)]
    assert len(ranges) == 6 and ranges[0] == "" and all(r.startswith("bytes=") for r in ranges[1:])
    assert sorted(p.name for p in raw.folder.iterdir() if not p.name.startswith(".")) == ["manifest.json", "raw"]


@pytest.mark.parametrize("unhashed", [0, 1], ids=["MD5", "CRC"])
def test_a_flipped_byte_is_noticed_and_fetched_anew(world: World, unhashed: int):
    hide = [Fault("hash", DATA, times=ALWAYS)] * unhashed
    assert hashes(world.fetched(Fault("flip", DATA, at=150_000), *hide).files) == world.files


@pytest.mark.parametrize("unhashed", [0, 1], ids=["MD5", "CRC"])
def test_bytes_that_are_always_wrong_are_never_taken(world: World, unhashed: int):
    hide = [Fault("hash", DATA, times=ALWAYS)] * unhashed
    with pytest.raises(DataError, match="is not what it should be"):
        world.fetched(Fault("flip", DATA, at=150_000, times=ALWAYS), *hide)
    assert not (world.folder / "data" / "raw").exists()
    assert not (world.folder / "data" / f"{SLUG}.zip").exists()


CUT = Fault("cut", DATA, at=100_000)
ODD = {
    "a page": [Fault("page", DATA)],
    "an error that calls itself a zip": [Fault("page", DATA, value="application/zip")],
    "a range ignored": [CUT, Fault("whole", DATA, after=1)],
    "a range refused": [CUT, Fault("range", DATA, after=1)],
    "another file in the middle": [CUT, Fault("etag", DATA, after=1)],
    "no length": [Fault("length", DATA)],
    "no length, and cut": [Fault("length", DATA), CUT],
    "429": [Fault("limit", DATA, value="soon")],
    "500": [Fault("error", DATA)],
    "a stall inside": [Fault("stall", DATA, at=100_000, seconds=1.0)],
    "refused": [Fault("refuse", DATA), Fault("refuse", "/DownloadDataFiles")],
    "lost": [Fault("lose", DATA), Fault("lose", "/ListDataFiles")],
}


@pytest.mark.parametrize("case", ODD)
def test_odd_answers_are_outlived(world: World, case: str):
    assert hashes(world.fetched(*ODD[case]).files) == world.files


def test_a_page_for_ever_is_a_named_error_and_no_file(world: World):
    with pytest.raises(DataError, match=r"meadow is not what it should be: text/html came in its place"):
        world.fetched(Fault("page", DATA, times=ALWAYS))
    assert not (world.folder / "data" / "raw").exists()


def test_a_download_that_never_comes_on_ends(world: World):
    with pytest.raises(Unreachable, match="broke off"):
        world.fetched(Fault("lose", DATA, times=ALWAYS))


REFUSED = {
    "429": Fault("limit", "/GetCompetition", times=2, value="99999999"),
    "500": Fault("error", "/GetCompetition", times=2),
    "a stall": Fault("stall", "/GetCompetition", seconds=1.0),
    "refused": Fault("refuse", "/GetCompetition", times=2),
    "lost": Fault("lose", "/GetCompetition", times=2),
}


@pytest.mark.parametrize("case", REFUSED)
def test_calls_are_repeated_inside_their_budget(world: World, case: str):
    world.faults.play([REFUSED[case]])
    start = time.monotonic()
    assert world.gateway.competition(SLUG).slug == SLUG
    assert time.monotonic() - start < QUICK.budget
    assert world.faults.struck


def test_a_site_that_stays_busy_is_a_named_error(world: World):
    world.faults.play([Fault("error", "/GetCompetition", times=ALWAYS, value="503")])
    with pytest.raises(Unreachable, match="failed with status 503"):
        world.gateway.competition(SLUG)
    assert len(world.faults.struck) == QUICK.attempts


def test_an_answer_that_comes_drop_by_drop_ends_too(world: World):
    hasty = Patience(connect=1, read=0.3, attempts=2, budget=0.5, first_pause=0.001)
    world.faults.play([Fault("stall", "/GetCompetition", at=0, seconds=0.4, times=ALWAYS)])
    start = time.monotonic()
    with (
        Gateway(Site("arena", world.arena.url), world.arena.token, patience=hasty) as gateway,
        pytest.raises(Unreachable),
    ):
        gateway.competition(SLUG)
    assert time.monotonic() - start < 1.5


def test_one_file_says_what_it_was_checked_by(world: World):
    single = download_file(world.gateway, SLUG, "train.csv", world.folder / "data")
    world.faults.play([Fault("hash", DATA)])
    download_file(world.gateway, SLUG, "noise.npz", world.folder / "data")
    facts = json.loads((world.folder / "data" / "single.json").read_text())
    assert {name: entry["check"] for name, entry in facts.items()} == {"train.csv": "md5", "noise.npz": "unverified"}
    assert "unverified" in single.words("noise.npz") and hashes(single.files)["train.csv"] == world.files["train.csv"]
    before = len(world.faults.requests)
    assert download_file(world.gateway, SLUG, "train.csv", world.folder / "data") == SingleFiles(world.folder / "data")
    assert len(world.faults.requests) == before
    with pytest.raises(DataError, match=r"no file 'trian\.csv'.*Did you mean 'train\.csv'"):
        download_file(world.gateway, SLUG, "trian.csv", world.folder / "data")


def test_a_raw_file_of_another_size_than_listed_is_not_taken(world: World):
    script = [Fault(kind, DATA, times=ALWAYS) for kind in ("hash", "length")]
    world.faults.play([*script, Fault("page", DATA, times=ALWAYS, value="application/octet-stream")])
    with pytest.raises(DataError, match=r"58 bytes came|bytes came, 300,000 were expected"):
        download_file(world.gateway, SLUG, "noise.npz", world.folder / "data")
    assert not (world.folder / "data" / "single" / "noise.npz").exists()


CHILD = """
import sys
from pathlib import Path
from kagglekit.download import download
from kagglekit.gateway import Gateway, Site
with Gateway(Site("arena", sys.argv[1]), sys.argv[2]) as gateway:
    download(gateway, sys.argv[3], Path(sys.argv[4]))
"""


def child(world: World) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-c", CHILD, world.arena.url, world.arena.token, SLUG, str(world.folder / "data")]
    root = str(Path(__file__).parents[2])
    return subprocess.Popen(words, env=dict(os.environ) | {"PYTHONPATH": root})


def test_a_killed_download_leaves_no_file_and_the_next_goes_on(world: World):
    part = world.folder / "data" / f".{SLUG}.zip.part" / "data"
    world.faults.play([Fault("stall", DATA, at=200_000, seconds=20)])
    with child(world) as killed:
        while not part.exists() or part.stat().st_size < 100_000:
            assert killed.poll() is None
            time.sleep(0.01)
        killed.kill()
    arrived = part.stat().st_size
    assert not (world.folder / "data" / "raw").exists() and not (world.folder / "data" / f"{SLUG}.zip").exists()
    (world.folder / "data" / ".raw.left.tmp").mkdir()
    assert hashes(world.fetched().files) == world.files
    assert world.faults.requests[-1][1] == f"bytes={arrived}-"
    assert not list((world.folder / "data").glob(".raw.*"))


def test_several_processes_share_one_transfer(world: World):
    world.faults.play([Fault("stall", DATA, seconds=0.3)])
    wanting = [child(world) for _ in range(2)]
    assert [process.wait(60) for process in wanting] == [0, 0]
    assert sum(path.startswith(DATA) for path, _ in world.faults.requests) == 1
    assert hashes(world.folder / "data" / "raw") == world.files


def test_an_archive_that_is_there_is_extracted_and_one_of_no_use_replaced(world: World):
    archive = world.folder / "data" / f"{SLUG}.zip"
    world.gateway.download(SLUG, archive)
    assert hashes(world.fetched().files) == world.files
    assert sum(path.startswith(DATA) for path, _ in world.faults.requests) == 1
    (world.folder / "data" / "manifest.json").unlink()
    archive.write_bytes(b"PK\x03\x04 not a zip")
    assert hashes(world.fetched().files) == world.files


LOST = {
    "the start": [Fault("lose", "/StartSubmissionUpload")],
    "the upload": [Fault("lose", "/upload/")],
    "the upload, twice": [Fault("refuse", "/upload/"), Fault("lose", "/upload/", after=1)],
    "the submission": [Fault("lose", "/CreateSubmission")],
    "the submission and its list": [Fault("lose", "/CreateSubmission"), Fault("lose", "/ListSubmissions", times=3)],
    "a submission refused": [Fault("refuse", "/CreateSubmission", times=2)],
    "a busy site": [Fault("error", "/CreateSubmission", value="503")],
    "too many requests": [Fault("limit", "/CreateSubmission", value="0")],
}


@pytest.mark.parametrize("case", LOST)
def test_a_submission_is_made_exactly_once(world: World, case: str):
    world.faults.play(LOST[case])
    ref = world.gateway.submit(SLUG, write_answers(world.folder / "s.csv"), "once")
    world.faults.play([])
    assert [s.ref for s in world.gateway.submissions(SLUG)] == [ref]


def test_an_answer_that_is_no_success_is_not_trusted(world: World):
    path = write_answers(world.folder / "s.csv")
    world.faults.play([Fault("page", "/CreateSubmission", value="application/json")])
    with pytest.raises(GatewayError):
        world.gateway.submit(SLUG, path, "once")
    assert world.gateway.submissions(SLUG) == []


def test_a_sender_that_died_leaves_a_record_and_the_next_sends_nothing(world: World):
    path = write_answers(world.folder / "s.csv")
    lost = [Fault("lose", "/CreateSubmission"), Fault("lose", "/ListSubmissions", times=ALWAYS)]
    world.faults.play(lost)
    with pytest.raises(Unreachable, match="nobody knows yet"), sending(world.folder, "arena", sha256(path)) as first:
        first.send(world.gateway, SLUG, path, "once")
    world.faults.play([])
    with sending(world.folder, "arena", sha256(path)) as second:
        assert second.is_begun
        ref = second.send(world.gateway, SLUG, path, "once")
        second.done()
    assert [s.ref for s in world.gateway.submissions(SLUG)] == [ref]


def test_the_token_follows_no_redirect_and_is_in_no_log(world: World, caplog: pytest.LogCaptureFixture, capfd):
    caplog.set_level(logging.DEBUG)
    with relay(world.arena.url) as other, redirecting(other.url.replace("127.0.0.1", "localhost")) as url:
        with Gateway(Site("arena", url), world.arena.token, patience=QUICK) as gateway:
            for call in (lambda: gateway.competition(SLUG), lambda: gateway.download(SLUG, world.folder / "x.zip")):
                with pytest.raises(KagglekitError):
                    call()
            shown = repr(vars(gateway)) + repr(vars(gateway._connection))
        passed = [value for _, headers in other.passed for value in headers.values()]
    assert not any(world.arena.token in value for value in passed)
    said = capfd.readouterr()
    assert world.arena.token not in caplog.text + said.out + said.err + shown


def test_a_netrc_file_gives_nothing_to_a_signed_address(world: World, no_credentials: Path):
    (no_credentials / ".netrc").write_text("machine 127.0.0.1 login canary password canary\n")
    (no_credentials / ".netrc").chmod(0o600)
    with relay(world.arena.url) as between, Gateway(Site("arena", between.url), world.arena.token) as gateway:
        gateway.download(SLUG, world.folder / "x.zip")
        signed = [headers for path, headers in between.passed if path.startswith("/download/")]
    assert len(signed) == 1 and not any("Authorization" in headers for headers in signed)
