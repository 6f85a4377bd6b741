"""What a notebook says and runs: hypotheses, the pipeline file, the training, the result as a table and a picture."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from kagglekit import __version__
from kagglekit.cleaning import corrections_words
from kagglekit.config import Experiment, Pipeline
from kagglekit.kernels.assignment import Assignment

__all__ = ["Cell", "cells"]


@dataclass(frozen=True)
class Cell:
    """One cell; the name becomes its id."""

    name: str
    kind: Literal["markdown", "code"]
    source: str

    def as_script(self) -> str:
        """In jupytext's percent format."""
        if self.kind == "code":
            return f"# %%\n{self.source}"
        return "# %% [markdown]\n" + "".join(f"# {line}".rstrip() + "\n" for line in self.source.splitlines())


def cells(a: Assignment) -> list[Cell]:
    """All cells, in the order in which they are read and run."""
    return [
        Cell("head", "markdown", _head(a)),
        Cell("roots", "code", _roots(a)),
        Cell("about-kagglekit", "markdown", _ABOUT_KAGGLEKIT.format(version=__version__)),
        Cell("kagglekit", "code", _kagglekit(a)),
        Cell("about-pipeline", "markdown", _ABOUT_PIPELINE),
        Cell("pipeline", "code", _PIPELINE.format(literal=_literal(a.pipeline.path.read_text(encoding="utf-8")))),
        *_candidates(a),
        *_inputs(a),
        Cell("about-data", "markdown", _ABOUT_DATA),
        Cell("data", "code", _DATA),
        Cell("about-training", "markdown", _ABOUT_TRAINING),
        Cell("training", "code", _TRAINING.format(shape=a.machine.shape or "none")),
        Cell("about-result", "markdown", _ABOUT_RESULT),
        Cell("result", "code", _RESULT),
        *_submission(a),
        Cell("about-end", "markdown", _ABOUT_END),
        Cell("end", "code", _END),
    ]


def _head(a: Assignment) -> str:
    facts, folds = a.pipeline.competition, a.pipeline.folds
    repeats = f", {folds.repeats} times" if folds.repeats > 1 else ""
    does = "writes a submission with" if a.submit else "trains"
    what = "one experiment" if len(a.experiments) == 1 else f"{len(a.experiments)} experiments"
    intro = (
        f"# {a.comp}: {', '.join(e.name for e in a.experiments)}\n\n"
        f"This notebook {does} {what} for [{facts.slug}]"
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
        fits=_dict(a.plan.fits),
        expected=a.plan.expected,
        seconds=round(a.plan.budget),
    )


def _kagglekit(a: Assignment) -> str:
    parcel = a.parcels["wheels"]
    return _KAGGLEKIT.format(slug=parcel.slug, files=_dict(parcel.files))


def _candidates(a: Assignment) -> list[Cell]:
    if not a.ladder:
        return []
    source = _CANDIDATES.format(literal=_literal(a.ladder))
    return [Cell("about-candidates", "markdown", _ABOUT_CANDIDATES), Cell("candidates", "code", source)]


def _inputs(a: Assignment) -> Iterator[Cell]:
    if parcel := a.parcels.get("files"):
        yield Cell("about-files", "markdown", _ABOUT_FILES)
        yield Cell("files", "code", _FILES.format(slug=parcel.slug, files=_dict(parcel.files)))
    weights = {p.slug: p for key, p in a.parcels.items() if key.startswith("weights ")}
    if weights:
        yield Cell("about-weights", "markdown", _ABOUT_WEIGHTS)
        lines = [_WEIGHTS_LINE.format(slug=p.slug, files=_dict(p.files)) for p in weights.values()]
        yield Cell("weights", "code", _WEIGHTS + "".join(lines))


def _submission(a: Assignment) -> list[Cell]:
    if not a.submit:
        return []
    return [Cell("about-submission", "markdown", _ABOUT_SUBMISSION), Cell("submission", "code", _SUBMISSION)]


def _dict(values: Mapping[str, Any]) -> str:
    lines = "".join(f"    {name!r}: {value!r},\n" for name, value in sorted(values.items()))
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
# The folds that this session is for.
FITS = {fits}
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

_ABOUT_CANDIDATES = """\
## Candidates of the ladder

A ladder makes experiments that the file does not list: a rung's settings on top of what won below it.
"""

_CANDIDATES = """\
CANDIDATES = {literal}

path = WORKING / "runs" / SLUG / "ladder.json"
path.parent.mkdir(parents=True, exist_ok=True)
path.write_text(CANDIDATES, encoding="utf-8")
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
print(console.table(rows, metric) if rows else "No experiment has all its folds here: others are at home, or wait.")
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
