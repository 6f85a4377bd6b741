"""What the benchmarks of image models share: practice pictures, plain fastai beside us, and tables with bars."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from plain import ARCH

from kagglekit.models.vision.batches import Batches
from kagglekit.models.vision.cache import DecodedImages
from kagglekit.models.vision.decoding import Size
from kagglekit.models.vision.lens import Lens, Sight
from kagglekit.models.vision.runtime import import_torch, quiet
from kagglekit.models.vision.training import Recipe, learner_of
from kagglekit.models.vision.transforms import Augmentation, Normalizer
from kagglekit.models.vision.weights import create_backbone

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Bar:
    """One line of a table: what was measured against what it should be."""

    name: str
    value: float
    bar: float
    at_least: bool = True
    note: str = ""

    @property
    def is_met(self) -> bool:
        return self.value >= self.bar if self.at_least else self.value <= self.bar


def show(title: str, bars: Sequence[Bar]) -> None:
    """Print a table; what is behind its bar is marked."""
    print(f"\n{title}")
    wide = max(len(bar.name) for bar in bars)
    for bar in bars:
        sign = ">=" if bar.at_least else "<="
        mark = "" if bar.is_met else "  BEHIND"
        print(f"  {bar.name:<{wide}}  {bar.value:10.3f}  {sign} {bar.bar:<8g}{mark}  {bar.note}".rstrip())


def arguments(text: str | None) -> argparse.ArgumentParser:
    """The options that all of these scripts have."""
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of labelled pictures, one folder for each label")
    parser.add_argument("--scale", type=float, default=0.06, help="without --data: share of the practice world drawn")
    parser.add_argument("--n", type=int, help="take this many pictures at most")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--batch-size", type=int, default=64, help="fastai's own by default")
    parser.add_argument("--threads", type=int, help="of torch; all cores by default")
    return parser


def prepared(args: argparse.Namespace) -> tuple[pd.DataFrame, pd.Series]:
    """torch with the threads asked for, and the pictures asked for: X with a column `path`, and y."""
    torch = import_torch()
    if args.threads:
        torch.set_num_threads(args.threads)
    return labelled(args.data or practice(args.scale), args.n)


def practice(scale: float) -> Path:
    """The practice world's training pictures, 480 x 640; drawn once below the system's folder for temporary files."""
    home = Path(tempfile.gettempdir()) / "kagglekit-bench"
    home.mkdir(exist_ok=True)
    found = list(home.glob(f".arena/worlds/paddy-*-scale{scale:g}/train_images"))
    if not found:
        code = "import sys; from kagglekit.cli import main; main()"
        command = [sys.executable, "-c", code, "arena", "draw", "paddy", "--replace", "--scale", f"{scale:g}"]
        subprocess.run(command, cwd=home, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
        found = list(home.glob(f".arena/worlds/paddy-*-scale{scale:g}/train_images"))
    return found[0]


def labelled(folder: Path, n: int | None = None, seed: int = 0) -> tuple[pd.DataFrame, pd.Series]:
    """Pictures of a folder with one folder for each label, in an order by chance."""
    paths = sorted(p for p in folder.glob("*/*") if p.suffix.lower() in (".jpg", ".jpeg", ".png"))
    paths = [paths[i] for i in np.random.default_rng(seed).permutation(len(paths))[:n]]
    index = pd.Index([p.name for p in paths], name="id")
    return pd.DataFrame({"path": map(str, paths)}, index=index), pd.Series([p.parent.name for p in paths], index=index)


def weights_file() -> Path:
    """The ImageNet weights under timm's names, as plain fastai reads them."""
    torch = import_torch()
    file = Path(tempfile.gettempdir()) / "kagglekit-bench" / f"{ARCH}.pth"
    if not file.exists():
        file.parent.mkdir(exist_ok=True)
        with quiet():
            torch.save(create_backbone(ARCH, weights=None, num_classes=1000, size=224).model.state_dict(), file)
    return file


def plain_fastai(X: pd.DataFrame, y: pd.Series, args: argparse.Namespace, **more: object) -> dict[str, Any]:
    """Seconds and error of plain fastai's `fine_tune`, in a process of its own; `more` are options of `plain.py`."""
    with _plain_process(X, y, args, do="fine-tune", **more) as process:
        return _told(process)


@contextmanager
def plain_epochs(
    X: pd.DataFrame, y: pd.Series, args: argparse.Namespace, do: str, valid: int
) -> Iterator[Callable[[], float]]:
    """What trains plain fastai for an epoch at each call, images a second; its process sleeps in between."""
    with _plain_process(X, y, args, do=do, valid=valid) as process:
        _told(process)

        def epoch() -> float:
            process.stdin.write("go\n")
            process.stdin.flush()
            return float(_told(process)["rate"])

        yield epoch


@contextmanager
def _plain_process(X: pd.DataFrame, y: pd.Series, args: argparse.Namespace, **more: object) -> Iterator[Any]:
    known = {"size": args.size, "batch-size": args.batch_size, "threads": args.threads} | more
    options = [part for name, value in known.items() if value is not None for part in (f"--{name}", str(value))]
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "pictures.csv"
        X.assign(label=y).to_csv(table, index=False)
        script = Path(__file__).with_name("plain.py")
        command = [sys.executable, script, "--table", table, "--weights", weights_file(), *options]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            yield process


def _told(process: Any) -> dict[str, Any]:
    """The next line of a process."""
    line = process.stdout.readline()
    if not line:
        raise SystemExit("plain.py ended without a word.")
    return dict(json.loads(line))


def our_lens(size: int, presize: Size, resize: Any = "crop", augment: Augmentation | None = None) -> Lens:
    """The lens of `TimmClassifier` at these sizes."""
    with quiet():
        from timm import get_pretrained_cfg

        known = get_pretrained_cfg(ARCH)
    return Sight(size, resize, presize).lens(Normalizer(known.mean, known.std), augment)


def our_batches(
    images: DecodedImages, X: pd.DataFrame, y: pd.Series, lens: Lens, *, batch_size: int, seed: int = 0
) -> Batches:
    torch = import_torch()
    numbers = np.unique(y, return_inverse=True)[1].astype(np.int64)
    chance = torch.Generator().manual_seed(seed)
    device = torch.device("cpu")
    return Batches(images, list(X["path"]), numbers, batch_size=batch_size, lens=lens, generator=chance, device=device)


def our_learner(batches: Batches, n_classes: int, size: int) -> Any:
    """The Learner of `TimmClassifier`, as it trains a whole network."""
    torch = import_torch()
    with quiet():
        model = create_backbone(ARCH, weights=None, num_classes=n_classes, size=size).model
    model = model.to(memory_format=torch.channels_last)
    return learner_of(model, batches, Recipe((), lr=1e-3, body_lr=1e-3), torch.nn.functional.cross_entropy)


@dataclass(frozen=True)
class Still:
    """Batches in order, as they are predicted from."""

    batches: Batches
    step: int = 64

    def __len__(self) -> int:
        return -(-len(self.batches.paths) // self.step)

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        torch, own = import_torch(), self.batches
        for start in range(0, len(own.paths), self.step):
            rows = own.images.rows(own.paths[start : start + self.step])
            yield own.lens(rows, own.device), torch.from_numpy(own.targets[start : start + self.step])


@dataclass(frozen=True)
class Loaders:
    """Our batches in the place of fastai's."""

    train: Any
    valid: Any
    device: Any
    n_inp: int = 1

    def __getitem__(self, number: int) -> Any:
        return (self.train, self.valid)[number]


def seconds(action: Callable[[], Any], repeats: int = 1) -> float:
    """The least wall time of some runs."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return min(times)


warnings.filterwarnings("ignore")
