"""Members of every kind of competition, for the behaviour suite of blend methods."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from kagglekit.blend.matrix import PredictionMatrix

RANKINGS = ("roc_auc", "spearman")
OF_PROBABILITIES = ("geometric-mean", "log-pool")


@dataclass(frozen=True)
class BlendCase:
    """One kind of competition; `n_classes` is 0 for values."""

    metric: str
    n_classes: int
    ordered: bool = False

    @property
    def id(self) -> str:
        return f"{self.metric}-{self.n_classes}"

    @property
    def classes(self) -> tuple[str | int, ...]:
        names = range(self.n_classes) if self.ordered else [f"c{i}" for i in range(self.n_classes)]
        return tuple(names)

    def suits(self, method: str) -> bool:
        """Whether a method can blend these members at all."""
        if method == "rank-mean":
            return self.metric in RANKINGS
        return self.n_classes > 0 or method not in OF_PROBABILITIES


CASES = [
    BlendCase("log_loss", 2),
    BlendCase("log_loss", 4),
    BlendCase("roc_auc", 2),
    BlendCase("accuracy", 3),
    BlendCase("f1", 2),
    BlendCase("f1_macro", 3),
    BlendCase("qwk", 4, ordered=True),
    BlendCase("qwk", 0),
    BlendCase("map@3", 5),
    BlendCase("rmse", 0),
    BlendCase("mae", 0),
    BlendCase("rmsle", 0),
    BlendCase("pearson", 0),
]


def members(case: BlendCase, n_rows: int = 120, n_models: int = 4, seed: int = 0) -> tuple[PredictionMatrix, pd.Series]:
    """Members of falling skill, by name, and the truth by id."""
    rng = np.random.default_rng(seed)
    ids = pd.Index([f"row-{i * 7919 % 100_003}" for i in range(n_rows)])
    names = tuple(f"m{i}" for i in range(n_models))
    if case.n_classes:
        codes = rng.permutation(np.arange(n_rows) % case.n_classes)
        logits = rng.normal(size=(n_models, n_rows, case.n_classes))
        logits[:, np.arange(n_rows), codes] += np.linspace(2, 1, n_models)[:, None]
        values = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
        y = pd.Series([case.classes[c] for c in codes], index=ids)
        return PredictionMatrix(names, ids, tuple(map(str, case.classes)), values.astype(np.float32)), y
    truth = rng.integers(0, 6, n_rows) + (0.0 if case.metric == "qwk" else rng.uniform(0, 1, n_rows))
    noise = rng.normal(size=(n_models, n_rows, 1)) * np.linspace(0.6, 1.2, n_models)[:, None, None]
    values = (truth[None, :, None] + noise).astype(np.float32)
    return PredictionMatrix(names, ids, ("target",), values), pd.Series(truth, index=ids)


def chosen(matrix: PredictionMatrix, rows: np.ndarray, names: tuple[str, ...] | None = None) -> PredictionMatrix:
    """Some rows, in some order, of some members, in some order."""
    names = names or matrix.names
    places = [matrix.names.index(name) for name in names]
    return PredictionMatrix(names, matrix.ids[rows], matrix.columns, matrix.values[places][:, rows])
