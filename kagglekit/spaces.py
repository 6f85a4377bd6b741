"""Which settings a search may try: ranges and choices, as `[search.NAME]` of a pipeline file says them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from kagglekit.errors import ConfigError, nearest

__all__ = ["Choice", "Dimension", "Range", "Space", "read_space"]

_RANGE_KEYS = ("low", "high", "log")
_CHECKED = "For example: [50, 400], {low = 1, high = 100, log = true} or {choices = [3, 7]}."
Scalar = str | int | float | bool


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included.

    Parameters
    ----------
    low, high : float
    log : bool
        Try as many values between 1 and 10 as between 10 and 100.
    whole : bool
        Whole numbers only.
    """

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def holds(self, value: Any) -> bool:
        """Whether a value could be tried."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return self.low <= value <= self.high and (not self.whole or isinstance(value, int))


@dataclass(frozen=True)
class Choice:
    """One of several values, in no order."""

    options: tuple[Scalar, ...]

    def holds(self, value: Any) -> bool:
        """Whether a value could be tried; True is not 1 here."""
        return any(type(value) is type(option) and value == option for option in self.options)


Dimension = Range | Choice
Space = Mapping[str, Dimension]
CheckValue = Callable[[str, Any], Any]
"""(setting, value) -> the value in the type that the model takes; raises ConfigError."""


def read_space(table: Mapping[str, Any], check: CheckValue, where: str) -> dict[str, Dimension]:
    """The space that a table of a pipeline file states.

    Parameters
    ----------
    table : mapping
        By setting: two numbers for a range, any other list for choices, `{low, high, log}` or `{choices}`.
    check : callable
        Checks a single value of a setting.
    where : str
        For messages: file and table.

    Raises
    ------
    ConfigError
        A setting is unknown, or its values are not what the model takes, or make no range.
    """
    if not table:
        raise ConfigError(f"{where} names no setting to search.", hint=_CHECKED)
    return {name: _dimension(name, value, check, where) for name, value in table.items()}


def _dimension(name: str, value: Any, check: CheckValue, where: str) -> Dimension:
    if isinstance(value, dict):
        return _from_table(name, value, check, where)
    if isinstance(value, list):
        if len(value) == 2 and all(map(_is_number, value)):
            return _range(name, value[0], value[1], False, check, where)
        return _choice(name, value, check, where)
    raise ConfigError(f"{where}: {name} must be a list or a table of values to try, got {value!r}.", hint=_CHECKED)


def _from_table(name: str, table: Mapping[str, Any], check: CheckValue, where: str) -> Dimension:
    known = ("choices",) if "choices" in table else _RANGE_KEYS
    for key in table:
        if key not in known:
            raise ConfigError(
                f"{where}: {name} has an unknown key '{key}'.", hint=nearest(key, (*_RANGE_KEYS, "choices"))
            )
    if "choices" in table:
        return _choice(name, table["choices"], check, where)
    low, high, log = (table.get(key) for key in _RANGE_KEYS)
    if not (_is_number(low) and _is_number(high) and isinstance(log, bool | None)):
        raise ConfigError(f"{where}: {name} needs the numbers low and high, and log = true or false.", hint=_CHECKED)
    return _range(name, low, high, bool(log), check, where)


def _range(name: str, low: Any, high: Any, log: bool, check: CheckValue, where: str) -> Range:
    low, high = check(name, low), check(name, high)
    if not low < high:
        raise ConfigError(f"{where}: {name} must go from a smaller to a larger number, got {low} and {high}.")
    if log and low <= 0:
        raise ConfigError(f"{where}: {name} cannot be searched by its logarithm from {low}.", hint="Start above 0.")
    return Range(low, high, log, whole=isinstance(low, int) and isinstance(high, int))


def _choice(name: str, options: Any, check: CheckValue, where: str) -> Choice:
    if not isinstance(options, list) or len(options) < 2:
        raise ConfigError(f"{where}: {name} needs two values to choose from at least, got {options!r}.", hint=_CHECKED)
    checked = tuple(check(name, option) for option in options)
    for option in checked:
        if not isinstance(option, Scalar):
            raise ConfigError(f"{where}: {name} may choose among text, numbers and truth values; got {option!r}.")
    return Choice(checked)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
