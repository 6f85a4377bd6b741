"""The new part of a pretrained model: where it is, and what it starts from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from kagglekit.errors import ConfigError
from kagglekit.models.vision.runtime import import_torch

if TYPE_CHECKING:
    from kagglekit.models.vision.batches import Batches

__all__ = ["head_of", "start_head"]

_FEATURE_CHUNK = 64
_HEAD_C = 0.01
"""Lowest log loss by cross-validation on standardised features at 128 and 224 px."""


def head_of(model: Any) -> Any:
    """The module of a timm model that is new for each task.

    Distilled models have two and average their outputs; they count as one.
    """
    found = model.get_classifier()
    return import_torch().nn.ModuleList(found) if isinstance(found, tuple | list) else found


def start_head(model: Any, batches: Batches, *, logistic: bool) -> None:
    """Set the outputs of a new head to zero, or to the logistic regression on the features as they are.

    A random head sends noise into the body and spoils it before it has learnt anything (Kumar et al., "Fine-Tuning can
    Distort Pretrained Features and Underperform Out-of-Distribution", 2022); timm's is large for few classes.
    Of a head with several layers (CAFormer's) the last one is set.

    Raises
    ------
    ConfigError
        A head with several layers is to start from logistic regression.
    """
    torch, head = import_torch(), head_of(model)
    linear = [m for m in head.modules() if isinstance(m, torch.nn.Linear) and m.out_features == model.num_classes]
    for layer in linear:
        torch.nn.init.zeros_(layer.weight)
        if layer.bias is not None:
            torch.nn.init.zeros_(layer.bias)
    if logistic:
        _solve_head(model, head, batches)


def _solve_head(model: Any, head: Any, batches: Batches) -> None:
    torch = import_torch()
    if not isinstance(head, torch.nn.Linear) or head.bias is None:
        raise _no_linear_head(model)
    features = np.concatenate(list(_features(model, batches)))
    if features.shape[1] != head.in_features:
        raise _no_linear_head(model)
    with threadpool_limits(1):
        scaler = StandardScaler().fit(features)
        fitted = LogisticRegression(C=_HEAD_C, max_iter=500).fit(scaler.transform(features), batches.targets)
    weight, bias = fitted.coef_, fitted.intercept_
    if len(weight) == 1:  # two classes: one logit that tells them apart, halved between them
        weight, bias = np.vstack([-weight, weight]) / 2, np.hstack([-bias, bias]) / 2
    weight = weight / scaler.scale_
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(weight))
        head.bias.copy_(torch.from_numpy(bias - weight @ scaler.mean_))


def _no_linear_head(model: Any) -> ConfigError:
    return ConfigError(
        f"head_init = 'logistic' needs a head that is one linear layer, which {type(model).__name__} does not have.",
        hint='Use head_init = "zero" and freeze_epochs = 1.',
    )


def _features(model: Any, batches: Batches) -> Iterator[np.ndarray]:
    model.eval()
    with import_torch().no_grad():
        for start in range(0, len(batches.paths), _FEATURE_CHUNK):
            x = batches.lens(batches.images.rows(batches.paths[start : start + _FEATURE_CHUNK]), batches.device)
            yield model.forward_head(model.forward_features(x), pre_logits=True).float().cpu().numpy()
