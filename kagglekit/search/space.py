"""The space of a search: the pipeline file's own, or the one built in for the model."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import asdict
from importlib import resources
from typing import Any

from kagglekit.config import Experiment, Pipeline
from kagglekit.errors import ConfigError
from kagglekit.models import registry
from kagglekit.spaces import Range, Space, read_space

__all__ = ["built_in", "parent_values", "space_key", "space_of"]


def space_of(pipeline: Pipeline, experiment: Experiment) -> Space:
    """What a search from this experiment tries.

    Raises
    ------
    ConfigError
        The pipeline file has no table for it, and there is none built in for its model.
    """
    if experiment.name in pipeline.searches:
        return pipeline.searches[experiment.name]
    if found := built_in(experiment.model, pipeline.competition.task):
        return found
    raise ConfigError(
        f"There is no built-in space for the model '{experiment.model}'.",
        hint=f"Say what to try in {pipeline.path}: a table [search.{experiment.name}], such as n_neighbors = [3, 50].",
    )


def built_in(model: str, task: str) -> Space:
    """The space that is shipped for a model; empty where there is none.

    Settings that the model has for the other task only are left out.
    """
    text = resources.files(__package__).joinpath("spaces.toml").read_text(encoding="utf-8")
    table: Mapping[str, Any] = tomllib.loads(text).get(model, {})
    if not table:
        return {}
    known = registry.parameters(model, task)
    own = {name: value for name, value in table.items() if name in known}

    def check(name: str, value: Any) -> Any:
        return registry.check(model, {name: value}, task)[name]

    return read_space(own, check, f"The built-in space of '{model}'") if own else {}


def parent_values(experiment: Experiment, space: Space, task: str) -> dict[str, Any]:
    """The values that the parent has for the settings that are searched; its defaults where it sets none."""
    defaults = registry.parameters(experiment.model, task)
    return {name: experiment.params.get(name, defaults[name].default) for name in space}


def space_key(space: Space) -> str:
    """Eight hex digits that stand for a space."""
    plain = {name: [isinstance(d, Range), asdict(d)] for name, d in space.items()}
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:8]
