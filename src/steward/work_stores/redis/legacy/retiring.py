"""Removes old records, job by job and each by its own key, once the older schema is neither written nor read.

One stays if no current record of the same workspace and id is there, or if it cannot be told whose it is.
"""

from collections.abc import AsyncIterator

from steward.key_schema import Retired
from steward.work_stores.redis.legacy.migrating import compared
from steward.work_stores.redis.legacy.pace import checked_pace
from steward.work_stores.redis.legacy.walking import Old, stretches
from steward.work_stores.redis.server import Server


async def retire(server: Server, *, execute: bool, operations_per_s: int, batch: int) -> AsyncIterator[Retired]:
    """Iterate over the progress; without ``execute`` it only counts."""
    pace = checked_pace(operations_per_s, batch)
    removable = removed = kept = 0
    seen: set[str] = set()
    async for stretch in stretches(server, pace, batch):
        olds = [one for one in stretch.records if isinstance(one, Old) and one.name not in seen]
        seen.update(one.name for one in olds)
        kept += sum(1 for one in olds if one.why)
        named = [one for one in olds if not one.why]
        for first in range(0, len(named), batch):
            some = named[first : first + batch]
            await pace.take(len(some))
            both = await compared(server, [(one.workspace_id, one.job_id) for one in some])
            twins = [one for one in some if both[one.workspace_id, one.job_id][0] is not None]
            removable, kept = removable + len(twins), kept + len(some) - len(twins)
            if execute and twins:
                await pace.take(len(twins))
                flat = (part for one in twins for part in (one.workspace_id, one.job_id, one.name))
                removed += sum(await server.run("retire_jobs", len(twins), *flat))
        yield Retired(removable=removable, removed=removed, kept=kept, finished=stretch.at == "0")
