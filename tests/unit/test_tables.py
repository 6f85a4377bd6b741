from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import quick

from kagglekit.errors import DataError
from kagglekit.tables import exact_ids, read_table


def table(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "t.csv"
    path.write_text(text, encoding=encoding)
    return path


def test_ids_stay_as_they_are_written(tmp_path):
    path = table(tmp_path, "id,x\n00060,1\n00061,\n")
    assert list(read_table(path, id_column="id")["id"]) == ["00060", "00061"]
    assert read_table(path)["x"].isna().sum() == 1


def test_words_that_pandas_takes_for_missing_are_ids_and_labels(tmp_path):
    frame = read_table(table(tmp_path, "id,y,x\nNA,None,NA\nb,null,1\nc,,2\n"), id_column="id", target="y")
    assert list(frame["id"]) == ["NA", "b", "c"]
    assert list(frame["y"][:2]) == ["None", "null"]
    assert frame["y"].isna().tolist() == [False, False, True]
    assert frame["x"].isna().tolist() == [True, False, False]


def test_numbers_stay_numbers(tmp_path):
    frame = read_table(table(tmp_path, "id,y\n1,0.5\n2,\n"), id_column="id", target="y")
    assert frame["id"].dtype == "int64"
    assert frame["y"].dtype == "float64"
    assert frame["y"].isna().sum() == 1


def test_an_empty_id_is_missing(tmp_path):
    assert read_table(table(tmp_path, "id,x\n,1\nb,2\n"), id_column="id")["id"].isna().sum() == 1


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path):
    assert list(read_table(table(tmp_path, "id,x\n1,1\n", "utf-8-sig"), id_column="id")) == ["id", "x"]


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00i"])
def test_what_is_no_table_is_one_line(tmp_path, content):
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match="not a CSV table") as error:
        read_table(path, id_column="id")
    assert "\n" not in str(error.value)


@quick
@given(st.lists(st.from_regex(r"-?[0-9]{1,20}", fullmatch=True), min_size=1, max_size=8))
def test_every_id_prints_back_to_what_was_written(words):
    assert list(exact_ids(pd.Series(words)).astype(str)) == words
