"""Walks over keys and members, a few at a time: for starts and mending, never part of a request.

Bytes that are no text, such as a damaged record leaves behind, pass through in names: ``sent`` makes them what they were.
"""

from collections.abc import AsyncIterator
from typing import Any, Final

from steward.ids import namesake
from steward.work_stores.redis.keys import KEYS, key
from steward.work_stores.redis.server import Server

_STEP: Final = 1_000
_AS_IT_IS: Final = "surrogateescape"


def _name(found: bytes) -> str:
    return found.decode(errors=_AS_IT_IS)


def sent(name: str) -> bytes:
    """Return a name that was found here as it is sent."""
    return name.encode(errors=_AS_IT_IS)


async def keys_like(server: Server, pattern: str) -> AsyncIterator[str]:
    """Iterate over the names of keys that match a pattern; one may come twice."""
    cursor: Any = 0
    while True:
        cursor, names = await server.send("SCAN", cursor, "MATCH", pattern, "COUNT", _STEP)
        for name in names:
            yield _name(name)
        if int(cursor) == 0:
            return


async def records(server: Server, kind: str) -> AsyncIterator[tuple[str, str]]:
    """Iterate over workspace and id of all records of a kind by their keys: of plans also those that a job may carry."""
    before = KEYS[kind].partition("%")[0]
    async for name in keys_like(server, key(kind, "*", "*")):
        workspace, _, subject = name.removeprefix(before).partition(":")
        yield workspace, subject
    if kind == "plan":
        async for workspace, job_id in records(server, "job"):
            yield workspace, namesake(job_id, "plan")


async def members_of(server: Server, name: str) -> AsyncIterator[str]:
    """Iterate over the members of a sorted set; one may come twice."""
    cursor: Any = 0
    while True:
        cursor, pairs = await server.send("ZSCAN", sent(name), cursor, "COUNT", _STEP)
        for member, _ in pairs:
            yield _name(member)
        if int(cursor) == 0:
            return
