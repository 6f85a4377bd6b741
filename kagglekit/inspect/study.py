"""All parts of an inspection in order, and what they found together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from kagglekit.errors import DataError, UsageError, nearest
from kagglekit.inspect.dependence import measure_dependence
from kagglekit.inspect.findings import Finding, save_finding
from kagglekit.inspect.importance import Importance, measure_importance
from kagglekit.inspect.lint import lint
from kagglekit.inspect.redundancy import measure_redundancy
from kagglekit.inspect.shift import measure_shift
from kagglekit.inspect.spread import measure_spread
from kagglekit.inspect.subject import Subject
from kagglekit.inspect.trees import measure_trees
from kagglekit.inspect.waterfall import take_apart
from kagglekit.inspect.weak import drop_weak

__all__ = ["PARTS", "Inspection", "inspect_table"]


@dataclass(frozen=True, eq=False)
class _Study:
    """The subject, and what several parts need."""

    subject: Subject
    row: str | None

    @cached_property
    def importance(self) -> Importance:
        return measure_importance(self.subject)

    def waterfall(self) -> Finding:
        """The named row; without one, the first test row."""
        return take_apart(self.subject, str(self.subject.prepared.test.index[0]) if self.row is None else self.row)


PARTS: dict[str, Callable[[_Study], Finding]] = {
    "lint": lambda study: lint(study.subject.prepared),
    "importance": lambda study: study.importance,
    "weak": lambda study: drop_weak(study.subject, study.importance),
    "redundancy": lambda study: measure_redundancy(study.subject),
    "dependence": lambda study: measure_dependence(study.subject, study.importance),
    "waterfall": lambda study: study.waterfall(),
    "spread": lambda study: measure_spread(study.subject),
    "trees": lambda study: measure_trees(study.subject),
    "shift": lambda study: measure_shift(study.subject),
}
"""Every part by its name, in the order in which they are told."""


# What is told in terms of the metric alone, which several targets have in common.
_OF_SEVERAL = ("importance", "weak")


@dataclass(frozen=True)
class Inspection:
    """What was found of a run.

    Parameters
    ----------
    run : str
    about : tuple of str
        Which models were looked at.
    findings : tuple of Finding
    notes : tuple of str
        Parts that there cannot be, and why.
    """

    run: str
    about: tuple[str, ...]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]

    def words(self) -> str:
        """Everything as plain text."""
        parts = ["\n".join(self.about), *("\n".join(f.words()) for f in self.findings), "\n".join(self.notes)]
        return "\n\n".join(part for part in parts if part)

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        parts = {f.name: f.as_json() for f in self.findings}
        return {"run": self.run, "about": list(self.about), **parts, "notes": list(self.notes)}

    def save(self, folder: Path) -> list[Path]:
        """Write every table and picture; see `save_finding`."""
        return [path for finding in self.findings for path in save_finding(finding, folder, self.run)]


def inspect_table(subject: Subject, *, only: Sequence[str] = (), row: str | None = None) -> Inspection:
    """Look at a run of a table from all sides, or from some.

    Parameters
    ----------
    subject : Subject
    only : sequence of str
        Names of `PARTS`; all if none. Several targets have importance and weak columns, by the mean of the metric.
    row : str, optional
        The id of the row that the waterfall takes apart; the first test row if none.

    Returns
    -------
    Inspection

    Raises
    ------
    UsageError
        There is no such part or row; or a part that was asked for by name cannot be, as of several targets.
    ConfigError, DataError
        The run's model cannot be fitted again.
    """
    if unknown := [name for name in only if name not in PARTS]:
        raise UsageError(f"There is no part '{unknown[0]}' of an inspection.", hint=nearest(unknown[0], PARTS))
    study, found, notes = _Study(subject, row), [], []
    wanted = [name for name in PARTS if not only or name in only]
    if subject.prepared.competition.targets and (alone := [name for name in wanted if name not in _OF_SEVERAL]):
        _refuse_named(subject, alone, asked=bool(only) or row is not None)
        wanted = [name for name in wanted if name in _OF_SEVERAL]
        notes.append(f"For one target only, so not shown: {', '.join(alone)}.")
    for name in wanted:
        try:
            found.append(PARTS[name](study))
        except (DataError, UsageError) as error:
            if name in only or (name == "waterfall" and row is not None):
                raise
            notes.append(f"No {name}: {error.message}")
    return Inspection(subject.run.name, tuple(subject.words()), tuple(found), tuple(notes))


def _refuse_named(subject: Subject, parts: Sequence[str], *, asked: bool) -> None:
    """Parts that follow the answer to one question are left out for several targets, and refused by name."""
    if asked:
        subject.prepared.competition.refuse_several(
            f"'{parts[0]}', which follows the answer to one question,",
            hint=f"--only {','.join(_OF_SEVERAL)} looks at all of them; kagglekit report scores each.",
        )
