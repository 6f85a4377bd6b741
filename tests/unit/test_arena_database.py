import resource
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kagglekit.arena.database import Database, LimitUsed, SubmissionRecord, stamp
from kagglekit.errors import DiskError

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def submit(database: Database, now: datetime = NOON, limit: int = 3, slug: str = "meadow") -> SubmissionRecord:
    upload = database.start_upload(slug, "s.csv", 10, now)
    return database.add_submission(
        upload, fingerprint="f", team="competitor", description="", daily_limit=limit, now=now
    )


def test_what_is_written_is_read_back_by_another_connection(tmp_path: Path):
    record = submit(Database(tmp_path / "arena.db"))
    again = Database(tmp_path / "arena.db")
    assert again.submission(record.ref) == record and again.pending() == [record]
    again.set_scores(record.ref, 0.5, None)
    assert [r.status for r in again.scored("meadow", "f")] == ["complete"]
    assert again.pending() == [] and again.scored("meadow", "other") == []


def test_the_limit_counts_one_utc_day_and_not_what_was_refused(tmp_path: Path):
    database = Database(tmp_path / "arena.db")
    late = NOON.replace(hour=23, minute=59, second=59)
    refused = submit(database, late)
    database.set_error(refused.ref, "no such id")
    for _ in range(3):
        submit(database, late)
    with pytest.raises(LimitUsed):
        submit(database, late)
    submit(database, late, slug="other")
    submit(database, late + timedelta(seconds=1))
    assert database.used_today("meadow", "competitor", late) == 3


def test_one_upload_is_one_submission(tmp_path: Path):
    database = Database(tmp_path / "arena.db")
    upload = database.start_upload("meadow", "s.csv", 10, NOON)
    facts = {"fingerprint": "f", "team": "competitor", "description": "", "daily_limit": 1, "now": NOON}
    assert database.add_submission(upload, **facts) == database.add_submission(upload, **facts)


def test_threads_that_race_never_pass_the_limit(tmp_path: Path):
    database, taken, refused = Database(tmp_path / "arena.db"), [], []

    def attempt() -> None:
        try:
            taken.append(submit(database, limit=5).ref)
        except LimitUsed:
            refused.append(1)

    threads = [threading.Thread(target=attempt) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(taken)) == 5 and len(refused) == 7


def test_a_full_disk_is_one_clear_line_and_loses_nothing(tmp_path: Path):
    database = Database(tmp_path / "arena.db")
    record = submit(database)
    # The size at which the disk is full: a file may not grow beyond it.
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 14, hard))
    try:
        with pytest.raises(DiskError, match=r"arena\.db cannot be written .* disk"):
            database.start_upload("meadow", "x" * (1 << 16), 1, NOON)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert database.submission(record.ref) == record


def test_a_place_that_holds_no_database_is_one_clear_line(tmp_path: Path):
    (tmp_path / "arena.db").mkdir()
    with pytest.raises(DiskError, match="unable to open"):
        Database(tmp_path / "arena.db")


moments = st.datetimes(datetime(2000, 1, 1), datetime(2099, 1, 1)).map(lambda d: d.replace(tzinfo=UTC))


@given(moments, moments)
def test_stamps_sort_as_their_moments(a: datetime, b: datetime):
    millis = [m.replace(microsecond=m.microsecond // 1000 * 1000) for m in (a, b)]
    assert (stamp(a) < stamp(b)) == (millis[0] < millis[1])
