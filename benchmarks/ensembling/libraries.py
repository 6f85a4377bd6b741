"""Libraries of member predictions for quality benchmarks: about 30 diverse models on small data sets, kept as .npz.

    python benchmarks/ensembling/libraries.py FOLDER [--seed 0] [--splits 6] [--jobs 2] [--only wine,iris]

A split halves a data set at random. Members are fitted on the first half by 5-fold cross-validation: their
out-of-fold predictions are what an ensemble learns from. Predictions for the held-out half, which judges it, are the
mean over the fold models. Bundled data have the same rows in every split, in other halves; drawn data are drawn anew.
Data sets of which at most 500 rows are fitted get twice the splits: they are cheap, and their scores vary most.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import joblib
import numpy as np
import numpy.typing as npt
import pandas as pd
import sklearn.datasets as bundled
from lightgbm import LGBMClassifier, LGBMRegressor
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.cross_decomposition import PLSRegression
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis
from sklearn.ensemble import (
    AdaBoostClassifier,
    AdaBoostRegressor,
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.gaussian_process import GaussianProcessClassifier, GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import BayesianRidge, ElasticNet, HuberRegressor, Lasso, LogisticRegression, Ridge
from sklearn.model_selection import KFold, StratifiedKFold, train_test_split
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from threadpoolctl import threadpool_limits

from kagglekit.metrics import get_metric

Array = npt.NDArray[Any]
Kind = Literal["binary", "multiclass", "regression"]

N_FOLDS = 5
# A Gaussian process costs the cube of its rows, a support vector machine about their square.
MOST_ROWS_FOR_A_GAUSSIAN_PROCESS = 300
MOST_ROWS_FOR_SUPPORT_VECTORS = 3_000


@dataclass(frozen=True)
class Dataset:
    """A data set by name, its kind, how its rows are made from a seed, and whether at most 500 of them are fitted."""

    name: str
    kind: Kind
    rows: Callable[[int], tuple[Array, Array]]
    small: bool = False


@dataclass(frozen=True)
class Library:
    """What members predicted in one split.

    Parameters
    ----------
    dataset : str
    split : int
    kind : {"binary", "multiclass", "regression"}
    names : list of str
        Of the members.
    P, P_test : ndarray of float32, shape (n_models, n_rows, n_columns)
        Out-of-fold predictions, and predictions for the held-out half: probabilities by class, or one column of values.
    y, y_test : ndarray of shape (n_rows,)
        Class codes or values.
    """

    dataset: str
    split: int
    kind: Kind
    names: list[str]
    P: Array
    y: Array
    P_test: Array
    y_test: Array


METRICS: Mapping[Kind, tuple[str, ...]] = {
    "binary": ("log_loss", "roc_auc", "accuracy"),
    "multiclass": ("log_loss", "accuracy", "f1_macro"),
    "regression": ("rmse", "mae"),
}


def score(metric: str, y: Array, blend: Array) -> float:
    """The metric of a blend of shape (n_rows, n_columns)."""
    rules = get_metric(metric)
    classes = tuple(range(blend.shape[1])) if rules.needs != "values" else ()
    return rules.function(rules.truth(pd.Series(y), classes), rules.predicted(blend, classes))


def _bundled(name: str) -> Callable[[int], tuple[Array, Array]]:
    return lambda seed: getattr(bundled, f"load_{name}")(return_X_y=True)


def _classes(n_rows: int, n_classes: int, **settings: float) -> Callable[[int], tuple[Array, Array]]:
    shape: dict[str, Any] = {"n_samples": n_rows, "n_classes": n_classes, "n_features": 20, **settings}
    return lambda seed: bundled.make_classification(**shape, random_state=seed)


def _numbers(n_rows: int, **settings: float) -> Callable[[int], tuple[Array, Array]]:
    shape: dict[str, Any] = {"n_samples": n_rows, "n_features": 20, **settings}
    return lambda seed: bundled.make_regression(**shape, random_state=seed)


# Drawn data are named after the rows that members are fitted on: half of those drawn.
DATASETS = (
    Dataset("breast_cancer", "binary", _bundled("breast_cancer"), small=True),
    Dataset("wine", "multiclass", _bundled("wine"), small=True),
    Dataset("iris", "multiclass", _bundled("iris"), small=True),
    Dataset("digits", "multiclass", _bundled("digits")),
    Dataset("classes-500", "binary", _classes(1_000, 2, n_informative=6, flip_y=0.1), small=True),
    Dataset("classes-2000", "multiclass", _classes(4_000, 4, n_informative=8, flip_y=0.05, class_sep=0.8)),
    Dataset("classes-6000", "binary", _classes(12_000, 2, n_informative=10, flip_y=0.02, n_clusters_per_class=4)),
    Dataset("diabetes", "regression", _bundled("diabetes"), small=True),
    Dataset("numbers-500", "regression", _numbers(1_000, n_informative=10, noise=60.0), small=True),
    Dataset("numbers-2000", "regression", _numbers(4_000, effective_rank=5, tail_strength=0.3, noise=2.0)),
    Dataset("numbers-6000", "regression", _numbers(12_000, n_informative=6, noise=100.0)),
    Dataset("friedman-2000", "regression", lambda seed: bundled.make_friedman1(4_000, noise=1.5, random_state=seed)),
)


def _scaled(*steps: Any) -> Any:
    return make_pipeline(StandardScaler(), *steps)


def classifiers(n_rows: int) -> dict[str, Any]:
    """Models by name, of as many kinds as a small machine can fit in seconds."""
    few = n_rows < 1_500
    models = {
        "knn-3": _scaled(KNeighborsClassifier(3)),
        "knn-10": _scaled(KNeighborsClassifier(10)),
        "knn-30": _scaled(KNeighborsClassifier(30, weights="distance")),
        "naive-bayes": GaussianNB(var_smoothing=1e-6),
        "lda": LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto"),
        "qda": _scaled(QuadraticDiscriminantAnalysis(reg_param=0.2)),
        "logistic-0.01": _scaled(LogisticRegression(C=0.01, max_iter=200)),
        "logistic-0.3": _scaled(LogisticRegression(C=0.3, max_iter=200)),
        "logistic-10": _scaled(LogisticRegression(C=10, max_iter=200)),
        "kernel-wide": _scaled(_kernel(0.01), LogisticRegression(C=10, max_iter=200)),
        "kernel-narrow": _scaled(_kernel(0.05), LogisticRegression(C=1, max_iter=200)),
        "tree-3": DecisionTreeClassifier(max_depth=3, random_state=0),
        "tree-8": DecisionTreeClassifier(max_depth=8, min_samples_leaf=5, random_state=0),
        "forest": RandomForestClassifier(100, random_state=0),
        "forest-deep": RandomForestClassifier(40, max_features=0.6, min_samples_leaf=3, random_state=0),
        "forest-shallow": RandomForestClassifier(60, max_depth=4, random_state=0),
        "extra": ExtraTreesClassifier(100, random_state=0),
        "extra-leaf": ExtraTreesClassifier(60, min_samples_leaf=4, max_features=0.8, random_state=0),
        "adaboost": AdaBoostClassifier(n_estimators=30, random_state=0),
        "boost-slow": GradientBoostingClassifier(n_estimators=30, max_depth=2, subsample=0.7, random_state=0),
        "hist": HistGradientBoostingClassifier(max_iter=30, max_leaf_nodes=15, random_state=0),
        "mlp": _scaled(MLPClassifier((32,), max_iter=120 if few else 30, random_state=0)),
        "mlp-tanh": _scaled(
            MLPClassifier((24, 24), activation="tanh", alpha=1, max_iter=80 if few else 20, random_state=1)
        ),
        **{f"lightgbm-{name}": LGBMClassifier(**settings) for name, settings in _lightgbm().items()},
    }
    if n_rows <= MOST_ROWS_FOR_A_GAUSSIAN_PROCESS:
        models["gaussian-process"] = _scaled(GaussianProcessClassifier(2.0 * RBF(3.0), optimizer=None))
    return models


def regressors(n_rows: int) -> dict[str, Any]:
    """Models by name, of as many kinds as a small machine can fit in seconds."""
    few = n_rows < 1_500
    models = {
        "knn-3": _scaled(KNeighborsRegressor(3)),
        "knn-10": _scaled(KNeighborsRegressor(10)),
        "knn-30": _scaled(KNeighborsRegressor(30, weights="distance")),
        "ridge-1": _scaled(Ridge(1)),
        "ridge-100": _scaled(Ridge(100)),
        "bayesian-ridge": _scaled(BayesianRidge()),
        "lasso": _unit(Lasso(0.03)),
        "elastic-net": _unit(ElasticNet(0.2)),
        "huber": _unit(HuberRegressor(max_iter=200)),
        "pls": _scaled(PLSRegression(2)),
        "kernel": _unit(make_pipeline(_kernel(0.02), Ridge(0.1))),
        "tree-3": DecisionTreeRegressor(max_depth=3, random_state=0),
        "tree-8": DecisionTreeRegressor(max_depth=8, min_samples_leaf=5, random_state=0),
        "forest": RandomForestRegressor(50, max_features=0.5, random_state=0),
        "forest-leaf": RandomForestRegressor(30, min_samples_leaf=5, random_state=0),
        "forest-shallow": RandomForestRegressor(50, max_depth=4, random_state=0),
        "extra": ExtraTreesRegressor(60, random_state=0),
        "extra-leaf": ExtraTreesRegressor(60, min_samples_leaf=4, max_features=0.6, random_state=0),
        "adaboost": AdaBoostRegressor(n_estimators=20, random_state=0),
        "boost-slow": GradientBoostingRegressor(n_estimators=80, max_depth=2, subsample=0.7, random_state=0),
        "hist": HistGradientBoostingRegressor(max_iter=40, max_leaf_nodes=15, random_state=0),
        "mlp": _unit(MLPRegressor(hidden_layer_sizes=(32,), max_iter=120 if few else 40, random_state=0)),
        "mlp-tanh": _unit(
            MLPRegressor(
                hidden_layer_sizes=(24, 24), activation="tanh", alpha=1, max_iter=80 if few else 30, random_state=1
            )
        ),
        **{f"lightgbm-{name}": LGBMRegressor(**settings) for name, settings in _lightgbm().items()},
        "lightgbm-l1": LGBMRegressor(**_quick(objective="l1")),
    }
    if n_rows <= MOST_ROWS_FOR_A_GAUSSIAN_PROCESS:
        models["gaussian-process"] = _unit(GaussianProcessRegressor(RBF(4.0) + WhiteKernel(0.5), optimizer=None))
    if n_rows <= MOST_ROWS_FOR_SUPPORT_VECTORS:
        models |= {"svr": _unit(SVR(C=1)), "svr-smooth": _unit(SVR(C=3, gamma=0.005))}
    return models


def _kernel(gamma: float) -> Any:
    return Nystroem(gamma=gamma, n_components=50, random_state=0)


def _unit(model: Any) -> Any:
    """A regressor that sees features and target in units of their spread."""
    return TransformedTargetRegressor(_scaled(model), transformer=StandardScaler())


def _quick(**settings: float | str) -> dict[str, Any]:
    return {"n_estimators": 40, "n_jobs": 1, "verbose": -1, "deterministic": True, "random_state": 0, **settings}


def _lightgbm() -> dict[str, dict[str, Any]]:
    return {
        "plain": _quick(),
        "small": _quick(num_leaves=7, learning_rate=0.05),
        "extra": _quick(extra_trees=True, num_leaves=15, colsample_bytree=0.5),
        "calm": _quick(reg_lambda=30, min_child_samples=40, num_leaves=15),
        "hasty": _quick(learning_rate=0.4, n_estimators=25, min_child_samples=5),
        "linear": _quick(num_leaves=4, learning_rate=0.2, colsample_bytree=0.3),
        "forest": _quick(boosting_type="rf", subsample=0.6, subsample_freq=1, colsample_bytree=0.6),
    }


def make_library(dataset: Dataset, seed: int, split: int) -> Library:
    """Fit all members of one split."""
    draw = 1_000 * seed + split
    X, y = dataset.rows(draw)
    strata = None if dataset.kind == "regression" else y
    X, X_test, y, y_test = train_test_split(X, y, test_size=0.5, stratify=strata, random_state=draw)
    models = regressors(len(y)) if dataset.kind == "regression" else classifiers(len(y))
    n_columns = 1 if dataset.kind == "regression" else len(np.unique(y))
    P = np.empty((len(models), len(y), n_columns), dtype=np.float32)
    P_test = np.zeros((len(models), len(y_test), n_columns), dtype=np.float32)
    cutter = (KFold if strata is None else StratifiedKFold)(N_FOLDS, shuffle=True, random_state=draw)
    # Few iterations and identical neighbours are part of a diverse library, and warned about.
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for fit, score in cutter.split(X, y):
            for m, model in enumerate(models.values()):
                fitted = clone(model).fit(X[fit], y[fit])
                P[m, score] = _predicted(fitted, X[score])
                P_test[m] += _predicted(fitted, X_test) / N_FOLDS
    return Library(dataset.name, split, dataset.kind, list(models), P, y, P_test, y_test)


def _predicted(model: Any, X: Array) -> Array:
    return model.predict_proba(X) if hasattr(model, "predict_proba") else np.reshape(model.predict(X), (-1, 1))


def path_of(folder: Path, seed: int, dataset: str, split: int) -> Path:
    return folder / f"seed-{seed}" / f"{dataset}-{split}.npz"


def load(path: Path) -> Library:
    """A library that was made before."""
    with np.load(path) as kept:
        values = {name: kept[name] for name in kept.files}
    return Library(
        dataset=str(values["dataset"]),
        split=int(values["split"]),
        kind=next(k for k in get_args(Kind) if k == values["kind"]),
        names=values["names"].tolist(),
        **{name: values[name] for name in ("P", "y", "P_test", "y_test")},
    )


def _keep(dataset: Dataset, folder: Path, seed: int, split: int) -> tuple[str, float]:
    start = time.perf_counter()
    library = make_library(dataset, seed, split)
    path = path_of(folder, seed, dataset.name, split)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        np.savez(file, **vars(library))
    part.rename(path)
    return path.stem, time.perf_counter() - start


def make_all(folder: Path, seed: int, n_splits: int, jobs: int, only: Sequence[str] = ()) -> list[Path]:
    """Make the libraries that are not there yet.

    Returns
    -------
    list of Path
        All libraries of this seed, data set by data set.
    """
    wanted = [
        (d, split)
        for d in DATASETS
        for split in range(2 * n_splits if d.small else n_splits)
        if not only or d.name in only
    ]
    # Large ones first, so that no process is left alone with one at the end.
    todo = [
        joblib.delayed(_keep)(d, folder, seed, split)
        for d, split in reversed(wanted)
        if not path_of(folder, seed, d.name, split).exists()
    ]
    for name, seconds in joblib.Parallel(n_jobs=jobs, return_as="generator_unordered")(todo):
        print(f"made {name} in {seconds:.1f} s", flush=True)
    return [path_of(folder, seed, d.name, split) for d, split in wanted]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--splits", type=int, default=6)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", type=lambda text: text.split(","), default=[])
    options = parser.parse_args()
    start = time.perf_counter()
    paths = make_all(options.folder, options.seed, options.splits, options.jobs, options.only)
    print(f"{len(paths)} libraries in {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
