"""Walks over keys and members, a few at a time: for starts and mending, never part of a request."""

from collections.abc import AsyncIterator
from typing import Any, Final

from steward.work_stores.redis.server import Server

_STEP: Final = 1_000


async def keys_like(server: Server, pattern: str) -> AsyncIterator[str]:
    """Iterate over the names of keys that match a pattern; one may come twice."""
    cursor: Any = 0
    while True:
        cursor, names = await server.send("SCAN", cursor, "MATCH", pattern, "COUNT", _STEP)
        for name in names:
            yield name.decode()
        if int(cursor) == 0:
            return


async def members_of(server: Server, name: str) -> AsyncIterator[str]:
    """Iterate over the members of a sorted set; one may come twice."""
    cursor: Any = 0
    while True:
        cursor, pairs = await server.send("ZSCAN", name, cursor, "COUNT", _STEP)
        for member, _ in pairs:
            yield member.decode()
        if int(cursor) == 0:
            return
