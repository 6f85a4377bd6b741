"""Submission files: thirty and more that must not be sent, by name, and any number of valid ones."""

from __future__ import annotations

import csv
import gzip
import io
import random
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pandas as pd

from kagglekit.contracts import Competition

N = 40


@dataclass(frozen=True)
class Asked:
    """A competition and its sample submission."""

    competition: Competition
    sample: pd.DataFrame


def asked(form: str, ids: list[object] | None = None, metric: str = "") -> Asked:
    classes: tuple[str | int, ...] = {"value": ()}.get(form, ("Blast", "Brown Spot", "Normal"))
    classes = ("no", "yes") if form == "probability" else classes
    metrics = {"label": "accuracy", "value": "rmse", "probability": "roc_auc", "probabilities": "log_loss"}
    task = "classification" if classes else "regression"
    metric = metric or metrics.get(form, "map@2")
    competition = Competition("toy", task, metric, "id", "target", classes, form=form)
    columns = [str(c) for c in classes] if form == "probabilities" else ["target"]
    sample = pd.DataFrame({"id": ids or [f"{i:05d}.jpg" for i in range(N)], **dict.fromkeys(columns, 0)})
    return Asked(competition, sample)


def rows(given: Asked, value: object = None) -> list[list[object]]:
    """The header and a right answer in every row."""
    form, columns = given.competition.form, list(given.sample.columns)
    answer = {"label": "Blast", "value": 1.5, "probability": 0.5, "probabilities": 0.25, "ranking": "Blast Normal"}[
        form
    ]
    cells = [answer if value is None else value] * (len(columns) - 1)
    return [columns, *([i, *cells] for i in given.sample["id"])]


def text(table: list[list[object]], separator: str = ",") -> bytes:
    target = io.StringIO()
    csv.writer(target, delimiter=separator, lineterminator="\n").writerows(table)
    return target.getvalue().encode()


def changed(given: Asked, row: int, column: int, value: object) -> bytes:
    table = rows(given)
    table[row] = [*table[row][:column], value, *table[row][column + 1 :]]
    return text(table)


def with_ids(given: Asked, make: Callable[[str], object]) -> bytes:
    header, *body = rows(given)
    return text([header, *([make(str(line[0])), *line[1:]] for line in body)])


def packed(name: str, content: bytes) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr(name, content)
    return target.getvalue()


LABEL, VALUE, PROBABILITY, PROBABILITIES, RANKING = (
    asked(form) for form in ("label", "value", "probability", "probabilities", "ranking")
)
NUMBERED = asked("value", list(range(1000, 1000 + N)))
RMSLE = asked("value", metric="rmsle")

#: Name of what is wrong -> what was asked for, and the bytes of the file (None: there is no file).
MALFORMED: Mapping[str, tuple[Asked, bytes | None]] = {
    "no file": (LABEL, None),
    "an empty file": (LABEL, b""),
    "only a header": (LABEL, text(rows(LABEL)[:1])),
    "UTF-16": (LABEL, text(rows(LABEL)).decode().encode("utf-16")),
    "Latin-1": (LABEL, text(rows(LABEL, "Bl\u00e4st")).decode().encode("latin-1")),
    "zero bytes at the end": (LABEL, text(rows(LABEL)) + bytes(512)),
    "a zip archive": (LABEL, packed("submission.csv", text(rows(LABEL)))),
    "an Excel workbook": (LABEL, packed("xl/workbook.xml", b"<workbook/>")),
    "a gzip file": (LABEL, gzip.compress(text(rows(LABEL)))),
    "a web page": (LABEL, b"<!DOCTYPE html><html>404</html>"),
    "JSON": (LABEL, b'[{"id": "00000.jpg", "target": "Blast"}]'),
    "semicolons": (LABEL, text(rows(LABEL), ";")),
    "tabs": (LABEL, text(rows(LABEL), "\t")),
    "a row too wide": (VALUE, changed(VALUE, 3, 1, "x").replace(b"x", b"1,5")),
    "an open quotation mark": (LABEL, text(rows(LABEL)).replace(b"Blast", b'"Blast', 1)),
    "no header": (LABEL, text(rows(LABEL)[1:])),
    "row numbers in front": (LABEL, text([["" if i == 0 else i - 1, *r] for i, r in enumerate(rows(LABEL))])),
    "a column twice": (LABEL, text([[*r, r[1]] for r in rows(LABEL)])),
    "a column in other letters": (LABEL, text([["ID", "Target"], *rows(LABEL)[1:]])),
    "a missing column": (PROBABILITIES, text([r[:-1] for r in rows(PROBABILITIES)])),
    "columns in another order": (PROBABILITIES, text([[r[0], *r[:0:-1]] for r in rows(PROBABILITIES)])),
    "an empty id": (LABEL, changed(LABEL, 4, 0, "")),
    "an id twice": (LABEL, text([*rows(LABEL), rows(LABEL)[1]])),
    "rows missing": (LABEL, text(rows(LABEL)[:-2])),
    "rows too many": (LABEL, text([*rows(LABEL), ["other.jpg", "Blast"]])),
    "rows in another order": (LABEL, text([rows(LABEL)[0], *rows(LABEL)[:0:-1]])),
    "ids without zeros": (LABEL, with_ids(LABEL, lambda t: t.lstrip("0"))),
    "ids without an ending": (LABEL, with_ids(LABEL, lambda t: t.removesuffix(".jpg"))),
    "ids with blanks": (LABEL, with_ids(LABEL, lambda t: f"{t} ")),
    "ids with folders": (LABEL, with_ids(LABEL, lambda t: f"test_images/{t}")),
    "ids as decimals": (NUMBERED, with_ids(NUMBERED, lambda t: f"{t}.0")),
    "an empty value": (VALUE, changed(VALUE, 5, 1, "")),
    "an infinite value": (VALUE, changed(VALUE, 5, 1, "inf")),
    "a word for a number": (VALUE, changed(VALUE, 5, 1, "many")),
    "a decimal comma": (VALUE, text(rows(VALUE, "1,5"))),
    "percent signs": (PROBABILITY, text(rows(PROBABILITY, "50%"))),
    "lists": (PROBABILITY, text(rows(PROBABILITY, "[0.5]"))),
    "printed tensors": (PROBABILITY, text(rows(PROBABILITY, "tensor(0.5)"))),
    "truth values": (PROBABILITY, text(rows(PROBABILITY, "True"))),
    "percentages": (PROBABILITY, text(rows(PROBABILITY, 55.5))),
    "logarithms": (PROBABILITY, text(rows(PROBABILITY, -0.7))),
    "a probability above one": (PROBABILITY, changed(PROBABILITY, 5, 1, 1.01)),
    "an unknown label": (LABEL, changed(LABEL, 5, 1, "Rust")),
    "labels in other letters": (LABEL, text(rows(LABEL, "blast"))),
    "labels with underscores": (LABEL, text(rows(LABEL, "Brown_Spot"))),
    "class numbers": (LABEL, text(rows(LABEL, 1))),
    "a value below zero for rmsle": (RMSLE, changed(RMSLE, 5, 1, -0.5)),
}


def valid(seed: int) -> tuple[Asked, bytes]:
    """A valid submission of any form, written in any way that a CSV may be."""
    chance = random.Random(seed)
    form = chance.choice(["label", "value", "probability", "probabilities"])
    given = asked(form, _ids(chance), metric=chance.choice(["rmse", "mae", "r2"]) if form == "value" else "")
    header, *body = rows(given)
    table = [header, *([line[0], *(_cell(chance, given) for _ in line[1:])] for line in body)]
    target = io.StringIO()
    quoting = chance.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])
    csv.writer(target, lineterminator=chance.choice(["\n", "\r\n"]), quoting=quoting).writerows(table)
    content = target.getvalue()
    return given, (b"\xef\xbb\xbf" if chance.random() < 0.2 else b"") + content[: chance.choice([None, -1])].encode()


def _ids(chance: random.Random) -> list[object]:
    first = chance.randrange(10**6)
    make: Callable[[int], object] = chance.choice(
        [
            lambda i: i,
            lambda i: f"{i:09d}",
            lambda i: f"images/{i}, left.png",
            lambda i: f'"{i}"',
            lambda i: f"Stra\u00dfe {i}",
            lambda i: f"{i}_x",
            lambda i: ["NA", "None", "nan", "null", "True", "1.0", "2020-01-01", "x\ny"][i % 8] + f"-{i}",
        ]
    )
    return [make(first + i * chance.choice([1, 3])) for i in range(0, 3 * N, 3)]


def _cell(chance: random.Random, given: Asked) -> object:
    form = given.competition.form
    if form == "label":
        return chance.choice(given.competition.classes)
    number = chance.random() if form != "value" else chance.gauss(0, 10.0 ** chance.randrange(-9, 9))
    style = chance.choice([repr, "{:.5f}".format, "{:.3e}".format, "{:g}".format, lambda v: str(round(v))])
    return style(number)
