"""A file is sent once, whatever happened to the processes before."""

import json
import threading
import time
from pathlib import Path

import pandas as pd
import pytest
from fakes import FakeGateway

from kagglekit.errors import GatewayError, LimitReached, StoreError, Unreachable
from kagglekit.files import sha256
from kagglekit.sending import sending


class Unlucky(FakeGateway):
    """A site that fails after, or before, it takes a submission."""

    def __init__(self, *, takes_it: bool, error: Exception) -> None:
        super().__init__(pd.DataFrame({"id": [1, 2], "y": [0, 1]}))
        self.takes_it, self.error, self.uploads = takes_it, error, 0
        self.failures = 1

    def upload(self, slug: str, file: Path) -> str:
        self.uploads += 1
        return super().upload(slug, file)

    def create(self, slug: str, upload: str, message: str, mark: str) -> str:
        fails, self.failures = self.failures > 0, self.failures - 1
        if self.takes_it or not fails:
            ref = super().create(slug, upload, message, mark)
        if fails:
            raise self.error
        return ref


@pytest.fixture
def file(tmp_path: Path) -> Path:
    pd.DataFrame({"id": [1, 2], "y": [0, 1]}).to_csv(tmp_path / "s.csv", index=False)
    return tmp_path / "s.csv"


def send(gateway: FakeGateway, file: Path) -> str:
    with sending(file.parent, "arena", sha256(file)) as outgoing:
        ref = outgoing.send(gateway, "toy", file, "hello")
        outgoing.done()
    return ref


def records(file: Path) -> list[Path]:
    return sorted(file.parent.glob(".sending-*.json"))


def test_a_file_is_sent_and_no_record_stays(file: Path):
    gateway = Unlucky(takes_it=True, error=KeyError())
    gateway.failures = 0
    assert send(gateway, file) == "1"
    assert records(file) == []


def test_what_died_after_it_was_sent_is_found_by_its_mark(file: Path):
    gateway = Unlucky(takes_it=True, error=KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        send(gateway, file)
    (record,) = records(file)
    assert json.loads(record.read_text())["mark"] in gateway.sent[0].message
    assert send(gateway, file) == "1"
    assert (len(gateway.sent), gateway.uploads, records(file)) == (1, 1, [])


def test_what_died_before_it_was_sent_is_sent_with_the_same_upload_and_mark(file: Path):
    gateway = Unlucky(takes_it=False, error=Unreachable("gone"))
    with pytest.raises(Unreachable):
        send(gateway, file)
    mark = json.loads(records(file)[0].read_text())["mark"]
    assert send(gateway, file) == "1"
    assert mark in gateway.sent[0].message
    assert gateway.uploads == 1


def test_an_upload_that_the_site_has_forgotten_is_made_again(file: Path):
    gateway = Unlucky(takes_it=False, error=GatewayError("no such upload"))
    gateway.failures = 2
    with pytest.raises(GatewayError):
        send(gateway, file)
    assert send(gateway, file) == "1"
    assert gateway.uploads == 2


def test_what_was_refused_is_not_looked_for(file: Path):
    gateway = Unlucky(takes_it=False, error=LimitReached("none left"))
    with pytest.raises(LimitReached):
        send(gateway, file)
    with sending(file.parent, "arena", sha256(file)) as outgoing:
        assert not outgoing.is_begun
    assert send(gateway, file) == "1"
    assert gateway.uploads == 1


def test_a_limit_is_no_reason_for_another_upload(file: Path):
    gateway = Unlucky(takes_it=False, error=LimitReached("none left"))
    gateway.failures = 2
    for _ in range(2):
        with pytest.raises(LimitReached):
            send(gateway, file)
    assert gateway.uploads == 1


def test_another_file_or_site_has_another_record(file: Path):
    gateway = Unlucky(takes_it=True, error=KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        send(gateway, file)
    for site, digest in (("kaggle", sha256(file)), ("arena", "other")):
        with sending(file.parent, site, digest) as outgoing:
            assert not outgoing.is_begun
    with sending(file.parent, "arena", sha256(file)) as outgoing:
        assert outgoing.is_begun


def test_a_record_that_is_none_is_not_guessed_at(file: Path):
    path = file.parent / f".sending-arena-{sha256(file)[:16]}.json"
    for text in ('{"a": 1}', "{"):
        path.write_text(text)
        with pytest.raises(StoreError, match=r"\.sending-arena"):
            send(FakeGateway(pd.DataFrame({"id": [1], "y": [0]})), file)


def test_others_wait_for_their_turn(file: Path):
    order: list[str] = []

    def second() -> None:
        with sending(file.parent, "arena", "b"):
            order.append("second")

    with sending(file.parent, "arena", "a"):
        waiting = threading.Thread(target=second)
        waiting.start()
        time.sleep(0.15)
        order.append("first")
    waiting.join(10)
    assert order == ["first", "second"]
