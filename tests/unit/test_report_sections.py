"""What each section of a report says, against known truth."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix, recall_score
from stories import CLASSES, N, beliefs, blend_of, material, prepared, run, sent, settings, story

from kagglekit.errors import UsageError
from kagglekit.report.blends import blend_section
from kagglekit.report.calibration import calibration_section, expected_chance, reliability
from kagglekit.report.confusion import Confusion, confusion_section
from kagglekit.report.drawing import limits
from kagglekit.report.families import families_section, find_families
from kagglekit.report.groups import groups_section, parts_of, split_columns
from kagglekit.report.importance import importance_section, permutation_importance
from kagglekit.report.leaderboard import leaderboard_section, noise, scored
from kagglekit.report.losses import losses, losses_section
from kagglekit.report.proportions import wilson
from kagglekit.report.residuals import Residuals, residuals_section
from kagglekit.report.story import board_table, chapters, opening
from kagglekit.report.timing import progress_chart, timing_section
from kagglekit.report.words import number, percent, plural, printable, signed, span, trimmed


def tables(section) -> dict[str, list[dict[str, str]]]:
    """Rows of each table by its title, cells by column (a column of the same name takes a number)."""
    found = {}
    for block in section.blocks:
        if block.kind == "table":
            heads = [c.title for c in block.columns]
            names = [h if heads.index(h) == i else f"{h} {i}" for i, h in enumerate(heads)]
            found[block.title] = [dict(zip(names, row, strict=True)) for row in block.rows]
    return found


# Words


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.83333, "0.8333"), (12.345, "12.35"), (1234.5, "1,234"), (0, "0.0000"), (-0.5, "−0.5000"), (1.23e-5, "1.2e-05")],
)
def test_a_number_is_short(value, text):
    assert number(value) == text


def test_what_is_not_known_is_not_shown():
    assert [number(v) for v in (None, math.nan, math.inf)] == ["", "", ""]


def test_signs_spans_shares_and_counts():
    assert [signed(v) for v in (0.01, -0.01, 1e-17)] == ["+0.0100", "−0.0100", "0.0000"]
    assert span(-0.1, 0.25) == "−0.1000 to 0.2500"
    assert percent(1 / 14) == "7.1 %"
    assert (plural(1, "row"), plural(1234, "row")) == ("1 row", "1,234 rows")
    assert trimmed("abcdef", most=4) == "abc…"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("weights /home/me/lite0.pt -> default", "weights lite0.pt -> default"),
        ("~/models/a.pt", "a.pt"),
        ("file:///home/me/a.pt, at:/home/me/b.pt", "a.pt, at:b.pt"),
        ("'/home/me/a.pt'", "'a.pt'"),
        (r"C:\Users\me\a.pt", "a.pt"),
        ("and/or", "and/or"),
        ("1/2 or 3/4/5", "1/2 or 3/4/5"),
        ("https://www.kaggle.com/c/titanic/rules", "https://www.kaggle.com/c/titanic/rules"),
        ("/ alone, /one", "/ alone, /one"),
        ("a\x00b\tc", "a b c"),
    ],
)
def test_a_path_is_shown_by_its_name_alone(text, shown):
    assert printable(text) == shown


@given(st.text())
def test_what_is_printable_stays_as_it_is(text):
    assert printable(printable(text)) == printable(text)
    assert all(c.isprintable() for c in printable(text))


# Shares


@pytest.mark.parametrize(("hits", "n"), [(0, 5), (5, 5), (3, 10), (190, 200)])
def test_wilson_is_the_wilson_interval(hits, n):
    expected = binomtest(hits, n).proportion_ci(0.95, "wilson")
    low, high = wilson(hits, n)
    assert (float(low), float(high)) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_no_rows_say_nothing_of_a_share():
    assert [float(end) for end in wilson(0, 0)] == [0, 1]


# The material


def test_there_is_nothing_to_report_without_runs():
    with pytest.raises(UsageError, match="nothing to report"):
        material(prepared(), [])


def test_the_run_to_look_at_must_be_there():
    assert story(closer="crop").focus.name == "crop"
    assert story().focus.name == "blend"
    with pytest.raises(UsageError, match="Did you mean 'squish'"):
        story(closer="squich")


def test_an_interval_lies_around_the_runs_own_score():
    told = story()
    interval = told.interval("crop")
    assert interval.score == pytest.approx(2 / 3)
    low, high = (q - 2 / 3 for q in (interval.low, interval.high))
    spread = 1.96 * math.sqrt(2 / 9 / N)
    assert (low, high) == pytest.approx((-spread, spread), abs=0.02)


# The story


def test_the_story_is_in_the_order_of_making():
    told = chapters(story())
    assert [c.row.name for c in told] == ["majority", "squish", "crop", "pad", "blend"]
    assert [c.number for c in told] == [1, 2, 3, 4, 5]
    assert [c.is_best for c in told] == [True, True, False, True, True]
    assert [c.kind for c in told] == ["baseline", "", "", "", "blend"]
    assert [c.verdict for c in told][2:] == ["worse than squish", "no difference to squish", "no difference to squish"]
    assert all(0 <= c.strip[0] <= c.strip[1] <= c.strip[2] <= 100 for c in told)


def test_the_opening_counts_what_helped():
    text = opening(story())
    assert text.startswith("4 experiments and 1 blend. Best on rows it did not see: blend, accuracy 0.9333")
    assert "Tied with it, as the difference lies inside the noise: pad, squish." in text
    assert "Of 3 changes measured against what it changed, 0 helped, 1 hurt and 2 made no difference" in text


def test_the_board_shows_ties_and_leaves_out_empty_columns():
    table = board_table(story())
    heads = [c.title for c in table.columns]
    assert "public (practice)" not in heads
    place = heads.index("against the best")
    assert [row[place] for row in table.rows] == ["best", "tied with best", "tied with best", "", ""]


@given(st.lists(st.tuples(st.floats(-5, 5), st.floats(0, 3), st.booleans()), min_size=1))
def test_the_axis_holds_every_run_but_far_baselines(spans):
    low, high, minor = [s[0] for s in spans], [s[0] + s[1] for s in spans], [s[2] for s in spans]
    bottom, top = limits(low, high, minor)
    assert bottom < top
    held = [s for s, m in zip(zip(low, high, strict=True), minor, strict=True) if not m]
    assert all(bottom <= a and b <= top for a, b in held)


# Time


def test_the_best_score_grows_with_the_time_of_all_runs():
    chart = progress_chart(story())
    assert "5:15 at the end" in chart.words  # 60 + 61 + 62 + 63 + 69 seconds
    assert timing_section(material(prepared(), [run(prepared(), "a", beliefs(prepared()))])) is None


# The leaderboard


def test_only_this_sites_scored_files_count_and_each_once():
    told = story()
    a = told.runs["pad"]
    ledger = [
        sent(a, 0.7),
        sent(a, 0.75, ref="2"),  # the same file again
        sent(a, 0.9, site="kaggle", sha256="b" * 64),
        sent(a, None, ref="3", sha256="c" * 64),
        sent(a, 0.6, ref="4", sha256="d" * 64),
    ]
    told = story(submissions=ledger)
    assert [s.public for s in scored(told)] == [0.75, 0.6]
    section = leaderboard_section(told)
    assert "practice scores, not Kaggle's" in section.words
    (rows,) = tables(section).values()
    assert rows[0] == {
        "run": "pad",
        "CV": "0.9250",
        "± SE": number(a.standard_error),
        "public": "0.7500",
        "public − CV": "−0.1750",
    }
    assert leaderboard_section(story()) is None


def test_the_band_holds_scores_of_rows_drawn_alike():
    """A score on other rows less one on the training rows: both scatter, as their binomials do."""
    told, share = story(closer="crop"), 2 / 3
    spread = 1.96 * math.sqrt(share * (1 - share) * (1 / N + 1 / 40))
    assert noise(told, 40) == pytest.approx(spread, rel=0.15)


# One setting at a time


def test_a_family_differs_in_one_setting_and_begins_with_the_one_that_was_changed():
    (family,) = find_families(story().runs)
    assert family.key == "resize"
    assert family.members == (("squish", "squish"), ("crop", "crop"), ("pad", "pad"))


def test_a_default_that_is_named_is_no_other_experiment_and_bags_are_one_setting():
    data = prepared()
    plain = settings(resize="squish")
    bagged = {**plain, "bags": 10, "bagging": {"bootstrap": True}}
    made = {
        "a": run(data, "a", beliefs(data), settings=plain),
        "same": run(data, "same", beliefs(data), settings=dict(plain)),
        "bags": run(data, "bags", beliefs(data), settings=bagged),
        "two": run(data, "two", beliefs(data), settings=settings(resize="crop", depth=4)),
    }
    (family,) = find_families(made)
    assert family.key == "bags"
    assert [value for value, _ in family.members] == [0, 0, 10]


def test_values_are_compared_with_the_first_row_by_row():
    section = families_section(story())
    (rows,) = tables(section).values()
    assert [row["verdict"] for row in rows] == ["", "worse", "no difference"]
    assert [row["better than the first by"] for row in rows] == ["", "−0.2500", "+0.0083"]
    assert len([b for b in section.blocks if b.kind == "chart"]) == 1
    assert families_section(material(prepared(), [run(prepared(), "a", beliefs(prepared()))])) is None


# Classes


def test_the_confusion_matrix_is_scikit_learns():
    told = story(closer="crop")
    frame, y = told.decided(told.focus), told.prepared.y
    guess = frame.idxmax(axis=1).loc[y.index]
    found = Confusion.of(y, frame.sample(frac=1, random_state=1), CLASSES)
    assert (found.counts == confusion_matrix(y, guess, labels=list(CLASSES))).all()
    assert np.diag(found.shares) == pytest.approx(recall_score(y, guess, labels=list(CLASSES), average=None))
    assert found.worst[0][:3] == ("ant", "bee", 14)


def test_scores_of_each_class_stand_worst_first():
    section = confusion_section(story(closer="crop"))
    assert section.words.endswith("66.7 % right.")
    rows = tables(section)["Scores of each class"]
    assert [row["recall"] for row in rows] == sorted(row["recall"] for row in rows)
    assert {row["class"] for row in rows} == set(CLASSES)
    assert confusion_section(story(task="regression", metric="rmse")) is None


def test_a_class_without_rows_has_no_recall():
    y = pd.Series(["ant", "bee"], index=["a", "b"])
    frame = pd.DataFrame(np.eye(3)[:2], index=y.index, columns=list(CLASSES))
    found = Confusion.of(y, frame, CLASSES)
    assert found.shares[2].tolist() == [0, 0, 0]
    assert found.worst == []


# Calibration


def test_the_calibration_error_of_known_bins():
    p = np.repeat([0.2, 0.6], 20)
    event = np.r_[np.arange(20) < 8, np.arange(20) < 12]  # 0.4 where 0.2 was said, 0.6 where 0.6 was
    found = reliability(p, event)
    assert found.rows.tolist() == [20, 20]
    assert found.ece == pytest.approx(0.1)


@given(st.lists(st.sampled_from([0.1, 0.3, 0.30001, 0.9]), min_size=1, max_size=200), st.randoms())
def test_the_order_of_rows_does_not_matter_to_calibration(p, random):
    event = [random.random() < 0.5 for _ in p]
    rows = list(range(len(p)))
    random.shuffle(rows)
    one = reliability(np.array(p), np.array(event))
    other = reliability(np.array(p)[rows], np.array(event)[rows])
    assert one.rows.tolist() == other.rows.tolist()
    assert one.observed.tolist() == pytest.approx(other.observed.tolist())
    assert one.rows.sum() == len(p)
    assert (np.diff(one.predicted) > 0).all()


def test_perfect_probabilities_stay_within_chance_about_95_times_of_100():
    rng = np.random.default_rng(0)
    within = 0
    for seed in range(100):
        p = rng.random(200)
        within += reliability(p, rng.random(200) < p).ece <= expected_chance(p, seed)
    assert 89 <= within <= 100


def test_probabilities_that_are_too_sure_are_told():
    data = prepared()
    sure = material(data, [run(data, "sure", beliefs(data, set(range(40)), sure=0.99))])
    assert "off by more than chance" in calibration_section(sure).words
    honest = material(data, [run(data, "honest", beliefs(data, set(range(40)), sure=2 / 3))])
    assert "no miscalibration can be seen" in calibration_section(honest).words


def test_scores_that_are_no_probabilities_are_told():
    data = prepared()
    told = material(data, [run(data, "raw", beliefs(data) * 3)])
    assert "no probabilities" in calibration_section(told).blocks[0].words
    assert calibration_section(story(task="regression", metric="rmse")) is None


# Parts


def test_parts_are_the_groups_and_the_columns_of_few_levels():
    told = story(closer="crop")
    grouped = replace(told.prepared, competition=replace(told.competition, group="herd"))
    assert split_columns(told) == ["soil"]
    assert split_columns(replace(told, prepared=grouped)) == ["herd", "soil"]


def test_the_score_of_a_part_is_that_of_its_rows():
    parts = parts_of(story(closer="crop"), "soil")
    assert [(p.level, p.rows) for p in parts] == [("clay", 60), ("sand", 60)]
    assert [p.interval.score for p in parts] == pytest.approx([20 / 60, 1])  # rows 0 to 39 are wrong
    assert "Worst: clay" in groups_section(story(closer="crop")).blocks[0].words


def test_a_part_in_which_the_metric_is_not_defined_is_left_out():
    data = prepared()
    two = replace(data.competition, metric="roc_auc", classes=("ant", "bee"))
    rows = data.y[data.y != "cow"].index
    train = data.train.loc[rows].assign(side=lambda t: t["kind"].map({"ant": "a", "bee": "b"}))
    folds = replace(data.folds, assignment=pd.DataFrame({"r": np.arange(len(rows)) // 2 % 4}, index=rows))
    small = replace(data, competition=two, train=train, folds=folds)
    told = material(small, [run(small, "a", pd.DataFrame({"ant": 0.5, "bee": 0.5}, index=rows))])
    assert parts_of(told, "side") == []
    assert len(parts_of(told, "soil")) == 2


# Losses


def test_the_surest_errors_come_first():
    data = prepared()
    frame = beliefs(data, {7})
    frame.loc["r050"] = [0.05, 0.05, 0.9] if data.y["r050"] != "cow" else [0.9, 0.05, 0.05]
    ranked = losses(data, run(data, "a", frame))
    assert ranked.index[:2].tolist() == ["r050", "r007"]
    assert ranked.iloc[:2].tolist() == pytest.approx([-math.log(0.05), -math.log(0.1)], rel=1e-5)


def test_the_loss_of_a_value_is_its_distance():
    told = story(task="regression", metric="rmse", closer="squish")
    ranked = losses(told.prepared, told.focus)
    assert set(ranked.index[:10]) == {f"r{i:03d}" for i in range(10)}
    assert ranked.iloc[0] == pytest.approx(30, abs=1e-4)
    rows = tables(losses_section(told))["Rows with the largest loss"]
    assert rows[0]["off by"] == "+30.00"


def test_the_worst_rows_stand_with_their_columns():
    rows = tables(losses_section(story(closer="squish")))["Rows with the largest loss"]
    assert rows[0]["id"] == "r000"
    assert rows[0]["true"] == "ant, 10.0 %"
    assert rows[0]["predicted"] == "bee, 80.0 %"
    assert rows[0]["soil"] == "clay"


def test_images_that_cannot_be_read_are_counted():
    section = losses_section(story(task="image-classification"))
    assert section.blocks[0].pictures == []
    assert section.blocks[1].words == "15 images of these could not be read."


# The blend


def test_a_blend_is_told_as_its_run_tells_it():
    told = story()
    section = blend_section(told)
    assert "greedy, as told." in section.words
    assert "0.9500 on those that did" in section.words
    rows = tables(section)["Members"]
    assert [(r["member"], r["weight"], r["adds"]) for r in rows] == [
        ("pad", "0.7500", "+0.0050"),
        ("squish", "0.2500", "−0.0050"),
    ]
    charts = {b.name: b for b in section.blocks if b.kind == "chart"}
    assert set(charts) == {"members", "correlation", "trajectory"}
    assert "least alike are squish and pad (0.25)" in charts["correlation"].words
    notes = [b.words for b in section.blocks if b.kind == "note"]
    assert notes == ["few rows", "1 row took no part, as a member has no prediction for them: r007."]


def test_the_blend_that_is_looked_at_is_told_else_the_best():
    data = prepared()
    made = [run(data, n, beliefs(data, {i}), minute=i) for i, n in enumerate(("squish", "pad"))]
    other = replace(blend_of(data, beliefs(data, set(range(50))), "squish", "pad", weights={}), name="other")
    both = [*made, blend_of(data, beliefs(data, {1, 2}), "squish", "pad"), other]
    assert blend_section(material(data, both)).words.startswith("blend ")
    section = blend_section(material(data, both, closer="other"))
    assert section.words.startswith("other ")
    assert {row["weight"] for row in tables(section)["Members"]} == {""}
    assert blend_section(material(data, made)) is None


# Importance


def test_the_column_that_tells_the_class_matters():
    score, found = permutation_importance(story())
    assert score > 0.95
    assert found[0].column == "signal"
    assert found[0].mean > 0.4
    noise_ = next(i for i in found if i.column == "noise")
    assert abs(noise_.mean) < 0.1
    assert {i.column for i in found} == {"signal", "noise", "soil", "herd"}
    assert permutation_importance(story()) == (score, found)


def test_importance_is_for_tables_on_which_the_metric_is_defined():
    assert importance_section(story(task="image-classification")) is None
    section = importance_section(story(task="regression", metric="rmse"))
    assert tables(section)["Columns"][0]["column"] == "signal"


# Values


def test_residuals_are_binned_by_prediction():
    found = Residuals.of(np.arange(100.0)[::-1], np.arange(100.0)[::-1] + 2)
    assert found.predicted.tolist() == sorted(found.predicted.tolist())
    bins = found.bins()
    assert [b[0] for b in bins] == [10] * 10
    assert all(b[2] == pytest.approx(2) and b[3] == pytest.approx(0) for b in bins)
    assert len(Residuals.of(np.arange(5000.0), np.arange(5000.0)).shown()) == 700


def test_values_are_told_by_what_is_explained():
    told = story(task="regression", metric="rmse", closer="squish")
    y = told.prepared.y
    off = np.where(np.arange(N) < 10, 30.0, 0.5)
    explained = 1 - (off**2).sum() / ((y - y.mean()) ** 2).sum()
    words = residuals_section(told).words
    assert re.search(r"R² ([−\d.]+)", words)[1] == number(explained)
    assert f"mean residual {signed(-off.mean())}" in words
    assert residuals_section(story()) is None
