"""What a ladder leaves on disk beside its runs: its candidates, and what models cost on this machine."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from kagglekit.config import Experiment
from kagglekit.errors import StoreError
from kagglekit.files import read_json, write_json
from kagglekit.ladder.probe import Speed
from kagglekit.rungs import COMMON

__all__ = [
    "Candidate",
    "Measured",
    "Record",
    "candidates_text",
    "changed",
    "known_candidates",
    "load_ladder",
    "made",
]

_FILE = "ladder.json"
_FORMAT = 1


@dataclass(frozen=True)
class Candidate:
    """An experiment that a rung made.

    Parameters
    ----------
    start : str
        The experiment of the pipeline file that the ladder begins with.
    parent : str
        The best so far when it was made.
    why : str
    params, common : dict
        Settings of the model, and keys that every experiment has, that differ from those of `start`.
    """

    start: str
    parent: str
    why: str
    params: Mapping[str, Any]
    common: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, start: Experiment, trial: Experiment, parent: str, why: str) -> Candidate:
        """What makes an experiment out of the ladder's start."""
        params = {k: v for k, v in trial.params.items() if k not in start.params or start.params[k] != v}
        common = {key: getattr(trial, key) for key in COMMON if getattr(trial, key) != getattr(start, key)}
        return cls(start.name, parent, why, params, common)


@dataclass(frozen=True)
class Measured:
    """The shared fold of one run: what it was forecast to take, and what it took.

    Parameters
    ----------
    forecast : float
        Seconds.
    forecast_mb, forecast_gpu_mb, mb, gpu_mb : float
        Memory at its highest; 0 where it is not known.
    basis : str
        What the forecast was made from.
    """

    forecast: float
    forecast_mb: float = 0.0
    forecast_gpu_mb: float = 0.0
    basis: str = ""
    mb: float = 0.0
    gpu_mb: float = 0.0

    def memory(self) -> str:
        """The forecast of memory in words; "" where there is none.

        >>> Measured(60, forecast_mb=812.3).memory()
        '812 MB'
        """
        if self.forecast_gpu_mb:
            return f"{self.forecast_gpu_mb:.0f} MB on the GPU"
        return f"{self.forecast_mb:.0f} MB" if self.forecast_mb else ""


@dataclass
class Record:
    """All that is kept; the runs themselves are in the store.

    Parameters
    ----------
    folder : Path
        The store's.
    candidates : dict of str to Candidate
        By name.
    speeds : dict of str to Speed
        By machine and settings that cost time.
    off : dict of str to float
        By machine and model: how far rough guesses were off.
    measured : dict of str to Measured
        By the id of a run.
    decoded : list of str
        Sizes and preprocessings whose images were decoded before.
    fold : str
        The fold that decided.
    promoted : list of str
        Names of what was promoted, in order.
    """

    folder: Path
    candidates: dict[str, Candidate] = field(default_factory=dict)
    speeds: dict[str, Speed] = field(default_factory=dict)
    off: dict[str, float] = field(default_factory=dict)
    measured: dict[str, Measured] = field(default_factory=dict)
    decoded: list[str] = field(default_factory=list)
    fold: str = ""
    promoted: list[str] = field(default_factory=list)

    def save(self) -> None:
        """Write it, whole or not at all."""
        self.folder.mkdir(parents=True, exist_ok=True)
        write_json(self.folder / _FILE, self._facts())

    def _facts(self) -> dict[str, Any]:
        return {"format": _FORMAT, **{key: value for key, value in asdict(self).items() if key != "folder"}}


def load_ladder(folder: Path) -> Record:
    """What an earlier climb left; nothing where there was none, or where another version wrote it."""
    path = folder / _FILE
    try:
        facts = read_json(path) if path.is_file() else {}
        if not isinstance(facts, dict) or facts.pop("format", None) != _FORMAT:
            return Record(folder)
        return Record(
            folder,
            candidates={name: Candidate(**one) for name, one in facts["candidates"].items()},
            speeds={key: Speed(**one) for key, one in facts["speeds"].items()},
            off=facts["off"],
            measured={run: Measured(**one) for run, one in facts["measured"].items()},
            decoded=facts["decoded"],
            fold=facts["fold"],
            promoted=facts["promoted"],
        )
    except (StoreError, KeyError, TypeError, AttributeError):
        return Record(folder)  # it holds nothing that cannot be found again


def made(start: Experiment, name: str, candidate: Candidate) -> Experiment:
    """A candidate as an experiment; it is left out of `submit` until all its folds are trained."""
    known = replace(
        start,
        name=name,
        why=candidate.why,
        based_on=candidate.parent,
        params={**start.params, **candidate.params},
        optional=True,
        offered=True,
    )
    return changed(known, candidate.common)


def changed(experiment: Experiment, changes: Mapping[str, Any]) -> Experiment:
    """An experiment with other values of `rungs.COMMON`; weights of other targets than before mean nothing."""
    if "extra_targets" in changes:
        experiment = replace(experiment, extra_targets=tuple(changes["extra_targets"]), extra_weights=())
    return replace(experiment, seeds=changes["seeds"]) if "seeds" in changes else experiment


def known_candidates(record: Record, experiments: Mapping[str, Experiment]) -> dict[str, Experiment]:
    """The candidates of earlier climbs as experiments, as far as what they change is still there."""
    found: dict[str, Experiment] = {}
    for name, one in record.candidates.items():
        if name not in experiments and one.start in experiments and (one.parent in experiments or one.parent in found):
            found[name] = made(experiments[one.start], name, one)
    return found


def candidates_text(record: Record, names: Collection[str]) -> str:
    """What another computer must have as its record to know these candidates, and those they were made from.

    "" where none of the names is a candidate's.
    """
    needed: set[str] = set()
    for name in names:
        while name in record.candidates and name not in needed:
            needed.add(name)
            name = record.candidates[name].parent
    if not needed:
        return ""
    # In the order in which they were made: a parent comes first.
    few = Record(record.folder, candidates={n: one for n, one in record.candidates.items() if n in needed})
    return json.dumps(few._facts(), indent=2)
