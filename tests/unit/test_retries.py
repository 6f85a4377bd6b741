"""How often something is asked again, after what pause, and when that ends."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from kagglekit.errors import GatewayError, LimitReached, Unreachable
from kagglekit.retries import Patience, Progressing, is_passing, pause_asked, persist

QUICK = Patience(attempts=4, budget=2.0, first_pause=0.001, longest_pause=0.05)
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def failing(times: int, error: Exception) -> tuple[Callable[[], str], list[float]]:
    calls: list[float] = []

    def call() -> str:
        calls.append(time.monotonic())
        if len(calls) <= times:
            raise error
        return "done"

    return call, calls


def test_it_is_tried_until_it_works():
    call, calls = failing(3, Unreachable("gone"))
    assert persist(call, QUICK) == "done"
    assert len(calls) == 4


def test_the_tries_have_an_end_and_the_last_error_is_the_one():
    call, calls = failing(99, Unreachable("gone"))
    with pytest.raises(Unreachable, match="gone"):
        persist(call, QUICK)
    assert len(calls) == QUICK.attempts


@pytest.mark.parametrize("error", [GatewayError("no"), LimitReached("none left"), KeyError("x")])
def test_what_does_not_pass_is_asked_once(error):
    call, calls = failing(1, error)
    with pytest.raises(type(error)):
        persist(call, QUICK)
    assert len(calls) == 1


def test_no_pause_ends_after_the_budget():
    call, calls = failing(99, Unreachable("busy", retry_after=60.0))
    start = time.monotonic()
    with pytest.raises(Unreachable):
        persist(call, Patience(attempts=99, budget=0.3, first_pause=0.001, longest_pause=0.1))
    assert time.monotonic() - start < 0.4
    assert 2 <= len(calls) <= 4


@pytest.mark.parametrize(("asked", "least", "most"), [(0.04, 0.04, 0.1), (3600.0, 0.05, 0.1), (None, 0.0, 0.04)])
def test_the_site_is_given_the_pause_that_it_asks_for_within_limits(asked, least, most):
    call, calls = failing(1, Unreachable("busy", retry_after=asked))
    persist(call, QUICK)
    assert least <= calls[1] - calls[0] < most


def test_pauses_differ_by_chance():
    gaps = set()
    for _ in range(5):
        call, calls = failing(1, Unreachable("gone"))
        persist(call, Patience(first_pause=0.01, longest_pause=1.0))
        gaps.add(round(calls[1] - calls[0], 5))
    assert len(gaps) > 1


def test_a_transfer_that_comes_on_may_break_off_any_number_of_times():
    size = 0

    def step() -> str:
        nonlocal size
        size += 1
        if size < 50:
            raise Unreachable("broke off")
        return "whole"

    start = time.monotonic()
    assert persist(step, QUICK, progress=Progressing(QUICK, lambda: size)) == "whole"
    assert time.monotonic() - start < 0.5  # its pauses stay short


def test_a_transfer_that_does_not_come_on_ends():
    call, calls = failing(99, Unreachable("broke off"))
    with pytest.raises(Unreachable):
        persist(call, QUICK, progress=Progressing(QUICK, lambda: 7))
    assert len(calls) == QUICK.attempts


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        (" 0 ", 0.0),
        ("Sun, 01 Mar 2026 12:00:30 GMT", 30.0),
        ("Sunday, 01-Mar-26 12:01:00 GMT", 60.0),
        ("Sun, 01 Mar 2026 11:00:00 GMT", None),
        ("-5", None),
        ("1e9", None),
        ("9" * 400, None),
        ("soon", None),
        ("", None),
        ("\u0663", None),
        ("Sun, 99 Mar 2026 12:00:30 GMT", None),
    ],
)
def test_a_pause_is_seconds_or_a_date_and_nonsense_is_none(header, seconds):
    assert pause_asked({"retry-after": header}, lambda: NOW) == seconds


def test_no_header_asks_for_no_pause():
    assert pause_asked({"Date": "now"}) is None


def test_only_trouble_that_may_pass_is_passing():
    assert all(map(is_passing, (408, 429, 500, 502, 503, 504, 507)))
    assert not any(map(is_passing, (200, 302, 400, 401, 403, 404, 409, 416, 501)))
