"""The grader: a submitted table in, a public and a private score out."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from kagglekit import forms
from kagglekit.arena.hosted import USAGE, Hosted, read_table
from kagglekit.contracts import Competition
from kagglekit.errors import DataError, PredictionsError, SubmissionError, preview
from kagglekit.metrics import get_metric

__all__ = ["Grade", "Score", "grade", "grade_file", "scorer"]

Score = Callable[[npt.NDArray[Any]], float]


@dataclass(frozen=True)
class Grade:
    """Scores on the two parts of the test rows and on all of them; NaN for a part that the solution lacks."""

    public: float
    private: float
    all_rows: float


def grade_file(hosted: Hosted, path: Path) -> Grade:
    """Grade a submitted CSV file.

    Raises
    ------
    SubmissionError
        The file is not a table, or not one that the competition accepts; says what is wrong.
    """
    if not path.is_file():
        raise SubmissionError(f"There is no file {path}.")
    try:
        frame = read_table(path, id_column=hosted.competition.id)
    except DataError as error:
        reason = error.message.removeprefix(path.name).strip()
        raise SubmissionError(f"The submission {reason}") from error
    return grade(hosted.competition, hosted.sample_frame(), hosted.solution_frame(), frame)


def grade(competition: Competition, sample: pd.DataFrame, solution: pd.DataFrame, frame: pd.DataFrame) -> Grade:
    """Grade a table against the solution.

    Parameters
    ----------
    competition : Competition
    sample : DataFrame
        The sample submission.
    solution : DataFrame
        Columns id, target and Usage ("Public", "Private"; rows of any other usage count nowhere).
    frame : DataFrame
        The submission.

    Raises
    ------
    SubmissionError
        The table breaks a rule of the competition.
    """
    usage = solution[USAGE].to_numpy()
    score = scorer(competition, sample, competition.answers(solution.set_index(competition.id)), frame)

    def of(*parts: str) -> float:
        rows = np.isin(usage, parts)
        return score(rows) if rows.any() else math.nan

    return Grade(of("Public"), of("Private"), of("Public", "Private"))


def scorer(competition: Competition, sample: pd.DataFrame, truth: Any, frame: pd.DataFrame) -> Score:
    """A function from a mask of the rows of `truth`, in its order, to a submission's score on them.

    The submission is checked once, here, and not for every part of the rows.

    Parameters
    ----------
    competition : Competition
    sample : DataFrame
        The sample submission.
    truth : Series, or DataFrame for several targets
        True answers by id.
    frame : DataFrame
        The submission, its rows in any order.

    Raises
    ------
    SubmissionError
        The table breaks a rule of the competition.
    PredictionsError
        `truth` has ids that the sample lacks.
    """
    metric, classes = get_metric(competition.metric), competition.classes
    forms.check_submission(frame, competition, sample, strict=False)
    given = forms.metric_input(frame, competition, sample)
    if len(unknown := truth.index[~truth.index.isin(given.index)]):
        raise PredictionsError(f"The solution has ids that the sample submission lacks: {preview(unknown)}.")
    given = given.loc[truth.index]
    y = metric.truth(truth, classes)
    if isinstance(given, pd.Series):
        predicted = metric.truth(given, classes)
    else:
        predicted = metric.predicted(metric.aligned(truth, given, classes), classes)
    if metric.per_row is None:
        return lambda rows: metric.function(y[rows], predicted[rows])
    each, finish = metric.per_row(y, predicted), metric.finish
    return lambda rows: float(finish(each[rows].mean()))
