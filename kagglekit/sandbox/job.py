"""What is to be run, on what, and how much of the computer it may use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from kagglekit.errors import UsageError

__all__ = ["Job", "Kind", "Layout", "Limits", "Source", "mounted_at"]

Kind = Literal["notebook", "script"]
Source = Literal["competition", "dataset", "kernel"]
Layout = Literal["old", "new"]

_SHELVES: Mapping[Source, str] = {"competition": "competitions", "dataset": "datasets", "kernel": "notebooks"}


@dataclass(frozen=True)
class Limits:
    """Of memory and disk in bytes, of time in seconds; by default those of a session without an accelerator.

    Source: https://www.kaggle.com/docs/notebooks, "Technical Specifications": 12 hours, 30 GB of memory, 20 GB of
    output.
    """

    memory: int = 30 << 30
    seconds: float = 12 * 3600.0
    disk: int = 20 << 30

    def __post_init__(self) -> None:
        if min(self.memory, self.seconds, self.disk) <= 0:
            raise UsageError("Limits of memory, time and disk must be more than 0.")


@dataclass(frozen=True)
class Job:
    """One run.

    Parameters
    ----------
    source : str
        The notebook as JSON, or the script.
    kind : {"notebook", "script"}
    inputs : mapping of str to Path
        What is mounted below `/kaggle/input`, by its place there, such as "titanic" or "datasets/ann/wheels".
    limits : Limits
    rerun : bool
        Whether this is the run that a code competition scores: KAGGLE_IS_COMPETITION_RERUN is then set.
    session : {"Batch", "Interactive"}
        KAGGLE_KERNEL_RUN_TYPE; "Batch" is what a push starts.
    """

    source: str
    kind: Kind = "notebook"
    inputs: Mapping[str, Path] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    rerun: bool = False
    session: Literal["Batch", "Interactive"] = "Batch"

    @property
    def file_name(self) -> str:
        return "notebook.ipynb" if self.kind == "notebook" else "script.py"

    def environment(self) -> dict[str, str]:
        """The variables that Kaggle sets and a program may ask for; no more, and nothing of the user's."""
        found = {"KAGGLE_KERNEL_RUN_TYPE": self.session, "PYTHONUNBUFFERED": "1", "LANG": "C.UTF-8"}
        found |= {"MPLBACKEND": "agg"} if self.kind == "script" else {}
        return found | ({"KAGGLE_IS_COMPETITION_RERUN": "1"} if self.rerun else {})


def mounted_at(kind: Source, owner: str, slug: str, layout: Layout = "old") -> str:
    """Where a kernel finds a source, below `/kaggle/input`.

    Kaggle's images differ: the older ones have every source there by its slug, newer ones on a shelf for its kind.

    >>> mounted_at("dataset", "ann", "wheels"), mounted_at("dataset", "ann", "wheels", "new")
    ('wheels', 'datasets/ann/wheels')
    >>> mounted_at("competition", "", "titanic", "new")
    'competitions/titanic'
    """
    if layout == "old":
        return slug
    return "/".join(part for part in (_SHELVES[kind], owner, slug) if part)
