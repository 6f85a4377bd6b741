"""Models fitted as training fits them, to be looked at or taken elsewhere; nothing is scored or stored."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from kagglekit.config import Experiment
from kagglekit.contracts import Split
from kagglekit.dataset import Prepared
from kagglekit.identity import seed_of
from kagglekit.job import Job, out_of_bag
from kagglekit.models.vision.facts import About
from kagglekit.models.vision.saving import save
from kagglekit.progress import Progress, Silent

__all__ = ["FirstFit", "Refit", "first_fit", "refit", "refit_out_of_bag", "write_model"]


class FirstFit(NamedTuple):
    """What `train` would begin with.

    Parameters
    ----------
    estimator : Any
        Not fitted.
    X : DataFrame
    y : Series or DataFrame
    beside : dict of str to Any
        What `fit` is given besides: labels of further targets.
    """

    estimator: Any
    X: pd.DataFrame
    y: pd.Series
    beside: dict[str, Any]


def first_fit(prepared: Prepared, experiment: Experiment, *, progress: Progress | None = None) -> FirstFit:
    """What `train` would begin with, to be looked at: the unfitted model, and the rows and labels it would be given.

    They are those of the first fold, or all rows for out-of-bag predictions. Of a bagged model it is the model alone,
    which would then be given rows drawn from these.

    Raises
    ------
    ConfigError, DataError
        See `kagglekit.train.train`.
    """
    job = Job(prepared, experiment, progress or Silent())
    job.check()
    model = job.model(experiment.seed)
    if experiment.validation == "oob":
        X, y = job.columns(prepared.X), job.target()
    else:
        X, y, _ = job.fit_rows(next(prepared.folds.splits()), job.estimator(experiment.seed))
    return FirstFit(model, X, y, job.extras(X.index))


@dataclass(frozen=True, eq=False)
class Refit:
    """A model fitted again as `train` fits it, to be looked at; nothing is stored.

    Parameters
    ----------
    name : str
        As in `Split.name`, or "oob".
    estimator : Any
        Fitted.
    fit_ids, score_ids : Index
        Training ids that it was fitted on, and those that it may be judged by.
    X, test : DataFrame by id
        All training and test rows, in the columns that it takes.
    """

    name: str
    estimator: Any
    fit_ids: pd.Index
    score_ids: pd.Index
    X: pd.DataFrame
    test: pd.DataFrame
    _job: Job

    def predict(self, X: pd.DataFrame) -> pd.DataFrame:
        """Predictions of any rows in the competition's columns and the target's own unit, by the index of `X`."""
        return self._job.predict(self.estimator, X).frame

    def out_of_bag(self) -> pd.DataFrame:
        """Out-of-bag predictions of the rows that have one; of `refit_out_of_bag` only."""
        return self._job.finish(out_of_bag(self._job, self.estimator)).frame


def refit(
    prepared: Prepared, experiment: Experiment, split: Split, *, number: int = 0, progress: Progress | None = None
) -> Refit:
    """Fit an experiment's model on the fit rows of one split, with the seed that `train` would give it.

    Parameters
    ----------
    prepared : Prepared
    experiment : Experiment
    split : Split
        Of the competition's folds, or of others; fewer ids than there are make a sample.
    number : int
        Which of the experiment's seeds, from 0.
    progress : Progress, optional

    Raises
    ------
    ConfigError, DataError
        See `kagglekit.train.train`.
    """
    job = Job(prepared, experiment, progress or Silent())
    job.check()
    estimator = job.fitted(split, job.estimator(seed_of(experiment, split, number)))
    return _refitted(job, split.name, estimator, split.fit_ids, split.score_ids)


def refit_out_of_bag(
    prepared: Prepared, experiment: Experiment, ids: pd.Index, *, progress: Progress | None = None
) -> Refit:
    """Fit an experiment's forest, or bags, on these training ids and keep its out-of-bag predictions.

    Raises
    ------
    ConfigError, DataError
        See `kagglekit.train.train`. Grouped and dated rows are not refused here: whoever shows the score says what it
        is worth.
    """
    job = Job(prepared, experiment, progress or Silent())
    job.check()
    target = job.target()
    ids = ids[ids.isin(target.index)]
    estimator = job.estimator(experiment.seed)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*no out-of-bag prediction")  # they are left out
        more = job.groups(ids) | job.extras(ids)
        estimator.set_params(oob=True).fit(job.columns(prepared.X).loc[ids], target.loc[ids], **more)
    return _refitted(job, "oob", estimator, ids, ids[:0])


def _refitted(job: Job, name: str, estimator: Any, fit_ids: pd.Index, score_ids: pd.Index) -> Refit:
    X, test = job.columns(job.prepared.X), job.columns(job.prepared.test)
    return Refit(name, estimator, fit_ids, score_ids, X, test, job)


def write_model(prepared: Prepared, experiment: Experiment, estimator: Any, folder: Path) -> None:
    """Export a fitted image model with the competition's own labels, in their order.

    Raises
    ------
    UsageError
        It is no image model, or was fitted on one label alone.
    """
    facts = prepared.competition
    save(
        estimator,
        folder,
        about=About(name=experiment.name),
        columns=facts.columns if facts.targets else facts.classes or facts.columns,
        transform=experiment.target_transform,
    )
