"""The page: sections in order, laid out by a template, written whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from kagglekit.contracts import Run
from kagglekit.errors import MissingExtra
from kagglekit.files import write_text
from kagglekit.forecast import clock
from kagglekit.progress import Progress, Silent
from kagglekit.report.blends import blend_section
from kagglekit.report.blocks import Section
from kagglekit.report.calibration import calibration_section
from kagglekit.report.confusion import confusion_section
from kagglekit.report.families import families_section
from kagglekit.report.groups import groups_section
from kagglekit.report.importance import importance_section
from kagglekit.report.leaderboard import leaderboard_section, scored
from kagglekit.report.losses import losses_section
from kagglekit.report.material import Material
from kagglekit.report.residuals import residuals_section
from kagglekit.report.story import Chapter, board_section, chapters, in_order_chart, opening, reasons_table
from kagglekit.report.targets import targets_section
from kagglekit.report.timing import timing_section
from kagglekit.report.words import number, plural, printable

__all__ = ["write_board", "write_report"]

_SECTIONS = (
    board_section,
    timing_section,
    leaderboard_section,
    families_section,
    targets_section,
    confusion_section,
    residuals_section,
    calibration_section,
    groups_section,
    losses_section,
    blend_section,
    importance_section,
)


def write_report(
    material: Material, path: Path, *, more: Sequence[Section] = (), progress: Progress | None = None
) -> Path:
    """Write the story of a competition as one HTML file.

    The file needs nothing else: no server, no network, no script. It holds scores, settings, labels and small copies of
    the worst-predicted images, so send it only to people who may see the competition's data.

    Parameters
    ----------
    material : Material
    path : Path
        It appears there whole or not at all.
    more : sequence of Section
        Of other tools; they stand at the end.
    progress : Progress, optional

    Returns
    -------
    Path
        `path`.

    Raises
    ------
    MissingExtra
        jinja2 or matplotlib is not installed.
    """
    found: list[Section] = []
    environment = _environment()  # before any work: a missing package is told at once
    with (progress or Silent()).task("report", len(_SECTIONS)) as task:
        for make in _SECTIONS:
            if (section := make(material)) is not None:
                found.append(section)
            task.advance()
    return _write(environment, material, path, [*found, *more], chapters(material))


def write_board(material: Material, path: Path) -> Path:
    """Write the board alone, with scores as a chart and hypotheses: quick, as nothing is looked at closely.

    Parameters, returns and raises are those of `write_report`.
    """
    section = board_section(material)
    alone = replace(section, blocks=[*section.blocks, in_order_chart(material), reasons_table(material)])
    return _write(_environment(), material, path, [alone], ())


def _environment() -> Any:
    try:
        from jinja2 import Environment, FunctionLoader, StrictUndefined
        from markupsafe import Markup
    except ImportError as error:
        raise MissingExtra("A report", "jinja2", "report") from error
    environment = Environment(
        loader=FunctionLoader(_template),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # A long name may go on in the next line after each of its underscores.
    environment.filters["breakable"] = lambda text: Markup("_<wbr>").join(printable(text).split("_"))
    return environment


def _shown(value: Any) -> Any:
    """What a page may show of a text; what is already HTML stays as it is."""
    return printable(value) if type(value) is str else value


def _template(name: str) -> str:
    return (files("kagglekit.report") / "templates" / name).read_text(encoding="utf-8")


def _write(
    environment: Any, material: Material, path: Path, sections: Sequence[Section], told: Sequence[Chapter]
) -> Path:
    text = environment.get_template("page.html").render(
        style=_template("style.css"),
        material=material,
        opening=opening(material),
        tiles=_tiles(material),
        chapters=told,
        chart=in_order_chart(material) if told else None,
        sections=sections,
        made=_made(material),
        number=number,
    )
    write_text(path, text)
    return path


def _tiles(material: Material) -> Mapping[str, str]:
    """The facts at the top."""
    facts, prepared, best = material.competition, material.prepared, material.rows[0]
    sent = scored(material)
    better = max if material.sign > 0 else min
    top = better(sent, key=lambda s: s.public or 0.0) if sent else None
    tiles = {
        f"best CV {facts.metric}": f"{number(best.score)} ± {number(best.standard_error)}".rstrip(" ±"),
        f"best public, {'Kaggle' if material.site == 'kaggle' else 'practice'}": number(top.public) if top else "",
        "training rows": f"{len(prepared.train):,}",
        "test rows": f"{len(prepared.test):,}",
        "targets": str(len(facts.targets)) if facts.targets else "",
        "classes": str(len(facts.classes)) if facts.classes and not facts.targets else "",
        "folds": f"{prepared.folds.n}, {prepared.folds.scheme}"
        + (f", {prepared.folds.repeats} times" if prepared.folds.repeats > 1 else ""),
        "runs": f"{len(material.rows)} in {clock(sum(row.seconds for row in material.rows))}",
        "submissions": plural(len(sent), "file") if sent else "",
    }
    return {name: value for name, value in tiles.items() if value}


def _made(material: Material) -> list[tuple[str, str]]:
    """What the runs were made with: enough to make them again, no path and no name of a machine or person."""
    newest: Run = max(material.runs.values(), key=lambda run: run.created)
    commits = sorted({run.git["commit"][:12] for run in material.runs.values() if run.git.get("commit")})
    lines = {
        "made with": ", ".join(f"{name} {version}" for name, version in newest.versions.items()),
        "code": ", ".join(commits) + (" with uncommitted changes" if newest.git.get("dirty") == "True" else ""),
        "data": material.prepared.data,
        "folds": material.prepared.folds.fingerprint,
        "last run": newest.created,
        "notes": " ".join(material.prepared.notes),
    }
    return [(name, value) for name, value in lines.items() if value]
