"""What is predicted and how it is scored: metric, task, form of the submission, rule for labels."""

from __future__ import annotations

import re

import pandas as pd
from pandas.api import types

from kagglekit.contracts import Decision, Form, Task
from kagglekit.errors import DataError, preview
from kagglekit.look.download import Download
from kagglekit.look.findings import Notes
from kagglekit.look.metric import metric_name
from kagglekit.look.several import (
    decision_of_several,
    form_of_targets,
    guess_of_several,
    task_of_several,
)
from kagglekit.look.target import Target
from kagglekit.metrics import COLUMNWISE, METRICS, get_metric

__all__ = ["find_decision", "find_form", "find_metric", "find_task"]


def find_metric(download: Download, target: Target, slug: str, page: str | None, notes: Notes) -> str:
    """kagglekit's name for the metric: the page's, or a guess.

    Raises
    ------
    DataError
        Masks are asked for.
    """
    if page and re.search(r"\bdice\b", page.lower()):
        raise DataError(
            f"{slug} asks for masks, and no model of kagglekit predicts them.",
            hint="Its data lie in the folder now: train a model of your own, and send its file with the kaggle "
            "command. kagglekit.masks writes and reads the run-length text.",
        )
    found = metric_name(page, several=bool(target.targets)) if page else None
    if found:
        notes.reasons["metric"] = f"The competition's metric: {page}."
        return found
    notes.guesses.append("metric")
    guess, why = guess_of_several(target) if target.targets else _guess(download, target)
    if page:
        why = f"The page says '{page}', which kagglekit does not know. {why}"
    known = ", ".join(COLUMNWISE if target.targets else METRICS)
    notes.reasons["metric"] = f"A GUESS: {why} Read the competition's evaluation page. Known: {known}."
    return guess


def _guess(download: Download, target: Target) -> tuple[str, str]:
    name, y = target.name, target.y
    n = y.nunique()
    if not target.looks_like_classes:
        why = f"'{name}' holds {n:,} distinct numbers."
        if float(y.min()) >= 0 and pd.Series(y, dtype=float).to_frame().skew().iloc[0] > 1:
            why += " They are lopsided, so it may well be rmsle."
        return "rmse", why
    if target.wide:
        return "log_loss", "the sample submission has one column for each class."
    answers = download.sample.iloc[:, 1]
    if n == 2 and types.is_float_dtype(answers) and (answers % 1 != 0).any():
        return "roc_auc", "two classes, and the sample submission holds fractions."
    if target.is_whole and n > 2:
        return "accuracy", f"'{name}' holds {n} distinct whole numbers; if their order matters, it may be qwk."
    return "accuracy", f"'{name}' holds {n} distinct labels."


def find_task(target: Target, metric: str, images: bool, notes: Notes) -> Task:
    """Classes or numbers, of images or tables.

    Raises
    ------
    DataError
        The metric is of numbers, and the target holds none.
    """
    if target.targets:
        return task_of_several(target, metric, images, notes)
    name, y = target.name, target.y
    if get_metric(metric).needs == "values":
        if not types.is_numeric_dtype(y):
            raise DataError(
                f"The metric {metric} needs numbers, but '{name}' holds {y.iloc[0]!r}.",
                hint="Is it the competition's metric? Name the right one with --metric.",
            )
        notes.reasons["task"] = f"'{name}' holds numbers from {y.min():g} to {y.max():g}, mean {y.mean():g}."
        return "image-regression" if images else "regression"
    counts = y.value_counts()
    named = [f"{label} ({n:,})" for label, n in counts.items()]
    notes.reasons["task"] = f"{len(counts)} classes: {preview(named, most=12)} of {len(y):,} rows."
    return "image-classification" if images else "classification"


def find_form(download: Download, target: Target, metric: str, notes: Notes) -> Form:
    """What a row of the submission holds."""
    if target.targets:
        return form_of_targets(metric, notes)
    if target.wide:
        notes.reasons["form"] = f"{download.sample_name} has {download.sample.shape[1] - 1} columns of answers."
        return "probabilities"
    forms: dict[str, Form] = {"labels": "label", "values": "value", "ranking": "ranking", "positive": "probability"}
    form = forms.get(get_metric(metric).needs, "probability")
    first = download.sample.iloc[:1, 1].dropna().tolist()
    shown = f"The sample's first row holds {first[0]!r}." if first else "The sample leaves them empty."
    plural = {"ranking": "labels in order of belief", "probability": "probabilities"}.get(form, f"{form}s")
    notes.reasons["form"] = f"{metric} is computed from {plural}. {shown}"
    return form


def find_decision(target: Target, metric: str, notes: Notes) -> Decision:
    """How labels are to be made of probabilities."""
    if target.targets:
        return decision_of_several(metric, notes)
    if metric in ("f1", "f1_macro", "mcc") and target.y.nunique() == 2:
        notes.reasons["decision"] = (
            f"The best threshold for {metric} is seldom one half. It is fitted on other folds than it is scored on."
        )
        return "threshold"
    if metric != "qwk" or not types.is_integer_dtype(target.y) or target.y.nunique() < 3:
        return "argmax"
    notes.reasons["decision"] = (
        "Kappa pays for how far off a label is. So labels are cuts of the expected class, under which every class "
        "gets its share of the training rows; on rows that did not choose the cuts this was measured to beat the "
        'likeliest class ("argmax").'
    )
    return "shares"
