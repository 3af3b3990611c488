"""Whether what only older versions need is still kept: lists of all jobs and plans, whose each plan is, a hash for each plan.

Lists are read from those of each status, and a plan of one step may be carried by its job. A process of an older version knows
neither, so while one may be at work beside this one, everything is kept as it expects it. A Redis that holds no work yet begins
lean; on any other, whoever repairs it after an upgrade says that the older ones have left.
"""

from typing import Final

from steward.work_stores.redis.keys import KEYS, key
from steward.work_stores.redis.server import Server
from steward.work_stores.redis.walking import keys_like, sent

_SAID: Final = ("HSET", key("schema"), "lean", "1")


async def begin_lean(server: Server) -> None:
    """Keep a Redis lean from the beginning."""
    if not await server.send("EXISTS", key("installation")):
        await server.send(*_SAID)


async def become_lean(server: Server) -> None:
    """Keep nothing any more that only older versions need, and drop what there is of it."""
    await server.send(*_SAID)
    await server.send("DEL", key("home"))
    for kind in ("jobs", "plans"):
        before = KEYS[kind].partition("%")[0]
        async for name in keys_like(server, key(kind, "*")):
            if ":" not in name.removeprefix(before):
                await server.send("DEL", sent(name))
