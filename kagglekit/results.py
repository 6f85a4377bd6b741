"""Reading what the flow left behind: comparisons, forecasts, advice, checks, origins, the report. Nothing is sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from kagglekit.advice import Advice
from kagglekit.blame import Blame, blame, find_run
from kagglekit.clean import Desk, suspects_of
from kagglekit.compare import Comparison, compare
from kagglekit.config import Experiment
from kagglekit.contracts import Run
from kagglekit.drift.study import Drift, study_drift
from kagglekit.errors import UsageError
from kagglekit.export import Export, export_run
from kagglekit.files import sha256, write_text
from kagglekit.flow import Flow
from kagglekit.inspect import (
    Inspection,
    Rates,
    Subject,
    batch_sheet,
    confusion_sheet,
    confusion_table,
    fold_model,
    heat_sheet,
    inspect_table,
    save_sheet,
    sees_pictures,
    sweep_experiment,
    worst_sheet,
)
from kagglekit.metrics import get_metric
from kagglekit.models import registry
from kagglekit.outlook import Outlook, advise_runs, outlook
from kagglekit.rebuild import Rebuilt, experiment_of, rebuild
from kagglekit.report import Material, write_board, write_report
from kagglekit.search import searched, trials_name
from kagglekit.shakeup import PUBLIC_SHARE

__all__ = ["Results"]


@dataclass(frozen=True)
class Results:
    """The results of one competition.

    Parameters
    ----------
    flow : Flow
    """

    flow: Flow

    def compare(self, a: str, b: str, *, unpaired: bool = False, public_share: float = PUBLIC_SHARE) -> Comparison:
        """Two experiments, ensembles or run ids side by side: is the second better?"""
        first, second = self.flow.choose(a), self.flow.choose(b)
        found = compare(self.flow.prepared, first, second, unpaired=unpaired, public_share=public_share)
        searches = self.flow.searches()
        luck = [f"'{n}' was chosen on these rows: {searched(searches[n]).words}" for n in (a, b) if n in searches]
        return replace(found, notes=(*found.notes, *luck))

    def candidates(self, names: Sequence[str] = ()) -> dict[str, Run]:
        """The named runs; or every finished experiment but the baselines, and every ensemble of these.

        Raises
        ------
        UsageError
            A named run is not there, or nothing is trained yet.
        """
        if names:
            return {name: self.flow.choose(name) for name in names}
        trained = self.flow.trained()
        found = {name: run for name, run in trained.items() if run.settings.get("model") not in registry.BASELINES}
        if not found:
            raise UsageError("No experiment is trained yet.", hint=f"Run: kagglekit train {self.flow.comp}")
        return found

    def shakeup(self, names: Sequence[str] = (), *, public_share: float = PUBLIC_SHARE) -> Outlook:
        """Where public and private scores should fall, and whether those that are known fit."""
        return outlook(self.flow.prepared, self.candidates(names), self.flow.ledger.submissions(), public_share)

    def advise(
        self,
        names: Sequence[str] = (),
        *,
        slots: int = 1,
        line: float | None = None,
        public_share: float = PUBLIC_SHARE,
    ) -> Advice:
        """What to send next, and which two to end with."""
        prepared, store = self.flow.prepared, self.flow.store
        known = [s.run for s in self.flow.ledger.submissions() if s.status != "error" and store.has(s.run)]
        sent = {run: store.load(run) for run in dict.fromkeys(known)}
        fitting = {name: run for name, run in sent.items() if run.data == prepared.data}
        return advise_runs(prepared, self.candidates(names), fitting, slots=slots, line=line, public_share=public_share)

    def drift(self, *, embeddings: bool = False) -> Drift:
        """Whether validation speaks for the test rows; with embeddings, crops are looked for among images too."""
        flow = self.flow
        return study_drift(flow.prepared, flow.runs(), embeddings=embeddings, progress=flow.progress)

    def blame(self, ref: str) -> Blame:
        """Where a submission, a run or an experiment came from."""
        return blame(self._winner(ref), self.flow.store, self.flow.ledger, self._submissions)

    def _winner(self, ref: str) -> str:
        """The id of the best trial, where the name of a search is given."""
        if ref not in {trials_name(name) for name in self.flow.pipeline.experiments}:
            return ref
        winners = self.flow.winners()
        return winners[ref].id if ref in winners else ref

    def rebuild(self, ref: str, *, retrain: bool = False) -> Rebuilt:
        """A run's submission file made again, compared with what was sent, or else with the file that lies there."""
        flow = self.flow
        run = flow.store.load(find_run(self._winner(ref), flow.store, flow.ledger))
        of_run = [s for s in flow.ledger.submissions() if s.run == run.id]
        sent = ([s for s in of_run if s.ref == ref] or of_run)[-1:]
        file = self._submissions / (sent[0].file if sent else f"{run.id}.csv")
        digest, against = "", f"the file {file.name}"
        if sent:
            digest, against = sent[0].sha256, f"submission {sent[0].ref}"
        elif file.is_file():
            digest = sha256(file)
        return rebuild(
            run,
            flow.prepared,
            flow.store,
            flow.pipeline.experiments,
            sent=digest,
            against=against,
            file=file,
            retrain=retrain,
            progress=flow.progress,
        )

    def rates(self, name: str, *, n_steps: int) -> Rates:
        """How the loss of an experiment of images goes with the learning rate.

        Raises
        ------
        UsageError
            There is no such experiment, or its model has no such rate.
        """
        return sweep_experiment(
            self.flow.prepared, self.flow.pipeline.experiment(name), n_steps=n_steps, progress=self.flow.progress
        )

    def export(
        self, name: str, folder: Path | None = None, *, fit: str = "folds", fastai: bool = False, onnx: bool = False
    ) -> Export:
        """A run's image models as a folder of plain files; `exports/COMP/NAME` if none is named.

        Raises
        ------
        UsageError
            There is no such run or fit, it has no image models, or the folder is there already.
        """
        flow, run = self.flow, self.flow.choose(name)
        experiment = flow.pipeline.experiments.get(run.name)
        if run.kind != "blend":
            experiment = experiment_of(run, flow.prepared, flow.pipeline.experiments)
        return export_run(
            run,
            flow.prepared,
            experiment or Experiment(run.name, run.hypothesis, "blend", {}),
            flow.store,
            folder or flow.workspace.exports(flow.comp) / run.name,
            fit=fit,
            fastai=fastai,
            onnx=onnx,
            progress=flow.progress,
        )

    def inspect(self, folder: Path, name: str | None = None, *, heat: bool = False) -> tuple[list[Path], list[str]]:
        """Sheets of pictures: a training batch as the model sees it, and the errors of a finished run.

        Parameters
        ----------
        folder : Path
            Where they go.
        name : str, optional
            An experiment, ensemble or run id; what was trained last if none.
        heat : bool
            Draw where the first fold's model looks, which is fitted again for it unless the run kept it.

        Returns
        -------
        paths, notes
            The files, and a line for each sheet that there cannot be.

        Raises
        ------
        UsageError
            It is a competition of tables.
        """
        flow = self.flow
        flow.prepared.competition.refuse_several(
            "A sheet of pictures, which shows the label of each,",
            hint=f"kagglekit report {flow.comp} has each target's score and the images with the largest losses.",
        )
        if not flow.prepared.competition.has_images:
            raise UsageError(f"'{flow.comp}' has no pictures to show.", hint="`understand` looks into tables.")
        experiment, run = self._looked_at(name)
        paths, notes = [], []
        if experiment is not None and sees_pictures(experiment):
            sheet = batch_sheet(flow.prepared, experiment, progress=flow.progress)
            paths.append(save_sheet(sheet, folder / f"{experiment.name}-batch.png"))
        else:
            notes.append(f"No batch: '{name or flow.comp}' has no model that looks at pictures.")
        if run is not None:
            paths.append(save_sheet(worst_sheet(flow.prepared, run), folder / f"{run.name}-losses.jpg"))
            paths += self._confusion(run, folder)
            paths += self._heat(run, folder) if heat else []
        else:
            notes.append(f"No losses yet. Train first: kagglekit train {flow.comp} {name or ''}".rstrip())
        return paths, notes

    def _confusion(self, run: Run, folder: Path) -> list[Path]:
        """The picture and the table; nothing for values."""
        if not self.flow.prepared.competition.is_classification:
            return []
        table = folder / f"{run.name}-confusion.csv"
        picture = save_sheet(confusion_sheet(self.flow.prepared, run), folder / f"{run.name}-confusion.png")
        write_text(table, confusion_table(self.flow.prepared, run).to_csv())
        return [picture, table]

    def _heat(self, run: Run, folder: Path) -> list[Path]:
        flow = self.flow
        experiment = experiment_of(run, flow.prepared, flow.pipeline.experiments) if run.kind != "blend" else None
        if experiment is None:
            raise UsageError(f"'{run.name}' is a blend, which looks at no pictures itself.", hint="Name a member.")
        model = fold_model(flow.prepared, run, experiment, flow.store, progress=flow.progress)
        sheet, table = heat_sheet(flow.prepared, run, model)
        path = folder / f"{run.name}-heat.csv"
        picture = save_sheet(sheet, folder / f"{run.name}-heat.jpg")
        write_text(path, table.to_csv())
        return [picture, path]

    def understand(self, name: str | None = None, *, only: Sequence[str] = (), row: str | None = None) -> Inspection:
        """What the columns of a table do in a finished run: the named one, else the best that is no blend.

        Parameters
        ----------
        name : str, optional
            An experiment or a run id.
        only : sequence of str
            Parts of the inspection; all if none.
        row : str, optional
            The id of the row whose prediction is taken apart.

        Raises
        ------
        UsageError
            There is no such run, part or row, or the run is a blend.
        """
        flow = self.flow
        runs, experiments = list(flow.runs().values()), flow.pipeline.experiments
        run = self._chosen(name, blends=False)
        subject = Subject.of(run, flow.prepared, experiments, runs=runs, progress=flow.progress)
        return inspect_table(subject, only=only, row=row)

    def _looked_at(self, name: str | None) -> tuple[Experiment | None, Run | None]:
        """The experiment whose batch is shown, and the run whose losses are."""
        flow, experiments = self.flow, self.flow.pipeline.experiments
        runs = flow.runs()
        if name is not None:
            run = runs.get(name) if name in experiments else flow.choose(name)
            return experiments.get(run.name if run else name), run
        made = [r for r in runs.values() if r.settings["model"] not in registry.BASELINES]
        newest = sorted(made, key=lambda run: (run.created, run.name), reverse=True)
        looking = [e for e in (*(experiments[r.name] for r in newest), *experiments.values()) if sees_pictures(e)]
        return next(iter(looking), None), next(iter(newest), None)

    def cleaning(self, name: str | None = None, *, n: int = 60) -> Desk:
        """The rows with the largest loss under a run (the best if none is named), and the file of corrections."""
        self.flow.prepared.competition.refuse_several(
            "Cleaning, which corrects one label a row,",
            hint=f"kagglekit report {self.flow.comp} lists the rows with the largest losses: mend labels in a copy of "
            "the training table, knowingly.",
        )
        flow, run = self.flow, self._chosen(name)
        experiments, folder = flow.pipeline.experiments, flow.pipeline.path.parent
        based_on = next((e for e in (run.name, run.parent) if e in experiments), next(iter(experiments), ""))
        read = [e.cleaning_file for e in (experiments.get(based_on or ""),) if e is not None and e.cleaning_file]
        return Desk(
            comp=flow.comp,
            competition=flow.prepared.competition,
            run=run.name,
            suspects=suspects_of(flow.prepared, run, n),
            file=folder / (read[0] if read else "cleaning.csv"),
            experiments=experiments,
            based_on=based_on or "",
        )

    def _chosen(self, name: str | None, *, blends: bool = True) -> Run:
        """The named run, or the best that is no baseline."""
        if name is not None:
            return self.flow.choose(name)
        sign = 1 if get_metric(self.flow.pipeline.competition.metric).greater_is_better else -1
        candidates = [run for run in self.candidates().values() if blends or run.kind != "blend"]
        return max(candidates, key=lambda run: (sign * run.score, run.name))

    def report(self, path: Path, *, run: str | None = None) -> Path:
        """The story of the competition as one page; `run` is looked at closely, the best if none."""
        return write_report(self._material(run), path, progress=self.flow.progress)

    def web_board(self, path: Path) -> Path:
        """The board alone as a page."""
        return write_board(self._material(), path)

    @property
    def _submissions(self) -> Path:
        return self.flow.workspace.submissions(self.flow.comp)

    def _material(self, closer: str | None = None) -> Material:
        flow, runs = self.flow, self.flow.finished()
        return Material(
            title=flow.slug.replace("-", " ").capitalize(),
            site=flow.workspace.site,
            prepared=flow.prepared,
            runs=runs,
            rows=flow.board_of(runs),
            submissions=flow.ledger.submissions(),
            closer=closer,
        )
