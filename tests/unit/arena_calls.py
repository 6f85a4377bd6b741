"""Calls to an arena for its tests: one request each, with exactly the path that is given."""

import http.client
import json
from pathlib import Path
from typing import Any

from meadow import SLUG

from kagglekit.arena.server import Arena

BLOBS = "blobs.BlobApiService"
COMPETITIONS = "competitions.CompetitionApiService"
DATASETS = "datasets.DatasetApiService"
KERNELS = "kernels.KernelsApiService"


class Answer:
    """What came back, read to its end."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status, self.headers, self.body = response.status, response.headers, response.read()

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.body)


def ask(
    arena: Arena, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> Answer:
    """One request with exactly this path: nothing normalises it on the way."""
    connection = http.client.HTTPConnection("127.0.0.1", int(arena.url.rsplit(":", 1)[1]), timeout=20)
    try:
        connection.request(method, path.removeprefix(arena.url), body, headers or {})
        return Answer(connection.getresponse())
    finally:
        connection.close()


def call(arena: Arena, method: str, service: str = COMPETITIONS, **fields: object) -> Answer:
    """One call of the API, with the arena's token."""
    headers = {"Authorization": f"Bearer {arena.token}", "Content-Type": "application/json"}
    return ask(arena, "POST", f"/v1/{service}/{method}", json.dumps(fields).encode(), headers)


def location(arena: Arena, method: str, service: str = COMPETITIONS, **fields: object) -> str:
    """Where a download is redirected to."""
    answer = call(arena, method, service, **fields)
    assert answer.status == 302, answer.body
    return answer.headers["Location"]


def submit(arena: Arena, path: Path) -> Answer:
    """Upload a file and make it a submission."""
    started = call(
        arena, "StartSubmissionUpload", competitionName=SLUG, fileName=path.name, contentLength=path.stat().st_size
    ).json
    assert ask(arena, "PUT", started["createUrl"], path.read_bytes()).status == 200
    return call(arena, "CreateSubmission", competitionName=SLUG, blobFileTokens=started["token"])


def scored(arena: Arena, ref: int) -> dict[str, Any]:
    """A submission once it is graded."""
    while True:
        found = call(arena, "GetSubmission", ref=ref).json
        if found["status"] != "PENDING":
            return found


def upload(arena: Arena, name: str, content: bytes) -> str:
    """Send a file as a blob; gives its token."""
    started = call(arena, "StartBlobUpload", BLOBS, type="DATASET", name=name, contentLength=len(content)).json
    assert ask(arena, "PUT", started["createUrl"], content).status == 200
    return str(started["token"])
