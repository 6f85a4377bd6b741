"""Kaggle credentials: where this computer keeps them, and so which site is meant. Never shown, never written."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from kagglekit.errors import CredentialsError
from kagglekit.workspace import SiteName

__all__ = ["TOKEN_HINT", "Credentials", "choose_site", "credentials_found", "find_credentials", "secured"]

TOKEN_HINT = (
    "Make a token at https://www.kaggle.com/settings and save it as ~/.kaggle/access_token, or set KAGGLE_API_TOKEN."
)

_MEND = f"Mend or remove it, or practise with --on arena. {TOKEN_HINT}"
_OPEN_TO_OTHERS = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True)
class Credentials:
    """What opens an account; no secret is in its repr.

    Parameters
    ----------
    source : str
        Name of the place that they come from, to be shown.
    token : str or None
        Sent as bearer token.
    username, key : str or None
        The older pair; `username` alone may come with a token.
    login : Path or None
        The file of `kaggle auth login`, which the client renews the token from.
    exposed : Path or None
        The file that holds them, when others can read it.
    note : str
        One line for the user about that, else empty.

    Raises
    ------
    CredentialsError
        A secret holds characters that none can hold: another file was meant, or two lines were pasted.
    """

    source: str
    token: str | None = field(default=None, repr=False)
    username: str | None = field(default=None, repr=False)
    key: str | None = field(default=None, repr=False)
    login: Path | None = None
    exposed: Path | None = None
    note: str = ""

    def __post_init__(self) -> None:
        for secret in (self.token, self.username, self.key):
            # Such a value cannot be sent, and the error that says so would quote it.
            if secret and not (secret.isascii() and secret.isprintable()):
                raise CredentialsError(f"{self.source} holds characters that no Kaggle token has.", hint=TOKEN_HINT)


def secured(found: Credentials) -> Credentials:
    """Take a file of credentials out of the sight of others; `note` then says that it was done.

    Raises
    ------
    CredentialsError
        Others can read the file, and its mode cannot be changed.
    """
    path = found.exposed
    if path is None:
        return found
    try:
        path.chmod(0o600)
    except OSError as error:
        raise CredentialsError(
            f"Other users of this computer can read {path}, and that cannot be changed ({error.strerror}).",
            hint="Move the token to a file of your own with mode 600.",
        ) from None
    note = f"Other users of this computer could read {path}; its mode is now 600. If they may have, make a new token."
    return replace(found, exposed=None, note=note)


def credentials_found(env: Mapping[str, str], home: Path) -> str | None:
    """Name of the place that holds Kaggle credentials; never the secret itself.

    Parameters
    ----------
    env : mapping
        Environment variables.
    home : Path
        The user's home folder.
    """
    found = find_credentials(env, home)
    return found.source if found else None


def choose_site(on: SiteName | None, *, env: Mapping[str, str], home: Path) -> SiteName:
    """Decide between Kaggle and the arena.

    Parameters
    ----------
    on : {"kaggle", "arena"} or None
        What the user asked for. None: Kaggle when there are credentials, else the arena.

    Raises
    ------
    CredentialsError
        Kaggle was asked for, and there are no credentials.
    """
    if on == "arena":
        return "arena"
    if credentials_found(env, home):
        return "kaggle"
    if on == "kaggle":
        raise CredentialsError("There are no Kaggle credentials on this computer.", hint=TOKEN_HINT)
    return "arena"


def find_credentials(env: Mapping[str, str], home: Path) -> Credentials | None:
    """Look where Kaggle's client looks, in its order: a token, the older key, then `kaggle auth login`.

    Unlike the client, this asks nobody whether a token is still good: the first place that holds one counts.

    Raises
    ------
    CredentialsError
        A file that may hold them cannot be read, or holds something else; or there is but half of what is needed.
    """
    found = next(_places(env, home), None)
    if found is None:
        _refuse_halves(env, home)
    return found


def _refuse_halves(env: Mapping[str, str], home: Path) -> None:
    # Only where no place holds credentials: a name in the environment does no harm beside a whole key file.
    name, key = env.get("KAGGLE_USERNAME"), env.get("KAGGLE_KEY")
    if name or key:
        missing = "KAGGLE_KEY" if name else "KAGGLE_USERNAME"
        raise CredentialsError(f"KAGGLE_USERNAME and KAGGLE_KEY belong together; {missing} is not set.", hint=_MEND)
    files = [home / ".kaggle" / file for file in ("access_token", "access_token.txt", "credentials.json")]
    if env.get("KAGGLE_API_ENVIRONMENT") != "LOCALHOST" and (token := env.get("KAGGLE_API_TOKEN", "").strip()):
        files.insert(0, Path(token))
    for path in files:
        if _is_file(path):
            raise CredentialsError(f"{path} should hold a Kaggle token, and does not.", hint=_MEND)


def _places(env: Mapping[str, str], home: Path) -> Iterator[Credentials]:
    yield from _in_notebook(env)
    yield from _in_variable(env)
    for name in ("access_token", "access_token.txt"):
        path = home / ".kaggle" / name
        if token := _text_of(path):
            yield _from_file(path, Credentials(f"~/.kaggle/{name}", token=token))
    if env.get("KAGGLE_USERNAME") and env.get("KAGGLE_KEY"):
        yield Credentials("KAGGLE_USERNAME and KAGGLE_KEY", username=env["KAGGLE_USERNAME"], key=env["KAGGLE_KEY"])
    for folder in _config_folders(env, home):
        yield from _in_key_file(folder / "kaggle.json")
    yield from _in_login_file(home / ".kaggle" / "credentials.json")


def _in_notebook(env: Mapping[str, str]) -> Iterator[Credentials]:
    if "KAGGLE_KERNEL_RUN_TYPE" not in env or "KAGGLE_DATA_PROXY_URL" not in env:
        return
    if token := _text_of(Path(env.get("KAGGLE_API_V1_TOKEN", ""))):
        yield Credentials("the Kaggle notebook", token=token)


def _in_variable(env: Mapping[str, str]) -> Iterator[Credentials]:
    # A shell that `kagglekit arena env` turned to an arena holds the arena's token, which is not for Kaggle.
    if env.get("KAGGLE_API_ENVIRONMENT") == "LOCALHOST":
        return
    value = env.get("KAGGLE_API_TOKEN", "").strip()
    if not value:
        return
    path = Path(value) if _is_file(value) else None
    if token := _text_of(path) if path else value:
        found = Credentials("KAGGLE_API_TOKEN", token=token)
        yield _from_file(path, found) if path else found


def _config_folders(env: Mapping[str, str], home: Path) -> list[Path]:
    if env.get("KAGGLE_CONFIG_DIR"):
        return [Path(env["KAGGLE_CONFIG_DIR"])]
    return [home / ".kaggle", Path(env.get("XDG_CONFIG_HOME") or home / ".config") / "kaggle"]


def _in_key_file(path: Path) -> Iterator[Credentials]:
    if not path.is_file():
        return
    stored = _json_of(path)
    # Kaggle's client keeps settings in this file too; without either of the two it is no try at credentials.
    if stored and not {"username", "key"} & set(stored):
        return
    if missing := [name for name in ("username", "key") if not stored.get(name)]:
        raise CredentialsError(
            f"{path} should hold a username and a key; it has no {' and no '.join(missing)}.", hint=_MEND
        )
    yield _from_file(path, Credentials(str(path), username=str(stored["username"]), key=str(stored["key"])))


def _in_login_file(path: Path) -> Iterator[Credentials]:
    stored = _json_of(path)
    if stored.get("refresh_token"):
        yield _from_file(path, Credentials("kaggle auth login", username=stored.get("username") or None, login=path))


def _from_file(path: Path, found: Credentials) -> Credentials:
    """With a note when others can read the file."""
    # Windows keeps no such bits: every file there looks open to all.
    if os.name == "nt" or not path.stat().st_mode & _OPEN_TO_OTHERS:
        return found
    note = f"Other users of this computer can read {path}; run: chmod 600 {path}"
    return replace(found, exposed=path, note=note)


def _is_file(value: str | Path) -> bool:
    try:
        return Path(value).is_file()
    except (OSError, ValueError):
        # A long token is no possible file name.
        return False


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip() if path.is_file() else ""
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise CredentialsError(f"{path} cannot be read: {reason}.", hint="Mend or remove it.") from None


def _json_of(path: Path) -> dict[str, Any]:
    try:
        stored = json.loads(_text_of(path) or "{}")
    except json.JSONDecodeError:
        # Its own words may quote the secret.
        raise CredentialsError(f"{path} is not JSON, or was cut off.", hint=_MEND) from None
    return stored if isinstance(stored, dict) else {}
