"""Retries: how often, how long and after what pause something is asked again that may be asked twice.

Only what does no harm when it happens twice is given here; a submission is not (see `sending`).
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, TypeVar

from kagglekit.errors import MissingExtra, Unreachable

if TYPE_CHECKING:
    from tenacity import RetryCallState

__all__ = ["Patience", "Progressing", "is_passing", "pause_asked", "persist"]

T = TypeVar("T")


@dataclass(frozen=True)
class Patience:
    """How long to keep trying.

    Parameters
    ----------
    connect, read : float
        Seconds until a connection stands, and between two bytes.
    attempts : int
        Tries of one call. For transfers: tries in a row that brought no byte.
    budget : float
        Seconds that one call may take, all its tries and pauses together. For transfers: seconds without a byte.
    first_pause, longest_pause : float
        Seconds. Pauses double from the first to the longest, each shortened by chance, so that many clients do not come
        back at one moment. A pause that the site asks for is kept up to the longest.
    settle : float
        Seconds that a site may need until its list of submissions shows one whose answer was lost.
    """

    connect: float = 10.0
    read: float = 60.0
    attempts: int = 6
    budget: float = 180.0
    first_pause: float = 0.5
    longest_pause: float = 30.0
    settle: float = 12.0

    @classmethod
    def near(cls) -> Patience:
        """For a site on this computer, which answers at once or never."""
        return cls(connect=5.0, read=30.0, attempts=6, budget=60.0, first_pause=0.02, longest_pause=2.0, settle=0.3)


class Progressing:
    """The end of retries for a transfer: it may break off any number of times as long as it comes on.

    Parameters
    ----------
    patience : Patience
    done : callable
        Bytes that have arrived.
    """

    def __init__(self, patience: Patience, done: Callable[[], int]) -> None:
        self._patience, self._done = patience, done
        self._most, self._barren, self._since, self._counted = done(), 0, time.monotonic(), 0

    def start_over(self) -> None:
        """Forget how far it came: what had arrived was of no use."""
        self._most = 0

    def barren(self, attempt: int) -> int:
        """Tries up to this one, the last included, that brought nothing."""
        if attempt != self._counted:
            self._counted = attempt
            if (done := self._done()) > self._most:
                self._most, self._barren, self._since = done, 0, time.monotonic()
            else:
                self._barren += 1
        return self._barren

    def __call__(self, state: RetryCallState) -> bool:
        barren = self.barren(state.attempt_number)
        waited = time.monotonic() - self._since + state.upcoming_sleep
        return barren >= self._patience.attempts or (barren > 0 and waited >= self._patience.budget)


def persist(what: Callable[[], T], patience: Patience, progress: Progressing | None = None) -> T:
    """Call until it works: again after each `Unreachable`, until patience is at its end.

    Parameters
    ----------
    what : callable
        May happen twice without harm.
    patience : Patience
    progress : Progressing, optional
        For transfers: only tries that bring nothing count.

    Raises
    ------
    Unreachable
        The last one.
    MissingExtra
        tenacity is not installed.
    """
    tenacity = _tenacity()
    result: T = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(Unreachable),
        wait=_Pause(patience, progress),
        stop=progress or tenacity.stop_after_attempt(patience.attempts) | tenacity.stop_before_delay(patience.budget),
        sleep=time.sleep,
        reraise=True,
    )(what)
    return result


class _Pause:
    """Seconds before the next try: what the site asked for, within limits, else doubling with jitter."""

    def __init__(self, patience: Patience, progress: Progressing | None) -> None:
        self._patience, self._progress = patience, progress

    def __call__(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = error.retry_after if isinstance(error, Unreachable) else None
        tries = self._progress.barren(state.attempt_number) if self._progress else state.attempt_number - 1
        first, longest = self._patience.first_pause, self._patience.longest_pause
        jitter = random.uniform(first / 2, max(first, min(longest, first * 2.0**tries)))
        return jitter if asked is None else min(longest, max(asked, jitter))


def is_passing(status: int) -> bool:
    """Whether an HTTP status tells of trouble that may pass: too many requests, a busy or broken server."""
    return status in (408, 425, 429) or (status >= 500 and status != 501)


def pause_asked(headers: Mapping[str, str], now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> float | None:
    """Seconds that a Retry-After header asks for; None when there is none, or none that can be meant.

    Source: RFC 9110, section 10.2.3: a number of seconds, or a date.

    >>> pause_asked({"Retry-After": "7"})
    7.0
    >>> pause_asked({"Retry-After": "soon"}) is None
    True
    """
    text = next((value.strip() for name, value in headers.items() if name.lower() == "retry-after"), "")
    if text.isascii() and text.isdigit():
        seconds = float(text)
    else:
        try:
            moment = parsedate_to_datetime(text)
        except ValueError:
            return None
        seconds = (moment.replace(tzinfo=moment.tzinfo or UTC) - now()).total_seconds()
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


def _tenacity() -> Any:
    try:
        import tenacity
    except ModuleNotFoundError as error:
        raise MissingExtra("Talking to Kaggle or the arena", "tenacity", "kaggle") from error
    return tenacity
