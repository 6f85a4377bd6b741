"""Every page in a real Chromium: light, dark and on a phone, without a word in the console or an empty picture."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import browser
import numpy as np
import pytest
from browser import Chromium, check
from meadow import SLUG, write_folder
from stories import sent, story
from suspects import desk
from vision_pictures import draw

from kagglekit.arena import hosting
from kagglekit.arena.server import Arena
from kagglekit.clean import CleaningPage
from kagglekit.report import write_board, write_report

WIDE = "a_word_that_is_far_longer_than_a_phone_is_wide_and_has_no_place_to_break_it"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Chromium]:
    command = browser.find()
    assert command is not None, "collected only where there is one"
    with Chromium(command) as opened:
        yield opened


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every picture that the images of `stories` may name."""
    folder = tmp_path_factory.mktemp("images")
    for number in range(20):
        rng = np.random.default_rng(number)
        draw((200, 60, 40), rng, width=60 + number, height=60).save(folder / f"r{number:03d}.png")
    return folder


TASKS = [("classification", "accuracy"), ("regression", "rmse"), ("image-classification", "accuracy")]


@pytest.mark.parametrize(("task", "metric"), TASKS)
def test_the_report(chromium, images, tmp_path, task, metric):
    facts = {"task": task, "metric": metric, "folder": images}
    ledger = [sent(story(**facts).runs["pad"], 0.75)]
    path = write_report(story(submissions=ledger, **facts), tmp_path / "report.html")
    assert check(chromium, path.as_uri()) == []


def test_the_board(chromium, tmp_path):
    assert check(chromium, write_board(story(title=WIDE), tmp_path / "board.html").as_uri()) == []


@pytest.mark.parametrize(("task", "metric"), TASKS)
def test_the_cleaning_page(chromium, images, task, metric):
    with CleaningPage(desk(images, n=12, task=task, metric=metric)) as page:
        assert check(chromium, page.url) == []


def test_a_label_is_mended_by_hand(chromium, tmp_path):
    made = desk(tmp_path)
    with CleaningPage(made) as page:
        chromium.open(page.url, width=390)
        chromium.evaluate("document.querySelector('select[name=row-0]').value = '2'")
        chromium.submit("form")
        assert "Saved. cleaning.csv: 1 label changed" in chromium.evaluate("document.body.innerText")
        assert chromium.evaluate("document.querySelector('select[name=row-0]').value") == "2"
        assert chromium.said() == []
    assert dict(made.corrections()) == {"r000": "cow"}


def test_the_pages_of_the_arena(chromium, tmp_path):
    with Arena(tmp_path / "home") as arena:
        assert check(chromium, arena.url) == [], "nothing hosted"
        hosting.create(write_folder(tmp_path / "folder"), tmp_path / "home", SLUG, metric="accuracy", title=WIDE)
        assert check(chromium, arena.url) == []
        assert check(chromium, f"{arena.url}/competitions/{SLUG}") == []


POLICY = "<meta http-equiv='Content-Security-Policy' content=\"img-src 'none'\">"
FAULTY = {
    "empty picture": "<svg aria-labelledby='x' width='10' height='10'></svg>",
    "image without pixels: lost": "<img src='data:image/png;base64,AAAA' alt='lost'>",
    "scrolls sideways": "<div style='width: 3000px'>wide</div>",
    "console: odd": "<script>console.log('odd')</script>",
    "console: Uncaught": "<script>nothing.there()</script>",
    "Content Security Policy": f"{POLICY}<img src='data:,x'>",
    "no words": "<script>document.body.innerHTML = ''</script>",
    "other scheme": "<style>body { background: white !important; color: black !important }</style>",
}


HEAD = (
    "<!doctype html><head><link rel='icon' href='data:,'>"
    "<style>:root { color-scheme: light dark } body { background: Canvas; color: CanvasText }</style></head>"
)


@pytest.mark.parametrize("fault", FAULTY)
def test_a_fault_is_found(chromium, tmp_path, fault):
    page = tmp_path / "page.html"
    page.write_text(f"{HEAD}<body>words {FAULTY[fault]}")
    assert any(fault in found for found in check(chromium, page.as_uri()))


def test_a_page_without_a_fault_has_none(chromium, tmp_path):
    page = tmp_path / "page.html"
    page.write_text(f"{HEAD}<body>words")
    assert check(chromium, page.as_uri()) == []


def test_a_page_that_is_not_there_is_no_page(chromium, tmp_path):
    with pytest.raises(RuntimeError, match="ERR_FILE_NOT_FOUND"):
        check(chromium, (tmp_path / "none.html").as_uri())
