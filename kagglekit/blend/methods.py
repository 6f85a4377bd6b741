"""Methods by the name used in a pipeline file."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from kagglekit.contracts import Label
from kagglekit.errors import ConfigError, nearest
from kagglekit.signatures import signature_parameters, typed

if TYPE_CHECKING:  # scikit-learn, which the methods stand on, is not loaded to check a name
    from kagglekit.blend.base import Blender

__all__ = ["METHODS", "check", "make_blender"]

_NONE: Mapping[str, Any] = MappingProxyType({})

#: Where each method lives.
METHODS: Mapping[str, str] = MappingProxyType(
    {
        "auto": "auto:AutoBlend",
        "mean": "means:Mean",
        "rank-mean": "means:RankMean",
        "geometric-mean": "means:GeometricMean",
        "greedy": "greedy:GreedyEnsemble",
        "hill-climb": "climb:HillClimb",
        "convex": "convex:ConvexBlend",
        "ridge": "ridge:RidgeBlend",
        "log-pool": "pool:LogPool",
        "stack": "stacking:StackBlend",
    }
)


# What stages decide, not the pipeline file.
_NOT_SETTINGS = ("metric", "classes", "cv", "seed")


def check(method: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """The given settings of a method, in the types that it takes.

    Raises
    ------
    ConfigError
        There is no such method, or a setting is unknown to it or of a wrong type.
    """
    _check_name(method)
    known = signature_parameters(_load(method), without=_NOT_SETTINGS) if params else {}
    for name in params:
        if name not in known:
            raise ConfigError(f"Method '{method}' has no setting '{name}'.", hint=nearest(name, known))
    return {name: typed(f"method '{method}'", name, value, known[name].annotation) for name, value in params.items()}


def make_blender(
    method: str, params: Mapping[str, Any] = _NONE, *, metric: str, classes: Sequence[Label], seed: int = 0
) -> Blender:
    """An unfitted blend without nested score: stages cross-fit along their own folds.

    Parameters
    ----------
    method : str
        A name of `METHODS`.
    params : mapping
        The method's own settings; those left out keep their defaults.
    metric, classes, seed
        See `Blender`.

    Raises
    ------
    ConfigError
        There is no such method.
    """
    return _load(method)(**params, metric=metric, classes=tuple(classes), cv=None, seed=seed)


def _load(method: str) -> type[Blender]:
    _check_name(method)
    module, _, name = METHODS[method].partition(":")
    found: type[Blender] = getattr(importlib.import_module(f"kagglekit.blend.{module}"), name)
    return found


def _check_name(method: str) -> None:
    if method not in METHODS:
        raise ConfigError(f"Blend method '{method}' is unknown.", hint=nearest(method, METHODS))
