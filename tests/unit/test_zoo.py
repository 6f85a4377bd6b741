"""The zoo: published accuracies, filters, who is best at its cost, and a probe that is kept."""

from __future__ import annotations

import json
import math
from itertools import combinations

import pytest
from fakes import Remembering

from kagglekit.console import zoo_table
from kagglekit.errors import DataError, UsageError
from kagglekit.zoo import (
    Result,
    Speed,
    cost_name,
    entries,
    filtered,
    known_speeds,
    plot,
    probe_speeds,
    read_results,
    shipped_results,
    speed,
    speeds_file,
)
from kagglekit.zoo.plot import drawing
from kagglekit.zoo.speed import counts

A = Result("small.a", "one", 70.0, 224, 5.0, 1.0)
B = Result("large.a", "one", 80.0, 224, 50.0, 10.0)
C = Result("wasteful.a", "two", 75.0, 224, 90.0, 12.0)
D = Result("uncounted.a", "two", 60.0, 224, 3.0)


def test_the_shipped_table_is_whole():
    found = shipped_results()
    assert len(found) >= 200
    assert len({one.model for one in found}) == len(found)
    by_name = {one.model: one for one in found}
    lite = by_name["tf_efficientnet_lite0.in1k"]
    assert (lite.family, lite.top1, lite.size) == ("efficientnet", 74.83, 224)
    assert lite.params == pytest.approx(4.65, abs=0.01)
    assert lite.gmacs == pytest.approx(0.40, abs=0.01)
    assert {"convnext_small.in12k_ft_in1k", "vit_small_patch16_224.augreg_in21k_ft_in1k"} <= set(by_name)
    assert all(50 < one.top1 < 91 and one.params > 1 and 0 < one.gmacs < 1000 for one in found)


def test_counting_agrees_with_what_is_known_of_resnet18():
    params, gmacs = counts("resnet18", 224)
    assert params == pytest.approx(11.69, abs=0.01)
    assert gmacs == pytest.approx(1.81, abs=0.02)


def test_a_file_of_timms_is_read_as_it_is(tmp_path):
    path = tmp_path / "results.csv"
    head = "model,top1,top1_err,top5,top5_err,param_count,img_size,crop_pct,interpolation\n"
    path.write_text(
        f'{head}resnet18.new,71.5,1,1,1,11.69,224,1.0,bicubic\nno_such.x,90.0,1,1,1,"1,014.45",560,1.0,bicubic\n'
        "tf_efficientnet_lite0.in1k,74.9,1,1,1,4.65,224,1.0,bicubic\n"
    )
    first, second, third = read_results(path)
    assert (first.model, first.family, first.top1) == ("resnet18.new", "resnet", 71.5)
    assert (second.params, second.family, math.isnan(second.gmacs)) == (1014.45, "no", True)
    assert (third.top1, third.family) == (74.9, "efficientnet")
    assert third.gmacs == pytest.approx(0.4, abs=0.02)


@pytest.mark.parametrize(
    "text", ["model,top1\nresnet18,70\n", "model,top1,img_size,param_count\nresnet18,high,224,1\n"]
)
def test_another_file_is_refused_with_what_it_should_be(tmp_path, text):
    path = tmp_path / "results.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=r"is no table of results.*model, top1, img_size and param_count"):
        read_results(path)
    with pytest.raises(DataError, match=r"cannot be read.*results-imagenet\.csv"):
        read_results(tmp_path / "absent.csv")


def test_filters_leave_the_most_accurate_first():
    assert [r.model for r in filtered([A, B, C, D])] == ["large.a", "wasteful.a", "small.a", "uncounted.a"]
    assert filtered([A, B, C, D], family="one", top=1) == [B]
    assert filtered([A, B, C, D], family="waste") == [C], "a part of the name"
    assert filtered([A, B, C, D], max_params=10) == [A, D]
    assert filtered([A, B, C, D], max_macs=2) == [A], "what was not counted is not known to be small"
    with pytest.raises(UsageError, match=r"family 'onne'\. Did you mean 'one'"):
        filtered([A, B], family="onne")
    with pytest.raises(UsageError, match="so small"):
        filtered([A, B], max_params=1)


def test_the_best_are_those_that_none_beats_at_their_cost():
    by_macs = entries([A, B, C, D], {})
    assert [e.result.model for e in by_macs if e.best] == ["small.a", "large.a"]
    assert "multiply-adds" in cost_name(by_macs)
    some = entries([A, B], {A.model: Speed(1, 2)})
    assert "multiply-adds" in cost_name(some), "times are compared where all have one"
    by_time = entries([A, B, C], {A.model: Speed(1, 9), B.model: Speed(1, 8), C.model: Speed(1, 2)})
    assert [e.result.model for e in by_time if e.best] == ["large.a", "wasteful.a"]
    assert "here" in cost_name(by_time)
    json.dumps([e.as_json() for e in by_macs], allow_nan=False)


def test_the_table_says_where_its_figures_come_from():
    text = zoo_table(entries([A, D], {A.model: Speed(1.25, 4.0)}), "a file")
    head, first, second = text.splitlines()[:3]
    assert head.split() == ["model", "family", "top-1", "px", "params", "GMACs", "predict", "train"]
    assert first.split() == ["*", "small.a", "one", "70.00", "224", "5.0", "M", "1.00", "1.2", "ms", "4.0", "ms"]
    assert second.split() == ["uncounted.a", "two", "60.00", "224", "3.0", "M"]
    assert "from a file" in text and "--probe" in text


def test_a_probe_is_kept_for_this_machine_and_not_repeated(tmp_path):
    path, told = tmp_path / "cache" / "zoo.json", Remembering()
    tiny = [Result("test_resnet.r160_in1k", "x", 1.0, 32, 0.5), Result("no_such_model", "x", 1.0, 32, 0.5)]
    found = probe_speeds(tiny, path, progress=told)
    assert set(found) == {"test_resnet.r160_in1k"}
    assert found["test_resnet.r160_in1k"].train_ms > 0 < found["test_resnet.r160_in1k"].predict_ms
    assert told.said == ["no_such_model cannot be probed: timm has no architecture 'no_such_model'."]
    assert known_speeds(path) == found
    assert known_speeds(path, "another machine") == {}
    written = path.read_bytes()
    assert probe_speeds(tiny[:1], path) == found
    assert path.read_bytes() == written
    for damaged in ("{", "[]", '{"here": []}', '{"here": {"a": {"ms": 1.0}}}', '{"here": {"a": 1.0}}'):
        path.write_text(damaged)
        assert known_speeds(path, "here") == {}


def test_what_another_process_probed_meanwhile_is_kept(tmp_path, monkeypatch):
    path = tmp_path / "zoo.json"
    one, other = (Result(name, "x", 1.0, 32, 0.5) for name in ("test_resnet.r160_in1k", "test_vit.r160_in1k"))

    def meanwhile(model: str, size: int) -> Speed:
        monkeypatch.undo()
        monkeypatch.setattr(speed, "probe_speed", lambda model, size: Speed(3.0, 4.0))
        probe_speeds([other], path)
        return Speed(1.0, 2.0)

    monkeypatch.setattr(speed, "probe_speed", meanwhile)
    probe_speeds([one], path)
    assert set(known_speeds(path)) == {one.model, other.model}


def test_probes_are_kept_in_the_users_cache(monkeypatch, tmp_path):
    assert speeds_file(tmp_path) == tmp_path / ".cache" / "kagglekit" / "zoo.json"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert speeds_file() == tmp_path / "xdg" / "kagglekit" / "zoo.json"


def test_the_plot_is_a_picture(tmp_path):
    plot(entries([A, B, C, D], {}), tmp_path / "new" / "zoo.png")
    assert (tmp_path / "new" / "zoo.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(UsageError, match="known cost"):
        plot(entries([D], {}), tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()


@pytest.mark.parametrize("found", [[A, B], [B, C]])  # over a decade, and within one
def test_costs_in_the_plot_are_plain_numbers(found):
    figure = drawing(entries(found, {}))
    figure.draw_without_rendering()
    (axes,) = figure.axes
    written = [label.get_text() for label in axes.get_xticklabels(which="both") if label.get_text()]
    assert len(written) >= 2
    assert all(float(text) > 0 for text in written)


def test_names_in_the_plot_cross_neither_the_frame_nor_each_other():
    (axes,) = drawing(entries([A, B, C, D], {})).axes
    assert {text.get_text() for text in axes.texts} == {"small", "large"}
    figure = drawing(entries(shipped_results(), {}))
    figure.draw_without_rendering()
    (axes,) = figure.axes
    boxes = [text.get_window_extent() for text in axes.texts]
    assert len(boxes) >= 15
    assert all(axes.bbox.x0 < box.x0 and box.x1 < axes.bbox.x1 for box in boxes)
    assert not any(a.overlaps(b) for a, b in combinations(boxes, 2))
