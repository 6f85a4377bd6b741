"""The arena's server: Kaggle's protocol on loopback, from a thread of its own."""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from kagglekit.arena.application import application
from kagglekit.arena.database import Database
from kagglekit.arena.dataset_store import DatasetStore
from kagglekit.arena.desk import Desk
from kagglekit.arena.faults import Faults, protocol
from kagglekit.arena.grading import Grading
from kagglekit.arena.hosted import now_utc
from kagglekit.arena.identity import identity_of
from kagglekit.arena.kernel_store import KernelStore
from kagglekit.arena.runner import Runner, Storage
from kagglekit.arena.signing import Signer
from kagglekit.errors import KagglekitError, MissingExtra, UsageError

__all__ = ["Arena", "is_loopback"]

_HOST = "127.0.0.1"


class Arena:
    """Serves the competitions of a home for as long as the block runs.

    Several processes may serve the same home at once; each has its own port, all know the same token. The arena can be
    reached from this computer only, unless `host` says otherwise: then its pages need the token too.

    Parameters
    ----------
    home : Path
        Where competitions, submissions and the token lie; made when it is missing.
    port : int
        0 takes any free port.
    host : str
        An IPv4 address of this computer, or a name that leads to one.
    runner : Runner, optional
        What runs pushed notebooks; without one they are kept, and their sessions say so.
    now : callable
        The time, aware, in UTC.
    faults : Faults, optional
        What is to go wrong, for tests of clients. No command switches any on.

    Attributes
    ----------
    url : str
        Without a final slash.
    token, username : str
        Credentials, as bearer token or as basic user and password.

    Raises
    ------
    MissingExtra
        starlette, uvicorn or httptools is not installed.
    UsageError
        The port is taken, or the host is no single address of this computer.

    Examples
    --------
    >>> with Arena(Path(".arena")) as arena:  # doctest: +SKIP
    ...     print(arena.url)
    http://127.0.0.1:40123
    """

    def __init__(
        self,
        home: Path,
        port: int = 0,
        *,
        host: str = _HOST,
        runner: Runner | None = None,
        now: Callable[[], datetime] = now_utc,
        faults: Faults | None = None,
    ) -> None:
        self._home, self._port, self._host, self._now = home, port, host, now
        self._runner, self._faults = runner or Storage(), faults
        self._identity = identity_of(home)
        self.token, self.username = self._identity.token, self._identity.username
        self.url = ""

    def __enter__(self) -> Arena:
        uvicorn = _uvicorn()
        address = _address_of(self._host)
        database = Database(self._home / "arena.db")
        listener = _listen(address, self._port)
        self.url = f"http://{address}:{listener.getsockname()[1]}"
        self._grading = Grading(self._home, database)
        app = application(self._desk(database), open_pages=is_loopback(self._host))
        config = uvicorn.Config(
            self._faults.around(app) if self._faults else app,
            # h11 refuses the absolute-form addresses that a client behind http_proxy sends.
            http=protocol() if self._faults else "httptools",
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
            server_header=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=2,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [listener]}, name="arena", daemon=True
        )
        self._thread.start()
        while not self._server.started:
            if not self._thread.is_alive():
                raise KagglekitError("The arena's server did not start.", hint="Try another port.")
            time.sleep(0.005)
        self._grading.start_pending()
        return self

    def _desk(self, database: Database) -> Desk:
        path = self._home / "arena.db"
        return Desk(
            home=self._home,
            url=self.url,
            identity=self._identity,
            database=database,
            datasets=DatasetStore(path, self._home / "content"),
            kernels=KernelStore(path),
            runner=self._runner,
            signer=Signer(self._identity.key, lambda: self._now().timestamp()),
            now=self._now,
            grade=self._grading.start,
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._grading.stop()


def _uvicorn() -> Any:
    # Returns the module: nothing of the web stack is imported before an arena is opened.
    for package in ("starlette", "httptools", "jinja2", "uvicorn"):
        try:
            module = __import__(package)
        except ModuleNotFoundError as error:
            raise MissingExtra("Serving the arena", package, "arena") from error
    return module


def is_loopback(host: str) -> bool:
    """Whether only this computer can reach what listens there."""
    return ipaddress.ip_address(_address_of(host)).is_loopback


def _address_of(host: str) -> str:
    try:
        address = socket.getaddrinfo(host, None, socket.AF_INET)[0][4][0]
    except socket.gaierror as error:
        raise UsageError(f"'{host}' is no address of this computer ({error.strerror}).") from error
    if ipaddress.ip_address(address).is_unspecified:
        raise UsageError(
            f"'{host}' stands for every address of this computer.",
            hint="Name the one that others reach it by: it is part of the addresses that the arena gives out.",
        )
    return str(address)


def _listen(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise UsageError(
            f"Port {port} cannot be used on {host} ({error.strerror}).", hint="Choose another, or 0 for any free one."
        ) from error
    return listener
