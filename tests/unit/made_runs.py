"""Prepared data and runs made of numbers, without training, that tests of comparisons and advice share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kagglekit.contracts import Competition, Predictions, Run
from kagglekit.dataset import Prepared
from kagglekit.folds import make_folds
from kagglekit.metrics import get_metric


def made_prepared(
    n_rows: int = 200,
    n_test: int = 100,
    *,
    metric: str = "mae",
    scheme: str = "kfold",
    n: int = 5,
    repeats: int = 1,
    y: np.ndarray | None = None,
    groups: np.ndarray | None = None,
) -> Prepared:
    """Rows of truth 0 (or `y`), so that a prediction of mae or rmse is its own error."""
    ids, test_ids = (pd.Index([f"{kind}{i:05d}" for i in range(many)]) for kind, many in (("r", n_rows), ("t", n_test)))
    train = pd.DataFrame({"x": 0.0, "target": 0.0 if y is None else y}, index=ids.rename("id"))
    by_id = None if groups is None else pd.Series(groups, index=ids)
    time = pd.Series(range(n_rows), index=ids) if scheme == "time" else None
    labels = get_metric(metric).needs == "labels"
    competition = Competition(
        slug="made",
        task="classification" if labels else "regression",
        metric=metric,
        id="id",
        target="target",
        classes=(0, 1) if labels else (),
        form="label" if labels else "value",
    )
    return Prepared(
        competition=competition,
        train=train,
        test=pd.DataFrame({"x": 0.0}, index=test_ids),
        sample=pd.DataFrame({"id": test_ids, "target": 0}),
        folds=make_folds(ids, scheme=scheme, n=n, seed=0, repeats=repeats, groups=by_id, time=time),
        data="data",
        cache=Path("cache"),
    )


def made_run(
    prepared: Prepared, name: str, predicted: np.ndarray, *, test: np.ndarray | None = None, **facts: Any
) -> Run:
    """A run whose out-of-fold predictions are given; (n_repeats, n_rows) for several repeats."""
    facts_of, folds = prepared.competition, prepared.folds
    repeats = np.atleast_2d(predicted)
    metric, truth, numbers = get_metric(facts_of.metric), prepared.y.to_numpy(), folds.assignment.to_numpy()
    scores = [
        metric.function(truth[rows], repeats[repeat % len(repeats)][rows])
        for repeat in range(folds.repeats)
        for rows in (numbers[:, repeat] == fold for fold in range(folds.n))
    ]
    frame = _frame(prepared, repeats.mean(axis=0), prepared.y.index)
    common: dict[str, Any] = {
        "key": f"{abs(hash_of(name)):08x}"[:8],
        "kind": "oof",
        "hypothesis": "",
        "parent": None,
        "settings": {"model": "made"},
        "scores": tuple(scores),
        "data": prepared.data,
        "folds": folds.fingerprint,
        "oof": Predictions(frame.loc[folds.scored_ids]),
        "test": Predictions(
            _frame(prepared, np.zeros(len(prepared.test)) if test is None else test, prepared.test.index)
        ),
        "seconds": 1.0,
        "peak_mb": 1.0,
    }
    return Run(name=name, metric=facts_of.metric, **{**common, **facts})


def hash_of(name: str) -> int:
    """The same in every process, unlike `hash`."""
    return sum(ord(letter) * 31**place for place, letter in enumerate(name))


def _frame(prepared: Prepared, values: np.ndarray, ids: pd.Index) -> pd.DataFrame:
    if prepared.competition.is_classification:
        return pd.DataFrame({"0": 1.0 - values, "1": values}, index=ids)
    return pd.DataFrame({"target": values}, index=ids)
