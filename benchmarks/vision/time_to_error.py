"""How soon our own recipe is as good as plain fastai's `fine_tune` in the end.

    python benchmarks/vision/time_to_error.py --scale 0.12 --seeds 3 [--epochs 5] [--ours-epochs 1,2,3,5]
    python benchmarks/vision/time_to_error.py --fashion /usr/share/dataset-fashion-mnist --n 3000

Plain fastai: `Resize(480)` (for Fashion-MNIST 28 px: `Resize(480)` too, its default use), `aug_transforms`,
`fine_tune(epochs)`. Ours: `TimmClassifier` with each number of epochs, a whole training of its own, decoding included,
and `FrozenFeatures`. Bars: the least time of ours whose error is no higher than fastai's final one, at most 0.20 of
fastai's time; and the least error of ours lower than fastai's. The pictures of Fashion-MNIST come from Debian's package
`dataset-fashion-mnist`.
"""

from __future__ import annotations

import gzip
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from harness import ARCH, Bar, arguments, labelled, plain_fastai, prepared, show
from PIL import Image

from kagglekit.models.vision.estimator import TimmClassifier
from kagglekit.models.vision.features import FrozenFeatures


def fashion(folder: Path, to: Path, n: int) -> Path:
    """The first n training pictures as PNG files, one folder for each label."""
    packed = (folder / f"train-{name}-ubyte.gz" for name in ("images-idx3", "labels-idx1"))
    pixels, labels = (
        np.frombuffer(gzip.decompress(file.read_bytes()), np.uint8, offset=head)
        for file, head in zip(packed, (16, 8), strict=True)
    )
    for i, (image, label) in enumerate(zip(pixels.reshape(-1, 28, 28)[:n], labels, strict=False)):
        (to / str(label)).mkdir(exist_ok=True)
        Image.fromarray(image).save(to / str(label) / f"{i}.png")
    return to


def ours(X: pd.DataFrame, y: pd.Series, n: int, epochs: int, args, seed: int) -> tuple[float, float]:
    """Seconds and error; no epochs are frozen features."""
    with tempfile.TemporaryDirectory() as cache:
        start = time.perf_counter()
        if epochs == 0:
            model = FrozenFeatures(ARCH, args.size, cache_dir=cache, random_state=seed)
        else:
            settings = {"size": args.size, "epochs": epochs, "resize": args.resize}
            model = TimmClassifier(**settings, cache_dir=cache, random_state=seed)
        wrong = (model.fit(X[:n], y[:n]).predict(X[n:]) != y[n:]).mean()
        return time.perf_counter() - start, float(wrong)


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--fashion", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--valid", type=float, default=0.25, help="share of the pictures")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--ours-epochs", default="0,1,2,3,5")
    parser.add_argument("--resize", default="squish")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if args.fashion:
            X, y = labelled(fashion(args.fashion, Path(folder), args.n or 3000), args.n)
        else:
            X, y = prepared(args)
        n, ratios, gains = round(len(X) * (1 - args.valid)), [], []
        for seed in range(args.seeds):
            plain = plain_fastai(X, y, args, valid=len(X) - n, seed=seed, epochs=args.epochs)
            time_plain, error_plain = plain["seconds"], plain["error"]
            found = [ours(X, y, n, int(epochs), args, seed) for epochs in args.ours_epochs.split(",")]
            print(
                f"seed {seed}: plain {time_plain:.1f} s, error {error_plain:.4f}; ours "
                + ", ".join(f"{s:.1f} s {e:.4f}" for s, e in found),
                flush=True,
            )
            ratios.append(min((s for s, e in found if e <= error_plain), default=float("inf")) / time_plain)
            gains.append(min(e for _, e in found) - error_plain)
    bars = [
        Bar("time to plain fastai's final error, as a share", float(np.mean(ratios)), 0.20, at_least=False),
        Bar("our least error above fastai's", float(np.mean(gains)), 0, at_least=False),
    ]
    show(f"{n} to fit, {len(X) - n} to validate, {args.seeds} seeds", bars)


if __name__ == "__main__":
    main()
