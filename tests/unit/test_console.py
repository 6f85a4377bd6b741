"""What people see at the end of `kagglekit submit`, as a golden file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd

from kagglekit.advice import Advice, Pair, Prospect, Step
from kagglekit.board import Row, change_words
from kagglekit.compare import Comparison, Seeds
from kagglekit.console import advice, blend, comparison, final_two, outcome, pushed, shakeup, table
from kagglekit.contracts import Predictions, Run, Submission
from kagglekit.flow import Outcome
from kagglekit.outlook import Outlook, RunForecast
from kagglekit.shakeup import Shakeup, Swap, residual
from kagglekit.stats import Difference, Interval
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
        facts.get("forecast", forecast(0.8125)),
        "flowers",
    )


def forecast(public: float | None, name: str = "blend") -> RunForecast:
    ahead = Shakeup(
        "accuracy", True, 0.85, 0.02, 0.03, 0.02, Interval(0.85, 0.78, 0.92), Interval(0.85, 0.8, 0.9), 400, 300, 700
    )
    if public is None:
        return RunForecast(name, f"{name}-01234567", ahead)
    return RunForecast(name, f"{name}-01234567", ahead, residual(ahead, public))


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


def compared(**facts) -> Comparison:
    row, all_ = Difference(0.0125, -0.001, 0.026, 0.96), Difference(0.0125, -0.011, 0.036, 0.85)
    seeds = Seeds(0.01, 4, 0.01, "5 folds")
    found = Comparison(
        "forest", "larger", "accuracy", 0.8, 0.8125, "no difference", all_, row, all_, 0.87, 1200, 700, 0.035, 3, 4000,
        seeds, ("one repeat tells little",),
    )  # fmt: skip
    return replace(found, **facts)


def test_a_comparison_says_the_verdict_and_what_would_decide():
    assert comparison(compared()) + "\n" == (GOLDEN.parent / "compare.txt").read_text(encoding="utf-8")


def test_a_comparison_says_less_where_less_is_known():
    text = comparison(compared(verdict="better", by_row=None, by_fold=None, p_private=None, more_seeds=0, notes=()))
    assert text.startswith("larger against forest: better\n")
    for words in ("by row", "by fold", "P(", "decide", "Note"):
        assert words not in text
    assert "No number of seeds" in comparison(compared(more_seeds=None))


def test_a_public_score_that_does_not_fit_raises_an_alarm():
    text = outcome(result(forecast=forecast(0.5)), "accuracy", [], {})
    assert "ALARM: the public score 0.50000 is 9.7 standard errors worse than CV 0.85000" in text
    assert "kagglekit drift flowers" in text
    for quiet in (forecast(0.84), forecast(None), None):
        assert "ALARM" not in outcome(result(forecast=quiet), "accuracy", [], {})


def test_forecasts_are_a_table_with_alarms_and_swaps():
    swap = Swap(0.25, 0.3, 0.2, 0.75)
    found = Outlook((forecast(0.5), forecast(0.84, "larger"), forecast(None, "forest")), (("blend", "forest", swap),))
    assert shakeup(found, "x") + "\n" == (GOLDEN.parent / "shakeup.txt").read_text(encoding="utf-8")


def advised(**facts) -> Advice:
    prospects = (
        Prospect("larger", 0.82, 12, "forest", 0.12, 0.01, 0.7, 0.03, 0.012),
        Prospect("forest", 0.81),
        Prospect("majority", 0.2, 70, "forest", 0.7, -0.6, 0.0, 0.05, 0.0),
    )
    pair = Pair("larger", "forest", 0.82, 0.66, 0.5)
    return replace(Advice(prospects, ("forest",), (Step("larger", 0.012),), pair, 100, 30, 70), **facts)


def test_advice_says_what_to_send_and_what_to_end_with():
    assert advice(advised()) + "\n" == (GOLDEN.parent / "advise.txt").read_text(encoding="utf-8")


def test_advice_without_anything_sent_or_worth_sending():
    bare = tuple(Prospect(p.name, p.cv) for p in advised().prospects)
    text = advice(advised(prospects=bare, sent=(), steps=(Step("larger", None),), pair=None))
    assert "Nothing was submitted yet" in text
    assert "larger  the best there is" in text
    assert text.endswith("there is one candidate only.")
    assert "Nothing left is worth a slot" in advice(advised(steps=()))
    assert "Not submitted yet" not in final_two(advised(sent=("forest", "larger")))


def test_a_practice_notebook_has_no_address_that_dies_with_the_command():
    url = "http://127.0.0.1:4711/code/competitor/kagglekit-flowers-forest"
    assert pushed("https://www.kaggle.com/code/ann/it", "kaggle") == "Pushed: https://www.kaggle.com/code/ann/it"
    words = pushed(url, "arena")
    assert "kagglekit arena serve" in words
    assert "/code/competitor/kagglekit-flowers-forest" in words and "4711" not in words
