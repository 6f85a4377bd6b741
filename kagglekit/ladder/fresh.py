"""Scores of what a ladder promoted on the rows of the other folds, which decided nothing."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from kagglekit.board import Searched
from kagglekit.contracts import Run
from kagglekit.dataset import Prepared
from kagglekit.ladder.outcome import Fresh
from kagglekit.ladder.record import Record
from kagglekit.metrics import get_metric
from kagglekit.stats import Difference, bootstrap_interval, paired_bootstrap, verdict

__all__ = ["fresh_ids", "fresh_score", "promoted_rows"]


def fresh_ids(prepared: Prepared, split: str) -> pd.Index:
    """Training ids that folds other than the named one score."""
    chosen = [s.score_ids for s in prepared.folds.splits() if s.name == split]
    ids = prepared.folds.scored_ids
    return ids[~ids.isin(chosen[0])] if chosen else ids


def fresh_score(prepared: Prepared, run: Run, start: Run | None, ids: pd.Index) -> Fresh:
    """A run on some rows, and against the start on the same ones."""
    facts, groups = prepared.competition, prepared.folds.groups
    metric, y, frame = get_metric(facts.metric), prepared.y.loc[ids], run.oof.frame.loc[ids]
    interval = bootstrap_interval(metric, y, frame, facts.classes, groups=groups)
    difference = None if start is None or start.id == run.id else _difference(prepared, start, run, ids)
    found = "" if difference is None else verdict(difference)
    return Fresh(run.name, interval.score, interval.low, interval.high, difference, found)


def _difference(prepared: Prepared, a: Run, b: Run, ids: pd.Index) -> Difference:
    facts, metric = prepared.competition, get_metric(prepared.competition.metric)
    before, after = (run.oof.frame.loc[ids] for run in (a, b))
    return paired_bootstrap(metric, prepared.y.loc[ids], before, after, facts.classes, groups=prepared.folds.groups)


def promoted_rows(prepared: Prepared, record: Record, runs: Mapping[str, Run]) -> dict[str, Searched]:
    """What the table of experiments says of promoted runs: the score on the folds that did not promote them."""
    names = [split.name for split in prepared.folds.splits()]
    ids = fresh_ids(prepared, record.fold)
    found = {}
    for name in record.promoted:
        run = runs.get(name)
        if run is None or len(run.scores) != len(names) or record.fold not in names or not len(ids):
            continue
        scores = [score for fold, score in zip(names, run.scores, strict=True) if fold != record.fold]
        error = float(np.std(scores, ddof=1) / np.sqrt(len(scores))) if len(scores) > 1 else None
        parent = runs.get(run.parent or "")
        said = "" if parent is None else verdict(_difference(prepared, parent, run, ids))
        words = f"{run.hypothesis}; promoted on {record.fold}, scored on the others"
        found[name] = Searched(0, float(np.mean(scores)), error, said, words)
    return found
