"""The notebook: what it will do and why, the pipeline file, the run, and the result as a table and a picture.

It is written as a script with cells (jupytext's percent format) and turned into the notebook that Kaggle shows. It
trains through the same flow as this computer does, and its runs have the same ids.

Files of a built notebook, as Kaggle's client expects them::

    build/kernels/<slug>/
        <comp>-<experiments>.ipynb
        kernel-metadata.json
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from kagglekit import __version__
from kagglekit.cleaning import corrections_words
from kagglekit.config import Experiment, Pipeline
from kagglekit.errors import GatewayError, MissingExtra, UsageError, preview
from kagglekit.files import atomic_folder, write_json
from kagglekit.kernels.machines import Machine
from kagglekit.kernels.parcels import Parcel
from kagglekit.kernels.plan import Plan
from kagglekit.kernels.secrets import refuse_secrets

__all__ = ["METADATA", "Assignment", "build", "kernel_slug", "script"]

METADATA = "kernel-metadata.json"
_LONGEST_TITLE = 50  # Kaggle answers longer ones with an internal error (Kaggle/kaggle-cli, pull request 179)
_PERCENT = {"extension": ".py", "format_name": "percent", "comment_magics": False}


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


def build(assignment: Assignment, folder: Path) -> Path:
    """Write a notebook that trains experiments, and the metadata that Kaggle's client pushes it with.

    Parameters
    ----------
    assignment : Assignment
    folder : Path
        Appears when it is whole; an earlier notebook in it is replaced.

    Returns
    -------
    Path
        The notebook.

    Raises
    ------
    UsageError
        `folder` holds something else, or a file holds a token.
    MissingExtra
        jupytext is not installed.
    """
    refuse_secrets([assignment.pipeline.path])
    _check_folder(folder)
    content = _notebook(assignment)
    with atomic_folder(folder) as temporary:
        write_json(temporary / assignment.code_file, content)
        write_json(temporary / METADATA, _metadata(assignment))
    return folder / assignment.code_file


def script(assignment: Assignment) -> str:
    """The notebook as a script with cells."""
    return "\n".join(cell.as_script() for cell in _cells(assignment))


def _check_folder(folder: Path) -> None:
    # The folder is replaced as a whole: nothing but an earlier notebook may be lost.
    names = {p.name for p in folder.iterdir()} if folder.is_dir() else set()
    others = sorted(n for n in names if n != METADATA and not n.endswith(".ipynb"))
    if others or (names and METADATA not in names):
        raise UsageError(
            f"{folder} holds other files than a built notebook: {preview(others or sorted(names))}.",
            hint="It would be replaced as a whole: name another folder.",
        )


def _metadata(assignment: Assignment) -> dict[str, Any]:
    address = f"{assignment.owner}/{assignment.slug}"
    shape = assignment.machine.shape
    metadata: dict[str, Any] = {
        "id": address,
        # Kaggle makes the address from the title: they must agree.
        "title": assignment.slug.replace("-", " "),
        "code_file": assignment.code_file,
        "language": "python",
        "kernel_type": "notebook",
        "is_private": "true",
        "enable_gpu": "true" if shape else "false",
        "enable_tpu": "false",
        "enable_internet": "false",
        "competition_sources": [assignment.pipeline.competition.slug],
        "dataset_sources": [f"{assignment.owner}/{p.slug}" for p in assignment.parcels.values()],
        "kernel_sources": [address] if assignment.goes_on else [],
        "model_sources": [],
    }
    pinned = {"docker_image": assignment.docker_image, "docker_image_pinning_type": "original"}
    return metadata | ({"machine_shape": shape} if shape else {}) | (pinned if assignment.docker_image else {})


@dataclass(frozen=True)
class _Cell:
    """One cell; the name becomes its id."""

    name: str
    kind: Literal["markdown", "code"]
    source: str

    def as_script(self) -> str:
        """In jupytext's percent format."""
        if self.kind == "code":
            return f"# %%\n{self.source}"
        return "# %% [markdown]\n" + "".join(f"# {line}".rstrip() + "\n" for line in self.source.splitlines())


def _notebook(assignment: Assignment) -> dict[str, Any]:
    try:
        import jupytext
        import nbformat
    except ModuleNotFoundError as error:
        raise MissingExtra("Building a notebook", error.name or "jupytext", "notebooks") from error
    cells = _cells(assignment)
    read = jupytext.reads(script(assignment), fmt=_PERCENT)
    same = [(c.cell_type, c.source) for c in read.cells] == [(c.kind, c.source.rstrip("\n")) for c in cells]
    if not same:
        raise GatewayError(
            f"The notebook for {assignment.comp} cannot be written: a cell would not be what it should be.",
            hint=f"Look for lines that begin with '# %%' in {assignment.pipeline.path}.",
        )
    for number, (cell, made) in enumerate(zip(cells, read.cells, strict=True)):
        made["id"], made["metadata"] = f"{number:02d}-{cell.name}", {}
    read["metadata"] = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    nbformat.validate(read)
    return {**read, "cells": [dict(cell) for cell in read.cells]}


def _cells(a: Assignment) -> list[_Cell]:
    return [
        _Cell("head", "markdown", _head(a)),
        _Cell("roots", "code", _roots(a)),
        _Cell("about-kagglekit", "markdown", _ABOUT_KAGGLEKIT.format(version=__version__)),
        _Cell("kagglekit", "code", _kagglekit(a)),
        _Cell("about-pipeline", "markdown", _ABOUT_PIPELINE),
        _Cell("pipeline", "code", _PIPELINE.format(literal=_literal(a.pipeline.path.read_text(encoding="utf-8")))),
        *_inputs(a),
        _Cell("about-data", "markdown", _ABOUT_DATA),
        _Cell("data", "code", _DATA),
        _Cell("about-training", "markdown", _ABOUT_TRAINING),
        _Cell("training", "code", _TRAINING.format(shape=a.machine.shape or "none")),
        _Cell("about-result", "markdown", _ABOUT_RESULT),
        _Cell("result", "code", _RESULT),
        *_submission(a),
        _Cell("about-end", "markdown", _ABOUT_END),
        _Cell("end", "code", _END),
    ]


def _head(a: Assignment) -> str:
    facts, folds = a.pipeline.competition, a.pipeline.folds
    repeats = f", {folds.repeats} times" if folds.repeats > 1 else ""
    does = "writes a submission with" if a.submit else "trains"
    intro = (
        f"# {a.comp}: {', '.join(e.name for e in a.experiments)}\n\n"
        f"This notebook {does} {len(a.experiments)} experiment(s) for [{facts.slug}]"
        f"(https://www.kaggle.com/competitions/{facts.slug}) on {folds.n} {folds.scheme} folds{repeats} (seed "
        f"{folds.seed}), and scores them by {facts.metric}. No training row is predicted by a model that saw it. "
        "The runs stay in `/kaggle/working/runs/`, with the ids that the same experiments have on any other "
        "computer, so that they can be compared and blended with runs made elsewhere.\n\n"
        f"{_as_list(a.plan.words())}"
    )
    return "\n\n".join([intro, *(_about(e, a.pipeline) for e in a.experiments)]) + "\n"


def _as_list(words: str) -> str:
    """A plan's indented lines as a list."""
    return re.sub(r"^  ", "- ", words, flags=re.MULTILINE).replace("\n- ", "\n\n- ", 1)


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


def _roots(a: Assignment) -> str:
    return _ROOTS.format(
        owner=a.owner,
        kernel=a.slug,
        comp=a.comp,
        slug=a.pipeline.competition.slug,
        names=[e.name for e in a.experiments],
        fits=a.plan.fits,
        expected=a.plan.expected,
        seconds=round(a.plan.budget),
    )


def _kagglekit(a: Assignment) -> str:
    parcel = a.parcels["wheels"]
    return _KAGGLEKIT.format(slug=parcel.slug, files=_dict(parcel.files))


def _inputs(a: Assignment) -> Iterator[_Cell]:
    if parcel := a.parcels.get("files"):
        yield _Cell("about-files", "markdown", _ABOUT_FILES)
        yield _Cell("files", "code", _FILES.format(slug=parcel.slug, files=_dict(parcel.files)))
    weights = {p.slug: p for key, p in a.parcels.items() if key.startswith("weights ")}
    if weights:
        yield _Cell("about-weights", "markdown", _ABOUT_WEIGHTS)
        lines = [_WEIGHTS_LINE.format(slug=p.slug, files=_dict(p.files)) for p in weights.values()]
        yield _Cell("weights", "code", _WEIGHTS + "".join(lines))


def _submission(a: Assignment) -> list[_Cell]:
    if not a.submit:
        return []
    return [_Cell("about-submission", "markdown", _ABOUT_SUBMISSION), _Cell("submission", "code", _SUBMISSION)]


def _dict(files: Mapping[str, str]) -> str:
    lines = "".join(f"    {name!r}: {digest!r},\n" for name, digest in sorted(files.items()))
    return f"{{\n{lines}}}"


def _literal(text: str) -> str:
    """A Python literal for a text, on as many lines as the text has where that is possible."""
    for literal in (f"r'''{text}'''", f'r"""{text}"""'):
        try:
            if "%%" not in text and ast.literal_eval(literal) == text:  # "# %%" would begin a cell
                return literal
        except (SyntaxError, ValueError):
            continue
    return repr(text)


_ROOTS = """\
from pathlib import Path

INPUT = Path("/kaggle/input")
WORKING = Path("/kaggle/working")

OWNER = {owner!r}
KERNEL = {kernel!r}
COMP = {comp!r}
SLUG = {slug!r}
EXPERIMENTS = {names!r}
FITS = {fits!r}  # the folds that this session is for
EXPECTED = {expected!r}  # seconds of one fit, where that was measured
SECONDS = {seconds!r}  # in which the last fit must be done
"""

_ABOUT_KAGGLEKIT = """\
## kagglekit

There is no internet here. The toolkit, version {version}, and what Kaggle's image lacks come as wheels in a private
dataset. They are pure Python: unpacking one installs it. Images mount datasets at different places, so all are tried.
"""

_KAGGLEKIT = """\
import hashlib
import sys
import zipfile

WHEELS = {files}
SHELVES = [INPUT / "datasets" / OWNER, INPUT / "datasets", INPUT / OWNER, INPUT]
found = [shelf / {slug!r} for shelf in SHELVES if (shelf / {slug!r}).is_dir()]
assert found, "Add the dataset " + OWNER + "/{slug} to the inputs of this notebook."
for name, digest in WHEELS.items():
    wheel = found[0] / name
    assert hashlib.sha256(wheel.read_bytes()).hexdigest() == digest, f"{{wheel}} is another version"
    zipfile.ZipFile(wheel).extractall(WORKING / ".kagglekit")
sys.path.insert(0, str(WORKING / ".kagglekit"))

import kagglekit

print("kagglekit", kagglekit.__version__, "from", found[0])
"""

_ABOUT_PIPELINE = """\
## The pipeline file

Facts of the competition, folds and every experiment, as they stand in the file. An experiment changes one thing about
the one it is `based_on`.
"""

_PIPELINE = """\
TEXT = {literal}

path = WORKING / "pipelines" / COMP / "pipeline.toml"
path.parent.mkdir(parents=True, exist_ok=True)
path.write_text(TEXT, encoding="utf-8")
print("wrote", path)
"""

_ABOUT_FILES = """\
## Files beside it

Feature code, corrected labels and groups, each checked to be the file that this notebook was made for.
"""

_FILES = """\
from kagglekit.kernels.mounts import copy_files

FILES = {files}
for path in copy_files({slug!r}, OWNER, FILES, WORKING / "pipelines" / COMP, INPUT):
    print("copied", path)
    if path.suffix == ".py":
        print(path.read_text(encoding="utf-8"))
"""

_ABOUT_WEIGHTS = """\
## Pretrained weights

They come as private datasets too, and are checked before hours of training begin.
"""

_WEIGHTS = """\
from kagglekit.kernels.mounts import mounted_files

"""

_WEIGHTS_LINE = """\
print(mounted_files({slug!r}, OWNER, {files}, INPUT))
"""

_ABOUT_DATA = """\
## The data

Kaggle mounts the competition's files; they are linked, not copied, and checked.
"""

_DATA = """\
from kagglekit.kernels.mounts import mount_data
from kagglekit.workspace import Workspace

workspace = Workspace(root=WORKING, site="kaggle")
raw = mount_data(workspace, SLUG, INPUT)
print("data", raw.fingerprint(), "at", raw.files.resolve())
"""

_ABOUT_TRAINING = """\
## Training

Folds that an earlier session finished are taken over, never trained again. A fold is begun only if it will be done in
time. On several GPUs each fits a fold of its own. When Kaggle runs the notebook again on hidden test rows, every fold
is trained.
"""

_TRAINING = """\
from kagglekit.flow import Flow
from kagglekit.kernels.mounts import is_rerun
from kagglekit.kernels.session import TIMES, Pace, Printing, carry_on, visible_gpus

flow = Flow(COMP, workspace, Printing())
taken = carry_on(flow.store, SLUG, KERNEL, OWNER, INPUT, flow.progress)
print("taken over:", taken or "nothing, this is the first session")
pace = Pace(SECONDS, None if is_rerun() else FITS, EXPECTED)
runs = flow.train_within(pace, EXPERIMENTS, devices=visible_gpus())
pace.write(WORKING / TIMES, "{shape}")
"""

_ABOUT_RESULT = """\
## The result

Each finished experiment beside what it changed. "No difference" means that chance alone could explain the gap; the bars
are standard errors.
"""

_RESULT = """\
from IPython.display import Image, display

from kagglekit import console
from kagglekit.kernels.picture import draw

metric = flow.pipeline.competition.metric
rows = flow.board_of(runs) if runs else []
print(console.table(rows, metric) if rows else "No experiment has all its folds yet: the next session goes on.")
if rows:
    picture = draw([(r.name, r.score, r.standard_error) for r in rows], metric, WORKING / "result.png")
    display(Image(str(picture)))
"""

_ABOUT_SUBMISSION = """\
## The submission

Checked against the sample submission: ids, columns, values.
"""

_SUBMISSION = """\
from kagglekit.submit import write_csv

assert EXPERIMENTS[0] in runs, "Not every fold was done in time."
path = write_csv(runs[EXPERIMENTS[0]], flow.prepared, WORKING)
path = path.rename(WORKING / "submission.csv")
print("wrote", path, "with", len(flow.prepared.sample), "rows")
"""

_ABOUT_END = """\
Only runs and result are worth keeping as this notebook's output: the linked data and the decoded images go, unless a
person is at work here.
"""

_END = """\
import shutil

from kagglekit.kernels.mounts import run_type

if run_type() != "Interactive":
    for name in ("data", ".kagglekit"):
        shutil.rmtree(WORKING / name)
"""
