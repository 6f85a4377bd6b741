"""How often each unit is drawn in each resample: a bootstrap in pieces that fit a processor's cache."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from kagglekit.resampling.plain import GAMMA, mix

__all__ = ["Alike", "Cells", "Draws", "at_once"]

Array = npt.NDArray[Any]

# Counts at once: 0.5 MB of int32, so that they stay in a core's cache until they are scored.
_COUNTS_AT_ONCE = 1 << 17


class Draws(Protocol):
    """Resamples in pieces; a piece is the same whatever was drawn before it."""

    @property
    def n_units(self) -> int: ...

    def counts(self, piece: int, most: int, loops: ModuleType) -> Array:
        """The first resamples of one piece: int32 of shape (min(most, at_once(n_units)), n_units)."""
        ...


def at_once(n_units: int) -> int:
    """Resamples in a piece."""
    return max(1, _COUNTS_AT_ONCE // n_units)


@dataclass(frozen=True)
class Alike:
    """Every unit is as likely as any other: the plain bootstrap of rows, or of groups of rows.

    Parameters
    ----------
    n_units : int
        Below 2^32.
    size : int
        Units in a resample.
    seed : int

    Notes
    -----
    A unit's probability is off by at most 2^-32, as 32 random bits choose it.
    """

    n_units: int
    size: int
    seed: int

    def counts(self, piece: int, most: int, loops: ModuleType) -> Array:
        start = np.random.SeedSequence(self.seed).generate_state(1, np.uint64)
        many = min(most, at_once(self.n_units))
        numbers = np.arange(many, dtype=np.uint64) + np.uint64(piece * at_once(self.n_units))
        # Scrambled twice: streams that began a few steps apart would be the same numbers, shifted.
        states = mix(mix(start + numbers * GAMMA) ^ start)
        counts = np.empty((many, self.n_units), dtype=np.int32)
        loops.fill(counts, states, self.size)
        return counts


@dataclass(frozen=True, eq=False)
class Cells:
    """Units that stand for several equal rows each, such as the cells of a confusion table.

    How often each is drawn is multinomial, which is the bootstrap of the rows without drawing rows.

    Parameters
    ----------
    rows : ndarray of int, shape (n_units,)
        How many rows each stands for.
    size : int
        Rows in a resample.
    seed : int
    """

    rows: Array
    size: int
    seed: int

    @property
    def n_units(self) -> int:
        return len(self.rows)

    def counts(self, piece: int, most: int, loops: ModuleType) -> Array:
        rng = np.random.default_rng([self.seed, piece])
        many = min(most, at_once(self.n_units))
        drawn: Array = rng.multinomial(self.size, self.rows / self.rows.sum(), many).astype(np.int32)
        return drawn
