"""What a run is known by: its id, its settings with all defaults, and the names of its fits."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from kagglekit.config import Experiment
from kagglekit.contracts import Split
from kagglekit.dataset import Prepared
from kagglekit.models import registry

__all__ = ["DRAW", "fit_names", "fold_names", "resolved_settings", "run_id", "run_settings", "seed_of"]

# How bags draw, stored with the run. 63.2 % without replacement, which leaves out as many rows, was worse on held-out
# rows in 16 of 18 pairs of a model and a small table: a leaf's size, for one, is chosen for full numbers of rows.
DRAW: Mapping[str, Any] = {"bootstrap": True, "max_samples": 1.0}
# Where and how fast, or said elsewhere.
_NOT_SETTINGS = ("cache_dir", "checkpoint_dir", "progress", "n_jobs", "precision", "random_state")
_NEXT_SEED = 1000  # apart from those of repeats, which count up by one


def run_id(prepared: Prepared, experiment: Experiment) -> str:
    """The id that this experiment's run has on these data and folds.

    It depends on all settings (also those left at their default), data, folds and feature code; not on the wording of
    the hypothesis.
    """
    text = json.dumps(
        [resolved_settings(prepared, experiment), prepared.data, prepared.folds.fingerprint], sort_keys=True
    )
    return f"{experiment.name}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def resolved_settings(prepared: Prepared, experiment: Experiment) -> dict[str, Any]:
    """The experiment's settings with the model's defaults filled in."""
    offered = registry.parameters(experiment.model, prepared.competition.task)
    defaults = {name: _plain(p.default) for name, p in offered.items() if name not in _NOT_SETTINGS}
    drawing = {"bagging": dict(DRAW)} if experiment.bags else {}
    labelled = {}
    if experiment.pseudo is not None:
        labelled = {"pseudo": {"run": run_id(prepared, experiment.pseudo), **experiment.pseudo_drawing}}
    resolved = {**experiment.settings, **drawing, **labelled, "params": {**defaults, **experiment.params}}
    plain: dict[str, Any] = json.loads(json.dumps(resolved))  # as a file holds them: tuples are lists
    return plain


def run_settings(prepared: Prepared, experiment: Experiment) -> dict[str, Any]:
    """What the store keeps as the run's settings: all that decides the result, data and folds by their fingerprints."""
    return {**resolved_settings(prepared, experiment), "data": prepared.data, "folds": prepared.folds.fingerprint}


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | int | float | bool | list | dict | None) else repr(value)


def fold_names(prepared: Prepared, experiment: Experiment) -> list[str]:
    """The fits that this experiment needs, in order."""
    if experiment.validation == "oob":
        return ["oob"]
    return [split.name for split in prepared.folds.splits()]


def fit_names(experiment: Experiment, split: Split) -> list[str]:
    """What the models of one split are called, one for each seed."""
    several = experiment.seeds > 1
    return [f"{split.name}-seed-{i}" if several else split.name for i in range(experiment.seeds)]


def seed_of(experiment: Experiment, split: Split, number: int) -> int:
    """The seed of one of an experiment's models, from 0, on one split."""
    return experiment.seed + split.repeat + _NEXT_SEED * number
