"""Is a model better that is fitted again on all rows once it has stopped early? Boosters on worlds drawn by code.

    python benchmarks/tabular/refit.py --home FOLDER [--members tabular-lightgbm-1,...] [WORLD ...]

Each fold is fitted twice, as `refit = "never"` and `refit = "always"` do, and both models are scored on the fold's
rows, which had no part in either. Printed is the mean over folds of both scores and of their difference, with its
standard error; `+` is better, whatever the metric. Ten minutes on two busy cores. Worlds that are drawn once stay in
`--home`.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from order import WORLDS, open_world

from kagglekit.config import Experiment
from kagglekit.dataset import Prepared
from kagglekit.job import Job
from kagglekit.metrics import get_metric
from kagglekit.progress import Silent

_MEMBERS = "tabular-lightgbm-1,tabular-catboost-1,tabular-xgboost-1"
_RULES = ("never", "always")


def scores(prepared: Prepared, member: Experiment) -> np.ndarray:
    """Of shape (2, n_folds): stopped early, and fitted again."""
    jobs = [Job(prepared, replace(member, refit=rule), Silent()) for rule in _RULES]
    found = []
    for split in prepared.folds.splits():
        scored = jobs[0].columns(prepared.X).loc[split.score_ids]
        models = [job.fitted(split, job.estimator(member.seed)) for job in jobs]
        found.append([job.score(job.predict(m, scored)) for job, m in zip(jobs, models, strict=True)])
    return np.array(found).T


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--members", default=_MEMBERS)
    parser.add_argument("worlds", nargs="*", default=WORLDS)
    args = parser.parse_args()
    better = []
    for name in args.worlds:
        flow, offered = open_world(args.home.absolute(), name)
        metric = get_metric(flow.prepared.competition.metric)
        for member in (offered[m] for m in args.members.split(",")):
            never, always = scores(flow.prepared, member)
            gains = (always - never) * (1 if metric.greater_is_better else -1)
            error = gains.std(ddof=1) / np.sqrt(len(gains))
            better.append(gains.mean() / error)
            line = f"{name:8} {metric.name:9} {member.name:20} {never.mean():.5f} {always.mean():.5f}"
            print(f"{line}  {gains.mean():+.5f} ± {error:.5f}", flush=True)
    off = np.array(better)
    print(
        f"\nbetter in {(off > 0).sum()} of {len(off)}; by two standard errors in {(off >= 2).sum()}, worse in "
        f"{(off <= -2).sum()}"
    )


if __name__ == "__main__":
    main()
