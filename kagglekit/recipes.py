"""Recipes for further columns of a table, as a pipeline file states them: `[features.NAME]`.

What they mean is in `kagglekit.models.features`, where they are learnt on the rows that a model is fitted on.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveInt

__all__ = ["Aggregate", "How", "Recipes"]

How = Literal["mean", "std", "min", "max", "median", "nunique"]
_Pair = Annotated[list[str], Field(min_length=2, max_length=2)]
_Several = Annotated[list[str], Field(min_length=2)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Aggregate(_Table):
    """What the rows of one group have in common.

    Parameters
    ----------
    by : str
        The column that names the group; several are joined first, by `combine`.
    of : str
        The column that is summed up.
    how : {"mean", "std", "min", "max", "median", "nunique"}
    relative : {"none", "difference", "ratio"}
        A further column that holds the row's own value against its group's.
    """

    by: str
    of: str
    how: How = "mean"
    relative: Literal["none", "difference", "ratio"] = "none"


class Recipes(_Table):
    """Columns to be made of others, in the order of these keys: a later one may use what an earlier one made.

    Parameters
    ----------
    dates : dict of str to str
        Columns that hold dates as text, and their format ("%d.%m.%Y"). ISO dates are found without it.
    ordered : dict of str to list
        Columns whose levels have an order, and their levels from low to high.
    rare : dict of str to int
        Columns, and the fewest fit rows of a level; rarer levels become one.
    missing : list of str
        Columns that get a flag beside them: is the value missing?
    combine : list of lists of str
        Columns whose combination is a new level ("a+b").
    ratios, differences : list of pairs of str
        Numbers ("a/b", "a-b"); the difference of two dates is in days.
    counts : list of str
        How many fit rows have the row's level ("count(a)").
    aggregates : list of Aggregate
        Statistics of groups of fit rows ("mean(price by store)").
    target_encode : list of str
        The mean target of the row's level ("target(a)"), or the share of each class, drawn towards the overall one
        where there are few rows. Rows that are fitted on are encoded by other rows only.
    smooth : "auto" or float
        How many rows the overall mean counts for in `target_encode`; "auto" tells it from the spread within levels
        (Micci-Barreca 2001).
    leave_out : list of str
        Columns that the model itself does not see, such as codes that are target-encoded.
    """

    dates: dict[str, str] = Field(default_factory=dict)
    ordered: dict[str, list[str | int]] = Field(default_factory=dict)
    rare: dict[str, PositiveInt] = Field(default_factory=dict)
    missing: list[str] = Field(default_factory=list)
    combine: list[_Several] = Field(default_factory=list)
    ratios: list[_Pair] = Field(default_factory=list)
    differences: list[_Pair] = Field(default_factory=list)
    counts: list[str] = Field(default_factory=list)
    aggregates: list[Aggregate] = Field(default_factory=list)
    target_encode: list[str] = Field(default_factory=list)
    smooth: Literal["auto"] | NonNegativeFloat = "auto"
    leave_out: list[str] = Field(default_factory=list)

    @property
    def made(self) -> list[str]:
        """Columns that later recipes may use beside the table's own: those of `combine`, `ratios`, `differences`."""
        names = ["+".join(columns) for columns in self.combine]
        return [*names, *("/".join(pair) for pair in self.ratios), *("-".join(pair) for pair in self.differences)]

    @property
    def used(self) -> list[str]:
        """Columns that must be in the table."""
        named = [*self.dates, *self.ordered, *self.rare, *self.missing, *self.counts, *self.target_encode]
        for columns in (*self.combine, *self.ratios, *self.differences):
            named += columns
        named += [column for a in self.aggregates for column in (a.by, a.of)]
        return [c for c in dict.fromkeys([*named, *self.leave_out]) if c not in self.made]

    @property
    def plain(self) -> dict[str, Any]:
        """What was set, as JSON values."""
        return self.model_dump(exclude_defaults=True)
