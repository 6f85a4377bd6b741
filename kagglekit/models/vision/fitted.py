"""The networks inside fitted image estimators, all in one form: what a picture goes through, and the tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from kagglekit.errors import UsageError
from kagglekit.models.vision.decoding import Resize, height_width
from kagglekit.models.vision.estimator import TimmEstimator
from kagglekit.models.vision.features import FrozenFeatures, FrozenFeaturesRegressor
from kagglekit.models.vision.objective import MultiHead, MultiLabel, Objective, Ordinal, Regression
from kagglekit.models.vision.runtime import import_torch, pick_device, quiet, repeatable
from kagglekit.models.vision.views import view_maps
from kagglekit.models.vision.weights import create_backbone

__all__ = ["Fitted", "fitted_networks"]

Average = Literal["answers", "outputs"]
Kind = Literal["labels", "ordinal", "yes-or-no", "values"]


@dataclass(frozen=True, eq=False)
class Fitted:
    """One network, and what its outputs mean.

    Parameters
    ----------
    arch : str
        timm's name.
    size : (int, int)
        Height and width of its input, in pixels.
    canvas : (int, int)
        Height and width of decoded images; where it is not `size`, what the network sees is read out of it.
    resize : {"squish", "crop", "pad", "reflect"}
    mean, std : tuple of 3 floats
    views : nested list of float, shape (n_views, 3, 3)
        How each picture is looked at, see `views.view_maps`.
    average : {"answers", "outputs"}
        What is averaged over views.
    kind : {"labels", "ordinal", "yes-or-no", "values"}
        What is made of the outputs: softmax, products of continuation ratios, sigmoids, or numbers.
    classes : sequence
        Labels, or names of yes-or-no labels; empty for values.
    outputs : int
        Of the network; those beyond the first that are needed belong to extra heads.
    mean_y, scale_y : tuple of float
        For values: what an output is multiplied by, and what is added then.
    model : torch.nn.Module
    device : torch.device
    """

    arch: str
    size: tuple[int, int]
    canvas: tuple[int, int]
    resize: Resize
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    views: list[list[list[float]]]
    average: Average
    kind: Kind
    classes: Sequence[Any]
    outputs: int
    model: Any
    device: Any
    mean_y: tuple[float, ...] = ()
    scale_y: tuple[float, ...] = ()

    def state(self) -> dict[str, Any]:
        """Tensors by name."""
        found: dict[str, Any] = self.model.state_dict()
        return found


def fitted_networks(estimator: Any) -> list[Fitted]:
    """The networks of a fitted image estimator, or of a bag of them.

    Raises
    ------
    UsageError
        It is none, or was fitted on a single class, which takes no network.
    """
    inside = getattr(estimator, "estimators_", None) or [estimator]
    if isinstance(inside, Mapping):
        raise UsageError(
            f"{len(inside)} targets have a model each, which is not exported; timm learns several at once.",
            hint='Export an experiment with model = "timm", or ask for one target.',
        )
    return [_network(one) for one in inside]


def _network(estimator: Any) -> Fitted:
    if not isinstance(estimator, TimmEstimator | FrozenFeatures | FrozenFeaturesRegressor):
        raise UsageError(
            f"{type(estimator).__name__} has no network that looks at images.",
            hint="Networks are those of the models timm and timm-features.",
        )
    if len(getattr(estimator, "classes_", "ab")) < 2:
        raise UsageError(f"A model that was fitted on the label '{estimator.classes_[0]}' alone has no network.")
    return _tuned(estimator) if isinstance(estimator, TimmEstimator) else _frozen(estimator)


def _tuned(estimator: TimmEstimator) -> Fitted:
    main = estimator.objective_.main if isinstance(estimator.objective_, MultiHead) else estimator.objective_
    size = height_width(estimator.size)
    mean_y, scale_y = (main.mean, main.scale) if isinstance(main, Regression) else ((), ())
    return Fitted(
        arch=estimator.arch,
        size=size,
        canvas=estimator.canvas_,
        resize=estimator.resize,
        mean=_three(estimator._normalize.mean),
        std=_three(estimator._normalize.std),
        views=estimator._view_maps.tolist(),
        average="answers",
        kind=_kind(main),
        classes=list(getattr(estimator, "classes_", ())),
        outputs=estimator.objective_.n_outputs,
        model=estimator.model_,
        device=next(estimator.model_.parameters()).device,
        mean_y=tuple(map(float, mean_y)),
        scale_y=tuple(map(float, scale_y)),
    )


def _kind(objective: Objective) -> Kind:
    if isinstance(objective, Ordinal):
        return "ordinal"
    if isinstance(objective, MultiLabel):
        return "yes-or-no"
    return "values" if isinstance(objective, Regression) else "labels"


def _frozen(estimator: FrozenFeatures | FrozenFeaturesRegressor) -> Fitted:
    """The frozen body with scaler and regression as one linear layer on it."""
    torch = import_torch()
    with quiet(), repeatable(estimator.random_state):
        made = create_backbone(estimator.arch, weights=estimator.weights, num_classes=0, size=estimator.size)
    mean_y: tuple[float, ...] = ()
    scale_y: tuple[float, ...] = ()
    if isinstance(estimator, FrozenFeaturesRegressor):
        weight, bias, mean_y, scale_y = _head_of_values(estimator)
    else:
        weight, bias = _head_of_labels(estimator)
    made.model.reset_classifier(len(weight))
    layer = made.model.get_classifier()
    if not isinstance(layer, torch.nn.Linear) or layer.in_features != weight.shape[1]:
        raise UsageError(f"The head of {estimator.arch} is no linear layer on its features, so none can be put there.")
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(weight))
        layer.bias.copy_(torch.from_numpy(bias))
    return Fitted(
        arch=estimator.arch,
        size=height_width(estimator.size),
        canvas=height_width(estimator.size),
        resize=estimator.resize,
        mean=_three(made.mean),
        std=_three(made.std),
        views=view_maps(estimator.flip, 1, 1.0, 0).tolist(),
        average="outputs",
        kind="values" if mean_y else "labels",
        classes=list(getattr(estimator, "classes_", ())),
        outputs=len(weight),
        model=made.model.eval(),
        device=pick_device(estimator.device),
        mean_y=mean_y,
        scale_y=scale_y,
    )


def _head_of_labels(estimator: FrozenFeatures) -> tuple[np.ndarray, np.ndarray]:
    weight, bias = _linear(*(step for _, step in estimator.head_.steps))
    if len(weight) > 1:
        return weight, bias
    # One score tells two classes apart; it is halved between them.
    return np.vstack([-weight, weight]) / 2, np.hstack([-bias, bias]) / 2


def _head_of_values(
    estimator: FrozenFeaturesRegressor,
) -> tuple[np.ndarray, np.ndarray, tuple[float, ...], tuple[float, ...]]:
    """Weight and bias of the deviation from the mean, and what undoes that.

    In single precision, a mean that is far from nought would leave no digits for the deviation.
    """
    weight, bias = _linear(*(step for _, step in estimator.head_.steps))
    regression = estimator.head_[-1]
    mean, scale = float(regression.intercept_), float(np.abs(regression.coef_).sum()) or 1.0
    return weight / scale, (bias - mean) / scale, (mean,), (scale,)


def _linear(scaler: Any, regression: Any) -> tuple[np.ndarray, np.ndarray]:
    """Weight and bias of the layer that scales and then regresses."""
    weight = np.atleast_2d(regression.coef_) / scaler.scale_
    return weight, np.atleast_1d(regression.intercept_) - weight @ scaler.mean_


def _three(values: Sequence[float]) -> tuple[float, float, float]:
    red, green, blue = values
    return float(red), float(green), float(blue)
