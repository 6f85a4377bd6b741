"""How much memory `kagglekit prepare` takes of a CSV by its rows: constant memory is the aim.

    python benchmarks/tabular/prepare_csv.py [--rows 1000000 2000000]

Each size runs in a process of its own; printed are seconds, the highest memory, and what a further million rows added.
The table has an id, six numbers, two columns of levels, a date and a target.
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

_AT_ONCE = 250_000
_PIPELINE = """
[competition]
slug = "rows"
task = "regression"
metric = "rmse"
id = "id"
target = "y"
"""


def write(folder: Path, rows: int) -> None:
    """The download, written in pieces."""
    folder.mkdir(parents=True)
    for name, first, last in (("train", 0, rows), ("test", rows, rows + 1000)):
        for start in range(first, last, _AT_ONCE):
            piece = _piece(np.arange(start, min(start + _AT_ONCE, last)))
            piece = piece if name == "train" else piece.drop(columns="y")
            begun = start > first
            piece.to_csv(folder / f"{name}.csv", index=False, mode="a" if begun else "w", header=not begun)
    sample = pd.DataFrame({"id": np.arange(rows, rows + 1000), "y": 0.0})
    sample.to_csv(folder / "sample_submission.csv", index=False)


def _piece(ids: np.ndarray) -> pd.DataFrame:
    rng = np.random.default_rng(int(ids[0]))
    frame = pd.DataFrame({f"x{i}": rng.normal(size=len(ids)).round(4) for i in range(6)})
    frame.insert(0, "id", ids)
    frame["shop"] = rng.choice([f"shop {i}" for i in range(50)], len(ids))
    frame["kind"] = rng.choice(["a", "b", "c"], len(ids))
    frame["day"] = pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 1000, len(ids)), unit="D")
    return frame.assign(y=frame["x0"] + rng.normal(size=len(ids)).round(4))


def one(folder: Path) -> dict[str, float]:
    """Prepare here; seconds and the highest memory of this process."""
    from kagglekit.config import load_pipeline
    from kagglekit.dataset import RawData
    from kagglekit.models import registry
    from kagglekit.prepare import prepare

    path = folder / "pipeline.toml"
    path.write_text(_PIPELINE)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    start = time.perf_counter()
    prepare(RawData(folder / "data"), load_pipeline(path, check_params=registry.check))
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "before": before, "mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 2_000_000])
    parser.add_argument("--prepare", type=Path)
    args = parser.parse_args()
    if args.prepare:
        print(json.dumps(one(args.prepare)))
        return
    last = None
    for rows in args.rows:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write(folder / "data" / "raw", rows)
            size = (folder / "data" / "raw" / "train.csv").stat().st_size / (1 << 20)
            from kagglekit.dataset import RawData

            RawData(folder / "data").seal()
            words = [sys.executable, __file__, "--prepare", str(folder)]
            found = json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
        more = "" if last is None else f"  {1e6 * (found['mb'] - last[1]) / (rows - last[0]):+.0f} MB a million rows"
        line = f"{rows:>11,} rows, {size:6.0f} MB of CSV  {found['seconds']:6.1f} s  {found['before']:5.0f} ->"
        print(f"{line} {found['mb']:6.0f} MB{more}", flush=True)
        last = (rows, found["mb"])


if __name__ == "__main__":
    main()
