"""`kagglekit arena`: practice competitions on this machine, made, graded and served."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kagglekit.cli.opening import start, workspace_of
from kagglekit.cli.options import Json, Port
from kagglekit.cli.printing import print_facts, print_found

__all__ = ["create", "draw", "env", "grade", "list_", "rehearse", "serve", "worlds"]


def create(
    source: Annotated[
        Path,
        typer.Argument(help="A folder with solution.csv; or one labelled CSV, or a folder of images for each label."),
    ],
    name: Annotated[str, typer.Option(help="The competition's name in the arena.")],
    metric: Annotated[str | None, typer.Option(help="How it is scored; guessed from the answers if not given.")] = None,
    title: Annotated[str | None, typer.Option(help="Its title.")] = None,
    target: Annotated[str | None, typer.Option(help="Of a labelled CSV: the column to predict.")] = None,
    id_: Annotated[str | None, typer.Option("--id", help="Of a labelled CSV: the column that names rows.")] = None,
    cut: Annotated[str | None, typer.Option(help="How rows are hidden: random, stratified, group or time.")] = None,
    by: Annotated[str | None, typer.Option(help="The column of groups or times that the cut goes by.")] = None,
    test_share: Annotated[float, typer.Option(help="Share of the rows that are hidden.")] = 0.3,
    seed: Annotated[int, typer.Option(help="Another seed hides other rows.")] = 0,
    shown: Annotated[
        Path | None,
        typer.Option(help="Makes a code competition: the folder that competitors download, with fewer test rows."),
    ] = None,
    teams: Annotated[int, typer.Option(min=0, help="Simulated teams on the leaderboard.")] = 0,
    allow_copies: Annotated[
        bool, typer.Option("--allow-copies", help="Host it though training rows or images are among the test ones.")
    ] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Replace a competition of the same name.")] = False,
) -> None:
    """Host a folder, or cut a hidden test set out of one labelled CSV or folder of images."""
    from kagglekit.arena import hosting
    from kagglekit.arena.cutting import Cut, ready

    home = workspace_of("arena").arena
    chosen = Cut(target=target, id=id_, how=cut, by=by, share=test_share, seed=seed)
    with ready(source, home, chosen) as found:
        hosted = hosting.create(
            found.folder,
            home,
            name,
            metric=metric,
            title=title,
            group=found.group,
            time=found.time,
            shown=shown,
            teams=teams,
            allow_copies=allow_copies,
            replace=replace,
        )
    for line in (*found.notes, *hosted.notes):
        typer.echo(line)
    typer.echo(f"Hosted '{name}' ({hosted.metric}). Next: kagglekit new {name} --on arena")


def list_(as_json: Json = False) -> None:
    """The competitions of this workspace's arena, and the worlds that can be drawn."""
    from kagglekit.arena import hosting
    from kagglekit.arena.worlds import WORLDS

    home = workspace_of("arena").arena
    facts = {
        "hosted": [c.slug for c in hosting.hosted(home)],
        "worlds": {w.name: f"{w.title}, {w.slug}: {w.summary}" for w in WORLDS.values()},
    }
    print_facts(facts, as_json)


def worlds(
    world: Annotated[str | None, typer.Argument(help="One world: its page, and what is worth trying there.")] = None,
    as_json: Json = False,
) -> None:
    """The practice competitions that code makes: task, metric, rows, and what each is about."""
    from kagglekit.arena.worlds import WORLDS, get_world

    chosen = [get_world(world)] if world else list(WORLDS.values())
    if as_json:
        print_facts({w.name: w.as_json() for w in chosen}, as_json)
        return
    from kagglekit import console

    typer.echo(console.world(chosen[0].as_json()) if world else console.worlds([w.as_json() for w in chosen]))


def draw(
    world: Annotated[str, typer.Argument(help="A world, such as paddy.")],
    scale: Annotated[float | None, typer.Option(help="Share of the real competition's size; 1.0 is all of it.")] = None,
    seed: Annotated[int | None, typer.Option(help="Another seed draws another world of the same kind.")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Replace it at another size or seed.")] = False,
) -> None:
    """Draw a practice world and host it; `submit` does so by itself at the default size."""
    from kagglekit.arena.hosting import is_hosted
    from kagglekit.arena.worlds import get_world
    from kagglekit.sites import host_world

    workspace, progress = start("arena")
    slug = get_world(world).slug
    if is_hosted(workspace.arena, slug) and not replace:
        progress.say(f"The arena hosts '{world}' already; --replace draws it anew, at another size or seed.")
        return
    host_world(workspace, slug, progress, scale, seed=seed, replace=replace)


def grade(
    name: Annotated[str, typer.Argument(help="The competition's name in the arena.")],
    file: Annotated[Path, typer.Argument(help="A submission file.")],
    as_json: Json = False,
) -> None:
    """Grade a file against the hidden solution, public and private rows and all: for after you have decided."""
    from kagglekit.arena.grader import grade_file
    from kagglekit.arena.hosting import open_hosted

    grade = grade_file(open_hosted(workspace_of("arena").arena, name), file)
    print_facts({"public": grade.public, "private": grade.private, "all": grade.all_rows}, as_json)


def rehearse(
    name: Annotated[str, typer.Argument(help="The competition's name in the arena.")],
    files: Annotated[
        list[Path] | None, typer.Argument(help="Submission files; what was sent, and runs, if none.")
    ] = None,
    splits: Annotated[int, typer.Option(min=1, help="Public and private splits of the hidden rows.")] = 20,
    public_share: Annotated[
        float | None, typer.Option("--public-share", help="Share of the hidden rows that is public.")
    ] = None,
    teams: Annotated[int | None, typer.Option(min=0, help="Simulated teams; those on the board if not given.")] = None,
    seed: Annotated[int, typer.Option(help="Another seed draws other splits.")] = 0,
    as_json: Json = False,
) -> None:
    """Grade the same submissions over many splits: how place, medal and the gap to the public score vary."""
    from kagglekit.sites import rehearse

    workspace, progress = start("arena")
    found = rehearse(
        workspace, name, files or (), progress, splits=splits, public_share=public_share, teams=teams, seed=seed
    )
    from kagglekit import console

    print_found(found, as_json, lambda: console.rehearsal(found.as_json()))


def serve(
    port: Port = 0,
    host: Annotated[
        str, typer.Option(help="Address to listen on; elsewhere than on loopback, the pages need the token too.")
    ] = "127.0.0.1",
    run_kernels: Annotated[
        bool | None,
        typer.Option(
            "--run-kernels/--no-run-kernels",
            help="Run pushed notebooks; by default only where nobody but this computer can push.",
        ),
    ] = None,
) -> None:
    """Serve this workspace's arena until Ctrl-C; open its address in a browser."""
    import time

    from kagglekit.arena.running.local import LocalRunner
    from kagglekit.arena.server import Arena, is_loopback
    from kagglekit.arena.shell import announced, exposed

    home = workspace_of("arena").arena
    runner = LocalRunner(home) if (is_loopback(host) if run_kernels is None else run_kernels) else None
    with Arena(home, port=port, host=host, runner=runner) as arena, announced(home, arena.url):
        if not is_loopback(host):
            typer.echo(exposed(arena.url, arena.username), err=True)
        typer.echo(f"Arena at {arena.url} (Ctrl-C stops it)")
        while True:
            time.sleep(3600)


def env() -> None:
    """Print the exports that turn the stock kaggle command of this shell to the arena being served."""
    import os

    from kagglekit.arena.shell import exports

    typer.echo(exports(workspace_of("arena").arena, os.environ))
