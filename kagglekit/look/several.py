"""What follows from several targets: how they are scored, what a row of the submission holds, what folds keep."""

from __future__ import annotations

from kagglekit.contracts import Decision, Form, Task, form_of_several
from kagglekit.errors import DataError, preview
from kagglekit.look.findings import Notes
from kagglekit.look.target import Target
from kagglekit.metrics import get_metric

__all__ = [
    "decision_of_several",
    "form_of_targets",
    "guess_of_several",
    "task_of_several",
    "words_of_folds",
]


def guess_of_several(target: Target) -> tuple[str, str]:
    """A metric that suits what the targets hold, and why."""
    if target.are_labels:
        return "columnwise_log_loss", "all targets hold labels 0 and 1."
    return "columnwise_rmse", "all targets hold numbers."


def task_of_several(target: Target, metric: str, images: bool, notes: Notes) -> Task:
    """Yes-or-no labels or numbers, as the metric needs.

    Raises
    ------
    DataError
        The metric is of labels, and the targets hold other numbers.
    """
    means = preview([f"{name} {target.table[name].mean():.3g}" for name in target.columns], most=12)
    if get_metric(metric).of_one_target.needs == "values":
        notes.reasons["task"] = f"Numbers, with means of {means}."
        return "image-regression" if images else "regression"
    if not target.are_labels:
        raise DataError(
            f"The metric {metric} needs labels 0 and 1, and not all of {preview(target.columns)} hold these alone.",
            hint="Is it the competition's metric? Name the right one with --metric.",
        )
    notes.reasons["task"] = f"Labels 0 and 1; the share of 1 is {means}."
    return "image-classification" if images else "classification"


def form_of_targets(metric: str, notes: Notes) -> Form:
    """A column for each target."""
    form = form_of_several(metric)
    notes.reasons["form"] = f"{metric} is computed from {form}, a column for each target."
    return form


def decision_of_several(metric: str, notes: Notes) -> Decision:
    """A threshold of each label for F1."""
    if metric != "columnwise_f1":
        return "argmax"
    notes.reasons["decision"] = (
        "The best threshold for F1 is seldom one half. Each label's is fitted on other folds than it is scored on."
    )
    return "threshold"


def words_of_folds(classes: bool) -> str:
    """What stratified folds keep."""
    if classes:
        return "Every fold has the combinations of labels in proportion, rare ones taken together."
    return "Stratified over bins of the mean rank of the targets: every fold has low and high values."
