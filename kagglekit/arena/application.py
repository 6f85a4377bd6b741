"""The application: which address is answered by what, who may ask, and how refusals look."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from kagglekit.arena import pages, storage
from kagglekit.arena.calls.kernels import log_stream
from kagglekit.arena.desk import Answer, Desk, Redirect, Refusal, Stream, download_path
from kagglekit.arena.identity import REALM
from kagglekit.arena.protocol import OPEN_CALLS, answer
from kagglekit.errors import CompetitionNotFound, DiskError

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

__all__ = ["application"]

_LARGEST_REQUEST = 64 << 20
_PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
#: Each page by its address: a function of the desk and of the parts of the path.
_PAGES: dict[str, Callable[..., str]] = {
    "/": pages.competitions_page,
    "/competitions/{slug}": pages.competition_page,
    "/competitions/{slug}/leaderboard": pages.leaderboard_page,
    "/competitions/{slug}/submissions": pages.submissions_page,
    "/datasets": pages.datasets_page,
    "/datasets/{owner}/{slug}": pages.dataset_page,
    "/code": pages.kernels_page,
    "/code/{owner}/{slug}": pages.kernel_page,
}


def application(desk: Desk, *, open_pages: bool = True) -> Starlette:
    """Everything that the arena answers.

    Parameters
    ----------
    desk : Desk
    open_pages : bool
        Whether people read the pages without a token: on this computer only.
    """
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.middleware import Middleware
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    host = urlsplit(desk.url).hostname or ""
    handled = (Refusal, CompetitionNotFound, DiskError, HTTPException)
    app = Starlette(
        routes=[*_api_routes(desk), *_storage_routes(desk), *_page_routes(desk, open_pages)],
        # A page of another site that rebinds its name to this computer would come with that name as host.
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=[host, *(["localhost"] if open_pages else [])])],
        exception_handlers=dict.fromkeys(handled, _refused),
    )
    app.router.redirect_slashes = False  # an address that is not served is refused, never mended
    return app


def _api_routes(desk: Desk) -> list[Any]:
    from starlette.concurrency import run_in_threadpool
    from starlette.routing import Route

    async def call(request: Request) -> Response:
        service, method = request.path_params["service"], request.path_params["method"]
        if (service, method) not in OPEN_CALLS:
            _check_token(desk, request)
        fields = _fields(await _body(request))
        return _response(desk, await run_in_threadpool(answer, desk, service, method, fields))

    async def log(request: Request) -> Response:
        _check_token(desk, request)
        owner, slug = request.path_params["owner"], request.path_params["slug"]
        record = await run_in_threadpool(desk.kernels.find, slug)
        if record is None or owner != desk.identity.username:
            raise Refusal(404, "There is no such notebook.")
        return _response(desk, log_stream(desk, record))

    # Kaggle's client asks api.kaggle.com/v1 there, and localhost/api/v1 here.
    routes = [Route(f"{prefix}/v1/{{service}}/{{method}}", call, methods=["POST"]) for prefix in ("", "/api")]
    logs = [
        Route(f"{prefix}/v1/kernels/logs/stream/{{owner}}/{{slug}}", log, methods=["GET"]) for prefix in ("", "/api")
    ]
    return [*routes, *logs]


def _storage_routes(desk: Desk) -> list[Any]:
    from starlette.concurrency import run_in_threadpool
    from starlette.routing import Route

    async def upload(request: Request) -> Response:
        return await storage.receive(desk, request.path_params["ticket"], request)

    async def download(request: Request) -> Response:
        return await run_in_threadpool(storage.send, desk, request.path_params["ticket"])

    return [
        Route("/upload/{ticket}", upload, methods=["PUT"]),
        Route("/download/{ticket}/{name}", download, methods=["GET", "HEAD"]),
    ]


def _page_routes(desk: Desk, is_open: bool) -> list[Any]:
    from starlette.concurrency import run_in_threadpool
    from starlette.responses import HTMLResponse
    from starlette.routing import Route

    def route(path: str, page: Callable[..., str]) -> Route:
        async def show(request: Request) -> Response:
            if not is_open:
                _check_token(desk, request)
            try:
                content = await run_in_threadpool(page, desk, **request.path_params)
            except (CompetitionNotFound, pages.PageNotFound):
                return HTMLResponse(pages.not_found_page(), status_code=404, headers=_PAGE_HEADERS)
            return HTMLResponse(content, headers=_PAGE_HEADERS)

        return Route(path, show, methods=["GET"])

    return [route(path, page) for path, page in _PAGES.items()]


def _check_token(desk: Desk, request: Request) -> None:
    if not desk.identity.accepts(request.headers.get("authorization", "")):
        raise Refusal(401, "Unauthenticated: the arena's token is needed.")


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
        # Half of a surrogate pair is JSON and no text: nothing that stores or sends text takes it.
        json.dumps(values, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise Refusal(400, "The request is not JSON.") from error
    if not isinstance(values, dict):
        raise Refusal(400, "The request is not a JSON object.")
    return values


def _response(desk: Desk, made: Answer) -> Response:
    from starlette.responses import RedirectResponse, StreamingResponse

    if isinstance(made, Redirect):
        return RedirectResponse(desk.url + download_path(desk, made), status_code=302)
    if isinstance(made, Stream):
        return StreamingResponse(made.pieces, media_type=made.media_type, headers={"Cache-Control": "no-store"})
    return _json(made)


def _json(content: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None) -> Response:
    from starlette.responses import JSONResponse

    return JSONResponse(content, status_code=status, headers=headers)


async def _refused(request: Request, error: Exception) -> Response:
    """Kaggle has two shapes of errors: its gateway's, for credentials and addresses, and its services'."""
    if isinstance(error, CompetitionNotFound):
        return _json({"code": 404, "message": str(error)}, 404)
    if isinstance(error, DiskError):
        return _json({"code": 507, "message": str(error)}, 507)
    if isinstance(error, Refusal) and error.status != 401:
        return _json({"code": error.status, "message": error.message}, error.status)
    status = getattr(error, "status_code", 401)
    message = error.message if isinstance(error, Refusal) else "There is no such address."
    # A browser that is told so asks its user for name and token.
    headers = {"WWW-Authenticate": f'Basic realm="{REALM}"'} if status == 401 else None
    return _json({"error": {"code": status, "message": message}}, status, headers)
