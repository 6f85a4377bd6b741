"""kagglekit's forest with out-of-bag predictions against scikit-learn's own with `oob_score=True`.

    python benchmarks/tabular/forest_oob.py [--rows 20000] [--columns 20] [--trees 100] [--repeats 3]

Bar: at most 1.1 of scikit-learn's time while keeping the predictions of every row by id. Same trees, same threads;
sides take turns and the medians are compared. The two out-of-bag scores are printed: they must agree.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestClassifier

from kagglekit.models.forest import ForestClassifier


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("rows", 20_000), ("columns", 20), ("trees", 100), ("repeats", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    values = rng.normal(size=(args.rows, args.columns)).astype(np.float32)
    y = (values[:, 0] * values[:, 1] + values[:, 2] + rng.normal(0, 1, args.rows) > 0).astype(int)
    X, labels = pd.DataFrame(values).rename(columns=str), pd.Series(y)
    common = {"n_estimators": args.trees, "max_features": 0.5, "min_samples_leaf": 3, "n_jobs": -1, "random_state": 0}
    seconds: dict[str, list[float]] = {"scikit-learn": [], "kagglekit": []}
    for _ in range(args.repeats):
        start = time.perf_counter()
        theirs = RandomForestClassifier(oob_score=True, **common).fit(values, y)
        seconds["scikit-learn"].append(time.perf_counter() - start)
        start = time.perf_counter()
        ours = ForestClassifier(**common).fit(X, labels)
        seconds["kagglekit"].append(time.perf_counter() - start)
    kept = ours.oob_prediction_.dropna()
    score = float((kept.to_numpy().argmax(axis=1) == labels.loc[kept.index]).mean())
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    ratio = medians["kagglekit"] / medians["scikit-learn"]
    for name, value in (("scikit-learn", theirs.oob_score_), ("kagglekit", score)):
        print(f"{name:13} {medians[name]:7.2f} s  out-of-bag accuracy {value:.5f}")
    print(f"seconds: {ratio:.2f} of scikit-learn's (bar 1.1): {'met' if ratio <= 1.1 else 'NOT met'}")


if __name__ == "__main__":
    main()
