"""A run's image models as a folder that goes elsewhere: plain files, and on request what fastai and ONNX programs read.

Models are exported as they were scored: those of the folds, whose answers are averaged as the run's own test
predictions are. They were kept with the run (`keep_models`), or are fitted again by the same seeds on the same rows;
what they say of test rows is held against what the run stored. One model on all rows is cheaper to use and may be a
little better, but nothing can say how good it is: it is made on request only, and says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from kagglekit.config import Experiment
from kagglekit.contracts import Run, Split
from kagglekit.dataset import Prepared
from kagglekit.errors import UsageError, nearest, preview
from kagglekit.files import sha256, work_folder
from kagglekit.identity import fit_names
from kagglekit.models.vision.exchange import write_fastai, write_onnx
from kagglekit.models.vision.exported import ExportedModel, load
from kagglekit.models.vision.facts import PROBE, About, Cuts, Facts, write_facts
from kagglekit.models.vision.saving import merge
from kagglekit.progress import Progress, Silent
from kagglekit.refit import refit, refit_out_of_bag, write_model
from kagglekit.scoring import cuts
from kagglekit.store import Store

__all__ = ["Export", "export_run"]

_ALL = "all"
_FOLDS = "folds"
_COMPARED = 64  # test rows on which the exported model is held against the run
_ROUNDING, _TF32 = 1e-4, 1e-2  # on a CPU; on a GPU, which multiplies with ten bits
_PICKLED = "export.pkl is a pickle: opening it runs what is in it, so open only those you trust. It needs kagglekit."


@dataclass(frozen=True)
class Export:
    """What was written.

    Parameters
    ----------
    folder : Path
    facts : Facts
    notes : tuple of str
        What a person should know of it.
    """

    folder: Path
    facts: Facts
    notes: tuple[str, ...]

    def words(self) -> str:
        """Plain text."""
        facts, size = self.facts, sum(f.stat().st_size for f in self.folder.iterdir()) / 1e6
        height, width = facts.size
        networks = f"{len(facts.members)} network{'s' if len(facts.members) > 1 else ''}"
        what = f"{networks}, {facts.arch} at {height} x {width} px by {facts.resize}, {size:.1f} MB"
        return "\n".join([what, facts.about.fitted, facts.about.score, *self.notes])


def export_run(
    run: Run,
    prepared: Prepared,
    experiment: Experiment,
    store: Store,
    folder: Path,
    *,
    fit: str = _FOLDS,
    fastai: bool = False,
    onnx: bool = False,
    progress: Progress | None = None,
) -> Export:
    """Write a run's models to a new folder, whole or not at all.

    What a killed export left beside the folder is removed.

    Parameters
    ----------
    run : Run
        Of an image model.
    prepared : Prepared
    experiment : Experiment
        The run's.
    store : Store
    folder : Path
        It must not exist.
    fit : str
        "folds" for the run's own models, the name of one of them ("fold-0"), or "all" for a new one on all rows.
    fastai, onnx : bool
        Write export.pkl, and model.onnx, too.
    progress : Progress, optional

    Raises
    ------
    UsageError
        The run is a blend or has no image models, there is no such fit, or there is something at `folder`.
    StoreError, MissingExtra
        See `kagglekit.models.vision.saving` and `exchange`; another process is writing to `folder`.
    """
    _refuse(run, experiment, folder)
    maker = _Maker(run, prepared, experiment, store, progress or Silent())
    with work_folder(folder, busy=f"Another process is writing {folder}.") as work:
        parts = dict(maker.parts(fit, work))
        score = "; ".join(part for part in (maker.score(fit), *maker.left_out) if part)
        about = About(name=run.name, fitted=maker.fitted(fit, parts), score=score)
        facts = merge(parts, work / "whole", about=about, plain=maker.plain)
        model = load(work / "whole")
        notes = [maker.agreement(fit, model), maker.rule, *_others(model, work / "whole", fastai=fastai, onnx=onnx)]
        if maker.cuts and (fastai or onnx):
            notes.append("export.pkl and model.onnx give probabilities only: the cuts are not in them.")
        extra = {f: sha256(work / "whole" / f) for f in _FORMS if (work / "whole" / f).is_file()}
        facts = facts.model_copy(update={"sha256": facts.sha256 | extra, "cuts": maker.cuts})
        write_facts(facts, work / "whole")
        (work / "whole").replace(folder)
    return Export(folder, facts, tuple(note for note in notes if note))


_FORMS = ("export.pkl", "model.onnx")


def _refuse(run: Run, experiment: Experiment, folder: Path) -> None:
    if run.kind == "blend":
        raise UsageError(
            f"'{run.name}' is a blend, which has no models of its own.",
            hint=f"Export its members: {preview(sorted(run.weights))}.",
        )
    if not experiment.model.startswith("timm"):
        raise UsageError(f"The model '{experiment.model}' of '{run.name}' looks at no images, and only those export.")
    if folder.exists():
        raise UsageError(f"{folder} exists already and was left alone.", hint="Name another folder with --to.")


def _others(model: ExportedModel, folder: Path, *, fastai: bool, onnx: bool) -> list[str]:
    notes = []
    if fastai:
        write_fastai(model, folder / "export.pkl", folder / PROBE)
        notes.append(_PICKLED)
    if onnx:
        write_onnx(model, folder / "model.onnx", folder / PROBE)
        notes.append("model.onnx takes pixels that are framed and normalised as model.json says under preprocessing.")
    return notes


@dataclass(frozen=True)
class _Maker:
    """Finds the models of a run, or fits them again, and says what they are worth."""

    run: Run
    prepared: Prepared
    experiment: Experiment
    store: Store
    progress: Progress

    def parts(self, fit: str, work: Path) -> Iterator[tuple[str, Path]]:
        """Exported models by the name of their fit, made one after the other."""
        kept = self.store.models(self.run.id)
        for name, split, number in self._fits(fit):
            if name in kept:
                yield name, kept[name]
                continue
            self._refuse_to_fit()
            self.progress.say(f"Fitting {self.run.name}, {name}.")
            if split is None:
                made = refit_out_of_bag(
                    self.prepared, self.experiment, self.prepared.train.index, progress=self.progress
                )
            else:
                made = refit(self.prepared, self.experiment, split, number=number, progress=self.progress)
            write_model(self.prepared, self.experiment, made.estimator, work / name)
            yield name, work / name

    def _fits(self, fit: str) -> list[tuple[str, Split | None, int]]:
        """Name, split and number of the seed of each model; no split for bags."""
        if fit == _ALL:
            ids = self.prepared.train.index
            everything = Split(0, 0, ids, ids[:0])
            return [(n.replace("fold-0", "all"), everything, i) for i, n in enumerate(self._names(everything))]
        is_oob = self.run.kind == "oob"
        splits = {} if is_oob else {split.name: split for split in self.prepared.folds.splits()}
        if fit not in (_FOLDS, *splits):
            raise UsageError(f"There is no fit '{fit}'.", hint=nearest(fit, [_FOLDS, _ALL, *splits]))
        if is_oob:
            return [("oob", None, 0)]
        chosen = list(splits.values()) if fit == _FOLDS else [splits[fit]]
        return [(name, split, i) for split in chosen for i, name in enumerate(self._names(split))]

    def _names(self, split: Split) -> list[str]:
        return fit_names(self.experiment, split)

    def _refuse_to_fit(self) -> None:
        if self.experiment.pseudo is not None or "pseudo" in self.run.settings:
            raise UsageError(
                f"'{self.run.name}' was fitted on test rows with labels, and is not fitted again here.",
                hint="Set keep_models = true in its experiment and train it in another folder of runs.",
            )

    @property
    def plain(self) -> bool:
        """Whether test-time augmentation was tried and did not win: the run's own test predictions are without."""
        return bool(self.run.tta) and not self.run.tta["kept"]

    def fitted(self, fit: str, parts: dict[str, Path]) -> str:
        """Which models these are."""
        kept = set(parts.values()) <= set(self.store.models(self.run.id).values())
        if fit == _ALL:
            return f"fitted on all {len(self.prepared.train):,} training rows"
        how = "kept when the run was trained" if kept else "fitted again by the run's seeds on the run's rows"
        return f"{', '.join(parts)}: {how}"

    def score(self, fit: str) -> str:
        """What is known of how good they are."""
        run = self.run
        known = f"{run.metric} {run.score:.4f} ± {run.standard_error:.4f}"
        if fit == _ALL:
            return f"no honest score, as no row was held out; the folds' models of the same settings had {known}"
        if run.kind == "oob":
            return f"{known} out of bag: by the bags that did not see the row, about a third of them"
        if fit == _FOLDS:
            return f"{known} over folds: each model alone on rows it did not see; their mean was not scored"
        names = [split.name for split in self.prepared.folds.splits()]
        if len(run.scores) < len(names):  # scored over the rows of all repeats together
            return f"{known} over folds, of which {fit} is one"
        return f"{run.metric} {run.scores[names.index(fit)]:.4f} on the rows of {fit}, which it did not see"

    @property
    def left_out(self) -> list[str]:
        """What was done to the run's predictions before they were scored, and is not done to these."""
        found = []
        if self.experiment.calibrate != "none":
            found.append(f"that was after calibrate = {self.experiment.calibrate!r}, which is not exported")
        if self.prepared.competition.decision != "argmax" and self.cuts is None:
            found.append(f"that was after decision = {self.prepared.competition.decision!r}, which is not exported")
        return found

    @cached_property
    def cuts(self) -> Cuts | None:
        """The rule by which the run's own submission chooses labels, fitted on all of its out-of-fold rows."""
        facts = self.prepared.competition
        # A cut of mended probabilities says nothing of these.
        if facts.decision == "argmax" or facts.targets or self.experiment.calibrate != "none":
            return None
        values = [0.0, 1.0] if facts.decision == "threshold" else [float(label) for label in facts.classes]
        return Cuts(values=values, bounds=list(cuts(self.run.oof.frame, self.prepared.y, facts)))

    @property
    def rule(self) -> str:
        if self.cuts is None:
            return ""
        return f"Labels are chosen as the run's are, by its out-of-fold rows: {self.cuts.words(self._labels)}."

    @property
    def _labels(self) -> list[str | int]:
        return list(self.prepared.competition.classes)

    def agreement(self, fit: str, model: ExportedModel) -> str:
        """Whether the exported model says of test rows what the run stored."""
        if fit != _FOLDS and self.run.kind != "oob":
            return ""
        if self.experiment.calibrate != "none":
            return ""
        rows = self.prepared.test.iloc[:_COMPARED]
        stored = self.run.test.frame.loc[rows.index].to_numpy(float)
        off = model.facts.distance(model.answers(list(rows["path"])), stored)
        if off <= _ROUNDING:
            return f"It predicts what the run stored: {len(rows)} test rows, off by {off:.1g} at most."
        if off <= _TF32 and model.device.type != "cpu":
            return f"It predicts what the run stored, as far as a GPU rounds: {len(rows)} test rows, off by {off:.1g}."
        return f"It predicts otherwise than the run stored, by up to {off:.2g}: packages or machine are others now."
