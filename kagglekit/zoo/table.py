"""The zoo as a table: filtered, sorted, with those marked that no other model beats in accuracy and cost."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kagglekit.errors import UsageError, nearest
from kagglekit.zoo.results import Result
from kagglekit.zoo.speed import Speed

__all__ = ["Entry", "cost_name", "entries", "filtered"]


@dataclass(frozen=True)
class Entry:
    """A model in the table.

    Parameters
    ----------
    result : Result
    speed : Speed or None
        Where it was probed on this machine.
    best : bool
        No other model of the table is as accurate and costs less, or costs as little and is more accurate.
    """

    result: Result
    speed: Speed | None = None
    best: bool = False

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values; what is not known is null."""
        one, speed = self.result, self.speed
        return {
            "model": one.model,
            "family": one.family,
            "top1": one.top1,
            "size": one.size,
            "params": one.params,
            "gmacs": None if math.isnan(one.gmacs) else one.gmacs,
            "predict_ms": speed.predict_ms if speed else None,
            "train_ms": speed.train_ms if speed else None,
            "best": self.best,
        }


def filtered(
    results: Iterable[Result],
    *,
    family: str | None = None,
    max_params: float | None = None,
    max_macs: float | None = None,
    top: int | None = None,
) -> list[Result]:
    """Results that pass, the most accurate first.

    Parameters
    ----------
    results : iterable of Result
    family : str, optional
        timm's module, or a part of the model's name.
    max_params, max_macs : float, optional
        In millions, and in thousand millions.
    top : int, optional
        The best so many.

    Raises
    ------
    UsageError
        No model is left.
    """
    everything = list(results)
    found = [r for r in everything if family is None or family == r.family or family in r.model]
    if not found:
        families = {r.family for r in everything}
        raise UsageError(f"No model of the zoo is of the family '{family}'.", hint=nearest(str(family), families))
    found = [r for r in found if max_params is None or r.params <= max_params]
    found = [r for r in found if max_macs is None or r.gmacs <= max_macs]
    if not found:
        raise UsageError("No model of the zoo is so small.", hint="Raise --max-params or --max-macs.")
    return sorted(found, key=lambda r: (-r.top1, r.model))[:top]


def entries(results: Sequence[Result], speeds: Mapping[str, Speed]) -> list[Entry]:
    """The table; the best are told by time on this machine where all models have one, else by multiply-adds."""
    made = [Entry(one, speeds.get(one.model)) for one in results]
    by_time = all(entry.speed for entry in made)
    costs = [_cost(entry, by_time) for entry in made]
    pairs = list(zip(costs, [entry.result.top1 for entry in made], strict=True))
    return [Entry(e.result, e.speed, _is_best(pair, pairs)) for e, pair in zip(made, pairs, strict=True)]


def cost_name(found: Sequence[Entry]) -> str:
    """What the table's costs are."""
    by_time = all(entry.speed for entry in found)
    return "ms an image in training, here" if by_time else "multiply-adds of an image (10^9)"


def costs(found: Sequence[Entry]) -> list[float]:
    """A cost for each model, as `cost_name` says; NaN where it is not known."""
    by_time = all(entry.speed for entry in found)
    return [_cost(entry, by_time) for entry in found]


def _cost(entry: Entry, by_time: bool) -> float:
    return entry.speed.train_ms if by_time and entry.speed else entry.result.gmacs


def _is_best(own: tuple[float, float], pairs: Iterable[tuple[float, float]]) -> bool:
    cost, top1 = own
    if math.isnan(cost):
        return False
    return not any((c <= cost and t >= top1 and (c, t) != own) for c, t in pairs)
