"""The audit log in the SQL database. Each verb is a plain function over one transaction; here they meet threads and time."""

from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import structlog
from sqlalchemy import Connection, bindparam, delete, or_

from steward.audit import DISPATCHED, AuditEntry, AuditKind, AuditVerdict, RecordedDecision
from steward.audit_log import AuditPage
from steward.audit_logs import cursor
from steward.audit_logs.adopting import adopt
from steward.audit_logs.checking import Check
from steward.audit_logs.dropping import drop_old, workspaces_with_old
from steward.audit_logs.exporting import evidence, rows_of_plan
from steward.audit_logs.rows import WITH_VIEWS, W, entry_of, record_of
from steward.audit_logs.sealing import UNSEALED, seal
from steward.chain import Checkpoint
from steward.clock import Clock, milliseconds
from steward.database.audit_chain import End, Tails, append
from steward.database.engine import Database
from steward.database.public_keys import keep_keys, trusted_keys
from steward.database.sql import Sql
from steward.database.tables import audit_records, audit_views
from steward.event import EventType
from steward.mouthfuls import in_mouthfuls
from steward.vault import Vault

_log = structlog.get_logger("steward.audit")
_NEWEST: Final = 2**53
_BATCH: Final = 500
_REMEMBERED: Final = 10_000


_PAGE: Final = (
    WITH_VIEWS.where(audit_records.c.sequence < bindparam("before"))
    .order_by(audit_records.c.sequence.desc())
    .limit(bindparam("limit"))
)
_OF_KIND: Final = audit_records.c.kind == bindparam("kind")
_TELLS_OF_DISPATCH: Final = or_(_OF_KIND, audit_records.c.facts.contains(f'"{DISPATCHED}":"', autoescape=True))
"""Within a text of the facts, each of these quotes would follow a backslash."""
_FILTERS: Final = {
    "kind": _OF_KIND,
    "actor_id": audit_records.c.actor_id == bindparam("actor_id"),
    "plan_id": audit_records.c.plan_id == bindparam("plan_id"),
}
_ERASE: Final = delete(audit_views).where(audit_views.c.workspace_id == W, audit_views.c.sequence == bindparam("at"))
_DECISIONS: Final = (
    WITH_VIEWS.where(audit_records.c.kind == AuditKind.DECIDED)
    .where(audit_records.c.at >= bindparam("since"), audit_records.c.sequence > bindparam("after"))
    .order_by(audit_records.c.sequence)
    .limit(_BATCH)
)


class _Appended(NamedTuple):
    """What an append has come to."""

    ends: Mapping[str, End]
    signed: list[Checkpoint]


class SqlAuditLog:
    """``AuditLog`` over SQL; see the contract for what each verb promises."""

    def __init__(self, database: Database, vault: Vault, clock: Clock) -> None:
        """Use an open, migrated database; keep this start's public keys in it, and sign for what was there before."""
        self._database = database
        self._vault = vault
        self._clock = clock
        self._ends: dict[str, End] = {}
        """Where this process has left chains. Each is looked at again under the lock."""
        keep_keys(database, vault, self._now_ms)
        adopt(database, vault, clock.now())

    @property
    def _now_ms(self) -> int:
        return milliseconds(self._clock.now())

    async def append(self, entries: Sequence[AuditEntry]) -> None:
        """Append, and sign what was appended."""
        tails = Tails(self._ends)
        for entry in entries:
            tails.add(entry)

        def run(connection: Connection) -> _Appended:
            ends = tails.append(connection)
            return _Appended(ends, seal(connection, self._vault, self._now_ms))

        await self._database.write(run, self._note, piped=True)

    async def position(self) -> int:
        """Return how far events have been archived."""
        return await self._database.read(lambda connection: cursor.position(connection, self._vault), piped=True)

    async def archive(self, entries: Sequence[AuditEntry], *, after: int, upto: int) -> bool:
        """Append and move the position, if nobody else has."""
        tails = Tails(self._ends)
        async for some in in_mouthfuls(entries):
            for entry in some:
                tails.add(entry)

        def run(connection: Connection) -> _Appended | None:
            if self._is_doubtful(connection):
                self._mend_cursor(connection)
            if cursor.position(connection, self._vault) != after:
                return None
            ends = tails.append(connection)
            cursor.move(connection, self._vault, upto)
            return _Appended(ends, seal(connection, self._vault, self._now_ms))

        return await self._database.write(run, self._note) is not None

    def _note(self, appended: _Appended | None) -> None:
        """Keep in mind where chains end, and tell of the signatures."""
        if appended is not None:
            if len(self._ends) > _REMEMBERED:
                self._ends.clear()
            self._ends |= appended.ends
            _tell(appended.signed)

    async def seal(self) -> int:
        """Sign what others appended in transactions of their own, and mend a cursor that somebody else moved."""

        def is_due(connection: Connection) -> bool:
            return Sql(connection).first(UNSEALED) is not None or self._is_doubtful(connection)

        def run(connection: Connection) -> list[Checkpoint]:
            if self._is_doubtful(connection):
                self._mend_cursor(connection)
            return seal(connection, self._vault, self._now_ms)

        return len(await self._database.write(run, _tell)) if await self._database.read(is_due, piped=True) else 0

    def _is_doubtful(self, connection: Connection) -> bool:
        return cursor.is_doubtful(connection, self._vault.public_keys) and cursor.is_doubtful(
            connection, trusted_keys(connection, self._vault)
        )

    def _mend_cursor(self, connection: Connection) -> None:
        """Go on from what the chains show, and record that what was stated was not believed."""
        stated, shown = cursor.stated(connection), cursor.position(connection, self._vault)
        append(connection, [cursor.distrusted(self._clock.now(), stated, shown)])
        cursor.move(connection, self._vault, shown)
        _log.error("Somebody else moved the archiver's cursor.", action="audit_cursor_mended", position=shown)

    async def query(
        self,
        workspace_id: str,
        *,
        limit: int,
        before: int | None = None,
        kind: str | None = None,
        actor_id: str | None = None,
        plan_id: str | None = None,
    ) -> AuditPage:
        """Return a page, newest first."""
        filters = {"kind": kind, "actor_id": actor_id, "plan_id": plan_id}
        given = {name: value for name, value in filters.items() if value is not None}
        conditions = [_FILTERS[name] for name in given]
        if kind == EventType.JOB_DISPATCHED:
            conditions = [_TELLS_OF_DISPATCH if one is _OF_KIND else one for one in conditions]
        statement = _PAGE.where(*conditions)
        values = {"w": workspace_id, "before": before or _NEWEST, "limit": limit + 1, **given}
        rows = await self._database.read(lambda connection: list(connection.execute(statement, values)))
        page, more = rows[:limit], len(rows) > limit
        return AuditPage(records=tuple(record_of(row) for row in page), next_before=page[-1].sequence if more else None)

    async def decisions(self, workspace_id: str, since: datetime) -> AsyncIterator[RecordedDecision]:
        """Iterate over recorded decisions, oldest first."""
        values = {"w": workspace_id, "since": milliseconds(since), "after": 0}
        while rows := await self._database.read(lambda connection: list(connection.execute(_DECISIONS, values))):
            for row in rows:
                for decision in _decisions(row):
                    yield decision
            values["after"] = rows[-1].sequence

    async def verify(self, workspace_id: str, noted: tuple[int, str] | None = None) -> AuditVerdict:
        """Check a whole chain, as it stands at one moment."""

        def run(connection: Connection) -> AuditVerdict:
            return Check(connection, workspace_id, trusted_keys(connection, self._vault), noted).run()

        return await self._database.read(run, patient=True)

    async def public_keys(self) -> Mapping[str, str]:
        """Return the keys that are trusted here."""
        return await self._database.read(lambda connection: trusted_keys(connection, self._vault))

    async def export(self, workspace_id: str, plan_id: str, *, by: str, request_id: str) -> Mapping[str, Any]:
        """Record the export, then return the evidence, in which that is the last record."""
        await self._database.read(lambda connection: rows_of_plan(connection, workspace_id, plan_id))
        note = AuditEntry(
            workspace_id=workspace_id,
            kind=AuditKind.AUDIT_EXPORTED,
            at=self._clock.now(),
            actor_id=by,
            plan_id=plan_id,
            result="exported",
            request_id=request_id,
        )
        await self.append([note])
        return await self._database.read(
            lambda connection: evidence(connection, workspace_id, plan_id, self._vault, self._now_ms)
        )

    async def erase(
        self, workspace_id: str, sequences: Collection[int], *, by: str, request_id: str | None = None
    ) -> None:
        """Record the erasure, and erase, in one operation."""
        note = AuditEntry(
            workspace_id=workspace_id,
            kind=AuditKind.VIEW_ERASED,
            at=self._clock.now(),
            actor_id=by,
            result="erased",
            request_id=request_id,
            facts={"records": sorted(sequences)},
        )

        def run(connection: Connection) -> list[Checkpoint]:
            for sequence in sequences:
                connection.execute(_ERASE, {"w": workspace_id, "at": sequence})
            append(connection, [note])
            return seal(connection, self._vault, self._now_ms)

        await self._database.write(run, _tell)

    async def purge(self, retention_s: int) -> int:
        """Drop old records, a bounded number in one transaction."""
        before = self._now_ms - retention_s * 1000
        gone = 0
        for workspace_id in await self._database.read(lambda connection: workspaces_with_old(connection, before)):
            while dropped := await self._drop(workspace_id, before):
                gone += dropped
        return gone

    async def _drop(self, workspace_id: str, before: int) -> int:
        return await self._database.write(
            lambda connection: drop_old(connection, workspace_id, before, self._vault, self._now_ms), patient=True
        )


def _tell(made: list[Checkpoint]) -> None:
    """Say in the log how far chains are signed: a witness outside the database, for whoever keeps logs elsewhere."""
    for checkpoint in made:
        _log.info(
            "A chain was signed.",
            action="audit_signed",
            workspace_id=checkpoint.workspace_id,
            sequence=checkpoint.sequence,
            hash=checkpoint.hash,
        )


def _decisions(row: Any) -> Iterator[RecordedDecision]:
    entry = entry_of(row)
    for decision in entry.facts["decisions"]:
        for step in (decision["step"], *decision.get("also", ())):
            yield RecordedDecision(
                at=entry.at,
                actor_id=entry.actor_id,
                roles=tuple(entry.facts["roles"]),
                plan_id=entry.plan_id,
                step=step,
                action_id=decision["action_id"],
                effect=decision["effect"],
                rule=decision["rule"],
                version=entry.facts["version"],
                facts=decision["facts"],
            )
