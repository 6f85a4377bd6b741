"""How good blends are on held-out rows: kagglekit's methods beside AutoGluon's greedy selection and others.

    python benchmarks/ensembling/quality.py --peers PEERS/bin/python [--seed 0] [--out table.md] [--json cells.json]

Twelve data sets (`libraries.py` makes the predictions of their members, once), two or three metrics each, at least six
random splits.
PEERS is an environment with AutoGluon in it; without --peers only kagglekit's methods are compared. Prints the mean
held-out score with its standard error over splits, the mean rank, and where `auto` is worse than AutoGluon's greedy
selection by more than one standard error of the paired differences.

Rules of `auto` were chosen on --seed 1; so report other seeds.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
from libraries import DATASETS, METRICS, load, make_all, score
from threadpoolctl import threadpool_limits

from kagglekit.blend.matrix import PredictionMatrix
from kagglekit.blend.methods import METHODS, make_blender
from kagglekit.errors import ConfigError
from kagglekit.metrics import get_metric

HERE = Path(__file__).resolve().parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "kagglekit" / "quality"
GREEDY = "autogluon-25"


def own_scores(path: Path, methods: Sequence[str]) -> list[dict[str, Any]]:
    """One row for each metric and method on one library; methods that refuse a metric are left out."""
    library = load(path)
    n_columns = library.P.shape[2]
    matrix = PredictionMatrix(
        tuple(library.names), pd.RangeIndex(len(library.y)), tuple(map(str, range(n_columns))), library.P
    )
    rows = []
    for metric in METRICS[library.kind]:
        for method in methods:
            classes = () if library.kind == "regression" else tuple(range(n_columns))
            start = time.perf_counter()
            try:
                with threadpool_limits(1):
                    blend = make_blender(method, metric=metric, classes=classes).fit(matrix, pd.Series(library.y))
            except ConfigError:
                continue
            seconds = time.perf_counter() - start
            held_out = score(metric, library.y_test, blend.predict(library.P_test))
            rows.append(_cell(library.dataset, library.split, metric, method, held_out) | {"seconds": seconds})
    return rows


def peer_scores(python: str, paths: Sequence[Path], jobs: int) -> list[dict[str, Any]]:
    """What the peers' environment makes of the libraries; kept beside them."""
    todo = [str(path) for path in paths if not path.with_suffix(".peers.json").exists()]
    # Only metrics are imported from kagglekit there; its folder, not its environment.
    environment = os.environ | {"PYTHONPATH": str(HERE.parent.parent)}
    command = [python, str(HERE / "quality_peers.py")]
    running = [subprocess.Popen([*command, *todo[j::jobs]], env=environment) for j in range(jobs) if todo[j::jobs]]
    if [process for process in running if process.wait()]:
        raise SystemExit("The peers' environment failed; see above.")
    rows = []
    for path in paths:
        dataset, _, split = path.stem.rpartition("-")
        for metric, by_method in json.loads(path.with_suffix(".peers.json").read_text()).items():
            rows += [_cell(dataset, int(split), metric, method, value) for method, value in by_method.items()]
    return rows


def _cell(dataset: str, split: int, metric: str, method: str, value: float) -> dict[str, Any]:
    return {"dataset": dataset, "split": split, "metric": metric, "method": method, "score": value}


def mean_ranks(cells: pd.DataFrame) -> pd.Series:
    """Mean rank of each method, 1 is best; every data set and metric counts the same, whatever its number of splits."""
    losses = cells.assign(loss=cells.score.where(~_greater(cells.metric), -cells.score).round(12))
    cell = ["dataset", "metric", "split"]
    wide = losses.pivot(index=cell, columns="method", values="loss").dropna(axis=1)
    return wide.rank(axis=1).groupby(["dataset", "metric"]).mean().mean().sort_values()


def table(cells: pd.DataFrame) -> str:
    """Mean score ± standard error over splits, in Markdown; the best of each row is bold."""
    ranks = mean_ranks(cells)
    methods = [*ranks.index, *sorted(set(cells.method) - set(ranks.index))]
    lines = ["| data set | metric | " + " | ".join(methods) + " |", "| --- | --- |" + " --- |" * len(methods)]
    for (dataset, metric), group in cells.groupby(["dataset", "metric"], sort=False):
        scores = group.groupby("method").score
        mean, error = scores.mean(), scores.std(ddof=1) / np.sqrt(scores.count())
        best = mean.max() if get_metric(metric).greater_is_better else mean.min()
        texts = [_text(mean.get(m), error.get(m), best) for m in methods]
        lines.append(f"| {dataset} | {metric} | " + " | ".join(texts) + " |")
    lines.append("| **mean rank** | | " + " | ".join(f"{ranks[m]:.2f}" if m in ranks else "" for m in methods) + " |")
    return "\n".join(lines)


def _text(mean: float | None, error: float | None, best: float) -> str:
    if mean is None:
        return ""
    digits = 4 if abs(mean) < 10 else 2
    text = f"{mean:.{digits}f} ± {error:.{digits}f}"
    return f"**{text}**" if np.isclose(mean, best, rtol=1e-9) else text


def compare(cells: pd.DataFrame, ours: str, theirs: str) -> pd.DataFrame:
    """By data set and metric: how much better `ours` is, with the standard error of the paired differences."""
    wide = cells.pivot(index=["dataset", "metric", "split"], columns="method", values="score")
    gain = wide[ours] - wide[theirs]
    metrics = gain.index.get_level_values("metric").to_series(index=gain.index)
    by_cell = gain.where(_greater(metrics), -gain).groupby(["dataset", "metric"], sort=False)
    error = by_cell.std(ddof=1) / np.sqrt(by_cell.count())
    # Equal scores on every split differ by nothing, save for the last digits.
    return pd.DataFrame({"gain": by_cell.mean(), "se": error, "worse": by_cell.mean() < -error - 1e-12})


def _greater(metrics: pd.Series) -> pd.Series:
    return metrics.map(lambda name: get_metric(name).greater_is_better)


def check(cells: pd.DataFrame, ours: str, theirs: str) -> str:
    """The bar in words, with every cell that breaks it."""
    found = compare(cells, ours, theirs)
    worse = found[found.worse]
    lines = [
        f"{ours} against {theirs}: better in {(found.gain > 0).sum()} of {len(found)} data sets x metrics, "
        f"better by more than one standard error in {(found.gain > found.se).sum()}, worse by more in {len(worse)}."
    ]
    lines += [f"  worse: {d} {m}: {row.gain:.5f} ± {row.se:.5f}" for (d, m), row in worse.iterrows()]
    return "\n".join(lines)


def report(cells: pd.DataFrame, ours: str) -> str:
    methods = set(cells.method)
    parts = [table(cells), *([check(cells, ours, GREEDY)] if {ours, GREEDY} <= methods else [])]
    return "\n\n".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", default="", help="Python of an environment with AutoGluon")
    parser.add_argument("--methods", default="auto", help=f"comma-separated, of {', '.join(METHODS)}")
    parser.add_argument("--seed", type=int, default=0, help="of drawn data and splits")
    parser.add_argument("--splits", type=int, default=6, help="small data sets get twice as many")
    parser.add_argument("--only", default="", help=f"comma-separated, of {', '.join(d.name for d in DATASETS)}")
    parser.add_argument("--cache", type=Path, default=CACHE, help="where libraries are kept")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, help="Markdown file for the table")
    parser.add_argument("--json", type=Path, help="file for the score of every cell")
    options = parser.parse_args()
    paths = make_all(
        options.cache, options.seed, options.splits, options.jobs, list(filter(None, options.only.split(",")))
    )
    methods = options.methods.split(",")
    parts = joblib.Parallel(n_jobs=options.jobs)(joblib.delayed(own_scores)(path, methods) for path in paths)
    rows = [row for part in parts for row in part]
    if options.peers:
        rows += peer_scores(options.peers, paths, options.jobs)
    else:
        print("No --peers: only kagglekit's own methods are compared.\n")
    cells = pd.DataFrame(rows)
    text = report(cells, methods[0])
    print(text)
    if options.out:
        options.out.write_text(text + "\n")
    if options.json:
        options.json.write_text(cells.to_json(orient="records", indent=1))


if __name__ == "__main__":
    main()
