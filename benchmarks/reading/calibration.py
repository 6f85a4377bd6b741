"""Are the intervals and chances what they say? Simulated competitions whose truth is known.

    python benchmarks/reading/calibration.py [--simulations 1000] [--resamples 500] [--rows 400]

Each simulation draws training rows, public rows and private rows from one population, and two runs that err partly
alike; how much better one truly is varies from simulation to simulation, and is told by a million rows. Printed, in
per cent:

- how often the 95 % intervals cover: of the difference by row (`stats.paired_bootstrap`), of the public and the private
  score (`shakeup.shakeup`), and of the private score once the public one is known;
- for P(B beats A) on the private rows and for the chance of a swap: what was said and what came, in classes of what was
  said (`shakeup.swap_chance`);
- how often `compare` covers a true difference when models err as a whole too, beside what rows alone would say.

The peer is the interval that ignores the problem: rows alone where training is noisy, and for scores of the leaderboard
the interval of CV itself, as if test rows were no rows of chance.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from kagglekit.compare import compare
from kagglekit.contracts import Competition, Predictions, Run
from kagglekit.dataset import Prepared
from kagglekit.folds import make_folds
from kagglekit.metrics import Metric, get_metric
from kagglekit.shakeup import shakeup, swap_chance
from kagglekit.stats import bootstrap_interval, paired_bootstrap

Array = npt.NDArray[np.float64]
METRICS = ("accuracy", "log_loss", "rmse", "roc_auc")
# How noisy run b is beside run a, which has noise 1: from clearly better to clearly worse.
NOISE = (0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.35, 1.5)
TRUTH_ROWS = 1_000_000


@dataclass(frozen=True)
class Rows:
    """Truth and two predictions of some rows."""

    y: pd.Series
    a: pd.DataFrame
    b: pd.DataFrame


def draw(metric: Metric, n: int, noise: float, rng: np.random.Generator) -> Rows:
    """Rows of one population: both runs share half of their noise, and b's is `noise` times as large."""
    shared, own_a, own_b = rng.normal(size=(3, n)) * np.sqrt(0.5)
    errors = (shared + own_a, noise * (shared + own_b))
    if metric.needs == "values":
        y = pd.Series(rng.normal(size=n))
        return Rows(y, *(pd.DataFrame({"y": y + e}) for e in errors))
    y = pd.Series(rng.integers(0, 2, n))
    chances = [1 / (1 + np.exp(-2 * (y.to_numpy() - 0.5 + e))) for e in errors]
    return Rows(y, *(pd.DataFrame({"0": 1 - p, "1": p}) for p in chances))


def classes_of(metric: Metric) -> tuple[int, ...]:
    return () if metric.needs == "values" else (0, 1)


def scores(metric: Metric, rows: Rows) -> tuple[float, float]:
    a, b = (metric.score(rows.y, frame, classes_of(metric)) for frame in (rows.a, rows.b))
    return a, b


def true_differences(metric: Metric, rng: np.random.Generator) -> dict[float, float]:
    """How much better b truly is, for each noise."""
    sign = 1 if metric.greater_is_better else -1
    found = {}
    for noise in NOISE:
        a, b = scores(metric, draw(metric, TRUTH_ROWS, noise, rng))
        found[noise] = sign * (b - a)
    return found


def leaderboards(name: str, arguments: argparse.Namespace) -> None:
    """Coverage and calibration for one metric."""
    metric, rng = get_metric(name), np.random.default_rng(0)
    sign, classes = (1 if metric.greater_is_better else -1), classes_of(metric)
    truth = true_differences(metric, rng)
    sizes = {"n_public": int(0.3 * arguments.rows), "n_private": int(0.7 * arguments.rows)}
    covered: dict[str, list[bool]] = {k: [] for k in ("difference", "public", "private", "given public", "CV alone")}
    said, came, swap_said, swap_came = [], [], [], []
    for number in range(arguments.simulations):
        noise = float(rng.choice(NOISE))
        train, public, private = (draw(metric, n, noise, rng) for n in (arguments.rows, *sizes.values()))
        common = {"n_resamples": arguments.resamples, "seed": number}
        difference = paired_bootstrap(metric, train.y, train.a, train.b, classes, **common)
        ahead = shakeup(metric, train.y, train.a, classes, **sizes, **common)
        swap = swap_chance(metric, train.y, train.a, train.b, classes, **sizes, **common)
        alone = bootstrap_interval(metric, train.y, train.a, classes, **common)
        (public_a, public_b), (private_a, private_b) = scores(metric, public), scores(metric, private)
        given = ahead.private_given(public_a)
        covered["difference"].append(difference.low <= truth[noise] <= difference.high)
        covered["public"].append(ahead.public.low <= public_a <= ahead.public.high)
        covered["private"].append(ahead.private.low <= private_a <= ahead.private.high)
        covered["given public"].append(given.low <= private_a <= given.high)
        covered["CV alone"].append(alone.low <= public_a <= alone.high)
        said.append(swap.private_better)
        came.append((1 + np.sign(sign * (private_b - private_a))) / 2)
        swap_said.append(swap.chance)
        swap_came.append((1 - np.sign(public_b - public_a) * np.sign(private_b - private_a)) / 2)
    rates = "  ".join(f"{key} {100 * np.mean(hits):.1f}" for key, hits in covered.items())
    print(f"{name}: covered %: {rates}")
    print(f"  P(B beats A) in private, said -> came %: {classed(said, came, (0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.01))}")
    print(f"  chance of a swap, said -> came %: {classed(swap_said, swap_came, (0, 0.15, 0.3, 1.01))}")


def classed(said: Sequence[float], came: Sequence[float], bounds: Sequence[float]) -> str:
    """Mean of what was said and of what came, by class of what was said."""
    first, second = np.array(said), np.array(came)
    words = []
    for low, high in pairwise(bounds):
        here = (first >= low) & (first < high)
        if here.any():
            words.append(f"{100 * first[here].mean():.0f} -> {100 * second[here].mean():.0f} (n={here.sum()})")
    return ", ".join(words)


def made(n_rows: int, repeats: int) -> Prepared:
    """Rows whose truth is 0, so that a prediction is its own error."""
    ids, test = pd.RangeIndex(n_rows, name="id"), pd.RangeIndex(n_rows, 2 * n_rows, name="id")
    return Prepared(
        competition=Competition(slug="made", task="regression", metric="mae", id="id", target="y", form="value"),
        train=pd.DataFrame({"x": 0.0, "y": 0.0}, index=ids),
        test=pd.DataFrame({"x": 0.0}, index=test),
        sample=pd.DataFrame({"id": test, "y": 0.0}),
        folds=make_folds(ids, scheme="kfold", n=5, seed=0, repeats=repeats),
        data="made",
        cache=Path("cache"),
    )


def run(prepared: Prepared, name: str, errors: Array) -> Run:
    """A run from its errors, of shape (n_repeats, n_rows)."""
    numbers = prepared.folds.assignment.to_numpy()
    fold_errors = [errors[r][numbers[:, r] == k].mean() for r in range(len(errors)) for k in range(prepared.folds.n)]
    frame = pd.DataFrame({"y": errors.mean(axis=0)}, index=prepared.y.index)
    return Run(
        name=name,
        key=name * 8,
        kind="oof",
        hypothesis="",
        parent=None,
        settings={},
        metric="mae",
        scores=tuple(map(float, fold_errors)),
        data=prepared.data,
        folds=prepared.folds.fingerprint,
        oof=Predictions(frame),
        test=Predictions(pd.DataFrame({"y": 0.0}, index=prepared.test.index)),
        seconds=0.0,
        peak_mb=0.0,
    )


def training_noise(arguments: argparse.Namespace) -> None:
    """Coverage where the model of a fold errs as a whole, by 0, 1 or 3 times what the rows of all folds allow for."""
    for repeats in (1, 3):
        for ratio in (0.0, 1.0, 3.0):
            rates = _covered(arguments, repeats, ratio)
            print(f"compare, {repeats} repeat(s), training noise {ratio:.0f} x rows: covered %: {rates}")


def _covered(arguments: argparse.Namespace, repeats: int, ratio: float) -> str:
    prepared, rng = made(arguments.rows, repeats), np.random.default_rng(repeats)
    numbers = prepared.folds.assignment.to_numpy().T
    # The mean over rows has the error sqrt(2 / rows) by rows; that of 5 folds' models is to be `ratio` times it.
    fold_noise = ratio * np.sqrt(2 / arguments.rows) * np.sqrt(5)
    hits: dict[str, list[bool]] = {"in all": [], "by fold": [], "rows alone": []}
    for number in range(arguments.simulations):
        row_a, row_b = 20 + rng.normal(size=(2, 1, arguments.rows))
        of_folds = fold_noise * np.take_along_axis(rng.normal(size=(repeats, 5)), numbers, axis=1)
        pair = (run(prepared, "a", np.repeat(row_a, repeats, axis=0)), run(prepared, "b", row_b + of_folds))
        found = compare(prepared, *pair, n_resamples=arguments.resamples, seed=number)
        spans = {"in all": found.difference, "by fold": found.by_fold, "rows alone": found.by_row}
        for key, span in spans.items():
            hits[key].append(span is not None and span.low <= 0 <= span.high)
    return "  ".join(f"{key} {100 * np.mean(found):.1f}" for key, found in hits.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--simulations", type=int, default=1000)
    parser.add_argument("--resamples", type=int, default=500)
    parser.add_argument("--rows", type=int, default=400)
    arguments = parser.parse_args()
    print(f"{arguments.simulations} simulations of {arguments.rows} rows, {arguments.resamples} resamples each")
    for name in METRICS:
        leaderboards(name, arguments)
    training_noise(arguments)


if __name__ == "__main__":
    main()
