"""A run's log: pieces of what it wrote, with the second in which it wrote them, as Kaggle keeps them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

__all__ = ["LogFile", "LogLine", "kaggle_log", "read_log"]

Stream = Literal["stdout", "stderr"]

_LONGEST = 64 << 20


@dataclass(frozen=True)
class LogLine:
    """A piece of what a notebook wrote, and how many seconds after its start."""

    stream: Stream
    seconds: float
    text: str

    def as_json(self) -> dict[str, str | float]:
        """By the names of Kaggle's log."""
        return {"stream_name": self.stream, "time": self.seconds, "data": self.text}


class LogFile:
    """Appends lines to a file, one JSON object each, until there are too many to be of use to anybody."""

    def __init__(self, file: IO[str]) -> None:
        self._file, self._left = file, _LONGEST

    def write(self, line: LogLine) -> None:
        if self._left <= 0:
            return
        self._left -= len(line.text)
        last = line if self._left > 0 else LogLine("stderr", line.seconds, "\nThe log is cut here: it is too long.\n")
        self._file.write(json.dumps(last.as_json()) + "\n")
        self._file.flush()


def read_log(path: Path) -> list[LogLine]:
    """All whole lines so far; none when there is no file yet."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    whole = text[: text.rfind("\n") + 1].splitlines()
    return [LogLine(v["stream_name"], v["time"], v["data"]) for v in map(json.loads, whole)]


def kaggle_log(lines: Sequence[LogLine]) -> str:
    """The log as Kaggle's `kernels output` saves it: a JSON list, a line to each piece."""
    return "[" + "\n,".join(json.dumps(line.as_json()) for line in lines) + "\n]"
