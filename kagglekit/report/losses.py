"""The rows that are predicted worst."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from kagglekit.contracts import Run
from kagglekit.dataset import Prepared
from kagglekit.metrics import label_codes
from kagglekit.report.blocks import Block, Column, Gallery, Note, Picture, Section, Table
from kagglekit.report.images import thumbnail
from kagglekit.report.material import Material
from kagglekit.report.words import number, percent, plural, printable, signed, trimmed

__all__ = ["loss_facts", "losses", "losses_by_target", "losses_section"]

_PICTURES, _ROWS, _COLUMNS = 15, 15, 6


def losses(prepared: Prepared, run: Run) -> pd.Series:
    """The loss of each row that a run predicted without having seen it, by id, the largest first.

    Minus the logarithm of the true class's share of belief; for values the distance from the truth. It is not the
    competition's metric, which need not be a mean over rows. Of several targets it is the mean over them, distances in
    units of each target's standard deviation.
    """
    frame = run.oof.frame
    if prepared.competition.targets:
        return losses_by_target(prepared, run).mean(axis=1).sort_values(ascending=False, kind="stable")
    y, classes = prepared.y.loc[frame.index], prepared.competition.classes
    if not prepared.competition.is_classification:
        loss = np.abs(frame.iloc[:, 0].to_numpy(float) - y.to_numpy(float))
    else:
        P = np.clip(frame[[str(c) for c in classes]].to_numpy(float), 1e-15, None)
        loss = -np.log(P[np.arange(len(P)), label_codes(y, classes)] / P.sum(axis=1))
    return pd.Series(loss, index=frame.index).sort_values(ascending=False, kind="stable")


def losses_by_target(prepared: Prepared, run: Run, ids: pd.Index | None = None) -> pd.DataFrame:
    """The loss of rows that a run predicted without having seen them (all, or some ids), a column for each target."""
    frame = run.oof.frame.astype(float)
    frame = frame if ids is None else frame.loc[ids]
    truth = prepared.y[list(frame.columns)].astype(float)
    y = truth.loc[frame.index]
    if prepared.competition.is_classification:
        return pd.DataFrame(-np.log(frame.where(y == 1, 1 - frame).clip(lower=1e-15)))
    return pd.DataFrame((frame - y).abs() / truth.std().replace(0, 1))


def losses_section(material: Material) -> Section:
    """The worst rows: pictures where there are any, else a table."""
    ranked = losses(material.prepared, material.focus)
    words = (
        f"Training rows on which {material.focus.name}, which did not see them, was most sure of something else. Wrong "
        "labels and rows that no model can know come first here: look before you train."
        if material.competition.is_classification
        else f"Training rows on which {material.focus.name}, which did not see them, was farthest off."
    )
    blocks: list[Block] = (
        _pictures(material, ranked) if material.competition.has_images else [_table(material, ranked.index[:_ROWS])]
    )
    return Section("worst", "The largest losses", words, blocks)


def _pictures(material: Material, ranked: pd.Series) -> list[Block]:
    pictures = []
    for id_ in ranked.index[:_PICTURES]:
        path = str(material.prepared.train.loc[id_, "path"])
        if (small := thumbnail(path)) is None:
            continue
        facts = loss_facts(material.prepared, material.focus, id_)
        words = "; ".join(f"{name} {value}" for name, value in facts)
        pictures.append(Picture(small.uri, words, facts, small.width, small.height))
    tried = min(_PICTURES, len(ranked))
    told = f"The {plural(tried, 'image')} with the largest loss, the largest first, at most 200 pixels a side."
    gallery = Gallery("Images with the largest loss", told, pictures)
    lost = tried - len(pictures)
    return [gallery, *([Note(f"{plural(lost, 'image')} of these could not be read.")] if lost else [])]


def loss_facts(prepared: Prepared, run: Run, id_: Any) -> list[tuple[str, str]]:
    """Id, true, predicted, and how sure or how far off: name and value of each line."""
    name = (prepared.competition.id, printable(id_))
    if prepared.competition.targets:
        return [name, *_facts_of_worst(prepared, run, id_)]
    frame, y = run.oof.frame, prepared.y
    row: Any = frame.iloc[frame.index.get_loc(id_)]
    true: Any = y.iloc[y.index.get_loc(id_)]
    if not prepared.competition.is_classification:
        value = float(row.iloc[0])
        off = signed(value - float(true))
        return [name, ("true", number(float(true))), ("predicted", number(value)), ("off by", off)]
    shares = row / (row.sum() or 1)
    guess = str(shares.idxmax())
    sure, left = float(shares[guess]), float(shares[str(true)])
    return [name, ("true", f"{true}, {percent(left)}"), ("predicted", f"{guess}, {percent(sure)}")]


def _facts_of_worst(prepared: Prepared, run: Run, id_: Any) -> list[tuple[str, str]]:
    """Of several targets, that with the largest loss in this row."""
    worst = str(losses_by_target(prepared, run, pd.Index([id_])).iloc[0].idxmax())
    true, value = (float(table[worst].loc[[id_]].iloc[0]) for table in (prepared.y, run.oof.frame))
    if prepared.competition.is_classification:
        return [("worst at", worst), ("true", f"{true:.0f}"), ("belief in 1", percent(value))]
    return [("worst at", worst), ("true", number(true)), ("predicted", number(value)), ("off by", signed(value - true))]


_NUMBER = re.compile(r"[-+−]?[\d.,]+(e[-+]\d+)?( %)?|")


def _style(cells: Iterable[str]) -> str:
    """How a column of these is set."""
    return "number" if all(_NUMBER.fullmatch(cell) for cell in cells) else "text"


def _cell(value: Any) -> str:
    """A value of the table as it can be read beside others."""
    if pd.isna(value):
        return ""
    if isinstance(value, float):
        return f"{value:.{10 if abs(value) >= 1e5 else 5}g}"
    return trimmed(value, most=28)


def _table(material: Material, ids: pd.Index) -> Table:
    facts = {i: loss_facts(material.prepared, material.focus, i) for i in ids}
    shown = list(material.prepared.X.columns[:_COLUMNS])
    cells = material.prepared.X.loc[ids, shown].astype(object).to_numpy()
    rows = [
        [*(value for _, value in lines), *(_cell(cell) for cell in row)]
        for lines, row in zip(facts.values(), cells, strict=True)
    ]
    names = [*(name for name, _ in facts[ids[0]]), *map(str, shown)]
    heads = [Column(names[0], "name")]
    heads += [Column(name, _style(row[place] for row in rows)) for place, name in enumerate(names[1:], start=1)]
    words = "The share beside a class is the belief in it." if material.competition.is_classification else ""
    if material.competition.targets:
        words = (
            "Rows are ranked by the mean loss over all targets; of each, the target that is predicted worst is shown."
        )
    return Table("Rows with the largest loss", heads, rows, words, wide=True)
