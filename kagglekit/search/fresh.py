"""The winner's luck: the best trial and its parent again, on folds and with seeds that chose nothing."""

from __future__ import annotations

from dataclasses import replace

from kagglekit.config import Experiment
from kagglekit.dataset import Prepared
from kagglekit.folds import make_folds, strata_of
from kagglekit.identity import run_id
from kagglekit.metrics import get_metric
from kagglekit.progress import Progress
from kagglekit.scoring import decided
from kagglekit.search.record import Fresh
from kagglekit.stats import paired_bootstrap, verdict
from kagglekit.store import Store
from kagglekit.train import train

__all__ = ["fresh_pair", "measure_again", "on_fresh_folds"]

_OTHER = 10_000  # far from the seeds that repeats of the folds use


def on_fresh_folds(prepared: Prepared) -> Prepared:
    """The same rows, cut anew by the same rule; time-forward folds can be cut in one way only and stay."""
    folds, facts = prepared.folds, prepared.competition
    if folds.scheme == "time":
        return prepared
    fresh = make_folds(
        folds.ids,
        scheme=folds.scheme,
        n=folds.n,
        seed=folds.seed + _OTHER,
        repeats=folds.repeats,
        y=strata_of(prepared.y, folds.n),
        groups=prepared.train[facts.group] if facts.group else None,
    )
    return replace(prepared, folds=fresh)


def fresh_pair(parent: Experiment, best: Experiment) -> tuple[Experiment, Experiment]:
    """Both experiments under names of their own and with another seed: luck of a seed is luck too."""
    first, second = (
        replace(e, name=f"{e.name}-fresh", seed=e.seed + _OTHER, why=f"{e.name} on folds that chose nothing")
        for e in (parent, best)
    )
    return first, replace(second, based_on=first.name)


def measure_again(
    prepared: Prepared, parent: Experiment, best: Experiment, store: Store, *, progress: Progress, n_jobs: int
) -> Fresh:
    """Score the parent and the best trial on fresh folds, paired by row.

    Returns
    -------
    Fresh

    Notes
    -----
    The rows are the same, so what the choice learnt of these very rows stays in: new rows may show less. What goes is
    the luck of the folds and of the seed, which is most of it where trials are many and close.
    """
    again = on_fresh_folds(prepared)
    runs = [train(again, e, store, progress=progress, n_jobs=n_jobs) for e in fresh_pair(parent, best)]
    facts = prepared.competition
    before, after = (decided(run.oof.frame, prepared.y, again.folds, facts) for run in runs)
    shared = after.index.intersection(before.index)
    found = paired_bootstrap(
        get_metric(facts.metric),
        prepared.y.loc[shared],
        before.loc[shared],
        after.loc[shared],
        facts.classes,
        groups=again.folds.groups,
    )
    return Fresh(
        of=run_id(prepared, best),
        parent_score=runs[0].score,
        score=runs[1].score,
        standard_error=runs[1].standard_error if len(runs[1].scores) > 1 else 0.0,
        better_by=found.mean,
        low=found.low,
        high=found.high,
        verdict=verdict(found),
        new_folds=again is not prepared,
    )
