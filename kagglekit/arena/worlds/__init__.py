"""Practice competitions that are made by code: the registry, and a cache that draws each world once."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path

from kagglekit.arena import hosting
from kagglekit.arena.hosted import Hosted, read_table
from kagglekit.arena.worlds.base import BEST, SECRETS, World
from kagglekit.errors import UsageError, nearest
from kagglekit.files import atomic_folder
from kagglekit.progress import Progress, Silent

__all__ = ["WORLDS", "World", "ensure", "get_world", "host"]

# Each module holds its own WORLD; the order is that of the list that people see.
_MODULES = (
    "paddy",
    "shapes",
    "digits",
    "coffee",
    "weekday",
    "rps",
    "films",
    "ratings",
    "auction",
    "phrases",
    "scenes",
)

#: 2020-01-01, UTC: the time of every file of a drawn world, so that no file's time says when it was drawn.
_DRAWN_AT = 1_577_836_800


def _world(module: str) -> World:
    found: World = import_module(f"kagglekit.arena.worlds.{module}").WORLD
    return found


WORLDS = {world.name: world for world in map(_world, _MODULES)}


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
    seed: int | None = None,
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
    seed : int, optional
        By default the world's own.
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
    seed = world.seed if seed is None else seed
    folder = cache / f"{world.name}-v{world.version}-seed{seed}-scale{scale:g}"
    if not folder.is_dir():
        with atomic_folder(folder) as unfinished:
            world.make(unfinished, scale=scale, seed=seed, progress=progress or Silent(), n_jobs=n_jobs)
            for path in unfinished.rglob("*"):
                os.utime(path, (_DRAWN_AT, _DRAWN_AT))
    return folder


def host(
    world: World | str,
    home: Path,
    *,
    scale: float | None = None,
    seed: int | None = None,
    replace: bool = False,
    progress: Progress | None = None,
    n_jobs: int | None = None,
) -> Hosted:
    """Draw a world and host it, with its facts, baselines and simulated teams.

    Parameters
    ----------
    world, scale, seed, progress, n_jobs
        As in `ensure`.
    home : Path
        The arena's home; drawn worlds are kept below it.
    replace : bool
        Replace the same world at another size or seed.
    """
    world = get_world(world) if isinstance(world, str) else world
    progress = progress or Silent()
    folder = ensure(world, home / "worlds", scale=scale, seed=seed, progress=progress, n_jobs=n_jobs)
    id_column = read_table(folder / "sample_submission.csv").columns[0]
    secrets = {
        path.stem: read_table(path, id_column=id_column)
        for path in sorted((folder / SECRETS).glob("*.csv"))
        if path.name != BEST
    }
    best = folder / SECRETS / BEST
    return hosting.create(
        folder,
        home,
        world.slug,
        metric=world.metric,
        title=world.title,
        description=world.description,
        daily_limit=world.daily_limit,
        synthetic=world.synthetic,
        task=world.task,
        form=world.form,
        group=world.group,
        time=world.time,
        answers=secrets,
        best=read_table(best, id_column=id_column) if best.is_file() else None,
        teams=world.teams,
        replace=replace,
        progress=progress,
    )
