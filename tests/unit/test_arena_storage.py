"""Uploads and downloads by hand: what cloud storage answers, and what a client makes of it."""

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from arena_calls import BLOBS, DATASETS, Answer, ask, call, location, upload
from meadow import SLUG, write_folder

from kagglekit.arena import hosting
from kagglekit.arena.server import Arena


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("arena")
    hosting.create(write_folder(folder / "folder"), folder / "home", SLUG, metric="accuracy")
    return folder / "home"


@pytest.fixture(scope="module")
def arena(home: Path) -> Iterator[Arena]:
    with Arena(home) as running:
        yield running


def announce(arena: Arena, size: int) -> tuple[str, str]:
    made = call(arena, "StartBlobUpload", BLOBS, name="file", contentLength=size).json
    return made["token"], made["createUrl"]


def chunked(arena: Arena, address: str, *chunks: bytes) -> bytes:
    """PUT a body without a length, as `requests` sends an empty file; gives the first line of the answer."""
    body = b"".join(b"%x\r\n%s\r\n" % (len(c), c) for c in chunks) + b"0\r\n\r\n"
    path, host = address.removeprefix(arena.url), arena.url.removeprefix("http://")
    head = f"PUT {path} HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", int(host.split(":")[1])), timeout=20) as connection:
        connection.sendall(head.encode() + body)
        return connection.makefile("rb").readline().strip()


def made_of(arena: Arena, slug: str, token: str) -> bytes:
    """The bytes that an upload left behind, read through a dataset."""
    assert call(arena, "CreateDataset", DATASETS, slug=slug, files=[{"token": token}]).json["status"] == "ok"
    return ask(arena, "GET", location(arena, "DownloadDataset", DATASETS, datasetSlug=slug, fileName="file")).body


def test_an_empty_file_comes_as_a_chunked_body(arena: Arena):
    token, address = announce(arena, 0)
    assert chunked(arena, address) == b"HTTP/1.1 200 OK"
    assert made_of(arena, "empty-chunked", token) == b""


def test_an_empty_file_comes_with_a_length_of_nothing_or_as_a_question(arena: Arena):
    for slug, headers in (("empty-length", {}), ("empty-question", {"Content-Range": "bytes */0"})):
        token, address = announce(arena, 0)
        assert ask(arena, "PUT", address, b"", headers).status == 200
        assert made_of(arena, slug, token) == b""


def test_a_chunked_body_is_taken_whole_and_no_longer_than_announced(arena: Arena):
    token, address = announce(arena, 6)
    assert chunked(arena, address, b"abc", b"def") == b"HTTP/1.1 200 OK"
    assert made_of(arena, "chunked", token) == b"abcdef"
    _, other = announce(arena, 2)
    assert chunked(arena, other, b"abc").startswith(b"HTTP/1.1 400")


def test_an_upload_that_broke_off_says_where_to_go_on_and_never_where_to_look(arena: Arena):
    token, address = announce(arena, 10)
    path, host = address.removeprefix(arena.url), arena.url.removeprefix("http://")
    head = f"PUT {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 10\r\n\r\n"
    with socket.create_connection(("127.0.0.1", int(host.split(":")[1])), timeout=20) as connection:
        connection.sendall(head.encode() + b"0123")

    def so_far() -> Answer:
        while (found := ask(arena, "PUT", address, b"", {"Content-Range": "bytes */10"})).status == 503:
            pass  # the server has not noticed the end of the first connection yet
        return found

    found = so_far()
    assert (found.status, found.headers["Range"], found.headers["Location"]) == (308, "bytes=0-3", None)
    assert ask(arena, "PUT", address, b"456789", {"Content-Range": "bytes 4-9/10"}).status == 200
    assert made_of(arena, "resumed", token) == b"0123456789"


def test_two_requests_at_once_do_not_mix(arena: Arena):
    token, address = announce(arena, 4)
    path, host = address.removeprefix(arena.url), arena.url.removeprefix("http://")
    head = f"PUT {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 4\r\n\r\n"

    async def both() -> tuple[int, bytes]:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(host.split(":")[1]))
        writer.write(head.encode() + b"ab")
        await writer.drain()
        second = 0
        while second != 503:  # until the first has begun
            question = {"Content-Range": "bytes */4"}
            second = (await asyncio.to_thread(ask, arena, "PUT", address, b"", question)).status
        writer.write(b"cd")
        line = await reader.readline()
        writer.close()
        await writer.wait_closed()
        return second, line

    assert asyncio.run(both()) == (503, b"HTTP/1.1 200 OK\r\n")
    assert made_of(arena, "unmixed", token) == b"abcd"


@pytest.mark.parametrize("content_range", ["bytes 0-3/9", "bytes=0-3", "bytes a-b/4", "items 0-3/4", "bytes */5"])
def test_a_content_range_of_another_upload_is_refused(arena: Arena, content_range: str):
    _, address = announce(arena, 4)
    assert ask(arena, "PUT", address, b"abcd", {"Content-Range": content_range}).status == 400


def test_head_tells_what_get_would_send(arena: Arena):
    token = upload(arena, "file", b"0123456789")
    assert call(arena, "CreateDataset", DATASETS, slug="headed", files=[{"token": token}]).json["status"] == "ok"
    address = location(arena, "DownloadDataset", DATASETS, datasetSlug="headed", fileName="file")
    head, whole = ask(arena, "HEAD", address), ask(arena, "GET", address)
    assert head.body == b"" and whole.body == b"0123456789"
    for name in ("Content-Length", "Accept-Ranges", "ETag", "Last-Modified", "x-goog-hash"):
        assert head.headers[name] and head.headers[name] == whole.headers[name]


def test_ranges_and_their_conditions(arena: Arena):
    token = upload(arena, "file", b"0123456789")
    assert call(arena, "CreateDataset", DATASETS, slug="ranged", files=[{"token": token}]).json["status"] == "ok"
    address = location(arena, "DownloadDataset", DATASETS, datasetSlug="ranged", fileName="file")
    whole = ask(arena, "GET", address)

    def part(asked: str, condition: str | None = None) -> tuple[int, bytes]:
        headers = {"Range": asked} | ({"If-Range": condition} if condition else {})
        found = ask(arena, "GET", address, headers=headers)
        return found.status, found.body

    assert part("bytes=4-") == (206, b"456789") and part("bytes=-3") == (206, b"789")
    assert part("bytes=2-3", whole.headers["ETag"]) == (206, b"23")
    assert part("bytes=2-3", whole.headers["Last-Modified"]) == (206, b"23")
    assert part("bytes=2-3", "Thu, 01 Jan 1970 00:00:00 GMT") == (200, b"0123456789")
    assert part("bytes=10-")[0] == 416
