"""Neural networks on tables: fastai's tabular model with embeddings, and TabM.

Both get quantile-transformed numbers and numbered levels, both are trained by the one short loop below. Column names
never reach a network: fastai's own `tabular_learner` breaks on a column called `c`.
"""

from __future__ import annotations

import copy
import math
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from sklearn.preprocessing import QuantileTransformer

from kagglekit.errors import ConfigError, MissingExtra
from kagglekit.models.base import Prepared, TabularClassifier, TabularRegressor
from kagglekit.models.columns import TabularColumns
from kagglekit.parallel import threads

__all__ = ["FastaiTabularClassifier", "FastaiTabularRegressor", "TabMClassifier", "TabMRegressor", "TabularNet"]

_MOST_EPOCHS = 200
_EPOCHS_WITHOUT_STOPPING = 20
_PREDICT_BATCH = 4096


@dataclass(frozen=True)
class _Inputs:
    """What a network takes of a prepared table: numbers near a normal distribution, and levels as numbers.

    Parameters
    ----------
    numbers, levels : list of str
    sizes : tuple of int
        Levels of each column of them, the last for those that are missing or were never seen.
    scaler : QuantileTransformer, optional
    """

    numbers: list[str]
    levels: list[str]
    sizes: tuple[int, ...]
    scaler: Any

    @classmethod
    def learn(cls, prepared: pd.DataFrame, levels: list[str], seed: int) -> _Inputs:
        sizes = tuple(int(prepared[c].max()) + 2 for c in levels)
        found = cls([str(c) for c in prepared if c not in set(levels)], levels, sizes, None)
        found = found._scaled_on(prepared, seed)
        # A flag of a few rows in a thousand lies between all quantiles, and says nothing any more.
        spread = np.ptp(found.of(prepared)[0], axis=0) > 0
        if spread.all():
            return found
        numbers = [name for name, varies in zip(found.numbers, spread, strict=True) if varies]
        return cls(numbers, levels, sizes, None)._scaled_on(prepared, seed)

    def _scaled_on(self, prepared: pd.DataFrame, seed: int) -> _Inputs:
        if not self.numbers:
            return self
        scaler = QuantileTransformer(
            n_quantiles=max(2, min(1000, len(prepared) // 10)), output_distribution="normal", random_state=seed
        )
        return replace(self, scaler=scaler.fit(prepared[self.numbers].to_numpy()))

    def of(self, prepared: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        """Numbers of shape (n_rows, n_numbers), float32, and levels of shape (n_rows, n_levels), int64."""
        values = prepared[self.numbers].to_numpy()
        # The tails of a quantile transform lie at ±5.2: a value beyond the fit rows' must not drown all others.
        scaled = np.clip(self.scaler.transform(values), -4, 4) if self.numbers else values
        codes = prepared[self.levels].to_numpy().astype(np.int64).reshape(len(prepared), len(self.levels))
        last = np.array(self.sizes, dtype=np.int64) - 1
        return scaled.astype(np.float32), np.where((codes < 0) | (codes > last), last, codes)


class TabularNet(ABC):
    """Settings and the training loop, the same for every network.

    Parameters
    ----------
    epochs : int, optional
        With rows for early stopping the most there can be. None means 200 with such rows and 20 without.
    lr : float, optional
        Learning rate of AdamW (the highest one where it follows one cycle).
    weight_decay : float
    batch_size : int, optional
        None takes a fortieth of the rows, within 32 and 512.
    early_stopping_epochs : int
        Epochs without a gain on the rows for early stopping before it stops; the best epoch's weights are kept.
    device : str, optional
        A torch device; None takes the GPU when there is one.
    random_state : int, optional
        Equal seeds give equal weights on the same machine.

    Attributes
    ----------
    net_ : torch.nn.Module
    epochs_ : int
        The epoch whose weights predict.

    Raises
    ------
    MissingExtra
        torch, or the network's own package, is not installed.
    """

    uses_eval_set = True
    columns_: TabularColumns
    net_: Any
    lr: float
    weight_decay: float
    epochs: int | None
    batch_size: int | None
    early_stopping_epochs: int
    device: str | None
    random_state: int | None

    def _make_columns(self) -> TabularColumns:
        return TabularColumns(fill=True, most_words=10)

    @abstractmethod
    def _make_net(self, numbers: np.ndarray, n_out: int) -> Any:
        """The network, for numbers of the fit rows of shape (n_rows, n_numbers)."""

    def _outputs(self, net: Any, numbers: Any, levels: Any) -> Any:
        """Of shape (n_rows, n_members, n_out): a network is one member or several."""
        return net(levels, numbers)[:, None]

    def _schedule(self, optimizer: Any, n_steps: int) -> Any:
        """What changes the learning rate, or None."""
        return None

    def _train(self, prepared: pd.DataFrame, y: np.ndarray, held_out: Prepared | None, n_out: int) -> None:
        from kagglekit.models.vision.runtime import pick_device, quiet, repeatable

        torch = _torch()
        seed = self.random_state or 0
        self._inputs = _Inputs.learn(prepared, self.columns_.categorical_, seed)
        device = pick_device(self.device)
        tensors = self._tensors(prepared, y, device)
        watched = None if held_out is None else self._tensors(*held_out, device)
        with quiet(), repeatable(seed), _one_thread_if_small(len(y)):
            net = self._make_net(tensors[0].cpu().numpy(), n_out).to(device)
            loop = _Loop(
                net=net,
                loss=self._loss(torch),
                n_epochs=self.epochs or (_MOST_EPOCHS if watched else _EPOCHS_WITHOUT_STOPPING),
                n_batches=_n_batches(len(y), self.batch_size),
                patience=self.early_stopping_epochs,
            )
            optimizer = torch.optim.AdamW(_weights(net, self.weight_decay), lr=self.lr)
            schedule = self._schedule(optimizer, loop.n_epochs * loop.n_batches)
            self.epochs_ = loop.run(tensors, watched, optimizer, schedule)
        self.net_ = net.eval()

    def _loss(self, torch: Any) -> Callable[..., Any]:
        def loss(net: Any, numbers: Any, levels: Any, y: Any) -> Any:
            out = self._outputs(net, numbers, levels)
            if y.dtype == torch.int64:
                repeated = y[:, None].expand(-1, out.shape[1])
                return torch.nn.functional.cross_entropy(out.flatten(0, 1), repeated.flatten())
            return ((out[..., 0] - y[:, None]) ** 2).mean()

        return loss

    def _tensors(self, prepared: pd.DataFrame, y: np.ndarray, device: Any) -> tuple[Any, Any, Any]:
        torch = _torch()
        numbers, levels = (torch.from_numpy(values).to(device) for values in self._inputs.of(prepared))
        target = y.astype(np.int64 if y.dtype.kind in "iu" else np.float32)
        return numbers, levels, torch.from_numpy(target).to(device)

    def _predicted(self, prepared: pd.DataFrame) -> np.ndarray:
        """Mean over members, of shape (n_rows, n_out): of probabilities, or of values."""
        from kagglekit.models.vision.runtime import quiet

        torch = _torch()
        device = next(self.net_.parameters()).device
        numbers, levels = (torch.from_numpy(values) for values in self._inputs.of(prepared))
        found = []
        with torch.inference_mode(), quiet(), _one_thread_if_small(len(prepared)):
            for start in range(0, len(prepared), _PREDICT_BATCH):
                rows = slice(start, start + _PREDICT_BATCH)
                out = self._outputs(self.net_, numbers[rows].to(device), levels[rows].to(device)).double()
                found.append((out.softmax(-1) if out.shape[-1] > 1 else out).mean(1).cpu().numpy())
        return np.concatenate(found) if found else np.empty((0, 1))


@dataclass(frozen=True)
class _Loop:
    """Epochs over shuffled batches; with watched rows it keeps the weights of the best epoch."""

    net: Any
    loss: Callable[..., Any]
    n_epochs: int
    n_batches: int
    patience: int

    def run(self, tensors: tuple[Any, ...], watched: tuple[Any, ...] | None, optimizer: Any, schedule: Any) -> int:
        torch = _torch()
        best, best_epoch, kept = np.inf, self.n_epochs, None
        for epoch in range(1, self.n_epochs + 1):
            self.net.train()
            for rows in torch.randperm(len(tensors[-1])).tensor_split(self.n_batches):
                optimizer.zero_grad()
                self.loss(self.net, *(t[rows.to(t.device)] for t in tensors)).backward()
                torch.nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
                optimizer.step()
                if schedule is not None:
                    schedule.step()
            if watched is None:
                continue
            found = self._watch(watched)
            if found < best:
                best, best_epoch, kept = found, epoch, copy.deepcopy(self.net.state_dict())
            elif epoch - best_epoch >= self.patience:
                break
        if kept is not None:
            self.net.load_state_dict(kept)
        return best_epoch

    def _watch(self, watched: tuple[Any, ...]) -> float:
        torch = _torch()
        self.net.eval()
        with torch.inference_mode():
            parts = zip(*(t.split(_PREDICT_BATCH) for t in watched), strict=True)
            total = sum(float(self.loss(self.net, *part)) * len(part[-1]) for part in parts)
        return total / len(watched[-1])


def _torch() -> Any:
    from kagglekit.models.vision.runtime import import_torch

    try:
        return import_torch()
    except MissingExtra as error:
        raise MissingExtra("A network on tables", error.package, "nets") from error


@contextmanager
def _one_thread_if_small(n_rows: int) -> Iterator[None]:
    """On a small table threads wait for each other longer than they work, above all where other work goes on."""
    torch = _torch()
    before = torch.get_num_threads()
    torch.set_num_threads(threads(before, n_rows))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _n_batches(n_rows: int, batch_size: int | None) -> int:
    size = batch_size or int(np.clip(n_rows // 40, 32, 512))
    # Of equal size, and none of a single row, of which batch normalisation can make nothing.
    return max(1, min(round(n_rows / size), n_rows // 2))


def _weights(net: Any, decay: float) -> list[dict[str, Any]]:
    """Decay weights of layers; biases, normalisation and embeddings of single values are left alone."""
    matrices = [p for p in net.parameters() if p.ndim > 1]
    rest = [p for p in net.parameters() if p.ndim <= 1]
    return [{"params": matrices, "weight_decay": decay}, {"params": rest, "weight_decay": 0.0}]


class _NetClassifier(TabularNet, TabularClassifier):
    def _fit_model(self, prepared: pd.DataFrame, numbers: np.ndarray, eval_set: Prepared | None) -> None:
        self._train(prepared, numbers, eval_set, len(self.classes_))

    def _predict_model(self, prepared: pd.DataFrame) -> np.ndarray:
        return self._predicted(prepared)


class _NetRegressor(TabularNet, TabularRegressor):
    """Learns the standardised target; predictions stay within half the range of the fit rows beyond either end."""

    def _fit_model(self, prepared: pd.DataFrame, values: np.ndarray, eval_set: Prepared | None) -> None:
        self._mean, self._spread = float(values.mean()), float(values.std()) or 1.0
        reach = (values.max() - values.min()) / 2
        self._bounds = (values.min() - reach, values.max() + reach)
        watched = None if eval_set is None else (eval_set[0], self._standard(eval_set[1]))
        self._train(prepared, self._standard(values), watched, 1)

    def _predict_model(self, prepared: pd.DataFrame) -> np.ndarray:
        return np.clip(self._predicted(prepared)[:, 0] * self._spread + self._mean, *self._bounds)

    def _standard(self, values: np.ndarray) -> np.ndarray:
        return (values - self._mean) / self._spread


class FastaiTabular(TabularNet):
    """fastai's tabular model: an embedding for each column of levels, then layers with batch normalisation.

    Parameters
    ----------
    layers : tuple of int
        Widths of the hidden layers.
    dropout, embedding_dropout : float
    epochs, lr, weight_decay, batch_size, early_stopping_epochs, device, random_state
        See `TabularNet`. `epochs` are 15 unless set, as the learning rate follows one cycle (Smith 2018) over them.

    References
    ----------
    Howard & Gugger, "Deep Learning for Coders with fastai and PyTorch", 2020, chapter 9.
    Guo & Berkhahn, "Entity embeddings of categorical variables", 2016.
    """

    def __init__(
        self,
        *,
        layers: tuple[PositiveInt, ...] = (200, 100),
        dropout: NonNegativeFloat = 0.1,
        embedding_dropout: NonNegativeFloat = 0.05,
        epochs: PositiveInt = 15,
        lr: PositiveFloat = 5e-3,
        weight_decay: NonNegativeFloat = 0.05,
        batch_size: PositiveInt | None = None,
        early_stopping_epochs: PositiveInt = 15,
        device: str | None = None,
        random_state: int | None = None,
    ) -> None:
        self.layers = layers
        self.dropout = dropout
        self.embedding_dropout = embedding_dropout
        self.epochs = epochs
        self.lr = lr
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.early_stopping_epochs = early_stopping_epochs
        self.device = device
        self.random_state = random_state

    def _make_net(self, numbers: np.ndarray, n_out: int) -> Any:
        from kagglekit.models.vision.runtime import contained_import

        _torch()
        with contained_import("The model 'fastai-tabular'"):
            from fastai.tabular.model import TabularModel, emb_sz_rule

        net = TabularModel(
            [(n, emb_sz_rule(n)) for n in self._inputs.sizes],
            numbers.shape[1],
            n_out,
            list(self.layers),
            ps=[self.dropout] * len(self.layers),
            embed_p=self.embedding_dropout,
        )
        # Nothing may be learnt of a level that no fit row has: it adds nought.
        for embedding in net.embeds:
            embedding.weight.data[-1] = 0
        return net

    def _schedule(self, optimizer: Any, n_steps: int) -> Any:
        return _torch().optim.lr_scheduler.LambdaLR(optimizer, partial(_one_cycle, n_steps))


def _one_cycle(n_steps: int, step: int) -> float:
    """Share of the highest learning rate: up over the first quarter, then down to nearly nothing (Smith 2018)."""
    peak = n_steps / 4
    if step < peak:
        return 1 - 0.48 * (1 + math.cos(math.pi * step / peak))
    return 0.5 * (1 + math.cos(math.pi * (step - peak) / (n_steps - peak)))


class FastaiTabularClassifier(FastaiTabular, _NetClassifier):
    """Labels by fastai's tabular model; the settings are those of `FastaiTabular`."""


class FastaiTabularRegressor(FastaiTabular, _NetRegressor):
    """Values by fastai's tabular model; the settings are those of `FastaiTabular`."""


class TabM(TabularNet):
    """TabM: many small networks that share most of their weights, trained together and averaged.

    Parameters
    ----------
    k : int
        Members.
    n_blocks, d_block : int
        Layers and their width; the paper's default width, 512, wants a GPU.
    dropout : float
    n_bins : int
        Bins of the piecewise-linear embedding of each number; 0 takes numbers as they are.
    d_embedding : int
        Width of these embeddings.
    epochs, lr, weight_decay, batch_size, early_stopping_epochs, device, random_state
        See `TabularNet`.

    References
    ----------
    Gorishniy, Kotelnikov & Babenko, "TabM: advancing tabular deep learning with parameter-efficient ensembling", 2025.
    Gorishniy, Rubachev & Babenko, "On embeddings for numerical features in tabular deep learning", 2022.
    """

    ends_by = "epochs"

    def __init__(
        self,
        *,
        k: PositiveInt = 16,
        n_blocks: PositiveInt = 2,
        d_block: PositiveInt = 192,
        dropout: NonNegativeFloat = 0.1,
        n_bins: NonNegativeInt = 32,
        d_embedding: PositiveInt = 16,
        epochs: PositiveInt | None = None,
        lr: PositiveFloat = 2e-3,
        weight_decay: NonNegativeFloat = 3e-4,
        batch_size: PositiveInt | None = None,
        early_stopping_epochs: PositiveInt = 12,
        device: str | None = None,
        random_state: int | None = None,
    ) -> None:
        self.k = k
        self.n_blocks = n_blocks
        self.d_block = d_block
        self.dropout = dropout
        self.n_bins = n_bins
        self.d_embedding = d_embedding
        self.epochs = epochs
        self.lr = lr
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.early_stopping_epochs = early_stopping_epochs
        self.device = device
        self.random_state = random_state

    def _make_net(self, numbers: np.ndarray, n_out: int) -> Any:
        try:
            import tabm
        except ImportError as error:
            raise MissingExtra("The model 'tabm'", error.name or "tabm", "nets") from error
        if self.dropout >= 1:
            raise ConfigError(f"Setting 'dropout' of model 'tabm' is a share below 1, got {self.dropout}.")
        return tabm.TabM.make(
            n_num_features=numbers.shape[1],
            cat_cardinalities=list(self._inputs.sizes) or None,
            d_out=n_out,
            num_embeddings=self._embeddings(numbers),
            k=self.k,
            n_blocks=self.n_blocks,
            d_block=self.d_block,
            dropout=self.dropout,
        )

    def _embeddings(self, numbers: np.ndarray) -> Any:
        if not self.n_bins or not numbers.shape[1] or len(numbers) < 3:
            return None
        import rtdl_num_embeddings

        n_bins = max(2, min(self.n_bins, len(numbers) - 1))
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*just two bin edges")  # as flags have
            bins = rtdl_num_embeddings.compute_bins(_torch().from_numpy(numbers), n_bins)
            return rtdl_num_embeddings.PiecewiseLinearEmbeddings(bins, self.d_embedding, activation=False, version="B")

    def _outputs(self, net: Any, numbers: Any, levels: Any) -> Any:
        return net(numbers if numbers.shape[1] else None, levels if levels.shape[1] else None)


class TabMClassifier(TabM, _NetClassifier):
    """Labels by TabM; the settings are those of `TabM`."""


class TabMRegressor(TabM, _NetRegressor):
    """Values by TabM; the settings are those of `TabM`."""
