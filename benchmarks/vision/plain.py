"""Plain fastai in a process of its own, as a notebook has it: nothing of kagglekit is imported here.

    python benchmarks/vision/plain.py --table pictures.csv --weights weights.pth --valid 1000 --do fine-tune

What our runtime sets (threads that sleep, memory that is kept) would make fastai faster too, so the other scripts of
this folder start this one and read the lines of JSON that it prints. `--table` has the columns `path` and `label`; its
last `--valid` rows validate.

- `--do epochs`: images trained on each second, all layers trained: after an epoch that warms up, one epoch and one line
  for each line that it is told, so that another process can train in turns with it;
- `--do frozen`: the same with the body frozen;
- `--do fine-tune`: seconds of `fine_tune(epochs, lr)` without its validation after each epoch, and the error after
  the last.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from typing import Any

import pandas as pd

ARCH = "tf_efficientnet_lite0"
DECODED_AT = 480  # `Resize` before it augments, as in Road to the Top


def plain_loaders(table: pd.DataFrame, n_valid: int, *, size: int, batch_size: int, seed: int) -> Any:
    """fastai's defaults, workers included: decode, `Resize(480)`, `aug_transforms(size=size)`."""
    from fastai.vision.all import (
        CategoryBlock,
        ColReader,
        DataBlock,
        ImageBlock,
        IndexSplitter,
        Resize,
        aug_transforms,
        set_seed,
    )

    set_seed(seed)
    block = DataBlock(
        blocks=(ImageBlock, CategoryBlock),
        get_x=ColReader("path"),
        get_y=ColReader("label"),
        splitter=IndexSplitter(range(len(table) - n_valid, len(table))),
        item_tfms=Resize(DECODED_AT),
        batch_tfms=aug_transforms(size=size),
    )
    return block.dataloaders(table, bs=batch_size)


def plain_learner(loaders: Any, weights: str, seed: int) -> Any:
    """fastai's `vision_learner` on the given weights, silent."""
    from fastai.vision.all import set_seed, vision_learner

    set_seed(seed)
    learner = vision_learner(loaders, ARCH, pretrained_cfg_overlay={"file": weights})
    learner.remove_cbs([cb for cb in learner.cbs if type(cb).__name__ == "ProgressCallback"])
    learner.logger = lambda _: None
    return learner


def error_of(model: Any, batches: Any) -> float:
    """Share of wrong labels over batches of (images, numbers)."""
    import torch

    model.eval()
    wrong = total = 0
    with torch.inference_mode():
        for batch in batches:
            x, y = (part.as_subclass(torch.Tensor) for part in batch)  # fastai's own kinds do not compare
            wrong += int((model(x).argmax(1) != y).sum())
            total += len(y)
    return wrong / total


def no_validation() -> Any:
    """A callback that saves fastai the validation after each epoch."""
    from fastai.vision.all import Callback, CancelValidException

    class NoValidation(Callback):
        def before_validate(self) -> None:
            raise CancelValidException

    return NoValidation()


def train_in_turns(learner: Any) -> None:
    """An epoch of training for each line of the input, the workers' start included, after one that warms up."""
    images = len(learner.dls.train) * learner.dls.train.bs
    learner.fit(1, 1e-3, cbs=[no_validation()])
    print(json.dumps({"ready": True}), flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        learner.fit(1, 1e-3, cbs=[no_validation()])
        print(json.dumps({"rate": images / (time.perf_counter() - start)}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", required=True)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--do", choices=("epochs", "frozen", "fine-tune"), required=True)
    for name, default in (("valid", 1000), ("size", 128), ("batch-size", 64), ("seed", 0), ("epochs", 4)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--threads", type=int)
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    if args.threads:
        import torch

        torch.set_num_threads(args.threads)
    table = pd.read_csv(args.table, dtype={"label": str})
    loaders = plain_loaders(table, args.valid, size=args.size, batch_size=args.batch_size, seed=args.seed)
    learner = plain_learner(loaders, args.weights, args.seed)
    if args.do == "fine-tune":
        start = time.perf_counter()
        learner.fine_tune(args.epochs, args.lr, cbs=[no_validation()])
        seconds = time.perf_counter() - start
        print(json.dumps({"seconds": seconds, "error": error_of(learner.model, loaders.valid)}))
        return
    if args.do == "epochs":
        learner.unfreeze()
    train_in_turns(learner)


if __name__ == "__main__":
    main()
