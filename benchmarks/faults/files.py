"""Files from elsewhere: archives that nobody should extract, submissions that nobody should send."""

from __future__ import annotations

import time
from pathlib import Path

import malformed
import pandas as pd
from hostile import HOSTILE
from world import Row, folder, hashes

from kagglekit.archives import unzip
from kagglekit.errors import KagglekitError, SubmissionError
from kagglekit.files import atomic_folder
from kagglekit.submission_file import read_submission

__all__ = ["hostile", "malformed_files", "million", "valid_files"]


def hostile() -> Row:
    """Extract each hostile archive, and look at what is outside afterwards."""
    refused = outside = 0
    for make in HOSTILE.values():
        with folder() as work:
            path = work / "a.zip"
            path.write_bytes(make())
            before = hashes(work)
            try:
                with atomic_folder(work / "data" / "raw") as into:
                    unzip(path, into)
            except KagglekitError:
                refused += 1
            outside += hashes(work) != before
    total = len(HOSTILE)
    figure = f"{refused} refused, {outside} left anything"
    return Row(
        f"hostile archives ({total})", f"{total} refused, 0 bytes outside", figure, refused == total and not outside
    )


def malformed_files() -> Row:
    """Check every malformed file."""
    with folder() as work:
        messages = [_refusal(work / "s.csv", kind) for kind in malformed.MALFORMED]
    distinct, total = len({m for m in messages if m}), len(messages)
    figure = f"{sum(map(bool, messages))} refused, {distinct} messages"
    return Row(f"malformed submissions ({total} kinds)", "all refused, all distinct", figure, distinct == total >= 30)


def _refusal(path: Path, kind: str) -> str:
    given, content = malformed.MALFORMED[kind]
    path.unlink(missing_ok=True)
    if content is not None:
        path.write_bytes(content)
    try:
        read_submission(path, given.competition, given.sample)
    except SubmissionError as error:
        return str(error)
    return ""


def valid_files(n: int) -> Row:
    """Check valid files of every form, written in every way."""
    refused = 0
    with folder() as work:
        for seed in range(n):
            given, content = malformed.valid(seed)
            (work / "s.csv").write_bytes(content)
            try:
                read_submission(work / "s.csv", given.competition, given.sample)
            except SubmissionError:
                refused += 1
    return Row(f"valid submissions ({n})", "0 refused", f"{refused} refused", not refused)


def million() -> Row:
    """Check a file of a million rows with text ids, and one with whole numbers."""
    seconds = []
    with folder() as work:
        for ids in ([f"{i:07d}.jpg" for i in range(1_000_000)], list(range(1_000_000))):
            (work / "s.csv").write_text("id,target\n" + "\n".join(f"{i},0.1234567" for i in ids))
            sample = pd.DataFrame({"id": ids, "target": 0.0})
            start = time.process_time()
            read_submission(work / "s.csv", malformed.VALUE.competition, sample)
            seconds.append(time.process_time() - start)
    figure = " and ".join(f"{s:.2f} s" for s in seconds)
    return Row("1,000,000 rows, text and number ids", "under 0.5 s of CPU", figure, max(seconds) < 0.5)
