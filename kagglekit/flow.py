"""The flow: download, prepare, train, ensemble, submit - each stage doing only what is missing or changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

from kagglekit.blend import methods
from kagglekit.board import Row, board
from kagglekit.config import Experiment, Pipeline, load_pipeline
from kagglekit.contracts import Run
from kagglekit.dataset import Prepared, RawData, SingleFiles
from kagglekit.download import download, download_file
from kagglekit.ensemble import ensemble, ensemble_id, members_of
from kagglekit.errors import ConfigError, DataError, UsageError, nearest
from kagglekit.forecast import (
    Budget,
    Forecast,
    clock,
    rough_blend_seconds,
    rough_seconds,
    rough_table_seconds,
)
from kagglekit.gateway import Gateway
from kagglekit.identity import fold_names, run_id
from kagglekit.kernels.session import Pace, gpus_for
from kagglekit.ladder import Climbed, bake_off, climb, known_candidates, load_ladder, promoted_rows
from kagglekit.ledger import Ledger
from kagglekit.look import metric_name
from kagglekit.metrics import get_metric
from kagglekit.models import registry
from kagglekit.models.vision.decoding import find_corrupt
from kagglekit.outlook import RunForecast, forecast_run
from kagglekit.parallel import OutOfTime, Stoppable, fits_at_once
from kagglekit.portfolio import Ran, members, offered, run_portfolio
from kagglekit.prepare import prepare
from kagglekit.progress import Progress, Task
from kagglekit.search import Record, load_record, search, searched, space_of, trials_name
from kagglekit.store import FoldResult, Store
from kagglekit.submit import Submitted, submit, write_csv
from kagglekit.train import check, train, train_within
from kagglekit.workspace import Workspace

__all__ = ["Flow", "Outcome"]


@dataclass(frozen=True)
class Outcome:
    """What `Flow.submit` ended in.

    Parameters
    ----------
    title : str
        The competition's, in the site's words; a practice competition says that it is one.
    metric : str
        What the site scores by.
    rows : list of Row
        The table of experiments.
    run : Run
        The run that was submitted.
    submitted : Submitted or None
        None on a dry run.
    file : Path
    place, teams : int or None
        On the public leaderboard, where the site tells it.
    forecast : RunForecast or None
        Where the scores should fall given CV, and whether the public score fits; None where too few test rows tell
        nothing.
    comp : str
        The pipeline's name, as commands take it.
    """

    title: str
    metric: str
    rows: list[Row]
    run: Run
    submitted: Submitted | None
    file: Path
    place: int | None = None
    teams: int | None = None
    forecast: RunForecast | None = None
    comp: str = ""

    @property
    def alarm(self) -> bool:
        """Whether what was sent just now got a public score that does not fit the forecast."""
        is_new = self.submitted is not None and not self.submitted.repeated
        return is_new and self.forecast is not None and bool(self.forecast.residual and self.forecast.residual.alarm)


class Flow:
    """One competition in one workspace.

    Parameters
    ----------
    comp : str
        The folder's name under `pipelines/`.
    workspace : Workspace
    progress : Progress
    overrides : sequence of str
        `table.key=value` settings that win over the pipeline file.

    Raises
    ------
    UsageError
        There is no such pipeline.
    ConfigError
        The pipeline file says something that cannot be.
    """

    def __init__(self, comp: str, workspace: Workspace, progress: Progress, overrides: Sequence[str] = ()) -> None:
        known = workspace.pipelines()
        if comp not in known:
            raise UsageError(
                f"There is no pipeline for '{comp}' in {workspace.root / 'pipelines'}.",
                hint=f"{nearest(comp, known)} Or write one from the competition's data: kagglekit new {comp}",
            )
        self.comp, self.workspace, self.progress = comp, workspace, progress
        read: Pipeline = load_pipeline(
            workspace.pipeline(comp),
            check_params=registry.check,
            check_method=methods.check,
            overrides=overrides,
            offered=offered,
        )
        climbed = known_candidates(load_ladder(workspace.runs(read.competition.slug)), read.experiments)
        self._everything = replace(read, experiments={**read.experiments, **climbed})

    @property
    def pipeline(self) -> Pipeline:
        """The pipeline file, and those members of portfolios and candidates of ladders that have been trained."""
        trained = {i.rpartition("-")[0] for i in Store(self._runs).ids()}
        everything = self._everything.experiments
        parents = {e.based_on for e in everything.values() if e.name in trained or not e.offered}
        here = {n: e for n, e in everything.items() if not e.offered or n in trained or n in parents}
        return replace(self._everything, experiments=here)

    @property
    def _runs(self) -> Path:
        return self.workspace.runs(self.slug)

    @property
    def slug(self) -> str:
        return self._everything.competition.slug

    @property
    def store(self) -> Store:
        return Store(self._runs)

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.workspace.ledger(self.comp))

    def download(self, gateway: Gateway) -> RawData:
        """Stage 1."""
        return download(gateway, self.slug, self.workspace.data(self.slug), progress=self.progress)

    def download_file(self, gateway: Gateway, name: str) -> SingleFiles:
        """One file of the competition, which no stage reads."""
        return download_file(gateway, self.slug, name, self.workspace.data(self.slug), progress=self.progress)

    @cached_property
    def prepared(self) -> Prepared:
        """Stage 2, on data that are already here."""
        raw = RawData(self.workspace.data(self.slug))
        if not raw.is_complete:
            raise DataError(
                f"The data of '{self.slug}' are not here yet ({raw.folder}).",
                hint=f"Run: kagglekit download {self.comp}",
            )
        check = find_corrupt if self.pipeline.competition.task.startswith("image") else None
        return prepare(raw, self.pipeline, find_corrupt=check, progress=self.progress)

    def planned(self) -> list[Experiment]:
        """The experiments that `submit` runs: all in the file, the optional ones only once they have been trained."""
        everything = self.pipeline.experiments.values()
        return [e for e in everything if not e.optional or self.store.has(run_id(self.prepared, e))]

    def waiting(self) -> list[Experiment]:
        """Optional experiments of the pipeline file that nobody has trained yet."""
        planned = {e.name for e in self.planned()}
        return [e for e in self.pipeline.experiments.values() if e.name not in planned and not e.offered]

    def train(self, names: Sequence[str] = (), *, n_jobs: int = 1) -> dict[str, Run]:
        """Stage 3: train the named experiments, or all planned ones, with a forecast of the time left.

        Raises
        ------
        ConfigError, DataError
            The pipeline file has no experiments, or one of them cannot be trained; then none is.
        """
        if not self.pipeline.experiments and not names:
            raise ConfigError(f"{self.pipeline.path} has no experiments.", hint="Add a table [experiments.NAME].")
        experiments = [self._experiment(n) for n in names] if names else self.planned()
        todo = self._todo(experiments)
        forecast = self._forecast(todo)
        runs: dict[str, Run] = {}
        with self._bar(forecast, todo) as bar:
            for experiment in experiments:
                runs[experiment.name] = train(
                    self.prepared,
                    experiment,
                    self.store,
                    progress=self.progress,
                    on_fold=_Watch(forecast, experiment.name, bar) if experiment in todo else None,
                    n_jobs=n_jobs,
                    devices=gpus_for(experiment, n_jobs) if experiment in todo else (),
                )
        return runs

    def train_within(self, pace: Pace, names: Sequence[str], *, devices: Sequence[str] = ()) -> dict[str, Run]:
        """Stage 3 in a session that ends at a certain time: the folds that there is time for.

        Parameters
        ----------
        pace : Pace
            Says which folds may be begun, and is told how long each took.
        names : sequence of str
            Experiments, trained in this order.
        devices : sequence of str
            GPUs; with several, each fits a fold of its own.

        Returns
        -------
        dict of str to Run
            Those that have all their folds now.

        Raises
        ------
        ConfigError, DataError
            One of them cannot be trained; then none is.
        """
        experiments = [self._experiment(name) for name in names]
        self._todo(experiments)
        runs: dict[str, Run] = {}
        for experiment in experiments:
            watch = _Timed(
                pace, experiment, len(self.prepared.train), self.store.folds(run_id(self.prepared, experiment))
            )
            run = train_within(
                self.prepared,
                experiment,
                self.store,
                watch.may_fit,
                progress=self.progress,
                on_fold=watch,
                devices=devices,
            )
            if run is not None:
                runs[experiment.name] = run
            self.progress.say(watch.words(fold_names(self.prepared, experiment)))
        return runs

    def named(self, names: Sequence[str]) -> list[Experiment]:
        """Experiments of the file, of a portfolio or of the ladder by name, in the order in which those list them.

        Raises
        ------
        UsageError
            There is none of that name.
        """
        wanted = {self._experiment(name).name for name in names}
        return [e for e in self._everything.experiments.values() if e.name in wanted]

    def _experiment(self, name: str) -> Experiment:
        """One of those; a mistyped name is told the file's own."""
        everything, ladder = self._everything.experiments, self.pipeline.ladder
        if name in everything:
            return everything[name]
        if ladder is not None and any(name == one.name for rung in ladder.rungs for one in rung.combinations()):
            raise UsageError(
                f"'{name}' is a candidate of the ladder, and no climb has come to its rung yet.",
                hint=f"What it changes is what won below: kagglekit ladder {self.comp}",
            )
        return self.pipeline.experiment(name)

    def train_portfolio(self, portfolio: str, *, budget: Budget, n_jobs: int | None = None) -> Ran:
        """Stage 3, for settings that are known to do well: in order of expected gain, as far as time allows.

        The budget is that of all that follows until the table is shown: preparing, baselines, members and the ensembles
        of the pipeline file. With a limit, members and ensembles are made in other processes, which are ended when the
        time is over. Without `n_jobs`, folds of a small table, whose fits have one thread each, share the cores out.

        Raises
        ------
        UsageError
            There is no such portfolio, or it has no model for this task.
        """
        chosen = members(portfolio, self._everything.experiments)
        folds = self.prepared.folds
        n_jobs = n_jobs or fits_at_once(len(self.prepared.train), folds.n * folds.repeats)
        if not budget.is_limited and n_jobs == 1:
            return run_portfolio(self.prepared, chosen, self.store, budget, progress=self.progress)
        with Stoppable(lambda: budget.left, n_jobs) as workers:
            workers.start()
            self._floor(workers)
            ran = run_portfolio(
                self.prepared,
                chosen,
                self.store,
                budget,
                progress=self.progress,
                workers=workers,
                closing=self._closing,
            )
            budget.reserve(rough_table_seconds(len(ran.runs), len(self.prepared.train)))
            self._blend_within(workers)
        return ran

    def _closing(self, n_members: int, slowness: float) -> float:
        """Seconds for the ensembles of the file and the table, once so many members are there."""
        n_runs, n_rows = n_members + len(self.runs()), len(self.prepared.train)
        n_columns = len(self.prepared.competition.columns)
        blends = len(self.pipeline.ensembles) * rough_blend_seconds(n_runs, n_rows, n_columns)
        return max(1.0, slowness) * (blends + rough_table_seconds(n_runs, n_rows))

    def _blend_within(self, workers: Stoppable) -> None:
        for name in self.pipeline.ensembles:
            if not self._can_combine(name, self.runs() | self.winners()):
                continue
            try:
                self.ensemble(name, workers=workers)
            except OutOfTime:
                self.progress.say(f"No time was left for '{name}'. Run: kagglekit ensemble {self.comp} {name}")

    def search(self, name: str, *, trials: int = 50, minutes: float | None = None, n_jobs: int = 1) -> Record:
        """Search the settings of an experiment; every complete trial is a run, the winner is measured again.

        Raises
        ------
        UsageError
            There is no such experiment, or its trials would take the name of another.
        ConfigError
            There is no space for it: neither `[search.NAME]` nor a built-in one.
        """
        budget = Budget(minutes)
        experiment = self._experiment(name)
        if (taken := trials_name(name)) in {*self.pipeline.experiments, *self.pipeline.ensembles}:
            raise UsageError(
                f"The trials of '{name}' are called '{taken}', and the pipeline file has something of that name.",
                hint="Rename it there.",
            )
        return search(
            self.prepared,
            experiment,
            space_of(self.pipeline, experiment),
            self.store,
            trials=trials,
            budget=budget,
            progress=self.progress,
            n_jobs=n_jobs,
        )

    def ladder(self, *, minutes: float | None = None, full: bool = True) -> Climbed:
        """Climb the pipeline file's ladder: cheap rungs first on one shared fold, then all folds of what won.

        Raises
        ------
        ConfigError
            The file has no ladder.
        """
        if self.pipeline.ladder is None:
            raise ConfigError(
                f"{self.pipeline.path} has no [ladder].", hint="docs/images.md shows one, or see --bake-off."
            )
        named, budget = self._everything.experiments, Budget(minutes)
        return climb(
            self.prepared, self.pipeline.ladder, named, self.store, budget=budget, full=full, progress=self.progress
        )

    def bake_off(self, name: str, *, minutes: float | None = None) -> Climbed:
        """Compare all ways of making images one size, on one shared fold.

        Raises
        ------
        UsageError
            There is no such experiment, or its model has no such setting.
        """
        experiment, task = self._experiment(name), self.pipeline.competition.task
        fold = None if self.pipeline.ladder is None else self.pipeline.ladder.fold
        chosen, named = bake_off(experiment, task, fold), self._everything.experiments
        budget = Budget(minutes)
        return climb(self.prepared, chosen, named, self.store, budget=budget, full=False, progress=self.progress)

    def searches(self) -> dict[str, Record]:
        """Searches from the experiments as they stand in the file, by the name of their trials."""
        identities = {e.name: run_id(self.prepared, e) for e in self.pipeline.experiments.values()}
        records = {trials_name(name): load_record(self.store.folder, i) for name, i in identities.items()}
        return {name: record for name, record in records.items() if record is not None}

    def winners(self) -> dict[str, Run]:
        """The best trial of each search that found something better; not one that is an experiment by now."""
        known = {run.key for run in self.runs().values()}
        best = {name: record.best for name, record in self.searches().items() if record.beats_parent}
        runs = {name: self.store.load(b.run) for name, b in best.items() if b is not None and self.store.has(b.run)}
        return {name: run for name, run in runs.items() if run.key not in known}

    def _trials(self) -> dict[str, Run]:
        """Every complete trial by the id of its run."""
        ids = {t.run for record in self.searches().values() for t in record.complete if t.run != record.parent}
        return {i: self.store.load(i) for i in sorted(ids) if self.store.has(i)}

    def runs(self) -> dict[str, Run]:
        """The finished runs of the experiments as they stand in the file, and of the ensembles of them."""
        identities = {e.name: run_id(self.prepared, e) for e in self.pipeline.experiments.values()}
        return {name: self.store.load(i) for name, i in identities.items() if self.store.has(i)}

    def ensemble(self, name: str | None = None, *, workers: Stoppable | None = None) -> Run:
        """Stage 4: the named ensemble, or the file's first one.

        Raises
        ------
        UsageError
            The file has no such ensemble, or there is nothing to combine.
        OutOfTime
            The time of `workers`, which make it where they are given, was over.
        """
        tables = self.pipeline.ensembles
        if name is None and not tables:
            raise UsageError(f"{self.pipeline.path} has no [ensembles.NAME] table.", hint="Add one, or submit a run.")
        chosen = name if name is not None else next(iter(tables))
        if chosen not in tables:
            raise UsageError(f"{self.pipeline.path} has no ensemble '{chosen}'.", hint=nearest(chosen, tables))
        layers = {member: self.ensemble(member, workers=workers) for member in self._layers(chosen)}
        combined = members_of(tables[chosen], self.runs() | self.winners() | layers)
        if len(combined) == 1 and not self.store.has(ensemble_id(chosen, tables[chosen], combined)):
            self.progress.say(
                f"'{chosen}' has one member so far: the blend of one is that member, '{next(iter(combined))}'."
            )
        make = partial(ensemble, table=tables[chosen], members=combined, prepared=self.prepared, store=self.store)
        return make(chosen) if workers is None else next(workers.map(make, [chosen]))

    def _layers(self, name: str) -> list[str]:
        """The ensembles that an ensemble names as members."""
        tables = self.pipeline.ensembles
        return [member for member in tables[name].members if member in tables and tables[name].members != "all"]

    def _made(self, name: str) -> Run | None:
        """An ensemble as it was made of what is there now; None where it was not."""
        layers = {member: self._made(member) for member in self._layers(name)}
        runs = self.runs() | self.winners() | {member: run for member, run in layers.items() if run is not None}
        if not self._can_combine(name, runs) or None in layers.values():
            return None
        table = self.pipeline.ensembles[name]
        identity = ensemble_id(name, table, members_of(table, runs))
        return self.store.load(identity) if self.store.has(identity) else None

    def choose(self, name: str | None = None) -> Run:
        """The run to submit: as named, else the file's first ensemble, else the best experiment."""
        if name is not None:
            return self._named(name)
        if self.pipeline.ensembles:
            return self.ensemble()
        sign = 1 if get_metric(self.pipeline.competition.metric).greater_is_better else -1
        found = self.searches()
        sure = {n: run for n, run in self.winners().items() if (m := found[n].measured) and m.verdict == "better"}
        runs = self.runs() | sure
        if not runs:
            raise UsageError("No experiment is trained yet.", hint=f"Run: kagglekit train {self.comp}")
        return max(runs.values(), key=lambda run: (sign * run.score, run.name))

    def _named(self, name: str) -> Run:
        if name in self.pipeline.ensembles:
            return self.ensemble(name)
        if name in self.pipeline.experiments:
            runs = self.runs()
            if name not in runs:
                raise UsageError(f"'{name}' is not trained.", hint=f"Run: kagglekit train {self.comp} {name}")
            return runs[name]
        if name in (winners := self.winners()):
            return winners[name]
        if not self.store.has(name):
            known = [*self.pipeline.experiments, *self.pipeline.ensembles, *self.store.ids()]
            raise UsageError(f"There is no finished run, experiment or ensemble '{name}'.", hint=nearest(name, known))
        run = self.store.load(name)
        if run.data != self.prepared.data:
            raise UsageError(
                f"The run {run.id} was made from other data ({run.data}) than are here now ({self.prepared.data}).",
                hint=f"Train it again: kagglekit train {self.comp} {run.name}",
            )
        return run

    def finished(self) -> dict[str, Run]:
        """All that the board shows: experiments, the ensembles that can be made of them, and the baselines."""
        return self.trained() | self._floor()

    def trained(self) -> dict[str, Run]:
        """The finished runs of experiments, the best of searches, and the ensembles that can be made of them."""
        runs = self.runs() | self.winners()
        ready = [name for name in self.pipeline.ensembles if self._can_combine(name, runs)]
        return runs | {name: self.ensemble(name) for name in ready}

    def _floor(self, workers: Stoppable | None = None) -> dict[str, Run]:
        found: dict[str, Run] = {}
        for experiment in self.baselines():
            if not self.store.has(run_id(self.prepared, experiment)):
                self.progress.say(f"Fitting the baseline '{experiment.name}', which stands in every table.")
            try:
                found[experiment.name] = train(
                    self.prepared, experiment, self.store, progress=self.progress, workers=workers
                )
            except DataError as error:  # such as: no column that one rule can be made of
                self.progress.say(f"No baseline '{experiment.name}': {error.message}")
            except OutOfTime:
                self.progress.say(f"No time was left for the baseline '{experiment.name}'.")
        return found

    def baselines(self) -> list[Experiment]:
        """The baselines that the pipeline file leaves out: they stand in every table all the same, to be beaten."""
        named = {e.model for e in self.pipeline.experiments.values()}
        taken = {*self.pipeline.experiments, *self.pipeline.ensembles}
        task = self.pipeline.competition.task
        offered = [m for m in registry.model_names(task) if m in registry.BASELINES and m not in named]
        return [
            Experiment(name=f"baseline-{m}" if m in taken else m, why=registry.BASELINES[m], model=m, params={})
            for m in offered
            if m != "oner" or not task.startswith("image")  # there is no column to rule by
        ]

    def board(self, *, all_trials: bool = False) -> list[Row]:
        """The table of experiments, ensembles and baselines; a search is one line, or a line for each trial."""
        return self.board_of(self.finished() | (self._trials() if all_trials else {}))

    def board_as_it_is(self) -> list[Row]:
        """The table of what is there: no baseline is fitted for it, and no ensemble made."""
        made = {name: self._made(name) for name in self.pipeline.ensembles}
        floor = {e.name: i for e in self.baselines() if self.store.has(i := run_id(self.prepared, e))}
        runs = self.runs() | self.winners() | {name: self.store.load(i) for name, i in floor.items()}
        return self.board_of(runs | {name: run for name, run in made.items() if run is not None})

    def board_of(self, runs: Mapping[str, Run]) -> list[Row]:
        """The table of some runs by name."""
        told = {name: searched(record) for name, record in self.searches().items() if name in runs}
        told |= promoted_rows(self.prepared, load_ladder(self._runs), runs)
        return board(self.prepared, self.pipeline, runs, self.ledger.submissions(), told)

    def _can_combine(self, name: str, runs: Mapping[str, Run]) -> bool:
        """Whether every member of an ensemble is there, or can be made of what is there."""
        members = self.pipeline.ensembles[name].members
        if members == "all":
            return any(run.settings["model"] not in registry.BASELINES for run in runs.values())
        inner = self.pipeline.ensembles
        return all(member in runs or (member in inner and self._can_combine(member, runs)) for member in members)

    def submit(
        self,
        gateway: Gateway,
        name: str | None = None,
        *,
        again: bool = False,
        dry_run: bool = False,
        message: str | None = None,
    ) -> Outcome:
        """Stage 5, for one run."""
        run = self.choose(name)
        folder = self.workspace.submissions(self.comp)
        path = write_csv(run, self.prepared, folder)
        page = gateway.competition(self.slug)
        several = self.pipeline.competition.has_several
        metric = metric_name(page.metric, several=several) or run.metric
        if metric != run.metric:
            self.progress.say(f"Note: the competition is scored by {metric}, the pipeline file says {run.metric}.")
        if dry_run:
            ahead = self._forecast_run(run, None)
            return Outcome(page.title, metric, self.board(), run, None, path, forecast=ahead, comp=self.comp)
        submitted = submit(
            gateway, run, self.prepared, folder, self.ledger, message=message, again=again, progress=self.progress
        )
        page = gateway.competition(self.slug)
        ahead = self._forecast_run(run, submitted.submission.public if metric == run.metric else None)
        return Outcome(page.title, metric, self.board(), run, submitted, path, page.place, page.teams, ahead, self.comp)

    def _forecast_run(self, run: Run, public: float | None) -> RunForecast | None:
        """A submission that was sent must not fail for want of a forecast."""
        try:
            return forecast_run(self.prepared, run, public)
        except (DataError, UsageError):
            return None  # the metric is not defined on so few rows, or there are none for both parts

    def next_commands(self) -> list[tuple[str, str]]:
        """Two commands worth trying now, each with its reason."""
        n_rows, n_targets = len(self.prepared.train), len(self.prepared.competition.target_columns)
        worth: list[tuple[str, str]] = []
        for experiment in self.waiting():
            seconds = rough_seconds(experiment.model, experiment.params, n_rows, experiment.bags, n_targets)
            seconds *= len(fold_names(self.prepared, experiment))
            worth.append(
                (
                    f"kagglekit train {self.comp} {experiment.name}",
                    f"{experiment.why} (about {clock(seconds)})",
                )
            )
        worth.append((f"kagglekit board {self.comp}", "every run beside what it changed, and whether that helped"))
        worth.append((f"kagglekit submit {self.comp} --dry-run", "the file and the table, sending nothing"))
        return worth[:2]

    def _todo(self, experiments: Sequence[Experiment]) -> list[Experiment]:
        """Those that have no run yet; one that cannot be trained is refused before hours of the others."""
        todo = [e for e in experiments if not self.store.has(run_id(self.prepared, e))]
        for experiment in todo:
            check(self.prepared, experiment)
        return todo

    def _forecast(self, todo: Sequence[Experiment]) -> Forecast:
        n_rows, n_targets = len(self.prepared.train), len(self.prepared.competition.target_columns)
        return Forecast(
            fits={e.name: len(fold_names(self.prepared, e)) for e in todo},
            guess={e.name: rough_seconds(e.model, e.params, n_rows, e.bags, n_targets) for e in todo},
            model={e.name: e.model for e in todo},
        )

    @contextmanager
    def _bar(self, forecast: Forecast, todo: Sequence[Experiment]) -> Iterator[Task | None]:
        if not todo:
            self.progress.say("Nothing to train: every experiment is done.")
            yield None
            return
        fits = sum(forecast.fits.values())
        words = (
            f"Training {len(todo)} experiment(s), {fits} fits: about {clock(forecast.seconds_left())} (a rough guess)."
        )
        self.progress.say(words)
        with self.progress.task("training", fits) as bar:
            yield bar


class _Watch:
    """Keeps the bar and the forecast up to date as folds are done."""

    def __init__(self, forecast: Forecast, experiment: str, bar: Task | None) -> None:
        self.forecast, self.experiment, self.bar = forecast, experiment, bar

    def __call__(self, result: FoldResult) -> None:
        self.forecast.measured(self.experiment, result.seconds)
        if self.bar is not None:
            self.bar.note(
                f"{self.experiment} {result.name} {result.score:.4f}, {clock(self.forecast.seconds_left())} left"
            )
            self.bar.advance()


class _Timed:
    """Keeps a session's time as the folds of one experiment are done."""

    def __init__(self, pace: Pace, experiment: Experiment, n_rows: int, done: Sequence[str]) -> None:
        self.pace, self.experiment, self.n_rows = pace, experiment, n_rows
        self.before, self.done = set(done), set(done)

    def may_fit(self, fold: str) -> bool:
        return self.pace.may_fit(self.experiment.name, fold)

    def __call__(self, result: FoldResult) -> None:
        self.done.add(result.name)
        if result.name not in self.before:
            self.pace.measured(self.experiment, result.name, result.seconds, self.n_rows)

    def words(self, folds: Sequence[str]) -> str:
        left = [name for name in folds if name not in self.done]
        new = len(self.done - self.before)
        rest = f"not of this session: {', '.join(left)}" if left else "all folds done"
        return f"{self.experiment.name}: {len(self.before)} folds taken over, {new} trained, {rest}"
