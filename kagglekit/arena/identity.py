"""Who the arena knows: one competitor, one random token, one signing key, kept with mode 600 in the home."""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import os
import secrets
import tempfile
from dataclasses import dataclass
from pathlib import Path

from kagglekit.files import disk_errors, read_json

__all__ = ["REALM", "USERNAME", "Identity", "identity_of"]

USERNAME = "competitor"
REALM = "kagglekit arena"
_FILE = "identity.json"


@dataclass(frozen=True)
class Identity:
    """The arena's only account. `token` opens the API; `key` signs addresses and never leaves the server."""

    username: str
    token: str
    key: bytes

    def __repr__(self) -> str:
        # A dataclass would print its secrets into logs and test reports.
        return f"Identity({self.username!r})"

    def accepts(self, authorization: str) -> bool:
        """Whether an Authorization header, bearer or basic, is this account's."""
        scheme, _, value = authorization.partition(" ")
        if scheme.lower() == "bearer":
            return self.is_token(value.strip())
        if scheme.lower() == "basic":
            return hmac.compare_digest(_decoded(value.strip()), f"{self.username}:{self.token}".encode())
        return False

    def is_token(self, token: str) -> bool:
        return hmac.compare_digest(token.encode(), self.token.encode())


def identity_of(home: Path) -> Identity:
    """Read the home's identity, or make one; of several processes that make one, the first wins."""
    path = home / _FILE
    if not path.exists():
        _make(path)
    stored = read_json(path)
    return Identity(stored["username"], stored["token"], bytes.fromhex(stored["key"]))


def _make(path: Path) -> None:
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # mkstemp makes files that only the owner can read, from the first moment on.
        handle, name = tempfile.mkstemp(prefix=".identity.", dir=path.parent)
        try:
            with os.fdopen(handle, "w") as file:
                content = {"username": USERNAME, "token": secrets.token_urlsafe(32), "key": secrets.token_hex(32)}
                json.dump(content, file)
                file.flush()
                os.fsync(file.fileno())
            # A link, unlike a rename, fails when another process was first.
            os.link(name, path)
        except FileExistsError:
            pass
        finally:
            Path(name).unlink()


def _decoded(value: str) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return b""
