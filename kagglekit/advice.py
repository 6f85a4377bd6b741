"""Which predictions are worth a submission, and which two to end with.

Submissions are few and what they tell is coarse. Before one is spent: how many test rows it changes, whether the
leaderboard could show the difference at all, and what it is expected to gain.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from kagglekit.contracts import Label
from kagglekit.errors import UsageError
from kagglekit.metrics import Metric
from kagglekit.stats import future_scores

__all__ = ["Advice", "Pair", "Prospect", "Step", "advise", "differing", "final_two"]

Array = npt.NDArray[Any]

_NORMAL = 1.959964
# Answers closer than this, relative to their size, are the same to any metric.
_SAME = 1e-6
# A slot is worth it for a gain of this share of the luck of the private rows, or more.
_WORTH = 0.01


@dataclass(frozen=True)
class Prospect:
    """What one candidate promises, beside the best of what was sent.

    Parameters
    ----------
    name : str
    cv : float
        The metric on all out-of-fold rows together.
    differs : int or None
        Test rows whose answer differs from the nearest file that was sent; None where none was.
    nearest : str or None
        The run that made that file.
    most : float or None
        For accuracy: no score over all test rows can move further from that file's than this.
    ahead : float or None
        Expected difference to the best of what was sent; positive is better.
    p_better : float or None
        Chance that it beats that one on the private part.
    resolution : float or None
        The smallest difference to that one that the public leaderboard tells from luck (1.96 standard errors of
        the public rows). A smaller expected difference is not settled by submitting.
    gain : float or None
        Expected private gain if, of the two, the better one is ended with.
    """

    name: str
    cv: float
    differs: int | None = None
    nearest: str | None = None
    most: float | None = None
    ahead: float | None = None
    p_better: float | None = None
    resolution: float | None = None
    gain: float | None = None

    @property
    def below(self) -> bool:
        """Whether the expected difference is below the leaderboard's resolution."""
        return self.ahead is not None and self.resolution is not None and abs(self.ahead) < self.resolution


@dataclass(frozen=True)
class Step:
    """A submission to make: what it adds to those before it, None for the very first."""

    name: str
    gain: float | None


@dataclass(frozen=True)
class Pair:
    """Two submissions to end with.

    Parameters
    ----------
    first, second : str
        The first is the likelier one to beat the line alone.
    line : float
        The score to beat.
    chance : float
        That the better of the two beats the line on the private part.
    alone : float
        The same of the first one alone.
    """

    first: str
    second: str
    line: float
    chance: float
    alone: float


@dataclass(frozen=True)
class Advice:
    """What to send and what to end with.

    Parameters
    ----------
    prospects : tuple of Prospect
        Best CV first; those that were sent as well.
    sent : tuple of str
        Names of what was sent already.
    steps : tuple of Step
        In the order to send them.
    pair : Pair or None
        None with fewer than two candidates.
    n_test, n_public, n_private : int
    """

    prospects: tuple[Prospect, ...]
    sent: tuple[str, ...]
    steps: tuple[Step, ...]
    pair: Pair | None
    n_test: int
    n_public: int
    n_private: int

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def advise(
    metric: Metric,
    y: pd.Series,
    frames: Mapping[str, pd.DataFrame],
    classes: Sequence[Label],
    *,
    answers: Mapping[str, pd.DataFrame],
    sent: Sequence[str],
    n_public: int,
    n_private: int,
    slots: int = 1,
    line: float | None = None,
    groups: pd.Series | None = None,
    n_resamples: int = 4000,
    seed: int = 0,
) -> Advice:
    """Weigh candidates by what their out-of-fold errors, resampled together, say of the test rows.

    Parameters
    ----------
    metric, y, classes, groups, n_resamples, seed
        As in `kagglekit.stats.paired_bootstrap`.
    frames : mapping of str to DataFrame
        Out-of-fold predictions of each candidate, and of what was sent, for the same ids.
    answers : mapping of str to DataFrame
        What each would submit, by test id.
    sent : sequence of str
        Which of them were submitted.
    n_public, n_private : int
        Test rows of each part.
    slots : int
        Submissions left.
    line : float, optional
        The private score that the final two have to beat; by default the best CV.

    Raises
    ------
    UsageError
        There is no candidate. Other errors are those of `kagglekit.stats.future_scores`.

    Notes
    -----
    Slots are given greedily to the candidate that raises the expected best of all that was sent most; that set is
    within 1 - 1/e of the best one (Nemhauser, Wolsey and Fisher 1978). No slot is given for an expected gain below 1 %
    of the luck of the private rows. What is gained is gained only if the better one is recognised in the end. Public
    scores that came back are not used: weigh them with `kagglekit.shakeup`. Out of place where test rows are of another
    kind than training rows.
    """
    if not frames:
        raise UsageError("There is no candidate to weigh.", hint="Train an experiment first.")
    sizes = {"public": n_public, "private": n_private, "true": None}
    drawn = future_scores(metric, y, frames, classes, sizes=sizes, groups=groups, n_resamples=n_resamples, seed=seed)
    cv = {name: metric.score(y, frame, classes) for name, frame in frames.items()}
    return _advice(metric, cv, drawn, answers, sent, (n_public, n_private), slots, line)


def _advice(
    metric: Metric,
    cv: Mapping[str, float],
    drawn: Mapping[str, pd.DataFrame],
    answers: Mapping[str, pd.DataFrame],
    sent: Sequence[str],
    sizes: tuple[int, int],
    slots: int,
    line: float | None,
) -> Advice:
    sign = 1 if metric.greater_is_better else -1
    ranked = sorted(cv, key=lambda name: (-sign * cv[name], name))
    before = [name for name in ranked if name in sent]
    found = {name: differing(answers[name], {s: answers[s] for s in before if s != name}) for name in ranked}
    leads = {part: sign * scores for part, scores in drawn.items()}
    luck = float(np.std((leads["private"] - leads["true"]).to_numpy()))
    new = [name for name in ranked if name not in before and found[name][0] != 0]
    to_beat = cv[ranked[0]] if line is None else line
    return Advice(
        prospects=tuple(
            _prospect(metric, name, cv[name], before, found[name], answers[name], leads) for name in ranked
        ),
        sent=tuple(before),
        steps=_steps(leads["true"], new, before, slots, worth=_WORTH * luck),
        pair=final_two(drawn["private"][ranked], to_beat, metric.greater_is_better) if len(ranked) > 1 else None,
        n_test=sum(sizes),
        n_public=sizes[0],
        n_private=sizes[1],
    )


def differing(answers: pd.DataFrame, sent: Mapping[str, pd.DataFrame]) -> tuple[int | None, str | None]:
    """How many rows differ from the nearest of the files that were sent, and which one that is.

    Parameters
    ----------
    answers : DataFrame by test id
    sent : mapping of str to DataFrame by test id
        With the same columns. Without any, both results are None.
    """
    counts = {name: _differences(answers, other) for name, other in sent.items()}
    if not counts:
        return None, None
    nearest = min(counts, key=lambda name: counts[name])
    return counts[nearest], nearest


def _differences(a: pd.DataFrame, b: pd.DataFrame) -> int:
    b = b.loc[a.index, list(a.columns)]
    unlike = np.zeros(len(a), dtype=bool)
    for column in a.columns:
        one, other = a[column].to_numpy(), b[column].to_numpy()
        if np.issubdtype(one.dtype, np.floating) and np.issubdtype(other.dtype, np.floating):
            unlike |= ~np.isclose(one, other, rtol=_SAME, atol=1e-9)
        else:
            unlike |= one != other
    return int(unlike.sum())


def _prospect(
    metric: Metric,
    name: str,
    cv: float,
    before: Sequence[str],
    found: tuple[int | None, str | None],
    answers: pd.DataFrame,
    leads: Mapping[str, pd.DataFrame],
) -> Prospect:
    if not before or name == before[0]:
        return Prospect(name, cv, *found)
    public, private, true = (
        (leads[part][name] - leads[part][before[0]]).to_numpy() for part in ("public", "private", "true")
    )
    return Prospect(
        name,
        cv,
        *found,
        most=found[0] / len(answers) if metric.name == "accuracy" and found[0] is not None else None,
        ahead=float(true.mean()),
        p_better=float(np.mean(private > 0) + np.mean(private == 0) / 2),
        resolution=_NORMAL * float(np.std(public - true)),
        gain=float(np.maximum(true, 0).mean()),
    )


def _steps(
    leads: pd.DataFrame, new: Sequence[str], before: Sequence[str], slots: int, worth: float
) -> tuple[Step, ...]:
    """Greedy: each step takes the candidate that lifts the expected best most, while that is worth a slot."""
    left, steps = list(new), list[Step]()
    best: Array | None = leads[list(before)].to_numpy().max(axis=1) if before else None
    while left and len(steps) < slots:
        reached = {name: _raised(best, leads[name].to_numpy()) for name in left}
        # The first of equals is the one with the better CV.
        chosen = max(left, key=lambda name: reached[name].mean())
        gain = None if best is None else float((reached[chosen] - best).mean())
        if gain is not None and gain <= worth:
            break
        steps.append(Step(chosen, gain))
        best = reached[chosen]
        left.remove(chosen)
    return tuple(steps)


def _raised(best: Array | None, leads: Array) -> Array:
    return leads if best is None else np.maximum(best, leads)


def final_two(private: pd.DataFrame, line: float, greater_is_better: bool) -> Pair:
    """The pair whose better one is likeliest to beat a line.

    Parameters
    ----------
    private : DataFrame of shape (n_draws, n_candidates)
        Scores on the private part, drawn together, so that candidates that err on the same rows fall together.
    line : float
        In the metric's own units. A line far above reach favours candidates that err apart, one that both pass
        favours the safe ones.
    greater_is_better : bool

    Returns
    -------
    Pair

    Raises
    ------
    UsageError
        There are fewer than two candidates.
    """
    if private.shape[1] < 2:
        raise UsageError("Two candidates are needed to choose a pair.", hint="Train another experiment.")
    scores = private.to_numpy()
    beats = (scores > line if greater_is_better else scores < line).astype(np.float64)
    alone = beats.mean(axis=0)
    either = alone[:, None] + alone[None, :] - beats.T @ beats / len(beats)
    # Of equal chances, the pair with the better mean score, as the line says nothing of them.
    mean = (1 if greater_is_better else -1) * scores.mean(axis=0)
    rows, columns = np.triu_indices(len(alone), k=1)
    order = np.lexsort((mean[rows] + mean[columns], either[rows, columns].round(12)))
    i, j = int(rows[order[-1]]), int(columns[order[-1]])
    first, second = (i, j) if (alone[i], mean[i]) >= (alone[j], mean[j]) else (j, i)
    names = list(private.columns)
    return Pair(names[first], names[second], float(line), float(either[i, j]), float(alone[first]))
