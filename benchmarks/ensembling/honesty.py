"""How far nested scores lie from the truth: every blend method on simulated members, judged on fresh rows.

    python benchmarks/ensembling/honesty.py [--draws 200] [--jobs 2] [--sizes 500,5000] [--only ridge,log-pool]
        [--settings binary-log_loss,regression-rmse] [--out FILE.md] [--json FILE.json]
    python benchmarks/ensembling/honesty.py --merge FILE.json ...    # what earlier calls drew, together

A draw makes a population of 200 members: families that err alike, skill and calibration that vary. Blends are fitted
on few of its rows, and their true score is taken from 20,000 fresh ones. In losses (lower is better):

- optimism: true score less the score on the fitted rows,
- bias: nested score less true score. The bar: at most a tenth of the mean optimism, either way.

How lucky a draw's fitted rows are moves all scores on them alike. A reference blend that was fitted on other rows
altogether shows that luck as the distance between its scores on fitted and on fresh rows; it is taken off everywhere,
which leaves expectations what they are and makes standard errors several times smaller. Of a method that learns
nothing (mean, rank-mean, geometric-mean) the score on the fitted rows is the truth but for luck, so its bias is nested
score less that; as it has no optimism of its own, the least optimism of the others in the same setting stands in.

"met" says "yes", "NO", or "unclear" where the bar lies within two standard errors of the bias.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import joblib
import numpy as np
import numpy.typing as npt
import pandas as pd
from threadpoolctl import threadpool_limits

from kagglekit.blend.base import Blender
from kagglekit.blend.methods import METHODS, make_blender
from kagglekit.errors import ConfigError
from kagglekit.metrics import Metric, get_metric

Array = npt.NDArray[Any]

N_MEMBERS = 200
N_FAMILIES = 8
N_FRESH = 20_000
N_REFERENCE = 5_000
BAR = 0.1
LEARN_NOTHING = ("mean", "rank-mean", "geometric-mean")

REFERENCES = {"binary": "log-pool", "regression": "ridge"}
SIGNAL = 1.5

# Kind, metric, and the number of rows up to which it is run: the metrics of labels and ranks cost most and differ from
# the others where rows are few.
SETTINGS = (
    ("binary", "log_loss", 5_000),
    ("regression", "rmse", 5_000),
    ("binary", "roc_auc", 500),
    ("binary", "accuracy", 500),
)


@dataclass(frozen=True)
class Population:
    """Members as they are, whatever the rows: each sees the latent value through errors of its own and its family's.

    Parameters
    ----------
    family : ndarray of int, shape (n_members,)
    shared, own, gain, offset : ndarray of float32, shape (n_members,)
        Spread of the family's and the own error, scale and shift of what comes out.
    """

    family: Array
    shared: Array
    own: Array
    gain: Array
    offset: Array

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Population:
        shared = rng.uniform(0.3, 1.0, N_MEMBERS)
        own = np.exp(rng.normal(-0.3, 0.7, N_MEMBERS))
        # A model that errs much predicts near the mean; no model gets that scale quite right.
        gain = 1 / (1 + (shared**2 + own**2) / SIGNAL**2) * np.exp(rng.normal(0, 0.2, N_MEMBERS))
        numbers = (shared, own, gain, rng.normal(0, 0.1, N_MEMBERS))
        return cls(rng.integers(0, N_FAMILIES, N_MEMBERS), *(x.astype(np.float32) for x in numbers))

    def rows(self, kind: str, n: int, rng: np.random.Generator) -> tuple[Array, Array]:
        """Predictions of shape (n_members, n, n_columns) and truth of shape (n,)."""
        latent = rng.standard_normal(n, dtype=np.float32) * np.float32(SIGNAL)
        families = rng.standard_normal((N_FAMILIES, n), dtype=np.float32)
        seen = rng.standard_normal((N_MEMBERS, n), dtype=np.float32)
        for row, family, shared, own, gain, offset in zip(
            seen, self.family, self.shared, self.own, self.gain, self.offset, strict=True
        ):
            row *= own
            row += shared * families[family] + latent
            row *= gain
            row += offset
        if kind == "regression":
            return seen[:, :, None], latent + rng.standard_normal(n)
        truth = (rng.random(n) < 1 / (1 + np.exp(-latent))).astype(np.int64)
        P = np.empty((*seen.shape, 2), dtype=np.float32)
        np.divide(1, 1 + np.exp(-seen), out=P[:, :, 1])
        np.subtract(1, P[:, :, 1], out=P[:, :, 0])
        return P, truth


def run_draw(draw: int, sizes: Sequence[int], methods: Sequence[str], settings: Sequence[str]) -> list[dict[str, Any]]:
    """One row for each setting, size and method, all on one population."""
    found = []
    with threadpool_limits(1):
        for kind in ("binary", "regression"):
            rng = np.random.default_rng((draw, kind == "binary"))
            population = Population.draw(rng)
            fitted = {n: population.rows(kind, n, rng) for n in sizes}
            fresh = population.rows(kind, N_FRESH, rng)
            elsewhere = population.rows(kind, N_REFERENCE, rng)
            for of, metric, most in SETTINGS:
                if of != kind or f"{kind}-{metric}" not in settings:
                    continue
                for n in (n for n in sizes if n <= most):
                    facts = {"draw": draw, "kind": kind, "metric": metric, "n": n}
                    contest = Contest(kind, get_metric(metric), fitted[n], fresh)
                    luck, mean = contest.luck(elsewhere), contest.true(contest.fit("mean", fitted[n]))
                    found += [facts | row | {"luck": luck, "mean_true": mean} for row in contest.run(methods)]
    return found


@dataclass(frozen=True)
class Contest:
    """Rows to fit on and rows to judge by, each as predictions and truth; scores are losses."""

    kind: str
    metric: Metric
    rows: tuple[Array, Array]
    fresh: tuple[Array, Array]

    def fit(self, method: str, rows: tuple[Array, Array], cv: Literal["auto"] | None = None) -> Blender:
        classes = (0, 1) if self.kind == "binary" else ()
        return make_blender(method, metric=self.metric.name, classes=classes).set_params(cv=cv).fit(*rows)

    def loss(self, score: float) -> float:
        return -score if self.metric.greater_is_better else score

    def true(self, blend: Blender, rows: tuple[Array, Array] | None = None) -> float:
        """The loss on fresh rows, or on others that the blend was not fitted on."""
        P, y = rows or self.fresh
        return self.loss(self.metric.scorer(pd.Series(y), blend.classes)(blend.predict(P)))

    def luck(self, elsewhere: tuple[Array, Array]) -> float:
        """How much harder the rows to fit on are than fresh ones, for a blend fitted elsewhere."""
        reference = self.fit(REFERENCES[self.kind], elsewhere)
        return self.true(reference, self.rows) - self.true(reference)

    def run(self, methods: Sequence[str]) -> list[dict[str, Any]]:
        """What becomes of each method; one that does not suit the kind or the metric is left out."""
        found = []
        for method in methods:
            start = time.perf_counter()
            try:
                blend = self.fit(method, self.rows, cv="auto")
            except ConfigError:
                continue
            seconds = time.perf_counter() - start
            scores = {"fit": self.loss(blend.fit_score_), "nested": self.loss(blend.nested_score_)}
            found.append({"method": method, "seconds": seconds, **scores, "true": self.true(blend)})
        return found


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Means and standard errors over draws, by setting, size and method, and whether the bar is met."""
    rows = rows.assign(
        optimism=rows.true - rows.fit + rows.luck,
        bias=(rows.nested - rows.true - rows.luck).where(~rows.method.isin(LEARN_NOTHING), rows.nested - rows.fit),
        gain=rows.mean_true - rows.true,
    )
    by = rows.groupby(["kind", "metric", "n", "method"], sort=False)
    table = by[["true", "gain", "optimism", "bias", "seconds"]].mean()
    for name in ("gain", "optimism", "bias"):
        table[f"{name}_se"] = by[name].sem()
    return table.assign(met=[_met(key, row, table) for key, row in table.iterrows()]).reset_index()


def _met(key: Any, row: pd.Series, table: pd.DataFrame) -> str:
    *setting, method = key
    learners = table.loc[tuple(setting)].optimism.drop(list(LEARN_NOTHING), errors="ignore")
    optimism = learners.min() if method in LEARN_NOTHING else row.optimism
    beyond = abs(row.bias) - BAR * max(optimism, 0.0)
    if beyond <= 0:
        return "yes"
    return "unclear" if beyond <= 2 * row.bias_se else "NO"


def markdown(table: pd.DataFrame) -> list[str]:
    """The summary as a table; losses in thousandths."""
    lines = [
        "| setting | rows | method | true loss | gain over mean | optimism | bias of nested | bias / optimism | "
        "s per fit | met |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in table.itertuples():
        ratio = (
            "" if row.method in LEARN_NOTHING else f"{row.bias / row.optimism:+.3f} ± {row.bias_se / row.optimism:.3f}"
        )
        lines.append(
            f"| {row.kind} {row.metric} | {row.n} | {row.method} | {row.true:.4f} | {_thousandths(row, 'gain')} | "
            f"{_thousandths(row, 'optimism')} | {_thousandths(row, 'bias')} | {ratio} | {row.seconds:.2f} | "
            f"{row.met} |"
        )
    return lines


def _thousandths(row: Any, name: str) -> str:
    return f"{1000 * getattr(row, name):.2f} ± {1000 * getattr(row, name + '_se'):.2f}"


def available() -> list[str]:
    """Methods whose module is there."""
    return [name for name, place in METHODS.items() if find_spec(f"kagglekit.blend.{place.partition(':')[0]}")]


def drawn(options: argparse.Namespace) -> pd.DataFrame:
    """A row for each draw, setting, size and method."""
    work = [
        joblib.delayed(run_draw)(options.first + d, options.sizes, options.only, options.settings)
        for d in range(options.draws)
    ]
    return pd.DataFrame([row for part in joblib.Parallel(n_jobs=options.jobs)(work) for row in part])


def main() -> None:
    every_setting = [f"{kind}-{metric}" for kind, metric, _ in SETTINGS]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--first", type=int, default=0, help="number of the first draw")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--sizes", type=lambda text: [int(n) for n in text.split(",")], default=[500, 5_000])
    parser.add_argument("--only", type=lambda text: text.split(","), default=available())
    parser.add_argument("--settings", type=lambda text: text.split(","), default=every_setting)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--merge", type=Path, nargs="+", metavar="FILE.json", help="draw nothing; sum up these")
    options = parser.parse_args()
    start = time.perf_counter()
    rows = drawn(options) if options.merge is None else pd.concat(map(pd.read_json, options.merge))
    rows = rows.sort_values(["kind", "metric", "n"], kind="stable")
    took = "" if options.merge else f" in {time.perf_counter() - start:.0f} s"
    note = f"{rows.draw.nunique()} draws{took}; losses in thousandths, ± one standard error."
    lines = [*markdown(summary(rows)), "", note]
    print("\n".join(lines))
    if options.out:
        options.out.write_text("\n".join(lines) + "\n")
    if options.json:
        options.json.write_text(json.dumps(rows.to_dict("records")))


if __name__ == "__main__":
    main()
