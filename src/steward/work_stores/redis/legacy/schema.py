"""``KeySchema`` over Redis: the phases and their order, and what stands in the way of the next one."""

from collections.abc import AsyncIterator
from typing import Final

from steward.errors import SchemaRefused
from steward.key_schema import BackfillProgress, Phase, Retired, SchemaStatus, Verified
from steward.work_stores.redis.keys import key
from steward.work_stores.redis.legacy import retiring, statistics
from steward.work_stores.redis.legacy.adopting import fill
from steward.work_stores.redis.legacy.migrating import Backfill, Migrator
from steward.work_stores.redis.legacy.pace import Pace
from steward.work_stores.redis.legacy.phases import begin, recorded_phase
from steward.work_stores.redis.legacy.records import fields_of
from steward.work_stores.redis.legacy.verifying import Verification

_OPERATIONS_PER_S: Final = 20_000
_BATCH: Final = 500
_ORDER: Final = (Phase.LEGACY_READ, Phase.NEW_READ, Phase.NEW_ONLY)


class RedisKeySchema:
    """``KeySchema`` over Redis; see the contract for what each verb promises."""

    def __init__(self, migrator: Migrator) -> None:
        """Move the schema of one server."""
        self._migrator = migrator
        self._server = migrator.server

    async def status(self) -> SchemaStatus:
        """Return where the migration stands."""
        own = self._server.statistics.take()
        *_, record, calls = await self._server.send_together(
            *own, ("HGETALL", key("schema")), ("HGETALL", key("schema_calls"))
        )
        kept = fields_of(record)
        paths, errors, p99 = statistics.told(fields_of(calls))
        return SchemaStatus(
            phase=Phase(kept.get("phase", Phase.NEW_ONLY)),
            legacy_jobs=int(kept.get("old", 0)),
            current_jobs=int(kept.get("current", 0)),
            adopted="adopted" in kept or kept.get("phase", Phase.NEW_ONLY) == Phase.NEW_ONLY,
            verified="verified" in kept,
            read_paths=paths,
            errors=errors,
            p99_ms=p99,
            recorded="phase" in kept,
        )

    async def begin(self) -> bool:
        """Return whether a phase is recorded, having recorded new-only where no old record is."""
        return await begin(self._server)

    async def _phase(self) -> Phase:
        return await recorded_phase(self._server) or Phase.NEW_ONLY

    async def advance(self, to: Phase, *, accept_invalid: bool = False) -> SchemaStatus:
        """Go one phase forward."""
        phase = await self._phase()
        if to is phase:
            return await self.status()
        if phase is _ORDER[-1]:
            raise SchemaRefused(
                f"The phase is {phase}, which is the last: only 'steward schema back' leads away from it."
            )
        if _ORDER.index(to) != _ORDER.index(phase) + 1:
            raise SchemaRefused(f"The phase is {phase}; from there it goes on to {_next(phase)}, one phase at a time.")
        kept = fields_of(await self._server.send("HGETALL", key("schema")))
        if "adopted" not in kept:
            raise SchemaRefused("The old jobs are not all in the lists yet: wait until a process has started whole.")
        facts: tuple[str, ...] = ()
        if to is Phase.NEW_ONLY:
            if "verified" not in kept:
                raise SchemaRefused(
                    "The last verification did not find everything equal, or there was none: run 'steward schema backfill "
                    "--execute' and 'steward schema verify' first."
                )
            if int(kept["verified"]) and not accept_invalid:
                raise SchemaRefused(
                    f"There are {kept['verified']} old keys that cannot be read: remove them, or accept to leave them behind "
                    "with --accept-invalid."
                )
            facts = ("left", "1")
        await self._move(phase, to, *facts)
        return await self.status()

    async def back(self) -> SchemaStatus:
        """Go one phase back."""
        phase = await self._phase()
        if phase is Phase.LEGACY_READ:
            raise SchemaRefused("The phase is legacy-read; there is none before it.")
        if phase is Phase.NEW_ONLY:
            await self._move(phase, phase, "filling", "1", "left", "1", "verified", "")
            await fill(self._server)
            await self._move(phase, Phase.NEW_READ, "filling", "", "adopted", "1")
        else:
            await self._move(phase, Phase.LEGACY_READ)
        return await self.status()

    async def _move(self, phase: Phase, to: Phase, *facts: str) -> None:
        if not await self._server.run("schema_move", phase, to, len(facts) // 2, *facts):
            raise SchemaRefused("Somebody else moved the phase at the same moment: look at 'steward schema status'.")

    async def backfill(
        self,
        *,
        execute: bool,
        workspace_id: str | None = None,
        operations_per_s: int = 1000,
        batch: int = 500,
        max_keys: int | None = None,
        restart: bool = False,
    ) -> AsyncIterator[BackfillProgress]:
        """Iterate over the progress of giving old records their current ones."""
        if execute and await self._phase() is Phase.NEW_ONLY:
            raise SchemaRefused("The old keys are not read any more: go back with 'steward schema back' first.")
        total = int(await self._server.send("HGET", key("schema"), "old") or 0)
        run = Backfill(self._migrator, execute=execute, workspace_id=workspace_id, max_keys=max_keys)
        async for progress in run.run(total, operations_per_s=operations_per_s, batch=batch, restart=restart):
            yield progress

    async def verify(self, *, workspace_id: str | None = None) -> Verified:
        """Compare every job in both schemas; the verdict on all of them is recorded."""
        phase = await self._phase()
        verification = Verification(self._server, workspace_id, twins=phase is not Phase.NEW_ONLY)
        found = await verification.run(_BATCH, Pace(_OPERATIONS_PER_S))
        if workspace_id is None:
            counts = ("old", str(verification.old), "current", str(verification.current))
            verdict = "" if found.missing or found.different else str(found.invalid)
            facts = counts if phase is Phase.NEW_ONLY else (*counts, "verified", verdict)
            await self._move(phase, phase, *facts)
        return found

    async def retire(self, *, execute: bool, operations_per_s: int = 1000, batch: int = 500) -> AsyncIterator[Retired]:
        """Iterate over the progress of removing old records."""
        kept = fields_of(await self._server.send("HGETALL", key("schema")))
        if kept.get("phase", Phase.NEW_ONLY) != Phase.NEW_ONLY or "filling" in kept:
            raise SchemaRefused(
                "Old keys are still written: they can be removed once 'steward schema advance' has come to new-only."
            )
        last = None
        async for last in retiring.retire(
            self._server, execute=execute, operations_per_s=operations_per_s, batch=batch
        ):
            yield last
        if execute and last is not None and not last.kept:
            await self._move(Phase.NEW_ONLY, Phase.NEW_ONLY, "left", "")


def _next(phase: Phase) -> str:
    return _ORDER[_ORDER.index(phase) + 1].value
