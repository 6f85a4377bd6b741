"""Jails: what this computer offers to seal a run off - bubblewrap, util-linux' `unshare`, or nothing."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

__all__ = ["UNSEALED", "Bind", "Jail", "find_jail", "interpreter"]

#: What is said aloud where nothing seals a run off.
UNSEALED = (
    "This computer offers no namespaces (neither bubblewrap nor unshare works here): the network is open, and only the "
    "paths below /kaggle were moved. What runs here may still fail on Kaggle."
)
_BUBBLEWRAP = (
    *("--unshare-user", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts"),
    *("--uid", "0", "--gid", "0", "--cap-add", "ALL", "--die-with-parent", "--as-pid-1", "--dev-bind", "/", "/", "--"),
)
_UNSHARE = ("--user", "--map-root-user", "--mount", "--net", "--pid", "--ipc", "--uts", "--fork", "--kill-child")
_PROBE_SECONDS = 30.0


@dataclass(frozen=True)
class Bind:
    """A folder or file of this computer, and its place inside."""

    source: Path
    place: str
    writable: bool = False


@dataclass(frozen=True)
class Jail:
    """A way into namespaces of one's own: the words before a command that is to start there as the first process."""

    name: str
    words: tuple[str, ...]

    def command(self, folder: Path, binds: Sequence[Bind], command: Sequence[str], env: Mapping[str, str]) -> list[str]:
        """The words that run `command` inside.

        Parameters
        ----------
        folder : Path
            The jail's own; holds its specification, what is installed there, and `hosts`, the names looked up.
        binds : sequence of Bind
        command : sequence of str
            Started in /kaggle/working.
        env : mapping
            Its whole environment.
        """
        (folder / "root").mkdir(parents=True, exist_ok=True)
        (folder / "hosts").touch()
        session = Bind(folder / "hosts", "/session/hosts", writable=True)
        spec: dict[str, Any] = {
            "root": str(folder / "root"),
            "binds": [[str(b.source.resolve()), b.place, b.writable] for b in (*binds, *_interpreters(), session)],
            "environment": {"prefix": str(_prefix()), "layer": str(folder / "layer"), "hidden": _hidden()},
            "hosts": "/session/hosts",
            "command": list(command),
            "cwd": "/kaggle/working",
            "env": dict(env),
        }
        (folder / "spec.json").write_text(json.dumps(spec), encoding="utf-8")
        inside = Path(__file__).with_name("inside.py")
        return [*self.words, interpreter(), "-I", "-S", str(inside), str(folder / "spec.json")]


@lru_cache(maxsize=1)
def find_jail() -> Jail | None:
    """The first that works here; None when none does. It is tried once, by running `true` inside."""
    if sys.platform != "linux":
        return None
    return next((jail for jail in _candidates() if _works(jail)), None)


def interpreter() -> str:
    """The Python of this environment, by a path that holds inside too."""
    return str(_prefix() / "bin" / Path(sys.executable).name)


def _candidates() -> list[Jail]:
    found = []
    if bubblewrap := shutil.which("bwrap"):
        found.append(Jail("bubblewrap", (bubblewrap, *_BUBBLEWRAP)))
    if unshare := shutil.which("unshare"):
        # A process whose parent was killed would go on alone; bubblewrap sees to that itself.
        leash = (setpriv, "--pdeathsig", "KILL") if (setpriv := shutil.which("setpriv")) else ()
        found.append(Jail("unshare", (*leash, unshare, *_UNSHARE)))
    return found


def _works(jail: Jail) -> bool:
    with tempfile.TemporaryDirectory() as name:
        (folder := Path(name) / "working").mkdir()
        command = jail.command(Path(name), [Bind(folder, "/kaggle/working", writable=True)], ["true"], {})
        try:
            return subprocess.run(command, capture_output=True, timeout=_PROBE_SECONDS).returncode == 0
        except (OSError, subprocess.TimeoutExpired):
            return False


def _prefix() -> Path:
    return Path(sys.prefix).resolve()


def _interpreters() -> list[Bind]:
    """The installation that a virtual environment was made from; what lies below /usr is there anyway."""
    base = Path(sys.base_prefix).resolve()
    return [] if base == _prefix() or base.is_relative_to("/usr") else [Bind(base, str(base))]


def _hidden() -> list[str]:
    """What of this environment is kagglekit itself: a kernel has it only where the notebook brings it."""
    packages = Path(sysconfig.get_path("purelib")).resolve()
    patterns = ("kagglekit", "kagglekit-*.dist-info", "__editable__*kagglekit*", "__editable___kagglekit*")
    return sorted({str(path) for pattern in patterns for path in packages.glob(pattern)})
