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
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from kagglekit.config import Experiment
from kagglekit.contracts import Competition, Predictions, Run, Split
from kagglekit.dataset import Prepared
from kagglekit.errors import ConfigError, DataError, PredictionsError, nearest, preview
from kagglekit.folds import carve
from kagglekit.metrics import get_metric
from kagglekit.models import registry
from kagglekit.parallel import pmap
from kagglekit.progress import Progress, Silent
from kagglekit.provenance import git_state, versions
from kagglekit.scoring import fold_scores
from kagglekit.store import Draft, FoldResult, Store
from kagglekit.targets import get_target

__all__ = ["fold_names", "run_id", "train"]

_CARVED = 0.15  # share of the fit rows that early stopping watches
_NOT_SETTINGS = ("cache_dir", "progress", "n_jobs", "random_state")  # where and how fast, or said elsewhere
OnFold = Callable[[FoldResult], None]


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
    return {**experiment.settings, "params": {**defaults, **experiment.params}}


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | int | float | bool | list | dict | None) else repr(value)


def fold_names(prepared: Prepared, experiment: Experiment) -> list[str]:
    """The fits that this experiment needs, in order."""
    if experiment.validation == "oob":
        return ["oob"]
    return [split.name for split in prepared.folds.splits()]


def train(
    prepared: Prepared,
    experiment: Experiment,
    store: Store,
    *,
    progress: Progress | None = None,
    on_fold: OnFold | None = None,
    n_jobs: int = 1,
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

    Returns
    -------
    Run
        Complete and stored.

    Raises
    ------
    ConfigError, DataError
        The experiment names columns that are not there, or asks for out-of-bag predictions that cannot be had.
    """
    identity = run_id(prepared, experiment)
    if store.has(identity):
        return store.load(identity)
    job = _Job(prepared, experiment, progress or Silent())
    job.check()
    settings = {**_resolved(prepared, experiment), "data": prepared.data, "folds": prepared.folds.fingerprint}
    with store.draft(identity, settings) as draft:
        results = _oob(job, draft, on_fold) if experiment.validation == "oob" else _folds(job, draft, on_fold, n_jobs)
        run = _run(prepared, experiment, identity, results)
        draft.finish(run)
    return run


@dataclass(frozen=True)
class _Job:
    """One experiment on one prepared competition."""

    prepared: Prepared
    experiment: Experiment
    progress: Progress

    @property
    def competition(self) -> Competition:
        return self.prepared.competition

    def check(self) -> None:
        used, known = self.experiment.columns or (), list(self.prepared.test.columns)
        for column in (*used, *self.experiment.drop):
            if column not in known:
                raise ConfigError(
                    f"Experiment '{self.experiment.name}': no column '{column}'.", hint=nearest(column, known)
                )
        if self.experiment.target_transform != "none" and self.competition.is_classification:
            raise ConfigError(f"Experiment '{self.experiment.name}': target_transform is for regression.")

    def columns(self, frame: pd.DataFrame) -> pd.DataFrame:
        chosen = frame.columns if self.experiment.columns is None else self.experiment.columns
        return frame[[c for c in chosen if c not in self.experiment.drop]]

    def estimator(self, seed: int) -> Any:
        own = dict(self.experiment.params)
        offered = registry.parameters(self.experiment.model, self.competition.task)
        for name, value in (("cache_dir", str(self.prepared.cache)), ("progress", self.progress)):
            if name in offered:
                own.setdefault(name, value)
        return registry.build(self.experiment.model, own, task=self.competition.task, seed=seed)

    def target(self) -> pd.Series:
        if self.competition.is_classification:
            return self.prepared.y
        return get_target(self.experiment.target_transform).forward(self.prepared.y)

    def predict(self, estimator: Any, X: pd.DataFrame) -> Predictions:
        """Predictions by id: classes that the fit rows lacked get probability nought, never another class's column."""
        if self.competition.is_classification:
            values, seen = estimator.predict_proba(X), [str(c) for c in estimator.classes_]
            frame = pd.DataFrame(values, index=X.index, columns=seen)
        else:
            frame = pd.DataFrame({self.competition.target: np.asarray(estimator.predict(X))}, index=X.index)
        return self.finish(frame)

    def finish(self, frame: pd.DataFrame) -> Predictions:
        if self.competition.is_classification:
            return Predictions(frame.reindex(columns=list(self.competition.columns), fill_value=0.0))
        return Predictions(get_target(self.experiment.target_transform).backward(frame))

    def score(self, oof: Predictions) -> float:
        metric = get_metric(self.competition.metric)
        return metric.score(self.prepared.y.loc[oof.ids], oof.frame, self.competition.classes)


def _folds(job: _Job, draft: Draft, on_fold: OnFold | None, n_jobs: int) -> list[FoldResult]:
    done: dict[str, FoldResult] = {}
    missing: list[Split] = []
    for split in job.prepared.folds.splits():
        if (found := draft.fold(split.name)) is None:
            missing.append(split)
        else:
            done[split.name] = found
            _tell(on_fold, found)
    if n_jobs == 1:
        for split in missing:
            done[split.name] = _fit_fold(job, draft, split)
            _tell(on_fold, done[split.name])
    else:
        quiet = _Job(job.prepared, job.experiment, Silent())  # bars cannot be drawn from another process
        for result in pmap(partial(_fit_fold, quiet, draft), missing, n_jobs=n_jobs):
            done[result.name] = result
            _tell(on_fold, result)
    return [done[split.name] for split in job.prepared.folds.splits()]


def _tell(on_fold: OnFold | None, result: FoldResult) -> None:
    if on_fold is not None:
        on_fold(result)


def _fit_fold(job: _Job, draft: Draft, split: Split) -> FoldResult:
    start = time.perf_counter()
    X, y, test = job.columns(job.prepared.X), job.target(), job.columns(job.prepared.test)
    estimator = job.estimator(job.experiment.seed + split.repeat)
    fit_ids, eval_set = split.fit_ids, None
    if getattr(estimator, "uses_eval_set", False):
        fit_ids, carved = _carve(job, split)
        eval_set = (X.loc[carved], y.loc[carved])
    if eval_set is None:
        estimator.fit(X.loc[fit_ids], y.loc[fit_ids])
    else:
        estimator.fit(X.loc[fit_ids], y.loc[fit_ids], eval_set=eval_set)
    oof = job.predict(estimator, X.loc[split.score_ids])
    result = FoldResult(
        name=split.name,
        score=job.score(oof),
        oof=oof,
        test=job.predict(estimator, test),
        seconds=time.perf_counter() - start,
        peak_mb=peak_mb(),
    )
    draft.save_fold(result)
    return result


def _carve(job: _Job, split: Split) -> tuple[pd.Index, pd.Index]:
    facts, train = job.competition, job.prepared.train
    rows = train.loc[split.fit_ids]
    return carve(
        split.fit_ids,
        y=rows[facts.target] if job.prepared.folds.scheme.startswith("stratified") else None,
        groups=rows[facts.group] if facts.group else None,
        time=rows[facts.time] if facts.time else None,
        fraction=_CARVED,
        seed=job.experiment.seed,
    )


def _oob(job: _Job, draft: Draft, on_fold: OnFold | None) -> list[FoldResult]:
    """One fit on all rows; each row is predicted by the trees whose bootstrap sample lacked it (Breiman 2001)."""
    if job.competition.group is not None:
        raise ConfigError(
            f"Experiment '{job.experiment.name}': out-of-bag rows share groups with in-bag rows, so on data grouped by "
            f"'{job.competition.group}' the score would be too good.",
            hint='Use validation = "folds".',
        )
    if (result := draft.fold("oob")) is None:
        result = _fit_oob(job)
        draft.save_fold(result)
    _tell(on_fold, result)
    return [result]


def _fit_oob(job: _Job) -> FoldResult:
    start = time.perf_counter()
    X, test = job.columns(job.prepared.X), job.columns(job.prepared.test)
    estimator = job.estimator(job.experiment.seed)
    if "oob" not in estimator.get_params():
        raise ConfigError(
            f"Experiment '{job.experiment.name}': the model '{job.experiment.model}' has no out-of-bag predictions.",
            hint='Use model = "forest" or "extra-trees", or validation = "folds".',
        )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*no out-of-bag prediction")  # the error below says it
        estimator.set_params(oob=True).fit(X, job.target())
    if len(never := estimator.never_oob_):
        raise DataError(
            f"Experiment '{job.experiment.name}': {len(never)} row(s) were in every bag and have no out-of-bag "
            f"prediction: {preview(never)}.",
            hint="Use more trees: n_estimators = 100.",
        )
    oof = job.finish(estimator.oob_prediction_.rename(columns=str).set_axis(X.index))
    return FoldResult(
        name="oob",
        score=job.score(oof),
        oof=oof,
        test=job.predict(estimator, test),
        seconds=time.perf_counter() - start,
        peak_mb=peak_mb(),
    )


def _run(prepared: Prepared, experiment: Experiment, identity: str, results: Sequence[FoldResult]) -> Run:
    is_oob = experiment.validation == "oob"
    oof = results[0].oof if is_oob else _mean_by_id([r.oof for r in results], prepared.folds.scored_ids)
    run = Run(
        name=experiment.name,
        key=identity.rpartition("-")[2],
        kind="oob" if is_oob else "oof",
        hypothesis=experiment.why,
        parent=experiment.based_on,
        settings=_resolved(prepared, experiment),
        metric=prepared.competition.metric,
        scores=_scores(prepared, oof, results),
        data=prepared.data,
        folds=prepared.folds.fingerprint,
        oof=oof,
        test=_mean_by_id([r.test for r in results], prepared.test.index),
        seconds=sum(r.seconds for r in results),
        peak_mb=max(r.peak_mb for r in results),
        versions=versions(),
        git=git_state(),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    expected = prepared.folds.ids if is_oob else prepared.folds.scored_ids
    run.check_ids(expected, prepared.test.index, prepared.competition.columns)
    return run


def _mean_by_id(parts: Sequence[Predictions], ids: pd.Index) -> Predictions:
    frame = pd.concat([part.frame for part in parts])
    mean = frame.groupby(level=0, sort=False).mean()
    if len(mean) != len(ids):
        raise PredictionsError(f"Expected predictions for {len(ids)} ids, got {len(mean)}.")
    return Predictions(mean.loc[ids])


def _scores(prepared: Prepared, oof: Predictions, results: Sequence[FoldResult]) -> tuple[float, ...]:
    """One score for each fit; or, for out-of-bag predictions and decision rules, one for each fold's rows."""
    if results[0].name != "oob" and prepared.competition.decision == "argmax":
        return tuple(r.score for r in results)
    return fold_scores(oof.frame, prepared.y, prepared.folds, prepared.competition)


def peak_mb() -> float:
    """Highest resident memory of this process so far, in MB (getrusage: kilobytes on Linux, bytes on macOS)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)
