"""Stage 4: runs are combined into a run, scored on rows that did not choose the weights."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import pandas as pd

from kagglekit.blend import CrossFitted, cross_fit, stack
from kagglekit.config import EnsembleTable
from kagglekit.contracts import Predictions, Run
from kagglekit.dataset import Prepared
from kagglekit.errors import ConfigError, UsageError
from kagglekit.metrics import get_metric
from kagglekit.models.registry import BASELINES
from kagglekit.provenance import git_state, versions
from kagglekit.scoring import decide, fold_scores
from kagglekit.store import Store

__all__ = ["ensemble", "members_of"]


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
        chosen = {name: run for name, run in runs.items() if run.settings["model"] not in BASELINES}
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
    _check_folds(name, members, prepared)
    text = json.dumps([table.method, sorted(run.id for run in members.values())])
    identity = f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
    if store.has(identity):
        return store.load(identity)
    settings = {
        "model": "ensemble",
        "method": table.method,
        "members": sorted(run.id for run in members.values()),
    }
    with store.draft(identity, settings) as draft:
        run = _blend(name, identity, table, members, prepared, settings)
        draft.finish(run)
    return run


def _check_folds(name: str, members: Mapping[str, Run], prepared: Prepared) -> None:
    """Out-of-fold members must share the folds: else one has seen rows that another is scored on."""
    for member, run in members.items():
        if run.kind != "oob" and run.folds != prepared.folds.fingerprint:
            raise ConfigError(
                f"Ensemble '{name}': member '{member}' was validated on other folds ({run.folds}) than now in use "
                f"({prepared.folds.fingerprint}).",
                hint="Train it again on these folds.",
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
    fitted = cross_fit(
        table.method,
        {member: _scored(run.oof, prepared) for member, run in members.items()},
        y=prepared.y,
        folds=prepared.folds,
        metric=get_metric(facts.metric),
        classes=facts.classes,
        columns=facts.columns,
    )
    oof = pd.DataFrame(fitted.oof)
    P, names = stack({m: run.test for m, run in members.items()}, prepared.test.index, facts.columns)
    return Run(
        name=name,
        key=identity.rpartition("-")[2],
        kind="blend",
        hypothesis=table.why or f"{table.method} of {len(members)} runs beats each of them",
        parent=_best(members, facts.metric),
        settings=dict(settings),
        metric=facts.metric,
        scores=fold_scores(oof, prepared.y, prepared.folds, facts),
        data=prepared.data,
        folds=prepared.folds.fingerprint,
        oof=Predictions(oof),
        test=fitted.predict(P, names, prepared.test.index),
        seconds=time.perf_counter() - start,
        peak_mb=max(run.peak_mb for run in members.values()),
        weights=fitted.weights,
        fit_score=_fit_score(fitted, members, prepared),
        versions=versions(),
        git=git_state(),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _fit_score(fitted: CrossFitted, members: Mapping[str, Run], prepared: Prepared) -> float:
    """The score of the rows that chose weights and decision rule: too good, shown only beside the honest one."""
    facts, ids = prepared.competition, prepared.folds.scored_ids
    P, names = stack({m: _scored(run.oof, prepared) for m, run in members.items()}, ids, facts.columns)
    blended = fitted.predict(P, names, ids).frame
    labels = decide(blended, blended, prepared.y, facts)
    return get_metric(facts.metric).score(prepared.y.loc[ids], labels, facts.classes)


def _scored(oof: Predictions, prepared: Prepared) -> Predictions:
    return Predictions(oof.aligned(oof.ids, prepared.competition.columns).loc[prepared.folds.scored_ids])


def _best(members: Mapping[str, Run], metric: str) -> str:
    """The member that a blend has to beat."""
    ranked: Sequence[Run] = sorted(members.values(), key=lambda r: (r.score, r.name))
    return ranked[-1].name if get_metric(metric).greater_is_better else ranked[0].name
