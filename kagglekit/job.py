"""One experiment on prepared data: which rows and labels a model is given, and how its predictions are read.

What a model is fitted on never holds the labels of the rows that it is scored on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone

from kagglekit.cleaning import corrected
from kagglekit.config import Experiment
from kagglekit.contracts import Competition, Predictions, Split
from kagglekit.dataset import Prepared
from kagglekit.errors import ConfigError, DataError, StoreError, nearest, preview
from kagglekit.folds import carve, strata_of
from kagglekit.identity import DRAW
from kagglekit.metrics import get_metric
from kagglekit.models import registry
from kagglekit.models.bagging import BaggedClassifier, BaggedRegressor
from kagglekit.models.features import featured
from kagglekit.models.several import PerTarget, for_targets
from kagglekit.parallel import Stoppable
from kagglekit.progress import Progress, Silent
from kagglekit.store import Store
from kagglekit.targets import get_target

__all__ = ["Job", "Labeller", "more_bags", "out_of_bag"]

_CARVED = 0.15  # share of the fit rows that early stopping watches


@dataclass(frozen=True)
class Labeller:
    """Test rows under labels that a run's models gave them.

    The rows that a fold is scored on had no part in them: its test labels come from that fold's model alone.
    """

    store: Store
    run: str
    share: float

    def rows(self, split: Split, competition: Competition) -> pd.Series:
        """The surest labels, by test id; for values, a share of the rows, the same for each fold.

        Raises
        ------
        StoreError
            The run's fold is no longer there.
        """
        if (fold := self.store.fold(self.run, split.name)) is None:
            raise StoreError(f"The run {self.run} no longer holds {split.name}.", hint="Train it again elsewhere.")
        frame = fold.test.frame
        n = max(1, round(self.share * len(frame)))
        if not competition.is_classification:
            chosen = np.sort(np.random.default_rng(0).permutation(len(frame))[:n])
            return frame.iloc[chosen, 0].astype(float)
        chosen = np.sort(np.argsort(-frame.max(axis=1).to_numpy(), kind="stable")[:n])
        named = dict(zip(competition.columns, competition.classes, strict=True))
        return frame.iloc[chosen].idxmax(axis=1).map(named)


@dataclass(frozen=True)
class Job:
    """One experiment on one prepared competition."""

    prepared: Prepared
    experiment: Experiment
    progress: Progress
    labeller: Labeller | None = None
    workers: Stoppable | None = None
    checkpoints: Callable[[str], Path] | None = None

    @property
    def competition(self) -> Competition:
        return self.prepared.competition

    @property
    def sent(self) -> Job:
        """The job for another process, from where no bars can be drawn."""
        return replace(self, progress=Silent(), workers=None)

    def check(self) -> None:
        used, known = self.experiment.columns or (), list(self.prepared.test.columns)
        for column in (*used, *self.experiment.drop):
            self._refuse_unknown(column, known)
        if self.experiment.features:
            for column in self.experiment.features.used:
                self._refuse_unknown(column, list(self.columns(self.prepared.test).columns))
        if self.experiment.recent is not None and (
            self.competition.time is None or self.experiment.validation == "oob"
        ):
            raise ConfigError(
                f"Experiment '{self.experiment.name}': recent = {self.experiment.recent:g} takes the latest rows, "
                'which needs time = "column" in [competition] and validation = "folds".'
            )
        if self.experiment.keep_models:
            self._check_keeping()
        if self.experiment.refit != "never":
            self._check_refit()
        if self.experiment.target_transform != "none" and self.competition.is_classification:
            raise ConfigError(f"Experiment '{self.experiment.name}': target_transform is for regression.")
        if self.experiment.pseudo_weight < 1 and not self.takes_weights:
            raise ConfigError(
                f"Experiment '{self.experiment.name}': pseudo_weight = {self.experiment.pseudo_weight:g} needs a model "
                f"that weighs rows, and '{self.experiment.model}' as it is set here does not.",
                hint="lightgbm, forest and extra-trees do, without bags and features; or lower pseudo_share.",
            )
        for column in self.experiment.extra_targets:
            self._refuse_unknown(column, list(self.prepared.train.columns))
        self.labels()

    def _check_keeping(self) -> None:
        if not self.experiment.model.startswith("timm"):
            raise ConfigError(
                f"Experiment '{self.experiment.name}': keep_models is for image models (timm, timm-features).",
                hint="Models of tables are fitted again when they are looked at: leave it out.",
            )
        if isinstance(self.estimator(self.experiment.seed), PerTarget):
            raise ConfigError(
                f"Experiment '{self.experiment.name}': keep_models keeps one model of all targets, and "
                f"'{self.experiment.model}' fits one for each of {len(self.competition.targets)}.",
                hint='Leave it out, or use model = "timm", which learns several at once.',
            )

    def _check_refit(self) -> None:
        if self.experiment.validation == "oob" or not getattr(self.estimator(self.experiment.seed), "ends_by", ""):
            raise ConfigError(
                f"Experiment '{self.experiment.name}': refit is for models that stop early, and "
                f"'{self.experiment.model}' as it is set here does not.",
                hint="lightgbm, xgboost, catboost and tabm do, in folds, without bags and for one target.",
            )

    def _refuse_unknown(self, column: str, known: Sequence[str]) -> None:
        if column not in known:
            raise ConfigError(
                f"Experiment '{self.experiment.name}': no column '{column}'.", hint=nearest(column, known)
            )

    def columns(self, frame: pd.DataFrame) -> pd.DataFrame:
        chosen = frame.columns if self.experiment.columns is None else self.experiment.columns
        unwanted = {*self.experiment.drop, *self.experiment.extra_targets}
        names = [c for c in chosen if c not in unwanted]
        return frame if names == list(frame.columns) else frame[names]

    @cached_property
    def shared(self) -> Any:
        """What the model prepares once for all folds, without labels; None where it does nothing of the kind.

        It depends on the rows and the model alone, so a fold gives the same wherever and whenever it is fitted.
        """
        model = self.estimator(self.experiment.seed)
        # Folds that go forward in time know nothing of later rows, not even the spread of their values.
        if self.labeller is not None or self.prepared.folds.scheme == "time" or not hasattr(model, "share"):
            return None
        return model.share(self.columns(self.prepared.X))

    def fitted(self, split: Split, estimator: Any) -> Any:
        """The model of one fold; with `refit` fitted again for as long, on the rows that it watched too."""
        model = self._fitted(split, estimator)
        if not self.experiment.refits(len(self.prepared.folds.ids)):
            return model
        *recipes, name = model.ends_by.split("__")
        ended = getattr(model.estimator_ if recipes else model, f"{name}_")
        return self._fitted(split, clone(model).set_params(**{model.ends_by: max(1, ended)}), whole=True)

    def _fitted(self, split: Split, estimator: Any, *, whole: bool = False) -> Any:
        if self.shared is not None:
            y = self.target()
            fit_ids, carved = self.fit_ids(split, estimator, whole=whole)
            watched = None if carved is None else y.loc[carved]
            return estimator.fit_shared(self.shared, y.loc[fit_ids], watched)
        X, labels, stop_by = self.fit_rows(split, estimator, whole=whole)
        more = self.groups(X.index) | self.weights(X.index) | self.extras(X.index)
        return estimator.fit(X, labels, **stop_by, **more)

    def estimator(self, seed: int) -> Any:
        """The model, or bags of it; `bags` wraps, the model's own settings stay what they are.

        One that learns a single target is fitted for each of several.
        """
        one = self._bagged(self.model(seed), seed)
        return for_targets(one, self.competition.targets)

    def _bagged(self, model: Any, seed: int) -> Any:
        if not self.experiment.bags:
            return model
        bagged = BaggedClassifier if self.competition.is_classification else BaggedRegressor
        return bagged(
            model,
            n_estimators=self.experiment.bags,
            **DRAW,
            oob=False,
            random_state=seed,
            progress=self.progress,
        )

    def model(self, seed: int) -> Any:
        own = dict(self.experiment.params)
        offered = registry.parameters(self.experiment.model, self.competition.task)
        for name, value in (("cache_dir", str(self.prepared.cache)), ("progress", self.progress)):
            if name in offered:
                own.setdefault(name, value)
        model = registry.build(self.experiment.model, own, task=self.competition.task, seed=seed)
        return featured(model, self.experiment.features, random_state=seed) if self.experiment.features else model

    def kept(self, estimator: Any, fit: str) -> Any:
        """The estimator, told where to keep how far it is, if it can: also inside bags and behind recipes."""
        for name in [n for n in estimator.get_params() if n.split("__")[-1] == "checkpoint_dir"]:
            if self.checkpoints is not None:
                estimator.set_params(**{name: str(self.checkpoints(fit))})
        return estimator

    @property
    def takes_weights(self) -> bool:
        return bool(getattr(self.estimator(self.experiment.seed), "uses_sample_weight", False))

    def weights(self, ids: pd.Index) -> dict[str, np.ndarray]:
        """What test rows among the fit rows count for, where they do not count in full."""
        if self.labeller is None or self.experiment.pseudo_weight == 1:
            return {}
        known = ids.isin(self.prepared.folds.ids)
        return {"sample_weight": np.where(known, 1.0, self.experiment.pseudo_weight)}

    def groups(self, ids: pd.Index) -> dict[str, pd.Series]:
        """What `fit` needs besides, so that bags draw whole groups and target encoding keeps them whole."""
        group, recipes = self.competition.group, self.experiment.features
        if not group or not (self.experiment.bags or (recipes and recipes.target_encode)):
            return {}
        known = self.prepared.train[group]
        if self.labeller is not None:
            known = pd.concat([known, _named_apart(self.prepared.test[group])])
        return {"groups": known.loc[ids]}

    def extras(self, ids: pd.Index) -> dict[str, Any]:
        """What `fit` is to learn beside the target: labels of these fit rows, and of no others."""
        names = list(self.experiment.extra_targets)
        if not names:
            return {}
        weights = dict(zip(names, self.experiment.extra_weights, strict=False))
        return {"extra": self.prepared.train[names].reindex(ids), "extra_weights": weights}

    def labels(self) -> Any:
        """What may be fitted on: labels after cleaning, without the rows that it leaves out."""
        if self.competition.targets:
            return self.prepared.y
        try:
            return corrected(self.prepared.y, self.experiment.cleaning, self.competition.classes)
        except DataError as error:
            raise DataError(f"Experiment '{self.experiment.name}': {error.message}", hint=error.hint) from error

    def target(self) -> Any:
        labels = self.labels()
        if self.competition.is_classification:
            return labels
        forward = get_target(self.experiment.target_transform).forward
        return labels.apply(forward) if self.competition.targets else forward(labels)

    def fit_rows(
        self, split: Split, estimator: Any, *, whole: bool = False
    ) -> tuple[pd.DataFrame, pd.Series, dict[str, Any]]:
        """Rows and labels that one fold is fitted on and, for models that stop early, those that they watch."""
        X, y = self.columns(self.prepared.X), self.target()
        fit_ids, carved = self.fit_ids(split, estimator, whole=whole)
        stop_by = {} if carved is None else {"eval_set": (X.loc[carved], y.loc[carved])}
        return *self.with_test_rows(split, X.loc[fit_ids], y.loc[fit_ids]), stop_by

    def fit_ids(self, split: Split, estimator: Any, *, whole: bool = False) -> tuple[pd.Index, pd.Index | None]:
        """The training rows that one fold is fitted on and, for models that stop early, those that they watch.

        With `whole` none are watched: all are fitted on.
        """
        known = self.labels().index
        fit_ids = split.fit_ids[split.fit_ids.isin(known)]
        if not len(fit_ids):
            raise DataError(f"Experiment '{self.experiment.name}': cleaning leaves no row to fit {split.name} on.")
        fit_ids = self.latest(fit_ids)
        stops = getattr(estimator, "uses_eval_set", False) and not whole
        return _carve(self, fit_ids) if stops else (fit_ids, None)

    def with_test_rows(self, split: Split, X: pd.DataFrame, y: pd.Series) -> tuple[pd.DataFrame, pd.Series]:
        """Fit rows, and after them the test rows that a labeller labels; early stopping never watches those."""
        if self.labeller is None:
            return X, y
        labels = self.labeller.rows(split, self.competition)
        if not self.competition.is_classification:
            labels = get_target(self.experiment.target_transform).forward(labels)
        more = _named_apart(self.columns(self.prepared.test).loc[labels.index])
        labels = _named_apart(labels).astype(y.dtype)
        return pd.concat([X, more]), pd.concat([y, labels]).rename(y.name)

    def latest(self, ids: pd.Index) -> pd.Index:
        """The ids that `recent` lets in: the latest share, and all of the day (or whatever time it is) that is cut."""
        share, column = self.experiment.recent, self.competition.time
        if share is None or column is None:
            return ids
        times = self.prepared.train.loc[ids, column]
        first = times.sort_values().iloc[-max(1, round(share * len(ids)))]
        return ids[times >= first]

    def predict(self, estimator: Any, X: pd.DataFrame) -> Predictions:
        """Predictions by id: classes that the fit rows lacked get probability nought, never another class's column."""
        if self.competition.is_classification:
            values, seen = estimator.predict_proba(X), [str(c) for c in estimator.classes_]
            frame = pd.DataFrame(values, index=X.index, columns=seen)
        else:
            columns = list(self.competition.columns)
            values = np.asarray(estimator.predict(X)).reshape(len(X), len(columns))
            frame = pd.DataFrame(values, index=X.index, columns=columns)
        return self.finish(frame)

    def finish(self, frame: pd.DataFrame) -> Predictions:
        if self.competition.is_classification:
            return Predictions(frame.reindex(columns=list(self.competition.columns), fill_value=0.0))
        return Predictions(get_target(self.experiment.target_transform).backward(frame))

    def score(self, oof: Predictions) -> float:
        metric = get_metric(self.competition.metric)
        return metric.score(self.prepared.y.loc[oof.ids], oof.frame, self.competition.classes)


def _carve(job: Job, fit_ids: pd.Index) -> tuple[pd.Index, pd.Index]:
    facts = job.competition
    table = job.prepared.train
    labels = job.labels().loc[fit_ids]
    strata = strata_of(labels, 2)
    return carve(
        fit_ids,
        y=strata if job.prepared.folds.scheme.startswith("stratified") else None,
        groups=table.loc[fit_ids, facts.group] if facts.group else None,
        time=table.loc[fit_ids, facts.time] if facts.time else None,
        fraction=_CARVED,
        seed=job.experiment.seed,
    )


def _named_apart(rows: Any) -> Any:
    """Rows of test under ids that no training row has."""
    return rows.set_axis([f"test {i}" for i in rows.index], axis=0)


def out_of_bag(job: Job, estimator: Any) -> pd.DataFrame:
    """The out-of-bag predictions of the rows that have one, in the competition's column names."""
    found, never = estimator.oob_prediction_, estimator.never_oob_
    if 2 * len(never) > len(found):
        raise DataError(
            f"Experiment '{job.experiment.name}': {len(never)} of {len(found)} rows are in every bag and have no "
            f"out-of-bag prediction: {preview(never)}.",
            hint=more_bags(job),
        )
    frame = found.drop(index=never)
    return (
        frame.rename(columns=str)
        if job.competition.is_classification
        else frame.set_axis(list(job.competition.columns), axis=1)
    )


def more_bags(job: Job) -> str:
    return "Use more bags: bags = 20." if job.experiment.bags else "Use more trees: n_estimators = 100."
