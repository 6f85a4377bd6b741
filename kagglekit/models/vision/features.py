"""Features of a frozen ImageNet model under a linear head: strong, and done in seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted
from threadpoolctl import threadpool_limits

from kagglekit.errors import ConfigError, CorruptImages, DataError
from kagglekit.models.rows import target_values
from kagglekit.models.vision.cache import HINT_CORRUPT, DecodedImages, RowStore
from kagglekit.models.vision.content import content_keys
from kagglekit.models.vision.decoding import Resize, Size, check_resize, height_width, pixels
from kagglekit.models.vision.folding import fold_batch_norms
from kagglekit.models.vision.inputs import image_paths
from kagglekit.models.vision.runtime import import_torch, pick_device, quiet, repeatable
from kagglekit.models.vision.seen import Seen
from kagglekit.models.vision.transforms import Normalizer
from kagglekit.models.vision.weights import Backbone, create_backbone, find_weights
from kagglekit.progress import Progress, Silent

__all__ = ["FrozenFeatures", "FrozenFeaturesRegressor", "pooled_features"]

_VERSION = 2
_CHUNK = 64
_SHOWN = 16
_STRENGTHS = (1e-3, 1e-2, 1e-1)
_PENALTIES = np.logspace(0, 5, 11)


def pooled_features(
    paths: Sequence[str],
    arch: str,
    size: Size,
    resize: Resize = "squish",
    *,
    flip: bool = True,
    weights: str | None = None,
    cache_dir: str | None = None,
    device: str | None = None,
    random_state: int = 0,
    progress: Progress | None = None,
) -> np.ndarray:
    """What a frozen model makes of images, pooled over the picture: shape (n_images, n_features), float32.

    Each image is looked at once, whatever asks for it later: other folds, heads and processes read the cache.

    Parameters
    ----------
    paths : sequence of str
    arch, size, resize, weights, device
        See `FrozenFeatures`.
    flip : bool
        Average with the features of the mirror image.
    cache_dir : str, optional
        None keeps nothing.
    random_state : int
        Only for random weights.
    progress : Progress, optional

    Raises
    ------
    CorruptImages, ConfigError, WeightsNotFound, MissingExtra
    """
    check_resize(resize)
    with quiet(), repeatable(random_state):
        backbone = create_backbone(arch, weights=weights, num_classes=0, size=size)
    key = backbone.weights.key if backbone.weights.path else f"random{random_state}"
    height, width = height_width(size)
    name = f"features-v{_VERSION}-{arch}-{key}-{resize}-{height}x{width}{'-flip' if flip else ''}"
    keys = content_keys(paths, cache_dir, progress)
    copies: dict[str, list[str]] = {}
    for path, content in keys.items():
        copies.setdefault(content, []).append(path)
    # Not `num_features`: MobileNet, GhostNet, MambaOut and others have layers of their own between it and the head.
    width = backbone.model.head_hidden_size
    store = RowStore(Path(cache_dir) / name if cache_dir else None, (width,), "float32")
    if store.missing(keys.values()):
        with store.building():
            if new := store.missing(keys.values()):
                look = _Look(backbone, pick_device(device), size, resize, flip, progress or Silent())
                store.add(new, lambda rows: look.fill(rows, [copies[content] for content in new]))
    return store.take([keys[str(path)] for path in paths])


class _Look:
    """Runs the frozen model over files, a chunk at a time, so that memory does not grow with their number."""

    def __init__(
        self, backbone: Backbone, device: Any, size: Size, resize: Resize, flip: bool, progress: Progress
    ) -> None:
        torch = import_torch()
        model = fold_batch_norms(backbone.model.eval(), size)
        self.model = model.to(device, memory_format=torch.channels_last)
        self.normalize, self.device = Normalizer(backbone.mean, backbone.std), device
        self.size, self.resize, self.flip, self.progress = size, resize, flip, progress

    def fill(self, rows: np.ndarray, files: Sequence[Sequence[str]]) -> None:
        """Fill a row for each picture, of which there may be several files."""
        torch = import_torch()
        bad: list[str] = []
        with self.progress.task(f"features at {pixels(self.size)}", len(files)) as task, torch.inference_mode():
            for start in range(0, len(files), _CHUNK):
                chunk = files[start : start + _CHUNK]
                try:
                    # All files are opened, so that every damaged one is named.
                    opened = DecodedImages.open([path for same in chunk for path in same], self.size, self.resize)
                    images = opened.take([same[0] for same in chunk])
                except CorruptImages as error:
                    bad += error.files
                if not bad:
                    rows[start : start + _CHUNK] = self._features(images)
                task.advance(len(chunk))
        if bad:
            raise CorruptImages(bad, hint=HINT_CORRUPT)

    def _features(self, images: np.ndarray) -> np.ndarray:
        x = self.normalize(images, self.device)
        found = self.model(x)
        if self.flip:
            found = (found + self.model(x.flip(-1))) / 2
        return found.float().cpu().numpy()


def _logistic(C: float) -> Pipeline:
    return make_pipeline(StandardScaler(), LogisticRegression(C=C, max_iter=500))


def _choose_c(features: np.ndarray, numbers: np.ndarray, seed: int) -> float:
    """The strength with the lowest log loss on inner folds; the middle one when a class is too rare for folds."""
    rarest = int(np.bincount(numbers).min())
    if rarest < 3:
        return _STRENGTHS[1]
    inner = StratifiedKFold(3, shuffle=True, random_state=seed)
    losses = [
        -cross_val_score(_logistic(C), features, numbers, cv=inner, scoring="neg_log_loss").mean() for C in _STRENGTHS
    ]
    return _STRENGTHS[int(np.argmin(losses))]


@dataclass(eq=False, repr=False)
class _Frozen(BaseEstimator):
    uses_eval_set: ClassVar[bool] = False

    # A dataclass for the reason that `TimmEstimator` is one.
    arch: str = "tf_efficientnet_lite0"
    size: int | tuple[int, int] = 224
    resize: Resize = "squish"
    flip: bool = True
    C: float | None = None
    weights: str | None = None
    path_col: str = "path"
    cache_dir: str | None = None
    device: str | None = None
    random_state: int = 0
    progress: Any = None

    def _features(self, X: pd.DataFrame) -> np.ndarray:
        return pooled_features(
            image_paths(X, self.path_col),
            self.arch,
            self.size,
            self.resize,
            flip=self.flip,
            weights=self.weights,
            cache_dir=self.cache_dir,
            device=self.device,
            random_state=self.random_state,
            progress=self.progress,
        )

    def seen(self, X: pd.DataFrame, y: pd.Series) -> Seen:
        """The first images that `fit(X, y)` makes features of, to be looked at; nothing is fitted."""
        self._check(X)
        paths = image_paths(X, self.path_col)[:_SHOWN]
        images = DecodedImages.open(paths, self.size, self.resize).take(paths)
        views = {"as the model gets it": images} | ({"and mirrored": images[:, :, ::-1]} if self.flip else {})
        words = f"{pixels(self.size)} by {self.resize}, never augmented"
        return Seen(rows=np.arange(len(paths)), views=views, words=words)

    def _check(self, X: pd.DataFrame) -> None:
        image_paths(X, self.path_col)
        self.feature_names_in_, self.n_features_in_ = X.columns.to_numpy(dtype=object), X.shape[1]
        if min(height_width(self.size)) < 8:
            raise ConfigError(f"size must be at least 8 pixels, got {self.size}.")
        if self.C is not None and self.C <= 0:
            raise ConfigError(f"C must be above 0, got {self.C}.")


class FrozenFeatures(ClassifierMixin, _Frozen):
    """Logistic regression on the pooled features of a frozen ImageNet model.

    When not to use it: where classes differ in details that ImageNet does not teach (lesions under a microscope), a
    fine-tuned `TimmClassifier` is far better.

    Parameters
    ----------
    arch : str
        timm's name of the architecture.
    size : int or (height, width)
        Of what the model sees, in pixels; one number is a square.
    resize : {"squish", "crop", "pad", "reflect"}
        How an image of another shape becomes so: ignoring its shape, by cutting the middle, or by adding borders, black
        or mirroring the picture.
    flip : bool
        Average each image's features with those of its mirror image.
    C : float, optional
        Inverse strength of the head's penalty, on standardised features. None chooses it by cross-validation inside the
        rows of `fit`.
    weights : str, optional
        File or folder with pretrained weights, or "random". None looks in the known places, see `weights.find_weights`.
    path_col : str
        The column of X that holds the paths.
    cache_dir : str, optional
        Where features are kept for other folds and heads; None keeps nothing.
    device : str, optional
        A torch device; None takes the GPU when there is one.
    random_state : int
        Cuts the inner folds.
    progress : kagglekit.progress.Progress, optional

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
    weights_ : str
        Where the pretrained weights came from, and the first digits of the file's SHA-256.
    C_ : float
        The strength that was used.
    head_ : Pipeline
        Scaler and logistic regression.

    References
    ----------
    Kornblith, Shlens and Le, "Do Better ImageNet Models Transfer Better?", 2019 (logistic regression on features).
    """

    def fit(self, X: pd.DataFrame, y: pd.Series, eval_set: tuple[pd.DataFrame, pd.Series] | None = None) -> Self:
        """Fit the head; the model below it stays as it is.

        Parameters
        ----------
        X : DataFrame of shape (n_samples, n_columns)
            With a column `path_col` of image files.
        y : Series of shape (n_samples,), indexed like X
        eval_set : ignored

        Raises
        ------
        DataError, CorruptImages, ConfigError, WeightsNotFound, MissingExtra
        """
        self._check(X)
        self.classes_, numbers = np.unique(target_values(X, y), return_inverse=True)
        features, self.weights_ = self._features(X), find_weights(self.arch, self.weights).words
        if len(self.classes_) > 1:
            # These products are too small for several threads, which only wait for each other on a busy machine.
            with threadpool_limits(1):
                self.C_ = self.C or _choose_c(features, numbers, self.random_state)
                self.head_ = _logistic(self.C_).fit(features, numbers)
        return self

    def predict_proba(self, X: pd.DataFrame) -> np.ndarray:
        """Probabilities of shape (n_samples, n_classes); columns in the order of `classes_`."""
        check_is_fitted(self, "classes_")
        if len(self.classes_) == 1 or not len(X):
            return np.ones((len(X), len(self.classes_)))
        return self.head_.predict_proba(self._features(X))

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """The most probable label of each image; ties go to the first class."""
        probabilities = self.predict_proba(X)
        return self.classes_[probabilities.argmax(axis=1)]


class FrozenFeaturesRegressor(RegressorMixin, _Frozen):
    """Ridge regression on the pooled features of a frozen ImageNet model.

    Parameters are those of `FrozenFeatures`; `C` is one over the ridge penalty, and None chooses it by leave-one-out.

    Attributes
    ----------
    weights_ : str
    C_ : float
    head_ : Pipeline
    """

    def fit(self, X: pd.DataFrame, y: pd.Series, eval_set: tuple[pd.DataFrame, pd.Series] | None = None) -> Self:
        """Fit the head; see `FrozenFeatures.fit`, with finite numbers for y."""
        self._check(X)
        try:
            values = target_values(X, y).astype(np.float64)
        except (TypeError, ValueError) as error:
            raise DataError(f"A regression needs numbers for y ({error}).") from error
        penalties = _PENALTIES if self.C is None else np.array([1 / self.C])
        self.head_ = make_pipeline(StandardScaler(), RidgeCV(alphas=penalties)).fit(self._doubles(X), values)
        self.weights_ = find_weights(self.arch, self.weights).words
        self.C_ = float(1 / self.head_[-1].alpha_)
        return self

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Values of shape (n_samples,)."""
        check_is_fitted(self, "head_")
        return self.head_.predict(self._doubles(X)) if len(X) else np.empty(0)

    def _doubles(self, X: pd.DataFrame) -> np.ndarray:
        # In single precision, values far from nought lose the digits by which they differ: years, moments in time.
        return self._features(X).astype(np.float64)
