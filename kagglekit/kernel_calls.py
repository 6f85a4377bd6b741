"""What is asked of a site about one's own notebooks; how the asking is done is in `kaggle_client`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from kagglekit.archives import check_names
from kagglekit.errors import GatewayError, RemoteNotFound, Unreachable
from kagglekit.kaggle_client import Connection
from kagglekit.transfer import fetch

__all__ = ["KernelCalls", "Pushed", "Quota", "SessionState"]

_PAGE_SIZE = 200
_MOVING = ("QUEUED", "RUNNING", "CANCEL_REQUESTED", "NEW_SCRIPT")


@dataclass(frozen=True)
class Pushed:
    """A version of a notebook as the site took it."""

    url: str
    version: int


@dataclass(frozen=True)
class SessionState:
    """Where the run of a notebook's latest version stands.

    Parameters
    ----------
    status : str
        As Kaggle's API calls it: "QUEUED", "RUNNING", "COMPLETE", "ERROR", "CANCEL_ACKNOWLEDGED" ...
    message : str
        The site's reason, where it gives one.
    """

    status: str
    message: str

    @property
    def is_moving(self) -> bool:
        return self.status in _MOVING


@dataclass(frozen=True)
class Quota:
    """Seconds of accelerator time of this week: all that are allowed, and those that are left."""

    allowed: float
    left: float


class KernelCalls:
    """The notebooks of one account.

    Parameters
    ----------
    connection : Connection
    owner : callable
        Gives the account's name; asked only when it is needed.
    """

    def __init__(self, connection: Connection, owner: Callable[[], str]) -> None:
        self._connection, self._owner = connection, owner

    @property
    def owner(self) -> str:
        """The account's name."""
        return self._owner()

    def push(self, folder: Path, timeout: int | None = None) -> Pushed:
        """Push a notebook or script with its `kernel-metadata.json`; it starts to run.

        Parameters
        ----------
        folder : Path
        timeout : int, optional
            Seconds after which the site ends the session.

        Raises
        ------
        GatewayError
            The metadata are not accepted, or the site saved the notebook without data that it asks for; the message
            says why.
        """
        where, found = self._connection.where, self._connection.push_kernel(folder, timeout)
        if found.error:
            raise GatewayError(f"{where} refused {folder}: {found.error}")
        for kind in ("competition", "dataset", "kernel", "model"):
            if missing := getattr(found, f"invalid_{kind}_sources"):
                raise GatewayError(
                    f"{where} saved {found.url} without the {kind} {', '.join(missing)}: it cannot use it.",
                    hint="Check the name, accept the competition's rules on the site, then push again.",
                )
        return Pushed(str(found.url), int(found.version_number or 0))

    def state(self, slug: str) -> SessionState | None:
        """Where the latest version's run stands; None when there is no such notebook."""
        from kagglesdk.kernels.types.kernels_api_service import ApiGetKernelSessionStatusRequest

        request = ApiGetKernelSessionStatusRequest()
        request.user_name, request.kernel_slug = self.owner, slug
        try:
            found = self._call("get_kernel_session_status", request)
        except RemoteNotFound:
            return None
        return SessionState(found.status.name, found.failure_message or "")

    def version(self, slug: str) -> int:
        """The number of the latest version; 0 when there is no such notebook."""
        from kagglesdk.kernels.types.kernels_api_service import ApiGetKernelRequest

        request = ApiGetKernelRequest()
        request.user_name, request.kernel_slug = self.owner, slug
        try:
            return int(self._call("get_kernel", request).metadata.current_version_number or 0)
        except RemoteNotFound:
            return 0

    def log(self, slug: str) -> Iterator[str]:
        """What the latest version's run wrote, from the beginning, until it ends or the line breaks."""
        nothing = True
        try:
            for event in self._connection.log_events(f"{self.owner}/{slug}"):
                nothing = False
                yield str(event.get("data", ""))
        except (Unreachable, RemoteNotFound):
            return  # who follows a log asks again
        if nothing:  # the stream of a session that is over may be gone
            yield from self._kept_log(slug)

    def _kept_log(self, slug: str) -> Iterator[str]:
        text = self._call("list_kernel_session_output", self._output_request(slug)).log or ""
        try:
            events = json.loads(text or "[]")
        except ValueError:
            events = [{"data": text}]
        yield from (str(e.get("data", "")) for e in events if isinstance(e, dict))

    def _output_request(self, slug: str) -> Any:
        from kagglesdk.kernels.types.kernels_api_service import ApiListKernelSessionOutputRequest

        request = ApiListKernelSessionOutputRequest()
        request.user_name, request.kernel_slug, request.page_size = self.owner, slug, _PAGE_SIZE
        return request

    def output(self, slug: str) -> list[str]:
        """Names of the files that the latest version made, with forward slashes.

        Raises
        ------
        DataError
            A name leads out of a folder.
        """
        request = self._output_request(slug)
        found: list[str] = []
        while True:
            answer = self._call("list_kernel_session_output", request)
            found += [f.file_name for f in answer.files or ()]
            token = answer.next_page_token
            if not token or token == request.page_token:
                check_names(f"The output of {self.owner}/{slug}", found)
                return sorted(found)
            request.page_token = token

    def download(self, slug: str, name: str, to: Path) -> Path:
        """Download one file that the latest version made."""
        from kagglesdk.kernels.types.kernels_api_service import ApiDownloadKernelOutputRequest

        request = ApiDownloadKernelOutputRequest()
        request.owner_slug, request.kernel_slug, request.file_path = self.owner, slug, name
        locate = partial(self._connection.locate, "download_kernel_output", request, None, service="kernels")
        to.parent.mkdir(parents=True, exist_ok=True)
        return fetch(locate, to, patience=self._connection.patience, label=name).path

    def quota(self) -> Quota:
        """The account's GPU time of this week."""
        from kagglesdk.kernels.types.kernels_api_service import ApiGetAcceleratorQuotaStatisticsRequest

        found = self._call("get_accelerator_quota_statistics", ApiGetAcceleratorQuotaStatisticsRequest()).gpu_quota
        if found is None:
            return Quota(0.0, 0.0)
        allowed, used, reserved = (
            d.total_seconds() if d else 0.0 for d in (found.total_time_allowed, found.time_used, found.time_reserved)
        )
        return Quota(allowed, max(0.0, allowed - used - reserved))

    def _call(self, method: str, request: Any) -> Any:
        return self._connection.call(method, request, None, service="kernels")
