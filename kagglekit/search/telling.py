"""A search in words: its line in the table of experiments, and the experiment that its winner would be."""

from __future__ import annotations

import json
from typing import Any

from kagglekit.board import Searched
from kagglekit.search.record import Record

__all__ = ["as_experiment", "searched"]


def searched(record: Record) -> Searched:
    """What the table of experiments says of the best trial.

    Its score is the one on fresh folds; until that is measured, the score of choosing by the other folds.
    """
    best, fresh, n = record.best, record.measured, len(record.trials)
    if best is None:
        raise ValueError("a search without a complete trial has no line in the table")
    words = f"best of {n} trial(s) from {record.experiment}: {best.change}; found {best.score:.4f}"
    if fresh is None:
        verdict = "not measured on fresh folds yet"
        return Searched(n, record.chosen_by_others, None, verdict, f"{words}, not measured on fresh folds yet")
    again = "on fresh folds" if fresh.new_folds else "with another seed, on the same folds"
    words = f"{words}, {again} {fresh.score:.4f} ({record.experiment} there: {fresh.parent_score:.4f})"
    return Searched(n, fresh.score, fresh.standard_error or None, fresh.verdict, words)


def as_experiment(record: Record) -> str:
    """The best trial as a table of a pipeline file."""
    best = record.best
    if best is None:
        return ""
    lines = [
        f"[experiments.{record.experiment}-tuned]",
        f'why = "the best of {len(record.trials)} trials from {record.experiment}"',
        f'based_on = "{record.experiment}"',
    ]
    return "\n".join(lines + [f"{name} = {_toml(value)}" for name, value in best.params.items()])


def _toml(value: Any) -> str:
    """Numbers, truth values and text are written alike in JSON and TOML."""
    return json.dumps(value, ensure_ascii=False)
