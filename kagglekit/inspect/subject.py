"""What is looked at: one run of a table, its models fitted again fold by fold, and the rows they may be judged by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import pandas as pd

from kagglekit.config import Experiment
from kagglekit.contracts import Run, Split
from kagglekit.dataset import Prepared
from kagglekit.errors import UsageError, preview
from kagglekit.metrics import Metric, get_metric
from kagglekit.progress import Progress, Silent
from kagglekit.rebuild import experiment_of
from kagglekit.refit import Refit, refit, refit_out_of_bag

__all__ = ["Subject"]

_SEED = 0
_FORESTS = ("forest", "extra-trees")


@dataclass(frozen=True, eq=False)
class Subject:
    """A run of a competition without images.

    Models are not kept with a run: they are fitted again, by the same seed on the same rows, so that they are the run's
    own unless the table is sampled. Repeats of the folds are left out but for the first.

    Parameters
    ----------
    prepared : Prepared
    experiment : Experiment
        The run's.
    run : Run
    runs : tuple of Run
        The other finished runs, for what is compared with them.
    most_fit, most_held : int
        Rows that a model is fitted on and judged by, at most; larger tables are sampled.
    progress : Progress

    """

    prepared: Prepared
    experiment: Experiment
    run: Run
    runs: tuple[Run, ...] = ()
    most_fit: int = 10_000
    most_held: int = 2_000
    progress: Progress = field(default_factory=Silent)

    @classmethod
    def of(
        cls,
        run: Run,
        prepared: Prepared,
        experiments: Mapping[str, Experiment],
        *,
        runs: Sequence[Run] = (),
        progress: Progress | None = None,
    ) -> Subject:
        """A finished run with the experiment that it is of.

        Raises
        ------
        UsageError
            The competition has images, or the run is a blend.
        ConfigError
            The run's model is no longer offered, or refuses a setting by now.
        """
        if prepared.competition.has_images:
            raise UsageError(f"'{prepared.competition.slug}' is a competition of images, not of columns.")
        if run.kind == "blend":
            raise UsageError(
                f"'{run.name}' is a blend, which has no columns.",
                hint=f"Inspect one of its members: {preview(sorted(run.weights))}.",
            )
        experiment = experiment_of(run, prepared, experiments)
        return cls(prepared, experiment, run, tuple(runs), progress=progress or Silent())

    @cached_property
    def metric(self) -> Metric:
        return get_metric(self.prepared.competition.metric)

    @property
    def sign(self) -> int:
        """1 where more is better, else -1."""
        return 1 if self.metric.greater_is_better else -1

    @cached_property
    def fits(self) -> tuple[Refit, ...]:
        """The models of the folds, fitted again."""
        return self.fit(self.splits)

    @cached_property
    def splits(self) -> tuple[Split, ...]:
        """The folds of the first repeat, sampled where they are large."""
        return self.sampled([split for split in self.prepared.folds.splits() if split.repeat == 0])

    def sampled(self, splits: Sequence[Split]) -> tuple[Split, ...]:
        """The same splits with no more rows than are wanted."""
        return tuple(
            Split(s.repeat, s.fold, some(s.fit_ids, self.most_fit), some(s.score_ids, self.most_held)) for s in splits
        )

    def fit(self, splits: Sequence[Split], *, without: Sequence[str] = ()) -> tuple[Refit, ...]:
        """The experiment's model on each of some splits, perhaps without some columns."""
        experiment = replace(self.experiment, drop=(*self.experiment.drop, *without))
        fits = []
        with self.progress.task("fits", len(splits)) as bar:
            for split in splits:
                fits.append(refit(self.prepared, experiment, split))
                bar.advance()
        return tuple(fits)

    @property
    def columns(self) -> list[str]:
        """The columns that the experiment uses."""
        chosen = self.prepared.test.columns if self.experiment.columns is None else self.experiment.columns
        return [str(c) for c in chosen if c not in self.experiment.drop]

    @property
    def is_forest(self) -> bool:
        return self.experiment.model in _FORESTS

    @cached_property
    def bagged_ids(self) -> pd.Index:
        """The rows that out-of-bag forests are fitted on."""
        return some(self.prepared.train.index, self.most_fit)

    def out_of_bag(self, *, without: Sequence[str] = ()) -> Refit:
        """The run's forest, or a plain one where it is none, on all rows with out-of-bag predictions."""
        forest = self.experiment
        if not self.is_forest:
            forest = replace(forest, model="forest", params={})
        forest = replace(forest, bags=0, drop=(*forest.drop, *without))
        return refit_out_of_bag(self.prepared, forest, self.bagged_ids)

    @cached_property
    def forest(self) -> Refit:
        """`out_of_bag` with every column."""
        return self.out_of_bag()

    def score(self, predicted: pd.DataFrame) -> float:
        """The competition's metric on training rows, by id."""
        y = self.prepared.y.loc[predicted.index]
        return self.metric.score(y, predicted, self.prepared.competition.classes)

    def scores(self, predicted: pd.DataFrame) -> np.ndarray:
        """The same for each of several targets by itself, of which `score` is the mean; the one score where one is."""
        y = self.prepared.y.loc[predicted.index]
        return self.metric.each(y, predicted, self.prepared.competition.classes)

    def held_out(self, fit: Refit) -> float:
        """The score of a fit on the rows it is judged by."""
        return self.score(fit.predict(fit.X.loc[fit.score_ids]))

    @property
    def is_sampled(self) -> bool:
        return any(
            len(few.fit_ids) < len(s.fit_ids) or len(few.score_ids) < len(s.score_ids)
            for few, s in zip(self.splits, self.prepared.folds.splits(), strict=False)
        )

    def words(self) -> list[str]:
        """Which models these are."""
        n, rows = len(self.splits), len(self.splits[-1].fit_ids)
        if self.is_sampled:
            held = len(self.splits[-1].score_ids)
            return [
                f"{n} models like those of {self.run.name}, fitted again on up to {rows:,} rows of each fold and "
                f"judged by up to {held:,} held-out rows: a sample of {len(self.prepared.train):,} training rows."
            ]
        lines = [f"{n} models of {self.run.name}, fitted again fold by fold and judged by the rows they did not see."]
        if self.experiment.pseudo is not None:
            lines.append("The run was also fitted on test rows under labels of models; these models were not.")
        elif self.run.kind == "oob":
            lines.append("The run itself was scored out of bag; these are its settings, by folds.")
        elif self.prepared.folds.repeats == 1:
            lines.append(self._agreement())
        return lines

    def _agreement(self) -> str:
        """Whether these are the run's own models: what they say of held-out rows is stored with it."""
        stored = self.run.oof.frame
        now = [f.predict(f.X.loc[f.score_ids]) for f in self.fits]
        off = max(float(np.abs(p.to_numpy() - stored.loc[p.index].to_numpy()).max()) for p in now)
        size = float(np.abs(stored.to_numpy()).max())
        if off <= 1e-5 * max(size, 1e-12):
            return "They predict what the run stored."
        return f"They predict otherwise than the run stored, by up to {off:.2g}: packages or machine are others now."


def some(ids: pd.Index, most: int) -> pd.Index:
    """Up to `most` of the ids, drawn by a fixed seed, in their own order."""
    if len(ids) <= most:
        return ids
    return ids[np.sort(np.random.default_rng(_SEED).choice(len(ids), most, replace=False))]
