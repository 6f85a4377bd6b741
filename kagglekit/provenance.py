"""What a run was made with: versions of packages, and the state of the code."""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version

from kagglekit import __version__

__all__ = ["git_state", "versions"]

_PACKAGES = ("numpy", "pandas", "scikit-learn", "lightgbm", "torch", "timm", "fastai")


def versions() -> dict[str, str]:
    """Versions of kagglekit, Python and every installed package that can change a result."""
    found = {"kagglekit": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue  # an extra that is not installed cannot have had a part in it
    return found


def git_state() -> dict[str, str]:
    """Commit of the folder the command runs in, and whether it had uncommitted changes; empty outside git."""
    commit = _git("rev-parse", "HEAD")
    return {"commit": commit, "dirty": str(bool(_git("status", "--porcelain")))} if commit else {}


def _git(*words: str) -> str:
    try:
        done = subprocess.run(["git", *words], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
