"""The result as a drawing, for the notebook's end: scores with their standard errors, the best on top."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kagglekit.errors import MissingExtra

__all__ = ["draw"]


def draw(rows: Sequence[tuple[str, float, float | None]], metric: str, path: Path) -> Path:
    """Draw a dot and a bar for each experiment.

    Parameters
    ----------
    rows : sequence of (name, score, standard error)
        The best first; None where a single fold has no standard error.
    metric : str
    path : Path
        A PNG file.

    Raises
    ------
    MissingExtra
        matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise MissingExtra("The picture of the result", error.name or "matplotlib", "report") from error
    figure = Figure(figsize=(7.0, 1.2 + 0.45 * len(rows)), dpi=120, layout="constrained")
    axes = figure.subplots()
    places = range(len(rows))
    axes.errorbar(
        [score for _, score, _ in rows],
        places,
        xerr=[error or 0.0 for _, _, error in rows],
        fmt="o",
        color="#20639b",
        ecolor="#9ab8d2",
        elinewidth=3,
        capsize=0,
    )
    for place, (_, score, _) in zip(places, rows, strict=True):
        axes.annotate(
            f"{score:.4f}", (score, place), xytext=(0, 7), textcoords="offset points", ha="center", fontsize=9
        )
    axes.set_yticks(list(places), [name for name, _, _ in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlabel(f"CV {metric} ± SE")
    axes.margins(x=0.15)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    figure.savefig(path, format="png", metadata={"Software": None})
    return path
