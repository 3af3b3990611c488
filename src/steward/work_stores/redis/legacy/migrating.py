"""Gives old records their current ones, one job at a time and each in one script; and walks over all of them to do so.

A current record is never overwritten: every change since it exists was made to it, so it is never older. Where the old copy
says less than it, the copy is written anew.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import structlog

from steward.errors import StewardError
from steward.event import EventType
from steward.ids import IdFactory
from steward.job import JobError, JobStatus
from steward.key_schema import Adopt, BackfillProgress, QueuedJob
from steward.work_stores.redis.job_records import job_fields, shown_job
from steward.work_stores.redis.legacy.pace import Pace, checked_pace
from steward.work_stores.redis.legacy.records import (
    OldRecord,
    Unreadable,
    differences,
    fields_of,
    flat_of,
    migrated_fields,
    plan_of,
    read_old,
    refused_fields,
    runnable_fields,
)
from steward.work_stores.redis.legacy.walking import Bookmark, Old, stretches
from steward.work_stores.redis.legacy.words import TO_OLD
from steward.work_stores.redis.records import Fields, encode
from steward.work_stores.redis.server import Server
from steward.work_stores.redis.submissions import flat

_TRIES: Final = 3
_RANK: Final = {"pending": 0, "running": 1, "completed": 2, "failed": 2}
_log = structlog.get_logger("steward.redis")


@dataclass(frozen=True, slots=True)
class Migrator:
    """Gives single records their current ones."""

    server: Server
    ids: IdFactory

    async def migrate(self, found: Old, *, queued: bool = False, adopt: Adopt | None = None) -> str:
        """Return ``migrated`` or ``exists``; raise ``Unreadable`` for a record that cannot be taken over."""
        for _ in range(_TRIES):
            old = read_old(fields_of(found.flat), found.job_id)
            answer = (await self.server.run("migrate_job", *self._arguments(found, old, queued, adopt))).decode()
            if answer != "changed":
                return answer
            found = Old(
                found.name, found.job_id, flat_of(await self.server.send("HGETALL", found.name)), found.workspace_id
            )
        raise Unreadable("changing")

    def _arguments(self, found: Old, old: OldRecord, queued: bool, adopt: Adopt | None) -> tuple[Any, ...]:
        plan_id, now = self.ids.new("plan"), self.server.now
        fields, event, facts = migrated_fields(old, plan_id), "", {}
        if old.status is JobStatus.UNKNOWN:
            event, facts = EventType.JOB_UNKNOWN, {"error_code": "outcome_unknown"}
        elif queued and adopt is not None and old.status is JobStatus.PENDING:
            fields, event, facts = self._adopted(old, plan_id, adopt)
        status = JobStatus(fields["status"])
        untouched = status is not JobStatus.PENDING and old.word == TO_OLD[status]
        if event.startswith("job."):
            facts |= {"step_id": "s1", "action_id": old.action_id, "status": status, "attempt": 0}
        return (
            *(old.workspace_id, old.job_id, found.name),
            *(int(untouched), int(queued)),
            *(event, encode(facts) if event else ""),
            *(len(found.flat) // 2, *found.flat),
            *flat(plan_of(old, plan_id, status, now)),
            *flat(fields),
        )

    def _adopted(self, old: OldRecord, plan_id: str, adopt: Adopt) -> tuple[Fields, str, dict[str, Any]]:
        """Return the fields of a job from the queue, and the event that tells of it."""
        made = adopt(
            QueuedJob(
                job_id=old.job_id,
                workspace_id=old.workspace_id,
                actor_id=old.actor_id,
                action_id=old.action_id,
                params=old.params,
                plan_id=plan_id,
                enqueued_at=old.enqueued_at,
            )
        )
        if isinstance(made, JobError):
            return (
                refused_fields(old, plan_id, made, self.server.now),
                EventType.JOB_FAILED,
                {"error_code": made.code},
            )
        fields = job_fields(made, status=JobStatus.PENDING, now=self.server.now)
        facts = {"status": "running", "jobs": 1, "actions": [made.action_id], "request_id": ""}
        return runnable_fields(old, plan_id, fields), EventType.PLAN_SUBMITTED, facts


@dataclass(slots=True)
class _Tally:
    scanned: int = 0
    migrated: int = 0
    skipped_exists: int = 0
    skipped_invalid: int = 0
    errors: int = 0
    last_job_id: str | None = None


class Backfill:
    """One run over all old records."""

    def __init__(self, migrator: Migrator, *, execute: bool, workspace_id: str | None, max_keys: int | None) -> None:
        """Say what it is about; without ``execute`` it writes nothing, not even how far it came."""
        self._migrator = migrator
        self._server = migrator.server
        self._execute = execute
        self._workspace = workspace_id
        self._most = max_keys
        self._tally = _Tally()
        self._mark = Bookmark(self._server, f"backfill:{workspace_id or '*'}")

    async def run(
        self, total: int, *, operations_per_s: int, batch: int, restart: bool
    ) -> AsyncIterator[BackfillProgress]:
        """Iterate over the progress, once for each stretch of keys."""
        pace = checked_pace(operations_per_s, batch, self._most)
        at = "0"
        if self._execute and not restart:
            at, _ = await self._mark.read()
        async for stretch in stretches(self._server, pace, batch, at):
            olds = [one for one in stretch.records if isinstance(one, Old)]
            done = True
            for first in range(0, len(olds), batch):
                done = await self._take(olds[first : first + batch], pace) and done
            finished = done and stretch.at == "0"
            if self._execute and done and not self._tally.errors:
                await self._mark.write(stretch.at)
            tally = self._tally
            yield BackfillProgress(
                total=max(total, tally.scanned),
                scanned=tally.scanned,
                migrated=tally.migrated,
                skipped_exists=tally.skipped_exists,
                skipped_invalid=tally.skipped_invalid,
                errors=tally.errors,
                operations=pace.operations,
                last_job_id=tally.last_job_id,
                finished=finished,
            )
            if not done:
                return

    async def _take(self, olds: Sequence[Old], pace: Pace) -> bool:
        """Take over some records; return whether there was room for all of them."""
        tally, known = self._tally, []
        mine = [one for one in olds if self._workspace in {None, one.workspace_id}]
        await pace.take(len(mine))
        pairs = [(one.workspace_id, one.job_id) for one in mine if not one.why]
        both = await compared(self._server, pairs)
        for one in mine:
            if self._most is not None and tally.migrated >= self._most:
                return False
            tally.scanned += 1
            tally.last_job_id = one.job_id
            try:
                old = None if one.why else read_old(fields_of(one.flat), one.job_id)
            except Unreadable:
                old = None
            if old is None:
                tally.skipped_invalid += 1
            elif both[one.workspace_id, one.job_id][0] is not None:
                tally.skipped_exists += 1
                known.append((one.workspace_id, one.job_id))
            else:
                await pace.take(1)
                await self._one(one)
        if self._execute and known:
            await self._heal(known, both)
        return True

    async def _one(self, found: Old) -> None:
        if not self._execute:
            self._tally.migrated += 1
            return
        try:
            answer = await self._migrator.migrate(found)
        except (StewardError, Unreadable) as error:
            self._tally.errors += 1
            _log.warning("A job could not be taken over.", action="backfill_error", job_id=found.job_id, why=str(error))
        else:
            self._tally.migrated += answer == "migrated"
            self._tally.skipped_exists += answer == "exists"

    async def _heal(self, known: Sequence[tuple[str, str]], both: "Both") -> None:
        """Write old copies anew that say less than the current record does."""
        stale = []
        for one in known:
            job, flat_old = both[one]
            try:
                old = read_old(fields_of(flat_old), one[1])
            except Unreadable:
                continue
            current = shown_job(job)
            if differences(current, old) and _RANK[old.word] <= _RANK[TO_OLD[current.status]]:
                stale.append(one)
        if stale:
            await self._server.run("copy_jobs", 0, len(stale), *(part for one in stale for part in one))


Both = dict[tuple[str, str], tuple[Any, Sequence[bytes]]]


async def compared(server: Server, pairs: Sequence[tuple[str, str]]) -> Both:
    """Return the current fields (None: there are none) and the old record of some jobs, each as of one moment."""
    if not pairs:
        return {}
    told = await server.run("compare_jobs", len(pairs), *(part for pair in pairs for part in pair))
    return {pair: (values or None, flat_old) for pair, (values, flat_old) in zip(pairs, told, strict=True)}
