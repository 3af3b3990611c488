"""Where the operator moves the keys of jobs in Redis from one shape to the other: each change is recorded in the audit.

Both doors, the command line and HTTP, come through here. A change is recorded before it begins, so that where the audit is
required nothing changes without a record, and again with what became of it. Looking is not recorded.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from steward.audit import AuditEntry, AuditKind
from steward.clock import Clock
from steward.errors import Conflict, SchemaRefused, StewardError
from steward.key_schema import BackfillProgress, KeySchema, Phase, Retired, SchemaStatus, Verified
from steward.recorder import Recorder
from steward.work_store import WorkEngine
from steward.workspace import SYSTEM_WORKSPACE

BEGUN: Final = "begun"
DONE: Final = "done"


@dataclass(frozen=True, slots=True)
class By:
    """Who asks for a change."""

    actor_id: str
    request_id: str | None = None


class NoKeySchema(Conflict):
    """Work is not in Redis, so there are no keys to migrate; set REDIS_URL where it is."""

    code = "no_key_schema"


class SchemaDesk:
    """Looks at the migration and changes it."""

    def __init__(self, schema: KeySchema | None, recorder: Recorder, clock: Clock) -> None:
        """Use the schema of the engine (None: it has none)."""
        self._schema = schema
        self._recorder = recorder
        self._clock = clock

    @classmethod
    def of(cls, engine: WorkEngine, recorder: Recorder, clock: Clock) -> "SchemaDesk":
        """Return the desk of an engine."""
        return cls(getattr(engine, "key_schema", None), recorder, clock)

    @property
    def known(self) -> KeySchema:
        """The schema; ``NoKeySchema`` where work is not in Redis."""
        if self._schema is None:
            raise NoKeySchema
        return self._schema

    async def glance(self) -> SchemaStatus | None:
        """Return how things stand, for readiness and metrics; None where work is not in Redis."""
        return None if self._schema is None else await self._schema.status()

    async def status(self) -> SchemaStatus:
        """Return how things stand."""
        return await self.known.status()

    async def advance(self, to: Phase, *, accept_invalid: bool, by: By) -> SchemaStatus:
        """Go to a later phase and return how things stand; a refusal says why and what to do."""
        schema = await self._begun()
        async with self._recorded(AuditKind.SCHEMA_ADVANCED, by, to=to, accept_invalid=accept_invalid) as outcome:
            status = await schema.advance(to, accept_invalid=accept_invalid)
            outcome["phase"] = status.phase
        return status

    async def back(self, *, by: By) -> SchemaStatus:
        """Go one phase back and return how things stand."""
        schema = await self._begun()
        async with self._recorded(AuditKind.SCHEMA_WENT_BACK, by) as outcome:
            status = await schema.back()
            outcome["phase"] = status.phase
        return status

    async def verify(self, *, workspace_id: str | None = None, by: By) -> Verified:
        """Compare both copies of every job, and return what was found."""
        schema = await self._begun()
        async with self._recorded(AuditKind.SCHEMA_VERIFIED, by, workspace=workspace_id) as outcome:
            found = await schema.verify(workspace_id=workspace_id)
            outcome.update(compared=found.compared, missing=found.missing, different=found.different)
            outcome.update(extra=found.extra, invalid=found.invalid)
        return found

    async def backfill(
        self,
        *,
        execute: bool,
        by: By,
        workspace_id: str | None = None,
        operations_per_s: int,
        batch: int,
        max_keys: int | None = None,
        restart: bool = False,
    ) -> AsyncIterator[BackfillProgress]:
        """Write the new keys of old jobs, telling how far it is after each batch; without ``execute`` only count."""
        steps = self.known.backfill(
            execute=execute,
            workspace_id=workspace_id,
            operations_per_s=operations_per_s,
            batch=batch,
            max_keys=max_keys,
            restart=restart,
        )
        if not execute:
            async for progress in steps:
                yield progress
            return
        await self._begun()
        async with self._recorded(AuditKind.SCHEMA_BACKFILLED, by, workspace=workspace_id, restart=restart) as outcome:
            async for progress in steps:
                outcome.update(_counts(progress))
                yield progress

    async def retire(self, *, execute: bool, by: By, operations_per_s: int, batch: int) -> AsyncIterator[Retired]:
        """Remove old keys whose new twin was verified, telling how far it is; without ``execute`` only count."""
        steps = self.known.retire(execute=execute, operations_per_s=operations_per_s, batch=batch)
        if not execute:
            async for retired in steps:
                yield retired
            return
        await self._begun()
        async with self._recorded(AuditKind.SCHEMA_RETIRED, by) as outcome:
            async for retired in steps:
                outcome.update(removed=retired.removed, kept=retired.kept, finished=retired.finished)
                yield retired

    async def _begun(self) -> KeySchema:
        """Return the schema; refuse before the first start, which takes over what the older software left."""
        schema = self.known
        if not await schema.begin():
            raise SchemaRefused(
                "There are jobs of older software that no start has taken over: stop that software and start a server or a worker "
                "on this Redis first."
            )
        return schema

    @asynccontextmanager
    async def _recorded(self, kind: AuditKind, by: By, **asked: Any) -> AsyncIterator[dict[str, Any]]:
        """Record that a change begins, and how it ended; what is put into the dictionary is recorded with the end."""
        facts = {name: value for name, value in asked.items() if value is not None}
        await self._recorder.insist(self._entry(kind, by, BEGUN, facts))
        outcome: dict[str, Any] = {}
        result = "interrupted"
        try:
            yield outcome
            result = DONE
        except StewardError as error:
            result = error.stable_code
            raise
        finally:
            self._recorder.note(self._entry(kind, by, result, facts | outcome))

    def _entry(self, kind: AuditKind, by: By, result: str, facts: dict[str, Any]) -> AuditEntry:
        return AuditEntry(
            workspace_id=SYSTEM_WORKSPACE,
            kind=kind,
            at=self._clock.now(),
            actor_id=by.actor_id,
            result=result,
            request_id=by.request_id,
            facts=facts,
        )


def _counts(progress: BackfillProgress) -> dict[str, Any]:
    return {
        "scanned": progress.scanned,
        "migrated": progress.migrated,
        "skipped_exists": progress.skipped_exists,
        "skipped_invalid": progress.skipped_invalid,
        "errors": progress.errors,
        "finished": progress.finished,
    }
