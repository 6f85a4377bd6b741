"""Archives cannot write elsewhere, fill the disk, or bring what is not sound."""

from __future__ import annotations

from pathlib import Path

import pytest
from hostile import HOSTILE, bomb, zipped

from kagglekit.archives import check_names, unzip
from kagglekit.errors import DataError, DiskError
from kagglekit.files import atomic_folder


def save(folder: Path, content: bytes) -> Path:
    (folder / "a.zip").write_bytes(content)
    return folder / "a.zip"


def test_folders_and_content_are_kept(tmp_path):
    into = tmp_path / "out"
    into.mkdir()
    content = zipped(("train.csv", b"1"), ("images/", b""), ("images/blast/1.jpg", b"2"), ("Straße (1)/é.csv", b"3"))
    files = unzip(save(tmp_path, content), into)
    assert {p.relative_to(into).as_posix(): p.read_bytes() for p in files} == {
        "train.csv": b"1",
        "images/blast/1.jpg": b"2",
        "Straße (1)/é.csv": b"3",
    }


def test_there_are_forty_hostile_archives():
    assert len(HOSTILE) == 40


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_archive_is_refused_and_leaves_nothing(tmp_path, kind):
    path = save(tmp_path, HOSTILE[kind]())
    with pytest.raises(DataError, match=r"a\.zip") as raised, atomic_folder(tmp_path / "data" / "raw") as into:
        unzip(path, into)
    assert "\n" not in str(raised.value) and "\x1b" not in str(raised.value)
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["a.zip", "data"]


def test_the_total_has_a_limit(tmp_path):
    with pytest.raises(DataError, match="more than the 1,000 allowed"):
        unzip(save(tmp_path, zipped(("zeros", bytes(10_000)))), tmp_path, most_bytes=1000)


def test_what_the_disk_has_no_room_for_is_not_begun(tmp_path):
    with pytest.raises((DataError, DiskError), match=r"made to fill|has [\d,]+ left"):
        unzip(save(tmp_path, bomb(1 << 20, declared=(1 << 32) - 2)), tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["a.zip"]


SPOILING = {
    "cut": lambda b: b[: len(b) // 2],
    "a page": lambda b: b"<html>" + b[6:60],
    "nothing": lambda b: b"",
    "a program": lambda b: b"MZ" + b,
}


@pytest.mark.parametrize("spoil", SPOILING)
def test_a_damaged_archive_is_named(tmp_path, spoil):
    with pytest.raises(DataError, match=r"a\.zip is not a sound zip file"):
        unzip(save(tmp_path, SPOILING[spoil](zipped(("train.csv", b"12345678" * 50)))), tmp_path)


def test_a_name_that_leads_elsewhere_is_shown_in_full_only_where_it_is_short():
    with pytest.raises(DataError, match=r"The list holds .*'a/\.\./\.\./x'.*climbs") as raised:
        check_names("The list", ["a/../../x"])
    assert "Nothing was written" in raised.value.hint
    with pytest.raises(DataError, match=r"x{70,77}\.\.\.") as raised:
        check_names("The list", ["x" * 5000])
    assert len(raised.value.message) < 300
