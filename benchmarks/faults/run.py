"""What the gateway does when things go wrong, as figures.

    python benchmarks/faults/run.py              all of it, in a few minutes
    python benchmarks/faults/run.py --only cut killed

Prints a table with the bar and the figure of each row; exit status 1 when a bar is missed. Everything happens on
loopback, against an arena with faults.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

# The makers of competitions, hostile archives and malformed files are those of the tests.
sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.append(str(Path(__file__).parents[2] / "tests" / "unit"))

import canary
import files
import refusals
import submissions
import transfers
from world import Row

ROWS: Mapping[str, Callable[[], Row]] = {
    "cut": partial(transfers.cut, 100),
    "flipped": partial(transfers.flipped, 100),
    "odd": transfers.odd,
    "refused": refusals.refused,
    "killed": partial(transfers.killed, 200),
    "sent": partial(submissions.sent, 100),
    "together": partial(transfers.together, 8),
    "memory": partial(transfers.memory, 256 << 20),
    "hostile": files.hostile,
    "malformed": files.malformed_files,
    "valid": partial(files.valid_files, 200),
    "million": files.million,
    "canary": canary.seen,
    "exposed": canary.exposed,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=ROWS, default=list(ROWS), metavar="NAME", help=", ".join(ROWS))
    missed = 0
    print(f"| {'what':<62} | {'bar':<38} | figure |\n| --- | --- | --- |", flush=True)
    for name in parser.parse_args().only:
        start = time.perf_counter()
        row = ROWS[name]()
        missed += not row.is_met
        sign = "" if row.is_met else " MISSED"
        print(
            f"| {row.what:<62} | {row.bar:<38} | {row.figure}{sign} ({time.perf_counter() - start:.0f} s) |", flush=True
        )
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main())
