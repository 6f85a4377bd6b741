"""What a command works on: the workspace, the flow of a competition, its results."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kagglekit.console import RichProgress
    from kagglekit.flow import Flow
    from kagglekit.results import Results
    from kagglekit.workspace import SiteName, Workspace

__all__ = ["open_flow", "open_results", "start", "workspace_of"]


def workspace_of(site: SiteName) -> Workspace:
    """This folder as a workspace, in which the results of each site lie apart."""
    from kagglekit.workspace import Workspace

    return Workspace(root=Path.cwd(), site=site)


def start(on: str | None) -> tuple[Workspace, RichProgress]:
    """Where this command works; said before anything else happens."""
    from kagglekit.console import RichProgress
    from kagglekit.sites import describe, site_name

    progress = RichProgress()
    site = site_name(on)
    progress.say(describe(site, on))
    return workspace_of(site), progress


def open_flow(comp: str, on: str | None, overrides: list[str] | None = None) -> Flow:
    """The flow of a competition; `overrides` are the words after `--set`."""
    from kagglekit.flow import Flow

    workspace, progress = start(on)
    return Flow(comp, workspace, progress, overrides or ())


def open_results(comp: str, on: str | None, overrides: list[str] | None = None) -> Results:
    """What the flow of a competition left behind."""
    from kagglekit.results import Results

    return Results(open_flow(comp, on, overrides))
