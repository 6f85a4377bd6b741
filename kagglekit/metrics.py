"""Competition metrics by name: what each one needs, which direction is better, and the score.

Scores follow Kaggle's own conventions where those differ from scikit-learn's (clipping, rescaling); each
function says so. They work on plain arrays that `Metric` prepares, because ensemble selection and the
bootstrap call them thousands of times and scikit-learn's input checks would be most of that time. Tests hold
them to scikit-learn's and scipy's results.

Each takes an optional `weight` of shape (n_rows,): how often a row counts. Whole numbers give what repeating
the rows gives, and a factor common to all weights changes nothing. The functions trust it; `Metric` checks it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from kagglekit.errors import ConfigError, DataError, PredictionsError, nearest, preview
from kagglekit.masks import dice

__all__ = ["COLUMNWISE", "METRICS", "Metric", "Needs", "describe", "get_metric", "label_codes", "nearest_class"]

Array = npt.NDArray[Any]
Label = str | int
Needs = Literal["labels", "probabilities", "positive", "values", "ranking", "masks", "columns"]

# Kaggle's log loss replaces p by max(min(p, 1 - 1e-15), 1e-15).
_SMALLEST_PROBABILITY = 1e-15

_SIDES: tuple[Literal["left"], Literal["right"]] = ("left", "right")

_NEEDS_TEXT: Mapping[Needs, str] = MappingProxyType(
    {
        "labels": "class labels",
        "probabilities": "a probability for each class",
        "positive": "a score for the positive class",
        "values": "numbers",
        "ranking": "classes in order of belief",
        "masks": "masks as run-length text",
        "columns": "a column for each target",
    }
)


class _Function(Protocol):
    def __call__(self, truth: Array, predicted: Array, /, weight: Array | None = None) -> float: ...


def _same(mean: Any) -> Any:
    return mean


@dataclass(frozen=True)
class Metric:
    """A competition metric.

    Parameters
    ----------
    name : str
        As in a pipeline file.
    needs : {"labels", "probabilities", "positive", "values", "ranking", "masks", "columns"}
        What it is computed from.
    greater_is_better : bool
    function : callable
        Takes what `truth` and `predicted` return and, if rows do not count alike, `weight`: an array of shape
        (n_rows,), at least 0, not all 0. Gives a float.
    k : int
        For "map@k": how many guesses count. Otherwise 0.
    title : str
        For people.
    ordinal : bool
        Classes lie on a scale, so that a single column of values can be rounded to classes.
    per_row : callable, optional
        For metrics that are `finish` of a mean over rows: the loss or gain of each row, without weights. Lets
        the bootstrap resample one array instead of calling `function` again.
    finish : callable
        Turns the mean of `per_row` into the score.
    base : str
        For several targets: the metric of one of them, of which this one is the mean. `y` is then a DataFrame with a
        column for each target, and predictions have the same columns.
    """

    name: str
    needs: Needs
    greater_is_better: bool
    function: _Function
    k: int = 0
    title: str = ""
    ordinal: bool = False
    per_row: Callable[[Array, Array], Array] | None = None
    finish: Callable[[Any], Any] = _same
    base: str = ""

    @property
    def of_one_target(self) -> Metric:
        """The metric of a single target: this one, or the one that it is the mean of."""
        return get_metric(self.base) if self.base else self

    def score(
        self, y: pd.Series, frame: pd.DataFrame, classes: Sequence[Label], sample_weight: pd.Series | None = None
    ) -> float:
        """Score predictions; rows are matched by id, never by position.

        Parameters
        ----------
        y : Series of shape (n_rows,)
            True labels or values by id.
        frame : DataFrame of shape (n_rows, n_columns)
            By id: one column for each class, named `str(class)`, or one column of values.
        classes : sequence of str or int
            Every label that can occur, in order; the second is the positive one. Empty for regression.
        sample_weight : Series of shape (n_rows,), optional
            By id: how often each row counts, at least 0. Without it, every row counts once.

        Raises
        ------
        PredictionsError
            Ids or columns are not those expected, or a prediction is not finite.
        DataError
            The metric is not defined for this `y`; or the weights are not finite, below 0, all 0, or not
            those of the ids of `y`.
        """
        P = self.aligned(y, frame, classes)
        return self.scorer(y, classes, sample_weight)(P)

    def each(self, y: Any, frame: pd.DataFrame, classes: Sequence[Label]) -> Array:
        """The score of each of several targets by itself, of which `score` is the mean; of one target that score alone.

        Returns
        -------
        ndarray of shape (n_targets,)
            In the order of `y`'s columns.
        """
        truth, predicted = self.truth(y, classes), self.predicted(self.aligned(y, frame, classes), classes)
        if self.base:
            return _of_columns(self.of_one_target, truth, predicted)
        return np.array([self.function(truth, predicted)])

    def score_labels(self, y: pd.Series, labels: pd.Series, classes: Sequence[Label] = ()) -> float:
        """Score labels, or masks as text, instead of numbers, for submissions that hold them already.

        Parameters
        ----------
        y, labels : Series of shape (n_rows,)
            By id.
        classes : sequence of str or int
            As in `score`. Without it, the sorted labels of both; then `f1` cannot know the positive class of
            a `y` that lacks one.
        """
        if self.needs not in ("labels", "masks"):
            raise PredictionsError(f"{self.name} needs {_NEEDS_TEXT[self.needs]}, got labels.")
        _check_ids(y.index, labels.index)
        if self.needs == "labels":
            classes = classes or _labels_of(y, labels)
        return self.function(self.truth(y, classes), self.truth(labels.loc[y.index], classes))

    def scorer(
        self, y: pd.Series, classes: Sequence[Label], weight: Array | pd.Series | None = None
    ) -> Callable[[Array], float]:
        """A function that scores arrays of shape (n_rows, n_columns) whose rows are `y`'s, in `y`'s order.

        For loops that try many predictions for the same rows, such as ensemble selection. An array of weights
        is in `y`'s order too; a Series is matched by id.

        Raises
        ------
        DataError
            As `score`.
        """
        truth = self.truth(y, classes)
        checked = None if weight is None else _checked(weight, y)
        return lambda P: self.function(truth, self.predicted(P, classes), checked)

    def aligned(self, y: pd.Series, frame: pd.DataFrame, classes: Sequence[Label]) -> Array:
        """The predictions as an array whose rows are `y`'s and whose columns are the classes', in their
        order.

        Raises
        ------
        PredictionsError
            As `score`.
        """
        _check_ids(y.index, frame.index)
        columns = _target_columns(self.name, y, frame) if self.base else self._columns(frame, classes)
        P = frame.loc[y.index, columns].to_numpy(dtype=np.float64)
        if not np.isfinite(P).all():
            raise PredictionsError(f"{self.name} needs finite predictions, got NaN or infinity.")
        return P

    def better(self, a: float, b: float) -> bool:
        """Whether score `a` is strictly better than score `b`."""
        return a > b if self.greater_is_better else a < b

    def truth(self, y: pd.Series, classes: Sequence[Label]) -> Array:
        """What `function` takes first: numbers, class codes, or places on the scale of an ordinal metric."""
        if len(y) == 0:
            raise DataError(f"{self.name} is not defined for no rows.")
        if self.base:
            table, one = pd.DataFrame(y), self.of_one_target
            return np.column_stack([one.truth(table[name], classes) for name in table])
        if self.needs == "masks":
            return y.to_numpy(dtype=object)
        if self.needs == "values" or (self.ordinal and not classes):
            return _numbers(y)
        if len(classes) < 2:
            raise DataError(f"{self.name} needs the classes of y, at least two; got {list(classes)}.")
        codes = label_codes(y, classes)
        return _scale(classes)[codes] if self.ordinal else codes

    def predicted(self, P: Array, classes: Sequence[Label]) -> Array:
        """What `function` takes second, from an array of shape (n_rows, n_columns)."""
        if self.base:
            return P.astype(np.float64)
        if self.needs == "values":
            return P[:, 0].astype(np.float64)
        if self.ordinal and P.shape[1] == 1:
            return _scale(classes)[nearest_class(P[:, 0], classes)] if classes else np.rint(P[:, 0])
        if self.needs == "ranking":
            ranked = np.argsort(-P, axis=1, kind="stable")[:, : self.k]
            # A negative belief marks a class that a submission did not rank; it must not fill a free place.
            return np.where(np.take_along_axis(P, ranked, axis=1) < 0, -1, ranked)
        if self.needs == "labels":
            # argmax takes the first of equal columns.
            codes: Array = P.argmax(axis=1)
            return _scale(classes)[codes] if self.ordinal else codes
        positive: Array = P[:, 1] if self.needs == "positive" and P.shape[1] == 2 else P
        return positive

    def _columns(self, frame: pd.DataFrame, classes: Sequence[Label]) -> list[str]:
        one = frame.shape[1] == 1
        if one and (self.needs == "values" or self.ordinal):
            return list(frame.columns)
        if self.needs == "values":
            raise PredictionsError(
                f"{self.name} needs one column of values, got {frame.shape[1]}: {preview(frame.columns)}.",
                hint="Choose a metric for classes, or a regression task.",
            )
        wanted = [str(c) for c in classes]
        if set(wanted) != set(frame.columns) or frame.shape[1] != len(wanted):
            raise PredictionsError(
                f"{self.name} needs one column for each class ({preview(wanted)}), got {preview(frame.columns)}."
            )
        return wanted


def _target_columns(name: str, y: Any, frame: pd.DataFrame) -> list[str]:
    wanted = [str(c) for c in pd.DataFrame(y).columns]
    if set(wanted) != set(frame.columns) or frame.shape[1] != len(wanted):
        raise PredictionsError(
            f"{name} needs one column for each target ({preview(wanted)}), got {preview(frame.columns)}."
        )
    return wanted


def label_codes(labels: pd.Series, classes: Sequence[Label]) -> Array:
    """The place of each label among the classes.

    Returns
    -------
    ndarray of int64, shape (n_rows,)

    Raises
    ------
    DataError
        A label is not among the classes.
    """
    # Python's own equality on the few distinct labels: 1, 1.0 and True are the same label, "1" is another.
    place = {c: i for i, c in enumerate(classes)}
    codes, distinct = pd.factorize(np.asarray(labels))
    unknown = [d for d in distinct.tolist() if d not in place]
    if unknown or (codes < 0).any():
        named = preview(unknown + ["a missing value"] * bool((codes < 0).any()))
        raise DataError(f"Labels must be among the {len(classes)} classes ({preview(classes)}); got {named}.")
    return np.array([place[d] for d in distinct.tolist()], dtype=np.int64)[codes]


def nearest_class(values: Array, classes: Sequence[Label]) -> Array:
    """The place of the class nearest to each value; values beyond the ends go to the end.

    Integer classes lie at their own value, others at their place 0, 1, 2...

    Parameters
    ----------
    values : ndarray of shape (n_rows,)
    classes : sequence of str or int, in order

    Returns
    -------
    ndarray of int64, shape (n_rows,)
    """
    scale = _scale(classes)
    rows: Array = np.searchsorted((scale[1:] + scale[:-1]) / 2, values)
    return rows


def _scale(classes: Sequence[Label]) -> Array:
    ordered = all(isinstance(c, int | np.integer) for c in classes) and sorted(classes) == list(classes)
    return np.array(classes if ordered else range(len(classes)), dtype=np.float64)


def _labels_of(*series: pd.Series) -> list[Label]:
    found = {label for s in series for label in pd.unique(s.dropna()).tolist()}
    return sorted(found, key=lambda label: (isinstance(label, str), label))


def _numbers(given: Array | pd.Series, name: str = "y") -> Array:
    try:
        values = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name} must hold numbers for this metric; {error}.") from error
    if not np.isfinite(values).all():
        raise DataError(f"{name} must hold finite numbers; {(~np.isfinite(values)).sum()} row(s) are not.")
    return values


def _checked(weight: Array | pd.Series, y: pd.Series) -> Array:
    """The weights in the order of `y`."""
    if isinstance(weight, pd.Series):
        _check_ids(y.index, weight.index, "sample weights", DataError)
        weight = weight.loc[y.index]
    values = _numbers(weight, "sample weights")
    if values.shape != (len(y),):
        raise DataError(f"Sample weights must hold one number for each of the {len(y)} row(s), got {values.shape}.")
    if (values < 0).any():
        raise DataError(f"Sample weights must be at least 0; {(values < 0).sum()} row(s) are below.")
    if not values.any():
        raise DataError("Sample weights must be above 0 for a row at least; all are 0.")
    return values


def _check_ids(
    wanted: pd.Index, got: pd.Index, name: str = "predictions", error: type[DataError] = PredictionsError
) -> None:
    for what, ids in (("y", wanted), (name, got)):
        if not ids.is_unique:
            raise error(f"{what} must hold each id once; repeated: {preview(ids[ids.duplicated()])}.")
    if wanted.equals(got):
        return
    missing, extra = wanted[~wanted.isin(got)], got[~got.isin(wanted)]
    if len(missing) or len(extra):
        parts = [f"{len(i)} {what}: {preview(i)}" for what, i in (("missing", missing), ("extra", extra)) if len(i)]
        raise error(f"{name.capitalize()} must hold the ids of y; {'; '.join(parts)}.")


def _sum(rows: Array, weight: Array | None) -> Any:
    return rows.sum() if weight is None else (rows * weight).sum()


def _mean(rows: Array, weight: Array | None) -> Any:
    # Both sums add in the same order, so that rows of ones have a mean of exactly 1; a dot product would not.
    return rows.mean() if weight is None else (rows * weight).sum() / weight.sum()


def _hit(y: Array, predicted: Array) -> Array:
    rows: Array = (y == predicted).astype(np.float64)
    return rows


def _row_log_loss(y: Array, P: Array) -> Array:
    P = P.astype(np.float64)
    total = P.sum(axis=1, keepdims=True)
    # A row of zeros says nothing about any class, so it counts as equal belief in all.
    P = np.divide(P, total, out=np.full_like(P, 1 / P.shape[1]), where=total > 0)
    chosen = P[np.arange(len(y)), y]
    rows: Array = -np.log(np.clip(chosen, _SMALLEST_PROBABILITY, 1 - _SMALLEST_PROBABILITY))
    return rows


def _squared_error(y: Array, predicted: Array) -> Array:
    rows: Array = np.square(y - predicted)
    return rows


def _absolute_error(y: Array, predicted: Array) -> Array:
    rows: Array = np.abs(y - predicted)
    return rows


def _squared_log_error(y: Array, predicted: Array) -> Array:
    if (y < 0).any():
        raise DataError(f"rmsle needs y >= 0, got {y.min():g}.", hint="Choose rmse or mae.")
    rows: Array = np.square(np.log1p(y) - np.log1p(np.maximum(predicted, 0)))
    return rows


def _precision_at_hit(y: Array, ranked: Array) -> Array:
    rows: Array = ((ranked == y[:, None]) / np.arange(1, ranked.shape[1] + 1)).sum(axis=1)
    return rows


def accuracy(y: Array, predicted: Array, weight: Array | None = None) -> float:
    """Share of rows whose label is right.

    Source: scikit-learn `accuracy_score`; Kaggle "Categorization Accuracy". Not for rare classes: always
    guessing the common one scores high.
    """
    return float(_mean(_hit(y, predicted), weight))


def log_loss(y: Array, P: Array, weight: Array | None = None) -> float:
    """Mean of -log(probability of the true class).

    As on Kaggle ("Multi Class Log Loss"), each row is first divided by its sum and then clipped at 1e-15;
    scikit-learn clips at the machine epsilon of the dtype instead.
    """
    return float(_mean(_row_log_loss(y, P), weight))


def roc_auc(y: Array, P: Array, weight: Array | None = None) -> float:
    """Area under the ROC curve: the chance that a positive row ranks above a negative one, ties counting
    half.

    Source: Mann and Whitney 1947, as the U statistic; equals scikit-learn `roc_auc_score`. With more than two
    columns, the plain mean over one-vs-rest for the classes that occur in `y` (`multi_class="ovr",
    average="macro"`).

    Raises
    ------
    DataError
        `y` has one class only.
    """
    if P.ndim == 1:
        return _binary_auc(y == 1, P, weight)
    present = np.flatnonzero(np.bincount(y, weight, minlength=P.shape[1]))
    return float(np.mean([_binary_auc(y == c, P[:, c], weight) for c in present]))


def _binary_auc(positive: Array, scores: Array, weight: Array | None) -> float:
    if weight is not None:
        return _weighted_auc(scores, weight * positive, weight * ~positive)
    above, below = np.sort(scores[positive]), np.sort(scores[~positive])
    if not len(above) or not len(below):
        raise DataError(f"roc_auc needs two classes in y, got one class in {len(scores)} row(s).")
    won, not_lost = (np.searchsorted(below, above, side) for side in _SIDES)
    return float((won.mean() + not_lost.mean()) / 2 / len(below))


def _weighted_auc(scores: Array, positive: Array, negative: Array) -> float:
    """From the weight of each row as a positive and as a negative one."""
    if not positive.any() or not negative.any():
        counted = np.count_nonzero(positive + negative)
        raise DataError(f"roc_auc needs two classes in y, got one class in {counted} row(s) of weight above 0.")
    return float(_mean(_mid_shares(scores, negative), positive))


def _mid_shares(values: Array, weight: Array) -> Array:
    """For each value, the share of all weight that lies below it, plus half the share that lies on it.

    For whole weights a linear map of the mid-ranks that repeated rows have, so that correlations are the same.
    """
    order = np.argsort(values)
    ordered = values[order]
    reach = np.concatenate(([0.0], np.cumsum(weight[order])))
    # Keys in order are found several times faster, so the shares are put back in their places afterwards.
    before, through = (reach[np.searchsorted(ordered, ordered, side)] for side in _SIDES)
    shares = np.empty(len(values))
    shares[order] = (before / reach[-1] + through / reach[-1]) / 2
    return shares


def _mid_ranks(values: Array) -> Array:
    """Ranks from 1, equal values sharing their mean rank; scipy's `rankdata` at a fraction of its call's
    cost."""
    ordered = np.sort(values)
    before, through = (np.searchsorted(ordered, values, side) for side in _SIDES)
    ranks: Array = (before + through + 1) / 2
    return ranks


def _f1_per_class(y: Array, predicted: Array, weight: Array | None) -> Array:
    """F1 of each code; NaN where a class is in neither."""
    n = int(max(y.max(), predicted.max(), 1)) + 1
    same = y == predicted
    hits = np.bincount(y[same], None if weight is None else weight[same], minlength=n)
    both = np.bincount(y, weight, minlength=n) + np.bincount(predicted, weight, minlength=n)
    rows: Array = np.divide(2 * hits, both, out=np.full(n, np.nan), where=both > 0)
    return rows


def f1(y: Array, predicted: Array, weight: Array | None = None) -> float:
    """Harmonic mean of precision and recall of the positive class, `classes[1]`; 0 when it is in neither.

    Source: scikit-learn `f1_score` (`average="binary", zero_division=0`).
    """
    return float(np.nan_to_num(_f1_per_class(y, predicted, weight)[1]))


def f1_macro(y: Array, predicted: Array, weight: Array | None = None) -> float:
    """Plain mean of the F1 of each class that is in `y` or predicted.

    Source: scikit-learn `f1_score` (`average="macro"`).
    """
    return float(np.nanmean(_f1_per_class(y, predicted, weight)))


def mcc(y: Array, predicted: Array, weight: Array | None = None) -> float:
    """Matthews correlation coefficient; 0 when either side is constant.

    Source: Gorodkin 2004 for more than two classes; scikit-learn `matthews_corrcoef`.
    """
    n = int(max(y.max(), predicted.max())) + 1
    true, guessed = (np.bincount(codes, weight, minlength=n).astype(np.float64) for codes in (y, predicted))
    # Each side's own total: the two may differ by rounding, and then a constant side would seem to vary.
    rows, same_rows = float(true.sum()), float(guessed.sum())
    spread = (same_rows * same_rows - guessed @ guessed) * (rows * rows - true @ true)
    return float((_sum(y == predicted, weight) * rows - true @ guessed) / np.sqrt(spread)) if spread > 0 else 0.0


def qwk(y: Array, predicted: Array, weight: Array | None = None) -> float:
    """Quadratic weighted kappa: 1 is full agreement, 0 is chance.

    Source: Cohen 1968; Kaggle's "Quadratic Weighted Kappa", whose weights are the squared differences of the
    ratings. Integer classes count by value, others by place; scikit-learn's `cohen_kappa_score` always counts
    by place, so the two differ when an integer class between the others is missing from `classes`.
    """
    # The expected disagreement of two independent ratings is E(a-b)^2 = E a^2 + E b^2 - 2 Ea Eb: no matrix is
    # needed.
    squares = _mean(y**2, weight) + _mean(predicted**2, weight)
    expected = squares - 2 * _mean(y, weight) * _mean(predicted, weight)
    # No expected disagreement means that both are one and the same constant: they agree.
    return float(1 - _mean(np.square(y - predicted), weight) / expected) if expected > 0 else 1.0


def rmse(y: Array, predicted: Array, weight: Array | None = None) -> float:
    """Root of the mean squared error. Source: scikit-learn `root_mean_squared_error`."""
    return float(np.sqrt(_mean(_squared_error(y, predicted), weight)))


def rmsle(y: Array, predicted: Array, weight: Array | None = None) -> float:
    """Root of the mean squared difference of log(1 + value).

    Negative predictions count as 0, which scikit-learn's `root_mean_squared_log_error` refuses and Kaggle
    rejects; so clip them before you submit.

    Raises
    ------
    DataError
        A true value is negative.
    """
    return float(np.sqrt(_mean(_squared_log_error(y, predicted), weight)))


def mae(y: Array, predicted: Array, weight: Array | None = None) -> float:
    """Mean absolute error. Source: scikit-learn `mean_absolute_error`."""
    return float(_mean(_absolute_error(y, predicted), weight))


def r2(y: Array, predicted: Array, weight: Array | None = None) -> float:
    """Share of the variance of `y` that is explained; below 0 is worse than the mean of `y`.

    Source: scikit-learn `r2_score`, also for a constant `y`: 1 if every prediction is right, else 0.
    """
    error, spread = _sum(np.square(y - predicted), weight), _sum(np.square(y - _mean(y, weight)), weight)
    # Rounding of the mean leaves a constant a spread of its own, so that is not what says it is one.
    constant = np.ptp(y if weight is None else y[weight > 0]) == 0
    return float(error == 0) if constant else float(1 - error / spread)


def pearson(y: Array, predicted: Array, weight: Array | None = None) -> float:
    """Linear correlation. Source: scipy `pearsonr`. Blind to a wrong scale or offset."""
    if weight is not None and not weight.all():
        # What does not count must not keep a constant from being seen as one.
        y, predicted, weight = (rows[weight > 0] for rows in (y, predicted, weight))
    # A constant has no correlation with anything; 0 ranks it with chance, where NaN would spoil every mean
    # and maximum.
    if np.ptp(y) == 0 or np.ptp(predicted) == 0:
        return 0.0
    a, b = y - _mean(y, weight), predicted - _mean(predicted, weight)
    if weight is not None:
        a, b = a * np.sqrt(weight), b * np.sqrt(weight)
    spread = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(np.clip(a @ b / spread, -1, 1)) if spread > 0 else 0.0


def spearman(y: Array, predicted: Array, weight: Array | None = None) -> float:
    """Linear correlation of mid-ranks; 0 for a constant, as in `pearson`. Source: scipy `spearmanr`."""
    if weight is not None:
        return pearson(_mid_shares(y, weight), _mid_shares(predicted, weight), weight)
    return pearson(_mid_ranks(y), _mid_ranks(predicted))


def map_at_k(y: Array, ranked: Array, weight: Array | None = None) -> float:
    """Mean average precision at k with one true label for each row: the mean of 1 / place of the true label.

    Source: Kaggle "Mean Average Precision @ k". A true label that is not among the k guesses gives 0.

    Parameters
    ----------
    ranked : ndarray of shape (n_rows, k)
        Class codes, most believed first, each once in a row.
    """
    return float(_mean(_precision_at_hit(y, ranked), weight))


def mean_dice(y: Array, predicted: Array, weight: Array | None = None) -> float:
    """Mean over images of `kagglekit.masks.dice`.

    Parameters
    ----------
    y, predicted : ndarray of str, shape (n_rows,)
        Masks as run-length text.
    """
    return float(_mean(_row_dice(y, predicted), weight))


def _row_dice(y: Array, predicted: Array) -> Array:
    return np.array([dice(a, b) for a, b in zip(y, predicted, strict=True)])


def _by_name(*metrics: Metric) -> Mapping[str, Metric]:
    return MappingProxyType({m.name: m for m in metrics})


_higher = partial(Metric, greater_is_better=True)
_lower = partial(Metric, greater_is_better=False)
_KNOWN = _by_name(
    _higher("accuracy", "labels", function=accuracy, title="Accuracy", per_row=_hit),
    _lower("log_loss", "probabilities", function=log_loss, title="Log loss", per_row=_row_log_loss),
    _higher("roc_auc", "positive", function=roc_auc, title="Area under the ROC curve"),
    _higher("f1_macro", "labels", function=f1_macro, title="Macro F1"),
    _higher("f1", "labels", function=f1, title="F1 of the positive class"),
    _higher("qwk", "labels", function=qwk, title="Quadratic weighted kappa", ordinal=True),
    _lower(
        "rmse",
        "values",
        function=rmse,
        title="Root mean squared error",
        per_row=_squared_error,
        finish=np.sqrt,
    ),
    _lower(
        "rmsle",
        "values",
        function=rmsle,
        title="Root mean squared logarithmic error",
        per_row=_squared_log_error,
        finish=np.sqrt,
    ),
    _lower("mae", "values", function=mae, title="Mean absolute error", per_row=_absolute_error),
    _higher("r2", "values", function=r2, title="Coefficient of determination"),
    _higher("pearson", "values", function=pearson, title="Pearson correlation"),
    _higher("spearman", "values", function=spearman, title="Spearman rank correlation"),
    _higher("mcc", "labels", function=mcc, title="Matthews correlation coefficient"),
)

# Scored by the arena and by no model of kagglekit, so that it is not among the names offered.
_OF_MASKS = _by_name(_higher("dice", "masks", function=mean_dice, title="Mean Dice coefficient", per_row=_row_dice))

_COLUMN_METRICS = ("log_loss", "roc_auc", "f1", "accuracy", "rmse", "rmsle", "mae", "r2", "pearson", "spearman")


def _one_column(base: Metric, predicted: Array) -> Array:
    """A target's column as its own metric takes it: a probability of "yes" stands for both classes, or is rounded."""
    if base.needs == "labels":
        return (predicted > 0.5).astype(np.int64)
    return np.column_stack([1 - predicted, predicted]) if base.needs == "probabilities" else predicted


def _mean_over_columns(base: Metric, y: Array, predicted: Array, weight: Array | None = None) -> float:
    """The plain mean of a metric over the columns of several targets, each of shape (n_rows, n_targets)."""
    return float(np.mean(_of_columns(base, y, predicted, weight)))


def _of_columns(base: Metric, y: Array, predicted: Array, weight: Array | None = None) -> Array:
    """The metric of each of several targets."""
    columns = range(y.shape[1])
    return np.array([base.function(y[:, c], _one_column(base, predicted[:, c]), weight) for c in columns])


def _columns_by_row(base: Metric, y: Array, predicted: Array) -> Array:
    each = base.per_row or _absolute_error
    rows = [each(y[:, c], _one_column(base, predicted[:, c])) for c in range(y.shape[1])]
    means: Array = np.mean(rows, axis=0)
    return means


def _columnwise(base: Metric) -> Metric:
    is_mean = base.per_row is not None and base.finish is _same
    return Metric(
        f"columnwise_{base.name}",
        "columns",
        base.greater_is_better,
        partial(_mean_over_columns, base),
        title=f"Mean column-wise {base.title[0].lower()}{base.title[1:]}",
        per_row=partial(_columns_by_row, base) if is_mean else None,
        base=base.name,
    )


_OF_COLUMNS = _by_name(*(_columnwise(_KNOWN[name]) for name in _COLUMN_METRICS))

#: Means over several targets, by name: "columnwise_log_loss" and the like.
COLUMNWISE: tuple[str, ...] = tuple(_OF_COLUMNS)

#: Names offered. "map@5" stands for every "map@k" with k of 1 or more.
METRICS: tuple[str, ...] = (*_KNOWN, "map@5")


def get_metric(name: str) -> Metric:
    """The metric of this name; "map@3" and the like are parsed.

    Raises
    ------
    ConfigError
        The name is unknown; the hint names the nearest one.
    """
    if name in _KNOWN:
        return _KNOWN[name]
    if name in _OF_COLUMNS:
        return _OF_COLUMNS[name]
    if name in _OF_MASKS:
        return _OF_MASKS[name]
    if match := re.fullmatch(r"map@([1-9]\d*)", name):
        k = int(match[1])
        title = f"Mean average precision at {k}"
        return _higher(name, "ranking", function=map_at_k, k=k, title=title, per_row=_precision_at_hit)
    if name.startswith("map@"):
        raise ConfigError(f"Metric '{name}' is unknown.", hint="Write a number of 1 or more after 'map@', as in map@5.")
    raise ConfigError(f"Metric '{name}' is unknown.", hint=nearest(name, (*METRICS, *COLUMNWISE)))


def describe(name: str) -> str:
    """One line for people: title, direction, and what it is computed from.

    >>> describe("rmse")
    'Root mean squared error (rmse): lower is better; computed from numbers.'
    """
    metric = get_metric(name)
    direction = "higher" if metric.greater_is_better else "lower"
    return f"{metric.title} ({name}): {direction} is better; computed from {_NEEDS_TEXT[metric.needs]}."
