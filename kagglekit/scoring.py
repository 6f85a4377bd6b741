"""Scores of out-of-fold predictions; a decision rule is fitted on other folds than those it is scored on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from kagglekit.calibration import Method, calibrated
from kagglekit.contracts import Competition, Folds
from kagglekit.decisions import CUTS, Thresholds, expected_class, fit_cut, fit_thresholds
from kagglekit.metrics import get_metric
from kagglekit.stats import Difference, paired_bootstrap

__all__ = ["calibrate", "cuts", "decide", "decided", "fold_scores", "kept_if_better", "scores_by_fold"]


def decide(frame: pd.DataFrame, reference: pd.DataFrame, y: Any, competition: Competition) -> pd.DataFrame:
    """Labels for `frame` by the competition's decision rule, fitted on the rows of `reference`.

    Parameters
    ----------
    frame, reference : DataFrame by id
        Predictions, one column for each class.
    y : Series by id
        Labels of the reference rows at least.
    competition : Competition

    Returns
    -------
    DataFrame by id
        `frame` itself for the rule "argmax"; for others one for the chosen class and nought for the rest.
    """
    if competition.decision == "argmax" or reference.empty:
        return frame
    if competition.targets:
        parts = [_cut_target(frame, reference, y, competition, name) for name in competition.targets]
        return pd.concat(parts, axis=1)
    if competition.decision == "threshold":
        return _cut(frame, reference, y, competition)
    classes = tuple(int(c) for c in competition.classes)
    labels = Thresholds(classes, cuts(reference, y, competition)).apply(expected_class(frame, classes))
    hits = labels.to_numpy()[:, None] == np.array(classes)[None, :]
    return pd.DataFrame(hits.astype(np.float32), index=frame.index, columns=frame.columns)


def cuts(reference: pd.DataFrame, y: pd.Series, competition: Competition) -> tuple[float, ...]:
    """Where the rule of a competition of one target cuts, fitted on the rows of `reference`.

    Returns
    -------
    tuple of float
        For "threshold", from which probability of the second class on it is taken; for "shares", the bounds of the
        expected class.
    """
    if competition.decision == "threshold":
        metric = competition.metric if competition.metric in CUTS else "accuracy"
        label = competition.classes[1]
        known = (y.loc[reference.index] == label).to_numpy()
        return (fit_cut(known, reference[str(label)].to_numpy(dtype=float), metric),)
    classes = [int(c) for c in competition.classes]
    return fit_thresholds(y.loc[reference.index], expected_class(reference, classes), classes).bounds


def decided(oof: pd.DataFrame, y: Any, folds: Folds, competition: Competition) -> pd.DataFrame:
    """Out-of-fold predictions after the decision rule, each fold decided by a rule that the other folds fitted.

    Time-forward folds use earlier folds only, as later rows would not have been known.

    Notes
    -----
    In a blend the other folds' values depend, through the weights, a little on the scored fold. The rule looks at
    quantiles of those values and at the other folds' labels only, so this is a trace of a trace.
    """
    if competition.decision == "argmax":
        return oof
    return _by_others(oof, folds, lambda own, others: decide(own, others, y, competition))


def calibrate(
    method: Method, oof: pd.DataFrame, test: pd.DataFrame, y: pd.Series, folds: Folds, competition: Competition
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Calibrated predictions: each fold by what the other folds' rows say, test rows by what all rows say.

    Rows of a time-forward split that have no earlier fold stay as they are.
    """
    classes = competition.classes
    found = _by_others(oof, folds, lambda own, others: calibrated(method, others, y, classes)(own))
    return found, calibrated(method, oof, y, classes)(test)


def kept_if_better(
    plain: tuple[pd.DataFrame, pd.DataFrame],
    other: tuple[pd.DataFrame, pd.DataFrame],
    y: pd.Series,
    folds: Folds,
    competition: Competition,
    *,
    always: bool = False,
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """Predictions of one kind where they are better than plain ones, else the plain ones.

    Each fold takes what the other folds' rows say, test rows what all rows say; better is what the paired bootstrap of
    the competition's metric calls better (95 %). No row has a say in which of its own two predictions is scored.

    Parameters
    ----------
    plain, other : tuple of DataFrame by id
        Out-of-fold predictions and those of test.
    y : Series by id
    folds : Folds
    competition : Competition
    always : bool
        Take `other` whatever the comparison says.

    Returns
    -------
    oof, test : DataFrame by id
    facts : dict
        Both scores (means over folds), the interval of the difference over all rows, whether test takes `other`, and
        how many folds do. The interval is of rows that chose: it is for a reader, the score of `oof` is the honest one.
    """

    def difference(ids: pd.Index) -> Difference:
        metric, classes = get_metric(competition.metric), competition.classes
        groups = None if folds.groups is None else folds.groups.loc[ids]
        a, b = (decide(frame.loc[ids], frame.loc[ids], y, competition) for frame in (plain[0], other[0]))
        return paired_bootstrap(metric, y.loc[ids], a, b, classes, groups=groups)

    def chosen(own: pd.DataFrame, others: pd.DataFrame) -> pd.DataFrame:
        if not always and (others.empty or difference(others.index).low <= 0):
            return plain[0].loc[own.index]
        taken.append(len(own))
        return own

    taken: list[int] = []
    oof, whole = _by_others(other[0], folds, chosen), difference(other[0].index)
    is_kept = always or whole.low > 0
    scores = [float(np.mean(fold_scores(frame, y, folds, competition))) for frame in (plain[0], other[0])]
    facts = {"plain": scores[0], "augmented": scores[1], "difference": float(whole.mean), "low": whole.low}
    facts |= {"high": whole.high, "kept": is_kept, "kept_folds": len(taken), "folds": folds.n}
    return oof, other[1] if is_kept else plain[1], facts


def _by_others(
    oof: pd.DataFrame, folds: Folds, mend: Callable[[pd.DataFrame, pd.DataFrame], pd.DataFrame]
) -> pd.DataFrame:
    """Each fold's rows, mended by what the other folds' rows, or those of earlier ones, tell."""
    numbers = folds.assignment.iloc[:, 0].loc[oof.index]
    parts = []
    for fold in range(folds.n):
        others = (numbers < fold) & (numbers >= 0) if folds.scheme == "time" else numbers != fold
        parts.append(mend(oof[numbers == fold], oof[others]))
    return pd.concat(parts).loc[oof.index[numbers >= 0]]


def _cut(frame: pd.DataFrame, reference: pd.DataFrame, y: pd.Series, competition: Competition) -> pd.DataFrame:
    (found,) = cuts(reference, y, competition)
    positive = frame[str(competition.classes[1])].to_numpy(dtype=float) >= found
    hits = np.column_stack([~positive, positive])
    return pd.DataFrame(hits.astype(np.float32), index=frame.index, columns=frame.columns)


def _cut_target(
    frame: pd.DataFrame, reference: pd.DataFrame, y: pd.DataFrame, competition: Competition, name: str
) -> pd.DataFrame:
    """One of several targets: 1 from the probability under which the reference rows score best, else 0."""
    one = competition.of(name)
    metric = one.metric if one.metric in CUTS else "accuracy"
    known = y.loc[reference.index, name] == 1
    found = fit_cut(known.to_numpy(), reference[name].to_numpy(dtype=float), metric)
    return (frame[[name]].astype(float) >= found).astype(np.float32)


def fold_scores(oof: pd.DataFrame, y: pd.Series, folds: Folds, competition: Competition) -> tuple[float, ...]:
    """The competition's metric on each fold of the first repeat, after the decision rule.

    Rows without a prediction are left out, and so is a fold of which no row has one.
    """
    return scores_by_fold(decided(oof, y, folds, competition), y, folds, competition)


def scores_by_fold(frame: pd.DataFrame, y: pd.Series, folds: Folds, competition: Competition) -> tuple[float, ...]:
    """As `fold_scores`, of predictions that the decision rule has seen already."""
    metric = get_metric(competition.metric)
    numbers = folds.assignment.iloc[:, 0].loc[frame.index]
    rows = [frame.index[numbers == fold] for fold in range(folds.n)]
    return tuple(metric.score(y.loc[i], frame.loc[i], competition.classes) for i in rows if len(i))
