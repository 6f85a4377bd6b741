"""Searching an experiment's settings with Optuna: every trial is a run, and the winner is measured again.

Read `trials.py` first: it holds the loop.
"""

from kagglekit.search.record import Fresh, Record, Trial, load_record
from kagglekit.search.space import built_in, space_of
from kagglekit.search.telling import as_experiment, searched
from kagglekit.search.trials import search, trials_name

__all__ = [
    "Fresh",
    "Record",
    "Trial",
    "as_experiment",
    "built_in",
    "load_record",
    "search",
    "searched",
    "space_of",
    "trials_name",
]
