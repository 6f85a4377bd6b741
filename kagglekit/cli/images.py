"""Image models alone: which there are, their learning rate, and taking them elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kagglekit.cli.opening import open_results
from kagglekit.cli.options import Comp, Json, On, Set
from kagglekit.cli.printing import print_facts, shown

__all__ = ["demo", "export", "lr_find", "predict", "zoo"]


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
        print_facts([entry.as_json() for entry in found], as_json)
        return
    typer.echo(zoo_table(found, models.SOURCE if results is None else str(results)))
    if plot is not None:
        typer.echo(f"\n{shown(plot)}")


def lr_find(
    comp: Comp,
    experiment: Annotated[str, typer.Argument(help="An experiment of images; it need not be trained.")],
    steps: Annotated[int, typer.Option(min=100, help="Steps, each at a higher rate than the one before.")] = 100,
    out: Annotated[Path | None, typer.Option(help="The picture; reports/COMP/lr-EXPERIMENT.png if none.")] = None,
    on: On = None,
    set_: Set = None,
    as_json: Json = False,
) -> None:
    """Draw the loss of an image model against a growing learning rate, and say which rate to try."""
    results = open_results(comp, on, set_)
    found = results.rates(experiment, n_steps=steps)
    path = found.draw(out or results.flow.workspace.sheets(comp) / f"lr-{experiment}.png")
    if as_json:
        print_facts(found.as_json() | {"file": str(shown(path))}, as_json)
        return
    typer.echo(f"{found.words()}\n{shown(path)}")


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
    made = open_results(comp, on, set_).export(run, to, fit=fit, fastai=fastai, onnx=onnx)
    typer.echo(f"{shown(made.folder)}\n{made.words()}")


def predict(
    folder: Annotated[Path, typer.Argument(help="A folder that `kagglekit export` wrote.")],
    images: Annotated[list[Path], typer.Argument(help="Image files, and folders of them.")],
    top: Annotated[int, typer.Option(min=1, help="Labels to print for each image.")] = 3,
    as_json: Json = False,
) -> None:
    """What an exported model says of image files: labels with probabilities, or values."""
    from kagglekit.console import RichProgress
    from kagglekit.image_files import named_images
    from kagglekit.models.vision.exported import load
    from kagglekit.models.vision.facts import read_facts

    read_facts(folder)  # a mistyped folder is told before the images are looked for, both before the model is read
    files = named_images(images)
    model = load(folder)
    found = model.answers(files, progress=RichProgress())
    if as_json:
        print_facts(
            {path: {str(c): v for c, v in row.items()} for path, row in found.to_dict("index").items()}, as_json
        )
        return
    for path, row in found.iterrows():
        typer.echo(f"{path}: {model.words(row, top=top)}")


def demo(
    folder: Annotated[Path, typer.Argument(help="A folder that `kagglekit export` wrote.")],
    examples: Annotated[list[Path] | None, typer.Argument(help="Pictures to be offered on the page.")] = None,
    to: Annotated[Path | None, typer.Option(help="A new folder; FOLDER-space if none.")] = None,
) -> None:
    """Write a page that classifies pictures (Gradio): app.py and what it needs, ready for a Hugging Face Space."""
    from kagglekit.demo import write_space

    whole = folder.resolve()  # "." has no name
    made = write_space(folder, to or whole.with_name(f"{whole.name}-space"), examples=examples or ())
    typer.echo(f"{shown(made)}: look at it with `pip install gradio` and `python {shown(made)}/app.py`.")
