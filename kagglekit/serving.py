"""Serving a web application, from a thread of its own: to this computer alone unless another address is named."""

from __future__ import annotations

import importlib
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kagglekit.errors import KagglekitError, MissingExtra, UsageError

__all__ = ["HOST", "HOST_NAMES", "listen", "require", "serving", "url_of"]

HOST = "127.0.0.1"
HOST_NAMES = (HOST, "localhost")
"""Names to be reached by. A page of another site that rebinds its own name to this computer comes with that name."""


def require(what: str, *packages: str) -> None:
    """Import what serving needs, and further packages; nothing of the web stack is imported before.

    Raises
    ------
    MissingExtra
    """
    for package in ("starlette", "httptools", "uvicorn", *packages):
        try:
            importlib.import_module(package)
        except ModuleNotFoundError as error:
            raise MissingExtra(what, package, "arena") from error


def listen(port: int, host: str = HOST) -> socket.socket:
    """A listening socket, on loopback unless another address of this computer is given; port 0 takes any free one.

    Raises
    ------
    UsageError
        The port is taken.
    """
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


def url_of(listener: socket.socket) -> str:
    """Its address, without a final slash."""
    host, port = listener.getsockname()
    return f"http://{host}:{port}"


@contextmanager
def serving(application: Any, listener: socket.socket, *, name: str, http: Any = "httptools") -> Iterator[None]:
    """Serve for as long as the block runs, without logs, signals or a word about the server.

    Parameters
    ----------
    application : ASGI application
    listener : socket
    name : str
        Of the thread.
    http : str or class
        uvicorn's protocol. Not h11: it refuses the absolute-form addresses that a client behind http_proxy sends.

    Raises
    ------
    KagglekitError
        The server did not start.
    """
    import uvicorn

    config = uvicorn.Config(
        application,
        http=http,
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
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name=name, daemon=True)
    thread.start()
    while not server.started:
        if not thread.is_alive():
            raise KagglekitError("The server did not start.", hint="Try another port.")
        time.sleep(0.005)
    try:
        yield
    finally:
        server.should_exit = True
        thread.join()
