"""Every answer of the arena, read by the types of Kaggle's own client: no unknown field, no value it cannot read."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from arena_calls import BLOBS, COMPETITIONS, DATASETS, KERNELS, ask, call, scored, submit, upload
from kagglesdk import KaggleClient
from kagglesdk.common.types.file_download import FileDownload
from kagglesdk.common.types.http_redirect import HttpRedirect
from kagglesdk.kaggle_object import KaggleObject
from kagglesdk.kernels.types.kernels_enums import KernelWorkerStatus
from meadow import SLUG, write_answers, write_folder

from kagglekit.arena import hosting
from kagglekit.arena.kernel_store import KernelRecord
from kagglekit.arena.protocol import CALLS
from kagglekit.arena.runner import LogLine, Session, Status
from kagglekit.arena.server import Arena

SECURITY = "security.OAuthService"
CLIENTS = {
    COMPETITIONS: KaggleClient.Competitions,
    DATASETS: KaggleClient.Datasets,
    KERNELS: KaggleClient.Kernels,
    BLOBS: KaggleClient.Blobs,
    SECURITY: KaggleClient.Security,
}
MEADOW = {"competitionName": SLUG}
DATA = {"ownerSlug": "competitor", "datasetSlug": "my-data"}
BOOK = {"userName": "competitor", "kernelSlug": "my-book"}
OUTPUT = {"ownerSlug": "competitor", "kernelSlug": "my-book"}
CASES: dict[str, dict[str, Any]] = {
    "IntrospectToken": {"token": "none"},
    "ListCompetitions": {},
    "GetCompetition": MEADOW,
    "ListDataFiles": MEADOW,
    "DownloadDataFile": MEADOW | {"fileName": "train.csv"},
    "DownloadDataFiles": MEADOW,
    "GetLeaderboard": MEADOW,
    "DownloadLeaderboard": MEADOW,
    "StartSubmissionUpload": MEADOW | {"fileName": "s.csv", "contentLength": 1},
    "CreateCodeSubmission": MEADOW | {"kernelOwner": "competitor", "kernelSlug": "my-book", "fileName": "s.csv"},
    "ListSubmissions": MEADOW,
    "GetSubmission": {"ref": 1},
    "DownloadSubmission": {"submissionId": 1},
    "GetSubmissionLimits": MEADOW,
    "StartBlobUpload": {"type": "DATASET", "name": "a", "contentLength": 1},
    "GetDataset": DATA,
    "GetDatasetStatus": DATA,
    "GetDatasetMetadata": DATA,
    "UpdateDatasetMetadata": DATA | {"settings": {"title": "Other", "keywords": ["rye"]}},
    "ListDatasets": {"group": "DATASET_SELECTION_GROUP_MY"},
    "ListDatasetFiles": DATA,
    "DownloadDataset": DATA,
    "DownloadDatasetRaw": DATA,
    "GetKernel": BOOK,
    "ListKernels": {"group": "PROFILE"},
    "GetKernelSessionStatus": BOOK,
    "ListKernelSessionOutput": BOOK,
    "ListKernelFiles": BOOK,
    "DownloadKernelOutput": OUTPUT,
    "DownloadKernelOutputZip": {"kernelSessionId": 1},
    "GetKernelSessionLogsStream": BOOK,
    "GetAcceleratorQuotaStatistics": {},
    "SaveKernel": {"slug": "competitor/my-book", "text": "print(2)", "competitionDataSources": ["none"]},
    # These need an upload of their own, or end what others ask about: the test makes them.
    "CreateSubmission": {},
    "CreateDataset": {},
    "CreateDatasetVersion": {},
    "CreateDatasetVersionById": {},
    "DeleteDataset": DATA,
    "DeleteKernel": BOOK,
}


class Done:
    """A runner whose notebooks are complete."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def start(self, kernel: KernelRecord) -> None:
        pass

    def session(self, kernel: KernelRecord) -> Session:
        return Session("COMPLETE", "All well.")

    def log(self, kernel: KernelRecord) -> list[LogLine]:
        return [LogLine("stdout", 0.5, "1\n")]

    def output(self, kernel: KernelRecord) -> Path:
        return self._folder

    def discard(self, kernel: KernelRecord) -> None:
        pass


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    folder = tmp_path_factory.mktemp("arena")
    over = datetime(2026, 1, 1, tzinfo=UTC)  # so that private scores are told
    hosting.create(write_folder(folder / "folder"), folder / "home", SLUG, metric="accuracy", deadline=over)
    (folder / "output").mkdir()
    write_answers(folder / "output" / "s.csv")
    with Arena(folder / "home", runner=Done(folder / "output")) as running:
        scored(running, submit(running, write_answers(folder / "s.csv")).json["ref"])
        token = {"token": upload(running, "a.txt", b"a")}
        call(running, "CreateDataset", DATASETS, slug="my-data", title="My data", files=[token], subtitle="Words")
        call(running, "SaveKernel", KERNELS, slug="competitor/my-book", text="print(1)", competitionDataSources=[SLUG])
        yield running


def method_of(service: str, name: str) -> Any:
    """The client's method that makes this call, found by the name that it sends."""
    snake = "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")
    (found,) = [getattr(api, snake) for api in vars(CLIENTS[service](None)).values() if hasattr(api, snake)]
    return found


def check_known(kind: type[KaggleObject], values: dict[str, Any], where: str) -> None:
    """Each field of an object, and of those inside it, is one of the client's type."""
    known = {f.json_name: f for f in kind._fields}
    assert set(values) <= set(known), f"{where}: {set(values) - set(known)}"
    for name, value in values.items():
        inner = known[name].field_type
        if isinstance(inner, type) and issubclass(inner, KaggleObject):
            for one in value if isinstance(value, list) else [value]:
                check_known(inner, one, f"{where}.{name}")


def fields_of(arena: Arena, name: str) -> dict[str, Any]:
    """The request of a case, with an upload of its own where it needs one."""
    if name == "CreateSubmission":
        started = call(arena, "StartSubmissionUpload", **MEADOW, fileName="s.csv", contentLength=0).json
        ask(arena, "PUT", started["createUrl"], b"")
        return MEADOW | {"blobFileTokens": started["token"]}
    files = [{"token": upload(arena, "b.txt", name.encode())}]
    bodies = {
        "CreateDataset": {"slug": "other-data", "title": "Other data", "isPrivate": True, "files": files},
        "CreateDatasetVersion": DATA | {"body": {"files": files, "versionNotes": "next"}},
        "CreateDatasetVersionById": {"id": 1, "body": {"files": files, "deleteOldVersions": True}},
    }
    return bodies.get(name, CASES[name])


def test_every_call_has_a_case():
    assert {name for service, name in CALLS if service in CLIENTS} == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_kaggles_own_types_read_the_answer(arena: Arena, name: str):
    service = next(s for s, n in CALLS if n == name)
    fields, types = fields_of(arena, name), get_type_hints(method_of(service, name))
    check_known(types["request"], fields, f"the request of {name}")
    answer, kind = call(arena, name, service, **fields), types["return"]
    if kind in (HttpRedirect, FileDownload):
        # These may come at once or by a redirect; only a redirect survives a cut, and only a log is a stream.
        assert answer.status == (200 if name == "GetKernelSessionLogsStream" else 302)
        return
    assert answer.status == 200, answer.body
    check_known(kind, answer.json, name)
    read = kind.from_dict(answer.json)
    assert set(kind.to_dict(read)) <= set(answer.json)


def test_every_status_of_a_session_is_one_that_the_client_knows():
    assert set(get_args(Status)) <= {status.name for status in KernelWorkerStatus}
