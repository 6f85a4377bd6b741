"""Where the command line starts and ends: errors as one line, and exit statuses."""

from __future__ import annotations

import sys
from pathlib import Path

import typer

from kagglekit.cli.commands import app

__all__ = ["main"]

_INTERRUPTED = 130


def main() -> None:
    """Run the command line: an error that a user can mend is one line and exit status 2."""
    from kagglekit.errors import KagglekitError
    from kagglekit.files import disk_errors

    words = [word for word in sys.argv[1:] if word != "--debug"]  # it may stand anywhere
    try:
        with disk_errors(Path.cwd()):
            app(words)
    except KagglekitError as error:
        if len(words) < len(sys.argv) - 1:
            raise
        typer.echo(f"Error: {error}", err=True)
        sys.exit(2)
    except (SystemExit, KeyboardInterrupt) as leaving:
        # Ctrl-C, which typer turns into an exit status once it is at work
        if isinstance(leaving, SystemExit) and leaving.code != _INTERRUPTED:
            raise
        typer.echo("Interrupted. Finished folds are kept: the same command goes on from there.", err=True)
        sys.exit(_INTERRUPTED)
