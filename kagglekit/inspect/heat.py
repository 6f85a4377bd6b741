"""Where an image model looks: Grad-CAM on pictures that it did not see, as a sheet and as a table."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from kagglekit.config import Experiment
from kagglekit.contracts import Run
from kagglekit.dataset import Prepared
from kagglekit.errors import UsageError
from kagglekit.identity import fit_names
from kagglekit.inspect.sheets import Cell, Sheet
from kagglekit.models.vision.exported import ExportedModel, load
from kagglekit.models.vision.gradcam import grad_cam
from kagglekit.progress import Progress
from kagglekit.refit import refit, write_model
from kagglekit.report.losses import losses
from kagglekit.report.words import percent, plural, printable
from kagglekit.store import Store

__all__ = ["fold_model", "heat_sheet", "lit"]

_EACH = 12  # of the worst and of the best
_RIM = 0.1  # of each side
_DARK = 0.3  # how bright a picture is where nothing speaks for the label
_HALF, _LINE = 0.5, np.array((255, 150, 30))  # the line around what is at least half as warm as the warmest place


def fold_model(
    prepared: Prepared, run: Run, experiment: Experiment, store: Store, *, progress: Progress | None = None
) -> ExportedModel:
    """The run's model of the first fold: as it was kept, or fitted again.

    Raises
    ------
    UsageError
        The run has none: it is a blend, was scored out of bag, or has no network.
    """
    if run.kind != "oof" or not experiment.model.startswith("timm"):
        raise UsageError(f"'{run.name}' has no image model of a first fold.", hint="Name an experiment with folds.")
    split = next(prepared.folds.splits())
    name = fit_names(experiment, split)[0]
    kept = store.models(run.id)
    if name in kept:
        return load(kept[name])
    with tempfile.TemporaryDirectory(prefix="kagglekit-heat-") as folder:
        made = refit(prepared, experiment, split, progress=progress)
        write_model(prepared, experiment, made.estimator, Path(folder) / name)
        return load(Path(folder) / name)


def heat_sheet(prepared: Prepared, run: Run, model: ExportedModel) -> tuple[Sheet, pd.DataFrame]:
    """Heat maps of the first fold's held-out images: the worst predicted ones, then the best.

    Parameters
    ----------
    prepared : Prepared
    run : Run
    model : ExportedModel
        Of the first fold; of several networks the first one is asked.

    Returns
    -------
    sheet : Sheet
        Each image as the model gets it, then lit where the predicted label comes from, and where the true one does; of
        a right prediction, where the next label does.
    table : DataFrame by id
        Labels and beliefs; the centre of the predicted label's heat as a share of width and height; and the share of
        that heat in the outer tenth of the picture: a model that looks at the rim may have found a leak.

    Raises
    ------
    UsageError
        The network has no map of places, or its answers are no labels.
    """
    if model.facts.kind != "labels":
        raise UsageError(f"Grad-CAM asks about labels, and '{run.name}' predicts {model.facts.kind}.")
    ranked = losses(prepared, run)
    held = ranked[ranked.index.isin(next(prepared.folds.splits()).score_ids)].index
    ids = held[:_EACH].append(held[_EACH:][-_EACH:][::-1])
    paths = [str(prepared.train["path"].loc[i]) for i in ids]
    images, columns = model.seen(paths), [str(c) for c in model.facts.members[0].columns]
    beliefs = model.answers(paths).set_axis([str(c) for c in model.facts.columns], axis=1).set_axis(ids, axis=0)
    predicted = beliefs[columns].idxmax(axis=1)
    true = prepared.y.loc[ids].map(str)
    other = _others(beliefs[columns], predicted, true)
    maps = [_heat(model, paths, columns, labels) for labels in (predicted, other)]
    named = pd.DataFrame({"true": true, "predicted": predicted, "other": other}).astype(str)
    cells = []
    for n in range(len(ids)):
        views = [images[n], *(lit(images[n], part[n]) for part in maps)]
        cells.append(Cell(views, _lines(beliefs.iloc[n], named.iloc[n], maps[1][n])))
    sheet = Sheet(
        title=f"{run.name}: where it looks (Grad-CAM)",
        words=f"{plural(len(ids), 'image')} of the first fold, which its model did not see: the {min(_EACH, len(ids))} "
        "worst predicted, then the best. In the light: the part that speaks for the label.",
        cells=cells,
        heads=["as the model gets it", "for the predicted label", "for the true or the next"],
    )
    return sheet, _table(true, predicted, beliefs, maps[0])


def _heat(model: ExportedModel, paths: list[str], columns: list[str], labels: pd.Series) -> np.ndarray:
    """One map for each image; of noughts for a label that the network does not know."""
    places = np.array([columns.index(label) if label in columns else -1 for label in labels])
    heat = grad_cam(model.networks[0], model.pixels(paths)[:, 0], np.maximum(places, 0))
    return np.where(places[:, None, None] >= 0, heat, 0.0)


def _others(beliefs: pd.DataFrame, predicted: pd.Series, true: pd.Series) -> pd.Series:
    """The label that the prediction is held against: the true one, or the second likeliest where it is right."""
    rest = beliefs.mask(pd.DataFrame({c: predicted == c for c in beliefs}))
    return true.where(true != predicted, rest.idxmax(axis=1))


def lit(image: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """A picture in its own colours where it is warm, dark grey where it is cold, with a line around the warm part."""
    grey = image.mean(axis=2, keepdims=True).repeat(3, axis=2) * _DARK
    light = heat[:, :, None]
    mixed = grey * (1 - light) + image * light
    mixed[_edge(heat >= _HALF)] = _LINE
    found: np.ndarray = np.clip(mixed, 0, 255).astype(np.uint8)
    return found


def _edge(inside: np.ndarray) -> np.ndarray:
    """The places inside that have a neighbour outside; the picture's own rim is none."""
    padded = np.pad(inside, 1, mode="edge")
    around = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    found: np.ndarray = inside & ~around
    return found


def _lines(beliefs: pd.Series, named: pd.Series, heat: np.ndarray) -> list[str]:
    """What was predicted, and what it is held against."""
    true, predicted, other = named[["true", "predicted", "other"]]
    dark = "" if heat.any() else ": no part speaks for it"
    against = f"true {other}" if predicted != true else f"right; next {other}"
    return [
        f"{predicted}, {percent(float(beliefs[predicted]))}",
        f"{against}, {percent(float(beliefs[other]))}{dark}",
        printable(beliefs.name),
    ]


def _table(true: pd.Series, predicted: pd.Series, beliefs: pd.DataFrame, heat: np.ndarray) -> pd.DataFrame:
    total = np.maximum(heat.sum(axis=(1, 2)), 1e-12)
    height, width = heat.shape[1:]
    y, x = (np.arange(height) + 0.5) / height, (np.arange(width) + 0.5) / width
    rim = (np.minimum(y, 1 - y) < _RIM)[:, None] | (np.minimum(x, 1 - x) < _RIM)[None, :]
    rows = np.arange(len(true))
    values = beliefs.to_numpy(float)
    return pd.DataFrame(
        {
            "true": true,
            "predicted": predicted,
            "belief in true": values[rows, beliefs.columns.get_indexer(pd.Index(true))].round(4),
            "belief in predicted": values[rows, beliefs.columns.get_indexer(pd.Index(predicted))].round(4),
            "centre x": ((heat.sum(axis=1) * x).sum(axis=1) / total).round(4),
            "centre y": ((heat.sum(axis=2) * y).sum(axis=1) / total).round(4),
            "share at the rim": ((heat * rim).sum(axis=(1, 2)) / total).round(4),
        },
        index=true.index,
    )
