"""What a search has found so far, as a file that can be read without Optuna.

::

    runs/<slug>/
        search.db                   Optuna's studies (SQLite)
        searches/<parent run>.json  the trials of all searches from that run; written after each of them
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from kagglekit.files import read_json, write_json
from kagglekit.metrics import get_metric
from kagglekit.stats import Verdict

__all__ = ["Fresh", "Record", "Trial", "load_record", "record_path"]

State = Literal["complete", "pruned", "refused"]


@dataclass(frozen=True)
class Trial:
    """One trial.

    Parameters
    ----------
    study : str
        Key of the space that it was drawn from.
    number : int
        Within its study.
    state : {"complete", "pruned", "refused"}
        Refused are settings that the model does not take together.
    run : str
        Id of its run; a pruned one is not finished.
    change : str
        Against the parent, in words.
    params : dict
        The settings that were searched.
    scores : tuple of float
        Of every fold where it is complete.
    """

    study: str
    number: int
    state: State
    run: str
    change: str
    params: dict[str, Any]
    scores: tuple[float, ...] = ()

    @property
    def score(self) -> float:
        """Mean of the fold scores; NaN where it is not complete."""
        return float(np.mean(self.scores)) if self.state == "complete" else float("nan")


@dataclass(frozen=True)
class Fresh:
    """The best trial and its parent on folds that chose nothing.

    Parameters
    ----------
    of : str
        Id of the best trial's run when it was measured.
    parent_score, score, standard_error : float
        Standard error of the best trial's fold scores.
    better_by, low, high : float
        Paired difference to the parent with its 95 % interval; positive is better.
    verdict : {"better", "worse", "no difference"}
    new_folds : bool
        False where rows can be cut in one way only (by time): then only the seed of training was another.
    """

    of: str
    parent_score: float
    score: float
    standard_error: float
    better_by: float
    low: float
    high: float
    verdict: Verdict
    new_folds: bool = True


@dataclass(frozen=True)
class Record:
    """All trials from one parent run, in the order they ended.

    Parameters
    ----------
    experiment, parent : str
        The experiment that was searched from, and the id of its run.
    metric : str
    parent_scores : tuple of float
        Of the parent on the folds of the search.
    trials : tuple of Trial
    fresh : Fresh or None
        None until the winner has been measured again.
    """

    experiment: str
    parent: str
    metric: str
    parent_scores: tuple[float, ...]
    trials: tuple[Trial, ...] = ()
    fresh: Fresh | None = None

    @property
    def complete(self) -> list[Trial]:
        """The complete trials, each run once."""
        return list({t.run: t for t in reversed(self.trials) if t.state == "complete"}.values())[::-1]

    @property
    def best(self) -> Trial | None:
        """The complete trial with the best score; the first of equals."""
        return max(self.complete, key=lambda t: self._sign * t.score, default=None)

    @property
    def beats_parent(self) -> bool:
        """Whether the best trial is another run than the parent and scored better in the search."""
        best = self.best
        return best is not None and best.run != self.parent and self._sign * (best.score - self.parent_score) > 0

    @property
    def parent_score(self) -> float:
        return float(np.mean(self.parent_scores))

    @property
    def measured(self) -> Fresh | None:
        """The fresh measurement, where it is of the trial that is best now."""
        return self.fresh if self.fresh and self.best and self.fresh.of == self.best.run else None

    @property
    def chosen_by_others(self) -> float:
        """Mean over folds of the score of the trial that the other folds' scores would have chosen.

        No training is needed for it. What is left of the best trial's lead here was not luck of choosing by these very
        folds; the settings that were tried at all did look at every fold.
        """
        table = np.array([t.scores for t in self.complete])
        if table.ndim < 2 or table.shape[1] < 2:
            return float("nan")
        others = self._sign * (table.sum(axis=1, keepdims=True) - table)
        return float(table[others.argmax(axis=0), np.arange(table.shape[1])].mean())

    @property
    def _sign(self) -> int:
        return 1 if get_metric(self.metric).greater_is_better else -1

    def with_trial(self, trial: Trial) -> Record:
        """The record with one more trial; a second end of the same one replaces the first."""
        others = [t for t in self.trials if (t.study, t.number) != (trial.study, trial.number)]
        return replace(self, trials=(*others, trial))

    def count(self, state: State, study: str | None = None) -> int:
        return sum(t.state == state and study in (None, t.study) for t in self.trials)

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values: everything that was tried, and what of it is to be believed."""
        best, others = self.best, self.chosen_by_others
        return {
            **asdict(self),
            "best": None if best is None else {**asdict(best), "score": best.score},
            "fresh": None if self.measured is None else asdict(self.measured),
            "chosen_by_others": None if others != others else others,
        }

    def save(self, runs: Path) -> None:
        write_json(record_path(runs, self.parent), asdict(self))


def record_path(runs: Path, parent: str) -> Path:
    """Where the record of the searches from a run lies."""
    return runs / "searches" / f"{parent}.json"


def load_record(runs: Path, parent: str) -> Record | None:
    """The record of the searches from a run, or None where there was none."""
    path = record_path(runs, parent)
    if not path.is_file():
        return None
    facts: dict[str, Any] = read_json(path)
    facts["parent_scores"] = tuple(facts["parent_scores"])
    facts["trials"] = tuple(_trial(t) for t in facts["trials"])
    facts["fresh"] = Fresh(**facts["fresh"]) if facts["fresh"] else None
    return Record(**facts)


def _trial(facts: dict[str, Any]) -> Trial:
    return Trial(**{**facts, "scores": tuple(facts["scores"])})
