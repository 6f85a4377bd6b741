"""Which site a command talks to, and the door to it: Kaggle, or an arena started for as long as it is needed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kagglekit.credentials import choose_site, find_credentials
from kagglekit.errors import UsageError
from kagglekit.gateway import Gateway, Site
from kagglekit.progress import Progress
from kagglekit.workspace import SiteName, Workspace

__all__ = ["describe", "open_gateway", "site_name"]


def site_name(on: str | None) -> SiteName:
    """Kaggle when there are credentials, else the arena; `on` decides.

    Raises
    ------
    UsageError
        `on` is neither "kaggle" nor "arena".
    CredentialsError
        Kaggle is asked for and there are no credentials.
    """
    if on not in (None, "kaggle", "arena"):
        raise UsageError(f"--on takes kaggle or arena, got '{on}'.")
    return choose_site("kaggle" if on == "kaggle" else "arena" if on else None, env=os.environ, home=Path.home())


def describe(site: SiteName, on: str | None) -> str:
    """One line that says where things go, and why there."""
    if site == "kaggle":
        found = find_credentials(os.environ, Path.home())
        return f"On Kaggle (credentials: {found.source}). {found.note}".strip() if found else "On Kaggle."
    why = "as you asked" if on else "no Kaggle credentials found"
    return f"On the offline arena ({why}): practice data, and scores that are not Kaggle scores."


@contextmanager
def open_gateway(workspace: Workspace, slug: str, progress: Progress) -> Iterator[Gateway]:
    """The door to the workspace's site; an arena is started on a free loopback port and stopped at the end."""
    if workspace.site == "kaggle":
        with Gateway(Site.kaggle()) as gateway:
            yield gateway
        return
    from kagglekit.arena.server import Arena

    host_world(workspace, slug, progress)
    with Arena(workspace.arena) as arena, Gateway(Site("arena", arena.url), token=arena.token) as gateway:
        yield gateway


def host_world(workspace: Workspace, slug: str, progress: Progress, scale: float | None = None) -> None:
    """Draw and host the practice competition of that slug, where there is one and it is not hosted yet."""
    from kagglekit.arena import hosting, worlds

    world = next((w for w in worlds.WORLDS.values() if w.slug == slug), None)
    if world is None or hosting.is_hosted(workspace.arena, slug):
        return
    made = "synthetic, made by code" if world.synthetic else "real data, hidden answers"
    progress.say(f"Drawing the practice competition '{world.name}' once ({made}).")
    worlds.host(world, workspace.arena, scale=scale, progress=progress)
