"""Memory while training on many cached images: bounded by the batch, not by the set.

    python benchmarks/vision/memory.py [--images 100000] [--small 1000] [--size 64] [--batches 200]

Two processes read batches, by chance over the whole set, from caches of `--small` and of `--images` pictures at twice
`--size`, and take a step of a small network on each. Bar: the highest resident memory of the large set is at most 1.15
times that of the small one, what the list of paths and keys takes put aside and shown (1 KB for each picture at most).
The cache is written by hand, rows of noise, since decoding is not what is measured: 100,000 at 128 px are 4.9 GB on
disk, below `--folder` and removed at the end.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from harness import Bar, our_lens, show

from kagglekit.models.vision.batches import Batches
from kagglekit.models.vision.cache import DecodedImages, RowStore
from kagglekit.models.vision.runtime import import_timm, import_torch, quiet
from kagglekit.models.vision.transforms import Augmentation

_SHARD = 5000


def fill(folder: Path, n: int, side: int) -> list[str]:
    """A cache of n pictures, known by their numbers."""
    row = np.dtype([("pixels", np.uint8, (side, side, 3)), ("shape", "<i4", (2,))])
    store, chance = RowStore(folder, (), row), np.random.default_rng(0)

    def noise(rows: np.ndarray) -> None:
        rows["shape"] = (480, 640)
        for image in rows["pixels"]:
            image[:] = chance.integers(0, 256, image.shape, dtype=np.uint8)

    keys = [f"{i:024d}" for i in range(n)]
    for start in range(0, n, _SHARD):
        store.add(keys[start : start + _SHARD], noise)
    return keys


def peak(folder: Path, n: int, args: argparse.Namespace) -> dict[str, float]:
    """Highest resident memory (MB) before the set is opened, with its keys, and after training on it."""
    torch = import_torch()
    with quiet():
        model = import_timm().create_model("test_resnet", num_classes=10)
    side = 2 * args.size
    row = np.dtype([("pixels", np.uint8, (side, side, 3)), ("shape", "<i4", (2,))])
    before = _resident()
    keys = [f"{i:024d}" for i in range(n)]
    images = DecodedImages(RowStore(folder, (), row), dict(zip(keys, keys, strict=True)))
    opened = _resident()
    lens = our_lens(args.size, side, augment=Augmentation())
    batches = Batches(
        images,
        keys,
        np.zeros(n, np.int64),
        batch_size=args.batch_size,
        lens=lens,
        generator=torch.Generator().manual_seed(0),
        device=torch.device("cpu"),
    )
    optimizer = torch.optim.SGD(model.parameters(), 1e-3)
    done, wanted = 0, args.batches
    while done < wanted:
        for x, y in batches:
            torch.nn.functional.cross_entropy(model(x), y).backward()
            optimizer.step()
            optimizer.zero_grad()
            done += 1
            if done >= wanted:
                break
    return {"before": before, "keys": opened - before, "peak": _resident()}


def _resident() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--small", type=int, default=1000)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--batches", type=int, default=200)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--one", nargs=2, metavar=("FOLDER", "N"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(peak(Path(args.one[0]), int(args.one[1]), args)))
        return
    found = {}
    with tempfile.TemporaryDirectory(dir=args.folder) as home:
        for n in (args.small, args.images):
            fill(Path(home) / str(n), n, 2 * args.size)
            told = [f"--size={args.size}", f"--batch-size={args.batch_size}", f"--batches={args.batches}"]
            command = [sys.executable, __file__, "--one", f"{home}/{n}", str(n), *told]
            found[n] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    small, large = found[args.small], found[args.images]
    ratio = (large["peak"] - large["keys"]) / (small["peak"] - small["keys"])
    pixels = args.images * (2 * args.size) ** 2 * 3 / 2**20
    note = f"{large['peak']:.0f} MB against {small['peak']:.0f} MB; the set has {pixels:.0f} MB of pixels"
    bars = [Bar(f"{args.images} images against {args.small}", ratio, 1.15, at_least=False, note=note)]
    kilobytes = large["keys"] * 1024 / args.images
    bars.append(Bar("KB of memory for each picture's path and key", kilobytes, 1, at_least=False))
    show(f"training at {args.size} px, batches of {args.batch_size}", bars)


if __name__ == "__main__":
    main()
