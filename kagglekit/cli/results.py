"""Reading what the flow left behind: the board, the report, checks, forecasts, advice, origins."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kagglekit.cli.opening import open_flow, open_results
from kagglekit.cli.options import Comp, Json, On, Port, PublicShare, Ref, Set
from kagglekit.cli.printing import print_board, print_facts, print_found, shown

__all__ = [
    "advise",
    "blame",
    "board",
    "clean",
    "compare",
    "drift",
    "inspect",
    "rebuild",
    "report",
    "shakeup",
]


def board(
    comp: Comp,
    on: On = None,
    set_: Set = None,
    web: Annotated[bool, typer.Option("--web", help="Write the board as one HTML page and print its path.")] = False,
    out: Annotated[Path | None, typer.Option(help="With --web: the page; reports/COMP-board.html if none.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="Every trial of a search on a line of its own.")] = False,
    as_json: Json = False,
) -> None:
    """Every run beside what it changed: score, standard error, time, hypothesis, verdict."""
    if out is not None and not web:
        raise typer.BadParameter("it says where the page of --web goes: add --web.", param_hint="--out")
    flow = open_flow(comp, on, set_)
    if web:
        from kagglekit.results import Results

        typer.echo(shown(Results(flow).web_board(out or flow.workspace.report(comp, "-board"))))
        return
    print_board(flow, as_json, all_trials=all_)


def report(
    comp: Comp,
    run: Annotated[str | None, typer.Option(help="The run to look at closely; the best if none.")] = None,
    out: Annotated[Path | None, typer.Option(help="The page; reports/COMP.html if none.")] = None,
    on: On = None,
    set_: Set = None,
) -> None:
    """The story of a competition as one HTML page: what was tried and why, what it scored, where it errs."""
    results = open_results(comp, on, set_)
    typer.echo(shown(results.report(out or results.flow.workspace.report(comp), run=run)))


def inspect(
    comp: Comp,
    name: Annotated[str | None, typer.Argument(help="Experiment or run; what was trained last if none.")] = None,
    out: Annotated[Path | None, typer.Option(help="A folder for pictures and tables; reports/COMP if none.")] = None,
    only: Annotated[str | None, typer.Option(help="Parts for a table: importance,trees; all if none.")] = None,
    row: Annotated[str | None, typer.Option(help="The id of a row whose prediction is taken apart.")] = None,
    heat: Annotated[bool, typer.Option("--heat", help="Images: draw where a model looks (Grad-CAM).")] = False,
    on: On = None,
    set_: Set = None,
    as_json: Json = False,
) -> None:
    """What a model looks at: batches and worst losses of images; importance, leaks, waterfalls and more of tables."""
    results = open_results(comp, on, set_)
    folder = out or results.flow.workspace.sheets(comp)
    if results.flow.prepared.competition.has_images:
        if only or row:
            from kagglekit.errors import UsageError

            raise UsageError(f"--only and --row are for tables, and '{comp}' is a competition of images.")
        paths, notes = results.inspect(folder, name, heat=heat)
    else:
        if heat:
            from kagglekit.errors import UsageError

            raise UsageError(f"--heat is for images, and '{comp}' is a competition of tables.")
        parts = [part.strip() for part in (only or "").split(",") if part.strip()]
        found = results.understand(name, only=parts, row=row)
        paths, notes = found.save(folder), []
        if as_json:
            print_facts(found.as_json() | {"files": [str(shown(path)) for path in paths]}, as_json)
            return
        typer.echo(f"{found.words()}\n")
    for line in (*map(shown, paths), *notes):
        typer.echo(line)


def clean(
    comp: Comp,
    run: Annotated[str | None, typer.Argument(help="Whose losses rank the rows; the best run if none.")] = None,
    rows: Annotated[int, typer.Option(min=1, help="Rows on the page.")] = 60,
    port: Port = 0,
    on: On = None,
    set_: Set = None,
) -> None:
    """A small page on this computer to mark suspect labels, until Ctrl-C; writes cleaning.csv beside the pipeline."""
    import time

    from kagglekit.clean import CleaningPage

    desk = open_results(comp, on, set_).cleaning(run, n=rows)
    with CleaningPage(desk, port) as page:
        typer.echo(f"Labels at {page.url} (Ctrl-C stops it). Corrections go to {shown(desk.file)}.")
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            typer.echo(desk.words(), err=True)


def compare(
    comp: Comp,
    a: Annotated[str, typer.Argument(help="Experiment, ensemble or run id.")],
    b: Annotated[str, typer.Argument(help="The one that may be better.")],
    unpaired: Annotated[bool, typer.Option("--unpaired", help="For runs of different folds; much weaker.")] = False,
    public_share: PublicShare = 0.3,
    on: On = None,
    set_: Set = None,
    as_json: Json = False,
) -> None:
    """Is run B better than run A? By row, by fold, on the private set, and what it would take to know."""
    found = open_results(comp, on, set_).compare(a, b, unpaired=unpaired, public_share=public_share)
    from kagglekit import console

    print_found(found, as_json, lambda: console.comparison(found))


def shakeup(
    comp: Comp,
    runs: Annotated[list[str] | None, typer.Argument(help="Experiments, ensembles or run ids; all if none.")] = None,
    public_share: PublicShare = 0.3,
    on: On = None,
    set_: Set = None,
    as_json: Json = False,
) -> None:
    """Where public and private scores should fall given CV, who may swap places, and whether known scores fit."""
    found = open_results(comp, on, set_).shakeup(runs or (), public_share=public_share)
    from kagglekit import console

    print_found(found, as_json, lambda: console.shakeup(found, comp))


def advise(
    comp: Comp,
    runs: Annotated[list[str] | None, typer.Argument(help="Experiments, ensembles or run ids; all if none.")] = None,
    days: Annotated[int, typer.Option(min=1, help="Days left.")] = 1,
    slots: Annotated[int, typer.Option(min=1, help="Submissions a day.")] = 5,
    final: Annotated[bool, typer.Option("--final", help="Only the two submissions to end with.")] = False,
    line: Annotated[float | None, typer.Option(help="The private score to beat; the best CV if none.")] = None,
    public_share: PublicShare = 0.3,
    on: On = None,
    set_: Set = None,
    as_json: Json = False,
) -> None:
    """What to submit next, and which two to end with: rows changed, what the leaderboard could show, expected gain."""
    found = open_results(comp, on, set_).advise(runs or (), slots=days * slots, line=line, public_share=public_share)
    from kagglekit import console

    print_found(found, as_json, lambda: console.final_two(found) if final else console.advice(found))


def drift(
    comp: Comp,
    write: Annotated[Path | None, typer.Option(help="Write duplicates as groups for the folds: id,group.")] = None,
    embeddings: Annotated[bool, typer.Option("--embeddings", help="Look for crops of images too (slower).")] = False,
    on: On = None,
    set_: Set = None,
    as_json: Json = False,
) -> None:
    """Whether validation speaks for the test rows: train against test, out of bag, duplicates and their worth."""
    from kagglekit.drift.study import check_groups_file, write_groups

    results = open_results(comp, on, set_)
    key = results.flow.pipeline.competition.id
    if write is not None:
        check_groups_file(write, key)
    found = results.drift(embeddings=embeddings)
    if write is not None:
        write_groups(found.copies, write, key)
    print_found(found, as_json, found.words)
    if write is not None and not as_json:
        typer.echo(f"Wrote {shown(write.absolute())}: {found.copies.groups.nunique()} groups.")


def blame(comp: Comp, ref: Ref, on: On = None, as_json: Json = False) -> None:
    """Where a submission came from: file, run, code, data, folds, and every member with its weight."""
    found = open_results(comp, on).blame(ref)
    print_found(found, as_json, found.words)


def rebuild(
    comp: Comp,
    ref: Ref,
    retrain: Annotated[bool, typer.Option("--retrain", help="Train its experiments again, in a folder apart.")] = False,
    on: On = None,
    set_: Set = None,
    as_json: Json = False,
) -> None:
    """Make a submission file again and say whether it is bit-identical; exit status 1 when it is not."""
    found = open_results(comp, on, set_).rebuild(ref, retrain=retrain)
    print_found(found, as_json, found.words)
    if found.sent and not found.identical:
        raise typer.Exit(1)
