"""Out of bag beside validation: both judge rows that a forest has not seen; a gap says how folds are cut."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from kagglekit.contracts import Run
from kagglekit.dataset import Prepared
from kagglekit.metrics import get_metric
from kagglekit.scoring import decided
from kagglekit.stats import Difference, paired_bootstrap, verdict

__all__ = ["BagGap", "bag_gaps"]

_FORESTS = ("forest", "extra-trees")
_SIZES = ("n_estimators", "n_jobs", "oob")


@dataclass(frozen=True)
class BagGap:
    """One forest, judged out of bag and by the folds.

    Parameters
    ----------
    folds, bags : str
        Names of the two experiments.
    metric : str
    by_folds, by_bags : float
        Scores on the rows that both predicted.
    difference : Difference
        How much better the out-of-bag score is.
    n_rows : int
    """

    folds: str
    bags: str
    metric: str
    by_folds: float
    by_bags: float
    difference: Difference
    n_rows: int

    def words(self) -> str:
        """One line."""
        gap = self.difference
        said = {
            "better": "folds are harder than random rows, as groups and time-forward folds are meant to be; test rows "
            "are like one or the other",
            "worse": "each tree misses a third of the rows, or the folds let rows see their duplicates",
            "no difference": "no gap",
        }[verdict(gap)]
        return (
            f"Out of bag {self.metric} {self.by_bags:.4f} ({self.bags}) beside validation {self.by_folds:.4f} "
            f"({self.folds}): {gap.mean:+.4f} ({gap.low:+.4f} to {gap.high:+.4f}): {said}."
        )

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def bag_gaps(prepared: Prepared, runs: Mapping[str, Run]) -> list[BagGap]:
    """Every pair of forest runs that differ in their validation and, at most, in the number of trees.

    Parameters
    ----------
    prepared : Prepared
    runs : mapping of str to Run
        Finished runs by name.
    """
    forests = [runs[name] for name in sorted(runs) if runs[name].settings["model"] in _FORESTS]
    return [
        _gap(prepared, a, b)
        for a in forests
        for b in forests
        if a.kind == "oof" and b.kind == "oob" and _kept(a) == _kept(b)
    ]


def _kept(run: Run) -> dict[str, Any]:
    """The settings that must be the same."""
    others = {k: v for k, v in run.settings.items() if k not in ("validation", "seed", "params")}
    return others | {"params": {k: v for k, v in run.settings["params"].items() if k not in _SIZES}}


def _gap(prepared: Prepared, folds: Run, bags: Run) -> BagGap:
    facts = prepared.competition
    a, b = (decided(run.oof.frame, prepared.y, prepared.folds, facts) for run in (folds, bags))
    ids = a.index.intersection(b.index, sort=False)
    y, metric = prepared.y.loc[ids], get_metric(facts.metric)
    return BagGap(
        folds=folds.name,
        bags=bags.name,
        metric=facts.metric,
        by_folds=metric.score(y, a.loc[ids], facts.classes),
        by_bags=metric.score(y, b.loc[ids], facts.classes),
        difference=paired_bootstrap(metric, y, a.loc[ids], b.loc[ids], facts.classes),
        n_rows=len(ids),
    )
