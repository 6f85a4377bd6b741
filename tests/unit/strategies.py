"""Hypothesis strategies and settings that several test modules share."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import settings
from hypothesis import strategies as st

#: Few examples, always the same ones, so that a run of the suite is fast and repeatable.
quick = settings(max_examples=30, deadline=None, derandomize=True)

seeds = st.integers(0, 2**16)
id_kinds = st.sampled_from(["int", "str", "mixed"])


def make_ids(n: int, kind: str = "str") -> pd.Index:
    """Ids in no particular order; "mixed" holds texts and numbers."""
    numbers = [(i * 7919 + 13) % 100_003 for i in range(n)]
    if kind == "int":
        return pd.Index(numbers)
    texts = [f"row-{i}" for i in numbers]
    return pd.Index(texts if kind == "str" else [a if a % 2 else b for a, b in zip(numbers, texts, strict=True)])


@st.composite
def ids(draw: st.DrawFn, min_size: int = 12, max_size: int = 60) -> pd.Index:
    return make_ids(draw(st.integers(min_size, max_size)), draw(id_kinds))


def labels_for(ids: pd.Index, classes: tuple[str | int, ...], seed: int) -> pd.Series:
    """Random labels by id, every class about equally often and each at least once where there is room."""
    rng = np.random.default_rng(seed)
    codes = rng.permutation(np.arange(len(ids)) % len(classes))
    return pd.Series([classes[c] for c in codes], index=ids)


def probabilities_for(y: pd.Series, classes: tuple[str | int, ...], seed: int, skill: float = 0.3) -> pd.DataFrame:
    """Rows that sum to one and lean towards the true class by `skill`."""
    rng = np.random.default_rng(seed)
    P = rng.dirichlet(np.ones(len(classes)), len(y)) * (1 - skill)
    P[np.arange(len(y)), [classes.index(label) for label in y]] += skill
    return pd.DataFrame(P, index=y.index, columns=[str(c) for c in classes])


def values_for(y: pd.Series, seed: int, noise: float = 1.0) -> pd.DataFrame:
    """One column of predictions around y."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame({"target": y.to_numpy(dtype=float) + noise * rng.normal(size=len(y))}, index=y.index)


def shuffled(frame: pd.DataFrame | pd.Series, seed: int) -> pd.DataFrame | pd.Series:
    return frame.iloc[np.random.default_rng(seed).permutation(len(frame))]
