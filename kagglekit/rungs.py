"""The rungs of a ladder as `[ladder]` of a pipeline file states them, and the combinations that a rung stands for."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kagglekit.errors import ConfigError, nearest

__all__ = ["COMMON", "Combination", "Ladder", "Rung", "read_ladder"]

COMMON = ("extra_targets", "seeds")
"""Keys of an experiment, beside its model's settings, that a rung may try."""

_LADDER_KEYS = ("start", "fold", "rungs")
_WORDS = ("name", "why")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_EXAMPLE = 'For example: size = [128, 192], or arch = {small = "convnext_small", base = "convnext_base"}.'
CheckSetting = Callable[[str, str, Any], Any]
"""(experiment, setting, value) -> the value in the type that the experiment's model takes; raises ConfigError."""


@dataclass(frozen=True)
class Combination:
    """One candidate of a rung.

    Parameters
    ----------
    name : str
        The rung's, and a word for each setting of which the rung tries several values.
    changes : mapping
        Settings by name.
    """

    name: str
    changes: Mapping[str, Any]


@dataclass(frozen=True)
class Rung:
    """A question, and the settings that answer it.

    Parameters
    ----------
    name, why : str
    grid : mapping of str to mapping of str to Any
        For each setting the values to try, by the word that stands for them in names.
    """

    name: str
    why: str
    grid: Mapping[str, Mapping[str, Any]]

    def combinations(self) -> list[Combination]:
        """Every combination of the values, in the file's order.

        >>> rung = Rung("more", "do more pixels help?", {"size": {"128": 128, "192": 192}, "tta": {"yes": True}})
        >>> [made.name for made in rung.combinations()]
        ['more-128', 'more-192']
        """
        several = [setting for setting, values in self.grid.items() if len(values) > 1]
        made = []
        for chosen in itertools.product(*(values.items() for values in self.grid.values())):
            picked = dict(zip(self.grid, chosen, strict=True))
            words = [picked[setting][0] for setting in several]
            made.append(Combination("-".join([self.name, *words]), {s: value for s, (_, value) in picked.items()}))
        return made


@dataclass(frozen=True)
class Ladder:
    """Rungs in the order in which they are climbed.

    Parameters
    ----------
    start : str
        The experiment that the first rung changes.
    rungs : tuple of Rung
    fold : int, optional
        The fold whose rows decide; by default the first, or the last of a time-forward split.
    """

    start: str
    rungs: tuple[Rung, ...]
    fold: int | None = None


def read_ladder(table: Any, experiments: Collection[str], check: CheckSetting, where: str) -> Ladder:
    """The ladder that a table of a pipeline file states.

    Parameters
    ----------
    table : mapping
        `start`, perhaps `fold`, and a list of `rungs`.
    experiments : collection of str
        Names that are taken, among which `start` must be.
    check : callable
        Checks a single value of a setting.
    where : str
        For messages: file and table.

    Raises
    ------
    ConfigError
        A key is missing or unknown, a value is not what the model takes, or two candidates have one name.
    """
    if not isinstance(table, dict):
        raise ConfigError(f"{where} must be a table, got {table!r}.")
    _refuse_unknown(table, _LADDER_KEYS, where)
    start, fold, rungs = table.get("start"), table.get("fold"), table.get("rungs")
    if start not in experiments:
        raise ConfigError(f"{where}: start = {start!r} is no experiment.", hint=nearest(str(start), experiments))
    if fold is not None and (isinstance(fold, bool) or not isinstance(fold, int) or fold < 0):
        raise ConfigError(f"{where}: fold must be the number of a fold, counted from 0; got {fold!r}.")
    if not isinstance(rungs, list) or not rungs:
        raise ConfigError(f"{where} has no rungs.", hint=f"Add a table [[ladder.rungs]]. {_EXAMPLE}")
    made = tuple(_rung(rung, str(start), check, where) for rung in rungs)
    _refuse_twins(made, experiments, where)
    return Ladder(str(start), made, fold)


def _rung(table: Any, start: str, check: CheckSetting, where: str) -> Rung:
    if not isinstance(table, dict):
        raise ConfigError(f"{where}: a rung must be a table, got {table!r}.")
    name = table.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ConfigError(
            f"{where}: every rung needs a name of letters, digits, '.', '_' and '-'; got {name!r}.",
            hint='For example: name = "small"',
        )
    here = f"{where} rung '{name}'"
    why = table.get("why")
    if not isinstance(why, str) or not why:
        raise ConfigError(f"{here}: the key 'why' is missing.", hint='For example: why = "do more pixels help?"')
    grid = {s: _values(s, value, start, check, here) for s, value in table.items() if s not in _WORDS}
    if not grid:
        raise ConfigError(f"{here} changes no setting.", hint=_EXAMPLE)
    return Rung(name, why, grid)


def _values(setting: str, value: Any, start: str, check: CheckSetting, where: str) -> dict[str, Any]:
    """The values to try by their words: a list makes the words, a table gives them, anything else is one value."""
    if not isinstance(value, dict):
        options: Sequence[Any] = value if isinstance(value, list) else [value]
        value = {_word(option): option for option in options}
        if len(value) < len(options):
            raise ConfigError(f"{where}: {setting} lists a value twice.")
    if not value:
        raise ConfigError(f"{where}: {setting} has no values.", hint=_EXAMPLE)
    if wrong := [word for word in value if not _NAME.fullmatch(word)]:
        raise ConfigError(f"{where}: {setting}: '{wrong[0]}' cannot be part of a name.", hint=_EXAMPLE)
    try:
        return {word: check(start, setting, option) for word, option in value.items()}
    except ConfigError as error:
        raise ConfigError(f"{where}: {error.message}", hint=error.hint) from error


def _word(value: Any) -> str:
    """A value as a part of a name.

    >>> _word(192), _word([480, 640]), _word(True), _word("convnext_small.fb_in22k_ft_in1k")
    ('192', '480x640', 'true', 'convnext_small')
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list):
        return "x".join(map(_word, value)) or "none"
    text = str(value).partition(".")[0] if isinstance(value, str) else str(value)
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-") or "none"


def _refuse_unknown(table: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    for key in table:
        if key not in known:
            raise ConfigError(f"{where}: unknown key '{key}'.", hint=nearest(key, known))


def _refuse_twins(rungs: Sequence[Rung], experiments: Collection[str], where: str) -> None:
    for before, rung in itertools.combinations(rungs, 2):
        if rung.grid == before.grid:
            raise ConfigError(
                f"{where}: the rungs '{before.name}' and '{rung.name}' try the same settings.", hint="Leave one out."
            )
    names = [made.name for rung in rungs for made in rung.combinations()]
    for name in names:
        if name in experiments:
            raise ConfigError(
                f"{where}: the candidate '{name}' has the name of an experiment.", hint="Give its rung another name."
            )
        if names.count(name) > 1:
            raise ConfigError(f"{where}: two candidates are called '{name}'.", hint="Give one rung another name.")
