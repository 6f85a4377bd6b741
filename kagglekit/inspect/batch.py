"""A training batch as a model gets it, beside the same images merely resized."""

from __future__ import annotations

from kagglekit.config import Experiment
from kagglekit.dataset import Prepared
from kagglekit.errors import UsageError
from kagglekit.inspect.sheets import Cell, Sheet
from kagglekit.models.vision.seen import Seen
from kagglekit.progress import Progress
from kagglekit.refit import first_fit
from kagglekit.report.words import plural

__all__ = ["batch_sheet", "sees_pictures"]

_MOST = 32
_SEES = ("timm", "timm-features")


def sees_pictures(experiment: Experiment) -> bool:
    """Whether its model is one that can tell what it is given."""
    return experiment.model in _SEES


def batch_sheet(prepared: Prepared, experiment: Experiment, *, progress: Progress | None = None) -> Sheet:
    """The first training batch of the first fold, after every transform and denormalised, with labels.

    It is drawn from the very generator, seed and order that training uses, so it is what the model gets, not a batch
    like it; nothing is fitted.

    Parameters
    ----------
    prepared : Prepared
    experiment : Experiment
        It need not have been trained.
    progress : Progress, optional

    Raises
    ------
    UsageError
        Its model looks at no pictures.
    ConfigError, DataError, CorruptImages, WeightsNotFound, MissingExtra
        See `kagglekit.train.train`.
    """
    if not sees_pictures(experiment):
        raise UsageError(
            f"The model '{experiment.model}' of '{experiment.name}' looks at no pictures.",
            hint=f"Name an experiment whose model is one of: {', '.join(_SEES)}.",
        )
    model, X, y, _ = first_fit(prepared, experiment, progress=progress)
    seen: Seen = model.seen(X, y)
    shown = range(min(_MOST, len(seen.rows)))
    ids, labels = y.index[seen.rows], y.iloc[seen.rows]
    return Sheet(
        title=f"{experiment.name}: what the model sees",
        words=f"{experiment.model}, seed {experiment.seed}, first fold: {seen.words}. {plural(len(shown), 'image')}.",
        cells=[Cell([v[n] for v in seen.views.values()], [str(labels.iloc[n]), str(ids[n])]) for n in shown],
        heads=list(seen.views),
    )
