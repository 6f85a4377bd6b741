"""A file is checked as the site will read it, before anything is sent."""

from __future__ import annotations

from pathlib import Path

import pytest
from malformed import LABEL, MALFORMED, VALUE, rows, text, valid

from kagglekit.errors import SubmissionError
from kagglekit.submission_file import read_submission


def refusal(path: Path, kind: str) -> str:
    given, content = MALFORMED[kind]
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SubmissionError) as raised:
        read_submission(path, given.competition, given.sample)
    return str(raised.value)


def test_every_malformed_file_has_a_message_of_its_own(tmp_path):
    said = {kind: refusal(tmp_path / f"s{i}.csv", kind) for i, kind in enumerate(MALFORMED)}
    assert len(said) >= 30
    plain = {kind: message.replace(f"s{i}.csv", "FILE") for i, (kind, message) in enumerate(said.items())}
    assert len(set(plain.values())) == len(plain)
    assert not [message for message in said.values() if "\n" in message or len(message) > 300]


SAYS = {
    "a row too wide": "Line 4 of the submission has 3 cell",
    "Latin-1": "not in UTF-8, in line 2",
    "ids without zeros": "lack the leading zeros of 00000.jpg",
    "ids as decimals": "turned into decimals, 1000 is a whole number",
    "percentages": "seem to be percentages",
    "class numbers": "1 may mean Brown Spot",
    "no header": "its first line must be: id,target",
    "semicolons": "separated by semicolons",
    "a decimal comma": "they have a decimal comma",
    "labels with underscores": "separate words in another way than Brown Spot",
}


@pytest.mark.parametrize("kind", SAYS)
def test_the_message_says_what_was_probably_meant(tmp_path, kind):
    assert SAYS[kind] in refusal(tmp_path / "s.csv", kind)


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(SubmissionError, match="is a folder"):
        read_submission(tmp_path, LABEL.competition, LABEL.sample)


@pytest.mark.parametrize("seed", range(40))
def test_a_valid_file_is_read_as_it_was_meant(tmp_path, seed):
    given, content = valid(seed)
    (tmp_path / "s.csv").write_bytes(content)
    frame = read_submission(tmp_path / "s.csv", given.competition, given.sample)
    assert frame["id"].tolist() == given.sample["id"].tolist()
    assert list(frame.columns) == list(given.sample.columns)


def test_another_order_is_allowed_where_the_site_allows_it(tmp_path):
    (tmp_path / "s.csv").write_bytes(text([rows(VALUE)[0], *rows(VALUE)[:0:-1]]))
    read_submission(tmp_path / "s.csv", VALUE.competition, VALUE.sample, strict=False)
