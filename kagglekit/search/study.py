"""Optuna's side of a search: the study on disk, what it draws next, and trials that a killed process left behind."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kagglekit.errors import MissingExtra
from kagglekit.spaces import Dimension, Range, Space

__all__ = ["Study", "open_study"]

# Seconds. The lock of a search frees at once what a killed process was at; heartbeats tell it to other machines that
# share the folder, where a lock may not reach.
_HEARTBEAT, _GRACE = 15, 90
_STARTUP = 8  # trials drawn at random before TPE begins to learn
_PRUNE_AFTER_TRIALS, _PRUNE_AFTER_FOLDS = 4, 2


class Study:
    """One study: trials drawn from one space for one parent run.

    Parameters
    ----------
    optuna : the module
    study : optuna.Study
    space : Space
    """

    def __init__(self, optuna: Any, study: Any, space: Space) -> None:
        self.optuna, self._study, self.space = optuna, study, space

    @property
    def n_ended(self) -> int:
        """Trials that came to an end: complete, pruned or refused."""
        states = self.optuna.trial.TrialState
        return len(self._study.get_trials(deepcopy=False, states=(states.COMPLETE, states.PRUNED)))

    def repeat_interrupted(self) -> int:
        """Mark as failed what a process that is gone was at, and have it drawn again; how many trials that are.

        Only for who holds the lock of the search: every running trial is then a dead one.
        """
        states = self.optuna.trial.TrialState
        for trial in self._study.get_trials(deepcopy=False, states=(states.RUNNING,)):
            self._study.tell(trial.number, state=states.FAIL)
        trials = self._study.get_trials(deepcopy=False)
        again = {t.user_attrs.get("repeats") for t in trials}
        lost = [t for t in trials if t.state == states.FAIL and t.params and t.number not in again]
        for trial in lost:
            self._study.enqueue_trial(trial.params, user_attrs={"repeats": trial.number})
        return len(lost)

    def begin_with(self, values: Mapping[str, Any]) -> None:
        """Draw these values first, where they lie inside the space, so that the parent is a trial like the others."""
        if not self._study.trials and all(d.holds(values[name]) for name, d in self.space.items()):
            self._study.enqueue_trial(dict(values))

    def draw(self, trial: Any) -> dict[str, Any]:
        """The settings of a trial; fractions have three digits, which tell as much and can be read."""
        return {name: _suggest(trial, name, dimension) for name, dimension in self.space.items()}

    def run(self, objective: Callable[[Any], float], n_trials: int, go_on: Callable[[], bool]) -> None:
        """Run trials, one after the other, as long as `go_on` says so before each."""

        def look_at_the_clock(study: Any, trial: Any) -> None:
            if not go_on():
                study.stop()

        if n_trials > 0 and go_on():
            with _heartbeats_allowed(self.optuna):
                self._study.optimize(objective, n_trials=n_trials, callbacks=[look_at_the_clock])


@contextmanager
def open_study(file: Path, name: str, space: Space, *, maximize: bool, seed: int) -> Iterator[Study]:
    """Open a study by name, or begin it.

    Parameters
    ----------
    file : Path
        The SQLite database; it is made when it is missing.
    name : str
    space : Space
    maximize : bool
    seed : int
        Each process draws on from it by the number of trials there are: none draws what another drew before.

    Raises
    ------
    MissingExtra
        Optuna is not installed.

    Notes
    -----
    Settings are proposed by tree-structured Parzen estimators (Bergstra et al. 2011), and trials whose first folds are
    below the median of the others' are pruned (Golovin et al. 2017, "Google Vizier", section 3.5.2).
    """
    optuna = _optuna()
    file.parent.mkdir(parents=True, exist_ok=True)
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with _heartbeats_allowed(optuna):
        storage = optuna.storages.RDBStorage(
            f"sqlite:///{file.absolute()}",
            # A connection is closed when it is done with, also that of the thread of heartbeats.
            engine_kwargs={"poolclass": importlib.import_module("sqlalchemy.pool").NullPool},
            heartbeat_interval=_HEARTBEAT,
            grace_period=_GRACE,
        )
    try:
        study = optuna.create_study(
            storage=storage,
            study_name=name,
            load_if_exists=True,
            direction="maximize" if maximize else "minimize",
            pruner=optuna.pruners.MedianPruner(
                n_startup_trials=_PRUNE_AFTER_TRIALS, n_warmup_steps=_PRUNE_AFTER_FOLDS - 1
            ),
        )
        study.sampler = optuna.samplers.TPESampler(n_startup_trials=_STARTUP, seed=seed + len(study.trials))
        yield Study(optuna, study, space)
    finally:
        optuna.logging.set_verbosity(verbosity)
        storage.remove_session()
        storage.engine.dispose()


@contextmanager
def _heartbeats_allowed(optuna: Any) -> Iterator[None]:
    """Optuna 4 calls heartbeats experimental, each time."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        yield


def _suggest(trial: Any, name: str, dimension: Dimension) -> Any:
    if not isinstance(dimension, Range):
        return trial.suggest_categorical(name, list(dimension.options))
    if dimension.whole:
        return trial.suggest_int(name, int(dimension.low), int(dimension.high), log=dimension.log)
    drawn = trial.suggest_float(name, dimension.low, dimension.high, log=dimension.log)
    return min(max(float(f"{drawn:.3g}"), dimension.low), dimension.high)


def _optuna() -> Any:
    try:
        return importlib.import_module("optuna")
    except ImportError as error:
        raise MissingExtra("Searching settings", "optuna", "search") from error
