"""A relay between a client and an arena that writes down what passes, and can lose an answer."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_NOT_RELAYED = {"transfer-encoding", "connection", "server", "date"}
_METHODS = ("do_GET", "do_POST", "do_PUT")


@dataclass
class Relay:
    """What passed, and what is to go wrong: calls whose request, or whose answer, is lost once for each mention."""

    url: str
    passed: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    lose_request: list[str] = field(default_factory=list)
    lose_answer: list[str] = field(default_factory=list)

    def count(self, word: str) -> int:
        return sum(word in path for path, _ in self.passed)


@contextmanager
def relay(target: str) -> Iterator[Relay]:
    """Serve a relay to an arena's address for as long as the block runs."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        headers = dict(request.headers.items())
        made.passed.append((request.path, headers))
        method = request.path.rsplit("/", 1)[-1]
        if _take(made.lose_request, method):
            return _hang_up(request)
        status, received, content = _forward(target, request.command, request.path, body, headers)
        if _take(made.lose_answer, method):
            return _hang_up(request)
        kept = [(k, v.replace(target, made.url)) for k, v in received if k.lower() not in _NOT_RELAYED]
        return reply(request, status, kept, content)

    with serving(answer) as url:
        made = Relay(url)
        yield made


@contextmanager
def canned(status: int, content: bytes) -> Iterator[str]:
    """Serve one and the same JSON answer to everything; gives the address."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.rfile.read(int(request.headers.get("Content-Length") or 0))
        reply(request, status, [("Content-Type", "application/json"), ("Content-Length", str(len(content)))], content)

    with serving(answer) as url:
        yield url


@contextmanager
def serving(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    quiet: dict[str, object] = {"protocol_version": "HTTP/1.1", "log_message": lambda self, *args: None}
    handler = type("Handler", (BaseHTTPRequestHandler,), quiet | dict.fromkeys(_METHODS, answer))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    # Idle connections that a client keeps open must not hold the end of a test up.
    server.daemon_threads, server.block_on_close = True, False
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def reply(request: BaseHTTPRequestHandler, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
    request.send_response(status)
    for name, value in headers:
        request.send_header(name, value)
    request.end_headers()
    request.wfile.write(content)


def _hang_up(request: BaseHTTPRequestHandler) -> None:
    request.close_connection = True
    request.connection.shutdown(socket.SHUT_RDWR)


def _take(losses: list[str], method: str) -> bool:
    if method not in losses:
        return False
    losses.remove(method)
    return True


def _forward(
    target: str, command: str, path: str, body: bytes, headers: dict[str, str]
) -> tuple[int, list[tuple[str, str]], bytes]:
    host = target.removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=20)
    try:
        connection.request(command, path, body, headers | {"Host": host, "Connection": "close"})
        response = connection.getresponse()
        return response.status, response.getheaders(), response.read()
    finally:
        connection.close()


@contextmanager
def redirecting(target: str) -> Iterator[str]:
    """Serve an address that answers everything by sending the client elsewhere; gives the address."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.rfile.read(int(request.headers.get("Content-Length") or 0))
        reply(request, 302, [("Location", f"{target}{request.path}"), ("Content-Length", "0")], b"")

    with serving(answer) as url:
        yield url
