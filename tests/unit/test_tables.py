from pathlib import Path

import pandas as pd
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from strategies import quick

from kagglekit.errors import DataError
from kagglekit.tables import ChunkedTable, exact_ids, read_table


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


CELLS = ["", "NA", "1", "-2", "007", "2.5", "1e3", "True", "False", "red", "a b"]


@given(st.lists(st.tuples(*[st.sampled_from(CELLS)] * 3), min_size=1, max_size=8), st.integers(1, 4))
@settings(max_examples=20, deadline=None, derandomize=True, phases=[Phase.generate])
def test_pieces_are_the_whole_table(tmp_path_factory, cells, rows):
    lines = [",".join([str(i), *row]) for i, row in enumerate(cells)]
    path = table(tmp_path_factory.mktemp("t"), "\n".join(["id,a,b,y", *lines]) + "\n")
    whole = read_table(path, id_column="id", target="y")
    chunked = ChunkedTable(path, id_column="id", target="y", rows=rows)
    pieces = list(chunked.pieces())
    assert [len(piece) for piece in pieces[:-1]] == [rows] * (len(pieces) - 1)
    pd.testing.assert_frame_equal(pd.concat(pieces), whole)
    pd.testing.assert_frame_equal(pd.concat(chunked.pieces(["y", "id"])), whole[["y", "id"]])
    present = whole.dropna(axis=1, how="all").columns
    assert (chunked.example()[present].dtypes == whole[present].dtypes).all()
    assert chunked.example()[present].notna().all(axis=None)


@pytest.mark.parametrize("ids", [["1", "2", "x"], ["x", "1", "2"], ["1", "02", "3"], ["1", "", "3"]])
def test_ids_in_pieces_are_those_of_the_whole(tmp_path, ids):
    path = table(tmp_path, "id,x\n" + "".join(f"{i},1\n" for i in ids))
    pieces = pd.concat(ChunkedTable(path, id_column="id", rows=1).pieces())
    pd.testing.assert_frame_equal(pieces, read_table(path, id_column="id"))


def test_what_is_no_table_is_refused_in_pieces_as_well(tmp_path):
    for text in ("", "a,b\n1,2\n1,2,3,4\n"):
        path = table(tmp_path, text)
        with pytest.raises(DataError, match="not a CSV table") as whole:
            read_table(path)
        with pytest.raises(DataError) as pieces:
            ChunkedTable(path)
        assert str(pieces.value) == str(whole.value)
