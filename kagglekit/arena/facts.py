"""The facts of a new competition: what the host says, and for the rest a guess from the files, said aloud."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pandas as pd

from kagglekit.arena.hosted import USAGE, read_table
from kagglekit.arena.material import IMAGE_SUFFIXES
from kagglekit.contracts import Competition, Form, Label, Task, form_of_several
from kagglekit.errors import DataError, preview
from kagglekit.metrics import get_metric

__all__ = ["Given", "check_targets", "columns_of", "find_sample", "guess_competition"]

_USUAL_SAMPLES = ("sample_submission.csv", "gender_submission.csv")
_MOST_ORDERED_VALUES = 20


@dataclass(frozen=True)
class Given:
    """What the host said about the task; None where it is to be guessed."""

    metric: str | None = None
    task: Task | None = None
    form: Form | None = None
    classes: Sequence[Label] | None = None
    group: str | None = None
    time: str | None = None


@dataclass
class _Guess:
    given: Given
    notes: list[str] = field(default_factory=list)

    def metric(self, target: pd.Series) -> str:
        if self.given.metric is not None:
            return get_metric(self.given.metric).name
        name, reason = _metric_for(target)
        self.notes.append(f"No metric was given; {name} was chosen because {reason}.")
        return name

    def task(self, metric: str, names: Iterable[str]) -> Task:
        if self.given.task is not None:
            return self.given.task
        if get_metric(metric).needs == "masks":
            return "image-segmentation"
        kind = "regression" if get_metric(metric).needs == "values" else "classification"
        has_images = any(Path(name).suffix.lower() in IMAGE_SUFFIXES for name in names)
        return cast(Task, f"image-{kind}" if has_images else kind)

    def form(self, metric: str, sample: pd.DataFrame, classes: Sequence[Label]) -> Form:
        if self.given.form is not None:
            return self.given.form
        needs = get_metric(metric).needs
        if needs in ("positive", "probabilities") and sample.shape[1] == 2 and len(classes) == 2:
            return "probability"
        forms = {"labels": "label", "values": "value", "ranking": "ranking", "masks": "mask"}
        return cast(Form, forms.get(needs, "probabilities"))


def columns_of(solution: pd.DataFrame) -> tuple[str, tuple[str, ...]]:
    """Names of the id and of the target column, or columns, of a solution.

    Raises
    ------
    DataError
        There is no target.
    """
    columns = [str(c) for c in solution.columns if c != USAGE]
    if len(columns) < 2:
        raise _no_columns(solution)
    return columns[0], tuple(columns[1:])


def check_targets(solution: pd.DataFrame, sample: pd.DataFrame) -> None:
    """Refuse several columns of a solution that the sample submission does not ask for.

    Raises
    ------
    DataError
    """
    id_column, targets = columns_of(solution)
    if len(targets) > 1 and set(targets) != {str(c) for c in sample.columns if c != id_column}:
        raise _no_columns(solution)


def _no_columns(solution: pd.DataFrame) -> DataError:
    return DataError(
        f"solution.csv needs the columns id, target and {USAGE}, got {list(solution.columns)}.",
        hint="Name the first two as in train.csv; other columns may be there only as further targets of the sample.",
    )


def find_sample(folder: Path, names: Sequence[str], solution: pd.DataFrame) -> str:
    """Name of the sample submission: a usual name, else any CSV with exactly the solution's columns.

    Raises
    ------
    DataError
        There is none.
    """
    for usual in _USUAL_SAMPLES:
        if usual in names:
            return usual
    id_column, targets = columns_of(solution)
    wanted = [id_column, *targets]
    for name in names:
        if name.endswith(".csv") and header(folder / name) == wanted:
            return name
    raise DataError(
        f"The folder needs a sample submission with the columns {wanted}; no CSV has these.",
        hint="Add sample_submission.csv with every test id once.",
    )


def header(path: Path) -> list[str]:
    """Column names of a CSV."""
    try:
        return [str(c) for c in pd.read_csv(path, nrows=0, encoding="utf-8-sig").columns]
    except (ValueError, UnicodeError):
        return []


def guess_competition(
    slug: str, given: Given, solution: pd.DataFrame, sample: pd.DataFrame, folder: Path, names: Sequence[str]
) -> tuple[Competition, list[str]]:
    """The facts, and one sentence for each that was guessed.

    Raises
    ------
    ConfigError
        What was given contradicts itself.
    DataError
        The training table cannot be read.
    """
    id_column, targets = columns_of(solution)
    if len(targets) > 1:
        return _several(slug, given, solution, names)
    target = targets[0]
    guess = _Guess(given)
    metric = guess.metric(solution[target])
    task = guess.task(metric, names)
    known = train_target(folder, target)
    if get_metric(metric).needs == "values":
        _check_numbers(metric, solution[target], known)
    classes = given.classes
    if classes is None:
        classes = _classes(solution[target], known) if task.endswith("classification") else ()
    competition = Competition(
        slug=slug,
        task=task,
        metric=metric,
        id=id_column,
        target=target,
        classes=tuple(classes),
        group=given.group,
        time=given.time,
        form=guess.form(metric, sample, classes),
    )
    return competition, guess.notes


def _several(slug: str, given: Given, solution: pd.DataFrame, names: Sequence[str]) -> tuple[Competition, list[str]]:
    """The facts of a competition of several targets: yes-or-no labels where all hold 0 and 1, else numbers."""
    id_column, targets = columns_of(solution)
    are_labels = bool(solution[list(targets)].isin([0, 1]).all(axis=None))
    guess = _Guess(given)
    metric = given.metric or ("columnwise_log_loss" if are_labels else "columnwise_rmse")
    if given.metric is None:
        guess.notes.append(f"No metric was given; {metric} was chosen for {len(targets)} targets.")
    one = get_metric(metric).of_one_target
    has_images = any(Path(name).suffix.lower() in IMAGE_SUFFIXES for name in names)
    kind = "regression" if one.needs == "values" else "classification"
    task = given.task or cast(Task, f"image-{kind}" if has_images else kind)
    if kind == "regression":
        _check_numbers(metric, *(solution[name] for name in targets))
    return Competition(
        slug=slug,
        task=task,
        metric=metric,
        id=id_column,
        target=", ".join(targets),
        classes=(0, 1) if kind == "classification" else (),
        group=given.group,
        time=given.time,
        form=given.form or form_of_several(metric),
        targets=targets,
    ), guess.notes


def train_target(folder: Path, target: str) -> pd.Series | None:
    """The target column of train.csv; None when there is no such file or column."""
    path = folder / "train.csv"
    if not path.is_file() or target not in header(path):
        return None
    return read_table(path, [target])[target].dropna()


def _metric_for(target: pd.Series) -> tuple[str, str]:
    distinct = target.nunique()
    if not pd.api.types.is_numeric_dtype(target):
        return "accuracy", f"'{target.name}' holds labels"
    if pd.api.types.is_float_dtype(target):
        return "rmse", f"'{target.name}' holds numbers"
    if distinct <= _MOST_ORDERED_VALUES:
        return "accuracy", f"'{target.name}' holds {distinct} distinct whole numbers"
    return "rmse", f"'{target.name}' holds {distinct} distinct whole numbers, more than {_MOST_ORDERED_VALUES}"


def _check_numbers(metric: str, *targets: pd.Series | None) -> None:
    for target in targets:
        if target is None or pd.api.types.is_numeric_dtype(target):
            continue
        words = target[pd.to_numeric(target, errors="coerce").isna()]
        raise DataError(
            f"Metric '{metric}' needs numbers; the target '{target.name}' holds {words.iloc[0]!r}.",
            hint="Choose a metric for labels with --metric, such as accuracy.",
        )


def _label(value: Label | float) -> Label | float:
    # A column of 0 and 1 with an empty cell somewhere is read as 0.0 and 1.0.
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _classes(*targets: pd.Series | None) -> list[Label]:
    found = {_label(value) for target in targets if target is not None for value in target.unique().tolist()}
    words = [label for label in found if isinstance(label, str)]
    numbers = [label for label in found if isinstance(label, int)]
    if len(found) in (len(words), len(numbers)):
        return sorted(words) or sorted(numbers)
    raise DataError(
        f"Class labels must be all words or all whole numbers, got {preview(sorted(found, key=str))}.",
        hint="Write them alike in train.csv and solution.csv.",
    )
