"""A picture: loss against seconds, for every way to blend the same members, on one pair of axes.

    python benchmarks/ensembling/picture.py --out picture.png [--models 20] [--rows 100000]

Members, peers and how they are run are those of `speed.py`, which needs the same environment and matplotlib. All fit
log loss on the same rows; the loss shown is on these rows, less that of the best weights there are, so that it says
how well each does what all attempt. (How blends do on other rows: `quality.py`.) The figures are written beside the
picture, as picture.csv; `--figures picture.csv` draws them again without measuring.
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
import pandas as pd
from harness import Case, Peer, Timing, measure
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

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


def figures(timings: Mapping[str, Timing]) -> pd.DataFrame:
    """Median seconds and score by name, the fastest first."""
    rows = {name: (timing.median, timing.score) for name, timing in timings.items()}
    return pd.DataFrame.from_dict(rows, orient="index", columns=["seconds", "score"]).sort_values("seconds")


def draw(title: str, found: pd.DataFrame, path: Path) -> None:
    figure = Figure(figsize=(9, 5.5), layout="constrained")
    axes = figure.add_subplot()
    points: dict[str, tuple[float, float]] = {}
    for name, seconds, score in found.itertuples():
        own = name.startswith(OURS)
        # The best itself lies at nought, which a logarithmic axis does not have.
        above = max(score - found["score"].min(), 1e-9)
        axes.scatter(seconds, above, s=70, color="#0a6c9e" if own else "#c4581b", marker="o" if own else "s")
        points[name] = (seconds, above)
    axes.set(xscale="log", yscale="log", title=title, xlabel="seconds, median of three, one thread")
    axes.set_ylabel("log loss above the best weights (1e-9: the best)")
    axes.margins(0.16, 0.12)
    axes.grid(alpha=0.3)
    _name(figure, axes, points)
    figure.savefig(path, dpi=150)


def _name(figure: Figure, axes: Axes, points: Mapping[str, tuple[float, float]]) -> None:
    """Write each name where it crosses neither the frame nor a mark nor another name: beside, above or below."""
    figure.draw_without_rendering()
    taken = [Bbox.from_extents(x - 9, y - 9, x + 9, y + 9) for x, y in axes.transData.transform([*points.values()])]
    for name, point in points.items():
        text = axes.annotate(name, point, xytext=(0, 0), textcoords="offset points")
        for place, side in (((9, -4), "left"), ((0, 9), "center"), ((0, -17), "center"), ((-9, -4), "right")):
            text.set(position=place, horizontalalignment=side)
            box = text.get_window_extent()
            if axes.bbox.x0 < box.x0 and box.x1 < axes.bbox.x1 and not any(box.overlaps(other) for other in taken):
                break
        taken.append(box)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--models", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--figures", type=Path, metavar="FILE.csv", help="figures of --rows and --models to draw")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.png")
    options = parser.parse_args()
    contest = case(options.rows, options.models)
    if options.figures:
        found = pd.read_csv(options.figures, index_col="name")
    else:
        timings = measure(contest, options.repeats)
        first = next(iter(CONTESTANTS))
        found = figures({first if name == "kagglekit" else name: timing for name, timing in timings.items()})
        found.to_csv(options.out.with_suffix(".csv"), index_label="name", float_format="%.8f")
    for name, seconds, score in found.itertuples():
        print(f"| {name} | {seconds:.4f} s | {score:.8f} |")
    draw(contest.name, found, options.out)


if __name__ == "__main__":
    main()
