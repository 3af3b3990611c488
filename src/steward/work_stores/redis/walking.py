"""Walks over keys and members, a few at a time: for starts and mending, never part of a request."""

from collections.abc import AsyncIterator
from typing import Any, Final

from steward.ids import namesake
from steward.work_stores.redis.keys import KEYS, key
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
        cursor, pairs = await server.send("ZSCAN", name, cursor, "COUNT", _STEP)
        for member, _ in pairs:
            yield member.decode()
        if int(cursor) == 0:
            return
