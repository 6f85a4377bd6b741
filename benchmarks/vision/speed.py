"""How fast image models train, against plain fastai and against the bare model step, in one run on one machine.

    python benchmarks/vision/speed.py [--only epoch,step,path,cache,frozen,folds,neighbours] [--n 256] [--size 128]

| claim | bar |
| --- | --- |
| epoch: an unfrozen epoch, Lite0, against fastai's `Resize(480)` and `aug_transforms(size=128)` | 4.5 times as fast |
| step: that epoch against the model step alone on a batch in memory | 0.95 |
| path: the data path alone against the training rate | 10 times |
| cache: images of 480 x 640 decoded to 256 px and stored, each second | 700 |
| frozen: features once for all folds, then heads, against fastai's frozen epoch in every fold | 6 times |
| folds: five folds against one, cache and features included | at most 4.5 |
| neighbours: a step beside two busy processes against a quiet one | at most 4 |

Of the first three and the folds, the median over `--repeats` turns counts, in which all sides train, fastai in a
process of its own (`plain.py`) that sleeps meanwhile; of the cache the best. A quiet machine is needed: figures of a
busy one compare schedulers. `--n 128 --repeats 1` takes a minute and proves that the script runs, no more.
"""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from harness import (
    ARCH,
    Bar,
    arguments,
    our_batches,
    our_learner,
    our_lens,
    plain_epochs,
    prepared,
    seconds,
    show,
)

from kagglekit.models.vision.cache import DecodedImages
from kagglekit.models.vision.estimator import TimmClassifier
from kagglekit.models.vision.features import FrozenFeatures
from kagglekit.models.vision.lens import canvas_for
from kagglekit.models.vision.runtime import import_torch
from kagglekit.models.vision.still import hold_still, still_norms
from kagglekit.models.vision.transforms import Augmentation

CLAIMS = ("epoch", "step", "path", "cache", "frozen", "folds", "neighbours")
_FOLDS = 5


class Work:
    """What several claims need, made once."""

    def __init__(self, args: Any, cache: str) -> None:
        self.args, self.cache = args, cache
        self.X, self.y = prepared(args)
        canvas = canvas_for(self.X["path"], args.size, "crop")
        images = DecodedImages.open(self.X["path"], canvas, cache_dir=cache)
        lens = our_lens(args.size, canvas, augment=Augmentation())
        self.batches = our_batches(images, self.X, self.y, lens, batch_size=args.batch_size)
        self.learner = our_learner(self.batches, self.y.nunique(), args.size)
        self.learner.unfreeze()

    def our_epoch(self) -> None:
        """What `TimmClassifier` does for each epoch with the whole model free."""
        with still_norms(self.learner.model, self.args.size):
            self.learner.fit(1, 1e-3)

    def step(self, x: Any, y: Any) -> None:
        self.learner.model.train()
        hold_still(self.learner.model)  # as in training
        self.learner.loss_func(self.learner.model(x), y).backward()
        self.learner.opt.step()
        self.learner.opt.zero_grad()

    def bare_epoch(self) -> None:
        """As many images as an epoch has, one batch in memory over and over."""
        torch = import_torch()
        x, y = next(iter(self.batches))
        x = x.clone().contiguous(memory_format=torch.channels_last)
        with still_norms(self.learner.model, self.args.size):
            for _ in range(len(self.batches)):
                self.step(x, y)

    def path_alone(self) -> None:
        for _ in self.batches:
            pass


def epochs(work: Work, only: list[str]) -> list[Bar]:
    """The claims that rest on the time of an epoch; all sides take turns."""
    actions = {"ours": work.our_epoch, "bare": work.bare_epoch, "path": work.path_alone}
    rates: dict[str, list[float]] = {"ours": [], "bare": [], "path": [], "plain": []}
    work.our_epoch()
    with ExitStack() as stack:
        plain = stack.enter_context(plain_turns(work, "epochs")) if "epoch" in only else None
        for _ in range(work.args.repeats):
            if plain:
                rates["plain"].append(plain())
            # Whoever comes next finds caches full of fastai's images.
            for name in ("path", "bare", "ours", "ours", "bare"):
                rates[name].append(len(work.X) / seconds(actions[name]))
    told = " / ".join(f"{r:.1f}" for r in rates["ours"])
    theirs = " / ".join(f"{r:.1f}" for r in rates["plain"])
    note = f"{told} to {theirs} images/s"
    bars = [
        Bar("epoch: against plain fastai", _ratio(rates["ours"], rates["plain"], work.args), 4.5, note=note),
        Bar("step: epoch against the bare model step", _ratio(rates["ours"], rates["bare"], work.args), 0.95),
        Bar("path: data path against the training rate", _ratio(rates["path"], rates["ours"], work.args), 10),
    ]
    return [bar for bar in bars if bar.name.split(":")[0] in only]


def _ratio(ours: list[float], theirs: list[float], args: Any) -> float:
    """The median over turns: the machine's own speed changes between them, and hardly within one."""
    if not theirs:
        return float("nan")
    of_turns = (np.reshape(rates, (args.repeats, -1)).mean(axis=1) for rates in (ours, theirs))
    return float(np.median(np.divide(*of_turns)))


def plain_turns(work: Work, do: str) -> AbstractContextManager[Callable[[], float]]:
    """What trains plain fastai for an epoch at each call."""
    return plain_epochs(work.X, work.y, work.args, do, valid=max(2, len(work.X) // 50))


def cache(work: Work) -> Bar:
    """Images decoded and stored, each second, from files that the system has read before."""
    for path in work.X["path"]:
        Path(path).read_bytes()

    def build() -> None:
        with tempfile.TemporaryDirectory() as folder:
            DecodedImages.open(work.X["path"], 256, cache_dir=folder)

    return Bar("cache: images/s at 256 px", len(work.X) / seconds(build, work.args.repeats), 700)


def frozen(work: Work) -> Bar:
    """All folds of frozen features and heads, against fastai's frozen epoch of every fold."""

    def ours() -> None:
        with tempfile.TemporaryDirectory() as folder:
            for fit in _fit_rows(work.X):
                model = FrozenFeatures(ARCH, work.args.size, flip=False, C=0.01, cache_dir=folder)
                model.fit(work.X.iloc[fit], work.y.iloc[fit])

    with plain_turns(work, "frozen") as plain:
        took, rate = seconds(ours), plain()
    theirs = (_FOLDS - 1) * len(work.X) / rate
    return Bar("frozen: all folds against fastai's", theirs / took, 6, note=f"{took:.1f} s to {theirs:.0f} s")


def _fit_rows(X: pd.DataFrame) -> list[np.ndarray]:
    numbers = np.arange(len(X)) % _FOLDS
    return [np.flatnonzero(numbers != fold) for fold in range(_FOLDS)]


def folds(work: Work) -> Bar:
    """Five folds against one; each side decodes for itself."""
    settings = {"size": work.args.size, "batch_size": work.args.batch_size, "epochs": 1, "freeze_epochs": 1}

    def train(n: int) -> float:
        with tempfile.TemporaryDirectory() as folder:

            def action() -> None:
                for fit in _fit_rows(work.X)[:n]:
                    model = TimmClassifier(**settings, cache_dir=folder)
                    model.fit(work.X.iloc[fit], work.y.iloc[fit]).predict_proba(work.X.drop(work.X.index[fit]))

            return seconds(action)

    turns = [(train(1), train(_FOLDS)) for _ in range(work.args.repeats)]
    told = " / ".join(f"{five:.1f} to {one:.1f} s" for one, five in turns)
    ratio = float(np.median([five / one for one, five in turns]))
    return Bar("folds: five against one", ratio, 4.5, at_least=False, note=told)


def neighbours(work: Work) -> Bar:
    """The median step beside two processes that compute, against the median step without."""
    x, y = next(iter(work.batches))

    def median() -> float:
        with still_norms(work.learner.model, work.args.size):
            return float(np.median([seconds(lambda: work.step(x, y)) for _ in range(9)]))

    median()
    quiet = median()
    busy = [multiprocessing.get_context("spawn").Process(target=_compute, daemon=True) for _ in range(2)]
    for process in busy:
        process.start()
    time.sleep(2)
    loud = median()
    for process in busy:
        process.kill()
        process.join()
    return Bar(
        "neighbours: a step beside two busy ones", loud / quiet, 4, at_least=False, note=f"{1000 * quiet:.0f} ms"
    )


def _compute() -> None:
    while True:
        sum(range(10_000))


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--only", default=",".join(CLAIMS))
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    only = args.only.split(",")
    with tempfile.TemporaryDirectory() as folder:
        work, bars = Work(args, folder), []
        if {"epoch", "step", "path"} & set(only):
            bars += epochs(work, only)
        for name, measure in (("cache", cache), ("frozen", frozen), ("folds", folds), ("neighbours", neighbours)):
            if name in only:
                bars.append(measure(work))
    threads = import_torch().get_num_threads()
    show(f"{len(work.X)} pictures, {ARCH} at {args.size} px, batches of {args.batch_size}, {threads} threads", bars)


if __name__ == "__main__":
    main()
