"""How the network of one fold is fitted: from pretrained weights and a new head to the weights that predict.

`Fitting.fit` is the order of things; the epochs themselves, first with a frozen body and then with all of it free, are
`training.Trainer`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from kagglekit.errors import ConfigError
from kagglekit.models.vision.batches import Batches, BatchesAt, largest_batch
from kagglekit.models.vision.best import Best
from kagglekit.models.vision.checkpoint import Checkpoint, training_key
from kagglekit.models.vision.decoding import Size, height_width, pixels
from kagglekit.models.vision.heads import start_head
from kagglekit.models.vision.lens import Sight
from kagglekit.models.vision.network import Network
from kagglekit.models.vision.objective import Objective
from kagglekit.models.vision.probe import fitting_batch, try_step
from kagglekit.models.vision.runtime import import_torch, quiet, repeatable
from kagglekit.models.vision.seen import Seen
from kagglekit.models.vision.sweep import Sweep, sweep_rates
from kagglekit.models.vision.training import Recipe, Trainer
from kagglekit.models.vision.transforms import Augmentation, Normalizer
from kagglekit.models.vision.views import view_maps
from kagglekit.models.vision.weights import Weights, create_backbone
from kagglekit.progress import Progress, Task

__all__ = ["Fit", "Fitting", "Labelled"]


@dataclass(frozen=True, eq=False)
class Labelled:
    """Pictures and what is known of each.

    Parameters
    ----------
    paths : list of str
    targets : ndarray of shape (n_images,) or (n_images, n_targets)
        As `Objective.encode` gives them.
    """

    paths: list[str]
    targets: np.ndarray


@dataclass(frozen=True, eq=False)
class Fit:
    """What came of fitting.

    Parameters
    ----------
    network : Network
        With the weights to predict by.
    weights : str
        Where the pretrained weights came from, and the first digits of the file's SHA-256.
    n_steps : int
        Optimizer steps taken.
    best_epoch : int
        The epoch whose model was kept, from 1; 0 when every epoch was.
    notes : tuple of str
        What was done otherwise than asked for.
    seconds_before : float
        That a killed process had trained, whose checkpoint was gone on from.
    """

    network: Network
    weights: str
    n_steps: int
    best_epoch: int
    notes: tuple[str, ...]
    seconds_before: float = 0.0


@dataclass(frozen=True)
class Fitting:
    """How a network is fitted; what the settings are for says `TimmEstimator`.

    Parameters
    ----------
    arch : str
    weights : str or None
    sight : Sight
        Its `size` is that at which the model predicts.
    augment : Augmentation or None
    recipe : Recipe
    batch_size, accumulate : int
        As wished; smaller batches are taken where a GPU's memory asks for them.
    logistic : bool
        Whether the head starts from logistic regression on the pretrained features, else from zero.
    patience : int
    device : torch.device
    random_state : int
    cache_dir, checkpoint_dir : str or None
    progress : Progress
    """

    arch: str
    weights: str | None
    sight: Sight
    augment: Augmentation | None
    recipe: Recipe
    batch_size: int
    accumulate: int
    logistic: bool
    patience: int
    device: Any
    random_state: int
    cache_dir: str | None
    checkpoint_dir: str | None
    progress: Progress

    def fit(
        self, objective: Objective, rows: Labelled, *, watched: Labelled | None = None, known_by: Mapping[str, Any]
    ) -> Fit:
        """Fit a network, or go on where a killed process stopped.

        Parameters
        ----------
        objective : Objective
        rows : Labelled
        watched : Labelled, optional
            Rows that say which epoch is kept and when to stop; without them every epoch is trained, and the last kept.
        known_by : mapping
            All that the weights depend on besides these rows and the pretrained weights; a checkpoint of something else
            is not gone on from.

        Raises
        ------
        CorruptImages, ConfigError, WeightsNotFound, MissingExtra
        """
        with quiet(), repeatable(self.random_state):
            first = self.recipe.stages[0].size
            network, weights = self._begin(objective, first)
            batch, notes = self._fitting_batch(network.model, len(rows.paths))
            batches_at = self._batches_at(rows, network.normalize, batch)
            start_head(network.model, batches_at(first), logistic=self.logistic)
            best = None if watched is None else Best(self.patience, self._loss_of(watched, network, objective))
            with self._reporting(len(batches_at(first))) as task:
                trainer = Trainer(
                    network.model,
                    batches_at,
                    self.recipe,
                    loss=objective.loss,
                    soft=objective.soft,
                    best=best,
                    checkpoint=self._checkpoint(objective, rows, known_by, weights),
                    on_batch=task.advance,
                )
                with self._enough_memory():
                    trainer.run()
        epoch = best.epoch if best else 0
        return Fit(network, weights.words, trainer.n_steps, epoch, notes, trainer.seconds_before)

    def first_batch(self, objective: Objective, rows: Labelled) -> Seen:
        """The first batch that `fit` would train on, before MixUp and CutMix, to be looked at; nothing is fitted."""
        with quiet(), repeatable(self.random_state):
            made = create_backbone(
                self.arch, weights=self.weights, num_classes=objective.n_outputs, size=self.sight.size
            )
        normalize, wished = Normalizer(made.mean, made.std), (self.batch_size, self.accumulate)
        size = next((stage.size for stage in self.recipe.stages if stage.epochs), self.sight.size)
        batches = self._batches_at(rows, normalize, wished)(size)
        places, x = next(batches.by_rows())
        done = "not augmented" if self.augment is None else "augmented anew at every pass"
        if self.recipe.mixup or self.recipe.cutmix:
            done += ", before it is mixed with others"
        return Seen(
            rows=places,
            views={
                "resized": normalize.undo(batches.lens(batches.images.rows(batches.paths[places]), batches.device)),
                "as the model gets it": normalize.undo(x),
            },
            words=f"batch 1 of {len(batches)}, {pixels(size)} by {self.sight.resize}, {done}",
        )

    def sweep(self, objective: Objective, rows: Labelled, n_steps: int) -> Sweep:
        """The loss of a mock training whose learning rate grows; see `sweep.sweep_rates`."""
        name = f"learning rates of {self.arch}"
        with quiet(), repeatable(self.random_state), self.progress.task(name, n_steps) as task:
            network, _ = self._begin(objective, self.sight.size)
            batch, _ = self._fitting_batch(network.model, len(rows.paths))
            batches = self._batches_at(rows, network.normalize, batch)(self.sight.size)
            start_head(network.model, batches, logistic=self.logistic)
            return sweep_rates(
                network.model,
                batches,
                self.recipe,
                objective.loss,
                n_steps=n_steps,
                on_step=lambda: task.advance(),
            )

    def _begin(self, objective: Objective, size: Size) -> tuple[Network, Weights]:
        """The network, untrained and on its device."""
        made = create_backbone(self.arch, weights=self.weights, num_classes=objective.n_outputs, size=size)
        model = made.model.to(self.device, memory_format=import_torch().channels_last)
        return Network(model, self.sight, Normalizer(made.mean, made.std), self.batch_size), made.weights

    def _fitting_batch(self, model: Any, n: int) -> tuple[tuple[int, int], tuple[str, ...]]:
        """Batch size and accumulation that fit into the device's memory, and a note where they are not those wished."""
        wished, precision = (self.batch_size, self.accumulate), self.recipe.precision
        if self.device.type == "cpu":
            return wished, ()
        size = max((height_width(stage.size) for stage in self.recipe.stages), key=prod)

        def attempt(batch_size: int, accumulate: int) -> None:
            images = largest_batch(n, batch_size, accumulate)
            try_step(model, images, size, self.device, precision, averaged=self.recipe.ema > 0)

        found = fitting_batch(attempt, *wished)
        if found == wished:
            return found, ()
        note = f"{self.arch} at {pixels(size)}: batches of {wished[0]} do not fit into memory; {found[0]} do"
        note = f"{note}, {found[1]} to a step."
        self.progress.say(note)
        return found, (note,)

    def _batches_at(self, rows: Labelled, normalize: Normalizer, batch: tuple[int, int]) -> BatchesAt:
        """Batches at any size; all sizes draw their chance from one generator."""
        images = self.sight.open(rows.paths, self.cache_dir, self.progress)
        generator = import_torch().Generator().manual_seed(self.random_state)

        @lru_cache(maxsize=1)
        def batches_at(size: Size) -> Batches:
            return Batches(
                images,
                rows.paths,
                rows.targets,
                batch_size=batch[0],
                accumulate=batch[1],
                lens=self.sight.lens(normalize, self.augment, size),
                generator=generator,
                device=self.device,
            )

        return batches_at

    def _loss_of(self, watched: Labelled, network: Network, objective: Objective) -> Callable[[], float]:
        """A function that gives the plain loss on some rows, as the network stands when it is called."""
        torch, judged = import_torch(), objective.plain()
        images = self.sight.open(watched.paths, self.cache_dir, self.progress)
        y, as_it_is = torch.from_numpy(watched.targets), view_maps(False, 1, 1.0, 0)

        def loss() -> float:
            logits = [views[0].cpu() for views in network.logits(images, watched.paths, as_it_is)]
            return float(judged.loss(torch.cat(logits), y))

        return loss

    def _checkpoint(
        self, objective: Objective, rows: Labelled, known_by: Mapping[str, Any], weights: Weights
    ) -> Checkpoint:
        if self.checkpoint_dir is None:
            return Checkpoint(None, "")
        heads = [extra.weight for extra in getattr(objective, "extras", ())]
        settings = {**known_by, "content": weights.key, "heads": heads}
        return Checkpoint(self.checkpoint_dir, training_key(settings, rows.paths, rows.targets))

    @contextmanager
    def _enough_memory(self) -> Iterator[None]:
        """Say in a line what torch says when another process has taken the memory that was free before training."""
        try:
            yield
        except import_torch().OutOfMemoryError as error:
            raise ConfigError(
                f"{self.arch} at {pixels(self.sight.size)} ran out of the device's memory in training.",
                hint="Run it again, end what else uses the device, or halve batch_size and double accumulate.",
            ) from error

    @contextmanager
    def _reporting(self, n_batches: int) -> Iterator[Task]:
        n_epochs = sum(stage.epochs for stage in self.recipe.stages)
        with self.progress.task(f"train {self.arch} at {pixels(self.sight.size)}", n_batches * n_epochs) as task:
            yield task
