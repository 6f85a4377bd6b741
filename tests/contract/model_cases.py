"""The models that the behaviour suite runs over, each with data it can learn from.

To put another model under the suite, add a `Case` to `CASES`: its name and settings, rows for it, a column that it
cannot do without.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from kagglekit.models import registry
from kagglekit.models.bagging import BaggedClassifier, BaggedRegressor
from kagglekit.models.features import featured
from kagglekit.recipes import Recipes

N_ROWS = 90


@dataclass(frozen=True)
class Case:
    """One model for one task.

    Parameters
    ----------
    model : str
        A name for `kagglekit.models.registry.build`.
    task : str
    params : dict
        Settings that make it fast.
    table : callable of int
        X for a seed, indexed by ids that are no positions, with more than three distinct rows.
    target : callable of (X, task)
        y for it.
    needed : str
        A column that must be there at predict.
    rtol : float
        How much predictions may differ in a batch of another make-up.
    bags : int
        Bags of the model; 0 for the model alone.
    recipes : Recipes, optional
        Columns made in front of the model.
    """

    model: str
    task: str
    params: dict[str, Any] = field(default_factory=dict)
    table: Callable[[int], pd.DataFrame] = lambda seed: mixed_table(seed)
    target: Callable[[pd.DataFrame, str], pd.Series] = lambda X, task: mixed_target(X, task)
    needed: str = "size"
    rtol: float = 1e-9
    bags: int = 0
    recipes: Recipes | None = None

    def __str__(self) -> str:
        return f"{'bagged-' * bool(self.bags)}{'featured-' * bool(self.recipes)}{self.model}-{self.task}"

    def make(self, seed: int = 0) -> Any:
        model = registry.build(self.model, self.params, task=self.task, seed=seed)
        if self.recipes:
            model = featured(model, self.recipes, random_state=seed)
        if not self.bags:
            return model
        bagged = BaggedClassifier if self.task == "classification" else BaggedRegressor
        return bagged(model, n_estimators=self.bags, random_state=seed)

    def rows(self, seed: int = 0) -> tuple[pd.DataFrame, pd.Series]:
        X = self.table(seed)
        return X, self.target(X, self.task)

    def output(self, model: Any, X: pd.DataFrame) -> np.ndarray:
        """Probabilities of a classifier, values of a regressor."""
        return np.asarray(model.predict_proba(X) if self.task == "classification" else model.predict(X))


def mixed_table(seed: int) -> pd.DataFrame:
    """Every kind of column that competition tables have, missing values and awkward names included."""
    r = np.random.default_rng(seed)
    ids = pd.Index([f"row{i:03d}" for i in r.permutation(N_ROWS)], name="id")
    days = pd.Timestamp("2023-11-20") + pd.to_timedelta(r.integers(0, 400, N_ROWS), unit="D")
    holes = r.random(N_ROWS) < 0.2
    return pd.DataFrame(
        {
            "size": r.normal(size=N_ROWS),
            "price": np.where(holes, np.nan, r.lognormal(3, 1, N_ROWS)),
            "rooms": r.integers(1, 6, N_ROWS),
            "city": pd.Series(r.choice(["Oslo", "Rome", "Bonn"], N_ROWS)).mask(holes).to_list(),
            "grade": pd.Categorical(r.choice(["low", "mid", "high"], N_ROWS)),
            "nullable": pd.Series(r.integers(0, 9, N_ROWS), dtype="Int64").mask(holes).array,
            "new": r.random(N_ROWS) < 0.5,
            "sold": days,
            "seen": days.strftime("%Y-%m-%d"),
            "name": [f"{t}. X{i}" for i, t in enumerate(r.choice(["Mr", "Mrs"], N_ROWS))],
            "code": [f"k{i:05d}" for i in r.permutation(N_ROWS)],
            'a "quoted" [name]: {1, 2}': r.normal(size=N_ROWS),
            "empty": np.full(N_ROWS, np.nan),
            "constant": "same",
        },
        index=ids,
    )


def mixed_target(X: pd.DataFrame, task: str) -> pd.Series:
    """Three labels, or a value, that depend on `size` and `city`."""
    score = X["size"] + (X["city"] == "Oslo")
    if task == "regression":
        return score.rename("y")
    labels = np.select([score < -0.5, score < 0.7], ["blast", "tungro"], "normal")
    return pd.Series(labels, index=X.index, name="y")


_SMALL = {"n_estimators": 40}
_TINY_NET = {"epochs": 2, "batch_size": 45, "device": "cpu"}
_RECIPES = Recipes(
    ordered={"grade": ["low", "mid", "high", "none"]},
    rare={"city": 3},
    missing=["price"],
    combine=[["city", "grade"]],
    ratios=[["size", "rooms"]],
    differences=[["sold", "seen"]],
    counts=["city+grade"],
    aggregates=[{"by": "city", "of": "price", "how": "mean", "relative": "ratio"}],
    target_encode=["city", "city+grade"],
    leave_out=["code"],
)

CASES: list[Case] = [
    Case("majority", "classification"),
    Case("mean", "regression"),
    *(Case("oner", t) for t in ("classification", "regression")),
    *(Case("linear", t) for t in ("classification", "regression")),
    *(Case("linear", t, {"splines": 4, "interactions": 5}) for t in ("classification", "regression")),
    *(Case("forest", t, _SMALL) for t in ("classification", "regression")),
    *(Case("extra-trees", t, _SMALL) for t in ("classification", "regression")),
    *(Case("lightgbm", t, _SMALL) for t in ("classification", "regression")),
    *(Case("xgboost", t, {"n_estimators": 15}) for t in ("classification", "regression")),
    *(Case("catboost", t, {"n_estimators": 15}) for t in ("classification", "regression")),
    *(Case("knn", t) for t in ("classification", "regression")),
    *(
        Case(model, task, {**_TINY_NET, **own}, rtol=1e-4)
        for model, own in (("fastai-tabular", {"layers": [8]}), ("tabm", {"k": 2, "d_block": 8, "n_bins": 4}))
        for task in ("classification", "regression")
    ),
    Case("sklearn.neighbors.KNeighborsClassifier", "classification"),
    Case("sklearn.svm.SVC", "classification"),
    Case("sklearn.tree.DecisionTreeRegressor", "regression", {"max_depth": 3}),
    *(Case("linear", t, recipes=_RECIPES) for t in ("classification", "regression")),
    Case("lightgbm", "classification", {"n_estimators": 10}, bags=2),
    Case("lightgbm", "classification", {"n_estimators": 10}, bags=2, recipes=_RECIPES),
    Case("sklearn.tree.DecisionTreeRegressor", "regression", {"max_depth": 3}, bags=2),
]
