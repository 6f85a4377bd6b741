"""Fakes that behave: a site that grades what it is sent, and a progress that remembers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pandas as pd

from kagglekit.gateway import RemoteSubmission, Site
from kagglekit.progress import Silent, Task


class FakeGateway:
    """A site in memory: takes submissions, scores them by accuracy, counts them."""

    def __init__(self, truth: pd.DataFrame, *, slow: bool = False, refuses: str = "") -> None:
        self.site = Site("arena", "http://127.0.0.1:0")
        self.truth = truth.set_index(truth.columns[0])
        self.sent: list[RemoteSubmission] = []
        self.slow, self.refuses = slow, refuses

    def submissions(self, slug: str) -> list[RemoteSubmission]:
        return list(self.sent)

    def submit(self, slug: str, file: Path, message: str) -> str:
        return self.create(slug, self.upload(slug, file), message, "[mark]")

    def upload(self, slug: str, file: Path) -> str:
        return str(file)

    def find(self, slug: str, mark: str) -> str:
        return next((s.ref for s in self.sent if mark in s.message), "")

    def create(self, slug: str, upload: str, message: str, mark: str) -> str:
        file = Path(upload)
        answers = pd.read_csv(file, index_col=0)
        right = (answers.iloc[:, 0] == self.truth.iloc[:, 0].loc[answers.index]).mean()
        ref = str(len(self.sent) + 1)
        self.sent.append(_remote(ref, file.name, f"{message} {mark}", float(right)))
        return ref

    def wait_for_score(self, slug: str, ref: str, *, timeout: float, progress: Silent) -> RemoteSubmission:
        found = next(s for s in self.sent if s.ref == ref)
        if self.refuses:
            return replace(found, status="error", public=None, error=self.refuses)
        return _remote(ref, found.file, found.message, None) if self.slow else found


def _remote(ref: str, file: str, message: str, public: float | None) -> RemoteSubmission:
    status = "pending" if public is None else "complete"
    return RemoteSubmission(
        ref=ref, file=file, message=message, status=status, public=public, private=None, date=None, error=""
    )


class Remembering(Silent):
    """Keeps what was said."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.bars: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    @contextmanager
    def task(self, name: str, total: float | None) -> Iterator[Task]:
        self.bars.append(name)
        with super().task(name, total) as task:
            yield task
