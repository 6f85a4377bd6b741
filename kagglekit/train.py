"""Stage 3: the fold loop - the only place where models are fitted for a score.

An estimator is handed the rows of the other folds and, for early stopping, rows carved from those. The labels of the
rows that are scored never reach it.
"""

from __future__ import annotations

import resource
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pandas as pd

from kagglekit.config import Experiment
from kagglekit.contracts import Predictions, Run, Split
from kagglekit.dataset import Prepared
from kagglekit.errors import ConfigError, PredictionsError, StoreError, preview
from kagglekit.identity import fit_names, fold_names, resolved_settings, run_id, run_settings, seed_of
from kagglekit.job import Job, Labeller, more_bags, out_of_bag
from kagglekit.parallel import Stoppable, on_devices, pmap
from kagglekit.progress import Progress, Silent
from kagglekit.provenance import git_state, versions
from kagglekit.refit import write_model
from kagglekit.scoring import calibrate, fold_scores, kept_if_better
from kagglekit.store import Draft, FoldResult, Store

__all__ = ["check", "train", "train_within"]

OnFold = Callable[[FoldResult], None]
MayFit = Callable[[str], bool]


def check(prepared: Prepared, experiment: Experiment) -> None:
    """Refuse what `train` would refuse, before hours of training that came first.

    Raises
    ------
    ConfigError, DataError
        See `train`.
    """
    Job(prepared, experiment, Silent()).check()
    if experiment.pseudo is not None:
        check(prepared, experiment.pseudo)


def train(
    prepared: Prepared,
    experiment: Experiment,
    store: Store,
    *,
    progress: Progress | None = None,
    on_fold: OnFold | None = None,
    n_jobs: int = 1,
    devices: Sequence[str] = (),
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
    devices : sequence of str
        GPUs as CUDA_VISIBLE_DEVICES names them; with more than one, each fits a fold of its own.
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
    job = Job(prepared, experiment, progress or Silent(), workers=workers)
    run = _train(job, store, on_fold, n_jobs, devices, lambda name: True)
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
        See `train`.
    workers : Stoppable, optional
        See `train`, also for what is raised when their time is over.

    Returns
    -------
    Run or None
        None when folds are left.
    """
    job = Job(prepared, experiment, progress or Silent(), workers=workers)
    return _train(job, store, on_fold, 1, devices, may_fit)


def _train(
    job: Job, store: Store, on_fold: OnFold | None, n_jobs: int, devices: Sequence[str], may_fit: MayFit
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


def _labeller(job: Job, store: Store, n_jobs: int) -> Labeller | None:
    """The trained run that labels test rows; it is trained now if it was not."""
    experiment = job.experiment
    if experiment.pseudo is None:
        return None
    run = train(job.prepared, experiment.pseudo, store, progress=job.progress, n_jobs=n_jobs, workers=job.workers)
    return Labeller(store, run.id, experiment.pseudo_share)


def _folds(
    job: Job, draft: Draft, on_fold: OnFold | None, n_jobs: int, devices: Sequence[str], may_fit: MayFit
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
    job: Job, draft: Draft, missing: Sequence[Split], n_jobs: int, devices: Sequence[str], may_fit: MayFit
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


def _fit_fold(job: Job, draft: Draft, split: Split) -> FoldResult:
    result = _fitted_fold(job, draft, split)
    draft.save_fold(result)
    return result


def _fitted_fold(job: Job, draft: Draft, split: Split) -> FoldResult:
    start = time.perf_counter()
    fits = [_fit_once(job, draft, split, number) for number in range(job.experiment.seeds)]
    oof, test = _mean_of(job, split, [fit.found for fit in fits])
    plain = [fit.plain for fit in fits if fit.plain is not None]
    return FoldResult(
        name=split.name,
        score=job.score(oof),
        oof=oof,
        test=test,
        seconds=time.perf_counter() - start + sum(fit.seconds_before for fit in fits),
        peak_mb=peak_mb(),
        seed_scores=tuple(job.score(fit.found[0]) for fit in fits) if len(fits) > 1 else (),
        notes=_once(fit.notes for fit in fits),
        pretrained=_once(fit.pretrained for fit in fits),
        plain=_mean_of(job, split, plain) if plain else None,
    )


_Both = tuple[Predictions, Predictions]
"""Predictions of the scored rows and of test."""


def _mean_of(job: Job, split: Split, found: Sequence[_Both]) -> _Both:
    oof, test = zip(*found, strict=True)
    return _mean_by_id(oof, split.score_ids), _mean_by_id(test, job.prepared.test.index)


@dataclass(frozen=True)
class _Fit:
    """What one model predicts and, where it looks at each image in several views, what it does without."""

    found: _Both
    plain: _Both | None
    notes: tuple[str, ...]
    pretrained: tuple[str, ...]
    seconds_before: float


def _fit_once(job: Job, draft: Draft, split: Split, number: int) -> _Fit:
    estimator = job.kept(job.estimator(seed_of(job.experiment, split, number)), split.name)
    estimator = job.fitted(split, estimator)
    _keep(job, draft, fit_names(job.experiment, split)[number], estimator)
    scored, test = job.columns(job.prepared.X).loc[split.score_ids], job.columns(job.prepared.test)

    def both() -> _Both:
        return job.predict(estimator, scored), job.predict(estimator, test)

    found, plain = both(), None
    if getattr(estimator, "tta", False):
        estimator.set_params(tta=False)
        plain = both()
    seconds_before = getattr(estimator, "seconds_before_", 0.0)
    return _Fit(found, plain, _said(estimator, "notes_"), _said(estimator, "weights_"), seconds_before)


def _said(estimator: Any, attribute: str) -> tuple[str, ...]:
    """What a fitted model says of itself, or its bags say of themselves, each thing once."""
    own, bags = getattr(estimator, attribute, ()), getattr(estimator, "estimators_", ())
    own = (own,) if isinstance(own, str) else own if isinstance(own, tuple) else ()
    words = [word for word in own if isinstance(word, str)]  # other packages call numbers by these names
    return _once([words, *(_said(bag, attribute) for bag in bags if isinstance(bags, list))])


def _once(found: Iterable[Iterable[str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one for several in found for one in several))


def _keep(job: Job, draft: Draft, name: str, estimator: Any) -> None:
    """Keep a fitted image model where the experiment wants it: before its fold counts as finished."""
    if job.experiment.keep_models:
        write_model(job.prepared, job.experiment, estimator, draft.model_folder(name))


def _oob(job: Job, draft: Draft, on_fold: OnFold | None) -> list[FoldResult]:
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
            f"have no out-of-bag prediction and are in no score: {preview(never)}. {more_bags(job)}"
        )
    _tell(on_fold, result)
    return [result]


def _refuse_unfair_bags(job: Job) -> None:
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


def _refuse_shared_encodings(job: Job) -> None:
    """Refuse trees whose out-of-bag rows helped to encode the rows in the bag."""
    recipes = job.experiment.features
    if recipes is not None and recipes.target_encode and not job.experiment.bags:
        raise ConfigError(
            f"Experiment '{job.experiment.name}': one target encoding serves all trees, so a tree has seen the labels "
            "of its out-of-bag rows, and the score would be too good.",
            hint='Set bags = 20, each of which learns its own encoding, or use validation = "folds".',
        )


def _fit_oob(job: Job, draft: Draft) -> FoldResult:
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
        estimator.fit(X, job.target(), **job.groups(X.index), **job.extras(X.index))
    _keep(job, draft, "oob", estimator)
    oof = job.finish(out_of_bag(job, estimator))
    return FoldResult(
        name="oob",
        score=job.score(oof),
        oof=oof,
        test=job.predict(estimator, test),
        notes=_said(estimator, "notes_"),
        pretrained=_said(estimator, "weights_"),
        seconds=time.perf_counter() - start,
        peak_mb=peak_mb(),
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
        settings=resolved_settings(prepared, experiment),
        metric=prepared.competition.metric,
        scores=_scores(prepared, experiment, oof, results),
        data=prepared.data,
        folds=prepared.folds.fingerprint,
        oof=oof,
        test=test,
        seed_scores=tuple(r.seed_scores for r in results if r.seed_scores),
        tta=tta,
        notes=_once(r.notes for r in results),
        pretrained=_once(r.pretrained for r in results),
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
