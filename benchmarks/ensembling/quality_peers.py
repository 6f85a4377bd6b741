"""Other ways to combine the libraries of `libraries.py`, scored on their held-out halves; quality.py runs this.

    PYTHONPATH=. PEERS/bin/python benchmarks/ensembling/quality_peers.py LIBRARY.npz ...

To be run by the Python of an environment that holds AutoGluon, which kagglekit's own never imports. Writes
LIBRARY.peers.json beside each library: {metric: {method: score}}.

- best single: the member with the best out-of-fold score;
- mean: of all members;
- autogluon-25: AutoGluon's EnsembleSelection on the metric itself, with the 25 steps that its WeightedEnsemble takes;
- convex: weights of sum one by SciPy's SLSQP with its gradient, on log loss (all metrics of classes) or squared error;
- stacking: multinomial logistic regression on the members' log probabilities, its strength by 5-fold cross-validation;
  for values, ridge regression with its strength by leave-one-out.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from autogluon.core.metrics import get_metric as autogluon_metric
from autogluon.core.models.greedy_ensemble.ensemble_selection import EnsembleSelection
from libraries import METRICS, Array, Library, load, score
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegressionCV, RidgeCV
from threadpoolctl import threadpool_limits

from kagglekit.metrics import get_metric

# AutoGluon's names of our metrics, where they differ.
_AUTOGLUON_NAMES: Mapping[str, str] = {"rmse": "root_mean_squared_error", "mae": "mean_absolute_error"}
_SMALLEST = 1e-6


def best_single(library: Library, metric: str) -> Array:
    scores = [score(metric, library.y, table) for table in library.P]
    best = np.argmax(scores) if get_metric(metric).greater_is_better else np.argmin(scores)
    return library.P_test[best]


def mean(library: Library, metric: str) -> Array:
    return library.P_test.mean(axis=0)


def autogluon(n_steps: int) -> Callable[[Library, str], Array]:
    """AutoGluon's greedy selection, handed what its WeightedEnsemble model hands it."""

    def blend(library: Library, metric: str) -> Array:
        name = _AUTOGLUON_NAMES.get(metric, metric)
        flat = library.kind != "multiclass"
        chosen = EnsembleSelection(n_steps, library.kind, autogluon_metric(name))
        chosen.fit([table[:, -1] if flat else table for table in library.P], library.y)
        return np.tensordot(chosen.weights_, library.P_test, axes=1)

    return blend


def convex(library: Library, metric: str) -> Array:
    n_models = len(library.P)
    found = minimize(
        _squared_error(library) if library.kind == "regression" else _log_loss(library),
        np.full(n_models, 1 / n_models),
        jac=True,
        method="SLSQP",
        bounds=[(0, 1)] * n_models,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1, "jac": np.ones_like},
        options={"maxiter": 500, "ftol": 1e-9},
    )
    weights = np.maximum(found.x, 0)
    return np.tensordot(weights / weights.sum(), library.P_test, axes=1)


def _log_loss(library: Library) -> Callable[[Array], tuple[float, Array]]:
    true = np.maximum(library.P[:, np.arange(len(library.y)), library.y].astype(np.float64), _SMALLEST)

    def loss(w: Array) -> tuple[float, Array]:
        blend = np.maximum(w @ true, _SMALLEST)
        return float(-np.log(blend).mean()), -(true / blend).mean(axis=1)

    return loss


def _squared_error(library: Library) -> Callable[[Array], tuple[float, Array]]:
    spread = library.y.std()
    errors = (library.P[:, :, 0].astype(np.float64) - library.y) / spread
    gram = errors @ errors.T / len(library.y)
    return lambda w: (float(w @ gram @ w), 2 * gram @ w)


def stacking(library: Library, metric: str) -> Array:
    X, X_test = (np.hstack(list(P)).astype(np.float64) for P in (library.P, library.P_test))
    if library.kind == "regression":
        ridge = RidgeCV(alphas=library.y.var() * np.logspace(-4, 4, 17))
        return ridge.fit(X, library.y).predict(X_test)[:, None]
    model = LogisticRegressionCV(
        Cs=[1e-4, 1e-3, 1e-2, 1e-1, 1], l1_ratios=(0,), scoring="neg_log_loss", use_legacy_attributes=False, cv=5
    )
    return model.fit(_logs(X), library.y).predict_proba(_logs(X_test))


def _logs(P: Array) -> Array:
    return np.log(np.clip(P, _SMALLEST, 1))


PEERS: Mapping[str, Callable[[Library, str], Array]] = {
    "autogluon-25": autogluon(25),
    "mean": mean,
    "best single": best_single,
    "convex": convex,
    "stacking": stacking,
}
# What does not look at the metric is computed once.
_BLIND = ("mean", "convex", "stacking")


def scores_of(library: Library) -> dict[str, dict[str, float]]:
    """The held-out score of every peer by metric."""
    metrics = METRICS[library.kind]
    once: dict[str, Any] = {name: PEERS[name](library, metrics[0]) for name in _BLIND}
    return {
        metric: {
            name: score(metric, library.y_test, once[name] if name in once else blend(library, metric))
            for name, blend in PEERS.items()
        }
        for metric in metrics
    }


def main() -> None:
    for path in map(Path, sys.argv[1:]):
        with threadpool_limits(1):
            scores = scores_of(load(path))
        path.with_suffix(".peers.json").write_text(json.dumps(scores))
        print(f"peers on {path.stem}", flush=True)


if __name__ == "__main__":
    main()
