"""Extra memory of a fit on a memory map: what the process holds beyond its start, of pages that no file backs.

    python benchmarks/ensembling/memory.py --folder /somewhere/with/room

Writes a matrix of 200 models, 1,000,000 rows and 2 classes (1.6 GB, and half as much for the true-class column), fits
greedy log loss and convex weights, and prints the peak over the start as a share of the matrix; the bar is 5 %.
Linux only.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

for _name in ("OMP", "OPENBLAS", "MKL", "NUMBA"):
    os.environ[f"{_name}_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import pandas as pd

from kagglekit.blend.convex import ConvexBlend
from kagglekit.blend.greedy import GreedyEnsemble
from kagglekit.blend.matrix import PredictionMatrix

BAR = 0.05


def anonymous() -> int:
    """Bytes of this process that no file backs."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))


def peak(run: Callable[[], Any]) -> int:
    """The most anonymous memory during a call, beyond that at its start; sampled every millisecond."""
    start, highest, done = anonymous(), [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.001):
            highest[0] = max(highest[0], anonymous())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        run()
    finally:
        done.set()
        watcher.join()
    return max(0, highest[0] - start)


def tables(y: np.ndarray, n_models: int) -> Iterator[tuple[str, np.ndarray]]:
    """Members of varied skill, one at a time."""
    rng = np.random.default_rng(0)
    signal = np.where(y == 1, 1.0, -1.0).astype(np.float32) + 1.5 * rng.standard_normal(len(y), dtype=np.float32)
    for m in range(n_models):
        own = (0.5 + rng.random()) * rng.standard_normal(len(y), dtype=np.float32)
        positive = 1 / (1 + np.exp(-(0.5 + rng.random()) * (signal + own)))
        yield f"m{m:03d}", np.stack([1 - positive, positive], axis=1)


def make(folder: Path, n_models: int, n_rows: int) -> tuple[PredictionMatrix, pd.Series]:
    y = np.random.default_rng(1).integers(0, 2, n_rows)
    names = [f"m{m:03d}" for m in range(n_models)]
    ids = pd.RangeIndex(n_rows)
    matrix = PredictionMatrix.write(folder / "matrix", tables(y, n_models), names, ids, ["0", "1"])
    return matrix, pd.Series(y, index=matrix.ids)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="where 2.5 GB have room; a temporary one by default")
    parser.add_argument("--models", type=int, default=200)
    parser.add_argument("--rows", type=int, default=1_000_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        matrix, y = make(Path(folder), options.models, options.rows)
        blends = {
            "greedy, 20 steps": GreedyEnsemble("log_loss", n_steps=20, stop="best", cv=None),
            "convex": ConvexBlend("log_loss", cv=None),
        }
        # Libraries and compiled loops are loaded on a small piece first; they are no matter of the matrix.
        piece = PredictionMatrix(matrix.names, matrix.ids[:30_000], matrix.columns, matrix.values[:, :30_000])
        for blend in blends.values():
            blend.fit(piece, y.iloc[:30_000])
        size = matrix.values.nbytes
        shares = {name: peak(lambda blend=blend: blend.fit(matrix, y)) / size for name, blend in blends.items()}
    print(f"| fit on {size / 1e9:.2f} GB | extra memory | bar | met |\n| --- | --- | --- | --- |")
    for name, share in shares.items():
        print(f"| {name} | {share:.2%} ({share * size / 1e6:.0f} MB) | {BAR:.0%} | {'yes' if share <= BAR else 'NO'} |")
    if max(shares.values()) > BAR:
        sys.exit(1)


if __name__ == "__main__":
    main()
