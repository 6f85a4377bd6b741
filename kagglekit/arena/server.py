"""The arena's server: Kaggle's protocol on loopback, from a thread of its own."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from types import TracebackType

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
from kagglekit.errors import UsageError
from kagglekit.serving import HOST, listen, require, serving, url_of

__all__ = ["Arena", "is_loopback"]


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
        host: str = HOST,
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
        require("Serving the arena", "jinja2")
        database = Database(self._home / "arena.db")
        listener = listen(self._port, _address_of(self._host))
        self.url = url_of(listener)
        self._grading = Grading(self._home, database)
        app = application(self._desk(database), open_pages=is_loopback(self._host))
        faulty, http = (self._faults.around(app), protocol()) if self._faults else (app, "httptools")
        with ExitStack() as stack:
            stack.callback(self._grading.stop)
            stack.enter_context(serving(faulty, listener, name="arena", http=http))
            self._stack = stack.pop_all()
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
        self._stack.close()


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
