"""Inside a notebook: finished folds of earlier sessions go on, and no fold is begun that could not be finished.

Kaggle ends a session at its limit and keeps nothing of it, so time is watched fold by fold, with what this session has
measured itself.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kagglekit.config import Experiment
from kagglekit.errors import MissingExtra, StoreError
from kagglekit.files import read_json, write_json
from kagglekit.forecast import rough_seconds
from kagglekit.kernels.mounts import INPUTS, find_mount
from kagglekit.models.vision.runtime import import_torch
from kagglekit.progress import Progress, Silent, Task
from kagglekit.store import Store

__all__ = ["TIMES", "Pace", "Printing", "carry_on", "gpus_for", "visible_gpus"]

TIMES = "times.json"
"""What a session writes beside its runs: how long each fit took."""

_MARGIN = 1.15  # one fold is not as long as another
_FIRST_SHARE = 0.5  # a fit of unknown length is begun only in this share of the session


class Pace:
    """The time of a session, and which fits may still be begun.

    Parameters
    ----------
    seconds : float
        From now until all must be done.
    fits : mapping of str to collection of str, optional
        Experiment -> names of the folds that this session is for; None for every fold.
    expected : mapping of str to float
        Experiment -> seconds of one fit, where that was measured before.
    now : callable
        A clock in seconds.
    """

    def __init__(
        self,
        seconds: float = math.inf,
        fits: Mapping[str, Collection[str]] | None = None,
        expected: Mapping[str, float] | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._now, self._start, self.seconds = now, now(), seconds
        self._fits, self._longest = fits, dict(expected or {})
        self._measured: list[dict[str, Any]] = []

    def may_fit(self, experiment: str, fold: str) -> bool:
        """Whether a fold is for this session, and would be done in time."""
        if self._fits is not None and fold not in self._fits.get(experiment, ()):
            return False
        passed = self._now() - self._start
        if experiment not in self._longest:
            return passed < self.seconds * _FIRST_SHARE
        return passed + _MARGIN * self._longest[experiment] <= self.seconds

    def measured(self, experiment: Experiment, fold: str, seconds: float, n_rows: int) -> None:
        """Take down how long a fit took."""
        known = [m["seconds"] for m in self._measured if m["experiment"] == experiment.name]
        self._longest[experiment.name] = max([*known, seconds])
        rough = rough_seconds(experiment.model, experiment.params, n_rows, experiment.bags)
        line = {"experiment": experiment.name, "model": experiment.model, "fold": fold}
        self._measured.append(line | {"seconds": seconds, "rough": rough})

    def write(self, path: Path, machine: str) -> None:
        """Write what was measured, for the plan of the next session."""
        write_json(path, [line | {"machine": machine} for line in self._measured])


def carry_on(
    store: Store, slug: str, kernel: str, owner: str, inputs: Path = INPUTS, progress: Progress | None = None
) -> dict[str, list[str]]:
    """Take over what an earlier session of the same notebook finished: its output is an input of this one.

    Parameters
    ----------
    store : Store
        Where this session keeps its runs.
    slug : str
        Of the competition.
    kernel, owner : str
        The notebook's own name and its owner's.
    inputs : Path
    progress : Progress, optional
        Is told what is left behind.

    Returns
    -------
    dict of str to list of str
        Run -> what was taken; empty in a first session. What is damaged is left behind, to be trained again.
    """
    mount = find_mount(kernel, inputs, owner)
    taken: dict[str, list[str]] = {}
    for settings in sorted((mount / "runs" / slug).glob("*/settings.json")) if mount else ():
        try:
            taken[settings.parent.name] = store.take(settings.parent, read_json(settings))
        except StoreError as error:
            (progress or Silent()).say(f"Left behind: {error.message}")
    return {run: names for run, names in taken.items() if names}


def visible_gpus(env: Mapping[str, str] | None = None) -> list[str]:
    """The GPUs of this machine, as CUDA_VISIBLE_DEVICES names them."""
    said = (os.environ if env is None else env).get("CUDA_VISIBLE_DEVICES")
    if said is not None:
        return [name.strip() for name in said.split(",") if name.strip() not in ("", "-1")]
    try:
        torch = import_torch()
    except MissingExtra:
        return []
    return [str(number) for number in range(torch.cuda.device_count())]


def gpus_for(experiment: Experiment, n_jobs: int = 1) -> list[str]:
    """The GPUs that are to fit a fold each: for networks of images, unless the experiment names its device.

    torch is asked for such experiments only, as importing it takes seconds.
    """
    if experiment.model != "timm" or n_jobs > 1 or experiment.params.get("device") is not None:
        return []
    return visible_gpus()


class Printing:
    """Progress for a notebook's log: plain lines, nothing drawn over."""

    @contextmanager
    def task(self, name: str, total: float | None) -> Iterator[Task]:
        self.say(f"{name}: {total:g} steps" if total is not None else name)
        yield _PrintingTask()

    def say(self, text: str) -> None:
        print(text, flush=True)


class _PrintingTask:
    def advance(self, steps: float = 1.0) -> None:
        pass  # a line for each step would bury the log

    def note(self, text: str) -> None:
        print(f"  {text}", flush=True)
