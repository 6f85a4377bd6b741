"""The bake-off: all ways of making images one size, as a ladder of one rung."""

from __future__ import annotations

from typing import Any

from kagglekit.config import Experiment
from kagglekit.errors import UsageError
from kagglekit.models import registry
from kagglekit.rungs import Ladder, Rung

__all__ = ["bake_off"]


def bake_off(experiment: Experiment, task: str, fold: int | None = None) -> Ladder:
    """A ladder of every way in which an experiment's model can make images one size.

    Parameters
    ----------
    experiment : Experiment
        What the others are compared with.
    task : str
        The competition's.
    fold : int, optional
        As in `Ladder`.

    Raises
    ------
    UsageError
        The model has no such setting.
    """
    offered = registry.parameters(experiment.model, task).get("resize")
    ways = [] if offered is None else _literals(offered.annotation)
    if not ways:
        raise UsageError(
            f"'{experiment.name}' has nothing to compare: the model '{experiment.model}' has no setting 'resize'.",
            hint='Name an experiment with model = "timm" or "timm-features".',
        )
    why = "which way of making all images one size loses least?"
    return Ladder(experiment.name, (Rung(experiment.name, why, {"resize": {way: way for way in ways}}),), fold)


def _literals(annotation: Any) -> list[str]:
    """The words of a Literal, also inside a union."""
    inner = getattr(annotation, "__args__", ())
    return [word for part in inner for word in ([part] if isinstance(part, str) else _literals(part))]
