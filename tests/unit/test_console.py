"""What people see at the end of `kagglekit submit`, as a golden file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd

from kagglekit.board import Row, change_words
from kagglekit.console import blend, outcome, table
from kagglekit.contracts import Predictions, Run, Submission
from kagglekit.flow import Outcome
from kagglekit.submit import Submitted

GOLDEN = Path(__file__).parents[1] / "golden" / "outcome.txt"


def row(name: str, score: float, **facts) -> Row:
    common = {
        "run": f"{name}-01234567",
        "kind": "oof",
        "standard_error": 0.01,
        "fit_score": None,
        "seconds": 61.0,
        "peak_mb": 500.0,
        "hypothesis": "why not",
        "change": "",
        "against": "",
        "verdict": "",
        "weights": {},
    }
    return Row(name=name, score=score, **{**common, **facts})


def result(**facts) -> Outcome:
    frame = Predictions(pd.DataFrame({"a": [0.5], "b": [0.5]}, index=pd.Index(["r"], name="id")))
    run = Run(
        name="blend",
        key="fedcba98",
        kind="blend",
        hypothesis="together",
        parent="crop",
        settings={},
        metric="accuracy",
        scores=(0.8, 0.9),
        data="d",
        folds="f",
        oof=frame,
        test=frame,
        seconds=1,
        peak_mb=1,
        weights={"crop": 0.25, "squish": 0.75},
        fit_score=0.91,
    )
    sent = Submission("arena", "s", run.id, "f.csv", "0" * 64, "m", 0.85, 0.05, "7", "complete", 0.8125)
    rows = [
        row("blend", 0.85, kind="blend", against="squish", verdict="no difference", hypothesis="together"),
        row("squish", 0.84, tied=True),
        row("crop", 0.80, against="squish", verdict="worse", change="resize squish -> crop"),
        row("nothing", 0.1, standard_error=None, kind="oob"),
    ]
    return Outcome(
        "A practice competition",
        "accuracy",
        rows,
        run,
        facts.get("submitted", Submitted(sent, repeated=True)),
        Path("f.csv"),
        3,
        12,
    )


def test_the_end_of_submit_is_as_it_was():
    text = outcome(result(), "accuracy", [("kagglekit board x", "to see")], {"data": Path("data/x")}) + "\n"
    assert text == GOLDEN.read_text()


def test_a_table_without_ties_does_not_explain_them():
    text = table([row("best", 0.9), row("worse", 0.1)], "accuracy")
    assert "=" not in text
    assert "tied" not in text


def test_a_dry_run_says_so():
    assert "nothing was sent" in outcome(result(submitted=None), "accuracy", [], {})


def test_another_model_is_one_change():
    assert change_words({"model": ("forest", "lightgbm"), "n_estimators": (100, None)}) == "model forest -> lightgbm"
    assert change_words({"size": (None, 192)}) == "size default -> 192"


def combined(**facts) -> Run:
    """A blend's run with everything that `ensemble` keeps of it."""
    study = {
        "reason": "auto chose greedy: accuracy moves by whole rows.",
        "warning": "few rows",
        "interval": [0.8, 0.9],
        "trajectory": [
            {"member": "crop", "fit_score": 0.86, "honest_score": 0.85, "honest_low": 0.84},
            {"member": "squish", "fit_score": 0.88, "honest_score": None, "honest_low": None},
        ],
        "members": [
            {"member": "crop", "alone": 0.8, "loss": -0.001, "alike": 0.5},
            {"member": "squish", "alone": 0.84, "loss": 0.02, "alike": 0.5},
        ],
        "correlation": {"crop": {"crop": 1.0, "squish": 0.5}, "squish": {"crop": 0.5, "squish": 1.0}},
        "rows": 100,
        "left_out": "r7, r9",
    }
    settings = {"model": "ensemble", "method": "auto", "members": ["crop-1", "squish-1"]}
    return replace(result().run, settings=settings, study=study, unscored=2, **facts)


def test_a_blend_tells_what_each_member_adds_and_both_scores():
    assert blend(combined()) + "\n" == (GOLDEN.parent / "blend.txt").read_text(encoding="utf-8")


def test_a_blend_without_weights_or_steps_says_less():
    run = combined(weights={})
    text = blend(replace(run, study={**run.study, "trajectory": [], "warning": "", "reason": ""}, unscored=0))
    assert "step" not in text
    assert "Note" not in text
    assert "took no part" not in text
    assert text.splitlines()[0] == "blend (auto): 2 members, 100 rows, blend-fedcba98"


def test_many_steps_are_cut_short():
    run = combined()
    steps = run.study["trajectory"] * 10
    assert blend(replace(run, study={**run.study, "trajectory": steps})).count("squish  ") < 15
