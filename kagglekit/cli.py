"""The command line: parse, call one library function, print. Commands stand in the order of the flow.

Heavy modules are imported inside the commands, so that `kagglekit --help` answers at once on the base install.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from kagglekit.console import RichProgress
    from kagglekit.contracts import Submission
    from kagglekit.flow import Flow
    from kagglekit.kernel_flow import KernelFlow
    from kagglekit.results import Results
    from kagglekit.workspace import Workspace

__all__ = ["app", "main"]

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Kaggle competitions as intentional experiments: from download to a scored, explained submission.",
)
kernel_app = typer.Typer(no_args_is_help=True, help="Kaggle notebooks: the same experiments on Kaggle's machines.")
arena_app = typer.Typer(no_args_is_help=True, help="The offline arena: practice competitions on this machine.")

_INTERRUPTED = 130

Comp = Annotated[str, typer.Argument(help="A competition's folder under pipelines/, such as paddy.")]
On = Annotated[str | None, typer.Option("--on", help="kaggle or arena; by default Kaggle when there are credentials.")]
Set = Annotated[
    list[str] | None, typer.Option("--set", help="table.key=value wins over the pipeline file; repeatable.")
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]
Ref = Annotated[str, typer.Argument(help="A submission's reference, a run's id, or an experiment's name.")]
Jobs = Annotated[int, typer.Option("--jobs", min=1, help="Folds fitted at the same time.")]
PublicShare = Annotated[
    float, typer.Option("--public-share", help="Share of the test rows that is public, as the leaderboard says it.")
]
Port = Annotated[int, typer.Option("--port", min=0, max=65535, help="Port; 0 takes a free one.")]
Experiments = Annotated[list[str], typer.Argument(help="Experiments of the pipeline file.")]
Accelerator = Annotated[str, typer.Option(help="none, t4, l4, l4x1, a100, h100 or rtxpro6000.")]
Hours = Annotated[float, typer.Option(min=0.5, help="A session's limit; code competitions state their own.")]
KernelSubmit = Annotated[bool, typer.Option("--submit", help="One notebook for each, which writes submission.csv.")]
DockerImage = Annotated[str, typer.Option("--image", help="Kaggle's docker image to pin; the newest if none.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Do everything except sending.")]


@app.callback(invoke_without_command=True)
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> None:
    if version:
        from kagglekit import __version__

        typer.echo(f"kagglekit {__version__}")
        raise typer.Exit


@app.command()
def new(
    comp: Annotated[str, typer.Argument(help="Kaggle's slug of the competition, or an arena competition's name.")],
    metric: Annotated[str | None, typer.Option(help="The competition's metric, if it cannot be told.")] = None,
    on: On = None,
) -> None:
    """Look at a competition's data and write a first pipeline file, to be read before use."""
    from kagglekit import new as scaffold
    from kagglekit.download import download as fetch
    from kagglekit.sites import open_gateway

    workspace, progress = _start(on)
    with open_gateway(workspace, comp, progress) as gateway:
        page = gateway.competition(comp)
        raw = fetch(gateway, comp, workspace.data(comp), progress=progress)
    findings = scaffold.look(raw.files, comp, metric=metric or page.metric)
    path = workspace.pipeline(comp)
    scaffold.write(findings, path)
    typer.echo(path.read_text(encoding="utf-8"))
    typer.echo(f"Wrote {_shown(path)}. Read it, mend what is wrong, then: kagglekit submit {comp}")


@app.command()
def download(
    comp: Comp,
    file: Annotated[str | None, typer.Option(help="Only this file, as the site lists it; no stage reads it.")] = None,
    on: On = None,
) -> None:
    """Stage 1: fetch the competition's files."""
    from kagglekit.sites import open_gateway

    flow = _flow(comp, on)
    with open_gateway(flow.workspace, flow.slug, flow.progress) as gateway:
        if file is None:
            typer.echo(_shown(flow.download(gateway).files))
            return
        single = flow.download_file(gateway, file)
    typer.echo(f"{_shown(single.path(file))} ({single.words(file)})")


@app.command()
def prepare(comp: Comp, on: On = None, set_: Set = None, as_json: Json = False) -> None:
    """Stage 2: check the data, cut the folds."""
    prepared = _flow(comp, on, set_).prepared
    facts = {
        "train rows": len(prepared.folds.ids),  # without reading the tables, which may be large
        "test rows": len(prepared.sample),
        "classes": list(prepared.competition.classes),
        "folds": prepared.folds.n * prepared.folds.repeats,
        "scheme": prepared.folds.scheme,
        "folds fingerprint": prepared.folds.fingerprint,
        "notes": list(prepared.notes),
    }
    _print(facts, as_json)


@app.command()
def train(
    comp: Comp,
    experiments: Annotated[list[str] | None, typer.Argument(help="Experiments; all planned ones if none.")] = None,
    portfolio: Annotated[str | None, typer.Option(help="Settings known to do well instead: tabular.")] = None,
    minutes: Annotated[float | None, typer.Option(min=0, help="With --portfolio: the time to keep to.")] = None,
    on: On = None,
    set_: Set = None,
    jobs: Jobs = 1,
    as_json: Json = False,
) -> None:
    """Stage 3: train experiments on every fold; what is done is not done again."""
    if portfolio is not None and experiments:
        raise typer.BadParameter("name experiments or a portfolio, not both.", param_hint="--portfolio")
    if minutes is not None and portfolio is None:
        raise typer.BadParameter("it limits a portfolio: add --portfolio tabular.", param_hint="--minutes")
    from kagglekit.forecast import Budget

    budget = Budget(minutes)  # before all that takes time: it is that of the whole command
    flow = _flow(comp, on, set_)
    if portfolio is not None:
        flow.train_portfolio(portfolio, budget=budget, n_jobs=jobs)
    else:
        flow.train(experiments or (), n_jobs=jobs)
    _print_board(flow, as_json, as_it_is=budget.is_limited)


@app.command()
def search(
    comp: Comp,
    experiment: Annotated[str, typer.Argument(help="The experiment whose settings are searched.")],
    trials: Annotated[int, typer.Option(min=1, help="Trials in all, those of earlier calls included.")] = 50,
    minutes: Annotated[float | None, typer.Option(min=0, help="Start nothing that would end later.")] = None,
    on: On = None,
    set_: Set = None,
    jobs: Jobs = 1,
    as_json: Json = False,
) -> None:
    """Search an experiment's settings: each trial a stored run, the winner measured again on fresh folds."""
    record = _flow(comp, on, set_).search(experiment, trials=trials, minutes=minutes, n_jobs=jobs)
    if as_json:
        _print(record.as_json(), as_json)
        return
    from kagglekit import console

    typer.echo(console.search(record))


@app.command()
def ladder(
    comp: Comp,
    bake_off: Annotated[
        str | None, typer.Option("--bake-off", help="Compare squish, crop, pad ... of this experiment instead.")
    ] = None,
    minutes: Annotated[float | None, typer.Option(min=0, help="Start nothing that would end later.")] = None,
    full: Annotated[bool, typer.Option("--full/--no-full", help="Train what was promoted on all folds.")] = True,
    on: On = None,
    set_: Set = None,
    as_json: Json = False,
) -> None:
    """Climb the pipeline's rungs: small models first on one shared fold, on to the next with what won."""
    flow = _flow(comp, on, set_)
    found = flow.bake_off(bake_off, minutes=minutes) if bake_off else flow.ladder(minutes=minutes, full=full)
    if as_json:
        _print(found.as_json(), as_json)
        return
    from kagglekit import console

    typer.echo(console.ladder(found))


@app.command()
def zoo(
    family: Annotated[str | None, typer.Option(help="timm's module, or a part of a model's name.")] = None,
    max_params: Annotated[float | None, typer.Option("--max-params", min=0, help="Parameters, in millions.")] = None,
    max_macs: Annotated[float | None, typer.Option("--max-macs", min=0, help="Multiply-adds, in 10^9.")] = None,
    top: Annotated[int | None, typer.Option(min=1, help="The most accurate so many; 20 if there is no filter.")] = None,
    probe: Annotated[bool, typer.Option("--probe", help="Measure how fast they are here; kept for next time.")] = False,
    results: Annotated[Path | None, typer.Option(help="A newer results-imagenet.csv of timm's.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Write accuracy against cost as a PNG.")] = None,
    as_json: Json = False,
) -> None:
    """Which image models are best? Accuracy on ImageNet, parameters, multiply-adds, and the time they take here."""
    from kagglekit import zoo as models
    from kagglekit.console import RichProgress, zoo_table

    known = models.shipped_results() if results is None else models.read_results(results)
    few = top or (None if family or max_params or max_macs or plot else 20)
    chosen = models.filtered(known, family=family, max_params=max_params, max_macs=max_macs, top=few)
    kept = models.speeds_file()
    speeds = models.probe_speeds(chosen, kept, progress=RichProgress()) if probe else models.known_speeds(kept)
    found = models.entries(chosen, speeds)
    if plot is not None:
        models.plot(found, plot)
    if as_json:
        _print([entry.as_json() for entry in found], as_json)
        return
    typer.echo(zoo_table(found, models.SOURCE if results is None else str(results)))
    if plot is not None:
        typer.echo(f"\n{_shown(plot)}")


@app.command()
def ensemble(
    comp: Comp,
    name: Annotated[str | None, typer.Argument(help="A table under [ensembles]; the first if none.")] = None,
    on: On = None,
    set_: Set = None,
    as_json: Json = False,
) -> None:
    """Stage 4: combine finished runs, scored on rows that did not choose the weights."""
    run = _flow(comp, on, set_).ensemble(name)
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
    _print(facts, as_json)


@app.command()
def submit(
    comp: Comp,
    run: Annotated[str | None, typer.Option(help="Experiment, ensemble or run id; the first ensemble if none.")] = None,
    message: Annotated[str | None, typer.Option(help="Description on the site.")] = None,
    again: Annotated[bool, typer.Option("--again", help="Send a file that was sent before.")] = False,
    dry_run: DryRun = False,
    on: On = None,
    set_: Set = None,
    jobs: Jobs = 1,
    as_json: Json = False,
) -> None:
    """Stages 1 to 5: download, prepare, train, ensemble, submit; only what is missing or changed."""
    from kagglekit.sites import open_gateway

    flow = _flow(comp, on, set_)
    with open_gateway(flow.workspace, flow.slug, flow.progress) as gateway:
        flow.download(gateway)
    flow.train(n_jobs=jobs)
    with open_gateway(flow.workspace, flow.slug, flow.progress) as gateway:
        result = flow.submit(gateway, run, again=again, dry_run=dry_run, message=message)
    checked = _drift_of(flow) if result.alarm else {}
    if as_json:
        _print(_outcome_json(result) | ({"drift": checked} if checked else {}), as_json)
        return
    from kagglekit import console

    files = {
        "data": _shown(flow.workspace.data(flow.slug)),
        "runs": _shown(flow.store.folder),
        "submission": _shown(result.file),
        "ledger": _shown(flow.ledger.path),
    }
    typer.echo(console.outcome(result, flow.pipeline.competition.metric, flow.next_commands(), files))
    if checked:
        typer.echo(f"\nThe drift check, as the public score does not fit:\n\n{checked['words']}")


@app.command()
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
    flow = _flow(comp, on, set_)
    if web:
        from kagglekit.results import Results

        typer.echo(_shown(Results(flow).web_board(out or flow.workspace.report(comp, "-board"))))
        return
    _print_board(flow, as_json, all_trials=all_)


@app.command()
def report(
    comp: Comp,
    run: Annotated[str | None, typer.Option(help="The run to look at closely; the best if none.")] = None,
    out: Annotated[Path | None, typer.Option(help="The page; reports/COMP.html if none.")] = None,
    on: On = None,
    set_: Set = None,
) -> None:
    """The story of a competition as one HTML page: what was tried and why, what it scored, where it errs."""
    results = _results(comp, on, set_)
    typer.echo(_shown(results.report(out or results.flow.workspace.report(comp), run=run)))


@app.command()
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
    results = _results(comp, on, set_)
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
            _print(found.as_json() | {"files": [str(_shown(path)) for path in paths]}, as_json)
            return
        typer.echo(f"{found.words()}\n")
    for line in (*map(_shown, paths), *notes):
        typer.echo(line)


@app.command("lr-find")
def lr_find(
    comp: Comp,
    experiment: Annotated[str, typer.Argument(help="An experiment of images; it need not be trained.")],
    batches: Annotated[int, typer.Option(min=100, help="Batches, each at a higher rate than the one before.")] = 100,
    out: Annotated[Path | None, typer.Option(help="The picture; reports/COMP/lr-EXPERIMENT.png if none.")] = None,
    on: On = None,
    set_: Set = None,
    as_json: Json = False,
) -> None:
    """Draw the loss of an image model against a growing learning rate, and say which rate to try."""
    results = _results(comp, on, set_)
    found = results.rates(experiment, n_batches=batches)
    path = found.draw(out or results.flow.workspace.sheets(comp) / f"lr-{experiment}.png")
    if as_json:
        _print(found.as_json() | {"file": str(_shown(path))}, as_json)
        return
    typer.echo(f"{found.words()}\n{_shown(path)}")


@app.command()
def export(
    comp: Comp,
    run: Annotated[str, typer.Argument(help="Experiment or run id, of an image model.")],
    to: Annotated[Path | None, typer.Option(help="A new folder; exports/COMP/RUN if none.")] = None,
    fit: Annotated[str, typer.Option(help="folds, one of them (fold-0), or all: a new model on all rows.")] = "folds",
    fastai: Annotated[bool, typer.Option("--fastai", help="Write export.pkl for fastai's load_learner too.")] = False,
    onnx: Annotated[bool, typer.Option("--onnx", help="Write model.onnx too; needs the extra onnx.")] = False,
    on: On = None,
    set_: Set = None,
) -> None:
    """Write a run's image models as safetensors and JSON, which `kagglekit predict` and `demo` read."""
    made = _results(comp, on, set_).export(run, to, fit=fit, fastai=fastai, onnx=onnx)
    typer.echo(f"{_shown(made.folder)}\n{made.words()}")


@app.command()
def predict(
    folder: Annotated[Path, typer.Argument(help="A folder that `kagglekit export` wrote.")],
    images: Annotated[list[Path], typer.Argument(help="Image files, and folders of them.")],
    top: Annotated[int, typer.Option(min=1, help="Labels to print for each image.")] = 3,
    as_json: Json = False,
) -> None:
    """What an exported model says of image files: labels with probabilities, or values."""
    from kagglekit.image_files import named_images
    from kagglekit.models.vision.exported import load

    files = named_images(images)
    model = load(folder)
    found = model.answers(files)
    if as_json:
        _print({path: {str(c): v for c, v in row.items()} for path, row in found.to_dict("index").items()}, as_json)
        return
    for path, row in found.iterrows():
        typer.echo(f"{path}: {model.words(row, top=top)}")


@app.command()
def demo(
    folder: Annotated[Path, typer.Argument(help="A folder that `kagglekit export` wrote.")],
    examples: Annotated[list[Path] | None, typer.Argument(help="Pictures to be offered on the page.")] = None,
    to: Annotated[Path | None, typer.Option(help="A new folder; FOLDER-space if none.")] = None,
) -> None:
    """Write a page that classifies pictures (Gradio): app.py and what it needs, ready for a Hugging Face Space."""
    from kagglekit.demo import write_space

    made = write_space(folder, to or folder.with_name(f"{folder.name}-space"), examples=examples or ())
    typer.echo(f"{_shown(made)}: look at it with `pip install gradio` and `python {_shown(made)}/app.py`.")


@app.command()
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

    desk = _results(comp, on, set_).cleaning(run, n=rows)
    with CleaningPage(desk, port) as page:
        typer.echo(f"Labels at {page.url} (Ctrl-C stops it). Corrections go to {_shown(desk.file)}.")
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            typer.echo(desk.words(), err=True)


@app.command()
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
    found = _results(comp, on, set_).compare(a, b, unpaired=unpaired, public_share=public_share)
    if as_json:
        _print(found.as_json(), as_json)
        return
    from kagglekit import console

    typer.echo(console.comparison(found))


@app.command()
def shakeup(
    comp: Comp,
    runs: Annotated[list[str] | None, typer.Argument(help="Experiments, ensembles or run ids; all if none.")] = None,
    public_share: PublicShare = 0.3,
    on: On = None,
    set_: Set = None,
    as_json: Json = False,
) -> None:
    """Where public and private scores should fall given CV, who may swap places, and whether known scores fit."""
    found = _results(comp, on, set_).shakeup(runs or (), public_share=public_share)
    if as_json:
        _print(found.as_json(), as_json)
        return
    from kagglekit import console

    typer.echo(console.shakeup(found, comp))


@app.command()
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
    found = _results(comp, on, set_).advise(runs or (), slots=days * slots, line=line, public_share=public_share)
    if as_json:
        _print(found.as_json(), as_json)
        return
    from kagglekit import console

    typer.echo(console.final_two(found) if final else console.advice(found))


@app.command()
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

    results = _results(comp, on, set_)
    key = results.flow.pipeline.competition.id
    if write is not None:
        check_groups_file(write, key)
    found = results.drift(embeddings=embeddings)
    if write is not None:
        write_groups(found.copies, write, key)
    _print(found.as_json(), as_json) if as_json else typer.echo(found.words())
    if write is not None and not as_json:
        typer.echo(f"Wrote {_shown(write.absolute())}: {found.copies.groups.nunique()} groups.")


@app.command()
def blame(comp: Comp, ref: Ref, on: On = None, as_json: Json = False) -> None:
    """Where a submission came from: file, run, code, data, folds, and every member with its weight."""
    found = _results(comp, on).blame(ref)
    _print(found.as_json(), as_json) if as_json else typer.echo(found.words())


@app.command()
def rebuild(
    comp: Comp,
    ref: Ref,
    retrain: Annotated[bool, typer.Option("--retrain", help="Train its experiments again, in a folder apart.")] = False,
    on: On = None,
    set_: Set = None,
    as_json: Json = False,
) -> None:
    """Make a submission file again and say whether it is bit-identical; exit status 1 when it is not."""
    found = _results(comp, on, set_).rebuild(ref, retrain=retrain)
    _print(found.as_json(), as_json) if as_json else typer.echo(found.words())
    if found.sent and not found.identical:
        raise typer.Exit(1)


app.add_typer(kernel_app, name="kernel")
app.add_typer(arena_app, name="arena")


@kernel_app.callback()
def kernel() -> None:
    """Kaggle notebooks: the same experiments on Kaggle's machines."""


@kernel_app.command("push")
def kernel_push(
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
    from kagglekit.kernel_flow import Options

    options = Options(accelerator, hours, submit, probe, image)
    with _kernels(comp, on, accelerator) as kernels:
        for session in kernels.push(experiments, options, dry_run=dry_run):
            typer.echo(session.plan.words())
            typer.echo(f"Built {_shown(session.notebook)}")
            typer.echo("Dry run: nothing was sent." if dry_run else f"Pushed: {session.url}")


@kernel_app.command("sync")
def kernel_sync(comp: Comp, experiments: Experiments, on: On = None) -> None:
    """Send only what notebooks need, as private datasets: kagglekit's wheel, the pipeline's files, weights."""
    with _kernels(comp, on) as kernels:
        for synced in kernels.sync(experiments):
            typer.echo(synced.words())


@kernel_app.command("watch")
def kernel_watch(comp: Comp, experiments: Experiments, submit: KernelSubmit = False, on: On = None) -> None:
    """Follow status and log of pushed notebooks until they have run; exit status 2 when one fails."""
    with _kernels(comp, on) as kernels:
        kernels.watch(experiments, submit=submit)
    typer.echo("Complete.")


@kernel_app.command("pull")
def kernel_pull(comp: Comp, experiments: Experiments, submit: KernelSubmit = False, on: On = None) -> None:
    """Bring finished runs and folds here, each checked; with --submit, submit what the notebook wrote."""
    with _kernels(comp, on) as kernels:
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


@kernel_app.command("run")
def kernel_run(
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

    with _kernels(comp, on, accelerator) as kernels:
        kernels.run(experiments, Options(accelerator, hours, submit, docker_image=image))
        left = {name: folds for name, folds in kernels.left(experiments).items() if folds}
        if submit and not left:
            _print_submitted(kernels.submit(experiments))
        _print_board(kernels.flow, as_json)
    for name, folds in left.items():
        typer.echo(f"{name}: {', '.join(folds)} left", err=True)
    if left:
        raise typer.Exit(1)


@kernel_app.command("rehearse")
def kernel_rehearse(
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
    with _kernels(comp, on, accelerator) as kernels:
        built = kernels.push(experiments, Options(accelerator, submit=submit), dry_run=True)
        workspace, progress = kernels.flow.workspace, kernels.flow.progress
    sources = Sources(lambda slug: RawData(workspace.data(slug)).files, workspace.kernel_data, workspace.rehearsals)
    folders = [session.notebook.parent for session in built]
    found = [rehearse(f, sources, limits=limits, layout=layout, progress=progress) for f in folders]
    for one in found:
        _print(one.as_json(), as_json) if as_json else typer.echo(one.words())
    if not all(one.passed for one in found):
        raise typer.Exit(1)


@arena_app.command("create")
def arena_create(
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

    home = _workspace("arena").arena
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


@arena_app.command("list")
def arena_list(as_json: Json = False) -> None:
    """The competitions of this workspace's arena, and the worlds that can be drawn."""
    from kagglekit.arena import hosting
    from kagglekit.arena.worlds import WORLDS

    home = _workspace("arena").arena
    facts = {
        "hosted": [c.slug for c in hosting.hosted(home)],
        "worlds": {w.name: f"{w.title}, {w.slug}: {w.summary}" for w in WORLDS.values()},
    }
    _print(facts, as_json)


@arena_app.command("worlds")
def arena_worlds(
    world: Annotated[str | None, typer.Argument(help="One world: its page, and what is worth trying there.")] = None,
    as_json: Json = False,
) -> None:
    """The practice competitions that code makes: task, metric, rows, and what each is about."""
    from kagglekit.arena.worlds import WORLDS, get_world

    chosen = [get_world(world)] if world else list(WORLDS.values())
    if as_json:
        _print({w.name: w.as_json() for w in chosen}, as_json)
        return
    from kagglekit import console

    typer.echo(console.world(chosen[0].as_json()) if world else console.worlds([w.as_json() for w in chosen]))


@arena_app.command("draw")
def arena_draw(
    world: Annotated[str, typer.Argument(help="A world, such as paddy.")],
    scale: Annotated[float | None, typer.Option(help="Share of the real competition's size; 1.0 is all of it.")] = None,
    seed: Annotated[int | None, typer.Option(help="Another seed draws another world of the same kind.")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Replace it at another size or seed.")] = False,
) -> None:
    """Draw a practice world and host it; `submit` does so by itself at the default size."""
    from kagglekit.arena.worlds import get_world
    from kagglekit.sites import host_world

    workspace, progress = _start("arena")
    host_world(workspace, get_world(world).slug, progress, scale, seed=seed, replace=replace)


@arena_app.command("grade")
def arena_grade(
    name: Annotated[str, typer.Argument(help="The competition's name in the arena.")],
    file: Annotated[Path, typer.Argument(help="A submission file.")],
    as_json: Json = False,
) -> None:
    """Grade a file against the hidden solution, public and private rows and all: for after you have decided."""
    from kagglekit.arena.grader import grade_file
    from kagglekit.arena.hosting import open_hosted

    grade = grade_file(open_hosted(_workspace("arena").arena, name), file)
    _print({"public": grade.public, "private": grade.private, "all": grade.all_rows}, as_json)


@arena_app.command("rehearse")
def arena_rehearse(
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

    workspace, progress = _start("arena")
    found = rehearse(
        workspace, name, files or (), progress, splits=splits, public_share=public_share, teams=teams, seed=seed
    )
    if as_json:
        _print(found.as_json(), as_json)
        return
    from kagglekit import console

    typer.echo(console.rehearsal(found.as_json()))


@arena_app.command("serve")
def arena_serve(
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

    home = _workspace("arena").arena
    runner = LocalRunner(home) if (is_loopback(host) if run_kernels is None else run_kernels) else None
    with Arena(home, port=port, host=host, runner=runner) as arena, announced(home, arena.url):
        if not is_loopback(host):
            typer.echo(exposed(arena.url, arena.username), err=True)
        typer.echo(f"Arena at {arena.url} (Ctrl-C stops it)")
        while True:
            time.sleep(3600)


@arena_app.command("env")
def arena_env() -> None:
    """Print the exports that turn the stock kaggle command of this shell to the arena being served."""
    import os

    from kagglekit.arena.shell import exports

    typer.echo(exports(_workspace("arena").arena, os.environ))


def main() -> None:
    """Run the command line: an error that a user can mend is one line and exit status 2."""
    from kagglekit.errors import KagglekitError
    from kagglekit.files import disk_errors

    words = [word for word in sys.argv[1:] if word != "--debug"]  # it may stand anywhere
    try:
        with disk_errors(Path.cwd()):
            app(words)
    except KagglekitError as error:
        if len(words) < len(sys.argv) - 1:
            raise
        typer.echo(f"Error: {error}", err=True)
        sys.exit(2)
    except (SystemExit, KeyboardInterrupt) as leaving:
        # Ctrl-C, which typer turns into an exit status once it is at work
        if isinstance(leaving, SystemExit) and leaving.code != _INTERRUPTED:
            raise
        typer.echo("Interrupted. Finished folds are kept: the same command goes on from there.", err=True)
        sys.exit(_INTERRUPTED)


def _workspace(site: Any) -> Workspace:
    from kagglekit.workspace import Workspace

    return Workspace(root=Path.cwd(), site=site)


def _shown(path: Path) -> Path:
    """A path as a person in this folder would type it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _start(on: str | None) -> tuple[Workspace, RichProgress]:
    """Where this command works; said before anything else happens."""
    from kagglekit.console import RichProgress
    from kagglekit.sites import describe, site_name

    progress = RichProgress()
    site = site_name(on)
    progress.say(describe(site, on))
    return _workspace(site), progress


def _flow(comp: str, on: str | None, overrides: list[str] | None = None) -> Flow:
    from kagglekit.flow import Flow

    workspace, progress = _start(on)
    return Flow(comp, workspace, progress, overrides or ())


@contextmanager
def _kernels(comp: str, on: str | None, accelerator: str = "none") -> Iterator[KernelFlow]:
    """The flow on the site's machines; the competition's data are fetched when they are not here."""
    from kagglekit.kernel_flow import KernelFlow
    from kagglekit.kernels.machines import find_machine
    from kagglekit.sites import open_gateway

    find_machine(accelerator)  # a mistyped word is told before anything else happens
    flow = _flow(comp, on)
    with open_gateway(flow.workspace, flow.slug, flow.progress) as gateway:
        flow.download(gateway)
        yield KernelFlow(flow, gateway)


def _print_submitted(made: list[Submission]) -> None:
    for sent in made:
        score = "pending" if sent.public is None else f"public {sent.public:.5f}"
        typer.echo(f"Submitted {sent.run} as {sent.ref}: {score}")


def _results(comp: str, on: str | None, overrides: list[str] | None = None) -> Results:
    from kagglekit.results import Results

    return Results(_flow(comp, on, overrides))


def _print_board(flow: Flow, as_json: bool, *, all_trials: bool = False, as_it_is: bool = False) -> None:
    rows = flow.board_as_it_is() if as_it_is else flow.board(all_trials=all_trials)
    if as_json:
        _print([row.as_json() for row in rows], as_json)
        return
    from kagglekit import console

    typer.echo(console.table(rows, flow.pipeline.competition.metric))


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


def _print(facts: Any, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(facts, indent=2, ensure_ascii=False, default=str))
        return
    for key, value in facts.items():
        lines = (
            value
            if isinstance(value, list)
            else [f"{k}: {v}" for k, v in value.items()]
            if isinstance(value, dict)
            else None
        )
        typer.echo(f"{key}: {value}" if not lines else "\n  ".join([f"{key}:", *map(str, lines)]))
