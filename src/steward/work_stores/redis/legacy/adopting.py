"""What happens once, at the first start on data of the older software: its jobs get into the lists, and its queue is taken over.

Old writers must have stopped. A job in the queue becomes a job of ours and is run, or says why it cannot be; one that was
running is left as unknown, so that a person decides. All of it can be broken off and done again.
"""

from typing import Final

import structlog

from steward.clock import milliseconds
from steward.job import JobStatus
from steward.key_schema import Adopt
from steward.work_stores.redis.keys import KEYS, key
from steward.work_stores.redis.legacy.migrating import Migrator
from steward.work_stores.redis.legacy.pace import Pace
from steward.work_stores.redis.legacy.records import Unreadable, fields_of, shown_old
from steward.work_stores.redis.legacy.walking import Bookmark, Current, Old, records_of, stretches
from steward.work_stores.redis.server import Server
from steward.workspace import canonical_workspace_id

_OPERATIONS_PER_S: Final = 20_000
_BATCH: Final = 500
_log = structlog.get_logger("steward.redis")


async def adopt_queue(migrator: Migrator, adopt: Adopt | None) -> int:
    """Take what the older software left in its queue; return how many ids were taken out of it."""
    server, first, taken = migrator.server, 0, 0
    while True:
        members = await server.send("LRANGE", key("ring"), first, first + _BATCH - 1)
        if not members:
            return taken
        for member in members:
            if await _take_out(migrator, member.decode("utf-8", "replace"), adopt):
                taken += 1
            else:
                first += 1


async def _take_out(migrator: Migrator, member: str, adopt: Adopt | None) -> bool:
    """Take one member out of the line if it is an old job; a workspace stays."""
    server = migrator.server
    names = [KEYS["old_job"] % member, KEYS["older_job"] % member]
    olds = [one for one in await records_of(server, names) if isinstance(one, Old) and one.flat and not one.why]
    if not olds and canonical_workspace_id(member) is not None:
        return False  # a claim takes it out if it is no workspace with ready jobs
    if not olds:
        _log.warning("An id in the old queue is of no job.", action="adopt_unknown", job_id=member[:128])
        await server.send("LREM", key("ring"), 1, member)
        return True
    try:
        await migrator.migrate(olds[0], queued=True, adopt=adopt)
    except Unreadable:
        _log.warning("A job in the old queue cannot be read.", action="adopt_invalid", job_id=member[:128])
        await server.send("LREM", key("ring"), 1, member)
    return True


async def adopt_records(migrator: Migrator, pace: Pace | None = None) -> dict[str, int]:
    """Put every old record into the lists of its workspace; return how many records of each kind there are."""
    server, mark = migrator.server, Bookmark(migrator.server, "adopt")
    at, counts = await mark.read()
    counts = {name: counts.get(name, 0) for name in ("old", "current", "invalid")}
    async for stretch in stretches(server, pace or Pace(_OPERATIONS_PER_S), _BATCH, at):
        listed: list[object] = []
        for one in stretch.records:
            if isinstance(one, Current):
                counts["current"] += 1
                continue
            counts["old"] += 1
            if one.why:
                counts["invalid"] += 1
                continue
            old = shown_old(fields_of(one.flat), one.job_id)
            counts["invalid"] += old.broken
            if old.status is JobStatus.UNKNOWN and not old.broken:
                await migrator.migrate(one)
                counts["current"] += 1
            listed += [old.workspace_id, old.job_id, old.status.value, milliseconds(old.enqueued_at)]
        if listed:
            await server.run("index_old", len(listed) // 4, *listed)
        await mark.write(stretch.at, **counts)
    await mark.remove()
    return counts


async def fill(server: Server, *, only_missing: bool = False) -> None:
    """Write the old copy of every current job anew, or only where there is none, while changes are written to both."""
    current = 0
    async for stretch in stretches(server, Pace(_OPERATIONS_PER_S), _BATCH):
        mine = [one for one in stretch.records if isinstance(one, Current)]
        current += len(mine)
        if mine:
            flat = (part for one in mine for part in (one.workspace_id, one.job_id))
            await server.run("copy_jobs", int(only_missing), len(mine), *flat)
    await server.send("HSET", key("schema"), "current", current)
