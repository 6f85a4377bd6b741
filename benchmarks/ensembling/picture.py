"""A picture: loss against seconds, for every way to blend the same members, on one pair of axes.

    python benchmarks/ensembling/picture.py --out picture.png [--models 20] [--rows 100000]

Members, peers and how they are run are those of `speed.py`, which needs the same environment and matplotlib. All fit
log loss on the same rows; the loss shown is on these rows, less that of the best weights there are, so that it says
how well each does what all attempt. (How blends do on other rows: `quality.py`.)
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path

for _name in ("OMP", "OPENBLAS", "MKL", "NUMBA"):
    os.environ[f"{_name}_NUM_THREADS"] = "1"
sys.path[:0] = [str(Path(__file__).resolve().parents[2]), str(Path(__file__).resolve().parent)]

import cases_errors
import cases_log_loss
import numpy as np
from harness import Case, Peer, Timing, measure

from kagglekit.blend.climb import HillClimb
from kagglekit.blend.means import Mean

N_STEPS = 50
OURS = "kagglekit "


def mean(data: cases_log_loss.Data) -> float:
    return cases_log_loss.score(data, Mean("log_loss", cv=None).fit(data.P, data.y).weights_.to_numpy())


def climb(data: cases_log_loss.Data) -> float:
    return cases_log_loss.score(
        data, HillClimb("log_loss", negative=False, shrink=0, cv=None).fit(data.P, data.y).weights_.to_numpy()
    )


def hillclimbers(data: cases_log_loss.Data) -> float:
    return cases_errors.package(cases_errors.Ascent(cases_errors.Data(data.P, data.y, "log_loss"), negative=False))


CONTESTANTS = {
    OURS + "convex": cases_log_loss.convex,
    "SLSQP with gradient": cases_log_loss.slsqp,
    OURS + "greedy, lazy": partial(cases_log_loss.greedy, lazy=True),
    OURS + "greedy, exact": partial(cases_log_loss.greedy, lazy=False),
    "TabArena": cases_log_loss.tabarena,
    "AutoGluon": cases_log_loss.autogluon,
    OURS + "hill climbing": climb,
    "hillclimbers": hillclimbers,
    OURS + "mean": mean,
}


def case(n_rows: int, n_models: int) -> Case:
    first, *others = CONTESTANTS
    return Case(
        f"log loss, {n_rows:,} x 2 x {n_models}, {N_STEPS} steps",
        partial(cases_log_loss.make, n_rows, 2, n_models, N_STEPS),
        CONTESTANTS[first],
        {name: Peer(CONTESTANTS[name], 0) for name in others},
    )


def draw(title: str, timings: Mapping[str, Timing], path: Path) -> None:
    from matplotlib.figure import Figure

    best = min(timing.score for timing in timings.values())
    figure = Figure(figsize=(9, 5.5), layout="constrained")
    axes = figure.add_subplot()
    for name, timing in timings.items():
        own = name.startswith(OURS)
        # The best itself lies at nought, which a logarithmic axis does not have.
        above = max(timing.score - best, 1e-9)
        axes.scatter(timing.median, above, s=70, color="#0a6c9e" if own else "#c4581b", marker="o" if own else "s")
        axes.annotate(name, (timing.median, above), xytext=(5, 6), textcoords="offset points", rotation=30)
    axes.set(xscale="log", yscale="log", title=title, xlabel="seconds, median of three, one thread")
    axes.set_ylabel("log loss above the best weights (1e-9: the best)")
    axes.margins(0.16, 0.12)
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--models", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.png")
    options = parser.parse_args()
    contest = case(options.rows, options.models)
    timings = measure(contest, options.repeats)
    first = next(iter(CONTESTANTS))
    timings = {first if name == "kagglekit" else name: timing for name, timing in timings.items()}
    for name in sorted(timings, key=lambda n: np.median(timings[n].seconds)):
        print(f"| {name} | {timings[name].median:.4f} s | {timings[name].score:.8f} |")
    draw(contest.name, timings, options.out)


if __name__ == "__main__":
    main()
