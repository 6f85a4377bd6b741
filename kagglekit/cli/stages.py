"""The flow's stages, from a first pipeline file to a submission, and what chooses settings by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from kagglekit.cli.opening import open_flow, start
from kagglekit.cli.options import Comp, DryRun, Jobs, Json, On, Set
from kagglekit.cli.printing import print_board, print_facts, print_found, shown

if TYPE_CHECKING:
    from kagglekit.flow import Flow

__all__ = ["download", "ensemble", "ladder", "new", "prepare", "search", "submit", "train"]


def new(
    comp: Annotated[str, typer.Argument(help="Kaggle's slug of the competition, or an arena competition's name.")],
    metric: Annotated[str | None, typer.Option(help="The competition's metric, if it cannot be told.")] = None,
    on: On = None,
) -> None:
    """Look at a competition's data and write a first pipeline file, to be read before use."""
    from kagglekit import new as scaffold
    from kagglekit.download import download as fetch
    from kagglekit.sites import open_gateway

    workspace, progress = start(on)
    with open_gateway(workspace, comp, progress) as gateway:
        page = gateway.competition(comp)
        raw = fetch(gateway, comp, workspace.data(comp), progress=progress)
    findings = scaffold.look(raw.files, comp, metric=metric or page.metric)
    path = workspace.pipeline(comp)
    scaffold.write(findings, path)
    typer.echo(path.read_text(encoding="utf-8"))
    typer.echo(f"Wrote {shown(path)}. Read it, mend what is wrong, then: kagglekit submit {comp}")


def download(
    comp: Comp,
    file: Annotated[str | None, typer.Option(help="Only this file, as the site lists it; no stage reads it.")] = None,
    on: On = None,
) -> None:
    """Stage 1: fetch the competition's files."""
    from kagglekit.sites import open_gateway

    flow = open_flow(comp, on)
    with open_gateway(flow.workspace, flow.slug, flow.progress) as gateway:
        if file is None:
            typer.echo(shown(flow.download(gateway).files))
            return
        single = flow.download_file(gateway, file)
    typer.echo(f"{shown(single.path(file))} ({single.words(file)})")


def prepare(comp: Comp, on: On = None, set_: Set = None, as_json: Json = False) -> None:
    """Stage 2: check the data, cut the folds."""
    prepared = open_flow(comp, on, set_).prepared
    facts = {
        "train rows": len(prepared.folds.ids),  # without reading the tables, which may be large
        "test rows": len(prepared.sample),
        "classes": list(prepared.competition.classes),
        "folds": prepared.folds.n * prepared.folds.repeats,
        "scheme": prepared.folds.scheme,
        "folds fingerprint": prepared.folds.fingerprint,
        "notes": list(prepared.notes),
    }
    print_facts(facts, as_json)


def train(
    comp: Comp,
    experiments: Annotated[list[str] | None, typer.Argument(help="Experiments; all planned ones if none.")] = None,
    portfolio: Annotated[str | None, typer.Option(help="Settings known to do well instead: tabular.")] = None,
    minutes: Annotated[float | None, typer.Option(min=0, help="With --portfolio: the time to keep to.")] = None,
    on: On = None,
    set_: Set = None,
    jobs: Jobs = None,
    as_json: Json = False,
) -> None:
    """Stage 3: train experiments on every fold; what is done is not done again."""
    if portfolio is not None and experiments:
        raise typer.BadParameter("name experiments or a portfolio, not both.", param_hint="--portfolio")
    if minutes is not None and portfolio is None:
        raise typer.BadParameter("it limits a portfolio: add --portfolio tabular.", param_hint="--minutes")
    from kagglekit.forecast import Budget

    budget = Budget(minutes)  # before all that takes time: it is that of the whole command
    flow = open_flow(comp, on, set_)
    if portfolio is not None:
        flow.train_portfolio(portfolio, budget=budget, n_jobs=jobs)
    else:
        flow.train(experiments or (), n_jobs=jobs or 1)
    print_board(flow, as_json, as_it_is=budget.is_limited)


def search(
    comp: Comp,
    experiment: Annotated[str, typer.Argument(help="The experiment whose settings are searched.")],
    trials: Annotated[int, typer.Option(min=1, help="Trials in all, those of earlier calls included.")] = 50,
    minutes: Annotated[float | None, typer.Option(min=0, help="Start nothing that would end later.")] = None,
    on: On = None,
    set_: Set = None,
    jobs: Jobs = None,
    as_json: Json = False,
) -> None:
    """Search an experiment's settings: each trial a stored run, the winner measured again on fresh folds."""
    record = open_flow(comp, on, set_).search(experiment, trials=trials, minutes=minutes, n_jobs=jobs or 1)
    from kagglekit import console

    print_found(record, as_json, lambda: console.search(record))


def ladder(
    comp: Comp,
    bake_off: Annotated[
        str | None, typer.Option("--bake-off", help="Compare squish, crop, pad ... of this experiment instead.")
    ] = None,
    minutes: Annotated[float | None, typer.Option(min=0, help="End by then; the same command goes on.")] = None,
    full: Annotated[bool, typer.Option("--full/--no-full", help="Train what was promoted on all folds.")] = True,
    on: On = None,
    set_: Set = None,
    as_json: Json = False,
) -> None:
    """Climb the pipeline's rungs: small models first on one shared fold, on to the next with what won."""
    flow = open_flow(comp, on, set_)
    found = flow.bake_off(bake_off, minutes=minutes) if bake_off else flow.ladder(minutes=minutes, full=full)
    from kagglekit import console

    print_found(found, as_json, lambda: console.ladder(found))


def ensemble(
    comp: Comp,
    name: Annotated[str | None, typer.Argument(help="A table under [ensembles]; the first if none.")] = None,
    on: On = None,
    set_: Set = None,
    as_json: Json = False,
) -> None:
    """Stage 4: combine finished runs, scored on rows that did not choose the weights."""
    run = open_flow(comp, on, set_).ensemble(name)
    if not as_json:
        from kagglekit import console

        typer.echo(console.blend(run))
        return
    facts = {
        "run": run.id,
        "metric": run.metric,
        "honest score": run.score,
        "standard error": run.standard_error,
        "score on the rows that chose the weights": run.fit_score,
        "weights": dict(run.weights),
        **run.study,
    }
    print_facts(facts, as_json)


def submit(
    comp: Comp,
    run: Annotated[str | None, typer.Option(help="Experiment, ensemble or run id; the first ensemble if none.")] = None,
    message: Annotated[str | None, typer.Option(help="Description on the site.")] = None,
    again: Annotated[bool, typer.Option("--again", help="Send a file that was sent before.")] = False,
    dry_run: DryRun = False,
    on: On = None,
    set_: Set = None,
    jobs: Jobs = None,
    as_json: Json = False,
) -> None:
    """Stages 1 to 5: download, prepare, train, ensemble, submit; only what is missing or changed."""
    from kagglekit.sites import open_gateway

    flow = open_flow(comp, on, set_)
    with open_gateway(flow.workspace, flow.slug, flow.progress) as gateway:
        flow.download(gateway)
    flow.train(n_jobs=jobs or 1)
    with open_gateway(flow.workspace, flow.slug, flow.progress) as gateway:
        result = flow.submit(gateway, run, again=again, dry_run=dry_run, message=message)
    checked = _drift_of(flow) if result.alarm else {}
    if as_json:
        print_facts(_outcome_json(result) | ({"drift": checked} if checked else {}), as_json)
        return
    from kagglekit import console

    files = {
        "data": shown(flow.workspace.data(flow.slug)),
        "runs": shown(flow.store.folder),
        "submission": shown(result.file),
        "ledger": shown(flow.ledger.path),
    }
    typer.echo(console.outcome(result, flow.pipeline.competition.metric, flow.next_commands(), files))
    if checked:
        typer.echo(f"\nThe drift check, as the public score does not fit:\n\n{checked['words']}")


def _drift_of(flow: Flow) -> dict[str, Any]:
    """What the drift check finds, in words and as JSON; why there is none where it cannot be made."""
    from kagglekit.errors import KagglekitError
    from kagglekit.results import Results

    try:
        found = Results(flow).drift()
    except KagglekitError as error:
        return {"words": f"{error}"}
    return found.as_json() | {"words": found.words()}


def _outcome_json(result: Any) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "competition": result.title,
        "board": [row.as_json() for row in result.rows],
        "run": result.run.id,
        "honest score": result.run.score,
        "submission": asdict(result.submitted.submission) if result.submitted else None,
        "repeated": result.submitted.repeated if result.submitted else False,
        "forecast": result.forecast.as_json() if result.forecast else None,
        "place": result.place,
        "teams": result.teams,
        "file": str(result.file),
    }
