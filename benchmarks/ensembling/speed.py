"""Our ensembling against named peers: one process, one thread, ratio of medians.

    python benchmarks/ensembling/speed.py --repeats 3 --out speed.md --json speed.json
    python benchmarks/ensembling/speed.py --only convex

Run it with an environment that has autogluon.tabular, tabarena, hillclimbers, scikit-learn, scipy and numba; this
repository is put on the path.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

for _name in ("OMP", "OPENBLAS", "MKL", "NUMBA"):
    os.environ[f"{_name}_NUM_THREADS"] = "1"
sys.path[:0] = [str(Path(__file__).resolve().parents[2]), str(Path(__file__).resolve().parent)]

import importlib
import json

from harness import HEADER, Case, run_cases

MODULES = ("cases_log_loss", "cases_errors", "cases_labels")


def collect(only: str) -> list[Case]:
    """Cases of all modules whose name holds a word."""
    cases = [case for module in MODULES for case in importlib.import_module(module).CASES]
    return [case for case in cases if only.lower() in case.name.lower()]


def as_records(lines: list[str]) -> list[dict[str, str]]:
    """The rows of the table by column."""
    columns, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [dict(zip(columns, row, strict=True)) for row in rows[1:]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", metavar="WORD", help="cases whose name holds this")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, metavar="FILE.md")
    parser.add_argument("--json", type=Path, metavar="FILE.json")
    options = parser.parse_args()
    cases = collect(options.only)
    if not cases:
        parser.error(f"no case's name holds '{options.only}'")
    lines = run_cases(cases, options.repeats)
    if options.out:
        options.out.write_text("\n".join(lines) + "\n")
    if options.json:
        options.json.write_text(json.dumps(as_records(lines), indent=1) + "\n")
    if any(line.endswith("| NO |") for line in lines[len(HEADER) :]):
        sys.exit(1)


if __name__ == "__main__":
    main()
