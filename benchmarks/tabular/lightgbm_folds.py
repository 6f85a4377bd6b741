"""Five folds of kagglekit's LightGBM against five bare `lightgbm.train` calls on one shared, binned dataset.

    python benchmarks/tabular/lightgbm_folds.py [--rows 100000] [--columns 50] [--rounds 200]

Bars at 1,000,000 rows: wall time at most 1.15, highest memory at most 1.3 of the bare run. Each side runs in a
process of its own, so that memory is its own, on the same rows, folds, settings, rounds and threads. The bare run bins
once and takes `Dataset.subset` of each fold's rows. Ours is `kagglekit.train` as a person would call it, scores, test
predictions and the store included; `--side alone` is the same with each fold's own bins, for what sharing gains. As the
fold loop carves rows for early stopping, the bare run leaves out as many. Scores are printed: they must agree.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

_FOLDS, _CARVED = 5, 0.15


def draw(rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(rows, columns))
    signal = X[:, 0] * X[:, 1] + np.sin(3 * X[:, 2]) + X[:, 3:10].sum(axis=1) / 3
    return X, (signal + rng.normal(0, 2, rows) > 0).astype(int)


def bare(X: np.ndarray, y: np.ndarray, rounds: int) -> float:
    """The folds as a person who knows LightGBM would write them."""
    import lightgbm
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import KFold

    settings = {
        "objective": "binary",
        "learning_rate": 0.05,
        "feature_fraction": 0.5,
        "bagging_fraction": 0.8,
        "bagging_freq": 1,
        "lambda_l2": 1.0,
        "seed": 42,
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    }
    table = lightgbm.Dataset(X, label=y, params={"verbosity": -1}, free_raw_data=False)
    table.construct()
    scores, rng = [], np.random.default_rng(0)
    for fit, score in KFold(_FOLDS, shuffle=True, random_state=0).split(X):
        fit, watched = np.split(rng.permutation(fit), [round((1 - _CARVED) * len(fit))])
        booster = lightgbm.train(
            settings,
            table.subset(np.sort(fit)),
            num_boost_round=rounds,
            valid_sets=[table.subset(np.sort(watched))],
            callbacks=[lightgbm.early_stopping(100, verbose=False)],
        )
        scores.append(roc_auc_score(y[score], booster.predict(X[score])))
    return float(np.mean(scores))


def ours(X: np.ndarray, y: np.ndarray, rounds: int) -> float:
    """One experiment in the fold loop, stored."""
    from kagglekit.config import Experiment
    from kagglekit.contracts import Competition
    from kagglekit.dataset import Prepared
    from kagglekit.folds import make_folds
    from kagglekit.store import Store
    from kagglekit.train import train

    frame = pd.DataFrame(X, copy=False).rename(columns=str)
    test = frame.iloc[:1000].set_axis(range(len(X), len(X) + 1000))
    frame["y"] = y
    facts = Competition("made", "classification", "roc_auc", "id", "y", classes=(0, 1), form="probability")
    folds = make_folds(frame.index, scheme="kfold", n=_FOLDS, seed=0)
    prepared = Prepared(facts, frame, test, pd.DataFrame(), folds, "data", Path("cache"))
    experiment = Experiment("boosted", "to be timed", "lightgbm", {"n_estimators": rounds})
    with tempfile.TemporaryDirectory() as folder:
        return train(prepared, experiment, Store(Path(folder))).score


def alone(X: np.ndarray, y: np.ndarray, rounds: int) -> float:
    """The same with bins of its own in each fold."""
    from kagglekit.models import boost

    boost._SHARED_FROM = len(y) + 1
    return ours(X, y, rounds)


def one(side: str, args: argparse.Namespace) -> dict[str, float]:
    """Run one side here; seconds without the drawing, and the highest memory of this process."""
    X, y = draw(args.rows, args.columns)
    start = time.perf_counter()
    auc = _SIDES[side](X, y, args.rounds)
    seconds = time.perf_counter() - start
    return {
        "auc": auc,
        "seconds": seconds,
        "cpu": time.process_time(),
        "mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


_SIDES = {"bare": bare, "kagglekit": ours, "alone": alone}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("rows", 100_000), ("columns", 50), ("rounds", 200)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--side", choices=tuple(_SIDES))
    args = parser.parse_args()
    if args.side:
        print(json.dumps(one(args.side, args)))
        return
    found = {}
    for side in _SIDES:
        done = subprocess.run([sys.executable, *sys.argv, "--side", side], capture_output=True, text=True, check=True)
        found[side] = json.loads(done.stdout.splitlines()[-1])
        line = f"{side:10} {found[side]['seconds']:7.1f} s ({found[side]['cpu']:.1f} s of CPU, drawing included)"
        print(f"{line}  {found[side]['mb']:7.0f} MB  AUC {found[side]['auc']:.5f}", flush=True)
    for what, bar in (("seconds", 1.15), ("mb", 1.3)):
        ratio = found["kagglekit"][what] / found["bare"][what]
        print(f"{what}: {ratio:.2f} of the bare run (bar {bar}): {'met' if ratio <= bar else 'NOT met'}")


if __name__ == "__main__":
    main()
