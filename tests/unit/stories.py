"""A competition whose runs are made by hand, so that every value of a report is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kagglekit.board import board
from kagglekit.config import CompetitionTable, DataTable, Experiment, FoldsTable, Pipeline
from kagglekit.contracts import Competition, Folds, Predictions, Run, Submission
from kagglekit.dataset import Prepared
from kagglekit.metrics import get_metric
from kagglekit.report import Material

CLASSES = ("ant", "bee", "cow")
N, N_TEST = 120, 40
ODD = "<b>&\"'$x_1$ {{ 7 * 7 }}"


def prepared(*, task: str = "classification", metric: str = "accuracy", folder: Path | None = None) -> Prepared:
    """Column `signal` tells the target, `noise` nothing; the levels of `soil` and `herd` are known by row number."""
    rng = np.random.default_rng(0)
    ids = pd.Index([f"r{i:03d}" for i in range(N)], name="id")
    codes = np.arange(N) % 3
    kind = np.array(CLASSES)[codes] if "classification" in task else codes * 10.0 + rng.normal(0, 1, N)
    train = pd.DataFrame(
        {
            "signal": codes + rng.normal(0, 0.2, N),
            "noise": rng.normal(0, 1, N),
            "soil": np.where(np.arange(N) < N // 2, "clay", "sand"),
            "herd": [f"h{i // 10}" for i in range(N)],
            "kind": kind,
        },
        index=ids,
    )
    if task.startswith("image"):
        train = train[["kind"]].assign(path=[str((folder or Path("/nowhere")) / f"{i}.png") for i in ids])
    test = train.drop(columns="kind").iloc[:N_TEST].set_axis(pd.Index([f"t{i}" for i in range(N_TEST)], name="id"))
    folds = Folds(pd.DataFrame({"repeat_0": np.arange(N) % 4}, index=ids), "kfold", 0)
    facts = Competition("zoo", task, metric, "id", "kind", CLASSES if "classification" in task else ())
    return Prepared(facts, train, test, pd.DataFrame(), folds, "data0", Path("cache"), notes=("120 training rows",))


def beliefs(data: Prepared, wrong: set[int] = frozenset(), sure: float = 0.8) -> pd.DataFrame:
    """Each row's own class with belief `sure`; the rows numbered in `wrong` believe in the next class instead."""
    if not data.competition.is_classification:
        off = np.where(np.isin(np.arange(N), list(wrong)), 30.0, 0.5)
        return pd.DataFrame({"kind": data.y.to_numpy() + off}, index=data.y.index)
    codes = np.array([CLASSES.index(k) for k in data.y])
    codes = np.where(np.isin(np.arange(N), list(wrong)), (codes + 1) % 3, codes)
    P = np.full((N, 3), (1 - sure) / 2)
    P[np.arange(N), codes] = sure
    return pd.DataFrame(P, index=data.y.index, columns=list(CLASSES))


def run(data: Prepared, name: str, frame: pd.DataFrame, *, minute: int = 0, **facts: Any) -> Run:
    metric, numbers = get_metric(data.competition.metric), data.folds.assignment.iloc[:, 0]
    rows = [numbers.index[numbers == fold] for fold in range(4)]
    scores = tuple(metric.score(data.y.loc[i], frame.loc[i], data.competition.classes) for i in rows)
    test = pd.DataFrame(1 / frame.shape[1], index=data.test.index, columns=frame.columns)
    common: dict[str, Any] = {
        "kind": "oof",
        "hypothesis": f"why {name}",
        "parent": None,
        "settings": {"model": "forest", "params": {}, "seed": 42},
        "seconds": 60.0 + minute,
        "peak_mb": 100.0,
        "versions": {"kagglekit": "0.1.0"},
        "git": {"commit": "0123456789abcdef", "dirty": "False"},
    }
    return Run(
        name=name,
        key=f"{minute:08d}",
        metric=metric.name,
        scores=scores,
        data=data.data,
        folds=data.folds.fingerprint,
        oof=Predictions(frame),
        test=Predictions(test),
        created=f"2026-01-01T00:{minute:02d}:00+00:00",
        **{**common, **facts},
    )


def pipeline(runs: dict[str, Run], data: Prepared) -> Pipeline:
    facts = data.competition
    table = CompetitionTable(
        slug=facts.slug, task=facts.task, metric=facts.metric, id="id", target="kind", classes=list(facts.classes)
    )
    experiments = {
        r.name: Experiment(r.name, r.hypothesis, r.settings["model"], r.settings["params"], based_on=r.parent)
        for r in runs.values()
        if r.kind != "blend"
    }
    return Pipeline(table, DataTable(), FoldsTable(), experiments, {}, Path("pipeline.toml"))


def settings(**params: Any) -> dict[str, Any]:
    return {"model": "forest", "params": {"depth": 3, **params}, "seed": 42, "data": "data0", "folds": "f"}


def blend_of(data: Prepared, frame: pd.DataFrame, *names: str, **facts: Any) -> Run:
    study = {
        "reason": "greedy, as told.",
        "warning": "few rows",
        "interval": [0.7, 0.9],
        "trajectory": [
            {"member": names[0], "fit_score": 0.86, "honest_score": 0.85, "honest_low": 0.84},
            {"member": names[1], "fit_score": 0.88, "honest_score": None, "honest_low": None},
        ],
        "members": [
            {"member": n, "alone": 0.8, "loss": 0.01 * (place - 0.5), "alike": 0.5} for place, n in enumerate(names)
        ],
        "correlation": {a: {b: 1.0 if a == b else 0.25 for b in names} for a in names},
        "rows": N,
        "left_out": "r007",
    }
    own = {"model": "ensemble", "method": "greedy", "members": list(names), "params": {}}
    facts = {"weights": {names[0]: 0.25, names[1]: 0.75}, "fit_score": 0.95, "parent": names[0], **facts}
    return run(data, "blend", frame, minute=9, kind="blend", settings=own, study=study, unscored=1, **facts)


def story(
    *,
    task: str = "classification",
    metric: str = "accuracy",
    folder: Path | None = None,
    submissions: Sequence[Submission] = (),
    **facts: Any,
) -> Material:
    """Majority, squish (10 wrong), crop (40 wrong), pad (9 wrong) and a blend (8 wrong), in this order of making."""
    told = _plain(task, metric) if folder is None else _story(task, metric, folder)
    if submissions:
        told = material(told.prepared, list(told.runs.values()), submissions=submissions)
    return replace(told, **facts)


@cache
def _plain(task: str, metric: str) -> Material:
    return _story(task, metric, None)


def _story(task: str, metric: str, folder: Path | None) -> Material:
    data = prepared(task=task, metric=metric, folder=folder)
    floor = {"model": "majority", "params": {}, "seed": 42}
    made = [
        run(data, "majority", beliefs(data, set(range(1, N, 3)) | set(range(2, N, 3))), settings=floor),
        run(data, "squish", beliefs(data, set(range(10))), minute=1, settings=settings(resize="squish")),
        run(data, "crop", beliefs(data, set(range(40))), minute=2, settings=settings(resize="crop"), parent="squish"),
        run(data, "pad", beliefs(data, set(range(9))), minute=3, settings=settings(resize="pad"), parent="squish"),
        blend_of(data, beliefs(data, set(range(8))), "squish", "pad"),
    ]
    return material(data, made)


def material(data: Prepared, made: list[Run], **facts: Any) -> Material:
    runs = {r.name: r for r in made}
    submissions = facts.pop("submissions", [])
    return Material(
        title=facts.pop("title", "Zoo"),
        site="arena",
        prepared=data,
        runs=runs,
        rows=board(data, pipeline(runs, data), runs, submissions),
        submissions=submissions,
        **facts,
    )


def sent(of: Run, public: float | None, **facts: Any) -> Submission:
    status = "complete" if public is not None else "pending"
    made = Submission("arena", "zoo", of.id, "f.csv", "a" * 64, "m", of.score, of.standard_error, "1", status, public)
    return replace(made, **facts)
