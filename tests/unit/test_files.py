"""Files are complete or absent, and archives cannot write elsewhere."""

from __future__ import annotations

import errno
import hashlib
import stat
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import quick

from kagglekit.errors import DataError, DiskError, StoreError
from kagglekit.files import (
    atomic,
    atomic_folder,
    disk_errors,
    lock,
    read_json,
    sha256,
    unzip,
    write_json,
    write_text,
)


def test_a_file_appears_whole_and_nothing_else_stays(tmp_path):
    write_text(tmp_path / "new" / "note.txt", "grüß")
    assert (tmp_path / "new" / "note.txt").read_text(encoding="utf-8") == "grüß"
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["note.txt"]


@pytest.mark.parametrize("failure", [KeyboardInterrupt, ValueError])
def test_a_failure_leaves_the_old_content(tmp_path, failure):
    path = tmp_path / "note.txt"
    write_text(path, "old")
    with pytest.raises(failure), atomic(path) as file:
        file.write(b"half of the ne")
        raise failure
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_gets_the_usual_mode(tmp_path):
    (tmp_path / "plain").touch()
    write_text(tmp_path / "ours", "x")
    assert stat.S_IMODE((tmp_path / "ours").stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


def test_a_folder_appears_whole_and_replaces_the_old_one(tmp_path):
    target = tmp_path / "runs" / "one"
    for content in ("first", "second"):
        with atomic_folder(target) as folder:
            (folder / content).touch()
            assert not (target / content).exists()
    assert [p.name for p in target.iterdir()] == ["second"]
    assert [p.name for p in target.parent.iterdir()] == ["one"]


def test_a_folder_that_fails_leaves_the_old_one(tmp_path):
    with atomic_folder(tmp_path / "run") as folder:
        (folder / "kept").touch()
    with pytest.raises(KeyboardInterrupt), atomic_folder(tmp_path / "run") as folder:
        (folder / "half").touch()
        raise KeyboardInterrupt
    assert [p.name for p in tmp_path.rglob("*")] == ["run", "kept"]


@pytest.mark.parametrize(
    ("number", "says"), [(errno.ENOSPC, "is full"), (errno.EDQUOT, "is full"), (errno.EROFS, "cannot be written")]
)
def test_disk_trouble_is_one_clear_line(tmp_path, number, says):
    with pytest.raises(DiskError, match=says), disk_errors(tmp_path):
        raise OSError(number, "trouble")


def test_other_system_errors_pass(tmp_path):
    with pytest.raises(OSError, match="trouble"), disk_errors(tmp_path):
        raise OSError(errno.EIO, "trouble")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@quick
@given(value=json_values)
def test_json_comes_back_as_it_went(tmp_path_factory, value):
    path = tmp_path_factory.mktemp("json") / "v.json"
    write_json(path, value)
    assert read_json(path) == value


def test_json_is_sorted_and_damage_is_named(tmp_path):
    write_json(tmp_path / "v.json", {"b": 1, "a": 2})
    assert (tmp_path / "v.json").read_text() == '{\n  "a": 2,\n  "b": 1\n}\n'
    (tmp_path / "v.json").write_text('{"a": ')
    with pytest.raises(StoreError, match=r"v\.json is not valid JSON"):
        read_json(tmp_path / "v.json")


def test_sha256_is_that_of_the_bytes(tmp_path):
    (tmp_path / "f").write_bytes(b"paddy" * 100_000)
    assert sha256(tmp_path / "f") == hashlib.sha256(b"paddy" * 100_000).hexdigest()


def test_a_lock_has_one_holder_and_is_freed_after_a_failure(tmp_path):
    path = tmp_path / "deep" / "lock"
    with pytest.raises(KeyError), lock(path, busy="taken"):
        with pytest.raises(StoreError, match="taken"), lock(path, busy="taken"):
            pass
        raise KeyError
    with lock(path, busy="taken"):
        assert path.exists()


def archive(folder: Path, members: dict[str, bytes], name: str = "a.zip") -> Path:
    with zipfile.ZipFile(folder / name, "w", zipfile.ZIP_DEFLATED) as zipped:
        for member, content in members.items():
            zipped.writestr(member, content)
    return folder / name


def test_unzip_keeps_folders_and_content(tmp_path):
    into = tmp_path / "out"
    into.mkdir()
    files = unzip(archive(tmp_path, {"train.csv": b"1", "images/blast/1.jpg": b"2"}), into)
    assert {p.relative_to(into).as_posix(): p.read_bytes() for p in files} == {
        "train.csv": b"1",
        "images/blast/1.jpg": b"2",
    }


@pytest.mark.parametrize("name", ["../out.txt", "/etc/out.txt", "a/../../out.txt", "a\\b.txt"])
def test_unzip_refuses_names_that_climb_and_writes_nothing(tmp_path, name):
    into = tmp_path / "out"
    into.mkdir()
    with pytest.raises(DataError, match="must not be extracted"):
        unzip(archive(tmp_path, {"good.txt": b"1", name: b"2"}), into)
    assert not list(into.iterdir())


def test_unzip_refuses_links_and_repeated_names(tmp_path):
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "link.zip", "w") as zipped:
        zipped.writestr(link, "/etc/passwd")
    with zipfile.ZipFile(tmp_path / "twice.zip", "w") as zipped:
        zipped.writestr("a", "1")
        with pytest.warns(UserWarning, match="Duplicate name"):
            zipped.writestr("a", "2")
    for name in ("link.zip", "twice.zip"):
        with pytest.raises(DataError, match="must not be extracted"):
            unzip(tmp_path / name, tmp_path)


def test_unzip_refuses_a_bomb(tmp_path):
    with pytest.raises(DataError, match="more than the 1,000 allowed"):
        unzip(archive(tmp_path, {"zeros": bytes(10_000)}), tmp_path, most_bytes=1000)


@pytest.mark.parametrize("spoil", [lambda b: b[: len(b) // 2], lambda b: b"<html>" + b[6:60], lambda b: b""])
def test_unzip_names_a_damaged_archive(tmp_path, spoil):
    path = archive(tmp_path, {"train.csv": b"12345678" * 50})
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(DataError, match=r"a\.zip is not a sound zip file"):
        unzip(path, tmp_path)


def test_unzip_notices_a_flipped_byte(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_STORED) as zipped:
        zipped.writestr("train.csv", b"0123456789" * 10)
    content = (tmp_path / "a.zip").read_bytes()
    (tmp_path / "a.zip").write_bytes(content.replace(b"0123456789", b"0123456780", 1))
    with pytest.raises(DataError, match="not a sound zip"):
        unzip(tmp_path / "a.zip", tmp_path)
