"""The flow on Kaggle's machines: what is trained there comes back as if it had been trained here."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from kagglekit.config import Experiment
from kagglekit.contracts import Run, Submission
from kagglekit.errors import UsageError
from kagglekit.files import read_json, sha256, write_json
from kagglekit.flow import Flow
from kagglekit.forecast import rough_seconds
from kagglekit.gateway import Gateway, new_mark
from kagglekit.identity import fold_names, run_id, run_settings
from kagglekit.kernels import notebook, plan
from kagglekit.kernels.assignment import Assignment, kernel_slug
from kagglekit.kernels.machines import Machine, find_machine
from kagglekit.kernels.parcels import Parcel, parcels_for
from kagglekit.kernels.plan import Plan, Todo
from kagglekit.kernels.pull import Pulled, finished_folds, pull
from kagglekit.kernels.push import push
from kagglekit.kernels.session import TIMES
from kagglekit.kernels.sync import Synced, sync
from kagglekit.kernels.watch import Watched, watch
from kagglekit.ladder import candidates_text, load_ladder
from kagglekit.progress import Progress
from kagglekit.submission_file import read_submission
from kagglekit.submit import refresh
from kagglekit.train import train

__all__ = ["KernelFlow", "Options", "Session"]

_MOST_SESSIONS = 50
_WAIT_FOR_SCORE = 600.0


@dataclass(frozen=True)
class Options:
    """How notebooks are run.

    Parameters
    ----------
    accelerator : str
        See `kagglekit.kernels.machines.find_machine`.
    hours : float
        A session's limit.
    submit : bool
        One notebook for each experiment, which writes `submission.csv`.
    probe : bool
        One fit of each experiment only, to be measured.
    docker_image : str
        The image to run on; "" for Kaggle's newest.
    """

    accelerator: str = "t4"
    hours: float = plan.SESSION_HOURS
    submit: bool = False
    probe: bool = False
    docker_image: str = ""


@dataclass(frozen=True)
class Session:
    """One notebook that was built, and pushed unless it was a dry run."""

    slug: str
    notebook: Path
    plan: Plan
    url: str = ""
    synced: Sequence[Synced] = field(default_factory=tuple)


class KernelFlow:
    """One competition's experiments on the site's machines.

    Parameters
    ----------
    flow : Flow
        Its data must be here: plans and checks need rows and folds.
    gateway : Gateway
        Open.
    """

    def __init__(self, flow: Flow, gateway: Gateway) -> None:
        self.flow, self.gateway = flow, gateway

    def sync(self, names: Sequence[str]) -> list[Synced]:
        """Send what these experiments need and the site does not have yet."""
        return sync(self.gateway.datasets, self._parcels(self._chosen(names)).values(), progress=self._progress)

    def push(self, names: Sequence[str], options: Options, *, dry_run: bool = False) -> list[Session]:
        """Build the notebook, or with `options.submit` one for each experiment, and push it.

        Raises
        ------
        UsageError
            There is nothing to train, no time or no quota; or something holds a token.
        GatewayError
        """
        chosen = self._chosen(names)
        groups = [[e] for e in chosen] if options.submit else [chosen]
        return [self._push_one(group, options, dry_run) for group in groups]

    def watch(self, names: Sequence[str], *, submit: bool = False, pause: float = 5.0) -> list[Watched]:
        """Follow the notebooks until they have run.

        Raises
        ------
        KernelFailed
            One did not come to its end.
        """
        kernels = self.gateway.kernels
        return [watch(kernels, slug, progress=self._progress, pause=pause) for slug in self._slugs(names, submit)]

    def pull(self, names: Sequence[str], *, submit: bool = False) -> Pulled:
        """Bring finished runs and folds into the store; runs whose folds are all here now are sealed.

        Raises
        ------
        UsageError
            A notebook is not complete, or made none of these runs.
        """
        taken: dict[str, Sequence[str]] = {}
        refused: dict[str, str] = {}
        for slug, group in self._slugs(names, submit).items():
            found = self._pull_one(slug, group)
            taken, refused = taken | dict(found.taken), refused | dict(found.refused)
        self._seal(names)
        return Pulled(taken, refused)

    def run(self, names: Sequence[str], options: Options, *, pause: float = 5.0) -> dict[str, Run]:
        """Push, watch and pull, session after session, until every experiment is here.

        Raises
        ------
        KernelFailed
            A session did not come to its end, or brought nothing new.
        """
        for _ in range(_MOST_SESSIONS):
            missing = [e.name for e in self._chosen(names) if options.submit or not self._is_here(e)]
            if not missing:
                break
            for session in self.push(missing, options):
                self._progress.say(session.plan.words())
            self.watch(missing, submit=options.submit, pause=pause)
            found = self.pull(missing, submit=options.submit)
            for run, why in found.refused.items():
                raise UsageError(f"The run {run} was refused: {why}")
            if options.submit or options.probe or not any(found.taken.values()):
                break
        return {e.name: self.flow.store.load(self._id(e)) for e in self._chosen(names) if self._is_here(e)}

    def submit(self, names: Sequence[str]) -> list[Submission]:
        """Submit what notebooks that were pushed with `submit` wrote, each once, and write it into the ledger.

        Of a code competition the site takes the notebook; of any other it takes the pulled run's file, as ever.
        """
        by_code = self.gateway.competition(self.flow.slug).by_code
        made = []
        for experiment in self._chosen(names):
            if by_code:
                made.append(self._submit_code(experiment))
            elif (done := self.flow.submit(self.gateway, experiment.name).submitted) is not None:
                made.append(done.submission)
        return made

    def left(self, names: Sequence[str]) -> dict[str, list[str]]:
        """Experiment -> folds that are not here."""
        found = {}
        for experiment in self._chosen(names):
            done = self.flow.store.folds(self._id(experiment))
            folds = [] if self._is_here(experiment) else fold_names(self.flow.prepared, experiment)
            found[experiment.name] = [name for name in folds if name not in done]
        return found

    @property
    def _progress(self) -> Progress:
        return self.flow.progress

    @property
    def _times(self) -> Path:
        return self.flow.workspace.kernel("times").with_suffix(".json")

    def _chosen(self, names: Sequence[str]) -> list[Experiment]:
        if not names:
            raise UsageError("No experiment was named.", hint=f"Known: {', '.join(self.flow.pipeline.experiments)}.")
        return self.flow.named(names)

    def _slugs(self, names: Sequence[str], submit: bool) -> dict[str, list[str]]:
        """The notebooks of these experiments -> what each of them trains."""
        chosen = [e.name for e in self._chosen(names)]
        groups = [[name] for name in chosen] if submit else [chosen]
        return {kernel_slug(self.flow.comp, group, submit=submit): group for group in groups}

    def _parcels(self, chosen: Sequence[Experiment]) -> dict[str, Parcel]:
        return parcels_for(self.flow.comp, self.flow.pipeline, chosen, self.flow.workspace.kernel_data)

    def _id(self, experiment: Experiment) -> str:
        return run_id(self.flow.prepared, experiment)

    def _is_here(self, experiment: Experiment) -> bool:
        return self.flow.store.has(self._id(experiment))

    def _push_one(self, group: Sequence[Experiment], options: Options, dry_run: bool) -> Session:
        machine, kernels = find_machine(options.accelerator), self.gateway.kernels
        slug = kernel_slug(self.flow.comp, [e.name for e in group], submit=options.submit)
        there = finished_folds(kernels, slug, self.flow.slug)
        made = self._plan(group, machine, options, there)
        assignment = Assignment(
            comp=self.flow.comp,
            pipeline=self.flow.pipeline,
            experiments=tuple(group),
            parcels=self._parcels(group),
            owner=kernels.owner,
            machine=machine,
            plan=made,
            submit=options.submit,
            goes_on=bool(there),
            ladder=self._ladder(group),
            docker_image=options.docker_image,
        )
        folder = self.flow.workspace.kernel(slug)
        path = notebook.build(assignment, folder)
        if dry_run:
            return Session(slug, path, made)
        synced = sync(self.gateway.datasets, assignment.parcels.values(), progress=self._progress)
        pushed = push(kernels, folder, timeout=made.limit)
        return Session(slug, path, made, pushed.url, synced)

    def _ladder(self, group: Sequence[Experiment]) -> str:
        """The candidates of a ladder among these experiments: the pipeline file does not name them."""
        return candidates_text(load_ladder(self.flow.store.folder), [e.name for e in group])

    def _plan(
        self, group: Sequence[Experiment], machine: Machine, options: Options, there: Mapping[str, Sequence[str]]
    ) -> Plan:
        todos = [self._todo(e, machine, there.get(self._id(e), ()), options.submit) for e in group]
        made = plan.make(
            plan.probe(todos) if options.probe else todos,
            machine,
            hours=options.hours,
            # The arena has no accelerators, and so counts none.
            quota=None if self.gateway.site.name == "arena" else self.gateway.kernels.quota(),
        )
        if options.submit and made.later:
            raise UsageError(
                f"A notebook that submits must train every fold in one session; {made.words().splitlines()[-1]}",
                hint="Take fewer folds or epochs, or push without --submit and submit what comes back.",
            )
        return made

    def _todo(self, experiment: Experiment, machine: Machine, there: Sequence[str], submit: bool) -> Todo:
        prepared, store, identity = self.flow.prepared, self.flow.store, self._id(experiment)
        folds = fold_names(prepared, experiment)
        # A notebook that submits needs every fold itself.
        here = [] if submit else folds if store.has(identity) else store.folds(identity)
        rough = rough_seconds(experiment.model, experiment.params, len(prepared.train), experiment.bags)
        each = plan.estimate(experiment.model, rough, self._measures(), machine.shape or "none")
        return Todo(experiment.name, plan.left(folds, {*there, *here}), each)

    def _measures(self) -> list[plan.Measure]:
        """What sessions on the site measured, and what was measured here."""
        prepared, pulled = self.flow.prepared, set(self._pulled())
        here = []
        for name, run in self.flow.runs().items():
            if run.id not in pulled:
                e = self.flow.pipeline.experiment(name)
                rough = rough_seconds(e.model, e.params, len(prepared.train), e.bags)
                n_fits = len(fold_names(prepared, e))
                here.append(plan.Measure(plan.HERE, e.model, run.seconds / n_fits, rough))
        return [*plan.read_times(self._times), *here]

    def _pulled(self) -> list[str]:
        """Runs that came from the site: their seconds are not this computer's."""
        path = self._times.with_name("pulled.json")
        return list(read_json(path)) if path.is_file() else []

    def _pull_one(self, slug: str, names: Sequence[str]) -> Pulled:
        prepared = self.flow.prepared
        chosen = self._chosen(names)
        expected = {self._id(e): run_settings(prepared, e) for e in chosen}
        with tempfile.TemporaryDirectory(prefix="kagglekit-times-") as folder:
            times = Path(folder) / TIMES
            found = pull(
                self.gateway.kernels,
                slug,
                prepared,
                self.flow.store,
                expected,
                times=times,
                progress=self._progress,
            )
            plan.keep_times(self._times, plan.read_times(times))
        new = [run for run, what in found.taken.items() if what]
        write_json(self._times.with_name("pulled.json"), sorted({*self._pulled(), *new}))
        return found

    def _seal(self, names: Sequence[str]) -> None:
        """Finish the runs of which every fold is here."""
        left = self.left(names)
        for experiment in self._chosen(names):
            if not left[experiment.name] and not self._is_here(experiment):
                train(self.flow.prepared, experiment, self.flow.store)

    def _submit_code(self, experiment: Experiment) -> Submission:
        """Have the site run the notebook on the hidden test set; a file that was sent before is not sent again."""
        flow, kernels = self.flow, self.gateway.kernels
        slug = kernel_slug(flow.comp, [experiment.name], submit=True)
        run = flow.choose(experiment.name)
        file = kernels.download(slug, "submission.csv", flow.workspace.submissions(flow.comp) / f"{run.id}-kernel.csv")
        read_submission(file, flow.prepared.competition, flow.prepared.sample)
        digest, version = sha256(file), kernels.version(slug)
        if (before := flow.ledger.with_file(digest)) is not None and before.site == self.gateway.site.name:
            return before
        said = f"{run.id} CV {run.score:.5f} from {kernels.owner}/{slug} version {version}"
        # A process that was killed before it could write the ledger has sent it all the same.
        known = (s.ref for s in self.gateway.submissions(flow.slug) if said in s.message)
        ref = next(known, "") or self.gateway.create_from_kernel(flow.slug, slug, version, said, new_mark())
        sent = Submission(
            site=self.gateway.site.name,
            slug=flow.slug,
            run=run.id,
            file=file.name,
            sha256=digest,
            message=said,
            cv=run.score,
            cv_se=run.standard_error if len(run.scores) > 1 else 0.0,
            ref=ref,
            sent=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        flow.ledger.append(sent)
        return refresh(self.gateway, sent, flow.ledger, _WAIT_FOR_SCORE, flow.progress)
