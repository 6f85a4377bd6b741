"""What a run was made with: versions of packages, and the state of the code."""

from __future__ import annotations

import hashlib
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from kagglekit import __version__

__all__ = ["git_state", "source", "versions"]

_PACKAGES = ("numpy", "pandas", "scikit-learn", "lightgbm", "torch", "timm", "fastai")


def versions() -> dict[str, str]:
    """Versions of kagglekit and of its code, of Python and of every installed package that can change a result."""
    found = {"kagglekit": __version__, "kagglekit source": source(), "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue  # an extra that is not installed cannot have had a part in it
    return found


def source() -> str:
    """Twelve hex digits that stand for kagglekit's own code: two states of one version differ here."""
    digest = hashlib.sha256()
    folder = Path(__file__).parent
    for path in sorted(folder.rglob("*.py")):
        digest.update(f"{path.relative_to(folder).as_posix()}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:12]


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
