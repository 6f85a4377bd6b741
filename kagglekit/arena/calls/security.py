"""Tokens: whose is this one?"""

from __future__ import annotations

from kagglekit.arena.desk import Answer, Desk, Fields

__all__ = ["introspect_token", "say_hello"]


def introspect_token(desk: Desk, fields: Fields) -> Answer:
    if not desk.identity.is_token(fields.text("token")):
        return {"active": False}
    return {"active": True, "username": desk.identity.username, "userId": 1, "scope": "resources.admin:*"}


def say_hello(desk: Desk, fields: Fields) -> Answer:
    """What `kagglehub.whoami` asks."""
    return {"userName": desk.identity.username}
