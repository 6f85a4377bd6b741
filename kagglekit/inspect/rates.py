"""Which learning rate an experiment of images should take: the loss of a mock training against a growing rate."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kagglekit.config import Experiment
from kagglekit.dataset import Prepared
from kagglekit.errors import MissingExtra, UsageError
from kagglekit.files import atomic
from kagglekit.models.vision.sweep import Sweep
from kagglekit.progress import Progress
from kagglekit.refit import first_fit

__all__ = ["Rates", "sweep_experiment"]


_LEAST = 0.1  # of the lowest loss, that a picture shows around it where nothing was learnt


@dataclass(frozen=True)
class Rates:
    """What a sweep of the learning rate found for an experiment.

    Parameters
    ----------
    experiment : str
    now : float or None
        The setting `lr` as it is; None is the model's default.
    sweep : Sweep
    """

    experiment: str
    now: float | None
    sweep: Sweep

    def words(self) -> str:
        """The suggestions, and what to do with them."""
        found = self.sweep.suggestions
        named = f"{self.sweep.now:.1e}{', the default,' if self.now is None else ''}"
        return (
            f"{self.experiment}: valley {found['valley']:.1e}, slide {found['slide']:.1e}; lr is {named} now.\n"
            f'Try one in an experiment of its own: based_on = "{self.experiment}", lr = {found["valley"]:.1e}'
        )

    def as_json(self) -> dict[str, Any]:
        """The same as plain values."""
        sweep = self.sweep
        curve = {"rates": list(sweep.rates), "losses": list(sweep.losses)}
        return {"experiment": self.experiment, "lr": self.now, "suggestions": dict(sweep.suggestions), **curve}

    @property
    def shown(self) -> tuple[float, float]:
        """The losses that the picture reaches from and to: where training explodes, it runs out of it."""
        low, first = min(self.sweep.losses), self.sweep.losses[0]
        room = max(first - low, _LEAST * abs(low))
        return low - 0.3 * room, first + 0.3 * room

    def draw(self, path: Path) -> Path:
        """Write the curve as a PNG file.

        Raises
        ------
        MissingExtra
            matplotlib is not installed.
        """
        try:
            from matplotlib.figure import Figure
        except ModuleNotFoundError as error:
            raise MissingExtra("The picture of the rates", error.name or "matplotlib", "report") from error
        figure = Figure(figsize=(7.0, 4.0), dpi=120, layout="constrained")
        axes = figure.subplots()
        axes.plot(self.sweep.rates, self.sweep.losses, color="#444444")
        for number, (name, rate) in enumerate(self.sweep.suggestions.items()):
            axes.axvline(rate, color=f"C{number}", linestyle="--", label=f"{name} {rate:.1e}")
        axes.axvline(self.sweep.now, color="#999999", linestyle=":", label=f"now {self.sweep.now:.1e}")
        axes.set(xscale="log", xlabel="learning rate (lr)", ylabel="loss, smoothed", ylim=self.shown)
        axes.set_title(f"{self.experiment}: loss against the learning rate", loc="left", fontsize=11)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, loc="lower left")
        with atomic(path) as file:
            figure.savefig(file, format="png")
        return path


def sweep_experiment(
    prepared: Prepared, experiment: Experiment, *, n_steps: int, progress: Progress | None = None
) -> Rates:
    """Sweep the learning rate on the rows that the experiment's first fold is fitted on; nothing is stored.

    Parameters
    ----------
    prepared : Prepared
    experiment : Experiment
        It need not have been trained.
    n_steps : int
        At least 100.
    progress : Progress, optional

    Raises
    ------
    UsageError
        Its model has no such learning rate.
    ConfigError, DataError, CorruptImages, WeightsNotFound, MissingExtra
        See `kagglekit.train.train`.
    """
    model, X, y, beside = first_fit(prepared, experiment, progress=progress)
    if not hasattr(model, "lr_find"):
        raise UsageError(
            f"The model '{experiment.model}' of '{experiment.name}' has no learning rate to be swept.",
            hint='Name an experiment with model = "timm".',
        )
    return Rates(experiment.name, experiment.params.get("lr"), model.lr_find(X, y, n_steps=n_steps, **beside))
