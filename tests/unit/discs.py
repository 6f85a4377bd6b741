"""A small prepared competition of one-colour pictures in three classes."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from vision_cases import picture_table, picture_target

from kagglekit.config import Experiment
from kagglekit.contracts import Competition
from kagglekit.dataset import Prepared
from kagglekit.folds import make_folds

SMALL = {"arch": "test_resnet", "weights": "random", "size": 32}
FAST = {"epochs": 1, "freeze_epochs": 0, "batch_size": 16}
CLASSES = ("blast", "normal", "tungro")


def discs(cache: Path, n: int = 3) -> Prepared:
    """Sixty-six pictures in `n` folds, and nine to predict."""
    X = picture_table(0)
    facts = Competition("s", "image-classification", "accuracy", "id", "label", CLASSES)
    train = X.assign(label=picture_target(X, "classification"))
    test = X.iloc[:9].set_axis([f"t{i}" for i in range(9)])
    return Prepared(facts, train, test, pd.DataFrame(), make_folds(X.index, scheme="kfold", n=n, seed=0), "d", cache)


def experiment(model: str = "timm", *, name: str = "it", cleaning=(), **params) -> Experiment:
    """One on the smallest network; keys that every experiment has are told from the model's own."""
    common = {key: params.pop(key) for key in ("bags", "seeds", "validation", "keep_models") if key in params}
    return Experiment(name, "x", model, SMALL | params, cleaning=cleaning, seed=7, **common)
