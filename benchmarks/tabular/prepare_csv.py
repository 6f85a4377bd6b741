"""How much memory `kagglekit prepare` takes of a CSV by its rows: constant memory is the aim.

    python benchmarks/tabular/prepare_csv.py [--rows 1000000 10000000] [--columns 6 24] [--pieces]

Constant means: memory holds a piece of the table, and of all rows the id, target and fold, however many columns there
are. So each number of rows is prepared with each number of columns, in a process of its own; printed are seconds, the
highest memory and the bytes a row above the smallest table. Bar: at most 50 bytes for each further row, whatever the
number of columns. The CSV is written in pieces; it has an id, numbers, two columns of levels, a date and a target.
`--pieces` reads small files in pieces too, as large ones are.
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
_BAR = 50
_PIPELINE = """
[competition]
slug = "rows"
task = "regression"
metric = "rmse"
id = "id"
target = "y"
"""


def write(folder: Path, rows: int, columns: int) -> None:
    """The download, written in pieces."""
    folder.mkdir(parents=True)
    for name, first, last in (("train", 0, rows), ("test", rows, rows + 1000)):
        for start in range(first, last, _AT_ONCE):
            piece = _piece(np.arange(start, min(start + _AT_ONCE, last)), columns)
            piece = piece if name == "train" else piece.drop(columns="y")
            begun = start > first
            piece.to_csv(folder / f"{name}.csv", index=False, mode="a" if begun else "w", header=not begun)
    sample = pd.DataFrame({"id": np.arange(rows, rows + 1000), "y": 0.0})
    sample.to_csv(folder / "sample_submission.csv", index=False)


def _piece(ids: np.ndarray, columns: int) -> pd.DataFrame:
    rng = np.random.default_rng(int(ids[0]))
    frame = pd.DataFrame({f"x{i}": rng.normal(size=len(ids)).round(4) for i in range(columns)})
    frame.insert(0, "id", ids)
    frame["shop"] = rng.choice([f"shop {i}" for i in range(50)], len(ids))
    frame["kind"] = rng.choice(["a", "b", "c"], len(ids))
    frame["day"] = pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 1000, len(ids)), unit="D")
    return frame.assign(y=frame["x0"] + rng.normal(size=len(ids)).round(4))


def one(folder: Path, pieces: bool) -> dict[str, float]:
    """Prepare here; seconds and the highest memory of this process."""
    from kagglekit.config import load_pipeline
    from kagglekit.dataset import RawData
    from kagglekit.models import registry
    from kagglekit.prepare import prepare

    path = folder / "pipeline.toml"
    path.write_text(_PIPELINE)
    options = {"whole": 0} if pieces else {}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    start = time.perf_counter()
    prepare(RawData(folder / "data"), load_pipeline(path, check_params=registry.check), **options)
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "before": before, "mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def measure(rows: int, columns: int, pieces: bool) -> dict[str, float]:
    """Write the table, and prepare it in a process of its own."""
    from kagglekit.dataset import RawData

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder / "data" / "raw", rows, columns)
        size = (folder / "data" / "raw" / "train.csv").stat().st_size / (1 << 20)
        RawData(folder / "data").seal()
        words = [sys.executable, __file__, "--prepare", str(folder), *(["--pieces"] if pieces else [])]
        done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
    return {"csv": size, **json.loads(done.stdout)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--columns", type=int, nargs="+", default=[6, 24])
    parser.add_argument("--pieces", action="store_true")
    parser.add_argument("--prepare", type=Path)
    args = parser.parse_args()
    if args.prepare:
        print(json.dumps(one(args.prepare, args.pieces)))
        return
    met = True
    for columns in args.columns:
        first: tuple[int, float] | None = None
        for rows in args.rows:
            found = measure(rows, columns, args.pieces)
            line = f"{rows:>11,} rows x {columns:2}, {found['csv']:6.0f} MB of CSV  {found['seconds']:6.1f} s"
            line += f"  {found['before']:5.0f} -> {found['mb']:6.0f} MB"
            if first is not None:
                each = (found["mb"] - first[1]) * (1 << 20) / (rows - first[0])
                met &= each <= _BAR
                line += f"  {each:+.0f} bytes a row (bar {_BAR})"
            first = first or (rows, found["mb"])
            print(line, flush=True)
    print("met" if met else "NOT met")


if __name__ == "__main__":
    main()
