"""The page as a whole: one file that stands alone, escapes what people wrote, and is the same for the same runs."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from page_reader import Page, check
from stories import ODD, N, beliefs, blend_of, material, prepared, run, sent, settings, story
from vision_pictures import COLOURS
from vision_pictures import draw as shape

from kagglekit.errors import MissingExtra
from kagglekit.report import write_board, write_report
from kagglekit.report.blocks import Note, Section
from kagglekit.report.drawing import draw
from kagglekit.report.images import thumbnail


def written(told, path: Path) -> Page:
    return check(write_report(told, path / "page.html").read_text(encoding="utf-8"))


def test_every_section_has_its_place(tmp_path):
    told = story()
    ledger = [sent(told.runs["pad"], 0.75)]
    page = written(story(submissions=ledger), tmp_path)
    assert page.titles == [
        "The story",
        "The board",
        "Score against time",
        "Cross-validation against the leaderboard",
        "One setting at a time",
        "Classes",
        "Calibration",
        "Parts of the data",
        "The largest losses",
        "The blend",
        "What matters",
        "How it was made",
    ]
    assert "no score here is a Kaggle score" in page.text
    assert "why crop" in page.text
    assert "0123456789ab" in page.text


def test_a_regression_tells_of_values(tmp_path):
    page = written(story(task="regression", metric="rmse", closer="squish"), tmp_path)
    assert "Values" in page.titles
    assert not {"Classes", "Calibration"} & set(page.titles)


def test_a_single_run_is_a_page(tmp_path):
    data = prepared()
    page = written(material(data, [run(data, "a", beliefs(data, {1}))]), tmp_path)
    assert page.titles[:2] == ["The story", "The board"]
    assert "Score against time" not in page.titles


def test_images_are_small_copies_inside_the_page(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(N):
        shape(COLOURS["blast"], rng).save(folder / f"r{i:03d}.png")
    page = written(story(task="image-classification", folder=folder, closer="squish"), tmp_path)
    assert len(page.images) == 15
    assert page.images[0]["alt"].startswith("id r000; true ant")


def test_what_people_wrote_is_escaped_everywhere(tmp_path):
    """Names, reasons, settings, labels and columns hold what could break HTML, SVG, a template or a formula."""
    data = prepared()
    made = [
        run(data, f"a{ODD}", beliefs(data, {1}), hypothesis=ODD, settings=settings(**{ODD: ODD})),
        run(data, f"b{ODD}", beliefs(data, {2}), minute=1, settings=settings(**{ODD: "other"}), parent=f"a{ODD}"),
    ]
    made.append(blend_of(data, beliefs(data), f"a{ODD}", f"b{ODD}"))
    page = written(material(data, made, title=ODD), tmp_path)
    assert page.text.count(ODD) > 10
    assert f"a{ODD}"[:17] + "…" in page.text  # as a label in a picture


def test_the_same_runs_give_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        data = prepared()
        made = [run(data, f"m{i}", beliefs(data, {i}), minute=i, settings=settings(depth=i)) for i in range(3)]
        write_report(material(data, made), tmp_path / f"{name}.html")
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_no_path_and_no_token_is_on_the_page(tmp_path, monkeypatch):
    monkeypatch.setenv("KAGGLE_API_TOKEN", "KGAT_secret")
    data = prepared(task="image-classification", folder=tmp_path / "images")
    own = settings(weights=str(tmp_path / "deep" / "lite0.safetensors"))
    made = [
        run(data, "a", beliefs(data, {1}), settings=settings(weights="none")),
        run(data, "b", beliefs(data, {2}), settings=own, hypothesis=f"weights of {tmp_path}/deep/lite0.safetensors"),
    ]
    text = written(material(data, made), tmp_path).text
    assert "lite0.safetensors" in text
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    for secret in (str(tmp_path), tmp_path.name, "KGAT_secret", str(Path.home())):
        assert secret not in page


def test_the_board_alone_is_a_page(tmp_path):
    page = check(write_board(story(), tmp_path / "board.html").read_text(encoding="utf-8"))
    assert page.titles == ["The board", "How it was made"]
    assert page.text.count("tied with best") == 2
    assert "why crop" in page.text
    assert len(page.drawn) == 1


def test_another_tools_section_stands_at_the_end(tmp_path):
    more = [Section("drift", "Drift", "Train against test.", [Note("none seen")])]
    path = write_report(story(), tmp_path / "page.html", more=more)
    assert check(path.read_text(encoding="utf-8")).titles[-2:] == ["Drift", "How it was made"]


@pytest.mark.parametrize(("package", "task"), [("jinja2", "classification"), ("matplotlib", "classification")])
def test_a_missing_package_is_named_and_nothing_is_written(monkeypatch, tmp_path, package, task):
    for name in [m for m in sys.modules if m.partition(".")[0] == package]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtra, match=rf"'{package}'.*kagglekit\[report\]"):
        write_report(story(task=task), tmp_path / "page.html")
    assert list(tmp_path.iterdir()) == []


def test_images_need_pillow(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingExtra, match=r"kagglekit\[vision\]"):
        thumbnail(tmp_path / "a.png")


def test_a_damaged_image_has_no_copy(tmp_path):
    (tmp_path / "a.png").write_bytes(b"not an image")
    assert thumbnail(tmp_path / "a.png") is None
    assert thumbnail(tmp_path / "absent.png") is None


def test_a_picture_takes_the_pages_colours_and_font():
    chart = draw("n", "Title <1>", "what it shows", lambda figure: figure.add_subplot().plot([1, 2]), height=100)
    assert "var(--line)" in chart.svg
    assert "font-family" not in chart.svg
    assert "DejaVu" not in chart.svg
    assert '<title id="n-title">Title &lt;1&gt;</title>' in chart.svg
    assert "xlink" not in chart.svg


def test_drawing_leaves_matplotlib_as_it_was():
    import matplotlib

    before = dict(matplotlib.rcParams)
    draw("n", "t", "w", lambda figure: figure.add_subplot().set_title("漢字 $x$"), height=100)
    assert dict(matplotlib.rcParams) == before
