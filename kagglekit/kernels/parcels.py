"""Parcels: files that travel to Kaggle as private datasets, versioned by what they hold.

::

    build/datasets/<slug>/
        manifest-<digest>.json      name -> SHA-256 of every file; its own name stands for all of them
        ...

The digest in a file's name is what makes a change visible on the site: its listing shows names, and no hashes.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kagglekit.config import Experiment, Pipeline
from kagglekit.errors import UsageError
from kagglekit.files import atomic_folder, sha256, write_json
from kagglekit.kernels.wheels import kagglekit_wheel, lacking, repacked
from kagglekit.models import registry
from kagglekit.models.vision.weights import RANDOM, find_weights

__all__ = ["Parcel", "pack", "parcels_for"]

_LONGEST_SLUG = 50


@dataclass(frozen=True)
class Parcel:
    """Files for one private dataset, ready in a folder.

    Parameters
    ----------
    slug : str
        The dataset's name in its address.
    folder : Path
    files : mapping of str to str
        Name -> SHA-256, in hex.
    """

    slug: str
    folder: Path
    files: Mapping[str, str]

    @property
    def digest(self) -> str:
        """Sixteen hex digits that stand for every name and content."""
        lines = "\n".join(f"{name} {digest}" for name, digest in sorted(self.files.items()))
        return hashlib.sha256(lines.encode()).hexdigest()[:16]

    @property
    def manifest(self) -> str:
        return f"manifest-{self.digest}.json"

    @property
    def names(self) -> list[str]:
        """Every file of the dataset, sorted."""
        return sorted([*self.files, self.manifest])

    @property
    def title(self) -> str:
        return self.slug.replace("-", " ")


def parcels_for(comp: str, pipeline: Pipeline, experiments: Iterable[Experiment], folder: Path) -> dict[str, Parcel]:
    """What these experiments need on Kaggle: "wheels", "files" where the pipeline has some, "weights ARCH".

    Parameters
    ----------
    comp : str
    pipeline : Pipeline
    experiments : iterable of Experiment
    folder : Path
        Where the parcels' folders are made.

    Raises
    ------
    WeightsNotFound
        An architecture's pretrained weights are not on this computer.
    UsageError
        An experiment names its weights by a path of this computer.
    """
    chosen = list(experiments)
    wheels = [kagglekit_wheel(), *map(repacked, lacking(e.model for e in chosen))]
    parcels = {"wheels": _written("kagglekit-wheels", dict(wheels), folder)}
    if own := own_files(pipeline):
        parcels["files"] = pack(_slug(f"kagglekit-{comp}-files"), {p.name: p for p in own}, folder)
    for arch in _archs(chosen, pipeline.competition.task):
        path = find_weights(arch).path
        if path is not None:
            # With the tag, of which a slug that is cut may show a part only.
            name = f"{re.sub('[^a-z0-9.]+', '_', arch.lower())}{path.suffix}"
            parcels[f"weights {arch}"] = pack(_slug(f"kagglekit-weights-{arch}"), {name: path}, folder)
    return parcels


def own_files(pipeline: Pipeline) -> list[Path]:
    """The files beside the pipeline file that it uses."""
    corrections = (e.cleaning_file for e in pipeline.experiments.values())
    named = dict.fromkeys(n for n in ("features.py", pipeline.folds.groups, *corrections) if n)
    return [path for name in named if (path := pipeline.path.parent / name).is_file()]


def pack(slug: str, files: Mapping[str, Path], folder: Path) -> Parcel:
    """Copy files into a parcel's folder, unless they are there as they are now."""
    parcel = Parcel(slug, folder / slug, {name: sha256(path) for name, path in sorted(files.items())})
    if not _is_packed(parcel):
        with atomic_folder(parcel.folder) as temporary:
            for name, path in files.items():
                shutil.copyfile(path, temporary / name)
            write_json(temporary / parcel.manifest, dict(parcel.files))
    return parcel


def _written(slug: str, files: Mapping[str, bytes], folder: Path) -> Parcel:
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in sorted(files.items())}
    parcel = Parcel(slug, folder / slug, digests)
    if not _is_packed(parcel):
        with atomic_folder(parcel.folder) as temporary:
            for name, data in files.items():
                (temporary / name).write_bytes(data)
            write_json(temporary / parcel.manifest, dict(parcel.files))
    return parcel


def _is_packed(parcel: Parcel) -> bool:
    here = sorted(p.name for p in parcel.folder.iterdir()) if parcel.folder.is_dir() else []
    return here == parcel.names and all(sha256(parcel.folder / n) == d for n, d in parcel.files.items())


def _archs(experiments: Sequence[Experiment], task: str) -> list[str]:
    """The architectures whose pretrained weights are needed, in order of first use."""
    found: dict[str, None] = {}
    for experiment in experiments:
        offered = registry.parameters(experiment.model, task)
        if not {"arch", "weights"} <= offered.keys():
            continue
        weights = experiment.params.get("weights")
        if weights not in (None, RANDOM):
            raise UsageError(
                f"Experiment '{experiment.name}' names its weights by a path of this computer: {weights}.",
                hint="Leave `weights` out: those of the architecture travel as a private dataset.",
            )
        if weights is None:
            found[str(experiment.params.get("arch", offered["arch"].default))] = None
    return list(found)


def _slug(text: str) -> str:
    slug = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    if len(slug) <= _LONGEST_SLUG:
        return slug
    return f"{slug[: _LONGEST_SLUG - 9].rstrip('-')}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
