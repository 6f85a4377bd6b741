"""Errors of values: greedy selection by RMSE and RMSLE, and hill climbing against the package of that name."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any

import numpy as np
import pandas as pd
from harness import Case, Peer

from kagglekit.blend.climb import HillClimb
from kagglekit.blend.greedy import GreedyEnsemble

Array = Any

# Weights of hill climbing count as the same up to this; the package's own sums differ by rounding.
_SAME = 1e-9


@dataclass(frozen=True, eq=False)
class Data:
    """Members' predictions of shape (n_models, n_rows, n_columns), and the truth; `metric` by our name.

    `scores` keeps exact losses by weights: judging a blend is nobody's work, so repeats do not time it.
    """

    P: Array
    y: Array
    metric: str
    n_steps: int = 0
    scores: dict[bytes, float] = field(default_factory=dict)


def latent(n_rows: int, n_models: int, families: bool, seed: int = 0) -> tuple[Array, Array]:
    """A standard normal truth and members of varied skill that see it through shared and own errors.

    With families, members of one of ten kinds err alike, as tuned variants of a model do; without, all errors but one
    that is common to all are a member's own, so that selection hardly ever takes one twice.
    """
    rng = np.random.default_rng(seed)
    y, common = rng.normal(size=n_rows), rng.normal(size=n_rows)
    kinds = rng.normal(size=(10, n_rows))
    P = np.empty((n_models, n_rows), dtype=np.float32)
    for m in range(n_models):
        kind, own = (rng.uniform(0.2, 0.5), rng.uniform(0.05, 0.3)) if families else (0.0, rng.uniform(0.2, 0.8))
        P[m] = 0.8 * y + 0.4 * common + kind * kinds[m % 10] + own * rng.normal(size=n_rows)
    return P, y


@lru_cache(maxsize=1)
def values(n_rows: int, n_models: int, metric: str, n_steps: int, families: bool = True) -> Data:
    """For regression; for RMSLE, prices."""
    P, y = latent(n_rows, n_models, families)
    if metric == "rmsle":
        P, y = np.exp(P + 3), np.exp(y + 3)
    return Data(P[:, :, None], y, metric, n_steps)


@lru_cache(maxsize=1)
def chances(n_rows: int, n_models: int, metric: str) -> Data:
    """For two classes."""
    P, y = latent(n_rows, n_models, families=True)
    positive = 1 / (1 + np.exp(-2 * P))
    drawn = np.random.default_rng(1).random(n_rows) < 1 / (1 + np.exp(-3 * y))
    return Data(np.stack([1 - positive, positive], axis=2), drawn.astype(np.int64), metric)


def score(data: Data, weights: Array) -> float:
    """The exact loss of a blend in double precision; only its members are read."""
    key = np.asarray(weights, dtype=np.float64).tobytes()
    if key not in data.scores:
        data.scores[key] = _score(data, weights)
    return data.scores[key]


def _score(data: Data, weights: Array) -> float:
    from sklearn.metrics import log_loss, root_mean_squared_error, root_mean_squared_log_error

    blend = np.zeros(data.P.shape[1])
    for m in np.flatnonzero(weights):
        blend += weights[m] * data.P[m, :, -1].astype(np.float64)
    losses = {"rmse": root_mean_squared_error, "rmsle": root_mean_squared_log_error, "log_loss": log_loss}
    return float(losses[data.metric](data.y, blend))


def greedy(data: Data) -> float:
    blend = GreedyEnsemble(data.metric, n_steps=data.n_steps, stop="best", cv=None).fit(data.P, data.y)
    return score(data, blend.weights_.to_numpy())


def autogluon(data: Data) -> float:
    from autogluon.core.metrics import make_scorer, root_mean_squared_error
    from sklearn.metrics import root_mean_squared_log_error

    # AutoGluon has no RMSLE of its own; this is how its users add one.
    rmsle = make_scorer("rmsle", root_mean_squared_log_error, optimum=0, greater_is_better=False)
    return _selection(data, rmsle if data.metric == "rmsle" else root_mean_squared_error)


def tabarena(data: Data) -> float:
    from tabarena.metrics._fast_rmse import fast_rmse

    return _selection(data, fast_rmse)


def _selection(data: Data, metric: Any) -> float:
    from autogluon.core.models.greedy_ensemble.ensemble_selection import EnsembleSelection

    selection = EnsembleSelection(ensemble_size=data.n_steps, problem_type="regression", metric=metric)
    selection.fit(predictions=list(data.P[:, :, 0]), labels=data.y)
    return score(data, selection.weights_)


@dataclass(eq=False)
class Ascent:
    """Data of a climb, and the weights that were found first: everyone else must find the same."""

    data: Data
    negative: bool
    weights: Array | None = None

    def judge(self, weights: Array) -> float:
        if self.weights is None:
            self.weights = weights
        if np.abs(weights - self.weights).max() > _SAME:
            raise AssertionError(f"Weights differ by {np.abs(weights - self.weights).max():.2g}.")
        return score(self.data, weights)


def hill_climb(ascent: Ascent) -> float:
    data = ascent.data
    blend = HillClimb(data.metric, negative=ascent.negative, shrink=0, cv=None).fit(data.P, data.y)
    return ascent.judge(blend.weights_.to_numpy())


def package(ascent: Ascent) -> float:
    """The package gives test predictions only; those of unit vectors are the weights."""
    import hillclimbers
    from sklearn.metrics import log_loss, root_mean_squared_error

    data = ascent.data
    names = [str(m) for m in range(len(data.P))]
    oof = pd.DataFrame(data.P[:, :, -1].T.astype(np.float64), columns=names)
    with contextlib.redirect_stdout(io.StringIO()):
        weights = hillclimbers.climb_hill(
            train=pd.DataFrame({"y": data.y}),
            oof_pred_df=oof,
            test_pred_df=pd.DataFrame(np.eye(len(names)), columns=names),
            target="y",
            objective="minimize",
            eval_metric=hillclimbers.partial(log_loss if data.metric == "log_loss" else root_mean_squared_error),
            negative_weights=ascent.negative,
            plot_hill=False,
        )
    return ascent.judge(weights)


def _climb_values(negative: bool) -> Ascent:
    return Ascent(values(100_000, 16, "rmse", 0), negative)


def _climb_chances() -> Ascent:
    return Ascent(chances(100_000, 10, "log_loss"), negative=False)


CASES = [
    Case(
        "RMSE greedy, 1e5 x 200 in ten families, 50 steps",
        partial(values, 100_000, 200, "rmse", 50),
        greedy,
        {"AutoGluon": Peer(autogluon, 20), "TabArena": Peer(tabarena, 15)},
    ),
    Case(
        "RMSE greedy, 1e5 x 200 without families, 50 steps",
        partial(values, 100_000, 200, "rmse", 50, families=False),
        greedy,
        {"AutoGluon": Peer(autogluon, 20), "TabArena": Peer(tabarena, 15)},
    ),
    Case(
        "RMSLE greedy, 1e5 x 200, 25 steps",
        partial(values, 100_000, 200, "rmsle", 25),
        greedy,
        {"AutoGluon": Peer(autogluon, 4)},
    ),
    Case(
        "hill climbing by RMSE, same weights, 1e5 x 16",
        partial(_climb_values, negative=False),
        hill_climb,
        {"hillclimbers": Peer(package, 200)},
    ),
    Case(
        "hill climbing by RMSE with negative weights, same weights, 1e5 x 16",
        partial(_climb_values, negative=True),
        hill_climb,
        {"hillclimbers": Peer(package, 200)},
    ),
    Case(
        "hill climbing by log loss, same weights, 1e5 x 10",
        _climb_chances,
        hill_climb,
        {"hillclimbers": Peer(package, 200)},
    ),
]
