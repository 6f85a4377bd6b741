"""The desk: what the API's calls work with, what they are asked, and what they may answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from kagglekit.arena.database import Database
from kagglekit.arena.dataset_store import DatasetStore
from kagglekit.arena.identity import Identity
from kagglekit.arena.kernel_store import KernelStore
from kagglekit.arena.runner import Runner
from kagglekit.arena.signing import Signer

__all__ = ["Answer", "Call", "Desk", "Fields", "Redirect", "Refusal", "Stream", "download_path", "page", "score_text"]

T = TypeVar("T")

_DOWNLOAD_SECONDS = 6 * 3600
_LARGEST_PAGE = 200


class Refusal(Exception):
    """An answer other than 200.

    Parameters
    ----------
    status : int
        HTTP status.
    message : str
        What the caller should read.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


@dataclass(frozen=True)
class Redirect:
    """Where the bytes are: the claim of a download ticket, and the file name that the address ends in."""

    claim: Mapping[str, str]
    name: str


@dataclass(frozen=True)
class Stream:
    """An answer that comes in pieces, as they are made."""

    pieces: Iterator[str]
    media_type: str


@dataclass(frozen=True)
class Desk:
    """What the calls work with.

    Parameters
    ----------
    home : Path
    url : str
        The arena's own address, without a final slash.
    identity : Identity
    database : Database
        Uploads and submissions.
    datasets : DatasetStore
    kernels : KernelStore
    runner : Runner
        What becomes of a pushed notebook.
    signer : Signer
    now : callable
        The time, aware, in UTC.
    grade : callable
        Starts the grading of a submission by its ref, and returns at once.
    """

    home: Path
    url: str
    identity: Identity
    database: Database
    datasets: DatasetStore
    kernels: KernelStore
    runner: Runner
    signer: Signer
    now: Callable[[], datetime]
    grade: Callable[[int], None]


class Fields:
    """The fields of a request; the client leaves out those that have their default."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def text(self, name: str) -> str:
        return self._typed(name, str, "")

    def number(self, name: str) -> int:
        value = self._typed(name, int, 0)
        if abs(value) >= 1 << 63:
            raise Refusal(400, f"The field {name} must be a number of 64 bits.")
        return value

    def has(self, name: str) -> bool:
        """Whether it was sent; then it may still be what it is by default."""
        return self._values.get(name) is not None

    def flag(self, name: str) -> bool:
        value = self._values.get(name)
        if value is not None and not isinstance(value, bool):
            raise Refusal(400, f"The field {name} must be true or false.")
        return bool(value)

    def part(self, name: str) -> Fields:
        """The fields of an object inside this one."""
        return Fields(self._typed(name, dict, {}))

    def parts(self, name: str) -> list[Fields]:
        """A list of objects."""
        values: list[object] = self._typed(name, list, [])
        if not all(isinstance(v, dict) for v in values):
            raise Refusal(400, f"The field {name} must be a list of objects.")
        return [Fields(v) for v in values if isinstance(v, dict)]

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of words."""
        values: list[object] = self._typed(name, list, [])
        if not all(isinstance(v, str) for v in values):
            raise Refusal(400, f"The field {name} must be a list of text.")
        return tuple(str(v) for v in values)

    def _typed(self, name: str, kind: type[T], default: T) -> T:
        value = self._values.get(name)
        if value is None:
            return default
        if not isinstance(value, kind) or isinstance(value, bool):
            raise Refusal(400, f"The field {name} must be of type {kind.__name__}.")
        return value


Answer = dict[str, Any] | Redirect | Stream
Call = Callable[[Desk, Fields], Answer]


def page(items: Sequence[T], fields: Fields) -> tuple[list[T], str]:
    """One page of a list, and the token of the next; the token is the place where it starts."""
    size = min(max(fields.number("pageSize") or 20, 1), _LARGEST_PAGE)
    token, number = fields.text("pageToken"), max(fields.number("page"), 1)
    if token and not (token.isascii() and token.isdigit() and len(token) < 10):
        raise Refusal(400, "The page token is none of the arena's.")
    start = int(token) if token else (number - 1) * size
    end = start + size
    return list(items[start:end]), str(end) if end < len(items) else ""


def download_path(desk: Desk, redirect: Redirect) -> str:
    """The signed path of a download; its last part is the file name."""
    ticket = desk.signer.sign(redirect.claim, purpose="download", seconds=_DOWNLOAD_SECONDS)
    return f"/download/{ticket}/{quote(redirect.name)}"


def score_text(score: float) -> str:
    """Kaggle sends scores as text, with five decimals."""
    # Adding zero turns -0.0 into 0.0.
    return f"{round(score, 5) + 0.0:.5f}"
