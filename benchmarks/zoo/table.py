"""Make kagglekit/zoo/imagenet.csv from what timm publishes; run it again with newer files.

    python benchmarks/zoo/table.py results-imagenet.csv benchmark-infer-*.csv kagglekit/zoo/imagenet.csv

The first file holds accuracies, image sizes and parameters, the second multiply-adds by architecture and image size;
both are in the folder results/ of huggingface/pytorch-image-models. The models are those that the table has already
(with `--all` every one); families are asked of the timm that is installed. Multiply-adds that the second file lacks are
counted here with `--count`, without weights and without computing, else left empty.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

from kagglekit.zoo.results import family_of
from kagglekit.zoo.speed import counts

COLUMNS = ("model", "family", "top1", "img_size", "param_count", "gmacs")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("macs", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--count", action="store_true")
    given = parser.parse_args()
    wanted = {row["model"] for row in read(given.out)} if given.out.exists() and not given.all else None
    macs = {(row["model"], row["infer_img_size"]): row["infer_gmacs"] for row in read(given.macs)}
    rows = [row for row in read(given.results) if wanted is None or row["model"] in wanted]
    made = [joined(row, macs, count=given.count) for row in rows]
    with given.out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(sorted(made, key=lambda row: row["model"]))
    print(f"{len(made)} models in {given.out}")


def read(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


def joined(row: dict[str, str], macs: dict[tuple[str, str], str], *, count: bool) -> dict[str, str]:
    """One row of the table."""
    model, size = row["model"], row["img_size"]
    known = macs.get((model.partition(".")[0], size), "")
    if not known and count:
        known = f"{counts(model, int(size))[1]:.3g}"
    return {
        "model": model,
        "family": family_of(model),
        "top1": row["top1"],
        "img_size": size,
        "param_count": row["param_count"].replace(",", ""),
        "gmacs": known,
    }


if __name__ == "__main__":
    main()
