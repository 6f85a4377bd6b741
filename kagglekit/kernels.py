"""Stage 6: chosen experiments as a Kaggle notebook - built to be read, checked for secrets, pushed.

The notebook carries the pipeline file and kagglekit's own source, so that it needs no internet: everything else that
it imports is on Kaggle's image. It trains through the same flow as this computer does, and its runs have the same ids.

Files of a built notebook, as Kaggle's client expects them::

    <folder>/
        <comp>-<experiments>.ipynb
        kernel-metadata.json
"""

from __future__ import annotations

import ast
import base64
import hashlib
import io
import json
import os
import re
import textwrap
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from kagglekit import __version__
from kagglekit.cleaning import corrections_words
from kagglekit.config import Experiment, Pipeline
from kagglekit.dataset import RawData
from kagglekit.errors import DataError, UsageError, preview
from kagglekit.files import atomic_folder, write_json
from kagglekit.gateway import Gateway
from kagglekit.progress import Task
from kagglekit.workspace import Workspace

__all__ = ["Printing", "build", "kernel_slug", "machine_shape", "mount_data", "push", "refuse_secrets"]

_METADATA = "kernel-metadata.json"
_LONGEST_TITLE = 50  # Kaggle answers longer ones with an internal error (Kaggle/kaggle-cli, pull request 179)

# Names as of February 2026: docs/kernels.md of Kaggle/kaggle-cli. "NvidiaTeslaT4" is two T4s, "NvidiaL4" four L4s. Some
# are for the participants of certain competitions only; Kaggle says so when the notebook is pushed.
_MACHINES: Mapping[str, str | None] = {
    "none": None,
    "cpu": None,
    "t4": "NvidiaTeslaT4",
    "l4": "NvidiaL4",
    "l4x1": "NvidiaL4X1",
    "a100": "NvidiaTeslaA100",
    "h100": "NvidiaH100",
    "rtxpro6000": "NvidiaRtxPro6000",
}
_RETIRED = ("p100", "nvidiateslap100", "tpuv38", "tpu1vmv38")

_TOKEN = re.compile(r"KGAT_[A-Za-z0-9_-]{8,}")
_KEY = re.compile(r"key\W{1,12}[0-9a-f]{32}(?![0-9a-f])", re.IGNORECASE)
_SHORTEST_SECRET = 8  # shorter words would be found everywhere
_LARGEST_SECRET_FILE = 64 << 10


def machine_shape(accelerator: str) -> str | None:
    """Kaggle's name of a machine; None stands for one without an accelerator.

    Parameters
    ----------
    accelerator : str
        "none", "cpu", "t4", "l4", "l4x1", "a100", "h100", "rtxpro6000", or Kaggle's own name of one of these.

    Raises
    ------
    UsageError
        It is not offered, or Kaggle has retired it and would silently give another machine.
    """
    word = re.sub(r"[^a-z0-9]", "", accelerator.lower())
    offered = ", ".join(_MACHINES)
    if word in _RETIRED:
        raise UsageError(
            f"Kaggle has retired the accelerator '{accelerator}' and would silently give another machine.",
            hint=f"Offered: {offered}.",
        )
    by_name = {shape.lower(): shape for shape in _MACHINES.values() if shape}
    if word not in _MACHINES and word not in by_name:
        raise UsageError(f"There is no accelerator '{accelerator}'.", hint=f"Offered: {offered}.")
    return _MACHINES[word] if word in _MACHINES else by_name[word]


def kernel_slug(comp: str, experiments: Iterable[str]) -> str:
    """The notebook's name in its address. The same experiments give the same name, and so a new version of it."""
    names = sorted(set(experiments))
    slug = "-".join(re.findall(r"[a-z0-9]+", " ".join(["kagglekit", comp, *names]).lower()))
    if len(slug) <= _LONGEST_TITLE and "".join([comp, *names]).isascii():
        return slug
    digest = hashlib.sha256("\n".join([comp, *names]).encode()).hexdigest()[:8]
    return f"{slug[: _LONGEST_TITLE - 9].rstrip('-')}-{digest}"


def build(
    comp: str, pipeline: Pipeline, experiments: Sequence[str], folder: Path, *, owner: str, accelerator: str = "t4"
) -> Path:
    """Write a notebook that trains experiments, and the metadata that Kaggle's client pushes it with.

    Parameters
    ----------
    comp : str
        The competition's folder under `pipelines/`.
    pipeline : Pipeline
        As read from its file; settings that won over the file (`--set`) do not travel.
    experiments : sequence of str
        At least one; trained in the order of the file.
    folder : Path
        Appears when it is whole; an earlier notebook in it is replaced.
    owner : str
        The account's name.
    accelerator : str
        See `machine_shape`.

    Returns
    -------
    Path
        The notebook.

    Raises
    ------
    UsageError
        An experiment or accelerator is unknown, `folder` holds something else, or a file holds a token.
    """
    shape = machine_shape(accelerator)
    if not experiments:
        raise UsageError("No experiment was named.", hint=f"Known: {', '.join(pipeline.experiments)}.")
    wanted = {pipeline.experiment(name).name for name in experiments}
    chosen = [e for e in pipeline.experiments.values() if e.name in wanted]
    beside = ["features.py", pipeline.folds.groups, *(e.cleaning_file for e in pipeline.experiments.values())]
    named = [pipeline.path.parent / name for name in dict.fromkeys(beside) if name]
    carried = [path for path in (pipeline.path, *named) if path.is_file()]
    refuse_secrets(carried)
    _check_folder(folder)
    slug = kernel_slug(comp, wanted)
    code_file = f"{slug.removeprefix('kagglekit-')}.ipynb"
    with atomic_folder(folder) as temporary:
        write_json(temporary / code_file, _notebook(_cells(comp, pipeline, chosen, carried)))
        write_json(temporary / _METADATA, _metadata(f"{owner}/{slug}", pipeline.competition.slug, code_file, shape))
    return folder / code_file


def push(gateway: Gateway, folder: Path) -> str:
    """Send a built notebook to the site, where it starts to run.

    Returns
    -------
    str
        Its address.

    Raises
    ------
    UsageError
        There is no notebook in `folder`, or one of its files holds a token; nothing was sent.
    GatewayError
    """
    if not (folder / _METADATA).is_file():
        raise UsageError(f"There is no built notebook in {folder}.", hint="Build it first: kagglekit kernel push")
    refuse_secrets(p for p in sorted(folder.rglob("*")) if p.is_file())
    return gateway.push_kernel(folder)


def mount_data(workspace: Workspace, slug: str, inputs: Path = Path("/kaggle/input")) -> RawData:
    """Take the competition's files that Kaggle mounts for a finished download.

    The mount is only linked, for it is read-only and may be large. Its place differs between Kaggle's images, so both
    are tried.

    Parameters
    ----------
    workspace : Workspace
    slug : str
    inputs : Path
        The folder that Kaggle mounts data in.

    Raises
    ------
    DataError
        The competition is not among the notebook's inputs.
    """
    raw = RawData(workspace.data(slug))
    if raw.is_complete:
        return raw
    mount = next((p for p in (inputs / slug, inputs / "competitions" / slug) if p.is_dir()), None)
    if mount is None:
        found = [p.relative_to(inputs).as_posix() for pattern in ("*", "*/*") for p in sorted(inputs.glob(pattern))]
        raise DataError(
            f"The data of {slug} are not in {inputs}, which holds: {preview(found) or 'nothing'}.",
            hint="Add the competition to the notebook's inputs, and accept its rules on its page.",
        )
    raw.folder.mkdir(parents=True, exist_ok=True)
    if raw.files.is_symlink():  # left by a session that ended before the manifest was written
        raw.files.unlink()
    raw.files.symlink_to(mount.absolute(), target_is_directory=True)
    raw.seal()
    return raw


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


def refuse_secrets(paths: Iterable[Path]) -> None:
    """Refuse files that hold a Kaggle token or key, the user's own or any other.

    Raises
    ------
    UsageError
        Names the file, never the secret.
    """
    own = _own_secrets(os.environ, Path.home())
    for path in paths:
        text = path.read_text(encoding="utf-8", errors="replace")
        if _TOKEN.search(text) or _KEY.search(text) or any(secret in text for secret in own):
            raise UsageError(
                f"{path} holds what looks like a Kaggle token or key; nothing was sent.",
                hint="Take it out. If it was ever shared, replace it at https://www.kaggle.com/settings",
            )


def _own_secrets(env: Mapping[str, str], home: Path) -> set[str]:
    """The values of all Kaggle credentials on this computer, in every place where Kaggle's client looks."""
    token = env.get("KAGGLE_API_TOKEN", "")
    found = {token, env.get("KAGGLE_KEY", "")}
    config = Path(env.get("XDG_CONFIG_HOME") or home / ".config") / "kaggle"
    folders = [home / ".kaggle", config, *([Path(env["KAGGLE_CONFIG_DIR"])] if env.get("KAGGLE_CONFIG_DIR") else [])]
    files = [path for folder in folders for path in sorted(folder.glob("*"))]
    if "/" in token:  # the variable may name a file
        files.append(Path(token))
    for path in files:
        if path.is_file() and path.stat().st_size <= _LARGEST_SECRET_FILE:
            found |= _secrets_of(path.read_text(encoding="utf-8", errors="replace"))
    return {secret for secret in found if len(secret) >= _SHORTEST_SECRET}


def _secrets_of(text: str) -> set[str]:
    try:
        stored = json.loads(text)
    except ValueError:
        return {text.strip()}
    fields = stored.items() if isinstance(stored, dict) else ()
    return {v for k, v in fields if isinstance(v, str) and ("key" in k or "token" in k)}


def _check_folder(folder: Path) -> None:
    # The folder is replaced as a whole: nothing but an earlier notebook may be lost.
    names = {p.name for p in folder.iterdir()} if folder.is_dir() else set()
    others = sorted(n for n in names if n != _METADATA and not n.endswith(".ipynb"))
    if others or (names and _METADATA not in names):
        raise UsageError(
            f"{folder} holds other files than a built notebook: {preview(others or sorted(names))}.",
            hint="It would be replaced as a whole: name another folder.",
        )


def _metadata(address: str, competition: str, code_file: str, shape: str | None) -> dict[str, Any]:
    title = address.partition("/")[2].replace("-", " ")  # Kaggle makes the address from the title: they must agree
    metadata: dict[str, Any] = {
        "id": address,
        "title": title,
        "code_file": code_file,
        "language": "python",
        "kernel_type": "notebook",
        "is_private": "true",
        "enable_gpu": "true" if shape else "false",
        "enable_tpu": "false",
        "enable_internet": "false",
        "competition_sources": [competition],
        "dataset_sources": [],
        "kernel_sources": [],
        "model_sources": [],
    }
    return metadata | ({"machine_shape": shape} if shape else {})


@dataclass(frozen=True)
class _Cell:
    """One cell; a hidden one is folded away on Kaggle until somebody opens it."""

    name: str
    kind: Literal["markdown", "code"]
    source: str
    hidden: bool = False

    def as_json(self, number: int) -> dict[str, Any]:
        cell: dict[str, Any] = {
            "id": f"{number:02d}-{self.name}",
            "cell_type": self.kind,
            "metadata": {"_kg_hide-input": True, "jupyter": {"source_hidden": True}} if self.hidden else {},
            "source": self.source.splitlines(keepends=True),
        }
        return cell | ({"execution_count": None, "outputs": []} if self.kind == "code" else {})


def _notebook(cells: Sequence[_Cell]) -> dict[str, Any]:
    return {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "cells": [cell.as_json(number) for number, cell in enumerate(cells)],
    }


def _cells(comp: str, pipeline: Pipeline, chosen: Sequence[Experiment], carried: Sequence[Path]) -> list[_Cell]:
    source = _source_zip()
    archive = "\n".join(textwrap.wrap(base64.b64encode(source).decode(), 120))
    unpacking = _SOURCE.format(archive=archive, digest=hashlib.sha256(source).hexdigest())
    roots = _ROOTS.format(comp=comp, slug=pipeline.competition.slug, names=[e.name for e in chosen])
    return [
        _Cell("head", "markdown", _head(comp, pipeline, chosen)),
        _Cell("roots", "code", roots),
        _Cell("about-pipeline", "markdown", _ABOUT_PIPELINE),
        *(_Cell(path.stem, "code", _writing(path)) for path in carried),
        _Cell("about-source", "markdown", _ABOUT_SOURCE.format(version=__version__)),
        _Cell("source", "code", unpacking, hidden=True),
        _Cell("about-data", "markdown", _ABOUT_DATA),
        _Cell("data", "code", _DATA),
        _Cell("about-training", "markdown", _ABOUT_TRAINING),
        _Cell("training", "code", _TRAINING),
        _Cell("about-board", "markdown", _ABOUT_BOARD),
        _Cell("board", "code", _BOARD),
        _Cell("about-end", "markdown", _ABOUT_END),
        _Cell("end", "code", _END),
    ]


def _head(comp: str, pipeline: Pipeline, chosen: Sequence[Experiment]) -> str:
    facts, folds = pipeline.competition, pipeline.folds
    repeats = f", {folds.repeats} times" if folds.repeats > 1 else ""
    intro = (
        f"# {comp}: {', '.join(e.name for e in chosen)}\n\n"
        f"This notebook trains {len(chosen)} experiment(s) for [{facts.slug}]"
        f"(https://www.kaggle.com/competitions/{facts.slug}) on {folds.n} {folds.scheme} folds{repeats} (seed "
        f"{folds.seed}), and scores them by {facts.metric}. No training row is predicted by a model that saw it. "
        "The runs stay in `/kaggle/working/runs/`, with the ids that the same experiments have on any other "
        "computer, so that they can be compared and blended with runs made elsewhere."
    )
    return "\n\n".join([intro, *(_about(e, pipeline) for e in chosen), *_weights_note(facts.task)]) + "\n"


def _about(experiment: Experiment, pipeline: Pipeline) -> str:
    parent = pipeline.experiments.get(experiment.based_on or "")
    if parent is None:
        settings = [f"`model` = {_value(experiment.model)}"]
        settings += [f"`{key}` = {_value(value)}" for key, value in experiment.params.items()]
        change = f"**Settings:** {', '.join(settings)}."
    else:
        changes = [_change(key, before, now) for key, (before, now) in experiment.changes(parent).items()]
        change = f"**Change against `{parent.name}`:** {', '.join(changes) or 'none'}."
    return f"## {experiment.name}\n\n**Hypothesis:** {experiment.why}\n\n{change}"


def _change(key: str, before: Any, now: Any) -> str:
    if key == "cleaning":
        return f"`cleaning`: {corrections_words(now or ())}"
    return f"`{key}` from {_value(before)} to {_value(now)}"


def _value(value: object) -> str:
    return "its default" if value is None else f"`{json.dumps(value, ensure_ascii=False, default=str)}`"


def _weights_note(task: str) -> list[str]:
    if not task.startswith("image"):
        return []
    return ["There is no internet here: pretrained weights are looked for among the notebook's inputs."]


def _writing(path: Path) -> str:
    """The cell that writes a file of the pipeline's folder, its text readable as it is."""
    text = path.read_text(encoding="utf-8")
    return _WRITING.format(name=path.name, literal=_literal(text))


def _literal(text: str) -> str:
    """A Python literal for a text, on as many lines as the text has where that is possible."""
    for literal in (f"r'''{text}'''", f'r"""{text}"""'):
        try:
            if ast.literal_eval(literal) == text:
                return literal
        except (SyntaxError, ValueError):
            continue
    return repr(text)


def _source_zip() -> bytes:
    """This package's files as a zip, without the arena: only practice at home needs it.

    Names are sorted and dates fixed, so that the same source gives the same notebook.
    """
    root = Path(__file__).parent
    files = (p for p in root.rglob("*") if p.is_file() and p.parent.name != "__pycache__" and p.name[0] != ".")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path in sorted(files):
            inside = path.relative_to(root)
            if inside.parts[0] != "arena":
                member = zipfile.ZipInfo(f"{root.name}/{inside.as_posix()}", date_time=(1980, 1, 1, 0, 0, 0))
                member.external_attr, member.compress_type = 0o644 << 16, zipfile.ZIP_DEFLATED
                archive.writestr(member, path.read_bytes())
    return buffer.getvalue()


_ROOTS = """\
from pathlib import Path

INPUT = Path("/kaggle/input")
WORKING = Path("/kaggle/working")
COMP = {comp!r}
SLUG = {slug!r}
EXPERIMENTS = {names!r}
"""

_ABOUT_PIPELINE = """\
## The pipeline file

Facts of the competition, folds and every experiment, as they stand in the file. An experiment changes one thing about
the one it is `based_on`.
"""

_WRITING = """\
TEXT = {literal}

path = WORKING / "pipelines" / COMP / {name!r}
path.parent.mkdir(parents=True, exist_ok=True)
path.write_text(TEXT, encoding="utf-8")
print("wrote", path)
"""

_ABOUT_SOURCE = """\
## kagglekit

The toolkit's own source, version {version}, travels inside this notebook, for there is no internet. Everything else
that it imports is on Kaggle's image.
"""

_SOURCE = """\
import base64
import hashlib
import io
import sys
import zipfile

ARCHIVE = base64.b64decode(\"\"\"
{archive}
\"\"\")
assert hashlib.sha256(ARCHIVE).hexdigest() == "{digest}", "this cell was changed"
zipfile.ZipFile(io.BytesIO(ARCHIVE)).extractall(WORKING / ".kagglekit")
sys.path.insert(0, str(WORKING / ".kagglekit"))

import kagglekit

print("kagglekit", kagglekit.__version__)
"""

_ABOUT_DATA = """\
## The data

Kaggle mounts the competition's files; they are linked, not copied, and checked.
"""

_DATA = """\
from kagglekit.kernels import Printing, mount_data
from kagglekit.workspace import Workspace

workspace = Workspace(root=WORKING, site="kaggle")
raw = mount_data(workspace, SLUG, INPUT)
print("data", raw.fingerprint(), "at", raw.files.resolve())
"""

_ABOUT_TRAINING = """\
## Training

Every finished fold is kept: running this cell again trains only what is missing.
"""

_TRAINING = """\
from kagglekit.flow import Flow

flow = Flow(COMP, workspace, Printing())
runs = flow.train(EXPERIMENTS)
"""

_ABOUT_BOARD = """\
## The result

Each experiment beside what it changed. "No difference" means that chance alone could explain the gap.
"""

_BOARD = """\
from kagglekit import console

print(console.table(flow.board_of(flow.trained()), flow.pipeline.competition.metric))
for run in runs.values():
    print(flow.store.folder / run.id)
"""

_ABOUT_END = """\
Only the runs are worth keeping as this notebook's output: the linked data and the decoded images go.
"""

_END = """\
import shutil

shutil.rmtree(WORKING / "data")
"""
