"""Baselines: what a team would score that looked at the training answers only, or fitted a simple model."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import pandas as pd

from kagglekit.arena.grader import grade
from kagglekit.arena.hosted import Baseline
from kagglekit.contracts import Competition, Label
from kagglekit.errors import DataError, SubmissionError
from kagglekit.metrics import get_metric

__all__ = ["SAMPLE", "constant_answers", "graded"]

SAMPLE = "Sample submission"


def constant_answers(
    competition: Competition, sample: pd.DataFrame, train_target: pd.Series | None
) -> dict[str, pd.DataFrame]:
    """The sample submission, and one answer for every row.

    Parameters
    ----------
    competition : Competition
    sample : DataFrame
    train_target : Series or None
        The target column of the training table. Without it there is only the sample submission.

    Returns
    -------
    dict of str to DataFrame
        By team.
    """
    answers: dict[str, Callable[[], pd.DataFrame]] = {SAMPLE: lambda: sample}
    if train_target is not None and len(train_target):
        answers |= _constants(competition, sample, train_target)
    return {team: answer() for team, answer in answers.items()}


def graded(
    answers: Mapping[str, pd.DataFrame], competition: Competition, sample: pd.DataFrame, solution: pd.DataFrame
) -> dict[str, Baseline]:
    """Scores by team; an answer that the competition refuses, or that has no finite score, is left out."""
    lines = {team: _graded(team, answer, competition, sample, solution) for team, answer in answers.items()}
    return {team: line for team, line in lines.items() if line is not None}


def _graded(
    team: str, answer: pd.DataFrame, competition: Competition, sample: pd.DataFrame, solution: pd.DataFrame
) -> Baseline | None:
    try:
        grades = grade(competition, sample, solution, answer)
    except (SubmissionError, DataError):
        # For instance an empty target column, or a metric that is not defined for a constant.
        return None
    return Baseline(team, grades.public, grades.private) if math.isfinite(grades.public) else None


def _constants(
    competition: Competition, sample: pd.DataFrame, target: pd.Series
) -> dict[str, Callable[[], pd.DataFrame]]:
    counts = target.value_counts()
    # value_counts leaves the order of equal counts to the rows; the smaller label first depends on nothing.
    ranked = sorted(counts.index, key=lambda label: (-counts[label], str(label)))
    if competition.form == "value":
        return {
            "Mean of the training target": lambda: _filled(sample, float(target.mean())),
            "Median of the training target": lambda: _filled(sample, float(target.median())),
        }
    if competition.form == "ranking":
        k = get_metric(competition.metric).k
        return {"Most common classes": lambda: _filled(sample, " ".join(str(c) for c in ranked[:k]))}
    if competition.form == "mask":
        return {}
    if competition.form == "label":
        return {"Majority class": lambda: _filled(sample, ranked[0])}
    shares = counts / counts.sum()
    if competition.form == "probability":
        positive = competition.classes[1]
        return {"Training share of the positive class": lambda: _filled(sample, float(shares.get(positive, 0.0)))}
    return {"Training shares of the classes": lambda: _shares(competition, sample, shares)}


def _filled(sample: pd.DataFrame, value: Label | float) -> pd.DataFrame:
    return sample.assign(**{str(sample.columns[1]): value})


def _shares(competition: Competition, sample: pd.DataFrame, shares: pd.Series) -> pd.DataFrame:
    by_name = {str(label): float(share) for label, share in shares.items()}
    return sample.assign(**{c: by_name.get(c, 0.0) for c in competition.columns})
