"""An arena that is killed again and again while clients submit to it, and what is left in the end."""

from __future__ import annotations

import http.client
import json
import random
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kagglekit.arena import hosting
from kagglekit.arena.identity import identity_of

SLUG = "counted"
N_ROWS = 40
_SERVICE = "/v1/competitions.CompetitionApiService/"
# The clock stands still, so that no run crosses midnight and gets another day's submissions.
_SERVE = """
import sys, time
from datetime import UTC, datetime
from pathlib import Path
from kagglekit.arena.server import Arena
noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
with Arena(Path(sys.argv[1]), port=int(sys.argv[2]), now=lambda: noon):
    print("serving", flush=True)
    time.sleep(3600)
"""


@dataclass
class Outcome:
    """What came of it; `n_right` counts submissions whose score is that of their file."""

    seconds: float = 0.0
    n_kills: int = 0
    n_retries: int = 0
    n_refused: int = 0
    n_lost: int = 0
    n_twice: int = 0
    n_counted: int = 0
    n_right: int = 0
    errors: list[str] = field(default_factory=list)


class Load:
    """Clients that submit, and somebody who kills the server.

    Parameters
    ----------
    folder : Path
        Empty; the arena's home goes there.
    n_clients, n_each : int
        Clients at the same time, and submissions of each.
    n_kills : int
    daily_limit : int
    say : callable
        Takes lines of progress.
    """

    def __init__(
        self,
        folder: Path,
        *,
        n_clients: int,
        n_each: int,
        n_kills: int,
        daily_limit: int,
        seed: int = 0,
        say: Callable[[str], object] = lambda line: None,
    ) -> None:
        self._home, self._say = folder / "home", say
        self._n_clients, self._n_each, self._n_kills = n_clients, n_each, n_kills
        self._random = random.Random(seed)
        host(folder / "folder", self._home, daily_limit)
        self._token = identity_of(self._home).token
        self._port = _free_port()
        self._outcome, self._lock = Outcome(), threading.Lock()
        self._acknowledged: dict[int, str] = {}
        self._is_done = threading.Event()

    def run(self) -> Outcome:
        """Submit everything, kill `n_kills` times meanwhile, and count."""
        begun = time.monotonic()
        server = self._start()
        clients = [threading.Thread(target=self._client, args=(n,), daemon=True) for n in range(self._n_clients)]
        for client in clients:
            client.start()
        while self._outcome.n_kills < self._n_kills and self._is_next(clients):
            server.kill()
            server.wait()
            self._outcome.n_kills += 1
            if self._outcome.n_kills % 10 == 0:
                self._say(f"killed {self._outcome.n_kills} times, {len(self._acknowledged)} submissions acknowledged")
            server = self._start()
        for client in clients:
            client.join()
        try:
            self._count()
        finally:
            server.kill()
            server.wait()
        self._outcome.seconds = time.monotonic() - begun
        return self._outcome

    def _is_next(self, clients: list[threading.Thread]) -> bool:
        """Wait for the next kill, so that all of them come while clients are at work, however fast the machine is."""
        # Half the work: what is under way when a kill is due is settled before it comes.
        part = 0.5 * self._n_clients * self._n_each / (self._n_kills + 1)
        due = (self._outcome.n_kills + self._random.random()) * part
        while any(client.is_alive() for client in clients):
            with self._lock:
                settled = len(self._acknowledged) + self._outcome.n_refused + len(self._outcome.errors)
            if settled >= due:
                return True
            time.sleep(0.01)
        return False

    def _start(self) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", _SERVE, str(self._home), str(self._port)]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert server.stdout is not None
        if server.stdout.readline() != "serving\n":
            raise RuntimeError("The arena did not start again.")
        server.stdout.close()
        return server

    def _client(self, number: int) -> None:
        for count in range(self._n_each):
            try:
                self._submit(f"client {number}, submission {count}", right=(number * 7 + count) % (N_ROWS + 1))
            except RuntimeError as error:
                with self._lock:
                    self._outcome.errors.append(str(error))

    def _submit(self, name: str, right: int) -> None:
        body = answers(right)
        fields = {"competitionName": SLUG}
        made = self._call("StartSubmissionUpload", **fields, fileName=f"{right}.csv", contentLength=len(body))
        path = made["createUrl"].split("/", 3)[3]
        status, said = self._ask("PUT", f"/{path}", body)
        if status != 200:
            raise RuntimeError(f"upload: {status} {said!r}")
        status, said = self._ask(
            "POST",
            f"{_SERVICE}CreateSubmission",
            json.dumps(fields | {"blobFileTokens": made["token"], "submissionDescription": name}).encode(),
        )
        with self._lock:
            if status == 200:
                self._acknowledged[int(json.loads(said)["ref"])] = name
            elif status == 400 and b"submission allowance" in said:
                self._outcome.n_refused += 1
            else:
                self._outcome.errors.append(f"{name}: {status} {said!r}")

    def _call(self, method: str, **fields: Any) -> dict[str, Any]:
        status, said = self._ask("POST", _SERVICE + method, json.dumps(fields).encode())
        if status != 200:
            raise RuntimeError(f"{method}: {status} {said!r}")
        found: dict[str, Any] = json.loads(said)
        return found

    def _ask(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        """Ask until an answer comes: the same request again, as a client does whose connection broke."""
        headers = {"Authorization": f"Bearer {self._token}"}
        until = time.monotonic() + 120
        while time.monotonic() < until:
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
            try:
                connection.request(method, path, body, headers)
                answer = connection.getresponse()
                said = answer.read()
                if answer.status != 503:  # another connection's end was not noticed yet
                    return answer.status, said
            except (OSError, http.client.HTTPException):
                pass
            finally:
                connection.close()
            with self._lock:
                self._outcome.n_retries += 1
            time.sleep(0.05)
        raise RuntimeError(f"{method} {path[:60]}: no answer in two minutes")

    def _count(self) -> None:
        found = self._graded()
        by_ref = {s["ref"]: s for s in found}
        names = Counter(s["description"] for s in found)
        outcome = self._outcome
        outcome.n_lost = sum(by_ref.get(ref, {}).get("description") != name for ref, name in self._acknowledged.items())
        outcome.n_twice = sum(count - 1 for count in names.values())
        outcome.n_counted = sum(s["status"] == "COMPLETE" for s in found)
        outcome.n_right = sum(s.get("publicScore") == score_of(s["fileName"]) for s in found)

    def _graded(self) -> list[dict[str, Any]]:
        """All submissions, once none is pending."""
        until = time.monotonic() + 300
        while True:
            found: list[dict[str, Any]] = []
            token = ""
            while True:
                page = self._call("ListSubmissions", competitionName=SLUG, pageSize=200, pageToken=token)
                found += page["submissions"]
                token = page["nextPageToken"]
                if not token:
                    break
            if not any(s["status"] == "PENDING" for s in found) or time.monotonic() > until:
                return found
            time.sleep(0.5)


def host(folder: Path, home: Path, daily_limit: int) -> None:
    """A competition whose public score tells how many of its rows a file has right."""
    folder.mkdir(parents=True)
    rows = [f"{n},{'ab'[n % 2]}" for n in range(N_ROWS)]
    (folder / "solution.csv").write_text("id,kind,Usage\n" + "".join(f"{row},Public\n" for row in rows))
    (folder / "sample_submission.csv").write_text("id,kind\n" + "".join(f"{n},a\n" for n in range(N_ROWS)))
    (folder / "train.csv").write_text("id,x,kind\n" + "".join(f"{900 + n},{n % 2},{'ab'[n % 2]}\n" for n in range(20)))
    (folder / "test.csv").write_text("id,x\n" + "".join(f"{n},0\n" for n in range(N_ROWS)))
    hosting.create(folder, home, SLUG, metric="accuracy", daily_limit=daily_limit)


def answers(right: int) -> bytes:
    """A submission with so many right rows."""
    kinds = ["ab"[n % 2] if n < right else "ba"[n % 2] for n in range(N_ROWS)]
    return ("id,kind\n" + "".join(f"{n},{kind}\n" for n, kind in enumerate(kinds))).encode()


def score_of(file_name: str) -> str:
    """The score of a file that is called by the number of its right rows."""
    return f"{int(file_name.removesuffix('.csv')) / N_ROWS:.5f}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
