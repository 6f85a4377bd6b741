"""A fitted image model as a folder of plain files: tensors as safetensors, all else as JSON; nothing is unpickled.

::

    FOLDER/
        model.json           architecture, preprocessing, classes, members, versions; SHA-256 of the other files
        fold-0.safetensors   the tensors of one fitted network, and so on: their answers are averaged
        probe.jpg            a picture; model.json says what was predicted for it when the folder was written

On loading, the hashes are checked and the probe is predicted again: what another version of timm, Pillow or kagglekit
would change in silence is noticed before the first answer. `saving` writes such folders.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kagglekit.errors import CorruptImages, StoreError, UsageError
from kagglekit.files import sha256
from kagglekit.models.vision.answers import mean_answer, read_network
from kagglekit.models.vision.facts import PROBE, Facts, read_facts
from kagglekit.models.vision.lens import Lens, Sight
from kagglekit.models.vision.runtime import import_torch, pick_device
from kagglekit.models.vision.transforms import Normalizer
from kagglekit.progress import Progress, Silent, Task

__all__ = ["ExportedModel", "load"]

_CHUNK = 64
# Between machines: TF32 on a GPU moves probabilities by a thousandth, another preprocessing by far more.
_ALIKE = 1e-2


def load(folder: str | Path, *, device: Any = None, tolerance: float = _ALIKE) -> ExportedModel:
    """Read an exported model; no file is unpickled, so a folder of unknown origin can run no code.

    Parameters
    ----------
    folder : str or Path
    device : torch.device or str, optional
        None takes the GPU when there is one.
    tolerance : float
        How far the answers for the probe may be from those that were written, see `Facts.distance`.

    Raises
    ------
    StoreError
        It is no exported model, a file was changed, or it predicts otherwise here than where it was written.
    ConfigError
        The installed timm has no such architecture.
    MissingExtra
    """
    folder = Path(folder)
    facts = read_facts(folder)
    for name in (*(m.file for m in facts.members), PROBE):
        path = folder / name
        if not path.is_file() or sha256(path) != facts.sha256.get(name):
            raise StoreError(f"{path} is not as it was exported.", hint="Restore it, or export the model again.")
    model = ExportedModel(facts, pick_device(device), [read_network(facts, m, folder) for m in facts.members])
    off = facts.distance(model.answers([folder / PROBE]), [facts.probe])
    if not off <= tolerance:
        was = ", ".join(f"{n} {v}" for n, v in facts.versions.items() if n in ("torch", "timm", "kagglekit"))
        raise StoreError(
            f"The model in {folder} predicts its probe otherwise than when it was exported (by {off:.2g}).",
            hint=f"It was made with {was}: install those, or export it again.",
        )
    return model


@dataclass(frozen=True, eq=False)
class ExportedModel:
    """Networks that answer with the mean of what each says. Make one with `load`.

    Parameters
    ----------
    facts : Facts
    device : torch.device
    networks : sequence of torch.nn.Module
        In the order of `facts.members`.
    """

    facts: Facts
    device: Any
    networks: Sequence[Any]

    def answers(self, paths: Sequence[str | Path], *, progress: Progress | None = None) -> pd.DataFrame:
        """What is predicted for image files: probabilities of labels, or values.

        Parameters
        ----------
        paths : sequence of str or Path
        progress : Progress, optional

        Returns
        -------
        DataFrame of shape (n_images, n_columns)
            Indexed by path, with the columns that `facts` names.

        Raises
        ------
        CorruptImages
            Names every file that cannot be decoded.
        """
        names = [str(path) for path in paths]
        with (progress or Silent()).task("images", len(names)) as task:
            parts = list(self._answered(names, task))
        values = np.concatenate([np.empty((0, len(self.facts.columns))), *parts])
        return pd.DataFrame(values, index=pd.Index(names, name="path"), columns=self.facts.columns)

    def _answered(self, names: Sequence[str], task: Task) -> Iterator[np.ndarray]:
        """Answers some files at a time; after the first that is damaged, the others are only looked through."""
        bad: list[str] = []
        step = max(1, _CHUNK // len(self.facts.views))
        for start in range(0, len(names), step):
            chunk = names[start : start + step]
            try:
                pixels = self.pixels(chunk)
            except CorruptImages as error:
                bad += error.files
            else:
                if not bad:
                    yield self.answers_of(pixels)
            task.advance(len(chunk))
        if bad:
            raise CorruptImages(bad, hint="Leave them out, or save them anew in another program.")

    def predict(self, paths: Sequence[str | Path]) -> pd.Series:
        """The label of each file, by path: the most probable one, or by the model's cuts; of values, the first.

        Raises
        ------
        UsageError
            The answers are several yes-or-no labels: take `answers`.
        """
        if self.facts.kind == "yes-or-no":
            raise UsageError("This model answers several questions with yes or no.", hint="Use answers().")
        found = self.answers(paths)
        return self._labels(found) if self.facts.has_labels else found.iloc[:, 0]

    def _labels(self, found: pd.DataFrame) -> pd.Series:
        values, cuts = found.to_numpy(), self.facts.cuts
        places = cuts.places(values) if cuts else values.argmax(axis=1)
        return pd.Series([self.facts.columns[n] for n in places], index=found.index, name="label", dtype=object)

    def words(self, answer: pd.Series, *, top: int = 3) -> str:
        """One row of `answers` as text: the likeliest labels first, every yes-or-no label, or every value.

        Where cuts choose the label, it stands before them.
        """
        if self.facts.kind == "values":
            return ", ".join(f"{name} {value:.6g}" for name, value in answer.items())
        shown = answer.sort_values(ascending=False, kind="stable").head(top) if self.facts.has_labels else answer
        beliefs = ", ".join(f"{name} {100 * value:.1f} %" for name, value in shown.items())
        return f"{self._labels(answer.to_frame().T).iloc[0]} ({beliefs})" if self.facts.cuts else beliefs

    def pixels(self, paths: Sequence[str | Path]) -> Any:
        """What the networks are given: a float tensor of shape (n_images, n_views, 3, height, width), normalised."""
        torch, names = import_torch(), [str(path) for path in paths]
        images = self._sight.open(names)
        views = self._lens.views(images.rows(names), self.device, torch.tensor(self.facts.views))
        return torch.stack(list(views), 1)

    def seen(self, paths: Sequence[str | Path]) -> np.ndarray:
        """The first view as a person can look at it: bytes of shape (n_images, height, width, 3)."""
        return self._lens.normalize.undo(self.pixels(paths)[:, 0])

    @property
    def _sight(self) -> Sight:
        return Sight(self.facts.size, self.facts.resize, self.facts.canvas)

    @property
    def _lens(self) -> Lens:
        return self._sight.lens(Normalizer(self.facts.mean, self.facts.std))

    def answers_of(self, pixels: Any) -> np.ndarray:
        """Answers of shape (n_images, n_columns) for what `pixels` gives."""
        with import_torch().inference_mode():
            found: np.ndarray = self.module(pixels).cpu().numpy()
        return found

    @cached_property
    def module(self) -> Any:
        """The whole as one torch module: from `pixels` to answers, float64."""
        return mean_answer(self.facts, self.networks).to(self.device)
