"""Models by name: which there are, what their settings are, how to build one.

A name is one of `MODELS`, or the import path of any scikit-learn estimator ("sklearn.svm.SVC"), whose own parameters
are then the settings. Settings are read from the signature of the estimator's `__init__`, so that there is no second
list of them to keep.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from kagglekit.errors import ConfigError, nearest
from kagglekit.signatures import Parameter, signature_parameters, typed

__all__ = ["BASELINES", "MODELS", "Parameter", "build", "check", "model_names", "parameters"]

_Kind = Literal["classification", "regression"]
_SEEDS = ("random_state", "seed")

MODELS: Mapping[str, Mapping[str, str]] = {
    "majority": {"classification": "kagglekit.models.baseline:Majority"},
    "mean": {"regression": "kagglekit.models.baseline:Mean"},
    "oner": {
        "classification": "kagglekit.models.baseline:OneRClassifier",
        "regression": "kagglekit.models.baseline:OneRRegressor",
    },
    "linear": {
        "classification": "kagglekit.models.linear:LinearClassifier",
        "regression": "kagglekit.models.linear:LinearRegressor",
    },
    "forest": {
        "classification": "kagglekit.models.forest:ForestClassifier",
        "regression": "kagglekit.models.forest:ForestRegressor",
    },
    "extra-trees": {
        "classification": "kagglekit.models.forest:ExtraTreesClassifier",
        "regression": "kagglekit.models.forest:ExtraTreesRegressor",
    },
    "lightgbm": {
        "classification": "kagglekit.models.boost:LightGBMClassifier",
        "regression": "kagglekit.models.boost:LightGBMRegressor",
    },
    "xgboost": {
        "classification": "kagglekit.models.xgb:XGBoostClassifier",
        "regression": "kagglekit.models.xgb:XGBoostRegressor",
    },
    "catboost": {
        "classification": "kagglekit.models.cat:CatBoostClassifier",
        "regression": "kagglekit.models.cat:CatBoostRegressor",
    },
    "knn": {
        "classification": "kagglekit.models.neighbours:NeighboursClassifier",
        "regression": "kagglekit.models.neighbours:NeighboursRegressor",
    },
    "fastai-tabular": {
        "classification": "kagglekit.models.nets:FastaiTabularClassifier",
        "regression": "kagglekit.models.nets:FastaiTabularRegressor",
    },
    "tabm": {
        "classification": "kagglekit.models.nets:TabMClassifier",
        "regression": "kagglekit.models.nets:TabMRegressor",
    },
    "timm": {
        "classification": "kagglekit.models.vision.estimator:TimmClassifier",
        "regression": "kagglekit.models.vision.estimator:TimmRegressor",
    },
    "timm-features": {
        "classification": "kagglekit.models.vision.features:FrozenFeatures",
        "regression": "kagglekit.models.vision.features:FrozenFeaturesRegressor",
    },
}

BASELINES: Mapping[str, str] = {
    "majority": "the commonest label for every row: what any model must beat",
    "mean": "the mean for every row: what any model must beat",
    "oner": "how far does a single column go?",
}
"""Models to be beaten, and why: they stand in every table and are no members of an ensemble of "all"."""


def model_names(task: str | None = None) -> list[str]:
    """The models offered by name, for one task or for any."""
    return [name for name, paths in MODELS.items() if task is None or _kind(task) in paths]


def parameters(model: str, task: str) -> dict[str, Parameter]:
    """The settings of a model; the seed is none of them, `build` takes it by itself.

    Parameters
    ----------
    model : str
        A name of `MODELS` or an import path.
    task : str
        A competition's task; "image-classification" counts as "classification".

    Raises
    ------
    ConfigError
        There is no such model, or not for this task.
    """
    return signature_parameters(_load(model, task), without=_SEEDS, annotated=not _is_path(model))


def check(model: str, params: Mapping[str, Any], task: str) -> dict[str, Any]:
    """The given settings, checked and in the types that the model takes (a list where it wants a tuple becomes one).

    Raises
    ------
    ConfigError
        A setting is unknown to the model or of a wrong type; the message names the nearest, or what was expected.
    """
    known = parameters(model, task)
    for name in params:
        if name not in known:
            raise ConfigError(f"Model '{model}' has no setting '{name}'.", hint=_hint(name, known))
    return {name: typed(f"model '{model}'", name, value, known[name].annotation) for name, value in params.items()}


def build(model: str, params: Mapping[str, Any], *, task: str, seed: int) -> Any:
    """An unfitted estimator.

    Parameters
    ----------
    model, task : str
        See `parameters`.
    params : mapping
        Settings by name; those left out keep their defaults.
    seed : int
        Becomes `random_state` (or `seed`) where the estimator has one.

    Raises
    ------
    ConfigError
        See `parameters` and `check`.
    """
    settings = check(model, params, task)
    estimator = _load(model, task)
    accepted = inspect.signature(estimator).parameters
    settings |= {name: seed for name in _SEEDS if name in accepted}
    if _is_path(model):
        from kagglekit.models.imported import wrap

        return wrap(model, estimator, settings, _kind(task))
    return estimator(**settings)


def _kind(task: str) -> _Kind:
    return "classification" if task.endswith("classification") else "regression"


def _is_path(model: str) -> bool:
    return "." in model


def _load(model: str, task: str) -> type:
    if _is_path(model):
        from kagglekit.models.imported import find

        return find(model)
    if model not in MODELS:
        raise ConfigError(f"There is no model '{model}'.", hint=nearest(model, MODELS))
    paths = MODELS[model]
    if _kind(task) not in paths:
        offered = ", ".join(model_names(task))
        raise ConfigError(f"Model '{model}' does {' and '.join(paths)} only.", hint=f"For {_kind(task)}: {offered}.")
    module, _, name = paths[_kind(task)].partition(":")
    found: type = getattr(importlib.import_module(module), name)
    return found


def _hint(name: str, known: Iterable[str]) -> str:
    if name in _SEEDS:
        return "Runs get their seed from the pipeline's own 'seed'."
    return nearest(name, known)
