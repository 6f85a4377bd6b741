"""What a climb found: a step for each candidate, and scores on rows that decided nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from kagglekit.contracts import Run
from kagglekit.forecast import clock
from kagglekit.ladder.record import Measured
from kagglekit.stats import Difference

__all__ = ["Climbed", "Fresh", "Step", "grouped"]


@dataclass(frozen=True)
class Step:
    """One candidate on the shared fold.

    Parameters
    ----------
    rung, experiment, why, change : str
    against : str
        The best so far, which it is compared with; "" for the start.
    score, low, high : float
        The metric on the shared fold's rows and its 95 % interval.
    difference : Difference or None
        Against the best so far, on the same rows. Its interval is wider the more candidates the rung has (Bonferroni):
        95 % for all of them together.
    verdict : str
    promoted : bool
    seconds : float
        Of the shared fold.
    cost : Measured or None
        The forecast, and the memory that was measured; None where the fold was trained by another command.
    """

    rung: str
    experiment: str
    why: str
    change: str
    against: str
    score: float
    low: float
    high: float
    difference: Difference | None
    verdict: str
    seconds: float
    cost: Measured | None = None
    promoted: bool = False

    def words(self) -> str:
        """One line: score, verdict, time."""
        against = ""
        if (d := self.difference) is not None:
            against = f", {d.mean:+.4f} ({d.low:+.4f} to {d.high:+.4f}) against {self.against}: {self.verdict}"
        return f"{self.experiment} {self.score:.4f} ({self.low:.4f} to {self.high:.4f}){against}; {clock(self.seconds)}"


@dataclass(frozen=True)
class Fresh:
    """A promoted experiment on the rows of the other folds, which decided nothing.

    Parameters
    ----------
    experiment : str
    score, low, high : float
    difference : Difference or None
        Against the start, on the same rows.
    verdict : str
    """

    experiment: str
    score: float
    low: float
    high: float
    difference: Difference | None
    verdict: str


@dataclass
class Climbed:
    """What came of a climb.

    Parameters
    ----------
    metric : str
    split : str
        The shared fold.
    n_scored, n_fitted : int
        Its rows.
    steps : list of Step
    best : str
        What was promoted last; the start where nothing won.
    left_out : dict of str to str
        Candidates that cannot be trained here, and why.
    undecided : str
        Why the climb stopped before its last rung; "" where it did not.
    fresh : list of Fresh
        Those whose folds are all trained.
    n_fresh : int
        Rows that decided nothing.
    runs : dict of str to Run
        Promoted experiments whose folds are all trained.
    """

    metric: str
    split: str
    n_scored: int
    n_fitted: int
    steps: list[Step] = field(default_factory=list)
    best: str = ""
    left_out: dict[str, str] = field(default_factory=dict)
    undecided: str = ""
    fresh: list[Fresh] = field(default_factory=list)
    n_fresh: int = 0
    runs: dict[str, Run] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values; runs by their ids."""
        own = {key: getattr(self, key) for key in ("metric", "split", "n_scored", "n_fitted", "best", "left_out")}
        return own | {
            "steps": [asdict(step) for step in self.steps],
            "undecided": self.undecided,
            "fresh rows": self.n_fresh,
            "fresh": [asdict(one) for one in self.fresh],
            "runs": {name: run.id for name, run in self.runs.items()},
        }


def grouped(left_out: Mapping[str, str]) -> list[str]:
    """Candidates that were left out, one entry for each reason."""
    by_reason: dict[str, list[str]] = {}
    for name, reason in left_out.items():
        by_reason.setdefault(reason, []).append(name)
    return [f"{', '.join(names)} ({reason})" for reason, names in by_reason.items()]
