"""Secrets: nothing that leaves this computer may hold a token."""

from __future__ import annotations

import json
import os
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from kagglekit.errors import UsageError

__all__ = ["refuse_secrets"]

# What looks like a key, whoever it belongs to; the words stand in the error.
_PATTERNS: Mapping[str, re.Pattern[bytes]] = {
    "a Kaggle token": re.compile(rb"KGAT_[A-Za-z0-9_-]{8,}"),
    "a Kaggle key": re.compile(rb"key\W{1,12}[0-9a-f]{32}(?![0-9a-f])", re.IGNORECASE),
    "a token of the model hub": re.compile(rb"\bhf_[A-Za-z0-9]{30,}"),
    "a GitHub token": re.compile(rb"\b(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{40})"),
    "an AWS key": re.compile(rb"\bAKIA[0-9A-Z]{16}\b"),
    "a Google key": re.compile(rb"\bAIza[0-9A-Za-z_-]{35}"),
    "an API key": re.compile(rb"\bsk-[A-Za-z0-9_-]{32,}"),
    "a Weights & Biases key": re.compile(rb"WANDB_API_KEY\W{1,12}[0-9a-f]{40}", re.IGNORECASE),
    "a private key": re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
}
_SHORTEST_SECRET = 8  # shorter words would be found everywhere
_LARGEST_SECRET_FILE = 64 << 10


def refuse_secrets(paths: Iterable[Path]) -> None:
    """Refuse files that hold a token or key, the user's own or any other; zips and wheels are looked into.

    Raises
    ------
    UsageError
        Names the file and the line, never the secret.
    """
    own = [secret.encode() for secret in _own_secrets(os.environ, Path.home())]
    for path in paths:
        for name, content in _contents(path):
            if found := _find(content, own):
                what, line = found
                raise UsageError(
                    f"{name}, line {line}, holds what looks like {what}; nothing was sent.",
                    hint="Take it out. If it was ever shared, replace it: Kaggle's at https://www.kaggle.com/settings",
                )


def _contents(path: Path) -> Iterator[tuple[str, bytes]]:
    yield str(path), path.read_bytes()
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                yield f"{path} ({member.filename})", archive.read(member)


def _find(content: bytes, own: Iterable[bytes]) -> tuple[str, int] | None:
    """What was found, and in which line."""
    for secret in own:
        if (at := content.find(secret)) >= 0:
            return "your own Kaggle token or key", content.count(b"\n", 0, at) + 1
    for what, pattern in _PATTERNS.items():
        if match := pattern.search(content):
            return what, content.count(b"\n", 0, match.start()) + 1
    return None


def _own_secrets(env: Mapping[str, str], home: Path) -> set[str]:
    """The values of all Kaggle credentials on this computer, in every place where Kaggle's client looks."""
    token = env.get("KAGGLE_API_TOKEN", "")
    found = {token, env.get("KAGGLE_KEY", "")}
    config = Path(env.get("XDG_CONFIG_HOME") or home / ".config") / "kaggle"
    folders = [home / ".kaggle", config, *([Path(env["KAGGLE_CONFIG_DIR"])] if env.get("KAGGLE_CONFIG_DIR") else [])]
    files = [path for folder in folders for path in sorted(folder.glob("*"))]
    if "/" in token:  # the variable may name a file
        files.append(Path(token))
    for path in files:
        if path.is_file() and path.stat().st_size <= _LARGEST_SECRET_FILE:
            found |= _secrets_of(path.read_text(encoding="utf-8", errors="replace"))
    return {secret for secret in found if len(secret) >= _SHORTEST_SECRET}


def _secrets_of(text: str) -> set[str]:
    try:
        stored = json.loads(text)
    except ValueError:
        return {text.strip()}
    fields = stored.items() if isinstance(stored, dict) else ()
    return {v for k, v in fields if isinstance(v, str) and ("key" in k or "token" in k)}
