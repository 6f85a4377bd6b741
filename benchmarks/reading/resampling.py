"""Seconds of a paired bootstrap of 10,000 resamples over 100,000 rows, beside scipy's.

    python benchmarks/reading/resampling.py [--rows 100000] [--resamples 10000] [--threads 2] [--plain]

For accuracy, log loss, RMSE and area under the ROC curve: median seconds of three, the peak memory of a fresh process
that holds the data and resamples them (and what a tenth of the resamples needs, to see that it does not grow), and how
many times faster that is than `scipy.stats.bootstrap(vectorized=False)` on the same metric functions, paired by
resampling row numbers. scipy runs few resamples and its time is scaled up. CPU seconds are beside wall seconds, as the
latter depend on what else the machine does.
`--plain` is the path without numba.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from kagglekit.metrics import get_metric
from kagglekit.resampling import resampled_scores

Array = npt.NDArray[Any]
METRICS = ("accuracy", "log_loss", "rmse", "roc_auc")
REPEATS = 3
PEER_RESAMPLES = 20


def rows(name: str, n_rows: int) -> tuple[pd.Series, list[pd.DataFrame], tuple[int, ...]]:
    """Truth and two predictions of like skill."""
    rng = np.random.default_rng(0)
    if get_metric(name).needs == "values":
        y = pd.Series(rng.normal(size=n_rows))
        return y, [pd.DataFrame({"y": y + rng.normal(size=n_rows)}) for _ in range(2)], ()
    y = pd.Series(rng.integers(0, 2, n_rows))
    frames = []
    for _ in range(2):
        p = 1 / (1 + np.exp(-(y - 0.5) * 2 - rng.normal(size=n_rows)))
        frames.append(pd.DataFrame({"0": 1 - p, "1": p}))
    return y, frames, (0, 1)


def ours(name: str, n_rows: int, n_resamples: int, compiled: bool | None) -> tuple[float, float]:
    """Wall and CPU seconds, data being there."""
    y, frames, classes = rows(name, n_rows)
    start, used = time.perf_counter(), time.process_time()
    resampled_scores(get_metric(name), y, frames, classes, n_resamples=n_resamples, compiled=compiled)
    return time.perf_counter() - start, time.process_time() - used


def peer(name: str, n_rows: int, n_resamples: int) -> float:
    """scipy's seconds, scaled to as many resamples."""
    from scipy.stats import bootstrap

    y, frames, classes = rows(name, n_rows)
    metric = get_metric(name)
    truth = metric.truth(y, classes)
    numbers = np.arange(n_rows)
    first, second = (metric.predicted(frame.to_numpy(), classes) for frame in frames)

    def difference(drawn: Array) -> float:
        return metric.function(truth[drawn], second[drawn]) - metric.function(truth[drawn], first[drawn])

    start = time.perf_counter()
    bootstrap((numbers,), difference, n_resamples=PEER_RESAMPLES, vectorized=False, method="percentile", batch=1)
    return (time.perf_counter() - start) * n_resamples / PEER_RESAMPLES


def peak_mb(arguments: argparse.Namespace, name: str, n_resamples: int) -> float:
    """Peak memory of a process that does only this."""
    command = [sys.executable, __file__, "--only", name, "--rows", str(arguments.rows), "--resamples", str(n_resamples)]
    answer = subprocess.run(
        command + ["--plain"] * arguments.plain, capture_output=True, text=True, check=True, env=os.environ
    )
    return float(answer.stdout)


def alone(arguments: argparse.Namespace) -> None:
    """Print this process's peak memory after one bootstrap."""
    ours(arguments.only, arguments.rows, arguments.resamples, False if arguments.plain else None)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--resamples", type=int, default=10_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    if arguments.only:
        alone(arguments)
        return
    cores = sorted(os.sched_getaffinity(0))[: arguments.threads]
    os.sched_setaffinity(0, cores)
    compiled = False if arguments.plain else None
    if not arguments.plain:
        from kagglekit.resampling.fast import warm

        warm()
    print(f"{arguments.resamples} resamples of {arguments.rows} rows, two predictions, {len(cores)} core(s)")
    columns = ("seconds", "CPU", "scipy, scaled", "times faster", "peak MB", "a tenth: MB")
    print(f"{'metric':10}", *(f"{column:>14}" for column in columns))
    for name in METRICS:
        runs = [ours(name, arguments.rows, arguments.resamples, compiled) for _ in range(REPEATS)]
        seconds, used = (statistics.median(times) for times in zip(*runs, strict=True))
        theirs = peer(name, arguments.rows, arguments.resamples)
        memory, tenth = (peak_mb(arguments, name, n) for n in (arguments.resamples, arguments.resamples // 10))
        figures = (seconds, used, theirs, theirs / seconds, memory, tenth)
        print(f"{name:10}", *(f"{figure:14.2f}" for figure in figures))


if __name__ == "__main__":
    main()
