"""The command line as a person uses it, in a folder of its own, without leaving the process."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from flowers import tables, truth

from kagglekit.cli import main


@dataclass(frozen=True)
class Said:
    """What a command left behind."""

    status: int
    out: str
    err: str


Kagglekit = Callable[..., Said]


@pytest.fixture
def kagglekit(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Kagglekit:
    """Runs `kagglekit WORDS...` in `tmp_path`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*words: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["kagglekit", *words])
        status = 0
        try:
            main()
        except SystemExit as leaving:
            status = int(leaving.code or 0)
        said = capsys.readouterr()
        return Said(status, said.out, said.err)

    return run


@pytest.fixture
def flowers_folder(tmp_path: Path) -> Path:
    """What a competitor downloads, and the solution: a folder that `arena create` takes."""
    folder = tmp_path / "from-elsewhere"
    folder.mkdir()
    train, test, sample = tables()
    for name, frame in (("train", train), ("test", test), ("sample_submission", sample), ("solution", truth())):
        frame.to_csv(folder / f"{name}.csv", index=False)
    return folder
