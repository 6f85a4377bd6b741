import json

import pytest

from kagglekit.contracts import Submission
from kagglekit.errors import StoreError
from kagglekit.ledger import Ledger


def sent(ref: str, sha: str = "s", status: str = "pending") -> Submission:
    return Submission("arena", "slug", "run-1", "f.csv", sha, "m", 0.5, 0.01, ref, status=status)


def test_lines_are_only_ever_added(tmp_path):
    ledger = Ledger(tmp_path / "ledger.jsonl")
    ledger.append(sent("1"))
    first = ledger.path.read_bytes()
    ledger.append(sent("1").scored("complete", 0.7, None))
    assert ledger.path.read_bytes().startswith(first)
    assert [(s.ref, s.status, s.public) for s in ledger.submissions()] == [("1", "complete", 0.7)]


def test_a_file_is_found_by_its_bytes_unless_it_was_refused(tmp_path):
    ledger = Ledger(tmp_path / "ledger.jsonl")
    assert ledger.with_file("s") is None
    ledger.append(sent("1", status="error"))
    assert ledger.with_file("s") is None
    ledger.append(sent("2"))
    assert ledger.with_file("s").ref == "2"
    assert ledger.with_file("other") is None


@pytest.mark.parametrize("line", ["{", json.dumps({"ref": "1"}), json.dumps({"nonsense": 1})])
def test_a_damaged_line_is_named(tmp_path, line):
    path = tmp_path / "ledger.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(StoreError, match="line 1"):
        Ledger(path).submissions()
