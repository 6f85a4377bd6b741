"""Every command, in the order of the flow, which is that of `kagglekit --help`."""

from __future__ import annotations

from typing import Annotated

import typer

from kagglekit.cli import arena, images, kernels, results, stages

__all__ = ["app"]

_COMMANDS = (
    stages.new,
    stages.download,
    stages.prepare,
    stages.train,
    stages.search,
    stages.ladder,
    images.zoo,
    stages.ensemble,
    stages.submit,
    results.board,
    results.report,
    results.inspect,
    images.lr_find,
    images.export,
    images.predict,
    images.demo,
    results.clean,
    results.compare,
    results.shakeup,
    results.advise,
    results.drift,
    results.blame,
    results.rebuild,
)
_KERNEL = (kernels.push, kernels.sync, kernels.watch, kernels.pull, kernels.run, kernels.rehearse)
_ARENA = (
    arena.create,
    arena.list_,
    arena.worlds,
    arena.draw,
    arena.grade,
    arena.rehearse,
    arena.serve,
    arena.env,
)

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Kaggle competitions as intentional experiments: from download to a scored, explained submission.",
)
_kernel = typer.Typer(no_args_is_help=True, help="Kaggle notebooks: the same experiments on Kaggle's machines.")
_arena = typer.Typer(no_args_is_help=True, help="The offline arena: practice competitions on this machine.")


@app.callback(invoke_without_command=True)
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> None:
    if version:
        from kagglekit import __version__

        typer.echo(f"kagglekit {__version__}")
        raise typer.Exit


for _group, _functions in ((app, _COMMANDS), (_kernel, _KERNEL), (_arena, _ARENA)):
    for _function in _functions:
        _group.command(_function.__name__.strip("_").replace("_", "-"))(_function)
app.add_typer(_kernel, name="kernel")
app.add_typer(_arena, name="arena")
