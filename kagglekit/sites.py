"""Which site a command talks to, and the door to it: Kaggle, or an arena started for as long as it is needed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from kagglekit.credentials import choose_site, find_credentials, secured
from kagglekit.errors import UsageError
from kagglekit.gateway import Gateway, Site
from kagglekit.progress import Progress
from kagglekit.workspace import SiteName, Workspace

if TYPE_CHECKING:
    import pandas as pd

    from kagglekit.arena.rehearsal import Rehearsal

__all__ = ["describe", "host_world", "open_gateway", "rehearse", "site_name"]


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
    """One line that says where things go, and why there; a token that others can read is hidden from them first.

    Raises
    ------
    CredentialsError
        Others can read the token, and that cannot be changed.
    """
    if site == "kaggle":
        found = find_credentials(os.environ, Path.home())
        found = secured(found) if found else None
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


def host_world(
    workspace: Workspace,
    slug: str,
    progress: Progress,
    scale: float | None = None,
    *,
    seed: int | None = None,
    replace: bool = False,
) -> None:
    """Draw and host the practice competition of that slug, where there is one and it is not hosted yet."""
    from kagglekit.arena import hosting, worlds

    world = next((w for w in worlds.WORLDS.values() if w.slug == slug), None)
    if world is None or (hosting.is_hosted(workspace.arena, slug) and not replace):
        return
    made = "synthetic, made by code" if world.synthetic else "real data, hidden answers"
    progress.say(f"Drawing the practice competition '{world.name}' once ({made}).")
    worlds.host(world, workspace.arena, scale=scale, seed=seed, replace=replace, progress=progress)


def rehearse(
    workspace: Workspace,
    name: str,
    files: Sequence[Path],
    progress: Progress,
    *,
    splits: int,
    public_share: float | None,
    teams: int | None,
    seed: int,
) -> Rehearsal:
    """Grade files over many splits of a hosted competition; without files, all that was sent and every finished run.

    Raises
    ------
    CompetitionNotFound
        The arena does not host it.
    UsageError
        There is nothing to grade.
    """
    from kagglekit.arena import rehearsal, worlds
    from kagglekit.arena.hosted import open_hosted, read_table

    slug = worlds.WORLDS[name].slug if name in worlds.WORLDS else name
    hosted = open_hosted(workspace.arena, slug)
    key = hosted.competition.id
    if files:
        entries = {path.stem: read_table(path, id_column=key) for path in files}
    else:
        entries = rehearsal.sent(workspace.arena, hosted)
        entries |= {n: frame for n, frame in _runs(workspace, slug, key, progress).items() if n not in entries}
    return rehearsal.rehearse(hosted, entries, splits=splits, public_share=public_share, teams=teams, seed=seed)


def _runs(workspace: Workspace, slug: str, id_column: str, progress: Progress) -> dict[str, pd.DataFrame]:
    """What every finished run of this workspace would submit, by the run's id."""
    import tempfile

    from kagglekit.arena.hosted import read_table
    from kagglekit.dataset import RawData
    from kagglekit.flow import Flow
    from kagglekit.submit import write_csv

    found = {}
    for comp in workspace.pipelines():
        flow = Flow(comp, workspace, progress)
        if flow.slug != slug or not RawData(workspace.data(slug)).is_complete:
            continue
        with tempfile.TemporaryDirectory() as folder:
            for run in flow.trained().values():
                found[run.id] = read_table(write_csv(run, flow.prepared, Path(folder)), id_column=id_column)
    return found
