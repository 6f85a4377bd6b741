"""A page that classifies pictures, as a folder for a Hugging Face Space: a short app.py, and all that it needs.

The Space gets a copy of the few modules of kagglekit that read an exported model, so that pictures are decoded and
resized there exactly as they were for training.
"""

from __future__ import annotations

import ast
import shutil
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from kagglekit.errors import UsageError
from kagglekit.files import link_or_copy
from kagglekit.image_files import named_images
from kagglekit.models.vision.exported import load, read_facts

__all__ = ["write_space"]

_READER = "kagglekit.models.vision.exported"
_PYTHON = "3.11"
# As of this writing gradio forbids the newest Pillow, so that neither is pinned; what matters for answers is.
_PINNED = ("torch", "timm")
_LOOSE = ("gradio>=5", "numpy", "pandas", "pillow", "pydantic", "safetensors", "scikit-learn", "scipy", "threadpoolctl")

_APP = '''"""{title}: a page that says what is in a picture. Run it with: python app.py"""

from pathlib import Path

import gradio as gr

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
    inputs=gr.Image(type="filepath", label="A picture"),
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
title: {title}
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
        Pictures to be offered on the page.

    Raises
    ------
    StoreError
        `folder` holds no exported model, or was changed since.
    UsageError
        Its answers are no labels, `to` is there already, or an example is not there.
    """
    facts = read_facts(folder)
    if not facts.has_labels:
        raise UsageError(f"The page shows labels, and the model in {folder} answers with {facts.kind}.")
    if to.exists():
        raise UsageError(f"{to} exists already and was left alone.", hint="Name another folder with --to.")
    pictures = named_images(examples)
    load(folder)
    to.parent.mkdir(parents=True, exist_ok=True)
    title = facts.about.name.replace("-", " ").capitalize()
    words = f"Trained with kagglekit: {facts.about.score}." if facts.about.score else "Trained with kagglekit."
    with tempfile.TemporaryDirectory(dir=to.parent, prefix=f".{to.name}.") as name:
        space = Path(name) / "space"
        for file in facts.needed:
            link_or_copy(folder / file, space / "model" / file)
        for picture in pictures:
            link_or_copy(picture, space / "examples" / picture.name)
        _copy_reader(space)
        labels = ", ".join(str(label) for label in facts.columns)
        _write(space / "app.py", _APP.format(title=title, words=words, top=min(5, len(facts.columns))))
        _write(space / "README.md", _CARD.format(title=title, words=words, labels=labels, python=_PYTHON))
        _write(space / "requirements.txt", "".join(f"{line}\n" for line in _requirements()))
        space.replace(to)
    return to


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
