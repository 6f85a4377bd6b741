"""`kagglekit kernel`: the same experiments on Kaggle's machines."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kagglekit.cli.opening import open_flow
from kagglekit.cli.options import Comp, DryRun, Json, On
from kagglekit.cli.printing import print_board, print_facts, shown

if TYPE_CHECKING:
    from kagglekit.contracts import Submission
    from kagglekit.kernel_flow import KernelFlow

__all__ = ["pull", "push", "rehearse", "run", "sync", "watch"]

Experiments = Annotated[list[str], typer.Argument(help="Experiments of the pipeline file.")]
Accelerator = Annotated[str, typer.Option(help="none, t4, l4, l4x1, a100, h100 or rtxpro6000.")]
Hours = Annotated[float, typer.Option(min=0.5, help="A session's limit; code competitions state their own.")]
KernelSubmit = Annotated[bool, typer.Option("--submit", help="One notebook for each, which writes submission.csv.")]
DockerImage = Annotated[str, typer.Option("--image", help="Kaggle's docker image to pin; the newest if none.")]


def push(
    comp: Comp,
    experiments: Experiments,
    accelerator: Accelerator = "t4",
    hours: Hours = 12.0,
    submit: KernelSubmit = False,
    probe: Annotated[bool, typer.Option("--probe", help="One fit of each only, to measure it; it counts.")] = False,
    image: DockerImage = "",
    dry_run: DryRun = False,
    on: On = None,
) -> None:
    """Stage 6: plan, build a readable notebook that trains experiments on Kaggle, send what it needs, and push it."""
    from kagglekit.console import pushed
    from kagglekit.kernel_flow import Options

    options = Options(accelerator, hours, submit, probe, image)
    with _open_kernels(comp, on, accelerator) as kernels:
        for session in kernels.push(experiments, options, dry_run=dry_run):
            typer.echo(session.plan.words())
            typer.echo(f"Built {shown(session.notebook)}")
            typer.echo("Dry run: nothing was sent." if dry_run else pushed(session.url, kernels.flow.workspace.site))


def sync(comp: Comp, experiments: Experiments, on: On = None) -> None:
    """Send only what notebooks need, as private datasets: kagglekit's wheel, the pipeline's files, weights."""
    with _open_kernels(comp, on) as kernels:
        for synced in kernels.sync(experiments):
            typer.echo(synced.words())


def watch(comp: Comp, experiments: Experiments, submit: KernelSubmit = False, on: On = None) -> None:
    """Follow status and log of pushed notebooks until they have run; exit status 2 when one fails."""
    with _open_kernels(comp, on) as kernels:
        kernels.watch(experiments, submit=submit)
    typer.echo("Complete.")


def pull(comp: Comp, experiments: Experiments, submit: KernelSubmit = False, on: On = None) -> None:
    """Bring finished runs and folds here, each checked; with --submit, submit what the notebook wrote."""
    with _open_kernels(comp, on) as kernels:
        found = kernels.pull(experiments, submit=submit)
        for run, taken in found.taken.items():
            typer.echo(f"{run}: {', '.join(taken) or 'nothing new'}")
        for run, why in found.refused.items():
            typer.echo(f"{run}: refused. {why}", err=True)
        for name, folds in kernels.left(experiments).items():
            typer.echo(f"{name}: {', '.join(folds)} left; push again to go on" if folds else f"{name}: here")
        if submit and not found.refused:
            _print_submitted(kernels.submit(experiments))
    if found.refused:
        raise typer.Exit(2)


def run(
    comp: Comp,
    experiments: Experiments,
    accelerator: Accelerator = "t4",
    hours: Hours = 12.0,
    submit: KernelSubmit = False,
    image: DockerImage = "",
    on: On = None,
    as_json: Json = False,
) -> None:
    """Push, watch and pull, session after session until every fold is here; exit status 2 when a notebook fails."""
    from kagglekit.kernel_flow import Options

    with _open_kernels(comp, on, accelerator) as kernels:
        kernels.run(experiments, Options(accelerator, hours, submit, docker_image=image))
        left = {name: folds for name, folds in kernels.left(experiments).items() if folds}
        if submit and not left:
            _print_submitted(kernels.submit(experiments))
        print_board(kernels.flow, as_json)
    for name, folds in left.items():
        typer.echo(f"{name}: {', '.join(folds)} left", err=True)
    if left:
        raise typer.Exit(1)


def rehearse(
    comp: Comp,
    experiments: Experiments,
    accelerator: Accelerator = "t4",
    submit: KernelSubmit = False,
    memory: Annotated[float, typer.Option(help="GiB of memory that it may use.")] = 30.0,
    minutes: Annotated[float, typer.Option(help="Minutes that it may take.")] = 720.0,
    mounts: Annotated[str, typer.Option(help="Where inputs are mounted: as on old or new images.")] = "old",
    on: On = None,
    as_json: Json = False,
) -> None:
    """Run the notebook that push would send, here and as Kaggle would: no network, read-only inputs, limits."""
    from kagglekit.dataset import RawData
    from kagglekit.errors import UsageError
    from kagglekit.kernel_flow import Options
    from kagglekit.rehearsal import Sources, rehearse
    from kagglekit.sandbox import Limits

    if mounts not in ("old", "new"):
        raise UsageError(f"--mounts takes old or new, got '{mounts}'.")
    layout: Any = mounts
    limits = Limits(memory=int(memory * (1 << 30)), seconds=minutes * 60)
    with _open_kernels(comp, on, accelerator) as kernels:
        built = kernels.push(experiments, Options(accelerator, submit=submit), dry_run=True)
        workspace, progress = kernels.flow.workspace, kernels.flow.progress
    sources = Sources(lambda slug: RawData(workspace.data(slug)).files, workspace.kernel_data, workspace.rehearsals)
    folders = [session.notebook.parent for session in built]
    found = [rehearse(f, sources, limits=limits, layout=layout, progress=progress) for f in folders]
    for one in found:
        print_facts(one.as_json(), as_json) if as_json else typer.echo(one.words())
    if not all(one.passed for one in found):
        raise typer.Exit(1)


@contextmanager
def _open_kernels(comp: str, on: str | None, accelerator: str = "none") -> Iterator[KernelFlow]:
    """The flow on the site's machines; the competition's data are fetched when they are not here."""
    from kagglekit.kernel_flow import KernelFlow
    from kagglekit.kernels.machines import find_machine
    from kagglekit.sites import open_gateway

    find_machine(accelerator)  # a mistyped word is told before anything else happens
    flow = open_flow(comp, on)
    with open_gateway(flow.workspace, flow.slug, flow.progress) as gateway:
        flow.download(gateway)
        yield KernelFlow(flow, gateway)


def _print_submitted(made: list[Submission]) -> None:
    for sent in made:
        score = "pending" if sent.public is None else f"public {sent.public:.5f}"
        typer.echo(f"Submitted {sent.run} as {sent.ref}: {score}")
