"""What runs in processes that are killed: imported once by the server that forks them."""

from __future__ import annotations

import resource
from multiprocessing.connection import Connection
from pathlib import Path

from kagglekit.credentials import Credentials
from kagglekit.download import download
from kagglekit.files import sha256
from kagglekit.gateway import Gateway, Patience, Site
from kagglekit.kaggle_client import connect
from kagglekit.sending import sending

# Kaggle's client takes a second to import: the forked processes then have it.
with connect(Site("arena", "http://127.0.0.1:9"), Credentials("nobody", token="none")):
    pass

PATIENT = Patience(connect=5, read=10, attempts=8, budget=60, first_pause=0.01, longest_pause=0.5, settle=0.1)


def fetch(url: str, token: str, slug: str, folder: Path) -> None:
    """Download a competition."""
    with Gateway(Site("arena", url), token, patience=PATIENT) as gateway:
        download(gateway, slug, folder)


def submit(url: str, token: str, slug: str, file: Path, message: str, ledger: Path) -> None:
    """Send a file as the last stage does: take the record, send, write the number down, forget the record."""
    with (
        Gateway(Site("arena", url), token, patience=PATIENT) as gateway,
        sending(file.parent, "arena", sha256(file)) as outgoing,
    ):
        if not ledger.exists():
            ref = outgoing.send(gateway, slug, file, message)
            ledger.write_text(ref)
        outgoing.done()


def measure(url: str, token: str, slug: str, folder: Path, answer: Connection) -> None:
    """Download a competition and tell by how many MB the process grew."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    fetch(url, token, slug, folder)
    answer.send((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
