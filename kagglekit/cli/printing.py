"""What commands print in the same way: paths, facts, the board."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import typer

if TYPE_CHECKING:
    from kagglekit.flow import Flow

__all__ = ["print_board", "print_facts", "print_found", "shown"]


class Found(Protocol):
    """What a command comes back with."""

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values."""


def shown(path: Path) -> Path:
    """A path as a person in this folder would type it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def print_board(flow: Flow, as_json: bool, *, all_trials: bool = False, as_it_is: bool = False) -> None:
    """The table of experiments; `as_it_is` fits no baseline and makes no ensemble for it."""
    rows = flow.board_as_it_is() if as_it_is else flow.board(all_trials=all_trials)
    if as_json:
        print_facts([row.as_json() for row in rows], as_json)
        return
    from kagglekit import console

    typer.echo(console.table(rows, flow.pipeline.competition.metric))


def print_facts(facts: Any, as_json: bool) -> None:
    """A mapping as lines, its lists and mappings below their names; anything as JSON."""
    if as_json:
        typer.echo(json.dumps(facts, indent=2, ensure_ascii=False, default=str))
        return
    for key, value in facts.items():
        lines = [f"{k}: {v}" for k, v in value.items()] if isinstance(value, dict) else value
        is_list = isinstance(lines, list) and lines
        typer.echo("\n  ".join([f"{key}:", *map(str, lines)]) if is_list else f"{key}: {value}")


def print_found(found: Found, as_json: bool, words: Callable[[], str]) -> None:
    """What a command came back with: as JSON, or in words, which are made only then."""
    print_facts(found.as_json(), as_json) if as_json else typer.echo(words())
