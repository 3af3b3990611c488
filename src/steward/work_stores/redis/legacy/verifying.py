"""Compares every job in both schemas, whatever happens meanwhile: each pair is read as of one moment."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Final

from steward.key_schema import Difference, Verified
from steward.work_stores.redis.job_records import shown_job
from steward.work_stores.redis.legacy.migrating import compared
from steward.work_stores.redis.legacy.pace import Pace
from steward.work_stores.redis.legacy.records import Unreadable, differences, fields_of, read_old
from steward.work_stores.redis.legacy.walking import Current, Old, stretches
from steward.work_stores.redis.server import Server

EXAMPLES: Final = 20
INVALID: Final = "invalid"
_KINDS: Final = ("compared", "missing", "different", "extra", "invalid")


class Verification:
    """One comparison."""

    def __init__(self, server: Server, workspace_id: str | None, *, twins: bool) -> None:
        """Look at one workspace, or at all; ``twins``: every current record should have an old one."""
        self._server = server
        self._twins = twins
        self._workspace = workspace_id
        self._counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._examples: list[Difference] = []
        self._seen: set[str] = set()
        self.old = self.current = 0

    async def run(self, batch: int, pace: Pace) -> Verified:
        """Walk over all keys and return what was found."""
        async for stretch in stretches(self._server, pace, batch):
            olds = [one for one in stretch.records if isinstance(one, Old) and self._first(one.name)]
            currents = [one for one in stretch.records if isinstance(one, Current) and self._mine(one.workspace_id)]
            currents = [one for one in currents if self._first(f"{one.workspace_id} {one.job_id}")]
            self.old, self.current = self.old + len(olds), self.current + len(currents)
            for one in olds:
                if one.why and self._workspace is None:
                    self._note(Difference(INVALID, one.job_id, "invalid", (one.why,)))
            mine = [one for one in olds if not one.why and self._mine(one.workspace_id)]
            for first in range(0, max(len(mine), len(currents)), batch):
                await self._old(mine[first : first + batch])
                await self._current(currents[first : first + batch])
        total = sum(self._counts.values(), Counter[str]())
        return Verified(
            compared=total["compared"],
            missing=total["missing"],
            different=total["different"],
            extra=total["extra"],
            invalid=total["invalid"],
            by_workspace={
                name: {kind: counts[kind] for kind in _KINDS} for name, counts in sorted(self._counts.items())
            },
            examples=tuple(self._examples),
        )

    def _mine(self, workspace_id: str) -> bool:
        return self._workspace in {None, workspace_id}

    def _first(self, name: str) -> bool:
        known = name in self._seen
        self._seen.add(name)
        return not known

    def _note(self, found: Difference) -> None:
        self._counts[found.workspace_id][found.kind] += 1
        if len(self._examples) < EXAMPLES:
            self._examples.append(found)

    async def _old(self, olds: Sequence[Old]) -> None:
        both = await compared(self._server, [(one.workspace_id, one.job_id) for one in olds])
        for one in olds:
            values, flat_old = both[one.workspace_id, one.job_id]
            if not flat_old:
                continue  # gone meanwhile
            try:
                old = read_old(fields_of(flat_old), one.job_id)
            except Unreadable as error:
                self._note(Difference(one.workspace_id, one.job_id, "invalid", (str(error),)))
                continue
            if values is None:
                self._note(Difference(one.workspace_id, one.job_id, "missing"))
                continue
            self._counts[one.workspace_id]["compared"] += 1
            if said := differences(shown_job(values), old):
                self._note(Difference(one.workspace_id, one.job_id, "different", tuple(sorted(said))))

    async def _current(self, currents: Sequence[Current]) -> None:
        both = await compared(self._server, [(one.workspace_id, one.job_id) for one in currents])
        for one in currents:
            values, flat_old = both[one.workspace_id, one.job_id]
            if self._twins and values is not None and not flat_old:
                self._note(Difference(one.workspace_id, one.job_id, "extra"))
