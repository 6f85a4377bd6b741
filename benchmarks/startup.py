"""CPU seconds of `kagglekit --help` beside `kaggle --help`, in turn in one run.

    python benchmarks/startup.py

Prints the medians and their ratio.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

RUNS = 9


def cpu_seconds(command: list[str], home: str) -> float:
    """User and system time of one run of a command, with a home of its own."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, env=os.environ | {"HOME": home}, capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def main() -> None:
    folder = Path(sys.executable).parent
    with tempfile.TemporaryDirectory() as home:
        seconds: dict[str, list[float]] = {"kagglekit": [], "kaggle": []}
        for _ in range(RUNS):
            for name, times in seconds.items():
                times.append(cpu_seconds([str(folder / name), "--help"], home))
    ours, theirs = (statistics.median(times) for times in seconds.values())
    print(
        f"kagglekit --help {ours * 1000:.0f} ms of CPU, kaggle --help {theirs * 1000:.0f} ms, ratio {ours / theirs:.2f}"
    )


if __name__ == "__main__":
    main()
