"""What a head learns: how labels become numbers, which loss is minimised, and what its outputs mean.

One value holds all three, so that no caller has to know which activation belongs to which loss. fastai's own
`get_preds` applies one for some losses only: with `nn.CrossEntropyLoss` it returns logits.

Labels are encoded once, on the host: class numbers (-1 where a label is missing) or floats (NaN where one is missing).
What is missing is masked in the loss; the row still teaches whatever else it has a label for.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import numpy as np
import pandas as pd

from kagglekit.errors import ConfigError, DataError, preview
from kagglekit.models.vision.runtime import import_torch

__all__ = [
    "ClassWeight",
    "Extra",
    "MultiHead",
    "MultiLabel",
    "Objective",
    "Ordinal",
    "Regression",
    "SingleLabel",
    "extra_heads",
]

_HUBER = 1.0  # in standard deviations of the target: beyond one, an error counts by its size
ClassWeight = Literal["none", "balanced"]
ValueLoss = Literal["mse", "huber"]


class Objective(ABC):
    """One kind of target: its encoding, its loss, and the activation that makes predictions of logits."""

    @property
    @abstractmethod
    def n_outputs(self) -> int:
        """Outputs that the head must have."""

    @property
    def is_constant(self) -> bool:
        """Whether there is nothing to learn, as every row has the same label."""
        return False

    @abstractmethod
    def encode(self, y: Any) -> np.ndarray:
        """Labels as numbers, shape (n_rows,) or (n_rows, n_targets); a label that was not fitted is missing."""

    @abstractmethod
    def soft(self, y: Any) -> Any:
        """Encoded labels as a float tensor of shape (n_rows, n_values), of which MixUp and CutMix may take means.

        What is soft already comes back as it is; NaN marks what is missing, and stays it in any mean.
        """

    @abstractmethod
    def activation(self, logits: Any) -> np.ndarray:
        """Predictions of logits of shape (n_rows, n_outputs): probabilities, or values in the target's own unit."""

    @abstractmethod
    def loss(self, logits: Any, y: Any, weight: Any = None) -> Any:
        """The mean loss of a batch, a tensor that can be differentiated.

        Parameters
        ----------
        logits : Tensor of shape (n_rows, n_outputs)
        y : Tensor
            Encoded, or made soft and mixed.
        weight : Tensor of shape (n_rows,), optional
            Of each row.
        """

    def plain(self) -> Objective:
        """The same target without smoothing and class weights: by what an epoch is judged."""
        return self


class _Head(Objective):
    """One target: its loss is the mean over the rows that have a label."""

    @abstractmethod
    def _terms(self, logits: Any, target: Any, known: Any) -> tuple[Any, Any]:
        """Loss and weight of each row, both of shape (n_rows,); the weight is nought where nothing is known."""

    def loss(self, logits: Any, y: Any, weight: Any = None) -> Any:
        rows, weights = self._masked_terms(logits.float(), y)
        if weight is not None:
            rows, weights = rows * weight, weights * weight
        # A batch without a single known label has the loss nought and no gradient, where 0 / 0 would spoil the model.
        return rows.sum() / weights.sum().clamp(min=1e-12)

    def _masked_terms(self, logits: Any, y: Any) -> tuple[Any, Any]:
        target = self.soft(y)
        known = ~target.isnan()
        return self._terms(logits, target.nan_to_num(), known.float())


@dataclass(frozen=True, eq=False)
class SingleLabel(_Head):
    """One label of several: cross entropy on class numbers, or on mixed classes.

    Parameters
    ----------
    classes : ndarray of shape (n_classes,)
        Sorted.
    label_smoothing : float
        Share of the belief that is spread over all classes.
    class_weights : ndarray of shape (n_classes,), optional
        As in torch's `CrossEntropyLoss`: the loss is the mean weighted by the weight of each row's class.

    References
    ----------
    Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", 2016 (label smoothing).
    """

    classes: np.ndarray
    label_smoothing: float = 0.0
    class_weights: np.ndarray | None = None

    @classmethod
    def fit(cls, labels: np.ndarray, *, label_smoothing: float = 0.0, class_weight: ClassWeight = "none") -> Self:
        """The classes of these labels; "balanced" weighs each by one over its number of rows."""
        classes, counts = np.unique(labels, return_counts=True)
        weights = counts.sum() / (len(counts) * counts) if class_weight == "balanced" else None
        return cls(classes, label_smoothing, weights)

    @property
    def n_outputs(self) -> int:
        return len(self.classes)

    @property
    def is_constant(self) -> bool:
        return len(self.classes) < 2

    def encode(self, y: Any) -> np.ndarray:
        labels = np.asarray(y).ravel()  # a frame of one column holds one target
        places = np.clip(np.searchsorted(self.classes, labels), 0, len(self.classes) - 1)
        return np.where(self.classes[places] == labels, places, -1).astype(np.int64)

    def soft(self, y: Any) -> Any:
        if y.ndim == 2:
            return y.float()
        torch = import_torch()
        known = y.nan_to_num(-1).long() if y.is_floating_point() else y
        rows = torch.nn.functional.one_hot(known.clamp(min=0), len(self.classes)).float()
        rows[known < 0] = float("nan")
        return rows

    def _log_probabilities(self, logits: Any) -> Any:
        return logits.log_softmax(1)

    def _terms(self, logits: Any, target: Any, known: Any) -> tuple[Any, Any]:
        torch = import_torch()
        ones = torch.ones(len(self.classes), device=logits.device)
        each = ones if self.class_weights is None else torch.as_tensor(self.class_weights).to(ones)
        smoothed = (1 - self.label_smoothing) * target + self.label_smoothing / len(self.classes) * known
        return -(smoothed * each * self._log_probabilities(logits)).sum(1), (target * each).sum(1)

    def activation(self, logits: Any) -> np.ndarray:
        found: np.ndarray = self._log_probabilities(logits.double()).exp().cpu().numpy()
        return found

    def plain(self) -> Self:
        return replace(self, label_smoothing=0.0, class_weights=None)


@dataclass(frozen=True, eq=False)
class Ordinal(SingleLabel):
    """Ordered whole-number classes: output k says how likely a row of class k or above lies above k.

    The loss is the plain log likelihood of this continuation-ratio model, and probabilities are products of its parts:
    they sum to one and cumulate without contradiction, which separate yes-or-no outputs need not. Never smoothed: that
    would put belief on classes far off.

    When not to use it: for classes without an order, or with so few that cross entropy has nothing to gain.

    References
    ----------
    Fienberg and Mason, "Identification and Estimation of Age-Period-Cohort Models", 1979 (continuation ratios).
    Shi, Cao and Raschka, "Deep Neural Networks for Rank-Consistent Ordinal Regression Based On Conditional
    Probabilities", 2021.
    """

    def __post_init__(self) -> None:
        if not np.issubdtype(self.classes.dtype, np.integer):
            raise ConfigError(
                f"An ordinal target needs whole-number classes, whose order is known; got {preview(self.classes)}."
            )

    @property
    def n_outputs(self) -> int:
        return len(self.classes) - 1

    def _log_probabilities(self, logits: Any) -> Any:
        torch = import_torch()
        above = torch.nn.functional.logsigmoid(logits)
        stops = torch.nn.functional.logsigmoid(-logits)
        none = torch.zeros_like(logits[:, :1])
        # Class k: above every class before it, and not above k; above the last class there is none.
        return torch.cat([none, above.cumsum(1)], 1) + torch.cat([stops, none], 1)


@dataclass(frozen=True, eq=False)
class MultiLabel(_Head):
    """Several yes-or-no labels of one row: a binary cross entropy each.

    Parameters
    ----------
    names : tuple of str
        In the order of the outputs.
    label_smoothing : float
        Share of the belief that is put on one half.
    """

    names: tuple[str, ...]
    label_smoothing: float = 0.0

    @classmethod
    def fit(cls, values: np.ndarray, names: tuple[str, ...], *, label_smoothing: float = 0.0) -> Self:
        """Labels under these names, from values of shape (n_rows, n_targets) that are 0 or 1.

        Raises
        ------
        DataError
            A value is neither.
        """
        for name, column in zip(names, values.T, strict=True):
            if wrong := sorted(set(np.unique(column)) - {0.0, 1.0}):
                raise DataError(f"A yes-or-no label is 0 or 1; '{name}' also holds {preview(wrong)}.")
        return cls(names, label_smoothing)

    @property
    def n_outputs(self) -> int:
        return len(self.names)

    def encode(self, y: Any) -> np.ndarray:
        return np.asarray(y, dtype=np.float32).reshape(-1, len(self.names))

    def soft(self, y: Any) -> Any:
        return y.float()

    def _terms(self, logits: Any, target: Any, known: Any) -> tuple[Any, Any]:
        smoothed = (1 - self.label_smoothing) * target + self.label_smoothing / 2
        each = import_torch().nn.functional.binary_cross_entropy_with_logits(logits, smoothed, reduction="none")
        return (each * known).sum(1), known.sum(1)

    def activation(self, logits: Any) -> np.ndarray:
        found: np.ndarray = logits.double().sigmoid().cpu().numpy()
        return found

    def plain(self) -> Self:
        return replace(self, label_smoothing=0.0)


@dataclass(frozen=True, eq=False)
class Regression(_Head):
    """Numbers: squared or Huber errors of standardised values, so that one learning rate suits every unit.

    Parameters
    ----------
    mean, scale : ndarray of shape (n_targets,)
        Of the fit rows.
    kind : {"mse", "huber"}
        Huber's loss counts errors beyond one standard deviation by their size, so that a few wild values do not rule.

    References
    ----------
    Huber, "Robust Estimation of a Location Parameter", 1964.
    """

    mean: np.ndarray
    scale: np.ndarray
    kind: ValueLoss = "mse"

    @classmethod
    def fit(cls, values: np.ndarray, *, kind: ValueLoss = "mse") -> Self:
        """Mean and spread of values of shape (n_rows,) or (n_rows, n_targets); what is missing is left out."""
        table = np.asarray(values, dtype=np.float64).reshape(len(values), -1)
        spread = np.nanstd(table, axis=0)
        return cls(np.nanmean(table, axis=0), np.where(spread > 0, spread, 1.0), kind)

    @property
    def n_outputs(self) -> int:
        return len(self.mean)

    def encode(self, y: Any) -> np.ndarray:
        values = np.asarray(y, dtype=np.float64).reshape(-1, self.n_outputs)
        return ((values - self.mean) / self.scale).astype(np.float32)

    def soft(self, y: Any) -> Any:
        return y.float()

    def _terms(self, logits: Any, target: Any, known: Any) -> tuple[Any, Any]:
        functions = import_torch().nn.functional
        if self.kind == "huber":
            each = functions.huber_loss(logits, target, reduction="none", delta=_HUBER)
        else:
            each = functions.mse_loss(logits, target, reduction="none")
        return (each * known).sum(1), known.sum(1)

    def activation(self, logits: Any) -> np.ndarray:
        values: np.ndarray = logits.double().cpu().numpy() * self.scale + self.mean
        return values[:, 0] if self.n_outputs == 1 else values


@dataclass(frozen=True, eq=False)
class Extra:
    """One more thing that the body must know, and how much it counts beside the main target."""

    name: str
    objective: Objective
    weight: float


@dataclass(frozen=True, eq=False)
class MultiHead(Objective):
    """A main target, and others learnt beside it: disease, and the plant's variety and age.

    The losses of the heads, each the mean over the rows that have its label, are added with their weights. Only the
    main target is predicted and scored.

    Parameters
    ----------
    main : Objective
    extras : tuple of Extra

    References
    ----------
    Caruana, "Multitask Learning", 1997. Howard, "Multi-target: Road to the Top, Part 4", kaggle.com, 2022.
    """

    main: Objective
    extras: tuple[Extra, ...]

    @property
    def _heads(self) -> tuple[Objective, ...]:
        return (self.main, *(extra.objective for extra in self.extras))

    @property
    def n_outputs(self) -> int:
        return sum(head.n_outputs for head in self._heads)

    @property
    def is_constant(self) -> bool:
        return self.main.is_constant

    def encode(self, y: Any, extra: pd.DataFrame | None = None) -> np.ndarray:
        """The labels of all heads side by side; without `extra`, those of the other heads are missing."""
        main = _columns(self.main.encode(y))
        if extra is None:
            none = np.full((len(main), sum(_width(head) for head in self._heads[1:])), np.nan, dtype=np.float32)
            return np.hstack([main, none])
        return np.hstack([main, *(_columns(e.objective.encode(extra[e.name])) for e in self.extras)])

    def soft(self, y: Any) -> Any:
        if y.shape[1] != sum(_width(head) for head in self._heads):
            return y.float()
        torch = import_torch()
        parts = y.float().split([_width(head) for head in self._heads], 1)
        return torch.cat([_softened(head, part) for head, part in zip(self._heads, parts, strict=True)], 1)

    def loss(self, logits: Any, y: Any, weight: Any = None) -> Any:
        outputs = logits.split([head.n_outputs for head in self._heads], 1)
        targets = self.soft(y).split([_soft_width(head) for head in self._heads], 1)
        weights = [1.0, *(extra.weight for extra in self.extras)]
        heads = zip(self._heads, outputs, targets, weights, strict=True)
        return sum(share * head.loss(part, target, weight) for head, part, target, share in heads if share)

    def activation(self, logits: Any) -> np.ndarray:
        return self.main.activation(logits[:, : self.main.n_outputs])

    def plain(self) -> MultiHead:
        """The main target alone: the others are no reason to stop."""
        return MultiHead(self.main.plain(), tuple(replace(extra, weight=0.0) for extra in self.extras))


def _width(head: Objective) -> int:
    """Columns of a head's encoded labels: class numbers take one."""
    return 1 if isinstance(head, SingleLabel) else head.n_outputs


def _soft_width(head: Objective) -> int:
    return len(head.classes) if isinstance(head, SingleLabel) else head.n_outputs


def _columns(encoded: np.ndarray) -> np.ndarray:
    """Encoded labels as float columns, NaN where one is missing."""
    if encoded.ndim == 2:
        return encoded
    return np.where(encoded < 0, np.nan, encoded).astype(np.float32)[:, None]


def _softened(head: Objective, part: Any) -> Any:
    return head.soft(part[:, 0] if isinstance(head, SingleLabel) else part)


def extra_heads(extra: pd.DataFrame, weights: Mapping[str, float]) -> tuple[Extra, ...]:
    """A head for each column: numbers are learnt as numbers, text and truth values as classes.

    Parameters
    ----------
    extra : DataFrame of shape (n_rows, n_extras)
        Of the fit rows; gaps are allowed.
    weights : mapping of str to float
        Of each column's loss beside the main one, which counts 1; columns without one count 1 too.

    Raises
    ------
    DataError
        A column has not two different values.
    """
    return tuple(Extra(str(name), _head(str(name), extra[name]), float(weights.get(str(name), 1.0))) for name in extra)


def _head(name: str, column: pd.Series) -> Objective:
    known = column.dropna()
    if known.nunique() < 2:
        raise DataError(
            f"The extra target '{name}' has {known.nunique()} distinct value(s) in the rows that are fitted on.",
            hint="Leave it out of extra_targets.",
        )
    if pd.api.types.is_numeric_dtype(known) and not pd.api.types.is_bool_dtype(known):
        return Regression.fit(known.to_numpy(dtype=np.float64))
    return _Texts.fit(known.astype(str).to_numpy(dtype=object))


class _Texts(SingleLabel):
    """Labels of any kind, by their text; a gap is no label."""

    def encode(self, y: Any) -> np.ndarray:
        column = pd.Series(y)
        places = pd.Index(self.classes).get_indexer(column.astype(str).to_numpy(dtype=object))
        return np.where(column.isna().to_numpy(), -1, places).astype(np.int64)
