"""Greedy selection for metrics of labels, of ranks and of rankings, against AutoGluon and TabArena.

Everybody takes the same number of steps and keeps the best prefix. Scores are those of the final weights, computed in
double precision by one function for all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from harness import Case, Peer

from kagglekit.blend.greedy import GreedyEnsemble
from kagglekit.metrics import get_metric

Array = npt.NDArray[Any]

N_MODELS = 50


@dataclass
class Rows:
    """What a case is fitted on: P of shape (n_models, n_rows, n_columns), y of class codes, and the metric's name."""

    P: Array
    y: Array
    metric: str
    scored: dict[bytes, float] = field(default_factory=dict)

    def loss(self, weights: Array) -> float:
        """Lower is better. Weights seen before are not scored again, so that medians hold little but the selection."""
        key = np.asarray(weights, dtype=np.float64).tobytes()
        if key not in self.scored:
            blend = np.zeros(self.P.shape[1:])
            for model in np.flatnonzero(weights):
                blend += weights[model] * self.P[model].astype(np.float64)
            rules = get_metric(self.metric)
            classes = tuple(range(blend.shape[1]))
            self.scored[key] = -rules.function(self.y, rules.predicted(blend, classes))
        return self.scored[key]


def classes(metric: str, n_rows: int = 100_000, n_columns: int = 10) -> Rows:
    """Members that see the truth through noise of their own and noise that they share."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, n_columns, n_rows)
    shared = rng.normal(size=(n_rows, n_columns)).astype(np.float32)
    shared[np.arange(n_rows), y] += 1.8
    return Rows(_members(rng, shared), y, metric)


def ordered(metric: str, n_rows: int = 100_000, n_columns: int = 10) -> Rows:
    """Classes on a scale: members mistake neighbours for each other."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, n_columns, n_rows)
    seen = (y + rng.normal(scale=1.2, size=n_rows)).astype(np.float32)
    shared = -np.square(seen[:, None] - np.arange(n_columns, dtype=np.float32)) / 3
    return Rows(_members(rng, shared), y, metric)


def _members(rng: np.random.Generator, shared: Array) -> Array:
    P = np.empty((N_MODELS, *shared.shape), dtype=np.float32)
    for table in P:
        rng.standard_normal(out=table, dtype=np.float32)
        table *= rng.uniform(0.5, 1.2)
        table += shared * np.float32(rng.uniform(0.6, 1.2))
        np.exp(table, out=table)
        table /= table.sum(axis=1, keepdims=True)
    return P


def binary(n_rows: int = 1_000_000) -> Rows:
    """Three rows in ten are positive."""
    rng = np.random.default_rng(0)
    y = (rng.random(n_rows) < 0.3).astype(np.int64)
    shared = (rng.normal(size=n_rows) + 1.2 * y).astype(np.float32)
    P = np.empty((N_MODELS, n_rows, 2), dtype=np.float32)
    for table in P:
        belief = shared + np.float32(rng.uniform(0.6, 1.2)) * rng.standard_normal(n_rows, dtype=np.float32)
        table[:, 1] = 1 / (1 + np.exp(np.float32(rng.uniform(0.7, 1.5)) * (1 - belief)))
        table[:, 0] = 1 - table[:, 1]
    return Rows(P, y, "roc_auc")


def ours(rows: Rows, n_steps: int) -> float:
    names = tuple(range(rows.P.shape[2]))
    ensemble = GreedyEnsemble(rows.metric, classes=names, n_steps=n_steps, stop="best", cv=None)
    return rows.loss(ensemble.fit(rows.P, rows.y).weights_.to_numpy())


def autogluon(rows: Rows, n_steps: int, scorer: Callable[[], Any]) -> float:
    return rows.loss(_selected(list(rows.P), rows.y, n_steps, "multiclass", scorer()))


def tabarena(rows: Rows, n_steps: int) -> float:
    from tabarena.metrics._fast_roc_auc import fast_roc_auc_cpp

    y, P = fast_roc_auc_cpp.preprocess_bulk(rows.y, rows.P[:, :, 1])
    return rows.loss(_selected(P, y, n_steps, "binary", fast_roc_auc_cpp))


def _selected(P: Any, y: Array, n_steps: int, problem_type: str, metric: Any) -> Array:
    from autogluon.core.models.greedy_ensemble.ensemble_selection import EnsembleSelection

    selection = EnsembleSelection(ensemble_size=n_steps, problem_type=problem_type, metric=metric)
    weights: Array = selection.fit(predictions=P, labels=y).weights_
    return weights


def _scorer(name: str) -> Any:
    import autogluon.core.metrics as scorers

    return getattr(scorers, name)


def _map_at_3() -> Any:
    """AutoGluon has none. No sorting: the place of the true class is the number of classes above it.

    Equal classes rank in the order of their columns, as in kagglekit's metric, so that both climb the same.
    """
    from autogluon.core.metrics import make_scorer

    def score(y: Array, P: Array) -> float:
        own, before = P[np.arange(len(y)), y][:, None], np.arange(P.shape[1]) < y[:, None]
        above = ((own < P) | ((own == P) & before)).sum(axis=1)
        return float(np.where(above < 3, 1 / (above + 1), 0).mean())

    return make_scorer("map_at_3", score, needs_proba=True)


def _case(name: str, make: Callable[[], Rows], n_steps: int, bar: float, scorer: Callable[[], Any]) -> Case:
    peer = Peer(partial(autogluon, n_steps=n_steps, scorer=scorer), bar)
    return Case(name, make, partial(ours, n_steps=n_steps), {"AutoGluon": peer})


CASES = [
    Case(
        "AUC greedy, 1e6 x 2 x 50, 5 steps",
        binary,
        partial(ours, n_steps=5),
        {"TabArena": Peer(partial(tabarena, n_steps=5), 3)},
    ),
    _case("accuracy, 1e5 x 10 x 50, 25 steps", partial(classes, "accuracy"), 25, 7, partial(_scorer, "accuracy")),
    _case("macro F1, 1e5 x 10 x 50, 10 steps", partial(classes, "f1_macro"), 10, 15, partial(_scorer, "f1_macro")),
    _case("kappa, 1e5 x 10 x 50, 25 steps", partial(ordered, "qwk"), 25, 15, partial(_scorer, "quadratic_kappa")),
    _case("MAP@3, 1e5 x 10 x 50, 25 steps", partial(classes, "map@3"), 25, 15, _map_at_3),
]
