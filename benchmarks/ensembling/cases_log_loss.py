"""Log loss: greedy selection (exact and lazy), the convex optimum, the weighted mean, and bandwidth."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
import pandas as pd
from harness import Case, Peer

from kagglekit.blend.convex import ConvexBlend
from kagglekit.blend.greedy import select
from kagglekit.blend.matrix import weighted
from kagglekit.blend.objectives import first_best
from kagglekit.blend.objectives.log_loss import LogLoss
from kagglekit.blend.problem import Problem

Array = Any


@dataclass(frozen=True, eq=False)
class Data:
    """Members' probabilities, the truth, and the order in which exact selection takes members."""

    P: Array
    y: Array
    n_steps: int
    order: Array | None = None


def members(n_rows: int, n_classes: int, n_models: int, seed: int = 0) -> tuple[Array, Array]:
    """Members of varied skill whose errors are correlated: they see the signal through shared and own noise."""
    rng = np.random.default_rng(seed)
    signal = 1.5 * rng.normal(size=(n_rows, n_classes)).astype(np.float32)
    y = (signal - np.log(-np.log(rng.random(signal.shape)))).argmax(axis=1)
    shared = rng.normal(size=(8, *signal.shape)).astype(np.float32)
    P = np.empty((n_models, *signal.shape), dtype=np.float32)
    for m in range(n_models):
        loads = 0.25 * rng.normal(size=8).astype(np.float32)
        own = (0.3 + 1.2 * rng.random()) * rng.normal(size=signal.shape)
        logits = (0.5 + 0.5 * rng.random()) * signal + np.tensordot(loads, shared, 1) + own
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        P[m] = odds / odds.sum(axis=1, keepdims=True)
    return P, y


@lru_cache(maxsize=1)
def make(n_rows: int, n_classes: int, n_models: int, n_steps: int, with_order: bool = False) -> Data:
    P, y = members(n_rows, n_classes, n_models)
    if not with_order:
        return Data(P, y, n_steps)
    return Data(P, y, n_steps, select(LogLoss(_problem(P, y), lazy=False), n_steps).taken)


def _problem(P: Array, y: Array) -> Problem:
    return Problem.of(P, pd.Series(y), metric="log_loss")


def score(data: Data, weights: Array) -> float:
    """The exact log loss of a blend in double precision; only its members are read."""
    blend = np.zeros(data.P.shape[1:])
    for m in np.flatnonzero(weights):
        blend += weights[m] * data.P[m].astype(np.float64)
    chosen = blend[np.arange(len(data.y)), data.y] / blend.sum(axis=1)
    return float(-np.log(np.clip(chosen, 1e-15, 1)).mean())


def greedy(data: Data, *, lazy: bool) -> float:
    """Ours: checks, true-class columns, selection, and the best prefix as AutoGluon keeps it."""
    chosen = select(LogLoss(_problem(data.P, data.y), lazy=lazy), data.n_steps)
    if data.order is not None and not np.array_equal(chosen.taken, data.order):
        raise AssertionError("Lazy selection took other members than exact selection.")
    return score(data, chosen.weights(len(data.P))[first_best(chosen.losses)])


def convex(data: Data) -> float:
    return score(data, ConvexBlend("log_loss", cv=None).fit(data.P, data.y).weights_.to_numpy())


def autogluon(data: Data) -> float:
    from autogluon.core.metrics import log_loss

    binary = data.P.shape[2] == 2
    predictions = list(data.P[:, :, 1] if binary else data.P)
    return _selection(data, predictions, "binary" if binary else "multiclass", log_loss)


def tabarena(data: Data) -> float:
    from tabarena.metrics._fast_log_loss import fast_log_loss

    given = data.P[:, :, 1] if data.P.shape[2] == 2 else data.P
    y, predictions = fast_log_loss.preprocess_bulk(data.y, given)
    return _selection(Data(data.P, y, data.n_steps), list(predictions), fast_log_loss.post_problem_type, fast_log_loss)


def _selection(data: Data, predictions: list[Array], problem_type: str, metric: Any) -> float:
    from autogluon.core.models.greedy_ensemble.ensemble_selection import EnsembleSelection

    selection = EnsembleSelection(ensemble_size=data.n_steps, problem_type=problem_type, metric=metric)
    selection.fit(predictions=predictions, labels=data.y)
    return score(data, selection.weights_)


def slsqp(data: Data) -> float:
    """SciPy's general solver with the analytic gradient, on true-class columns as ours."""
    from scipy.optimize import minimize

    C = data.P[:, np.arange(len(data.y)), data.y].astype(np.float64)

    def loss(w: Array) -> tuple[float, Array]:
        blend = np.maximum(w @ C, 1e-15)
        return -np.log(blend).mean(), -(C @ (1 / blend)) / len(blend)

    n = len(C)
    found = minimize(
        loss,
        np.full(n, 1 / n),
        jac=True,
        method="SLSQP",
        bounds=[(0, 1)] * n,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1, "jac": lambda w: np.ones(n)},
        options={"ftol": 1e-9, "maxiter": 200},
    )
    return score(data, np.maximum(found.x, 0) / np.maximum(found.x, 0).sum())


def _weights(n: int) -> Array:
    return np.random.default_rng(1).dirichlet(np.ones(n))


def mean(data: Data) -> float:
    """What `predict` of every linear blend does."""
    return _few(data, weighted(_weights(len(data.P)), data.P))


def voting(data: Data) -> float:
    """VotingClassifier's own averaging of members that return what is stored."""
    from sklearn.ensemble import VotingClassifier

    voter = VotingClassifier([(str(m), _Stored(P)) for m, P in enumerate(data.P)], voting="soft")
    voter.estimators_ = [member for _, member in voter.estimators]
    voter.weights = _weights(len(data.P))
    return _few(data, voter.predict_proba(np.empty((len(data.y), 0))))


class _Stored:
    """A fitted member whose predictions are known."""

    def __init__(self, P: Array) -> None:
        self.P = P

    def fit(self, X: Array, y: Array) -> _Stored:
        return self

    def predict_proba(self, X: Array) -> Array:
        return self.P


def _few(data: Data, blend: Array) -> float:
    """The loss of the first rows: enough to see that both are the same mean, and next to no time."""
    rows = np.arange(1_000)
    return float(-np.log(blend[rows, data.y[rows]]).mean())


def _walk() -> Any:
    data = make(100_000, 2, 200, 50)
    walk = LogLoss(_problem(data.P, data.y), lazy=False).start()
    walk.move(0, 1.0)
    return walk


_PASSES = 20


def passes(walk: Any) -> float:
    """Exact steps over all candidates."""
    for _ in range(_PASSES):
        walk.losses(np.arange(200), 0.1)
    return 0.0


def sums(walk: Any) -> float:
    for _ in range(_PASSES):
        np.sum(walk.objective.columns.C)
    return 0.0


_binary = partial(make, 100_000, 2, 200, 50)

CASES = [
    Case(
        "log loss, exact greedy, 1e5 x 2 x 200, 50 steps",
        _binary,
        partial(greedy, lazy=False),
        {"AutoGluon": Peer(autogluon, 7), "TabArena": Peer(tabarena, 4)},
    ),
    Case(
        "log loss, lazy greedy, identical order, 1e5 x 2 x 200, 50 steps",
        partial(_binary, with_order=True),
        partial(greedy, lazy=True),
        {"AutoGluon": Peer(autogluon, 17), "TabArena": Peer(tabarena, 10)},
    ),
    Case(
        "log loss, convex at a lower loss, 1e5 x 2 x 200",
        _binary,
        convex,
        {"AutoGluon": Peer(autogluon, 35), "TabArena": Peer(tabarena, 20)},
        tolerance=-1e-9,
    ),
    Case("log loss, convex, 1e5 x 2 x 200", _binary, convex, {"SLSQP with gradient": Peer(slsqp, 2.5)}),
    Case(
        "log loss, greedy, 1e5 x 10 x 50, 25 steps",
        partial(make, 100_000, 10, 50, 25),
        partial(greedy, lazy=True),
        {"AutoGluon": Peer(autogluon, 200), "TabArena": Peer(tabarena, 5)},
    ),
    Case("weighted mean, 1e5 x 2 x 200", _binary, mean, {"VotingClassifier": Peer(voting, 10)}),
    Case("bandwidth, exact log loss step, 80 MB", _walk, passes, {"np.sum": Peer(sums, 0.5)}),
]
