"""Why a run failed, in one line, from the end of what it wrote."""

from __future__ import annotations

import re
from collections.abc import Sequence

from kagglekit.errors import preview

__all__ = ["reason", "size_words", "time_words"]

_NETWORK = re.compile(
    r"Temporary failure in name resolution|Name or service not known|Network is unreachable|Failed to resolve"
    r"|NameResolutionError|Could not resolve host|No address associated with hostname|couldn't connect to"
    r"|Failed to establish a new connection|LocalEntryNotFoundError",
    re.IGNORECASE,
)
_READ_ONLY = re.compile(r"Read-only file system(?:: '([^'\n]*)')?")
_MODULE = re.compile(r"ModuleNotFoundError: No module named '([^']+)'")
_ERROR = re.compile(r"^[\w.]*(?:Error|Exception|Interrupt|Exit|Warning|Found)\b.*", re.MULTILINE)
_TRACEBACK = "Traceback (most recent call last)"
_LED_TO = ("During handling of the above exception", "The above exception was the direct cause")
_KILLED = 137
_FIRST_SIGNAL = 128


def reason(text: str, status: int, hosts: Sequence[str] = ()) -> str:
    """Say why a run ended with an exit status other than 0.

    Parameters
    ----------
    text : str
        What it wrote to its error stream, or the end of that.
    status : int
        As a shell gives it: 128 and more stand for a signal.
    hosts : sequence of str
        Names that it looked up; none can be found without internet.
    """
    last = _last_error(text)
    if _NETWORK.search(last):
        return f"It tried to reach {preview(dict.fromkeys(hosts)) or 'the network'}: kernels have no internet."
    if found := _READ_ONLY.search(last):
        place = f"{found[1]} is read-only" if found[1] else "it wrote to a read-only place"
        return f"It could not write: {place}. Only /kaggle/working is kept, and /tmp may be used."
    if found := _MODULE.search(last):
        return f"It imports '{found[1]}', which is neither on the image nor among its inputs ({found[0]})."
    if errors := _ERROR.findall(last):
        return f"It failed: {errors[-1].strip()}"
    return _by_status(text, status)


def _last_error(text: str) -> str:
    """The last traceback, with those that led to it."""
    *before, last = text.split(_TRACEBACK)
    while len(before) > 1 and any(words in before[-1] for words in _LED_TO):
        last = before.pop() + last
    return last


def _by_status(text: str, status: int) -> str:
    if status == _KILLED:
        return "It was killed from outside: this computer may have run out of memory."
    lines = [line for line in text.splitlines() if line.strip()]
    how = f"signal {status - _FIRST_SIGNAL}" if status > _FIRST_SIGNAL else f"exit status {status}"
    return f"It ended with {how}{f': {lines[-1].strip()}' if lines else '.'}"


def size_words(size: int) -> str:
    """A number of bytes for people.

    >>> size_words(3 << 30), size_words(200 << 20)
    ('3 GiB', '200 MiB')
    """
    return f"{size / (1 << 30):.3g} GiB" if size >= 1 << 30 else f"{size / (1 << 20):.3g} MiB"


def time_words(seconds: float) -> str:
    """A time for people.

    >>> time_words(7200), time_words(90), time_words(0.5)
    ('2 h', '1.5 min', '0.5 s')
    """
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"
