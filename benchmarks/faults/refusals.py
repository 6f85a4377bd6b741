"""Calls that are refused for a while: too many requests, a broken server, a stall, nobody there."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from world import SLUG, Row, World, served

from kagglekit.arena.faults import Fault
from kagglekit.arena.server import Arena
from kagglekit.errors import GatewayError
from kagglekit.gateway import Gateway, Patience, Site

__all__ = ["refused"]

_CALL = "/GetCompetition"
_PATIENCE = Patience(connect=1.0, read=0.4, attempts=12, budget=3.0, first_pause=0.05, longest_pause=0.5)


@dataclass(frozen=True)
class _Case:
    """One refusal, and whether it passes."""

    name: str
    fault: Fault
    passes: bool


def _later(seconds: float) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


def _cases() -> list[_Case]:
    def limit(value: str, times: int = 2) -> Fault:
        return Fault("limit", _CALL, times=times, value=value)

    return [
        _Case("429, Retry-After: 0", limit("0"), True),
        _Case("429, Retry-After: -5", limit("-5"), True),
        _Case("429, Retry-After: soon", limit("soon"), True),
        _Case("429, Retry-After: 99999999", limit("99999999"), True),
        _Case("429, Retry-After: a date gone by", limit(_later(-3600)), True),
        _Case("429, Retry-After: next year", limit(_later(365 * 86400)), True),
        _Case("429 for ever", limit("1", 99), False),
        _Case("500 twice", Fault("error", _CALL, times=2), True),
        _Case("503 for ever", Fault("error", _CALL, times=99, value="503"), False),
        _Case("a stall", Fault("stall", _CALL, seconds=1.0), True),
    ]


def refused() -> Row:
    """Twelve refusals, each with a budget of three seconds."""
    good, longest, bad = 0, 0.0, []
    with served(1000) as world:
        for case in _cases():
            world.faults.play([case.fault])
            came, seconds = _try(lambda: _ask(world.site, world.arena.token))
            good, longest = good + (came is case.passes), max(longest, seconds)
            bad += [] if came is case.passes else [case.name]
        for name, check in (("refused for ever", _nobody), ("refused at first", _late)):
            is_good, seconds = check(world)
            good, longest = good + is_good, max(longest, seconds)
            bad += [] if is_good else [name]
    figure = f"{good} as they should, longest {longest:.1f} s" + (f"; not: {', '.join(bad)}" if bad else "")
    return Row("429, 500, stall, refused connection (12 cases)", "inside 3 s", figure, good == 12 and longest < 3.5)


def _ask(site: Site, token: str) -> None:
    with Gateway(site, token, patience=_PATIENCE) as gateway:
        gateway.competition(SLUG)


def _try(ask: Callable[[], None]) -> tuple[bool, float]:
    """Whether it came (else it failed with a named error), and the seconds."""
    start = time.perf_counter()
    try:
        ask()
    except GatewayError:
        return False, time.perf_counter() - start
    return True, time.perf_counter() - start


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _nobody(world: World) -> tuple[bool, float]:
    came, seconds = _try(lambda: _ask(Site("arena", f"http://127.0.0.1:{_free_port()}"), "token"))
    return not came, seconds


def _late(world: World) -> tuple[bool, float]:
    """An arena that begins to serve a little after it was asked."""
    port, done = _free_port(), threading.Event()

    def serve() -> None:
        time.sleep(0.2)
        with Arena(world.home, port):
            done.wait(10)

    server = threading.Thread(target=serve)
    server.start()
    came, seconds = _try(lambda: _ask(Site("arena", f"http://127.0.0.1:{port}"), world.arena.token))
    done.set()
    server.join()
    return came, seconds
