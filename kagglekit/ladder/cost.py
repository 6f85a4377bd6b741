"""What a candidate will take, told before it starts: from earlier candidates, from a probe, or as a rough guess."""

from __future__ import annotations

import json
import os
import platform
import sys
from dataclasses import dataclass, replace
from typing import Any

from kagglekit.config import Experiment
from kagglekit.contracts import Split
from kagglekit.dataset import Prepared
from kagglekit.errors import ConfigError
from kagglekit.forecast import rough_seconds
from kagglekit.ladder.memory import Memory, enough_memory, let_go
from kagglekit.ladder.probe import Speed, can_probe, passes, probe
from kagglekit.ladder.record import Measured, Record
from kagglekit.progress import Progress, Silent
from kagglekit.refit import FirstFit, first_fit

__all__ = ["Costs"]

# What changes how long a training is, or what it ends in, and not what a step costs; sizes of heads hardly do.
_FREE = ("epochs", "freeze_epochs", "sizes", "lr", "head_mult", "first_mult", "label_smoothing", "weight_decay")
_FREE_TOO = ("head_init", "resize", "cache_dir", "checkpoint_dir", "progress", "random_state", "patience", "n_jobs")
ROUGH, EARLIER = "a rough guess", "an earlier candidate"


@dataclass
class _Known:
    """What was found out about one candidate before it was trained."""

    key: str
    estimator: Any
    speed: Speed
    n_decoded: int


class Costs:
    """Forecasts of the shared fold's time and memory, better with every candidate that was trained.

    Parameters
    ----------
    prepared : Prepared
    split : Split
        The shared fold.
    record : Record
        What was learnt on this machine before; kept up to date.
    progress : Progress, optional
    """

    def __init__(self, prepared: Prepared, split: Split, record: Record, progress: Progress | None = None) -> None:
        self.prepared, self.split, self.record = prepared, split, record
        self.progress = progress or Silent()
        self._known: dict[str, _Known] = {}

    def forecast(self, experiment: Experiment) -> Measured:
        """Seconds and memory of the shared fold.

        Raises
        ------
        ConfigError, DataError, WeightsNotFound, MissingExtra
            The candidate cannot be trained here, or does not fit into memory.
        """
        first = first_fit(self.prepared, experiment, progress=Silent())
        if not can_probe(first.estimator):
            guess = self._rough(experiment) * self.record.off.get(self._model_key(experiment), 1.0)
            return Measured(guess, basis=ROUGH)
        known = self._look(experiment, first)
        seconds = self._models(experiment) * self._seconds(known)
        return Measured(seconds, known.speed.mb, known.speed.gpu_mb, known.speed.basis)

    def learn(self, experiment: Experiment, seconds: float, used: Memory) -> None:
        """Take into account what a candidate took that was forecast and then trained."""
        known = self._known.get(experiment.name)
        if known is None:
            self.record.off[self._model_key(experiment)] = seconds / max(self._rough(experiment), 1e-9)
            return
        n_fitted, n_predicted = self._rows()
        each = seconds / self._models(experiment)
        other = known.speed.seconds(0, n_predicted, 0, known.n_decoded)
        per_row = max(each - other, 0.1 * each) / max(1e-9, n_fitted * passes(known.estimator))
        found = replace(known.speed, row_epoch=per_row, mb=used.mb, gpu_mb=used.gpu_mb, basis=EARLIER)
        self.record.speeds[known.key] = found
        if (images := _images(known.estimator)) not in self.record.decoded:
            self.record.decoded.append(images)

    def _look(self, experiment: Experiment, first: FirstFit) -> _Known:
        estimator = first.estimator
        key = f"{_machine()} {experiment.model} {_cost_settings(estimator)}"
        speed = self.record.speeds.get(key)
        if speed is None:
            self.progress.say(f"  {experiment.name}: a short probe of its time and memory")
            speed = self.record.speeds[key] = _probed(experiment.name, first)
            self.record.save()
        n_all = len(self.prepared.train) + len(self.prepared.test)
        n_decoded = 0 if _images(estimator) in self.record.decoded else n_all
        self._known[experiment.name] = _Known(key, estimator, speed, n_decoded)
        return self._known[experiment.name]

    def _seconds(self, known: _Known) -> float:
        return known.speed.seconds(*self._rows(), passes(known.estimator), known.n_decoded)

    def _rows(self) -> tuple[int, int]:
        """Rows fitted on, and rows predicted."""
        return len(self.split.fit_ids), len(self.split.score_ids) + len(self.prepared.test)

    def _models(self, experiment: Experiment) -> int:
        return max(1, experiment.bags) * experiment.seeds

    def _rough(self, experiment: Experiment) -> float:
        n_rows = len(self.prepared.train)
        return experiment.seeds * rough_seconds(experiment.model, experiment.params, n_rows, experiment.bags)

    def _model_key(self, experiment: Experiment) -> str:
        return f"{_machine()} {experiment.model}"


def _probed(name: str, first: FirstFit) -> Speed:
    """The probe; what libraries say of an architecture that does not take these images is an error of ours."""
    try:
        with enough_memory(name):
            return probe(*first)
    except (AssertionError, RuntimeError, ValueError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ConfigError(f"'{name}' cannot take a step of training: {reason}") from error
    finally:
        let_go()


def _cost_settings(estimator: Any) -> str:
    settings = estimator.get_params(deep=False)
    return json.dumps({k: v for k, v in settings.items() if k not in (*_FREE, *_FREE_TOO)}, sort_keys=True, default=str)


def _images(estimator: Any) -> str:
    """What decides whether images were decoded before: one presized copy serves every way to resize but crops."""
    settings = estimator.get_params(deep=False)
    if settings.get("presize"):
        return str(settings["presize"])
    if "presize" in settings:
        return f"{settings['size']} {'crop' if settings['resize'] == 'crop' else ''}"
    return f"{settings.get('size')} {settings.get('resize')}"


def _machine() -> str:
    """This computer, as far as it decides how fast it is."""
    torch = sys.modules.get("torch")
    gpu = torch.cuda.get_device_name() if torch is not None and torch.cuda.is_available() else ""
    return " ".join(filter(None, (platform.node(), f"{os.cpu_count()} cores", gpu)))
