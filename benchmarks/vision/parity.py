"""Is a model trained on our data path as good as plain fastai's? One recipe, one network, one set of weights.

    python benchmarks/vision/parity.py --scale 0.25 --seeds 5 --valid 1000 [--epochs 4] [--arms ours,draft,...]

Every arm is fastai's own `vision_learner` and `fine_tune`; what differs is where its batches come from. Bar: the mean
error of `ours` over the seeds lies within 1 point of `plain`'s, or below. The other arms differ from ours in one thing,
so that a loss can be laid at its door:

- `square`: the cache squeezes wide pictures into a square of twice the size, where `ours` keeps their shape;
- `draft`: JPEGs decoded at just above the cache's size, by whatever quarter the decoder offers;
- `warp`: no warp;
- `sampling`: the cache holds what the network sees, so that it trains on images that were read between pixels and
  predicts from images that were not (validation sampling);
- `small`: both at once with a cache of 1.25 times the size: what a first prototype did;
- `squish`: the whole picture out of shape instead of a crop, which is fastai's default;
- `recipe`: `TimmClassifier` as it is, with its own recipe, for as many epochs.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from harness import (
    Bar,
    Loaders,
    Still,
    arguments,
    our_batches,
    our_lens,
    plain_fastai,
    prepared,
    show,
    weights_file,
)
from plain import error_of, no_validation, plain_learner, plain_loaders

from kagglekit.models.vision import decoding
from kagglekit.models.vision.cache import DecodedImages, RowStore
from kagglekit.models.vision.decoding import height_width
from kagglekit.models.vision.estimator import TimmClassifier
from kagglekit.models.vision.lens import canvas_for
from kagglekit.models.vision.runtime import contained_import, import_torch, quiet
from kagglekit.models.vision.transforms import Augmentation


@dataclass(frozen=True)
class Arm:
    """One way to make batches."""

    presize: float | None = None
    resize: str = "crop"
    warp: float = 0.2
    draft: bool = False


ARMS = {
    "ours": Arm(),
    "square": Arm(presize=2.0),
    "draft": Arm(presize=2.0, draft=True),
    "warp": Arm(warp=0.0),
    "sampling": Arm(presize=1.0),
    "small": Arm(presize=1.25, draft=True, warp=0.0),
    "squish": Arm(resize="squish"),
}


def drafted(X: pd.DataFrame, side: int, resize: Any) -> DecodedImages:
    """Pictures decoded at the least scale that is not below the wanted size, without a margin."""
    from PIL import Image

    store = RowStore(None, (), [("pixels", np.uint8, (side, side, 3)), ("shape", "<i4", (2,))])

    def fill(rows: np.ndarray) -> None:
        for row, path in zip(rows, X["path"], strict=True):
            with Image.open(path) as image:
                row["shape"] = image.size[::-1]
                image.draft("RGB", (side, side))
                row["pixels"] = decoding._fitted(np.array(image.convert("RGB")), side, side, resize)

    store.add(list(X["path"]), fill)
    return DecodedImages(store, {path: path for path in X["path"]})


def error(name: str, X: pd.DataFrame, y: pd.Series, args: Any, seed: int, cache: str) -> float:
    """The error of one arm with one seed on the validation rows."""
    n = len(X) - args.valid
    if name == "recipe":
        known = {"size": args.size, "epochs": args.epochs, "resize": "crop"}
        model = TimmClassifier(**known, random_state=seed, cache_dir=cache).fit(X[:n], y[:n])
        return float((model.predict(X[n:]) != y[n:]).mean())
    if name == "plain":
        more = {"valid": args.valid, "seed": seed, "epochs": args.epochs, "lr": args.lr}
        return float(plain_fastai(X, y, args, **more)["error"])
    with contained_import("This benchmark"), quiet():
        table = X.assign(label=y)
        plain = plain_loaders(table, args.valid, size=args.size, batch_size=args.batch_size, seed=seed)
        learner = plain_learner(plain, str(weights_file()), seed)
    learner.dls = loaders(ARMS[name], X, y, n, args, seed, f"{cache}/{name}")
    learner.fine_tune(args.epochs, args.lr, cbs=[no_validation()])
    return error_of(learner.model, learner.dls[1])


def loaders(arm: Arm, X: pd.DataFrame, y: pd.Series, n: int, args: Any, seed: int, cache: str) -> Loaders:
    kept = canvas_for(X["path"], args.size, arm.resize)
    presize = kept if arm.presize is None else height_width(round(arm.presize * args.size))
    resize = arm.resize if presize == height_width(args.size) else "squish"
    images = drafted(X, presize[0], resize) if arm.draft else DecodedImages.open(X["path"], presize, resize, cache)
    lens = our_lens(args.size, presize, arm.resize, Augmentation(warp=arm.warp))
    whole = our_batches(images, X, y, lens, batch_size=args.batch_size, seed=seed)
    fit = our_batches(images, X[:n], y[:n], lens, batch_size=args.batch_size, seed=seed)
    valid = our_batches(images, X[n:], y[n:], lens, batch_size=args.batch_size)
    # Numbers by all labels, whatever labels a part has.
    fit.targets, valid.targets = whole.targets[:n], whole.targets[n:]
    return Loaders(fit, Still(valid), import_torch().device("cpu"))


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--valid", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--arms", default="ours", help=f"of {', '.join([*ARMS, 'recipe'])}")
    args = parser.parse_args()
    X, y = prepared(args)
    seeds = range(args.first_seed, args.first_seed + args.seeds)
    arms, errors = ["plain", *args.arms.split(",")], {}
    with tempfile.TemporaryDirectory() as cache:
        for seed in seeds:
            for arm in arms:
                errors[arm, seed] = error(arm, X, y, args, seed, cache)
                print(f"seed {seed} {arm:<9} error {errors[arm, seed]:.4f}", flush=True)
    bars = []
    for arm in arms[1:]:
        gaps = np.array([errors[arm, seed] - errors["plain", seed] for seed in seeds]) * 100
        spread = f"± {gaps.std(ddof=1) / np.sqrt(len(gaps)):.2f}" if len(gaps) > 1 else ""
        bars.append(Bar(f"{arm}: points above plain fastai", gaps.mean(), 1, at_least=False, note=spread))
    plain = np.mean([errors["plain", seed] for seed in seeds])
    show(f"plain fastai's mean error {plain:.4f}; {len(X) - args.valid} to fit, {args.valid} to validate", bars)


if __name__ == "__main__":
    main()
