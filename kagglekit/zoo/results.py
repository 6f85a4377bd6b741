"""Published accuracies of image models: a table that comes with kagglekit, or timm's own file.

`imagenet.csv` holds facts that timm publishes (huggingface/pytorch-image-models, folder results/) of well-known models:
accuracy, size and parameters from results-imagenet.csv (commit 0173a139, 2023), multiply-adds from
benchmark-infer-fp32-nchw-pt240-cpu-i9_10940x-dynamo.csv (commit 7479d451, 2024). `benchmarks/zoo/table.py` makes it
anew from newer files; a newer results-imagenet.csv is also read as it is.
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from kagglekit.errors import DataError, MissingExtra
from kagglekit.models.vision.runtime import import_timm

__all__ = ["SOURCE", "Result", "family_of", "read_results", "shipped_results"]

SOURCE = "timm's results-imagenet.csv (commit 0173a139, 2023), a choice of models"


@dataclass(frozen=True)
class Result:
    """One set of pretrained weights.

    Parameters
    ----------
    model : str
        timm's name with the tag of its weights.
    family : str
        timm's module of the architecture; "" where it is not known.
    top1 : float
        ImageNet-1k validation accuracy in percent.
    size : int
        Side of the images that it was scored on, in pixels.
    params : float
        Parameters in millions, with the head of 1,000 classes.
    gmacs : float
        Multiply-adds of one image of that size, in thousand millions; NaN where they were not counted.
    """

    model: str
    family: str
    top1: float
    size: int
    params: float
    gmacs: float = math.nan


def shipped_results() -> list[Result]:
    """The table that comes with kagglekit."""
    text = resources.files("kagglekit.zoo").joinpath("imagenet.csv").read_text(encoding="utf-8")
    return [_result(row) for row in csv.DictReader(text.splitlines())]


def read_results(path: Path) -> list[Result]:
    """timm's `results-imagenet.csv`, or any CSV with the columns model, top1, img_size and param_count.

    Families and multiply-adds are those of the shipped table where it has the model; other families are asked of timm
    where it is installed.

    Raises
    ------
    DataError
        The file cannot be read, or lacks a column.
    """
    try:
        rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"{path} cannot be read ({error}).", hint="It should be timm's results-imagenet.csv."
        ) from error
    known = {one.model: one for one in shipped_results()}
    try:
        return [_of_timm(row, known) for row in rows]
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{path} is no table of results ({error}).",
            hint="It should have the columns model, top1, img_size and param_count, as timm's results-imagenet.csv.",
        ) from error


def _result(row: dict[str, str]) -> Result:
    return Result(
        model=row["model"],
        family=row["family"],
        top1=float(row["top1"]),
        size=int(row["img_size"]),
        params=float(row["param_count"]),
        gmacs=float(row["gmacs"] or math.nan),
    )


def _of_timm(row: dict[str, str], known: dict[str, Result]) -> Result:
    model, size = row["model"], int(row["img_size"])
    own = known.get(model)
    return Result(
        model=model,
        family=own.family if own else family_of(model),
        top1=float(row["top1"]),
        size=size,
        params=float(row["param_count"].replace(",", "")),  # timm writes "1,014.45"
        gmacs=own.gmacs if own and own.size == size else math.nan,
    )


def family_of(model: str) -> str:
    """timm's module of an architecture, such as "convnext"; its first word where timm cannot tell."""
    arch = model.partition(".")[0]
    try:
        timm = import_timm()
    except MissingExtra:
        return arch.partition("_")[0]
    if not timm.is_model(arch):
        return arch.partition("_")[0]
    return str(timm.models.model_entrypoint(arch).__module__.rpartition(".")[2])
