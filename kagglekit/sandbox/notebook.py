"""Run a notebook's cells from first to last, and write what they print as they print it.

It is run as a program inside the sandbox: `python -I notebook.py SOURCE RESULT`. What the cells showed is saved in
RESULT even when one of them failed.
"""

from __future__ import annotations

import re
import sys
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class _Telling(NotebookClient):
    def process_message(self, msg: dict[str, Any], cell: Any, cell_index: int) -> Any:
        if msg["msg_type"] == "stream":
            stream = sys.stderr if msg["content"]["name"] == "stderr" else sys.stdout
            stream.write(msg["content"]["text"])
            stream.flush()
        return super().process_message(msg, cell, cell_index)


def main(source: str, result: str) -> int:
    notebook = nbformat.read(source, as_version=4)
    client = _Telling(
        notebook,
        timeout=None,
        resources={"metadata": {"path": "/kaggle/working"}},
        extra_arguments=["--log-level=40"],  # no word about the transport: nobody else is in here
    )
    try:
        client.execute()
    except CellExecutionError as error:
        sys.stderr.write(_COLOURS.sub("", error.traceback) + "\n")
        return 1
    except DeadKernelError:
        sys.stderr.write("The notebook's process ended before its last cell.\n")
        return 1
    finally:
        nbformat.write(notebook, result)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
