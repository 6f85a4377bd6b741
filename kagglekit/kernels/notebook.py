"""The notebook: a script with cells (jupytext's percent format), turned into the notebook that Kaggle shows.

It trains through the same flow as this computer does, and its runs have the same ids.

Files of a built notebook, as Kaggle's client expects them::

    build/kernels/<slug>/
        <comp>-<experiments>.ipynb
        kernel-metadata.json
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kagglekit.errors import GatewayError, MissingExtra, UsageError, preview
from kagglekit.files import atomic_folder, write_json
from kagglekit.kernels.assignment import Assignment
from kagglekit.kernels.cells import cells
from kagglekit.kernels.secrets import refuse_secrets

__all__ = ["METADATA", "build", "script"]

METADATA = "kernel-metadata.json"
_PERCENT = {"extension": ".py", "format_name": "percent", "comment_magics": False}


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
    return "\n".join(cell.as_script() for cell in cells(assignment))


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


def _notebook(assignment: Assignment) -> dict[str, Any]:
    try:
        import jupytext
        import nbformat
    except ModuleNotFoundError as error:
        raise MissingExtra("Building a notebook", error.name or "jupytext", "notebooks") from error
    planned = cells(assignment)
    read = jupytext.reads(script(assignment), fmt=_PERCENT)
    same = [(c.cell_type, c.source) for c in read.cells] == [(c.kind, c.source.rstrip("\n")) for c in planned]
    if not same:
        raise GatewayError(
            f"The notebook for {assignment.comp} cannot be written: a cell would not be what it should be.",
            hint=f"Look for lines that begin with '# %%' in {assignment.pipeline.path}.",
        )
    for number, (cell, made) in enumerate(zip(planned, read.cells, strict=True)):
        made["id"], made["metadata"] = f"{number:02d}-{cell.name}", {}
    read["metadata"] = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    nbformat.validate(read)
    return {**read, "cells": [dict(cell) for cell in read.cells]}
