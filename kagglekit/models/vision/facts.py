"""What `model.json` of an exported model says, checked field by field: all that is not a tensor."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from kagglekit.errors import StoreError
from kagglekit.files import write_text

__all__ = ["PROBE", "About", "Cuts", "Facts", "Label", "Member", "read_facts", "write_facts"]

PROBE = "probe.jpg"
"""The picture whose answers are written down."""

_FACTS = "model.json"

Label = str | int

# A plain name: never a path that leads out of the folder.
_Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
_Side = Annotated[int, Field(ge=1, le=1 << 14)]
_Finite = Annotated[float, Field(allow_inf_nan=False)]
_Three = tuple[_Finite, _Finite, _Finite]
_Row = Annotated[list[_Finite], Field(min_length=3, max_length=3)]
_Map = Annotated[list[_Row], Field(min_length=3, max_length=3)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Member(_Strict):
    """One fitted network: its file, its number of outputs, and what they are.

    `columns` are the answers that it gives, in its own order; for values an output is multiplied by `scale`, and `mean`
    is added. Outputs beyond those that this takes belong to targets that were only learnt beside. `views` are the
    places, among the model's, of the views that it was fitted to be asked by; all of them where none is named. Members
    with one number for their `bag` were fitted as one estimator: values are averaged before `transform` is undone.
    """

    file: _Name
    outputs: Annotated[int, Field(ge=1)]
    columns: Annotated[list[Label], Field(min_length=1)]
    mean: list[_Finite] = []
    scale: list[_Finite] = []
    views: list[Annotated[int, Field(ge=0)]] = []
    bag: int = 0


class About(_Strict):
    """What people should know of a model: what it is called, what it was fitted on, what it scored."""

    name: str
    fitted: str = ""
    score: str = ""


class Cuts(_Strict):
    """How a label is chosen where it is not the likeliest one.

    The mean of `values`, one for each column, under the probabilities is cut at `bounds`, one fewer and never falling;
    what lies on a bound belongs below it. Of two labels that is the probability of the second and a threshold.
    """

    values: list[_Finite]
    bounds: list[_Finite]

    def places(self, probabilities: np.ndarray) -> np.ndarray:
        """The column of each row's label, for probabilities of shape (n_rows, n_columns)."""
        return np.searchsorted(np.array(self.bounds), probabilities @ np.array(self.values))

    def words(self, columns: Sequence[Label]) -> str:
        """The rule in words."""
        if self.values == [0.0, 1.0]:
            return f"a picture is called '{columns[1]}' above a probability of {self.bounds[0]:.4g}"
        return f"the mean class is cut at {', '.join(f'{bound:.4g}' for bound in self.bounds)}"


class Facts(_Strict):
    """All that `model.json` says.

    `kind` is what the answers are: probabilities of labels, of ordered ones, of several yes-or-no labels, or values,
    of which `transform` is then undone. `views` are the maps through which each picture is looked at, and `average`
    what is averaged over them: answers, or what the network puts out before they are made. `columns` are the answers'
    names: the labels, or the targets. `cuts` say how a label is chosen where it is not the likeliest.
    """

    format: Literal[1]
    about: About
    arch: str
    size: tuple[_Side, _Side]
    canvas: tuple[_Side, _Side]
    resize: Literal["squish", "crop", "pad", "reflect"]
    mean: _Three
    std: _Three
    preprocessing: str
    views: Annotated[list[_Map], Field(min_length=1)]
    average: Literal["answers", "outputs"]
    kind: Literal["labels", "ordinal", "yes-or-no", "values"]
    transform: Literal["none", "log1p", "log"]
    columns: Annotated[list[Label], Field(min_length=1)]
    members: Annotated[list[Member], Field(min_length=1)]
    probe: list[float]
    versions: dict[str, str]
    sha256: dict[_Name, str]
    cuts: Cuts | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        """Refuse what contradicts itself here, not as an error of torch somewhere in a forward pass."""
        n = len(self.columns)
        if len(set(self.columns)) < n:
            raise ValueError("columns: a name is listed twice")
        if len(self.probe) != n:
            raise ValueError(f"probe: {n} numbers are expected, one for each column, got {len(self.probe)}")
        if self.cuts and (not self.has_labels or (len(self.cuts.values), len(self.cuts.bounds)) != (n, n - 1)):
            raise ValueError("cuts: these are for labels, with a value for each column and one bound fewer")
        for member in self.members:
            self._check(member)
        return self

    def _check(self, member: Member) -> None:
        n = len(member.columns)
        if lost := [name for name in member.columns if name not in self.columns]:
            raise ValueError(f"members: {member.file} answers for '{lost[0]}', which is none of the columns")
        if member.outputs < n - (self.kind == "ordinal"):
            raise ValueError(f"members: {member.file} has {member.outputs} outputs for {n} columns")
        if self.kind == "values" and (len(member.mean), len(member.scale)) != (n, n):
            raise ValueError(f"members: {member.file} needs a mean and a scale for each column")
        if max(member.views, default=0) >= len(self.views):
            raise ValueError(f"members: {member.file} asks for view {max(member.views)} of {len(self.views)}")

    @property
    def recipe(self) -> dict[str, Any]:
        """What members of one model must have in common."""
        own = {"format", "about", "members", "probe", "versions", "sha256", "views", "cuts"}
        return self.model_dump(exclude=own)

    @property
    def needed(self) -> list[str]:
        """The files that the model is read from."""
        return [_FACTS, PROBE, *(member.file for member in self.members)]

    @property
    def has_labels(self) -> bool:
        """Whether one label of several is the answer, and the columns are what is believed of each."""
        return self.kind in ("labels", "ordinal")

    def distance(self, said: Any, expected: Any) -> float:
        """How far answers are from others at most: the difference of probabilities; of values as a share of the spread.

        Parameters
        ----------
        said, expected : array-like of shape (n_rows, n_columns) or (n_columns,)
        """
        found, wanted = np.asarray(said, dtype=float), np.asarray(expected, dtype=float)
        unit: Any = 1.0
        if self.kind == "values":
            # Of the numbers that were learnt, seen through what undoes the transform: by its slope.
            slope = {"none": np.ones_like(wanted), "log1p": 1 + wanted, "log": wanted}[self.transform]
            unit = np.max([member.scale for member in self.members], axis=0) * np.abs(slope)
        return float(np.max(np.abs(found - wanted) / np.maximum(unit, np.finfo(float).tiny), initial=0.0))


def write_facts(facts: Facts, folder: Path) -> None:
    """Write `model.json`."""
    write_text(folder / _FACTS, json.dumps(facts.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n")


def read_facts(folder: str | Path) -> Facts:
    """What an exported folder says of itself; its files are not looked at.

    Raises
    ------
    StoreError
        It is no exported model, was damaged, or says something that this version of kagglekit does not know.
    """
    path = Path(folder) / _FACTS
    if not path.is_file():
        raise StoreError(
            f"{folder} holds no exported model: it has no {_FACTS}.", hint="Make one: kagglekit export COMP RUN"
        )
    try:
        return Facts.model_validate_json(path.read_text(encoding="utf-8"))
    except ValidationError as error:
        raise _refused(path, error) from error
    except UnicodeDecodeError as error:
        raise StoreError(f"{path} is not UTF-8 text.", hint="Export the model again.") from error


def _refused(path: Path, error: ValidationError) -> StoreError:
    found = error.errors()[0]
    where = ".".join(str(part) for part in found["loc"])
    if found["type"] == "extra_forbidden":
        return StoreError(
            f"{path} has the field '{where}', which this version of kagglekit does not know.",
            hint="Upgrade kagglekit, or export the model again.",
        )
    msg = found["msg"].removeprefix("Value error, ")
    what = f"'{where}': {msg}" if where else msg
    return StoreError(f"{path} does not describe a model of this version ({what}).", hint="Export the model again.")
