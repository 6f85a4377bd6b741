"""The page on which labels are marked: what it shows, what it writes, and to whom it answers."""

from __future__ import annotations

import http.client
import io
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser
from urllib.parse import urlencode

import pytest
from page_reader import Page
from PIL import Image
from stories import ODD
from suspects import FOREST, desk
from vision_pictures import pictures

from kagglekit.clean import CleaningPage
from kagglekit.clean.page import cleaning_page
from kagglekit.errors import DataError, MissingExtra, UsageError
from kagglekit.serving import require


def ask(url: str, path: str = "/", form: dict[str, str] | None = None, **headers: str):
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=10)
    body = None if form is None else urlencode(form)
    connection.request("GET" if form is None else "POST", path, body, headers)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer, content


def token_of(url: str) -> str:
    return re.search(r'name="token" value="([^"]+)"', ask(url)[1].decode())[1]


class Form(HTMLParser):
    """What a browser would send: the chosen option of each select, the value of each input."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.values: dict[str, str] = {}
        self.options: dict[str, list[str]] = {}
        self._select = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if tag == "input":
            self.values[given["name"]] = given["value"]
        elif tag == "select":
            self._select = given["name"]
        elif tag == "option":
            self.options.setdefault(self._select, []).append(given["value"])
            if "selected" in given:
                self.values[self._select] = given["value"]


def test_the_worst_rows_come_with_what_is_known_of_them(tmp_path):
    first, *_ = desk(tmp_path).suspects
    assert (first.id, first.given, first.guess, first.picture) == ("r000", "ant", "bee", "")
    assert dict(first.said) == {"true": "ant, 10.0 %", "predicted": "bee, 80.0 %"}
    assert dict(first.columns)["soil"] == "clay"
    page = Page(cleaning_page(desk(tmp_path), "t"))
    assert all(word in page.text for word in ("r000", "clay", "keep ant", "relabel: bee", "leave the row out"))
    assert "nothing changed" in page.text


def test_the_page_is_sound_whatever_the_data_hold(tmp_path):
    made = desk(tmp_path)
    odd = replace(made.suspects[0], id=ODD, given=ODD, columns=((ODD, "\x00"),))
    text = cleaning_page(replace(made, suspects=[odd], comp=ODD, run=ODD), ODD)
    assert ODD in Page(text).text
    assert "<script" not in text
    assert "\x00" not in text


def test_what_is_saved_is_shown_again_and_can_be_taken_back(tmp_path):
    made = desk(tmp_path)
    made.save({"row-0": "1", "row-1": "out", "row-2": "keep", "row-3": "0"})
    assert made.file.read_text() == "id,kind\nr000,bee\nr001,\n"  # row 3 is an ant already
    form = Form(cleaning_page(made, "t"))
    assert [form.values[f"row-{i}"] for i in range(4)] == ["1", "out", "keep", "keep"]
    assert form.options["row-0"] == ["keep", "1", "2", "out"]
    assert "1 label changed, 1 row left out" in Page(cleaning_page(made, "t")).text
    made.save(form.values | {"row-0": "keep"})
    assert made.file.read_text() == "id,kind\nr001,\n"


def test_corrections_of_other_rows_are_kept(tmp_path):
    made = desk(tmp_path)
    made.file.write_text("id,kind\nr111,cow\nr000,cow\n")
    assert "(1 of them not on this page)" in cleaning_page(made, "t")
    made.save({"row-0": "keep", "row-1": "out"})
    assert dict(made.corrections()) == {"r111": "cow", "r001": None}


@pytest.mark.parametrize("choice", ["3", "-1", "²", "value", "x", ""])
def test_a_decision_that_cannot_be_is_refused_and_nothing_written(tmp_path, choice):
    made = desk(tmp_path)
    with pytest.raises(UsageError, match="nothing was saved"):
        made.save({"row-0": "1", "row-1": choice})
    assert not made.file.exists()


def test_values_are_set_to_numbers(tmp_path):
    made = desk(tmp_path, task="regression", metric="rmse")
    made.save({"row-0": "value", "value-0": "2.5", "row-1": "out", "row-2": "keep", "value-2": "7"})
    ids = [s.id for s in made.suspects]
    assert dict(made.corrections()) == {ids[0]: 2.5, ids[1]: None}
    form = Form(cleaning_page(made, "t"))
    assert (form.values["row-0"], form.values["value-0"]) == ("value", "2.5")
    for text in ("much", "inf", ""):
        with pytest.raises(UsageError, match="needs a number"):
            made.save({"row-0": "value", "value-0": text})
    made.save({"row-0": "value", "value-0": made.suspects[0].given})
    assert dict(made.corrections()) == {ids[1]: None}


def test_a_class_that_somebody_wrote_into_the_file_is_named(tmp_path):
    made = desk(tmp_path)
    made.file.write_text("id,kind\nr000,bea\n")
    with pytest.raises(DataError, match="no class 'bea'"):
        made.corrections()
    with CleaningPage(made) as page:
        answer, content = ask(page.url)
    assert answer.status == 400
    assert b"no class &#x27;bea&#x27;" in content


def test_next_steps_name_a_new_experiment_or_the_one_that_reads_the_file(tmp_path):
    made = desk(tmp_path)
    lines, commands = made.next_steps()
    assert lines.splitlines()[0] == "[experiments.forest-cleaned]"
    assert 'based_on = "forest"\ncleaning = "cleaning.csv"' in lines
    assert commands.splitlines()[1] == "kagglekit compare zoo forest forest-cleaned"
    bagged = {"forest": replace(FOREST, validation="oob")}
    assert replace(made, experiments=bagged).next_steps()[0].endswith('\nvalidation = "folds"')
    assert "validation" not in lines
    taken = {"forest": FOREST, "forest-cleaned": FOREST}
    assert replace(made, experiments=taken).next_steps()[0].startswith("[experiments.forest-cleaned-2]")
    reader = replace(FOREST, name="neat", based_on="forest", cleaning_file="cleaning.csv")
    lines, commands = replace(made, experiments={"forest": FOREST, "neat": reader}).next_steps()
    assert (lines, commands.splitlines()[0]) == ("", "kagglekit train zoo neat")
    assert '[experiments."a b"]' in replace(made, based_on="a b", experiments={}).words().replace("-cleaned", "")


def test_a_form_of_the_page_is_saved(tmp_path):
    made = desk(tmp_path)
    with CleaningPage(made) as page:
        assert page.url.startswith("http://127.0.0.1:")
        form = {"token": token_of(page.url), "row-0": "2"}
        answer, _ = ask(page.url, "/", form)
        assert (answer.status, answer.headers["location"]) == (303, "/?saved")
        answer, content = ask(page.url, "/?saved")
    assert b"Saved." in content
    assert dict(made.corrections()) == {"r000": "cow"}
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script" not in policy
    assert answer.headers["cache-control"] == "no-store"


def test_nobody_but_the_page_writes_and_no_other_name_is_served(tmp_path):
    made = desk(tmp_path)
    with CleaningPage(made) as page, CleaningPage(made) as other:
        for token in ("", "x", "é", token_of(other.url)):
            answer, _ = ask(page.url, "/", {"token": token, "row-0": "2"})
            assert answer.status == 403
        good = {"token": token_of(page.url), "row-0": "2"}
        for form in (None, good):
            assert ask(page.url, "/", form, Host="rebound.example")[0].status == 400
        assert ask(page.url, "/", good | {"row-0": "9"})[0].status == 400
        assert ask(page.url, "/", good | {"more": "x" * (5 << 20)})[0].status == 413
        assert ask(page.url, "/cleaning.csv")[0].status == 404
    assert not made.file.exists()


def test_pictures_go_by_their_place_on_the_page(tmp_path):
    X, _ = pictures(tmp_path / "pictures", 3)
    made = desk(tmp_path, task="image-classification")
    files = [X["path"].iloc[0], str(tmp_path / "gone.png")]
    suspects = [replace(s, picture=f) for s, f in zip(made.suspects[:2], files, strict=True)]
    with CleaningPage(replace(made, suspects=suspects)) as page:
        answer, content = ask(page.url, "/picture/0")
        assert answer.headers["content-type"] == "image/jpeg"
        with Image.open(io.BytesIO(content)) as sent, Image.open(files[0]) as kept:
            assert (sent.format, sent.size) == ("JPEG", kept.size)
        for path in ("/picture/1", "/picture/2", "/picture/-1", "/picture/..%2fcleaning.csv", f"/picture/{files[0]}"):
            assert ask(page.url, path)[0].status == 404
        links = [target for _, target in Page(ask(page.url)[1].decode()).links]
    assert "/picture/0" in links
    assert not [target for target in links if "pictures" in target]


def test_what_is_not_installed_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(MissingExtra, match=r"kagglekit\[arena\]"):
        require("The cleaning page")
