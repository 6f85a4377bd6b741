"""Portfolios: short lists of settings that are known to do well, run in order of expected gain as far as time allows.

Every member is an ordinary experiment with its hypothesis, a name that stays (`tabular-lightgbm-1`) and, once trained,
a place in the table and in ensembles of "all". A table of the pipeline file with a member's name takes its place.
"""

from __future__ import annotations

import importlib.util
import statistics
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

from kagglekit.config import CompetitionTable, Experiment
from kagglekit.contracts import Run
from kagglekit.dataset import Prepared
from kagglekit.errors import ConfigError, DataError, UsageError, nearest
from kagglekit.forecast import Budget, clock, rough_seconds
from kagglekit.identity import fold_names, run_id
from kagglekit.models import registry
from kagglekit.parallel import OutOfTime, Stoppable, waves
from kagglekit.progress import Progress, Silent
from kagglekit.store import FoldResult, Store
from kagglekit.train import train_within

__all__ = ["PORTFOLIOS", "Ran", "members", "offered", "run_portfolio"]

PORTFOLIOS = ("tabular",)
"""Portfolios by name: `portfolios/NAME.toml`."""

_PACKAGES: Mapping[str, tuple[str, str]] = {
    "lightgbm": ("lightgbm", "tabular"),
    "xgboost": ("xgboost", "boosters"),
    "catboost": ("catboost", "boosters"),
    "fastai-tabular": ("fastai", "vision"),
    "tabm": ("tabm", "nets"),
}
_SEEDS = (43, 44)  # further seeds of each member once all have run: averaging steadies what is drawn at random
_FURTHER = "-seed"  # in the names of those, before their number
_LAST = 0.3  # at most this share of the time is kept for what comes after: members count for more than their blend
_WITHOUT_CHANCE = ("linear", "knn")
_STOP_EARLY = ("lightgbm", "xgboost", "catboost", "tabm")
Installed = Callable[[str], bool]
Closing = Callable[[int, float], float]
"""Seconds that what comes after the members will take: of how many there are, and how slow this machine is."""


def offered(facts: CompetitionTable) -> dict[str, dict[str, Any]]:
    """The members of all portfolios as tables of experiments, in order; those of the first seed first.

    Models that there are not, or not for this task, are left out. A target that is scored by its logarithm is fitted on
    its logarithm.
    """
    if facts.task.startswith("image"):
        return {}
    common: dict[str, Any] = {"optional": True}
    if facts.metric in ("rmsle", "columnwise_rmsle"):
        common["target_transform"] = "log1p"
    known = registry.model_names(facts.task)
    found: dict[str, dict[str, Any]] = {}
    for portfolio in PORTFOLIOS:
        own = {f"{portfolio}-{n}": _refitted(t, facts) for n, t in _tables(portfolio) if t["model"] in known}
        found |= {name: {**common, **table} for name, table in own.items()}
        for number, seed in enumerate(_SEEDS, start=2):
            found |= {
                f"{name}{_FURTHER}{number}": {"why": "does another seed steady it?", "based_on": name, "seed": seed}
                | common
                for name, table in own.items()
                if table["model"] not in _WITHOUT_CHANCE
            }
    return found


def _tables(portfolio: str) -> Iterable[tuple[str, dict[str, Any]]]:
    text = resources.files("kagglekit").joinpath("portfolios", f"{portfolio}.toml").read_text(encoding="utf-8")
    return tomllib.loads(text).items()


def _refitted(table: dict[str, Any], facts: CompetitionTable) -> dict[str, Any]:
    """Where rows are few, those that early stopping watches are missed: such members are fitted again on all.

    Not with several targets, each of which stops elsewhere.
    """
    return {**table, "refit": "small"} if table["model"] in _STOP_EARLY and not facts.has_several else table


def members(portfolio: str, experiments: Mapping[str, Experiment]) -> list[Experiment]:
    """The members of one portfolio among all experiments, in order.

    Raises
    ------
    UsageError
        There is no such portfolio, or none of its models does this task.
    """
    if portfolio not in PORTFOLIOS:
        raise UsageError(f"There is no portfolio '{portfolio}'.", hint=nearest(portfolio, PORTFOLIOS))
    found = [e for e in experiments.values() if e.offered and e.name.startswith(f"{portfolio}-")]
    if not found:
        raise UsageError(f"The portfolio '{portfolio}' has no model for this task.")
    return found


@dataclass
class Ran:
    """What came of a portfolio.

    Parameters
    ----------
    runs : dict of str to Run
        By member, those of earlier calls too.
    left_out : dict of str to str
        Members that have no run, and why.
    """

    runs: dict[str, Run] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)


def run_portfolio(
    prepared: Prepared,
    chosen: Sequence[Experiment],
    store: Store,
    budget: Budget,
    *,
    progress: Progress | None = None,
    workers: Stoppable | None = None,
    closing: Closing = lambda n_members, slowness: 0.0,
    installed: Installed | None = None,
) -> Ran:
    """Train members in order, as far as time allows.

    One member is fitted at a time: one fold with all cores, or as many folds at once as there are workers.

    Parameters
    ----------
    prepared : Prepared
    chosen : sequence of Experiment
        See `members`.
    store : Store
    budget : Budget
        A member whose forecast does not fit is not started; smaller ones after it may be. One whose folds take longer
        than forecast is left at the fold it is at, and goes on there when there is time again.
    progress : Progress, optional
    workers : Stoppable, optional
        Processes that fit, and are stopped within a fold when the time is over; without them a fold is never stopped.
    closing : callable, optional
        What is kept of the budget for the time after the members.
    installed : callable, optional
        Whether a package is there.
    """
    progress, ran = progress or Silent(), Ran()
    speed = _Speed(prepared, workers.n_jobs if workers else 1)
    there = installed or (lambda package: importlib.util.find_spec(package) is not None)
    with progress.task("portfolio", len(chosen)) as bar:
        for member in chosen:
            last = closing(len(ran.runs) + 1, speed.slowness)
            budget.reserve(min(last, _LAST * budget.seconds) if budget.is_limited else 0.0)
            try:
                ran.runs[member.name] = _one(prepared, member, store, budget, speed, progress, workers, there)
                left = f", {clock(max(0, budget.left))} left" if budget.is_limited else ""
                bar.note(f"{member.name} {ran.runs[member.name].score:.4f}{left}")
            except (OutOfTime, ConfigError, DataError) as reason:
                ran.left_out[member.name] = str(reason)
            bar.advance()
    if ran.left_out:
        progress.say(f"Left out: {'; '.join(_grouped(ran.left_out))}.")
    return ran


def _one(
    prepared: Prepared,
    member: Experiment,
    store: Store,
    budget: Budget,
    speed: _Speed,
    progress: Progress,
    workers: Stoppable | None,
    there: Installed,
) -> Run:
    if store.has(run_id(prepared, member)):
        run = store.load(run_id(prepared, member))
        speed.learn(member, run)
        return run
    package, extra = _PACKAGES.get(member.model, ("", ""))
    if package and not there(package):
        raise ConfigError(f"needs {package} (pip install 'kagglekit[{extra}]')")
    seconds = speed.forecast(member)
    if not budget.fits(seconds):
        raise OutOfTime("no time is left")
    progress.say(f"{member.name}: about {clock(seconds)} - {member.why}")
    watch = _Watch(len(fold_names(prepared, member)), budget, speed.n_jobs)
    made = train_within(prepared, member, store, watch.may_fit, progress=progress, on_fold=watch, workers=workers)
    if made is None:
        raise OutOfTime(f"stopped after {len(watch.seconds)} fold(s) for want of time; it goes on from there")
    speed.learn(member, made)
    return made


class _Watch:
    """Lets no further fold begin when the folds that are left would not fit."""

    def __init__(self, n_fits: int, budget: Budget, n_jobs: int) -> None:
        self.left, self.budget, self.n_jobs = n_fits, budget, n_jobs
        self.seconds: list[float] = []

    def may_fit(self, fold: str) -> bool:
        return not self.seconds or self.budget.fits(waves(self.left, self.n_jobs) * statistics.mean(self.seconds))

    def __call__(self, result: FoldResult) -> None:
        self.left -= 1
        self.seconds.append(result.seconds)


class _Speed:
    """How far the rough forecasts are off on this machine and these data, from the members that ran so far."""

    def __init__(self, prepared: Prepared, n_jobs: int) -> None:
        self.prepared, self.n_jobs = prepared, n_jobs
        self.off: dict[str, list[float]] = {}

    def _n_fits(self, member: Experiment) -> int:
        return len(fold_names(self.prepared, member))

    def _rough(self, member: Experiment) -> float:
        """Seconds of work in all folds."""
        n_rows, n_targets = len(self.prepared.train), len(self.prepared.competition.target_columns)
        return self._n_fits(member) * rough_seconds(member.model, member.params, n_rows, member.bags, n_targets)

    def learn(self, member: Experiment, run: Run) -> None:
        self.off.setdefault(member.model, []).append(run.seconds / max(self._rough(member), 1e-9))

    @property
    def slowness(self) -> float:
        """How many times as long as forecast the models took so far."""
        known = [value for values in self.off.values() for value in values]
        return statistics.median(known) if known else 1.0

    def forecast(self, member: Experiment) -> float:
        """Seconds until all folds are done: scaled by what this model took so far, else by what the others took."""
        known, n_fits = self.off.get(member.model), self._n_fits(member)
        work = self._rough(member) * (statistics.median(known) if known else self.slowness)
        return work / n_fits * waves(n_fits, self.n_jobs)


def _grouped(left_out: Mapping[str, str]) -> list[str]:
    """One entry for each reason."""
    by_reason: dict[str, list[str]] = {}
    for name, reason in left_out.items():
        by_reason.setdefault(reason.rstrip("."), []).append(name)
    return [f"{_listed(names)} ({reason})" for reason, names in by_reason.items()]


def _listed(names: Sequence[str]) -> str:
    """Members by name; of further seeds, which would say the same names over again, the number.

    >>> _listed(["tabular-knn-1", "tabular-knn-1-seed2"]), _listed(["tabm-1", "tabm-1-seed2", "tabm-1-seed3"])
    ('tabular-knn-1, tabular-knn-1-seed2', 'tabm-1 and 2 further seeds')
    """
    first = [name for name in names if _FURTHER not in name]
    if (more := len(names) - len(first)) < 2:
        return ", ".join(names)
    return " and ".join([", ".join(first)] * bool(first) + [f"{more} further seeds"])
