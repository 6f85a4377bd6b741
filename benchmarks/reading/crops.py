"""Are crops found, and nothing else? Cuts images out of a folder's own and looks for them.

    python benchmarks/reading/crops.py FOLDER [--images 1000] [--crops 60]

Each crop keeps 55 to 95 % of each side and is saved as a JPEG of quality 50 to 95; three in ten are mirrored. Links
between the folder's own images count as "other": look whether they are crops too.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageOps

from kagglekit.drift.pictures import Pictures
from kagglekit.duplicates.crops import CROP_SIDE, crop_links
from kagglekit.progress import Silent

KINDS = (".jpg", ".jpeg", ".png")


def cut(path: str, to: Path, rng: np.random.Generator) -> None:
    """Save a part of an image."""
    with Image.open(path) as image:
        width, height = image.size
        share = rng.uniform(0.55, 0.95)
        wide, high = int(width * share), min(height, int(height * share * rng.uniform(0.95, 1.05)))
        left, top = rng.integers(0, width - wide + 1), rng.integers(0, height - high + 1)
        part = image.convert("RGB").crop((left, top, left + wide, top + high))
    (ImageOps.mirror(part) if rng.random() < 0.3 else part).save(to, quality=int(rng.integers(50, 95)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--crops", type=int, default=60)
    options = parser.parse_args()
    images = sorted(str(p) for p in options.folder.rglob("*") if p.suffix.lower() in KINDS)[: options.images]
    if not images:
        raise SystemExit(f"{options.folder} holds no images.")
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        sources = rng.choice(len(images), min(options.crops, len(images)), replace=False)
        crops = [Path(folder) / f"{number}.jpg" for number in range(len(sources))]
        for source, path in zip(sources, crops, strict=True):
            cut(images[source], path, rng)
        pictures = Pictures(images, list(map(str, crops)), cache=Path(folder) / "cache", progress=Silent())
        start = time.perf_counter()
        small, features = pictures.at(CROP_SIDE), pictures.embeddings()
        looked = time.perf_counter()
        found = crop_links(small, features, pd.RangeIndex(len(images) + len(crops)))
        done = time.perf_counter()
    links = set(zip(found.links["a"], found.links["b"], strict=True))
    truth = {(int(source), len(images) + number) for number, source in enumerate(sources)}
    print(f"{len(images)} images and {len(truth)} crops: {len(links & truth)} found, {len(links - truth)} other links")
    print(f"left out as chance: {dict(found.refused) or 'nothing'}")
    print(f"{looked - start:.1f} s for features, {done - looked:.1f} s for the search")


if __name__ == "__main__":
    main()
