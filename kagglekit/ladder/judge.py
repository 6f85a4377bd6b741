"""The shared fold: who is compared on it, and what may be said of two candidates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kagglekit.board import change_words
from kagglekit.config import Experiment
from kagglekit.contracts import Split
from kagglekit.dataset import Prepared
from kagglekit.errors import ConfigError
from kagglekit.ladder.outcome import Step
from kagglekit.metrics import get_metric
from kagglekit.resampling import resampled_scores
from kagglekit.stats import Difference, Verdict, bootstrap_interval, verdict
from kagglekit.store import FoldResult

__all__ = ["Judge", "Scored", "shared_split"]

_RESAMPLES = 5000
_CHEAPER = 0.8  # measured times of one and the same training differ by less


@dataclass(frozen=True)
class Scored:
    """A candidate whose shared fold is trained."""

    experiment: Experiment
    fold: FoldResult

    @property
    def name(self) -> str:
        return self.experiment.name


def shared_split(prepared: Prepared, fold: int | None = None) -> Split:
    """The fold whose rows decide: the first; of a time-forward split the last, which is fitted on the most rows.

    Raises
    ------
    ConfigError
        There is no such fold.
    """
    folds = prepared.folds
    wanted = (folds.n - 1 if folds.scheme == "time" else 0) if fold is None else fold
    found = [split for split in folds.splits() if split.repeat == 0 and split.fold == wanted]
    if not found:
        raise ConfigError(f"[ladder] fold = {wanted}: there are the folds 0 to {folds.n - 1}.")
    return found[0]


class Judge:
    """Compares candidates on the rows of one fold.

    Parameters
    ----------
    prepared : Prepared
    split : Split
        Its scored rows decide.
    """

    def __init__(self, prepared: Prepared, split: Split) -> None:
        self.prepared, self.split = prepared, split
        self.metric = get_metric(prepared.competition.metric)
        self.sign = 1 if self.metric.greater_is_better else -1
        self.y = prepared.y.loc[split.score_ids]

    def step(self, rung: str, one: Scored, best: Scored | None, n_candidates: int) -> Step:
        """A candidate's score, and how it compares with the best so far; None for the start."""
        frame, classes = one.fold.oof.frame.loc[self.y.index], self.prepared.competition.classes
        interval = bootstrap_interval(self.metric, self.y, frame, classes, groups=self.prepared.folds.groups)
        difference = None if best is None else self.difference(best, one, n_candidates)
        return Step(
            rung=rung,
            experiment=one.name,
            why=one.experiment.why,
            change="" if best is None else change_words(one.experiment.changes(best.experiment)),
            against="" if best is None else best.name,
            score=interval.score,
            low=interval.low,
            high=interval.high,
            difference=difference,
            verdict="" if difference is None else verdict(difference),
            seconds=one.fold.seconds,
        )

    def difference(self, a: Scored, b: Scored, n_candidates: int = 1) -> Difference:
        """How much better b is; the interval is as wide as so many candidates, looked at together, need."""
        frames = [one.fold.oof.frame.loc[self.y.index] for one in (a, b)]
        classes, groups = self.prepared.competition.classes, self.prepared.folds.groups
        drawn = resampled_scores(self.metric, self.y, frames, classes, groups=groups, n_resamples=_RESAMPLES)
        moved = self.sign * (drawn[:, 1] - drawn[:, 0])
        before, after = (self.metric.score(self.y, frame, classes) for frame in frames)
        tail = 0.025 / n_candidates
        low, high = np.nanquantile(moved, [tail, 1 - tail])
        p_better = float(np.mean(moved > 0) + np.mean(moved == 0) / 2)
        return Difference(self.sign * (after - before), float(low), float(high), p_better)

    def promote(self, scored: Sequence[Scored], best: Scored, verdicts: Mapping[str, Verdict | str]) -> Scored:
        """Who goes on to the next rung.

        The best of those that are better than the best so far, else the best so far; and in its place what is no
        different from it and clearly cheaper: in four fifths of its time at most. What stands in for the best so far
        must not have scored lower either, for a small fold finds few differences.
        """
        winners = [one for one in scored if verdicts[one.name] == "better"]
        if not winners:
            even = [one for one in scored if self._gain(one, best) >= 0]
            return min(_clearly_cheaper(even, best), key=_seconds, default=best)
        top = max(winners, key=lambda one: (self._gain(one, best), -one.fold.seconds))
        alike = [one for one in winners if verdict(self.difference(one, top)) == "no difference"]
        return min(_clearly_cheaper(alike, top), key=_seconds, default=top)

    def _gain(self, one: Scored, best: Scored) -> float:
        """By how much a score is better than the best's."""
        return self.sign * (one.fold.score - best.fold.score)


def _clearly_cheaper(scored: Sequence[Scored], than: Scored) -> list[Scored]:
    return [one for one in scored if one.fold.seconds <= _CHEAPER * than.fold.seconds]


def _seconds(one: Scored) -> float:
    return one.fold.seconds
