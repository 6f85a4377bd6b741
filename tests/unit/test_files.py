"""Files are complete or absent, and archives cannot write elsewhere."""

from __future__ import annotations

import errno
import hashlib
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import quick

from kagglekit.errors import DiskError, StoreError
from kagglekit.files import (
    atomic,
    atomic_folder,
    disk_errors,
    lock,
    read_json,
    sha256,
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
