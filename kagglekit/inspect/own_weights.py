"""What a fitted model says of its columns by itself: impurity of forests, gain of boosting."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

__all__ = ["by_column", "members", "own_weights"]


def members(estimator: Any) -> list[Any]:
    """The fitted models inside: those of a bag, or the model itself."""
    fitted = getattr(estimator, "estimators_", None) or [estimator]
    return list(fitted.values() if isinstance(fitted, dict) else fitted)


def own_weights(estimator: Any) -> pd.Series | None:
    """The share of each input column, with sum 1; None for models that tell none.

    Parameters
    ----------
    estimator : fitted estimator
        A forest, boosting, or a bag of these.

    Notes
    -----
    Impurity and gain are measured on the rows that were fitted, and favour columns with many different values.
    """
    found = [_of_one(model) for model in members(estimator)]
    known = [weights for weights in found if weights is not None]
    if not known:
        return None
    return pd.Series(pd.concat(known, axis=1).fillna(0.0).mean(axis=1))


def _of_one(model: Any) -> pd.Series | None:
    inner = getattr(model, "forest_", model)
    weights = getattr(inner, "feature_importances_", None)
    if weights is None or not hasattr(model, "columns_"):
        return None
    summed = by_column(model, np.asarray(weights, dtype=float))
    return summed / summed.sum() if summed.sum() > 0 else summed


def by_column(model: Any, values: np.ndarray) -> pd.Series:
    """Numbers of a model's prepared columns, summed over those that come from one input column."""
    names = model.columns_.get_feature_names_out()
    origins = getattr(model.columns_, "origins", {})
    return pd.Series(values, index=[origins.get(n, n) for n in names]).groupby(level=0, sort=False).sum()
