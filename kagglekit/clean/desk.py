"""The rows that are looked at, and the file that decisions about them go to."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from kagglekit.cleaning import Correction, Corrections, corrections_words, read_corrections, write_corrections
from kagglekit.config import Experiment
from kagglekit.contracts import Competition, Run
from kagglekit.dataset import Prepared
from kagglekit.errors import DataError, UsageError, nearest
from kagglekit.report.losses import loss_facts, losses
from kagglekit.report.words import trimmed

__all__ = ["KEEP", "OUT", "Desk", "Suspect", "suspects_of"]

KEEP, OUT, VALUE = "keep", "out", "value"
"""What a form may say of a row, besides the place of a class."""

_COLUMNS = 12


@dataclass(frozen=True)
class Suspect:
    """A row whose label may be wrong.

    Parameters
    ----------
    id, given : str
        As they are written.
    said : tuple of (name, value)
        The label, what the model said, and how sure it was or how far off.
    guess : str
        The model's label; "" for values.
    columns : tuple of (name, value)
        What the row holds.
    picture : str
        A file; "" where the row has none.
    """

    id: str
    given: str
    said: tuple[tuple[str, str], ...]
    guess: str
    columns: tuple[tuple[str, str], ...] = ()
    picture: str = ""


def suspects_of(prepared: Prepared, run: Run, n: int) -> list[Suspect]:
    """The `n` rows with the largest loss under a run that did not see them, the largest first."""
    return [_suspect(prepared, run, id_) for id_ in losses(prepared, run).index[:n]]


def _suspect(prepared: Prepared, run: Run, id_: Any) -> Suspect:
    facts, frame = prepared.competition, run.oof.frame
    place = prepared.train.index.get_loc(id_)
    believed: Any = frame.iloc[frame.index.get_loc(id_)]
    columns = () if facts.has_images else tuple(prepared.X.columns[:_COLUMNS])
    return Suspect(
        id=str(id_),
        given=str(prepared.y.iloc[place]),
        said=tuple(loss_facts(prepared, run, id_)[1:]),
        guess=str(believed.idxmax()) if facts.is_classification else "",
        columns=tuple((str(column), _cell(prepared.X[column].iloc[place])) for column in columns),
        picture=str(prepared.train["path"].iloc[place]) if facts.has_images else "",
    )


def _cell(value: Any) -> str:
    if pd.isna(value):
        return ""
    return f"{value:.6g}" if isinstance(value, float) else trimmed(value, most=60)


@dataclass(frozen=True)
class Desk:
    """Suspect rows, and the corrections that were decided on so far.

    Parameters
    ----------
    comp : str
        The pipeline's name.
    competition : Competition
    run : str
        The run that found the rows suspect.
    suspects : sequence of Suspect
    file : Path
        Where corrections are kept, also those of rows that are not looked at now.
    experiments : mapping of str to Experiment
        Those of the pipeline file.
    based_on : str
        The experiment that a cleaned one would change.
    """

    comp: str
    competition: Competition
    run: str
    suspects: Sequence[Suspect]
    file: Path
    experiments: Mapping[str, Experiment]
    based_on: str

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(map(str, self.competition.classes))

    def corrections(self) -> tuple[Correction, ...]:
        """What the file says now.

        Raises
        ------
        DataError
            It was damaged.
        """
        if not self.file.is_file():
            return ()
        facts = self.competition
        found = read_corrections(
            self.file, id_column=facts.id, target=facts.target, numeric=not facts.is_classification
        )
        if odd := sorted({str(v) for _, v in found if v is not None} - set(self.classes)) if self.classes else []:
            raise DataError(f"{self.file}: there is no class '{odd[0]}'.", hint=nearest(odd[0], self.classes))
        return found

    def save(self, form: Mapping[str, str]) -> Corrections:
        """Write what a form says of the rows that are looked at; earlier corrections of other rows stay.

        Parameters
        ----------
        form : mapping of str to str
            For each row number: "keep", "out", the place of a class, or "value" with the value in "value-<number>". A
            row that it does not name stays as it is in the file.

        Raises
        ------
        UsageError
            It says something that cannot be; nothing was written.
        """
        decided = {
            suspect.id: self._decision(suspect, form[f"row-{number}"], form.get(f"value-{number}", ""))
            for number, suspect in enumerate(self.suspects)
            if f"row-{number}" in form
        }
        kept = [correction for correction in self.corrections() if correction[0] not in decided]
        found = [*kept, *(correction for correction in decided.values() if correction is not None)]
        facts = self.competition
        write_corrections(self.file, found, id_column=facts.id, target=facts.target)
        return found

    def _decision(self, suspect: Suspect, choice: str, value: str) -> Correction | None:
        if choice == KEEP:
            return None
        if choice == OUT:
            return suspect.id, None
        if choice == VALUE and not self.classes:
            return _valued(suspect, value)
        if not (choice.isascii() and choice.isdigit() and int(choice) < len(self.classes)):
            raise UsageError(f"'{choice}' is no decision about the row '{suspect.id}'; nothing was saved.")
        label = self.classes[int(choice)]
        return None if label == suspect.given else (suspect.id, label)

    def words(self) -> str:
        """What was decided, and what to do next."""
        lines, commands = self.next_steps()
        add = ["Add to the pipeline file:", "", lines, ""] if lines else []
        return "\n".join([f"{self.file.name}: {corrections_words(self.corrections())}.", *add, "Then:", commands])

    def next_steps(self) -> tuple[str, str]:
        """Lines to add to the pipeline file ("" if an experiment reads the file already), and commands to run then."""
        readers = [e.name for e in self.experiments.values() if e.cleaning_file == self.file.name]
        name = readers[-1] if readers else self._new_name()
        lines = {"why": "do corrected labels help?", "based_on": self.based_on, "cleaning": self.file.name}
        parent = self.experiments.get(self.based_on)
        if parent is not None and parent.validation == "oob":
            lines["validation"] = "folds"  # out of bag, rows are scored on what they are fitted on
        table = "\n".join([f"[experiments.{_key(name)}]", *(f"{k} = {_quoted(v)}" for k, v in lines.items())])
        against = (self.experiments[name].based_on or self.based_on) if readers else self.based_on
        commands = f"kagglekit train {self.comp} {name}\nkagglekit compare {self.comp} {against} {name}"
        return "" if readers else table, commands

    def _new_name(self) -> str:
        wanted = f"{self.based_on}-cleaned"
        numbers = (f"{wanted}-{n}" for n in range(2, len(self.experiments) + 3))
        return next(name for name in (wanted, *numbers) if name not in self.experiments)


def _valued(suspect: Suspect, text: str) -> Correction | None:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UsageError(f"The row '{suspect.id}' needs a number, got '{text}'; nothing was saved.")
    return None if value == float(suspect.given) else (suspect.id, value)


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _quoted(name)


def _quoted(text: str) -> str:
    """A TOML string."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
