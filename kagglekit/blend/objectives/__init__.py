"""The loss of many candidate blends at once: what forward selection and hill climbing spend their time on."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from types import MappingProxyType

from kagglekit.blend.objectives.base import Objective, Walk, first_best
from kagglekit.blend.problem import Problem

__all__ = ["Objective", "Walk", "first_best", "objective_for"]

# Where the objective of each metric lives; any other metric is computed by its own definition, which is slower.
_OBJECTIVES: Mapping[str, str] = MappingProxyType(
    {
        "log_loss": "log_loss:LogLoss",
        "rmse": "squared:SquaredError",
        "r2": "squared:SquaredError",
        "pearson": "squared:Correlation",
        "mae": "errors:AbsoluteError",
        "rmsle": "errors:SquaredLogError",
        "roc_auc": "ranks:AreaUnderCurve",
        "accuracy": "labels:Labels",
        "f1": "labels:Labels",
        "f1_macro": "labels:Labels",
        "mcc": "labels:Labels",
        "qwk": "labels:Labels",
        "map": "rankings:MeanAveragePrecision",
    }
)


def objective_for(problem: Problem) -> Objective:
    """The objective of a problem's metric."""
    place = _OBJECTIVES.get(problem.metric.name.partition("@")[0], "general:General")
    module, _, name = place.partition(":")
    found: type[Objective] = getattr(importlib.import_module(f"{__name__}.{module}"), name)
    return found(problem)
