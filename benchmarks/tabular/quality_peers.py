"""One peer on one set: fits on train.csv, writes a submission; quality.py runs this in the peers' environment.

    PEERS/bin/python benchmarks/tabular/quality_peers.py METHOD FOLDER METRIC MINUTES OUT.csv

Needs no kagglekit. Ids and the solution are no features; the solution is not opened.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

_AUTOGLUON = {
    "accuracy": "accuracy",
    "roc_auc": "roc_auc",
    "log_loss": "log_loss",
    "qwk": "quadratic_kappa",
    "rmse": "root_mean_squared_error",
    "mae": "mean_absolute_error",
}
_FLAML = {"accuracy": "accuracy", "roc_auc": "roc_auc", "log_loss": "log_loss", "rmse": "rmse", "mae": "mae"}
_VALUES = ("rmse", "mae")
Fit = Callable[[pd.DataFrame, str, str, float], Callable[[pd.DataFrame], np.ndarray]]


def autogluon(preset: str) -> Fit:
    def fit(train: pd.DataFrame, target: str, metric: str, minutes: float) -> Callable[[pd.DataFrame], np.ndarray]:
        from autogluon.tabular import TabularPredictor

        kind = "regression" if metric in _VALUES else None
        predictor = TabularPredictor(
            target, eval_metric=_AUTOGLUON[metric], problem_type=kind, path=tempfile.mkdtemp(), verbosity=0
        )
        predictor.fit(train, presets=preset, time_limit=60 * minutes, num_cpus=len(os.sched_getaffinity(0)))
        if metric == "roc_auc":
            return lambda X: predictor.predict_proba(X)[predictor.positive_class].to_numpy()
        return lambda X: predictor.predict(X).to_numpy()

    return fit


def flaml(train: pd.DataFrame, target: str, metric: str, minutes: float) -> Callable[[pd.DataFrame], np.ndarray]:
    from flaml import AutoML

    automl = AutoML()
    automl.fit(
        train.drop(columns=target),
        train[target],
        task="regression" if metric in _VALUES else "classification",
        metric=_FLAML.get(metric, "log_loss"),
        time_budget=60 * minutes,
        n_jobs=len(os.sched_getaffinity(0)),
        ensemble=True,
        verbose=0,
    )
    if metric == "roc_auc":
        return lambda X: automl.predict_proba(X)[:, 1]
    return automl.predict


def lightgbm(train: pd.DataFrame, target: str, metric: str, minutes: float) -> Callable[[pd.DataFrame], np.ndarray]:
    """LightGBM at its own defaults: what an hour of nobody's time gives."""
    from lightgbm import LGBMClassifier, LGBMRegressor

    levels = {
        c: train[c].astype("category").cat.categories for c in train if not pd.api.types.is_numeric_dtype(train[c])
    }

    def coded(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(
            **{
                c: pd.Categorical(frame[c].where(frame[c].isin(v)), categories=v)
                for c, v in levels.items()
                if c in frame
            }
        )

    model = (LGBMRegressor if metric in _VALUES else LGBMClassifier)(verbose=-1, n_jobs=len(os.sched_getaffinity(0)))
    model.fit(coded(train.drop(columns=target)), train[target])
    if metric == "roc_auc":
        return lambda X: model.predict_proba(coded(X))[:, 1]
    return lambda X: model.predict(coded(X))


METHODS: dict[str, Fit] = {
    "autogluon-best": autogluon("best_quality"),
    "autogluon-medium": autogluon("medium_quality"),
    "flaml": flaml,
    "lightgbm": lightgbm,
}


def main() -> None:
    method, folder, metric, minutes, out = sys.argv[1:]
    train, test = (pd.read_csv(Path(folder) / f"{part}.csv") for part in ("train", "test"))
    (sample,) = list(Path(folder).glob("*submission*.csv"))
    key, target = pd.read_csv(sample, nrows=1).columns[:2]
    fit, own, undo = METHODS[method], metric, np.asarray
    if metric == "rmsle":  # the error of logarithms: every peer gets them, as ours does
        train[target], own, undo = np.log1p(train[target]), "rmse", np.expm1
    predict = fit(train.drop(columns=key), target, own, float(minutes))
    answers = undo(predict(test.drop(columns=key)))
    pd.DataFrame({key: test[key], target: answers}).to_csv(out, index=False)


if __name__ == "__main__":
    main()
