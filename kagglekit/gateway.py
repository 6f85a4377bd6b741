"""The one door to Kaggle, and to the arena that stands in for it: what is asked there, and what must hold.

A submission whose answer was lost is looked for before it is sent again; a download appears only when it is whole; and
errors say what to do next. How the asking is done is in `kaggle_client`, how bytes come and go in `transfer`. Only this
module and `kaggle_client` use Kaggle's packages, `kaggle_client` the client itself, this one its message types, both
inside functions.
"""

from __future__ import annotations

import os
import secrets
import time
from contextlib import ExitStack
from functools import partial
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
from kagglekit.kaggle_client import connect
from kagglekit.progress import Progress, Silent
from kagglekit.remote import CompetitionPage, DailyLimit, LeaderboardRow, RemoteFile, RemoteSubmission, Site
from kagglekit.retries import Patience
from kagglekit.transfer import Received, fetch, send

__all__ = [
    "CompetitionPage",
    "DailyLimit",
    "Gateway",
    "LeaderboardRow",
    "Patience",
    "Received",
    "RemoteFile",
    "RemoteSubmission",
    "Site",
    "new_mark",
]

_PAGE_SIZE = 200
_SENDS = 3


class Gateway:
    """An open connection to a site.

    Parameters
    ----------
    site : Site
    token : str, optional
        The arena's token, which the arena needs. For Kaggle the credentials are found where Kaggle's client keeps them.
    patience : Patience, optional
        How long each call and each transfer is tried; by default what fits the site.

    Raises
    ------
    MissingExtra
        The package kaggle is not installed.
    CredentialsError
        There are no credentials for this site, or others can read the file that holds them.

    Notes
    -----
    All methods raise `Unreachable` when there is no connection, `CredentialsError` when credentials are refused,
    `CompetitionNotFound`, `RulesNotAccepted`, `LimitReached`, and `GatewayError` for everything else the site refuses.
    One process works with one site at a time: the client's own address table is turned to the arena while a gateway to
    it is open, so that nothing can slip through to Kaggle.
    """

    def __init__(self, site: Site, token: str | None = None, *, patience: Patience | None = None) -> None:
        self.site = site
        # Credentials show no secret in their repr, wherever this object may be printed.
        self._given = Credentials("the arena's token", token=token) if token else None
        self._patience = patience
        self._open = ExitStack()

    def __enter__(self) -> Gateway:
        self._credentials = self._find_credentials()
        with ExitStack() as opening:
            self._connection = opening.enter_context(connect(self.site, self._credentials, self._patience))
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

    def files(self, slug: str, *, most: int | None = None) -> list[RemoteFile]:
        """The files of a competition, in the site's order; `most` ends the asking once so many are known."""
        from kagglesdk.competitions.types.competition_api_service import ApiListDataFilesRequest

        request = ApiListDataFilesRequest()
        request.competition_name, request.page_size = slug, _PAGE_SIZE
        files = self._all_pages("list_data_files", request, slug, "files", most)
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
        locate = partial(self._located, "download_data_files", request, slug)
        return fetch(locate, to, patience=self._connection.patience, label=slug, zipped=True, progress=progress).path

    def download_file(self, slug: str, name: str, to: Path, progress: Progress | None = None) -> Received:
        """Download one file of a competition.

        Parameters
        ----------
        slug : str
        name : str
            As the site lists it.
        to : Path
            Appears only when it is whole.
        progress : Progress, optional

        Returns
        -------
        Received
            Says what the bytes were checked by, and the name that the site gave them: Kaggle sends some files packed,
            with ".zip" added.

        Raises
        ------
        DataError
            There is no such file, or what came is damaged.
        DiskError
        """
        from kagglesdk.competitions.types.competition_api_service import ApiDownloadDataFileRequest

        listed = {f.name: f.bytes for f in self.files(slug)}
        if name not in listed:
            raise DataError(f"{slug} has no file '{name}'.", hint=nearest(name, listed))
        request = ApiDownloadDataFileRequest()
        request.competition_name, request.file_name = slug, name
        locate = partial(self._located, "download_data_file", request, slug)
        label, patience = f"{slug}/{name}", self._connection.patience
        return fetch(locate, to, patience=patience, label=label, size=listed[name], progress=progress)

    def submit(self, slug: str, file: Path, message: str) -> str:
        """Send a submission file: `upload`, then `create` with a mark of its own.

        When this process may be killed in between, use `sending.send_once`.

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
        return self.create(slug, self.upload(slug, file), message, new_mark())

    def upload(self, slug: str, file: Path) -> str:
        """Upload a submission file, which submits nothing yet; returns what `create` needs to name it.

        Raises
        ------
        SubmissionError
            There is no such file, or it is empty.
        """
        from kagglesdk.competitions.types.competition_api_service import ApiStartSubmissionUploadRequest

        if not file.is_file() or file.stat().st_size == 0:
            raise SubmissionError(f"{file} is missing or empty.", hint="Write the submission first.")
        request = ApiStartSubmissionUploadRequest()
        request.competition_name, request.file_name = slug, file.name
        request.content_length = file.stat().st_size
        request.last_modified_epoch_seconds = int(file.stat().st_mtime)
        started = self._call("start_submission_upload", request, slug)
        # Not the client's own upload, which repeats itself for minutes and swallows the reason.
        send(started.create_url, file, patience=self._connection.patience, label=file.name)
        return str(started.token)

    def create(self, slug: str, upload: str, message: str, mark: str) -> str:
        """Make a submission of an uploaded file, exactly once.

        When the answer is lost, the submissions are searched for the mark, which is added to the message, and it is
        sent again only if it is not there.

        Returns
        -------
        str
            The site's number of the submission.

        Raises
        ------
        LimitReached
            No submissions are left today.
        Unreachable
            It did not arrive, or nobody can know.
        """
        from kagglesdk.competitions.types.competition_api_service import ApiCreateSubmissionRequest

        request = ApiCreateSubmissionRequest()
        request.competition_name, request.blob_file_tokens = slug, upload
        request.submission_description = f"{message} {mark}".strip()
        for _ in range(_SENDS):
            try:
                answer = self._connection.call("create_submission", request, slug, once=True)
            except Unreachable as error:
                time.sleep(min(error.retry_after or 0.0, self._connection.patience.longest_pause))
                if found := self.find(slug, mark):
                    return found
                continue
            except CompetitionNotFound as error:
                raise self._not_found(error, slug) from error
            return self._confirmed(slug, mark, str(answer.ref or ""), answer.message or "")
        raise Unreachable(
            f"The submission to {slug} was sent {_SENDS} times, and did not arrive.", hint="Try again later."
        )

    def find(self, slug: str, mark: str) -> str:
        """The number of the submission whose message holds a mark; "" when there is none, even after a while.

        Raises
        ------
        Unreachable
            Nobody can know.
        """
        settle = self._connection.patience.settle
        for share in (0.1, 0.3, 0.6):
            time.sleep(settle * share)
            try:
                found = next((s.ref for s in self._every_submission(slug) if mark in s.message), "")
            except Unreachable as error:
                raise Unreachable(
                    f"The connection broke while {slug} was submitted; nobody knows yet whether it counted.",
                    hint=f"Look for '{mark}' among your submissions before you send it again.",
                ) from error
            if found:
                return found
        return ""

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
            if self._given is None:
                raise CredentialsError("The arena's token is needed.", hint="An open Arena has it as .token.")
            return self._given
        found = find_credentials(os.environ, Path.home())
        if found is None:
            raise CredentialsError("There are no Kaggle credentials on this computer.", hint=TOKEN_HINT)
        if found.exposed is not None:
            raise CredentialsError(f"Other users can read {found.exposed}.", hint=f"Run: chmod 600 {found.exposed}")
        return found

    def _call(self, method: str, request: Any, slug: str | None) -> Any:
        try:
            return self._connection.call(method, request, slug)
        except CompetitionNotFound as error:
            raise self._not_found(error, slug or "") from error

    def _located(self, method: str, request: Any, slug: str) -> str:
        try:
            return self._connection.locate(method, request, slug)
        except CompetitionNotFound as error:
            raise self._not_found(error, slug) from error

    def _all_pages(self, method: str, request: Any, slug: str, items: str, most: int | None = None) -> list[Any]:
        found: list[Any] = []
        while True:
            answer = self._call(method, request, slug)
            found += getattr(answer, items)
            token = answer.next_page_token
            if not token or token == request.page_token or (most is not None and len(found) >= most):
                return found
            request.page_token = token

    def _every_submission(self, slug: str) -> list[RemoteSubmission]:
        from kagglesdk.competitions.types.competition_api_service import ApiListSubmissionsRequest

        request = ApiListSubmissionsRequest()
        request.competition_name, request.page_size = slug, _PAGE_SIZE
        return [RemoteSubmission.of(s) for s in self._all_pages("list_submissions", request, slug, "submissions")]

    def _confirmed(self, slug: str, mark: str, ref: str, said: str) -> str:
        """The number of a submission that the site says it took; looked up where its answer is not quite that."""
        if ref and "success" in said.lower():
            return ref
        if found := self.find(slug, mark):
            return found
        raise GatewayError(
            f"{self._where} answered the submission to {slug} without a sign that it counts: {said or 'no message'}",
            hint=f"Look for '{mark}' among your submissions before you send it again.",
        )

    def _not_found(self, error: CompetitionNotFound, slug: str) -> CompetitionNotFound:
        return CompetitionNotFound(error.message, hint=self._nearest(slug))

    def _nearest(self, slug: str) -> str:
        search = "" if self.site.name == "arena" else slug.replace("-", " ")
        try:
            return nearest(slug, [c.slug for c in self.competitions(search)])
        except GatewayError:
            return "Check its name in the competition's address."


def new_mark() -> str:
    """A short mark that no other submission has, to find one by."""
    return f"[{secrets.token_hex(4)}]"
