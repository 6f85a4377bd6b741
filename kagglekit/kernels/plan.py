"""Plans: which fits a session has time and quota for; the rest waits for the next one.

A fit is never cut: a session ends between two folds, and the next one goes on with the first that is missing.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kagglekit.errors import StoreError, UsageError
from kagglekit.files import read_json, write_json
from kagglekit.forecast import clock
from kagglekit.kernel_calls import Quota
from kagglekit.kernels.machines import Machine

__all__ = [
    "HERE",
    "ROUGH",
    "SESSION_HOURS",
    "Estimate",
    "Measure",
    "Plan",
    "Todo",
    "estimate",
    "keep_times",
    "left",
    "make",
    "probe",
    "read_times",
]

SESSION_HOURS = 12.0
"""Kaggle's limit for CPU and GPU notebooks (kaggle.com/docs/notebooks); code competitions state their own."""

HERE = "here"
"""The machine of runs that were trained on this computer."""

ROUGH = "a rough guess"
"""How a fit's seconds are known that nobody measured."""

_STARTING = 300.0  # seconds until the first fit begins, and from the last one to the end
_SHARE = 0.9  # of the limit: a session that is ended by force keeps nothing
_MOST_TIMES = 500


@dataclass(frozen=True)
class Measure:
    """One fit that was measured, beside the rough guess of it, which scales with epochs, pixels and rows."""

    machine: str
    model: str
    seconds: float
    rough: float


@dataclass(frozen=True)
class Estimate:
    """Seconds of one fit, and how that is known."""

    seconds: float
    basis: str

    @property
    def is_measured(self) -> bool:
        """Whether it was measured on the machine that it is for."""
        return self.basis.startswith("measured on")


@dataclass(frozen=True)
class Todo:
    """The fits of one experiment that are left.

    Parameters
    ----------
    experiment : str
    folds : tuple of str
        In the order in which they are trained.
    each : Estimate
        Of one of them.
    """

    experiment: str
    folds: tuple[str, ...]
    each: Estimate


@dataclass(frozen=True)
class Plan:
    """What one session does.

    Parameters
    ----------
    now, later : tuple of Todo
    seconds : float
        What the session is expected to take, in all.
    limit : float
        Seconds after which the site ends it.
    """

    now: tuple[Todo, ...]
    later: tuple[Todo, ...]
    seconds: float
    limit: float

    @property
    def fits(self) -> dict[str, list[str]]:
        """Experiment -> folds of this session."""
        return {todo.experiment: list(todo.folds) for todo in self.now}

    @property
    def expected(self) -> dict[str, float]:
        """Experiment -> seconds of one fit, where that was measured on such a machine."""
        return {todo.experiment: round(todo.each.seconds, 1) for todo in self.now if todo.each.is_measured}

    @property
    def budget(self) -> float:
        """Seconds for the fits themselves."""
        return _budget(self.limit)

    def words(self) -> str:
        """The plan for people."""
        n_now, n_later = (sum(len(t.folds) for t in part) for part in (self.now, self.later))
        lines = [
            f"This session: {n_now} of {n_now + n_later} fits, about {clock(self.seconds)} of {clock(self.limit)}."
        ]
        lines += [
            f"  {t.experiment}: {', '.join(t.folds)}, {clock(t.each.seconds)} each ({t.each.basis})" for t in self.now
        ]
        if n_later:
            lines.append(f"{n_later} fits wait for the next session, which goes on from there.")
        return "\n".join(lines)


def estimate(model: str, rough: float, measures: Iterable[Measure], machine: str) -> Estimate:
    """Seconds of one fit: the rough guess, scaled by how far such guesses were off where fits were measured.

    Parameters
    ----------
    model : str
    rough : float
        See `kagglekit.forecast.rough_seconds`.
    measures : iterable of Measure
    machine : str
        Kaggle's machine that the fit is for. Without a measure from there, one from here is taken, which is an upper
        bound where a GPU trains what was measured on a CPU.
    """
    known = [m for m in measures if m.model == model and m.rough > 0]
    for place, basis in ((machine, f"measured on {machine}"), (HERE, "as long as here, where it was measured")):
        if ratios := [m.seconds / m.rough for m in known if m.machine == place]:
            return Estimate(rough * sum(ratios) / len(ratios), basis)
    return Estimate(rough, ROUGH)


def make(todos: Sequence[Todo], machine: Machine, *, hours: float = SESSION_HOURS, quota: Quota | None = None) -> Plan:
    """Cut the fits that are left where the session's time or the week's quota ends.

    Parameters
    ----------
    todos : sequence of Todo
    machine : Machine
        On several GPUs as many folds of an experiment are fitted at once.
    hours : float
        The session's limit.
    quota : Quota, optional
        GPU time of this week; None where none is counted.

    Raises
    ------
    UsageError
        There is nothing to fit, no quota is left, or not even one fit has time.
    """
    if not any(todo.folds for todo in todos):
        raise UsageError(
            "Every fold of these experiments is trained already.", hint="Bring them here: kagglekit kernel pull"
        )
    limit = hours * 3600
    if quota is not None and machine.shape is not None:
        if quota.left < 2 * _STARTING:
            raise UsageError(
                f"No GPU time is left this week: {clock(quota.left)} of {clock(quota.allowed)}.",
                hint="Wait until it is counted anew, or take --accelerator none.",
            )
        limit = min(limit, quota.left)
    now, later, spent = _cut(todos, max(1, machine.gpus), _budget(limit))
    if not now:
        first = next(todo for todo in todos if todo.folds)
        raise UsageError(
            f"Not even one fit of '{first.experiment}' ({clock(first.each.seconds)}, {first.each.basis}) has time in a "
            f"session of {clock(limit)}.",
            hint="Take fewer epochs or smaller images, or measure one fit first: --probe",
        )
    return Plan(tuple(now), tuple(later), _STARTING + spent, limit)


def _budget(limit: float) -> float:
    return max(0.0, _SHARE * limit - _STARTING)


def _cut(todos: Iterable[Todo], at_once: int, budget: float) -> tuple[list[Todo], list[Todo], float]:
    now: list[Todo] = []
    later: list[Todo] = []
    spent = 0.0
    for todo in todos:
        rounds = math.floor((budget - spent) / todo.each.seconds) if todo.each.seconds > 0 else len(todo.folds)
        # A guess may be off by a factor of a few: it stops nothing, for the session itself watches the time.
        n = len(todo.folds) if todo.each.basis == ROUGH else max(0, rounds) * at_once
        if todo.folds[:n]:
            now.append(Todo(todo.experiment, todo.folds[:n], todo.each))
            spent += math.ceil(len(todo.folds[:n]) / at_once) * todo.each.seconds
        if todo.folds[n:]:
            later.append(Todo(todo.experiment, todo.folds[n:], todo.each))
    return now, later, spent


def probe(todos: Iterable[Todo]) -> list[Todo]:
    """One fit of each experiment, to be measured; it counts, and the next session goes on after it."""
    return [Todo(t.experiment, t.folds[:1], Estimate(t.each.seconds, ROUGH)) for t in todos]


def left(folds: Sequence[str], done: Collection[str]) -> tuple[str, ...]:
    """The folds that nobody has trained, in their order."""
    return tuple(name for name in folds if name not in done)


def read_times(path: Path) -> list[Measure]:
    """What earlier sessions measured; lines that say something else are passed over."""
    try:
        lines = read_json(path) if path.is_file() else []
    except StoreError:
        return []
    found = (_measure(line) for line in lines if isinstance(line, dict)) if isinstance(lines, list) else ()
    return [m for m in found if m is not None]


def keep_times(path: Path, new: Iterable[Measure]) -> None:
    """Add measures to those that are kept."""
    known = read_times(path)
    merged = [*known, *(m for m in new if m not in known)][-_MOST_TIMES:]
    write_json(path, [{"machine": m.machine, "model": m.model, "seconds": m.seconds, "rough": m.rough} for m in merged])


def _measure(line: Mapping[str, Any]) -> Measure | None:
    seconds, rough = line.get("seconds"), line.get("rough")
    if not all(isinstance(v, int | float) and math.isfinite(v) and v > 0 for v in (seconds, rough)):
        return None
    return Measure(str(line.get("machine", "")), str(line.get("model", "")), float(seconds or 0), float(rough or 0))
