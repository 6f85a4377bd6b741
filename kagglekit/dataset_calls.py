"""What is asked of a site about one's own private datasets; how the asking is done is in `kaggle_client`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from kagglekit.errors import GatewayError, RemoteNotFound
from kagglekit.kaggle_client import Connection
from kagglekit.transfer import send

__all__ = ["DatasetCalls"]

_PAGE_SIZE = 200
_LICENCE = "other"


class DatasetCalls:
    """The datasets of one account.

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

    def status(self, slug: str) -> str:
        """ "READY", "FAILED", or a step on the way there; "" when there is no such dataset."""
        from kagglesdk.datasets.types.dataset_api_service import ApiGetDatasetStatusRequest

        request = ApiGetDatasetStatusRequest()
        request.owner_slug, request.dataset_slug = self.owner, slug
        try:
            return str(self._call("get_dataset_status", request).status.name)
        except RemoteNotFound:
            return ""

    def files(self, slug: str) -> list[str]:
        """Names of the files of the latest version, sorted; none when there is no such dataset."""
        from kagglesdk.datasets.types.dataset_api_service import ApiListDatasetFilesRequest

        request = ApiListDatasetFilesRequest()
        request.owner_slug, request.dataset_slug, request.page_size = self.owner, slug, _PAGE_SIZE
        found: list[str] = []
        try:
            while True:
                answer = self._call("list_dataset_files", request)
                found += [f.name for f in answer.dataset_files or ()]
                token = answer.next_page_token
                if not token or token == request.page_token:
                    return sorted(found)
                request.page_token = token
        except RemoteNotFound:
            return []

    def create(self, slug: str, title: str, files: Sequence[Path]) -> None:
        """Upload files and make a private dataset of them.

        Raises
        ------
        GatewayError
            The site refuses it.
        """
        from kagglesdk.datasets.types.dataset_api_service import ApiCreateDatasetRequest

        request = ApiCreateDatasetRequest()
        request.owner_slug, request.slug, request.title = self.owner, slug, title
        request.license_name, request.is_private = _LICENCE, True
        request.files = self._uploaded(files)
        self._accepted(slug, self._call("create_dataset", request, once=True))

    def add_version(self, slug: str, notes: str, files: Sequence[Path]) -> None:
        """Upload files and make them the next version of a dataset; older versions stay.

        Raises
        ------
        GatewayError
            The site refuses it.
        """
        from kagglesdk.datasets.types.dataset_api_service import (
            ApiCreateDatasetVersionRequest,
            ApiCreateDatasetVersionRequestBody,
        )

        request = ApiCreateDatasetVersionRequest()
        request.owner_slug, request.dataset_slug = self.owner, slug
        request.body = ApiCreateDatasetVersionRequestBody()
        request.body.version_notes, request.body.files = notes, self._uploaded(files)
        self._accepted(slug, self._call("create_dataset_version", request, once=True))

    def _uploaded(self, files: Sequence[Path]) -> list[Any]:
        from kagglesdk.blobs.types.blob_api_service import ApiBlobType, ApiStartBlobUploadRequest
        from kagglesdk.datasets.types.dataset_api_service import ApiDatasetNewFile

        made = []
        for file in files:
            request = ApiStartBlobUploadRequest()
            request.type, request.name = ApiBlobType.DATASET, file.name
            request.content_length = file.stat().st_size
            request.last_modified_epoch_seconds = int(file.stat().st_mtime)
            started = self._call("start_blob_upload", request, service="blobs")
            send(started.create_url, file, patience=self._connection.patience, label=file.name)
            new = ApiDatasetNewFile()
            new.token = started.token
            made.append(new)
        return made

    def _accepted(self, slug: str, answer: Any) -> None:
        # Kaggle refuses with status 200 and an error in the answer.
        if answer.error or (answer.status or "ok").lower() == "error":
            why, where = answer.error or "it gave no reason", self._connection.where
            raise GatewayError(f"{where} refused the dataset {self.owner}/{slug}: {why}")

    def _call(self, method: str, request: Any, *, once: bool = False, service: Any = "datasets") -> Any:
        return self._connection.call(method, request, None, once=once, service=service)
