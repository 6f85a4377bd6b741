"""Faults: what a network, a proxy or a busy site does to a client, on purpose, so that clients can be tested.

A script names each fault: its kind, the address it strikes, which of the requests there, and where. The same script and
seed strike at the same bytes. Faults are given to `Arena(home, faults=...)` from Python; no command switches one on.

Examples
--------
>>> script = [Fault("cut", "/download/", times=5), Fault("limit", "/ListSubmissions", value="2")]
>>> with Arena(home, faults=Faults(script, seed=1)) as arena:  # doctest: +SKIP
...     ...
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from kagglekit.errors import UsageError, nearest

__all__ = ["Fault", "Faults", "Kind", "protocol"]

#: What can go wrong.
#:
#: - "cut": the connection closes after `at` bytes of the body
#: - "flip": byte `at` of the body comes wrong
#: - "page": a page with status 200 comes in place of the answer; `value` is its type, text/html if none
#: - "whole": a Range is ignored
#: - "range": the answer is 416
#: - "etag": the ETag is another, and a If-Range is not looked at
#: - "length": no Content-Length is sent
#: - "hash": no x-goog-hash is sent
#: - "limit": the answer is 429; `value` is its Retry-After
#: - "error": the answer is 500, or the status in `value`
#: - "stall": nothing comes for `seconds`; in the body from byte `at` on, if given
#: - "refuse": the connection closes before the request is looked at
#: - "lose": the request is answered, and the answer is lost
Kind = Literal[
    "cut", "flip", "page", "whole", "range", "etag", "length", "hash", "limit", "error", "stall", "refuse", "lose"
]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

_TRANSPORT = "kagglekit.transport"
_DROPPED = {"length": b"content-length", "hash": b"x-goog-hash"}
_IGNORED = {"whole": b"range", "etag": b"if-range"}
_PAGE = b"<html><body>Something went wrong on our end.</body></html>"


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong.

    Parameters
    ----------
    kind : Kind
    route : str
        Part of the path of the requests that it strikes.
    after : int
        Requests there that pass before the first that it strikes.
    times : int
        Requests there that it strikes, one after another.
    at : int or None
        Byte of the body; None leaves it to the seed.
    value : str
        See `Kind`.
    seconds : float
        See `Kind`.

    Raises
    ------
    UsageError
        There is no such kind.
    """

    kind: Kind
    route: str
    after: int = 0
    times: int = 1
    at: int | None = None
    value: str = ""
    seconds: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise UsageError(f"There is no fault '{self.kind}'.", hint=nearest(self.kind, get_args(Kind)))


class Faults:
    """A script of faults, and what became of it.

    Parameters
    ----------
    script : iterable of Fault
        All that match a request strike it together.
    seed : int
    on_strike : callable, optional
        Called with each fault at its moment: for "lose", after the request was answered.

    Attributes
    ----------
    struck : list of Fault
        In the order of the requests.
    requests : list of (str, str)
        Path and Range of all requests, in order.
    """

    def __init__(
        self, script: Iterable[Fault] = (), *, seed: int = 0, on_strike: Callable[[Fault], None] | None = None
    ) -> None:
        self.struck: list[Fault] = []
        self.requests: list[tuple[str, str]] = []
        self._random, self._on_strike, self._lock = random.Random(seed), on_strike, threading.Lock()
        self.play(script)

    def play(self, script: Iterable[Fault]) -> None:
        """Begin another script; what is left of the old one is dropped."""
        with self._lock:
            self._left = [(fault, fault.after, fault.times) for fault in script]

    def around(self, app: App) -> App:
        """The application with these faults."""

        async def faulty(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                return await app(scope, receive, send)
            faults = self._due(scope)
            if not faults:
                return await app(scope, receive, send)
            return await _Struck(faults, scope, self._random, self._strike).answer(app, receive, send)

        return faulty

    def _due(self, scope: Scope) -> list[Fault]:
        path = scope["path"]
        with self._lock:
            self.requests.append((path, dict(scope["headers"]).get(b"range", b"").decode("latin-1")))
            due: list[Fault] = []
            for i, (fault, after, times) in enumerate(self._left):
                if fault.route in path and times:
                    due += [] if after else [fault]
                    self._left[i] = (fault, after - 1, times) if after else (fault, 0, times - 1)
            return due

    def _strike(self, fault: Fault) -> None:
        self.struck.append(fault)
        if self._on_strike:
            self._on_strike(fault)


class _Struck:
    """One request with its faults."""

    def __init__(
        self, faults: list[Fault], scope: Scope, chance: random.Random, strike: Callable[[Fault], None]
    ) -> None:
        self._faults = {fault.kind: fault for fault in faults}
        self._scope, self._random, self._strike = scope, chance, strike
        self._sent, self._places = 0, dict[str, int]()

    async def answer(self, app: App, receive: Receive, send: Send) -> None:
        """Answer the request, or not."""
        for fault in self._faults.values():
            if fault.kind != "lose":
                self._strike(fault)
        stall = self._faults.get("stall")
        if stall and stall.at is None:
            await asyncio.sleep(stall.seconds)
        if "refuse" in self._faults:
            return self._hang_up()
        if instead := self._instead():
            return await _reply(send, *instead)
        scope = {**self._scope, "headers": self._heard()}
        if lost := self._faults.get("lose"):
            await app(scope, receive, _nowhere)
            self._strike(lost)
            return self._hang_up()
        return await app(scope, receive, lambda message: self._send(message, send))

    def _instead(self) -> tuple[int, str, Headers] | None:
        """Status, type and headers of an answer that comes in place of the true one."""
        if fault := self._faults.get("page"):
            return 200, fault.value or "text/html", []
        if fault := self._faults.get("range"):
            return 416, "text/plain", []
        if fault := self._faults.get("limit"):
            return 429, "application/json", [(b"retry-after", fault.value.encode())] if fault.value else []
        if fault := self._faults.get("error"):
            return int(fault.value or 500), "application/json", []
        return None

    def _heard(self) -> Headers:
        ignored = {_IGNORED[kind] for kind in _IGNORED if kind in self._faults}
        return [(name, value) for name, value in self._scope["headers"] if name not in ignored]

    async def _send(self, message: Message, send: Send) -> None:
        if message["type"] == "http.response.start":
            self._place(dict(message["headers"]))
            return await send({**message, "headers": self._said(message["headers"])})
        body = self._flipped(bytes(message.get("body", b"")))
        end = self._places.get("cut")
        if end is not None and self._sent + len(body) > end:
            await send({**message, "body": body[: end - self._sent], "more_body": True})
            self._sent = end
            return self._hang_up()
        await self._stall(len(body))
        self._sent += len(body)
        return await send({**message, "body": body})

    def _place(self, headers: dict[bytes, bytes]) -> None:
        length = int(headers.get(b"content-length", b"0"))
        for kind in ("cut", "flip"):
            if fault := self._faults.get(kind):
                self._places[kind] = self._random.randrange(max(1, length)) if fault.at is None else fault.at

    def _said(self, headers: Headers) -> Headers:
        dropped = {_DROPPED[kind] for kind in _DROPPED if kind in self._faults}
        said = [(name, value) for name, value in headers if name not in dropped]
        if "etag" in self._faults:
            said = [(name, b'"another"' if name == b"etag" else value) for name, value in said]
        return said

    def _flipped(self, body: bytes) -> bytes:
        at = self._places.get("flip", -1) - self._sent
        return body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :] if 0 <= at < len(body) else body

    async def _stall(self, coming: int) -> None:
        fault = self._faults.get("stall")
        if fault and fault.at is not None and self._sent <= fault.at < self._sent + coming:
            await asyncio.sleep(fault.seconds)

    def _hang_up(self) -> None:
        # What was sent before still goes out.
        self._scope["extensions"][_TRANSPORT].close()


async def _reply(send: Send, status: int, kind: str, headers: Headers) -> None:
    body = _PAGE if kind == "text/html" else b'{"code": %d, "message": "Something went wrong on our end."}' % status
    length = (b"content-length", str(len(body)).encode())
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [(b"content-type", kind.encode()), length, *headers],
        }
    )
    await send({"type": "http.response.body", "body": body})


async def _nowhere(message: Message) -> None:
    """Where an answer goes that is lost."""


def protocol() -> Any:
    """uvicorn's HTTP protocol, which lets an application close the connection."""
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

    class Reachable(HttpToolsProtocol):
        def on_message_begin(self) -> None:
            super().on_message_begin()
            extensions: dict[str, Any] = {_TRANSPORT: self.transport}
            self.scope["extensions"] = extensions

    return Reachable
