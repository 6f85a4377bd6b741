"""The values that pass between stages: Competition, Folds, Predictions, Run, Submission.

Each is small, frozen and checks itself when it is made, so that no stage has to look twice. Ids always travel with
values: nothing here is aligned by position.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from kagglekit.errors import ConfigError, FoldsError, PredictionsError, StoreError, UsageError, nearest, preview
from kagglekit.metrics import get_metric

__all__ = [
    "Competition",
    "Decision",
    "Folds",
    "Form",
    "Label",
    "Predictions",
    "Run",
    "RunKind",
    "Split",
    "Submission",
    "Task",
    "form_of_several",
    "repeated",
]

Label = str | int
Task = Literal["classification", "regression", "image-classification", "image-regression", "image-segmentation"]
Form = Literal["label", "value", "probability", "probabilities", "labels", "values", "ranking", "mask"]
Decision = Literal["argmax", "shares", "threshold"]
RunKind = Literal["oof", "oob", "blend"]


def repeated(ids: pd.Index) -> list[Hashable]:
    """The ids that come more than once, in order of first appearance."""
    return list(ids[ids.duplicated()].unique())


def form_of_several(metric: str) -> Form:
    """What a submission of several targets holds: labels, probabilities or numbers, as the metric needs."""
    needs = get_metric(metric).of_one_target.needs
    forms: dict[str, Form] = {"labels": "labels", "values": "values"}
    return forms.get(needs, "probabilities")


@dataclass(frozen=True)
class Competition:
    """The facts of a competition: what is predicted, for which rows, and how it is scored.

    Parameters
    ----------
    slug : str
        Kaggle's name of the competition, as in its address.
    task : {"classification", "regression", "image-classification", "image-regression", "image-segmentation"}
        Segmentation is graded by the arena; no model of kagglekit predicts masks.
    metric : str
        A name that `kagglekit.metrics` knows.
    id, target : str
        Columns of the training table; of several targets, `target` is their names in one.
    classes : tuple of str or int
        Every label that can occur, sorted; empty for regression. For binary tasks the second is the positive class.
    group, time : str, optional
        Columns that folds must respect.
    form : {"label", "value", "probability", "probabilities", "labels", "values", "ranking", "mask"}
        What a row of the submission holds: a label, a number, the probability of the positive class, one probability
        per class or target, one label or number per target, labels in order of belief separated by spaces, or a mask as
        run-length text (`kagglekit.masks`).
    decision : {"argmax", "shares", "threshold"}
        How labels are made of probabilities: the likeliest class; for ordered integer classes, cuts of the expected
        class under which every class gets its share of the training rows; for two classes and a metric of labels, the
        threshold under which the other folds score best.
    targets : tuple of str
        Where several columns are predicted: all of them, numbers or yes-or-no labels (0 and 1); else empty.

    Raises
    ------
    ConfigError
        The metric or task is unknown, or classes and task contradict each other.
    """

    slug: str
    task: Task
    metric: str
    id: str
    target: str
    classes: tuple[Label, ...] = ()
    group: str | None = None
    time: str | None = None
    form: Form = "label"
    decision: Decision = "argmax"
    targets: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self._check_targets()
        for what, value, known in (("task", self.task, get_args(Task)), ("form", self.form, get_args(Form))):
            if value not in known:
                raise ConfigError(f"{self.slug}: {what} '{value}' is unknown.", hint=nearest(value, known))
        if self.is_classification and len(self.classes) < 2:
            raise ConfigError(f"{self.slug}: a classification needs at least two classes, got {list(self.classes)}.")
        if self.classes and not self.is_classification:
            raise ConfigError(f"{self.slug}: classes are given, but the task is '{self.task}'.")
        if self.decision == "shares" and not all(isinstance(c, int) for c in self.classes or ("none",)):
            raise ConfigError(
                f"{self.slug}: decision 'shares' needs ordered integer classes, got {preview(self.classes)}.",
                hint='Use decision = "argmax".',
            )
        needs = get_metric(self.metric).of_one_target.needs
        if self.decision == "threshold" and (len(self.classes) != 2 or needs != "labels"):
            raise ConfigError(
                f"{self.slug}: decision 'threshold' needs two classes and a metric of labels, got {len(self.classes)} "
                f"classes and '{self.metric}'.",
                hint='Use decision = "argmax".',
            )
        if len(set(self.classes)) < len(self.classes):
            raise ConfigError(f"{self.slug}: a class is listed twice in {list(self.classes)}.")

    def _check_targets(self) -> None:
        metric = get_metric(self.metric)
        if bool(self.targets) != bool(metric.base):
            wanted = f"columnwise_{metric.name}" if self.targets else f'"{metric.base}" for one target'
            raise ConfigError(
                f"{self.slug}: metric '{self.metric}' does not suit {max(1, len(self.targets))} target(s).",
                hint=f"Is it {wanted}? A columnwise metric is the mean over the columns of several targets.",
            )
        if not self.targets:
            return
        if len(set(self.targets)) < 2:
            raise ConfigError(f"{self.slug}: several targets must differ, got {list(self.targets)}.")
        if self.is_classification and self.classes != (0, 1):
            raise ConfigError(f"{self.slug}: several labels must be 0 and 1, got {list(self.classes)}.")
        if self.form != (form := form_of_several(self.metric)) or self.decision == "shares":
            raise ConfigError(
                f"{self.slug}: several targets under '{self.metric}' need form '{form}' and no decision 'shares', "
                f"got '{self.form}' and '{self.decision}'."
            )

    @property
    def target_columns(self) -> tuple[str, ...]:
        """The columns of the training table that are predicted: one, or several."""
        return self.targets or (self.target,)

    def answers(self, table: pd.DataFrame) -> Any:
        """The true answers in a table: a Series, or a DataFrame with a column for each of several targets."""
        return table[list(self.targets)] if self.targets else table[self.target]

    def of(self, target: str) -> Competition:
        """The competition that one of several targets would be by itself."""
        forms: dict[str, Form] = {"probabilities": "probability", "labels": "label", "values": "value"}
        return replace(
            self,
            target=target,
            targets=(),
            metric=get_metric(self.metric).base,
            form=forms[form_of_several(self.metric)],
        )

    def refuse_several(self, what: str, *, hint: str) -> None:
        """Say that something cannot be done for several targets, and what can be.

        Raises
        ------
        UsageError
            There are several.
        """
        if self.targets:
            raise UsageError(
                f"{what} is for one target, and {self.slug} has {len(self.targets)}: {preview(self.targets)}.",
                hint=hint,
            )

    @property
    def is_classification(self) -> bool:
        return self.task.endswith("classification")

    @property
    def has_images(self) -> bool:
        return self.task.startswith("image")

    @property
    def columns(self) -> tuple[str, ...]:
        """Column names of this competition's predictions: one per class, or the target alone; or each of several."""
        if self.targets:
            return self.targets
        return tuple(str(c) for c in self.classes) if self.is_classification else (self.target,)


@dataclass(frozen=True)
class Split:
    """One fit of the fold loop: the ids to fit on and the ids to score."""

    repeat: int
    fold: int
    fit_ids: pd.Index
    score_ids: pd.Index

    @property
    def name(self) -> str:
        return f"fold-{self.fold}" if self.repeat == 0 else f"repeat-{self.repeat}-fold-{self.fold}"


@dataclass(frozen=True)
class Folds:
    """Which fold each training row belongs to.

    Parameters
    ----------
    assignment : DataFrame
        Indexed by id, one integer column for each repeat. A row's number is the fold that scores it; -1 marks rows
        that are only ever fitted on (the oldest block of a time-forward split).
    scheme : str
        How they were cut: "kfold", "stratified", "group", "stratified-group" or "time".
    seed : int
    groups : Series, optional
        Group of each id; no group may lie in two folds of one repeat.

    Raises
    ------
    FoldsError
        Repeated ids, an empty fold, or a group in two folds.
    """

    assignment: pd.DataFrame
    scheme: str
    seed: int
    groups: pd.Series | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if twice := repeated(self.assignment.index):
            raise FoldsError(f"Folds need each id once; these come more than once: {preview(twice)}.")
        for column in self.assignment:
            self._check_repeat(self.assignment[column])

    def _check_repeat(self, numbers: pd.Series) -> None:
        used = set(numbers.unique()) - {-1}
        expected = set(range(max(used, default=-1) + 1))
        if len(expected) < 2 - (self.scheme == "time") or used != expected:
            raise FoldsError(
                f"Every fold needs rows; folds {sorted(expected - used)} of {len(expected)} are empty.",
                hint="Use fewer folds: n in [folds] of the pipeline file.",
            )
        if self.groups is not None and self.scheme != "time":
            spread = numbers.groupby(self.groups.reindex(numbers.index)).nunique()
            if (spread > 1).any():
                raise FoldsError(
                    f"A group may lie in one fold only; these do not: {preview(spread[spread > 1].index)}."
                )

    @property
    def n(self) -> int:
        """Number of folds in each repeat."""
        return int(self.assignment.iloc[:, 0].max()) + 1

    @property
    def repeats(self) -> int:
        return int(self.assignment.shape[1])

    @property
    def ids(self) -> pd.Index:
        """All training ids."""
        return self.assignment.index

    @property
    def scored_ids(self) -> pd.Index:
        """The ids that some fold scores: all of them, save the oldest block of a time-forward split."""
        return self.assignment.index[(self.assignment >= 0).all(axis=1)]

    def splits(self) -> Iterator[Split]:
        """Every (repeat, fold) in order. Time-forward folds are fitted on earlier folds only."""
        for repeat, column in enumerate(self.assignment):
            numbers = self.assignment[column]
            for fold in range(self.n):
                fit = numbers < fold if self.scheme == "time" else numbers != fold
                yield Split(repeat, fold, self.ids[fit], self.ids[numbers == fold])

    @cached_property
    def fingerprint(self) -> str:
        """Twelve hex digits that depend on which id is in which fold and not on the order of rows."""
        lines = sorted(
            f"{i!r} {' '.join(map(str, row))}"
            for i, row in zip(self.ids.tolist(), self.assignment.to_numpy().tolist(), strict=True)
        )
        text = "\n".join([f"time={self.scheme == 'time'}", *lines])
        return hashlib.sha256(text.encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Predictions:
    """Predicted numbers by id.

    Parameters
    ----------
    frame : DataFrame of shape (n_rows, n_columns)
        Indexed by id; one named column for each class (probabilities), or one named after the target. Stored as
        float32.

    Raises
    ------
    PredictionsError
        NaN or infinity, repeated ids, repeated or no columns.
    """

    frame: pd.DataFrame

    def __post_init__(self) -> None:
        if twice := repeated(self.frame.index):
            raise PredictionsError(f"Predictions need each id once; these come more than once: {preview(twice)}.")
        if self.frame.shape[1] == 0 or not self.frame.columns.is_unique:
            raise PredictionsError(f"Predictions need distinct named columns, got {list(self.frame.columns)}.")
        frame = self.frame.astype(np.float32)
        bad = ~np.isfinite(frame.to_numpy()).all(axis=1)
        if bad.any():
            raise PredictionsError(
                f"Predictions must be finite numbers; {bad.sum()} row(s) are not: {preview(frame.index[bad])}."
            )
        object.__setattr__(self, "frame", frame)

    @property
    def ids(self) -> pd.Index:
        return self.frame.index

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(self.frame.columns)

    def aligned(self, ids: pd.Index, columns: Sequence[str]) -> pd.DataFrame:
        """The frame with exactly these ids and columns, in this order.

        Raises
        ------
        PredictionsError
            An id or a column is missing or not expected.
        """
        for what, have, want in (("id", self.ids, ids), ("column", self.frame.columns, pd.Index(columns))):
            missing, extra = want.difference(have), have.difference(want)
            if len(missing) or len(extra):
                parts = [f"missing {preview(missing)}"] * bool(len(missing)) + [
                    f"not expected {preview(extra)}"
                ] * bool(len(extra))
                raise PredictionsError(f"Predictions must hold the expected {what}s; {'; '.join(parts)}.")
        return self.frame.loc[ids, list(columns)]


@dataclass(frozen=True)
class Run:
    """One finished experiment or blend, with everything needed to explain it and to blend it.

    Parameters
    ----------
    name : str
        The experiment's name in the pipeline file.
    key : str
        Hash of all that the run depends on: settings, data, folds and feature code.
    kind : {"oof", "oob", "blend"}
        Whether training rows were predicted out of fold, out of bag, or by a cross-fitted blend.
    hypothesis : str
        Why it was tried.
    parent : str or None
        The experiment it changes.
    settings : mapping
        Resolved settings; plain JSON values.
    metric : str
    scores : tuple of float
        The metric on each scored fold, in the order of `Folds.splits`.
    data, folds : str
        Fingerprints.
    oof, test : Predictions
        For training ids and for test ids.
    seconds : float
        Wall time of all fits and predictions.
    peak_mb : float
        Highest resident memory of the process, in MB.
    weights : mapping of str to float
        For blends that are a weighted combination: member to weight.
    fit_score : float, optional
        For blends: the score on the very rows that chose the weights; shown beside the honest one, never instead.
    study : mapping
        For blends: how they were chosen, what each member adds, how alike members err; plain JSON values.
    seed_scores : tuple of tuples of float
        Where models of several seeds were averaged: for each fit, the score of each seed's model alone.
    tta : mapping
        Where each image was looked at in several views: the scores with and without, the interval of their difference
        and what was kept; plain JSON values.
    unscored : int
        Training rows that have no prediction because every bag drew them: they are in no score and in no `oof`.
    notes : tuple of str
        What was done otherwise than the settings say: a smaller batch, because memory was short.
    pretrained : tuple of str
        Where pretrained weights came from, and the first digits of the file's SHA-256.
    versions, git : mapping of str to str
        What it was made with.
    features : str
        Fingerprint of the pipeline's `features.py`; "" where there is none, or from before it was kept.
    created : str
        UTC, ISO 8601.
    """

    name: str
    key: str
    kind: RunKind
    hypothesis: str
    parent: str | None
    settings: Mapping[str, Any]
    metric: str
    scores: tuple[float, ...]
    data: str
    folds: str
    oof: Predictions
    test: Predictions
    seconds: float
    peak_mb: float
    weights: Mapping[str, float] = field(default_factory=dict)
    fit_score: float | None = None
    study: Mapping[str, Any] = field(default_factory=dict)
    seed_scores: tuple[tuple[float, ...], ...] = ()
    tta: Mapping[str, Any] = field(default_factory=dict)
    unscored: int = 0
    notes: tuple[str, ...] = ()
    pretrained: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    git: Mapping[str, str] = field(default_factory=dict)
    features: str = ""
    created: str = ""

    def __post_init__(self) -> None:
        if self.kind not in get_args(RunKind):
            raise StoreError(
                f"Run {self.name}: kind '{self.kind}' is unknown.", hint=nearest(self.kind, get_args(RunKind))
            )
        if not self.scores or not all(math.isfinite(s) for s in self.scores):
            raise StoreError(f"Run {self.name}: every fold needs a finite score, got {list(self.scores)}.")
        if self.oof.columns != self.test.columns:
            raise PredictionsError(
                f"Run {self.name}: training and test predictions must have the same columns, "
                f"got {list(self.oof.columns)} and {list(self.test.columns)}."
            )

    @property
    def id(self) -> str:
        """The run's folder name."""
        return f"{self.name}-{self.key[:8]}"

    @property
    def score(self) -> float:
        """Mean of the fold scores."""
        return float(np.mean(self.scores))

    @property
    def standard_error(self) -> float:
        """Standard error of the mean of the fold scores; NaN for a single fold."""
        n = len(self.scores)
        return float(np.std(self.scores, ddof=1) / math.sqrt(n)) if n > 1 else math.nan

    def check_ids(self, train_ids: pd.Index, test_ids: pd.Index, columns: Sequence[str]) -> None:
        """Refuse predictions for other rows or columns than the competition's.

        Raises
        ------
        PredictionsError
        """
        self.oof.aligned(train_ids, columns)
        self.test.aligned(test_ids, columns)


@dataclass(frozen=True)
class Submission:
    """One line of the ledger: a file that was sent, and what came back. Never changed; a newer line supersedes it.

    Parameters
    ----------
    site : str
        "kaggle" or "arena": a practice score is never taken for a Kaggle score.
    slug : str
    run : str
        Id of the run that made the file.
    file : str
        Path relative to the workspace.
    sha256 : str
        Of the file's bytes.
    message : str
    cv, cv_se : float
        The run's honest score and its standard error when it was sent.
    ref : str
        The site's number of the submission.
    status : {"pending", "complete", "error"}
    public, private : float, optional
    sent : str
        UTC, ISO 8601.
    """

    site: str
    slug: str
    run: str
    file: str
    sha256: str
    message: str
    cv: float
    cv_se: float
    ref: str
    status: str = "pending"
    public: float | None = None
    private: float | None = None
    sent: str = ""

    def scored(self, status: str, public: float | None, private: float | None) -> Submission:
        """The same submission with the site's answer."""
        return replace(self, status=status, public=public, private=private)
