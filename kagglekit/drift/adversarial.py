"""Adversarial validation: can a model tell training rows from test rows, and by which columns?

Where it cannot, validation on training rows speaks for the test rows. Where it can, the columns that give it away are
worth a look: they are ids, dates, or something that was measured differently.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from kagglekit.drift.auc import Auc, ranked
from kagglekit.drift.blocks import Blocks, Likeness, Pair
from kagglekit.errors import DataError
from kagglekit.progress import Progress, Silent
from kagglekit.stats import Interval

__all__ = ["Adversarial", "Column", "Verdict", "adversarial_validation"]

Array = npt.NDArray[Any]
Verdict = Literal["alike", "hardly different", "different", "very different"]

_CHANCE, _HARDLY, _CLEARLY = 0.5, 0.55, 0.75
_FOLDS = 5
# The correction of Nadeau and Bengio 2003: fits of several folds share most of their rows, so that without it the
# interval is too narrow.
_SHARED_ROWS = math.sqrt(1 + _FOLDS / (_FOLDS - 1))
_REACH = 1.96 * _SHARED_ROWS
# Shuffling is the slow part: it is done for the columns that the forests split by most.
_IMPORTANCE_ROWS, _IMPORTANCE_COLUMNS = 5_000, 20
_CHUNK = 100_000
_FEW_UNITS = 20
_MANY_PIECES = 16

_WORDS: Mapping[Verdict, str] = {
    "alike": "Train and test look alike",
    "hardly different": "Train and test differ, but hardly",
    "different": "Train and test differ",
    "very different": "Train and test differ very much",
}


@dataclass(frozen=True)
class Column:
    """How much one column tells.

    Parameters
    ----------
    name : str
    auc : Interval
        Of a small tree that sees this column alone, on held-out rows; .5 tells nothing.
    importance : Interval or None
        How much AUC the forest loses on held-out rows when this column is shuffled. Columns that say the same share
        theirs: each can be missed. None where the forests hardly split by it.
    like : {"", "id-like", "time-like"}
    why : str
        What makes it so.
    tells : bool
        Whether `auc` lies above .5 by more than the best of as many columns would by chance (5 % for all together).
    """

    name: str
    auc: Interval
    importance: Interval | None
    like: Likeness
    why: str
    tells: bool

    def words(self) -> str:
        """One line."""
        like = f" ({self.like}: {self.why})" if self.like else ""
        loss = "" if self.importance is None else f"; shuffled, the forest loses {_shown(self.importance)}"
        return f"  {self.name}{like}: alone AUC {_shown(self.auc)}{loss}"


@dataclass(frozen=True)
class Adversarial:
    """What a model that tries to tell test rows from training rows achieves.

    Parameters
    ----------
    auc : Interval
        On held-out rows; .5 is chance.
    verdict : {"alike", "hardly different", "different", "very different"}
        "alike" unless the interval lies above .5; then by the AUC itself: below .55, below .75, or more.
    columns : tuple of Column
        Those that tell most first.
    left_out : mapping of str to str
        Columns that nothing can be learnt from, and why.
    n_train, n_test : int
        All rows.
    used_train, used_test : int
        Those that the model saw.
    n_units : int
        What was resampled and held out as a whole: rows, or groups.
    grouped : bool
    without : Interval or None
        The AUC without id-like and time-like columns, where these tell.
    weights : Series by id of all training rows
        How much likelier the row is in test than in train, with mean 1.
    """

    auc: Interval
    verdict: Verdict
    columns: tuple[Column, ...]
    left_out: Mapping[str, str]
    n_train: int
    n_test: int
    used_train: int
    used_test: int
    n_units: int
    grouped: bool
    without: Interval | None
    weights: pd.Series = field(repr=False)

    @property
    def effective_rows(self) -> float:
        """How many equally weighted rows the weighted training rows are worth (Kish 1965)."""
        return float(self.weights.sum() ** 2 / np.square(self.weights).sum())

    @property
    def telling(self) -> list[Column]:
        """The columns that tell more than chance, the most telling first."""
        return [c for c in self.columns if c.tells]

    def words(self) -> list[str]:
        """What was found, in plain lines."""
        lines = [f"{_WORDS[self.verdict]}: a forest tells them apart with AUC {_shown(self.auc)}, where .5 is chance."]
        if (self.used_train, self.used_test) != (self.n_train, self.n_test):
            lines.append(
                f"The forest saw {self.used_train:,} of {self.n_train:,} training and {self.used_test:,} of "
                f"{self.n_test:,} test rows."
            )
        if self.grouped:
            lines.append(f"Groups were held out whole: {self.n_units:,} groups.")
        if self.n_units < _FEW_UNITS:
            lines.append(f"With {self.n_units} {'groups' if self.grouped else 'rows'} the interval is a rough guess.")
        return lines + self._column_words() + self.advice()

    def _column_words(self) -> list[str]:
        lines = [c.words() for c in self.telling]
        if lines:
            what = "Single columns tell all the same" if self.verdict == "alike" else "What tells them apart"
            lines.insert(0, f"{what} ({len(lines)} of {len(self.columns)} columns):")
        elif self.verdict != "alike":
            lines.append("No column does so alone: it is how columns go together.")
        if self.without is not None:
            lines.append(f"Without the id-like and time-like columns: AUC {_shown(self.without)}.")
        return lines

    def advice(self) -> list[str]:
        """What to do about it; nothing where train and test look alike."""
        ids, times, others = ([c.name for c in self.telling if c.like == kind] for kind in ("id-like", "time-like", ""))
        lines = []
        if ids:
            lines.append(f"To do: leave the ids out of the data: drop = {_listed(ids)} in [data].")
        if times:
            lines.append(
                f"To do: if test rows come later, cut the folds the same way: time = {_listed(times[:1])[1:-1]} in "
                '[competition] and scheme = "time" in [folds].'
            )
        if others and self.verdict in ("different", "very different"):
            lines.append(
                f"To do: try an experiment with drop = {_listed(others[:3])}; if its score holds, keep it: what is "
                "distributed otherwise in test is learnt at a risk."
            )
        if self.verdict in ("different", "very different"):
            lines.append(
                f"Training rows weighted to look like test are worth {self.effective_rows:,.0f} of {self.n_train:,} "
                "rows: the fewer, the less a small gain in validation says about the test rows."
            )
        return lines

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values; the weights are left out."""
        facts = {name: value for name, value in self.__dict__.items() if name not in ("weights", "columns", "auc")}
        return facts | {
            "auc": asdict(self.auc),
            "without": None if self.without is None else asdict(self.without),
            "columns": [asdict(c) for c in self.columns],
            "left_out": dict(self.left_out),
            "effective_rows": self.effective_rows,
            "advice": self.advice(),
        }


def adversarial_validation(
    train: pd.DataFrame,
    test: pd.DataFrame,
    *,
    groups: tuple[pd.Series, pd.Series] | None = None,
    extra: Mapping[str, Pair] | None = None,
    most_rows: int = 20_000,
    n_trees: int = 100,
    seed: int = 0,
    progress: Progress | None = None,
) -> Adversarial:
    """Let a forest tell test rows from training rows, by cross-validation.

    Parameters
    ----------
    train, test : DataFrame by id
        The columns of `test` are used; without ids, target and image paths.
    groups : (Series by train id, Series by test id), optional
        Rows of one group are held out together.
    extra : mapping of str to (DataFrame by train id, DataFrame by test id), optional
        Blocks of numbers that count as one column each, such as the pixels of thumbnails.
    most_rows : int
        How many rows the forest may see, half from train and half from test where there are as many; the others are
        left out at random. Weights are made for all.
    n_trees : int
        Of each forest.
    seed : int
    progress : Progress, optional

    Returns
    -------
    Adversarial

    Raises
    ------
    DataError
        Nothing to compare: no columns, fewer than two rows or groups on a side.

    Notes
    -----
    The interval is that of DeLong for rows (or groups), widened for the rows that the folds' forests share, so that
    without drift "alike" is said in at least 95 % of cases. Intervals of importance keep the fitted forests. Not for
    proof that two samples are the same: a forest misses what it cannot see, such as a change of what the labels mean.
    """
    blocks = Blocks(train, test, extra or {})
    sample = _sample(len(train), len(test), most_rows, seed)
    is_test = sample >= len(train)
    units = _units(groups, train.index, test.index)[sample]
    trial = _Trial(blocks.matrix(sample), is_test, units, _cut(is_test, units, seed), n_trees, seed)
    forests = trial.fit(progress or Silent())
    scores = trial.held_out(forests)
    auc = ranked(is_test, scores).interval(units, reach=_REACH)
    columns = _columns(blocks, trial, forests)
    return Adversarial(
        auc=auc,
        verdict=_verdict(auc),
        columns=tuple(columns),
        left_out=blocks.left_out,
        n_train=len(train),
        n_test=len(test),
        used_train=int((~is_test).sum()),
        used_test=int(is_test.sum()),
        n_units=len(np.unique(units)),
        grouped=groups is not None,
        without=_without(blocks, trial, columns, auc, progress or Silent()),
        weights=_weights(blocks, forests, sample, scores, is_test),
    )


def _shown(interval: Interval) -> str:
    score, low, high = (f"{v:.3f}".replace("0.", ".", 1) for v in (interval.score, interval.low, interval.high))
    return f"{score} ({low} to {high})"


def _listed(names: list[str]) -> str:
    return "[" + ", ".join(f'"{name}"' for name in names) + "]"


def _verdict(auc: Interval) -> Verdict:
    if not auc.low > _CHANCE:
        return "alike"
    if auc.score < _HARDLY:
        return "hardly different"
    return "different" if auc.score < _CLEARLY else "very different"


@dataclass(frozen=True, eq=False)
class _Trial:
    """The rows that the forests see, and how they are cut."""

    X: Array
    is_test: Array
    units: Array
    folds: Array
    n_trees: int
    seed: int

    def of(self, places: Array) -> _Trial:
        """The same trial with some columns only."""
        return replace(self, X=self.X[:, places])

    def at(self, rows: Array) -> _Trial:
        """The same trial with some rows only."""
        return replace(self, X=self.X[rows], is_test=self.is_test[rows], units=self.units[rows], folds=self.folds[rows])

    def fit(self, progress: Progress) -> list[Any]:
        """A forest for each fold, fitted on the other folds."""
        from sklearn.ensemble import RandomForestClassifier

        forests = []
        with progress.task("tell train from test", _FOLDS) as task:
            for fold in np.unique(self.folds):
                fit = self.folds != fold
                # Large leaves, as shares of test rows are wanted and not a label for each row.
                leaf = max(3, int(fit.sum()) // 500)
                forest = RandomForestClassifier(self.n_trees, min_samples_leaf=leaf, random_state=self.seed, n_jobs=1)
                forests.append(forest.fit(self.X[fit], self.is_test[fit]))
                task.advance()
        return forests

    def held_out(self, forests: list[Any]) -> Array:
        """The share of test in each row by the forest that did not see it."""
        scores = np.empty(len(self.X))
        for fold, forest in zip(np.unique(self.folds), forests, strict=True):
            scores[self.folds == fold] = _p_test(forest, self.X[self.folds == fold])
        return scores

    def alone(self) -> Auc:
        """What one column tells: a small tree, or a small forest over many pieces."""
        if self.X.shape[1] > _MANY_PIECES:
            return ranked(self.is_test, self.held_out(self.fit(Silent())))
        from sklearn.tree import DecisionTreeClassifier

        trees = []
        for fold in np.unique(self.folds):
            fit = self.folds != fold
            leaf = max(10, int(fit.sum()) // 50)
            tree = DecisionTreeClassifier(min_samples_leaf=leaf, random_state=self.seed)
            trees.append(tree.fit(self.X[fit], self.is_test[fit]))
        return ranked(self.is_test, self.held_out(trees))

    def shuffled(self, places: Array) -> _Trial:
        """The same trial with some columns shuffled among the rows of each fold."""
        rng, mixed = np.random.default_rng(self.seed), self.X.copy()
        for fold in np.unique(self.folds):
            rows = np.flatnonzero(self.folds == fold)
            mixed[np.ix_(rows, places)] = self.X[np.ix_(rng.permutation(rows), places)]
        return replace(self, X=mixed)


def _sample(n_train: int, n_test: int, most: int, seed: int) -> Array:
    """Sorted positions in train followed by test; a side that has fewer than half leaves its share to the other."""
    rng = np.random.default_rng(seed)
    from_train = min(n_train, max(most // 2, most - n_test))
    from_test = min(n_test, most - from_train)
    chosen = [rng.permutation(n_train)[:from_train], n_train + rng.permutation(n_test)[:from_test]]
    return np.sort(np.concatenate(chosen))


def _units(groups: tuple[pd.Series, pd.Series] | None, train_ids: pd.Index, test_ids: pd.Index) -> Array:
    if groups is None:
        return np.arange(len(train_ids) + len(test_ids))
    joined = pd.concat([groups[0].loc[train_ids], groups[1].loc[test_ids]], ignore_index=True)
    if joined.isna().any():
        raise DataError(f"The group is missing in {int(joined.isna().sum())} row(s) of train or test.")
    return pd.factorize(joined)[0]


def _cut(is_test: Array, units: Array, seed: int) -> Array:
    """A fold for each row; whole units, both sides in every fold."""
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    least = min(len(np.unique(units[is_test])), len(np.unique(units[~is_test])))
    n = min(_FOLDS, least)
    if n < 2:
        raise DataError("Telling train from test needs two rows or groups of each at least.")
    alone = len(np.unique(units)) == len(units)
    splitter = (StratifiedKFold if alone else StratifiedGroupKFold)(n, shuffle=True, random_state=seed)
    folds = np.empty(len(units), dtype=np.int64)
    for number, (_, held) in enumerate(splitter.split(units, is_test, None if alone else units)):
        folds[held] = number
    return folds


def _p_test(forest: Any, X: Array) -> Array:
    """The forest's share of test; 0 or 1 for a forest whose rows were all of one side."""
    shares = forest.predict_proba(X)
    return np.asarray(shares[:, -1] if shares.shape[1] > 1 else np.full(len(X), float(forest.classes_[0])))


def _columns(blocks: Blocks, trial: _Trial, forests: list[Any]) -> list[Column]:
    from scipy.stats import norm

    best_by_chance = float(norm.ppf(1 - 0.05 / len(blocks.names))) * _SHARED_ROWS
    importances = _importances(blocks, trial, forests)
    columns = []
    for name, places in blocks.places.items():
        alone = trial.of(places).alone()
        tells = alone.value - best_by_chance * alone.error(trial.units) > _CHANCE
        interval = alone.interval(trial.units, reach=_REACH)
        columns.append(Column(name, interval, importances.get(name), *blocks.likeness[name], tells))
    return sorted(columns, key=_most_telling)


def _most_telling(column: Column) -> tuple[bool, float, str]:
    lost = 0.0 if column.importance is None else column.importance.score
    return not column.tells, -max(lost, column.auc.score - _CHANCE), column.name


def _importances(blocks: Blocks, trial: _Trial, forests: list[Any]) -> dict[str, Interval]:
    """The loss of AUC on held-out rows when a column is shuffled among the rows of its fold (Breiman 2001)."""
    rows = np.sort(np.random.default_rng(trial.seed).permutation(len(trial.X))[:_IMPORTANCE_ROWS])
    trial = trial.at(rows)
    if len(np.unique(trial.is_test)) < 2:
        return {}
    whole = ranked(trial.is_test, trial.held_out(forests))
    splits = np.mean([forest.feature_importances_ for forest in forests], axis=0)
    used = sorted(blocks.names, key=lambda name: (-float(splits[blocks.places[name]].sum()), name))
    found = {}
    for name in used[:_IMPORTANCE_COLUMNS]:
        shuffled = ranked(trial.is_test, trial.shuffled(blocks.places[name]).held_out(forests))
        found[name] = whole.minus(shuffled).interval(trial.units, reach=1.96, low=-1.0)
    return found


def _without(
    blocks: Blocks, trial: _Trial, columns: list[Column], auc: Interval, progress: Progress
) -> Interval | None:
    """The AUC without id-like and time-like columns, where they tell and others are left."""
    rest = [c.name for c in columns if not c.like]
    if _verdict(auc) == "alike" or not rest or not any(c.like and c.tells for c in columns):
        return None
    kept = trial.of(np.concatenate([blocks.places[name] for name in rest]))
    return ranked(kept.is_test, kept.held_out(kept.fit(progress))).interval(kept.units, reach=_REACH)


def _weights(blocks: Blocks, forests: list[Any], sample: Array, scores: Array, is_test: Array) -> pd.Series:
    """p(test) / p(train) for all training rows: by the forest that did not see the row, or by all where none did."""
    share = np.empty(blocks.n_train)
    share[sample[~is_test]] = scores[~is_test]
    unseen = np.setdiff1d(np.arange(blocks.n_train), sample[~is_test])
    for start in range(0, len(unseen), _CHUNK):
        rows = unseen[start : start + _CHUNK]
        X = blocks.matrix(rows)
        share[rows] = np.mean([_p_test(forest, X) for forest in forests], axis=0)
    share = np.clip(share, 0.01, 0.99)
    odds = share / (1 - share)
    return pd.Series(odds / odds.mean(), index=blocks.train_ids, name="weight")
