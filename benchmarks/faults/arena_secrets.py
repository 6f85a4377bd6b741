"""Every route of an arena, asked for what nobody may know: climbing paths, bad tokens, forged tickets."""

from __future__ import annotations

import base64
import http.client
import io
import json
import random
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlsplit

from kagglekit.arena import hosting
from kagglekit.arena.identity import identity_of
from kagglekit.arena.protocol import CALLS, OPEN_CALLS
from kagglekit.arena.server import Arena
from kagglekit.arena.signing import Signer

SLUG = "secret"
N_ROWS = 60
CLIMBING = (
    "solution.csv",
    "../solution.csv",
    "../../solution.csv",
    "..%2fsolution.csv",
    "%2e%2e/solution.csv",
    "%252e%252e%252fsolution.csv",
    "files/../../solution.csv",
    "....//solution.csv",
    "./../solution.csv",
    "..\\solution.csv",
    "..;/solution.csv",
    "solution.csv\x00.csv",
    "solution.csv ",
    "SOLUTION.CSV",
    "/etc/passwd",
    "file:///etc/passwd",
    "../../../identity.json",
    "../../identity.json",
    "../../arena.db",
    "../../arena.db-wal",
    "../competition.json",
    f"../competitions/{SLUG}/solution.csv",
    f"{SLUG}/../{SLUG}",
    "\u2025/solution.csv",
    "a" * 5000,
    "",
    ".",
    "..",
    "*",
    "' OR 1=1 --",
    "%",
)
FIELDS = (
    "competitionName",
    "fileName",
    "filePath",
    "datasetSlug",
    "ownerSlug",
    "userName",
    "kernelSlug",
    "kernelOwner",
    "slug",
    "blobFileTokens",
    "name",
    "search",
    "user",
    "pageToken",
    "versionLabel",
)
PAGES = (
    "/{}",
    "/competitions/{}",
    "/competitions/{}/leaderboard",
    "/competitions/{}/submissions",
    f"/competitions/{SLUG}/{{}}",
    "/datasets/{}",
    "/datasets/competitor/{}",
    "/code/competitor/{}",
    "/download/{}",
    "/download/x/{}",
    "/upload/{}",
    "/v1/kernels/logs/stream/competitor/{}",
    "/api/v1/{}/ListCompetitions",
    "/files/{}",
    "/static/{}",
)


@dataclass
class Found:
    """What the probes met. A leak is an answer that holds a secret, or one given without the token."""

    n_probes: int = 0
    n_routes: int = 0
    n_redirects: int = 0
    leaks: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


class Probe:
    """Asks an arena with one hosted competition, one submission, one dataset and one notebook.

    Parameters
    ----------
    folder : Path
        Empty; the arena's home goes there.
    climbing : sequence of str
        Names to try everywhere.
    """

    def __init__(self, folder: Path, climbing: tuple[str, ...] = CLIMBING) -> None:
        self._home, self._climbing = folder / "home", climbing
        self._targets = host(folder / "folder", self._home)
        identity = identity_of(self._home)
        self._token, self._key = identity.token, identity.key
        self._found = Found()

    def run(self) -> Found:
        """Ask everything."""
        self._secrets = [*self._targets, self._token, self._key.hex(), str(self._home), "root:x:0:0"]
        with Arena(self._home) as arena:
            self._url = arena.url
            self._fill()
            for probes in (self._bad_tokens, self._bad_fields, self._bad_paths, self._bad_tickets, self._bad_methods):
                self._found.n_routes += probes()
        mode = (self._home / "competitions" / SLUG / "solution.csv").stat().st_mode & 0o077
        if mode:
            self._found.leaks.append(f"solution.csv is readable by others: {mode:o}")
        return self._found

    def _fill(self) -> None:
        body = "id,price\n" + "".join(f"{n},1.0\n" for n in range(N_ROWS))
        started = self._json("competitions.CompetitionApiService", "StartSubmissionUpload", len(body), "s.csv")
        self._ask("PUT", started["createUrl"].removeprefix(self._url), body.encode())
        fields = {"competitionName": SLUG, "blobFileTokens": started["token"]}
        self._call("competitions.CompetitionApiService", "CreateSubmission", fields)
        blob = self._json("blobs.BlobApiService", "StartBlobUpload", 1, "a.txt")
        self._ask("PUT", blob["createUrl"].removeprefix(self._url), b"a")
        files = {"slug": "my-data", "title": "My data", "files": [{"token": blob["token"]}]}
        self._call("datasets.DatasetApiService", "CreateDataset", files)
        self._call("kernels.KernelsApiService", "SaveKernel", {"slug": "competitor/my-book", "text": "print(1)"})

    def _json(self, service: str, method: str, size: int, name: str) -> dict[str, str]:
        fields = {"competitionName": SLUG, "fileName": name, "name": name, "contentLength": size}
        made: dict[str, str] = json.loads(self._call(service, method, fields)[2])
        return made

    def _bad_tokens(self) -> int:
        bad = self._headers()
        for service, method in CALLS:
            if (service, method) in OPEN_CALLS:
                continue
            for headers in bad:
                body = json.dumps({"competitionName": SLUG, "fileName": "train.csv"}).encode()
                status, _, said = self._ask("POST", f"/api/v1/{service}/{method}", body, headers)
                self._expect(status == 401, f"{method} answered {status} to {headers}", said)
        for headers in bad:
            status, _, said = self._ask("GET", "/v1/kernels/logs/stream/competitor/my-book", None, headers)
            self._expect(status == 401, f"log stream answered {status} to {headers}", said)
        return len(CALLS) + 1

    def _headers(self) -> list[dict[str, str]]:
        basic = base64.b64encode(f"competitor:{self._token[:-1]}".encode()).decode()
        other = base64.b64encode(f"somebody:{self._token}".encode()).decode()
        words = (
            "",
            "Bearer",
            "Bearer ",
            "Bearer wrong",
            f"Bearer {self._token[:-1]}",
            f"Bearer {self._token}x",
            f"Bearer {self._token.swapcase()}",
            f"Token {self._token}",
            self._token,
            f"Basic {basic}",
            f"Basic {other}",
            "Basic !!!",
            "Basic Og==",
            f"Basic {self._token}",
        )
        return [{}, *({"Authorization": word} for word in words), {"Cookie": f"token={self._token}"}]

    def _bad_fields(self) -> int:
        for service, method in CALLS:
            for name in FIELDS:
                for value in self._climbing:
                    given = {"competitionName": SLUG, "ownerSlug": "competitor", "userName": "competitor"}
                    status, headers, said = self._call(service, method, given | {name: value})
                    self._look(f"{method} {name}={value[:40]!r}", status, headers, said)
        return len(CALLS) * len(FIELDS)

    def _bad_paths(self) -> int:
        spellings = [s for name in self._climbing for s in (quote(name, safe="/%"), quote(name, safe=""))]
        for template in PAGES:
            for spelled in spellings:
                for method in ("GET", "HEAD"):
                    path = template.format(spelled)
                    self._look(f"{method} {path[:80]}", *self._ask(method, path, None))
        return len(PAGES)

    def _bad_tickets(self) -> int:
        good, bad_key = Signer(self._key), Signer(b"guessed")
        claim = {"kind": "file", "slug": SLUG, "name": "../solution.csv"}
        tickets = {
            "a name that climbs": good.sign(claim, purpose="download", seconds=60),
            "another key": bad_key.sign(claim | {"name": "train.csv"}, purpose="download", seconds=60),
            "another purpose": good.sign({"id": "x", **claim}, purpose="upload", seconds=60),
            "over": good.sign(claim | {"name": "train.csv"}, purpose="download", seconds=-1),
        }
        body, _, signature = good.sign(claim | {"name": "train.csv"}, purpose="download", seconds=60).partition(".")
        content = json.loads(base64.urlsafe_b64decode(body + "=="))
        changed = base64.urlsafe_b64encode(json.dumps(content | {"name": "solution.csv"}).encode()).decode().rstrip("=")
        tickets |= {"changed": f"{changed}.{signature}", "unsigned": f"{changed}.", "no dot": changed, "nothing": "."}
        for what, ticket in tickets.items():
            for method, path in (("GET", f"/download/{ticket}/train.csv"), ("PUT", f"/upload/{ticket}")):
                status, headers, said = self._ask(method, path, b"" if method == "PUT" else None)
                self._expect(status in (403, 404), f"a ticket with {what} was taken by {method}: {status}", said)
                self._look(f"ticket with {what}", status, headers, said)
        return len(tickets)

    def _bad_methods(self) -> int:
        paths = ("/", f"/competitions/{SLUG}", "/datasets", "/download/x/y", "/upload/x", "/v1/a/b", "/solution.csv")
        methods = ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "CONNECT")
        for path in paths:
            for method in methods:
                self._look(f"{method} {path}", *self._ask(method, path, b""))
            status, _, said = self._ask("GET", path, None, {"Host": "evil.example"})
            self._expect(status == 400, f"a foreign host was answered {status} at {path}", said)
        return len(paths)

    def _expect(self, is_so: bool, what: str, said: bytes) -> None:
        if not is_so or any(s.encode() in said for s in self._secrets):
            self._found.leaks.append(what.replace(self._token, "TOKEN"))

    def _look(self, what: str, status: int, headers: dict[str, str], said: bytes) -> None:
        """Whether an answer, or the file it redirects to, holds a secret; no address may lead elsewhere."""
        if status >= 500 and status != 501:
            self._found.failures.append(f"{what}: {status}")
        told = said + repr(headers).encode() + _unpacked(said)
        if any(secret.encode() in told for secret in self._secrets):
            self._found.leaks.append(what)
        address = headers.get("location", "")
        if address and not address.startswith(f"{self._url}/download/"):
            self._found.leaks.append(f"{what} leads to {address[:80]}")
        elif address:
            self._found.n_redirects += 1
            after = self._ask("GET", urlsplit(address).path, None)
            self._look(f"{what}, followed", *after)

    def _call(self, service: str, method: str, fields: dict[str, object]) -> tuple[int, dict[str, str], bytes]:
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        return self._ask("POST", f"/v1/{service}/{method}", json.dumps(fields).encode(), headers)

    def _ask(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        self._found.n_probes += 1
        connection = http.client.HTTPConnection(urlsplit(self._url).netloc, timeout=30)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
        finally:
            connection.close()


def _unpacked(said: bytes) -> bytes:
    """All names and contents of an answer that is a zip."""
    if not said.startswith(b"PK"):
        return b""
    with zipfile.ZipFile(io.BytesIO(said)) as archive:
        return b"".join(name.encode() + archive.read(name) for name in archive.namelist())


def host(folder: Path, home: Path) -> list[str]:
    """A competition each of whose answers is a number that stands nowhere else; gives these numbers."""
    drawn = random.Random(0)
    folder.mkdir(parents=True)
    targets = [f"{drawn.uniform(1000, 9999):.9f}" for _ in range(N_ROWS)]
    parts = _parts()
    (folder / "solution.csv").write_text(
        "id,price,Usage\n" + "".join(f"{n},{t},{next(parts)}\n" for n, t in enumerate(targets))
    )
    (folder / "sample_submission.csv").write_text("id,price\n" + "".join(f"{n},1.0\n" for n in range(N_ROWS)))
    (folder / "train.csv").write_text("id,x,price\n" + "".join(f"{900 + n},{n},{n}.5\n" for n in range(30)))
    (folder / "test.csv").write_text("id,x\n" + "".join(f"{n},{n}\n" for n in range(N_ROWS)))
    hosting.create(folder, home, SLUG, metric="rmse", daily_limit=5)
    return targets


def _parts() -> Iterator[str]:
    while True:
        yield "Public"
        yield "Private"
