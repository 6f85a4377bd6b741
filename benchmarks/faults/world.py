"""What the fault benchmarks share: an arena with a competition of some size, and the table that they print."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.context import ForkServerContext
from pathlib import Path

import numpy as np
from meadow import SLUG, write_folder

from kagglekit.arena import hosting
from kagglekit.arena.faults import Faults
from kagglekit.arena.server import Arena
from kagglekit.gateway import Gateway, Patience, Site

__all__ = ["ROOT", "SLUG", "Row", "World", "folder", "hashes", "processes", "served"]

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    what: str
    bar: str
    figure: str
    is_met: bool


@dataclass(frozen=True)
class World:
    """An arena that is being served, and a place to work in."""

    folder: Path
    home: Path
    arena: Arena
    faults: Faults

    @property
    def site(self) -> Site:
        return Site("arena", self.arena.url)

    def gateway(self, patience: Patience | None = None) -> Gateway:
        return Gateway(self.site, self.arena.token, patience=patience)

    def files(self) -> dict[str, str]:
        """Hash of each file that a competitor downloads."""
        return hashes(self.home / "competitions" / SLUG / "files")


@contextmanager
def folder() -> Iterator[Path]:
    """A place that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="faults-") as name:
        yield Path(name)


@contextmanager
def served(noise: int, faults: Faults | None = None, *, daily_limit: int = 5) -> Iterator[World]:
    """Serve the meadow with a file of so many random bytes."""
    with folder() as work:
        made = write_folder(work / "folder")
        (made / "noise.npz").write_bytes(np.random.default_rng(0).bytes(noise))
        hosting.create(made, work / "arena", SLUG, metric="accuracy", daily_limit=daily_limit)
        faults = faults or Faults()
        with Arena(work / "arena", faults=faults) as arena:
            yield World(work, work / "arena", arena, faults)


def hashes(folder: Path) -> dict[str, str]:
    return {
        p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


def processes() -> ForkServerContext:
    """Where processes that are killed come from.

    A fork of this process would take the locks of the arena's threads along; that of a small server does not. The
    server imports once what all of them need; it finds its modules by the environment only.
    """
    os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)
    context = get_context("forkserver")
    context.set_forkserver_preload(["__main__", "children"])
    return context
