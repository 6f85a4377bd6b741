"""Climbing: cheap rungs first on one shared fold, and to the next rung only with what won."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor
from dataclasses import replace
from functools import partial
from typing import Any

from kagglekit.board import change_words
from kagglekit.config import Experiment
from kagglekit.contracts import Run
from kagglekit.dataset import Prepared
from kagglekit.errors import ConfigError, DataError, KagglekitError, MissingExtra, WeightsNotFound
from kagglekit.forecast import Budget, clock
from kagglekit.identity import fold_names, run_id
from kagglekit.ladder.cost import Costs
from kagglekit.ladder.fresh import fresh_ids, fresh_score
from kagglekit.ladder.judge import Judge, Scored, shared_split
from kagglekit.ladder.memory import Memory, enough_memory, peak_memory
from kagglekit.ladder.outcome import Climbed, Step, grouped
from kagglekit.ladder.record import Candidate, Measured, changed, load_ladder, made
from kagglekit.models import registry
from kagglekit.models.vision.weights import find_weights
from kagglekit.parallel import OutOfTime, Stoppable
from kagglekit.progress import Progress, Silent
from kagglekit.rungs import COMMON, Ladder, Rung
from kagglekit.store import FoldResult, Store
from kagglekit.train import train_within

__all__ = ["climb"]

_UNFIT = (ConfigError, DataError, MissingExtra, WeightsNotFound)


def climb(
    prepared: Prepared,
    ladder: Ladder,
    experiments: Mapping[str, Experiment],
    store: Store,
    *,
    budget: Budget | None = None,
    full: bool = True,
    costs: Costs | None = None,
    progress: Progress | None = None,
    workers: Stoppable | None = None,
) -> Climbed:
    """Climb a ladder, or go on where an earlier climb stopped.

    Parameters
    ----------
    prepared : Prepared
    ladder : Ladder
    experiments : mapping of str to Experiment
        Those of the pipeline file; a candidate with the settings of one of them is that one.
    store : Store
        Every candidate is a run in it, of which only the shared fold is trained unless it is promoted.
    budget : Budget, optional
        Nothing is started whose forecast does not fit. What takes longer than forecast is stopped when the time is
        over: with a limit, models are fitted in another process, from which no bars can be drawn.
    full : bool, default=True
        Train what was promoted on all folds, and the start to compare it with.
    costs : Costs, optional
        Who makes the forecasts.
    progress : Progress, optional
    workers : Stoppable, optional
        The process that fits; by default one of its own where the budget has a limit, and this one where it has none.

    Returns
    -------
    Climbed

    Raises
    ------
    ConfigError, DataError, MissingExtra, WeightsNotFound
        As `train`, for the start. A candidate that cannot be trained is left out and named.
    StoreError
        Another process trains the same run.

    Notes
    -----
    The shared fold's rows choose, so its scores say nothing of how good the chosen one is: the luckiest of many looks
    better than it is. `Climbed.fresh` scores it on the rows of the other folds. The intervals hold the noise of rows,
    not that of seeds, for one fold has one fit. A small fold finds large differences only.
    """
    progress = progress or Silent()
    split = shared_split(prepared, ladder.fold)
    costs = costs or Costs(prepared, split, load_ladder(store.folder), progress)
    judge, budget = Judge(prepared, split), budget or Budget(None)
    climbing = _Climb(prepared, ladder, experiments, store, budget, costs, judge, progress)
    if workers is not None or not budget.is_limited:
        return climbing.run(full, workers)
    with Stoppable(lambda: budget.left) as own:
        return climbing.run(full, own)


class _Climb:
    """One climb; what it decides follows from the folds in the store alone."""

    def __init__(
        self,
        prepared: Prepared,
        ladder: Ladder,
        experiments: Mapping[str, Experiment],
        store: Store,
        budget: Budget,
        costs: Costs,
        judge: Judge,
        progress: Progress,
    ) -> None:
        self.prepared, self.ladder, self.store = prepared, ladder, store
        self.budget, self.costs, self.judge, self.progress = budget, costs, judge, progress
        self.split, self.record = judge.split, costs.record
        self.workers: Stoppable | None = None
        self.start = experiments[ladder.start]
        self.by_key = {self._key(e): e for e in experiments.values() if not e.offered}
        n_scored, n_fitted = len(self.split.score_ids), len(self.split.fit_ids)
        self.found = Climbed(judge.metric.name, self.split.name, n_scored, n_fitted, best=ladder.start)

    def run(self, full: bool, workers: Stoppable | None = None) -> Climbed:
        self.workers, promoted = workers, list[Scored]()
        try:
            promoted.append(self._begin())
            for rung in self.ladder.rungs:
                winner = self._rung(rung, promoted[-1])
                promoted += [winner] * (winner is not promoted[-1])
        except OutOfTime as reason:
            self.found.undecided = str(reason)
        if promoted:
            self.found.best = promoted[-1].name
        if full and promoted:
            self.record.fold, self.record.promoted = self.split.name, [one.name for one in promoted[1:]]
            self.record.save()
            self._train_fully([one.experiment for one in promoted])
        return self.found

    def _begin(self) -> Scored:
        self.progress.say(
            f"Every rung is compared on {self.split.name}: {self.found.n_scored} rows, fitted on {self.found.n_fitted}."
        )
        scored = self._scored(self.start, self._forecast(self.start))
        self._tell(self.judge.step("start", scored, None, 1), scored)
        return scored

    def _rung(self, rung: Rung, best: Scored) -> Scored:
        """Every candidate of a rung, the cheapest first, and who goes on to the next."""
        ready = self._ready(rung, best.experiment)
        if not ready:
            return best
        total = clock(sum(cost.forecast for _, cost in ready))
        self.progress.say(f"Rung '{rung.name}': {len(ready)} candidate(s), about {total} - {rung.why}")
        scored: list[Scored] = []
        for experiment, cost in ready:
            try:
                scored.append(self._scored(experiment, cost))
            except _UNFIT as error:
                self._leave_out({experiment.name: _reason(error)})
            else:
                self._tell(self.judge.step(rung.name, scored[-1], best, len(ready)), scored[-1])
        return self._promote(scored, best)

    def _promote(self, scored: Sequence[Scored], best: Scored) -> Scored:
        chosen = self.judge.promote(scored, best, {s.experiment: s.verdict for s in self.found.steps})
        if chosen is best:
            self.progress.say(f"Nothing won: {best.name} stays.")
            return best
        steps = self.found.steps
        steps[:] = [replace(s, promoted=True) if s.experiment == chosen.name else s for s in steps]
        self.progress.say(f"Promoted: {chosen.name}.")
        return chosen

    def _ready(self, rung: Rung, best: Experiment) -> list[tuple[Experiment, Measured]]:
        """Candidates that can be trained here, with their forecasts."""
        ready, left_out = [], {}
        for experiment in self._candidates(rung, best):
            try:
                _check_weights(experiment)
                ready.append((experiment, self._forecast(experiment)))
            except WeightsNotFound:
                left_out[experiment.name] = "no weights of it on this machine"
            except _UNFIT as error:
                left_out[experiment.name] = _reason(error)
        self._leave_out(left_out)
        self.record.save()  # so that a candidate is known by its name, also where it is not trained now
        return sorted(ready, key=lambda pair: pair[1].forecast)

    def _leave_out(self, reasons: Mapping[str, str]) -> None:
        self.found.left_out |= {name: reason.rstrip(".") for name, reason in reasons.items()}
        if reasons:
            self.progress.say(f"Left out: {'; '.join(grouped({n: self.found.left_out[n] for n in reasons}))}.")

    def _candidates(self, rung: Rung, best: Experiment) -> Iterator[Experiment]:
        """A rung's combinations on top of the best so far, save the best itself."""
        for combination in rung.combinations():
            trial = self._trial(best, combination.changes)
            key = self._key(trial)
            if key == self._key(best):
                continue
            if key in self.by_key:
                yield self.by_key[key]
                continue
            why = f"{rung.why} ({change_words(trial.changes(best))})"
            candidate = Candidate.of(self.start, trial, best.name, why)
            self.record.candidates[combination.name] = candidate
            self.by_key[key] = made(self.start, combination.name, candidate)  # a later rung may come to it again
            yield self.by_key[key]

    def _trial(self, best: Experiment, changes: Mapping[str, Any]) -> Experiment:
        params = {**best.params, **{k: v for k, v in changes.items() if k not in COMMON}}
        checked = registry.check(best.model, params, self.prepared.competition.task)
        return changed(replace(best, params=checked), changes)

    def _key(self, experiment: Experiment) -> str:
        return run_id(self.prepared, experiment).rpartition("-")[2]

    def _forecast(self, experiment: Experiment) -> Measured:
        """As it was told before the fold was trained, or told now."""
        identity = run_id(self.prepared, experiment)
        if (fold := self.store.fold(identity, self.split.name)) is not None:
            return self.record.measured.get(identity) or Measured(fold.seconds)
        return self.costs.forecast(experiment)

    def _scored(self, experiment: Experiment, cost: Measured) -> Scored:
        """The shared fold, from the store or trained now."""
        identity = run_id(self.prepared, experiment)
        if (fold := self.store.fold(identity, self.split.name)) is None:
            if not self.budget.fits(cost.forecast):
                raise OutOfTime(
                    f"{experiment.name} would take about {clock(cost.forecast)}, and {clock(max(0, self.budget.left))} "
                    "is left: the same command with more minutes goes on there"
                )
            expected = ", ".join(filter(None, (clock(cost.forecast), cost.memory())))
            self.progress.say(f"  {experiment.name}: about {expected} ({cost.basis})")
            fold = self._train(experiment, identity, cost)
        return Scored(experiment, fold)

    def _train(self, experiment: Experiment, identity: str, cost: Measured) -> FoldResult:
        work = partial(_trained_fold, self.prepared, experiment, self.store, self.split.name)
        used = work(self.progress) if self.workers is None else _elsewhere(experiment.name, work, self.workers)
        fold = self.store.fold(identity, self.split.name)
        assert fold is not None
        self.costs.learn(experiment, fold.seconds, used)
        self.record.measured[identity] = replace(cost, mb=used.mb, gpu_mb=used.gpu_mb)
        self.record.save()
        return fold

    def _tell(self, step: Step, one: Scored) -> None:
        step = replace(step, cost=self.record.measured.get(run_id(self.prepared, one.experiment)))
        self.found.steps.append(step)
        self.progress.say(f"  {step.words()}")

    def _train_fully(self, experiments: Sequence[Experiment]) -> None:
        """All folds: of the last that was promoted, of the start to compare it with, and of those between."""
        for experiment in [*experiments[-1:], *experiments[:-1]]:
            identity = run_id(self.prepared, experiment)
            first, done = self.store.fold(identity, self.split.name), self.store.folds(identity)
            each = first.seconds if first else 0.0
            if missing := [name for name in fold_names(self.prepared, experiment) if name not in done]:
                self.progress.say(f"All folds of {experiment.name}: about {clock(len(missing) * each)}")
            try:
                run = self._while_time(experiment, each)
            except OutOfTime:
                self.progress.say(
                    f"The time was over in the middle of {experiment.name}: the same command goes on there."
                )
            else:
                if run is not None:
                    self.found.runs[experiment.name] = run
        self._score_afresh([e.name for e in experiments])

    def _while_time(self, experiment: Experiment, seconds: float) -> Run | None:
        """The folds that fit, each of so many seconds; the run once it has all of them."""

        def fits(name: str) -> bool:
            return self.budget.fits(seconds)

        return train_within(self.prepared, experiment, self.store, fits, progress=self.progress, workers=self.workers)

    def _score_afresh(self, names: Sequence[str]) -> None:
        runs, ids = self.found.runs, fresh_ids(self.prepared, self.split.name)
        self.found.n_fresh = len(ids)
        if len(ids):
            start = runs.get(self.start.name)
            self.found.fresh = [fresh_score(self.prepared, runs[n], start, ids) for n in names if n in runs]


def _trained_fold(prepared: Prepared, experiment: Experiment, store: Store, fold: str, progress: Progress) -> Memory:
    """Train one fold, which the store has then, and say how much memory that took.

    A process that is ended here leaves what `kill -9` leaves of a training: its checkpoint, and no half fold.
    """
    with enough_memory(experiment.name), peak_memory() as used:
        train_within(prepared, experiment, store, partial(operator.eq, fold), progress=progress)
    return used


def _elsewhere(name: str, work: Callable[[Progress], Memory], workers: Stoppable) -> Memory:
    """Train in another process; what becomes of that process is said as what becomes of the candidate.

    Raises
    ------
    OutOfTime
    ConfigError
        The system ended the process.
    """
    try:
        return next(workers.map(work, [Silent()]))
    except OutOfTime:
        raise OutOfTime(
            f"{name} took longer than forecast, and was stopped as the time was over: the same command goes on there"
        ) from None
    except BrokenExecutor as error:
        workers.stop()
        raise ConfigError(
            f"The process that trained '{name}' was ended by the system, as when memory runs out.",
            hint="Halve its batch_size, or take fewer pixels.",
        ) from error


def _reason(error: KagglekitError) -> str:
    """Why a candidate is left out, on one line: what is wrong, and what to do."""
    return " ".join(filter(None, (error.message, error.hint)))


def _check_weights(experiment: Experiment) -> None:
    """Look for pretrained weights before anything is begun.

    Raises
    ------
    WeightsNotFound, ConfigError, MissingExtra
    """
    if experiment.model.startswith("timm") and "arch" in experiment.params:
        find_weights(str(experiment.params["arch"]), experiment.params.get("weights"))
