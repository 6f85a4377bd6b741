"""Stage 3: the fold loop - the only place where models are fitted for a score.

An estimator is handed the rows of the other folds and, for early stopping, rows carved from those. The labels of the
rows that are scored never reach it.
"""

from __future__ import annotations

import hashlib
import json
import resource
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kagglekit.cleaning import corrected
from kagglekit.config import Experiment
from kagglekit.contracts import Competition, Predictions, Run, Split
from kagglekit.dataset import Prepared
from kagglekit.errors import ConfigError, DataError, PredictionsError, StoreError, nearest, preview
from kagglekit.folds import carve, joint_strata
from kagglekit.metrics import get_metric
from kagglekit.models import registry
from kagglekit.models.bagging import BaggedClassifier, BaggedRegressor
from kagglekit.models.features import featured
from kagglekit.models.several import PerTarget, learns_several
from kagglekit.models.vision import exported
from kagglekit.parallel import Stoppable, on_devices, pmap
from kagglekit.progress import Progress, Silent
from kagglekit.provenance import git_state, versions
from kagglekit.scoring import calibrate, fold_scores, kept_if_better
from kagglekit.store import Draft, FoldResult, Store
from kagglekit.targets import get_target

__all__ = [
    "Refit",
    "first_fit",
    "fit_names",
    "fold_names",
    "refit",
    "refit_out_of_bag",
    "run_id",
    "run_settings",
    "train",
    "train_within",
    "write_model",
]

_CARVED = 0.15  # share of the fit rows that early stopping watches
# How bags draw, stored with the run. 63.2 % without replacement, which leaves out as many rows, was worse on held-out
# rows in 16 of 18 pairs of a model and a small table: a leaf's size, for one, is chosen for full numbers of rows.
_DRAW: Mapping[str, Any] = {"bootstrap": True, "max_samples": 1.0}
# Where and how fast, or said elsewhere.
_NOT_SETTINGS = ("cache_dir", "checkpoint_dir", "progress", "n_jobs", "precision", "random_state")
_NEXT_SEED = 1000  # apart from those of repeats, which count up by one
OnFold = Callable[[FoldResult], None]
MayFit = Callable[[str], bool]


def run_id(prepared: Prepared, experiment: Experiment) -> str:
    """The id that this experiment's run has on these data and folds.

    It depends on all settings (also those left at their default), data, folds and feature code; not on the wording of
    the hypothesis.
    """
    text = json.dumps([_resolved(prepared, experiment), prepared.data, prepared.folds.fingerprint], sort_keys=True)
    return f"{experiment.name}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _resolved(prepared: Prepared, experiment: Experiment) -> dict[str, Any]:
    """The experiment's settings with the model's defaults filled in."""
    offered = registry.parameters(experiment.model, prepared.competition.task)
    defaults = {name: _plain(p.default) for name, p in offered.items() if name not in _NOT_SETTINGS}
    drawing = {"bagging": dict(_DRAW)} if experiment.bags else {}
    labelled = {}
    if experiment.pseudo is not None:
        labelled = {"pseudo": {"run": run_id(prepared, experiment.pseudo), **experiment.pseudo_drawing}}
    resolved = {**experiment.settings, **drawing, **labelled, "params": {**defaults, **experiment.params}}
    plain: dict[str, Any] = json.loads(json.dumps(resolved))  # as a file holds them: tuples are lists
    return plain


def run_settings(prepared: Prepared, experiment: Experiment) -> dict[str, Any]:
    """What the store keeps as the run's settings: all that decides the result, data and folds by their fingerprints."""
    return {**_resolved(prepared, experiment), "data": prepared.data, "folds": prepared.folds.fingerprint}


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | int | float | bool | list | dict | None) else repr(value)


def fold_names(prepared: Prepared, experiment: Experiment) -> list[str]:
    """The fits that this experiment needs, in order."""
    if experiment.validation == "oob":
        return ["oob"]
    return [split.name for split in prepared.folds.splits()]


def fit_names(experiment: Experiment, split: Split) -> list[str]:
    """What the models of one split are called, one for each seed."""
    several = experiment.seeds > 1
    return [f"{split.name}-seed-{i}" if several else split.name for i in range(experiment.seeds)]


def train(
    prepared: Prepared,
    experiment: Experiment,
    store: Store,
    *,
    progress: Progress | None = None,
    on_fold: OnFold | None = None,
    n_jobs: int = 1,
    workers: Stoppable | None = None,
) -> Run:
    """Train one experiment on every fold, or go on where a killed run stopped.

    Parameters
    ----------
    prepared : Prepared
    experiment : Experiment
    store : Store
    progress : Progress, optional
    on_fold : callable, optional
        Told of every fold that is done, also of those found in the store.
    n_jobs : int, default=1
        Folds fitted at the same time, in processes of their own. More than one pays for small tabular models only:
        forests, boosting and image models use all cores for one fold.
    workers : Stoppable, optional
        Processes that fit in place of this one, until their time is over; `n_jobs` is theirs then.

    Returns
    -------
    Run
        Complete and stored.

    Raises
    ------
    ConfigError, DataError
        The experiment names columns that are not there, or asks for out-of-bag predictions that cannot be had.
    OutOfTime
        The time of `workers` was over in the middle of a fold, which is lost; finished ones are kept.
    """
    job = _Job(prepared, experiment, progress or Silent(), workers=workers)
    run = _train(job, store, on_fold, n_jobs, (), lambda name: True)
    if run is None:
        raise StoreError(f"Not every fold of '{experiment.name}' was trained.", hint="Run the same command again.")
    return run


def train_within(
    prepared: Prepared,
    experiment: Experiment,
    store: Store,
    may_fit: MayFit,
    *,
    progress: Progress | None = None,
    on_fold: OnFold | None = None,
    devices: Sequence[str] = (),
    workers: Stoppable | None = None,
) -> Run | None:
    """Train those folds of one experiment that there is time for; finished ones are kept, and gone on from later.

    Parameters
    ----------
    prepared, experiment, store, progress, on_fold
        See `train`.
    may_fit : callable
        Asked with a fold's name just before it would be fitted.
    devices : sequence of str
        GPUs as CUDA_VISIBLE_DEVICES names them; with more than one, each fits a fold of its own.
    workers : Stoppable, optional
        See `train`, also for what is raised when their time is over.

    Returns
    -------
    Run or None
        None when folds are left.
    """
    job = _Job(prepared, experiment, progress or Silent(), workers=workers)
    return _train(job, store, on_fold, 1, devices, may_fit)


def _train(
    job: _Job, store: Store, on_fold: OnFold | None, n_jobs: int, devices: Sequence[str], may_fit: MayFit
) -> Run | None:
    identity = run_id(job.prepared, job.experiment)
    if store.has(identity):
        return store.load(identity)
    job = replace(job, labeller=_labeller(job, store, n_jobs))
    job.check()
    with store.draft(identity, run_settings(job.prepared, job.experiment)) as draft:
        job = replace(job, checkpoints=draft.checkpoints)
        if job.experiment.validation == "oob":
            is_possible = draft.fold("oob") is not None or may_fit("oob")
            results = _oob(job, draft, on_fold) if is_possible else []
        else:
            results = _folds(job, draft, on_fold, n_jobs, devices, may_fit)
        if len(results) < len(fold_names(job.prepared, job.experiment)):
            return None
        run = _run(job.prepared, job.experiment, identity, results)
        draft.finish(run)
    return run


def first_fit(
    prepared: Prepared, experiment: Experiment, *, progress: Progress | None = None
) -> tuple[Any, pd.DataFrame, pd.Series]:
    """What `train` would begin with, to be looked at: the unfitted model, and the rows and labels it would be given.

    They are those of the first fold, or all rows for out-of-bag predictions. Of a bagged model it is the model alone,
    which would then be given rows drawn from these.

    Returns
    -------
    estimator, X, y

    Raises
    ------
    ConfigError, DataError
        See `train`.
    """
    job = _Job(prepared, experiment, progress or Silent())
    job.check()
    model = job.model(experiment.seed)
    if experiment.validation == "oob":
        return model, job.columns(prepared.X), job.target()
    X, y, _ = job.fit_rows(next(prepared.folds.splits()), job.estimator(experiment.seed))
    return model, X, y


def _labeller(job: _Job, store: Store, n_jobs: int) -> _Labeller | None:
    """The trained run that labels test rows; it is trained now if it was not."""
    experiment = job.experiment
    if experiment.pseudo is None:
        return None
    run = train(job.prepared, experiment.pseudo, store, progress=job.progress, n_jobs=n_jobs, workers=job.workers)
    return _Labeller(store, run.id, experiment.pseudo_share)


@dataclass(frozen=True)
class _Labeller:
    """Test rows under labels that a run's models gave them.

    The rows that a fold is scored on had no part in them: its test labels come from that fold's model alone.
    """

    store: Store
    run: str
    share: float

    def rows(self, split: Split, competition: Competition) -> pd.Series:
        """The surest labels, by test id; for values, a share of the rows, the same for each fold.

        Raises
        ------
        StoreError
            The run's fold is no longer there.
        """
        if (fold := self.store.fold(self.run, split.name)) is None:
            raise StoreError(f"The run {self.run} no longer holds {split.name}.", hint="Train it again elsewhere.")
        frame = fold.test.frame
        n = max(1, round(self.share * len(frame)))
        if not competition.is_classification:
            chosen = np.sort(np.random.default_rng(0).permutation(len(frame))[:n])
            return frame.iloc[chosen, 0].astype(float)
        chosen = np.sort(np.argsort(-frame.max(axis=1).to_numpy(), kind="stable")[:n])
        named = dict(zip(competition.columns, competition.classes, strict=True))
        return frame.iloc[chosen].idxmax(axis=1).map(named)


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
    _job: _Job

    def predict(self, X: pd.DataFrame) -> pd.DataFrame:
        """Predictions of any rows in the competition's columns and the target's own unit, by the index of `X`."""
        return self._job.predict(self.estimator, X).frame

    def out_of_bag(self) -> pd.DataFrame:
        """Out-of-bag predictions of the rows that have one; of `refit_out_of_bag` only."""
        return self._job.finish(_out_of_bag(self._job, self.estimator)).frame


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
        See `train`.
    """
    job = _Job(prepared, experiment, progress or Silent())
    job.check()
    estimator = job.fitted(split, job.estimator(_seed(experiment, split, number)))
    return _refitted(job, split.name, estimator, split.fit_ids, split.score_ids)


def refit_out_of_bag(
    prepared: Prepared, experiment: Experiment, ids: pd.Index, *, progress: Progress | None = None
) -> Refit:
    """Fit an experiment's forest, or bags, on these training ids and keep its out-of-bag predictions.

    Raises
    ------
    ConfigError, DataError
        See `train`; grouped and dated rows are not refused here: whoever shows the score says what it is worth.
    """
    job = _Job(prepared, experiment, progress or Silent())
    job.check()
    target = job.target()
    ids = ids[ids.isin(target.index)]
    estimator = job.estimator(experiment.seed)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*no out-of-bag prediction")  # they are left out
        estimator.set_params(oob=True).fit(job.columns(prepared.X).loc[ids], target.loc[ids], **job.groups(ids))
    return _refitted(job, "oob", estimator, ids, ids[:0])


def _refitted(job: _Job, name: str, estimator: Any, fit_ids: pd.Index, score_ids: pd.Index) -> Refit:
    X, test = job.columns(job.prepared.X), job.columns(job.prepared.test)
    return Refit(name, estimator, fit_ids, score_ids, X, test, job)


@dataclass(frozen=True)
class _Job:
    """One experiment on one prepared competition."""

    prepared: Prepared
    experiment: Experiment
    progress: Progress
    labeller: _Labeller | None = None
    workers: Stoppable | None = None
    checkpoints: Callable[[str], Path] | None = None

    @property
    def competition(self) -> Competition:
        return self.prepared.competition

    @property
    def sent(self) -> _Job:
        """The job for another process, from where no bars can be drawn."""
        return replace(self, progress=Silent(), workers=None)

    def check(self) -> None:
        used, known = self.experiment.columns or (), list(self.prepared.test.columns)
        for column in (*used, *self.experiment.drop):
            self._refuse_unknown(column, known)
        if self.experiment.features:
            for column in self.experiment.features.used:
                self._refuse_unknown(column, list(self.columns(self.prepared.test).columns))
        if self.experiment.recent is not None and (
            self.competition.time is None or self.experiment.validation == "oob"
        ):
            raise ConfigError(
                f"Experiment '{self.experiment.name}': recent = {self.experiment.recent:g} takes the latest rows, "
                'which needs time = "column" in [competition] and validation = "folds".'
            )
        if self.experiment.keep_models and not self.experiment.model.startswith("timm"):
            raise ConfigError(
                f"Experiment '{self.experiment.name}': keep_models is for image models (timm, timm-features).",
                hint="Models of tables are fitted again when they are looked at: leave it out.",
            )
        if self.experiment.target_transform != "none" and self.competition.is_classification:
            raise ConfigError(f"Experiment '{self.experiment.name}': target_transform is for regression.")
        if self.experiment.pseudo_weight < 1 and not self.takes_weights:
            raise ConfigError(
                f"Experiment '{self.experiment.name}': pseudo_weight = {self.experiment.pseudo_weight:g} needs a model "
                f"that weighs rows, and '{self.experiment.model}' as it is set here does not.",
                hint="lightgbm, forest and extra-trees do, without bags and features; or lower pseudo_share.",
            )
        for column in self.experiment.extra_targets:
            self._refuse_unknown(column, list(self.prepared.train.columns))
        self.labels()

    def _refuse_unknown(self, column: str, known: Sequence[str]) -> None:
        if column not in known:
            raise ConfigError(
                f"Experiment '{self.experiment.name}': no column '{column}'.", hint=nearest(column, known)
            )

    def columns(self, frame: pd.DataFrame) -> pd.DataFrame:
        chosen = frame.columns if self.experiment.columns is None else self.experiment.columns
        unwanted = {*self.experiment.drop, *self.experiment.extra_targets}
        names = [c for c in chosen if c not in unwanted]
        return frame if names == list(frame.columns) else frame[names]

    @cached_property
    def shared(self) -> Any:
        """What the model prepares once for all folds, without labels; None where it does nothing of the kind.

        It depends on the rows and the model alone, so a fold gives the same wherever and whenever it is fitted.
        """
        model = self.estimator(self.experiment.seed)
        # Folds that go forward in time know nothing of later rows, not even the spread of their values.
        if self.labeller is not None or self.prepared.folds.scheme == "time" or not hasattr(model, "share"):
            return None
        return model.share(self.columns(self.prepared.X))

    def fitted(self, split: Split, estimator: Any) -> Any:
        """The model of one fold."""
        if self.shared is not None:
            y = self.target()
            fit_ids, carved = self.fit_ids(split, estimator)
            watched = None if carved is None else y.loc[carved]
            return estimator.fit_shared(self.shared, y.loc[fit_ids], watched)
        X, labels, stop_by = self.fit_rows(split, estimator)
        more = self.groups(X.index) | self.weights(X.index) | self.extras(X.index)
        return estimator.fit(X, labels, **stop_by, **more)

    def estimator(self, seed: int) -> Any:
        """The model, or bags of it; `bags` wraps, the model's own settings stay what they are.

        One that learns a single target is fitted for each of several.
        """
        one = self._bagged(self.model(seed), seed)
        return PerTarget(one) if self.competition.targets and not learns_several(one) else one

    def _bagged(self, model: Any, seed: int) -> Any:
        if not self.experiment.bags:
            return model
        bagged = BaggedClassifier if self.competition.is_classification else BaggedRegressor
        return bagged(
            model,
            n_estimators=self.experiment.bags,
            **_DRAW,
            oob=False,
            random_state=seed,
            progress=self.progress,
        )

    def model(self, seed: int) -> Any:
        own = dict(self.experiment.params)
        offered = registry.parameters(self.experiment.model, self.competition.task)
        for name, value in (("cache_dir", str(self.prepared.cache)), ("progress", self.progress)):
            if name in offered:
                own.setdefault(name, value)
        model = registry.build(self.experiment.model, own, task=self.competition.task, seed=seed)
        return featured(model, self.experiment.features, random_state=seed) if self.experiment.features else model

    def kept(self, estimator: Any, fit: str) -> Any:
        """The estimator, told where to keep how far it is, if it can: also inside bags and behind recipes."""
        for name in [n for n in estimator.get_params() if n.split("__")[-1] == "checkpoint_dir"]:
            if self.checkpoints is not None:
                estimator.set_params(**{name: str(self.checkpoints(fit))})
        return estimator

    @property
    def takes_weights(self) -> bool:
        return bool(getattr(self.estimator(self.experiment.seed), "uses_sample_weight", False))

    def weights(self, ids: pd.Index) -> dict[str, np.ndarray]:
        """What test rows among the fit rows count for, where they do not count in full."""
        if self.labeller is None or self.experiment.pseudo_weight == 1:
            return {}
        known = ids.isin(self.prepared.folds.ids)
        return {"sample_weight": np.where(known, 1.0, self.experiment.pseudo_weight)}

    def groups(self, ids: pd.Index) -> dict[str, pd.Series]:
        """What `fit` needs besides, so that bags draw whole groups and target encoding keeps them whole."""
        group, recipes = self.competition.group, self.experiment.features
        if not group or not (self.experiment.bags or (recipes and recipes.target_encode)):
            return {}
        known = self.prepared.train[group]
        if self.labeller is not None:
            known = pd.concat([known, _named_apart(self.prepared.test[group])])
        return {"groups": known.loc[ids]}

    def extras(self, ids: pd.Index) -> dict[str, Any]:
        """What `fit` is to learn beside the target: labels of these fit rows, and of no others."""
        names = list(self.experiment.extra_targets)
        if not names:
            return {}
        weights = dict(zip(names, self.experiment.extra_weights, strict=False))
        return {"extra": self.prepared.train[names].reindex(ids), "extra_weights": weights}

    def labels(self) -> Any:
        """What may be fitted on: labels after cleaning, without the rows that it leaves out."""
        if self.competition.targets:
            return self.prepared.y
        try:
            return corrected(self.prepared.y, self.experiment.cleaning, self.competition.classes)
        except DataError as error:
            raise DataError(f"Experiment '{self.experiment.name}': {error.message}", hint=error.hint) from error

    def target(self) -> Any:
        labels = self.labels()
        if self.competition.is_classification:
            return labels
        forward = get_target(self.experiment.target_transform).forward
        return labels.apply(forward) if self.competition.targets else forward(labels)

    def fit_rows(self, split: Split, estimator: Any) -> tuple[pd.DataFrame, pd.Series, dict[str, Any]]:
        """Rows and labels that one fold is fitted on and, for models that stop early, those that they watch."""
        X, y = self.columns(self.prepared.X), self.target()
        fit_ids, carved = self.fit_ids(split, estimator)
        stop_by = {} if carved is None else {"eval_set": (X.loc[carved], y.loc[carved])}
        return *self.with_test_rows(split, X.loc[fit_ids], y.loc[fit_ids]), stop_by

    def fit_ids(self, split: Split, estimator: Any) -> tuple[pd.Index, pd.Index | None]:
        """The training rows that one fold is fitted on and, for models that stop early, those that they watch."""
        known = self.labels().index
        fit_ids = split.fit_ids[split.fit_ids.isin(known)]
        if not len(fit_ids):
            raise DataError(f"Experiment '{self.experiment.name}': cleaning leaves no row to fit {split.name} on.")
        fit_ids = self.latest(fit_ids)
        return _carve(self, fit_ids) if getattr(estimator, "uses_eval_set", False) else (fit_ids, None)

    def with_test_rows(self, split: Split, X: pd.DataFrame, y: pd.Series) -> tuple[pd.DataFrame, pd.Series]:
        """Fit rows, and after them the test rows that a labeller labels; early stopping never watches those."""
        if self.labeller is None:
            return X, y
        labels = self.labeller.rows(split, self.competition)
        if not self.competition.is_classification:
            labels = get_target(self.experiment.target_transform).forward(labels)
        more = _named_apart(self.columns(self.prepared.test).loc[labels.index])
        labels = _named_apart(labels).astype(y.dtype)
        return pd.concat([X, more]), pd.concat([y, labels]).rename(y.name)

    def latest(self, ids: pd.Index) -> pd.Index:
        """The ids that `recent` lets in: the latest share, and all of the day (or whatever time it is) that is cut."""
        share, column = self.experiment.recent, self.competition.time
        if share is None or column is None:
            return ids
        times = self.prepared.train.loc[ids, column]
        first = times.sort_values().iloc[-max(1, round(share * len(ids)))]
        return ids[times >= first]

    def predict(self, estimator: Any, X: pd.DataFrame) -> Predictions:
        """Predictions by id: classes that the fit rows lacked get probability nought, never another class's column."""
        if self.competition.is_classification:
            values, seen = estimator.predict_proba(X), [str(c) for c in estimator.classes_]
            frame = pd.DataFrame(values, index=X.index, columns=seen)
        else:
            columns = list(self.competition.columns)
            values = np.asarray(estimator.predict(X)).reshape(len(X), len(columns))
            frame = pd.DataFrame(values, index=X.index, columns=columns)
        return self.finish(frame)

    def finish(self, frame: pd.DataFrame) -> Predictions:
        if self.competition.is_classification:
            return Predictions(frame.reindex(columns=list(self.competition.columns), fill_value=0.0))
        return Predictions(get_target(self.experiment.target_transform).backward(frame))

    def score(self, oof: Predictions) -> float:
        metric = get_metric(self.competition.metric)
        return metric.score(self.prepared.y.loc[oof.ids], oof.frame, self.competition.classes)


def _folds(
    job: _Job, draft: Draft, on_fold: OnFold | None, n_jobs: int, devices: Sequence[str], may_fit: MayFit
) -> list[FoldResult]:
    """The folds that are finished, in their order: found in the store, or fitted now."""
    done: dict[str, FoldResult] = {}
    missing: list[Split] = []
    for split in job.prepared.folds.splits():
        if (found := draft.fold(split.name)) is None:
            missing.append(split)
        else:
            done[split.name] = found
            _tell(on_fold, found)
    for result in _fits(job, draft, missing, n_jobs, devices, may_fit):
        done[result.name] = result
        _tell(on_fold, result)
    return [done[split.name] for split in job.prepared.folds.splits() if split.name in done]


def _fits(
    job: _Job, draft: Draft, missing: Sequence[Split], n_jobs: int, devices: Sequence[str], may_fit: MayFit
) -> Iterator[FoldResult]:
    quiet = job.sent
    if job.workers is not None:
        # A process that may be stopped at any moment writes nothing.
        for result in job.workers.map(
            partial(_fitted_fold, quiet, draft), missing, may_start=lambda s: may_fit(s.name)
        ):
            draft.save_fold(result)
            yield result
    elif len(devices) > 1 and len(missing) > 1:
        yield from on_devices(partial(_fit_fold, quiet, draft), missing, devices, may_start=lambda s: may_fit(s.name))
    elif n_jobs > 1:
        yield from pmap(partial(_fit_fold, quiet, draft), missing, n_jobs=n_jobs)
    else:
        yield from (_fit_fold(job, draft, split) for split in missing if may_fit(split.name))


def _tell(on_fold: OnFold | None, result: FoldResult) -> None:
    if on_fold is not None:
        on_fold(result)


def _named_apart(rows: Any) -> Any:
    """Rows of test under ids that no training row has."""
    return rows.set_axis([f"test {i}" for i in rows.index], axis=0)


def _fit_fold(job: _Job, draft: Draft, split: Split) -> FoldResult:
    result = _fitted_fold(job, draft, split)
    draft.save_fold(result)
    return result


def _fitted_fold(job: _Job, draft: Draft, split: Split) -> FoldResult:
    start = time.perf_counter()
    fits = [_fit_once(job, draft, split, number) for number in range(job.experiment.seeds)]
    oof, test = _mean_of(job, split, [fit.found for fit in fits])
    plain = [fit.plain for fit in fits if fit.plain is not None]
    return FoldResult(
        name=split.name,
        score=job.score(oof),
        oof=oof,
        test=test,
        seconds=time.perf_counter() - start,
        peak_mb=peak_mb(),
        seed_scores=tuple(job.score(fit.found[0]) for fit in fits) if len(fits) > 1 else (),
        notes=tuple(dict.fromkeys(note for fit in fits for note in fit.notes)),
        plain=_mean_of(job, split, plain) if plain else None,
    )


_Both = tuple[Predictions, Predictions]
"""Predictions of the scored rows and of test."""


def _mean_of(job: _Job, split: Split, found: Sequence[_Both]) -> _Both:
    oof, test = zip(*found, strict=True)
    return _mean_by_id(oof, split.score_ids), _mean_by_id(test, job.prepared.test.index)


@dataclass(frozen=True)
class _Fit:
    """What one model predicts and, where it looks at each image in several views, what it does without."""

    found: _Both
    plain: _Both | None
    notes: tuple[str, ...]


def _seed(experiment: Experiment, split: Split, number: int) -> int:
    return experiment.seed + split.repeat + _NEXT_SEED * number


def _fit_once(job: _Job, draft: Draft, split: Split, number: int) -> _Fit:
    estimator = job.kept(job.estimator(_seed(job.experiment, split, number)), split.name)
    estimator = job.fitted(split, estimator)
    _keep(job, draft, fit_names(job.experiment, split)[number], estimator)
    scored, test = job.columns(job.prepared.X).loc[split.score_ids], job.columns(job.prepared.test)

    def both() -> _Both:
        return job.predict(estimator, scored), job.predict(estimator, test)

    found, plain = both(), None
    if getattr(estimator, "tta", False):
        estimator.set_params(tta=False)
        plain = both()
    return _Fit(found, plain, tuple(getattr(estimator, "notes_", ())))


def _keep(job: _Job, draft: Draft, name: str, estimator: Any) -> None:
    """Keep a fitted image model where the experiment wants it: before its fold counts as finished."""
    if job.experiment.keep_models:
        write_model(job.prepared, job.experiment, estimator, draft.model_folder(name))


def write_model(prepared: Prepared, experiment: Experiment, estimator: Any, folder: Path) -> None:
    """Export a fitted image model with the competition's own labels, in their order.

    Raises
    ------
    UsageError
        It is no image model, or was fitted on one label alone.
    """
    facts = prepared.competition
    exported.save(
        estimator,
        folder,
        about=exported.About(name=experiment.name),
        columns=facts.columns if facts.targets else facts.classes or facts.columns,
        transform=experiment.target_transform,
    )


def _carve(job: _Job, fit_ids: pd.Index) -> tuple[pd.Index, pd.Index]:
    facts = job.competition
    rows = job.prepared.train.loc[fit_ids]
    labels = job.labels().loc[fit_ids]
    strata = joint_strata(labels, 2) if facts.targets else labels
    return carve(
        fit_ids,
        y=strata if job.prepared.folds.scheme.startswith("stratified") else None,
        groups=rows[facts.group] if facts.group else None,
        time=rows[facts.time] if facts.time else None,
        fraction=_CARVED,
        seed=job.experiment.seed,
    )


def _oob(job: _Job, draft: Draft, on_fold: OnFold | None) -> list[FoldResult]:
    """One fit on all rows; each row is predicted by the bags, or trees, that did not draw it (Breiman 2001)."""
    _refuse_unfair_bags(job)
    _refuse_shared_encodings(job)
    if (result := draft.fold("oob")) is None:
        fit = partial(_fit_oob, draft=draft)
        result = fit(job) if job.workers is None else next(job.workers.map(fit, [job.sent]))
        draft.save_fold(result)
    if len(never := job.prepared.folds.ids.difference(result.oof.ids, sort=False)):
        job.progress.say(
            f"Experiment '{job.experiment.name}': {len(never)} of {len(job.prepared.folds.ids)} rows are in every bag, "
            f"have no out-of-bag prediction and are in no score: {preview(never)}. {_more_bags(job)}"
        )
    _tell(on_fold, result)
    return [result]


def _refuse_unfair_bags(job: _Job) -> None:
    """Refuse bags that have seen what the scored rows share with them: their group, or what came after them."""
    name, group = job.experiment.name, job.competition.group
    if job.prepared.folds.scheme == "time":
        raise ConfigError(
            f"Experiment '{name}': an out-of-bag row is predicted by models that were fitted on later rows, so with "
            "time-ordered folds the score would be too good.",
            hint='Use validation = "folds".',
        )
    if group is not None and not job.experiment.bags:
        raise ConfigError(
            f"Experiment '{name}': out-of-bag rows share groups with in-bag rows, so on data grouped by '{group}' the "
            "score would be too good.",
            hint='Set bags = 20, which draws whole groups, or use validation = "folds".',
        )


def _refuse_shared_encodings(job: _Job) -> None:
    """Refuse trees whose out-of-bag rows helped to encode the rows in the bag."""
    recipes = job.experiment.features
    if recipes is not None and recipes.target_encode and not job.experiment.bags:
        raise ConfigError(
            f"Experiment '{job.experiment.name}': one target encoding serves all trees, so a tree has seen the labels "
            "of its out-of-bag rows, and the score would be too good.",
            hint='Set bags = 20, each of which learns its own encoding, or use validation = "folds".',
        )


def _more_bags(job: _Job) -> str:
    return "Use more bags: bags = 20." if job.experiment.bags else "Use more trees: n_estimators = 100."


def _fit_oob(job: _Job, draft: Draft) -> FoldResult:
    start = time.perf_counter()
    X, test = job.columns(job.prepared.X), job.columns(job.prepared.test)
    estimator = job.kept(job.estimator(job.experiment.seed), "oob")
    # Behind recipes stands the model itself, whose setting it is.
    drawing = estimator if job.experiment.bags or not job.experiment.features else estimator.estimator
    if "oob" not in drawing.get_params(deep=False):
        raise ConfigError(
            f"Experiment '{job.experiment.name}': the model '{job.experiment.model}' has no out-of-bag predictions.",
            hint='Set bags = 20, or use model = "forest" or "extra-trees", or validation = "folds".',
        )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*no out-of-bag prediction")  # the run says it
        drawing.set_params(oob=True)
        estimator.fit(X, job.target(), **job.groups(X.index))
    _keep(job, draft, "oob", estimator)
    oof = job.finish(_out_of_bag(job, estimator))
    return FoldResult(
        name="oob",
        score=job.score(oof),
        oof=oof,
        test=job.predict(estimator, test),
        seconds=time.perf_counter() - start,
        peak_mb=peak_mb(),
    )


def _out_of_bag(job: _Job, estimator: Any) -> pd.DataFrame:
    """The out-of-bag predictions of the rows that have one, in the competition's column names."""
    found, never = estimator.oob_prediction_, estimator.never_oob_
    if 2 * len(never) > len(found):
        raise DataError(
            f"Experiment '{job.experiment.name}': {len(never)} of {len(found)} rows are in every bag and have no "
            f"out-of-bag prediction: {preview(never)}.",
            hint=_more_bags(job),
        )
    frame = found.drop(index=never)
    return (
        frame.rename(columns=str)
        if job.competition.is_classification
        else frame.set_axis(list(job.competition.columns), axis=1)
    )


def _run(prepared: Prepared, experiment: Experiment, identity: str, results: Sequence[FoldResult]) -> Run:
    is_oob = experiment.validation == "oob"
    oof = results[0].oof if is_oob else _mean_by_id([r.oof for r in results], prepared.folds.scored_ids)
    test = _mean_by_id([r.test for r in results], prepared.test.index)
    oof, test, tta = _views_kept(prepared, experiment, results, (oof, test))
    if experiment.calibrate != "none":
        facts, folds = prepared.competition, prepared.folds
        mended = calibrate(experiment.calibrate, oof.frame, test.frame, prepared.y, folds, facts)
        oof, test = map(Predictions, mended)
    run = Run(
        name=experiment.name,
        key=identity.rpartition("-")[2],
        kind="oob" if is_oob else "oof",
        hypothesis=experiment.why,
        parent=experiment.based_on,
        settings=_resolved(prepared, experiment),
        metric=prepared.competition.metric,
        scores=_scores(prepared, experiment, oof, results),
        data=prepared.data,
        folds=prepared.folds.fingerprint,
        oof=oof,
        test=test,
        seed_scores=tuple(r.seed_scores for r in results if r.seed_scores),
        tta=tta,
        notes=tuple(dict.fromkeys(note for r in results for note in r.notes)),
        unscored=len(prepared.folds.ids) - len(oof.ids) if is_oob else 0,
        seconds=sum(r.seconds for r in results),
        peak_mb=max(r.peak_mb for r in results),
        versions=versions(),
        git=git_state(),
        features=prepared.features,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    # Rows that every bag drew have no prediction: they are counted in `unscored`.
    ids = prepared.folds.ids
    expected = ids[ids.isin(oof.ids)] if is_oob else prepared.folds.scored_ids
    run.check_ids(expected, prepared.test.index, prepared.competition.columns)
    return run


def _views_kept(
    prepared: Prepared, experiment: Experiment, results: Sequence[FoldResult], found: _Both
) -> tuple[Predictions, Predictions, dict[str, Any]]:
    """What of test-time augmentation is kept, once all folds are there."""
    plain = [result.plain for result in results if result.plain is not None]
    if len(plain) < len(results):
        return *found, {}
    oof = _mean_by_id([part for part, _ in plain], prepared.folds.scored_ids)
    test = _mean_by_id([part for _, part in plain], prepared.test.index)
    *kept, facts = kept_if_better(
        (oof.frame, test.frame),
        (found[0].frame, found[1].frame),
        prepared.y,
        prepared.folds,
        prepared.competition,
        always=experiment.keep_tta == "always",
    )
    views = experiment.params["tta"]
    return Predictions(kept[0]), Predictions(kept[1]), {"views": "flip" if views is True else views, **facts}


def _mean_by_id(parts: Sequence[Predictions], ids: pd.Index) -> Predictions:
    if len(parts) == 1 and parts[0].frame.index.equals(ids):
        return parts[0]
    frame = pd.concat([part.frame for part in parts])
    mean = frame.groupby(level=0, sort=False).mean()
    if len(mean) != len(ids):
        raise PredictionsError(f"Expected predictions for {len(ids)} ids, got {len(mean)}.")
    return Predictions(mean.loc[ids])


def _scores(
    prepared: Prepared, experiment: Experiment, oof: Predictions, results: Sequence[FoldResult]
) -> tuple[float, ...]:
    """One score for each fit; or, for out-of-bag predictions, decisions and calibration, one for each fold's rows."""
    as_fitted = prepared.competition.decision == "argmax" and experiment.calibrate == "none" and not results[0].plain
    if results[0].name != "oob" and as_fitted:
        return tuple(r.score for r in results)
    return fold_scores(oof.frame, prepared.y, prepared.folds, prepared.competition)


def peak_mb() -> float:
    """Highest resident memory of this process so far, in MB (getrusage: kilobytes on Linux, bytes on macOS)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)
