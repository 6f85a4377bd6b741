"""What lies ahead on the leaderboard: forecasts for runs, and advice on the submissions left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import pandas as pd

from kagglekit.advice import Advice, advise
from kagglekit.contracts import Predictions, Run, Submission
from kagglekit.dataset import Prepared
from kagglekit.errors import UsageError
from kagglekit.forms import to_submission
from kagglekit.metrics import get_metric
from kagglekit.scoring import decide, decided
from kagglekit.shakeup import PUBLIC_SHARE, Residual, Shakeup, Swap, parts, residual, shakeup, swap_chance
from kagglekit.stats import Interval

__all__ = ["Outlook", "RunForecast", "advise_runs", "forecast_run", "outlook"]


@dataclass(frozen=True)
class RunForecast:
    """One run on the leaderboard.

    Parameters
    ----------
    name, run : str
    shakeup : Shakeup
    residual : Residual or None
        Once the run has a public score.
    private : Interval or None
        Where the private score should fall, given that public score; None where it raised an alarm.
    """

    name: str
    run: str
    shakeup: Shakeup
    residual: Residual | None = None
    private: Interval | None = None

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class Outlook:
    """Several runs, best CV first, and the chance that neighbours swap places.

    Parameters
    ----------
    forecasts : tuple of RunForecast
    swaps : tuple of (str, str, Swap)
        Names of the better and of the other one by CV.
    """

    forecasts: tuple[RunForecast, ...]
    swaps: tuple[tuple[str, str, Swap], ...]

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "forecasts": [f.as_json() for f in self.forecasts],
            "swaps": [{"a": a, "b": b, **swap.as_json()} for a, b, swap in self.swaps],
        }


def forecast_run(
    prepared: Prepared, run: Run, public: float | None = None, public_share: float = PUBLIC_SHARE
) -> RunForecast:
    """Where a run's public and private scores should fall; and, with its public score, whether that one fits.

    Parameters
    ----------
    prepared : Prepared
    run : Run
    public : float, optional
        In the run's metric.
    public_share : float
    """
    facts, (n_public, n_private) = prepared.competition, parts(len(prepared.test), public_share)
    frame = _decided(prepared, run)
    found = shakeup(
        get_metric(facts.metric),
        prepared.y.loc[frame.index],
        frame,
        facts.classes,
        n_public=n_public,
        n_private=n_private,
        groups=prepared.folds.groups,
    )
    if public is None:
        return RunForecast(run.name, run.id, found)
    fit = residual(found, public)
    return RunForecast(run.name, run.id, found, fit, None if fit.alarm else found.private_given(public))


def outlook(
    prepared: Prepared,
    runs: Mapping[str, Run],
    submissions: Sequence[Submission] = (),
    public_share: float = PUBLIC_SHARE,
) -> Outlook:
    """Forecast runs, and the chance that neighbours in CV swap places from public to private.

    Parameters
    ----------
    prepared : Prepared
    runs : mapping of str to Run
    submissions : sequence of Submission
        The newest public score of a run is held against its forecast.
    public_share : float
    """
    sign = 1 if get_metric(prepared.competition.metric).greater_is_better else -1
    public = {s.run: s.public for s in submissions if s.status == "complete" and s.public is not None}
    forecasts = [forecast_run(prepared, run, public.get(run.id), public_share) for run in runs.values()]
    forecasts.sort(key=lambda f: (-sign * f.shakeup.cv, f.name))
    by_id = {run.id: run for run in runs.values()}
    ranked = [by_id[f.run] for f in forecasts]
    swaps = [(a.name, b.name, _swap(prepared, a, b, public_share)) for a, b in pairwise(ranked)]
    return Outlook(tuple(forecasts), tuple(swaps))


def _swap(prepared: Prepared, a: Run, b: Run, public_share: float) -> Swap:
    facts, (n_public, n_private) = prepared.competition, parts(len(prepared.test), public_share)
    (first, second), y = _shared(prepared, [a, b])
    return swap_chance(
        get_metric(facts.metric),
        y,
        first,
        second,
        facts.classes,
        n_public=n_public,
        n_private=n_private,
        groups=prepared.folds.groups,
    )


def advise_runs(
    prepared: Prepared,
    runs: Mapping[str, Run],
    sent: Mapping[str, Run],
    *,
    slots: int = 1,
    line: float | None = None,
    public_share: float = PUBLIC_SHARE,
) -> Advice:
    """Advice on the submissions left.

    Parameters
    ----------
    prepared : Prepared
    runs : mapping of str to Run
        Candidates.
    sent : mapping of str to Run
        Runs that were submitted; a candidate may be among them.
    slots, line
        As in `kagglekit.advice.advise`.
    public_share : float

    Raises
    ------
    UsageError
        There is no candidate, or no row that all of them predicted.
    """
    together = {run.id: run for run in (*runs.values(), *sent.values())}
    names = _names(together)
    frames, y = _shared(prepared, list(together.values()))
    n_public, n_private = parts(len(prepared.test), public_share)
    facts = prepared.competition
    return advise(
        get_metric(facts.metric),
        y,
        {names[i]: frame for i, frame in zip(together, frames, strict=True)},
        facts.classes,
        answers={names[i]: _answers(prepared, run) for i, run in together.items()},
        sent=[names[run.id] for run in sent.values()],
        n_public=n_public,
        n_private=n_private,
        slots=slots,
        line=line,
        groups=prepared.folds.groups,
    )


def _names(runs: Mapping[str, Run]) -> dict[str, str]:
    """Names by id; runs of one experiment, such as before and after a change, go by their ids."""
    names = [run.name for run in runs.values()]
    return {i: run.name if names.count(run.name) == 1 else i for i, run in runs.items()}


def _decided(prepared: Prepared, run: Run) -> pd.DataFrame:
    return decided(run.oof.frame, prepared.y, prepared.folds, prepared.competition)


def _shared(prepared: Prepared, runs: Sequence[Run]) -> tuple[list[pd.DataFrame], pd.Series]:
    """Predictions of the rows that all runs predicted, and the truth."""
    frames = [_decided(prepared, run) for run in runs]
    ids = prepared.y.index
    for frame in frames:
        ids = ids[ids.isin(frame.index)]
    if not len(ids):
        raise UsageError(
            f"No training row was predicted by each of {len(runs)} run(s).", hint="Train an experiment, or name others."
        )
    return [frame.loc[ids] for frame in frames], prepared.y.loc[ids]


def _answers(prepared: Prepared, run: Run) -> pd.DataFrame:
    labels = decide(run.test.frame, run.oof.frame, prepared.y, prepared.competition)
    table = to_submission(Predictions(labels), prepared.competition, prepared.sample)
    return table.set_index(prepared.competition.id)
