"""A shell for the stock `kaggle` command: the exports that turn it to an arena that is being served."""

from __future__ import annotations

import http.client
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from kagglekit.arena.identity import REALM, identity_of
from kagglekit.errors import StoreError, UsageError
from kagglekit.files import read_json, write_json

__all__ = ["announced", "exports", "exposed"]

_FILE = "serving.json"
_SECONDS = 2.0


@contextmanager
def announced(home: Path, url: str) -> Iterator[None]:
    """Let `exports` know the address for as long as the block runs; of several servers, the last counts."""
    path = home / _FILE
    write_json(path, {"url": url})
    try:
        yield
    finally:
        if _address(path) == url:
            path.unlink(missing_ok=True)


def exports(home: Path, env: Mapping[str, str]) -> str:
    """Shell lines after which `kaggle competitions list` asks the arena.

    Parameters
    ----------
    home : Path
        The arena's.
    env : mapping
        Environment variables of that shell.

    Returns
    -------
    str
        Lines for `eval`, with comments. They hold the arena's token, which opens nothing but the arena.

    Raises
    ------
    UsageError
        No arena is served from this home.
    """
    url = _address(home / _FILE)
    if not _is_arena(url):
        raise UsageError("No arena is served here.", hint="Start one in another terminal: kagglekit arena serve")
    variables = {
        "KAGGLE_API_ENVIRONMENT": "LOCALHOST",
        "KAGGLE_API_TOKEN": identity_of(home).token,
        "http_proxy": url,
    }
    lines = [
        f'# Turns the kaggle command of this shell to the arena at {url}. Use: eval "$(kagglekit arena env)"',
        # The client's own address for LOCALHOST is http://localhost, port 80; as its proxy the arena gets the requests.
        *(f"export {name}={shlex.quote(value)}" for name, value in variables.items()),
        *_unhidden(env),
        f"# Back to Kaggle: unset {' '.join(variables)}",
    ]
    return "\n".join(lines)


def exposed(url: str, username: str) -> str:
    """The warning of an arena that other computers can reach."""
    return (
        f"Warning: other computers can reach {url}, and what goes there is not encrypted. Pages and calls need the "
        f"token: user {username}, password as KAGGLE_API_TOKEN in `kagglekit arena env`."
    )


def _unhidden(env: Mapping[str, str]) -> list[str]:
    """Take localhost off the lists of hosts that no proxy is asked for: the arena would be passed by."""
    lines = []
    for name in ("no_proxy", "NO_PROXY"):
        listed = [host.strip() for host in env.get(name, "").split(",") if host.strip()]
        kept = [host for host in listed if host != "*" and host.split(":")[0].strip(".") != "localhost"]
        if kept != listed:
            lines.append(f"# {name} holds localhost, which would lead past the arena; it is taken out in this shell.")
            lines.append(f"export {name}={shlex.quote(','.join(kept))}")
    return lines


def _address(path: Path) -> str:
    try:
        return str(read_json(path)["url"])
    except (FileNotFoundError, StoreError):
        return ""


def _is_arena(url: str) -> bool:
    """Whether an arena answers there, and not whoever took the port after one was killed."""
    if not url:
        return False
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=_SECONDS)
    try:
        connection.request("GET", "/")
        answer = connection.getresponse()
        # One that other computers can reach too asks for the token first, and says who asks.
        return REALM in (answer.getheader("WWW-Authenticate") or "") or b"<title>Arena</title>" in answer.read()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
