"""The loop of a search: draw settings, train them as a run, keep what came of it, measure the winner again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kagglekit.board import change_words
from kagglekit.config import Experiment
from kagglekit.contracts import Run
from kagglekit.dataset import Prepared
from kagglekit.errors import ConfigError, DataError
from kagglekit.files import lock
from kagglekit.forecast import Budget, clock
from kagglekit.identity import fold_names, run_id
from kagglekit.metrics import get_metric
from kagglekit.models import registry
from kagglekit.progress import Progress, Silent, Task
from kagglekit.search.fresh import fresh_pair, measure_again, on_fresh_folds
from kagglekit.search.record import Record, Trial, load_record
from kagglekit.search.space import parent_values, space_key
from kagglekit.search.study import Study, open_study
from kagglekit.spaces import Space
from kagglekit.store import FoldResult, Store
from kagglekit.train import train

__all__ = ["search", "trial_experiment", "trials_name"]


def trials_name(experiment: str) -> str:
    """The name that all trials from an experiment share; their ids differ by their settings."""
    return f"{experiment}-search"


def trial_experiment(parent: Experiment, params: Mapping[str, Any], change: str, number: int, task: str) -> Experiment:
    """A trial as an experiment: the parent with other settings, and the hypothesis that it tests."""
    why = f"trial {number} of the search from {parent.name}: {change or 'nothing changed'}"
    checked = registry.check(parent.model, {**parent.params, **params}, task)
    return replace(parent, name=trials_name(parent.name), why=why, params=checked, based_on=parent.name)


def search(
    prepared: Prepared,
    experiment: Experiment,
    space: Space,
    store: Store,
    *,
    trials: int = 50,
    budget: Budget | None = None,
    progress: Progress | None = None,
    n_jobs: int = 1,
) -> Record:
    """Search an experiment's settings, or go on where a killed search stopped.

    Parameters
    ----------
    prepared : Prepared
    experiment : Experiment
        The parent; it is trained first if it is not.
    space : Space
        What to try.
    store : Store
        Every complete trial is a run in it; settings that have one are not trained again.
    trials : int
        Trials of this space in all, those of earlier calls included; pruned ones count.
    budget : Budget, optional
        Nothing is started that would not fit, the measurement of the winner included.
    progress : Progress, optional
    n_jobs : int
        As in `train`.

    Returns
    -------
    Record

    Raises
    ------
    MissingExtra
        Optuna, or what the model needs, is not installed.
    StoreError
        Another process searches from the same run.
    ConfigError, DataError
        As `train`, for the parent.

    Notes
    -----
    The best score of a search is too good: it is the luckiest of many. Believe `Record.fresh`.
    """
    progress = progress or Silent()
    parent = train(prepared, experiment, store, progress=progress, n_jobs=n_jobs)
    busy = f"Another process searches from the run {parent.id}."
    with lock(store.folder / f".{parent.id}.search.lock", busy=busy):
        record = load_record(store.folder, parent.id)
        record = record or Record(experiment.name, parent.id, parent.metric, parent.scores)
        loop = _Loop(prepared, experiment, parent, space, store, budget or Budget(None), progress, n_jobs, record)
        loop.run(trials)
        loop.measure_winner()
        return loop.record


@dataclass
class _Loop:
    """One process's part of a search."""

    prepared: Prepared
    experiment: Experiment
    parent: Run
    space: Space
    store: Store
    budget: Budget
    progress: Progress
    n_jobs: int
    record: Record

    def __post_init__(self) -> None:
        self.study_key = space_key(self.space)
        self.seconds = [self.parent.seconds]  # of each trial that was trained to its end
        self.start = parent_values(self.experiment, self.space, self.prepared.competition.task)

    def run(self, trials: int) -> None:
        with open_study(
            self.store.folder / "search.db",
            f"{self.parent.id}-{self.study_key}",
            self.space,
            maximize=get_metric(self.parent.metric).greater_is_better,
            seed=int(self.study_key, 16) % 2**31,
        ) as study:
            if lost := study.repeat_interrupted():
                self.progress.say(f"{lost} trial(s) of a search that was interrupted are repeated.")
            study.begin_with(self.start)
            missing = trials - study.n_ended
            self.progress.say(self._announce(missing, study.n_ended))
            with self.progress.task("searching", max(missing, 0)) as bar:
                study.run(lambda trial: self._trial(study, trial, bar), missing, self._another)

    def _announce(self, missing: int, ended: int) -> str:
        if missing <= 0:
            return f"Nothing to search: {ended} trial(s) are done."
        before = f" after {ended} that are done" if ended else ""
        limit = "" if self.budget.seconds == float("inf") else f", at most {clock(self.budget.left)}"
        return (
            f"Searching {', '.join(self.space)} of '{self.experiment.name}': {missing} trial(s){before}, about "
            f"{clock(self.parent.seconds)} each{limit}."
        )

    def _another(self) -> bool:
        """Whether one more trial fits, and the measurement of the winner after it."""
        return self.budget.fits(float(np.mean(self.seconds)) + self._measurement())

    def _measurement(self) -> float:
        return self.parent.seconds + max(self.seconds)

    def _trial(self, study: Study, trial: Any, bar: Task) -> float:
        """Train one trial and record how it ended; what ends without a score is pruned for Optuna."""
        params, task = study.draw(trial), self.prepared.competition.task
        change = change_words({k: (self.start[k], v) for k, v in params.items() if v != self.start[k]})
        made = trial_experiment(self.experiment, params, change, trial.number, task)
        watch = _Folds(study.optuna, trial, len(fold_names(self.prepared, made)))
        ended = Trial(self.study_key, trial.number, "pruned", run_id(self.prepared, made), change, params)
        try:
            run = self._train(made, watch)
            ended = replace(ended, state="complete", run=run.id, scores=run.scores)
        except (ConfigError, DataError) as error:  # settings that do not go together must not end the search
            ended = replace(ended, state="refused")
            self.progress.say(f"trial {trial.number} was refused: {error}")
            raise study.optuna.TrialPruned from error
        finally:
            if ended.state != "pruned" or watch.pruned:  # neither: it was interrupted, and will be repeated
                self.record = self.record.with_trial(ended)
                self.record.save(self.store.folder)
                bar.note(self._words(ended))
                bar.advance()
        return run.score

    def _train(self, made: Experiment, watch: _Folds) -> Run:
        identity = run_id(self.prepared, made)
        if identity.rpartition("-")[2] == self.parent.key[:8]:  # the parent's own settings
            return watch.knew(self.parent)
        if self.store.has(identity):
            return watch.knew(self.store.load(identity))
        run = train(self.prepared, made, self.store, progress=self.progress, on_fold=watch, n_jobs=self.n_jobs)
        self.seconds.append(run.seconds)
        return run

    def _words(self, ended: Trial) -> str:
        best = self.record.best
        score = f"{ended.score:.4f}" if ended.state == "complete" else ended.state
        so_far = f" (best {best.score:.4f}, trial {best.number})" if best else ""
        return f"trial {ended.number} {score}{so_far}: {ended.change or 'the parent'}"

    def measure_winner(self) -> None:
        """Measure the best trial on fresh folds, once, if it is another run than the parent."""
        best = self.record.best
        if best is None or not self.record.beats_parent or self.record.measured:
            return
        task = self.prepared.competition.task
        made = trial_experiment(self.experiment, best.params, best.change, best.number, task)
        again = on_fresh_folds(self.prepared)
        todo = [e for e in fresh_pair(self.experiment, made) if not self.store.has(run_id(again, e))]
        if todo and not self.budget.fits(len(todo) * self._measurement() / 2):
            self.progress.say("No time is left to measure the best trial on fresh folds; the same command does it.")
            return
        self.progress.say(f"Measuring trial {best.number} and '{self.experiment.name}' on fresh folds.")
        fresh = measure_again(
            self.prepared, self.experiment, made, self.store, progress=self.progress, n_jobs=self.n_jobs
        )
        self.record = replace(self.record, fresh=fresh)
        self.record.save(self.store.folder)


class _Folds:
    """Reports a trial's mean so far after each fold, and ends the trial where Optuna says so."""

    def __init__(self, optuna: Any, trial: Any, n_fits: int) -> None:
        self.optuna, self.trial, self.n_fits = optuna, trial, n_fits
        self.scores: list[float] = []
        self.pruned = False

    def knew(self, run: Run) -> Run:
        """Report the folds of a run that was made before."""
        for score in run.scores:
            self._report(score)
        return run

    def _report(self, score: float) -> None:
        self.scores.append(score)
        self.trial.report(float(np.mean(self.scores)), len(self.scores) - 1)

    def __call__(self, result: FoldResult) -> None:
        self._report(result.score)
        if len(self.scores) < self.n_fits and self.trial.should_prune():
            self.pruned = True
            raise self.optuna.TrialPruned
