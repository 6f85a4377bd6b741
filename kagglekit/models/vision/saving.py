"""Writing a fitted image model as a folder of plain files, and several of them as one; `exported` reads them.

A folder is written whole or not at all, and what was written is asked the same question as the fitted model.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kagglekit.errors import UsageError
from kagglekit.files import atomic, atomic_folder, link_or_copy, sha256
from kagglekit.models.vision.exported import load
from kagglekit.models.vision.facts import PROBE, About, Facts, Label, Member, read_facts, write_facts
from kagglekit.models.vision.fitted import Fitted, fitted_networks
from kagglekit.provenance import versions
from kagglekit.targets import get_target

__all__ = ["merge", "save"]

_Map = list[list[float]]

_PREPROCESSING = (
    "Turn the image as EXIF says, as RGB. Bring it to `canvas` (height, width): by `resize` where that is `size` too, "
    "else ignoring its shape. Of that, `resize` (squish: all; crop: the largest middle part of the shape of `size`; "
    "pad and reflect: all, with borders) is read at `size` through each map of `views`, by one bilinear grid_sample, "
    "after an area mean where it is more than twice as large. Bytes / 255, minus mean, over std, by channel."
)
# Between the fitted model and the files it was written to; both compute in single precision. On a GPU they compute in
# TF32, and what is folded into one layer rounds otherwise than two layers do.
_SAME = {"cpu": 1e-4, "cuda": 1e-2}


def save(
    estimator: Any, folder: Path, *, about: About, columns: Sequence[Label] = (), transform: str = "none"
) -> Facts:
    """Write a fitted image model, or a bag of them, to a new folder.

    Parameters
    ----------
    estimator : fitted TimmClassifier, TimmRegressor, FrozenFeatures or FrozenFeaturesRegressor, or a bag of these
    folder : Path
        It must not exist.
    about : About
    columns : sequence, optional
        The labels, and with them the order of the answer; those that the model saw, sorted, if not given. A class that
        it never saw gets probability nought. For values, what they are called.
    transform : {"none", "log1p", "log"}
        What was done to values before the fit, and is undone to each network's answer.

    Raises
    ------
    UsageError
        The estimator is none of these, or there is something at `folder`.
    """
    networks = fitted_networks(estimator)
    first, files = networks[0], [f"{number:02d}.safetensors" for number in range(len(networks))]
    named = _plain(columns) if len(columns) else _own_columns(estimator, first)
    views, own = _shared([network.views for network in networks])
    with _new_folder(folder) as made:
        for file, network in zip(files, networks, strict=True):
            _write_tensors(network, made / file)
        _write_probe(made / PROBE, first.canvas)
        facts = Facts(
            format=1,
            about=about,
            arch=first.arch,
            size=first.size,
            canvas=first.canvas,
            resize=first.resize,
            mean=first.mean,
            std=first.std,
            preprocessing=_PREPROCESSING,
            views=views,
            average=first.average,
            kind=first.kind,
            transform=_transform(transform),
            columns=named,
            members=[_member(*one, named) for one in zip(networks, files, own, strict=True)],
            probe=_said(estimator, made / PROBE, first.kind, named, transform),
            versions=versions(),
            sha256={name: sha256(made / name) for name in (*files, PROBE)},
        )
        write_facts(facts, made)
        load(made, device=first.device, tolerance=_SAME.get(first.device.type, _SAME["cuda"]))
    return facts


def _own_columns(estimator: Any, network: Fitted) -> list[Label]:
    if network.kind != "values":
        return _plain(estimator.classes_)
    return [f"value {n}" for n in range(1, len(network.mean_y) + 1)] if len(network.mean_y) > 1 else ["value"]


def _shared(views: Sequence[list[_Map]]) -> tuple[list[_Map], list[list[int]]]:
    """All maps that differ, and for each member the places of its own among them; none where it takes them all.

    Views by chance are drawn by each member's own seed.
    """
    found: list[_Map] = []
    for one in (one for own in views for one in own):
        if one not in found:
            found.append(one)
    places = [[found.index(one) for one in own] for own in views]
    return found, [[] if own == list(range(len(found))) else own for own in places]


def _member(network: Fitted, file: str, views: list[int], columns: Sequence[Label]) -> Member:
    own = list(columns) if network.kind == "values" else _plain(network.classes)
    known = {str(column): column for column in columns}
    if lost := [label for label in own if str(label) not in known]:
        raise UsageError(f"The model was fitted on the label '{lost[0]}', which is none of the classes.")
    return Member(
        file=file,
        outputs=network.outputs,
        columns=[known[str(label)] for label in own],
        mean=list(network.mean_y),
        scale=list(network.scale_y),
        views=views,
    )


def _said(estimator: Any, probe: Path, kind: str, columns: Sequence[Label], transform: str) -> list[float]:
    """What the fitted model itself says of the probe."""
    X = pd.DataFrame({str(getattr(estimator, "estimator", estimator).path_col): [str(probe)]})
    if kind != "values":
        frame = pd.DataFrame(estimator.predict_proba(X), columns=[str(label) for label in _plain(estimator.classes_)])
        return frame.reindex(columns=[str(c) for c in columns], fill_value=0.0).iloc[0].astype(float).tolist()
    values = np.asarray(estimator.predict(X), dtype=float).reshape(1, -1)
    return get_target(transform).backward(pd.DataFrame(values)).iloc[0].astype(float).tolist()


def merge(folders: Mapping[str, Path], folder: Path, *, about: About, plain: bool = False) -> Facts:
    """One model out of several: its probabilities are the mean over all their networks.

    Parameters
    ----------
    folders : mapping of str to Path
        Exported models by what their files are to be called ("fold-0"); of one architecture and preprocessing.
    folder : Path
        It must not exist.
    about : About
    plain : bool
        Look at each picture as it is only, whatever views the models were fitted to be asked by.

    Raises
    ------
    UsageError
        They differ in more than their tensors, or there is something at `folder`.
    StoreError
        See `load`.
    """
    parts = {name: read_facts(path) for name, path in folders.items()}
    first = next(iter(parts.values()))
    for name, facts in parts.items():
        if facts.recipe != first.recipe:
            raise UsageError(f"{folders[name]} was made by other settings than {next(iter(folders.values()))}.")
    named = _named(parts)
    views, own = _shared([_views_of(parts[name], member) for name, member, _ in named])
    weights = [len(facts.members) for facts in parts.values()]
    merged = first.model_copy(
        update={
            "about": about,
            "views": views[:1] if plain else views,
            "members": [
                new.model_copy(update={"views": [] if plain else places})
                for (_, _, new), places in zip(named, own, strict=True)
            ],
            "probe": np.average([f.probe for f in parts.values()], axis=0, weights=weights).tolist(),
            # Those that were written down with the parts: a file that was damaged since is noticed.
            "sha256": {new.file: parts[name].sha256[old.file] for name, old, new in named}
            | {PROBE: first.sha256[PROBE]},
        }
    )
    with _new_folder(folder) as made:
        for name, old, new in named:
            link_or_copy(folders[name] / old.file, made / new.file)
        link_or_copy(next(iter(folders.values())) / PROBE, made / PROBE)
        write_facts(merged, made)
        if plain:
            said = load(made, tolerance=np.inf).answers([made / PROBE]).iloc[0]
            merged = merged.model_copy(update={"probe": said.astype(float).tolist()})
            write_facts(merged, made)
        load(made)
    return merged


def _named(parts: Mapping[str, Facts]) -> list[tuple[str, Member, Member]]:
    """Every member with the name of its part: as it is there, and under the name and bag that it gets in the whole."""
    found = []
    for bag, (name, facts) in enumerate(parts.items()):
        for number, member in enumerate(facts.members):
            file = f"{name}.safetensors" if len(facts.members) == 1 else f"{name}-{number:02d}.safetensors"
            found.append((name, member, member.model_copy(update={"file": file, "bag": bag})))
    return found


def _views_of(facts: Facts, member: Member) -> list[_Map]:
    return [facts.views[place] for place in member.views] or facts.views


def _write_tensors(network: Fitted, path: Path) -> None:
    from safetensors.torch import save as serialised

    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state().items()}
    with atomic(path) as file:
        file.write(serialised(tensors))


def _write_probe(path: Path, size: tuple[int, int]) -> None:
    """A picture with edges, colours and fine grain, not square, and large enough for JPEG draft decoding."""
    from PIL import Image

    height, width = min(4 * size[0], 1600), min(5 * size[1], 2000)
    y, x = np.mgrid[:height, :width] / max(height, width)
    waves = [np.sin(9 * x + 4 * y), np.cos(13 * y * x), np.sign(np.sin(40 * x) * np.sin(23 * y))]
    noise = np.random.default_rng(0).normal(0, 0.05, (height, width, 3))
    pixels = np.clip((np.stack(waves, axis=2) + noise + 1.5) * 85, 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=80)
    with atomic(path) as file:
        file.write(buffer.getbuffer())


def _plain(labels: Sequence[Any]) -> list[Label]:
    """Labels as JSON has them."""
    plain = [label.item() if isinstance(label, np.generic) else label for label in labels]
    return [label if isinstance(label, int) and not isinstance(label, bool) else str(label) for label in plain]


def _transform(name: str) -> Any:
    return get_target(name).name


@contextmanager
def _new_folder(folder: Path) -> Iterator[Path]:
    if folder.exists():
        raise UsageError(f"{folder} exists already and was left alone.", hint="Name another folder, or move it away.")
    with atomic_folder(folder) as made:
        yield made
