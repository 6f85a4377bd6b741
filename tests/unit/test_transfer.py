"""Downloads and uploads against a server that answers as it is told, one answer after another."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from hostile import zipped
from relay import reply, serving

from kagglekit.errors import DataError, GatewayError, Unreachable
from kagglekit.retries import Patience
from kagglekit.transfer import Received, fetch, send

QUICK = Patience(connect=2, read=2, attempts=4, budget=5, first_pause=0.001, longest_pause=0.01)
BODY = bytes(range(256)) * 40
TAG, DAY = ("ETag", '"one"'), ("Last-Modified", "Sun, 01 Mar 2026 12:00:00 GMT")

Answer = tuple[int, list[tuple[str, str]], bytes]


def md5(body: bytes) -> tuple[str, str]:
    return "x-goog-hash", f"crc32c=AAAAAA==, md5={base64.b64encode(hashlib.md5(body).digest()).decode()}"


def whole(*headers: tuple[str, str], body: bytes = BODY) -> Answer:
    return 200, [("Content-Length", str(len(body))), *headers], body


def part(start: int, *headers: tuple[str, str], total: str = str(len(BODY)), said: int | None = None) -> Answer:
    begins = start if said is None else said
    range_ = ("Content-Range", f"bytes {begins}-{len(BODY) - 1}/{total}")
    return 206, [("Content-Length", str(len(BODY) - start)), range_, *headers], BODY[start:]


@dataclass
class Site:
    """Its answers, the last one again and again, and what it was asked."""

    url: str
    answers: list[Answer]
    asked: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)


@contextmanager
def site(*answers: Answer) -> Iterator[Site]:
    def answer(request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        made.asked.append((request.path, dict(request.headers.items()), body))
        status, headers, content = made.answers.pop(0) if len(made.answers) > 1 else made.answers[0]
        # Said, not just done: a client that finds the connection closed only when it writes would try once more.
        reply(request, status, [*headers, ("Connection", "close")], content)
        request.close_connection = True

    with serving(answer) as url:
        made = Site(url, list(answers))
        yield made


def get(from_: Site, to: Path, name: str = "noise.bin", **expected: object) -> Received:
    return fetch(lambda: f"{from_.url}/{name}?signature=x", to, patience=QUICK, label=name, **expected)


def begun(to: Path, arrived: int, validator: str = '"one"', size: int | None = len(BODY)) -> None:
    folder = to.parent / f".{to.name}.part"
    folder.mkdir()
    (folder / "data").write_bytes(BODY[:arrived])
    (folder / "note.json").write_text(json.dumps({"validator": validator, "size": size, "md5": ""}))


@pytest.fixture
def to(tmp_path: Path) -> Path:
    return tmp_path / "noise.bin"


def test_a_file_arrives_with_the_name_of_its_address(to: Path):
    with site(whole(TAG, md5(BODY))) as server:
        assert get(server, to, "other%20name.bin") == Received(to, "other name.bin", "md5")
    assert to.read_bytes() == BODY and [p.name for p in to.parent.iterdir()] == ["noise.bin"]
    assert server.asked[0][1]["Accept-Encoding"] == "identity"


@pytest.mark.parametrize(("headers", "validator"), [([TAG], '"one"'), ([("ETag", 'W/"one"'), DAY], DAY[1])])
def test_what_broke_off_goes_on_by_a_strong_validator(to: Path, headers, validator):
    short = whole(*headers)[0], whole(*headers)[1], BODY[:5000]
    with site(short, part(5000, *headers)) as server:
        get(server, to)
    assert to.read_bytes() == BODY
    assert (server.asked[1][1]["Range"], server.asked[1][1]["If-Range"]) == ("bytes=5000-", validator)


def test_without_a_validator_it_starts_over(to: Path):
    short = 200, whole()[1], BODY[:5000]
    with site(short, whole()) as server:
        get(server, to)
    assert to.read_bytes() == BODY and "Range" not in server.asked[1][1]


WRONG_PARTS = {
    "another start": part(5000, TAG, said=4000),
    "another total": part(5000, TAG, total="99999"),
    "another file": part(5000, ("ETag", '"two"')),
    "no range": (206, [("Content-Length", str(len(BODY) - 5000)), TAG], BODY[5000:]),
    "416": (416, [("Content-Length", "0")], b""),
}


@pytest.mark.parametrize("case", WRONG_PARTS)
def test_a_part_that_is_not_the_rest_is_not_appended(to: Path, case: str):
    begun(to, 5000)
    with site(WRONG_PARTS[case], whole(TAG)) as server:
        get(server, to)
    assert to.read_bytes() == BODY
    assert [("Range" in headers) for _, headers, _ in server.asked] == [True, False]


def test_a_part_whose_total_nobody_knows_goes_on(to: Path):
    begun(to, 5000)
    with site(part(5000, TAG, total="*")) as server:
        get(server, to)
    assert to.read_bytes() == BODY and len(server.asked) == 1


def test_what_is_whole_already_is_only_checked(to: Path):
    begun(to, len(BODY))
    with site(whole()) as server:
        get(server, to)
    assert to.read_bytes() == BODY and server.asked == []


def test_a_note_that_is_damaged_counts_for_nothing(to: Path):
    begun(to, 5000)
    (to.parent / ".noise.bin.part" / "note.json").write_text("{")
    with site(whole()) as server:
        get(server, to)
    assert to.read_bytes() == BODY


def test_an_address_that_expired_is_asked_for_again(to: Path):
    addresses = iter(["/old", "/new"])
    with site((403, [("Content-Length", "0")], b""), whole()) as server:
        fetch(lambda: server.url + next(addresses), to, patience=QUICK, label="noise")
    assert [path for path, _, _ in server.asked] == ["/old", "/new"]


@pytest.mark.parametrize(("status", "error"), [(404, GatewayError), (503, Unreachable), (403, Unreachable)])
def test_a_refusal_is_named(to: Path, status: int, error: type[Exception]):
    with site((status, [("Content-Length", "0")], b"")) as server, pytest.raises(error, match=f"status {status}"):
        get(server, to)
    assert not to.exists()


def test_an_md5_of_packed_bytes_is_none_of_the_file(to: Path):
    with site(whole(md5(b"packed"), ("x-goog-stored-content-encoding", "gzip"))) as server:
        assert get(server, to).check == "unverified"
    with site(whole(("x-goog-hash", "md5=?"))) as server:
        assert get(server, to).check == "unverified"


def test_bytes_packed_unasked_are_refused(to: Path):
    with site(whole(("Content-Encoding", "gzip"))) as server, pytest.raises(DataError, match="packed in a way"):
        get(server, to)
    assert not to.exists()


def test_a_page_is_a_file_only_where_a_page_was_asked_for(to: Path):
    page = whole(("Content-Type", "text/html; charset=utf-8"), body=b"<html>")
    with site(page) as server:
        assert get(server, to, "report.html").path.read_bytes() == b"<html>"
        with pytest.raises(DataError, match="text/html came in its place"):
            get(server, to.with_name("other"), "noise.bin")


def test_a_zip_is_checked_by_its_crcs(to: Path):
    with site(whole(body=zipped("train.csv"))) as server:
        assert get(server, to, "noise.bin").check == "crc"
    with site(whole(body=BODY)) as server, pytest.raises(DataError, match="not a sound zip file"):
        get(server, to.with_name("other"), zipped=True)


def test_a_size_that_is_not_the_listed_one_is_refused_unless_it_comes_packed(to: Path):
    with site(whole()) as server, pytest.raises(DataError, match=r"10,240 bytes came, 7 were expected"):
        get(server, to, size=7)
    with site(whole(body=zipped("noise.bin"))) as server:
        address = f"{server.url}/noise.bin.zip"
        assert fetch(lambda: address, to, patience=QUICK, label="noise.bin", size=7).name == "noise.bin.zip"


def upload(to: Site, folder: Path) -> None:
    (folder / "s.csv").write_bytes(BODY)
    send(f"{to.url}/upload", folder / "s.csv", patience=QUICK, label="s.csv")


NOTHING = [("Content-Length", "0")]


def test_an_upload_is_one_put(tmp_path: Path):
    with site((200, NOTHING, b"")) as server:
        upload(server, tmp_path)
    assert [body for _, _, body in server.asked] == [BODY]


def test_an_upload_goes_on_where_the_site_says(tmp_path: Path):
    so_far = (308, [*NOTHING, ("Range", "bytes=0-4999")], b"")
    with site((503, NOTHING, b""), so_far, (200, NOTHING, b"")) as server:
        upload(server, tmp_path)
    ranges = [headers.get("Content-Range") for _, headers, _ in server.asked]
    assert ranges == [None, f"bytes */{len(BODY)}", f"bytes 5000-{len(BODY) - 1}/{len(BODY)}"]
    assert server.asked[2][2] == BODY[5000:]


def test_an_upload_of_which_nothing_arrived_starts_anew(tmp_path: Path):
    with site((500, NOTHING, b""), (308, NOTHING, b""), (201, NOTHING, b"")) as server:
        upload(server, tmp_path)
    assert server.asked[2][2] == BODY and "Content-Range" not in server.asked[2][1]


def test_an_upload_that_had_arrived_is_not_sent_again(tmp_path: Path):
    with site((500, NOTHING, b""), (200, NOTHING, b"")) as server:
        upload(server, tmp_path)
    assert [len(body) for _, _, body in server.asked] == [len(BODY), 0]


def test_an_upload_that_never_arrives_is_a_named_error(tmp_path: Path):
    with site((308, NOTHING, b"")) as server, pytest.raises(Unreachable, match=r"Only a part of s\.csv arrived"):
        upload(server, tmp_path)
    with site((404, NOTHING, b"")) as server, pytest.raises(GatewayError, match="status 404"):
        upload(server, tmp_path)
