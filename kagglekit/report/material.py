"""What a report is made from: values that other parts computed, and the few that several sections share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd

from kagglekit.board import Row
from kagglekit.contracts import Competition, Run, Submission
from kagglekit.dataset import Prepared
from kagglekit.errors import UsageError, nearest
from kagglekit.metrics import Metric, get_metric
from kagglekit.models.registry import BASELINES
from kagglekit.scoring import decided
from kagglekit.stats import Interval, bootstrap_interval
from kagglekit.workspace import SiteName

__all__ = ["Material"]

_RESAMPLES = 4_000_000  # row numbers drawn in all for one interval


@dataclass(frozen=True, eq=False)
class Material:
    """A competition's runs, and what is known of them.

    Parameters
    ----------
    title : str
        The competition's, for people.
    site : {"kaggle", "arena"}
        Where the scores of the ledger come from; the page says so beside each of them.
    prepared : Prepared
    runs : mapping of str to Run
        Finished runs by name, blends too; at least one.
    rows : sequence of Row
        The board of these runs, best first.
    submissions : sequence of Submission
        Of the ledger of that site.
    closer : str, optional
        The run that is looked at closely; the best on the board if none.

    Raises
    ------
    UsageError
        There are no runs, or none of the name `closer`.
    """

    title: str
    site: SiteName
    prepared: Prepared
    runs: Mapping[str, Run]
    rows: Sequence[Row]
    submissions: Sequence[Submission] = ()
    closer: str | None = None
    _intervals: dict[str, Interval] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.rows:
            raise UsageError("There is nothing to report yet: no experiment is trained.", hint="Train one first.")
        if self.closer is not None and self.closer not in self.runs:
            raise UsageError(f"There is no finished run '{self.closer}'.", hint=nearest(self.closer, self.runs))

    @property
    def competition(self) -> Competition:
        return self.prepared.competition

    @cached_property
    def metric(self) -> Metric:
        return get_metric(self.competition.metric)

    @property
    def sign(self) -> int:
        """1 where more is better, else -1."""
        return 1 if self.metric.greater_is_better else -1

    @property
    def place(self) -> str:
        """The site's name in a sentence."""
        return "Kaggle" if self.site == "kaggle" else "the practice arena"

    @cached_property
    def focus(self) -> Run:
        """The run that is looked at closely."""
        return self.runs[self.closer or self.rows[0].name]

    @cached_property
    def in_order(self) -> list[Row]:
        """The rows in the order their runs were made."""
        return sorted(self.rows, key=lambda row: (self.runs[row.name].created, row.kind == "blend", row.name))

    @cached_property
    def numbers(self) -> dict[str, int]:
        """The number under which each run stands in the story, from 1."""
        return {row.name: place for place, row in enumerate(self.in_order, start=1)}

    def is_baseline(self, name: str) -> bool:
        return self.runs[name].settings.get("model") in BASELINES

    def decided(self, run: Run) -> pd.DataFrame:
        """The run's predictions of training rows it did not see, after the competition's decision rule."""
        return decided(run.oof.frame, self.prepared.y, self.prepared.folds, self.competition)

    def interval(self, name: str) -> Interval:
        """A run's score with the 95 % interval in which it would lie on other rows of the same kind.

        The bootstrap resamples rows; its two half-widths are laid around the run's score, which is a mean over folds.
        """
        if name not in self._intervals:
            run = self.runs[name]
            frame = self.decided(run)
            spread = bootstrap_interval(
                self.metric,
                self.prepared.y.loc[frame.index],
                frame,
                self.competition.classes,
                groups=self.prepared.folds.groups,
                n_resamples=int(np.clip(_RESAMPLES // len(frame), 100, 500)),
            )
            low, high = run.score - (spread.score - spread.low), run.score + (spread.high - spread.score)
            self._intervals[name] = Interval(run.score, low, high)
        return self._intervals[name]
