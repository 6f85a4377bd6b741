"""The one door to Kaggle, and to the arena that stands in for it: what is asked there, and what must hold.

A submission whose answer was lost is looked for before it is sent again; a download appears only when it is whole; and
errors say what to do next. How the asking is done is in `kaggle_client`: these two modules alone use Kaggle's packages,
`kaggle_client` the client itself, this one its message types, both inside functions.
"""

from __future__ import annotations

import os
import secrets
import shutil
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from kagglekit.credentials import TOKEN_HINT, Credentials, find_credentials
from kagglekit.errors import (
    CompetitionNotFound,
    CredentialsError,
    DataError,
    GatewayError,
    SubmissionError,
    Unreachable,
    nearest,
)
from kagglekit.files import disk_errors
from kagglekit.kaggle_client import TIMEOUT, connect
from kagglekit.progress import Progress, Silent, Task
from kagglekit.remote import CompetitionPage, DailyLimit, LeaderboardRow, RemoteFile, RemoteSubmission, Site

__all__ = [
    "CompetitionPage",
    "DailyLimit",
    "Gateway",
    "LeaderboardRow",
    "RemoteFile",
    "RemoteSubmission",
    "Site",
]

_PAGE_SIZE = 200


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
        self._credentials = self._find_credentials()
        with ExitStack() as opening:
            self._connection = opening.enter_context(connect(self.site, self._credentials))
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
        return CompetitionPage.of(self._call("get_competition", request, slug))

    def competitions(self, search: str = "") -> list[CompetitionPage]:
        """The arena's competitions, or the first page of Kaggle's for a search."""
        from kagglesdk.competitions.types.competition_api_service import ApiListCompetitionsRequest

        request = ApiListCompetitionsRequest()
        request.search, request.page_size = search, _PAGE_SIZE
        return [CompetitionPage.of(c) for c in self._call("list_competitions", request, None).competitions]

    def files(self, slug: str) -> list[RemoteFile]:
        """The files of a competition, in the site's order."""
        from kagglesdk.competitions.types.competition_api_service import ApiListDataFilesRequest

        request = ApiListDataFilesRequest()
        request.competition_name, request.page_size = slug, _PAGE_SIZE
        files = self._all_pages("list_data_files", request, slug, "files")
        return [RemoteFile.of(f) for f in files]

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
        return [RemoteSubmission.of(s) for s in self._call("list_submissions", request, slug).submissions]

    def submission(self, ref: str) -> RemoteSubmission:
        """One submission."""
        from kagglesdk.competitions.types.competition_api_service import ApiGetSubmissionRequest

        if not ref.isascii() or not ref.isdigit():
            raise GatewayError(f"A submission's number is expected, got '{ref}'.")
        request = ApiGetSubmissionRequest()
        request.ref = int(ref)
        return RemoteSubmission.of(self._call("get_submission", request, None))

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
        return [LeaderboardRow.of(rank, line) for rank, line in enumerate(lines, start=1)]

    def push_kernel(self, folder: Path) -> str:
        """Push a notebook or script with its `kernel-metadata.json`.

        Returns
        -------
        str
            Its address.

        Raises
        ------
        GatewayError
            The metadata are not accepted, or the site saved the notebook without data that it asks for; the message
            says why.
        """
        found = self._connection.push_kernel(folder)
        if found.error:
            raise GatewayError(f"{self._where} refused {folder}: {found.error}")
        for kind in ("competition", "dataset", "kernel", "model"):
            if missing := getattr(found, f"invalid_{kind}_sources"):
                raise GatewayError(
                    f"{self._where} saved {found.url} without the {kind} {', '.join(missing)}: it cannot use it.",
                    hint="Check the name, accept the competition's rules on the site, then push again.",
                )
        return str(found.url)

    @property
    def username(self) -> str:
        """The account's name, which the addresses of its notebooks begin with; asks the site when it must."""
        return self._credentials.username or self._connection.introspect()

    @property
    def _where(self) -> str:
        return self._connection.where

    def _find_credentials(self) -> Credentials:
        if self.site.name == "arena":
            if not self._token:
                raise CredentialsError("The arena's token is needed.", hint="An open Arena has it as .token.")
            return Credentials("the arena's token", token=self._token)
        found = find_credentials(os.environ, Path.home())
        if found is None:
            raise CredentialsError("There are no Kaggle credentials on this computer.", hint=TOKEN_HINT)
        return found

    def _call(self, method: str, request: Any, slug: str | None) -> Any:
        try:
            return self._connection.call(method, request, slug)
        except CompetitionNotFound as error:
            raise CompetitionNotFound(error.message, hint=self._nearest(slug or "")) from error

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
        with progress.task(f"download {slug}", total) as task, _watching(path, task):
            self._connection.fetch(response, path, slug)
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
        with self._connection.errors(slug), requests.Session() as session:
            for attempt in (1, 2):
                try:
                    with file.open("rb") as body:
                        answer = session.put(started.create_url, data=body, timeout=TIMEOUT)
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

    def _nearest(self, slug: str) -> str:
        search = "" if self.site.name == "arena" else slug.replace("-", " ")
        try:
            return nearest(slug, [c.slug for c in self.competitions(search)])
        except GatewayError:
            return "Check its name in the competition's address."


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
