"""A fitted image model as a folder of plain files: tensors as safetensors, all else as JSON; nothing is unpickled.

::

    FOLDER/
        model.json           architecture, preprocessing, classes, members, versions; SHA-256 of the other files
        fold-0.safetensors   the tensors of one fitted network, and so on: their answers are averaged
        probe.jpg            a picture; model.json says what was predicted for it when the folder was written

A folder is written whole or not at all. On loading, the hashes are checked and the probe is predicted again: what
another version of timm, Pillow or kagglekit would change in silence is noticed before the first answer.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from kagglekit.errors import KagglekitError, StoreError, UsageError
from kagglekit.files import atomic, atomic_folder, link_or_copy, sha256, write_text
from kagglekit.models.vision.fitted import Fitted, fitted_networks
from kagglekit.models.vision.lens import Lens, Sight
from kagglekit.models.vision.runtime import import_torch, pick_device, quiet
from kagglekit.models.vision.transforms import Normalizer
from kagglekit.models.vision.weights import RANDOM, create_backbone
from kagglekit.progress import Progress, Silent
from kagglekit.provenance import versions
from kagglekit.targets import get_target

__all__ = [
    "PROBE",
    "About",
    "ExportedModel",
    "Facts",
    "Member",
    "is_exported",
    "load",
    "merge",
    "read_facts",
    "save",
    "write_facts",
]

PROBE = "probe.jpg"
"""The picture whose answers are written down."""

_FACTS = "model.json"
_PREPROCESSING = (
    "Turn the image as EXIF says, as RGB. Bring it to `canvas` (height, width): by `resize` where that is `size` too, "
    "else ignoring its shape. Of that, `resize` (squish: all; crop: the largest middle part of the shape of `size`; "
    "pad and reflect: all, with borders) is read at `size` through each map of `views`, by one bilinear grid_sample, "
    "after an area mean where it is more than twice as large. Bytes / 255, minus mean, over std, by channel."
)
_CHUNK = 64
_SAME = 1e-4  # between the fitted model and the files it was written to; both compute in single precision
# Between machines: TF32 on a GPU moves probabilities by a thousandth, another preprocessing by far more.
_ALIKE = 1e-2

_Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
_Label = str | int


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Member(_Strict):
    """One fitted network: its file, its number of outputs, and what they are.

    `columns` are the answers that it gives, in its own order; for values an output is multiplied by `scale`, and `mean`
    is added. Outputs beyond those that this takes belong to targets that were only learnt beside.
    """

    file: _Name
    outputs: int
    columns: list[_Label]
    mean: list[float] = []
    scale: list[float] = []


class About(_Strict):
    """What people should know of a model: what it is called, what it was fitted on, what it scored."""

    name: str
    fitted: str = ""
    score: str = ""


class Facts(_Strict):
    """All that `model.json` says.

    `kind` is what the answers are: probabilities of labels, of ordered ones, of several yes-or-no labels, or values,
    of which `transform` is then undone. `views` are the maps through which each picture is looked at, and `average`
    what is averaged over them: answers, or what the network puts out before they are made. `columns` are the answers'
    names: the labels, or the targets.
    """

    format: Literal[1]
    about: About
    arch: str
    size: tuple[int, int]
    canvas: tuple[int, int]
    resize: Literal["squish", "crop", "pad", "reflect"]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    preprocessing: str
    views: list[list[list[float]]]
    average: Literal["answers", "outputs"]
    kind: Literal["labels", "ordinal", "yes-or-no", "values"]
    transform: Literal["none", "log1p", "log"]
    columns: list[_Label]
    members: list[Member]
    probe: list[float]
    versions: dict[str, str]
    sha256: dict[_Name, str]

    @property
    def recipe(self) -> dict[str, Any]:
        """What members of one model must have in common."""
        return self.model_dump(exclude={"format", "about", "members", "probe", "versions", "sha256"})

    @property
    def needed(self) -> list[str]:
        """The files that the model is read from."""
        return [_FACTS, PROBE, *(member.file for member in self.members)]

    @property
    def has_labels(self) -> bool:
        """Whether one label of several is the answer, and the columns are what is believed of each."""
        return self.kind in ("labels", "ordinal")


def is_exported(folder: Path) -> bool:
    """Whether a folder says that it holds an exported model."""
    return (folder / _FACTS).is_file()


def save(
    estimator: Any, folder: Path, *, about: About, columns: Sequence[_Label] = (), transform: str = "none"
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
    named = _plain(columns) if len(columns) else _own_columns(first)
    members = [_member(network, file, named) for network, file in zip(networks, files, strict=True)]
    with _new_folder(folder) as made:
        for member, network in zip(members, networks, strict=True):
            _write_tensors(network, made / member.file)
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
            views=first.views,
            average=first.average,
            kind=first.kind,
            transform=_transform(transform),
            columns=named,
            members=members,
            probe=_said(estimator, made / PROBE, first.kind, named, transform),
            versions=versions(),
            sha256={name: sha256(made / name) for name in (*files, PROBE)},
        )
        write_facts(facts, made)
        load(made, device=first.device, tolerance=_SAME)
    return facts


def _own_columns(network: Fitted) -> list[_Label]:
    if network.kind != "values":
        return _plain(network.classes)
    return [f"value {n}" for n in range(1, len(network.mean_y) + 1)] if len(network.mean_y) > 1 else ["value"]


def _member(network: Fitted, file: str, columns: Sequence[_Label]) -> Member:
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
    )


def _said(estimator: Any, probe: Path, kind: str, columns: Sequence[_Label], transform: str) -> list[float]:
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
    weights = [len(facts.members) for facts in parts.values()]
    members: list[Member] = []
    with _new_folder(folder) as made:
        for name, facts in parts.items():
            for number, member in enumerate(facts.members):
                file = f"{name}.safetensors" if len(facts.members) == 1 else f"{name}-{number:02d}.safetensors"
                link_or_copy(folders[name] / member.file, made / file)
                members.append(member.model_copy(update={"file": file}))
        link_or_copy(next(iter(folders.values())) / PROBE, made / PROBE)
        merged = first.model_copy(
            update={
                "about": about,
                "members": members,
                "probe": np.average([f.probe for f in parts.values()], axis=0, weights=weights).tolist(),
                "sha256": {name: sha256(made / name) for name in (*(m.file for m in members), PROBE)},
            }
        )
        if plain and merged.average == "answers":
            merged = merged.model_copy(update={"views": merged.views[:1]})
            write_facts(merged, made)
            said = load(made, tolerance=np.inf).answers([made / PROBE]).iloc[0]
            merged = merged.model_copy(update={"probe": said.astype(float).tolist()})
        write_facts(merged, made)
        load(made)
    return merged


def write_facts(facts: Facts, folder: Path) -> None:
    """Write `model.json`."""
    write_text(folder / _FACTS, json.dumps(facts.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n")


def read_facts(folder: Path) -> Facts:
    """What an exported folder says of itself; its files are not looked at.

    Raises
    ------
    StoreError
        It is no exported model, was damaged, or says something that this version of kagglekit does not know.
    """
    path = folder / _FACTS
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


def load(folder: Path, *, device: Any = None, tolerance: float = _ALIKE) -> ExportedModel:
    """Read an exported model; no file is unpickled, so a folder of unknown origin can run no code.

    Parameters
    ----------
    folder : Path
    device : torch.device or str, optional
        None takes the GPU when there is one.
    tolerance : float
        How far the probabilities of the probe may be from those that were written.

    Raises
    ------
    StoreError
        It is no exported model, a file was changed, or it predicts otherwise here than where it was written.
    ConfigError
        The installed timm has no such architecture.
    MissingExtra
    """
    facts = read_facts(folder)
    for name in (*(m.file for m in facts.members), PROBE):
        path = folder / name
        if not path.is_file() or sha256(path) != facts.sha256.get(name):
            raise StoreError(f"{path} is not as it was exported.", hint="Restore it, or export the model again.")
    model = ExportedModel(facts, pick_device(device), [_network(facts, m, folder) for m in facts.members])
    said, expected = model.answers([folder / PROBE]).to_numpy()[0], np.asarray(facts.probe)
    off = float(np.abs((said - expected) / np.maximum(1, np.abs(expected))).max())
    if not off <= tolerance:
        was = ", ".join(f"{n} {v}" for n, v in facts.versions.items() if n in ("torch", "timm", "kagglekit"))
        raise StoreError(
            f"The model in {folder} predicts its probe otherwise than when it was exported (by {off:.2g}).",
            hint=f"It was made with {was}: install those, or export it again.",
        )
    return model


@dataclass(frozen=True, eq=False)
class ExportedModel:
    """Networks that answer with the mean of what each says. Make one with `load`.

    Parameters
    ----------
    facts : Facts
    device : torch.device
    networks : sequence of torch.nn.Module
        In the order of `facts.members`.
    """

    facts: Facts
    device: Any
    networks: Sequence[Any]

    def answers(self, paths: Sequence[str | Path], *, progress: Progress | None = None) -> pd.DataFrame:
        """What is predicted for image files: probabilities of labels, or values.

        Parameters
        ----------
        paths : sequence of str or Path
        progress : Progress, optional

        Returns
        -------
        DataFrame of shape (n_images, n_columns)
            Indexed by path, with the columns that `facts` names.

        Raises
        ------
        CorruptImages
            Names every file that cannot be decoded.
        """
        names = [str(path) for path in paths]
        parts = [np.empty((0, len(self.facts.columns)))]
        with (progress or Silent()).task("images", len(names)) as task:
            step = max(1, _CHUNK // len(self.facts.views))
            for start in range(0, len(names), step):
                chunk = names[start : start + step]
                parts.append(self.answers_of(self.pixels(chunk)))
                task.advance(len(chunk))
        return pd.DataFrame(np.concatenate(parts), index=pd.Index(names, name="path"), columns=self.facts.columns)

    def predict(self, paths: Sequence[str | Path]) -> pd.Series:
        """The most probable label of each file, by path; of values, the first.

        Raises
        ------
        UsageError
            The answers are several yes-or-no labels: take `answers`.
        """
        if self.facts.kind == "yes-or-no":
            raise UsageError("This model answers several questions with yes or no.", hint="Use answers().")
        found = self.answers(paths)
        if self.facts.kind == "values":
            return found.iloc[:, 0]
        best = found.to_numpy().argmax(axis=1) if len(found) else []
        return pd.Series([self.facts.columns[n] for n in best], index=found.index, name="label", dtype=object)

    def words(self, answer: pd.Series, *, top: int = 3) -> str:
        """One row of `answers` as text: the likeliest labels first, every yes-or-no label, or values."""
        if self.facts.kind == "values":
            return ", ".join(f"{name} {value:.6g}" for name, value in answer.items())
        ranked = answer.sort_values(ascending=False, kind="stable") if self.facts.has_labels else answer
        return ", ".join(f"{name} {100 * value:.1f} %" for name, value in ranked.head(top).items())

    def pixels(self, paths: Sequence[str | Path]) -> Any:
        """What the networks are given: a float tensor of shape (n_images, n_views, 3, height, width), normalised."""
        torch, names = import_torch(), [str(path) for path in paths]
        images = self._sight.open(names)
        views = self._lens.views(images.rows(names), self.device, torch.tensor(self.facts.views))
        return torch.stack(list(views), 1)

    def seen(self, paths: Sequence[str | Path]) -> np.ndarray:
        """The first view as a person can look at it: bytes of shape (n_images, height, width, 3)."""
        return self._lens.normalize.undo(self.pixels(paths)[:, 0])

    @property
    def _sight(self) -> Sight:
        return Sight(self.facts.size, self.facts.resize, self.facts.canvas)

    @property
    def _lens(self) -> Lens:
        return self._sight.lens(Normalizer(self.facts.mean, self.facts.std))

    def answers_of(self, pixels: Any) -> np.ndarray:
        """Answers of shape (n_images, n_columns) for what `pixels` gives."""
        with import_torch().inference_mode():
            found: np.ndarray = self.module(pixels).cpu().numpy()
        return found

    @cached_property
    def module(self) -> Any:
        """The whole as one torch module: from `pixels` to answers, float64."""
        return _mean_of(self.facts, self.networks).to(self.device)


def _mean_of(facts: Facts, networks: Sequence[Any]) -> Any:
    """A torch module that gives the mean answer over networks and views.

    Its class is made in here, so that importing kagglekit does not import torch. It uses plain values only, and no name
    that a submodule of torch has too (`classes`): cloudpickle, by which fastai exports it, would take that along.
    """
    torch: Any = import_torch()
    everything, by_outputs = torch.eye(len(facts.columns), dtype=torch.float64), facts.average == "outputs"
    spread = [everything[[facts.columns.index(name) for name in member.columns]] for member in facts.members]
    answers = [_answer(facts, member) for member in facts.members]

    class MeanAnswer(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.networks = torch.nn.ModuleList(networks)
            for number, rows in enumerate(spread):
                self.register_buffer(f"spread_{number}", rows, persistent=False)

        def forward(self, x: Any) -> Any:
            total = 0
            for number, network in enumerate(self.networks):
                total = total + self.said(number, network, x) @ getattr(self, f"spread_{number}")
            return total / len(self.networks)

        def said(self, number: int, network: Any, x: Any) -> Any:
            n, n_views = x.shape[0], x.shape[1]
            outputs = network(x.flatten(0, 1)).double().reshape(n, n_views, -1)
            if by_outputs:
                return answers[number](outputs.mean(1))
            return answers[number](outputs.flatten(0, 1)).reshape(n, n_views, -1).mean(1)

    return MeanAnswer().eval()


def _answer(facts: Facts, member: Member) -> Any:
    """What is made of a network's outputs: a function of tensors of shape (n, n_outputs)."""
    torch, n = import_torch(), len(member.columns)

    def ordinal(outputs: Any) -> Any:
        outputs = outputs[:, : n - 1]
        log = torch.nn.functional.logsigmoid
        none = torch.zeros_like(outputs[:, :1])
        return (torch.cat([none, log(outputs).cumsum(1)], 1) + torch.cat([log(-outputs), none], 1)).exp()

    def values(outputs: Any) -> Any:
        scaled = outputs[:, :n] * torch.tensor(scale, device=outputs.device) + torch.tensor(mean, device=outputs.device)
        return back(scaled)

    mean, scale = ([float(v) for v in part] for part in (member.mean, member.scale))
    back = {"none": torch.clone, "log1p": torch.expm1, "log": torch.exp}[facts.transform]
    made = {
        "labels": lambda outputs: outputs[:, :n].softmax(1),
        "ordinal": ordinal,
        "yes-or-no": lambda outputs: outputs[:, :n].sigmoid(),
        "values": values,
    }
    return made[facts.kind]


def _network(facts: Facts, member: Member, folder: Path) -> Any:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    with quiet():
        made = create_backbone(facts.arch, weights=RANDOM, num_classes=member.outputs, size=facts.size)
    try:
        made.model.load_state_dict(load_file(folder / member.file))
    except (SafetensorError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise StoreError(f"{folder / member.file} does not fit {facts.arch} of this timm: {reason}") from error
    torch = import_torch()
    return made.model.eval().to(memory_format=torch.channels_last)


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


def _plain(labels: Sequence[Any]) -> list[_Label]:
    """Labels as JSON has them."""
    plain = [label.item() if isinstance(label, np.generic) else label for label in labels]
    return [label if isinstance(label, int) and not isinstance(label, bool) else str(label) for label in plain]


def _transform(name: str) -> Any:
    return get_target(name).name


def _refused(path: Path, error: ValidationError) -> KagglekitError:
    found = error.errors()[0]
    where = ".".join(str(part) for part in found["loc"])
    if found["type"] == "extra_forbidden":
        return StoreError(
            f"{path} has the field '{where}', which this version of kagglekit does not know.",
            hint="Upgrade kagglekit, or export the model again.",
        )
    what = f"'{where}': {found['msg']}" if where else found["msg"]
    return StoreError(f"{path} does not describe a model of this version ({what}).", hint="Export the model again.")


@contextmanager
def _new_folder(folder: Path) -> Iterator[Path]:
    if folder.exists():
        raise UsageError(f"{folder} exists already and was left alone.", hint="Name another folder, or move it away.")
    with atomic_folder(folder) as made:
        yield made
