"""The arena's server: Kaggle's protocol on loopback, from a thread of its own."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from kagglekit.arena import pages, storage
from kagglekit.arena.database import Database
from kagglekit.arena.faults import Faults, protocol
from kagglekit.arena.grading import Grading
from kagglekit.arena.hosted import hosted, now_utc, open_hosted
from kagglekit.arena.identity import identity_of
from kagglekit.arena.protocol import OPEN_CALLS, Desk, Redirect, Refusal, answer, leaderboard
from kagglekit.arena.signing import Signer
from kagglekit.errors import CompetitionNotFound, DiskError, KagglekitError, MissingExtra, UsageError
from kagglekit.files import disk_errors

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

__all__ = ["Arena"]

_HOST = "127.0.0.1"
_LARGEST_REQUEST = 64 << 20
_PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


class Arena:
    """Serves the competitions of a home for as long as the block runs.

    Several processes may serve the same home at once; each has its own port, all know the same token. The arena can be
    reached from this computer only.

    Parameters
    ----------
    home : Path
        Where competitions, submissions and the token lie; made when it is missing.
    port : int
        0 takes any free port.
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
        The port is taken.

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
        now: Callable[[], datetime] = now_utc,
        faults: Faults | None = None,
    ) -> None:
        self._home, self._port, self._now, self._faults = home, port, now, faults
        self._identity = identity_of(home)
        self.token, self.username = self._identity.token, self._identity.username
        self.url = ""

    def __enter__(self) -> Arena:
        uvicorn = _uvicorn()
        database = Database(self._home / "arena.db")
        listener = _listen(self._port)
        self.url = f"http://{_HOST}:{listener.getsockname()[1]}"
        self._grading = Grading(self._home, database)
        signer = Signer(self._identity.key, lambda: self._now().timestamp())
        desk = Desk(self._home, self.url, self._identity, database, signer, self._now, self._grading.start)
        config = uvicorn.Config(
            self._faults.around(_application(desk)) if self._faults else _application(desk),
            http=protocol()
            if self._faults
            else "httptools",  # h11 refuses the absolute-form addresses that a client behind http_proxy sends.
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

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._grading.stop()


def _uvicorn() -> Any:
    # Returns the module: nothing of the web stack is imported before an arena is opened.
    for package in ("starlette", "httptools", "uvicorn"):
        try:
            module = __import__(package)
        except ModuleNotFoundError as error:
            raise MissingExtra("Serving the arena", package, "arena") from error
    return module


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((_HOST, port))
    except OSError as error:
        listener.close()
        raise UsageError(
            f"Port {port} cannot be used ({error.strerror}).", hint="Choose another, or 0 for any free one."
        ) from error
    return listener


def _application(desk: Desk) -> Starlette:
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.exceptions import HTTPException
    from starlette.middleware import Middleware
    from starlette.middleware.trustedhost import TrustedHostMiddleware
    from starlette.responses import HTMLResponse
    from starlette.routing import Route

    async def call(request: Request) -> Response:
        service, method = request.path_params["service"], request.path_params["method"]
        authorization = request.headers.get("authorization", "")
        if (service, method) not in OPEN_CALLS and not desk.identity.accepts(authorization):
            raise Refusal(401, "Unauthenticated: the arena's token is needed.")
        values = _fields(await _body(request))
        found = await run_in_threadpool(answer, desk, service, method, values)
        return _redirect(storage.address(desk, found)) if isinstance(found, Redirect) else _json(found)

    async def upload(request: Request) -> Response:
        with disk_errors(desk.home):
            return await storage.receive(desk, request.path_params["ticket"], request)

    async def download(request: Request) -> Response:
        return await run_in_threadpool(storage.send, desk, request.path_params["ticket"])

    async def index(request: Request) -> Response:
        return _html(await run_in_threadpool(_index_page, desk))

    async def competition(request: Request) -> Response:
        return _html(await run_in_threadpool(_competition_page, desk, request.path_params["slug"]))

    async def refused(request: Request, error: Exception) -> Response:
        missing = not isinstance(error, DiskError)
        if missing and request.method == "GET" and request.url.path.startswith("/competitions/"):
            return HTMLResponse(pages.not_found_page(), status_code=404, headers=_PAGE_HEADERS)
        return _refusal(error)

    api = [Route(f"{prefix}/v1/{{service}}/{{method}}", call, methods=["POST"]) for prefix in ("", "/api")]
    app = Starlette(
        routes=[
            *api,
            Route("/upload/{ticket}", upload, methods=["PUT"]),
            Route("/download/{ticket}/{name}", download, methods=["GET", "HEAD"]),
            Route("/competitions/{slug}", competition, methods=["GET"]),
            Route("/", index, methods=["GET"]),
        ],
        # A page of another site that rebinds its name to this computer would come with that name as host.
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=[_HOST, "localhost"])],
        exception_handlers=dict.fromkeys((Refusal, CompetitionNotFound, DiskError, HTTPException), refused),
    )
    app.router.redirect_slashes = False  # an address that is not served is refused, never mended
    return app


def _index_page(desk: Desk) -> str:
    return pages.index_page((h, leaderboard(desk, h)) for h in hosted(desk.home))


def _competition_page(desk: Desk, slug: str) -> str:
    hosted = open_hosted(desk.home, slug)
    return pages.competition_page(hosted, leaderboard(desk, hosted))


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LARGEST_REQUEST:
            raise Refusal(413, "The request is too large.")
    return bytes(body)


def _fields(body: bytes) -> dict[str, Any]:
    try:
        values = json.loads(body or b"{}")
    except (ValueError, RecursionError) as error:
        raise Refusal(400, "The request is not JSON.") from error
    if not isinstance(values, dict):
        raise Refusal(400, "The request is not a JSON object.")
    return values


def _json(content: dict[str, Any], status: int = 200) -> Response:
    from starlette.responses import JSONResponse

    return JSONResponse(content, status_code=status)


def _html(content: str) -> Response:
    from starlette.responses import HTMLResponse

    return HTMLResponse(content, headers=_PAGE_HEADERS)


def _redirect(address: str) -> Response:
    from starlette.responses import RedirectResponse

    return RedirectResponse(address, status_code=302)


def _refusal(error: Exception) -> Response:
    """Kaggle has two shapes of errors: its gateway's, for credentials and addresses, and its services'."""
    if isinstance(error, CompetitionNotFound):
        return _json({"code": 404, "message": str(error)}, 404)
    if isinstance(error, DiskError):
        return _json({"code": 507, "message": str(error)}, 507)
    if isinstance(error, Refusal) and error.status != 401:
        return _json({"code": error.status, "message": error.message}, error.status)
    status = getattr(error, "status_code", 401)
    message = error.message if isinstance(error, Refusal) else "There is no such address."
    return _json({"error": {"code": status, "message": message}}, status)
