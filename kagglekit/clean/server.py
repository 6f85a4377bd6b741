"""The page's server: on loopback, answering nobody but its own page."""

from __future__ import annotations

import secrets
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from kagglekit.clean.desk import Desk
from kagglekit.clean.page import cleaning_page, refused_page
from kagglekit.errors import KagglekitError
from kagglekit.report.images import as_jpeg, upright
from kagglekit.serving import HOST_NAMES, listen, require, serving, url_of

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

__all__ = ["CleaningPage"]

_LARGEST_FORM = 4 << 20
_SIDE = 900
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class CleaningPage:
    """Serves the page for as long as the block runs.

    A save must bring the random token that the page holds, so that no other page can write through the reader's
    browser; requests under another host name are refused (DNS rebinding). Pictures go by their place on the page,
    never by a path.

    Parameters
    ----------
    desk : Desk
    port : int
        0 takes any free port.

    Attributes
    ----------
    url : str
        Without a final slash.

    Raises
    ------
    MissingExtra
        starlette, uvicorn or httptools is not installed.
    UsageError
        The port is taken.
    """

    def __init__(self, desk: Desk, port: int = 0) -> None:
        self._desk, self._port, self.url = desk, port, ""

    def __enter__(self) -> CleaningPage:
        require("The cleaning page")
        listener = listen(self._port)
        self.url = url_of(listener)
        with ExitStack() as stack:
            stack.enter_context(serving(_application(self._desk, secrets.token_urlsafe()), listener, name="clean"))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()


def _application(desk: Desk, token: str) -> Starlette:
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.middleware import Middleware
    from starlette.middleware.trustedhost import TrustedHostMiddleware
    from starlette.responses import RedirectResponse, Response
    from starlette.routing import Route

    async def show(request: Request) -> Response:
        return _html(cleaning_page(desk, token, saved="saved" in request.query_params))

    async def save(request: Request) -> Response:
        body = await _body(request)
        if body is None:
            return _html(refused_page("The form is too large."), 413)
        form = {name: values[-1] for name, values in parse_qs(body.decode(errors="replace")).items()}
        if not secrets.compare_digest(form.get("token", "").encode(), token.encode()):
            return _html(refused_page("This form is not of the page that is served now: load it again."), 403)
        desk.save(form)
        return RedirectResponse("/?saved", status_code=303, headers=_HEADERS)

    async def picture(request: Request) -> Response:
        number = request.path_params["number"]
        path = desk.suspects[number].picture if number < len(desk.suspects) else ""
        image = await run_in_threadpool(upright, path, _SIDE) if path else None
        if image is None:
            return Response("There is no such picture.", status_code=404, headers=_HEADERS, media_type="text/plain")
        return Response(as_jpeg(image), headers=_HEADERS, media_type="image/jpeg")

    async def refused(request: Request, error: Exception) -> Response:
        return _html(refused_page(str(error)), 400)

    return Starlette(
        routes=[
            Route("/", show, methods=["GET"]),
            Route("/", save, methods=["POST"]),
            Route("/picture/{number:int}", picture, methods=["GET"]),
        ],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=HOST_NAMES)],
        exception_handlers={KagglekitError: refused},
    )


async def _body(request: Request) -> bytes | None:
    """The request's body; None if it is larger than any form of ours."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LARGEST_FORM:
            return None
    return bytes(body)


def _html(text: str, status: int = 200) -> Response:
    from starlette.responses import HTMLResponse

    return HTMLResponse(text, status_code=status, headers=_HEADERS)
