"""A timm model, fine-tuned through fastai, as a scikit-learn estimator over a column of image paths.

Here are its settings and what scikit-learn asks of an estimator; how a network is fitted is in `fitting`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self, get_args

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from kagglekit.errors import ConfigError, DataError
from kagglekit.models.rows import check_same_rows, has_several, target_table, target_values
from kagglekit.models.vision.decoding import check_resize, height_width
from kagglekit.models.vision.fitting import Fit, Fitting, Labelled
from kagglekit.models.vision.inputs import image_paths
from kagglekit.models.vision.lens import Sight, canvas_for
from kagglekit.models.vision.network import Network
from kagglekit.models.vision.objective import (
    ClassWeight,
    MultiHead,
    MultiLabel,
    Objective,
    Ordinal,
    Regression,
    SingleLabel,
    extra_heads,
)
from kagglekit.models.vision.runtime import PRECISIONS, import_torch, pick_device, pick_precision
from kagglekit.models.vision.seen import Seen
from kagglekit.models.vision.sweep import LEAST, Sweep
from kagglekit.models.vision.training import Recipe, Stage
from kagglekit.models.vision.transforms import Augmentation
from kagglekit.models.vision.views import Views, check_views, view_maps
from kagglekit.progress import Silent

__all__ = ["TimmClassifier", "TimmEstimator", "TimmRegressor"]


_LR = 5e-4
# What the weights do not depend on.
_NO_PART = ("cache_dir", "checkpoint_dir", "progress", "tta", "tta_views")


@dataclass(eq=False, repr=False)
class TimmEstimator(BaseEstimator, ABC):
    """An ImageNet-pretrained model of timm, fine-tuned on image files; `TimmClassifier` and `TimmRegressor` are of it.

    When not to use it: for a first look, or where seconds count, `FrozenFeatures` is nearly as good on photographs
    that resemble ImageNet and takes a tenth of the time.

    Parameters
    ----------
    arch : str
        timm's name of the architecture.
    size : int or (height, width)
        Of what the model sees, in pixels; one number is a square.
    resize : {"squish", "crop", "pad", "reflect"}
        How an image of another shape becomes so: ignoring its shape, by cutting a part out (in training at a place by
        chance, else the middle), or by adding borders, black or mirroring the picture.
    presize : int or (height, width), optional
        Of the decoded images that are kept; what the model sees is read out of them in the one step that also augments.
        None takes twice `size`, for crops in the shape that most images have (see `lens.canvas_for`). The same as
        `size` keeps what the model sees: a quarter of the memory, and training images that are softer than those
        predicted from. Not less.
    epochs : int
        Passes with the whole model free.
    freeze_epochs : int
        Passes before those, with only the head free.
    sizes : tuple of int or (height, width)
        Progressive resizing: sizes of the training images, `epochs` passes at each, the last one `size`. Each begins a
        new cycle of the learning rate. Empty trains at `size` only.
    batch_size : int
        Images that are computed at once. On a GPU, if they do not fit into its memory, half as many and twice the
        `accumulate`, until they do.
    accumulate : int
        Batches whose gradients are added up before a step: it sees `batch_size * accumulate` images.
    lr : float, optional
        Highest learning rate of the last layers below the head. None takes 5e-4, the best of four (2.5e-4 to 3e-3) on
        one held-out third of a thousand photographs of leaves.
    head_mult, first_mult : float
        Rates of the head and of the first layers, as multiples of `lr`.
    head_init : {"logistic", "zero"}
        What the new head starts from. With "zero" give it an epoch of its own (`freeze_epochs=1`); "logistic" is the
        solution of logistic regression on the pretrained features and needs none, so it suits very few images.
    label_smoothing : float
        Share of the belief that is spread over all labels; not for numbers and ordered classes.
    loss : {"auto", "ordinal", "huber"}
        "auto" is cross entropy for labels, binary cross entropy for several yes-or-no labels, and squared errors for
        numbers. "ordinal" takes whole-number classes for ordered; "huber" lets wild numbers count less.
    class_weight : {"none", "balanced"}
        "balanced" weighs a row by one over the frequency of its label.
    mixup, cutmix : float
        Blend each training image with another, or paste a box of another into it, and mix the labels alike; the
        concentration of the Beta distribution that says how much (0.4 and 1 are usual). 0 does not.
    ema : float
        Predict by a running mean of the weights, of which each step keeps this share (0.999); 0 takes the last weights.
    weight_decay : float
    augment : bool or mapping
        Flip, rotate, zoom, warp and relight the training images; a table changes what is named of
        `transforms.Augmentation`: `{"warp": 0.0, "flip_vert": true, "erase": 0.25}`.
    tta : bool or {"flip", "flips", "crops", "scales", "random"}
        Test-time augmentation: predict the mean over several views of each image, see `views.view_maps`; True is
        "flip", the image and its mirror image. Takes as many times as long as there are views.
    tta_views : int
        Number of random views, besides the image itself; moved as `augment` moves training images.
    weights : str, optional
        File or folder with pretrained weights, or "random". None looks in the known places, see `weights.find_weights`.
    path_col : str
        The column of X that holds the paths.
    early_stopping : bool
        Keep the epoch with the lowest log loss on `eval_set`, and stop when `patience` epochs brought none lower. The
        learning rate falls to zero over `epochs`, so this helps only when there are many.
    patience : int
    cache_dir : str, optional
        Where decoded images are kept for other folds and models; None decodes into memory, anew for each call.
    checkpoint_dir : str, optional
        Where each epoch leaves all that a killed training needs to go on; who gives it removes it. On one CPU the model
        is the same to the bit.
    device : str, optional
        A torch device; None takes the GPU when there is one.
    precision : {"auto", "fp16", "bf16", "fp32"}
        Of training on a GPU: "auto" is bf16 on those that compute in it (Ampere and newer), else fp16 (a T4). A CPU
        always takes fp32.
    random_state : int
        On one CPU, the same seed gives the same model.
    progress : kagglekit.progress.Progress, optional
        Where to report to.

    Attributes
    ----------
    objective_ : Objective
        Encoding, loss and activation of the target.
    model_ : torch.nn.Module
    weights_ : str
        Where the pretrained weights came from, and the first digits of the file's SHA-256.
    n_steps_ : int
        Optimizer steps taken.
    canvas_ : (height, width)
        Of the decoded images.
    best_epoch_ : int
        The epoch whose model was kept, from 1; 0 when every epoch was.
    notes_ : tuple of str
        What was done otherwise than the settings say: a smaller batch.
    seconds_before_ : float
        That a killed process had trained, whose checkpoint in `checkpoint_dir` was gone on from.

    References
    ----------
    Howard and Ruder, "Universal Language Model Fine-tuning for Text Classification", 2018 (discriminative rates).
    Smith, "A disciplined approach to neural network hyper-parameters", 2018 (one cycle).
    """

    # A dataclass, because what its __init__ does is all that scikit-learn lets one do: store each setting by its name.
    arch: str = "tf_efficientnet_lite0"
    size: int | tuple[int, int] = 128
    resize: Literal["squish", "crop", "pad", "reflect"] = "squish"
    presize: int | tuple[int, int] | None = None
    epochs: int = 3
    freeze_epochs: int = 1
    sizes: tuple[int | tuple[int, int], ...] = ()
    batch_size: int = 16
    accumulate: int = 1
    lr: float | None = None
    head_mult: float = 3.0
    first_mult: float = 0.3
    head_init: Literal["logistic", "zero"] = "zero"
    label_smoothing: float = 0.1
    loss: Literal["auto", "ordinal", "huber"] = "auto"
    class_weight: ClassWeight = "none"
    mixup: float = 0.0
    cutmix: float = 0.0
    ema: float = 0.0
    weight_decay: float = 0.01
    augment: bool | dict[str, bool | float] = True
    tta: bool | Views = False
    tta_views: int = 4
    weights: str | None = None
    path_col: str = "path"
    early_stopping: bool = False
    patience: int = 3
    cache_dir: str | None = None
    checkpoint_dir: str | None = None
    device: str | None = None
    precision: Literal["auto", "fp16", "bf16", "fp32"] = "auto"
    random_state: int = 0
    progress: Any = None

    #: y may be a table of several targets.
    learns_several: ClassVar[bool] = True
    #: `fit` takes labels of other columns to learn beside y.
    learns_extras: ClassVar[bool] = True

    @property
    def uses_eval_set(self) -> bool:
        """Whether `fit` wants rows to stop early by; cut them from the fit rows, never from those to be scored."""
        return self.early_stopping

    @abstractmethod
    def _main(self, X: pd.DataFrame, y: Any) -> Objective:
        """The target of these rows, as `fit` will learn it."""

    def fit(
        self,
        X: pd.DataFrame,
        y: pd.Series | pd.DataFrame,
        eval_set: tuple[pd.DataFrame, Any] | None = None,
        extra: pd.DataFrame | None = None,
        extra_weights: Mapping[str, float] | None = None,
    ) -> Self:
        """Fine-tune on labelled images.

        Parameters
        ----------
        X : DataFrame of shape (n_samples, n_columns)
            With a column `path_col` of image files.
        y : Series of shape (n_samples,), or DataFrame of shape (n_samples, n_targets), indexed like X
            A frame of several columns holds several targets, learnt at once: yes-or-no labels as 0 and 1 for a
            classifier, numbers for a regressor.
        eval_set : (X, y), optional
            Rows for early stopping.
        extra : DataFrame of shape (n_samples, n_extras), indexed like X, optional
            What else the body must learn, with a head for each column; gaps are allowed. Nothing of it is predicted,
            and it is no input: a row to be predicted needs none of it.
        extra_weights : mapping of str to float, optional
            Of each extra's loss, beside 1 for the main target; 1 for those without.

        Raises
        ------
        DataError
            X or y is not as described.
        CorruptImages
            Names all files that cannot be decoded.
        ConfigError
            A setting is out of range, or early stopping has no rows.
        WeightsNotFound
        MissingExtra
        """
        self._check_settings(eval_set)
        paths = image_paths(X, self.path_col)
        main = self._main(X, y)
        self._remember(main)
        self.objective_, encoded = self._learnt(main, X, y, extra, extra_weights)
        self.feature_names_in_, self.n_features_in_ = X.columns.to_numpy(dtype=object), X.shape[1]
        self.best_epoch_, self.n_steps_, self.seconds_before_ = 0, 0, 0.0
        self.notes_: tuple[str, ...] = ()
        if not main.is_constant:
            watched, known_by = self._watched(eval_set), self._known_by(eval_set)
            fitting = self._fitting(paths)
            self.canvas_ = fitting.sight.canvas
            self._keep(fitting.fit(self.objective_, Labelled(paths, encoded), watched=watched, known_by=known_by))
        return self

    def _keep(self, done: Fit) -> None:
        self.model_, self._normalize = done.network.model, done.network.normalize
        self.weights_, self.notes_ = done.weights, done.notes
        self.n_steps_, self.best_epoch_, self.seconds_before_ = done.n_steps, done.best_epoch, done.seconds_before

    @abstractmethod
    def _remember(self, main: Objective) -> None:
        """Keep what scikit-learn asks an estimator of this kind for."""

    def seen(self, X: pd.DataFrame, y: pd.Series | pd.DataFrame) -> Seen:
        """The first batch that `fit(X, y)` trains on, before MixUp and CutMix, to be looked at; nothing is fitted.

        Parameters and raises are those of `fit`. Early stopping needs no rows here.
        """
        self._check_settings(eval_set=())
        main, paths = self._main(X, y), image_paths(X, self.path_col)
        return self._fitting(paths).first_batch(main, Labelled(paths, main.encode(y)))

    def lr_find(
        self,
        X: pd.DataFrame,
        y: pd.Series | pd.DataFrame,
        n_steps: int = LEAST,
        extra: pd.DataFrame | None = None,
        extra_weights: Mapping[str, float] | None = None,
    ) -> Sweep:
        """The loss of a mock training on (X, y) whose learning rate grows; nothing is fitted.

        Parameters and raises are those of `fit`. Early stopping needs no rows here.

        Parameters
        ----------
        n_steps : int
            At least 100; more give a smoother curve.
        """
        self._check_settings(eval_set=())
        objective, encoded = self._learnt(self._main(X, y), X, y, extra, extra_weights)
        paths = image_paths(X, self.path_col)
        return self._fitting(paths).sweep(objective, Labelled(paths, encoded), n_steps)

    def _learnt(
        self,
        main: Objective,
        X: pd.DataFrame,
        y: Any,
        extra: pd.DataFrame | None,
        extra_weights: Mapping[str, float] | None,
    ) -> tuple[Objective, np.ndarray]:
        """All that is learnt of these rows, and their labels encoded."""
        objective, encoded = _with_extras(main, y, X, extra, extra_weights or {})
        if self.head_init == "logistic" and type(objective) is not SingleLabel:
            raise ConfigError('head_init = "logistic" is for one label of several, learnt alone; use "zero".')
        return objective, encoded

    def _check_settings(self, eval_set: Any) -> None:
        self._check_sizes()
        check_resize(self.resize)
        check_views(self.tta, self.tta_views)
        Augmentation.of(self.augment)
        for name, least in (("epochs", 0), ("freeze_epochs", 0), ("batch_size", 1), ("patience", 1)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} must be at least {least}, got {getattr(self, name)}.")
        self._check_training()
        if self.head_init not in ("logistic", "zero"):
            raise ConfigError(f"head_init must be 'logistic' or 'zero', got '{self.head_init}'.")
        if self.precision not in PRECISIONS:
            raise ConfigError(f"precision must be one of {', '.join(PRECISIONS)}, got '{self.precision}'.")
        if self.early_stopping and eval_set is None:
            raise ConfigError("early_stopping needs eval_set, rows that are neither fitted on nor scored.")

    def _check_sizes(self) -> None:
        named = [("size", self.size), ("presize", self.presize), *(("sizes", size) for size in self.sizes)]
        for name, size in named:
            if size is not None and min(height_width(size)) < 8:
                raise ConfigError(f"{name} must be at least 8, got {size}.")
        if self.presize is not None and (np.array(height_width(self.presize)) < height_width(self.size)).any():
            raise ConfigError(
                f"presize must not be below size, or pictures would be enlarged again: {self.presize} for {self.size}.",
                hint="Leave presize out: it is twice size then.",
            )
        if self.sizes and height_width(self.sizes[-1]) != height_width(self.size):
            raise ConfigError(
                f"sizes must end with size, at which the model predicts: {self.sizes[-1]} is not {self.size}.",
                hint=f"Set size = {self.sizes[-1]}.",
            )

    def _check_training(self) -> None:
        for name, least in (("accumulate", 1), ("mixup", 0), ("cutmix", 0), ("weight_decay", 0)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} must be at least {least}, got {getattr(self, name)}.")
        for name in ("lr", "head_mult", "first_mult"):
            if (rate := getattr(self, name)) is not None and rate <= 0:
                raise ConfigError(f"{name} must be above 0, got {rate}.")
        for name in ("ema", "label_smoothing"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"{name} must lie from 0 to below 1, got {getattr(self, name)}.")
        if self.class_weight not in get_args(ClassWeight):
            raise ConfigError(f"class_weight must be 'none' or 'balanced', got '{self.class_weight}'.")

    def _fitting(self, paths: list[str]) -> Fitting:
        """These settings as what they decide for these images."""
        device = pick_device(self.device)
        canvas = canvas_for(paths, self.size, self.resize) if self.presize is None else self.presize
        return Fitting(
            arch=self.arch,
            weights=self.weights,
            sight=Sight(self.size, self.resize, canvas),
            augment=Augmentation.of(self.augment),
            recipe=self._recipe(device),
            batch_size=self.batch_size,
            accumulate=self.accumulate,
            logistic=self.head_init == "logistic",
            patience=self.patience,
            device=device,
            random_state=self.random_state,
            cache_dir=self.cache_dir,
            checkpoint_dir=self.checkpoint_dir,
            progress=self.progress or Silent(),
        )

    def _recipe(self, device: Any) -> Recipe:
        capability = import_torch().cuda.get_device_capability(device) if device.type == "cuda" else None
        lr = _LR if self.lr is None else self.lr
        sizes = [size if isinstance(size, int) else height_width(size) for size in self.sizes or (self.size,)]
        return Recipe(
            stages=(
                Stage(self.freeze_epochs, sizes[0], frozen=True),
                *(Stage(self.epochs, size) for size in sizes),
            ),
            lr=self.head_mult * lr,
            body_lr=lr,
            first_lr=self.first_mult,
            wd=self.weight_decay,
            mixup=self.mixup,
            cutmix=self.cutmix,
            ema=self.ema,
            precision=pick_precision(self.precision, capability),
        )

    @property
    def _view_maps(self) -> Any:
        """How each image is looked at to be predicted, see `views.view_maps`."""
        height, width = height_width(self.size)
        training = Augmentation.of(self.augment)
        return view_maps(self.tta, self.tta_views, width / height, self.random_state, training)

    def _watched(self, eval_set: tuple[pd.DataFrame, Any] | None) -> Labelled | None:
        """Those rows of `eval_set` that can say when to stop; None without early stopping."""
        if not self.early_stopping or eval_set is None:
            return None
        X, labels = eval_set
        if not has_several(labels):
            target_values(X, labels)
        encoded = self.objective_.encode(labels)
        # A label that no fit row has cannot be predicted, so it says nothing about when to stop.
        known = np.asarray(encoded >= 0) if encoded.ndim == 1 else ~np.isnan(encoded).all(axis=1)
        if not known.any():
            raise DataError("No row of eval_set has a label of the fit rows.")
        paths = np.asarray(image_paths(X, self.path_col), dtype=object)[known].tolist()
        return Labelled(paths, encoded[known])

    def _known_by(self, eval_set: tuple[pd.DataFrame, Any] | None) -> dict[str, Any]:
        """What the weights depend on besides rows and pretrained weights."""
        settings = {name: value for name, value in self.get_params().items() if name not in _NO_PART}
        if not self.early_stopping or eval_set is None:
            return settings
        X, y = eval_set
        return settings | {"eval_set": [image_paths(X, self.path_col), np.asarray(y).ravel().tolist()]}

    def _outputs(self, X: pd.DataFrame) -> np.ndarray:
        """Predictions of the main target, the mean over all views."""
        paths = image_paths(X, self.path_col)
        sight = Sight(self.size, self.resize, self.canvas_)
        network = Network(self.model_, sight, self._normalize, self.batch_size)
        views = network.logits(sight.open(paths, self.cache_dir, self.progress), paths, self._view_maps)
        activate = self.objective_.activation
        return np.concatenate([np.mean([activate(view) for view in chunk], axis=0) for chunk in views])


class TimmClassifier(ClassifierMixin, TimmEstimator):
    """A fine-tuned model for one label of several, for ordered classes, or for several yes-or-no labels.

    Parameters are those of `TimmEstimator`.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels; of several yes-or-no labels, their names.
    """

    def _main(self, X: pd.DataFrame, y: Any) -> Objective:
        if self.loss not in ("auto", "ordinal"):
            raise ConfigError(f"loss of labels must be 'auto' or 'ordinal', got '{self.loss}'.")
        if has_several(y):
            if (self.loss, self.class_weight) != ("auto", "none"):
                raise ConfigError("Several yes-or-no labels are learnt without loss and class_weight; leave them out.")
            return MultiLabel.fit(target_table(X, y), tuple(map(str, y.columns)), label_smoothing=self.label_smoothing)
        labels = target_values(X, y)
        if self.loss == "ordinal":
            return Ordinal.fit(labels, class_weight=self.class_weight)
        return SingleLabel.fit(labels, label_smoothing=self.label_smoothing, class_weight=self.class_weight)

    def _remember(self, main: Objective) -> None:
        if isinstance(main, SingleLabel):
            self.classes_ = main.classes
        elif isinstance(main, MultiLabel):
            self.classes_ = np.array(main.names, dtype=object)

    def predict_proba(self, X: pd.DataFrame) -> np.ndarray:
        """Probabilities of shape (n_samples, n_classes); columns in the order of `classes_`.

        Those of several yes-or-no labels are of "yes", and sum to anything.
        """
        check_is_fitted(self, "classes_")
        if self.objective_.is_constant or not len(X):
            return np.ones((len(image_paths(X, self.path_col)), len(self.classes_)))
        return self._outputs(X)

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """The most probable label of each image, ties going to the first class; or 0 and 1 for each of several."""
        probabilities = self.predict_proba(X)
        if isinstance(self.objective_, MultiLabel):
            return (probabilities > 0.5).astype(np.int64)
        return np.asarray(self.classes_[probabilities.argmax(axis=1)])


class TimmRegressor(RegressorMixin, TimmEstimator):
    """A fine-tuned model for a number, or several at once.

    Parameters are those of `TimmEstimator`; those of labels say nothing here.
    """

    def _main(self, X: pd.DataFrame, y: Any) -> Objective:
        if self.loss not in ("auto", "huber"):
            raise ConfigError(f"loss of numbers must be 'auto' or 'huber', got '{self.loss}'.")
        if self.class_weight != "none":
            raise ConfigError("class_weight is for labels; leave it out for a regression.")
        return Regression.fit(self._numbers(X, y), kind="huber" if self.loss == "huber" else "mse")

    def _numbers(self, X: pd.DataFrame, y: Any) -> np.ndarray:
        if has_several(y):
            return target_table(X, y)
        return target_table(X, pd.DataFrame({"y": target_values(X, y)}, index=X.index))

    def _remember(self, main: Objective) -> None:
        self.n_outputs_ = main.n_outputs

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Values of shape (n_samples,), or (n_samples, n_targets) for several."""
        check_is_fitted(self, "objective_")
        if not len(X):
            return np.empty((0, self.n_outputs_) if self.n_outputs_ > 1 else 0)
        return self._outputs(X)


def _with_extras(
    main: Objective, y: Any, X: pd.DataFrame, extra: pd.DataFrame | None, weights: Mapping[str, float]
) -> tuple[Objective, np.ndarray]:
    """The objective with its other heads, and all labels encoded."""
    if extra is None or extra.shape[1] == 0:
        return main, main.encode(y)
    check_same_rows(X, extra, "extra")
    several = MultiHead(main, extra_heads(extra, weights))
    return several, several.encode(y, extra)
