"""Built notebooks and scripts, rehearsed: what they are given, what is told of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kagglekit.errors import UsageError
from kagglekit.rehearsal import Sources, rehearse
from kagglekit.sandbox import Limits, find_jail, mounted_at

SEALED = find_jail() is not None


def built(tmp_path: Path, source: str, **metadata: Any) -> Path:
    folder = tmp_path / "built"
    folder.mkdir(exist_ok=True)
    facts = {"id": "ann/my-book", "code_file": "book.py", "kernel_type": "script", "competition_sources": ["flowers"]}
    (folder / "kernel-metadata.json").write_text(json.dumps(facts | metadata))
    (folder / "book.py").write_text(source)
    return folder


@pytest.fixture
def sources(tmp_path: Path) -> Sources:
    for name in ("data", "datasets/weights", "outputs/other/working"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "a.txt").write_text(name)
    return Sources(lambda slug: tmp_path / "data", tmp_path / "datasets", tmp_path / "outputs")


@pytest.mark.parametrize(
    ("layout", "places"),
    [
        ("old", ["flowers", "weights", "other"]),
        ("new", ["competitions/flowers", "datasets/ann/weights", "notebooks/ann/other"]),
    ],
)
def test_inputs_are_where_kaggle_has_them(tmp_path, sources, layout, places):
    source = "".join(f"print(open('/kaggle/input/{place}/a.txt').read())\n" for place in places)
    more = {"dataset_sources": ["ann/weights"], "kernel_sources": ["ann/other"]}
    found = rehearse(built(tmp_path, source, **more), sources, layout=layout)
    assert found.passed, found.words()
    assert found.as_json()["status"] == "COMPLETE" and found.as_json()["files"] == []
    assert "Rehearsed my-book in " in found.words() and str(found.place.working) in found.words()


def test_a_second_session_finds_the_output_of_the_first(tmp_path, sources):
    source = (
        "from pathlib import Path\n"
        "before = Path('/kaggle/input/my-book/n.txt')\n"
        "Path('/kaggle/working/n.txt').write_text(str(1 + (int(before.read_text()) if before.is_file() else 0)))\n"
    )
    folder = built(tmp_path, source, kernel_sources=["ann/my-book"])
    counted = [(rehearse(folder, sources).place.working / "n.txt").read_text() for _ in range(3)]
    assert counted == ["1", "2", "3"]


def test_a_failure_tells_its_reason_and_the_end_of_the_log(tmp_path, sources):
    found = rehearse(built(tmp_path, "print('so far')\nraise ValueError('no good')"), sources)
    assert not found.passed and found.as_json()["reason"] == "It failed: ValueError: no good"
    words = found.words().splitlines()
    assert words[-2].startswith("The rehearsal failed after") and words[-1] == "It failed: ValueError: no good"
    assert "  so far" in words and "  ValueError: no good" in words


def test_limits_hold(tmp_path, sources):
    found = rehearse(built(tmp_path, "import time; time.sleep(60)"), sources, limits=Limits(seconds=0.5))
    assert found.outcome.message == "It exceeded the time limit of 0.5 s."


def test_what_was_looked_for_in_vain_is_told(tmp_path, sources):
    source = "import socket\ntry: socket.gethostbyname('a.example.invalid')\nexcept OSError: pass"
    words = rehearse(built(tmp_path, source), sources).words()
    assert ("It looked for a.example.invalid, found no network" in words) == SEALED


def test_what_is_not_here_is_told_before_anything_runs(tmp_path, sources):
    with pytest.raises(UsageError, match="no built notebook"):
        rehearse(tmp_path, sources)
    with pytest.raises(UsageError, match="dataset ann/none is among the notebook's inputs"):
        rehearse(built(tmp_path, "", dataset_sources=["ann/none"]), sources)
    with pytest.raises(UsageError, match="output of the notebook ann/none"):
        rehearse(built(tmp_path, "", kernel_sources=["ann/none"]), sources)
    assert not (tmp_path / "outputs" / "my-book").exists()


def test_places_of_sources():
    assert mounted_at("competition", "", "titanic") == "titanic"
    assert mounted_at("kernel", "ann", "book", "new") == "notebooks/ann/book"
