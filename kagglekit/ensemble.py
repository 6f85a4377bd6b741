"""Stage 4: runs are combined into a run, scored on rows that did not choose the weights."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from kagglekit.blend.base import Blender
from kagglekit.blend.crossfit import CrossFitted, fit_members
from kagglekit.blend.methods import make_blender
from kagglekit.blend.several import SeveralFitted, fit_several
from kagglekit.blend.study import Contribution, contributions, correlation, likeness
from kagglekit.config import EnsembleTable
from kagglekit.contracts import Competition, Predictions, Run
from kagglekit.dataset import Prepared
from kagglekit.errors import ConfigError, UsageError, preview
from kagglekit.metrics import get_metric
from kagglekit.models import registry
from kagglekit.provenance import git_state, versions
from kagglekit.scoring import decide, decided, fold_scores, scores_by_fold
from kagglekit.stats import bootstrap_interval
from kagglekit.store import Store

__all__ = ["ensemble", "ensemble_id", "members_of"]

_SEED = 0
# Part of a blend's key, so that one made by an older way of choosing weights is not taken for a new one.
_ENGINE = 2
_RESAMPLES = 10_000_000  # row numbers drawn in all for the interval


def members_of(table: EnsembleTable, runs: Mapping[str, Run]) -> dict[str, Run]:
    """The runs that an ensemble combines.

    `"all"` means every finished experiment except the baselines (majority, mean, OneR): those stand in every table to
    be beaten. The choice is made by what a model is, never by its score.

    Parameters
    ----------
    table : EnsembleTable
    runs : mapping of str to Run
        Finished runs by experiment.

    Raises
    ------
    UsageError
        A named member has not been trained, or there is nothing to combine.
    """
    if table.members == "all":
        chosen = {name: run for name, run in runs.items() if run.settings["model"] not in registry.BASELINES}
        if not chosen:
            raise UsageError(
                "There is nothing to combine yet: only baselines are trained.", hint="Train an experiment."
            )
        return chosen
    for name in table.members:
        if name not in runs:
            raise UsageError(f"The ensemble needs the run '{name}', which is not finished.", hint="Train it first.")
    return {name: runs[name] for name in table.members}


def ensemble(name: str, table: EnsembleTable, members: Mapping[str, Run], prepared: Prepared, store: Store) -> Run:
    """Combine runs; the score is cross-fitted: each fold is predicted with weights that the other folds chose.

    Parameters
    ----------
    name : str
        The ensemble's name in the pipeline file.
    table : EnsembleTable
    members : mapping of str to Run
    prepared : Prepared
    store : Store

    Returns
    -------
    Run
        Of kind "blend": `score` is the honest one, `fit_score` that of the rows that chose the weights.

    Raises
    ------
    ConfigError
        Members were validated on different folds.
    """
    _check_folds(name, table, members, prepared)
    settings, identity = _settings(table, members), ensemble_id(name, table, members)
    if store.has(identity):
        return store.load(identity)
    with store.draft(identity, settings) as draft:
        run = _blend(name, identity, table, members, prepared, settings)
        draft.finish(run)
    return run


def ensemble_id(name: str, table: EnsembleTable, members: Mapping[str, Run]) -> str:
    """The id that the run of an ensemble of these members has."""
    text = json.dumps([_ENGINE, _settings(table, members)], sort_keys=True)
    return f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _settings(table: EnsembleTable, members: Mapping[str, Run]) -> dict[str, Any]:
    return {
        "model": "ensemble",
        "method": table.method,
        "params": dict(table.params),
        "members": sorted(run.id for run in members.values()),
    }


def _check_folds(name: str, table: EnsembleTable, members: Mapping[str, Run], prepared: Prepared) -> None:
    """Out-of-fold members must share the folds: else one has seen rows that another is scored on."""
    for member, run in members.items():
        if run.kind != "oob" and run.folds != prepared.folds.fingerprint and not table.mixed_folds:
            raise ConfigError(
                f"Ensemble '{name}': member '{member}' was validated on other folds ({run.folds}) than now in use "
                f"({prepared.folds.fingerprint}).",
                hint="Train it again on these folds, or say mixed_folds = true.",
            )


def _blend(
    name: str,
    identity: str,
    table: EnsembleTable,
    members: Mapping[str, Run],
    prepared: Prepared,
    settings: Mapping[str, object],
) -> Run:
    start = time.perf_counter()
    facts = prepared.competition
    fitted = _fitted(table, members, prepared)
    tests = {member: run.test for member, run in members.items()}
    return Run(
        name=name,
        key=identity.rpartition("-")[2],
        kind="blend",
        hypothesis=table.why or f"{table.method} of {len(members)} runs beats each of them",
        parent=_best(members, facts.metric),
        settings=dict(settings),
        metric=facts.metric,
        scores=fold_scores(fitted.oof, prepared.y, prepared.folds, facts),
        data=prepared.data,
        folds=prepared.folds.fingerprint,
        oof=Predictions(fitted.oof),
        test=fitted.predict(tests, prepared.test.index),
        seconds=time.perf_counter() - start,
        peak_mb=max(run.peak_mb for run in members.values()),
        weights=fitted.weights,
        fit_score=_fit_score(fitted, prepared),
        study=_study(fitted, prepared),
        unscored=len(fitted.left_out),
        versions=versions(),
        git=git_state(),
        features=prepared.features,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _fitted(table: EnsembleTable, members: Mapping[str, Run], prepared: Prepared) -> CrossFitted | SeveralFitted:
    facts, y, folds = prepared.competition, prepared.y, prepared.folds
    given = {member: _known_columns(run.oof, prepared) for member, run in members.items()}
    if facts.targets:
        return fit_several(partial(_blender, table), given, y=y, folds=folds, competition=facts)
    return fit_members(_blender(table, facts), given, y=y, folds=folds, columns=facts.columns)


def _blender(table: EnsembleTable, facts: Competition) -> Blender:
    """The method, with the estimators of a stack made from their names."""
    params: dict[str, Any] = dict(table.params)
    if isinstance(made := params.get("estimator"), str):
        params["estimator"] = registry.build(made, {}, task=facts.task, seed=_SEED)
    if "layers" in params:
        params["layers"] = tuple(
            tuple(registry.build(model, {}, task=facts.task, seed=_SEED) for model in layer)
            for layer in params["layers"]
        )
    return make_blender(table.method, params, metric=facts.metric, classes=facts.classes, seed=_SEED)


def _fit_score(fitted: CrossFitted | SeveralFitted, prepared: Prepared) -> float:
    """The score of the rows that chose weights and decision rule: too good, shown only beside the honest one.

    The mean over folds, as the honest one is: where folds differ in difficulty, all rows at once would score otherwise.
    """
    facts, blended = prepared.competition, fitted.fitted()
    labels = decide(blended, blended, prepared.y, facts)
    return float(np.mean(scores_by_fold(labels, prepared.y, prepared.folds, facts)))


def _study(fitted: CrossFitted | SeveralFitted, prepared: Prepared) -> dict[str, Any]:
    """What a person wants to know of a blend, as plain JSON values."""
    facts, y = prepared.competition, prepared.y.loc[fitted.oof.index]
    frame = decided(fitted.oof, prepared.y, prepared.folds, facts)
    n_resamples = int(np.clip(_RESAMPLES // len(y), 100, 1000))
    interval = bootstrap_interval(
        get_metric(facts.metric), y.loc[frame.index], frame, facts.classes, n_resamples=n_resamples, seed=_SEED
    )
    errors = _correlation(fitted).round(4)
    alike = likeness(errors)
    return {
        **_choice(fitted),
        "interval": [interval.low, interval.high],
        "members": [{**asdict(c), "alike": float(alike[c.member])} for c in _contributions(fitted)],
        "correlation": {str(name): row.to_dict() for name, row in errors.iterrows()},
        "rows": len(fitted.oof),
        "left_out": preview(fitted.left_out) if len(fitted.left_out) else "",
    }


def _choice(fitted: CrossFitted | SeveralFitted) -> dict[str, Any]:
    """How the blend was chosen; for several targets, by target."""
    if isinstance(fitted, SeveralFitted):
        blenders = {name: part.blender for name, part in fitted.parts.items()}
        return {
            "reason": _once({name: b.reason_ for name, b in blenders.items()}),
            "warning": _once({name: b.warning_ for name, b in blenders.items()}),
            "trajectory": [],
            "targets": fitted.weights_by_target,
        }
    blender = fitted.blender
    steps = [asdict(step) for step in blender.trajectory_]
    return {"reason": blender.reason_, "warning": blender.warning_, "trajectory": steps}


def _once(said: Mapping[str, str]) -> str:
    """What was said of each target; of those of which the same was said, once.

    >>> _once({"a": "few rows.", "b": "few rows.", "c": ""}), _once({"a": "few rows.", "b": "few rows."})
    ('a, b: few rows.', 'Each target: few rows.')
    """
    targets: dict[str, list[str]] = {}
    for name, words in said.items():
        targets.setdefault(words, []).append(name)
    parts = [
        f"{'Each target' if len(names) == len(said) else preview(names, most=8)}: {words}"
        for words, names in targets.items()
        if words
    ]
    return " ".join(parts)


def _correlation(fitted: CrossFitted | SeveralFitted) -> pd.DataFrame:
    return fitted.correlation() if isinstance(fitted, SeveralFitted) else correlation(fitted.problem)


def _contributions(fitted: CrossFitted | SeveralFitted) -> list[Contribution]:
    if isinstance(fitted, SeveralFitted):
        return fitted.contributions()
    return contributions(fitted.problem, fitted.nested)


def _known_columns(oof: Predictions, prepared: Prepared) -> Predictions:
    return Predictions(oof.aligned(oof.ids, prepared.competition.columns))


def _best(members: Mapping[str, Run], metric: str) -> str:
    """The member that a blend has to beat."""
    ranked: Sequence[Run] = sorted(members.values(), key=lambda r: (r.score, r.name))
    return ranked[-1].name if get_metric(metric).greater_is_better else ranked[0].name
