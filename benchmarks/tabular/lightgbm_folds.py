"""Five folds of kagglekit's LightGBM against five bare `lightgbm.train` calls on one shared, binned dataset.

    python benchmarks/tabular/lightgbm_folds.py [--rows 100000] [--columns 50] [--rounds 200]

Bars at 1,000,000 rows: wall time at most 1.15, highest memory at most 1.3 of the bare run. Each side runs in a
process of its own, so that memory is its own, on the same rows, folds, settings and threads; early stopping is off on
both sides. The bare run bins once and takes `Dataset.subset` of each fold's rows.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time

import numpy as np
import pandas as pd

_FOLDS = 5


def draw(rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(rows, columns))
    signal = X[:, 0] * X[:, 1] + np.sin(3 * X[:, 2]) + X[:, 3:10].sum(axis=1) / 3
    return X, (signal + rng.normal(0, 2, rows) > 0).astype(int)


def bare(X: np.ndarray, y: np.ndarray, rounds: int) -> None:
    """The folds as a person who knows LightGBM would write them."""
    import lightgbm
    from sklearn.model_selection import KFold

    settings = {
        "objective": "binary",
        "learning_rate": 0.05,
        "feature_fraction": 0.5,
        "bagging_fraction": 0.8,
        "bagging_freq": 1,
        "lambda_l2": 1.0,
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    }
    table = lightgbm.Dataset(X, label=y, params={"verbosity": -1}, free_raw_data=False)
    table.construct()
    oof = np.zeros(len(y))
    for fit, score in KFold(_FOLDS, shuffle=True, random_state=0).split(X):
        booster = lightgbm.train(settings, table.subset(np.sort(fit)), num_boost_round=rounds)
        oof[score] = booster.predict(X[score])


def ours(X: np.ndarray, y: np.ndarray, rounds: int) -> None:
    """What the fold loop does for each fold: learn the columns on the fit rows, fit, predict."""
    from sklearn.model_selection import KFold

    from kagglekit.models.boost import LightGBMClassifier

    frame, labels = pd.DataFrame(X, copy=False).rename(columns=str), pd.Series(y)
    oof = np.zeros(len(y))
    for fit, score in KFold(_FOLDS, shuffle=True, random_state=0).split(X):
        model = LightGBMClassifier(n_estimators=rounds, random_state=0).fit(frame.iloc[fit], labels.iloc[fit])
        oof[score] = model.predict_proba(frame.iloc[score])[:, 1]


def one(side: str, args: argparse.Namespace) -> dict[str, float]:
    """Run one side here; seconds without the drawing, and the highest memory of this process."""
    X, y = draw(args.rows, args.columns)
    start = time.perf_counter()
    (bare if side == "bare" else ours)(X, y, args.rounds)
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("rows", 100_000), ("columns", 50), ("rounds", 200)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--side", choices=("bare", "kagglekit"))
    args = parser.parse_args()
    if args.side:
        print(json.dumps(one(args.side, args)))
        return
    found = {}
    for side in ("bare", "kagglekit"):
        done = subprocess.run([sys.executable, *sys.argv, "--side", side], capture_output=True, text=True, check=True)
        found[side] = json.loads(done.stdout.splitlines()[-1])
        print(f"{side:10} {found[side]['seconds']:7.1f} s  {found[side]['mb']:7.0f} MB", flush=True)
    for what, bar in (("seconds", 1.15), ("mb", 1.3)):
        ratio = found["kagglekit"][what] / found["bare"][what]
        print(f"{what}: {ratio:.2f} of the bare run (bar {bar}): {'met' if ratio <= bar else 'NOT met'}")


if __name__ == "__main__":
    main()
