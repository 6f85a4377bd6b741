"""Signed, expiring tickets: upload and download addresses carry no credentials, so the address itself is the proof.

A ticket holds what it is good for, so a request never names a path of its own.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Mapping

__all__ = ["BadTicket", "Signer"]


class BadTicket(ValueError):
    """The ticket was changed, has expired, or is none of ours. Says no more, so that nobody learns from it."""


class Signer:
    """Writes tickets and checks them.

    Parameters
    ----------
    key : bytes
        Secret; whoever holds it can write tickets.
    clock : callable
        Seconds since 1970.
    """

    def __init__(self, key: bytes, clock: Callable[[], float] = time.time) -> None:
        self._key, self._clock = key, clock

    def sign(self, claim: Mapping[str, str], *, purpose: str, seconds: int) -> str:
        """A ticket for this claim and this purpose, good for so many seconds; safe in a URL path."""
        content = {**claim, "purpose": purpose, "expires": str(int(self._clock()) + seconds)}
        body = _encode(json.dumps(content, sort_keys=True).encode())
        return f"{body}.{self._signature(body)}"

    def open(self, ticket: str, *, purpose: str) -> dict[str, str]:
        """The claim of a ticket that was written for this purpose.

        Raises
        ------
        BadTicket
        """
        body, _, signature = ticket.partition(".")
        if not hmac.compare_digest(signature.encode(), self._signature(body).encode()):
            raise BadTicket
        claim: dict[str, str] = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        if claim["purpose"] != purpose or int(claim["expires"]) < self._clock():
            raise BadTicket
        return claim

    def _signature(self, body: str) -> str:
        return _encode(hmac.new(self._key, body.encode(), hashlib.sha256).digest())


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
