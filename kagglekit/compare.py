"""Two runs side by side: is one better, how sure is that, and what would it take to know?"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from kagglekit.contracts import Run
from kagglekit.dataset import Prepared
from kagglekit.errors import UsageError
from kagglekit.metrics import get_metric
from kagglekit.resampling import resampled_scores
from kagglekit.scoring import decided
from kagglekit.shakeup import PUBLIC_SHARE, parts
from kagglekit.stats import (
    Difference,
    Verdict,
    corrected_t,
    future_scores,
    resampled_difference,
    verdict,
    welch,
)

__all__ = ["Comparison", "Seeds", "by_fold", "compare", "seeds_noise"]

Array = npt.NDArray[Any]

_NORMAL = 1.959964
# Standard errors by which a true difference must lie beyond half the interval to be found in 4 of 5 cases.
_BEYOND = 0.84
_RESAMPLES = 10_000
# What of the folds' spread is put down to rows. Were it all of it, nothing would be left half of the time where
# training has little noise, and intervals would be those of rows alone: too narrow.
_ROWS_SHARE = 0.7
_ENOUGH = 1000  # seeds that nobody would train


@dataclass(frozen=True)
class Seeds:
    """The noise of training: how far other seeds and other folds would move the difference.

    Parameters
    ----------
    error : float
        Standard error of the difference by training alone; NaN where it cannot be told.
    df : float
        Degrees of freedom of `error`: how well it is known.
    per_repeat : float
        Standard deviation of the difference of one repeat.
    source : str
        What it was told from, for people.
    """

    error: float
    df: float
    per_repeat: float
    source: str


@dataclass(frozen=True)
class Comparison:
    """How much better run b is than run a. Differences are positive where b is better.

    Parameters
    ----------
    a, b, metric : str
    score_a, score_b : float
        The metric on the rows that both predicted, all together; unpaired, the means of the fold scores.
    verdict : {"better", "worse", "no difference"}
        Of b, by `difference`.
    difference : Difference
        With the noise of rows and, where it can be told, of seeds; unpaired, Welch's.
    by_row, by_fold : Difference or None
        The paired bootstrap of rows, which knows nothing of training; the corrected t of folds, which knows both.
    p_private : float or None
        Chance that b beats a on a private set of the real size.
    n_rows, n_private : int
    smallest : float
        The smallest true difference that data of this size would show in 4 of 5 cases: half the interval and 0.84
        standard errors more.
    more_seeds : int or None
        Repeats, beyond those there are, that would settle a difference of this size. 0 where it is settled; None where
        no number of seeds would, as the rows are too few.
    rows_needed : int or None
        Rows that would settle it, as about as many times more; None where it is settled or the difference is 0.
    seeds : Seeds
    notes : tuple of str
        For people.
    """

    a: str
    b: str
    metric: str
    score_a: float
    score_b: float
    verdict: Verdict
    difference: Difference
    by_row: Difference | None
    by_fold: Difference | None
    p_private: float | None
    n_rows: int
    n_private: int
    smallest: float
    more_seeds: int | None
    rows_needed: int | None
    seeds: Seeds
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values; what is not known is null."""
        facts = asdict(self)
        facts["seeds"] = {key: None if value != value else value for key, value in facts["seeds"].items()}
        return facts


def compare(
    prepared: Prepared,
    a: Run,
    b: Run,
    *,
    unpaired: bool = False,
    public_share: float = PUBLIC_SHARE,
    n_resamples: int = _RESAMPLES,
    seed: int = 0,
) -> Comparison:
    """Compare two runs of one competition.

    Parameters
    ----------
    prepared : Prepared
    a, b : Run
    unpaired : bool, default=False
        Compare the scores of folds of their own (Welch), for runs whose folds differ. Much weaker.
    public_share : float
        Share of the test rows that is public; the others are the private set.
    n_resamples, seed : int

    Returns
    -------
    Comparison

    Raises
    ------
    UsageError
        The runs are one and the same, are of other data, or are of different folds and `unpaired` is not set.

    Notes
    -----
    By row: Efron and Tibshirani 1993, chapter 13; groups are drawn whole where folds are grouped. By fold: Nadeau and
    Bengio 2003. The noise of seeds is the spread of the difference over repeats or, with one repeat, the spread over
    folds beyond what their rows explain (DerSimonian and Laird 1986); it widens the interval by rows, with degrees of
    freedom after Satterthwaite 1946. A win inside it is "no difference".
    """
    _check(prepared, a, b, unpaired)
    if unpaired:
        return _unpaired(prepared, a, b)
    return _Paired(prepared, a, b, n_resamples, seed).comparison(parts(len(prepared.test), public_share)[1])


def _check(prepared: Prepared, a: Run, b: Run, unpaired: bool) -> None:
    if a.id == b.id:
        raise UsageError(f"Two different runs are needed, got {a.id} twice.")
    for run in (a, b):
        if run.data != prepared.data:
            raise UsageError(
                f"{run.id} was made from other data ({run.data}) than are here now ({prepared.data}).",
                hint="Train it again.",
            )
    if a.folds != b.folds and not unpaired and "oob" not in (a.kind, b.kind):
        raise UsageError(
            f"{a.id} and {b.id} were validated on different folds ({a.folds} and {b.folds}), so rows do not pair.",
            hint="Train one again on the other's folds, or add --unpaired for a much weaker comparison.",
        )


def _unpaired(prepared: Prepared, a: Run, b: Run) -> Comparison:
    metric = get_metric(prepared.competition.metric)
    few = min(len(a.scores), len(b.scores), max(2, prepared.folds.n))
    found = welch(a.scores, b.scores, test_to_fit=1 / max(1, few - 1), greater_is_better=metric.greater_is_better)
    error = _spread(found)
    return Comparison(
        a=a.name if a.name != b.name else a.id,
        b=b.name if a.name != b.name else b.id,
        metric=metric.name,
        score_a=a.score,
        score_b=b.score,
        verdict=verdict(found),
        difference=found,
        by_row=None,
        by_fold=None,
        p_private=None,
        n_rows=len(prepared.y),
        n_private=0,
        smallest=(found.high - found.low) / 2 + _BEYOND * error,
        more_seeds=0 if verdict(found) != "no difference" else None,
        rows_needed=None,
        seeds=Seeds(math.nan, math.nan, math.nan, ""),
        notes=("unpaired: rows that both runs find hard do not cancel out, so only large differences show",),
    )


def _spread(difference: Difference) -> float:
    return (difference.high - difference.low) / 2 / _NORMAL


class _Paired:
    """Two runs on the rows that both predicted."""

    def __init__(self, prepared: Prepared, a: Run, b: Run, n_resamples: int, seed: int) -> None:
        self.prepared, self.a, self.b = prepared, a, b
        self.n_resamples, self.seed = n_resamples, seed
        self.metric = get_metric(prepared.competition.metric)
        self.sign = 1 if self.metric.greater_is_better else -1
        first, second = (decided(r.oof.frame, prepared.y, prepared.folds, prepared.competition) for r in (a, b))
        shared = second.index.intersection(first.index, sort=False)
        self.y, self.frames = prepared.y.loc[shared], [frame.loc[shared] for frame in (first, second)]

    def comparison(self, n_private: int) -> Comparison:
        by_row, rows_error = self._by_row()
        found_by_fold = by_fold(self.prepared, self.a, self.b)
        noise = seeds_noise(self.prepared, self.a, self.b, rows_error)
        difference, error = _widened(by_row, rows_error, noise)
        settled = verdict(difference) != "no difference"
        mean, n_rows = difference.mean, len(self.y)
        same_name = self.a.name == self.b.name
        score_a, score_b = (self.metric.score(self.y, f, self.prepared.competition.classes) for f in self.frames)
        return Comparison(
            a=self.a.id if same_name else self.a.name,
            b=self.b.id if same_name else self.b.name,
            metric=self.metric.name,
            score_a=score_a,
            score_b=score_b,
            verdict=verdict(difference),
            difference=difference,
            by_row=by_row,
            by_fold=found_by_fold,
            p_private=self._p_private(n_private, noise),
            n_rows=n_rows,
            n_private=n_private,
            smallest=(difference.high - difference.low) / 2 + _BEYOND * error,
            more_seeds=0 if settled else _more_seeds(mean, rows_error, noise, self.prepared.folds.repeats),
            rows_needed=None if settled or not mean else _rows_needed(n_rows, error, mean),
            seeds=noise,
            notes=self._notes(found_by_fold),
        )

    def _by_row(self) -> tuple[Difference, float]:
        classes, groups = self.prepared.competition.classes, self.prepared.folds.groups
        scores = resampled_scores(
            self.metric, self.y, self.frames, classes, groups=groups, n_resamples=self.n_resamples, seed=self.seed
        )
        differences = self.sign * (scores[:, 1] - scores[:, 0])
        before, after = (self.metric.score(self.y, frame, classes) for frame in self.frames)
        found = resampled_difference(self.sign * (after - before), differences)
        return found, float(np.nanstd(differences))

    def _p_private(self, n_private: int, noise: Seeds) -> float:
        """Private rows are drawn anew, and so is the training where its noise is known."""
        drawn = future_scores(
            self.metric,
            self.y,
            dict(zip("ab", self.frames, strict=True)),
            self.prepared.competition.classes,
            sizes={"private": n_private},
            groups=self.prepared.folds.groups,
            n_resamples=self.n_resamples,
            seed=self.seed + 1,
        )["private"]
        lead = self.sign * (drawn["b"] - drawn["a"]).to_numpy()
        if noise.error > 0:
            lead = lead + np.random.default_rng(self.seed).normal(0, noise.error, len(lead))
        lead = np.where(np.abs(lead) < 1e-12, 0.0, lead)  # a tie of whole numbers must not be broken by rounding
        return float(np.mean(lead > 0) + np.mean(lead == 0) / 2)

    def _notes(self, found_by_fold: Difference | None) -> tuple[str, ...]:
        notes = []
        if missing := len(self.prepared.y) - len(self.y):
            notes.append(f"{missing} row(s) that one of the two did not predict are left out")
        if found_by_fold is None:
            notes.append("folds do not pair (out-of-bag, time-forward, or another number of scores): rows only")
        if self.prepared.folds.repeats == 1:
            notes.append("one repeat tells little of the noise of seeds: set repeats = 3 in [folds] to measure it")
        return tuple(notes)


def by_fold(prepared: Prepared, a: Run, b: Run) -> Difference | None:
    """The corrected t test where both runs have the same folds, fitted on sets of one size; None elsewhere."""
    folds = prepared.folds
    known = a.folds == b.folds == folds.fingerprint and "oob" not in (a.kind, b.kind) and folds.scheme != "time"
    if not known or len(a.scores) != len(b.scores) or len(a.scores) < 2:
        return None
    up = get_metric(prepared.competition.metric).greater_is_better
    return corrected_t(a.scores, b.scores, test_to_fit=1 / (folds.n - 1), greater_is_better=up)


def seeds_noise(prepared: Prepared, a: Run, b: Run, rows_error: float) -> Seeds:
    """What other seeds would change, told from repeats or, with one repeat, from the folds.

    Parameters
    ----------
    rows_error : float
        Standard error of the difference by rows, which explains a part of the spread over folds.
    """
    folds = prepared.folds
    if by_fold(prepared, a, b) is None:
        return Seeds(math.nan, math.nan, math.nan, "")
    differences = (np.asarray(b.scores) - np.asarray(a.scores)).reshape(-1, folds.n)
    n_repeats = len(differences)
    if n_repeats > 1:
        spread = float(np.std(differences.mean(axis=1), ddof=1))
        return Seeds(spread / math.sqrt(n_repeats), n_repeats - 1, spread, f"{n_repeats} repeats")
    beyond = max(0.0, float(np.var(differences, ddof=1)) - _ROWS_SHARE * folds.n * rows_error**2)
    error = math.sqrt(beyond / folds.n)
    return Seeds(error, folds.n - 1, error, f"{folds.n} folds")


def _widened(by_row: Difference, rows_error: float, noise: Seeds) -> tuple[Difference, float]:
    """The interval by rows, widened by the noise of seeds; and the standard error of both together."""
    if not noise.error > 0:
        return by_row, rows_error
    from scipy.stats import t

    error = math.hypot(rows_error, noise.error)
    # Satterthwaite's df has the fourth power. With so few folds or repeats its intervals cover 91 to 93 %, as a spread
    # that is too small by chance comes with a df that is too large; the square keeps them between 94 and 97 %.
    df = noise.df * (error / noise.error) ** 2
    reach = float(t.ppf(0.975, df)) * error
    low, high = by_row.mean - by_row.low, by_row.high - by_row.mean
    tilt = (high - low) / (high + low) if high + low > 0 else 0.0  # the bootstrap's own asymmetry is kept
    mean = by_row.mean
    p_better = float(t.cdf(mean / error, df))
    found = Difference(mean, mean - reach * (1 - tilt), mean + reach * (1 + tilt), p_better)
    return found, error


def _rows_needed(n_rows: int, error: float, mean: float) -> int:
    """Always more than there are: an interval that ends at zero, as those of whole numbers may, decides nothing."""
    return max(n_rows + 1, math.ceil(n_rows * (_NORMAL * error / mean) ** 2))


def _more_seeds(mean: float, rows_error: float, noise: Seeds, repeats: int) -> int | None:
    """More repeats that would make an interval of this difference leave out zero; None where none would."""
    left = (mean / _NORMAL) ** 2 - rows_error**2
    if not noise.error > 0 or left <= 0:
        return None
    more = max(1, math.ceil(noise.per_repeat**2 / left) - repeats)
    return more if more <= _ENOUGH else None
