"""A page that classifies pictures, as a folder for a Hugging Face Space: a short app.py, and all that it needs.

The Space gets a copy of the few modules of kagglekit that read an exported model, so that pictures are decoded and
resized there exactly as they were for training.
"""

from __future__ import annotations

import ast
import json
import shutil
from collections.abc import Sequence
from importlib.metadata import version
from itertools import count
from pathlib import Path

from kagglekit.errors import CorruptImages, UsageError
from kagglekit.files import link_or_copy, work_folder
from kagglekit.image_files import named_images
from kagglekit.models.vision.decoding import find_corrupt
from kagglekit.models.vision.exported import load
from kagglekit.models.vision.facts import Facts, read_facts

__all__ = ["write_space"]

_READER = "kagglekit.models.vision.exported"
_PYTHON = "3.11"
# As of this writing gradio forbids the newest Pillow, so that neither is pinned; what matters for answers is.
_PINNED = ("torch", "timm")
_LOOSE = ("gradio>=5", "numpy", "pandas", "pillow", "pydantic", "safetensors")

# What people wrote is put in as literals of Python and of JSON, which YAML reads: no name can be code, or break a line.
_APP = '''"""A page that says what is in a picture. Run it with: python app.py"""

from pathlib import Path

try:
    import gradio as gr
except ModuleNotFoundError:
    raise SystemExit("This page needs gradio: pip install -r requirements.txt") from None

from kagglekit.models.vision.exported import load

HERE = Path(__file__).parent
model = load(HERE / "model")  # safetensors and JSON: nothing is unpickled


def classify(picture):
    """What the model believes of each label."""
    if picture is None:
        return {{}}
    beliefs = model.answers([picture]).iloc[0]
    return {{str(label): float(belief) for label, belief in beliefs.items()}}


page = gr.Interface(
    fn=classify,
    inputs=gr.Image(type="filepath", image_mode=None, label="A picture"),  # the file as it is, whatever its colours
    outputs=gr.Label(num_top_classes={top}),
    title={title!r},
    description={words!r},
    examples=sorted(str(path) for path in (HERE / "examples").glob("*")) or None,
    cache_examples=False,
)

if __name__ == "__main__":
    page.launch()
'''

_CARD = """---
title: {title_json}
sdk: gradio
python_version: "{python}"
app_file: app.py
---

{words}

Labels: {labels}.

Written by `kagglekit demo`; `model/` is what `kagglekit export` wrote. Nothing in it is a pickle.
"""


def write_space(folder: Path, to: Path, *, examples: Sequence[Path] = ()) -> Path:
    """Write the Space of an exported model, whole or not at all.

    Parameters
    ----------
    folder : Path
        What `kagglekit export` wrote.
    to : Path
        It must not exist.
    examples : sequence of Path
        Pictures to be offered on the page. They are copied; of one name, later ones get a number.

    Raises
    ------
    StoreError
        `folder` holds no exported model, or was changed since.
    UsageError
        Its answers are no labels, `to` is there already, or an example is not there.
    CorruptImages
        Names the examples that are no sound pictures.
    """
    facts = read_facts(folder)
    if not facts.has_labels:
        raise UsageError(f"The page shows labels, and the model in {folder} answers with {facts.kind}.")
    if to.exists():
        raise UsageError(f"{to} exists already and was left alone.", hint="Name another folder with --to.")
    pictures = named_images(examples)
    if bad := find_corrupt(pictures):
        raise CorruptImages([f"{path} ({why})" for path, why in bad], hint="Leave them out.")
    load(folder)
    with work_folder(to, busy=f"Another process is writing {to}.") as work:
        space = work / "space"
        _copy_model(folder, facts, space / "model")
        _copy_examples(pictures, space / "examples")
        _copy_reader(space)
        _write_page(facts, space)
        space.replace(to)
    return to


def _copy_model(folder: Path, facts: Facts, to: Path) -> None:
    tensors = {member.file for member in facts.members}
    to.mkdir(parents=True)
    for file in facts.needed:
        # Tensors are large and nobody edits them; what a person may edit must not change in the other folder too.
        (link_or_copy if file in tensors else shutil.copyfile)((folder / file).resolve(), to / file)


def _copy_examples(pictures: Sequence[Path], to: Path) -> None:
    taken: set[str] = set()
    for picture in pictures:
        to.mkdir(exist_ok=True)
        names = (f"{picture.stem}{'' if n == 1 else f'-{n}'}{picture.suffix}" for n in count(1))
        name = next(name for name in names if name not in taken)
        taken.add(name)
        shutil.copyfile(picture, to / name)


def _write_page(facts: Facts, space: Path) -> None:
    about, labels = facts.about, ", ".join(str(label) for label in facts.columns)
    title = about.name.replace("-", " ").capitalize()
    words = f"Trained with kagglekit: {about.score}." if about.score else "Trained with kagglekit."
    if facts.cuts:
        words += f" Not the likeliest label was scored: {facts.cuts.words(facts.columns)}."
    top, card = min(5, len(facts.columns)), {"title_json": json.dumps(title), "words": words, "labels": labels}
    _write(space / "app.py", _APP.format(title=title, words=words, top=top))
    _write(space / "README.md", _CARD.format(**card, python=_PYTHON))
    _write(space / "requirements.txt", "".join(f"{line}\n" for line in _requirements()))


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _requirements() -> list[str]:
    return [*(f"{package}=={version(package).partition('+')[0]}" for package in _PINNED), *_LOOSE]


def _copy_reader(space: Path) -> None:
    """Copy the modules that reading an exported model takes."""
    root = Path(__file__).parents[1]
    for module in sorted(_needed(_READER, root)):
        target = space / module.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(module, target)


def _needed(name: str, root: Path) -> set[Path]:
    """The files of a module, of the packages around it, and of all modules of kagglekit that these import."""
    found: set[Path] = set()
    todo = [name]
    while todo:
        parts = todo.pop().split(".")
        for depth in range(1, len(parts) + 1):
            at = root.joinpath(*parts[:depth])
            path = at / "__init__.py" if at.is_dir() else at.with_suffix(".py")
            if path.is_file() and path not in found:
                found.add(path)
                todo += _imports(path)
    return found


def _imports(path: Path) -> list[str]:
    """Modules of kagglekit that a file imports; of `from x import y`, y may be one too."""
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
    return [name for name in names if name.split(".")[0] == "kagglekit"]
