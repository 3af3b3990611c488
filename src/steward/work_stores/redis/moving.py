"""Moving work to another engine, or back: whether anything here still counts, and that numbers go on where they stood.

Only for a start: it walks over keys.
"""

from typing import Final

from steward.event import LogEnds
from steward.work_stores.redis.keys import KEYS, key
from steward.work_stores.redis.server import Server
from steward.work_stores.redis.walking import keys_like, records, sent

_BATCH: Final = 200
_WORKSPACES: Final = 1_000


async def holds_work(server: Server) -> bool:
    """Say whether anything is under way here, or a request would be known again; drafts do not count."""
    some: list[bytes] = []

    async def any_holds() -> bool:
        held = await server.run("holds_work", len(some) // 2, *some)
        some.clear()
        return bool(held)

    async for named in records(server, "plan"):
        some += map(sent, named)
        if len(some) >= 2 * _BATCH and await any_holds():
            return True
    return await any_holds()


async def log_ends(server: Server) -> LogEnds:
    """Return where the log stands."""
    sequences: dict[str, int] = {}
    async for name in keys_like(server, key("workspace", "*")):
        if not name.isascii():  # no workspace has such a name
            continue
        sequence = await server.send("HGET", name, "event_sequence")
        sequences[name.removeprefix(KEYS["workspace"] % "")] = int(sequence or 0)
    return LogEnds(int(await server.send("HGET", key("installation"), "position") or 0), sequences)


async def continue_after(server: Server, ends: LogEnds) -> None:
    """Let the log go on after another one."""
    pairs = list(ends.sequences.items())
    for first in range(0, max(len(pairs), 1), _WORKSPACES):
        some = pairs[first : first + _WORKSPACES]
        await server.run("continue_after", ends.position, len(some), *(part for pair in some for part in pair))
