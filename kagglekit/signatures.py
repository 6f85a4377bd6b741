"""Settings read from a signature, so that there is no second list of them to keep."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import TypeAdapter, ValidationError

from kagglekit.errors import ConfigError

__all__ = ["Parameter", "readable", "signature_parameters", "typed"]

_WORDS: Mapping[Any, str] = {
    int: "a whole number",
    float: "a number",
    str: "text",
    bool: "true or false",
    NoneType: "left out",
}


@dataclass(frozen=True)
class Parameter:
    """One setting."""

    default: Any
    annotation: Any


def signature_parameters(
    made_by: Callable[..., Any], *, without: Sequence[str], annotated: bool = True
) -> dict[str, Parameter]:
    """The settings that a class takes, by name.

    Parameters
    ----------
    made_by : callable
    without : sequence of str
        Names that are no settings.
    annotated : bool
        False for code of others, whose annotations are not to be relied on.
    """
    signature = inspect.signature(made_by, eval_str=annotated)
    return {
        name: Parameter(p.default, Any if p.annotation is p.empty or not annotated else p.annotation)
        for name, p in signature.parameters.items()
        if name not in without and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
    }


def typed(owner: str, name: str, value: Any, annotation: Any) -> Any:
    """A value in the type that a setting takes (a list where it wants a tuple becomes one).

    Parameters
    ----------
    owner : str
        Whose setting it is, for the message: "model 'forest'".

    Raises
    ------
    ConfigError
        The value is of another type; the message says what was expected.
    """
    if annotation is Any:
        return value
    try:
        # Strict, so that "3" is no number; by way of JSON, so that a TOML array fits a tuple.
        return TypeAdapter(annotation).validate_json(json.dumps(value), strict=True)
    except (ValidationError, TypeError) as error:
        raise ConfigError(
            f"Setting '{name}' of {owner} must be {readable(annotation)}; got {value!r}.",
            hint="Mend it in the pipeline file; left out, it has its default.",
        ) from error


def readable(annotation: Any) -> str:
    """An annotation in words: `PositiveInt | None` is "a whole number above 0 or left out"."""
    if get_origin(annotation) is Annotated:
        base, *rules = get_args(annotation)
        return f"{readable(base)} above {rules[0].gt}" if hasattr(rules[0], "gt") else readable(base)
    if get_origin(annotation) is Literal:
        return " or ".join(repr(v) for v in get_args(annotation))
    if get_origin(annotation) in (Union, UnionType):
        return " or ".join(readable(a) for a in get_args(annotation))
    return _WORDS.get(annotation, inspect.formatannotation(annotation).replace("typing.", ""))
