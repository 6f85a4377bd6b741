"""The connection beneath `gateway`: the only module that imports `kaggle`, and it does so inside functions.

The official client does the talking. Here is what it leaves open: importing it neither logs in nor prints nor makes
folders; credentials go to the site that they belong to and nowhere else; every wait ends; and what it raises becomes
one of our errors. What is asked over the connection is in `gateway`, which uses the client's message types only.
"""

from __future__ import annotations

import importlib
import io
import math
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from kagglekit.credentials import TOKEN_HINT, Credentials
from kagglekit.errors import (
    CompetitionNotFound,
    CredentialsError,
    GatewayError,
    LimitReached,
    MissingExtra,
    RulesNotAccepted,
    Unreachable,
)
from kagglekit.remote import Site
from kagglekit.retries import Patience, is_passing, pause_asked, persist

__all__ = ["Connection", "connect"]

_BLOCK = 1 << 16
_LIMIT_WORDS = re.compile(r"allowance|submission limit|daily limit|submissions? (?:per|a|each) day", re.IGNORECASE)


@contextmanager
def connect(site: Site, credentials: Credentials, patience: Patience | None = None) -> Iterator[Connection]:
    """Open a connection to a site; without patience, that which fits the site.

    Raises
    ------
    MissingExtra
        The package kaggle is not installed.
    CredentialsError
        Kaggle does not renew the token of `kaggle auth login`.
    GatewayError
        A connection to an arena is open in this process, and this one is to Kaggle.
    """
    _import_kaggle()
    with ExitStack() as opened:
        if site.name == "arena":
            opened.enter_context(_addresses(site.url))
            opened.enter_context(_no_proxy())
        else:
            _check_addresses()
        usual = Patience.near() if site.name == "arena" else Patience()
        yield Connection(site, credentials, patience or usual)


class Connection:
    """Kaggle's client with one site's credentials; it prints nothing, follows no redirect, and raises our errors."""

    def __init__(self, site: Site, credentials: Credentials, patience: Patience) -> None:
        self.site, self.patience, self._deadline = site, patience, Deadline(patience)
        if credentials.login is not None:
            credentials = replace(credentials, token=self._renewed(credentials.login))
        self._credentials = credentials
        self._client = _client(credentials.token, credentials.username, credentials.key, self._deadline)

    @property
    def token(self) -> str | None:
        return self._credentials.token

    @property
    def where(self) -> str:
        """The site, as the start of a sentence."""
        return "Kaggle" if self.site.name == "kaggle" else "The arena"

    def call(self, method: str, request: Any, slug: str | None, *, once: bool = False) -> Any:
        """Make one call about competitions; `slug` is for the words of errors.

        It is repeated while the site is busy or out of reach, unless `once`: for calls that must not happen twice, and
        for callers that repeat more than this call.
        """
        self._deadline.begin()

        def attempt() -> Any:
            with self.errors(slug), _quiet():
                return getattr(self._client.competitions.competition_api_client, method)(request)

        return attempt() if once else persist(attempt, self.patience)

    def locate(self, method: str, request: Any, slug: str) -> str:
        """The signed address that a download call answers with; the credentials go no further than that call."""
        answer = self.call(method, request, slug, once=True)
        answer.close()
        location = answer.headers.get("Location", "")
        if not location:
            raise Unreachable(f"{self.where} gave no address for the files of {slug}.", hint="Try again later.")
        return str(urljoin(answer.url, location))

    def introspect(self) -> str:
        """The name of the account that the token belongs to.

        Raises
        ------
        CredentialsError
            The token is none of this site's, which Kaggle answers in several ways.
        """
        from kagglesdk.security.types.oauth_service import IntrospectTokenRequest

        request = IntrospectTokenRequest()
        request.token = self.token
        self._deadline.begin()
        found = persist(lambda: self._introspected(request), self.patience)
        if not found.active or not found.username:
            raise self._unauthorized()
        return str(found.username)

    def _introspected(self, request: Any) -> Any:
        import requests

        with self.errors(None), _quiet():
            try:
                return self._client.security.oauth_client.introspect_token(request)
            except requests.HTTPError as error:
                if getattr(error.response, "status_code", None) in (400, 401, 403, 404):
                    raise self._unauthorized() from error
                raise

    def push_kernel(self, folder: Path) -> Any:
        """Push a notebook's folder, once: each push makes a version. Gives the client's answer."""
        self._deadline.begin()
        with self.errors(None), _quiet():
            try:
                return _api(self._client).kernels_push(str(folder))
            except ValueError as error:
                raise GatewayError(f"{folder} cannot be pushed: {error}.") from error

    @contextmanager
    def errors(self, slug: str | None) -> Iterator[None]:
        """Turn the client's exceptions into ours."""
        import requests

        try:
            yield
        except requests.HTTPError as error:
            raise self._refused(error, slug or "") from error
        except requests.JSONDecodeError as error:
            raise GatewayError(f"{self.where} sent an answer that is not JSON.", hint="Try again later.") from error
        except requests.RequestException as error:
            raise Unreachable(
                f"{self.where} cannot be reached ({type(error).__name__}).",
                hint="Check the connection, then run the same command again."
                if self.site.name == "kaggle"
                else "Is the arena still running?",
            ) from error
        except (KeyError, ValueError) as error:
            # The client's own parser: an enumeration it does not know, a date that is none.
            kind = type(error).__name__
            raise GatewayError(f"{self.where} sent an answer that Kaggle's client cannot read ({kind}).") from error

    def _refused(self, error: Any, slug: str) -> GatewayError:
        status, message = _status_of(error), _message_of(error)
        if status == 401:
            return self._unauthorized()
        if status == 403 and slug and self.site.name == "kaggle":
            return RulesNotAccepted(
                f"Kaggle refuses {slug}: its rules are not accepted yet, or it does not exist.",
                hint=f"Accept them at https://www.kaggle.com/competitions/{slug}/rules",
            )
        if status == 404 and slug:
            return CompetitionNotFound(f"{self.where} has no competition '{slug}'.")
        if status in (400, 429) and _LIMIT_WORDS.search(message):
            hint = "" if "reset" in message.lower() else _reset_hint()
            return LimitReached(f"No submissions to {slug} are left today: {message}", hint=hint)
        if is_passing(status):
            return Unreachable(
                f"{self.where} failed with status {status}: {message}",
                hint="Try again later.",
                retry_after=pause_asked(error.response.headers),
            )
        return GatewayError(f"{self.where} refused with status {status}: {message}")

    def _unauthorized(self) -> CredentialsError:
        hint = TOKEN_HINT if self.site.name == "kaggle" else "The token belongs to another arena."
        return CredentialsError(f"{self.where} refused the credentials.", hint=hint)

    def _renewed(self, login: Path) -> str:
        """The token of `kaggle auth login`; the client renews one that is over, and writes it back."""
        from kagglesdk.kaggle_creds import KaggleCredentials

        with self.errors(None), _quiet():
            client = _client(None, None, None, self._deadline)
            return str(KaggleCredentials.load(client, str(login)).get_access_token())


def _import_kaggle() -> None:
    """Import the client without what its import does: log in over the network, print, make a configuration folder."""
    if "kaggle" in sys.modules:
        return
    with tempfile.TemporaryDirectory() as folder, _environment_without_kaggle(folder), _quiet():
        try:
            importlib.import_module("kaggle")
        except ModuleNotFoundError as error:
            raise MissingExtra("Talking to Kaggle or the arena", error.name or "kaggle", "kaggle") from error


@contextmanager
def _environment_without_kaggle(folder: str) -> Iterator[None]:
    """For the moment of the import: an empty home, and no variable that names credentials."""
    before = dict(os.environ)
    try:
        for name in before:
            if name.startswith("KAGGLE_"):
                del os.environ[name]
        os.environ |= {"HOME": folder, "USERPROFILE": folder, "KAGGLE_CONFIG_DIR": folder}
        yield
    finally:
        for name in ("HOME", "USERPROFILE", "KAGGLE_CONFIG_DIR"):
            os.environ.pop(name, None)
        os.environ |= {k: v for k, v in before.items() if os.environ.get(k) != v}


@contextmanager
def _addresses(url: str) -> Iterator[None]:
    """Turn every address of the client to one site, and back."""
    from kagglesdk.kaggle_env import _env_to_endpoint

    before = dict(_env_to_endpoint)
    _env_to_endpoint.update(dict.fromkeys(before, url))
    try:
        yield
    finally:
        _env_to_endpoint.update(before)


@contextmanager
def _no_proxy() -> Iterator[None]:
    """Reach this computer without the proxy that the user's environment may name."""
    before = {name: os.environ.get(name) for name in ("no_proxy", "NO_PROXY")}
    listed = before["no_proxy"] or before["NO_PROXY"]
    os.environ.update(dict.fromkeys(before, f"{listed},127.0.0.1" if listed else "127.0.0.1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _check_addresses() -> None:
    from kagglesdk.kaggle_env import KaggleEnv, get_endpoint

    address = get_endpoint(KaggleEnv.PROD)
    if not re.fullmatch(r"https://(?:[a-z]+\.)?kaggle\.com", address):
        # Otherwise Kaggle's credentials would go there.
        raise GatewayError(f"Kaggle's client is turned to {address} just now.", hint="Close that gateway first.")


class Deadline:
    """The moment at which a call with all its tries must have ended."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self.begin()

    def begin(self) -> None:
        self._end = time.monotonic() + self._patience.budget

    @property
    def is_over(self) -> bool:
        return time.monotonic() >= self._end

    def timeout(self) -> tuple[float, float]:
        """Seconds to connect and seconds between two bytes, for a request that begins now."""
        left = max(0.05, self._end - time.monotonic())
        return min(self._patience.connect, left), min(self._patience.read, left)


def _client(token: str | None, username: str | None, key: str | None, deadline: Deadline) -> Any:
    """The generated client with explicit credentials, so that it looks for none itself, and with time limits."""
    from kagglesdk import KaggleClient, KaggleEnv

    client = KaggleClient(env=KaggleEnv.PROD, api_token=token, username=username, password=key)
    http = client.http_client()
    http._init_session()
    # No answer of the API leads its client elsewhere: what carries the credentials ends here.
    http._session.get_redirect_target = lambda response: None
    adapter = _adapter(deadline)
    for scheme in ("http://", "https://"):
        http._session.mount(scheme, adapter)
    return client


def _adapter(deadline: Deadline) -> Any:
    import requests

    class Patient(requests.adapters.HTTPAdapter):
        """Waits, but not for ever: the client itself sets no time limit."""

        def send(
            self,
            request: Any,
            stream: bool = False,
            timeout: Any = None,
            verify: bool | str = True,
            cert: Any = None,
            proxies: Any = None,
        ) -> requests.Response:
            answer = super().send(request, stream, timeout or deadline.timeout(), verify, cert, proxies)
            if not stream:
                # An answer that comes drop by drop passes every limit between two bytes.
                answer._content = _read(answer.raw, deadline)
            return answer

    return Patient()


def _read(raw: Any, deadline: Deadline) -> bytes:
    import requests
    from urllib3.exceptions import HTTPError

    content = bytearray()
    try:
        while block := raw.read1(_BLOCK, decode_content=True):
            content += block
            if deadline.is_over:
                raise requests.ReadTimeout("The answer comes too slowly.")
    except (HTTPError, OSError) as error:
        raise requests.ConnectionError(str(error)) from error
    return bytes(content)


def _api(client: Any) -> Any:
    """The hand-written half of Kaggle's client, made to use our connection."""
    from kaggle.api.kaggle_api_extended import KaggleApi

    api = KaggleApi()
    api.build_kaggle_client = lambda: client
    return api


@contextmanager
def _quiet() -> Iterator[None]:
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        yield


def _status_of(error: Any) -> int:
    """The status; an error that came with status 200 has it in its body."""
    status: int = error.response.status_code
    code = _body_of(error).get("code")
    return code if status < 400 and isinstance(code, int) else status


def _message_of(error: Any) -> str:
    return str(_body_of(error).get("message") or error)


def _body_of(error: Any) -> dict[str, Any]:
    """The site's own words, from either of its two shapes of errors."""
    try:
        body = error.response.json()
    except ValueError:
        return {}
    inner = body.get("error", body) if isinstance(body, dict) else {}
    return inner if isinstance(inner, dict) else {"message": inner}


def _reset_hint() -> str:
    now = datetime.now(UTC)
    midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    minutes = math.ceil((midnight - now).total_seconds() / 60)
    return f"The count starts again at 00:00 UTC, in {minutes // 60} h {minutes % 60} min."
