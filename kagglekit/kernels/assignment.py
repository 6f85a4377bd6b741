"""What a notebook is to do, and with what."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from kagglekit.config import Experiment, Pipeline
from kagglekit.kernels.machines import Machine
from kagglekit.kernels.parcels import Parcel
from kagglekit.kernels.plan import Plan

__all__ = ["Assignment", "kernel_slug"]

_LONGEST_TITLE = 50  # Kaggle answers longer ones with an internal error (Kaggle/kaggle-cli, pull request 179)


@dataclass(frozen=True)
class Assignment:
    """What a notebook is to do, and with what.

    Parameters
    ----------
    comp : str
        The competition's folder under `pipelines/`.
    pipeline : Pipeline
        As read from its file; settings that won over the file (`--set`) do not travel.
    experiments : tuple of Experiment
        At least one; trained in this order.
    parcels : mapping of str to Parcel
        The private datasets that it reads: "wheels", "files", "weights ARCH".
    owner : str
        The account's name.
    machine : Machine
    plan : Plan
    submit : bool
        Whether it writes `submission.csv`: of its one experiment, with all folds.
    goes_on : bool
        Whether its own earlier output is among its inputs.
    ladder : str
        The record of a ladder's candidates among the experiments, as text; "" where there are none.
    docker_image : str
        The image to run on; "" for Kaggle's newest.
    """

    comp: str
    pipeline: Pipeline
    experiments: tuple[Experiment, ...]
    parcels: Mapping[str, Parcel]
    owner: str
    machine: Machine
    plan: Plan
    submit: bool = False
    goes_on: bool = False
    ladder: str = ""
    docker_image: str = ""

    @property
    def slug(self) -> str:
        """The notebook's name in its address."""
        return kernel_slug(self.comp, [e.name for e in self.experiments], submit=self.submit)

    @property
    def code_file(self) -> str:
        return f"{self.slug.removeprefix('kagglekit-')}.ipynb"


def kernel_slug(comp: str, experiments: Iterable[str], *, submit: bool = False) -> str:
    """The notebook's name in its address. The same experiments give the same name, and so a new version of it."""
    names = [*["submit"] * submit, *sorted(set(experiments))]
    slug = "-".join(re.findall(r"[a-z0-9]+", " ".join(["kagglekit", comp, *names]).lower()))
    if len(slug) <= _LONGEST_TITLE and "".join([comp, *names]).isascii():
        return slug
    digest = hashlib.sha256("\n".join([comp, *names]).encode()).hexdigest()[:8]
    return f"{slug[: _LONGEST_TITLE - 9].rstrip('-')}-{digest}"
