"""Practice competitions that are made by code: the registry, and a cache that draws each world once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Protocol

from kagglekit.errors import UsageError, nearest
from kagglekit.files import atomic_folder
from kagglekit.progress import Progress, Silent

__all__ = ["WORLDS", "World", "ensure", "get_world"]


class Make(Protocol):
    """Writes a world into a folder."""

    def __call__(
        self, folder: Path, *, scale: float | None, seed: int, progress: Progress, n_jobs: int | None
    ) -> None: ...


def _later(module: str) -> Make:
    """The `make` of a module that is imported only when a world is drawn."""

    def make(folder: Path, *, scale: float | None, seed: int, progress: Progress, n_jobs: int | None) -> None:
        function: Callable[..., None] = import_module(f"kagglekit.arena.worlds.{module}").make
        function(folder, scale=scale, seed=seed, progress=progress, n_jobs=n_jobs)

    return make


@dataclass(frozen=True)
class World:
    """A practice competition.

    Parameters
    ----------
    name : str
        What a user types.
    slug : str
        The competition's slug in the arena; that of the Kaggle competition it imitates.
    title : str
        Says that it is synthetic: it is shown wherever the competition is.
    metric : str
        A name that `kagglekit.metrics` knows.
    make : callable
        Writes its files into a folder.
    daily_limit : int
        Submissions for each day, as in the real competition.
    seed : int
        The world's own seed.
    scale : float
        Share of the full size that is drawn when nothing else is asked for.
    version : int
        Raised when the pictures or tables change, so that an old cache is not taken for the new world.
    summary : str
        One line for a list.
    synthetic : bool
    """

    name: str
    slug: str
    title: str
    metric: str
    make: Make
    daily_limit: int
    seed: int
    scale: float
    version: int
    summary: str
    synthetic: bool = True


WORLDS = {
    world.name: world
    for world in (
        World(
            name="paddy",
            slug="paddy-disease-classification",
            title="Paddy look-alike (synthetic practice data)",
            metric="accuracy",
            make=_later("paddy"),
            daily_limit=5,
            seed=2022,
            scale=0.06,
            version=1,
            summary="ten diseases of rice plants, drawn by code: 625 pictures to train on, 209 to label",
        ),
    )
}


def get_world(name: str) -> World:
    """The world of that name or slug.

    Raises
    ------
    UsageError
        There is none; the nearest name is given.
    """
    for world in WORLDS.values():
        if name in (world.name, world.slug):
            return world
    raise UsageError(f"There is no practice world '{name}'.", hint=nearest(name, WORLDS))


def ensure(
    world: World | str,
    cache: Path,
    *,
    scale: float | None = None,
    progress: Progress | None = None,
    n_jobs: int | None = None,
) -> Path:
    """Draw a world once and say where it lies; a second call returns at once.

    Parameters
    ----------
    world : World or str
    cache : Path
        Folder for drawn worlds.
    scale : float, optional
        Share of the full size; by default the world's own.
    progress : Progress, optional
    n_jobs : int, optional
        Processes that draw; by default as many as there are processors.

    Returns
    -------
    Path
        A complete folder. It appears under this name only when everything in it is written.
    """
    world = get_world(world) if isinstance(world, str) else world
    scale = world.scale if scale is None else scale
    folder = cache / f"{world.name}-v{world.version}-seed{world.seed}-scale{scale:g}"
    if not folder.is_dir():
        with atomic_folder(folder) as unfinished:
            world.make(unfinished, scale=scale, seed=world.seed, progress=progress or Silent(), n_jobs=n_jobs)
    return folder
