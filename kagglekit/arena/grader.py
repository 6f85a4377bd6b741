"""The grader: a submitted table in, a public and a private score out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from kagglekit import forms
from kagglekit.arena.hosted import USAGE, Hosted, read_table
from kagglekit.contracts import Competition
from kagglekit.errors import DataError, SubmissionError
from kagglekit.metrics import get_metric

__all__ = ["Grade", "grade", "grade_file"]


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
    truth = solution.set_index(competition.id)[competition.target]
    usage = solution.set_index(competition.id)[USAGE]
    metric = get_metric(competition.metric)

    def score(*parts: str) -> float:
        rows = truth[usage.isin(parts)]
        return forms.grade(metric, rows, frame, competition, sample) if len(rows) else math.nan

    return Grade(score("Public"), score("Private"), score("Public", "Private"))
