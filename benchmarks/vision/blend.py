"""Three rungs by three preprocessings, blended: what nine small models are worth together.

    python benchmarks/vision/blend.py --data FOLDER [--solution solution.csv] [--epochs 6] [--size 160] [--tta flip]

FOLDER holds one folder of pictures for each label, or `train.csv` with ids and labels. Members are EfficientNet-Lite 0,
1 and 2 at squish, crop and pad, each in `--folds` folds (0 fits each once, on all rows, for the hidden ones alone);
weights are uniform, which was as good as greedy ones. Bars, on out-of-fold rows and, with `--solution`, on the hidden
ones: the blend's error is at least 20 % below the members' mean error; on bean-leaf's hidden rows at least .93 are
right. Hidden answers are looked at once, at the end, for these two figures, and choose nothing.
"""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from harness import Bar, arguments, labelled, show
from sklearn.model_selection import StratifiedKFold

from kagglekit.models.vision.estimator import TimmClassifier

RUNGS = ("tf_efficientnet_lite0", "tf_efficientnet_lite1", "tf_efficientnet_lite2")
RESIZES = ("squish", "crop", "pad")


def read(args) -> tuple[pd.DataFrame, pd.Series]:
    """Pictures and labels of a folder of folders, or of a table with the columns that were named."""
    table = args.data / "train.csv"
    if not table.exists():
        return labelled(args.data, args.n)
    frame = pd.read_csv(table).sample(frac=1, random_state=0)[: args.n].set_index(args.id)
    return _paths(frame, args.data / args.images), frame[args.target]


def _paths(frame: pd.DataFrame, folder: Path) -> pd.DataFrame:
    known = {path.stem: str(path) for path in folder.rglob("*") if path.is_file()}
    return pd.DataFrame({"path": [known[Path(str(i)).stem] for i in frame.index]}, index=frame.index)


def member(arch: str, resize: str, seed: int, X, y, test, args, cache: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Out-of-fold and test probabilities of one member."""
    # Square pictures look the same by every preprocessing, so chance has to differ too.
    settings = {"size": args.size, "epochs": args.epochs, "tta": args.tta or False, "random_state": seed}

    def fitted(fit: np.ndarray) -> TimmClassifier:
        return TimmClassifier(arch, resize=resize, **settings, cache_dir=cache).fit(X.iloc[fit], y.iloc[fit])

    def predicted(model: TimmClassifier, rows: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame(model.predict_proba(rows), rows.index, model.classes_)

    if not args.folds:
        return pd.DataFrame(), predicted(fitted(np.arange(len(X))), test)
    oof, tests = [], []
    for fit, score in StratifiedKFold(args.folds, shuffle=True, random_state=0).split(X, y):
        model = fitted(fit)
        oof.append(predicted(model, X.iloc[score]))
        if len(test):
            tests.append(predicted(model, test))
    return pd.concat(oof).loc[X.index], sum(tests) / args.folds if tests else pd.DataFrame()


def error(frame: pd.DataFrame, y: pd.Series) -> float:
    return float((frame.idxmax(axis=1) != y.loc[frame.index]).mean())


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--id", default="image_id")
    parser.add_argument("--target", default="label")
    parser.add_argument("--images", default="train_images")
    parser.add_argument("--test-images", default="test_images")
    parser.add_argument("--solution", type=Path, help="true answers of the test pictures, for grading only")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--tta", default="flip")
    parser.add_argument("--rungs", default=",".join(RUNGS))
    args = parser.parse_args()
    if args.data is None:
        parser.error("--data is needed")
    X, y = read(args)
    truth = pd.read_csv(args.solution).set_index(args.id)[args.target] if args.solution else pd.Series(dtype=object)
    test = _paths(truth.to_frame(), args.data / args.test_images) if len(truth) else X[:0]
    members = []
    with tempfile.TemporaryDirectory() as cache:
        for seed, (arch, resize) in enumerate(itertools.product(args.rungs.split(","), RESIZES)):
            members.append(member(arch, resize, seed, X, y, test, args, cache))
            oof = members[-1][0]
            print(f"{arch} {resize}: " + (f"out-of-fold error {error(oof, y):.4f}" if len(oof) else "done"), flush=True)
    bars = []
    for where, number, known in (("out of fold", 0, y), ("hidden rows", 1, truth)):
        if not len(members[0][number]):
            continue
        frames = [found[number] for found in members]
        single, blended = np.mean([error(frame, known) for frame in frames]), error(sum(frames), known)
        note = f"{single:.4f} to {blended:.4f}"
        bars.append(Bar(f"{where}: error cut by the blend", 1 - blended / max(single, 1e-9), 0.2, note=note))
        bars.append(Bar(f"{where}: right", 1 - blended, 0.93))
    show(f"{len(members)} members, {len(X)} pictures", bars)


if __name__ == "__main__":
    main()
