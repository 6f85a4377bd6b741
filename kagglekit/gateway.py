"""The one door to Kaggle, and to the arena that stands in for it: nothing else imports `kaggle`.

The official client does the talking. Around it this module sees to what the client leaves open: importing it neither
logs in nor prints nor makes folders; credentials go to the site that they belong to and nowhere else; every wait ends;
a submission whose answer was lost is looked for before it is sent again; and errors say what to do next.
"""

from __future__ import annotations

import importlib
import io
import json
import math
import os
import re
import secrets
import shutil
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from kagglekit.errors import (
    CompetitionNotFound,
    CredentialsError,
    DataError,
    GatewayError,
    LimitReached,
    MissingExtra,
    RulesNotAccepted,
    SubmissionError,
    Unreachable,
    nearest,
)
from kagglekit.files import disk_errors
from kagglekit.progress import Progress, Silent, Task
from kagglekit.workspace import SiteName

__all__ = [
    "CompetitionPage",
    "DailyLimit",
    "Gateway",
    "LeaderboardRow",
    "RemoteFile",
    "RemoteSubmission",
    "Site",
    "choose_site",
    "credentials_found",
]

Status = Literal["pending", "complete", "error"]

_CONNECT_SECONDS = 10.0
_READ_SECONDS = 120.0
_DOWNLOAD_RETRIES = 3
_PAGE_SIZE = 200
_TOKEN_HINT = (
    "Make a token at https://www.kaggle.com/settings and save it as ~/.kaggle/access_token, or set KAGGLE_API_TOKEN."
)
_LIMIT_WORDS = re.compile(r"allowance|submission limit|daily limit|submissions? (?:per|a|each) day", re.IGNORECASE)


@dataclass(frozen=True)
class Site:
    """Where competitions are: Kaggle itself, or an arena."""

    name: SiteName
    url: str

    @classmethod
    def kaggle(cls) -> Site:
        return cls("kaggle", "https://www.kaggle.com")


@dataclass(frozen=True)
class CompetitionPage:
    """What a site says about a competition.

    Parameters
    ----------
    slug, title, url, description, metric : str
        `metric` is the site's own word for it; the arena uses kagglekit's names.
    deadline : datetime or None
        UTC.
    daily_limit : int
        0 when the site does not say.
    teams, place : int or None
        Teams on the public leaderboard, and one's own rank there; None when the site does not say.
    """

    slug: str
    title: str
    url: str
    description: str
    metric: str
    deadline: datetime | None
    daily_limit: int
    teams: int | None = None
    place: int | None = None


@dataclass(frozen=True)
class RemoteFile:
    """A file that can be downloaded."""

    name: str
    bytes: int
    created: datetime | None


@dataclass(frozen=True)
class RemoteSubmission:
    """A submission as the site knows it; scores are None until it has some, `error` is the site's reason."""

    ref: str
    file: str
    message: str
    status: Status
    public: float | None
    private: float | None
    date: datetime | None
    error: str


@dataclass(frozen=True)
class DailyLimit:
    """Submissions of this UTC day: how many count already, and how many are left."""

    used: int
    left: int


@dataclass(frozen=True)
class LeaderboardRow:
    """One line of a leaderboard, best first."""

    rank: int
    team: str
    score: float
    date: datetime | None


@dataclass(frozen=True)
class _Credentials:
    source: str
    token: str | None = field(default=None, repr=False)
    username: str | None = field(default=None, repr=False)
    key: str | None = field(default=None, repr=False)


def credentials_found(env: Mapping[str, str], home: Path) -> str | None:
    """Name of the place that holds Kaggle credentials; never the secret itself.

    Parameters
    ----------
    env : mapping
        Environment variables.
    home : Path
        The user's home folder.
    """
    found = _find_credentials(env, home)
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
        raise CredentialsError("There are no Kaggle credentials on this computer.", hint=_TOKEN_HINT)
    return "arena"


class Gateway:
    """An open connection to a site.

    Parameters
    ----------
    site : Site
    token : str, optional
        The arena's token, which the arena needs. For Kaggle the credentials are found where Kaggle's client keeps them.

    Raises
    ------
    MissingExtra
        The package kaggle is not installed.
    CredentialsError
        There are no credentials for this site.

    Notes
    -----
    All methods raise `Unreachable` when there is no connection, `CredentialsError` when credentials are refused,
    `CompetitionNotFound`, `RulesNotAccepted`, `LimitReached`, and `GatewayError` for everything else the site refuses.
    One process works with one site at a time: the client's own address table is turned to the arena while a gateway to
    it is open, so that nothing can slip through to Kaggle.
    """

    def __init__(self, site: Site, token: str | None = None) -> None:
        self.site = site
        self._token = token
        self._open = ExitStack()

    def __enter__(self) -> Gateway:
        credentials = self._credentials()
        _import_kaggle()
        with ExitStack() as opening:
            if self.site.name == "arena":
                opening.enter_context(_addresses(self.site.url))
                opening.enter_context(_no_proxy())
            else:
                _check_addresses()
            self._client = _client(credentials)
            self._open = opening.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def competition(self, slug: str) -> CompetitionPage:
        """What the site says about a competition."""
        from kagglesdk.competitions.types.competition_api_service import ApiGetCompetitionRequest

        request = ApiGetCompetitionRequest()
        request.competition_name = slug
        return _page_of(self._call("get_competition", request, slug))

    def competitions(self, search: str = "") -> list[CompetitionPage]:
        """The arena's competitions, or the first page of Kaggle's for a search."""
        from kagglesdk.competitions.types.competition_api_service import ApiListCompetitionsRequest

        request = ApiListCompetitionsRequest()
        request.search, request.page_size = search, _PAGE_SIZE
        return [_page_of(c) for c in self._call("list_competitions", request, search).competitions]

    def files(self, slug: str) -> list[RemoteFile]:
        """The files of a competition, in the site's order."""
        from kagglesdk.competitions.types.competition_api_service import ApiListDataFilesRequest

        request = ApiListDataFilesRequest()
        request.competition_name, request.page_size = slug, _PAGE_SIZE
        files = self._all_pages("list_data_files", request, slug, "files")
        return [RemoteFile(f.name, f.total_bytes, _aware(f.creation_date)) for f in files]

    def download(self, slug: str, to: Path, progress: Progress | None = None) -> Path:
        """Download all files of a competition as one zip.

        A download that was cut off goes on where it stopped, in this call or the next.

        Parameters
        ----------
        slug : str
        to : Path
            The zip file; it appears only when it is whole and its checksums are right.
        progress : Progress, optional

        Returns
        -------
        Path
            `to`.

        Raises
        ------
        DataError
            What came is not a sound zip.
        DiskError
        """
        from kagglesdk.competitions.types.competition_api_service import ApiDownloadDataFilesRequest

        request = ApiDownloadDataFilesRequest()
        request.competition_name = slug
        part = to.parent / f".{to.name}.part"
        with disk_errors(to):
            part.mkdir(parents=True, exist_ok=True)
            response = self._call("download_data_files", request, slug)
            path = self._fetched(response, part / to.name, slug, progress or Silent())
            _check_zip(path, part)
            path.replace(to)
            shutil.rmtree(part)
        return to

    def submit(self, slug: str, file: Path, message: str) -> str:
        """Send a submission file.

        The file is uploaded, then submitted once. When the answer is lost, the submissions are searched for the short
        mark that is added to the message, and it is sent again only if it is not there.

        Returns
        -------
        str
            The site's number of the submission.

        Raises
        ------
        SubmissionError
            There is no such file, or it is empty.
        LimitReached
            No submissions are left today.
        """
        if not file.is_file() or file.stat().st_size == 0:
            raise SubmissionError(f"{file} is missing or empty.", hint="Write the submission first.")
        mark = f"[{secrets.token_hex(4)}]"
        token = self._uploaded(slug, file)
        ref = self._created(slug, token, f"{message} {mark}".strip(), mark)
        if not ref:
            raise GatewayError(f"{self._where} took the submission to {slug} but gave it no number.")
        return ref

    def submissions(self, slug: str) -> list[RemoteSubmission]:
        """The newest submissions of the user's team, newest first."""
        from kagglesdk.competitions.types.competition_api_service import ApiListSubmissionsRequest

        request = ApiListSubmissionsRequest()
        request.competition_name, request.page_size = slug, _PAGE_SIZE
        return [_submission_of(s) for s in self._call("list_submissions", request, slug).submissions]

    def submission(self, ref: str) -> RemoteSubmission:
        """One submission."""
        from kagglesdk.competitions.types.competition_api_service import ApiGetSubmissionRequest

        if not ref.isascii() or not ref.isdigit():
            raise GatewayError(f"A submission's number is expected, got '{ref}'.")
        request = ApiGetSubmissionRequest()
        request.ref = int(ref)
        return _submission_of(self._call("get_submission", request, None))

    def wait_for_score(
        self, slug: str, ref: str, timeout: float = 600.0, progress: Progress | None = None
    ) -> RemoteSubmission:
        """Ask for a submission until it has a score or an error, less and less often.

        Parameters
        ----------
        slug, ref : str
        timeout : float
            Seconds. After that the submission is returned as it is, still pending.
        progress : Progress, optional
        """
        end = time.monotonic() + timeout
        pause = 0.05 if self.site.name == "arena" else 2.0
        with (progress or Silent()).task(f"score of {slug}", None) as task:
            while True:
                found = self.submission(ref)
                left = end - time.monotonic()
                if found.status != "pending" or left <= 0:
                    return found
                time.sleep(min(pause, left))
                task.advance()
                pause = min(pause * 1.5, 20.0)

    def daily_limit(self, slug: str) -> DailyLimit:
        """How many submissions are used and left today."""
        from kagglesdk.competitions.types.competition_api_service import ApiGetSubmissionLimitsRequest

        request = ApiGetSubmissionLimitsRequest()
        request.competition_name = slug
        found = self._call("get_submission_limits", request, slug)
        return DailyLimit(found.num_today, found.num_allowed_now)

    def leaderboard(self, slug: str) -> list[LeaderboardRow]:
        """The first page of the public leaderboard: up to 200 teams, best first."""
        from kagglesdk.competitions.types.competition_api_service import ApiGetLeaderboardRequest

        request = ApiGetLeaderboardRequest()
        request.competition_name, request.page_size = slug, _PAGE_SIZE
        lines = self._call("get_leaderboard", request, slug).submissions
        return [
            LeaderboardRow(rank, s.team_name or "", _number(s.score, math.nan), _aware(s.submission_date))
            for rank, s in enumerate(lines, start=1)
        ]

    def push_kernel(self, folder: Path) -> str:
        """Push a notebook or script with its `kernel-metadata.json`.

        Returns
        -------
        str
            Its address.

        Raises
        ------
        GatewayError
            The metadata are not accepted; the message says why.
        """
        api = _api(self._client)
        with self._mapped(None), _quiet():
            try:
                found = api.kernels_push(str(folder))
            except ValueError as error:
                raise GatewayError(f"{folder} cannot be pushed: {error}.") from error
        if found.error:
            raise GatewayError(f"{self._where} refused {folder}: {found.error}")
        return str(found.url)

    @property
    def username(self) -> str:
        """The account's name, which the addresses of its notebooks begin with; asks the site when it must."""
        credentials = self._credentials()
        if credentials.username:
            return credentials.username
        from kagglesdk.security.types.oauth_service import IntrospectTokenRequest

        request = IntrospectTokenRequest()
        request.token = credentials.token
        with self._mapped(None), _quiet():
            found = self._client.security.oauth_client.introspect_token(request)
        if not found.active or not found.username:
            raise self._unauthorized("", "")
        return str(found.username)

    @property
    def _where(self) -> str:
        return "Kaggle" if self.site.name == "kaggle" else "The arena"

    def _credentials(self) -> _Credentials:
        if self.site.name == "arena":
            if not self._token:
                raise CredentialsError("The arena's token is needed.", hint="kagglekit arena shows it.")
            return _Credentials("the arena's token", token=self._token)
        found = _find_credentials(os.environ, Path.home())
        if found is None:
            raise CredentialsError("There are no Kaggle credentials on this computer.", hint=_TOKEN_HINT)
        return found

    def _call(self, method: str, request: Any, slug: str | None) -> Any:
        with self._mapped(slug), _quiet():
            return getattr(self._client.competitions.competition_api_client, method)(request)

    def _all_pages(self, method: str, request: Any, slug: str, items: str) -> list[Any]:
        found: list[Any] = []
        while True:
            answer = self._call(method, request, slug)
            found += getattr(answer, items)
            token = answer.next_page_token
            if not token or token == request.page_token:
                return found
            request.page_token = token

    def _fetched(self, response: Any, path: Path, slug: str, progress: Progress) -> Path:
        length = response.headers.get("Content-Length")
        total = int(length) if length else None
        # No output is redirected here: a progress bar may be drawing meanwhile, and `quiet` keeps the client silent.
        with self._mapped(slug), progress.task(f"download {slug}", total) as task, _watching(path, task):
            try:
                _api(self._client).download_file(
                    response,
                    str(path),
                    self._client.http_client(),
                    quiet=True,
                    resume=True,
                    max_retries=_DOWNLOAD_RETRIES,
                    timeout=_READ_SECONDS,
                )
            except ValueError as error:
                raise Unreachable(
                    f"The download of {slug} broke off.", hint="Run it again: it goes on there."
                ) from error
        return path

    def _uploaded(self, slug: str, file: Path) -> str:
        import requests
        from kagglesdk.competitions.types.competition_api_service import ApiStartSubmissionUploadRequest

        request = ApiStartSubmissionUploadRequest()
        request.competition_name, request.file_name = slug, file.name
        request.content_length = file.stat().st_size
        request.last_modified_epoch_seconds = int(file.stat().st_mtime)
        started = self._call("start_submission_upload", request, slug)
        # The client's own upload repeats itself for minutes and swallows the reason; the protocol is one PUT, and
        # putting the same bytes to the same address twice does no harm.
        with self._mapped(slug), requests.Session() as session:
            for attempt in (1, 2):
                try:
                    with file.open("rb") as body:
                        answer = session.put(started.create_url, data=body, timeout=(_CONNECT_SECONDS, _READ_SECONDS))
                    break
                except requests.ConnectionError:
                    if attempt == 2:
                        raise
            answer.raise_for_status()
            if answer.status_code not in (200, 201):
                raise Unreachable(f"Only a part of {file} arrived at {slug}.", hint="Run the same command again.")
        return str(started.token)

    def _created(self, slug: str, token: str, message: str, mark: str) -> str:
        from kagglesdk.competitions.types.competition_api_service import ApiCreateSubmissionRequest

        request = ApiCreateSubmissionRequest()
        request.competition_name, request.blob_file_tokens = slug, token
        request.submission_description = message
        for _ in range(2):
            try:
                ref = self._call("create_submission", request, slug).ref
            except Unreachable:
                if found := self._marked(slug, mark):
                    return found
                continue
            return str(ref) if ref else self._marked(slug, mark)
        raise Unreachable(f"The submission to {slug} was sent twice, and did not arrive.", hint="Try again later.")

    def _marked(self, slug: str, mark: str) -> str:
        """The number of the submission whose message holds the mark; "" when there is none."""
        time.sleep(0.1 if self.site.name == "arena" else 3.0)
        try:
            return next((s.ref for s in self.submissions(slug) if mark in s.message), "")
        except Unreachable as error:
            raise Unreachable(
                f"The connection broke while {slug} was submitted; nobody knows yet whether it counted.",
                hint=f"Look for '{mark}' among your submissions before you send it again.",
            ) from error

    @contextmanager
    def _mapped(self, slug: str | None) -> Iterator[None]:
        """Turn the client's exceptions into ours."""
        import requests

        try:
            yield
        except requests.HTTPError as error:
            raise self._refused(error, slug) from error
        except requests.JSONDecodeError as error:
            raise GatewayError(f"{self._where} sent an answer that is not JSON.", hint="Try again later.") from error
        except requests.RequestException as error:
            raise Unreachable(
                f"{self._where} cannot be reached ({type(error).__name__}).",
                hint="Check the connection, then run the same command again."
                if self.site.name == "kaggle"
                else "Is the arena still running?",
            ) from error
        except (KeyError, ValueError) as error:
            # The client's own parser: an enumeration it does not know, a date that is none.
            raise GatewayError(f"{self._where} sent an answer that Kaggle's client cannot read ({error!r}).") from error

    def _refused(self, error: Any, slug: str | None) -> GatewayError:
        status, message = error.response.status_code, _message_of(error)
        makers: dict[int, Callable[[str, str], GatewayError]] = {
            401: self._unauthorized,
            403: self._forbidden,
            404: self._not_found,
        }
        if status in makers:
            return makers[status](slug or "", message)
        if status in (400, 429) and _LIMIT_WORDS.search(message):
            return LimitReached(f"No submissions to {slug} are left today: {message}", hint=_reset_hint())
        if status >= 500 and status != 501:
            return Unreachable(f"{self._where} failed with status {status}: {message}", hint="Try again later.")
        return GatewayError(f"{self._where} refused with status {status}: {message}")

    def _unauthorized(self, slug: str, message: str) -> GatewayError:
        hint = _TOKEN_HINT if self.site.name == "kaggle" else "The token belongs to another arena."
        return CredentialsError(f"{self._where} refused the credentials.", hint=hint)

    def _forbidden(self, slug: str, message: str) -> GatewayError:
        if self.site.name == "arena" or not slug:
            return GatewayError(f"{self._where} refused: {message}")
        return RulesNotAccepted(
            f"Kaggle refuses {slug}: its rules are not accepted yet, or it does not exist.",
            hint=f"Accept them at https://www.kaggle.com/competitions/{slug}/rules",
        )

    def _not_found(self, slug: str, message: str) -> GatewayError:
        if not slug:
            return GatewayError(f"{self._where} does not know this: {message}")
        return CompetitionNotFound(f"{self._where} has no competition '{slug}'.", hint=self._nearest(slug))

    def _nearest(self, slug: str) -> str:
        search = "" if self.site.name == "arena" else slug.replace("-", " ")
        try:
            return nearest(slug, [c.slug for c in self.competitions(search)])
        except GatewayError:
            return "Check its name in the competition's address."


def _find_credentials(env: Mapping[str, str], home: Path) -> _Credentials | None:
    """Look where Kaggle's client looks, in its order."""
    if value := env.get("KAGGLE_API_TOKEN"):
        token = _text_of(Path(value)) if _is_file(value) else value
        if token:
            return _Credentials("KAGGLE_API_TOKEN", token=token)
    for name in ("access_token", "access_token.txt"):
        if token := _text_of(home / ".kaggle" / name):
            return _Credentials(f"~/.kaggle/{name}", token=token)
    if env.get("KAGGLE_USERNAME") and env.get("KAGGLE_KEY"):
        return _Credentials("KAGGLE_USERNAME and KAGGLE_KEY", username=env["KAGGLE_USERNAME"], key=env["KAGGLE_KEY"])
    for folder in _config_folders(env, home):
        if found := _key_file(folder / "kaggle.json"):
            return found
    return None


def _config_folders(env: Mapping[str, str], home: Path) -> list[Path]:
    if env.get("KAGGLE_CONFIG_DIR"):
        return [Path(env["KAGGLE_CONFIG_DIR"])]
    return [home / ".kaggle", Path(env.get("XDG_CONFIG_HOME") or home / ".config") / "kaggle"]


def _key_file(path: Path) -> _Credentials | None:
    try:
        stored = json.loads(_text_of(path) or "{}")
    except ValueError:
        return None
    if not isinstance(stored, dict) or not (stored.get("username") and stored.get("key")):
        return None
    return _Credentials(str(path), username=str(stored["username"]), key=str(stored["key"]))


def _is_file(value: str) -> bool:
    try:
        return Path(value).is_file()
    except (OSError, ValueError):
        # A long token is no possible file name.
        return False


def _text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8").strip() if path.is_file() else ""


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


def _client(credentials: _Credentials) -> Any:
    """The generated client with explicit credentials, so that it looks for none itself, and with time limits."""
    from kagglesdk import KaggleClient, KaggleEnv

    client = KaggleClient(
        env=KaggleEnv.PROD, api_token=credentials.token, username=credentials.username, password=credentials.key
    )
    http = client.http_client()
    http._init_session()
    adapter = _adapter()
    for scheme in ("http://", "https://"):
        http._session.mount(scheme, adapter)
    return client


def _adapter() -> Any:
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
            timeout = timeout or (_CONNECT_SECONDS, _READ_SECONDS)
            return super().send(request, stream, timeout, verify, cert, proxies)

    return Patient()


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


@contextmanager
def _watching(path: Path, task: Task) -> Iterator[None]:
    """Report how a file grows that somebody else writes."""
    done = threading.Event()
    watcher = threading.Thread(target=_watch, args=(path, task, done), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


def _watch(path: Path, task: Task, done: threading.Event) -> None:
    seen, last = 0, False
    while not last:
        last = done.wait(0.1)
        size = path.stat().st_size if path.exists() else 0
        if size > seen:
            task.advance(size - seen)
            seen = size


def _check_zip(path: Path, part: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            bad = archive.testzip()
    except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        bad = str(error)
    if bad is not None:
        shutil.rmtree(part)
        raise DataError(f"The download is not a sound zip file ({bad}).", hint="Download it again.")


def _message_of(error: Any) -> str:
    """The site's own words, from either of its two shapes of errors."""
    try:
        body = error.response.json()
    except ValueError:
        return str(error)
    inner = body.get("error", body) if isinstance(body, dict) else {}
    message = inner.get("message") if isinstance(inner, dict) else inner
    return str(message or error)


def _reset_hint() -> str:
    now = datetime.now(UTC)
    midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    minutes = math.ceil((midnight - now).total_seconds() / 60)
    return f"The count starts again at 00:00 UTC, in {minutes // 60} h {minutes % 60} min."


def _page_of(found: Any) -> CompetitionPage:
    # Kaggle's `ref` is the address, its last part the slug.
    slug = (found.ref or found.url or "").rstrip("/").rsplit("/", 1)[-1]
    return CompetitionPage(
        slug=slug,
        title=found.title or slug,
        url=found.url or found.ref,
        description=found.description or "",
        metric=found.evaluation_metric or "",
        deadline=_aware(found.deadline),
        daily_limit=found.max_daily_submissions,
        teams=found.team_count or None,
        place=found.user_rank or None,
    )


def _submission_of(found: Any) -> RemoteSubmission:
    statuses: dict[str, Status] = {"PENDING": "pending", "COMPLETE": "complete", "ERROR": "error"}
    return RemoteSubmission(
        ref=str(found.ref),
        file=found.file_name or "",
        message=found.description or "",
        status=statuses[found.status.name],
        public=_number(found.public_score, None),
        private=_number(found.private_score, None),
        date=_aware(found.date),
        error=found.error_description or "",
    )


def _number(text: str | None, otherwise: Any) -> Any:
    try:
        return float(text) if text else otherwise
    except ValueError:
        return otherwise


def _aware(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment else None
