"""The command line: parse, call one library function, print.

Start with `commands.py`: it lists every command, in the order of the flow, beside the module that holds it. Heavy
modules are imported inside the commands, so that `kagglekit --help` answers at once on the base install.
"""

from kagglekit.cli.commands import app
from kagglekit.cli.entry import main

__all__ = ["app", "main"]
